#include "engine/sync/brake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/random.h"
#include "engine/base/scope.h"

static const struct brake_policy fifth = {.percent = 20};
static const struct brake_count large_account = {.largest = 100000, .left = 100000};

/* A mailbox of `size` of which `waiting` want to go now, and `passed` went within the hour. */
static struct brake_count
counts(uint64_t size, uint64_t passed, uint64_t waiting)
{
	uint64_t gone = passed + waiting;

	return (struct brake_count){
		.passed = passed, .waiting = waiting, .largest = size, .left = size > gone ? size - gone : 0};
}

static void
each_threshold_holds_where_it_says(void **state)
{
	static const struct {
		uint64_t size, passed, waiting;
		enum brake_reason reason;
	} rows[] = {
		{10, 0, 10, BRAKE_PASS}, /* ten or fewer always pass, */
		{1, 0, 1, BRAKE_PASS},   /* and so does rm of the only message */
		{11, 0, 10, BRAKE_PASS},
		{11, 0, 11, BRAKE_EMPTIED},
		{50, 0, 10, BRAKE_PASS},
		{50, 0, 11, BRAKE_SHARE},
		{55, 0, 11, BRAKE_PASS}, /* exactly a fifth */
		{54, 0, 11, BRAKE_SHARE},
		{100, 0, 20, BRAKE_PASS},
		{100, 0, 21, BRAKE_SHARE},
		{100, 15, 5, BRAKE_PASS},
		{100, 15, 6, BRAKE_SHARE}, /* a trickle is counted together */
		{100, 99, 1, BRAKE_EMPTIED},
		{100, 50, 0, BRAKE_PASS}, /* nothing wants to go */
		{12, 10, 2, BRAKE_EMPTIED},
		{1000, 0, 1000, BRAKE_EMPTIED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct brake_count mailbox = counts(rows[i].size, rows[i].passed, rows[i].waiting);

		if (brake_decide(&fifth, &mailbox, &large_account) != rows[i].reason) {
			fail_msg("row %zu: %d", i, brake_decide(&fifth, &mailbox, &large_account));
		}
	}
}

static void
the_account_is_counted_as_well(void **state)
{
	struct brake_count mailbox = counts(1000, 0, 50), account = counts(200, 0, 50);

	(void)state;
	assert_int_equal(brake_decide(&fifth, &mailbox, &large_account), BRAKE_PASS);
	assert_int_equal(brake_decide(&fifth, &mailbox, &account), BRAKE_ACCOUNT);
}

static void
a_number_is_a_number(void **state)
{
	const struct brake_policy policy = {.number = 30};
	struct brake_count thirty = counts(1000, 0, 30), more = counts(1000, 0, 31), few = counts(20, 0, 10);

	(void)state;
	assert_int_equal(brake_decide(&policy, &thirty, &large_account), BRAKE_PASS);
	assert_int_equal(brake_decide(&policy, &more, &large_account), BRAKE_SHARE);
	assert_int_equal(brake_decide(&policy, &few, &large_account), BRAKE_PASS);
}

static void
off_still_holds_a_mailbox_that_would_be_emptied(void **state)
{
	const struct brake_policy policy = {.off = true};
	struct brake_count most = counts(100, 0, 99), all = counts(100, 0, 100), ten = counts(10, 0, 10);

	(void)state;
	assert_int_equal(brake_decide(&policy, &most, &large_account), BRAKE_PASS);
	assert_int_equal(brake_decide(&policy, &all, &large_account), BRAKE_EMPTIED);
	assert_int_equal(brake_decide(&policy, &ten, &large_account), BRAKE_PASS);
}

static void
a_burst_waits_until_two_seconds_are_quiet(void **state)
{
	(void)state;
	assert_int_equal(brake_wait_ms(10, 0), 0);
	assert_int_equal(brake_wait_ms(11, 0), 2000);
	assert_int_equal(brake_wait_ms(11, 1500), 500);
	assert_int_equal(brake_wait_ms(11, 2000), 0);
	assert_int_equal(brake_wait_ms(11, 9000), 0);
	assert_int_equal(brake_wait_ms(11, -500), 2000); /* the clock went back */
	assert_int_equal(brake_wait_ms(0, 0), 0);
}

/* More deletions, or a smaller mailbox, never let something pass that was held. */
static void
what_is_held_stays_held_when_more_would_go(void **state)
{
	struct random random;

	(void)state;
	random_seed(&random, 3);
	for (int i = 0; i < 20000; i++) {
		uint64_t size = random_below(&random, 300), passed = random_below(&random, size + 1),
			 waiting = random_below(&random, size - passed + 1);
		struct brake_policy policy = {
			.percent = (unsigned)random_below(&random, 60), .number = (unsigned)random_below(&random, 60)};
		struct brake_count mailbox = counts(size, passed, waiting), more = counts(size, passed, waiting + 1);

		if (waiting > 0 && brake_decide(&policy, &mailbox, &large_account) != BRAKE_PASS &&
			passed + waiting < size) {
			assert_int_not_equal(brake_decide(&policy, &more, &large_account), BRAKE_PASS);
		}
		if (passed + waiting <= BRAKE_FREE && waiting > 0) {
			assert_int_equal(brake_decide(&policy, &mailbox, &large_account), BRAKE_PASS);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_threshold_holds_where_it_says),
		cmocka_unit_test(the_account_is_counted_as_well),
		cmocka_unit_test(a_number_is_a_number),
		cmocka_unit_test(off_still_holds_a_mailbox_that_would_be_emptied),
		cmocka_unit_test(a_burst_waits_until_two_seconds_are_quiet),
		cmocka_unit_test(what_is_held_stays_held_when_more_would_go),
	};

	return cmocka_run_group_tests_name("brake", tests, NULL, NULL);
}
