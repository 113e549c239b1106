#include "engine/remote/imap/imap_bodies.h"

#include <inttypes.h>

#include "engine/remote/imap/imap_fetch.h"
#include "engine/remote/imap/imap_refusal.h"
#include "engine/remote/imap/imap_selection.h"

struct bodies {
	const struct remote_body_sink *sink;
	uint32_t begun; /* the large body that is being given out */
	size_t failed;
	struct error failure; /* the first */
	bool select_answered, select_fine;
	struct error select_failure;
};

static bool
give_whole(void *context, uint32_t uid, struct spool **body, struct error *err)
{
	struct bodies *bodies = context;
	const struct remote_body_sink *sink = bodies->sink;
	struct slice view;

	if (*body == NULL) {
		return sink->end(sink->context, uid, false, err);
	}
	return spool_view(*body, &view, err) && sink->begin(sink->context, uid, view.length, err) &&
	       (view.length == 0 || sink->data(sink->context, uid, view, err)) &&
	       sink->end(sink->context, uid, true, err);
}

static bool
give_header(void *context, uint32_t uid, struct slice header, struct error *err)
{
	(void)context;
	(void)uid;
	(void)header;
	(void)err;
	return true; /* never asked for here */
}

static bool
give_piece(void *context, uint32_t uid, struct slice data, bool end, bool found, struct error *err)
{
	struct bodies *bodies = context;
	const struct remote_body_sink *sink = bodies->sink;

	if (bodies->begun != uid && (found || !end)) {
		bodies->begun = uid;
		if (!sink->begin(sink->context, uid, 0, err)) {
			return false;
		}
	}
	return end ? sink->end(sink->context, uid, found, err) : sink->data(sink->context, uid, data, err);
}

static bool
give_failure(void *context, uint32_t uid, const struct error *why, struct error *err)
{
	struct bodies *bodies = context;

	(void)err;
	if (bodies->failed++ == 0) {
		bodies->failure = *why;
		error_wrap(&bodies->failure, "message UID %" PRIu32, uid);
	}
	return true;
}

static bool
select_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct bodies *bodies = context;

	(void)cookie;
	(void)err;
	bodies->select_answered = true;
	bodies->select_fine = answer->status == IMAP_OK;
	if (!bodies->select_fine) {
		imap_refusal(answer, "SELECT", &bodies->select_failure);
	}
	return true;
}

/* Selects in the same turn as what is fetched. What comes is looked at only when the answer to SELECT was. */
static bool
begin_selected(struct imap_session *session, const struct remote_target *target, struct bodies *bodies,
	struct imap_fetcher *fetcher, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	const struct imap_asked asked = {
		.what = "SELECT", .done = select_done, .context = bodies, .selects = target->raw_name};

	if (imap_selection_is(&session->selection, target->raw_name)) {
		return imap_selection_agrees(&session->selection, target->uidvalidity, err);
	}
	imap_selection_print(session, target->raw_name, &command);
	if (!imap_session_send(session, &command, &asked, NULL, err) || !imap_fetch_send(fetcher, err)) {
		return false;
	}
	while (!bodies->select_answered) {
		if (!imap_session_step(session, err)) {
			return false;
		}
	}
	if (bodies->select_fine && imap_selection_agrees(&session->selection, target->uidvalidity, err)) {
		return true;
	}
	if (!bodies->select_fine) {
		*err = bodies->select_failure;
	}
	imap_fetch_unsend(fetcher);

	struct error drained;

	if (!imap_session_settle(session, 0, &drained)) {
		*err = drained;
	}
	return false;
}

bool
imap_bodies_fetch(struct imap_session *session, const struct remote_target *target, const struct uidset *uids,
	const uint64_t *sizes, const struct remote_body_sink *sink, struct error *err)
{
	struct bodies bodies = {.sink = sink};
	const struct imap_fetch_sink ours = {.whole = give_whole,
		.header = give_header,
		.piece = give_piece,
		.failed = give_failure,
		.context = &bodies};
	SCOPED(imap_fetch_finish) struct imap_fetcher fetcher;
	uint32_t uid = 0;
	size_t i = 0;

	imap_fetch_begin(&fetcher, session, &ours, NULL);
	while (uidset_next(uids, &uid)) {
		uint64_t size = sizes != NULL ? sizes[i++] : 0;

		imap_fetch_add(&fetcher, uid, size > IMAP_FETCH_WHOLE_MAX ? IMAP_FETCH_PIECES : IMAP_FETCH_WHOLE, size);
		if (size > IMAP_FETCH_WHOLE_MAX && sink->resume != NULL) {
			imap_fetch_resume(&fetcher, sink->resume(sink->context, uid, size));
		}
	}
	imap_fetch_ready(&fetcher);
	if (fetcher.item_count == 0) {
		return true;
	}
	if (!begin_selected(session, target, &bodies, &fetcher, err) || !imap_fetch_run(&fetcher, err)) {
		return false;
	}
	if (bodies.failed > 1) {
		return error_set(
			err, bodies.failure.kind, "%zu messages cannot be had: %s", bodies.failed, bodies.failure.text);
	}
	if (bodies.failed == 1) {
		*err = bodies.failure;
		return false;
	}
	return true;
}
