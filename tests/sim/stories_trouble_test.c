/* Broken connections, lost answers, processes that end, and servers that refuse. */
#include "engine/store/body.h"
#include "tests/sim/trouble.h"

/* --- uploads --- */

static void
write_three(void)
{
	here_add("INBOX", "n1+seen");
	here_add("INBOX", "n2+flagged+k1");
	here_add("INBOX", "n3");
}

static void
expect_three(void)
{
	expect_both("INBOX", "m1 m2 m3 n1+seen n2+flagged+k1 n3");
	world_expect_agreed();
}

static void
an_upload_leaves_one_copy_whatever_happens(void **state)
{
	with_every_trouble("append", write_three, expect_three);
}

static void
write_twins(void)
{
	here_add("INBOX", "twin1");
	here_add("INBOX", "twin2");
	here_add("INBOX", "bare1");
	here_add("INBOX", "bare2");
}

static void
expect_twins(void)
{
	expect_both("INBOX", "m1 m2 m3 twin1 twin2 bare1 bare2");
	world_expect_agreed();
}

static void
messages_that_look_alike_are_not_mixed_up_by_a_lost_answer(void **state)
{
	with_every_trouble("append", write_twins, expect_twins);
}

static void
a_server_that_keeps_other_octets_is_not_sent_them_again(void **state)
{
	world.options.server.rewrites = true;
	with_every_trouble("append", write_three, expect_three);
}

static void
removed_while_its_upload_was_unknown_it_is_removed_there(void **state)
{
	a_small_account();
	here_add("INBOX", "n1");
	world_trouble("append", MODEL_LOST, 0);
	assert_false(world_try(WORLD_PASS_ALL));
	expect_there("INBOX", "m1 m2 m3 n1");
	here_expunge("INBOX", "n1");
	world_settle();
	expect_here("INBOX", "m1 m2 m3");
	settle_marked("INBOX");
	expect_both("INBOX", "m1 m2 m3");
	world_expect_agreed();
}

static void
moved_while_its_upload_was_unknown_it_is_moved_there(void **state)
{
	a_small_account();
	here_add("INBOX", "n1");
	world_trouble("append", MODEL_LOST, 0);
	assert_false(world_try(WORLD_PASS_ALL));
	here_move("INBOX", "n1", "Archive");
	world_settle();
	expect_here("INBOX", "m1 m2 m3");
	settle_marked("INBOX");
	expect_both("INBOX", "m1 m2 m3");
	expect_both("Archive", "a1 n1");
	assert_int_equal(world_sent("n1"), 1);
	world_expect_agreed();
}

static void
flagged_there_while_its_upload_was_unknown_it_keeps_the_flag(void **state)
{
	a_small_account();
	here_add("INBOX", "n1+seen+draft");
	world_trouble("append", MODEL_LOST, 0);
	assert_false(world_try(WORLD_PASS_ALL));
	there_flag("INBOX", "n1", "+flagged-draft");
	here_flag("INBOX", "n1", "+k1-seen");
	world_settle();
	expect_both("INBOX", "m1 m2 m3 n1+flagged+k1");
	world_expect_agreed();
}

static void
an_upload_that_was_not_taken_is_sent_again_after_ten_seconds(void **state)
{
	a_small_account();
	here_add("INBOX", "n1");
	world_trouble("append", MODEL_DROPPED, 0);
	assert_false(world_try(WORLD_PASS_ALL));
	world_pass();
	assert_true(world.result.again);
	assert_int_equal(world_sent("n1"), 0);
	world_advance_s(5);
	world_pass();
	assert_int_equal(world_sent("n1"), 0);
	world_advance_s(6);
	world_settle();
	expect_both("INBOX", "m1 m2 m3 n1");
	assert_int_equal(world_sent("n1"), 1);
	world_expect_agreed();
}

/* --- moves, copies, flags, expunges --- */

static void
move_three(void)
{
	here_move("INBOX", "m1", "Archive");
	here_move("INBOX", "m2", "Archive");
	here_move("INBOX", "m3", "Archive");
}

static void
expect_moved(void)
{
	expect_here("INBOX", "");
	settle_marked("INBOX");
	expect_both("INBOX", "");
	expect_both("Archive", "a1 m1 m2 m3");
	assert_int_equal(world.server->counts.appends, 0);
	world_expect_agreed();
}

static void
a_move_leaves_one_copy_whatever_happens(void **state)
{
	with_every_trouble("move", move_three, expect_moved);
}

static void
copy_three(void)
{
	here_copy("INBOX", "m1", "Archive");
	here_copy("INBOX", "m1", "Archive");
	here_copy("INBOX", "m2", "Archive");
	here_copy("INBOX", "m3", "INBOX");
}

static void
expect_copied(void)
{
	expect_both("INBOX", "m1 m2 m3 m3");
	expect_both("Archive", "a1 m1 m1 m2");
	world_expect_agreed();
}

static void
a_copy_leaves_as_many_as_were_wanted_whatever_happens(void **state)
{
	with_every_trouble("copy", copy_three, expect_copied);
}

static void
flag_three(void)
{
	here_flag("INBOX", "m1", "+seen");
	here_flag("INBOX", "m2", "+flagged");
	here_flag("INBOX", "m3", "+k1");
	there_flag("INBOX", "m1", "+answered");
}

static void
expect_flagged(void)
{
	expect_both("INBOX", "m1+seen+answered m2+flagged m3+k1");
	world_expect_agreed();
}

static void
flags_arrive_whatever_happens(void **state)
{
	with_every_trouble("store", flag_three, expect_flagged);
}

static void
expunge_two(void)
{
	here_expunge("INBOX", "m1");
	here_expunge("INBOX", "m3");
}

static void
expect_one(void)
{
	expect_here("INBOX", "m2");
	settle_marked("INBOX");
	expect_both("INBOX", "m2");
	world_expect_agreed();
}

static void
an_expunge_takes_exactly_its_messages_whatever_happens(void **state)
{
	with_every_trouble("expunge", expunge_two, expect_one);
}

/* --- mailboxes --- */

static void
make_a_mailbox(void)
{
	here_create("New");
	here_add("New", "n1");
}

static void
expect_the_mailbox(void)
{
	expect_both("New", "n1");
	world_expect_agreed();
}

static void
a_mailbox_is_made_once_whatever_happens(void **state)
{
	with_every_trouble("create", make_a_mailbox, expect_the_mailbox);
}

static void
rename_a_mailbox(void)
{
	here_rename("Archive", "Old");
	there_add("Archive", "a2");
}

static void
expect_the_name(void)
{
	expect_both("Old", "a1 a2");
	expect_both("Archive", NULL);
	world_expect_agreed();
}

static void
a_mailbox_is_renamed_once_whatever_happens(void **state)
{
	with_every_trouble("rename", rename_a_mailbox, expect_the_name);
}

static void
remove_a_mailbox(void)
{
	here_move("Archive", "a1", "INBOX");
	here_remove("Archive");
}

static void
expect_no_mailbox(void)
{
	expect_both("Archive", NULL);
	expect_both("INBOX", "m1 m2 m3 a1");
	world_expect_agreed();
}

static void
a_mailbox_is_removed_whatever_happens_to_its_removal(void **state)
{
	with_every_trouble("remove", remove_a_mailbox, expect_no_mailbox);
}

static void
a_mailbox_is_removed_whatever_happens_to_its_renaming(void **state)
{
	with_every_trouble("rename", remove_a_mailbox, expect_no_mailbox);
}

/* --- reading --- */

static void
change_there(void)
{
	there_add("INBOX", "n1");
	there_flag("INBOX", "m1", "+seen");
	there_expunge("INBOX", "m2");
	there_move("INBOX", "m3", "Archive");
	there_add("Archive", "n2");
	here_flag("INBOX", "m1", "+flagged");
}

static void
expect_changed(void)
{
	expect_both("INBOX", "m1+seen+flagged n1");
	expect_both("Archive", "a1 m3 n2");
	world_expect_agreed();
}

static void
a_listing_that_breaks_off_is_taken_up_again(void **state)
{
	with_every_trouble("list", change_there, expect_changed);
}

static void
a_scan_that_breaks_off_is_taken_up_again(void **state)
{
	with_every_trouble("scan", change_there, expect_changed);
}

static void
bodies_that_break_off_are_fetched_again(void **state)
{
	with_every_trouble("fetch", change_there, expect_changed);
}

static void
a_first_listing_that_breaks_off_goes_on(void **state)
{
	for (unsigned item = 0; item < 40; item += 3) {
		struct world_options options = world.options;

		world_end();
		world_begin(&options);
		there_create("Archive");
		fill("INBOX", "m", 30);
		fill("Archive", "a", 5);
		world_trouble("scan", item % 2 == 0 ? MODEL_LOST : MODEL_STOP_AFTER, item);
		assert_false(world_try(WORLD_PASS_ALL));
		world_settle();
		world_expect_agreed();
		assert_int_equal(there_mailbox("INBOX")->count, 30);
	}
}

static void
expunge_there(void *context, const char *call)
{
	(void)context;
	if (strcmp(call, "fetch") == 0) {
		there_expunge("INBOX", "n1");
		world.remote->meanwhile = NULL;
	}
}

static void
expunged_while_bodies_are_fetched_the_rest_goes_on(void **state)
{
	a_small_account();
	there_add("INBOX", "n1");
	there_add("INBOX", "n2");
	world.remote->meanwhile = expunge_there;
	world_pass();
	assert_null(world.remote->meanwhile);
	assert_true(here_has_body("INBOX", "n2"));
	world_settle();
	expect_both("INBOX", "m1 m2 m3 n2");
	world_expect_agreed();
}

static void
refused_one_message_waits_and_the_others_go_on(void **state)
{
	a_small_account();
	here_add("INBOX", "n1");
	here_add("INBOX", "n2");
	here_add("Archive", "n3");
	world_trouble("append", MODEL_REFUSED, 1);
	world_pass();
	assert_int_equal(world.result.failed, 1);
	expect_there("INBOX", "m1 m2 m3 n1");
	expect_there("Archive", "a1 n3");
	world_advance_s(61);
	world_settle();
	expect_both("INBOX", "m1 m2 m3 n1 n2");
	world_expect_agreed();
}

static void
a_damaged_body_is_fetched_again(void **state)
{
	struct message message;

	a_small_account();
	struct number number = here_number("INBOX", "m1");
	struct store_txn *txn;

	assert_true(store_write_begin(world.store, STORE_ENGINE, &txn, &world.err));
	assert_true(message_load(txn, number, &message, &world.err));
	assert_true(body_set_damaged(txn, message.body, &world.err));
	message_finish(&message);
	assert_true(store_write_commit(&txn, STORE_LAZY, &world.err));
	uint64_t bodies = world.server->counts.bodies;

	world_settle();
	assert_int_equal(world.server->counts.bodies, bodies + 1);
	world_expect_agreed();
}

/* --- everything at once --- */

static void
change_everything(void)
{
	here_add("INBOX", "n1+seen");
	here_flag("INBOX", "m1", "+flagged");
	here_move("INBOX", "m2", "Archive");
	here_copy("INBOX", "m1", "Archive");
	here_expunge("INBOX", "m3");
	here_replace("Archive", "a1", "a2");
	here_create("Made");
	here_add("Made", "n2");
	here_rename("Named", "Renamed");
	here_remove("Empty");
	there_add("INBOX", "t1");
	there_flag("Named", "x1", "+answered");
	there_move("Named", "x2", "INBOX");
	there_create("Theirs");
	there_add("Theirs", "t2");
}

static void
expect_everything(void)
{
	settle_marked("INBOX");
	settle_marked("Archive");
	settle_marked("Renamed");
	expect_held(0, 0);
	expect_both("INBOX", "m1+flagged n1+seen t1 x2");
	expect_both("Archive", "a2 m1+flagged m2");
	expect_both("Made", "n2");
	expect_both("Named", NULL);
	expect_both("Renamed", "x1+answered");
	expect_both("Empty", NULL);
	expect_both("Theirs", "t2");
	world_expect_agreed();
}

static void
begin_everything(const struct world_options *options)
{
	world_end();
	world_begin(options);
	a_small_account();
	there_create("Named");
	there_create("Empty");
	there_add("Named", "x1");
	there_add("Named", "x2");
	world_settle();
	change_everything();
}

/* Each of its calls, one after the other, is the one at which the process ends or the connection is lost. */
static void
a_pass_of_everything_may_end_at_any_call(void **state)
{
	static const enum model_fault faults[] = {
		MODEL_STOP_BEFORE, MODEL_STOP_AFTER, MODEL_CUT, MODEL_DROPPED, MODEL_LOST};
	struct world_options options = world.options;
	unsigned fired = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(faults); i++) {
		bool any = true;

		for (unsigned nth = 1; any; nth++) {
			begin_everything(&options);
			world.remote->fired = false;
			world.remote->trouble = (struct model_trouble){.nth = nth, .fault = faults[i]};
			for (int pass = 0; pass < 6 && !world.remote->fired; pass++) {
				(void)world_try(WORLD_PASS_ALL);
				world_advance_s(2);
			}
			any = world.remote->fired;
			fired += any;
			world.remote->trouble.nth = 0;
			world_settle();
			world_advance_s(120);
			world_settle();
			expect_everything();
		}
	}
	assert_true(fired > 100);
}

/* --- other processes --- */

static void
a_mailbox_that_is_busy_is_deferred_and_the_others_go_on(void **state)
{
	struct io_lock_file *locks;

	a_small_account();
	assert_true(io_lock_file_open(store_dir(world.store), "locks/mailboxes", &locks, &world.err));
	assert_true(io_lock(locks, here_mailbox("INBOX").value, IO_LOCK_EXCLUSIVE, 0, NULL, &world.err));
	here_add("INBOX", "n1");
	there_add("INBOX", "n2");
	here_add("Archive", "n3");
	there_add("Archive", "n4");
	world_pass();
	assert_int_equal(world.result.deferred, 1);
	expect_there("INBOX", "m1 m2 m3 n2");
	expect_both("Archive", "a1 n3 n4");
	io_lock_file_close(&locks);
	world_settle();
	expect_both("INBOX", "m1 m2 m3 n1 n2");
	world_expect_agreed();
}

int
main(void)
{
	static const struct story stories[] = {
		STORY(an_upload_leaves_one_copy_whatever_happens, ON_ALL),
		STORY(messages_that_look_alike_are_not_mixed_up_by_a_lost_answer, ON_ALL),
		STORY(a_server_that_keeps_other_octets_is_not_sent_them_again, ON_ALL),
		STORY(removed_while_its_upload_was_unknown_it_is_removed_there, ON_ALL),
		STORY(moved_while_its_upload_was_unknown_it_is_moved_there, ON_ALL),
		STORY(flagged_there_while_its_upload_was_unknown_it_keeps_the_flag, ON_ALL),
		STORY(an_upload_that_was_not_taken_is_sent_again_after_ten_seconds, ON_ALL),
		STORY(a_move_leaves_one_copy_whatever_happens, ON_ALL),
		STORY(a_copy_leaves_as_many_as_were_wanted_whatever_happens, ON_ALL),
		STORY(flags_arrive_whatever_happens, ON_ALL),
		STORY(an_expunge_takes_exactly_its_messages_whatever_happens, ON_ALL),
		STORY(a_mailbox_is_made_once_whatever_happens, ON_ALL),
		STORY(a_mailbox_is_renamed_once_whatever_happens, ON_ALL),
		STORY(a_mailbox_is_removed_whatever_happens_to_its_removal, ON_UIDPLUS),
		STORY(a_mailbox_is_removed_whatever_happens_to_its_renaming, ON_UIDPLUS),
		STORY(a_listing_that_breaks_off_is_taken_up_again, ON_GUIDS),
		STORY(a_scan_that_breaks_off_is_taken_up_again, ON_GUIDS),
		STORY(bodies_that_break_off_are_fetched_again, ON_GUIDS),
		STORY(a_first_listing_that_breaks_off_goes_on, ON_ALL),
		STORY(expunged_while_bodies_are_fetched_the_rest_goes_on, ON_ALL),
		STORY(refused_one_message_waits_and_the_others_go_on, ON_UIDPLUS),
		STORY(a_damaged_body_is_fetched_again, ON_ALL),
		STORY(a_pass_of_everything_may_end_at_any_call, ON_ALL),
		STORY(a_mailbox_that_is_busy_is_deferred_and_the_others_go_on, ON_ALL),
	};

	return stories_tell("stories of trouble", stories, ARRAY_LENGTH(stories));
}
