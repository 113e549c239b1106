/* Work on a tree of Maildirs in which each effect on the world fails once, and is the last of its process once: no message is lost, doubled or
 * half there, and whoever comes next finds the UIDs that were told. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/remote/maildir/maildir_remote.h"
#include "tests/unit/io_test_ops.h"

#define EFFECTS_MAX 2000
#define EXIT_STATUS 42

static char top[64], path[100];
static struct io *real;

/* With $T for the tree. */
static void
run_shell(const char *command)
{
	int status = setenv("T", path, 1) == 0 ? system(command) : -1;

	assert_int_equal(status, 0);
}

/* A tree with a, b and c in INBOX. */
static void
make_tree(void)
{
	run_shell(
		"rm -rf $T && mkdir -p $T/INBOX/cur $T/INBOX/new $T/INBOX/tmp $T/Work/cur && cd $T/INBOX/new && "
		"for i in a b c; do printf 'Subject: %s\\n\\nBody %s\\n' $i $i >1.$i; done && touch -d @1793610720 *");
}

/* --- the work --- */

struct done { /* what a call said it did */
	bool append, expunge;
	uint32_t uidvalidity, uid_c;
};

static bool
ignore_mailbox(void *context, const struct remote_mailbox *mailbox, struct error *err)
{
	return true;
}

struct seen {
	unsigned count[256]; /* by subject */
	uint32_t uids[256];
	uint32_t uidvalidity, messages;
	bool ok;
};

static bool
note_selected(void *context, size_t request, const struct remote_selected *selected, struct error *err)
{
	((struct seen *)context)->uidvalidity = selected->uidvalidity;
	((struct seen *)context)->messages = selected->exists;
	return true;
}

static bool
note_flags(void *context, size_t request, uint32_t uid, const struct flags *flags, uint64_t modseq, struct error *err)
{
	return true;
}

static bool
note_message(void *context, size_t request, struct remote_message *message, struct error *err)
{
	struct seen *seen = context;
	struct slice body;
	char text[64];

	if (message->body == NULL || !spool_view(message->body, &body, err)) {
		return message->body == NULL ? error_set(err, ERROR_FATAL, "there is no body") : false;
	}
	unsigned char subject = body.length > 9 ? (unsigned char)body.data[9] : 0;

	(void)snprintf(text, sizeof(text), "Subject: %c\r\n\r\nBody %c\r\n", subject, subject);
	if (!slice_equal(body, slice_of(text))) {
		return error_set(err, ERROR_FATAL, "half a message: %.*s", (int)body.length, body.data);
	}
	seen->count[subject]++;
	seen->uids[subject] = message->uid;
	return true;
}

static bool
note_gone(void *context, size_t request, const struct uidset *uids, struct error *err)
{
	return true;
}

static bool
note_end(void *context, size_t request, enum remote_scan_state state, const struct remote_selected *selected,
	const char *reason, const struct error *failure, struct error *err)
{
	struct seen *seen = context;

	seen->ok = state == REMOTE_SCAN_OK;
	if (state == REMOTE_SCAN_FAILED) {
		*err = *failure;
		return false;
	}
	return true;
}

static bool
scan(struct remote_session *session, const char *name, struct seen *out, struct error *err)
{
	const struct remote_scan_sink sink = {note_selected, note_flags, note_message, note_gone, note_end, out};
	const struct remote_scan_request request = {
		.raw_name = slice_of(name), .uidnext = 1, .bodies = true, .body_size_max = 1 << 20};

	memset(out, 0, sizeof(*out));
	return session->ops->scan(session, &request, 1, &sink, err);
}

static bool
append(struct remote_session *session, struct done *done, struct error *err)
{
	SCOPED(spool_close) struct spool *body = spool_create(NULL);
	const struct remote_target inbox = {.raw_name = SLICE_LITERAL("INBOX")};
	struct remote_append item = {.body = body, .flags = {.bits = FLAG_SEEN}, .internaldate_s = 1793610720};
	bool ok = spool_append(body, SLICE_LITERAL("Subject: d\r\n\r\nBody d\r\n"), err) &&
		  session->ops->append(session, &inbox, &item, 1, err);

	done->append = item.outcome == REMOTE_DONE;
	return ok;
}

static bool
flag(struct remote_session *session, uint32_t uid, struct error *err)
{
	const struct remote_target inbox = {.raw_name = SLICE_LITERAL("INBOX")};
	struct remote_store group = {.add = {.bits = FLAG_FLAGGED}};
	bool ok = flags_add_keyword(&group.add, SLICE_LITERAL("Work"));

	uidset_add(&group.uids, uid, uid);
	ok = ok && session->ops->store(session, &inbox, &group, 1, NULL, NULL, err);
	flags_finish(&group.add);
	uidset_finish(&group.uids);
	return ok;
}

static bool
transfer(struct remote_session *session, uint32_t uid, bool move, struct error *err)
{
	const struct remote_target inbox = {.raw_name = SLICE_LITERAL("INBOX")},
				   work = {.raw_name = SLICE_LITERAL("Work")};
	struct remote_copy item = {.uid = uid};
	bool marked;

	return session->ops->copy(session, &inbox, &work, move, &item, 1, &marked, err);
}

static bool
expunge(struct remote_session *session, uint32_t uid, struct done *done, struct error *err)
{
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	const struct remote_target inbox = {.raw_name = SLICE_LITERAL("INBOX")};
	enum remote_outcome outcome;
	bool marked;

	uidset_add(&uids, uid, uid);
	bool ok = session->ops->expunge(session, &inbox, &uids, &outcome, &marked, err);

	done->expunge = outcome == REMOTE_DONE;
	return ok;
}

static bool
change_tree(struct remote_session *session, struct error *err)
{
	enum remote_outcome outcome;

	return session->ops->create(session, SLICE_LITERAL("New/Box"), &outcome, err) &&
	       session->ops->rename(session, SLICE_LITERAL("New"), SLICE_LITERAL("Newer"), &outcome, err) &&
	       session->ops->remove(session, SLICE_LITERAL("Newer/Box"), &outcome, err) &&
	       session->ops->subscribe(session, SLICE_LITERAL("Work"), false, err);
}

/* Goes on where a call fails for itself, as a pass does. */
static bool
work(struct io *io, struct done *done)
{
	struct remote *remote;
	struct remote_session *session = NULL;
	struct error err = ERROR_INIT;
	struct seen seen;
	bool ok = maildir_remote_create(io, NULL, path, &remote, &err) &&
		  remote->ops->open(remote, NULL, &session, &err) &&
		  session->ops->list(session, ignore_mailbox, NULL, &err) && scan(session, "INBOX", &seen, &err) &&
		  seen.ok;

	if (ok) {
		done->uidvalidity = seen.uidvalidity;
		done->uid_c = seen.uids['c'];
		ok = append(session, done, &err) && ok;
		ok = flag(session, seen.uids['a'], &err) && ok;
		ok = transfer(session, seen.uids['b'], true, &err) && ok;
		ok = transfer(session, seen.uids['c'], false, &err) && ok;
		ok = expunge(session, seen.uids['a'], done, &err) && ok;
		ok = change_tree(session, &err) && ok;
	}
	if (session != NULL) {
		session->ops->close(&session);
	}
	remote->ops->destroy(&remote);
	return ok;
}

/* --- what must be so after it --- */

static void
check(const struct done *done, const char *when)
{
	struct remote *remote = NULL;
	struct remote_session *session = NULL;
	struct error err = ERROR_INIT;
	struct seen inbox, there, again;

	if (!maildir_remote_create(real, NULL, path, &remote, &err) ||
		!remote->ops->open(remote, NULL, &session, &err) ||
		!session->ops->list(session, ignore_mailbox, NULL, &err) || !scan(session, "INBOX", &inbox, &err) ||
		!scan(session, "Work", &there, &err) || !scan(session, "INBOX", &again, &err)) {
		fail_msg("%s: %s", when, err.text);
	}
	bool good = inbox.ok && there.ok && inbox.count['b'] + there.count['b'] == 1 && inbox.count['c'] == 1 &&
		    there.count['c'] <= 1 && inbox.count['a'] <= (done->expunge ? 0 : 1) && there.count['a'] == 0 &&
		    inbox.count['d'] <= 1 && inbox.count['d'] >= (done->append ? 1 : 0) && there.count['d'] == 0;

	good = good && memcmp(&inbox, &again, sizeof(inbox)) == 0;
	if (done->uidvalidity != 0) {
		good = good && inbox.uidvalidity == done->uidvalidity && inbox.uids['c'] == done->uid_c;
	}
	if (!good) {
		fail_msg("%s: a %u, b %u+%u, c %u+%u, d %u; UIDVALIDITY %u was %u", when, inbox.count['a'],
			inbox.count['b'], there.count['b'], inbox.count['c'], there.count['c'], inbox.count['d'],
			inbox.uidvalidity, done->uidvalidity);
	}
	session->ops->close(&session);
	remote->ops->destroy(&remote);
}

static void
every_effect_may_fail(void **state)
{
	unsigned fired = 0;

	for (unsigned nth = 1; nth < EFFECTS_MAX; nth++) {
		struct io *io = io_test_create(real);
		struct done done = {0};
		char when[64];

		make_tree();
		io_test_reset(io, IO_EFFECT_ALL);
		io_test_fail(io, nth, nth % 3 == 0 ? ENOSPC : EIO, false);
		bool ok = work(io, &done);
		bool over = !io_test_fired(io);

		(void)snprintf(when, sizeof(when), "effect %u, %s, failed", nth, io_test_fired_name(io));
		io_destroy(&io);
		check(&done, when);
		if (over) {
			assert_true(ok);
			break;
		}
		fired++;
	}
	assert_true(fired > 200);
}

static void
every_effect_may_be_the_last(void **state)
{
	unsigned fired = 0;

	for (unsigned nth = 1; nth < EFFECTS_MAX; nth++) {
		int status;
		char when[64];

		make_tree();
		pid_t child = fork();

		if (child == 0) {
			struct io *io = io_test_create(real);
			struct done done = {0};

			io_test_reset(io, IO_EFFECT_ALL);
			io_test_exit(io, nth, EXIT_STATUS);
			_exit(work(io, &done) ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		(void)snprintf(when, sizeof(when), "the process ended at effect %u", nth);
		check(&(struct done){0}, when);
		if (WEXITSTATUS(status) == 0) {
			break;
		}
		assert_int_equal(WEXITSTATUS(status), EXIT_STATUS);
		fired++;
	}
	assert_true(fired > 200);
}

/* Programs that know nothing of each other: each change is found, and what is renamed all the time is never taken for gone. */
static void
a_name_that_changes_is_no_absence(void **state)
{
	struct remote *remote;
	struct remote_session *session;
	struct error err = ERROR_INIT;
	struct seen seen;

	make_tree();
	pid_t child = fork();

	if (child == 0) {
		if (chdir(path) != 0) {
			_exit(1);
		}
		for (;;) {
			if (rename("INBOX/new/1.a", "INBOX/cur/1.a:2,S") == 0 ||
				rename("INBOX/cur/1.a:2,S", "INBOX/cur/1.a:2,F") == 0 ||
				rename("INBOX/cur/1.a:2,F", "INBOX/cur/1.a,U=7:2,S") == 0) {
			}
			(void)rename("INBOX/cur/1.a,U=7:2,S", "INBOX/cur/1.a:2,S");
		}
	}
	assert_true(maildir_remote_create(real, NULL, path, &remote, &err));
	assert_true(remote->ops->open(remote, NULL, &session, &err));
	for (int i = 0; i < 100; i++) {
		if (!scan(session, "INBOX", &seen, &err)) {
			fail_msg("%s", err.text);
		}
		assert_int_equal(seen.messages, 3);
		assert_int_equal(seen.uids['b'], 2);
		assert_true(seen.count['a'] == 0 || seen.uids['a'] == 1);
	}
	(void)kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	session->ops->close(&session);
	remote->ops->destroy(&remote);
}

static void
two_files_of_one_name_stay_two(void **state)
{
	struct remote *remote;
	struct remote_session *session;
	struct error err = ERROR_INIT;
	struct seen seen;

	make_tree();
	assert_true(maildir_remote_create(real, NULL, path, &remote, &err));
	assert_true(remote->ops->open(remote, NULL, &session, &err));
	assert_true(scan(session, "INBOX", &seen, &err));
	run_shell("cp $T/INBOX/new/1.a $T/INBOX/cur/1.a:2,S && ln -s /etc/passwd $T/INBOX/new/2.link && "
		  "mkdir $T/INBOX/new/3.directory && ln -s / $T/Linked && ln $T/INBOX/new/1.b "
		  "$T/INBOX/cur/1.b:2,");
	for (int i = 0; i < 3; i++) {
		assert_true(scan(session, "INBOX", &seen, &err));
	}
	assert_true(seen.count['a'] == 2 && seen.count['b'] == 1 && seen.count['c'] == 1 && seen.messages == 4);
	session->ops->close(&session);
	remote->ops->destroy(&remote);
}

/* A lock of ours that a killed process left is taken away; another program's is waited for, and nothing is done without. */
static void
the_lock_of_keywords_is_kept_and_not_for_ever(void **state)
{
	struct remote *remote;
	struct remote_session *session;
	struct error err = ERROR_INIT;
	struct seen seen;

	make_tree();
	assert_true(maildir_remote_create(real, NULL, path, &remote, &err));
	assert_true(remote->ops->open(remote, NULL, &session, &err));
	assert_true(scan(session, "INBOX", &seen, &err));
	run_shell("echo 1:elsewhere >$T/INBOX/dovecot-keywords.lock");
	assert_true(flag(session, seen.uids['a'], &err));
	run_shell("test -e $T/INBOX/dovecot-keywords.lock -a ! -e $T/INBOX/dovecot-keywords -a -e $T/INBOX/new/1.a");
	run_shell("echo mailfs >$T/INBOX/dovecot-keywords.lock");
	assert_true(flag(session, seen.uids['a'], &err));
	run_shell("test ! -e $T/INBOX/dovecot-keywords.lock -a -e $T/INBOX/cur/1.a:2,Fa && grep -q '^0 Work$' "
		  "$T/INBOX/dovecot-keywords");
	session->ops->close(&session);
	remote->ops->destroy(&remote);
}

static bool
count_inbox(void *context, const struct remote_mailbox *mailbox, struct error *err)
{
	*(unsigned *)context += slice_equal(mailbox->raw_name, SLICE_LITERAL("INBOX"));
	return true;
}

static void
an_empty_directory_has_an_inbox(void **state)
{
	struct remote *remote;
	struct remote_session *session;
	struct error err = ERROR_INIT;
	unsigned count = 0;

	run_shell("rm -rf $T");
	assert_true(maildir_remote_create(real, NULL, path, &remote, &err));
	assert_false(remote->ops->open(remote, NULL, &session, &err));
	assert_int_equal(err.kind, ERROR_UNREACHABLE);
	assert_non_null(strstr(err.text, "mkdir -p"));
	run_shell("mkdir $T");
	assert_true(remote->ops->open(remote, NULL, &session, &err));
	assert_true(session->ops->list(session, count_inbox, &count, &err));
	assert_int_equal(count, 1);
	run_shell("test -d $T/INBOX/cur && test -d $T/INBOX/new && test -d $T/INBOX/tmp");
	session->ops->close(&session);
	remote->ops->destroy(&remote);
}

static void
count_hint(void *context, const struct remote_watch_event *event)
{
	(*(unsigned *)context)++;
}

/* Waits for news while something else goes on; gives how often it was told. */
static unsigned
watch(struct remote_session *session, const char *command_or_null, int64_t timeout_ms)
{
	struct error err = ERROR_INIT;
	unsigned hints = 0;
	pid_t child = command_or_null != NULL ? fork() : -1;

	if (child == 0) {
		(void)usleep(50000);
		_exit(system(command_or_null) == 0 ? 0 : 1);
	}
	if (!session->ops->watch(session, NULL, 0, -1, timeout_ms, count_hint, &hints, &err)) {
		fail_msg("%s", err.text);
	}
	if (child > 0) {
		assert_int_equal(waitpid(child, NULL, 0), child);
	}
	return hints;
}

static void
news_are_heard(void **state)
{
	struct remote *remote;
	struct remote_session *session;
	struct error err = ERROR_INIT;

	make_tree();
	assert_true(maildir_remote_create(real, NULL, path, &remote, &err));
	assert_true(remote->ops->open(remote, NULL, &session, &err));
	assert_int_equal(watch(session, NULL, 10), 1); /* what came before anybody listened */
	assert_int_equal(watch(session, NULL, 10), 0);
	assert_int_equal(watch(session, "mv $T/INBOX/new/1.a $T/INBOX/cur/1.a:2,S", 5000), 1);
	assert_int_equal(watch(session, "mkdir -p $T/Later/new && mkdir $T/Later/cur", 5000), 1);
	while (watch(session, NULL, 100) > 0) {
	}
	assert_int_equal(watch(session, "rm $T/INBOX/new/1.b", 5000), 1);
	assert_int_equal(watch(session, "echo x >$T/Later/new/1.x", 5000), 1);
	session->ops->close(&session);
	remote->ops->destroy(&remote);
}

/* Beyond the limits of inotify the times of the directories are looked at. */
static void
news_are_found_without_inotify(void **state)
{
	struct io *io = io_test_create(real);
	struct remote *remote;
	struct remote_session *session;
	struct error err = ERROR_INIT;

	make_tree();
	assert_true(maildir_remote_create(io, NULL, path, &remote, &err));
	assert_true(remote->ops->open(remote, NULL, &session, &err));
	io_test_reset(io, IO_EFFECT_BIT(IO_EFFECT_WATCH));
	io_test_fail(io, 1, ENOSPC, true);
	assert_int_equal(watch(session, NULL, 10), 1);
	assert_true(io_test_fired(io));
	assert_int_equal(watch(session, NULL, 10), 0);
	run_shell("rm $T/INBOX/new/1.b");
	assert_int_equal(watch(session, NULL, 10), 1);
	assert_int_equal(watch(session, NULL, 10), 0);
	session->ops->close(&session);
	remote->ops->destroy(&remote);
	io_destroy(&io);
}

static int
set_up(void **state)
{
	(void)snprintf(
		top, sizeof(top), "%s/mailfs-faults.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	real = io_posix_create();
	if (mkdtemp(top) == NULL) {
		return -1;
	}
	(void)snprintf(path, sizeof(path), "%s/T", top);
	return 0;
}

static int
tear_down(void **state)
{
	run_shell("rm -r ${T%/T}");
	io_destroy(&real);
	return 0;
}

/* maildir_faults_test [PATTERN]: those tests alone whose names match. */
int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_effect_may_fail),
		cmocka_unit_test(every_effect_may_be_the_last),
		cmocka_unit_test(a_name_that_changes_is_no_absence),
		cmocka_unit_test(two_files_of_one_name_stay_two),
		cmocka_unit_test(the_lock_of_keywords_is_kept_and_not_for_ever),
		cmocka_unit_test(an_empty_directory_has_an_inbox),
		cmocka_unit_test(news_are_heard),
		cmocka_unit_test(news_are_found_without_inotify),
	};

	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
