#include <inttypes.h>
#include <stdlib.h>

#include "tests/unit/assert_slice.h"
#include "tests/unit/imap_fake.h"

/* What a scan told, a line each. */
struct told {
	struct buf text;
	struct io *io;
};

static bool
on_selected(void *context, size_t request, const struct remote_selected *selected, struct error *err)
{
	struct told *told = context;

	(void)err;
	buf_printf(&told->text, "%zu selected %" PRIu32 "\n", request, selected->uidvalidity);
	return true;
}

static bool
on_flags(void *context, size_t request, uint32_t uid, const struct flags *flags, uint64_t modseq, struct error *err)
{
	struct told *told = context;

	(void)err;
	buf_printf(&told->text, "%zu flags %" PRIu32 " (", request, uid);
	flags_print_imap(flags, &told->text);
	buf_printf(&told->text, ") %" PRIu64 "\n", modseq);
	return true;
}

static bool
on_message(void *context, size_t request, struct remote_message *message, struct error *err)
{
	struct told *told = context;
	struct slice body;

	buf_printf(&told->text, "%zu message %" PRIu32 " guid=%.*s header=%zu", request, message->uid,
		message->guid.length, message->guid.value, message->header.length);
	if (message->body != NULL) {
		if (!spool_view(message->body, &body, err)) {
			return false;
		}
		buf_append_text(&told->text, " body=");
		buf_append(&told->text, body);
	}
	buf_append_octet(&told->text, '\n');
	return true;
}

static bool
on_gone(void *context, size_t request, const struct uidset *uids, struct error *err)
{
	struct told *told = context;

	(void)err;
	buf_printf(&told->text, "%zu gone ", request);
	uidset_print(uids, &told->text);
	buf_append_octet(&told->text, '\n');
	return true;
}

static bool
on_end(void *context, size_t request, enum remote_scan_state state, const struct remote_selected *selected,
	const char *reason, const struct error *failure, struct error *err)
{
	static const char *const names[] = {"ok", "rebuilt", "gone", "failed"};
	struct told *told = context;

	(void)err;
	buf_printf(&told->text, "%zu end %s", request, names[state]);
	if (state == REMOTE_SCAN_OK) {
		buf_printf(&told->text, " uidnext=%" PRIu32 " modseq=%" PRIu64 " exists=%" PRIu32, selected->uidnext,
			selected->highestmodseq, selected->exists);
	}
	buf_printf(&told->text, "%s%s\n", reason != NULL ? ": " : "", reason != NULL ? reason : "");
	assert_true((state == REMOTE_SCAN_FAILED) == (failure != NULL));
	return true;
}

/* Scans on a script, with a connection of its own; what it told, or the error, must be `lines`. */
static void
assert_scans(const char *script, const struct remote_scan_request *requests, size_t count, const char *lines)
{
	struct imap_fake *fake = imap_fake_start(script, NULL);
	struct remote *remote = imap_fake_remote(fake, NULL);
	struct remote_session *session = imap_fake_open(fake, remote);
	struct told told = {.io = imap_fake_io(fake)};
	const struct remote_scan_sink sink = {.selected = on_selected,
		.flags = on_flags,
		.message = on_message,
		.gone = on_gone,
		.end = on_end,
		.context = &told};
	struct error err;

	if (!remote->ops->scan(session, requests, count, &sink, &err)) {
		buf_printf(&told.text, "%s: %s\n", error_kind_name(err.kind), err.text);
		assert_false(remote->ops->alive(session));
	}
	remote->ops->close(&session);
	remote->ops->destroy(&remote);
	imap_fake_end(&fake);
	assert_slices(buf_slice(&told.text), slice_of(lines));
	buf_finish(&told.text);
}

static struct uidset known;

/* A mailbox of which 1 to 5 are known, as of modseq 10. */
static struct remote_scan_request
base(void)
{
	if (known.count == 0) {
		uidset_add(&known, 1, 5);
	}
	return (struct remote_scan_request){.raw_name = SLICE_LITERAL("a"),
		.uidvalidity = 7,
		.highestmodseq = 10,
		.uidnext = 6,
		.known = &known,
		.uidnext_hint = 6,
		.messages_hint = 5};
}

#define SELECT_A "C: m3 SELECT \"a\" (QRESYNC (7 10 1:5))\n"
#define META(n, uid)                 \
	"S: * " n " FETCH (UID " uid \
	" FLAGS () MODSEQ (21) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4 X-GUID g" uid
#define HEADER " BODY[HEADER.FIELDS (FROM TO SUBJECT DATE MESSAGE-ID)] \"From: a\")\n"

static void
nothing_new_takes_one_command(void **state)
{
	struct remote_scan_request request = base();

	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "5", "7", "6", "10") "S: m3 OK [READ-WRITE] x\n",
		&request, 1, "0 selected 7\n0 end ok uidnext=6 modseq=10 exists=5\n");
}

static void
the_sum_proves_what_vanished(void **state)
{
	struct remote_scan_request request = base();

	request.uidnext_hint = 0;
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A
		"C: m4 UID FETCH 6:* (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE X-GUID BODY.PEEK[HEADER.FIELDS (FROM "
		"TO SUBJECT DATE MESSAGE-ID)])\n" IMAP_FAKE_SELECTED(
			"5", "7", "8", "22") "S: * VANISHED (EARLIER) 1,4,900:4294967295\n"
					     "S: * 2 FETCH (UID 3 FLAGS (\\Seen Later) MODSEQ (20))\n"
					     "S: m3 OK x\n" META("4", "6") HEADER META("5", "7") HEADER "S: m4 OK x\n",
		&request, 1,
		"0 selected 7\n0 flags 3 (\\Seen Later) 20\n0 message 6 guid=g6 header=7\n0 message 7 guid=g7 "
		"header=7\n0 gone 1,4\n"
		"0 end ok uidnext=8 modseq=22 exists=5\n");
}

static void
a_false_vanished_removes_nothing(void **state)
{
	struct remote_scan_request request = base();

	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "5", "7", "6", "10") "S: * VANISHED (EARLIER) 1:5\n"
						  "S: m3 OK x\n"
						  "C: m4 UID SEARCH RETURN (ALL) UID 1:*\n"
						  "S: * ESEARCH (TAG \"m4\") UID ALL 1:5\n"
						  "S: m4 OK x\n",
		&request, 1, "0 selected 7\n0 end ok uidnext=6 modseq=10 exists=5\n");
}

static void
without_a_complete_listing_nothing_is_gone(void **state)
{
	struct remote_scan_request request = base();

	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "4", "7", "6", "10") "S: m3 OK x\n"
						  "C: m4 UID SEARCH RETURN (ALL) UID 1:*\n"
						  "S: * ESEARCH (TAG \"m4\") UID ALL 1:3\n"
						  "S: m4 OK x\n"
						  "C: m5 UID SEARCH RETURN (ALL) UID 1:*\n"
						  "S: * ESEARCH (TAG \"m5\") UID ALL 1:4\n"
						  "S: m5 OK [MESSAGELIMIT 1000] x\n",
		&request, 1, "0 selected 7\n0 end ok uidnext=6 modseq=10 exists=4: the server lists 4 of 4 messages\n");
}

static void
a_limited_listing_goes_on_below(void **state)
{
	struct remote_scan_request request = base();

	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "4", "7", "6", "10") "S: m3 OK x\n"
						  "C: m4 UID SEARCH RETURN (ALL) UID 1:*\n"
						  "S: * ESEARCH (TAG \"m4\") UID ALL 4:5\n"
						  "S: m4 OK [MESSAGELIMIT 2 4] x\n"
						  "C: m5 UID SEARCH RETURN (ALL) UID 1:3\n"
						  "S: * ESEARCH (TAG \"m5\") UID ALL 1:2\n"
						  "S: m5 OK x\n",
		&request, 1, "0 selected 7\n0 gone 3\n0 end ok uidnext=6 modseq=10 exists=4\n");
}

static void
what_came_since_the_account_check_is_asked_for_first(void **state)
{
	struct remote_scan_request request = base();

	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "5", "7", "7", "21") "S: * VANISHED (EARLIER) 2\nS: m3 OK x\n"
						  "C: m4 UID FETCH 6:* ~\n" META("5", "6") HEADER "S: m4 OK x\n",
		&request, 1,
		"0 selected 7\n0 message 6 guid=g6 header=7\n0 gone 2\n0 end ok uidnext=7 modseq=21 exists=5\n");
}

static void
flags_of_what_we_brought_there_ourselves_are_told(void **state)
{
	SCOPED(uidset_finish) struct uidset more = UIDSET_INIT;
	struct remote_scan_request request = base();

	/* 6 was moved there by us behind the last scan, and flagged by another since */
	uidset_add(&more, 1, 6);
	request.known = &more;
	request.uidnext_hint = 7;
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A "C: m4 UID FETCH 6:* ~\n" IMAP_FAKE_SELECTED(
			     "6", "7", "7", "21") "S: m3 OK x\n" META("6", "6") HEADER "S: m4 OK x\n",
		&request, 1, "0 selected 7\n0 flags 6 () 21\n0 end ok uidnext=7 modseq=21 exists=6\n");
	/* the account check was older than our move */
	request.uidnext_hint = 6;
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "6", "7", "7", "21") "S: m3 OK x\n"
						  "C: m4 UID FETCH 6:* ~\n" META("6", "6") HEADER "S: m4 OK x\n",
		&request, 1, "0 selected 7\n0 flags 6 () 21\n0 end ok uidnext=7 modseq=21 exists=6\n");
}

static void
an_unexplained_absence_is_proven_by_a_listing(void **state)
{
	struct remote_scan_request request = base();

	/* 2 and 5 went, and one came that the account check did not know of */
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "4", "7", "9", "10") "S: m3 OK x\n"
						  "C: m4 UID FETCH 6:* ~\n" META("4", "8") HEADER
		"S: m4 OK x\n"
		"C: m5 UID SEARCH RETURN (ALL) UID 1:*\n"
		"S: * ESEARCH (TAG \"m5\") UID ALL 1,3:4,8\n"
		"S: m5 OK x\n",
		&request, 1,
		"0 selected 7\n0 message 8 guid=g8 header=7\n0 gone 2,5\n0 end ok uidnext=9 modseq=10 exists=4\n");
}

static void
a_plain_expunge_needs_a_listing(void **state)
{
	struct remote_scan_request request = base();

	assert_scans(
		IMAP_FAKE_LOGIN(
			"IMAP4rev1 CONDSTORE UNSELECT") "C: m2 SELECT \"a\" (CONDSTORE)\n"
							"C: m3 UID FETCH 1:5 (UID FLAGS) (CHANGEDSINCE "
							"10)\n" IMAP_FAKE_SELECTED("5", "7", "6",
								"12") "S: m2 OK x\n"
								      "S: * 3 FETCH (FLAGS "
								      "(\\Seen))\n" /* without a UID it tells nothing */
								      "S: * 2 EXPUNGE\n"
								      "S: * 2 FETCH (UID 3 FLAGS "
								      "(\\Seen) MODSEQ (12))\n"
								      "S: m3 OK x\n"
								      "C: m4 UID SEARCH UID 1:*\n"
								      "S: * SEARCH 1 3 4 5\n"
								      "S: m4 OK x\n",
		&request, 1, "0 selected 7\n0 flags 3 (\\Seen) 12\n0 gone 2\n0 end ok uidnext=6 modseq=12 exists=4\n");
}

static void
without_mod_sequences_flags_are_compared(void **state)
{
	struct remote_scan_request request = base();

	request.highestmodseq = 0;
	assert_scans(
		IMAP_FAKE_LOGIN("IMAP4rev1") "C: m2 SELECT \"a\"\nC: m3 UID FETCH 1:5 (UID FLAGS)\n" IMAP_FAKE_SELECTED(
			"5", "7", "6", "0") "S: m2 OK x\n"
					    "S: * 1 FETCH (UID 1 FLAGS (\\Seen))\n"
					    "S: * 2 FETCH (UID 2 FLAGS ())\n"
					    "S: m3 OK x\n",
		&request, 1,
		"0 selected 7\n0 flags 1 (\\Seen) 0\n0 flags 2 () 0\n0 end ok uidnext=6 modseq=0 exists=5\n");
}

static void
a_full_scan_misses_what_is_not_listed(void **state)
{
	struct remote_scan_request request = base();

	request.full = true;
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE
		"C: m3 SELECT \"a\"\nC: m4 UID FETCH 1:5 (UID FLAGS MODSEQ)\n" IMAP_FAKE_SELECTED(
			"3", "7", "6", "10") "S: m3 OK x\n"
					     "S: * 1 FETCH (UID 1 FLAGS () MODSEQ (5))\nS: * 2 FETCH (UID 3 FLAGS () "
					     "MODSEQ (5))\nS: * 3 FETCH (UID 5 FLAGS () MODSEQ (5))\n"
					     "S: m4 OK x\n",
		&request, 1,
		"0 selected 7\n0 flags 1 () 5\n0 flags 3 () 5\n0 flags 5 () 5\n0 gone 2,4\n0 end ok uidnext=6 "
		"modseq=10 exists=3\n");
}

static void
assert_rebuilt(const char *selected, const char *identity, const struct remote_newest *newest, const char *reason)
{
	SCOPED(buf_finish) struct buf script = BUF_INIT;
	SCOPED(buf_finish) struct buf lines = BUF_INIT;
	struct remote_scan_request request = base();

	if (newest != NULL) {
		request.newest = *newest;
	}
	buf_printf(&script, "%s%s%s%s%s%s", IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A,
		newest != NULL ? "C: m4 UID FETCH 2,5 (UID MODSEQ INTERNALDATE RFC822.SIZE X-GUID)\n" : "", selected,
		"S: m3 OK x\n", newest != NULL ? identity : "", newest != NULL ? "S: m4 OK x\n" : "");
	buf_printf(&lines, "%s%s%s",
		reason != NULL ? "0 end rebuilt: " : "0 selected 7\n0 end ok uidnext=6 modseq=10 exists=5",
		reason != NULL ? reason : "", "\n");
	assert_scans(script.data, &request, 1, lines.data);
}

static void
a_server_that_was_restored_is_known(void **state)
{
	struct remote_newest newest = {.uid = 5,
		.guid = {.kind = GUID_X_GUID, .length = 2, .value = "g5"},
		.internaldate_s = 837596665,
		.size_bytes = 4,
		.changed_uid = 2,
		.changed_modseq = 9};
	const char *same =
		"S: * 2 FETCH (UID 2 MODSEQ (9))\n"
		"S: * 5 FETCH (UID 5 MODSEQ (3) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4 X-GUID g5)\n";
	const char *fine = IMAP_FAKE_SELECTED("5", "7", "6", "10");

	assert_rebuilt(IMAP_FAKE_SELECTED("5", "8", "6", "10"), "", NULL, "UIDVALIDITY is 8 and was 7");
	assert_rebuilt(IMAP_FAKE_SELECTED("5", "7", "5", "10"), "", NULL, "UIDNEXT is 5 and was 6");
	assert_rebuilt(IMAP_FAKE_SELECTED("5", "7", "6", "9"), "", NULL, "HIGHESTMODSEQ is 9 and was 10");
	assert_rebuilt(fine, same, &newest, NULL);
	assert_rebuilt(fine, "S: * 2 FETCH (UID 2 MODSEQ (8))\n", &newest, "the MODSEQ of a message is 8 and was 9");
	assert_rebuilt(fine,
		"S: * 5 FETCH (UID 5 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4 X-GUID other)\n",
		&newest, "UID 5 is another message");
	newest.guid.kind = GUID_NONE;
	assert_rebuilt(fine, same, &newest, NULL);
	assert_rebuilt(fine, "S: * 5 FETCH (UID 5 INTERNALDATE \"18-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4)\n",
		&newest, "UID 5 is another message");
	assert_rebuilt(fine, "S: * 5 FETCH (UID 5 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 5)\n",
		&newest, "UID 5 is another message");
}

static void
mailboxes_that_cannot_be_are_told(void **state)
{
	struct remote_scan_request request = base();

	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A "S: m3 NO [NONEXISTENT] none\n", &request, 1,
		"0 end gone: the server refused SELECT: [NONEXISTENT] none\n");
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A "S: m3 NO Mailbox doesn't exist: a\n", &request, 1,
		"0 end gone: the server refused SELECT: Mailbox doesn't exist: a\n");
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A "S: m3 NO [NOPERM] no\n", &request, 1,
		"0 end failed: the server refused SELECT: [NOPERM] no\n");
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "5", "7", "6", "10") "S: * OK [UIDNOTSTICKY] x\nS: m3 OK x\n",
		&request, 1, "0 end failed: the server keeps no lasting UIDs for this mailbox\n");
}

static void
a_server_that_refuses_qresync_gets_the_next_rung(void **state)
{
	struct remote_scan_request request = base();

	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A
		"S: m3 BAD what\n"
		"C: m4 SELECT \"a\" (CONDSTORE)\n"
		"C: m5 UID FETCH 1:5 (UID FLAGS) (CHANGEDSINCE 10)\n" IMAP_FAKE_SELECTED(
			"5", "7", "6", "11") "S: m4 OK x\n"
					     "S: * 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (11))\n"
					     "S: m5 OK x\n",
		&request, 1, "0 selected 7\n0 flags 1 (\\Seen) 11\n0 end ok uidnext=6 modseq=11 exists=5\n");
}

static void
several_mailboxes_are_one_flight_and_their_bodies_the_next(void **state)
{
	struct remote_scan_request requests[3] = {base(), base(), base()};

	requests[1].raw_name = SLICE_LITERAL("b");
	requests[2].raw_name = SLICE_LITERAL("c");
	for (size_t i = 0; i < 3; i++) {
		requests[i].bodies = true;
		requests[i].body_size_max = 100;
		requests[i].uidnext_hint = i == 1 ? 6 : 7;
		requests[i].messages_hint = 6;
	}
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A
		"C: m4 UID FETCH 6:* (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE X-GUID)\n"
		"C: m5 SELECT \"b\" (QRESYNC (7 10 1:5))\n"
		"C: m6 SELECT \"c\" (QRESYNC (7 10 1:5))\n"
		"C: m7 UID FETCH 6:* (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE X-GUID)\n" IMAP_FAKE_SELECTED(
			"6", "7", "7", "21") "S: m3 OK x\n" META("6",
			"6") ")\nS: m4 OK x\n"
			     "S: * 1 FETCH (UID 1 FLAGS (\\Deleted) MODSEQ (99))\n" /* still of the first, until it is closed */
			     "S: * OK [CLOSED] x\n" IMAP_FAKE_SELECTED("5", "7", "6",
				     "10") "S: m5 OK x\n"
					   "S: * OK [CLOSED] x\n" IMAP_FAKE_SELECTED(
						   "6", "7", "7", "21") "S: m6 OK x\n" META("6",
						   "6") ")\nS: m7 OK x\n"
							"C: m8 SELECT \"a\"\n"
							"C: m9 UID FETCH 6 (UID BODY.PEEK[])\n"
							"C: m10 SELECT \"c\"\n"
							"C: m11 UID FETCH 6 (UID BODY.PEEK[])\n"
							"S: * OK [CLOSED] x\n" IMAP_FAKE_SELECTED("6", "7", "7",
								"21") "S: m8 OK x\n"
								      "R: * 6 FETCH (UID 6 BODY[] "
								      "{4}\\r\\nbody)\\r\\n\nS: m9 OK x\n"
								      "S: * OK [CLOSED] x\n" IMAP_FAKE_SELECTED("6",
									      "7", "7",
									      "21") "S: m10 OK x\n"
										    "R: * 6 FETCH (UID 6 BODY[] "
										    "{4}\\r\\nBODY)\\r\\n\nS: m11 OK "
										    "x\n",
		requests, 3,
		"0 selected 7\n0 message 6 guid=g6 header=0 body=body\n0 end ok uidnext=7 modseq=21 exists=6\n"
		"1 selected 7\n1 end ok uidnext=6 modseq=10 exists=5\n"
		"2 selected 7\n2 message 6 guid=g6 header=0 body=BODY\n2 end ok uidnext=7 modseq=21 exists=6\n");
}

#define VANISHING                                          \
	"C: m5 UID FETCH 6:9 (UID BODY.PEEK[])\n"          \
	"R: * 6 FETCH (UID 6 BODY[] {3}\\r\\nsix)\\r\\n\n" \
	"S: * VANISHED 7:8\n"                              \
	"R: * 7 FETCH (UID 9 BODY[] {4}\\r\\nnine)\\r\\n\nS: m5 OK x\n"

/* What vanishes while bodies are fetched is not told of as new, be its body here already, on the way, or not to be had. */
static void
what_vanishes_while_bodies_come_is_forgotten(void **state)
{
	struct remote_scan_request request = base();

	request.bodies = true;
	request.body_size_max = 100;
	request.uidnext_hint = 10;
	request.messages_hint = 9;
	for (int alone = 0; alone < 2; alone++) {
		request.messages_hint = alone ? 0 : 9;
		request.uidnext_hint = alone ? 10000 : 10; /* so many are expected that the mailbox goes alone */
		assert_scans(alone ? IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED("9", "7", "10",
					     "21") "S: m3 OK x\nC: m4 UID FETCH 6:* ~\n" META("6", "6") ")\n" META("7",
					     "7") ")\n" META("8", "8") ")\n" META("9", "9") ")\nS: m4 OK x\n" VANISHING
				   : IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A
				     "C: m4 UID FETCH 6:* ~\n" IMAP_FAKE_SELECTED(
					     "9", "7", "10", "21") "S: m3 OK x\n" META("6", "6") ")\n" META("7",
					     "7") ")\n" META("8", "8") ")\n" META("9", "9") ")\nS: m4 OK x\n" VANISHING,
			&request, 1,
			"0 selected 7\n0 message 6 guid=g6 header=0 body=six\n0 message 9 guid=g9 header=0 body=nine\n"
			"0 end ok uidnext=10 modseq=21 exists=7\n");
	}
}

static void
a_body_is_searched_for_by_halves_and_its_mailbox_keeps_its_turn(void **state)
{
	struct remote_scan_request requests[2] = {base(), base()};

	requests[1].raw_name = SLICE_LITERAL("b");
	for (size_t i = 0; i < 2; i++) {
		requests[i].bodies = true;
		requests[i].body_size_max = 100;
		requests[i].uidnext_hint = i == 0 ? 8 : 7;
		requests[i].messages_hint = 9;
	}
	/* the first mailbox's set is refused while the second mailbox is on the way: that is taken back, and asked again */
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A
		"C: m4 UID FETCH 6:* ~\nC: m5 SELECT \"b\" ~\nC: m6 UID FETCH 6:* ~\n" IMAP_FAKE_SELECTED(
			"7", "7", "8", "21") "S: m3 OK x\n" META("6", "6") ")\n" META("7",
			"7") ")\nS: m4 OK x\n"
			     "S: * OK [CLOSED] x\n" IMAP_FAKE_SELECTED("6", "7", "7", "21") "S: m5 OK x\n" META("6",
				     "6") ")\nS: m6 OK x\n"
					  "C: m7 SELECT \"a\"\nC: m8 UID FETCH 6:7 (UID BODY.PEEK[])\nC: m9 SELECT "
					  "\"b\"\nC: m10 UID FETCH 6 (UID BODY.PEEK[])\n" IMAP_FAKE_SELECTED("7", "7",
						  "8", "21") "S: m7 OK x\nS: m8 NO [SERVERBUG] "
							     "broken\n" IMAP_FAKE_SELECTED("6", "7", "7",
								     "21") "S: m9 OK x\nR: * 6 FETCH (UID 6 BODY[] "
									   "{3}\\r\\ntoo)\\r\\n\nS: m10 OK x\n"
									   "C: m11 SELECT \"a\"\nC: m12 UID FETCH 6:7 "
									   "(UID BODY.PEEK[])\n" IMAP_FAKE_SELECTED("7",
										   "7", "8",
										   "21") "S: m11 OK x\nS: m12 NO "
											 "[SERVERBUG] broken\n"
											 "C: m13 UID FETCH 6 (UID "
											 "BODY.PEEK[])\nC: m14 UID "
											 "FETCH 7 (UID BODY.PEEK[])\n"
											 "S: m13 NO [SERVERBUG] "
											 "broken\nR: * 7 FETCH (UID 7 "
											 "BODY[] "
											 "{4}\\r\\nfine)\\r\\n\nS: m14 "
											 "OK x\n"
											 "C: m15 SELECT \"b\"\nC: m16 "
											 "UID FETCH 6 (UID "
											 "BODY.PEEK[])"
											 "\n" IMAP_FAKE_SELECTED("6",
												 "7", "7",
												 "21") "S: m15 OK "
												       "x\nR: * 6 "
												       "FETCH (UID 6 "
												       "BODY[] "
												       "{3}\\r\\ntoo)"
												       "\\r\\n\nS: m16 "
												       "OK x\n",
		requests, 2,
		"0 selected 7\n0 message 6 guid=g6 header=0\n0 message 7 guid=g7 header=0 body=fine\n0 end ok "
		"uidnext=8 modseq=21 exists=7\n"
		"1 selected 7\n1 message 6 guid=g6 header=0 body=too\n1 end ok uidnext=7 modseq=21 exists=6\n");
}

static void
a_lost_nul_is_fetched_by_binary(void **state)
{
	struct remote_scan_request request = base();

	request.bodies = true;
	request.body_size_max = 100;
	request.uidnext_hint = 9;
	request.messages_hint = 8;
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A
		"C: m4 UID FETCH 6:* ~\n" IMAP_FAKE_SELECTED("8", "7", "9", "21") "S: m3 OK x\n" META(
			"6", "6") ")\n" META("7", "7") ")\n" META("8",
			"8") ")\nS: m4 OK x\n"
			     "C: m5 UID FETCH 6:8 (UID BODY.PEEK[])\n"
			     "R: * 6 FETCH (UID 6 BODY[] {6}\\r\\na\xe2\x82\xac\xc2\x80)\\r\\n\n" /* UTF-8 may hold that octet */
			     "R: * 7 FETCH (UID 7 BODY[] {3}\\r\\na\x80!)\\r\\n\n"
			     "R: * 8 FETCH (UID 8 BODY[] {4}\\r\\nb\x80==)\\r\\n\n"
			     "S: m5 OK x\n"
			     "C: m6 UID FETCH 8 (UID BINARY.PEEK[])\n"
			     "C: m7 UID FETCH 7 (UID BINARY.PEEK[])\n"
			     "R: * 8 FETCH (UID 8 BINARY[] ~{2}\\r\\nb\\0)\\r\\n\n" /* that is decoded, and not what was stored */
			     "S: m6 OK x\n"
			     "R: * 7 FETCH (UID 7 BINARY[] ~{3}\\r\\na_!)\\r\\n\n" /* and that is something else */
			     "S: m7 OK x\n",
		&request, 1,
		"0 selected 7\n0 message 6 guid=g6 header=0 body=a\xe2\x82\xac\xc2\x80\n0 message 8 guid=g8 header=0 "
		"body=b\x80==\n"
		"0 message 7 guid=g7 header=0 body=a\x80!\n0 end ok uidnext=9 modseq=21 exists=8\n");
}

static void
an_id_that_the_server_does_not_know_is_not_asked_again(void **state)
{
	struct remote_scan_request request = base();

	request.uidnext_hint = 7;
	request.messages_hint = 6;
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A
		"C: m4 UID FETCH 6:* (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE X-GUID ~\n" IMAP_FAKE_SELECTED("6", "7",
			"7", "21") "S: m3 OK x\nS: m4 BAD X-GUID?\n"
				   "C: m5 UID SEARCH ~\nS: * ESEARCH (TAG \"m5\") UID ALL 1:6\nS: m5 OK x\n"
				   "C: m6 UID FETCH 6 (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER~\n"
				   "S: * 6 FETCH (UID 6 FLAGS () MODSEQ (21) INTERNALDATE \"17-Jul-1996 02:44:25 "
				   "-0700\" RFC822.SIZE 4" HEADER "S: m6 OK x\n",
		&request, 1, "0 selected 7\n0 message 6 guid= header=7\n0 end ok uidnext=7 modseq=21 exists=6\n");
}

static void
what_breaks_the_session_is_told(void **state)
{
	struct remote_scan_request request = base();

	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "5", "7", "6", "10") "R: * 1 FETCH (UID 1 BODY[] {100}\\r\\nabc\nX:\n",
		&request, 1, "retry: waiting for the answer to SELECT: the other side closed the connection\n");
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "5", "7", "6", "10") "S: * BYE idle for too long\nX:\n",
		&request, 1, "retry: the server hung up on the session: idle for too long\n");
	assert_scans(
		IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED("5", "7", "6", "10") "S: * VANISHED 1:9\n",
		&request, 1, "retry: the server expunged 9 messages of 5\n");
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A IMAP_FAKE_SELECTED(
			     "5", "7", "6", "10") "S: * VANISHED (EARLIER) 5:1x\n",
		&request, 1, "retry: the server sent a VANISHED response whose UIDs cannot be read\n");
}

static void
a_first_listing_is_streamed_in_slices(void **state)
{
	struct remote_scan_request request = {.raw_name = SLICE_LITERAL("a"), .bodies = true, .body_size_max = 3};

	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE
		"C: m3 SELECT \"a\"\n" IMAP_FAKE_SELECTED("2", "7", "900",
			"21") "S: m3 OK x\n"
			      "C: m4 UID SEARCH RETURN (ALL) UID 1:*\nS: * ESEARCH (TAG \"m4\") UID ALL 100,899\nS: m4 "
			      "OK x\n"
			      "C: m5 UID FETCH 100,899 (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE X-GUID)\n" META(
				      "1", "100") ")\n"
						  "S: * 2 FETCH (UID 899 FLAGS () MODSEQ (21) INTERNALDATE "
						  "\"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 3 X-GUID g)\nS: m5 OK x\n"
						  "C: m6 UID FETCH 899 (UID BODY.PEEK[])\n"
						  "C: m7 UID FETCH 100 (UID BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT "
						  "DATE MESSAGE-ID)])\n"
						  "S: * 1 FETCH (UID 100" HEADER /* the server mixes them */
						  "R: * 2 FETCH (UID 899 BODY[] {3}\\r\\nabc)\\r\\n\n"
						  "S: m6 OK x\nS: m7 OK x\n",
		&request, 1,
		"0 selected 7\n0 message 100 guid=g100 header=7\n0 message 899 guid=g header=0 body=abc\n0 end ok "
		"uidnext=900 modseq=21 exists=2\n");
}

static void
a_message_that_was_listed_and_did_not_come_is_not_counted(void **state)
{
	struct remote_scan_request request = base();

	request.bodies = true;
	request.body_size_max = 100;
	request.uidnext_hint = 8;
	request.messages_hint = 7;
	assert_scans(IMAP_FAKE_IN IMAP_FAKE_ENABLE SELECT_A
		"C: m4 UID FETCH 6:* ~\n" IMAP_FAKE_SELECTED("7", "7", "8", "21") "S: m3 OK x\n" META(
			"6", "6") ")\n" META("7", "7") ")\nS: m4 OK x\n"
						       "C: m5 UID FETCH 6:7 (UID BODY.PEEK[])\nS: * 6 FETCH (UID 6 "
						       "BODY[] NIL)\nS: m5 OK [EXPUNGEISSUED] x\n",
		&request, 1, "0 selected 7\n0 end ok uidnext=8 modseq=21 exists=5\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_new_takes_one_command),
		cmocka_unit_test(the_sum_proves_what_vanished),
		cmocka_unit_test(a_false_vanished_removes_nothing),
		cmocka_unit_test(without_a_complete_listing_nothing_is_gone),
		cmocka_unit_test(a_limited_listing_goes_on_below),
		cmocka_unit_test(what_came_since_the_account_check_is_asked_for_first),
		cmocka_unit_test(flags_of_what_we_brought_there_ourselves_are_told),
		cmocka_unit_test(an_unexplained_absence_is_proven_by_a_listing),
		cmocka_unit_test(a_plain_expunge_needs_a_listing),
		cmocka_unit_test(without_mod_sequences_flags_are_compared),
		cmocka_unit_test(a_full_scan_misses_what_is_not_listed),
		cmocka_unit_test(a_server_that_was_restored_is_known),
		cmocka_unit_test(mailboxes_that_cannot_be_are_told),
		cmocka_unit_test(a_server_that_refuses_qresync_gets_the_next_rung),
		cmocka_unit_test(what_vanishes_while_bodies_come_is_forgotten),
		cmocka_unit_test(several_mailboxes_are_one_flight_and_their_bodies_the_next),
		cmocka_unit_test(a_body_is_searched_for_by_halves_and_its_mailbox_keeps_its_turn),
		cmocka_unit_test(a_lost_nul_is_fetched_by_binary),
		cmocka_unit_test(an_id_that_the_server_does_not_know_is_not_asked_again),
		cmocka_unit_test(what_breaks_the_session_is_told),
		cmocka_unit_test(a_first_listing_is_streamed_in_slices),
		cmocka_unit_test(a_message_that_was_listed_and_did_not_come_is_not_counted),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	uidset_finish(&known);
	return failed;
}
