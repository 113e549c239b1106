#include "engine/remote/imap/imap_session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/remote/imap/imap_refusal.h"
#include "engine/remote/imap/imap_selection.h"

#define SPOOL_PIECE (64u << 10)

struct imap_session *
imap_session_create(struct imap_remote *remote, struct stream *stream, struct cancel *cancel)
{
	struct imap_session *session = calloc(1, sizeof *session);

	if (session == NULL) {
		abort();
	}
	session->remote = remote;
	session->stream = stream;
	session->cancel = cancel;
	session->last_used_ms = io_now_ms(remote->io);
	imap_reader_init(&session->reader);
	return session;
}

void
imap_session_destroy(struct imap_session **session)
{
	struct imap_session *s = *session;

	if (s == NULL) {
		return;
	}
	stream_close(&s->stream);
	imap_reader_finish(&s->reader);
	for (size_t i = 0; i < IMAP_PENDING_MAX; i++) {
		buf_finish(&s->pending[i].name);
	}
	buf_finish(&s->challenge);
	imap_selection_finish(&s->selection);
	free(s);
	*session = NULL;
}

enum guid_kind
imap_session_message_ids(const struct imap_session *session)
{
	struct imap_remote *remote = session->remote;
	enum guid_kind kind;

	mutex_lock(&remote->lock);
	kind = remote->message_ids;
	mutex_unlock(&remote->lock);
	return kind;
}

enum imap_literals
imap_session_literals(const struct imap_session *session)
{
	return imap_can(&session->can, IMAP_CAN_LITERAL_PLUS)    ? IMAP_LITERALS_PLUS
	       : imap_can(&session->can, IMAP_CAN_LITERAL_MINUS) ? IMAP_LITERALS_MINUS
								 : IMAP_LITERALS_WAIT;
}

bool
imap_session_die(struct imap_session *session, struct error *err)
{
	if (!session->dead) {
		session->dead = true;
		session->death = *err;
		log_debug("imap", "session=%p event=dead kind=%s reason=%s", (void *)session,
			error_kind_name(err->kind), err->text);
	}
	return false;
}

bool
imap_session_check(const struct imap_session *session, struct error *err)
{
	if (!session->dead) {
		return true;
	}
	*err = session->death;
	return error_is_temporary(err)
		       ? error_set(err, ERROR_RETRY, "the connection was lost earlier: %s", session->death.text)
		       : false;
}

/* A protocol error, or a cut connection: with the server's last words if it had any. */
static bool
lost(struct imap_session *session, struct error *err)
{
	if (session->bye[0] != '\0' && err->kind == ERROR_RETRY) {
		const struct imap_response bye = {.status = IMAP_BYE, .text = slice_of(session->bye)};

		imap_refusal(&bye, session->authenticated ? "the session" : "login", err);
		if (err->kind == ERROR_CREDENTIALS) {
			err->kind = ERROR_RETRY;
		}
	}
	return imap_session_die(session, err);
}

/* --- the ring of commands on the way --- */

static struct imap_pending *
pending_at(struct imap_session *session, size_t index)
{
	return &session->pending[(session->pending_first + index) % IMAP_PENDING_MAX];
}

/* The command that the server is busy with, or NULL. */
static struct imap_pending *
busy_with(struct imap_session *session)
{
	return session->pending_count > 0 ? pending_at(session, 0) : NULL;
}

/* Who hears what is untagged: the oldest command that asks for such a thing. */
static const struct imap_listener *
listener_of(struct imap_session *session, const struct imap_listener *otherwise)
{
	for (size_t i = 0; i < session->pending_count; i++) {
		const struct imap_pending *pending = pending_at(session, i);

		if (!pending->answered && (pending->listener == NULL || !pending->listener->passes)) {
			return pending->listener;
		}
	}
	return session->pending_count > 0 ? NULL : otherwise;
}

/* Says what the server is busy with from now on. */
static void
turn_to_first(struct imap_session *session)
{
	struct imap_pending *first = busy_with(session);

	if (first != NULL && first->selects) {
		imap_selection_begin(&session->selection, buf_slice(&first->name));
	}
}

static void
drop_answered(struct imap_session *session)
{
	bool moved = false;

	while (session->pending_count > 0 && pending_at(session, 0)->answered) {
		session->pending_first = (session->pending_first + 1) % IMAP_PENDING_MAX;
		session->pending_count--;
		moved = true;
	}
	if (moved) {
		turn_to_first(session);
	}
}

static struct imap_pending *
find_pending(struct imap_session *session, struct slice tag)
{
	uint32_t number;

	if (tag.length < 2 || tag.data[0] != 'm' || !slice_to_u32(slice_skip(tag, 1), &number)) {
		return NULL;
	}
	for (size_t i = 0; i < session->pending_count; i++) {
		struct imap_pending *pending = pending_at(session, i);

		if (pending->tag == number && !pending->answered) {
			return pending;
		}
	}
	return NULL;
}

/* --- what comes in --- */

void
imap_session_forget_capabilities(struct imap_session *session)
{
	session->can = (struct imap_capabilities){0};
	session->has_capabilities = false;
}

static void
learn_capabilities(struct imap_session *session, struct slice words)
{
	imap_capability_read(words, session->remote->without, &session->can);
	session->has_capabilities = true;
}

static void
hear_status(struct imap_session *session, const struct imap_response *response)
{
	struct slice said = slice_head(response->text, sizeof session->bye - 1);

	if (slice_equal_nocase(response->code, SLICE_LITERAL("CAPABILITY"))) {
		learn_capabilities(session, response->arguments);
	}
	if (response->kind == IMAP_RESPONSE_STATUS && response->status == IMAP_BYE) {
		snprintf(session->bye, sizeof session->bye, "%s%.*s%s%.*s", response->code.length > 0 ? "[" : "",
			(int)slice_head(response->code, 40).length,
			response->code.length > 0 ? response->code.data : "", response->code.length > 0 ? "] " : "",
			(int)said.length, said.length > 0 ? said.data : "");
		if (session->bye[0] == '\0') {
			snprintf(session->bye, sizeof session->bye, "goodbye");
		}
	}
	if (slice_equal_nocase(response->code, SLICE_LITERAL("ALERT"))) {
		log_info("imap", "host=%s alert=%.*s", session->remote->host != NULL ? session->remote->host : "-",
			(int)said.length, said.length > 0 ? said.data : "");
	}
}

/* Names of more octets than that are nobody's prefix. */
static void
learn_prefix(struct imap_remote *remote, struct slice prefix)
{
	mutex_lock(&remote->lock);
	remote->prefix_known = true;
	remote->prefix_length = prefix.length <= sizeof(remote->prefix) ? prefix.length : 0;
	memcpy(remote->prefix, prefix.data != NULL ? prefix.data : "", remote->prefix_length);
	mutex_unlock(&remote->lock);
}

/* What the session itself learns from a response. */
static bool
hear(struct imap_session *session, const struct imap_response *response, struct error *err)
{
	const struct imap_pending *first = busy_with(session);
	bool selecting = first != NULL && first->selects;

	switch (response->kind) {
	case IMAP_RESPONSE_CAPABILITY:
		learn_capabilities(session, response->text);
		return true;
	case IMAP_RESPONSE_STATUS:
	case IMAP_RESPONSE_TAGGED:
		hear_status(session, response);
		return imap_selection_hear(&session->selection, response, selecting, err);
	case IMAP_RESPONSE_FLAGS:
	case IMAP_RESPONSE_EXISTS:
	case IMAP_RESPONSE_EXPUNGE:
	case IMAP_RESPONSE_VANISHED:
	case IMAP_RESPONSE_FETCH:
		return imap_selection_hear(&session->selection, response, selecting, err);
	case IMAP_RESPONSE_CONTINUE:
		session->continued = true;
		buf_clear(&session->challenge);
		buf_append(&session->challenge, response->text);
		return true;
	case IMAP_RESPONSE_NAMESPACE:
		learn_prefix(session->remote, response->prefix);
		return true;
	case IMAP_RESPONSE_ENABLED:
	case IMAP_RESPONSE_LIST:
	case IMAP_RESPONSE_LSUB:
	case IMAP_RESPONSE_MAILBOX:
	case IMAP_RESPONSE_SEARCH:
	case IMAP_RESPONSE_ESEARCH:
	case IMAP_RESPONSE_ID:
	case IMAP_RESPONSE_OTHER:
		return true;
	}
	return true;
}

static bool
take_answer(struct imap_session *session, const struct imap_response *answer, struct error *err)
{
	struct imap_pending *pending = find_pending(session, answer->tag);

	if (pending == NULL) {
		return error_set(err, ERROR_RETRY, "the server answered a command that was not sent");
	}
	if (pending->selects && pending != busy_with(session)) {
		return error_set(err, ERROR_RETRY, "the server answered SELECT out of turn");
	}
	if (!hear(session, answer, err)) {
		return false;
	}
	if (pending->selects) {
		imap_selection_end(&session->selection, answer);
	}
	pending->answered = true;
	session->unanswered--;
	if (pending->done != NULL && !pending->done(pending->context, pending->cookie, answer, err)) {
		return false;
	}
	drop_answered(session);
	return true;
}

static bool
hand_on(struct imap_session *session, const struct imap_event *event, const struct imap_listener *listener,
	struct error *err)
{
	listener = listener_of(session, listener);
	if (event->kind == IMAP_EVENT_BODY) {
		return listener == NULL || listener->body == NULL || listener->body(listener->context, event, err);
	}
	if (event->response.kind == IMAP_RESPONSE_TAGGED) {
		return take_answer(session, &event->response, err);
	}
	return hear(session, &event->response, err) &&
	       (listener == NULL || listener->untagged == NULL ||
		       listener->untagged(listener->context, &event->response, err));
}

void
imap_session_rest(struct imap_session *session)
{
	if (session->taken > 0) {
		stream_consume(session->stream, session->taken);
	}
	session->taken = 0;
	session->view = (struct slice){0};
}

/* Reads one event of what is there; false in *out_any where it does not make a whole one. */
static bool
read_event(struct imap_session *session, const struct imap_listener *listener, bool *out_any, struct error *err)
{
	struct slice view = session->view;
	struct imap_event event;

	*out_any = false;
	if (!imap_reader_next(&session->reader, &view, &event, err)) {
		return lost(session, err);
	}
	session->taken += session->view.length - view.length;
	session->view = view;
	if (event.kind != IMAP_EVENT_MORE) {
		*out_any = true;
		if (!hand_on(session, &event, listener, err)) {
			return lost(session, err);
		}
	}
	return true;
}

static bool
look(struct imap_session *session, struct error *err)
{
	imap_session_rest(session);
	if (!stream_peek(session->stream, false, IMAP_ANSWER_MS, &session->view, err)) {
		const struct imap_pending *first = busy_with(session);

		error_wrap(err, "waiting for the answer to %s", first != NULL ? first->what : "the connection");
		return lost(session, err);
	}
	session->read_since_write = true;
	return true;
}

/* Nothing more can be sent: what the server said before it hung up is still read, for it may be the reason. */
static bool
lost_sending(struct imap_session *session, struct error *err)
{
	struct error ignored;
	bool any = true;

	imap_session_rest(session);
	while (any && stream_peek(session->stream, false, 0, &session->view, &ignored)) {
		while (any && session->view.length > 0) {
			if (!read_event(session, NULL, &any, &ignored)) {
				*err = session->death;
				return false;
			}
		}
		imap_session_rest(session);
	}
	return lost(session, err);
}

bool
imap_session_step(struct imap_session *session, struct error *err)
{
	bool any = false;

	if (!imap_session_check(session, err)) {
		return false;
	}
	if (stream_sent(session->stream) < stream_queued(session->stream) &&
		!stream_flush(session->stream, IMAP_ANSWER_MS, err)) {
		return lost_sending(session, err);
	}
	while (!any) {
		if (session->view.length == 0 && !look(session, err)) {
			return false;
		}
		if (!read_event(session, NULL, &any, err)) {
			return false;
		}
	}
	return true;
}

bool
imap_session_settle(struct imap_session *session, size_t left, struct error *err)
{
	while (session->unanswered > left) {
		if (!imap_session_step(session, err)) {
			return false;
		}
	}
	session->last_used_ms = io_now_ms(session->remote->io);
	return true;
}

/* --- what goes out --- */

bool
imap_session_say(struct imap_session *session, struct slice octets, struct error *err)
{
	if (!imap_session_check(session, err)) {
		return false;
	}
	imap_session_rest(session);
	if (session->read_since_write) {
		session->turns++;
		session->read_since_write = false;
	}
	return stream_write(session->stream, octets, IMAP_ANSWER_MS, err) || lost_sending(session, err);
}

static bool
say_spool(struct imap_session *session, const struct spool *spool, struct error *err)
{
	SCOPED(buf_finish) struct buf piece = BUF_INIT;
	uint64_t offset = 0, size = spool_size(spool);
	size_t got;

	buf_reserve(&piece, SPOOL_PIECE);
	while (offset < size) {
		if (!spool_pread(spool, piece.data, SPOOL_PIECE, offset, &got, err) || got == 0) {
			/* its size was announced already: nothing but the end of the connection can take that back */
			error_wrap(err, "reading a body that is being sent");
			return imap_session_die(session, err);
		}
		if (!imap_session_say(session, slice_make(piece.data, got), err)) {
			return false;
		}
		offset += got;
	}
	return true;
}

bool
imap_session_await_continuation(struct imap_session *session, bool *out_continued, struct error *err)
{
	uint32_t tag = session->last_tag;
	char text[16];

	snprintf(text, sizeof text, "m%" PRIu32, tag);
	while (!session->continued && find_pending(session, slice_of(text)) != NULL) {
		if (!imap_session_step(session, err)) {
			return false;
		}
	}
	*out_continued = session->continued;
	session->continued = false;
	return true;
}

static void
add_pending(struct imap_session *session, const struct imap_asked *asked)
{
	struct imap_pending *pending = pending_at(session, session->pending_count);

	assert(session->pending_count < IMAP_PENDING_MAX);
	pending->tag = ++session->last_tag;
	pending->answered = false;
	pending->selects = asked->selects.length > 0;
	buf_clear(&pending->name);
	buf_append(&pending->name, asked->selects);
	pending->what = asked->what;
	pending->listener = asked->listener;
	pending->done = asked->done;
	pending->context = asked->context;
	pending->cookie = asked->cookie;
	session->pending_count++;
	session->unanswered++;
	session->commands++;
	if (session->pending_count == 1) {
		turn_to_first(session);
	}
}

/* Sends the text between two cuts. */
static bool
say_part(struct imap_session *session, const struct imap_command *command, size_t from, size_t to, struct error *err)
{
	return imap_session_say(session, slice_make(command->text.data + from, to - from), err);
}

/* Sends a command's octets; *out_whole is false where the server refused it halfway. */
static bool
say_command(struct imap_session *session, const struct imap_command *command, bool *out_whole, struct error *err)
{
	size_t from = 0;

	*out_whole = false;
	for (size_t i = 0; i < command->cut_count; i++) {
		const struct imap_cut *cut = &command->cuts[i];

		if (!say_part(session, command, from, cut->at, err)) {
			return false;
		}
		from = cut->at;
		if (cut->wait) {
			bool go;

			session->continued = false;
			if (!imap_session_await_continuation(session, &go, err)) {
				return false;
			}
			if (!go) {
				return true;
			}
		}
		if (cut->spool != NULL && !say_spool(session, cut->spool, err)) {
			return false;
		}
	}
	*out_whole = true;
	return say_part(session, command, from, command->text.length, err) &&
	       imap_session_say(session, SLICE_LITERAL("\r\n"), err);
}

bool
imap_session_send(struct imap_session *session, const struct imap_command *command, const struct imap_asked *asked,
	uint64_t *out_mark, struct error *err)
{
	char tag[16];
	bool whole;

	if (!imap_session_check(session, err) || !imap_command_check(command, err)) {
		return false;
	}
	while (session->pending_count == IMAP_PENDING_MAX) {
		if (!imap_session_step(session, err)) {
			return false;
		}
	}
	add_pending(session, asked);
	snprintf(tag, sizeof tag, "m%" PRIu32 " ", session->last_tag);
	if (out_mark != NULL) {
		*out_mark = UINT64_MAX; /* not whole yet */
	}
	if (!imap_session_say(session, slice_of(tag), err) || !say_command(session, command, &whole, err)) {
		return false;
	}
	if (out_mark != NULL && whole) {
		*out_mark = stream_queued(session->stream);
	}
	log_debug("imap", "session=%p event=sent tag=m%" PRIu32 " command=%s", (void *)session, session->last_tag,
		asked->what);
	return true;
}

bool
imap_session_sent(const struct imap_session *session, uint64_t mark)
{
	return mark != UINT64_MAX && stream_sent(session->stream) >= mark;
}

/* --- one command alone; listening --- */

void
imap_answer_finish(struct imap_answer *answer)
{
	buf_finish(&answer->arguments);
}

struct run {
	struct imap_answer *out;
	const char *what;
};

static bool
run_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct run *run = context;

	(void)cookie;
	(void)err;
	run->out->status = answer->status;
	snprintf(run->out->code, sizeof run->out->code, "%.*s",
		(int)slice_head(answer->code, sizeof run->out->code - 1).length,
		answer->code.length > 0 ? answer->code.data : "");
	buf_clear(&run->out->arguments);
	buf_append(&run->out->arguments, answer->arguments);
	error_clear(&run->out->error);
	if (answer->status != IMAP_OK) {
		imap_refusal(answer, run->what, &run->out->error);
	}
	return true;
}

bool
imap_session_run(struct imap_session *session, const struct imap_command *command, const struct imap_asked *asked,
	struct imap_answer *out, struct error *err)
{
	struct run run = {.out = out, .what = asked->what};
	struct imap_asked with = *asked;

	with.done = run_done;
	with.context = &run;
	return imap_session_send(session, command, &with, NULL, err) && imap_session_settle(session, 0, err);
}

/* Waits for input; false in *out_input where something else came first. */
static bool
await_input(struct imap_session *session, int other_fd, int64_t timeout_ms, enum stream_event *out_event,
	bool *out_input, struct error *err)
{
	if (!imap_session_check(session, err)) {
		return false;
	}
	*out_input = false;
	if (session->view.length > 0) { /* the last reading stopped at an event */
		*out_event = STREAM_EVENT_INPUT;
		*out_input = true;
		return true;
	}
	imap_session_rest(session);
	if (!stream_flush(session->stream, IMAP_ANSWER_MS, err)) {
		return lost_sending(session, err);
	}
	*out_event = stream_wait(session->stream, other_fd, timeout_ms);
	if (*out_event == STREAM_EVENT_CANCELLED || *out_event == STREAM_EVENT_OTHER ||
		*out_event == STREAM_EVENT_TIMEOUT) {
		return true;
	}
	*out_input = true;
	return look(session, err);
}

bool
imap_session_greet(struct imap_session *session, const struct imap_listener *listener, int64_t timeout_ms,
	enum stream_event *out_event, struct error *err)
{
	bool input, any;

	if (!await_input(session, -1, timeout_ms, out_event, &input, err)) {
		return false;
	}
	return !input || read_event(session, listener, &any, err);
}

bool
imap_session_listen(struct imap_session *session, const struct imap_listener *listener, int other_fd,
	int64_t timeout_ms, enum stream_event *out_event, struct error *err)
{
	bool input, any;

	if (!await_input(session, other_fd, timeout_ms, out_event, &input, err)) {
		return false;
	}
	while (input && session->view.length > 0) {
		if (!read_event(session, listener, &any, err)) {
			return false;
		}
	}
	session->last_used_ms = io_now_ms(session->remote->io);
	return true;
}
