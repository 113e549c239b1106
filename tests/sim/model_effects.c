/* What changes something on the server. */
#include <assert.h>
#include <stdlib.h>

#include "tests/sim/model_session.h"

/* --- effects --- */

/* What the n-th item of an effect meets. */
struct fate {
	bool done;
	enum remote_outcome outcome;
};

static struct fate
fate_of(const struct model_session *session, enum model_fault fault, size_t item, size_t count)
{
	const struct model_trouble *trouble = &session->remote->trouble;
	size_t first = trouble->item % count;

	if (fault == MODEL_NO_FAULT || item < first) {
		return (struct fate){.done = true, .outcome = REMOTE_DONE};
	}
	switch (fault) {
	case MODEL_DROPPED:
		return (struct fate){.done = false, .outcome = REMOTE_UNKNOWN};
	case MODEL_LOST:
		/* What was sent behind it may have been done as well. */
		return (struct fate){.done = item == first || trouble->half, .outcome = REMOTE_UNKNOWN};
	case MODEL_REFUSED:
		return (struct fate){.done = item != first, .outcome = item == first ? REMOTE_REFUSED : REMOTE_DONE};
	case MODEL_STOP_AFTER:
		return (struct fate){.done = item == first || trouble->half, .outcome = REMOTE_UNKNOWN};
	case MODEL_CUT:
	case MODEL_STOP_BEFORE:
	case MODEL_FAULT_COUNT:
		break;
	}
	return (struct fate){.done = false, .outcome = REMOTE_NOT_SENT};
}

/* Ends a call with effects. */
static bool
end_effects(struct model_session *session, enum model_fault fault, struct error *err)
{
	switch (fault) {
	case MODEL_CUT:
	case MODEL_DROPPED:
	case MODEL_LOST:
		return model_hang_up(session, err);
	case MODEL_STOP_AFTER:
		model_stop_here(session->remote);
		break;
	case MODEL_REFUSED:
	case MODEL_STOP_BEFORE:
	case MODEL_FAULT_COUNT:
		break;
	}
	return true;
}

static bool
begin_effects(struct model_session *session, const char *call, enum model_fault *out_fault, struct error *err)
{
	if (session->dead) {
		return error_set(err, ERROR_RETRY, "the connection was lost before");
	}
	*out_fault = model_begin_call(session->remote, call);
	return true;
}

static void
store_group(struct model_session *session, struct model_mailbox *mailbox, const struct remote_store *group)
{
	struct model_server *server = model_session_server(session);

	for (uint32_t uid = 0; uidset_next(&group->uids, &uid);) {
		const struct model_message *message = model_message(mailbox, uid);

		if (message != NULL) {
			SCOPED(flags_finish) struct flags more = flags_union(&message->flags, &group->add);
			SCOPED(flags_finish) struct flags flags = flags_minus(&more, &group->remove);

			server->counts.stores++;
			server->counts.changes += !flags_equal(&message->flags, &flags);
			model_set_flags(server, mailbox, uid, &flags);
		}
	}
}

bool
model_op_store(struct remote_session *base, const struct remote_target *target, struct remote_store *groups,
	size_t count,
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err),
	void *context, struct error *err)
{
	struct model_session *session = model_session(base);
	const struct model_options *options = &model_session_server(session)->options;
	bool tells_flags = options->tells_flags || options->without_modseq;
	struct model_mailbox *mailbox;
	enum model_fault fault = MODEL_NO_FAULT;

	for (size_t i = 0; i < count; i++) {
		groups[i].outcome = REMOTE_NOT_SENT;
	}
	if (!begin_effects(session, "store", &fault, err) || !model_select(session, target, true, &mailbox, err)) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		struct fate fate = fate_of(session, fault, i, count);

		groups[i].outcome = fate.outcome;
		if (fate.outcome == REMOTE_REFUSED) {
			(void)model_refuse("STORE", &groups[i].error);
		}
		if (fate.done) {
			store_group(session, mailbox, &groups[i]);
		}
		for (uint32_t uid = 0; fate.outcome == REMOTE_DONE && uidset_next(&groups[i].uids, &uid);) {
			const struct model_message *message = model_message(mailbox, uid);

			if (message != NULL && each != NULL &&
				!each(context, uid, tells_flags ? &message->flags : NULL, message->modseq, err)) {
				return false;
			}
		}
	}
	return end_effects(session, fault, err);
}

static uint32_t
take_append(struct model_session *session, struct model_mailbox *mailbox, const struct remote_append *item)
{
	struct model_server *server = model_session_server(session);
	SCOPED(flags_finish) struct flags flags = flags_copy(&item->flags);
	SCOPED(buf_finish) struct buf body = BUF_INIT;
	struct error err = ERROR_INIT;
	struct slice view;

	if (!spool_view(item->body, &view, &err)) {
		abort();
	}
	if (server->options.without_keywords) {
		free(flags.keywords);
		flags.keywords = NULL;
	}
	server->counts.appends++;
	server->counts.changes++;
	buf_append(&server->sent, model_token(view));
	buf_append_octet(&server->sent, '\n');
	buf_append(&body, view);
	if (server->options.rewrites) {
		buf_append_text(&body, "Served by the model.\r\n");
	}
	for (size_t i = 0; server->options.folds && i < mailbox->count; i++) {
		struct slice there = slice_make(mailbox->messages[i].body, mailbox->messages[i].length);

		if (slice_equal(there, buf_slice(&body))) {
			return mailbox->messages[i].uid;
		}
	}
	return model_deliver(server, mailbox, buf_slice(&body), &flags, item->internaldate_s);
}

bool
model_op_append(struct remote_session *base, const struct remote_target *target, struct remote_append *items,
	size_t count, struct error *err)
{
	struct model_session *session = model_session(base);
	struct model_mailbox *mailbox = model_find_raw(model_session_server(session), target->raw_name);
	enum model_fault fault = MODEL_NO_FAULT;

	for (size_t i = 0; i < count; i++) {
		items[i].outcome = REMOTE_NOT_SENT;
		items[i].uid = (struct remote_uid){0};
	}
	if (!begin_effects(session, "append", &fault, err)) {
		return false;
	}
	mailbox = model_find_raw(model_session_server(session), target->raw_name);
	for (size_t i = 0; i < count; i++) {
		struct fate fate = fate_of(session, fault, i, count);

		if (fate.outcome == REMOTE_REFUSED) {
			(void)model_refuse("APPEND", &items[i].error);
		} else if (fate.outcome != REMOTE_NOT_SENT && (mailbox == NULL || mailbox->directory)) {
			error_set(&items[i].error, ERROR_GONE, "the server refused APPEND: there is no such mailbox");
			fate = (struct fate){.outcome = fate.outcome == REMOTE_DONE ? REMOTE_REFUSED : fate.outcome};
		}
		uint32_t uid = fate.done ? take_append(session, mailbox, &items[i]) : 0;

		items[i].outcome = fate.outcome;
		if (uid != 0 && fate.outcome == REMOTE_DONE && !session->remote->server->options.without_uidplus) {
			if (target->uidvalidity != 0 && mailbox->uidvalidity != target->uidvalidity) {
				items[i].outcome = REMOTE_UNKNOWN;
				error_set(&items[i].error, ERROR_RETRY, "rebuilt: UIDVALIDITY is another one");
			} else {
				items[i].uid = (struct remote_uid){.uidvalidity = mailbox->uidvalidity, .uid = uid};
			}
		}
	}
	return end_effects(session, fault, err);
}

struct copying {
	struct model_session *session;
	struct model_mailbox *from, *to;
	const struct remote_target *target;
	bool moves; /* by MOVE */
	enum model_fault fault;
};

static void
copy_item(struct copying *copying, struct remote_copy *item, struct fate fate)
{
	struct model_server *server = model_session_server(copying->session);
	const struct model_options *options = &server->options;
	uint32_t uid = 0;
	bool there = model_message(copying->from, item->uid) != NULL;

	item->outcome = fate.outcome;
	if (fate.outcome == REMOTE_REFUSED) {
		item->refusal = ERROR_ITEM;
	}
	if (fate.done && there) {
		uid = copying->moves ? model_move(server, copying->from, item->uid, copying->to)
				     : model_copy(server, copying->from, item->uid, copying->to);
		server->counts.copies++;
		server->counts.changes++;
	}
	if (fate.outcome != REMOTE_DONE || options->without_uidplus) {
		return;
	}
	if (!there) {
		item->outcome = REMOTE_REFUSED;
		item->refusal = ERROR_GONE;
	} else {
		item->target = (struct remote_uid){.uidvalidity = copying->to->uidvalidity, .uid = uid};
	}
}

/* The second half of a move without MOVE: takes away what was copied, or marks it. */
static void
take_away(struct copying *copying, const struct remote_copy *items, size_t count, bool *out_marked)
{
	struct model_server *server = model_session_server(copying->session);

	for (size_t i = 0; i < count; i++) {
		struct model_message *message = model_message(copying->from, items[i].uid);

		if (items[i].outcome != REMOTE_DONE || message == NULL) {
			continue;
		}
		server->counts.changes++;
		if (server->options.without_uidplus) {
			struct flags flags = flags_copy(&message->flags);

			flags.bits |= FLAG_DELETED;
			model_set_flags(server, copying->from, items[i].uid, &flags);
			flags_finish(&flags);
			*out_marked = true;
		} else {
			model_expunge(server, copying->from, items[i].uid);
		}
	}
}

static bool
copy_all(struct copying *copying, bool move, struct remote_copy *items, size_t count, bool *out_marked,
	struct error *err)
{
	struct model_session *session = copying->session;
	const struct model_trouble *trouble = &session->remote->trouble;
	bool two_steps = move && !copying->moves;
	enum model_fault first_fault = copying->fault;

	/* Where the move is two steps, the trouble may be with the second. */
	if (two_steps && trouble->half && copying->fault != MODEL_NO_FAULT) {
		first_fault = MODEL_NO_FAULT;
	}
	for (size_t i = 0; i < count; i++) {
		copy_item(copying, &items[i], fate_of(session, first_fault, i, count));
	}
	if (first_fault != MODEL_NO_FAULT && !end_effects(session, first_fault, err)) {
		return false;
	}
	if (!two_steps) {
		return true;
	}
	if (first_fault == MODEL_NO_FAULT && copying->fault == MODEL_REFUSED) {
		*out_marked = true;
		return true;
	}
	if (copying->fault == MODEL_NO_FAULT || copying->fault == MODEL_REFUSED || copying->fault == MODEL_LOST) {
		take_away(copying, items, count, out_marked);
	}
	return end_effects(session, copying->fault, err);
}

bool
model_op_copy(struct remote_session *base, const struct remote_target *from, const struct remote_target *to, bool move,
	struct remote_copy *items, size_t count, bool *out_marked, struct error *err)
{
	struct model_session *session = model_session(base);
	struct copying copying = {.session = session, .target = to, .fault = MODEL_NO_FAULT};

	*out_marked = false;
	for (size_t i = 0; i < count; i++) {
		assert(i == 0 || items[i - 1].uid < items[i].uid);
		items[i].outcome = REMOTE_NOT_SENT;
		items[i].target = (struct remote_uid){0};
		items[i].refusal = ERROR_NONE;
	}
	if (!begin_effects(session, move ? "move" : "copy", &copying.fault, err) ||
		!model_select(session, from, move, &copying.from, err)) {
		return false;
	}
	copying.moves = move && !model_session_server(session)->options.without_move;
	copying.to = model_find_raw(model_session_server(session), to->raw_name);
	if (copying.to == NULL || copying.to->directory) {
		for (size_t i = 0; i < count; i++) {
			items[i].outcome = REMOTE_REFUSED;
			items[i].refusal = ERROR_GONE;
		}
		return end_effects(session, copying.fault, err);
	}
	if (!copy_all(&copying, move, items, count, out_marked, err)) {
		return false;
	}
	if (to->uidvalidity != 0 && to->uidvalidity != copying.to->uidvalidity) {
		for (size_t i = 0; i < count; i++) {
			items[i].outcome = items[i].outcome == REMOTE_DONE ? REMOTE_UNKNOWN : items[i].outcome;
		}
		return error_set(err, ERROR_RETRY, "rebuilt: UIDVALIDITY of the target is another one");
	}
	return true;
}

static void
expunge_one(struct model_session *session, struct model_mailbox *mailbox, uint32_t uid, bool only_mark)
{
	struct model_server *server = model_session_server(session);
	const struct model_message *message = model_message(mailbox, uid);

	if (message == NULL) {
		return;
	}
	server->counts.expunges++;
	server->counts.changes++;
	if (!only_mark) {
		model_expunge(server, mailbox, uid);
		return;
	}
	struct flags flags = flags_copy(&message->flags);

	flags.bits |= FLAG_DELETED;
	model_set_flags(server, mailbox, uid, &flags);
	flags_finish(&flags);
}

bool
model_op_expunge(struct remote_session *base, const struct remote_target *target, const struct uidset *uids,
	enum remote_outcome *out_outcome, bool *out_marked, struct error *err)
{
	struct model_session *session = model_session(base);
	struct model_mailbox *mailbox;
	enum model_fault fault = MODEL_NO_FAULT;
	bool without_uidplus = model_session_server(session)->options.without_uidplus;

	*out_outcome = REMOTE_NOT_SENT;
	*out_marked = false;
	if (!begin_effects(session, "expunge", &fault, err) || !model_select(session, target, true, &mailbox, err)) {
		return false;
	}
	struct fate fate = fate_of(session, fault, 0, 1);
	/* Refused, or lost, half way: marked, and not expunged. */
	bool half = session->remote->trouble.half && (fault == MODEL_REFUSED || fault == MODEL_LOST);

	for (uint32_t uid = 0; (fate.done || half) && uidset_next(uids, &uid);) {
		expunge_one(session, mailbox, uid, without_uidplus || half);
	}
	*out_outcome = fate.outcome;
	if (fate.outcome == REMOTE_REFUSED) {
		*out_marked = half;
		(void)model_refuse("EXPUNGE", err);
		return true;
	}
	*out_marked = fate.outcome == REMOTE_DONE && without_uidplus;
	return end_effects(session, fault, err);
}

/* --- mailboxes --- */

/* Does one thing to the tree as `fault` wants it. */
static bool
change_tree(struct model_session *session, const char *call,
	bool (*change)(struct model_server *server, const char *a, const char *b, struct error *err), struct slice a,
	struct slice b, enum remote_outcome *out_outcome, struct error *err)
{
	struct model_server *server = model_session_server(session);
	char *name_a = slice_dup(a), *name_b = slice_dup(b);
	enum model_fault fault = MODEL_NO_FAULT;
	bool ok = true;

	*out_outcome = REMOTE_NOT_SENT;
	if (!begin_effects(session, call, &fault, err)) {
		free(name_a);
		free(name_b);
		return false;
	}
	struct fate fate = fate_of(session, fault, 0, 1);

	*out_outcome = fate.outcome;
	if (fate.outcome == REMOTE_REFUSED) {
		ok = model_refuse(call, err);
	} else if (fate.done && !change(server, name_a, name_b, err)) {
		*out_outcome = fault == MODEL_NO_FAULT ? REMOTE_REFUSED : fate.outcome;
		ok = false;
	} else if (fate.done) {
		server->counts.tree++;
		server->counts.changes++;
	}
	free(name_a);
	free(name_b);
	if (!end_effects(session, fault, err)) {
		return false;
	}
	return ok;
}

static bool
do_create(struct model_server *server, const char *name, const char *unused, struct error *err)
{
	struct model_mailbox *mailbox = model_create(server, name);

	(void)unused;
	if (mailbox == NULL) {
		return error_set(err, ERROR_EXISTS, "the server refused CREATE: it is there");
	}
	mailbox->subscribed = false;
	return true;
}

static bool
do_rename(struct model_server *server, const char *from, const char *to, struct error *err)
{
	const struct model_mailbox *target = model_find(server, to);

	if (model_find(server, from) == NULL) {
		return error_set(err, ERROR_GONE, "the server refused RENAME: there is no such mailbox");
	}
	return model_rename(server, from, to) ||
	       error_set(err, target != NULL ? ERROR_EXISTS : ERROR_ITEM, "the server refused RENAME");
}

static bool
do_remove(struct model_server *server, const char *name, const char *unused, struct error *err)
{
	(void)unused;
	return model_remove(server, name) ||
	       error_set(err, ERROR_GONE, "the server refused DELETE: there is no such mailbox");
}

static bool
do_subscribe(struct model_server *server, const char *name, const char *subscribed, struct error *err)
{
	struct model_mailbox *mailbox = model_find(server, name);

	(void)err;
	if (mailbox != NULL) {
		mailbox->subscribed = subscribed[0] != '\0';
	}
	return true;
}

bool
model_op_create(
	struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err)
{
	return change_tree(model_session(session), "create", do_create, raw_name, (struct slice){0}, out_outcome, err);
}

bool
model_op_rename(struct remote_session *session, struct slice from, struct slice to, enum remote_outcome *out_outcome,
	struct error *err)
{
	return change_tree(model_session(session), "rename", do_rename, from, to, out_outcome, err);
}

bool
model_op_remove(
	struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err)
{
	return change_tree(model_session(session), "remove", do_remove, raw_name, (struct slice){0}, out_outcome, err);
}

bool
model_op_subscribe(struct remote_session *session, struct slice raw_name, bool subscribed, struct error *err)
{
	enum remote_outcome outcome;

	return change_tree(model_session(session), "subscribe", do_subscribe, raw_name,
		slice_of(subscribed ? "yes" : ""), &outcome, err);
}
