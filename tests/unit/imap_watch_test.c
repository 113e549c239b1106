#include <unistd.h>

#include "tests/unit/assert_slice.h"
#include "tests/unit/imap_fake.h"

struct told {
	struct buf text;
};

static void
on_hint(void *context, const struct remote_watch_event *event)
{
	static const char *const names[] = {"mailbox", "tree", "any"};
	struct told *told = context;

	buf_printf(&told->text, "%s %.*s\n", names[event->what], (int)event->raw_name.length,
		event->raw_name.length > 0 ? event->raw_name.data : "");
}

/* Watches INBOX `times` times on a script; what was told, or the error, must be `lines`. `other` is readable where told so. */
static void
assert_watches(const char *script, int times, int64_t timeout_ms, int other, const char *lines)
{
	struct imap_fake *fake = imap_fake_start(script, NULL);
	struct remote *remote = imap_fake_remote(fake, NULL);
	struct remote_session *session = imap_fake_open(fake, remote);
	const struct slice inbox = SLICE_LITERAL("INBOX");
	struct told told = {.text = BUF_INIT};
	struct error err;

	for (int i = 0; i < times; i++) {
		if (!remote->ops->watch(session, &inbox, 1, other, timeout_ms, on_hint, &told, &err)) {
			buf_printf(&told.text, "%s: %s\n", error_kind_name(err.kind), err.text);
		}
	}
	remote->ops->close(&session);
	remote->ops->destroy(&remote);
	imap_fake_end(&fake);
	assert_slices(buf_slice(&told.text), slice_of(lines));
	buf_finish(&told.text);
}

#define NOTIFY                        \
	IMAP_FAKE_IN IMAP_FAKE_ENABLE \
		"C: m3 NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))\n"
#define CAN_IDLE IMAP_FAKE_LOGIN("IMAP4rev1 IDLE UNSELECT")
#define SELECT   "C: m2 SELECT \"INBOX\"\n" IMAP_FAKE_SELECTED("5", "7", "6", "10") "S: m2 OK x\n"

static void
news_of_every_mailbox_comes_by_notify(void **state)
{
	assert_watches(NOTIFY "S: m3 OK x\nS: * STATUS \"a b\" (MESSAGES 2 UIDNEXT 3)\n"
			      "S: * LIST () \"/\" new (\"OLDNAME\" (\"old\"))\n",
		3, 3000, -1, "any \nmailbox a b\ntree new\n");
	assert_watches(NOTIFY "S: m3 OK x\nS: * OK [NOTIFICATIONOVERFLOW] too much\n"
			      "C: m4 NOTIFY SET ~\nS: m4 OK x\nS: * STATUS a (MESSAGES 2)\n",
		4, 3000, -1, "any \nany \nany \nmailbox a\n");
}

static void
news_of_one_mailbox_comes_by_idle(void **state)
{
	assert_watches(CAN_IDLE SELECT
		"C: m3 IDLE\nS: + idling\nS: * OK still here\nS: * 6 EXISTS\nC: DONE\nS: m3 OK x\n"
		"C: m4 IDLE\nS: + idling\nS: * 2 EXPUNGE\nC: DONE\nS: m4 OK x\n",
		3, 3000, -1, "mailbox INBOX\nmailbox INBOX\nmailbox INBOX\n");
	/* a refused NOTIFY is no reason to sleep */
	assert_watches(NOTIFY "S: m3 NO [BADEVENT] no\nC: m4 SELECT \"INBOX\"\n" IMAP_FAKE_SELECTED("5", "7", "6",
			       "10") "S: m4 OK x\n"
				     "C: m5 IDLE\nS: + idling\nS: * 1 FETCH (FLAGS (\\Seen))\nC: DONE\nS: m5 OK x\n",
		2, 3000, -1, "mailbox INBOX\nmailbox INBOX\n");
}

static void
a_server_that_refuses_notify_is_one_without_it(void **state)
{
	struct imap_fake *fake =
		imap_fake_start(NOTIFY "S: m3 NO [BADEVENT] no\nC: m4 SELECT \"INBOX\"\n" IMAP_FAKE_SELECTED(
					"5", "7", "6", "10") "S: m4 OK x\n",
			NULL);
	struct remote *remote = imap_fake_remote(fake, NULL);
	struct remote_session *session = imap_fake_open(fake, remote);
	const struct slice inbox = SLICE_LITERAL("INBOX");
	struct told told = {.text = BUF_INIT};
	struct error err;

	assert_true(remote->ops->capabilities(session)->notify);
	assert_true(remote->ops->watch(session, &inbox, 1, -1, 3000, on_hint, &told, &err));
	assert_false(remote->ops->capabilities(session)->notify);
	assert_true(remote->ops->capabilities(session)->idle);
	buf_finish(&told.text);
	remote->ops->close(&session);
	remote->ops->destroy(&remote);
	imap_fake_end(&fake);
}

static void
time_and_other_work_end_the_watch(void **state)
{
	int ends[2];

	assert_watches(CAN_IDLE SELECT "C: m3 IDLE\nS: + idling\nC: DONE\nS: m3 OK x\n", 2, 50, -1, "mailbox INBOX\n");
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_watches(
		CAN_IDLE SELECT "C: m3 IDLE\nS: + idling\nC: DONE\nS: m3 OK x\n", 2, 60000, ends[0], "mailbox INBOX\n");
	close(ends[0]);
	close(ends[1]);
	/* nothing to watch with: it waits, and listens all the same */
	assert_watches(IMAP_FAKE_LOGIN("IMAP4rev1"), 1, 50, -1, "");
}

static void
a_connection_that_ends_is_told(void **state)
{
	assert_watches(CAN_IDLE SELECT "C: m3 IDLE\nS: + idling\nS: * BYE mailbox deleted\nX:\n", 2, 3000, -1,
		"mailbox INBOX\nretry: the server hung up on the session: mailbox deleted\n");
}

static void
a_watching_session_can_do_other_work(void **state)
{
	struct imap_fake *fake = imap_fake_start(NOTIFY "S: m3 OK x\nS: * STATUS a (MESSAGES 1)\n"
							"C: m4 NOTIFY NONE\nS: m4 OK x\n",
		NULL);
	struct remote *remote = imap_fake_remote(fake, NULL);
	struct remote_session *session = imap_fake_open(fake, remote);
	struct told told = {.text = BUF_INIT};
	struct error err;
	const struct remote_scan_sink none = {.context = NULL};

	for (int i = 0; i < 2; i++) {
		assert_true(remote->ops->watch(session, NULL, 0, -1, 3000, on_hint, &told, &err));
	}
	assert_slice(buf_slice(&told.text), "any \nmailbox a\n");
	assert_true(remote->ops->scan(session, NULL, 0, &none, &err));
	buf_finish(&told.text);
	remote->ops->close(&session);
	remote->ops->destroy(&remote);
	imap_fake_end(&fake);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(news_of_every_mailbox_comes_by_notify),
		cmocka_unit_test(news_of_one_mailbox_comes_by_idle),
		cmocka_unit_test(a_server_that_refuses_notify_is_one_without_it),
		cmocka_unit_test(time_and_other_work_end_the_watch),
		cmocka_unit_test(a_connection_that_ends_is_told),
		cmocka_unit_test(a_watching_session_can_do_other_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
