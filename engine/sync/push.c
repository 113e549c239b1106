/* To the remote (R9): gathers what changed here, plans it, has it done, and records up to where the remote has heard. */
#include "engine/sync/push.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"

static int
push_compare_u64(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static void
push_sort(uint64_t *numbers, size_t count)
{
	if (count > 1) { /* an array that is not there is not for qsort */
		qsort(numbers, count, sizeof(*numbers), push_compare_u64);
	}
}

static bool
push_contains(const uint64_t *numbers, size_t count, struct number number)
{
	return count > 0 && bsearch(&number.value, numbers, count, sizeof(*numbers), push_compare_u64) != NULL;
}

static void
push_append_number(uint64_t **numbers, size_t *count, uint64_t number)
{
	if ((*count & (*count - 1)) == 0) {
		uint64_t *more = realloc(*numbers, (*count > 0 ? *count * 2 : 1) * sizeof(*more));

		if (more == NULL) {
			abort();
		}
		*numbers = more;
	}
	(*numbers)[(*count)++] = number;
}

static void
push_item_finish(struct push_item *item)
{
	flags_finish(&item->flags);
	flags_finish(&item->add);
	flags_finish(&item->remove);
	base_message_finish(&item->base);
	base_message_finish(&item->source);
}

static void
push_finish(struct push *push)
{
	for (size_t i = 0; i < push->count; i++) {
		push_item_finish(&push->items[i]);
	}
	free(push->items);
	free(push->aside);
	free(push->confirmed);
	free(push->stale);
	free(push->forbidden);
	free(push->no_copy);
}

bool
push_survives(struct push *push, struct run_box *a, struct run_box *b, struct error *err)
{
	bool alive = push->run->session->ops->alive(push->run->session);

	if (!alive || (!run_error_is_local(err) && err->kind != ERROR_RETRY)) {
		return false;
	}
	log_info("sync", "mailbox=%s looked at again: %s", a->name, err->text);
	a->push_incomplete = a->failed = true;
	if (b != NULL) {
		b->push_incomplete = b->failed = true;
	}
	push->run->result->again = true;
	error_clear(err);
	return true;
}

/* --- gathering --- */

static enum plan_place
push_place(struct run *run, struct mailbox_id id)
{
	const struct run_box *box = run_box_of(run, id);

	if (box == NULL || box->base.uidvalidity == 0) {
		return box != NULL && !box->failed && !box->locked ? PLAN_BUSY : box == NULL ? PLAN_CLOSED : PLAN_BUSY;
	}
	if (!box->locked || box->failed || box->rebuilt || box->vanished || (box->repairs && !box->scanned)) {
		return PLAN_BUSY;
	}
	return box->base.read_only ? PLAN_FIXED : PLAN_READY;
}

/* One that this pass knows of, or one that another process made since. */
static bool
push_has_intent(const struct push *push, struct number number, bool *out, struct error *err)
{
	const struct run *run = push->run;

	for (size_t i = 0; i < run->intent_count; i++) {
		if (run->intents[i].number.value == number.value) {
			*out = true;
			return true;
		}
	}
	for (size_t i = 0; i < run->waiting_count; i++) {
		if (run->waiting[i] == number.value) {
			*out = true;
			return true;
		}
	}
	*out = false;
	return run->pass->dry_run || intent_exists(push->txn, RUN_REMOTE, number, out, err);
}

/* The replaced message's tombstone passes only when its successor is there (R14). */
static bool
push_successor_waits(struct push *push, struct number successor, bool *out, struct error *err)
{
	struct base_message base;
	struct message message;

	*out = false;
	if (successor.value == 0) {
		return true;
	}
	if (base_message_load(push->txn, RUN_REMOTE, successor, &base, err)) {
		base_message_finish(&base);
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	if (!message_load(push->txn, successor, &message, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	*out = message.expunged_s == 0;
	message_finish(&message);
	return true;
}

static void
push_flags_difference(struct push *push, const struct base_change *change, struct flags *add, struct flags *remove)
{
	const struct run_box *box = run_box_of(push->run, change->base.mailbox);

	if (box == NULL) {
		return;
	}
	struct merge_mask mask = run_mask(box);
	SCOPED(flags_finish) struct flags ours = merge_masked(&change->message.flags, &mask);
	SCOPED(flags_finish) struct flags theirs = merge_masked(&change->base.flags, &mask);

	*add = flags_minus(&ours, &theirs);
	*remove = flags_minus(&theirs, &ours);
}

static struct push_item *
push_add_item(struct push *push, const struct base_change *change, enum plan_kind kind)
{
	if (push->count == push->capacity) {
		push->capacity = push->capacity * 2 + 64;
		push->items = realloc(push->items, push->capacity * sizeof(*push->items));
		if (push->items == NULL) {
			abort();
		}
	}
	struct push_item *item = &push->items[push->count++];

	*item = (struct push_item){
		.kind = kind,
		.number = change->message.number,
		.mailbox = change->message.mailbox,
		.flags = flags_copy(&change->message.flags),
		.internaldate_s = change->message.internaldate_s,
		.body = change->message.body,
		.expunged_s = change->message.expunged_s,
		.confirmed = push_contains(push->confirmed, push->confirmed_count, change->message.number),
		.has_base = change->has_base,
		.base = change->base,
	};
	item->base.flags = flags_copy(&change->base.flags);
	return item;
}

/* What waits keeps its mailboxes open: `merged` stays, so the next pass meets it again. */
static void
push_later(struct push *push, const struct base_change *change)
{
	struct run_box *to = run_box_of(push->run, change->message.mailbox);
	struct run_box *from = change->has_base ? run_box_of(push->run, change->base.mailbox) : NULL;

	if (change->message.hold != 0) {
		return; /* the hold remembers it */
	}
	if (to != NULL) {
		to->push_incomplete = true;
	}
	if (from != NULL) {
		from->push_incomplete = true;
	}
}

static bool
push_wants(const struct push *push, enum plan_kind kind)
{
	switch (kind) {
	case PLAN_UPLOAD:
	case PLAN_MOVE:
		return !push->changes;
	case PLAN_STORE:
	case PLAN_EXPUNGE:
		return push->changes;
	case PLAN_NOTHING:
	case PLAN_LATER:
	case PLAN_FORBID:
		break;
	}
	return false;
}

static void
push_note_forbidden(struct push *push, const struct base_change *change, const struct plan_message *plan)
{
	struct push_forbidden *more = realloc(push->forbidden, (push->forbidden_count + 1) * sizeof(*more));

	if (more == NULL) {
		abort();
	}
	push->forbidden = more;
	more[push->forbidden_count++] = (struct push_forbidden){
		.number = change->message.number,
		.mailbox = change->message.mailbox,
		.fixed = plan->from == PLAN_FIXED ? change->base.mailbox : change->message.mailbox,
	};
}

static bool
push_change(void *context, const struct base_change *change, struct error *err)
{
	struct push *push = context;
	const struct message *message = &change->message;
	SCOPED(flags_finish) struct flags add = FLAGS_INIT;
	SCOPED(flags_finish) struct flags remove = FLAGS_INIT;
	bool confirmed = push_contains(push->confirmed, push->confirmed_count, message->number);
	struct plan_message plan = {
		.live = message->expunged_s == 0,
		.by_user = message->expunged_by != MESSAGE_BY_REMOTE && message->expunged_by != MESSAGE_FOLDED,
		.body_here = message->body != 0,
		.held = message->hold != 0 && !confirmed,
		.base = change->has_base,
		.base_here = change->has_base && change->base.gone == BASE_HERE,
		.same_mailbox = change->has_base && change->base.mailbox.value == message->mailbox.value,
		.from = change->has_base ? push_place(push->run, change->base.mailbox) : PLAN_READY,
		.to = push_place(push->run, message->mailbox),
	};

	push->last = PLAN_LATER;
	if (push_contains(push->aside, push->aside_count, message->number)) {
		return true;
	}
	bool intended;

	if (!push_has_intent(push, message->number, &intended, err)) {
		return false;
	}
	if (intended) {
		push->run->result->again = true;
		push_later(push, change);
		return true;
	}
	if (change->has_base) {
		push_flags_difference(push, change, &add, &remove);
		plan.flags_differ = !flags_empty(&add) || !flags_empty(&remove);
	}
	if (!plan.live && !push_successor_waits(push, message->successor, &plan.waits_for_successor, err)) {
		return false;
	}
	enum plan_kind kind = plan_message(&plan);

	push->last = kind;
	if (kind == PLAN_LATER) {
		push_later(push, change);
	} else if (kind == PLAN_FORBID && !push->changes) {
		push_note_forbidden(push, change, &plan);
	} else if (push_wants(push, kind)) {
		struct push_item *item = push_add_item(push, change, kind);

		item->add = flags_copy(&add);
		item->remove = flags_copy(&remove);
	}
	return true;
}

static bool
push_note_aside(void *context, const struct aside *aside, struct error *err)
{
	struct push *push = context;
	struct message message;

	if (aside->direction != SIDE_REMOTE || aside->number.value == 0 || run_aside_is_due(push->run, aside)) {
		return true;
	}
	if (!message_load(push->txn, aside->number, &message, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	/* What failed in one mailbox and was moved to another may do there. */
	if (message.mailbox.value == aside->mailbox.value || aside->mailbox.value == 0) {
		push_append_number(&push->aside, &push->aside_count, aside->number.value);
	}
	message_finish(&message);
	return true;
}

static bool
push_retry_aside(void *context, const struct aside *aside, struct error *err)
{
	struct push *push = context;

	if (aside->direction != SIDE_REMOTE || aside->number.value == 0 ||
		push_contains(push->aside, push->aside_count, aside->number)) {
		return true;
	}
	for (size_t i = 0; i < push->count; i++) {
		if (push->items[i].number.value == aside->number.value) {
			return true;
		}
	}
	if (!base_change_load(push->txn, RUN_REMOTE, aside->number, push_change, push, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		push->last = PLAN_NOTHING;
	}
	if (push->last == PLAN_NOTHING) {
		push_append_number(&push->stale, &push->stale_count, aside->number.value);
	}
	return true;
}

static bool
push_note_confirmed_number(void *context, struct number number, struct error *err)
{
	struct push *push = context;

	(void)err;
	push_append_number(&push->confirmed, &push->confirmed_count, number.value);
	return true;
}

static bool
push_note_confirmed(void *context, const struct hold *hold, struct error *err)
{
	struct push *push = context;

	return hold->state != HOLD_CONFIRMED || hold->side != SIDE_REMOTE ||
	       hold_each_message(push->txn, hold->id, push_note_confirmed_number, push, err);
}

/* Never behind what was gathered: changes since then may be of boxes that seemed to have none, which must hear of them. */
static struct modseq
push_since(const struct run *run)
{
	struct modseq since = {UINT64_MAX};

	for (size_t i = 0; i < run->box_count; i++) {
		const struct run_box *box = &run->boxes[i];

		if (box->locked && since.value > run->gathered.value) {
			since = run->gathered;
		}
		if (box->locked && box->base.merged.value < since.value) {
			since = box->base.merged;
		}
	}
	return since;
}

static bool
push_gathered_already(const struct push *push, uint64_t number)
{
	for (size_t i = 0; i < push->count; i++) {
		if (push->items[i].number.value == number) {
			return true;
		}
	}
	return false;
}

static bool
push_find_sources(struct push *push, struct error *err)
{
	for (size_t i = 0; i < push->count; i++) {
		struct push_item *item = &push->items[i];

		if (item->kind != PLAN_UPLOAD || push_contains(push->no_copy, push->no_copy_count, item->number)) {
			continue;
		}
		if (!base_find_copy_source(
			    push->txn, RUN_REMOTE, item->body, item->internaldate_s, &item->copy, &item->source, err)) {
			return false;
		}
		const struct run_box *box = item->copy ? run_box_of(push->run, item->source.mailbox) : NULL;

		item->copy = item->copy && box != NULL && !box->rebuilt && !box->vanished &&
			     box->base.uidvalidity == item->source.uid.uidvalidity;
	}
	return true;
}

static bool
push_gather(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct push *push = context;
	struct modseq since = push_since(run);

	push->txn = txn;
	if (!push->changes && since.value != UINT64_MAX) {
		run->snapshot = store_modseq(
			txn); /* with nothing locked nothing is gathered: the snapshot stays that of the beginning */
	}
	if (!aside_each(txn, RUN_REMOTE, push_note_aside, push, err) ||
		!hold_each(txn, RUN_REMOTE, push_note_confirmed, push, err)) {
		return false;
	}
	push_sort(push->aside, push->aside_count);
	push_sort(push->confirmed, push->confirmed_count);
	if (since.value != UINT64_MAX && !base_change_each(txn, RUN_REMOTE, since, push_change, push, err)) {
		return false;
	}
	if (!aside_each(txn, RUN_REMOTE, push_retry_aside, push, err)) {
		return false;
	}
	for (size_t i = 0; i < push->confirmed_count; i++) {
		if (!push_gathered_already(push, push->confirmed[i]) &&
			!base_change_load(
				txn, RUN_REMOTE, (struct number){push->confirmed[i]}, push_change, push, err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err);
		}
	}
	return push->changes || push_find_sources(push, err);
}

static const char *
push_kind_name(const struct push_item *item)
{
	switch (item->kind) {
	case PLAN_UPLOAD:
		return item->copy ? "copy on the server" : "upload";
	case PLAN_MOVE:
		return "move on the server";
	case PLAN_STORE:
		return "store flags on the server";
	case PLAN_EXPUNGE:
		return "expunge on the server";
	case PLAN_NOTHING:
	case PLAN_LATER:
	case PLAN_FORBID:
		break;
	}
	return "nothing";
}

static void
push_print_plan(struct push *push)
{
	for (size_t i = 0; i < push->count; i++) {
		const struct run_box *box = run_box_of(push->run, push->items[i].mailbox);

		run_say(push->run, "%s: would %s: message %" PRIu64, box != NULL ? box->name : "?",
			push_kind_name(&push->items[i]), push->items[i].number.value);
	}
}

/* What was set aside has nothing left to be done. */
static bool
push_write_stale(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct push *push = context;
	const struct mailbox_id any = {0};

	(void)run;
	for (size_t i = 0; i < push->stale_count; i++) {
		struct number number = {push->stale[i]};

		if (!message_set_failed(txn, number, NULL, err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err);
		}
		if (!aside_remove(txn, RUN_REMOTE, number, any, SIDE_REMOTE, err)) {
			return false;
		}
	}
	return true;
}

static bool
push_tell_forbidden(struct push *push, struct error *err)
{
	for (size_t i = 0; i < push->forbidden_count; i++) {
		const struct push_forbidden *forbidden = &push->forbidden[i];
		const struct run_box *box = run_box_of(push->run, forbidden->fixed);
		struct error why = ERROR_INIT;

		error_set(
			&why, ERROR_REFUSED, "the server lets mailbox %s be read only", box != NULL ? box->name : "?");
		if (!run_set_aside(push->run, forbidden->number, forbidden->mailbox, SIDE_REMOTE, &why, err)) {
			return false;
		}
	}
	return true;
}

/* One round: transfers, or flags and expunges. */
static bool
push_round(struct run *run, bool changes, uint64_t **no_copy, size_t *no_copy_count, struct error *err)
{
	struct push push = {.run = run, .changes = changes, .no_copy = *no_copy, .no_copy_count = *no_copy_count};

	*no_copy = NULL;
	*no_copy_count = 0;
	bool ok = run_read(run, push_gather, &push, err);

	if (ok && run->pass->dry_run) {
		push_print_plan(&push);
	} else if (ok && push.count > 0) {
		ok = changes ? push_changes(&push, err) : push_transfers(&push, err);
	}
	ok = ok && (run->pass->dry_run || push_tell_forbidden(&push, err));
	ok = ok && (push.stale_count == 0 || run_write(run, push_write_stale, &push, STORE_LAZY, err));
	*no_copy = push.no_copy;
	*no_copy_count = push.no_copy_count;
	push.no_copy = NULL;
	push_finish(&push);
	return ok;
}

static bool
push_write_merged(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)context;
	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];
		/* One that was not locked had no change of ours when the pass began; what came since is marked incomplete by the gathering. */
		bool quiet = !box->wants_push && !box->busy && !box->left_out;
		bool settled = !box->push_incomplete && (box->locked ? !box->failed && !box->rebuilt : quiet);

		if (settled && box->base.merged.value < run->snapshot.value) {
			box->base.merged = run->snapshot;
			if (!base_mailbox_set_merged(txn, RUN_REMOTE, box->id, run->snapshot, err)) {
				return false;
			}
		}
	}
	return true;
}

static bool
push_merged_moves(const struct run *run)
{
	for (size_t i = 0; i < run->box_count; i++) {
		if (run->boxes[i].base.merged.value < run->snapshot.value) {
			return true;
		}
	}
	return false;
}

bool
push_boxes(struct run *run, struct error *err)
{
	uint64_t *no_copy = NULL;
	size_t no_copy_count = 0;

	run_progress(run, "sending");
	bool ok = push_round(run, false, &no_copy, &no_copy_count, err);

	if (ok && no_copy_count > 0 && !run->pass->dry_run) {
		/* What could not be copied is uploaded. */
		ok = push_round(run, false, &no_copy, &no_copy_count, err);
	}
	ok = ok && push_round(run, true, &no_copy, &no_copy_count, err);
	free(no_copy);
	if (!ok) {
		return false;
	}
	return run->pass->dry_run || !push_merged_moves(run) ||
	       run_write(run, push_write_merged, NULL, STORE_LAZY, err);
}
