#include <inttypes.h>

#include "tests/unit/assert_slice.h"
#include "tests/unit/imap_fake.h"

struct told {
	struct buf text;
};

static bool
on_mailbox(void *context, const struct remote_mailbox *mailbox, struct error *err)
{
	struct told *told = context;

	(void)err;
	buf_append(&told->text, mailbox->raw_name);
	buf_printf(&told->text, " %c %" PRIu32 " %s", mailbox->separator != '\0' ? mailbox->separator : '0',
		mailbox->attributes, mailbox->role != NULL ? mailbox->role : "-");
	if (mailbox->has_status) {
		buf_printf(&told->text, " %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu32, mailbox->uidvalidity,
			mailbox->uidnext, mailbox->highestmodseq, mailbox->messages);
	}
	if (mailbox->prefix.length > 0) {
		buf_append_text(&told->text, " behind ");
		buf_append(&told->text, mailbox->prefix);
	}
	buf_printf(&told->text, " id%d:%.*s\n", mailbox->id.kind, mailbox->id.length, mailbox->id.value);
	return true;
}

/* Lists `times` times on a script; each must tell `lines`, or the last the error. `remembered` is INBOX's id from earlier, or NULL. */
static void
assert_lists(const char *script, const char *remembered, int times, const char *lines)
{
	struct imap_fake *fake = imap_fake_start(script, NULL);
	struct remote *remote = imap_fake_remote(fake, NULL);
	struct remote_session *session = imap_fake_open(fake, remote);
	SCOPED(buf_finish) struct buf all = BUF_INIT;
	struct told told = {.text = BUF_INIT};
	struct error err;

	if (remembered != NULL) {
		struct guid id = {.kind = GUID_X_GUID, .length = (uint8_t)strlen(remembered)};

		memcpy(id.value, remembered, strlen(remembered));
		remote->ops->remember(remote, SLICE_LITERAL("INBOX"), 5, &id);
	}
	for (int i = 0; i < times; i++) {
		buf_append_text(&all, lines);
		if (!remote->ops->list(session, on_mailbox, &told, &err)) {
			buf_printf(&told.text, "%s: %s\n", error_kind_name(err.kind), err.text);
		}
	}
	remote->ops->close(&session);
	remote->ops->destroy(&remote);
	imap_fake_end(&fake);
	assert_slices(buf_slice(&told.text), buf_slice(&all));
	buf_finish(&told.text);
}

#define RETURNS "LIST \"\" \"*\" RETURN (SPECIAL-USE SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ"
#define INBOX_ROW \
	"S: * LIST (\\Subscribed) \"/\" INBOX\nS: * STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 5 HIGHESTMODSEQ 12"

static void
ids_are_asked_once(void **state)
{
	assert_lists(IMAP_FAKE_IN IMAP_FAKE_ENABLE
		"C: m3 " RETURNS " X-GUID))\n" INBOX_ROW " X-GUID abc)\n"
		"S: * LIST (\\HasChildren \\Trash) \"/\" Bin\nS: * LIST (\\Noselect) \"/\" \"a b\"\nS: * STATUS Bin "
		"(MESSAGES 0 UIDNEXT 1 UIDVALIDITY 6 "
		"HIGHESTMODSEQ 1 X-GUID def)\nS: m3 OK x\n"
		"C: m4 " RETURNS "))\n" INBOX_ROW ")\n"
		"S: * LIST (\\Trash) \"/\" Bin\nS: * STATUS Bin (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 6 HIGHESTMODSEQ 1)\n"
		"S: * LIST (\\Noselect) \"/\" \"a b\"\nS: m4 OK x\n",
		NULL, 2, "Bin / 0 trash 6 1 1 0 id1:def\nINBOX / 4 inbox 5 9 12 3 id1:abc\na b / 1 - id0:\n");
}

#define PLAIN_LIST "LIST \"\" \"*\""
#define PLAIN_LSUB "LSUB \"\" \"*\""

/* The question goes out with the first command; a server that mixes its answers is understood all the same. */
static void
the_namespace_is_asked_once_and_in_no_flight_of_its_own(void **state)
{
	static const struct {
		const char *answer, *told;
	} cases[] = {
		{"S: * NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) ((\"\" \".\"))\n", " behind INBOX."},
		{"S: * NAMESPACE ((\"\" \"/\")(\"#mh/\" \"/\" \"X\" (\"A\" \"B\"))) NIL NIL\n", ""},
		{"S: * NAMESPACE ((INBOX/ \"/\" \"X-P\" (\"a\"))) NIL NIL\n", " behind INBOX/"},
		{"S: * NAMESPACE NIL NIL ((\"x/\" \"/\"))\n", ""},
		{"", ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(buf_finish) struct buf script = BUF_INIT, lines = BUF_INIT;

		buf_printf(&script,
			IMAP_FAKE_LOGIN("IMAP4rev1 NAMESPACE") "C: m2 NAMESPACE\nC: m3 " PLAIN_LIST
							       "\nC: m4 " PLAIN_LSUB
							       "\nS: * LIST () \".\" INBOX\n%sS: m2 OK x\n"
							       "S: m3 OK x\nS: m4 OK x\nC: m5 STATUS \"INBOX\" (~\n"
							       "S: m5 OK x\nC: m6 " PLAIN_LIST "\nC: m7 " PLAIN_LSUB
							       "\nS: * LIST () \".\" INBOX\nS: m6 OK x\nS: m7 OK x\n"
							       "C: m8 STATUS \"INBOX\" (~\nS: m8 OK x\n",
			cases[i].answer);
		buf_printf(&lines, "INBOX . 0 inbox%s id0:\n", cases[i].told);
		assert_lists(script.data, NULL, 2, lines.data);
	}
}

static void
what_an_earlier_process_knew_is_not_asked(void **state)
{
	assert_lists(IMAP_FAKE_IN IMAP_FAKE_ENABLE "C: m3 " RETURNS "))\n" INBOX_ROW ")\nS: m3 OK x\n", "abc", 1,
		"INBOX / 4 inbox 5 9 12 3 id1:abc\n");
	/* another UIDVALIDITY is another mailbox */
	assert_lists(IMAP_FAKE_IN IMAP_FAKE_ENABLE "C: m3 " RETURNS "))\n"
						   "S: * LIST () \"/\" INBOX\nS: * STATUS INBOX (MESSAGES 3 UIDNEXT 9 "
						   "UIDVALIDITY 6 HIGHESTMODSEQ 12)\nS: m3 OK x\n"
						   "C: m4 " RETURNS " X-GUID))\n"
						   "S: * LIST () \"/\" INBOX\nS: * STATUS INBOX (MESSAGES 3 UIDNEXT 9 "
						   "UIDVALIDITY 6 HIGHESTMODSEQ 12 X-GUID new)\nS: m4 OK x\n",
		"abc", 1, "INBOX / 0 inbox 6 9 12 3 id1:new\n");
}

static void
mailboxids_come_in_a_listing_of_their_own(void **state)
{
	assert_lists("S: * OK [CAPABILITY IMAP4rev1] Cyrus\nC: m1 LOGIN \"u\" \"p\"\n"
		     "S: m1 OK [CAPABILITY IMAP4rev1 LIST-STATUS SPECIAL-USE CONDSTORE OBJECTID] in\n"
		     "C: m2 " RETURNS "))\n"
		     "C: m3 LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))\n" INBOX_ROW ")\nS: m2 OK x\n"
		     "S: * LIST () \"/\" INBOX\nS: * STATUS INBOX (MAILBOXID (F-1))\nS: m3 OK x\n",
		NULL, 1, "INBOX / 4 inbox 5 9 12 3 id4:F-1\n");
	/* one that cannot be is none */
	assert_lists(
		"S: * OK [CAPABILITY IMAP4rev1] Cyrus\nC: m1 LOGIN \"u\" \"p\"\n"
		"S: m1 OK [CAPABILITY IMAP4rev1 LIST-STATUS SPECIAL-USE CONDSTORE OBJECTID] in\n"
		"C: m2 " RETURNS "))\n"
		"C: m3 LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))\n" INBOX_ROW ")\n"
		"S: * LIST () \"/\" INBOX\nR: * STATUS INBOX (MAILBOXID (\x01\xfe))\\r\\n\nS: m2 OK x\nS: m3 OK x\n",
		NULL, 1, "INBOX / 4 inbox 5 9 12 3 id0:\n");
}

static void
a_server_that_cannot_list_counters_is_asked_for_each(void **state)
{
	assert_lists(IMAP_FAKE_LOGIN("IMAP4rev1") "C: m2 LIST \"\" \"*\"\n"
						  "C: m3 LSUB \"\" \"*\"\n"
						  "S: * LIST () \".\" INBOX\nS: * LIST (\\Noselect) \".\" x\nS: * LIST "
						  "() \".\" INBOX.y\nS: m2 OK x\n"
						  "S: * LSUB () \".\" INBOX.y\nS: m3 OK x\n"
						  "C: m4 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY X-GUID)\n"
						  "C: m5 STATUS \"INBOX.y\" (MESSAGES UIDNEXT UIDVALIDITY X-GUID)\n"
						  "S: * STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 X-GUID g)\nS: "
						  "m4 OK x\nS: m5 NO no rights\n",
		NULL, 1, "INBOX . 0 inbox 3 2 0 1 id1:g\nINBOX.y . 4 - id0:\nx . 1 - id0:\n");
}

static void
a_refused_listing_is_tried_with_fewer_wishes(void **state)
{
	assert_lists(IMAP_FAKE_IN IMAP_FAKE_ENABLE
		"C: m3 LIST \"\" \"*\" RETURN (SPECIAL-USE ~\nS: m3 BAD what\n"
		"C: m4 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS ~\n" INBOX_ROW " X-GUID a)\nS: m4 OK x\n"
		"C: m5 LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS ~\n" INBOX_ROW ")\nS: m5 OK x\n",
		NULL, 2, "INBOX / 4 inbox 5 9 12 3 id1:a\n");
	assert_lists(IMAP_FAKE_IN IMAP_FAKE_ENABLE
		"C: m3 LIST ~\nS: m3 NO Request is throttled. Suggested Backoff Time: 10 milliseconds\n",
		NULL, 1,
		"throttled: the server refused LIST: Request is throttled. Suggested Backoff Time: 10 milliseconds\n");
}

static void
counters_may_come_anywhere(void **state)
{
	assert_lists(IMAP_FAKE_IN IMAP_FAKE_ENABLE
		"C: m3 " RETURNS " X-GUID))\n"
		"S: * STATUS b (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4 X-GUID gb)\n" /* before its LIST */
		"S: * LIST () \"/\" c\nS: * LIST () \"/\" b\nS: * LIST () \"/\" a\nS: * LIST (\\Sent) \"/\" c\n"
		"S: * STATUS c (MESSAGES 7 UIDNEXT 8 UIDVALIDITY 9 HIGHESTMODSEQ 6 X-GUID gc)\n"
		"S: * STATUS nobody (MESSAGES 7 UIDNEXT 8 UIDVALIDITY 9)\nS: m3 OK x\n",
		NULL, 1, "a / 0 - id0:\nb / 0 - 3 2 4 1 id1:gb\nc / 0 sent 9 8 6 7 id1:gc\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_asked_once),
		cmocka_unit_test(the_namespace_is_asked_once_and_in_no_flight_of_its_own),
		cmocka_unit_test(what_an_earlier_process_knew_is_not_asked),
		cmocka_unit_test(mailboxids_come_in_a_listing_of_their_own),
		cmocka_unit_test(a_server_that_cannot_list_counters_is_asked_for_each),
		cmocka_unit_test(a_refused_listing_is_tried_with_fewer_wishes),
		cmocka_unit_test(counters_may_come_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
