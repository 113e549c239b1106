/* Lost stores, and servers that were rebuilt or restored (R7). */
#include "engine/store/body.h"
#include "tests/sim/trouble.h"

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

/* --- servers that were rebuilt or restored (R7) --- */

static void
a_rebuilt_mailbox_is_paired_again_and_nothing_is_sent(void **state)
{
	a_small_account();
	here_flag("INBOX", "m1", "+seen");
	world_settle();
	struct number number = here_number("INBOX", "m1");
	struct model_counts before = world.server->counts;

	model_rebuild(world.server, there_mailbox("INBOX"));
	there_flag("INBOX", "m2", "+flagged");
	there_flag("INBOX", "m1", "-seen");
	there_add("INBOX", "n1");
	world_settle();
	expect_held(0, 0);
	expect_both("INBOX", "m1 m2+flagged m3 n1");
	assert_int_equal(here_number("INBOX", "m1").value, number.value);
	assert_int_equal(world.server->counts.changes, before.changes);
	assert_int_equal(world.server->counts.bodies, before.bodies + 1);
	world_expect_agreed();
}

static void
what_changed_here_reaches_a_rebuilt_mailbox(void **state)
{
	a_small_account();
	model_rebuild(world.server, there_mailbox("INBOX"));
	here_flag("INBOX", "m1", "+seen");
	here_expunge("INBOX", "m2");
	here_move("INBOX", "m3", "Archive");
	here_add("INBOX", "n1");
	world_settle();
	expect_here("INBOX", "m1+seen n1");
	settle_marked("INBOX");
	expect_both("INBOX", "m1+seen n1");
	expect_both("Archive", "a1 m3");
	assert_int_equal(world_sent("m3"), 0);
	world_expect_agreed();
}

static void
what_a_rebuilt_mailbox_has_lost_is_held_until_confirmed(void **state)
{
	a_small_account();
	there_expunge("INBOX", "m2");
	model_rebuild(world.server, there_mailbox("INBOX"));
	world_settle();
	expect_held(1, 1);
	expect_here("INBOX", "m1 m2 m3");
	world_settle();
	expect_held(1, 1);
	world_answer_all(true);
	world_settle();
	expect_both("INBOX", "m1 m3");
	world_expect_agreed();
}

static void
what_a_restored_server_has_lost_is_sent_again_when_that_is_wanted(void **state)
{
	a_small_account();
	fill("INBOX", "late", 4);
	world_settle();
	model_restore(there_mailbox("INBOX"), 3);
	there_add("INBOX", "n1"); /* under a UID that another message had */
	world_settle();
	expect_held(1, 3);
	expect_here("INBOX", "m1 m2 m3 late1 late2 late3 late4 n1");
	world_answer_all(false);
	world_settle();
	expect_both("INBOX", "m1 m2 m3 late1 late2 late3 late4 n1");
	assert_int_equal(world_sent("late1"), 0);
	assert_int_equal(world_sent("late4"), 1);
	world_expect_agreed();
}

static void
a_restored_server_whose_counters_have_grown_past_the_base_is_known(void **state)
{
	a_small_account();
	fill("INBOX", "late", 3);
	world_settle();
	model_restore(there_mailbox("INBOX"), 3);
	world_advance_s(60);
	fill("INBOX", "new", 5);
	world_settle();
	expect_held(1, 3);
	expect_here("INBOX", "m1 m2 m3 late1 late2 late3 new1 new2 new3 new4 new5");
	world_answer_all(true);
	world_settle();
	expect_both("INBOX", "m1 m2 m3 new1 new2 new3 new4 new5");
	world_expect_agreed();
}

static void
a_rebuilt_mailbox_that_is_empty_takes_nothing_away(void **state)
{
	a_small_account();
	there_expunge("INBOX", "m1");
	there_expunge("INBOX", "m2");
	there_expunge("INBOX", "m3");
	model_rebuild(world.server, there_mailbox("INBOX"));
	world_settle();
	expect_held(1, 3);
	expect_here("INBOX", "m1 m2 m3");
	world_answer_all(false);
	world_settle();
	expect_both("INBOX", "m1 m2 m3");
	world_expect_agreed();
}

static void
what_moved_out_of_a_rebuilt_mailbox_is_a_move(void **state)
{
	a_small_account();
	struct number number = here_number("INBOX", "m1");

	there_move("INBOX", "m1", "Archive");
	model_rebuild(world.server, there_mailbox("INBOX"));
	world_settle();
	expect_held(0, 0);
	expect_both("INBOX", "m2 m3");
	expect_both("Archive", "a1 m1");
	assert_int_equal(here_number("Archive", "m1").value, number.value);
	world_expect_agreed();
}

static void
rebuild_the_inbox(void)
{
	model_rebuild(world.server, there_mailbox("INBOX"));
	there_flag("INBOX", "m1", "+seen");
	here_flag("INBOX", "m2", "+flagged");
	here_add("INBOX", "n1");
}

static void
expect_repaired(void)
{
	expect_held(0, 0);
	expect_both("INBOX", "m1+seen m2+flagged m3 n1");
	assert_true(world_sent("n1") <= 1);
	world_expect_agreed();
}

static void
pairing_again_goes_on_where_it_broke_off(void **state)
{
	with_every_trouble("scan", rebuild_the_inbox, expect_repaired);
	struct world_options options = world.options;

	/* In the pass that pairs, which is the second. */
	for (unsigned item = 0; item < 8; item++) {
		world_end();
		world_begin(&options);
		a_small_account();
		rebuild_the_inbox();
		world.remote->fired = false;
		world.remote->trouble = (struct model_trouble){
			.nth = 2, .call = "scan", .fault = item % 2 == 0 ? MODEL_LOST : MODEL_STOP_AFTER, .item = item};
		(void)world_try(WORLD_PASS_ALL);
		(void)world_try(WORLD_PASS_ALL);
		assert_true(world.remote->fired);
		world_settle();
		expect_repaired();
	}
}

/* --- what was damaged or put back here --- */

static void
damage(const char *token)
{
	struct number number = here_number("INBOX", token);
	struct message message;
	struct store_txn *txn;

	assert_true(store_write_begin(world.store, STORE_ENGINE, &txn, &world.err));
	assert_true(message_load(txn, number, &message, &world.err));
	assert_true(body_set_damaged(txn, message.body, &world.err));
	message_finish(&message);
	assert_true(store_write_commit(&txn, STORE_LAZY, &world.err));
}

static void
a_body_whose_octets_are_lost_here_is_fetched_again(void **state)
{
	a_small_account();
	struct number number = here_number("INBOX", "m1");
	uint32_t uid = there_message("INBOX", "m1")->uid;
	struct model_counts before = world.server->counts;

	damage("m1");
	world_settle();
	expect_both("INBOX", "m1 m2 m3");
	assert_int_equal(here_number("INBOX", "m1").value, number.value);
	assert_int_equal(there_message("INBOX", "m1")->uid, uid);
	assert_int_equal(world.server->counts.bodies, before.bodies + 1);
	assert_int_equal(world.server->counts.changes, before.changes);
	world_expect_agreed();
}

/* The identity is unchanged and the octets are not: they become the body. */
static void
a_damaged_body_that_is_served_otherwise_becomes_what_is_served(void **state)
{
	SCOPED(buf_finish) struct buf other = BUF_INIT;

	a_small_account();
	struct number number = here_number("INBOX", "m1");
	struct model_message *message = there_message("INBOX", "m1");
	struct model_counts before = world.server->counts;

	buf_append(&other, slice_make(message->body, message->length));
	buf_append_text(&other, "Served otherwise.\r\n");
	free(message->body);
	message->length = other.length;
	message->body = buf_take(&other);
	damage("m1");
	world_settle();
	expect_both("INBOX", "m1 m2 m3");
	assert_int_equal(here_number("INBOX", "m1").value, number.value);
	assert_int_equal(world.server->counts.changes, before.changes);
	world_expect_agreed(); /* which compares the octets of both sides */
}

static void
a_damaged_body_that_is_nowhere_any_more_is_told_and_kept(void **state)
{
	struct message message;

	a_small_account();
	struct number number = here_number("INBOX", "m1");

	fill("INBOX", "more", 30);
	world_settle();
	there_remove("Archive");
	world_settle();
	expect_held(1, 1);
	number = here_number("Archive", "a1");
	struct store_txn *txn;

	assert_true(store_write_begin(world.store, STORE_ENGINE, &txn, &world.err));
	assert_true(message_load(txn, number, &message, &world.err));
	assert_true(body_set_damaged(txn, message.body, &world.err));
	message_finish(&message);
	assert_true(store_write_commit(&txn, STORE_LAZY, &world.err));
	world_settle();
	world_read_begin();
	assert_true(message_load(world.txn, number, &message, &world.err));
	assert_int_equal(message.expunged_s, 0);
	assert_int_not_equal(message.hold, 0);
	message_finish(&message);
	world_read_end();
}

static void
an_old_copy_of_the_store_sends_and_deletes_nothing(void **state)
{
	a_small_account();
	here_add("INBOX", "draft1"); /* not sent yet */
	world_keep_copy();
	world_settle();
	here_add("INBOX", "draft2");
	here_expunge("INBOX", "m1");
	here_flag("INBOX", "m2", "+seen");
	here_move("INBOX", "m3", "Archive");
	world_settle();
	settle_marked("INBOX");
	struct number newest = here_number("INBOX", "draft2");

	there_add("INBOX", "n1");
	assert_true(world_put_back());
	struct model_counts before = world.server->counts;

	assert_true(world_try(WORLD_PASS_FULL));
	world_settle();
	expect_held(0, 0);
	expect_both("INBOX", "draft1 draft2 m2+seen n1");
	expect_both("Archive", "a1 m3");
	assert_int_equal(world_sent("draft1"), 1);
	assert_int_equal(world_sent("draft2"), 1);
	assert_int_equal(world.server->counts.changes, before.changes);
	assert_true(here_number("INBOX", "draft2").value > newest.value);
	assert_true(here_number("INBOX", "n1").value > newest.value);
	world_expect_agreed();
}

int
main(void)
{
	static const struct story stories[] = {
		STORY(a_lost_store_is_filled_again_and_nothing_is_sent, ON_ALL),
		STORY(a_lost_base_is_found_again_without_a_body, ON_ALL),
		STORY(an_empty_listing_removes_nothing, ON_ALL),
		STORY(a_rebuilt_mailbox_is_paired_again_and_nothing_is_sent, ON_ALL),
		STORY(what_changed_here_reaches_a_rebuilt_mailbox, ON_ALL),
		STORY(what_a_rebuilt_mailbox_has_lost_is_held_until_confirmed, ON_ALL),
		STORY(what_a_restored_server_has_lost_is_sent_again_when_that_is_wanted, ON_ALL),
		STORY(a_restored_server_whose_counters_have_grown_past_the_base_is_known, ON_ALL),
		STORY(a_rebuilt_mailbox_that_is_empty_takes_nothing_away, ON_ALL),
		STORY(what_moved_out_of_a_rebuilt_mailbox_is_a_move, ON_GUIDS),
		STORY(pairing_again_goes_on_where_it_broke_off, ON_ALL),
		STORY(a_body_whose_octets_are_lost_here_is_fetched_again, ON_ALL),
		STORY(a_damaged_body_that_is_served_otherwise_becomes_what_is_served, ON_ALL),
		STORY(a_damaged_body_that_is_nowhere_any_more_is_told_and_kept, ON_ALL),
		STORY(an_old_copy_of_the_store_sends_and_deletes_nothing, ON_ALL),
	};

	return stories_tell("stories of what was rebuilt", stories, ARRAY_LENGTH(stories));
}
