/* Messages that come, change, move and go. The numbers are those of the list of scenarios in docs/SYNC.md's words: one sentence each. */
#include "tests/sim/stories.h"

/* --- what comes --- */

static void
what_comes_there_comes_here(void **state)
{
	three_messages();
	there_add("INBOX", "m4+seen");
	world_pass();
	expect_both("INBOX", "m1 m2 m3 m4+seen");
	world_expect_agreed();
	assert_true(here_has_body("INBOX", "m4"));
}

static void
what_is_written_here_goes_there_once(void **state)
{
	three_messages();
	here_add("INBOX", "m4+draft");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 m4+draft");
	world_expect_agreed();
	assert_int_equal(world_sent("m4"), 1);
}

static void
a_pass_of_local_changes_sends_them_without_a_listing(void **state)
{
	three_messages();
	uint64_t lists = world.server->counts.lists;

	here_add("INBOX", "m4");
	assert_true(world_try(WORLD_PASS_LOCAL_ONLY));
	expect_there("INBOX", "m1 m2 m3 m4");
	assert_int_equal(world.server->counts.lists, lists);
	world_settle();
	world_expect_agreed();
	assert_int_equal(world_sent("m4"), 1);
}

static void
two_that_come_at_once_on_both_sides_are_two(void **state)
{
	three_messages();
	here_add("INBOX", "x");
	there_add("INBOX", "y");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 x y");
	world_expect_agreed();
	assert_int_equal(world_sent("x"), 1);
}

static void
the_same_message_on_both_sides_is_one_with_the_flags_of_both(void **state)
{
	three_messages();
	here_add("INBOX", "x+seen");
	there_add("INBOX", "x+flagged");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 x+seen+flagged");
	world_expect_agreed();
	assert_int_equal(world_sent("x"), 0);
}

static void
with_bodies_the_same_message_is_known_whatever_its_date(void **state)
{
	three_messages();
	world.options.bodies_with_scan = true;
	here_add("INBOX", "x");
	world_advance_s(100);
	there_add("INBOX", "x");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 x");
	assert_int_equal(world_sent("x"), 0);
}

static void
two_here_and_one_there_become_two_on_both_sides(void **state)
{
	three_messages();
	here_add("INBOX", "c");
	here_add("INBOX", "c");
	there_add("INBOX", "c");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 c c");
	world_expect_agreed();
}

static void
one_here_and_two_there_become_two_on_both_sides(void **state)
{
	three_messages();
	here_add("INBOX", "c");
	there_add("INBOX", "c");
	there_add("INBOX", "c");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 c c");
	world_expect_agreed();
	assert_int_equal(world_sent("c"), 0);
}

static void
messages_that_share_their_header_are_kept_apart(void **state)
{
	three_messages();
	there_add("INBOX", "twin1");
	there_add("INBOX", "twin2");
	here_add("INBOX", "twin3");
	there_add("INBOX", "bare1");
	there_add("INBOX", "bare2");
	here_add("INBOX", "bare3");
	world.options.bodies_with_scan = true;
	world_settle();
	expect_both("INBOX", "m1 m2 m3 twin1 twin2 twin3 bare1 bare2 bare3");
	world_expect_agreed();
}

static void
mail_that_comes_while_a_pass_runs_is_taken_by_this_one_or_the_next(void **state)
{
	three_messages();
	here_add("INBOX", "m4");
	world_try(WORLD_PASS_ALL);
	there_add("INBOX", "m5");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 m4 m5");
	world_expect_agreed();
}

/* --- flags --- */

static void
flags_of_either_side_reach_the_other(void **state)
{
	three_messages();
	here_flag("INBOX", "m1", "+seen");
	there_flag("INBOX", "m2", "+answered");
	world_settle();
	expect_both("INBOX", "m1+seen m2+answered m3");
	world_expect_agreed();
}

static void
different_flags_of_one_message_are_united(void **state)
{
	three_messages();
	here_flag("INBOX", "m1", "+seen");
	there_flag("INBOX", "m1", "+flagged");
	world_settle();
	expect_both("INBOX", "m1+seen+flagged m2 m3");
	world_expect_agreed();
}

static void
a_flag_set_and_taken_back_here_does_not_undo_the_other_side(void **state)
{
	three_messages();
	here_flag("INBOX", "m1", "+seen");
	here_flag("INBOX", "m1", "-seen");
	there_flag("INBOX", "m1", "+seen");
	world_settle();
	expect_both("INBOX", "m1+seen m2 m3");
	world_expect_agreed();
}

static void
a_flag_taken_away_on_both_sides_is_gone(void **state)
{
	three_messages();
	there_flag("INBOX", "m1", "+seen+flagged");
	world_settle();
	here_flag("INBOX", "m1", "-seen");
	there_flag("INBOX", "m1", "-seen");
	world_settle();
	expect_both("INBOX", "m1+flagged m2 m3");
	world_expect_agreed();
}

static void
a_flag_set_here_and_another_taken_away_there_both_count(void **state)
{
	three_messages();
	there_flag("INBOX", "m1", "+k2");
	world_settle();
	here_flag("INBOX", "m1", "+k1");
	there_flag("INBOX", "m1", "-k2");
	world_settle();
	expect_both("INBOX", "m1+k1 m2 m3");
	world_expect_agreed();
}

static void
first_contact_unites_flags_but_deleted_needs_both(void **state)
{
	three_messages();
	there_flag("INBOX", "m1", "+seen+k1");
	there_flag("INBOX", "m2", "+deleted");
	here_add("INBOX", "n1+seen+deleted");
	there_add("INBOX", "n1+flagged");
	here_add("INBOX", "n2+deleted");
	there_add("INBOX", "n2+deleted");
	world_settle();
	expect_both("INBOX", "m1+seen+k1 m2+deleted m3 n1+seen+flagged n2+deleted");
	world_expect_agreed();
}

static void
keywords_that_the_server_refuses_stay_here(void **state)
{
	three_messages();
	world.server->options.without_keywords = world.options.server.without_keywords = true;
	there_flag("INBOX", "m2", "+seen"); /* so that it is looked at */
	world_settle();
	here_flag("INBOX", "m1", "+k1+seen");
	here_add("INBOX", "m4+k2");
	world_settle();
	expect_here("INBOX", "m1+seen+k1 m2+seen m3 m4+k2");
	expect_there("INBOX", "m1+seen m2+seen m3 m4");
	there_flag("INBOX", "m1", "+flagged");
	world_settle();
	expect_here("INBOX", "m1+seen+flagged+k1 m2+seen m3 m4+k2");
	world_expect_agreed();
}

static void
deleted_is_only_a_flag(void **state)
{
	three_messages();
	here_flag("INBOX", "m1", "+deleted");
	there_flag("INBOX", "m2", "+deleted");
	there_expunge_deleted("INBOX");
	world_settle();
	expect_both("INBOX", "m1+deleted m3");
	world_expect_agreed();
}

static void
set_flags_there(void *context, const char *call)
{
	(void)context;
	if (strcmp(call, "store") == 0) {
		here_flag("INBOX", "m1", "+flagged");
		world.remote->meanwhile = NULL;
	}
}

static void
a_flag_set_here_while_the_pass_runs_is_not_overwritten(void **state)
{
	three_messages();
	here_flag("INBOX", "m2", "+seen");
	there_flag("INBOX", "m1", "+seen");
	world.remote->meanwhile = set_flags_there;
	world_settle();
	assert_null(world.remote->meanwhile);
	world_settle();
	expect_both("INBOX", "m1+seen+flagged m2+seen m3");
	world_expect_agreed();
}

static void
flag_it_there(void *context, const char *call)
{
	(void)context;
	if (strcmp(call, "store") == 0) {
		there_flag("INBOX", "m1", "+flagged+k1-answered");
		world.remote->meanwhile = NULL;
	}
}

static void
a_flag_set_there_while_another_is_sent_comes_here(void **state)
{
	there_add("INBOX", "m1+answered");
	world_settle();
	here_flag("INBOX", "m1", "+seen");
	world.remote->meanwhile = flag_it_there;
	world_settle();
	assert_null(world.remote->meanwhile);
	world_settle();
	expect_both("INBOX", "m1+seen+flagged+k1");
	world_expect_agreed();
}

static void
move_it_there(void *context, const char *call)
{
	(void)context;
	if (strcmp(call, "store") == 0) {
		there_move("INBOX", "m1", "Work");
		world.remote->meanwhile = NULL;
	}
}

static void
a_flag_follows_what_is_moved_there_while_it_is_sent(void **state)
{
	there_create("Work");
	three_messages();
	here_flag("INBOX", "m1", "+seen+k1");
	here_flag("INBOX", "m2", "+seen");
	world.remote->meanwhile = move_it_there;
	world_settle();
	assert_null(world.remote->meanwhile);
	world_settle();
	expect_both("INBOX", "m2+seen m3");
	expect_both("Work", "m1+seen+k1");
	world_expect_agreed();
}

/* --- what takes long --- */

static void
count_commit(void *context)
{
	unsigned *commits = context;

	(*commits)++;
}

/* Nobody on the mount waits for a transaction of many messages: it is cut where it has taken long, and all of it comes through. */
static void
a_pass_gives_way_between_messages(void **state)
{
	unsigned commits = 0;
	char name[16];

	for (int i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		there_add("INBOX", name);
	}
	world_settle();
	for (int i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		if (i % 2 == 0) {
			there_flag("INBOX", name, "+seen");
		} else {
			here_flag("INBOX", name, "+flagged");
		}
	}
	store_set_listener(world.store, count_commit, &commits);
	world.slowness_ms = 10; /* after five looks at the clock 50 ms are over */
	world_pass();
	world.slowness_ms = 0;
	store_set_listener(world.store, NULL, NULL);
	assert_true(commits >= 60 / 6);
	world_settle();
	for (int i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		assert_int_equal(there_message("INBOX", name)->flags.bits, i % 2 == 0 ? FLAG_SEEN : FLAG_FLAGGED);
	}
	world_expect_agreed();
}

/* --- what goes --- */

static void
what_is_expunged_on_either_side_is_gone_from_both(void **state)
{
	three_messages();
	here_expunge("INBOX", "m1");
	there_expunge("INBOX", "m2");
	world_settle();
	expect_here("INBOX", "m3");
	if (world_is(BARE)) {
		expect_there("INBOX", "m1+deleted m3");
		there_expunge_deleted("INBOX");
		world_settle();
	}
	expect_both("INBOX", "m3");
	world_expect_agreed();
}

static void
an_expunge_beats_a_flag(void **state)
{
	three_messages();
	here_expunge("INBOX", "m1");
	there_flag("INBOX", "m1", "+flagged");
	there_expunge("INBOX", "m2");
	here_flag("INBOX", "m2", "+flagged");
	world_settle();
	expect_here("INBOX", "m3");
	world_expect_agreed();
	if (!world_is(BARE)) {
		expect_there("INBOX", "m3");
	}
}

static void
expunged_on_both_sides_is_gone_without_an_error(void **state)
{
	three_messages();
	here_expunge("INBOX", "m1");
	there_expunge("INBOX", "m1");
	world_settle();
	assert_int_equal(world.result.failed, 0);
	expect_both("INBOX", "m2 m3");
	world_expect_agreed();
}

static void
expunged_and_written_anew_it_is_there_once(void **state)
{
	three_messages();
	here_expunge("INBOX", "m1");
	here_add("INBOX", "m1");
	world_settle();
	expect_here("INBOX", "m1 m2 m3");
	if (world_is(BARE)) {
		there_expunge_deleted("INBOX");
		world_settle();
	}
	expect_both("INBOX", "m1 m2 m3");
	world_expect_agreed();
}

static void
marked_without_uidplus_it_is_not_sent_again(void **state)
{
	three_messages();
	here_expunge("INBOX", "m1");
	world_settle();
	expect_there("INBOX", "m1+deleted m2 m3");
	world_expect_agreed();
	there_expunge_deleted("INBOX");
	world_settle();
	world_expect_agreed();
	expect_both("INBOX", "m2 m3");
}

/* --- many --- */

static void
many_flags_here_against_many_expunges_there(void **state)
{
	char token[20];

	world.settings.hold_off = true;
	for (int i = 0; i < 200; i++) {
		(void)snprintf(token, sizeof token, "m%d", i);
		there_add("INBOX", token);
	}
	world_settle();
	for (int i = 0; i < 200; i++) {
		(void)snprintf(token, sizeof token, "m%d", i);
		here_flag("INBOX", token, i % 3 == 0 ? "+seen" : "+flagged+k1");
		if (i % 2 == 0) {
			there_expunge("INBOX", token);
		}
	}
	world_settle();
	world_expect_agreed();
	assert_int_equal(there_mailbox("INBOX")->count, 100);
}

/* --- directions --- */

static void
pull_changes_nothing_there(void **state)
{
	three_messages();
	world.settings.direction = SYNC_PULL;
	here_add("INBOX", "m4");
	here_flag("INBOX", "m1", "+seen");
	here_expunge("INBOX", "m2");
	there_add("INBOX", "m5");
	there_flag("INBOX", "m3", "+flagged");
	world_settle();
	expect_there("INBOX", "m1 m2 m3+flagged m5");
	expect_here("INBOX", "m1+seen m3+flagged m4 m5");
	assert_int_equal(world.server->counts.changes, 0);
}

static void
push_changes_nothing_here(void **state)
{
	three_messages();
	world.settings.direction = SYNC_PUSH;
	here_add("INBOX", "m4");
	here_flag("INBOX", "m1", "+seen");
	there_add("INBOX", "m5");
	there_flag("INBOX", "m3", "+flagged");
	there_expunge("INBOX", "m2");
	world_settle();
	expect_here("INBOX", "m1+seen m2 m3 m4");
	world_settle();
	expect_here("INBOX", "m1+seen m2 m3 m4");
}

static void
a_dry_run_changes_nothing_on_either_side(void **state)
{
	three_messages();
	here_add("INBOX", "m4");
	here_flag("INBOX", "m1", "+seen");
	here_move("INBOX", "m2", "Archive");
	here_create("New");
	there_add("INBOX", "m5");
	there_flag("INBOX", "m3", "+flagged");
	there_create("Other");
	uint64_t changes = world.server->counts.changes;

	assert_true(world_try(WORLD_PASS_DRY));
	assert_int_equal(world.server->counts.changes, changes);
	expect_here("INBOX", "m1+seen m3 m4");
	expect_here("Archive", "m2");
	expect_here("Other", NULL);
	expect_there("INBOX", "m1 m2 m3+flagged m5");
	expect_there("New", NULL);
	world_settle();
	expect_here("INBOX", "m1+seen m3+flagged m4 m5");
	expect_both("Archive", "m2");
	world_expect_agreed();
}

static void
a_server_that_keeps_equal_messages_once_is_not_sent_them_again(void **state)
{
	three_messages();
	world.server->options.folds = true;
	world_advance_s(100);
	struct store_txn *txn;
	struct number second = here_add("INBOX", "m1");

	/* Another date, so that it is an upload and not a copy. */
	assert_true(store_write_begin(world.store, STORE_MOUNT, &txn, &world.err));
	assert_true(message_set_internaldate(txn, second, 1, &world.err));
	assert_true(store_write_commit(&txn, STORE_LAZY, &world.err));
	world_settle();
	expect_both("INBOX", "m1 m2 m3");
	assert_int_equal(world_sent("m1"), 1);
	world_expect_agreed();
}

int
main(void)
{
	static const struct story stories[] = {
		STORY(what_comes_there_comes_here, ON_ALL),
		STORY(what_is_written_here_goes_there_once, ON_ALL),
		STORY(a_pass_of_local_changes_sends_them_without_a_listing, ON_ALL),
		STORY(two_that_come_at_once_on_both_sides_are_two, ON_ALL),
		STORY(the_same_message_on_both_sides_is_one_with_the_flags_of_both, ON_ALL),
		STORY(with_bodies_the_same_message_is_known_whatever_its_date, ON_ALL),
		STORY(two_here_and_one_there_become_two_on_both_sides, ON_ALL),
		STORY(one_here_and_two_there_become_two_on_both_sides, ON_ALL),
		STORY(messages_that_share_their_header_are_kept_apart, ON_ALL),
		STORY(mail_that_comes_while_a_pass_runs_is_taken_by_this_one_or_the_next, ON_ALL),
		STORY(flags_of_either_side_reach_the_other, ON_ALL),
		STORY(different_flags_of_one_message_are_united, ON_ALL),
		STORY(a_flag_set_and_taken_back_here_does_not_undo_the_other_side, ON_ALL),
		STORY(a_flag_taken_away_on_both_sides_is_gone, ON_ALL),
		STORY(a_flag_set_here_and_another_taken_away_there_both_count, ON_ALL),
		STORY(first_contact_unites_flags_but_deleted_needs_both, ON_ALL),
		STORY(keywords_that_the_server_refuses_stay_here, ON_ALL),
		STORY(deleted_is_only_a_flag, ON_ALL),
		STORY(a_flag_set_here_while_the_pass_runs_is_not_overwritten, ON_ALL),
		STORY(a_flag_set_there_while_another_is_sent_comes_here, ON_ALL),
		STORY(a_pass_gives_way_between_messages, ON_ALL),
		STORY(a_flag_follows_what_is_moved_there_while_it_is_sent, ON_GUIDS),
		STORY(a_flag_set_there_while_another_is_sent_comes_here, ON_ALL),
		STORY(a_flag_follows_what_is_moved_there_while_it_is_sent, ON_GUIDS),
		STORY(what_is_expunged_on_either_side_is_gone_from_both, ON_ALL),
		STORY(an_expunge_beats_a_flag, ON_ALL),
		STORY(expunged_on_both_sides_is_gone_without_an_error, ON_ALL),
		STORY(expunged_and_written_anew_it_is_there_once, ON_ALL),
		STORY(marked_without_uidplus_it_is_not_sent_again, ON(BARE)),
		STORY(a_server_that_keeps_equal_messages_once_is_not_sent_them_again, ON_UIDPLUS),
		STORY(many_flags_here_against_many_expunges_there, ON_ALL),
		STORY(pull_changes_nothing_there, ON_ALL),
		STORY(push_changes_nothing_here, ON_ALL),
		STORY(a_dry_run_changes_nothing_on_either_side, ON_ALL),
	};

	return stories_tell("stories of messages", stories, ARRAY_LENGTH(stories));
}
