#include "tests/unit/store_fixture.h"

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

struct feed {
	struct buf text;
	uint64_t last;
	size_t count, stop;
};

static void
feed_finish(struct feed *feed)
{
	buf_finish(&feed->text);
}

/* Writes a change as a word: m1 message, M mailbox, n a message's name that ended, N a mailbox's, l local, R reset; + live, - not. One that ended
 * in the Maildir view alone is told by that. */
static bool
note(void *context, const struct change *change)
{
	static const char letters[] = {[CHANGE_MESSAGE] = 'm',
		[CHANGE_NAME_ENDED] = 'n',
		[CHANGE_MAILBOX] = 'M',
		[CHANGE_MAILBOX_ENDED] = 'N',
		[CHANGE_LOCAL] = 'l',
		[CHANGE_RESET] = 'R'};
	struct feed *feed = context;

	assert_true(change->modseq.value >= feed->last);
	feed->last = change->modseq.value;
	struct slice name =
		change->kind == CHANGE_NAME_ENDED && change->name.length == 0 ? change->maildir : change->name;

	buf_printf(&feed->text, "%c%s%.*s ", letters[change->kind],
		change->kind == CHANGE_NAME_ENDED || change->kind == CHANGE_MAILBOX_ENDED ||
				change->kind == CHANGE_RESET
			? ""
		: change->live ? "+"
			       : "-",
		(int)name.length, name.data);
	return ++feed->count != feed->stop;
}

static struct modseq
read_feed(struct modseq since, size_t limit, struct feed *feed)
{
	struct modseq until;

	buf_clear(&feed->text);
	feed->last = feed->count = 0;
	assert_ok(change_each(fixture.txn, since, limit, note, feed, &until, &fixture.err));
	buf_append_octet(&feed->text, '\0');
	return until;
}

static void
every_change_is_told_once_and_in_order(void **state)
{
	SCOPED(feed_finish) struct feed feed = {0};
	struct flags seen = {.bits = FLAG_SEEN}, none = FLAGS_INIT;
	struct number id;

	fixture_write();
	struct mailbox_id a = fixture_mailbox("A"), b = fixture_mailbox("B");
	struct number number = fixture_message(a, "x", "x.eml");
	struct local local = {.parent_kind = LOCAL_IN_MAILBOX, .parent = a.value, .name = (char *)".l"};

	assert_ok(local_create(fixture.txn, &local, &id, &fixture.err));
	struct modseq since = read_feed((struct modseq){0}, 100, &feed);

	assert_string_equal(feed.text.data, "M+A M+B m+x.eml l+.l ");
	assert_true(since.value == store_modseq(fixture.txn).value);
	assert_ok(message_change_flags(fixture.txn, number, &seen, &none, &fixture.err));
	since = read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "nnew/1793697120.00001.mailfs m+x.eml ");
	assert_ok(message_rename(fixture.txn, number, slice_of("y.eml"), &fixture.err));
	assert_ok(message_move(fixture.txn, number, b, slice_of("z.eml"), &fixture.err));
	since = read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "nx.eml ny.eml m+z.eml ");
	assert_ok(message_expunge(fixture.txn, number, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	since = read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "nz.eml m- ");
	assert_ok(local_move(fixture.txn, id, LOCAL_IN_MAILBOX, b.value, slice_of(".k"), &fixture.err));
	since = read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "l-.l l+.k ");
	assert_ok(local_expunge(fixture.txn, id, &fixture.err));
	since = read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "l-.k ");
	assert_ok(mailbox_rename(fixture.txn, b, slice_of("C"), &fixture.err));
	since = read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "NB M+C ");
	assert_ok(mailbox_expunge(fixture.txn, b, true, MESSAGE_BY_USER, &fixture.err));
	since = read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "NC M-C ");
	since = read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "");
	assert_true(since.value == store_modseq(fixture.txn).value);
}

static void
a_row_that_changed_twice_is_told_as_it_is_now(void **state)
{
	SCOPED(feed_finish) struct feed feed = {0};
	struct flags seen = {.bits = FLAG_SEEN}, none = FLAGS_INIT;

	fixture_write();
	struct number number = fixture_message(fixture_mailbox("A"), "x", "x.eml");
	struct modseq since = store_modseq(fixture.txn);

	assert_ok(message_change_flags(fixture.txn, number, &seen, &none, &fixture.err));
	assert_ok(message_change_flags(fixture.txn, number, &none, &seen, &fixture.err));
	(void)read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "nnew/1793697120.00001.mailfs ncur/1793697120.00001.mailfs:2,S m+x.eml ");
}

static void
a_limit_never_parts_what_has_one_modseq(void **state)
{
	SCOPED(feed_finish) struct feed feed = {0};
	struct modseq since = {0};
	size_t told = 0;

	fixture_write();
	struct mailbox_id a = fixture_mailbox("A");

	for (int i = 0; i < 10; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d.eml", i);
		struct number number = fixture_message(a, "x", name);

		assert_ok(message_expunge(fixture.txn, number, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	}
	/* A mailbox, and for each message its name that ended and the tombstone. */
	for (int rounds = 0; rounds < 30 && since.value < store_modseq(fixture.txn).value; rounds++) {
		since = read_feed(since, 1, &feed);
		assert_true(feed.count == 1 || feed.count == 2);
		told += feed.count;
	}
	assert_int_equal(told, 21);
}

static void
who_has_had_enough_goes_on_where_he_stopped(void **state)
{
	SCOPED(feed_finish) struct feed feed = {.stop = 2};

	fixture_write();
	(void)fixture_mailbox("A");
	(void)fixture_mailbox("B");
	(void)fixture_mailbox("C");
	struct modseq since = read_feed((struct modseq){0}, 100, &feed);

	assert_string_equal(feed.text.data, "M+A M+B ");
	(void)read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "M+C ");
}

static void
a_message_that_is_not_listed_yet_is_told_without_a_name(void **state)
{
	SCOPED(feed_finish) struct feed feed = {0};
	struct number number;

	fixture_write();
	struct message_new new = {.mailbox = fixture_mailbox("A")};
	struct modseq since = store_modseq(fixture.txn);

	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	(void)read_feed(since, 100, &feed);
	assert_string_equal(feed.text.data, "m+ ");
}

static void
a_reader_from_before_a_purge_lists_anew(void **state)
{
	SCOPED(feed_finish) struct feed feed = {0};

	fixture_write();
	struct mailbox_id a = fixture_mailbox("A");
	struct modseq early = store_modseq(fixture.txn);
	struct number number = fixture_message(a, "x", "x.eml");

	assert_ok(message_expunge(fixture.txn, number, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	struct modseq late = store_modseq(fixture.txn);

	fixture_commit();
	(void)sleep(1);
	assert_ok(store_maintain(fixture.store, 0, &fixture.err));
	fixture_read();
	struct modseq until = read_feed(early, 100, &feed);

	assert_string_equal(feed.text.data, "R ");
	assert_true(until.value == late.value);
	(void)read_feed(late, 100, &feed);
	assert_string_equal(feed.text.data, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(every_change_is_told_once_and_in_order),
		test(a_row_that_changed_twice_is_told_as_it_is_now),
		test(a_limit_never_parts_what_has_one_modseq),
		test(who_has_had_enough_goes_on_where_he_stopped),
		test(a_message_that_is_not_listed_yet_is_told_without_a_name),
		test(a_reader_from_before_a_purge_lists_anew),
	};

	return cmocka_run_group_tests_name("store_change", tests, NULL, NULL);
}
