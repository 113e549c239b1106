/* The session, the listing, and what only reads. */
#include <assert.h>
#include <stdlib.h>

#include "engine/mime/header.h"
#include "tests/sim/model_session.h"

const char *
model_fault_name(enum model_fault fault)
{
	static const char *const names[] = {[MODEL_CUT] = "cut",
		[MODEL_DROPPED] = "dropped",
		[MODEL_LOST] = "lost",
		[MODEL_REFUSED] = "refused",
		[MODEL_STOP_BEFORE] = "stop-before",
		[MODEL_STOP_AFTER] = "stop-after"};

	return fault < ARRAY_LENGTH(names) ? names[fault] : "?";
}

/* --- troubles --- */

static void
let_others_act(struct model_remote *remote, const char *call)
{
	if (remote->meanwhile != NULL && !remote->in_meanwhile) {
		remote->in_meanwhile = true;
		remote->meanwhile(remote->context, call);
		remote->in_meanwhile = false;
	}
}

void
model_stop_here(struct model_remote *remote)
{
	assert(remote->stop != NULL);
	longjmp(*remote->stop, 1);
}

enum model_fault
model_begin_call(struct model_remote *remote, const char *call)
{
	struct model_trouble *trouble = &remote->trouble;

	let_others_act(remote, call);
	if (remote->log != NULL) {
		buf_printf(remote->log, "%s\n", call);
	}
	if (trouble->nth == 0 || (trouble->call != NULL && strcmp(trouble->call, call) != 0) || --trouble->nth > 0) {
		return MODEL_NO_FAULT;
	}
	remote->fired = true;
	remote->fired_at = call;
	if (remote->log != NULL) {
		buf_printf(remote->log, "  %s at item %u\n", model_fault_name(trouble->fault), trouble->item);
	}
	if (trouble->fault == MODEL_STOP_BEFORE) {
		model_stop_here(remote);
	}
	return trouble->fault;
}

bool
model_hang_up(struct model_session *session, struct error *err)
{
	session->dead = true;
	return error_set(err, ERROR_RETRY, "the connection was lost");
}

bool
model_refuse(const char *call, struct error *err)
{
	return error_set(err, ERROR_ITEM, "the server refused %s", call);
}

/* Begins a call that only reads. */
static bool
begin_reading(struct model_session *session, const char *call, struct error *err)
{
	if (session->dead) {
		return error_set(err, ERROR_RETRY, "the connection was lost before");
	}
	switch (model_begin_call(session->remote, call)) {
	case MODEL_CUT:
		return model_hang_up(session, err);
	case MODEL_STOP_AFTER:
		session->stops = true;
		session->answers_left = session->remote->trouble.item;
		return true;
	case MODEL_DROPPED:
	case MODEL_LOST:
		session->answers_left = session->remote->trouble.item;
		return true;
	case MODEL_REFUSED:
		return model_refuse(call, err);
	case MODEL_STOP_BEFORE:
	case MODEL_FAULT_COUNT:
		break;
	}
	session->answers_left = MODEL_LASTS;
	return true;
}

/* Asked before each answer. */
static bool
still_there(struct model_session *session, struct error *err)
{
	if (session->answers_left == MODEL_LASTS) {
		return true;
	}
	if (session->answers_left == 0) {
		if (session->stops) {
			model_stop_here(session->remote);
		}
		return model_hang_up(session, err);
	}
	session->answers_left--;
	return true;
}

/* Ends a call that only reads; the connection does not outlive one that it was to end in. */
static bool
end_reading(struct model_session *session, struct error *err)
{
	if (session->answers_left != MODEL_LASTS) {
		session->answers_left = 0;
	}
	return still_there(session, err);
}

/* --- the session --- */

struct model_mailbox *
model_find_raw(struct model_server *server, struct slice raw_name)
{
	char *name = slice_dup(raw_name);
	struct model_mailbox *mailbox = model_find(server, name);

	free(name);
	return mailbox;
}

bool
model_select(struct model_session *session, const struct remote_target *target, bool for_change,
	struct model_mailbox **out, struct error *err)
{
	struct model_mailbox *mailbox = model_find_raw(model_session_server(session), target->raw_name);

	if (mailbox == NULL || mailbox->directory) {
		return error_set(err, ERROR_GONE, "the server refused SELECT: there is no such mailbox");
	}
	if (target->uidvalidity != 0 && target->uidvalidity != mailbox->uidvalidity) {
		return error_set(err, ERROR_RETRY, "rebuilt: UIDVALIDITY is another one");
	}
	if (for_change && mailbox->read_only) {
		return error_set(err, ERROR_REFUSED, "the server lets this mailbox be read only");
	}
	*out = mailbox;
	return true;
}

static void
fill_selected(const struct model_server *server, const struct model_mailbox *mailbox, struct remote_selected *out)
{
	*out = (struct remote_selected){
		.uidvalidity = mailbox->uidvalidity,
		.uidnext = mailbox->uidnext,
		.highestmodseq = mailbox->highestmodseq,
		.exists = (uint32_t)mailbox->count,
		.permanent = {.bits = FLAG_ALL},
		.keywords_any = !server->options.without_keywords,
		.read_only = mailbox->read_only,
	};
	if (mailbox->id.kind == GUID_MAILBOXID) {
		out->id = mailbox->id;
	}
}

static void
op_destroy(struct remote **remote)
{
	free(*remote);
	*remote = NULL;
}

static bool
op_open(struct remote *base, struct cancel *cancel, struct remote_session **out, struct error *err)
{
	struct model_remote *remote = (struct model_remote *)base;
	const struct model_options *options = &remote->server->options;
	struct model_session *session;

	(void)cancel;
	if (model_begin_call(remote, "open") != MODEL_NO_FAULT) {
		return error_set(err, ERROR_UNREACHABLE, "the server does not answer");
	}
	session = calloc(1, sizeof *session);
	if (session == NULL) {
		abort();
	}
	session->base.ops = base->ops;
	session->remote = remote;
	session->answers_left = MODEL_LASTS;
	session->capabilities = (struct remote_capabilities){
		.qresync = !options->without_modseq,
		.condstore = !options->without_modseq,
		.uidplus = !options->without_uidplus,
		.move = !options->without_move,
		.multiappend = true,
		.list_status = !options->without_status,
		.message_guid = options->guids != MODEL_GUIDS_NONE,
		.mailbox_id = options->mailbox_ids != GUID_NONE,
	};
	*out = &session->base;
	return true;
}

static void
op_close(struct remote_session **session)
{
	free(*session);
	*session = NULL;
}

static bool
op_alive(const struct remote_session *session)
{
	return !((const struct model_session *)session)->dead;
}

static bool
op_refresh(struct remote_session *session, struct error *err)
{
	return !model_session(session)->dead || error_set(err, ERROR_RETRY, "the connection was lost before");
}

static const struct remote_capabilities *
op_capabilities(const struct remote_session *session)
{
	return &((const struct model_session *)session)->capabilities;
}

/* --- listing --- */

static bool
op_list(struct remote_session *base,
	bool (*each)(void *context, const struct remote_mailbox *mailbox, struct error *err), void *context,
	struct error *err)
{
	struct model_session *session = model_session(base);
	struct model_server *server = model_session_server(session);

	if (!begin_reading(session, "list", err)) {
		return false;
	}
	server->counts.lists++;
	for (size_t i = 0; i < server->count; i++) {
		const struct model_mailbox *row = server->mailboxes[i];
		struct remote_mailbox mailbox = {
			.raw_name = slice_of(row->name),
			.separator = '/',
			.attributes =
				(row->directory ? REMOTE_NOSELECT : 0u) | (row->subscribed ? REMOTE_SUBSCRIBED : 0u),
			.role = row->role,
			.id = row->id,
		};

		if (!row->directory && !server->options.without_status) {
			mailbox.has_status = true;
			mailbox.uidvalidity = row->uidvalidity;
			mailbox.uidnext = row->uidnext;
			mailbox.highestmodseq = row->highestmodseq;
			mailbox.messages = (uint32_t)row->count;
		}
		if (!still_there(session, err) || !each(context, &mailbox, err)) {
			return false;
		}
	}
	return end_reading(session, err);
}

/* --- scanning --- */

struct scan {
	struct model_session *session;
	const struct remote_scan_request *request;
	size_t index;
	const struct remote_scan_sink *sink;
	const struct model_mailbox *mailbox;
	struct remote_selected selected;
};

static bool
end_scan(struct scan *scan, enum remote_scan_state state, const char *reason, const struct error *failure,
	struct error *err)
{
	struct remote_selected *selected = scan->mailbox != NULL ? &scan->selected : NULL;

	return scan->sink->end(scan->sink->context, scan->index, state, selected, reason, failure, err);
}

static bool
is_other_message(const struct remote_newest *was, const struct model_message *is)
{
	if (was->guid.kind != GUID_NONE && is->guid.kind == was->guid.kind) {
		return !guid_equal(&was->guid, &is->guid);
	}
	return was->internaldate_s != is->internaldate_s || (was->size_bytes != 0 && was->size_bytes != is->length);
}

/* R7, as engine/remote/imap judges. NULL: it is the mailbox of the base. */
static const char *
rebuilt_because(const struct scan *scan)
{
	const struct remote_scan_request *request = scan->request;
	const struct remote_newest *newest = &request->newest;
	struct model_mailbox *mailbox = (struct model_mailbox *)(uintptr_t)scan->mailbox;

	if (request->uidvalidity == 0) {
		return NULL;
	}
	if (mailbox->uidvalidity != request->uidvalidity) {
		return "UIDVALIDITY changed";
	}
	if (request->id.kind == GUID_MAILBOXID && scan->selected.id.kind == GUID_MAILBOXID &&
		!guid_equal(&request->id, &scan->selected.id)) {
		return "another mailbox has this name";
	}
	if (mailbox->uidnext < request->uidnext) {
		return "UIDNEXT went back";
	}
	if (mailbox->highestmodseq != 0 && mailbox->highestmodseq < request->highestmodseq) {
		return "HIGHESTMODSEQ went back";
	}
	const struct model_message *message = newest->uid != 0 ? model_message(mailbox, newest->uid) : NULL;

	if (message != NULL && is_other_message(newest, message)) {
		return "the newest message is another one";
	}
	message = newest->changed_uid != 0 ? model_message(mailbox, newest->changed_uid) : NULL;
	if (message != NULL && message->modseq != 0 && message->modseq < newest->changed_modseq) {
		return "the MODSEQ of a message went back";
	}
	return NULL;
}

static bool
is_known(const struct scan *scan, uint32_t uid)
{
	return scan->request->uidvalidity != 0 && scan->request->known != NULL &&
	       uidset_contains(scan->request->known, uid);
}

static bool
tell_flags(struct scan *scan, struct error *err)
{
	const struct remote_scan_request *request = scan->request;
	bool by_modseq = !request->full && request->highestmodseq > 0 && scan->mailbox->highestmodseq > 0;

	for (size_t i = 0; i < scan->mailbox->count; i++) {
		const struct model_message *message = &scan->mailbox->messages[i];

		if (!is_known(scan, message->uid) || (by_modseq && message->modseq <= request->highestmodseq)) {
			continue;
		}
		if (!still_there(scan->session, err) || !scan->sink->flags(scan->sink->context, scan->index,
								message->uid, &message->flags, message->modseq, err)) {
			return false;
		}
	}
	return true;
}

static void
fill_message(const struct model_message *message, struct remote_message *out)
{
	*out = (struct remote_message){
		.uid = message->uid,
		.flags = message->flags, /* borrowed */
		.modseq = message->modseq,
		.internaldate_s = message->internaldate_s,
		.size_bytes = message->length,
		.guid = message->guid,
	};
}

static struct slice
header_of(const struct model_message *message)
{
	struct slice body = slice_make(message->body, message->length);

	return slice_head(body, header_length(body));
}

static bool
tell_message(struct scan *scan, const struct model_message *message, struct error *err)
{
	const struct remote_scan_request *request = scan->request;
	struct remote_message told;
	bool ok = true;

	fill_message(message, &told);
	if (request->bodies && message->length <= request->body_size_max) {
		told.body = spool_create(NULL);
		ok = spool_append(told.body, slice_make(message->body, message->length), err);
		model_session_server(scan->session)->counts.bodies++;
	} else {
		told.header = header_of(message);
	}
	ok = ok && scan->sink->message(scan->sink->context, scan->index, &told, err);
	spool_close(&told.body);
	return ok;
}

static bool
tell_messages(struct scan *scan, struct error *err)
{
	for (size_t i = 0; i < scan->mailbox->count; i++) {
		if (!is_known(scan, scan->mailbox->messages[i].uid) &&
			(!still_there(scan->session, err) || !tell_message(scan, &scan->mailbox->messages[i], err))) {
			return false;
		}
	}
	return true;
}

static bool
tell_gone(struct scan *scan, struct error *err)
{
	SCOPED(uidset_finish) struct uidset gone = UIDSET_INIT;
	struct model_mailbox *mailbox = (struct model_mailbox *)(uintptr_t)scan->mailbox;

	if (scan->request->uidvalidity == 0 || scan->request->known == NULL) {
		return true;
	}
	for (uint32_t uid = 0; uidset_next(scan->request->known, &uid);) {
		if (model_message(mailbox, uid) == NULL) {
			uidset_add(&gone, uid, uid);
		}
	}
	return gone.count == 0 ||
	       (still_there(scan->session, err) && scan->sink->gone(scan->sink->context, scan->index, &gone, err));
}

static bool
scan_one(struct scan *scan, struct error *err)
{
	struct model_server *server = model_session_server(scan->session);
	const struct model_mailbox *mailbox = model_find_raw(server, scan->request->raw_name);
	const char *rebuilt;

	if (mailbox == NULL || mailbox->directory) {
		return end_scan(scan, REMOTE_SCAN_GONE, "there is no such mailbox", NULL, err);
	}
	scan->mailbox = mailbox;
	fill_selected(server, mailbox, &scan->selected);
	rebuilt = rebuilt_because(scan);
	if (rebuilt != NULL) {
		return end_scan(scan, REMOTE_SCAN_REBUILT, rebuilt, NULL, err);
	}
	return still_there(scan->session, err) &&
	       scan->sink->selected(scan->sink->context, scan->index, &scan->selected, err) && tell_flags(scan, err) &&
	       tell_messages(scan, err) && tell_gone(scan, err) && still_there(scan->session, err) &&
	       end_scan(scan, REMOTE_SCAN_OK, NULL, NULL, err);
}

static bool
op_scan(struct remote_session *base, const struct remote_scan_request *requests, size_t count,
	const struct remote_scan_sink *sink, struct error *err)
{
	struct model_session *session = model_session(base);
	struct model_remote *remote = session->remote;
	struct error refusal = ERROR_INIT;
	size_t refused = SIZE_MAX;

	if (!begin_reading(session, "scan", err)) {
		if (session->dead || err->kind != ERROR_ITEM) {
			return false;
		}
		refusal = *err;
		error_clear(err);
		refused = remote->trouble.item % count;
	}
	model_session_server(session)->counts.scans += count;
	for (size_t i = 0; i < count; i++) {
		struct scan scan = {.session = session, .request = &requests[i], .index = i, .sink = sink};

		if (i > 0) {
			let_others_act(remote, "scan of another mailbox");
		}
		bool ok = i == refused ? end_scan(&scan, REMOTE_SCAN_FAILED, "refused", &refusal, err)
				       : scan_one(&scan, err);

		if (!ok) {
			return false;
		}
	}
	return end_reading(session, err);
}

/* --- single messages --- */

static bool
op_identify(struct remote_session *base, const struct remote_target *target, const struct uidset *uids, bool headers,
	bool (*each)(void *context, struct remote_message *message, struct error *err), void *context,
	struct remote_selected *out_selected, struct error *err)
{
	struct model_session *session = model_session(base);
	struct model_mailbox *mailbox;

	if (!begin_reading(session, "identify", err) || !model_select(session, target, false, &mailbox, err)) {
		return false;
	}
	for (size_t i = 0; i < mailbox->count; i++) {
		struct remote_message message;

		if (!uidset_contains(uids, mailbox->messages[i].uid)) {
			continue;
		}
		fill_message(&mailbox->messages[i], &message);
		if (headers) {
			message.header = header_of(&mailbox->messages[i]);
		}
		if (!still_there(session, err) || !each(context, &message, err)) {
			return false;
		}
	}
	if (out_selected != NULL) {
		fill_selected(model_session_server(session), mailbox, out_selected);
	}
	return end_reading(session, err);
}

static bool
give_body(struct model_session *session, const struct remote_body_sink *sink, uint32_t uid,
	const struct model_message *message, struct error *err)
{
	struct slice body;
	size_t half;

	if (message == NULL) {
		return sink->end(sink->context, uid, false, err);
	}
	body = slice_make(message->body, message->length);
	half = body.length / 2;
	model_session_server(session)->counts.bodies++;
	return sink->begin(sink->context, uid, body.length, err) &&
	       sink->data(sink->context, uid, slice_head(body, half), err) && still_there(session, err) &&
	       sink->data(sink->context, uid, slice_skip(body, half), err) && sink->end(sink->context, uid, true, err);
}

static bool
op_fetch(struct remote_session *base, const struct remote_target *target, const struct uidset *uids,
	const uint64_t *sizes, const struct remote_body_sink *sink, struct error *err)
{
	struct model_session *session = model_session(base);
	struct model_mailbox *mailbox;

	(void)sizes;
	if (!begin_reading(session, "fetch", err) || !model_select(session, target, false, &mailbox, err)) {
		return false;
	}
	for (uint32_t uid = 0; uidset_next(uids, &uid);) {
		if (!still_there(session, err) || !give_body(session, sink, uid, model_message(mailbox, uid), err)) {
			return false;
		}
	}
	return end_reading(session, err);
}

/* --- what nobody waits for here --- */

static bool
op_watch(struct remote_session *session, const struct slice *raw_names, size_t count, int other_fd, int64_t timeout_ms,
	void (*hint)(void *context, const struct remote_watch_event *event), void *context, struct error *err)
{
	(void)session;
	(void)raw_names;
	(void)count;
	(void)other_fd;
	(void)timeout_ms;
	(void)hint;
	(void)context;
	(void)err;
	return true;
}

static void
op_counters(const struct remote_session *session, uint64_t *octets_in, uint64_t *octets_out, uint64_t *turns,
	uint64_t *commands)
{
	(void)session;
	*octets_in = *octets_out = *turns = *commands = 0;
}

static const struct remote_ops model_ops = {
	.kind = "model",
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
	.store = model_op_store,
	.append = model_op_append,
	.copy = model_op_copy,
	.expunge = model_op_expunge,
	.create = model_op_create,
	.rename = model_op_rename,
	.remove = model_op_remove,
	.subscribe = model_op_subscribe,
	.watch = op_watch,
	.counters = op_counters,
};

struct model_remote *
model_remote_create(struct model_server *server)
{
	struct model_remote *remote = calloc(1, sizeof *remote);

	if (remote == NULL) {
		abort();
	}
	remote->base.ops = &model_ops;
	remote->server = server;
	return remote;
}

void
model_remote_destroy(struct model_remote **remote)
{
	free(*remote);
	*remote = NULL;
}
