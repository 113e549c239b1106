#include "engine/busiest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/random.h"

#define MAILBOXES_MAX 8

struct named {
	const char *name;
	struct busiest_mailbox is;
};

/* Chooses `most` of those, and compares their names, in order. */
static void
assert_chosen(const struct named *named, size_t most, const char *expected)
{
	struct busiest_mailbox mailboxes[MAILBOXES_MAX];
	size_t count = 0, chosen[MAILBOXES_MAX], found;
	char text[200] = "";

	while (named[count].name != NULL) {
		mailboxes[count] = named[count].is;
		mailboxes[count].id.value = (uint32_t)count + 1;
		count++;
	}
	found = busiest_choose(mailboxes, count, most, chosen);
	for (size_t i = 0; i < found; i++) {
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i > 0 ? " " : "",
			named[chosen[i]].name);
	}
	assert_string_equal(text, expected);
}

static void
the_inbox_comes_first_and_the_trash_last(void **state)
{
	static const struct named mailboxes[] = {
		{"Trash", {.dull = true, .changes = 900, .touched_s = 9}},
		{"Work", {.changes = 3}},
		{"INBOX", {.inbox = true}},
		{"Lists", {.changes = 40}},
		{0},
	};

	assert_chosen(mailboxes, 0, "");
	assert_chosen(mailboxes, 1, "INBOX");
	assert_chosen(mailboxes, 2, "INBOX Lists");
	assert_chosen(mailboxes, 3, "INBOX Lists Work");
	assert_chosen(mailboxes, 8, "INBOX Lists Work Trash");
}

static void
what_was_touched_last_comes_first_where_nothing_was_counted(void **state)
{
	static const struct named mailboxes[] = {
		{"old", {.touched_s = 100}},
		{"new", {.touched_s = 300}},
		{"INBOX", {.inbox = true, .touched_s = 1}},
		{"never", {.touched_s = 0}},
		{"neither", {.touched_s = 0}},
		{0},
	};

	assert_chosen(mailboxes, 8, "INBOX new old never neither");
}

static void
what_is_heard_gives_way_to_what_is_more_than_twice_as_busy(void **state)
{
	static const struct named as_busy[] = {
		{"other", {.changes = 20, .touched_s = 9}},
		{"heard", {.changes = 10, .heard = true}},
		{0},
	};
	static const struct named busier[] = {
		{"other", {.changes = 21}},
		{"heard", {.changes = 10, .heard = true, .touched_s = 9}},
		{0},
	};
	static const struct named silent[] = {
		{"other", {.touched_s = 9}},
		{"heard", {.heard = true}},
		{0},
	};

	assert_chosen(as_busy, 1, "heard");
	assert_chosen(busier, 1, "other");
	assert_chosen(silent, 1, "heard");
}

static void
counts_halve_by_the_hour(void **state)
{
	assert_int_equal(busiest_age(100, 0), 100);
	assert_int_equal(busiest_age(100, -5), 100); /* a clock that went back */
	assert_int_equal(busiest_age(100, 1), 50);
	assert_int_equal(busiest_age(100, 7), 0);
	assert_int_equal(busiest_age(UINT32_MAX, 31), 1);
	assert_int_equal(busiest_age(UINT32_MAX, INT64_MAX), 0);
}

static void
two_connections_are_never_for_listening(void **state)
{
	static const unsigned expected[] = {0, 0, 0, 1, 2, 3};

	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		assert_int_equal(busiest_listeners(i), expected[i]);
	}
}

/* Whatever order they come in, the same are chosen, and none that was left out is busier by its count alone. */
static void
the_choice_does_not_depend_on_the_order(void **state)
{
	struct random random;

	random_seed(&random, 7);
	for (int round = 0; round < 2000; round++) {
		struct busiest_mailbox mailboxes[MAILBOXES_MAX];
		size_t first[MAILBOXES_MAX], second[MAILBOXES_MAX], most = random_below(&random, MAILBOXES_MAX + 1);
		uint32_t ids[MAILBOXES_MAX];
		size_t found;

		for (size_t i = 0; i < MAILBOXES_MAX; i++) {
			mailboxes[i] = (struct busiest_mailbox){
				.id = {(uint32_t)i + 1},
				.dull = random_below(&random, 4) == 0,
				.heard = random_below(&random, 3) == 0,
				.changes = (uint32_t)random_below(&random, 4),
				.touched_s = (int64_t)random_below(&random, 3),
			};
		}
		found = busiest_choose(mailboxes, MAILBOXES_MAX, most, first);
		assert_int_equal(found, most);
		for (size_t i = 0; i < found; i++) {
			ids[i] = mailboxes[first[i]].id.value;
		}
		for (size_t i = MAILBOXES_MAX - 1; i > 0; i--) {
			size_t other = random_below(&random, i + 1);
			struct busiest_mailbox kept = mailboxes[i];

			mailboxes[i] = mailboxes[other];
			mailboxes[other] = kept;
		}
		assert_int_equal(busiest_choose(mailboxes, MAILBOXES_MAX, most, second), found);
		for (size_t i = 0; i < found; i++) {
			assert_int_equal(mailboxes[second[i]].id.value, ids[i]);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_inbox_comes_first_and_the_trash_last),
		cmocka_unit_test(what_was_touched_last_comes_first_where_nothing_was_counted),
		cmocka_unit_test(what_is_heard_gives_way_to_what_is_more_than_twice_as_busy),
		cmocka_unit_test(counts_halve_by_the_hour),
		cmocka_unit_test(two_connections_are_never_for_listening),
		cmocka_unit_test(the_choice_does_not_depend_on_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
