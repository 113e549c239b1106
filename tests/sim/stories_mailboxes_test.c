/* Mailboxes that are made, renamed, removed, and found again. */
#include "tests/sim/stories.h"

/* INBOX with m1, X with x1 and x2, Y empty. */
static void
a_small_account(void)
{
	there_create("X");
	there_create("Y");
	there_add("INBOX", "m1");
	there_add("X", "x1");
	there_add("X", "x2+seen");
	world_settle();
	world_expect_equal();
}

static void
fill(const char *mailbox, const char *prefix, int count)
{
	for (int i = 1; i <= count; i++) {
		char token[40];

		(void)snprintf(token, sizeof token, "%s%d", prefix, i);
		there_add(mailbox, token);
	}
}

/* Without UIDPLUS what was removed here stays there, marked, until somebody expunges it. */
static void
settle_marked(const char *mailbox)
{
	if (world.options.server.without_uidplus) {
		there_expunge_deleted(mailbox);
		world_settle();
	}
}

/* --- made --- */

static void
made_on_either_side_it_is_on_both(void **state)
{
	a_small_account();
	here_create("Here");
	here_create("Here/Below/Deep");
	there_create("There/Below");
	world_settle();
	expect_both("Here", "");
	expect_both("Here/Below/Deep", "");
	expect_both("There/Below", "");
	world_expect_agreed();
}

static void
what_is_put_into_a_mailbox_just_made_goes_with_it(void **state)
{
	a_small_account();
	here_create("New");
	here_add("New", "n1");
	here_move("X", "x1", "New");
	there_create("Other");
	there_add("Other", "o1");
	world_settle();
	expect_both("New", "n1 x1");
	expect_both("Other", "o1");
	assert_int_equal(world_sent("n1"), 1);
	assert_int_equal(world_sent("x1"), 0);
	world_settle();
	settle_marked("X");
	world_expect_agreed();
}

static void
made_on_both_sides_it_is_one_with_the_mail_of_both(void **state)
{
	a_small_account();
	here_create("Sent");
	here_add("Sent", "s1");
	here_add("Sent", "s2+seen");
	there_create("Sent");
	there_add("Sent", "s2+flagged");
	there_add("Sent", "s3");
	world_settle();
	expect_both("Sent", "s1 s2+seen+flagged s3");
	assert_int_equal(world_sent("s2"), 0);
	world_expect_agreed();
}

static void
a_mailbox_the_server_refuses_is_told_and_tried_again(void **state)
{
	a_small_account();
	here_create("New");
	here_add("New", "n1");
	here_move("X", "x1", "New");
	world_trouble("create", MODEL_REFUSED, 0);
	world_pass();
	assert_true(world.remote->fired);
	assert_int_not_equal(world.result.failed, 0);
	expect_there("New", NULL);
	expect_there("X", "x1 x2+seen");
	world_advance_s(70);
	world_settle();
	world_advance_s(70);
	world_settle();
	expect_both("New", "n1 x1");
	settle_marked("X");
	world_expect_agreed();
}

static void
remove_new(void *context, const char *call)
{
	(void)context;
	if (strcmp(call, "create") == 0) {
		here_remove("New");
		world.remote->meanwhile = NULL;
	}
}

/* Made and removed before the server had answered: it does not come back. */
static void
removed_while_it_is_made_there_it_is_gone_from_both(void **state)
{
	a_small_account();
	here_create("New");
	world.remote->meanwhile = remove_new;
	world_settle();
	assert_null(world.remote->meanwhile);
	expect_both("New", NULL);
	world_expect_agreed();
}

static void
removed_after_the_answer_was_lost_it_is_gone_from_both(void **state)
{
	static const enum model_fault faults[] = {MODEL_LOST, MODEL_STOP_AFTER};

	a_small_account();
	for (size_t i = 0; i < ARRAY_LENGTH(faults); i++) {
		here_create("New");
		world_trouble("create", faults[i], 0);
		assert_false(world_try(WORLD_PASS_ALL));
		expect_there("New", "");
		here_remove("New");
		world_settle();
		expect_both("New", NULL);
		world_expect_agreed();
	}
}

static void
names_that_are_odd_come_through_unchanged(void **state)
{
	a_small_account();
	there_create("Caf&AOk-");
	there_create("100%");
	there_create("a  b");
	there_create("bad&utf");
	there_create(".hidden");
	there_create("cur");
	there_add("100%", "p1");
	world_settle();
	expect_here("Caf\303\251", "");
	here_create("Gr\303\274n/Blatt");
	here_add("Gr\303\274n/Blatt", "g1");
	world_settle();
	expect_there("Gr&APw-n/Blatt", "g1");
	uint64_t tree = world.server->counts.tree;

	world_expect_rest();
	assert_int_equal(world.server->counts.tree, tree);
}

/* --- renamed --- */

static void
renamed_here_it_is_renamed_there(void **state)
{
	a_small_account();
	struct number number = here_number("X", "x1");

	here_rename("X", "Z");
	world_settle();
	expect_both("Z", "x1 x2+seen");
	expect_both("X", NULL);
	assert_int_equal(here_number("Z", "x1").value, number.value);
	assert_int_equal(world.server->counts.appends + world.server->counts.copies, 0);
	world_expect_agreed();
}

static void
renamed_there_it_is_renamed_here(void **state)
{
	a_small_account();
	struct number number = here_number("X", "x1");

	there_rename("X", "Z");
	world_settle();
	expect_both("Z", "x1 x2+seen");
	expect_both("X", NULL);
	assert_int_equal(here_number("Z", "x1").value, number.value);
	world_expect_agreed();
}

static void
a_rename_takes_all_below_along(void **state)
{
	a_small_account();
	there_create("X/one");
	there_create("X/one/two");
	there_add("X/one/two", "d1");
	world_settle();
	here_rename("X", "Z");
	world_settle();
	expect_both("Z/one/two", "d1");
	expect_both("X/one", NULL);
	world_expect_agreed();
	if (!world_is(DOVECOT) && !world_is(CYRUS)) {
		return;
	}
	there_rename("Z", "W");
	world_settle();
	expect_both("W/one/two", "d1");
	expect_both("W", "x1 x2+seen");
	world_expect_agreed();
}

static void
renamed_here_while_mail_comes_there_it_has_the_mail(void **state)
{
	a_small_account();
	here_rename("X", "Z");
	there_add("X", "x3");
	world_settle();
	expect_both("Z", "x1 x2+seen x3");
	expect_both("X", NULL);
	world_expect_agreed();
}

static void
renamed_there_while_mail_is_written_here_it_has_the_mail(void **state)
{
	a_small_account();
	there_rename("X", "Z");
	here_add("X", "x3");
	here_flag("X", "x1", "+flagged");
	world_settle();
	expect_both("Z", "x1+flagged x2+seen x3");
	expect_both("X", NULL);
	world_expect_agreed();
}

static void
renamed_on_both_sides_the_servers_name_wins(void **state)
{
	a_small_account();
	here_rename("X", "Mine");
	there_rename("X", "Theirs");
	world_settle();
	expect_both("Theirs", "x1 x2+seen");
	expect_both("Mine", NULL);
	expect_both("X", NULL);
	world_expect_agreed();
}

static void
the_inbox_renamed_there_gives_its_mail_away_without_a_hold(void **state)
{
	a_small_account();
	fill("INBOX", "i", 15);
	world_settle();
	world.options.bodies_with_scan = true;
	there_rename("INBOX", "Old");
	world_settle();
	expect_held(0, 0);
	expect_both("INBOX", "");
	assert_int_equal(there_mailbox("Old")->count, 16);
	world_expect_agreed();
}

/* --- removed --- */

static void
removed_here_an_empty_mailbox_is_removed_there(void **state)
{
	a_small_account();
	here_remove("Y");
	world_settle();
	expect_both("Y", NULL);
	world_expect_agreed();
}

static void
removed_there_an_empty_mailbox_is_removed_here(void **state)
{
	a_small_account();
	there_remove("Y");
	world_settle();
	expect_both("Y", NULL);
	world_expect_agreed();
}

static void
removed_here_with_a_few_messages_it_goes_there(void **state)
{
	a_small_account();
	here_remove("X");
	world_settle();
	world_settle();
	if (world.options.server.without_uidplus) {
		world_settle();
	}
	expect_both("X", NULL);
	world_expect_agreed();
}

static void
removed_here_with_many_messages_it_is_held(void **state)
{
	a_small_account();
	fill("X", "more", 20);
	world_settle();
	here_remove("X");
	world_settle();
	expect_held(1, 22);
	assert_int_equal(there_mailbox("X")->count, 22);
	world_answer_all(true);
	world_settle();
	world_settle();
	expect_both("X", NULL);
	expect_held(0, 0);
	world_expect_agreed();
}

static void
removed_here_and_reverted_it_is_back(void **state)
{
	a_small_account();
	fill("X", "more", 20);
	world_settle();
	here_remove("X");
	world_settle();
	expect_held(1, 22);
	world_answer_all(false);
	world_settle();
	expect_held(0, 0);
	char *here = world_list_here("X");

	assert_non_null(here);
	expect_there("X", here);
	free(here);
	assert_int_equal(there_mailbox("X")->count, 22);
	assert_int_equal(world.server->counts.appends, 0);
	world_expect_agreed();
}

static void
removed_here_while_mail_comes_there_it_stays_with_the_new_mail(void **state)
{
	a_small_account();
	here_remove("X");
	there_add("X", "x3");
	world_settle();
	world_settle();
	expect_here("X", "x3");
	settle_marked("X");
	expect_both("X", "x3");
	world_expect_agreed();
}

static void
removed_there_while_mail_is_written_here_it_stays_with_the_new_mail(void **state)
{
	a_small_account();
	there_remove("Y");
	here_add("Y", "y1");
	world_settle();
	world_settle();
	expect_both("Y", "y1");
	world_expect_agreed();
}

static void
removed_there_with_messages_it_is_held_until_confirmed(void **state)
{
	a_small_account();
	there_remove("X");
	world_settle();
	expect_held(1, 2);
	expect_here("X", "x1 x2+seen");
	world_settle();
	expect_held(1, 2);
	world_answer_all(true);
	world_settle();
	expect_both("X", NULL);
	world_expect_agreed();
}

static void
removed_there_and_reverted_it_is_sent_again(void **state)
{
	a_small_account();
	there_remove("X");
	world_settle();
	expect_held(1, 2);
	world_answer_all(false);
	world_settle();
	world_settle();
	expect_both("X", "x1 x2+seen");
	assert_int_equal(world_sent("x1"), 1);
	world_expect_agreed();
}

static void
removed_and_made_anew_here_the_new_one_has_the_name(void **state)
{
	a_small_account();
	here_remove("X");
	here_create("X");
	here_add("X", "n1");
	world_settle();
	world_settle();
	expect_here("X", "n1");
	settle_marked("X");
	world_settle();
	expect_both("X", "n1");
	world_expect_agreed();
}

static void
removed_and_made_anew_here_the_old_ones_new_mail_is_kept_beside_it(void **state)
{
	a_small_account();
	here_remove("X");
	here_create("X");
	here_add("X", "n1");
	there_add("X", "x3");
	world_settle();
	world_settle();
	world_settle();
	settle_marked("X");
	settle_marked("X (recovered)");
	expect_both("X", "n1");
	expect_both("X (recovered)", "x3");
	world_expect_agreed();
}

static void
removed_and_made_anew_there_nothing_is_lost(void **state)
{
	a_small_account();
	there_remove("X");
	there_create("X");
	there_add("X", "n1");
	world_settle();
	char *here = world_list_here("X");

	assert_non_null(here);
	assert_non_null(strstr(here, "x1"));
	free(here);
	assert_int_equal(world.server->counts.changes, 0);
	expect_there("X", "n1");
}

static void
removed_and_made_anew_there_while_empty_it_is_taken_as_it_is(void **state)
{
	a_small_account();
	there_remove("Y");
	there_create("Y");
	there_add("Y", "n1");
	world_settle();
	world_settle();
	expect_both("Y", "n1");
	world_expect_agreed();
}

static void
a_parent_removed_here_stays_for_the_child_made_there(void **state)
{
	a_small_account();
	here_remove("Y");
	there_create("Y/child");
	world_settle();
	world_settle();
	expect_both("Y/child", "");
	expect_there("Y", "");
	world_expect_agreed();
}

static void
a_child_made_here_keeps_the_parent_removed_there(void **state)
{
	a_small_account();
	there_remove("Y");
	here_create("Y/child");
	world_settle();
	world_settle();
	expect_both("Y/child", "");
	world_expect_agreed();
}

static void
a_directory_goes_with_its_last_child(void **state)
{
	a_small_account();
	there_create("Dir/child");
	here_create("Other/child");
	world_settle();
	world_expect_agreed();
	there_remove("Dir/child");
	here_remove("Other/child");
	world_settle();
	world_settle();
	expect_both("Dir/child", NULL);
	expect_both("Other/child", NULL);
	world_expect_agreed();
}

static void
subscriptions_go_both_ways(void **state)
{
	a_small_account();
	here_subscribe("X", false);
	there_mailbox("Y")->subscribed = false;
	world_settle();
	assert_false(there_mailbox("X")->subscribed);
	world_expect_agreed();
	here_subscribe("X", true);
	there_mailbox("Y")->subscribed = true;
	here_create("New");
	world_settle();
	assert_true(there_mailbox("New")->subscribed);
	world_expect_agreed();
}

static void
subscribed_there_and_unsubscribed_here_each_change_counts(void **state)
{
	a_small_account();
	there_mailbox("Y")->subscribed = false;
	world_settle();
	here_subscribe("X", false);
	there_mailbox("Y")->subscribed = true;
	world_settle();
	assert_false(there_mailbox("X")->subscribed);
	world_expect_agreed();
}

/* --- emptied by moves --- */

static void
rm_r_of_a_mailbox_moves_its_mail_to_the_trash_and_then_goes(void **state)
{
	a_small_account();
	there_create("Trash");
	fill("X", "more", 60);
	world.options.on_demand = true;
	world_settle();
	for (int i = 1; i <= 60; i++) {
		char token[20];

		(void)snprintf(token, sizeof token, "more%d", i);
		here_move("X", token, "Trash");
	}
	here_move("X", "x1", "Trash");
	here_move("X", "x2", "Trash");
	here_remove("X");
	world_settle();
	world_settle();
	expect_held(0, 0);
	expect_both("X", NULL);
	assert_int_equal(there_mailbox("Trash")->count, 62);
	world_expect_agreed();
}

static void
the_inbox_emptied_by_moves_passes_without_a_hold(void **state)
{
	a_small_account();
	fill("INBOX", "i", 30);
	world_settle();
	for (int i = 1; i <= 30; i++) {
		char token[20];

		(void)snprintf(token, sizeof token, "i%d", i);
		here_move("INBOX", token, "Y");
	}
	here_move("INBOX", "m1", "Y");
	world_settle();
	expect_held(0, 0);
	settle_marked("INBOX");
	expect_both("INBOX", "");
	assert_int_equal(there_mailbox("Y")->count, 31);
	world_expect_agreed();
}

static void
the_inbox_emptied_by_moves_there_passes_without_a_hold(void **state)
{
	a_small_account();
	fill("INBOX", "i", 30);
	world_settle();
	for (int i = 1; i <= 30; i++) {
		char token[20];

		(void)snprintf(token, sizeof token, "i%d", i);
		there_move("INBOX", token, "Y");
	}
	there_move("INBOX", "m1", "Y");
	world_settle();
	expect_held(0, 0);
	expect_both("INBOX", "");
	assert_int_equal(there_mailbox("Y")->count, 31);
	world_expect_agreed();
}

/* --- found by what is in them --- */

static void
without_an_id_a_rename_keeps_every_message_and_number(void **state)
{
	a_small_account();
	struct number first = here_number("X", "x1"), second = here_number("X", "x2");
	struct mailbox_id id = here_mailbox("X");
	uint64_t bodies = world.server->counts.bodies;

	there_rename("X", "Moved");
	here_flag("X", "x1", "+flagged");
	world_settle();
	expect_held(0, 0);
	expect_both("X", NULL);
	expect_both("Moved", "x1+flagged x2+seen");
	assert_int_equal(here_mailbox("Moved").value, id.value);
	assert_int_equal(here_number("Moved", "x1").value, first.value);
	assert_int_equal(here_number("Moved", "x2").value, second.value);
	assert_int_equal(world.server->counts.bodies, bodies);
	world_expect_agreed();
}

static void
a_rename_there_takes_all_below_along(void **state)
{
	there_create("A/B/C");
	there_create("A/D");
	there_create("A/B");
	there_add("A/B", "b1");
	there_add("A/B/C", "c1");
	world_settle();
	struct number number = here_number("A/B/C", "c1");

	there_rename("A/B", "E");
	world_settle();
	expect_held(0, 0);
	expect_both("A/B", NULL);
	expect_both("E", "b1");
	expect_both("E/C", "c1");
	assert_int_equal(here_number("E/C", "c1").value, number.value);
	world_expect_agreed();
}

static void
renamed_right_after_it_was_made_it_is_no_new_one(void **state)
{
	here_create("New");
	here_add("New", "n1");
	world_pass();
	there_rename("New", "Newer");
	world_settle();
	expect_held(0, 0);
	expect_both("New", NULL);
	expect_both("Newer", "n1");
	assert_int_equal(world_sent("n1"), 1);
	world_expect_agreed();
}

/* One is gone and one is new with equal counters, and holds something else. */
static void
another_one_in_its_place_is_no_rename(void **state)
{
	a_small_account();
	uint32_t uidvalidity = there_mailbox("X")->uidvalidity;

	there_remove("X");
	there_create("Other");
	there_mailbox("Other")->uidvalidity = uidvalidity;
	world_advance_s(60);
	there_add("Other", "o1");
	there_add("Other", "o2");
	world_settle();
	expect_held(1, 2);
	expect_both("Other", "o1 o2");
	expect_here("X", "x1 x2+seen");
	world_answer_all(false);
	world_settle();
	expect_both("X", "x1 x2+seen");
	expect_both("Other", "o1 o2");
	world_expect_agreed();
}

static void
what_moved_out_of_a_mailbox_that_became_a_mere_name_is_sent(void **state)
{
	a_small_account();
	there_create("X/Child");
	world_settle();
	here_move("X", "x1", "Y");
	here_move("X", "x2", "INBOX");
	there_remove("X");
	world_settle();
	expect_both("Y", "x1");
	expect_both("INBOX", "m1 x2+seen");
	expect_both("X/Child", "");
	world_expect_agreed();
}

static void
removed_before_the_server_took_it_it_leaves_no_failure(void **state)
{
	a_small_account();
	here_create("Refused");
	world_trouble("create", MODEL_REFUSED, 0);
	world_pass();
	assert_true(world.remote->fired);
	here_remove("Refused");
	world_settle();
	expect_both("Refused", NULL);
	world_expect_agreed();
}

/* What moved there into a mailbox that is new, out of one that is gone, in a pass that does not believe that yet. */
static void
moved_into_a_new_mailbox_before_the_old_one_went_it_keeps_its_number(void **state)
{
	a_small_account();
	struct number number = here_number("X", "x1");

	there_create("New");
	there_move("X", "x1", "New");
	there_move("X", "x2", "Y");
	there_remove("X");
	world_settle();
	expect_held(0, 0);
	expect_both("X", NULL);
	expect_both("New", "x1");
	expect_both("Y", "x2+seen");
	assert_int_equal(here_number("New", "x1").value, number.value);
	world_expect_agreed();
}

int
main(void)
{
	static const struct story stories[] = {
		STORY(made_on_either_side_it_is_on_both, ON_ALL),
		STORY(what_is_put_into_a_mailbox_just_made_goes_with_it, ON_ALL),
		STORY(made_on_both_sides_it_is_one_with_the_mail_of_both, ON_ALL),
		STORY(a_mailbox_the_server_refuses_is_told_and_tried_again, ON_ALL),
		STORY(removed_while_it_is_made_there_it_is_gone_from_both, ON_ALL),
		STORY(removed_after_the_answer_was_lost_it_is_gone_from_both, ON_ALL),
		STORY(names_that_are_odd_come_through_unchanged, ON_ALL),
		STORY(renamed_here_it_is_renamed_there, ON_ALL),
		STORY(renamed_there_it_is_renamed_here, ON_ALL),
		STORY(a_rename_takes_all_below_along, ON_ALL),
		STORY(renamed_here_while_mail_comes_there_it_has_the_mail, ON_ALL),
		STORY(renamed_there_while_mail_is_written_here_it_has_the_mail, ON_ALL),
		STORY(renamed_on_both_sides_the_servers_name_wins, ON_ALL),
		STORY(the_inbox_renamed_there_gives_its_mail_away_without_a_hold, ON_ALL),
		STORY(removed_here_an_empty_mailbox_is_removed_there, ON_ALL),
		STORY(removed_there_an_empty_mailbox_is_removed_here, ON_ALL),
		STORY(removed_here_with_a_few_messages_it_goes_there, ON_UIDPLUS),
		STORY(removed_here_with_many_messages_it_is_held, ON_UIDPLUS),
		STORY(removed_here_and_reverted_it_is_back, ON_ALL),
		STORY(removed_here_while_mail_comes_there_it_stays_with_the_new_mail, ON_ALL),
		STORY(removed_there_while_mail_is_written_here_it_stays_with_the_new_mail, ON_ALL),
		STORY(removed_there_with_messages_it_is_held_until_confirmed, ON_ALL),
		STORY(removed_there_and_reverted_it_is_sent_again, ON_ALL),
		STORY(removed_and_made_anew_here_the_new_one_has_the_name, ON_UIDPLUS),
		STORY(removed_and_made_anew_here_the_old_ones_new_mail_is_kept_beside_it, ON_UIDPLUS),
		STORY(removed_and_made_anew_there_nothing_is_lost, ON_ALL),
		STORY(removed_and_made_anew_there_while_empty_it_is_taken_as_it_is, ON_ALL),
		STORY(a_parent_removed_here_stays_for_the_child_made_there, ON_ALL),
		STORY(a_child_made_here_keeps_the_parent_removed_there, ON_ALL),
		STORY(a_directory_goes_with_its_last_child, ON_ALL),
		STORY(subscriptions_go_both_ways, ON_ALL),
		STORY(subscribed_there_and_unsubscribed_here_each_change_counts, ON_ALL),
		STORY(rm_r_of_a_mailbox_moves_its_mail_to_the_trash_and_then_goes, ON_UIDPLUS),
		STORY(the_inbox_emptied_by_moves_passes_without_a_hold, ON_ALL),
		STORY(the_inbox_emptied_by_moves_there_passes_without_a_hold, ON_GUIDS),
		STORY(without_an_id_a_rename_keeps_every_message_and_number, ON_ALL),
		STORY(a_rename_there_takes_all_below_along, ON_ALL),
		STORY(renamed_right_after_it_was_made_it_is_no_new_one, ON_UIDPLUS),
		STORY(another_one_in_its_place_is_no_rename, ON_ALL),
		STORY(what_moved_out_of_a_mailbox_that_became_a_mere_name_is_sent, ON_ALL),
		STORY(removed_before_the_server_took_it_it_leaves_no_failure, ON_ALL),
		STORY(moved_into_a_new_mailbox_before_the_old_one_went_it_keeps_its_number, ON_GUIDS),
	};

	return stories_tell("stories of mailboxes", stories, ARRAY_LENGTH(stories));
}
