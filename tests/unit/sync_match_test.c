#include "engine/sync/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/random.h"
#include "engine/base/scope.h"

#define ITEMS 24

/* Keys by small numbers: 0 is none. */
static struct guid guids[10];
static struct digest digests[10];
static uint8_t identities[10][17];

static int
make_keys(void **state)
{
	(void)state;
	for (uint8_t i = 1; i < 10; i++) {
		guids[i] = (struct guid){.kind = GUID_X_GUID, .length = 2, .value = {'g', (char)('0' + i)}};
		memset(digests[i].bytes, i, sizeof digests[i].bytes);
		memset(identities[i], i, sizeof identities[i]);
	}
	return 0;
}

static struct match_item
item(int guid, int digest, int identity, int64_t date, uint64_t size)
{
	return (struct match_item){
		.guid = &guids[guid],
		.digest = digest != 0 ? &digests[digest] : NULL,
		.identity = identities[identity],
		.internaldate_s = date,
		.size_bytes = size,
	};
}

static void
a_guid_pairs_whatever_else_differs(void **state)
{
	const struct match_item ours[] = {item(1, 1, 1, 5, 10)},
				theirs[] = {item(2, 1, 1, 5, 10), item(1, 2, 2, 9, 99)};
	size_t out[1];

	(void)state;
	match_pairs(ours, 1, theirs, 2, out);
	assert_int_equal(out[0], 1);
}

static void
guids_of_another_kind_are_other_guids(void **state)
{
	struct guid other = guids[1];
	struct match_item ours[] = {item(1, 0, 0, 5, 10)}, theirs[] = {item(1, 0, 0, 5, 10)};
	size_t out[1];

	(void)state;
	other.kind = GUID_EMAILID;
	theirs[0].guid = &other;
	match_pairs(ours, 1, theirs, 1, out);
	assert_int_equal(out[0], MATCH_NONE);
}

static void
a_digest_pairs_whatever_the_header_says(void **state)
{
	const struct match_item ours[] = {item(0, 1, 1, 5, 10)},
				theirs[] = {item(0, 2, 1, 5, 10), item(0, 1, 2, 9, 10)};
	size_t out[1];

	(void)state;
	match_pairs(ours, 1, theirs, 2, out);
	assert_int_equal(out[0], 1);
}

static void
header_identity_asks_for_date_and_size(void **state)
{
	const struct match_item ours[] = {item(0, 1, 1, 5, 10)};
	const struct match_item other_date[] = {item(0, 0, 1, 6, 10)}, other_size[] = {item(0, 0, 1, 5, 11)},
				no_size[] = {item(0, 0, 1, 5, 0)}, other_digest[] = {item(0, 2, 1, 5, 10)};
	size_t out[1];

	(void)state;
	match_pairs(ours, 1, other_date, 1, out);
	assert_int_equal(out[0], MATCH_NONE);
	match_pairs(ours, 1, other_size, 1, out);
	assert_int_equal(out[0], MATCH_NONE);
	match_pairs(ours, 1, other_digest, 1, out);
	assert_int_equal(out[0], MATCH_NONE);
	match_pairs(ours, 1, no_size, 1, out);
	assert_int_equal(out[0], 0);
}

static void
no_header_identity_is_like_no_other(void **state)
{
	const struct match_item ours[] = {item(0, 0, 0, 5, 10)}, theirs[] = {item(0, 0, 0, 5, 10)};
	size_t out[1];

	(void)state;
	match_pairs(ours, 1, theirs, 1, out);
	assert_int_equal(out[0], MATCH_NONE);
}

static void
an_upload_that_was_not_answered_is_found_though_it_was_rewritten(void **state)
{
	struct match_item ours[] = {item(0, 1, 1, 5, 10)};
	const struct match_item theirs[] = {item(0, 2, 1, 9, 12)};
	size_t out[1];

	(void)state;
	ours[0].outcome_unknown = true;
	match_pairs(ours, 1, theirs, 1, out);
	assert_int_equal(out[0], 0);
	ours[0].date_asked = true;
	match_pairs(ours, 1, theirs, 1, out);
	assert_int_equal(out[0], MATCH_NONE);
}

static void
what_has_the_same_size_is_taken_before_what_was_rewritten(void **state)
{
	struct match_item ours[] = {item(0, 0, 1, 5, 10)};
	const struct match_item theirs[] = {item(0, 0, 1, 9, 12), item(0, 0, 1, 9, 10)};
	size_t out[1];

	(void)state;
	ours[0].outcome_unknown = true;
	match_pairs(ours, 1, theirs, 2, out);
	assert_int_equal(out[0], 1);
}

static void
two_equal_messages_stay_two_in_their_order(void **state)
{
	const struct match_item ours[] = {item(0, 1, 1, 5, 10), item(0, 1, 1, 5, 10), item(0, 1, 1, 5, 10)};
	const struct match_item theirs[] = {item(0, 1, 1, 5, 10), item(0, 2, 2, 5, 10), item(0, 1, 1, 5, 10)};
	size_t out[3];

	(void)state;
	match_pairs(ours, 3, theirs, 3, out);
	assert_int_equal(out[0], 0);
	assert_int_equal(out[1], 2);
	assert_int_equal(out[2], MATCH_NONE);
}

static void
nothing_pairs_with_nothing(void **state)
{
	const struct match_item one[] = {item(1, 1, 1, 5, 10)};
	size_t out[1];

	(void)state;
	match_pairs(one, 1, NULL, 0, out);
	assert_int_equal(out[0], MATCH_NONE);
	match_pairs(NULL, 0, one, 1, NULL);
}

/* --- at random --- */

static void
fill(struct random *random, struct match_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		items[i] = item((int)random_below(random, 6), (int)random_below(random, 5),
			(int)random_below(random, 4), (int64_t)random_below(random, 2), random_below(random, 3));
		items[i].outcome_unknown = random_below(random, 4) == 0;
	}
}

static size_t
count_guid(const struct match_item *items, size_t count, const struct guid *guid)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		found += guid_equal(items[i].guid, guid);
	}
	return found;
}

static bool
may_pair(const struct match_item *a, const struct match_item *b)
{
	bool same_guid = guid_equal(a->guid, b->guid);
	bool same_digest = a->digest != NULL && b->digest != NULL && digest_equal(a->digest, b->digest);

	return same_guid || same_digest || memcmp(a->identity, b->identity, 17) == 0;
}

static void
pairs_are_one_to_one_and_as_many_as_can_be(void **state)
{
	struct random random;

	(void)state;
	random_seed(&random, 4);
	for (int round = 0; round < 5000; round++) {
		struct match_item ours[ITEMS], theirs[ITEMS];
		size_t our_count = random_below(&random, ITEMS), their_count = random_below(&random, ITEMS), out[ITEMS];
		bool taken[ITEMS] = {false};

		fill(&random, ours, our_count);
		fill(&random, theirs, their_count);
		match_pairs(ours, our_count, theirs, their_count, out);
		for (size_t i = 0; i < our_count; i++) {
			if (out[i] == MATCH_NONE) {
				continue;
			}
			assert_true(out[i] < their_count);
			assert_false(taken[out[i]]);
			taken[out[i]] = true;
			assert_true(may_pair(&ours[i], &theirs[out[i]]));
		}
		/* By GUID as multisets: the smaller number of each is paired with its like. */
		for (int guid = 1; guid < 6; guid++) {
			size_t here = count_guid(ours, our_count, &guids[guid]),
			       there = count_guid(theirs, their_count, &guids[guid]);
			size_t paired = 0;

			for (size_t i = 0; i < our_count; i++) {
				paired += out[i] != MATCH_NONE && guid_equal(ours[i].guid, &guids[guid]) &&
					  guid_equal(theirs[out[i]].guid, &guids[guid]);
			}
			assert_int_equal(paired, here < there ? here : there);
		}
		/* None that share a digest are left on both sides. */
		for (size_t i = 0; i < our_count; i++) {
			for (size_t j = 0; out[i] == MATCH_NONE && ours[i].digest != NULL && j < their_count; j++) {
				assert_true(taken[j] || theirs[j].digest == NULL ||
					    !digest_equal(ours[i].digest, theirs[j].digest));
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guid_pairs_whatever_else_differs),
		cmocka_unit_test(guids_of_another_kind_are_other_guids),
		cmocka_unit_test(a_digest_pairs_whatever_the_header_says),
		cmocka_unit_test(header_identity_asks_for_date_and_size),
		cmocka_unit_test(no_header_identity_is_like_no_other),
		cmocka_unit_test(an_upload_that_was_not_answered_is_found_though_it_was_rewritten),
		cmocka_unit_test(what_has_the_same_size_is_taken_before_what_was_rewritten),
		cmocka_unit_test(two_equal_messages_stay_two_in_their_order),
		cmocka_unit_test(nothing_pairs_with_nothing),
		cmocka_unit_test(pairs_are_one_to_one_and_as_many_as_can_be),
	};

	return cmocka_run_group_tests_name("match", tests, make_keys, NULL);
}
