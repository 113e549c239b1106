/* What is gone there: proven by the scan (R6), told apart from what moved, let through or held by the brake; and the end of a scan. */
#include <stdlib.h>

#include "engine/sync/pull.h"

/* --- what is gone there --- */

struct pull_gone {
	struct run *run;
	struct run_box *box;
	const struct uidset *uids;
};

static struct run_gone *
pull_add_gone(struct run *run, struct run_box *box, const struct base_message *base)
{
	if (run->gone_count == run->gone_capacity) {
		run->gone_capacity = run->gone_capacity * 2 + 64;
		run->gone = realloc(run->gone, run->gone_capacity * sizeof(*run->gone));
		if (run->gone == NULL) {
			abort();
		}
	}
	run->gone[run->gone_count++] = (struct run_gone){
		.number = base->number, .box = run_box_index(run, box), .uid = base->uid.uid, .guid = base->guid};
	return &run->gone[run->gone_count - 1];
}

static bool
pull_read_gone(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_gone *gone = context;

	for (uint32_t uid = 0; uidset_next(gone->uids, &uid);) {
		struct remote_uid id = {.uidvalidity = gone->box->base.uidvalidity, .uid = uid};
		struct base_message base;

		if (!base_message_load_by_uid(txn, RUN_REMOTE, gone->box->id, id, &base, err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err);
			continue;
		}
		pull_add_gone(run, gone->box, &base);
		base_message_finish(&base);
	}
	return true;
}

bool
pull_gone_uids(struct run *run, struct run_box *box, const struct uidset *uids, struct error *err)
{
	struct pull_gone gone = {.box = box, .uids = uids};

	return run_read(run, pull_read_gone, &gone, err);
}

static bool
pull_add_untold(void *context, const struct base_message *base, struct error *err)
{
	struct pull_gone *gone = context;

	(void)err;
	pull_add_gone(gone->run, gone->box, base);
	return true;
}

/* They were uploaded behind the last scan, so none is below its UIDNEXT. */
static bool
pull_read_untold(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_gone *gone = context;
	struct remote_uid from = {.uidvalidity = gone->box->base.uidvalidity, .uid = gone->box->base.uidnext};

	gone->run = run;
	return base_message_each_untold(txn, RUN_REMOTE, gone->box->id, from, pull_add_untold, gone, err);
}

bool
pull_gone_untold(struct run *run, struct run_box *box, struct error *err)
{
	struct pull_gone gone = {.box = box};

	return run_read(run, pull_read_untold, &gone, err);
}

static bool
pull_add_lost(void *context, const struct base_message *base, struct error *err)
{
	struct pull_gone *gone = context;

	(void)err;
	if (base->gone == BASE_HERE || base->gone == BASE_MARKED) {
		pull_add_gone(gone->run, gone->box, base)->lost = true;
	}
	return true;
}

static bool
pull_read_lost(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_gone *gone = context;

	gone->run = run;
	return base_message_each_retired(txn, RUN_REMOTE, gone->box->id, pull_add_lost, gone, err);
}

bool
pull_gone_lost(struct run *run, struct run_box *box, struct error *err)
{
	struct pull_gone gone = {.box = box};

	return run_read(run, pull_read_lost, &gone, err);
}

static bool
pull_add_gone_each(void *context, const struct base_message *base, struct error *err)
{
	struct pull_gone *gone = context;

	(void)err;
	if (base->gone == BASE_HERE || base->gone == BASE_MARKED) {
		pull_add_gone(gone->run, gone->box, base);
	}
	return true;
}

static bool
pull_read_all_gone(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_gone *gone = context;

	gone->run = run;
	return base_message_each(txn, RUN_REMOTE, gone->box->id, pull_add_gone_each, gone, err);
}

bool
pull_gone_all(struct run *run, struct run_box *box, struct error *err)
{
	struct pull_gone gone = {.box = box};

	return run_read(run, pull_read_all_gone, &gone, err);
}

/* --- removals --- */

static bool
pull_is_its_base(
	struct store_txn *txn, const struct run_box *box, const struct run_gone *gone, bool *out, struct error *err)
{
	struct base_message base;

	*out = false;
	if (!base_message_load(txn, RUN_REMOTE, gone->number, &base, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	/* Another process may have settled or held it since. */
	bool there = base.gone == BASE_HERE || base.gone == BASE_MARKED;

	*out = there && base.mailbox.value == box->id.value && base.uid.uid == gone->uid;
	base_message_finish(&base);
	return true;
}

/* Whether it came into a mailbox that was removed here: nothing comes there until that lives again, and then it is a move (R8, R11). */
static bool
pull_came_elsewhere(const struct run *run, const struct run_gone *gone, const uint8_t identity[IDENTITY_BYTES])
{
	for (size_t i = 0; i < run->deferred_count; i++) {
		const struct run_arrival *arrival = &run->deferred[i];
		bool guids = gone->guid.kind != GUID_NONE && arrival->guid.kind != GUID_NONE;

		if (arrival->done || run->boxes[arrival->box].live) {
			continue;
		}
		if (guids ? guid_equal(&gone->guid, &arrival->guid)
			  : memcmp(identity, arrival->identity.bytes, IDENTITY_BYTES) == 0) {
			return true;
		}
	}
	return false;
}

/* What is left of `gone` for one mailbox: settled where it is gone here too or moved here; else wanted to be expunged. */
static bool
pull_sort_gone(struct run *run, struct store_txn *txn, struct run_box *box, bool lost, struct number *numbers,
	size_t *out_count, struct error *err)
{
	size_t index = run_box_index(run, box), count = 0;

	for (size_t i = 0; i < run->gone_count; i++) {
		struct run_gone *gone = &run->gone[i];
		struct message message;
		bool is_base;

		if (gone->box != index || gone->settled || gone->lost != lost) {
			continue;
		}
		gone->settled = true; /* a second round does not meet it again */
		if (!pull_is_its_base(txn, box, gone, &is_base, err)) {
			return false;
		}
		if (!is_base) {
			continue; /* it was found elsewhere meanwhile */
		}
		if (!message_load(txn, gone->number, &message, err)) {
			return false;
		}
		enum merge_presence here = message.expunged_s != 0                  ? MERGE_GONE
					   : message.mailbox.value != box->id.value ? MERGE_MOVED
										    : MERGE_STAYED;
		bool has_body = message.body != 0, came = pull_came_elsewhere(run, gone, message.identity);
		bool ok = true;

		message_finish(&message);
		switch (merge_presence(here, MERGE_GONE)) {
		case MERGE_SETTLE:
			ok = base_message_remove(txn, RUN_REMOTE, gone->number, err);
			break;
		case MERGE_UPLOAD_TO_TARGET:
			if (has_body && !lost && (came || !pull_is_surely_gone(run, gone->number))) {
				/* It may have moved there too, to a mailbox that this pass did not look at, or not yet. */
				box->waits = run->result->again = true;
				pull_let_wait(run, gone->number);
				break;
			}
			if (has_body && !lost) {
				ok = base_message_remove(txn, RUN_REMOTE, gone->number, err) &&
				     message_touch(txn, gone->number, err);
				break;
			}
			numbers[count++] = gone->number; /* nothing is left of it anywhere */
			break;
		case MERGE_EXPUNGE_HERE:
			numbers[count++] = gone->number;
			break;
		case MERGE_NOTHING:
		case MERGE_EXPUNGE_THERE:
		case MERGE_MOVE_HERE:
		case MERGE_MOVE_THERE:
		case MERGE_REVIVE_HERE:
			break;
		}
		if (!ok) {
			return false;
		}
	}
	*out_count = count;
	return true;
}

static bool
pull_expunge_here(struct run *run, struct store_txn *txn, const struct number *numbers, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!message_expunge(txn, numbers[i], MESSAGE_BY_REMOTE, (struct number){0}, err) ||
			!base_message_set_gone(txn, RUN_REMOTE, numbers[i], BASE_EXPUNGED, err)) {
			return false;
		}
		run->result->expunged_here++;
	}
	return true;
}

static bool
pull_keep(struct store_txn *txn, const struct number *numbers, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!base_message_set_gone(txn, RUN_REMOTE, numbers[i], BASE_KEPT, err)) {
			return false;
		}
	}
	return true;
}

/* What a rebuilt or restored mailbox has no more is nobody's wish: a person tells whether it goes here too or is sent again (R7). */
static bool
pull_hold_lost(struct run *run, struct store_txn *txn, struct run_box *box, struct error *err)
{
	static const char reason[] = "the server's mailbox was rebuilt or restored without them";
	struct number *numbers = arena_alloc(&run->arena, (run->gone_count + 1) * sizeof(*numbers));
	size_t count;

	if (!pull_sort_gone(run, txn, box, true, numbers, &count, err)) {
		return false;
	}
	if (count == 0) {
		return true;
	}
	if (run->sync->settings->deletes_keep) {
		return pull_keep(txn, numbers, count, err);
	}
	run->result->held += count;
	run_say(run, "%s: held: %zu message%s would be expunged here: %s: see `mailfs held`", box->name, count,
		count == 1 ? "" : "s", reason);
	return holds_make(run, txn, box->id, SIDE_LOCAL, HOLD_REBUILT, reason, numbers, count, err);
}

static bool
pull_remove_from(struct run *run, struct store_txn *txn, struct run_box *box, struct error *err)
{
	struct number *numbers = arena_alloc(&run->arena, (run->gone_count + 1) * sizeof(*numbers));
	struct mailbox mailbox;
	size_t count;

	if (run->direction == SYNC_PUSH) {
		return true;
	}
	if (!pull_sort_gone(run, txn, box, false, numbers, &count, err)) {
		return false;
	}
	if (count == 0) {
		return true;
	}
	if (run->sync->settings->deletes_keep) {
		return pull_keep(txn, numbers, count, err);
	}
	if (!mailbox_load(txn, box->id, &mailbox, err)) {
		return false;
	}
	uint64_t left = mailbox.messages > count ? mailbox.messages - count : 0;

	mailbox_finish(&mailbox);
	bool *passes = arena_alloc(&run->arena, count * sizeof(*passes));
	size_t passed = 0;

	if (!holds_decide(run, txn, box, SIDE_LOCAL, numbers, count, left, passes, err)) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (passes[i]) {
			numbers[passed++] = numbers[i];
		}
	}
	return pull_expunge_here(run, txn, numbers, passed, err);
}

/* --- the end of the scan --- */

static bool
pull_record(struct run *run, struct store_txn *txn, struct run_box *box, struct error *err)
{
	struct base_mailbox *base = &box->base;

	base->uidnext = box->selected.uidnext;
	base->highestmodseq = box->selected.highestmodseq;
	base->messages = box->selected.exists;
	base->seen_uidnext = box->selected.uidnext;
	base->seen_highestmodseq = box->selected.highestmodseq;
	base->seen_messages = box->selected.exists;
	base->flags_checked_s = io_wall_s(run->sync->io);
	return base_mailbox_put(txn, RUN_REMOTE, base, err) &&
	       (!box->live || mailbox_set_listed(txn, box->id, true, err)) &&
	       aside_remove(txn, RUN_REMOTE, (struct number){0}, box->id, SIDE_LOCAL, err);
}

/* Removals, and in the same transaction the record of what was seen. */
static bool
pull_write_end(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)context;
	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];

		if ((box->scanned && !run_look_at_box(run, txn, box, err)) ||
			(box->repairs && box->scanned && !pull_hold_lost(run, txn, box, err)) ||
			((box->scanned || box->vanished) && !pull_remove_from(run, txn, box, err))) {
			return false;
		}
		/* Into a mailbox that was removed here nothing comes, until it lives again: then it must not seem to have been seen. */
		if (box->scanned && !box->waits && (box->live || !box->passed_over) &&
			!pull_record(run, txn, box, err)) {
			return false;
		}
	}
	return true;
}

bool
pull_finish(struct run *run, struct error *err)
{
	return pull_match(run, err) && run_write(run, pull_write_end, NULL, STORE_LAZY, err);
}
