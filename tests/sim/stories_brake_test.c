/* What the brake holds, and how it is answered. */
#include "tests/sim/trouble.h"

/* --- the brake --- */

static void
expunge_here(const char *mailbox, const char *prefix, int from, int to)
{
	for (int i = from; i <= to; i++) {
		char token[40];

		(void)snprintf(token, sizeof token, "%s%d", prefix, i);
		here_expunge(mailbox, token);
	}
}

static void
expunge_there_many(const char *mailbox, const char *prefix, int from, int to)
{
	for (int i = from; i <= to; i++) {
		char token[40];

		(void)snprintf(token, sizeof token, "%s%d", prefix, i);
		there_expunge(mailbox, token);
	}
}

static void
a_large_account(void)
{
	there_create("Big");
	there_create("Other");
	fill("Big", "b", 50);
	fill("Other", "o", 100);
	world_settle();
}

static void
ten_deletions_pass_at_once(void **state)
{
	a_large_account();
	expunge_here("Big", "b", 1, 10);
	expunge_there_many("Other", "o", 1, 10);
	world_settle();
	expect_held(0, 0);
	settle_marked("Big");
	assert_int_equal(there_mailbox("Big")->count, 40);
	world_expect_agreed();
}

static void
more_than_a_fifth_expunged_there_is_held_here(void **state)
{
	a_large_account();
	expunge_there_many("Big", "b", 1, 11);
	there_add("Big", "new");
	there_flag("Big", "b20", "+seen");
	world_settle();
	expect_held(1, 11);
	assert_int_equal(here_number("Big", "b1").value > 0, 1);
	assert_int_equal(here_number("Big", "new").value > 0, 1);
	world_settle();
	world_settle();
	expect_held(1, 11);
	world_answer_all(true);
	world_settle();
	expect_held(0, 0);
	world_expect_agreed();
	assert_int_equal(there_mailbox("Big")->count, 40);
	assert_int_equal(world.server->counts.changes, 0);
}

static void
a_hold_here_that_is_reverted_uploads_what_was_lost_there(void **state)
{
	a_large_account();
	expunge_there_many("Big", "b", 1, 11);
	world_settle();
	expect_held(1, 11);
	world_answer_all(false);
	world_settle();
	expect_held(0, 0);
	world_expect_agreed();
	assert_int_equal(there_mailbox("Big")->count, 50);
	assert_int_equal(world_sent("b1"), 1);
}

static void
more_than_a_fifth_expunged_here_is_held_there(void **state)
{
	a_large_account();
	expunge_here("Big", "b", 1, 11);
	here_flag("Big", "b20", "+seen");
	here_add("Big", "new");
	world_settle();
	expect_held(1, 11);
	assert_int_equal(there_mailbox("Big")->count, 51);
	assert_int_equal(there_message("Big", "b20")->flags.bits, FLAG_SEEN);
	world_settle();
	expect_held(1, 11);
	world_answer_all(true);
	world_settle();
	expect_held(0, 0);
	settle_marked("Big");
	assert_int_equal(there_mailbox("Big")->count, 40);
	world_expect_agreed();
}

static void
a_hold_there_that_is_reverted_brings_them_back_here(void **state)
{
	a_large_account();
	expunge_here("Big", "b", 1, 11);
	world_settle();
	expect_held(1, 11);
	there_expunge("Big", "b1"); /* meanwhile lost there: it is sent again */
	there_flag("Big", "b2", "+seen");
	world_settle();
	world_answer_all(false);
	world_settle();
	expect_held(0, 0);
	world_settle();
	world_expect_agreed();
	assert_int_equal(there_mailbox("Big")->count, 50);
	assert_int_equal(world.server->counts.appends, 1);
}

static void
deletions_that_trickle_are_counted_together(void **state)
{
	a_large_account();
	for (int i = 1; i <= 15; i += 5) {
		expunge_there_many("Big", "b", i, i + 4);
		world_pass();
		world_advance_s(60);
	}
	expect_held(1, 5);
	world_restart();
	expunge_there_many("Big", "b", 20, 24);
	world_pass();
	expect_held(2, 10);
	world_advance_s(7200);
	world_settle();
	expect_held(2, 10);
}

static void
an_emptied_mailbox_is_held_even_with_the_brake_off(void **state)
{
	world.settings.hold_off = true;
	a_large_account();
	expunge_there_many("Big", "b", 1, 50);
	expunge_there_many("Other", "o", 1, 60);
	world_settle();
	expect_held(1, 50);
	world_answer_all(true);
	world_settle();
	expect_both("Big", "");
	world_expect_agreed();
}

static void
rm_of_the_only_message_passes(void **state)
{
	there_create("One");
	there_add("One", "x");
	there_add("INBOX", "m1");
	world_settle();
	here_expunge("One", "x");
	there_expunge("INBOX", "m1");
	world_settle();
	expect_held(0, 0);
	settle_marked("One");
	expect_both("One", "");
	world_expect_agreed();
}

static void
a_burst_is_seen_whole_before_it_leaves(void **state)
{
	a_large_account();
	expunge_here("Other", "o", 1, 12);
	world_pass();
	assert_true(world.result.again);
	assert_int_equal(world.server->counts.expunges, 0);
	expunge_here("Other", "o", 13, 30);
	world_advance_s(3);
	world_settle();
	expect_held(1, 30);
	assert_int_equal(world.server->counts.expunges, 0);
}

static void
replaced_drafts_are_not_counted(void **state)
{
	char token[20], next[20];

	there_create("Drafts");
	there_add("Drafts", "d0");
	world_settle();
	for (int i = 0; i < 15; i++) {
		(void)snprintf(token, sizeof token, "d%d", i);
		(void)snprintf(next, sizeof next, "d%d", i + 1);
		here_replace("Drafts", token, next);
		world_settle();
		settle_marked("Drafts");
	}
	expect_held(0, 0);
	expect_both("Drafts", "d15");
	world_expect_agreed();
}

static void
kept_what_vanished_there_stays_here(void **state)
{
	a_large_account();
	world.settings.deletes_keep = true;
	expunge_there_many("Big", "b", 1, 50);
	there_expunge("Other", "o1");
	world_settle();
	expect_held(0, 0);
	assert_int_equal(here_number("Big", "b1").value > 0, 1);
	assert_int_equal(here_number("Other", "o1").value > 0, 1);
	world_expect_rest();
	assert_int_equal(world.server->counts.changes, 0);
}

static void
a_hold_lists_only_what_lives_nowhere_else(void **state)
{
	a_large_account();
	there_create("Spare");
	world_settle();
	for (int i = 1; i <= 5; i++) {
		char token[20];

		(void)snprintf(token, sizeof token, "b%d", i);
		there_copy("Big", token, "Spare");
	}
	world_settle();
	expunge_there_many("Big", "b", 1, 16);
	world_settle();
	expect_held(1, 11);
	world_answer_all(false);
	world_settle();
	expect_held(0, 0);
	assert_int_equal(there_mailbox("Big")->count, 45);
	assert_int_equal(there_mailbox("Spare")->count, 5);
	assert_int_equal(world_sent("b1"), 0);
	assert_int_equal(world_sent("b6"), 1);
	world_expect_agreed();
}

static void
of_a_removed_mailbox_only_what_lives_nowhere_else_comes_back(void **state)
{
	a_large_account();
	there_create("Spare");
	world_settle();
	for (int i = 1; i <= 5; i++) {
		char token[20];

		(void)snprintf(token, sizeof token, "b%d", i);
		here_copy("Big", token, "Spare");
	}
	world_settle();
	expunge_here("Big", "b", 1, 16);
	world_settle();
	expect_held(1, 11);
	world_answer_all(false);
	world_settle();
	settle_marked("Big");
	expect_held(0, 0);
	assert_int_equal(there_mailbox("Big")->count, 45);
	assert_int_equal(there_mailbox("Spare")->count, 5);
	world_expect_agreed();
}

static void
what_is_held_and_turns_up_elsewhere_moved(void **state)
{
	a_large_account();
	there_create("X");
	there_create("Late");
	there_add("X", "x1+seen");
	there_add("X", "x2");
	world_settle();
	struct number number = here_number("X", "x1");

	there_move("X", "x1", "Late");
	there_remove("X");
	world_pass_over("X");
	world_pass_over("X");
	expect_held(1, 2);
	world_settle();
	expect_held(1, 1);
	expect_both("Late", "x1+seen");
	assert_int_equal(here_number("Late", "x1").value, number.value);
	world_answer_all(false);
	world_settle();
	expect_both("X", "x2");
	expect_both("Late", "x1+seen");
	world_expect_agreed();
}

int
main(void)
{
	static const struct story stories[] = {
		STORY(ten_deletions_pass_at_once, ON_ALL),
		STORY(more_than_a_fifth_expunged_there_is_held_here, ON_ALL),
		STORY(a_hold_here_that_is_reverted_uploads_what_was_lost_there, ON_ALL),
		STORY(more_than_a_fifth_expunged_here_is_held_there, ON_ALL),
		STORY(a_hold_there_that_is_reverted_brings_them_back_here, ON_ALL),
		STORY(deletions_that_trickle_are_counted_together, ON_ALL),
		STORY(an_emptied_mailbox_is_held_even_with_the_brake_off, ON_ALL),
		STORY(rm_of_the_only_message_passes, ON_ALL),
		STORY(a_burst_is_seen_whole_before_it_leaves, ON_ALL),
		STORY(replaced_drafts_are_not_counted, ON_ALL),
		STORY(kept_what_vanished_there_stays_here, ON_ALL),
		STORY(a_hold_lists_only_what_lives_nowhere_else, ON_ALL),
		STORY(of_a_removed_mailbox_only_what_lives_nowhere_else_comes_back, ON_ALL),
		STORY(what_is_held_and_turns_up_elsewhere_moved, ON_GUIDS),
	};

	return stories_tell("stories of the brake", stories, ARRAY_LENGTH(stories));
}
