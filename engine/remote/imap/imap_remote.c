#include "engine/remote/imap/imap_remote.h"

#include <stdlib.h>

#include "engine/remote/imap/imap_append.h"
#include "engine/remote/imap/imap_bodies.h"
#include "engine/remote/imap/imap_effects.h"
#include "engine/remote/imap/imap_identify.h"
#include "engine/remote/imap/imap_list.h"
#include "engine/remote/imap/imap_login.h"
#include "engine/remote/imap/imap_mailboxes.h"
#include "engine/remote/imap/imap_names.h"
#include "engine/remote/imap/imap_scan.h"
#include "engine/remote/imap/imap_watch.h"

#define LOGOUT_MS 500 /* for the last words to leave */

static struct imap_session *
mine(struct remote_session *session)
{
	return (struct imap_session *)session;
}

static const struct imap_session *
mine_const(const struct remote_session *session)
{
	return (const struct imap_session *)session;
}

static void
op_destroy(struct remote **remote)
{
	struct imap_remote *r = (struct imap_remote *)*remote;

	if (r == NULL) {
		return;
	}
	stream_tls_destroy(&r->tls);
	imap_names_finish(r);
	mutex_finish(&r->lock);
	free(r->host);
	free(r->tunnel);
	free(r->user);
	free(r->auth);
	free(r->without);
	free(r);
	*remote = NULL;
}

static bool
op_open(struct remote *remote, struct cancel *cancel, struct remote_session **out, struct error *err)
{
	struct imap_session *session;

	if (!imap_login_open((struct imap_remote *)remote, cancel, &session, err)) {
		return false;
	}
	session->head.ops = remote->ops;
	*out = &session->head;
	return true;
}

/* Says LOGOUT without waiting for what the server says to that. */
static void
op_close(struct remote_session **session)
{
	struct imap_session *s = *session != NULL ? mine(*session) : NULL;
	struct error ignored;

	if (s == NULL) {
		return;
	}
	if (!s->dead && s->unanswered == 0 && imap_session_say(s, SLICE_LITERAL("logout LOGOUT\r\n"), &ignored) &&
		!stream_flush(s->stream, LOGOUT_MS, &ignored)) {
		s->dead = true;
	}
	imap_session_destroy(&s);
	*session = NULL;
}

static bool
op_alive(const struct remote_session *session)
{
	return !mine_const(session)->dead;
}

static bool
op_refresh(struct remote_session *session, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};
	struct imap_session *s = mine(session);

	if (!imap_session_check(s, err)) {
		return false;
	}
	if (io_now_ms(s->remote->io) - s->last_used_ms < IMAP_IDLE_CHECK_MS) {
		return true;
	}
	imap_command_begin(&command, IMAP_LITERALS_WAIT, "NOOP");
	return imap_session_run(s, &command, &(struct imap_asked){.what = "NOOP"}, &answer, err);
}

static const struct remote_capabilities *
op_capabilities(const struct remote_session *session)
{
	return &mine_const(session)->told;
}

static bool
op_list(struct remote_session *session,
	bool (*each)(void *context, const struct remote_mailbox *mailbox, struct error *err), void *context,
	struct error *err)
{
	return imap_watch_end(mine(session), err) && imap_list_all(mine(session), each, context, err);
}

static bool
op_scan(struct remote_session *session, const struct remote_scan_request *requests, size_t count,
	const struct remote_scan_sink *sink, struct error *err)
{
	return imap_watch_end(mine(session), err) && imap_scan_mailboxes(mine(session), requests, count, sink, err);
}

static bool
op_identify(struct remote_session *session, const struct remote_target *target, const struct uidset *uids, bool headers,
	bool (*each)(void *context, struct remote_message *message, struct error *err), void *context,
	struct remote_selected *out_selected, struct error *err)
{
	return imap_identify_messages(mine(session), target, uids, headers, each, context, out_selected, err);
}

static bool
op_fetch(struct remote_session *session, const struct remote_target *target, const struct uidset *uids,
	const uint64_t *sizes, const struct remote_body_sink *sink, struct error *err)
{
	return imap_bodies_fetch(mine(session), target, uids, sizes, sink, err);
}

static bool
op_store(struct remote_session *session, const struct remote_target *target, struct remote_store *groups, size_t count,
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err),
	void *context, struct error *err)
{
	return imap_effects_store(mine(session), target, groups, count, each, context, err);
}

static bool
op_append(struct remote_session *session, const struct remote_target *target, struct remote_append *items, size_t count,
	struct error *err)
{
	return imap_append_messages(mine(session), target, items, count, err);
}

static bool
op_copy(struct remote_session *session, const struct remote_target *from, const struct remote_target *to, bool move,
	struct remote_copy *items, size_t count, bool *out_marked, struct error *err)
{
	return imap_effects_copy(mine(session), from, to, move, items, count, out_marked, err);
}

static bool
op_expunge(struct remote_session *session, const struct remote_target *target, const struct uidset *uids,
	enum remote_outcome *out_outcome, bool *out_marked, struct error *err)
{
	return imap_effects_expunge(mine(session), target, uids, out_outcome, out_marked, err);
}

static bool
op_create(struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err)
{
	return imap_mailboxes_create(mine(session), raw_name, out_outcome, err);
}

static bool
op_rename(struct remote_session *session, struct slice from, struct slice to, enum remote_outcome *out_outcome,
	struct error *err)
{
	return imap_mailboxes_rename(mine(session), from, to, out_outcome, err);
}

static bool
op_remove(struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err)
{
	return imap_mailboxes_remove(mine(session), raw_name, out_outcome, err);
}

static bool
op_subscribe(struct remote_session *session, struct slice raw_name, bool subscribed, struct error *err)
{
	return imap_mailboxes_subscribe(mine(session), raw_name, subscribed, err);
}

static bool
op_watch(struct remote_session *session, const struct slice *raw_names, size_t count, int other_fd, int64_t timeout_ms,
	void (*hint)(void *context, const struct remote_watch_event *event), void *context, struct error *err)
{
	return imap_watch_wait(mine(session), raw_names, count, other_fd, timeout_ms, hint, context, err);
}

static void
op_remember(struct remote *remote, struct slice raw_name, uint32_t uidvalidity, const struct guid *id)
{
	imap_names_keep((struct imap_remote *)remote, raw_name, uidvalidity, id);
}

static void
op_counters(const struct remote_session *session, uint64_t *octets_in, uint64_t *octets_out, uint64_t *turns,
	uint64_t *commands)
{
	const struct imap_session *s = mine_const(session);

	*octets_in = stream_octets_in(s->stream);
	*octets_out = stream_octets_out(s->stream);
	*turns = s->turns;
	*commands = s->commands;
}

static const struct remote_ops imap_ops = {
	.kind = "imap",
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
	.remember = op_remember,
	.counters = op_counters,
};

static char *
copy_text(const char *text)
{
	return text != NULL ? slice_dup(slice_of(text)) : NULL;
}

static bool
check_settings(const struct imap_settings *settings, struct error *err)
{
	if (settings->transport == IMAP_TUNNEL ? settings->tunnel == NULL : settings->host == NULL) {
		return error_set(err, ERROR_CONFIG, "the server has no address");
	}
	if (settings->user == NULL || settings->user[0] == '\0') {
		return error_set(err, ERROR_CONFIG, "there is no user to log in as");
	}
	if (strpbrk(settings->user, "\r\n") != NULL) {
		return error_set(err, ERROR_CONFIG, "the user's name holds a line end");
	}
	return true;
}

bool
imap_remote_create(struct io *io, struct io_dir *spool_dir, const struct imap_settings *settings, struct remote **out,
	struct error *err)
{
	struct imap_remote *remote;
	bool encrypts = settings->transport == IMAP_TLS || settings->transport == IMAP_STARTTLS;

	if (!check_settings(settings, err)) {
		return false;
	}
	remote = calloc(1, sizeof *remote);
	if (remote == NULL) {
		abort();
	}
	remote->head.ops = &imap_ops;
	remote->io = io;
	remote->spool_dir = spool_dir;
	remote->transport = settings->transport;
	remote->host = copy_text(settings->host);
	remote->port = settings->port;
	remote->tunnel = copy_text(settings->tunnel);
	remote->user = copy_text(settings->user);
	remote->auth = copy_text(settings->auth != NULL ? settings->auth : "auto");
	remote->without = copy_text(settings->without);
	remote->certificate = settings->tls_client_certificate != NULL;
	remote->compress = settings->compress;
	remote->secret = settings->secret;
	remote->secret_context = settings->secret_context;
	mutex_init(&remote->lock, LOCK_RANK_LEAF);
	*out = &remote->head;
	if (encrypts && !stream_tls_create(settings->tls_ca_file, settings->tls_pin, settings->tls_client_certificate,
				&remote->tls, err)) {
		op_destroy(out);
		return false;
	}
	return true;
}
