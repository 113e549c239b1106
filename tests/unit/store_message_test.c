#include "engine/mail/message_id32.h"
#include "tests/unit/store_fixture.h"

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static struct message
load(struct number number)
{
	struct message message = {0};

	assert_ok(message_load(fixture.txn, number, &message, &fixture.err));
	return message;
}

static void
assert_name(struct number number, const char *wanted)
{
	char *name = fixture_name(number);

	assert_string_equal(name, wanted);
	free(name);
}

static void
assert_found(struct mailbox_id mailbox, const char *name, struct number wanted)
{
	SCOPED(listing_finish) struct listing listing = {0};

	assert_ok(listing_load_by_name(fixture.txn, mailbox, slice_of(name), &listing, &fixture.err));
	assert_int_equal(listing.number.value, wanted.value);
}

static void
assert_not_found(struct mailbox_id mailbox, const char *name)
{
	struct listing listing;

	assert_fails(listing_load_by_name(fixture.txn, mailbox, slice_of(name), &listing, &fixture.err), ERROR_GONE);
}

static void
what_a_message_was_made_of_comes_back(void **state)
{
	SCOPED(envelope_finish) struct envelope read = {0};
	struct envelope envelope = fixture_envelope("Grüße, \"quoted\"");
	struct number number;

	fixture_write();
	struct message_new new = {
		.mailbox = fixture_mailbox("INBOX"),
		.flags = {.bits = FLAG_SEEN | FLAG_FLAGGED, .keywords = (char *)"Junk Work"},
		.internaldate_s = -5,
		.size_bytes = 123456789012,
		.identity = {1, 2, 3},
		.envelope = &envelope,
	};

	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	SCOPED(message_finish) struct message message = load(number);

	assert_true(flags_equal(&message.flags, &new.flags));
	assert_true(message.internaldate_s == -5 && message.size_bytes == 123456789012);
	assert_memory_equal(message.identity, new.identity, sizeof(message.identity));
	assert_int_equal(message.uid, 1);
	assert_int_equal(message.body, 0);
	assert_true(message.modseq.value == store_modseq(fixture.txn).value);
	assert_ok(message_load_envelope(fixture.txn, number, &read, &fixture.err));
	assert_string_equal(read.from, envelope.from);
	assert_string_equal(read.from_short, envelope.from_short);
	assert_string_equal(read.to, envelope.to);
	assert_string_equal(read.subject, envelope.subject);
	assert_string_equal(read.date, envelope.date);
	assert_string_equal(read.message_id, envelope.message_id);
	assert_true(read.date_s == envelope.date_s);
}

static void
a_message_without_its_header_is_not_listed_until_it_comes(void **state)
{
	struct envelope envelope = fixture_envelope("late");
	struct listing listing;
	struct number number;

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");
	struct message_new new = {.mailbox = inbox, .internaldate_s = 1793697120, .size_bytes = 10};

	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	assert_fails(listing_load(fixture.txn, number, &listing, &fixture.err), ERROR_GONE);
	assert_ok(message_set_body(fixture.txn, number, 0, 10, &envelope, NULL, &fixture.err));
	assert_name(number, "2026-11-03 0912 Ana Ruiz - late.00001.eml");
	SCOPED(mailbox_finish) struct mailbox mailbox = {0};

	assert_ok(mailbox_load(fixture.txn, inbox, &mailbox, &fixture.err));
	assert_int_equal(mailbox.messages, 1);
	fixture_commit();
	fixture_audit();
}

struct seen {
	uint32_t uids[16];
	size_t count, stop;
};

static bool
note_uid(void *context, const struct listing *listing)
{
	struct seen *seen = context;

	seen->uids[seen->count++] = listing->uid;
	return seen->count < seen->stop;
}

static void
a_listing_goes_in_the_order_of_uids_from_any_of_them(void **state)
{
	struct seen all = {.stop = 16}, rest = {.stop = 1};

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");

	for (int i = 0; i < 5; i++) {
		(void)fixture_message(inbox, "x", NULL);
		(void)fixture_message(other, "x", NULL);
	}
	assert_ok(message_expunge(
		fixture.txn, (struct number){3}, MESSAGE_BY_USER, (struct number){0}, &fixture.err)); /* UID 2 */
	assert_ok(listing_each(fixture.txn, inbox, 0, note_uid, &all, &fixture.err));
	assert_int_equal(all.count, 4);
	assert_int_equal(all.uids[0], 1);
	assert_int_equal(all.uids[1], 3);
	assert_ok(listing_each(fixture.txn, inbox, 2, note_uid, &rest, &fixture.err));
	assert_int_equal(rest.count, 1);
	assert_int_equal(rest.uids[0], 3);
}

/* --- names --- */

static void
a_name_is_found_by_its_id_and_only_in_its_mailbox(void **state)
{
	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");
	struct number number = fixture_message(inbox, "x", NULL);

	assert_found(inbox, "2026-11-03 0912 Ana Ruiz - x.00001.eml", number);
	assert_not_found(other, "2026-11-03 0912 Ana Ruiz - x.00001.eml");
	assert_not_found(inbox, "2026-11-03 0912 Ana Ruiz - y.00001.eml");
	assert_not_found(inbox, "x.00001.eml");
	assert_not_found(inbox, "x.00099.eml");
	assert_not_found(inbox, "");
}

static void
a_given_name_is_kept_byte_for_byte(void **state)
{
	static const char *const names[] = {"x.eml", "\xff\xfe not UTF-8.eml", "a\nb.eml", "x.00001.eml", " .eml"};

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");

	(void)fixture_message(inbox, "x", NULL);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		struct number number = fixture_message(inbox, "x", names[i]);

		assert_name(number, names[i]);
		assert_found(inbox, names[i], number);
	}
	fixture_commit();
	fixture_audit();
}

static void
a_given_name_that_is_taken_is_refused(void **state)
{
	struct envelope envelope = fixture_envelope("x");
	struct number number, id;

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");
	struct message_new new = {.mailbox = inbox, .envelope = &envelope, .name = slice_of("x.eml")};
	struct local local = {.parent_kind = LOCAL_IN_MAILBOX, .parent = inbox.value, .name = (char *)"local.eml"};

	(void)fixture_message(inbox, "x", "x.eml");
	(void)fixture_message(inbox, "made", NULL);
	assert_ok(local_create(fixture.txn, &local, &id, &fixture.err));
	assert_fails(message_create(fixture.txn, &new, &number, &fixture.err), ERROR_EXISTS);
	new.name = slice_of("2026-11-03 0912 Ana Ruiz - made.00002.eml");
	assert_fails(message_create(fixture.txn, &new, &number, &fixture.err), ERROR_EXISTS);
	new.name = slice_of("local.eml");
	assert_fails(message_create(fixture.txn, &new, &number, &fixture.err), ERROR_EXISTS);
	new.name = slice_of("a/b.eml");
	assert_fails(message_create(fixture.txn, &new, &number, &fixture.err), ERROR_INVALID);
	new.mailbox = other;
	new.name = slice_of("x.eml");
	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
}

static void
a_made_name_that_meets_a_given_one_repeats_its_id(void **state)
{
	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");
	struct number first = fixture_message(inbox, "x", "2026-11-03 0912 Ana Ruiz - x.00003.eml");
	struct number second = fixture_message(inbox, "x", "2026-11-03 0912 Ana Ruiz - x.00003.00003.eml");
	struct number third = fixture_message(inbox, "x", NULL);

	assert_int_equal(third.value, 3);
	assert_name(third, "2026-11-03 0912 Ana Ruiz - x.00003.00003.00003.eml");
	assert_found(inbox, "2026-11-03 0912 Ana Ruiz - x.00003.eml", first);
	assert_found(inbox, "2026-11-03 0912 Ana Ruiz - x.00003.00003.eml", second);
	assert_found(inbox, "2026-11-03 0912 Ana Ruiz - x.00003.00003.00003.eml", third);
	fixture_commit();
	fixture_audit();
}

static void
a_made_name_that_meets_one_given_in_an_earlier_life_repeats_its_id(void **state)
{
	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");

	(void)fixture_message(inbox, "x", "2026-11-03 0912 Ana Ruiz - x.00002.eml");
	fixture_commit();
	fixture_reopen();
	fixture_write();
	assert_name(fixture_message(inbox, "x", NULL), "2026-11-03 0912 Ana Ruiz - x.00002.00002.eml");
}

static void
a_rename_gives_a_name_and_ends_the_old_one(void **state)
{
	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");
	struct number a = fixture_message(inbox, "x", NULL), b = fixture_message(inbox, "y", "y.eml");

	assert_ok(message_rename(fixture.txn, a, slice_of("new.eml"), &fixture.err));
	assert_found(inbox, "new.eml", a);
	assert_not_found(inbox, "2026-11-03 0912 Ana Ruiz - x.00001.eml");
	assert_fails(message_rename(fixture.txn, a, slice_of("y.eml"), &fixture.err), ERROR_EXISTS);
	struct modseq before = store_modseq(fixture.txn);

	assert_ok(message_rename(fixture.txn, b, slice_of("y.eml"), &fixture.err));
	assert_true(store_modseq(fixture.txn).value == before.value);
	/* back to what was made for it */
	assert_ok(message_rename(fixture.txn, a, slice_of("2026-11-03 0912 Ana Ruiz - x.00001.eml"), &fixture.err));
	assert_found(inbox, "2026-11-03 0912 Ana Ruiz - x.00001.eml", a);
	fixture_commit();
	fixture_audit();
}

static void
a_base_name_ends_when_the_message_leaves_its_mailbox(void **state)
{
	SCOPED(listing_finish) struct listing listing = {0};

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");
	struct number a = fixture_message(inbox, "x", NULL), b = fixture_message(inbox, "y", NULL);

	assert_ok(message_set_maildir(fixture.txn, a, slice_of("17.M1.host"), false, &fixture.err));
	assert_fails(message_set_maildir(fixture.txn, b, slice_of("17.M1.host"), false, &fixture.err), ERROR_EXISTS);
	assert_ok(listing_load_by_base_name(fixture.txn, inbox, slice_of("17.M1.host"), &listing, &fixture.err));
	assert_int_equal(listing.number.value, a.value);
	assert_true(slice_equal(listing.base_name, slice_of("17.M1.host")));
	listing_finish(&listing);
	assert_ok(message_move(fixture.txn, a, other, slice_of(NULL), &fixture.err));
	assert_fails(listing_load_by_base_name(fixture.txn, other, slice_of("17.M1.host"), &listing, &fixture.err),
		ERROR_GONE);
	assert_ok(message_set_maildir(fixture.txn, b, slice_of("17.M1.host"), false, &fixture.err));
	fixture_commit();
	fixture_audit();
}

static void
assert_maildir(struct number number, const char *expected)
{
	SCOPED(listing_finish) struct listing listing = {0};
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	assert_ok(listing_load(fixture.txn, number, &listing, &fixture.err));
	listing_print_maildir(&listing, &path);
	assert_string_equal(path.data, expected);
}

static void
what_nobody_has_looked_at_lies_in_new(void **state)
{
	struct flags seen = {.bits = FLAG_SEEN}, none = FLAGS_INIT, passed = {.keywords = (char *)"$Forwarded"};

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");
	struct number a = fixture_message(inbox, "x", NULL);

	assert_maildir(a, "new/1793697120.00001.mailfs");
	assert_ok(message_move(fixture.txn, a, other, slice_of(NULL), &fixture.err));
	assert_maildir(a, "new/1793697120.00001.mailfs");
	assert_ok(message_change_flags(fixture.txn, a, &seen, &none, &fixture.err));
	assert_maildir(a, "cur/1793697120.00001.mailfs:2,S");
	assert_ok(message_change_flags(fixture.txn, a, &none, &seen, &fixture.err));
	assert_maildir(a, "cur/1793697120.00001.mailfs:2,"); /* somebody has, once */
	assert_ok(message_change_flags(fixture.txn, a, &passed, &none, &fixture.err));
	assert_maildir(a, "cur/1793697120.00001.mailfs:2,P");
	assert_ok(message_set_maildir(fixture.txn, a, slice_of("1.host"), true, &fixture.err));
	assert_maildir(a, "new/1.host:2,P");
	assert_ok(message_move(fixture.txn, a, inbox, slice_of(NULL), &fixture.err));
	assert_maildir(a, "new/1793697120.00001.mailfs:2,P");
	fixture_commit();
	fixture_audit();
}

static void
a_base_name_outlives_another_time(void **state)
{
	SCOPED(listing_finish) struct listing listing = {0};

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");
	struct number a = fixture_message(inbox, "x", NULL), b = fixture_message(inbox, "y", NULL);

	assert_ok(message_set_mtime(fixture.txn, a, 1, &fixture.err));
	assert_maildir(a, "new/1793697120.00001.mailfs");
	assert_ok(
		message_set_internaldate(fixture.txn, b, 2, &fixture.err)); /* just delivered: nobody knows the name */
	assert_maildir(b, "new/2.00002.mailfs");
	assert_ok(listing_load_by_base_name(
		fixture.txn, inbox, slice_of("1793697120.00001.mailfs"), &listing, &fixture.err));
	assert_int_equal(listing.number.value, a.value);
	listing_finish(&listing);
	assert_fails(listing_load_by_base_name(
			     fixture.txn, inbox, slice_of("1793697120.00002.mailfs"), &listing, &fixture.err),
		ERROR_GONE);
	/* nor is a made one given to another */
	assert_fails(
		message_set_maildir(fixture.txn, a, slice_of("2.00002.mailfs"), false, &fixture.err), ERROR_EXISTS);
	fixture_commit();
	fixture_audit();
}

/* --- flags --- */

static void
flags_change_only_as_seen(void **state)
{
	struct flags seen = {.bits = FLAG_SEEN}, junk = {.keywords = (char *)"Junk"}, none = FLAGS_INIT;
	bool applied;

	fixture_write();
	struct number number = fixture_message(fixture_mailbox("INBOX"), "x", NULL);
	SCOPED(message_finish) struct message before = load(number);

	assert_ok(message_set_flags(fixture.txn, number, &seen, before.modseq, &applied, &fixture.err));
	assert_true(applied);
	assert_ok(message_set_flags(fixture.txn, number, &none, before.modseq, &applied, &fixture.err));
	assert_false(applied);
	assert_ok(message_change_flags(fixture.txn, number, &junk, &seen, &fixture.err));
	SCOPED(message_finish) struct message after = load(number);

	assert_true(flags_equal(&after.flags, &junk));
	assert_true(after.modseq.value == before.modseq.value + 2);
	assert_ok(message_change_flags(fixture.txn, number, &junk, &seen, &fixture.err));
	assert_ok(message_set_flags(fixture.txn, number, &junk, (struct modseq){0}, &applied, &fixture.err));
	assert_true(applied);
	assert_true(store_modseq(fixture.txn).value == after.modseq.value);
	fixture_commit();
	fixture_audit();
}

static void
flags_of_a_tombstone_are_refused(void **state)
{
	struct flags seen = {.bits = FLAG_SEEN}, none = FLAGS_INIT;
	bool applied;

	fixture_write();
	struct number number = fixture_message(fixture_mailbox("INBOX"), "x", NULL);

	assert_ok(message_expunge(fixture.txn, number, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	assert_fails(message_change_flags(fixture.txn, number, &seen, &none, &fixture.err), ERROR_GONE);
	assert_fails(
		message_set_flags(fixture.txn, number, &seen, (struct modseq){0}, &applied, &fixture.err), ERROR_GONE);
	assert_fails(
		message_set_flags(fixture.txn, (struct number){77}, &seen, (struct modseq){0}, &applied, &fixture.err),
		ERROR_GONE);
}

/* --- places --- */

static void
a_move_keeps_number_name_flags_and_dates_and_takes_a_new_uid(void **state)
{
	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");
	struct flags seen = {.bits = FLAG_SEEN}, none = FLAGS_INIT;
	struct number number = fixture_message(inbox, "x", NULL);

	(void)fixture_message(other, "y", NULL);
	assert_ok(message_change_flags(fixture.txn, number, &seen, &none, &fixture.err));
	assert_ok(message_move(fixture.txn, number, other, slice_of(NULL), &fixture.err));
	SCOPED(message_finish) struct message message = load(number);

	assert_int_equal(message.mailbox.value, other.value);
	assert_int_equal(message.uid, 2);
	assert_int_equal(message.flags.bits, FLAG_SEEN);
	assert_true(message.internaldate_s == 1793697120);
	assert_found(other, "2026-11-03 0912 Ana Ruiz - x.00001.eml", number);
	assert_not_found(inbox, "2026-11-03 0912 Ana Ruiz - x.00001.eml");
	fixture_commit();
	fixture_audit();
}

static void
a_move_keeps_a_given_name_if_it_is_free(void **state)
{
	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");
	struct number a = fixture_message(inbox, "x", "a.eml"), b = fixture_message(inbox, "y", "b.eml"),
		      c = fixture_message(other, "z", "b.eml");

	assert_ok(message_move(fixture.txn, a, other, slice_of(NULL), &fixture.err));
	assert_found(other, "a.eml", a);
	assert_ok(message_move(fixture.txn, b, other, slice_of(NULL), &fixture.err));
	assert_found(other, "b.eml", c);
	assert_found(other, "2026-11-03 0912 Ana Ruiz - y.00002.eml", b);
	assert_fails(message_move(fixture.txn, c, inbox, slice_of("no/name"), &fixture.err), ERROR_INVALID);
	assert_ok(message_move(fixture.txn, c, inbox, slice_of("asked.eml"), &fixture.err));
	assert_found(inbox, "asked.eml", c);
	assert_fails(message_move(fixture.txn, a, inbox, slice_of("asked.eml"), &fixture.err), ERROR_EXISTS);
	assert_fails(message_move(fixture.txn, a, (struct mailbox_id){99}, slice_of(NULL), &fixture.err), ERROR_GONE);
	fixture_commit();
	fixture_audit();
}

static void
a_message_whose_header_is_not_here_can_be_moved(void **state)
{
	struct number number;

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");
	struct message_new new = {.mailbox = inbox};
	struct envelope envelope = fixture_envelope("x");

	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	assert_ok(message_move(fixture.txn, number, other, slice_of(NULL), &fixture.err));
	assert_ok(message_set_body(fixture.txn, number, 0, 0, &envelope, NULL, &fixture.err));
	assert_ok(message_expunge(fixture.txn, number, MESSAGE_BY_REMOTE, (struct number){0}, &fixture.err));
	fixture_commit();
	fixture_audit();
}

static void
an_expunged_message_is_a_tombstone_that_can_live_again(void **state)
{
	struct listing listing;

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");
	struct number made = fixture_message(inbox, "x", NULL), given = fixture_message(inbox, "y", "given.eml");

	assert_ok(message_expunge(fixture.txn, made, MESSAGE_REPLACED, given, &fixture.err));
	assert_ok(message_expunge(fixture.txn, given, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	struct modseq once = store_modseq(fixture.txn);

	assert_ok(message_expunge(fixture.txn, given, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	assert_true(store_modseq(fixture.txn).value == once.value);
	SCOPED(message_finish) struct message tombstone = load(made);

	assert_true(tombstone.expunged_s > 0);
	assert_int_equal(tombstone.expunged_by, MESSAGE_REPLACED);
	assert_int_equal(tombstone.successor.value, given.value);
	assert_fails(listing_load(fixture.txn, made, &listing, &fixture.err), ERROR_GONE);
	assert_fails(message_move(fixture.txn, made, other, slice_of(NULL), &fixture.err), ERROR_GONE);
	assert_ok(message_set_hold(fixture.txn, made, 7, &fixture.err));
	assert_ok(message_revive(fixture.txn, made, other, &fixture.err));
	assert_ok(message_revive(fixture.txn, given, other, &fixture.err));
	assert_found(other, "2026-11-03 0912 Ana Ruiz - x.00001.eml", made);
	assert_found(other, "given.eml", given);
	SCOPED(message_finish) struct message again = load(made);

	assert_true(again.expunged_s == 0 && again.successor.value == 0 && again.expunged_by == 0);
	fixture_commit();
	fixture_audit();
}

/* Asserts that the time of the last change has moved, forward, and keeps it. */
static void
assert_later(struct number number, int64_t *last_ns)
{
	SCOPED(listing_finish) struct listing listing = {0};

	assert_ok(listing_load(fixture.txn, number, &listing, &fixture.err));
	assert_true(listing.changed_ns > *last_ns);
	*last_ns = listing.changed_ns;
}

static void
the_time_of_the_last_change_moves_with_each_and_never_back(void **state)
{
	static const struct flags none = {0}, seen = {.bits = FLAG_SEEN}, work = {.keywords = (char *)"work"};
	const struct flags *const one_after_another[] = {&seen, &none, &work, &none};
	int64_t last_ns = 0;

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Other");
	struct number number = fixture_message(inbox, "x", NULL);

	assert_later(number, &last_ns);
	for (size_t i = 0; i < ARRAY_LENGTH(one_after_another); i++) {
		bool changed;

		assert_ok(message_set_flags(
			fixture.txn, number, one_after_another[i], (struct modseq){0}, &changed, &fixture.err));
		assert_later(number, &last_ns);
	}
	assert_ok(message_rename(fixture.txn, number, SLICE_LITERAL("new.eml"), &fixture.err));
	assert_later(number, &last_ns);
	assert_ok(message_set_maildir(fixture.txn, number, SLICE_LITERAL("1.mutt"), false, &fixture.err));
	assert_later(number, &last_ns);
	assert_ok(message_move(fixture.txn, number, other, SLICE_LITERAL("other.eml"), &fixture.err));
	assert_later(number, &last_ns);
	assert_ok(message_set_mtime(fixture.txn, number, 6, &fixture.err)); /* long ago */
	assert_later(number, &last_ns);
	assert_ok(message_set_body(fixture.txn, number, 0, 99, NULL, NULL, &fixture.err));
	assert_later(number, &last_ns);
	fixture_commit();
}

static void
what_is_set_takes_a_modseq_only_when_it_changes(void **state)
{
	SCOPED(listing_finish) struct listing listing = {0};

	fixture_write();
	struct number number = fixture_message(fixture_mailbox("INBOX"), "x", NULL);
	struct modseq before = store_modseq(fixture.txn);

	for (int again = 0; again < 2; again++) {
		assert_ok(message_set_internaldate(fixture.txn, number, 5, &fixture.err));
		assert_ok(message_set_failed(fixture.txn, number, "it will not go", &fixture.err));
		assert_ok(message_set_hold(fixture.txn, number, 3, &fixture.err));
		assert_true(store_modseq(fixture.txn).value == before.value + 3);
	}
	assert_ok(message_set_mtime(fixture.txn, number, 6, &fixture.err));
	assert_ok(listing_load(fixture.txn, number, &listing, &fixture.err));
	SCOPED(message_finish) struct message message = load(number);

	assert_true(listing.mtime_s == 6 && message.internaldate_s == 5 && message.hold == 3);
	assert_int_equal(message.state, MESSAGE_FAILED);
	assert_string_equal(message.error, "it will not go");
	assert_true(message.modseq.value == store_modseq(fixture.txn).value);
	assert_ok(message_set_failed(fixture.txn, number, NULL, &fixture.err));
	SCOPED(message_finish) struct message well = load(number);

	assert_null(well.error);
	assert_int_equal(well.state, MESSAGE_PLAIN);
}

struct missing {
	uint64_t numbers[16];
	size_t count;
};

static bool
note_missing(void *context, struct number number, struct mailbox_id mailbox)
{
	struct missing *missing = context;

	missing->numbers[missing->count++] = number.value;
	return true;
}

static void
missing_bodies_come_newest_first_and_opened_mailboxes_before_others(void **state)
{
	struct missing missing = {0}, limited = {0}, recent = {0};

	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX"), other = fixture_mailbox("Another"),
			  opened = fixture_mailbox("Opened");
	const struct {
		struct mailbox_id mailbox;
		int64_t date_s;
	} messages[] = {{other, 50}, {inbox, 10}, {inbox, 30}, {inbox, 20}, {opened, 1}};

	assert_ok(mailbox_set_opened(fixture.txn, opened, 100, &fixture.err));
	for (size_t i = 0; i < ARRAY_LENGTH(messages); i++) {
		struct message_new new = {.mailbox = messages[i].mailbox, .internaldate_s = messages[i].date_s};
		struct number number;

		assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	}
	assert_ok(
		message_each_missing(fixture.txn, (struct mailbox_id){0}, 0, 16, note_missing, &missing, &fixture.err));
	assert_int_equal(missing.count, 5);
	const uint64_t wanted[] = {5, 3, 4, 2, 1};

	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(missing.numbers[i], wanted[i]);
	}
	assert_ok(message_each_missing(fixture.txn, inbox, 0, 2, note_missing, &limited, &fixture.err));
	assert_int_equal(limited.count, 2);
	assert_ok(
		message_each_missing(fixture.txn, (struct mailbox_id){0}, 30, 16, note_missing, &recent, &fixture.err));
	assert_int_equal(recent.count, 2);
}

/* --- a model --- */

#define MODEL_MAILBOXES 3
#define MODEL_MESSAGES  400

struct model {
	struct random random;
	struct mailbox_id mailboxes[MODEL_MAILBOXES];
	struct {
		bool live, given;
		int mailbox;
		uint32_t bits;
		char name[160];
	} messages[MODEL_MESSAGES + 1]; /* by number */
	uint64_t count;
};

static bool
model_taken(const struct model *model, int mailbox, const char *name, uint64_t but)
{
	for (uint64_t n = 1; n <= model->count; n++) {
		if (n != but && model->messages[n].live && model->messages[n].mailbox == mailbox &&
			strcmp(model->messages[n].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* Names from a small set, so that they meet; some look like made ones. */
static void
model_pick_name(struct model *model, char *out, size_t size)
{
	switch (random_below(&model->random, 3)) {
	case 0:
		(void)snprintf(out, size, "given %u.eml", (unsigned)random_below(&model->random, 20));
		break;
	case 1: {
		SCOPED(buf_finish) struct buf id = BUF_INIT;

		number_to_id((struct number){1 + random_below(&model->random, MODEL_MESSAGES)}, &id);
		(void)snprintf(out, size, "2026-11-03 0912 Ana Ruiz - s.%s.eml", id.data);
		break;
	}
	default: {
		uint64_t n = model->count > 0 ? 1 + random_below(&model->random, model->count) : 0;

		(void)snprintf(out, size, "%s",
			n > 0 && model->messages[n].name[0] != '\0' ? model->messages[n].name : "first.eml");
	}
	}
}

static void
model_note_name(struct model *model, uint64_t n)
{
	char *name = fixture_name((struct number){n});

	(void)snprintf(model->messages[n].name, sizeof(model->messages[n].name), "%s", name);
	free(name);
}

static void
model_create(struct model *model)
{
	struct envelope envelope = fixture_envelope("s");
	int mailbox = (int)random_below(&model->random, MODEL_MAILBOXES);
	char name[160] = "";
	struct number number;
	struct message_new new = {
		.mailbox = model->mailboxes[mailbox], .internaldate_s = 1793697120, .envelope = &envelope};

	if (model->count == MODEL_MESSAGES) {
		return;
	}
	if (random_below(&model->random, 2) == 0) {
		model_pick_name(model, name, sizeof(name));
		new.name = slice_of(name);
	}
	if (name[0] != '\0' && model_taken(model, mailbox, name, 0)) {
		assert_fails(message_create(fixture.txn, &new, &number, &fixture.err), ERROR_EXISTS);
		return;
	}
	assert_ok(message_create(fixture.txn, &new, &number, &fixture.err));
	assert_int_equal(number.value, ++model->count);
	model->messages[number.value].live = true;
	model->messages[number.value].mailbox = mailbox;
	model->messages[number.value].given = name[0] != '\0';
	model_note_name(model, number.value);
	assert_false(model_taken(model, mailbox, model->messages[number.value].name, number.value));
	if (name[0] != '\0') {
		assert_string_equal(model->messages[number.value].name, name);
	}
}

static void
model_move(struct model *model, uint64_t n)
{
	int to = (int)random_below(&model->random, MODEL_MAILBOXES);
	bool ask = random_below(&model->random, 2) == 0, here = model->messages[n].mailbox == to;
	char name[160] = "", before[160];

	(void)snprintf(before, sizeof(before), "%s", model->messages[n].name);
	if (ask) {
		model_pick_name(model, name, sizeof(name));
	}
	if (ask && model_taken(model, to, name, n)) {
		assert_fails(message_move(fixture.txn, (struct number){n}, model->mailboxes[to], slice_of(name),
				     &fixture.err),
			ERROR_EXISTS);
		return;
	}
	assert_ok(message_move(fixture.txn, (struct number){n}, model->mailboxes[to], slice_of(name), &fixture.err));
	model->messages[n].mailbox = to;
	model_note_name(model, n);
	assert_false(model_taken(model, to, model->messages[n].name, n));
	if (ask) {
		assert_string_equal(model->messages[n].name, name);
		model->messages[n].given = model->messages[n].given || !here || strcmp(before, name) != 0;
	} else if (here || !model_taken(model, to, before, n)) {
		assert_string_equal(model->messages[n].name, before);
	}
}

static void
model_rename(struct model *model, uint64_t n)
{
	char name[160];

	model_pick_name(model, name, sizeof(name));
	if (model_taken(model, model->messages[n].mailbox, name, n)) {
		assert_fails(
			message_rename(fixture.txn, (struct number){n}, slice_of(name), &fixture.err), ERROR_EXISTS);
		return;
	}
	assert_ok(message_rename(fixture.txn, (struct number){n}, slice_of(name), &fixture.err));
	(void)snprintf(model->messages[n].name, sizeof(model->messages[n].name), "%s", name);
}

static void
model_step(struct model *model)
{
	uint64_t n = model->count > 0 ? 1 + random_below(&model->random, model->count) : 0;
	struct flags flags = {.bits = (uint32_t)random_below(&model->random, FLAG_ALL + 1)};
	bool applied;

	if (n == 0 || random_below(&model->random, 4) == 0) {
		model_create(model);
	} else if (!model->messages[n].live) {
		int to = (int)random_below(&model->random, MODEL_MAILBOXES);

		assert_ok(message_revive(fixture.txn, (struct number){n}, model->mailboxes[to], &fixture.err));
		model->messages[n].live = true;
		model->messages[n].mailbox = to;
		model_note_name(model, n);
		assert_false(model_taken(model, to, model->messages[n].name, n));
	} else {
		switch (random_below(&model->random, 4)) {
		case 0:
			model_move(model, n);
			break;
		case 1:
			model_rename(model, n);
			break;
		case 2:
			assert_ok(message_set_flags(
				fixture.txn, (struct number){n}, &flags, (struct modseq){0}, &applied, &fixture.err));
			model->messages[n].bits = flags.bits;
			break;
		default:
			assert_ok(message_expunge(
				fixture.txn, (struct number){n}, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
			model->messages[n].live = false;
		}
	}
}

struct listed {
	const struct model *model;
	int mailbox;
	size_t count;
};

static bool
check_listed(void *context, const struct listing *listing)
{
	struct listed *listed = context;
	const struct model *model = listed->model;

	assert_true(model->messages[listing->number.value].live);
	assert_int_equal(model->messages[listing->number.value].mailbox, listed->mailbox);
	assert_true(slice_equal(listing->name, slice_of(model->messages[listing->number.value].name)));
	assert_int_equal(model->messages[listing->number.value].bits, listing->flags);
	listed->count++;
	return true;
}

static void
model_check(const struct model *model)
{
	for (int mailbox = 0; mailbox < MODEL_MAILBOXES; mailbox++) {
		struct listed listed = {.model = model, .mailbox = mailbox};
		SCOPED(mailbox_finish) struct mailbox row = {0};

		assert_ok(listing_each(fixture.txn, model->mailboxes[mailbox], 0, check_listed, &listed, &fixture.err));
		assert_ok(mailbox_load(fixture.txn, model->mailboxes[mailbox], &row, &fixture.err));
		assert_int_equal(row.messages, listed.count);
	}
	for (uint64_t n = 1; n <= model->count; n++) {
		if (model->messages[n].live) {
			assert_found(model->mailboxes[model->messages[n].mailbox], model->messages[n].name,
				(struct number){n});
		}
	}
}

static void
thousands_of_steps_agree_with_a_model(void **state)
{
	static struct model model;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		char name[8];

		memset(&model, 0, sizeof(model));
		random_seed(&model.random, seed);
		fixture_write();
		for (int i = 0; i < MODEL_MAILBOXES; i++) {
			(void)snprintf(name, sizeof(name), "M%d", i);
			model.mailboxes[i] = fixture_mailbox(name);
		}
		for (int step = 1; step <= 2000; step++) {
			model_step(&model);
			if (step % 50 == 0) {
				model_check(&model);
				fixture_commit();
				fixture_write();
			}
		}
		fixture_commit();
		fixture_audit();
		fixture_teardown(NULL);
		fixture_setup(NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_a_message_was_made_of_comes_back),
		test(a_message_without_its_header_is_not_listed_until_it_comes),
		test(a_listing_goes_in_the_order_of_uids_from_any_of_them),
		test(a_name_is_found_by_its_id_and_only_in_its_mailbox),
		test(a_given_name_is_kept_byte_for_byte),
		test(a_given_name_that_is_taken_is_refused),
		test(a_made_name_that_meets_a_given_one_repeats_its_id),
		test(a_made_name_that_meets_one_given_in_an_earlier_life_repeats_its_id),
		test(a_rename_gives_a_name_and_ends_the_old_one),
		test(a_base_name_ends_when_the_message_leaves_its_mailbox),
		test(what_nobody_has_looked_at_lies_in_new),
		test(a_base_name_outlives_another_time),
		test(flags_change_only_as_seen),
		test(the_time_of_the_last_change_moves_with_each_and_never_back),
		test(flags_of_a_tombstone_are_refused),
		test(a_move_keeps_number_name_flags_and_dates_and_takes_a_new_uid),
		test(a_move_keeps_a_given_name_if_it_is_free),
		test(a_message_whose_header_is_not_here_can_be_moved),
		test(an_expunged_message_is_a_tombstone_that_can_live_again),
		test(what_is_set_takes_a_modseq_only_when_it_changes),
		test(missing_bodies_come_newest_first_and_opened_mailboxes_before_others),
		test(thousands_of_steps_agree_with_a_model),
	};

	return cmocka_run_group_tests_name("store_message", tests, NULL, NULL);
}
