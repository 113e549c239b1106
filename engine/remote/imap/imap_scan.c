#include "engine/remote/imap/imap_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/remote/imap/imap_catchup.h"
#include "engine/remote/imap/imap_fetch.h"
#include "engine/remote/imap/imap_search.h"
#include "engine/remote/imap/imap_selection.h"

#define BATCH_MAILBOXES 128  /* in one flight */
#define BATCH_FRESH     2000 /* new messages expected of them together; of one mailbox more are streamed */
#define SLICE_MESSAGES  1000 /* of a mailbox that is streamed */
#define RETRY_MESSAGES  5000 /* that are asked for one by one after the server refused them together */

enum plan {
	PLAN_END,    /* there is nothing to report but the state */
	PLAN_REPORT, /* all is there */
	PLAN_BODIES, /* bodies are to be fetched */
	PLAN_ALONE,
};

struct box {
	struct imap_catchup catchup;
	enum plan plan;
	enum remote_scan_state state;
	bool alone; /* from the beginning: too much to be held */
	bool select_sent;
	bool troubled; /* something had to be asked again: nothing is sent behind it any more */
	struct imap_fetcher fetcher;
	bool has_fetcher;
};

struct scan {
	struct imap_session *session;
	const struct remote_scan_request *requests;
	const struct remote_scan_sink *sink;
	struct box *boxes;
	size_t count;              /* of this batch */
	const struct box *current; /* whose mailbox is selected once all that is sent is done */
};

static const uint32_t unknown_count = UINT32_MAX;

/* How many new messages a request will bring. */
static uint32_t
expected_fresh(const struct remote_scan_request *request)
{
	uint32_t next = request->uidvalidity != 0 && request->uidnext > 0 ? request->uidnext : 1;
	uint32_t count;

	if (request->uidnext_hint == 0) {
		return request->uidvalidity == 0 ? unknown_count : 0;
	}
	count = request->uidnext_hint > next ? request->uidnext_hint - next : 0;
	return count < request->messages_hint || request->messages_hint == 0 ? count : request->messages_hint;
}

static bool
needs_solitude(const struct remote_scan_request *request)
{
	return expected_fresh(request) > BATCH_FRESH ||
	       (request->full && request->known != NULL && uidset_size(request->known) > IMAP_FLAGS_SMALL);
}

/* --- bodies of fresh messages --- */

static int
compare_uids(const void *key, const void *element)
{
	const struct remote_message *a = key, *b = element;

	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

/* The message whose body came; NULL where it has vanished meanwhile. */
static struct remote_message *
held_message(struct imap_catchup *catchup, uint32_t uid)
{
	struct remote_message key;

	key.uid = uid;
	return catchup->lost || !uidset_contains(&catchup->fresh, uid)
		       ? NULL
		       : bsearch(&key, catchup->held, catchup->fetched_count, sizeof *catchup->held, compare_uids);
}

static bool
give_whole(void *context, uint32_t uid, struct spool **body, struct error *err)
{
	struct imap_catchup *catchup = context;
	struct remote_message *message = held_message(catchup, uid);

	if (*body == NULL || message == NULL) {
		return true; /* gone meanwhile: it was never here */
	}
	message->body = *body;
	*body = NULL;

	bool fine = imap_catchup_tell(catchup, message, err);

	spool_close(&message->body);
	return fine;
}

static bool
give_header(void *context, uint32_t uid, struct slice header, struct error *err)
{
	struct imap_catchup *catchup = context;
	struct remote_message *message = held_message(catchup, uid);

	if (message == NULL) {
		return true;
	}
	message->header = header;

	bool fine = imap_catchup_tell(catchup, message, err);

	message->header = (struct slice){0};
	return fine;
}

static bool
give_piece(void *context, uint32_t uid, struct slice data, bool end, bool found, struct error *err)
{
	(void)context;
	(void)uid;
	(void)data;
	(void)end;
	(void)found;
	(void)err;
	return true; /* never asked for here */
}

/* The server cannot give it: it is told without header and body, so that it is known to be there. */
static bool
give_bare(void *context, uint32_t uid, const struct error *why, struct error *err)
{
	struct imap_catchup *catchup = context;
	struct remote_message *message = held_message(catchup, uid);

	log_warn("imap", "event=message-refused uid=%" PRIu32 " reason=\"%s\"", uid, why->text);
	return message == NULL || imap_catchup_tell(catchup, message, err);
}

static void
sink_of(struct imap_catchup *catchup, struct imap_fetch_sink *out)
{
	*out = (struct imap_fetch_sink){.whole = give_whole,
		.header = give_header,
		.piece = give_piece,
		.failed = give_bare,
		.context = catchup};
}

/* Puts the first `count` messages held into a fetcher. */
static void
fill_fetcher(struct imap_catchup *catchup, size_t count, struct imap_fetcher *fetcher)
{
	uint64_t most = catchup->request->body_size_max < IMAP_FETCH_WHOLE_MAX ? catchup->request->body_size_max
									       : IMAP_FETCH_WHOLE_MAX;

	qsort(catchup->held, count, sizeof *catchup->held, compare_uids);
	catchup->fetched_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct remote_message *message = &catchup->held[i];

		imap_fetch_add(fetcher, message->uid, message->size_bytes > most ? IMAP_FETCH_HEADER : IMAP_FETCH_WHOLE,
			message->size_bytes);
	}
	imap_fetch_ready(fetcher);
}

static void
release_held(struct imap_catchup *catchup, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		imap_catchup_release(&catchup->held[i]);
	}
	catchup->fetched_count = 0;
	catchup->held_count -= count;
	memmove(catchup->held, catchup->held + count, catchup->held_count * sizeof *catchup->held);
}

/* --- one mailbox alone --- */

/* Selects it unless it is; false in *out_there where it is not the same any more. */
static bool
select_again(struct imap_catchup *catchup, bool *out_there, struct error *err)
{
	if (!imap_selection_is(&catchup->session->selection, catchup->request->raw_name) &&
		(!imap_catchup_select(catchup, err) || !imap_session_settle(catchup->session, 0, err))) {
		return false;
	}
	*out_there = !catchup->lost;
	return true;
}

/* The account check did not know of what came in since: asks for it, where that alone may explain the difference. */
static bool
prove_by_fresh(struct imap_catchup *catchup, struct error *err)
{
	uint32_t next = catchup->selected.uidnext;

	if (catchup->asked_fresh || catchup->way == IMAP_CATCHUP_FIRST || next <= catchup->next ||
		next - catchup->next > BATCH_FRESH) {
		return true;
	}
	if (!imap_catchup_ask_fresh(catchup, NULL, err) || !imap_session_settle(catchup->session, 0, err)) {
		return false;
	}
	(void)imap_catchup_prove(catchup);
	return true;
}

/* Lists all UIDs, twice where the first time something came in between. */
static bool
prove_by_listing(struct imap_catchup *catchup, struct error *err)
{
	SCOPED(uidset_finish) struct uidset there = UIDSET_INIT;
	bool complete = false;

	for (int attempt = 0; attempt < 2 && !complete; attempt++) {
		if (!imap_search_all(catchup->session, &catchup->listener, &there, &complete, err)) {
			return false;
		}
	}
	catchup->exists = catchup->session->selection.is.exists;
	if (complete) {
		imap_catchup_prove_by(catchup, &there);
		return true;
	}
	/* nothing is believed to be gone; what is new is taken all the same */
	snprintf(catchup->reason, sizeof catchup->reason, "the server lists %" PRIu64 " of %" PRIu32 " messages",
		uidset_size(&there), catchup->exists);
	uidset_clear(&catchup->vanished);

	SCOPED(uidset_finish) struct uidset unknown = UIDSET_INIT;

	imap_catchup_difference(&there, catchup->known, &unknown);
	imap_catchup_difference(&unknown, &catchup->fresh, &catchup->wanted);
	return true;
}

/* Fetches the bodies of the first `count` messages that are held, to the end. */
static bool
run_bodies(struct imap_catchup *catchup, size_t count, struct error *err)
{
	SCOPED(imap_fetch_finish) struct imap_fetcher fetcher;
	struct imap_fetch_sink sink;

	sink_of(catchup, &sink);
	imap_fetch_begin(&fetcher, catchup->session, &sink, &catchup->listener);
	catchup->bodies = &fetcher.listener;
	fill_fetcher(catchup, count, &fetcher);

	/* what is listed beside is to be whole before the next slice is cut from it */
	bool fine = imap_fetch_run(&fetcher, err) && imap_session_settle(catchup->session, 0, err);

	catchup->bodies = NULL;
	if (!fine) {
		return false;
	}
	release_held(catchup, count);
	return true;
}

/* Fetches `set` in slices of at most `slice` messages, each reported as it comes: while the bodies of one slice come, the next one is listed. */
static bool
stream_set(struct imap_catchup *catchup, const struct uidset *set, size_t slice, struct error *err)
{
	uint32_t limit = catchup->session->can.message_limit;
	SCOPED(uidset_finish) struct uidset part = UIDSET_INIT;
	uint32_t uid = 0;
	bool more;

	do {
		size_t listed = catchup->held_count;

		more = imap_command_next_part(
			set, &uid, limit != 0 && limit < slice ? limit : slice, IMAP_COMMAND_OCTETS - 300, &part);
		if (more && !imap_catchup_ask_fresh(catchup, &part, err)) {
			return false;
		}
		if (catchup->request->bodies) {
			if (!(listed > 0 ? run_bodies(catchup, listed, err)
					 : imap_session_settle(catchup->session, 0, err))) {
				return false;
			}
		}
	} while (more || catchup->held_count > 0);
	return imap_session_settle(catchup->session, 0, err);
}

/* Fetches all that is wanted; what the server refuses together it may give in smaller sets, or one by one. */
static bool
stream_wanted(struct imap_catchup *catchup, struct error *err)
{
	static const size_t slices[] = {SLICE_MESSAGES, 50, 1};
	SCOPED(uidset_finish) struct uidset left = UIDSET_INIT;

	for (size_t i = 0; i < ARRAY_LENGTH(slices); i++) {
		imap_catchup_difference(&catchup->wanted, &catchup->fresh, &left);
		if (left.count == 0 || (slices[i] == 1 && uidset_size(&left) > RETRY_MESSAGES)) {
			break;
		}
		catchup->asked_fresh = false;
		if (!stream_set(catchup, &left, slices[i], err)) {
			return false;
		}
		if (catchup->got_fresh) {
			return true; /* what did not come is gone */
		}
	}
	imap_catchup_difference(&catchup->wanted, &catchup->fresh, &left);
	if (left.count > 0) {
		snprintf(catchup->reason, sizeof catchup->reason, "the server refuses to list %" PRIu64 " messages",
			uidset_size(&left));
	}
	return true;
}

static bool
run_alone(struct imap_catchup *catchup, struct error *err)
{
	bool there;

	if (!select_again(catchup, &there, err)) {
		return false;
	}
	if (there && !prove_by_fresh(catchup, err)) {
		return false;
	}
	if (there && !catchup->proven && !prove_by_listing(catchup, err)) {
		return false;
	}
	if (!there) {
		snprintf(catchup->reason, sizeof catchup->reason, "%.190s", catchup->failure.text);
		return imap_catchup_end(catchup, REMOTE_SCAN_FAILED, err);
	}
	if (!imap_catchup_report(catchup, err)) {
		return false;
	}
	if (catchup->held_count > 0 && !run_bodies(catchup, catchup->held_count, err)) {
		return false;
	}
	if (catchup->way == IMAP_CATCHUP_FULL && catchup->known_count > IMAP_FLAGS_SMALL &&
		(!imap_catchup_ask_flags(catchup, err) || !imap_session_settle(catchup->session, 0, err))) {
		return false;
	}
	return stream_wanted(catchup, err) && imap_catchup_end(catchup, REMOTE_SCAN_OK, err);
}

/* --- batches --- */

static void
boxes_finish(struct scan *scan)
{
	for (size_t i = 0; i < scan->count; i++) {
		struct box *box = &scan->boxes[i];

		if (box->has_fetcher) {
			imap_fetch_finish(&box->fetcher);
		}
		imap_catchup_finish(&box->catchup);
	}
	scan->count = 0;
}

/* Sends the first flight of the requests from `first` on: as many as belong together. */
static bool
ask_batch(struct scan *scan, size_t first, size_t count, struct error *err)
{
	uint32_t fresh = 0;

	scan->count = 0;
	while (first + scan->count < count && scan->count < BATCH_MAILBOXES) {
		const struct remote_scan_request *request = &scan->requests[first + scan->count];
		struct box *box = &scan->boxes[scan->count];
		bool alone = needs_solitude(request);

		if (scan->count > 0 && (alone || fresh + expected_fresh(request) > BATCH_FRESH)) {
			break;
		}
		*box = (struct box){.alone = alone};
		imap_catchup_begin(&box->catchup, scan->session, request, first + scan->count, scan->sink);
		scan->count++;
		fresh += alone ? 0 : expected_fresh(request);

		bool asks = !alone && (request->uidnext_hint == 0 || expected_fresh(request) > 0);

		if (!imap_catchup_ask(&box->catchup, asks, err)) {
			return false;
		}
		if (alone) {
			break;
		}
	}
	return imap_session_settle(scan->session, 0, err);
}

/* A server that does not take SELECT with QRESYNC gets the next rung of the ladder. */
static bool
ask_without_qresync(struct scan *scan, struct box *box, struct error *err)
{
	struct imap_catchup *catchup = &box->catchup;
	const struct remote_scan_request *request = catchup->request;
	size_t index = catchup->index;

	log_warn("imap", "event=no-qresync reason=\"%s\"", catchup->failure.text);
	scan->session->enabled_qresync = false;
	imap_catchup_finish(catchup);
	imap_catchup_begin(catchup, scan->session, request, index, scan->sink);
	return imap_catchup_ask(catchup, false, err) && imap_session_settle(scan->session, 0, err);
}

/* Says what is to be done for a mailbox after the first flight. */
static bool
plan_box(struct scan *scan, struct box *box, struct error *err)
{
	struct imap_catchup *catchup = &box->catchup;

	if (catchup->way == IMAP_CATCHUP_QRESYNC && catchup->select_bad && !ask_without_qresync(scan, box, err)) {
		return false;
	}
	box->state = imap_catchup_judge(catchup);
	if (box->state != REMOTE_SCAN_OK) {
		box->plan = PLAN_END;
	} else if (box->alone || !imap_catchup_prove(catchup)) {
		box->plan = PLAN_ALONE;
	} else {
		box->plan = catchup->request->bodies && catchup->held_count > 0 ? PLAN_BODIES : PLAN_REPORT;
	}
	return true;
}

static void
ready_bodies(struct scan *scan, struct box *box, struct imap_fetch_sink *sink)
{
	sink_of(&box->catchup, sink);
	imap_fetch_begin(&box->fetcher, scan->session, sink, &box->catchup.listener);
	box->catchup.bodies = &box->fetcher.listener;
	fill_fetcher(&box->catchup, box->catchup.held_count, &box->fetcher);
	box->has_fetcher = true;
}

/* Sends what this mailbox needs; false in *out_next where the following one has to wait. */
static bool
send_box(struct scan *scan, struct box *box, bool *out_next, struct error *err)
{
	*out_next = box->plan != PLAN_ALONE;
	if (box->plan != PLAN_BODIES) {
		return true;
	}
	if (!box->select_sent && scan->current != box) {
		if (!imap_catchup_select(&box->catchup, err)) {
			return false;
		}
		scan->current = box;
	}
	box->select_sent = true;
	if (!imap_fetch_send(&box->fetcher, err)) {
		return false;
	}
	*out_next = imap_fetch_all_sent(&box->fetcher) && (!box->troubled || imap_fetch_complete(&box->fetcher));
	return true;
}

/* Something of box `at` has to be asked again, but later mailboxes are on the way: takes those back. */
static bool
rewind_to(struct scan *scan, size_t at, size_t sent, struct error *err)
{
	for (size_t i = at; i < sent; i++) {
		if (scan->boxes[i].plan == PLAN_BODIES) {
			imap_fetch_unsend(&scan->boxes[i].fetcher);
		}
	}
	if (!imap_session_settle(scan->session, 0, err)) {
		return false;
	}
	for (size_t i = at; i < sent; i++) {
		if (scan->boxes[i].plan == PLAN_BODIES) {
			imap_fetch_resend(&scan->boxes[i].fetcher);
			scan->boxes[i].select_sent = false;
		}
	}
	scan->current = NULL;
	return true;
}

static bool
end_lost(struct imap_catchup *catchup, struct error *err)
{
	snprintf(catchup->reason, sizeof catchup->reason, "%.190s", catchup->failure.text);
	return imap_catchup_end(catchup, REMOTE_SCAN_FAILED, err);
}

/* Reports box `at` as far as it goes; *out_over when it has ended, else something is on the way. */
static bool
report_box(struct scan *scan, size_t at, size_t *sent, bool *out_over, struct error *err)
{
	struct box *box = &scan->boxes[at];
	struct imap_catchup *catchup = &box->catchup;

	*out_over = true;
	switch (box->plan) {
	case PLAN_END:
		return imap_catchup_end(catchup, box->state, err);
	case PLAN_REPORT:
		return imap_catchup_report(catchup, err) && imap_catchup_end(catchup, REMOTE_SCAN_OK, err);
	case PLAN_ALONE:
		scan->current = NULL;
		return imap_session_settle(scan->session, 0, err) && run_alone(catchup, err);
	case PLAN_BODIES:
		break;
	}
	if (!catchup->reported && !imap_catchup_report(catchup, err)) {
		return false;
	}
	if (catchup->lost) {
		imap_fetch_unsend(&box->fetcher);
		return end_lost(catchup, err);
	}
	if (imap_fetch_complete(&box->fetcher)) {
		release_held(catchup, catchup->held_count);
		return imap_catchup_end(catchup, REMOTE_SCAN_OK, err);
	}
	*out_over = false;
	if (box->fetcher.sets_out > 0 || *sent == at) {
		return true;
	}
	/* something has to be asked again: at once where the mailbox is still selected */
	box->troubled = true;
	bool fine = scan->current == box || rewind_to(scan, at, *sent, err);

	*sent = at;
	return fine;
}

/* The second flight: sends ahead, and reports the mailboxes in their order. */
static bool
report_batch(struct scan *scan, struct error *err)
{
	size_t sent = 0; /* boxes whose needs are all sent */

	for (size_t at = 0; at < scan->count;) {
		bool over, next = true;

		while (next && sent < scan->count && (sent == at || scan->boxes[sent].plan != PLAN_ALONE)) {
			if (!send_box(scan, &scan->boxes[sent], &next, err)) {
				return false;
			}
			sent += next;
		}
		if (!report_box(scan, at, &sent, &over, err)) {
			return false;
		}
		if (over) {
			at++;
			sent = sent < at ? at : sent;
		} else if (scan->session->unanswered > 0 && !imap_session_step(scan->session, err)) {
			return false;
		}
	}
	return true;
}

static void
scan_finish(struct scan *scan)
{
	boxes_finish(scan);
	free(scan->boxes);
}

bool
imap_scan_mailboxes(struct imap_session *session, const struct remote_scan_request *requests, size_t count,
	const struct remote_scan_sink *sink, struct error *err)
{
	SCOPED(scan_finish) struct scan scan = {.session = session, .requests = requests, .sink = sink};
	struct imap_fetch_sink sinks[BATCH_MAILBOXES];

	scan.boxes = calloc(BATCH_MAILBOXES, sizeof *scan.boxes);
	if (scan.boxes == NULL) {
		abort();
	}
	for (size_t first = 0; first < count; first += scan.count) {
		boxes_finish(&scan);
		if (!ask_batch(&scan, first, count, err)) {
			return false;
		}
		scan.current = NULL;
		for (size_t i = 0; i < scan.count; i++) {
			if (!plan_box(&scan, &scan.boxes[i], err)) {
				return false;
			}
			if (imap_selection_is(&session->selection, scan.boxes[i].catchup.request->raw_name)) {
				scan.current = &scan.boxes[i];
			}
			if (scan.boxes[i].plan == PLAN_BODIES) {
				ready_bodies(&scan, &scan.boxes[i], &sinks[i]);
			}
		}
		if (!report_batch(&scan, err)) {
			return false;
		}
	}
	return true;
}
