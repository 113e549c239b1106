#include "engine/sync/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/random.h"
#include "engine/base/scope.h"

/* --- one message --- */

static void
each_case_has_its_step(void **state)
{
	static const struct {
		const char *what;
		struct plan_message message;
		enum plan_kind kind;
	} rows[] = {
		{"new here", {.live = true, .body_here = true}, PLAN_UPLOAD},
		{"new, and its body is not here", {.live = true}, PLAN_NOTHING},
		{"new, in a mailbox that is busy", {.live = true, .body_here = true, .to = PLAN_BUSY}, PLAN_LATER},
		{"new, in a mailbox that is not there", {.live = true, .body_here = true, .to = PLAN_CLOSED},
			PLAN_NOTHING},
		{"made and removed before it was sent", {.by_user = true, .body_here = true}, PLAN_NOTHING},
		{"nothing changed", {.live = true, .base = true, .base_here = true, .same_mailbox = true},
			PLAN_NOTHING},
		{"flags", {.live = true, .base = true, .base_here = true, .same_mailbox = true, .flags_differ = true},
			PLAN_STORE},
		{"flags, busy",
			{.live = true,
				.base = true,
				.base_here = true,
				.same_mailbox = true,
				.flags_differ = true,
				.from = PLAN_BUSY},
			PLAN_LATER},
		{"flags, not there",
			{.live = true,
				.base = true,
				.base_here = true,
				.same_mailbox = true,
				.flags_differ = true,
				.from = PLAN_CLOSED},
			PLAN_NOTHING},
		{"moved", {.live = true, .base = true, .base_here = true}, PLAN_MOVE},
		{"moved and flagged: the move first",
			{.live = true, .base = true, .base_here = true, .flags_differ = true}, PLAN_MOVE},
		{"moved, target busy", {.live = true, .base = true, .base_here = true, .to = PLAN_BUSY}, PLAN_LATER},
		{"moved, source busy", {.live = true, .base = true, .base_here = true, .from = PLAN_BUSY}, PLAN_LATER},
		{"moved to where nothing is there", {.live = true, .base = true, .base_here = true, .to = PLAN_CLOSED},
			PLAN_NOTHING},
		{"new, in a mailbox that is read-only there", {.live = true, .body_here = true, .to = PLAN_FIXED},
			PLAN_FORBID},
		{"moved to where nothing may be put", {.live = true, .base = true, .base_here = true, .to = PLAN_FIXED},
			PLAN_FORBID},
		{"moved from where nothing may be taken",
			{.live = true, .base = true, .base_here = true, .from = PLAN_FIXED}, PLAN_FORBID},
		{"removed where nothing may be taken",
			{.by_user = true, .base = true, .base_here = true, .from = PLAN_FIXED}, PLAN_FORBID},
		{"removed there, where nothing may be taken", {.base = true, .base_here = true, .from = PLAN_FIXED},
			PLAN_NOTHING},
		{"flags, read-only there",
			{.live = true,
				.base = true,
				.base_here = true,
				.same_mailbox = true,
				.flags_differ = true,
				.from = PLAN_FIXED},
			PLAN_NOTHING},
		{"removed by a user", {.by_user = true, .base = true, .base_here = true}, PLAN_EXPUNGE},
		{"removed because it was gone there", {.base = true, .base_here = true}, PLAN_NOTHING},
		{"removed, gone there as well", {.by_user = true, .base = true}, PLAN_NOTHING},
		{"removed, held", {.by_user = true, .base = true, .base_here = true, .held = true}, PLAN_LATER},
		{"replaced, the new one not there yet",
			{.by_user = true, .base = true, .base_here = true, .waits_for_successor = true}, PLAN_LATER},
		{"removed, busy", {.by_user = true, .base = true, .base_here = true, .from = PLAN_BUSY}, PLAN_LATER},
		{"removed, its mailbox is not there",
			{.by_user = true, .base = true, .base_here = true, .from = PLAN_CLOSED}, PLAN_NOTHING},
		{"kept against the other side", {.live = true, .base = true, .flags_differ = true}, PLAN_NOTHING},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (plan_message(&rows[i].message) != rows[i].kind) {
			fail_msg("%s: %d", rows[i].what, plan_message(&rows[i].message));
		}
	}
}

static struct plan_message
message_of(unsigned bits, enum plan_place from, enum plan_place to)
{
	return (struct plan_message){
		.live = (bits & 1) != 0,
		.by_user = (bits & 2) != 0,
		.body_here = (bits & 4) != 0,
		.held = (bits & 8) != 0,
		.base = (bits & 16) != 0,
		.base_here = (bits & 32) != 0,
		.same_mailbox = (bits & 64) != 0,
		.flags_differ = (bits & 128) != 0,
		.waits_for_successor = (bits & 256) != 0,
		.from = from,
		.to = to,
	};
}

/* Over every combination: what may never be planned. */
static void
check_never(const struct plan_message *message)
{
	enum plan_kind kind = plan_message(message);

	if (kind == PLAN_EXPUNGE) {
		assert_true(!message->live && message->by_user && message->base && message->base_here);
		assert_true(!message->held && !message->waits_for_successor && message->from == PLAN_READY);
	}
	if (kind == PLAN_UPLOAD) {
		assert_true(message->live && !message->base && message->body_here && message->to == PLAN_READY);
	}
	if (kind == PLAN_MOVE) {
		assert_true(message->live && message->base_here && !message->same_mailbox);
		assert_true(message->from == PLAN_READY && message->to == PLAN_READY);
	}
	if (kind == PLAN_STORE) {
		assert_true(message->live && message->base_here && message->same_mailbox && message->flags_differ);
		assert_true(message->from == PLAN_READY);
	}
	if (kind == PLAN_LATER) {
		assert_true(message->held || message->waits_for_successor || message->from == PLAN_BUSY ||
			    message->to == PLAN_BUSY);
	}
	if (kind == PLAN_FORBID) {
		assert_true(message->from == PLAN_FIXED || message->to == PLAN_FIXED);
	}
	if (kind == PLAN_NOTHING) {
		/* No removal of a user's that the remote could hear of is passed over. */
		assert_false(!message->live && message->by_user && message->base && message->base_here &&
			     message->from != PLAN_CLOSED);
	}
}

static void
no_combination_removes_or_sends_what_it_must_not(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 512; bits++) {
		for (int from = PLAN_READY; from <= PLAN_BUSY; from++) {
			for (int to = PLAN_READY; to <= PLAN_BUSY; to++) {
				struct plan_message message =
					message_of(bits, (enum plan_place)from, (enum plan_place)to);

				check_never(&message);
			}
		}
	}
}

/* --- groups --- */

static struct flags keyword_k;

static void
equal_changes_stand_together_by_uid(void **state)
{
	struct plan_store stores[] = {
		{.item = 0, .uid = 9, .add = {.bits = FLAG_SEEN}},
		{.item = 1, .uid = 2, .add = {.bits = FLAG_FLAGGED}},
		{.item = 2, .uid = 3, .add = {.bits = FLAG_SEEN}},
		{.item = 3, .uid = 1, .remove = {.bits = FLAG_SEEN}},
		{.item = 4, .uid = 8, .add = {.bits = FLAG_SEEN}, .remove = keyword_k},
	};
	size_t groups = 0, total = 0;

	(void)state;
	plan_store_sort(stores, ARRAY_LENGTH(stores));
	for (size_t first = 0, length; first < ARRAY_LENGTH(stores); first += length) {
		length = plan_store_group(stores, ARRAY_LENGTH(stores), first);
		groups++;
		total += length;
		for (size_t i = first + 1; i < first + length; i++) {
			assert_true(stores[i - 1].uid < stores[i].uid);
			assert_true(flags_equal(&stores[i].add, &stores[first].add));
			assert_true(flags_equal(&stores[i].remove, &stores[first].remove));
		}
	}
	assert_int_equal(groups, 4);
	assert_int_equal(total, ARRAY_LENGTH(stores));
}

static void
keywords_in_another_case_are_the_same_change(void **state)
{
	struct flags upper = FLAGS_INIT, lower = FLAGS_INIT;

	(void)state;
	assert_true(flags_add_keyword(&upper, SLICE_LITERAL("JUNK")));
	assert_true(flags_add_keyword(&lower, SLICE_LITERAL("junk")));
	struct plan_store stores[] = {{.uid = 2, .add = upper}, {.uid = 1, .add = lower}};

	plan_store_sort(stores, 2);
	assert_int_equal(plan_store_group(stores, 2, 0), 2);
	assert_int_equal(stores[0].uid, 1);
	flags_finish(&upper);
	flags_finish(&lower);
}

static void
transfers_stand_together_by_their_two_mailboxes(void **state)
{
	struct random random;

	(void)state;
	random_seed(&random, 5);
	for (int round = 0; round < 500; round++) {
		struct plan_transfer transfers[40];
		size_t count = 1 + random_below(&random, ARRAY_LENGTH(transfers)), total = 0;
		bool seen[5][5] = {{false}};

		for (size_t i = 0; i < count; i++) {
			transfers[i] = (struct plan_transfer){.item = i,
				.from = (uint32_t)random_below(&random, 5),
				.to = (uint32_t)random_below(&random, 5),
				.uid = (uint32_t)random_below(&random, 9)};
		}
		plan_transfer_sort(transfers, count);
		for (size_t first = 0, length; first < count; first += length) {
			length = plan_transfer_group(transfers, count, first);
			total += length;
			assert_false(seen[transfers[first].from][transfers[first].to]);
			seen[transfers[first].from][transfers[first].to] = true;
			for (size_t i = first + 1; i < first + length; i++) {
				assert_true(transfers[i - 1].uid <= transfers[i].uid);
				assert_int_equal(transfers[i].from, transfers[first].from);
				assert_int_equal(transfers[i].to, transfers[first].to);
			}
		}
		assert_int_equal(total, count);
	}
}

static int
begin(void **state)
{
	(void)state;
	return flags_add_keyword(&keyword_k, SLICE_LITERAL("k")) ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	flags_finish(&keyword_k);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case_has_its_step),
		cmocka_unit_test(no_combination_removes_or_sends_what_it_must_not),
		cmocka_unit_test(equal_changes_stand_together_by_uid),
		cmocka_unit_test(keywords_in_another_case_are_the_same_change),
		cmocka_unit_test(transfers_stand_together_by_their_two_mailboxes),
	};

	return cmocka_run_group_tests_name("plan", tests, begin, end);
}
