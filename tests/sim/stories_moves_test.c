/* Moves, copies and replacements, on either side and on both. */
#include "tests/sim/stories.h"

/* --- moves --- */

static void
a_move_here_is_a_move_there_without_a_body(void **state)
{
	three_messages();
	here_flag("INBOX", "m1", "+seen+k1");
	struct number number = here_number("INBOX", "m1");

	here_move("INBOX", "m1", "Archive");
	world_settle();
	expect_here("INBOX", "m2 m3");
	expect_both("Archive", "m1+seen+k1");
	assert_int_equal(world.server->counts.appends, 0);
	assert_int_equal(here_number("Archive", "m1").value, number.value);
	if (world_is(BARE)) {
		expect_there("INBOX", "m1+deleted m2 m3");
		world_expect_agreed();
		there_expunge_deleted("INBOX");
		world_settle();
	}
	expect_there("INBOX", "m2 m3");
	world_expect_agreed();
}

static void
a_move_there_keeps_its_number_here(void **state)
{
	three_messages();
	struct number number = here_number("INBOX", "m1");
	uint64_t bodies = world.server->counts.bodies;
	bool no_guids = world.options.server.guids == MODEL_GUIDS_NONE; /* then its octets tell */

	there_move("INBOX", "m1", "Archive");
	world_settle();
	expect_both("INBOX", "m2 m3");
	expect_both("Archive", "m1");
	assert_int_equal(here_number("Archive", "m1").value, number.value);
	assert_int_equal(world.server->counts.bodies, bodies + (no_guids ? 1 : 0));
	world_expect_agreed();
}

static void
a_move_there_that_is_seen_in_two_passes_keeps_its_number(void **state)
{
	three_messages();
	struct number number = here_number("INBOX", "m1");

	there_move("INBOX", "m1", "Archive");
	world_pass_over("INBOX");
	expect_here("INBOX", "m2 m3");
	world_settle();
	expect_both("Archive", "m1");
	assert_int_equal(here_number("Archive", "m1").value, number.value);
	world_expect_agreed();
}

static void
moved_here_and_flagged_there_it_has_both(void **state)
{
	three_messages();
	here_move("INBOX", "m1", "Archive");
	there_flag("INBOX", "m1", "+flagged");
	world_settle();
	expect_both("Archive", "m1+flagged");
	expect_here("INBOX", "m2 m3");
	world_expect_agreed();
}

static void
moved_there_and_flagged_here_it_has_both(void **state)
{
	three_messages();
	there_move("INBOX", "m1", "Archive");
	here_flag("INBOX", "m1", "+flagged");
	world_settle();
	expect_both("INBOX", "m2 m3");
	expect_both("Archive", "m1+flagged");
	world_expect_agreed();
}

static void
moved_on_both_sides_the_servers_target_wins(void **state)
{
	three_messages();
	there_create("Work");
	world_settle();
	here_move("INBOX", "m1", "Archive");
	there_move("INBOX", "m1", "Work");
	world_settle();
	expect_both("INBOX", "m2 m3");
	expect_both("Archive", "");
	expect_both("Work", "m1");
	world_expect_agreed();
}

static void
copied_here_and_expunged_there_the_copy_stays(void **state)
{
	three_messages();
	here_copy("INBOX", "m1", "Archive");
	there_expunge("INBOX", "m1");
	world_settle();
	expect_both("INBOX", "m2 m3");
	expect_both("Archive", "m1");
	world_expect_agreed();
}

static void
a_copy_here_is_a_copy_there_without_a_body(void **state)
{
	three_messages();
	here_copy("INBOX", "m1", "Archive");
	here_copy("INBOX", "m1", "Archive");
	here_copy("INBOX", "m2", "INBOX");
	world_settle();
	expect_both("INBOX", "m1 m2 m2 m3");
	expect_both("Archive", "m1 m1");
	assert_int_equal(world.server->counts.appends, 0);
	world_expect_agreed();
}

static void
a_copy_there_comes_here_without_a_body(void **state)
{
	three_messages();
	uint64_t bodies = world.server->counts.bodies;

	there_copy("INBOX", "m1", "Archive");
	there_copy("INBOX", "m2", "INBOX");
	world_settle();
	expect_both("INBOX", "m1 m2 m2 m3");
	expect_both("Archive", "m1");
	assert_int_equal(world.server->counts.bodies, bodies);
	world_expect_agreed();
}

static void
moved_here_and_expunged_there_it_lives_in_the_target(void **state)
{
	three_messages();
	here_move("INBOX", "m1", "Archive");
	there_expunge("INBOX", "m1");
	world_settle();
	expect_both("INBOX", "m2 m3");
	expect_both("Archive", "m1");
	world_expect_agreed();
}

static void
expunged_here_and_moved_there_it_lives_in_the_target(void **state)
{
	three_messages();
	here_expunge("INBOX", "m1");
	there_move("INBOX", "m1", "Archive");
	world_settle();
	expect_both("INBOX", "m2 m3");
	expect_both("Archive", "m1");
	world_expect_agreed();
}

static void
moved_there_and_back_it_is_where_it_was(void **state)
{
	three_messages();
	there_move("INBOX", "m1", "Archive");
	there_move("Archive", "m1", "INBOX");
	world_settle();
	expect_both("INBOX", "m1 m2 m3");
	expect_both("Archive", "");
	world_expect_agreed();
}

static void
moved_here_and_back_nothing_is_sent(void **state)
{
	three_messages();
	here_move("INBOX", "m1", "Archive");
	here_move("Archive", "m1", "INBOX");
	world_settle();
	expect_both("INBOX", "m1 m2 m3");
	assert_int_equal(world.server->counts.changes, 0);
	world_expect_agreed();
}

static void
written_here_and_moved_before_it_was_sent_it_goes_to_the_target(void **state)
{
	three_messages();
	here_add("INBOX", "m4");
	here_move("INBOX", "m4", "Archive");
	here_add("INBOX", "m5");
	here_expunge("INBOX", "m5");
	world_settle();
	expect_both("INBOX", "m1 m2 m3");
	expect_both("Archive", "m4");
	assert_int_equal(world_sent("m4"), 1);
	assert_int_equal(world_sent("m5"), 0);
	world_expect_agreed();
}

static void
a_message_moved_after_it_was_sent_is_moved_there(void **state)
{
	three_messages();
	here_add("INBOX", "m4");
	world_settle();
	here_move("INBOX", "m4", "Archive");
	world_settle();
	expect_both("Archive", "m4");
	assert_int_equal(world_sent("m4"), 1);
	there_move("Archive", "m4", "INBOX");
	world_settle();
	world_expect_equal();
}

static void
copied_here_and_moved_there_it_is_there_twice(void **state)
{
	three_messages();
	here_copy("INBOX", "m1", "Archive");
	there_move("INBOX", "m1", "Archive");
	assert_true(world_try(WORLD_PASS_LOCAL_ONLY)); /* it looks at Archive only */
	world_settle();
	expect_both("INBOX", "m2 m3");
	expect_both("Archive", "m1 m1");
	world_expect_agreed();
}

static void
moved_on_both_sides_a_pass_that_sees_half_of_it_sends_nothing(void **state)
{
	three_messages();
	there_create("Third");
	world_settle();
	there_move("INBOX", "m1", "Third");
	here_move("INBOX", "m1", "Archive");
	assert_true(world_try(WORLD_PASS_LOCAL_ONLY)); /* it does not look at Third */
	world_settle();
	expect_both("Third", "m1");
	expect_both("Archive", "");
	assert_int_equal(world_sent("m1"), 0);
	world_expect_agreed();
}

static void
moved_there_into_a_mailbox_that_was_removed_here_it_is_moved_once(void **state)
{
	three_messages();
	there_create("Third");
	world_settle();
	here_remove("Third");
	there_move("INBOX", "m1", "Third");
	here_move("INBOX", "m1", "Archive");
	world_settle();
	expect_both("Third", "m1");
	expect_both("Archive", "");
	assert_int_equal(world_sent("m1"), 0);
	world_expect_agreed();
}

/* What it may be a copy of is in two mailboxes, of which one was left alone: they are looked at together, and not by turns for ever. */
static void
a_copy_of_what_is_in_two_other_mailboxes_comes_soon(void **state)
{
	three_messages();
	there_create("Third");
	there_copy("INBOX", "m1", "Third");
	world_settle();
	there_copy("INBOX", "m1", "Archive");
	there_add("Third", "t1");
	world_settle();
	expect_both("Archive", "m1");
	expect_both("Third", "m1 t1");
	world_expect_agreed();
}

static void
moved_there_before_its_upload_was_told_it_is_not_taken_for_a_copy(void **state)
{
	three_messages();
	here_add("INBOX", "n1");
	world_trouble("identify", MODEL_STOP_BEFORE, 0);
	assert_false(world_try(WORLD_PASS_ALL));
	assert_true(world.remote->fired);
	there_move("INBOX", "n1", "Archive");
	here_copy("INBOX", "n1", "Archive");
	assert_true(world_try(WORLD_PASS_LOCAL_ONLY));
	world_settle();
	expect_both("INBOX", "m1 m2 m3");
	expect_both("Archive", "n1 n1");
	world_expect_agreed();
}

/* Its flags are ours, and what it is copied from has none. */
static void
sent_again_as_a_copy_of_another_it_has_its_own_flags(void **state)
{
	three_messages();
	here_copy("INBOX", "m1", "INBOX");
	world_settle();
	here_flag("INBOX", "m1", "+seen+flagged");
	world_settle();
	here_move("INBOX", "m1", "Archive");
	world_trouble("move", MODEL_REFUSED, 0);
	if (world.options.server.without_move) {
		world_trouble("copy", MODEL_REFUSED, 0);
	}
	world_pass();
	there_expunge("INBOX", "m1");
	world_settle();
	world_advance_s(7 * 3600);
	world_settle();
	world_advance_s(7 * 3600);
	world_settle();
	world_expect_agreed();
}

/* --- replacement --- */

static void
a_replaced_draft_is_one_message(void **state)
{
	three_messages();
	here_add("INBOX", "draft1+draft+k1");
	world_settle();
	here_replace("INBOX", "draft1", "draft2");
	world_settle();
	expect_here("INBOX", "m1 m2 m3 draft2+draft+k1");
	if (world_is(BARE)) {
		there_expunge_deleted("INBOX");
		world_settle();
	}
	expect_both("INBOX", "m1 m2 m3 draft2+draft+k1");
	world_expect_agreed();
}

static void
a_replaced_draft_stays_there_until_the_new_one_is_taken(void **state)
{
	three_messages();
	here_add("INBOX", "draft1");
	world_settle();
	here_replace("INBOX", "draft1", "draft2");
	world_trouble("append", MODEL_REFUSED, 0);
	world_pass();
	assert_int_equal(world.result.failed, 1);
	expect_here("INBOX", "m1 m2 m3 draft2");
	expect_there("INBOX", "m1 m2 m3 draft1");
	world_pass();
	expect_there("INBOX", "m1 m2 m3 draft1");
	world_advance_s(61);
	world_settle();
	if (world_is(BARE)) {
		there_expunge_deleted("INBOX");
		world_settle();
	}
	expect_both("INBOX", "m1 m2 m3 draft2");
	world_expect_agreed();
}

static void
a_draft_replaced_twice_leaves_one(void **state)
{
	three_messages();
	here_add("INBOX", "draft1");
	world_settle();
	here_replace("INBOX", "draft1", "draft2");
	here_replace("INBOX", "draft2", "draft3");
	world_settle();
	expect_here("INBOX", "m1 m2 m3 draft3");
	world_settle();
	if (world_is(BARE)) {
		there_expunge_deleted("INBOX");
		world_settle();
	}
	expect_both("INBOX", "m1 m2 m3 draft3");
	assert_int_equal(world_sent("draft2"), 0);
	world_expect_agreed();
}

static void
replaced_here_and_changed_there_both_stay(void **state)
{
	three_messages();
	here_add("INBOX", "draft1");
	world_settle();
	struct number old = here_number("INBOX", "draft1");

	here_replace("INBOX", "draft1", "draft2");
	there_flag("INBOX", "draft1", "+answered");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 draft1+answered draft2");
	assert_int_equal(here_number("INBOX", "draft1").value, old.value);
	world_expect_agreed();
}

static void
replaced_here_and_only_read_there_one_stays(void **state)
{
	three_messages();
	here_add("INBOX", "draft1");
	world_settle();
	here_replace("INBOX", "draft1", "draft2");
	there_flag("INBOX", "draft1", "+seen");
	world_settle();
	if (world_is(BARE)) {
		there_expunge_deleted("INBOX");
		world_settle();
	}
	expect_both("INBOX", "m1 m2 m3 draft2");
	world_expect_agreed();
}

static void
take_out_of_the_inbox(void *context, const char *call)
{
	(void)context;
	if (strcmp(call, "scan") == 0) {
		there_expunge("INBOX", "m1");
		here_flag("INBOX", "m1", "+k1");
		world.remote->meanwhile = NULL;
	}
}

/* The mailbox it leaves was unchanged when the account was checked, and is not looked at in that pass. */
static void
a_move_there_that_is_checked_in_the_midst_of_it_is_a_move(void **state)
{
	three_messages();
	struct number number = here_number("INBOX", "m1");

	there_copy("INBOX", "m1", "Archive");
	world.remote->meanwhile = take_out_of_the_inbox;
	world_settle();
	assert_null(world.remote->meanwhile);
	world_settle();
	expect_both("INBOX", "m2 m3");
	expect_both("Archive", "m1+k1");
	assert_int_equal(here_number("Archive", "m1").value, number.value);
	world_expect_agreed();
}

static void
replaced_here_and_moved_there_both_stay(void **state)
{
	three_messages();
	here_add("INBOX", "draft1");
	world_settle();
	here_replace("INBOX", "draft1", "draft2");
	there_move("INBOX", "draft1", "Archive");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 draft2");
	expect_both("Archive", "draft1");
	world_expect_agreed();
}

static void
replaced_here_and_expunged_there_the_new_one_stays(void **state)
{
	three_messages();
	here_add("INBOX", "draft1");
	world_settle();
	here_replace("INBOX", "draft1", "draft2");
	there_expunge("INBOX", "draft1");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 draft2");
	world_expect_agreed();
}

int
main(void)
{
	static const struct story stories[] = {
		STORY(a_move_here_is_a_move_there_without_a_body, ON_ALL),
		STORY(a_move_there_keeps_its_number_here, ON_ALL),
		STORY(a_move_there_that_is_seen_in_two_passes_keeps_its_number, ON_GUIDS),
		STORY(moved_here_and_flagged_there_it_has_both, ON_ALL),
		STORY(moved_there_and_flagged_here_it_has_both, ON_ALL),
		STORY(moved_on_both_sides_the_servers_target_wins, ON_ALL),
		STORY(copied_here_and_expunged_there_the_copy_stays, ON_ALL),
		STORY(a_copy_here_is_a_copy_there_without_a_body, ON_ALL),
		STORY(a_copy_there_comes_here_without_a_body, ON_GUIDS),
		STORY(moved_here_and_expunged_there_it_lives_in_the_target, ON_ALL),
		STORY(expunged_here_and_moved_there_it_lives_in_the_target, ON_ALL),
		STORY(moved_there_and_back_it_is_where_it_was, ON_ALL),
		STORY(moved_here_and_back_nothing_is_sent, ON_ALL),
		STORY(written_here_and_moved_before_it_was_sent_it_goes_to_the_target, ON_ALL),
		STORY(a_message_moved_after_it_was_sent_is_moved_there, ON_ALL),
		STORY(copied_here_and_moved_there_it_is_there_twice, ON_GUIDS),
		STORY(moved_on_both_sides_a_pass_that_sees_half_of_it_sends_nothing, ON_ALL),
		STORY(moved_there_into_a_mailbox_that_was_removed_here_it_is_moved_once, ON_ALL),
		STORY(a_copy_of_what_is_in_two_other_mailboxes_comes_soon, ON_ALL),
		STORY(moved_there_before_its_upload_was_told_it_is_not_taken_for_a_copy, ON_UIDPLUS),
		STORY(sent_again_as_a_copy_of_another_it_has_its_own_flags, ON_UIDPLUS),
		STORY(a_replaced_draft_is_one_message, ON_ALL),
		STORY(a_replaced_draft_stays_there_until_the_new_one_is_taken, ON_ALL),
		STORY(a_draft_replaced_twice_leaves_one, ON_ALL),
		STORY(replaced_here_and_changed_there_both_stay, ON_ALL),
		STORY(replaced_here_and_only_read_there_one_stays, ON_ALL),
		STORY(a_move_there_that_is_checked_in_the_midst_of_it_is_a_move, ON_GUIDS),
		STORY(replaced_here_and_moved_there_both_stay, ON_ALL),
		STORY(replaced_here_and_expunged_there_the_new_one_stays, ON_ALL),
	};

	return stories_tell("stories of moves", stories, ARRAY_LENGTH(stories));
}
