#include "engine/remote/maildir/maildir_remote.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/remote/maildir/maildir_append.h"
#include "engine/remote/maildir/maildir_box.h"
#include "engine/remote/maildir/maildir_effects.h"
#include "engine/remote/maildir/maildir_list.h"
#include "engine/remote/maildir/maildir_mailboxes.h"
#include "engine/remote/maildir/maildir_scan.h"
#include "engine/remote/maildir/maildir_tree.h"
#include "engine/remote/maildir/maildir_watch.h"

static struct maildir_session *
mine(struct remote_session *session)
{
	return (struct maildir_session *)session;
}

/* Every call ends so: what is kept of mailboxes is bounded. */
static bool
end_call(struct remote_session *session, bool done)
{
	mine(session)->turns++;
	maildir_box_rest(mine(session));
	return done;
}

static void
op_destroy(struct remote **remote)
{
	struct maildir_remote *r = (struct maildir_remote *)*remote;

	if (r == NULL) {
		return;
	}
	free(r->path);
	free(r);
	*remote = NULL;
}

static void
op_close(struct remote_session **session)
{
	struct maildir_session *s = *session != NULL ? mine(*session) : NULL;

	if (s == NULL) {
		return;
	}
	maildir_watch_end(s);
	maildir_box_forget_all(s);
	maildir_tree_close(s);
	free(s);
	*session = NULL;
}

static void
tell_capabilities(struct maildir_session *session)
{
	session->told = (struct remote_capabilities){
		.qresync = true,
		.condstore = true,
		.uidplus = true,
		.move = true,
		.multiappend = true,
		.list_status = true,
		.notify = true,
		.message_guid = true,
		.mailbox_id = true,
	};
	(void)snprintf(session->told.server, sizeof(session->told.server), "%s",
		session->layout.style == MAILDIR_PLUS ? "a tree of Maildirs (Maildir++)"
						      : "a tree of Maildirs (nested)");
}

static bool
op_open(struct remote *remote, struct cancel *cancel, struct remote_session **out, struct error *err)
{
	struct maildir_session *session = calloc(1, sizeof *session);
	struct remote_session *head;

	if (session == NULL) {
		abort();
	}
	session->head.ops = remote->ops;
	session->remote = (struct maildir_remote *)remote;
	session->io = session->remote->io;
	session->cancel = cancel;
	head = &session->head;
	if (!maildir_tree_open(session, err) || !maildir_mailboxes_make_inbox(session, err)) {
		op_close(&head);
		return false;
	}
	tell_capabilities(session);
	*out = head;
	return true;
}

static bool
op_alive(const struct remote_session *session)
{
	return !((const struct maildir_session *)session)->dead;
}

static bool
op_refresh(struct remote_session *session, struct error *err)
{
	return maildir_tree_check(mine(session), err);
}

static const struct remote_capabilities *
op_capabilities(const struct remote_session *session)
{
	return &((const struct maildir_session *)session)->told;
}

static bool
op_list(struct remote_session *session,
	bool (*each)(void *context, const struct remote_mailbox *mailbox, struct error *err), void *context,
	struct error *err)
{
	return end_call(session, maildir_list_all(mine(session), each, context, err));
}

static bool
op_scan(struct remote_session *session, const struct remote_scan_request *requests, size_t count,
	const struct remote_scan_sink *sink, struct error *err)
{
	return end_call(session, maildir_scan_mailboxes(mine(session), requests, count, sink, err));
}

static bool
op_identify(struct remote_session *session, const struct remote_target *target, const struct uidset *uids, bool headers,
	bool (*each)(void *context, struct remote_message *message, struct error *err), void *context,
	struct remote_selected *out_selected, struct error *err)
{
	return end_call(
		session, maildir_scan_identify(mine(session), target, uids, headers, each, context, out_selected, err));
}

static bool
op_fetch(struct remote_session *session, const struct remote_target *target, const struct uidset *uids,
	const uint64_t *sizes, const struct remote_body_sink *sink, struct error *err)
{
	return end_call(session, maildir_scan_fetch(mine(session), target, uids, sink, err));
}

static bool
op_store(struct remote_session *session, const struct remote_target *target, struct remote_store *groups, size_t count,
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err),
	void *context, struct error *err)
{
	return end_call(session, maildir_effects_store(mine(session), target, groups, count, each, context, err));
}

static bool
op_append(struct remote_session *session, const struct remote_target *target, struct remote_append *items, size_t count,
	struct error *err)
{
	return end_call(session, maildir_append_messages(mine(session), target, items, count, err));
}

static bool
op_copy(struct remote_session *session, const struct remote_target *from, const struct remote_target *to, bool move,
	struct remote_copy *items, size_t count, bool *out_marked, struct error *err)
{
	*out_marked = false;
	return end_call(session, maildir_effects_copy(mine(session), from, to, move, items, count, err));
}

static bool
op_expunge(struct remote_session *session, const struct remote_target *target, const struct uidset *uids,
	enum remote_outcome *out_outcome, bool *out_marked, struct error *err)
{
	*out_marked = false;
	return end_call(session, maildir_effects_expunge(mine(session), target, uids, out_outcome, err));
}

static bool
op_create(struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err)
{
	return end_call(session, maildir_mailboxes_create(mine(session), raw_name, out_outcome, err));
}

static bool
op_rename(struct remote_session *session, struct slice from, struct slice to, enum remote_outcome *out_outcome,
	struct error *err)
{
	return end_call(session, maildir_mailboxes_rename(mine(session), from, to, out_outcome, err));
}

static bool
op_remove(struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err)
{
	return end_call(session, maildir_mailboxes_remove(mine(session), raw_name, out_outcome, err));
}

static bool
op_subscribe(struct remote_session *session, struct slice raw_name, bool subscribed, struct error *err)
{
	return end_call(session, maildir_tree_subscribe(mine(session), raw_name, subscribed, err));
}

static bool
op_watch(struct remote_session *session, const struct slice *raw_names, size_t count, int other_fd, int64_t timeout_ms,
	void (*hint)(void *context, const struct remote_watch_event *event), void *context, struct error *err)
{
	return maildir_watch_wait(mine(session), other_fd, timeout_ms, hint, context, err);
}

static void
op_counters(const struct remote_session *session, uint64_t *octets_in, uint64_t *octets_out, uint64_t *turns,
	uint64_t *commands)
{
	const struct maildir_session *s = (const struct maildir_session *)session;

	*octets_in = s->octets_in;
	*octets_out = s->octets_out;
	*turns = *commands = s->turns;
}

static const struct remote_ops maildir_ops = {
	.kind = "maildir",
	.destroy = op_destroy,
	.open = op_open,
	.close = op_close,
	.alive = op_alive,
	.refresh = op_refresh,
	.capabilities = op_capabilities,
	.list = op_list,
	.scan = op_scan,
	.identify = op_identify,
	.fetch = op_fetch,
	.store = op_store,
	.append = op_append,
	.copy = op_copy,
	.expunge = op_expunge,
	.create = op_create,
	.rename = op_rename,
	.remove = op_remove,
	.subscribe = op_subscribe,
	.watch = op_watch,
	.counters = op_counters,
};

bool
maildir_remote_create(struct io *io, struct io_dir *spool_dir, const char *path, struct remote **out, struct error *err)
{
	struct maildir_remote *remote;

	if (path == NULL || path[0] != '/') {
		return error_set(err, ERROR_CONFIG, "`maildir:` needs a path");
	}
	remote = calloc(1, sizeof *remote);
	if (remote == NULL) {
		abort();
	}
	remote->head.ops = &maildir_ops;
	remote->io = io;
	remote->spool_dir = spool_dir;
	remote->path = slice_dup(slice_of(path));
	*out = &remote->head;
	return true;
}
