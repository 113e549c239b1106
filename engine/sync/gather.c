/* Which mailboxes a pass is about: those that differ there (R2), and those with something to be told there. */
#include <stdlib.h>
#include <string.h>

#include "engine/mail/mailbox_name.h"
#include "engine/sync/run.h"

struct gather {
	struct run *run;
	struct store_txn *txn;
};

static void *
gather_grow(void *memory, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0) {
		return memory;
	}
	memory = realloc(memory, (count > 0 ? count * 2 : 1) * size);
	if (memory == NULL) {
		abort();
	}
	return memory;
}

static bool
gather_named(const struct run *run, const char *name)
{
	if (run->pass->mailbox_count == 0) {
		return true;
	}
	for (size_t i = 0; i < run->pass->mailbox_count; i++) {
		if (slice_equal(run->pass->mailboxes[i], slice_of(name))) {
			return true;
		}
	}
	return false;
}

static const struct run_remote *
gather_listed(const struct run *run, const struct base_mailbox *base)
{
	for (size_t i = 0; i < run->remote_count; i++) {
		const struct remote_mailbox *mailbox = &run->remotes[i].mailbox;

		if ((mailbox->attributes & REMOTE_NOSELECT) == 0 &&
			slice_equal(mailbox->raw_name, slice_of(base->raw_name))) {
			return &run->remotes[i];
		}
	}
	return NULL;
}

/* R2: left alone only when the remote's tuple is what the last scan saw. */
static bool
gather_differs(const struct run *run, const struct run_box *box)
{
	const struct remote_mailbox *there = &box->remote->mailbox;
	const struct base_mailbox *base = &box->base;

	if (run->pass->full || base->uidvalidity == 0 || base->highestmodseq == 0 || !there->has_status) {
		return true;
	}
	bool other_id = base->id.kind != GUID_NONE && there->id.kind != GUID_NONE && !guid_equal(&base->id, &there->id);

	return other_id || base->uidvalidity != there->uidvalidity || base->seen_uidnext != there->uidnext ||
	       base->seen_highestmodseq != there->highestmodseq || base->seen_messages != there->messages;
}

static bool
gather_in_trash(const struct run *run, const struct mailbox *mailbox)
{
	const char *trash = run->sync->settings->trash;
	struct slice name = slice_of(mailbox->name);

	if (mailbox->role != NULL && strcmp(mailbox->role, "trash") == 0) {
		return true;
	}
	if (trash == NULL || strcmp(trash, "none") == 0) {
		return false;
	}
	return mailbox_name_within(name, strcmp(trash, "server") == 0 ? SLICE_LITERAL("Trash") : slice_of(trash));
}

static bool
gather_add_box(void *context, const struct base_mailbox *base, struct error *err)
{
	struct gather *gather = context;
	struct run *run = gather->run;
	struct mailbox mailbox;

	if ((base->attributes & REMOTE_NOSELECT) != 0) {
		return true;
	}
	if (!mailbox_load(gather->txn, base->mailbox, &mailbox, err)) {
		return false;
	}
	run->boxes = gather_grow(run->boxes, run->box_count, sizeof(*run->boxes));
	struct run_box *box = &run->boxes[run->box_count++];

	*box = (struct run_box){
		.id = base->mailbox,
		.name = arena_text(&run->arena, slice_of(mailbox.name)),
		.live = mailbox.expunged_s == 0,
		.in_trash = gather_in_trash(run, &mailbox),
		.base = *base,
		.remote = gather_listed(run, base),
	};
	box->base.raw_name = slice_dup(slice_of(base->raw_name));
	box->base.name = slice_dup(slice_of(base->name));
	box->base.permanent = flags_copy(&base->permanent);
	box->vanished = !run->pass->local_only && box->remote == NULL &&
			mailbox_name_selected(slice_of(run->sync->settings->mailboxes), slice_of(base->name));
	/* One that was removed here as well: what is gone from it there has nothing to wait for. */
	box->differs = box->remote != NULL && gather_differs(run, box);
	box->wants_scan = gather_named(run, box->name) && box->differs && (box->live || base->uidvalidity != 0);
	if (base->uidvalidity == 0 && mailbox.messages > 0) {
		box->has_unpaired = true;
	}
	mailbox_finish(&mailbox);
	if (!base_has_retired(gather->txn, RUN_REMOTE, box->id, &box->repairs, err)) {
		return false;
	}
	box->has_unpaired |= box->repairs;
	box->wants_scan |= box->repairs && box->remote != NULL && gather_named(run, box->name);
	return true;
}

/* Marks the mailboxes that a change here is about. */
static bool
gather_mark_change(void *context, const struct base_change *change, struct error *err)
{
	struct run *run = context;
	struct run_box *to = run_box_of(run, change->message.mailbox);
	struct run_box *from = change->has_base ? run_box_of(run, change->base.mailbox) : NULL;
	bool live = change->message.expunged_s == 0, based = change->has_base && change->base.gone == BASE_HERE;

	(void)err;
	if (to != NULL && live && !change->has_base && change->message.body != 0 &&
		change->message.modseq.value > to->base.merged.value) {
		to->has_unpaired = to->wants_push = true;
	}
	bool moved = change->base.mailbox.value != change->message.mailbox.value;
	/* Where it moved to a mailbox that has only now come to be there, the one it leaves has heard of it already. */
	bool heard_from = from == NULL || change->message.modseq.value <= from->base.merged.value;
	bool heard_to = !live || !moved || to == NULL || change->message.modseq.value <= to->base.merged.value;

	if (from == NULL || !based || (heard_from && heard_to)) {
		return true;
	}
	struct merge_mask mask = run_mask(from);
	SCOPED(flags_finish) struct flags ours = merge_masked(&change->message.flags, &mask);
	SCOPED(flags_finish) struct flags theirs = merge_masked(&change->base.flags, &mask);

	if (!live || moved || !flags_equal(&ours, &theirs)) {
		from->wants_push = true;
		if (to != NULL) {
			to->wants_push = true;
		}
	}
	return true;
}

static bool
gather_mark_aside(void *context, const struct aside *aside, struct error *err)
{
	struct gather *gather = context;
	struct run_box *box = run_box_of(gather->run, aside->mailbox);
	struct base_message base;

	if (box == NULL) {
		return true;
	}
	if (!run_aside_is_due(gather->run, aside)) {
		box->set_aside |= aside->number.value == 0 && aside->direction == SIDE_REMOTE;
		return true;
	}
	if (aside->number.value == 0) {
		box->wants_scan = box->live && (box->remote != NULL || gather->run->pass->local_only);
		return true;
	}
	box->wants_push = box->has_unpaired = true;
	if (base_message_load(gather->txn, RUN_REMOTE, aside->number, &base, err)) {
		struct run_box *from = run_box_of(gather->run, base.mailbox);

		if (from != NULL) {
			from->wants_push = true;
		}
		base_message_finish(&base);
	} else if (err->kind == ERROR_GONE) {
		error_clear(err);
	} else {
		return false;
	}
	return true;
}

static bool
gather_mark_hold(void *context, const struct hold *hold, struct error *err)
{
	struct gather *gather = context;
	struct run_box *box = run_box_of(gather->run, hold->mailbox);

	(void)err;
	if (box != NULL && hold->state == HOLD_CONFIRMED) {
		box->wants_push = true;
	}
	return true;
}

static bool
gather_take_intent(void *context, const struct intent *intent, struct error *err)
{
	struct run *run = context;

	(void)err;
	struct intent copy = *intent;

	copy.detail = intent->detail != NULL ? arena_text(&run->arena, slice_of(intent->detail)) : NULL;
	run_add_intent(run, &copy);
	if (intent->kind > INTENT_MOVE) {
		return true;
	}
	struct run_box *to = run_box_of(run, run_intent_target(intent)), *from = run_box_of(run, intent->mailbox);

	if (to != NULL) {
		to->wants_scan = to->wants_push = true;
	}
	if (from != NULL) {
		from->wants_scan = true;
	}
	return true;
}

static bool
gather_read_boxes(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct gather *gather = context;
	struct modseq since = {UINT64_MAX};

	gather->txn = txn;
	run->snapshot = run->gathered = store_modseq(txn);
	if (!base_mailbox_each(txn, RUN_REMOTE, gather_add_box, gather, err)) {
		return false;
	}
	run->fresh = true;
	for (size_t i = 0; i < run->box_count; i++) {
		since.value =
			run->boxes[i].base.merged.value < since.value ? run->boxes[i].base.merged.value : since.value;
		run->fresh &= run->boxes[i].base.uidvalidity == 0;
	}
	if (run->direction != SYNC_PULL && since.value < run->snapshot.value &&
		!base_change_each(txn, RUN_REMOTE, since, gather_mark_change, run, err)) {
		return false;
	}
	return aside_each(txn, RUN_REMOTE, gather_mark_aside, gather, err) &&
	       hold_each(txn, RUN_REMOTE, gather_mark_hold, gather, err) &&
	       intent_each(txn, RUN_REMOTE, gather_take_intent, run, err);
}

bool
gather_boxes(struct run *run, struct error *err)
{
	struct gather gather = {.run = run};
	bool missing = false;

	if (!run_read(run, gather_read_boxes, &gather, err)) {
		return false;
	}
	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];

		/* Without a listing, what is to be changed there is looked at first. */
		box->wants_scan |= run->pass->local_only && box->wants_push && box->live;
		box->left_out = box->wants_push && !gather_named(run, box->name);
		box->wants_push &= !box->left_out;
		missing |= box->vanished;
		if (box->vanished && !run->sync->doubted) {
			/* Long-lived connections have been seen with a listing of the past (VIOLATIONS.md). */
			box->vanished = false;
			box->doubtful = true;
			box->failed = run->result->reconnect = run->result->again = true;
		}
		if (box->vanished && box->live && gather_named(run, box->name) && !pull_gone_all(run, box, err)) {
			return false;
		}
	}
	if (!run->pass->local_only) {
		run->sync->doubted = missing;
	}
	return true;
}

static bool
gather_reread(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)context;
	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];
		struct base_mailbox base;

		if (!box->locked) {
			continue;
		}
		if (base_mailbox_load(txn, RUN_REMOTE, box->id, &base, err)) {
			base_mailbox_finish(&box->base);
			box->base = base;
			if (!base_has_retired(txn, RUN_REMOTE, box->id, &box->repairs, err)) {
				return false;
			}
			box->has_unpaired |= box->repairs;
		} else if (err->kind == ERROR_GONE) {
			error_clear(err);
			box->failed = run->result->again =
				true; /* it is another's no more, or ours no more: the next pass sees */
		} else {
			return false;
		}
	}
	run->intent_count = 0;
	return intent_each(txn, RUN_REMOTE, gather_take_intent, run, err);
}

bool
gather_again(struct run *run, struct error *err)
{
	return run_read(run, gather_reread, NULL, err);
}
