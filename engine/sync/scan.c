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

	return pull_batch(scan->run, err) && pull_gone_uids(scan->run, scan_box(scan, request), uids, err);
}

struct scan_hold {
	struct run_box *box;
	const char *reason;
};

static bool
scan_find_hold(void *context, const struct hold *hold, struct error *err)
{
	struct run_box *box = context;

	(void)err;
	if (hold->mailbox.value == box->id.value && hold->kind == HOLD_REBUILT) {
		box->rebuilt_hold = true;
	}
	return true;
}

/* With nothing in it here there is nothing that could be lost or doubled: the mailbox is taken as it is now. */
static bool
scan_write_anew(struct run *run, struct store_txn *txn, struct run_box *box, bool *out_anew, struct error *err)
{
	SCOPED(uidset_finish) struct uidset known = UIDSET_INIT;
	struct mailbox mailbox;

	if (!mailbox_load(txn, box->id, &mailbox, err)) {
		return false;
	}
	*out_anew = mailbox.messages == 0 && mailbox.expunged_s == 0;
	mailbox_finish(&mailbox);
	if (!*out_anew) {
		return true;
	}
	if (!base_known(txn, RUN_REMOTE, box->id, box->base.uidvalidity, &known, err)) {
		return false;
	}
	*out_anew = uidset_size(&known) == 0;
	if (!*out_anew) {
		return true;
	}
	box->base.uidvalidity = 0;
	box->base.uidnext = 1;
	box->base.highestmodseq = 0;
	box->base.seen_uidnext = box->base.seen_messages = 0;
	box->base.seen_highestmodseq = 0;
	box->base.id = box->remote != NULL ? box->remote->mailbox.id : (struct guid){0};
	box->failed = run->result->again = true;
	return base_mailbox_remove(txn, RUN_REMOTE, box->id, err) && base_mailbox_put(txn, RUN_REMOTE, &box->base, err);
}

static bool
scan_write_hold(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct scan_hold *scan = context;
	bool anew;

	if (!hold_each(txn, RUN_REMOTE, scan_find_hold, scan->box, err)) {
		return false;
	}
	if (scan->box->rebuilt_hold) {
		return true;
	}
	if (!scan_write_anew(run, txn, scan->box, &anew, err)) {
		return false;
	}
	if (anew) {
		return true;
	}
	scan->box->rebuilt_hold = true;
	run->result->held++;
	run_say(run,
		"%s: held: the server's mailbox was rebuilt or restored (%s): nothing is deleted or sent until that is "
		"settled",
		scan->box->name, scan->reason);
	return holds_make(run, txn, scan->box->id, SIDE_LOCAL, HOLD_REBUILT, scan->reason, NULL, 0, err);
}

bool
scan_hold_rebuilt(struct run *run, struct run_box *box, const char *reason, struct error *err)
{
	struct scan_hold hold = {.box = box, .reason = reason};

	return run_write(run, scan_write_hold, &hold, STORE_DURABLE, err);
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
			return scan_hold_rebuilt(scan->run, box, "its UIDVALIDITY changed", err);
		}
		return pull_gone_untold(scan->run, box, err);
	case REMOTE_SCAN_REBUILT:
		return scan_hold_rebuilt(scan->run, box, reason != NULL ? reason : "it is not what it was", err);
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
		if (box->base.uidvalidity != 0 &&
			(!base_known(txn, RUN_REMOTE, box->id, box->base.uidvalidity, &box->known, err) ||
				!scan_prepare_newest(txn, box, &request->newest, err))) {
			return false;
		}
	}
	return true;
}

bool
scan_boxes(struct run *run, struct error *err)
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
