/* What the remote says: one pipelined flight over all mailboxes that differ, its answers gathered in batches (R3). */
#include <assert.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mime/envelope_read.h"
#include "engine/sync/run.h"

struct scan {
	struct run *run;
	size_t *box_of; /* request to box */
	struct remote_scan_request *requests;
	size_t count;
};

static struct run_box *
scan_box(struct scan *scan, size_t request)
{
	assert(request < scan->count);
	return &scan->run->boxes[scan->box_of[request]];
}

static bool
scan_flush_when_full(struct run *run, struct error *err)
{
	const struct run_batch *batch = &run->batch;

	if (batch->arrival_count < RUN_BATCH_MESSAGES && batch->flag_count < RUN_BATCH_MESSAGES &&
		batch->arrival_bytes < RUN_BATCH_BYTES) {
		return true;
	}
	return pull_batch_behind(run, err);
}

static bool
scan_note_selected(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct run_box *box = context;

	return run_look_at_box(run, txn, box, err) && base_mailbox_put(txn, RUN_REMOTE, &box->base, err) &&
	       (box->dead || !box->live || mailbox_set_read_only(txn, box->id, box->base.read_only, err));
}

static bool
scan_selected(void *context, size_t request, const struct remote_selected *selected, struct error *err)
{
	struct scan *scan = context;
	struct run_box *box = scan_box(scan, request);
	struct flags kept = FLAGS_INIT;

	/* UIDs that we were told of are not given yet: it is an old copy, whatever the counters of the last scan were. */
	box->reused = box->base.uidvalidity == selected->uidvalidity && selected->uidnext != 0 &&
		      selected->uidnext <= box->highest_uid;
	bool differs = box->base.uidvalidity == 0 || box->base.read_only != selected->read_only ||
		       box->base.keywords_any != selected->keywords_any ||
		       !flags_equal(&box->base.permanent, &selected->permanent);

	if (!pull_batch(scan->run, err)) {
		return false;
	}
	if (!differs) {
		return true;
	}
	kept = flags_copy(&selected->permanent);
	flags_finish(&box->base.permanent);
	box->base.permanent = kept;
	box->base.keywords_any = selected->keywords_any;
	box->base.read_only = selected->read_only;
	if (box->base.uidvalidity == 0) {
		/* From here on a listing that is cut off goes on where it was. */
		box->base.uidvalidity = selected->uidvalidity;
		box->base.uidnext = 1;
		box->base.highestmodseq = 0;
	}
	if (box->base.id.kind == GUID_NONE) {
		box->base.id = selected->id;
	}
	return run_write(scan->run, scan_note_selected, box, STORE_LAZY, err);
}

static bool
scan_flags(void *context, size_t request, uint32_t uid, const struct flags *flags, uint64_t modseq, struct error *err)
{
	struct scan *scan = context;
	struct run *run = scan->run;

	if (scan_box(scan, request)->reused) {
		return true;
	}
	run->batch.flags[run->batch.flag_count++] = (struct run_flag){
		.box = scan->box_of[request], .uid = uid, .flags = flags_copy(flags), .modseq = modseq};
	return scan_flush_when_full(run, err);
}

static void
scan_read_header(struct run_arrival *arrival, struct slice header)
{
	struct header_keys keys;

	header_collect(header, &keys);
	envelope_read_keys(&keys, &arrival->envelope);
	arrival->identity = identity_of_keys(&keys);
	arrival->has_header = true;
}

static bool
scan_message(void *context, size_t request, struct remote_message *message, struct error *err)
{
	struct scan *scan = context;
	struct run *run = scan->run;

	if (scan_box(scan, request)->reused) {
		return true;
	}
	struct run_arrival arrival = {
		.box = scan->box_of[request],
		.uid = message->uid,
		.modseq = message->modseq,
		.internaldate_s = message->internaldate_s,
		.size_bytes = message->size_bytes,
		.guid = message->guid,
	};

	if (message->body != NULL) {
		struct error why = ERROR_INIT;

		if (!body_prepare_wire(run->sync->store, message->body, &arrival.body, &why)) {
			if (why.kind == ERROR_SPACE || !run_error_is_local(&why)) {
				*err = why;
				return false;
			}
			log_warn("sync", "uid=%u body set aside: %s", message->uid, why.text);
		}
	}
	if (arrival.body != NULL) {
		scan_read_header(&arrival, body_prepared_head(arrival.body));
		run->batch.arrival_bytes += (size_t)body_prepared_get(arrival.body)->size_bytes;
	} else if (message->header.length > 0 || message->body == NULL) {
		scan_read_header(&arrival, message->header);
	}
	arrival.flags = flags_copy(&message->flags);
	run->batch.arrivals[run->batch.arrival_count++] = arrival;
	run->progress_done++;
	return scan_flush_when_full(run, err);
}

static bool
scan_gone(void *context, size_t request, const struct uidset *uids, struct error *err)
{
	struct scan *scan = context;
	struct run_box *box = scan_box(scan, request);

	return pull_batch(scan->run, err) && (box->reused || box->other || pull_gone_uids(scan->run, box, uids, err));
}

/* The base forgets every UID and where it was; the next pass lists all there is and pairs it again. */
static bool
scan_write_repair(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct run_box *box = context;
	struct base_mailbox *base = &box->base;

	(void)run;
	base->uidvalidity = 0;
	base->uidnext = 1;
	base->highestmodseq = 0;
	base->seen_uidnext = base->seen_messages = 0;
	base->seen_highestmodseq = 0;
	base->id = (struct guid){0};
	return base_message_retire(txn, RUN_REMOTE, box->id, err) && base_mailbox_put(txn, RUN_REMOTE, base, err);
}

bool
scan_begin_repair(struct run *run, struct run_box *box, const char *reason, struct error *err)
{
	size_t index = run_box_index(run, box);

	run_say(run, "%s: the server's mailbox was rebuilt or restored (%s): its messages are paired again", box->name,
		reason);
	for (size_t i = 0; i < run->deferred_count; i++) {
		run->deferred[i].done |= run->deferred[i].box == index;
	}
	for (size_t i = 0; i < run->gone_count; i++) {
		run->gone[i].settled |= run->gone[i].box == index;
	}
	box->reused = box->other = false;
	box->failed = box->rebuilt = run->result->again = true;
	return run_write(run, scan_write_repair, box, STORE_DURABLE, err);
}

static bool
scan_end(void *context, size_t request, enum remote_scan_state state, const struct remote_selected *selected,
	const char *reason, const struct error *failure, struct error *err)
{
	struct scan *scan = context;
	struct run_box *box = scan_box(scan, request);

	if (!pull_batch(scan->run, err)) {
		return false;
	}
	switch (state) {
	case REMOTE_SCAN_OK:
		box->scanned = !box->dead;
		box->selected = *selected;
		box->selected.permanent = FLAGS_INIT; /* the base has it */
		if (box->base.uidvalidity != selected->uidvalidity) {
			box->scanned = false;
			return scan_begin_repair(scan->run, box, "its UIDVALIDITY changed", err);
		}
		if (box->reused || box->other) {
			box->scanned = false;
			return scan_begin_repair(scan->run, box, "its UIDs are given anew", err);
		}
		return pull_gone_untold(scan->run, box, err);
	case REMOTE_SCAN_REBUILT:
		return scan_begin_repair(scan->run, box, reason != NULL ? reason : "it is not what it was", err);
	case REMOTE_SCAN_GONE:
		/* The next listing tells whether it was renamed or removed. */
		box->failed = true;
		scan->run->result->again = scan->run->result->reconnect = true;
		return true;
	case REMOTE_SCAN_FAILED:
		box->failed = true;
		return run_set_aside(scan->run, (struct number){0}, box->id, SIDE_LOCAL, failure, err);
	}
	return true;
}

static bool
scan_prepare_newest(struct store_txn *txn, struct run_box *box, struct remote_newest *out, struct error *err)
{
	struct base_message newest;
	bool found;

	if (!base_newest(txn, RUN_REMOTE, box->id, box->base.uidvalidity, false, &found, &newest, err)) {
		return false;
	}
	if (found) {
		out->uid = newest.uid.uid;
		out->guid = newest.guid;
		out->internaldate_s = newest.internaldate_s;
		out->size_bytes = newest.size_bytes;
		base_message_finish(&newest);
	}
	if (!base_newest(txn, RUN_REMOTE, box->id, box->base.uidvalidity, true, &found, &newest, err)) {
		return false;
	}
	if (found) {
		out->changed_uid = newest.uid.uid;
		out->changed_modseq = newest.modseq;
		base_message_finish(&newest);
	}
	return true;
}

static bool
scan_prepare(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct scan *scan = context;
	bool bodies = run->pass->bodies_with_scan && !run->pass->dry_run &&
		      run->sync->settings->bodies_since_s != NULL &&
		      run->sync->settings->bodies_since_s(run->sync->settings->context) == INT64_MIN;

	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];

		if (!box->locked || !box->wants_scan || box->scanned || box->failed) {
			continue;
		}
		struct remote_scan_request *request = &scan->requests[scan->count];

		scan->box_of[scan->count++] = i;
		uidset_clear(&box->known);
		*request = (struct remote_scan_request){
			.raw_name = slice_of(box->base.raw_name),
			.id = box->base.id,
			.uidvalidity = box->base.uidvalidity,
			.highestmodseq = box->base.highestmodseq,
			.uidnext = box->base.uidnext > 0 ? box->base.uidnext : 1,
			.known = &box->known,
			.full = run->pass->full,
			.bodies = bodies,
			.body_size_max = BODY_ROW_MAX * 8,
		};
		if (box->remote != NULL && box->remote->mailbox.has_status) {
			request->messages_hint = box->remote->mailbox.messages;
			request->uidnext_hint = box->remote->mailbox.uidnext;
			if (box->base.uidvalidity == 0) {
				run->progress_total += box->remote->mailbox.messages;
			}
		}
		box->highest_uid = 0;
		if (box->base.uidvalidity != 0 &&
			!base_highest_uid(txn, RUN_REMOTE, box->id, box->base.uidvalidity, &box->highest_uid, err)) {
			return false;
		}
		if (box->base.uidvalidity != 0 &&
			(!base_known(txn, RUN_REMOTE, box->id, box->base.uidvalidity, &box->known, err) ||
				!scan_prepare_newest(txn, box, &request->newest, err))) {
			return false;
		}
	}
	return true;
}

/* Those that were found to be rebuilt are listed anew at once, so that what moved out of them is seen together with where it went. */
static bool
scan_repair(struct run *run)
{
	bool any = false;

	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];

		if (box->rebuilt && !box->dead && !run->pass->dry_run) {
			any = true;
			box->rebuilt = box->failed = false;
			box->repairs = box->has_unpaired = true;
		}
	}
	return any;
}

static bool
scan_once(struct run *run, struct error *err)
{
	struct scan scan = {.run = run};

	scan.box_of = arena_alloc(&run->arena, (run->box_count + 1) * sizeof(*scan.box_of));
	scan.requests = arena_alloc(&run->arena, (run->box_count + 1) * sizeof(*scan.requests));
	if (!run_read(run, scan_prepare, &scan, err)) {
		return false;
	}
	if (scan.count == 0) {
		return true;
	}
	const struct remote_scan_sink sink = {
		.selected = scan_selected,
		.flags = scan_flags,
		.message = scan_message,
		.gone = scan_gone,
		.end = scan_end,
		.context = &scan,
	};

	run->result->mailboxes_scanned += scan.count;
	run_progress(run, "listing");
	if (!run->session->ops->scan(run->session, scan.requests, scan.count, &sink, err)) {
		pull_batch_drop(run);
		return false;
	}
	return pull_batch(run, err);
}

bool
scan_boxes(struct run *run, struct error *err)
{
	return scan_once(run, err) && (!scan_repair(run) || scan_once(run, err));
}
