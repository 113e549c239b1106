/* The contract of remote.h, kept alike by every kind of remote that needs no server: the model in memory, and Maildirs of both styles.
 *
 * Each test is run once with each kind, over an empty INBOX.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/remote/maildir/maildir_remote.h"
#include "tests/sim/model_remote.h"

#define DATE 1793610720

struct kind {
	const char *name;
	char separator;
};

static const struct kind kinds[] = {{"model", '/'}, {"maildir nested", '/'}, {"maildir++", '.'}};

static struct {
	const struct kind *kind;
	char directory[64];
	struct io *io;
	struct model_server *server;
	struct remote *remote;
	struct remote_session *session;
	struct error err;
} here;

#define assert_ok(call)                                                          \
	do {                                                                     \
		error_clear(&here.err);                                          \
		if (!(call)) {                                                   \
			print_error("%s: %s\n", here.kind->name, here.err.text); \
			fail();                                                  \
		}                                                                \
	} while (0)

static void
run_shell(const char *command)
{
	int status = system(command);

	assert_int_equal(status, 0);
}

static void
begin(const struct kind *kind)
{
	char command[200];

	here.kind = kind;
	if (strcmp(kind->name, "model") == 0) {
		const struct model_options options = {.guids = MODEL_GUIDS_INSTANCE, .mailbox_ids = GUID_MAILBOXID};

		here.server = model_server_create(&options);
		here.remote = &model_remote_create(here.server)->base;
	} else {
		(void)snprintf(here.directory, sizeof(here.directory), "/tmp/mailfs-contract.XXXXXX");
		assert_non_null(mkdtemp(here.directory));
		(void)snprintf(command, sizeof(command), "mkdir -p %s/T/%s", here.directory,
			kind->separator == '.' ? "cur" : "INBOX/cur");
		run_shell(command);
		(void)snprintf(command, sizeof(command), "%s/T", here.directory);
		here.io = io_posix_create();
		assert_ok(maildir_remote_create(here.io, NULL, command, &here.remote, &here.err));
	}
	assert_ok(here.remote->ops->open(here.remote, NULL, &here.session, &here.err));
}

static void
end(void)
{
	char command[200];

	here.remote->ops->close(&here.session);
	here.remote->ops->destroy(&here.remote);
	model_server_destroy(&here.server);
	io_destroy(&here.io);
	if (here.directory[0] != '\0') {
		(void)snprintf(command, sizeof(command), "rm -r %s", here.directory);
		run_shell(command);
	}
	memset(&here, 0, sizeof(here));
}

/* --- what a kind is asked --- */

/* A raw name: levels separated by `/` as this kind has them. */
static struct slice
raw(const char *name)
{
	static char text[4][100];
	static unsigned next;
	char *out = text[next++ % 4];

	for (size_t i = 0; i <= strlen(name); i++) {
		out[i] = name[i] == '/' ? here.kind->separator : name[i];
	}
	return slice_of(out);
}

static struct remote_target
target(const char *name)
{
	return (struct remote_target){.raw_name = raw(name)};
}

static void
create(const char *name)
{
	enum remote_outcome outcome;

	assert_ok(here.session->ops->create(here.session, raw(name), &outcome, &here.err));
	assert_int_equal(outcome, REMOTE_DONE);
}

struct listed {
	struct slice name;
	bool found;
	struct remote_mailbox mailbox;
	unsigned count;
};

static bool
note_listed(void *context, const struct remote_mailbox *mailbox, struct error *err)
{
	struct listed *listed = context;

	if ((mailbox->attributes & REMOTE_NOSELECT) == 0) {
		listed->count++;
	}
	if (slice_equal(mailbox->raw_name, listed->name)) {
		listed->found = true;
		listed->mailbox = *mailbox;
	}
	return true;
}

static struct listed
list(const char *name)
{
	struct listed listed = {.name = raw(name)};

	assert_ok(here.session->ops->list(here.session, note_listed, &listed, &here.err));
	return listed;
}

#define MESSAGES_MAX 32

struct seen { /* a scan's answers */
	enum remote_scan_state state;
	struct remote_selected selected;
	struct remote_message messages[MESSAGES_MAX];
	char subject[MESSAGES_MAX]; /* the last letter of the header or body */
	unsigned count, changed, gone;
	uint32_t changed_uid, gone_uid;
	struct flags flags; /* of the last that changed */
};

static bool
note_selected(void *context, size_t request, const struct remote_selected *selected, struct error *err)
{
	struct seen *seen = context;

	assert_int_equal(request, 0);
	seen->selected = *selected;
	return true;
}

static bool
note_flags(void *context, size_t request, uint32_t uid, const struct flags *flags, uint64_t modseq, struct error *err)
{
	struct seen *seen = context;

	seen->changed++;
	seen->changed_uid = uid;
	flags_finish(&seen->flags);
	seen->flags = flags_copy(flags);
	return true;
}

static bool
note_message(void *context, size_t request, struct remote_message *message, struct error *err)
{
	struct seen *seen = context;
	struct slice body = message->header;

	assert_true(seen->count < MESSAGES_MAX);
	if (message->body != NULL) {
		assert_true(spool_view(message->body, &body, err));
		assert_int_equal(body.length, message->size_bytes);
	}
	seen->messages[seen->count] = *message;
	seen->messages[seen->count].flags = flags_copy(&message->flags);
	const char *subject = memmem(body.data, body.length, "Subject: ", 9);

	assert_non_null(subject);
	seen->subject[seen->count++] = subject[9];
	return true;
}

static bool
note_gone(void *context, size_t request, const struct uidset *uids, struct error *err)
{
	struct seen *seen = context;

	seen->gone += (unsigned)uidset_size(uids);
	seen->gone_uid = uids->ranges[0].first;
	return true;
}

static bool
note_end(void *context, size_t request, enum remote_scan_state state, const struct remote_selected *selected,
	const char *reason, const struct error *failure, struct error *err)
{
	struct seen *seen = context;

	seen->state = state;
	if (state == REMOTE_SCAN_FAILED) {
		print_error("%s\n", failure->text);
	}
	return true;
}

static void
scan(const struct remote_scan_request *request, struct seen *out)
{
	const struct remote_scan_sink sink = {note_selected, note_flags, note_message, note_gone, note_end, out};

	*out = (struct seen){0};
	assert_ok(here.session->ops->scan(here.session, request, 1, &sink, &here.err));
}

static void
forget(struct seen *seen)
{
	for (unsigned i = 0; i < seen->count; i++) {
		flags_finish(&seen->messages[i].flags);
	}
	flags_finish(&seen->flags);
}

/* First contact: all that is there. */
static void
scan_all(const char *name, bool bodies, struct seen *out)
{
	const struct remote_scan_request request = {
		.raw_name = raw(name), .uidnext = 1, .bodies = bodies, .body_size_max = 1 << 20};

	scan(&request, out);
	assert_int_equal(out->state, REMOTE_SCAN_OK);
}

/* As one who knows what `before` told. */
static void
scan_since(const char *name, const struct seen *before, struct seen *out)
{
	SCOPED(uidset_finish) struct uidset known = UIDSET_INIT;
	struct remote_scan_request request = {
		.raw_name = raw(name),
		.id = before->selected.id,
		.uidvalidity = before->selected.uidvalidity,
		.uidnext = before->selected.uidnext,
		.highestmodseq = before->selected.highestmodseq,
		.known = &known,
	};

	for (unsigned i = 0; i < before->count; i++) {
		uidset_add(&known, before->messages[i].uid, before->messages[i].uid);
	}
	scan(&request, out);
}

static uint32_t
append(const char *name, char subject, uint32_t bits)
{
	char text[200];
	struct remote_target to = target(name);
	struct remote_append item = {.flags = {.bits = bits}, .internaldate_s = DATE};

	(void)snprintf(text, sizeof(text), "From: a@b.c\r\nSubject: %c\r\nMessage-ID: <%c@x>\r\n\r\nBody %c\r\n",
		subject, subject, subject);
	item.body = spool_create(NULL);
	assert_ok(spool_append(item.body, slice_of(text), &here.err));
	assert_ok(here.session->ops->append(here.session, &to, &item, 1, &here.err));
	spool_close(&item.body);
	assert_int_equal(item.outcome, REMOTE_DONE);
	assert_true(item.uid.uid != 0);
	return item.uid.uid;
}

static void
store(const char *name, uint32_t uid, uint32_t add, uint32_t remove, const char *keyword)
{
	struct remote_target to = target(name);
	struct remote_store group = {.add = {.bits = add}, .remove = {.bits = remove}};

	if (keyword != NULL) {
		assert_true(flags_add_keyword(&group.add, slice_of(keyword)));
	}
	uidset_add(&group.uids, uid, uid);
	assert_ok(here.session->ops->store(here.session, &to, &group, 1, NULL, NULL, &here.err));
	assert_int_equal(group.outcome, REMOTE_DONE);
	uidset_finish(&group.uids);
	flags_finish(&group.add);
}

static struct remote_copy
copy(const char *from, const char *to, uint32_t uid, bool move)
{
	struct remote_target source = target(from), into = target(to);
	struct remote_copy item = {.uid = uid};
	bool marked;

	assert_ok(here.session->ops->copy(here.session, &source, &into, move, &item, 1, &marked, &here.err));
	assert_false(marked);
	return item;
}

static void
expunge(const char *name, uint32_t uid)
{
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct remote_target to = target(name);
	enum remote_outcome outcome;
	bool marked;

	uidset_add(&uids, uid, uid);
	assert_ok(here.session->ops->expunge(here.session, &to, &uids, &outcome, &marked, &here.err));
	assert_int_equal(outcome, REMOTE_DONE);
	assert_false(marked);
}

/* --- the contract --- */

static void
a_created_mailbox_is_listed_with_its_counters(void)
{
	enum remote_outcome outcome;

	create("Work/2026");
	assert_true(list("INBOX").found);
	struct listed listed = list("Work/2026");

	assert_true(listed.found && listed.count == 2);
	assert_int_equal(listed.mailbox.separator, here.kind->separator);
	assert_true(listed.mailbox.has_status && listed.mailbox.uidvalidity != 0 && listed.mailbox.uidnext == 1);
	assert_int_equal(listed.mailbox.messages, 0);
	assert_int_equal(listed.mailbox.id.kind, GUID_MAILBOXID);
	assert_false(here.session->ops->create(here.session, raw("Work/2026"), &outcome, &here.err));
	assert_int_equal(here.err.kind, ERROR_EXISTS);
	assert_int_equal(outcome, REMOTE_REFUSED);
}

static void
an_upload_is_told_as_it_was_sent(void)
{
	struct seen seen;

	uint32_t a = append("INBOX", 'a', FLAG_SEEN | FLAG_FLAGGED), b = append("INBOX", 'b', 0);

	assert_true(b > a);
	for (int bodies = 0; bodies < 2; bodies++) {
		scan_all("INBOX", bodies == 1, &seen);
		assert_int_equal(seen.count, 2);
		assert_int_equal(seen.selected.exists, 2);
		assert_true(seen.selected.uidnext > b && seen.selected.highestmodseq > 0);
		assert_true(seen.messages[0].uid == a && seen.subject[0] == 'a' && seen.subject[1] == 'b');
		assert_int_equal(seen.messages[0].flags.bits, FLAG_SEEN | FLAG_FLAGGED);
		assert_int_equal(seen.messages[1].flags.bits, 0);
		assert_true(seen.messages[0].internaldate_s == DATE);
		assert_int_equal(seen.messages[0].size_bytes,
			strlen("From: a@b.c\r\nSubject: a\r\nMessage-ID: <a@x>\r\n\r\nBody a\r\n"));
		assert_true(seen.messages[0].guid.kind != GUID_NONE &&
			    !guid_equal(&seen.messages[0].guid, &seen.messages[1].guid));
		forget(&seen);
	}
}

static void
a_scan_tells_what_changed_since(void)
{
	struct seen before, after;

	uint32_t a = append("INBOX", 'a', 0), b = append("INBOX", 'b', 0);

	scan_all("INBOX", false, &before);
	scan_since("INBOX", &before, &after);
	assert_true(after.state == REMOTE_SCAN_OK && after.count == 0 && after.changed == 0 && after.gone == 0);
	store("INBOX", b, FLAG_SEEN | FLAG_ANSWERED, 0, "Work");
	expunge("INBOX", a);

	uint32_t c = append("INBOX", 'c', FLAG_DRAFT);

	forget(&after);
	scan_since("INBOX", &before, &after);
	assert_int_equal(after.state, REMOTE_SCAN_OK);
	assert_true(after.count == 1 && after.messages[0].uid == c && after.messages[0].flags.bits == FLAG_DRAFT);
	assert_true(after.changed == 1 && after.changed_uid == b);
	assert_int_equal(after.flags.bits, FLAG_SEEN | FLAG_ANSWERED);
	assert_true(flags_has_keyword(&after.flags, slice_of("work")));
	assert_true(after.gone == 1 && after.gone_uid == a);
	assert_true(after.selected.highestmodseq > before.selected.highestmodseq);
	assert_int_equal(list("INBOX").mailbox.messages, 2);
	assert_true(list("INBOX").mailbox.highestmodseq == after.selected.highestmodseq);
	forget(&before);
	forget(&after);
}

static void
flags_are_added_and_taken_away(void)
{
	struct seen seen;

	uint32_t uid = append("INBOX", 'a', FLAG_SEEN);

	store("INBOX", uid, FLAG_FLAGGED, FLAG_SEEN, NULL);
	store("INBOX", uid, FLAG_DELETED, 0, NULL);
	store("INBOX", uid, 0, FLAG_DRAFT, NULL);
	store("INBOX", uid + 100, FLAG_SEEN, 0, NULL); /* of none: nothing happens */
	scan_all("INBOX", false, &seen);
	assert_int_equal(seen.messages[0].flags.bits, FLAG_FLAGGED | FLAG_DELETED);
	forget(&seen);
}

static void
a_move_keeps_flags_date_and_guid(void)
{
	struct seen before, after;

	create("Work");
	uint32_t uid = append("INBOX", 'a', FLAG_FLAGGED);

	store("INBOX", uid, 0, 0, "$Label");
	scan_all("INBOX", false, &before);

	struct remote_copy item = copy("INBOX", "Work", uid, true);

	assert_int_equal(item.outcome, REMOTE_DONE);
	scan_all("Work", true, &after);
	assert_true(after.count == 1 && after.messages[0].uid == item.target.uid);
	assert_int_equal(after.selected.uidvalidity, item.target.uidvalidity);
	assert_true(flags_equal(&after.messages[0].flags, &before.messages[0].flags));
	assert_true(after.messages[0].internaldate_s == DATE);
	assert_true(guid_equal(&after.messages[0].guid, &before.messages[0].guid));
	forget(&after);
	scan_all("INBOX", false, &after);
	assert_int_equal(after.count, 0);
	item = copy("INBOX", "Work", uid, true);
	assert_true(item.outcome == REMOTE_REFUSED && item.refusal == ERROR_GONE);
	forget(&before);
	forget(&after);
}

static void
a_copy_leaves_the_first_where_it_is(void)
{
	struct seen seen;

	create("Work");
	uint32_t uid = append("INBOX", 'a', FLAG_SEEN);

	assert_int_equal(copy("INBOX", "Work", uid, false).outcome, REMOTE_DONE);
	assert_int_equal(copy("INBOX", "Work", uid, false).outcome, REMOTE_DONE);
	assert_int_equal(copy("INBOX", "INBOX", uid, false).outcome, REMOTE_DONE);
	scan_all("Work", true, &seen);
	assert_int_equal(seen.count, 2);
	assert_true(seen.messages[0].flags.bits == FLAG_SEEN && seen.messages[1].internaldate_s == DATE);
	assert_true(guid_equal(&seen.messages[0].guid, &seen.messages[1].guid));
	forget(&seen);
	scan_all("INBOX", true, &seen);
	assert_int_equal(seen.count, 2);
	forget(&seen);
	assert_int_equal(copy("INBOX", "Nowhere", uid, false).refusal, ERROR_GONE);
}

static void
a_rename_keeps_what_a_mailbox_is(void)
{
	enum remote_outcome outcome;
	struct seen before, after;

	create("A");
	create("A/B");
	(void)append("A/B", 'x', 0);
	scan_all("A/B", false, &before);

	struct guid id = list("A/B").mailbox.id;

	assert_ok(here.session->ops->rename(here.session, raw("A"), raw("C"), &outcome, &here.err));
	assert_int_equal(outcome, REMOTE_DONE);
	assert_false(list("A").found || list("A/B").found);
	assert_true(list("C").found && list("C/B").found);

	struct listed listed = list("C/B");

	assert_true(guid_equal(&listed.mailbox.id, &id));
	assert_int_equal(listed.mailbox.uidvalidity, before.selected.uidvalidity);
	scan_since("C/B", &before, &after);
	assert_true(after.state == REMOTE_SCAN_OK && after.count == 0 && after.gone == 0);
	assert_false(here.session->ops->rename(here.session, raw("A"), raw("D"), &outcome, &here.err));
	assert_int_equal(here.err.kind, ERROR_GONE);
	assert_false(here.session->ops->rename(here.session, raw("C"), raw("INBOX"), &outcome, &here.err));
	forget(&before);
	forget(&after);
}

static void
what_is_removed_is_gone(void)
{
	enum remote_outcome outcome;
	struct seen seen;
	struct remote_scan_request request = {.raw_name = raw("Work"), .uidnext = 1};

	create("Work");
	(void)list("Work");
	assert_ok(here.session->ops->remove(here.session, raw("Work"), &outcome, &here.err));
	assert_int_equal(outcome, REMOTE_DONE);
	assert_false(list("Work").found);
	assert_false(here.session->ops->remove(here.session, raw("Work"), &outcome, &here.err));
	assert_int_equal(here.err.kind, ERROR_GONE);
	scan(&request, &seen);
	assert_int_equal(seen.state, REMOTE_SCAN_GONE);
	create("Work");
	assert_true(list("Work").found);
}

static void
another_uidvalidity_changes_nothing(void)
{
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct seen seen, after;
	enum remote_outcome outcome;
	bool marked;

	uint32_t uid = append("INBOX", 'a', 0);

	uidset_add(&uids, uid, uid);
	scan_all("INBOX", false, &seen);

	struct remote_target other = {.raw_name = raw("INBOX"), .uidvalidity = seen.selected.uidvalidity + 1};

	assert_false(here.session->ops->expunge(here.session, &other, &uids, &outcome, &marked, &here.err));
	assert_int_equal(here.err.kind, ERROR_RETRY);
	assert_non_null(strstr(here.err.text, "rebuilt"));
	assert_int_equal(outcome, REMOTE_NOT_SENT);
	seen.selected.uidvalidity++;
	scan_since("INBOX", &seen, &after);
	assert_int_equal(after.state, REMOTE_SCAN_REBUILT);
	seen.selected.uidvalidity--;
	seen.selected.uidnext += 10;
	forget(&after);
	scan_since("INBOX", &seen, &after);
	assert_int_equal(after.state, REMOTE_SCAN_REBUILT);
	forget(&seen);
	forget(&after);
	scan_all("INBOX", false, &seen);
	assert_int_equal(seen.count, 1);
	forget(&seen);
}

struct fetched {
	struct buf octets;
	unsigned found, gone;
};

static bool
fetch_begin(void *context, uint32_t uid, uint64_t size_bytes, struct error *err)
{
	return true;
}

static bool
fetch_data(void *context, uint32_t uid, struct slice data, struct error *err)
{
	struct fetched *fetched = context;

	buf_append(&fetched->octets, data);
	return true;
}

static bool
fetch_end(void *context, uint32_t uid, bool found, struct error *err)
{
	struct fetched *fetched = context;

	fetched->found += found;
	fetched->gone += !found;
	return true;
}

static void
bodies_come_as_they_are_served(void)
{
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct fetched fetched = {0};
	const struct remote_body_sink sink = {
		.begin = fetch_begin, .data = fetch_data, .end = fetch_end, .context = &fetched};

	uint32_t uid = append("INBOX", 'a', 0);
	struct remote_target from = target("INBOX");

	uidset_add(&uids, uid, uid + 1);
	assert_ok(here.session->ops->fetch(here.session, &from, &uids, NULL, &sink, &here.err));
	assert_true(fetched.found == 1 && fetched.gone == 1);
	assert_string_equal(fetched.octets.data, "From: a@b.c\r\nSubject: a\r\nMessage-ID: <a@x>\r\n\r\nBody a\r\n");
	buf_finish(&fetched.octets);
}

static void
a_subscription_is_kept(void)
{
	create("Work");
	assert_ok(here.session->ops->subscribe(here.session, raw("Work"), true, &here.err));
	assert_true((list("Work").mailbox.attributes & REMOTE_SUBSCRIBED) != 0);
	assert_ok(here.session->ops->subscribe(here.session, raw("Work"), false, &here.err));
	assert_true((list("Work").mailbox.attributes & REMOTE_SUBSCRIBED) == 0);
	assert_ok(here.session->ops->subscribe(here.session, raw("Work"), true, &here.err));
	assert_true((list("Work").mailbox.attributes & REMOTE_SUBSCRIBED) != 0);
}

static void
with_each_kind(void **state)
{
	void (*test)(void) = *(void (**)(void)) * state;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		begin(&kinds[i]);
		test();
		end();
	}
}

int
main(void)
{
#define TEST(name)                                                      \
	{                                                               \
#name, with_each_kind, NULL, NULL, &(void (*[1])(void)) \
		{                                                       \
			name                                            \
		}                                                       \
	}
	const struct CMUnitTest tests[] = {
		TEST(a_created_mailbox_is_listed_with_its_counters),
		TEST(an_upload_is_told_as_it_was_sent),
		TEST(a_scan_tells_what_changed_since),
		TEST(flags_are_added_and_taken_away),
		TEST(a_move_keeps_flags_date_and_guid),
		TEST(a_copy_leaves_the_first_where_it_is),
		TEST(a_rename_keeps_what_a_mailbox_is),
		TEST(what_is_removed_is_gone),
		TEST(another_uidvalidity_changes_nothing),
		TEST(bodies_come_as_they_are_served),
		TEST(a_subscription_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
