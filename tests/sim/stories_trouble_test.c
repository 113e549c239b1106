/* Broken connections, lost answers, processes that end, servers that refuse, and what the brake holds. */
#include "engine/store/body.h"
#include "tests/sim/stories.h"

static void
fill(const char *mailbox, const char *prefix, int count)
{
	for (int i = 1; i <= count; i++) {
		char token[40];

		(void)snprintf(token, sizeof token, "%s%d", prefix, i);
		there_add(mailbox, token);
	}
}

/* INBOX with m1..m3, Archive with a1. */
static void
a_small_account(void)
{
	there_create("Archive");
	fill("INBOX", "m", 3);
	there_add("Archive", "a1");
	world_settle();
	world_expect_equal();
}

static void
settle_marked(const char *mailbox)
{
	if (world.options.server.without_uidplus) {
		there_expunge_deleted(mailbox);
		world_settle();
	}
}

/* Runs the pass in which the trouble comes, and then all that follows it. */
static void
meet_trouble(const char *call, enum model_fault fault, unsigned item, bool half)
{
	world_trouble(call, fault, item);
	world.remote->trouble.half = half;
	(void)world_try(WORLD_PASS_ALL);
	assert_true(world.remote->fired);
	world_settle();
	world_advance_s(120); /* what was set aside comes again */
	world_settle();
}

/* Tells a story once for each way in which a call can go wrong. */
static void
with_every_trouble(const char *call, void (*change)(void), void (*check)(void))
{
	struct world_options options = world.options;

	for (int fault = 0; fault < MODEL_FAULT_COUNT; fault++) {
		bool halves = fault == MODEL_LOST || fault == MODEL_REFUSED || fault == MODEL_STOP_AFTER;

		for (unsigned item = 0; item < 2; item++) {
			for (int half = 0; half < (halves ? 2 : 1); half++) {
				world_end();
				world_begin(&options);
				a_small_account();
				change();
				print_message("  %s: %s at %u%s\n", call, model_fault_name((enum model_fault)fault),
					item, half ? ", half" : "");
				meet_trouble(call, (enum model_fault)fault, item, half);
				check();
			}
		}
	}
}

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

/* --- what was lost --- */

static void
a_lost_store_is_filled_again_and_nothing_is_sent(void **state)
{
	a_small_account();
	here_add("INBOX", "n1+seen");
	world_settle();
	uint64_t changes = world.server->counts.changes;

	world_lose_store();
	world_settle();
	expect_both("INBOX", "m1 m2 m3 n1+seen");
	assert_int_equal(world.server->counts.changes, changes);
	world_expect_agreed();
}

static bool
forget_base(void *context, const struct base_mailbox *base, struct error *err)
{
	return base_mailbox_remove(context, BASE_REMOTE, base->mailbox, err);
}

static void
a_lost_base_is_found_again_without_a_body(void **state)
{
	struct store_txn *txn;

	a_small_account();
	here_flag("INBOX", "m1", "+seen");
	assert_true(store_write_begin(world.store, STORE_ENGINE, &txn, &world.err));
	assert_true(base_mailbox_each(txn, BASE_REMOTE, forget_base, txn, &world.err));
	assert_true(store_write_commit(&txn, STORE_LAZY, &world.err));
	uint64_t bodies = world.server->counts.bodies;

	there_expunge("INBOX", "m2");
	world_settle();
	assert_int_equal(world.server->counts.bodies, bodies);
	/* A gap is no proof: what is here and not there is new there. */
	expect_both("INBOX", "m1+seen m2 m3");
	world_expect_agreed();
}

static void
an_empty_listing_removes_nothing(void **state)
{
	a_small_account();
	struct model_server *good = world.server;
	struct model_server *empty = model_server_create(&world.options.server);

	world.remote->server = empty;
	world.server = empty;
	world_settle();
	world.remote->server = world.server = good;
	expect_here("INBOX", "m1 m2 m3");
	expect_here("Archive", "a1");
	model_server_destroy(&empty);
}

static void
a_rebuilt_mailbox_loses_nothing(void **state)
{
	a_small_account();
	model_rebuild(world.server, there_mailbox("INBOX"));
	there_add("INBOX", "n1");
	world_settle();
	uint64_t changes = world.server->counts.changes;

	assert_int_equal(changes, 0);
	expect_there("INBOX", "m1 m2 m3 n1");
	there_add("Archive", "a2");
	world_settle();
	expect_both("Archive", "a1 a2");
}

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
		STORY(a_lost_store_is_filled_again_and_nothing_is_sent, ON_ALL),
		STORY(a_lost_base_is_found_again_without_a_body, ON_ALL),
		STORY(an_empty_listing_removes_nothing, ON_ALL),
		STORY(a_rebuilt_mailbox_loses_nothing, ON_ALL),
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
		STORY(a_mailbox_that_is_busy_is_deferred_and_the_others_go_on, ON_ALL),
	};

	return stories_tell("stories of trouble", stories, ARRAY_LENGTH(stories));
}
