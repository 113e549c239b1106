/* A whole session against a server that says anything: the account check and then a scan of what it listed, or an upload, a fetch, a store or a move. The
 * first octet says which, the rest is all that the server ever says; then it hangs up. Tags are m1, m2, …. */
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/remote/imap/imap_append.h"
#include "engine/remote/imap/imap_bodies.h"
#include "engine/remote/imap/imap_effects.h"
#include "engine/remote/imap/imap_list.h"
#include "engine/remote/imap/imap_names.h"
#include "engine/remote/imap/imap_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAMES_MAX 4

static struct io *io;
static struct io_dir *spools;

struct heard {
	char *names[NAMES_MAX];
	size_t count;
	size_t request; /* whose turn it is */
	bool selected;
	const struct uidset *known;
};

static bool
each_mailbox(void *context, const struct remote_mailbox *mailbox, struct error *err)
{
	struct heard *heard = context;

	(void)err;
	assert(mailbox->raw_name.length > 0);
	if (heard->count < NAMES_MAX && slice_find(mailbox->raw_name, '\0') == mailbox->raw_name.length) {
		heard->names[heard->count++] = slice_dup(mailbox->raw_name);
	}
	return true;
}

static bool
on_selected(void *context, size_t request, const struct remote_selected *selected, struct error *err)
{
	struct heard *heard = context;

	(void)err;
	assert(request == heard->request && !heard->selected && selected->uidvalidity != 0);
	heard->selected = true;
	return true;
}

static bool
on_flags(void *context, size_t request, uint32_t uid, const struct flags *flags, uint64_t modseq, struct error *err)
{
	const struct heard *heard = context;

	(void)flags;
	(void)modseq;
	(void)err;
	assert(request == heard->request && heard->selected && uidset_contains(heard->known, uid));
	return true;
}

static bool
on_message(void *context, size_t request, struct remote_message *message, struct error *err)
{
	const struct heard *heard = context;

	(void)err;
	assert(request == heard->request && heard->selected && message->uid != 0);
	return true;
}

static bool
on_gone(void *context, size_t request, const struct uidset *uids, struct error *err)
{
	const struct heard *heard = context;

	(void)err;
	assert(request == heard->request && heard->selected && uids->count > 0);
	for (size_t i = 0; i < uids->count; i++) {
		assert(uidset_contains(heard->known, uids->ranges[i].first) &&
			uidset_contains(heard->known, uids->ranges[i].last));
	}
	return true;
}

static bool
on_end(void *context, size_t request, enum remote_scan_state state, const struct remote_selected *selected,
	const char *reason, const struct error *failure, struct error *err)
{
	struct heard *heard = context;

	(void)reason;
	(void)err;
	assert(request == heard->request);
	assert(state == REMOTE_SCAN_OK ? heard->selected && selected != NULL : true);
	assert((state == REMOTE_SCAN_FAILED) == (failure != NULL));
	heard->request++;
	heard->selected = false;
	return true;
}

static bool
list_and_scan(struct imap_session *session, uint8_t how, struct error *err)
{
	SCOPED(uidset_finish) struct uidset known = UIDSET_INIT;
	struct heard heard = {.known = &known};
	const struct remote_scan_sink sink = {.selected = on_selected,
		.flags = on_flags,
		.message = on_message,
		.gone = on_gone,
		.end = on_end,
		.context = &heard};
	struct remote_scan_request requests[NAMES_MAX] = {0};
	bool fine = imap_list_all(session, each_mailbox, &heard, err);

	uidset_add(&known, 1, 3);
	uidset_add(&known, 7, 9);
	for (size_t i = 0; i < heard.count; i++) {
		requests[i] = (struct remote_scan_request){.raw_name = slice_of(heard.names[i]),
			.uidvalidity = (how & 1) != 0 ? 5 : 0,
			.highestmodseq = (how & 2) != 0 ? 10 : 0,
			.uidnext = 10,
			.known = &known,
			.newest = {.uid = 9, .changed_uid = 3, .changed_modseq = 4},
			.uidnext_hint = (how & 4) != 0 ? 12 : 0,
			.full = (how & 8) != 0,
			.bodies = (how & 16) != 0,
			.body_size_max = 1000};
	}
	if (heard.count == 0) {
		heard.names[0] = NULL;
	}
	fine = fine && imap_scan_mailboxes(session, requests, heard.count, &sink, err);
	assert(!fine || heard.request == heard.count);
	for (size_t i = 0; i < heard.count; i++) {
		free(heard.names[i]);
	}
	return fine;
}

static bool
on_body(void *context, uint32_t uid, struct slice data, struct error *err)
{
	(void)context;
	(void)data;
	(void)err;
	assert(uid != 0);
	return true;
}

static bool
on_body_begin(void *context, uint32_t uid, uint64_t size_bytes, struct error *err)
{
	return on_body(context, uid, slice_make("", size_bytes > 0 ? 0 : 0), err);
}

static bool
on_body_end(void *context, uint32_t uid, bool found, struct error *err)
{
	return on_body(context, uid, slice_make("", found ? 0 : 0), err);
}

static bool
change(struct imap_session *session, uint8_t how, struct error *err)
{
	const struct remote_target here = {.raw_name = SLICE_LITERAL("a"), .uidvalidity = 5};
	const struct remote_target there = {.raw_name = SLICE_LITERAL("b"), .uidvalidity = 6};
	const struct remote_body_sink sink = {.begin = on_body_begin, .data = on_body, .end = on_body_end};
	struct remote_copy copies[3] = {{.uid = 1}, {.uid = 2}, {.uid = 8}};
	struct remote_append items[2] = {{.body = spool_create(spools)}, {.body = spool_create(spools)}};
	struct remote_store group = {.add = {.bits = FLAG_SEEN}, .remove = {.bits = FLAG_DELETED}};
	uint64_t sizes[3] = {10, 20u << 20, 30};
	enum remote_outcome outcome;
	bool marked, fine = spool_append(items[0].body, SLICE_LITERAL("A: b\r\n\r\n"), err) &&
			    spool_append(items[1].body, SLICE_LITERAL("A: c\r\n\r\n"), err);

	uidset_add(&group.uids, 1, 2);
	uidset_add(&group.uids, 8, 8);
	fine = fine && imap_bodies_fetch(session, &here, &group.uids, (how & 1) != 0 ? sizes : NULL, &sink, err);
	fine = fine && imap_effects_store(session, &here, &group, 1, NULL, NULL, err);
	fine = fine &&
	       imap_effects_copy(session, &here, &there, (how & 2) != 0, copies, ARRAY_LENGTH(copies), &marked, err);
	fine = fine && imap_append_messages(session, &there, items, ARRAY_LENGTH(items), err);
	fine = fine && imap_effects_expunge(session, &here, &group.uids, &outcome, &marked, err);
	for (size_t i = 0; i < ARRAY_LENGTH(items); i++) {
		spool_close(&items[i].body);
	}
	uidset_finish(&group.uids);
	return fine;
}

static struct imap_session *
session_with(struct imap_remote *remote, struct slice octets, int *out_server)
{
	struct imap_session *session;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0 ||
		send(ends[0], octets.data, octets.length, 0) != (ssize_t)octets.length ||
		shutdown(ends[0], SHUT_WR) != 0) {
		abort();
	}
	*out_server = ends[0];
	session = imap_session_create(remote, stream_of_fd(io, ends[1], NULL), NULL);
	session->authenticated = true;
	imap_capability_read(SLICE_LITERAL("QRESYNC ENABLE UIDPLUS MULTIAPPEND LITERAL+ BINARY ESEARCH LIST-STATUS "
					   "SPECIAL-USE UNSELECT OBJECTID"),
		NULL, &session->can);
	session->enabled_qresync = true;
	return session;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct imap_remote remote;
	struct imap_session *session;
	struct error err = ERROR_INIT;
	bool fine;
	int server;

	if (io == NULL) {
		io = io_posix_create();
		if (!io_dir_open(io, "/tmp", false, &spools, &err)) {
			abort();
		}
	}
	if (size < 1 || size > 60000) {
		return 0;
	}
	remote = (struct imap_remote){.io = io, .spool_dir = spools, .message_ids = GUID_X_GUID, .ids_known = true};
	mutex_init(&remote.lock, LOCK_RANK_LEAF);
	session = session_with(&remote, slice_make(data + 1, size - 1), &server);
	fine = (data[0] & 32) != 0 ? change(session, data[0], &err) : list_and_scan(session, data[0], &err);
	assert(fine || err.kind != ERROR_NONE);
	imap_session_destroy(&session);
	close(server);
	imap_names_finish(&remote);
	mutex_finish(&remote.lock);
	return 0;
}
