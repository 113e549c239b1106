#include "engine/remote/imap/imap_watch.h"

#include "engine/remote/imap/imap_selection.h"

struct watch {
	struct imap_session *session;
	const struct slice *names;
	bool heard; /* something came for which a hint was given */
	bool ready; /* what comes is news, and not what was selected */
	void (*hint)(void *context, const struct remote_watch_event *event);
	void *context;
};

static void
tell(struct watch *watch, const struct remote_watch_event *event)
{
	watch->heard = true;
	watch->hint(watch->context, event);
}

static void
tell_mailbox(struct watch *watch, struct slice name)
{
	tell(watch, &(struct remote_watch_event){.what = REMOTE_WATCH_MAILBOX, .raw_name = name});
}

static bool
hear(void *context, const struct imap_response *response, struct error *err)
{
	struct watch *watch = context;

	(void)err;
	if (!watch->ready) {
		return true;
	}
	switch (response->kind) {
	case IMAP_RESPONSE_MAILBOX:
		tell_mailbox(watch, response->mailbox.name);
		return true;
	case IMAP_RESPONSE_LIST:
	case IMAP_RESPONSE_LSUB:
		tell(watch, &(struct remote_watch_event){.what = REMOTE_WATCH_TREE, .raw_name = response->listed.name});
		return true;
	case IMAP_RESPONSE_EXISTS:
	case IMAP_RESPONSE_EXPUNGE:
	case IMAP_RESPONSE_VANISHED:
	case IMAP_RESPONSE_FETCH:
		tell_mailbox(watch, buf_slice(&watch->session->selection.name));
		return true;
	case IMAP_RESPONSE_STATUS:
		if (slice_equal_nocase(response->code, SLICE_LITERAL("NOTIFICATIONOVERFLOW"))) {
			watch->session->notifying = false;
			tell(watch, &(struct remote_watch_event){.what = REMOTE_WATCH_ANY});
		}
		return true;
	case IMAP_RESPONSE_OTHER:
	case IMAP_RESPONSE_TAGGED:
	case IMAP_RESPONSE_CONTINUE:
	case IMAP_RESPONSE_CAPABILITY:
	case IMAP_RESPONSE_ENABLED:
	case IMAP_RESPONSE_FLAGS:
	case IMAP_RESPONSE_SEARCH:
	case IMAP_RESPONSE_ESEARCH:
	case IMAP_RESPONSE_ID:
	case IMAP_RESPONSE_NAMESPACE:
		return true;
	}
	return true;
}

/* Listens until the time is over, the other descriptor has something, or it was cancelled. */
static bool
listen(struct watch *watch, const struct imap_listener *listener, int other_fd, int64_t deadline_ms,
	bool *out_interrupted, struct error *err)
{
	struct io *io = watch->session->remote->io;
	enum stream_event event;

	*out_interrupted = false;
	for (;;) {
		int64_t left_ms = deadline_ms - io_now_ms(io);

		if (left_ms <= 0 || watch->heard) {
			return true;
		}
		if (!imap_session_listen(watch->session, listener, other_fd, left_ms, &event, err)) {
			return false;
		}
		if (event == STREAM_EVENT_OTHER) {
			*out_interrupted = true;
			return true;
		}
		if (event == STREAM_EVENT_CANCELLED) {
			error_set(err, ERROR_CANCELLED, "cancelled");
			return imap_session_die(watch->session, err);
		}
	}
}

/* --- NOTIFY --- */

static bool
begin_notify(struct watch *watch, const struct imap_listener *listener, bool *out_refused, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};
	struct imap_session *session = watch->session;

	*out_refused = false;
	if (session->notifying && !session->selection.selected) {
		return true;
	}
	/* with a mailbox selected, one that does not idle hears nothing at all from some servers */
	if (!imap_selection_leave(session, err)) {
		return false;
	}
	imap_command_begin(&command, IMAP_LITERALS_WAIT,
		"NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))");
	if (!imap_session_run(
		    session, &command, &(struct imap_asked){.what = "NOTIFY", .listener = listener}, &answer, err)) {
		return false;
	}
	session->notifying = answer.status == IMAP_OK;
	*out_refused = !session->notifying;
	if (*out_refused) {
		session->told.notify = false;
	} else {
		tell(watch, &(struct remote_watch_event){
				    .what = REMOTE_WATCH_ANY}); /* of what came before it tells nothing */
	}
	return true;
}

bool
imap_watch_end(struct imap_session *session, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};

	if (!session->notifying) {
		return true;
	}
	session->notifying = false;
	imap_command_begin(&command, IMAP_LITERALS_WAIT, "NOTIFY NONE");
	return imap_session_run(session, &command, &(struct imap_asked){.what = "NOTIFY"}, &answer, err);
}

/* --- IDLE --- */

/* One IDLE, until there is news, the time is over or it has to be renewed. */
static bool
idle_once(struct watch *watch, int other_fd, int64_t deadline_ms, bool *out_interrupted, bool *out_refused,
	struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	struct imap_session *session = watch->session;
	const struct imap_listener listener = {.context = watch, .untagged = hear};
	const struct imap_asked asked = {.what = "IDLE", .listener = &listener};
	int64_t renew_ms = io_now_ms(session->remote->io) + IMAP_IDLE_RENEW_MS;
	bool continued;

	*out_refused = *out_interrupted = false;
	imap_command_begin(&command, IMAP_LITERALS_WAIT, "IDLE");
	session->continued = false;
	if (!imap_session_send(session, &command, &asked, NULL, err) ||
		!imap_session_await_continuation(session, &continued, err)) {
		return false;
	}
	if (!continued) {
		*out_refused = true;
		return true;
	}
	return listen(watch, &listener, other_fd, renew_ms < deadline_ms ? renew_ms : deadline_ms, out_interrupted,
		       err) &&
	       imap_session_say(session, SLICE_LITERAL("DONE\r\n"), err) && imap_session_settle(session, 0, err);
}

static bool
idle(struct watch *watch, int other_fd, int64_t deadline_ms, bool *out_refused, struct error *err)
{
	struct imap_session *session = watch->session;
	bool interrupted = false;

	*out_refused = false;
	if (!imap_selection_is(&session->selection, watch->names[0])) {
		/* what SELECT itself tells is no news, but what came before it was not heard: the caller looks */
		watch->ready = false;
		if (!imap_selection_select(session, watch->names[0], 0, err)) {
			return false;
		}
		watch->ready = true;
		tell_mailbox(watch, watch->names[0]);
		return true;
	}
	while (!interrupted && !watch->heard && !*out_refused && io_now_ms(session->remote->io) < deadline_ms) {
		if (!idle_once(watch, other_fd, deadline_ms, &interrupted, out_refused, err)) {
			return false;
		}
	}
	return true;
}

bool
imap_watch_wait(struct imap_session *session, const struct slice *names, size_t count, int other_fd, int64_t timeout_ms,
	void (*hint)(void *context, const struct remote_watch_event *event), void *context, struct error *err)
{
	struct watch watch = {.session = session, .names = names, .ready = true, .hint = hint, .context = context};
	const struct imap_listener listener = {.context = &watch, .untagged = hear};
	int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX : io_now_ms(session->remote->io) + timeout_ms;
	bool refused = true, interrupted;

	if (!imap_session_check(session, err)) {
		return false;
	}
	if (session->told.notify && !begin_notify(&watch, &listener, &refused, err)) {
		return false;
	}
	if (refused && count > 0 && imap_can(&session->can, IMAP_CAN_IDLE)) {
		if (!idle(&watch, other_fd, deadline_ms, &refused, err)) {
			return false;
		}
		if (!refused) {
			return true;
		}
	}
	return listen(&watch, &listener, other_fd, deadline_ms, &interrupted, err);
}
