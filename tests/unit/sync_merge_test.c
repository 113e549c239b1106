#include "engine/sync/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/random.h"

static const struct merge_mask keeps_all = {.permanent = {.bits = FLAG_ALL}, .keywords_any = true};

/* --- presence: every combination --- */

static void
each_pair_of_presences_has_its_action(void **state)
{
	static const struct {
		enum merge_presence local, remote;
		enum merge_action action;
	} rows[] = {
		{MERGE_STAYED, MERGE_STAYED, MERGE_NOTHING},
		{MERGE_STAYED, MERGE_MOVED, MERGE_MOVE_HERE},
		{MERGE_STAYED, MERGE_GONE, MERGE_EXPUNGE_HERE},
		{MERGE_STAYED, MERGE_UNSEEN, MERGE_NOTHING},
		{MERGE_MOVED, MERGE_STAYED, MERGE_MOVE_THERE},
		{MERGE_MOVED, MERGE_MOVED, MERGE_MOVE_HERE},       /* the remote's target wins */
		{MERGE_MOVED, MERGE_GONE, MERGE_UPLOAD_TO_TARGET}, /* a move beats an expunge */
		{MERGE_MOVED, MERGE_UNSEEN, MERGE_NOTHING},
		{MERGE_GONE, MERGE_STAYED, MERGE_EXPUNGE_THERE},
		{MERGE_GONE, MERGE_MOVED, MERGE_REVIVE_HERE}, /* here as well */
		{MERGE_GONE, MERGE_GONE, MERGE_SETTLE},
		{MERGE_GONE, MERGE_UNSEEN, MERGE_NOTHING},
		{MERGE_UNSEEN, MERGE_STAYED, MERGE_NOTHING},
		{MERGE_UNSEEN, MERGE_MOVED, MERGE_NOTHING},
		{MERGE_UNSEEN, MERGE_GONE, MERGE_NOTHING},
		{MERGE_UNSEEN, MERGE_UNSEEN, MERGE_NOTHING},
	};
	bool seen[MERGE_PRESENCE_COUNT][MERGE_PRESENCE_COUNT] = {{false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		assert_int_equal(merge_presence(rows[i].local, rows[i].remote), rows[i].action);
		assert_false(seen[rows[i].local][rows[i].remote]);
		seen[rows[i].local][rows[i].remote] = true;
	}
	assert_int_equal(ARRAY_LENGTH(rows), MERGE_PRESENCE_COUNT * MERGE_PRESENCE_COUNT);
}

/* --- flags --- */

/* What one flag becomes: on each side the value it had, the base's, and whether the remote keeps it. */
static void
check_one_bit(bool base, bool local, bool remote, bool kept)
{
	const struct flags base_flags = {.bits = base ? FLAG_FLAGGED : 0};
	const struct flags local_flags = {.bits = local ? FLAG_FLAGGED : 0};
	const struct flags remote_flags = {.bits = remote ? FLAG_FLAGGED : 0};
	const struct merge_mask mask = {.permanent = {.bits = kept ? FLAG_ALL : FLAG_ALL & ~(uint32_t)FLAG_FLAGGED}};
	bool changed_here = local != base, changed_there = remote != base;
	bool agreed = changed_here || changed_there ? !base : base;
	struct merge_flags merge = merge_flags(&base_flags, &local_flags, &remote_flags, &mask);

	if (!kept) {
		assert_int_equal(merge.local.bits, local_flags.bits);
		assert_int_equal(merge.add.bits | merge.remove.bits, 0);
	} else {
		assert_int_equal(merge.local.bits, agreed ? FLAG_FLAGGED : 0);
		assert_int_equal(merge.add.bits, agreed && !remote ? FLAG_FLAGGED : 0);
		assert_int_equal(merge.remove.bits, !agreed && remote ? FLAG_FLAGGED : 0);
	}
	merge_flags_finish(&merge);
}

static void
a_flag_becomes_what_either_side_changed_it_to(void **state)
{
	(void)state;
	for (int i = 0; i < 16; i++) {
		check_one_bit((i & 1) != 0, (i & 2) != 0, (i & 4) != 0, (i & 8) != 0);
	}
}

static void
first_contact_unites_and_deleted_needs_both(void **state)
{
	(void)state;
	for (uint32_t local_bits = 0; local_bits <= FLAG_ALL; local_bits++) {
		for (uint32_t remote_bits = 0; remote_bits <= FLAG_ALL; remote_bits++) {
			const struct flags local = {.bits = local_bits}, remote = {.bits = remote_bits};
			uint32_t agreed = (local_bits | remote_bits) & ~(uint32_t)FLAG_DELETED;

			agreed |= local_bits & remote_bits & FLAG_DELETED;
			struct merge_flags merge = merge_flags_first(&local, &remote, &keeps_all);

			assert_int_equal(merge.local.bits, agreed);
			assert_int_equal(merge.add.bits, agreed & ~remote_bits);
			assert_int_equal(merge.remove.bits, remote_bits & ~agreed);
			merge_flags_finish(&merge);
		}
	}
}

static void
first_contact_leaves_what_the_remote_cannot_keep(void **state)
{
	const struct merge_mask mask = {.permanent = {.bits = FLAG_SEEN}};
	struct flags local = {.bits = FLAG_SEEN | FLAG_FLAGGED}, remote = {.bits = 0};

	(void)state;
	assert_true(flags_add_keyword(&local, SLICE_LITERAL("k1")));
	struct merge_flags merge = merge_flags_first(&local, &remote, &mask);

	assert_int_equal(merge.local.bits, FLAG_SEEN | FLAG_FLAGGED);
	assert_true(flags_has_keyword(&merge.local, SLICE_LITERAL("k1")));
	assert_int_equal(merge.add.bits, FLAG_SEEN);
	assert_null(merge.add.keywords);
	merge_flags_finish(&merge);
	flags_finish(&local);
}

static void
keywords_are_compared_without_case(void **state)
{
	struct flags base = {.bits = 0}, local = {.bits = 0}, remote = {.bits = 0};

	(void)state;
	assert_true(flags_add_keyword(&base, SLICE_LITERAL("Junk")));
	assert_true(flags_add_keyword(&local, SLICE_LITERAL("JUNK")));
	assert_true(flags_add_keyword(&remote, SLICE_LITERAL("junk")));
	struct merge_flags merge = merge_flags(&base, &local, &remote, &keeps_all);

	assert_true(flags_empty(&merge.add));
	assert_true(flags_empty(&merge.remove));
	assert_true(flags_has_keyword(&merge.local, SLICE_LITERAL("junk")));
	merge_flags_finish(&merge);
	flags_finish(&base);
	flags_finish(&local);
	flags_finish(&remote);
}

/* --- at random --- */

static struct flags
any_flags(struct random *random)
{
	struct flags flags = {.bits = (uint32_t)random_below(random, FLAG_ALL + 1)};

	for (int i = 0; i < 5; i++) {
		char keyword[8];

		(void)snprintf(keyword, sizeof keyword, "k%d", i);
		if (random_below(random, 2) == 0) {
			assert_true(flags_add_keyword(&flags, slice_of(keyword)));
		}
	}
	return flags;
}

static struct merge_mask
any_mask(struct random *random)
{
	return (struct merge_mask){.permanent = any_flags(random), .keywords_any = random_below(random, 2) == 0};
}

static struct flags
after(const struct flags *remote, const struct merge_flags *merge)
{
	struct flags more = flags_union(remote, &merge->add);
	struct flags less = flags_minus(&more, &merge->remove);

	flags_finish(&more);
	return less;
}

static void
after_a_merge_both_sides_agree_and_the_next_one_does_nothing(void **state)
{
	struct random random;

	(void)state;
	random_seed(&random, 1);
	for (int i = 0; i < 20000; i++) {
		SCOPED(flags_finish) struct flags base = any_flags(&random);
		SCOPED(flags_finish) struct flags local = any_flags(&random);
		SCOPED(flags_finish) struct flags theirs = any_flags(&random);
		struct merge_mask mask = any_mask(&random);
		SCOPED(flags_finish) struct flags remote = merge_masked(&theirs, &mask);
		struct merge_flags merge = i % 2 == 0 ? merge_flags(&base, &local, &remote, &mask)
						      : merge_flags_first(&local, &remote, &mask);
		SCOPED(flags_finish) struct flags remote_now = after(&remote, &merge);
		SCOPED(flags_finish) struct flags kept = merge_masked(&merge.local, &mask);
		SCOPED(flags_finish) struct flags both = flags_intersection(&merge.add, &merge.remove);
		SCOPED(flags_finish) struct flags local_kept = merge_masked(&local, &mask);
		SCOPED(flags_finish) struct flags only_here = flags_minus(&local, &local_kept);
		SCOPED(flags_finish) struct flags still_here = flags_intersection(&only_here, &merge.local);
		struct merge_flags again = merge_flags(&remote_now, &merge.local, &remote_now, &mask);

		assert_true(flags_equal(&kept, &remote_now));
		assert_true(flags_empty(&both));
		assert_true(flags_equal(&again.local, &merge.local));
		assert_true(flags_empty(&again.add));
		assert_true(flags_empty(&again.remove));
		assert_true(flags_equal(&still_here, &only_here));
		merge_flags_finish(&again);
		merge_flags_finish(&merge);
		flags_finish(&mask.permanent);
	}
}

static void
which_side_is_looked_at_first_makes_no_difference(void **state)
{
	struct random random;

	(void)state;
	random_seed(&random, 2);
	for (int i = 0; i < 5000; i++) {
		SCOPED(flags_finish) struct flags base = any_flags(&random);
		SCOPED(flags_finish) struct flags a = any_flags(&random);
		SCOPED(flags_finish) struct flags b = any_flags(&random);
		struct merge_flags one = merge_flags(&base, &a, &b, &keeps_all),
				   other = merge_flags(&base, &b, &a, &keeps_all);

		assert_true(flags_equal(&one.local, &other.local));
		merge_flags_finish(&one);
		merge_flags_finish(&other);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pair_of_presences_has_its_action),
		cmocka_unit_test(a_flag_becomes_what_either_side_changed_it_to),
		cmocka_unit_test(first_contact_unites_and_deleted_needs_both),
		cmocka_unit_test(first_contact_leaves_what_the_remote_cannot_keep),
		cmocka_unit_test(keywords_are_compared_without_case),
		cmocka_unit_test(after_a_merge_both_sides_agree_and_the_next_one_does_nothing),
		cmocka_unit_test(which_side_is_looked_at_first_makes_no_difference),
	};

	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
