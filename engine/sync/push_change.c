/* Flags and expunges on the remote (R5, R6, R9). */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/sync/brake.h"
#include "engine/sync/push.h"

/* --- flags --- */

struct push_report { /* what the server said of a message after a STORE */
	uint32_t uid;
	size_t order;
	bool has_flags;
	struct flags flags;
	uint64_t modseq;
};

struct push_stores {
	struct push *push;
	struct run_box *box;
	struct plan_store *stores;
	size_t count;
	struct remote_store *groups;
	size_t *group_first; /* index into stores */
	size_t group_count;
	struct push_report *reports;
	size_t report_count;
};

static bool
push_note_report(void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err)
{
	struct push_stores *stores = context;
	struct push_report *report;

	(void)err;
	if (stores->report_count >= stores->count * 2) {
		return true; /* news of other messages: the next scan tells them too */
	}
	report = &stores->reports[stores->report_count++];
	*report = (struct push_report){
		.uid = uid, .order = stores->report_count, .has_flags = flags_or_null != NULL, .modseq = modseq};
	if (flags_or_null != NULL) {
		report->flags = flags_copy(flags_or_null);
	}
	return true;
}

static int
push_compare_reports(const void *left, const void *right)
{
	const struct push_report *a = left, *b = right;

	if (a->uid != b->uid) {
		return a->uid < b->uid ? -1 : 1;
	}
	return a->order < b->order ? -1 : a->order > b->order;
}

/* The last report of a message. What came before it may be of the time before the STORE: of an upload, or half of the change. The reports are sorted. */
static const struct push_report *
push_report_of(const struct push_stores *stores, uint32_t uid)
{
	size_t low = 0, high = stores->report_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (stores->reports[middle].uid <= uid) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low > 0 && stores->reports[low - 1].uid == uid ? &stores->reports[low - 1] : NULL;
}

/* What both sides agree on after a STORE: of the flags that were changed what the server says, if it says; of the others what they agreed on before, for what
 * others changed meanwhile is not here yet. */
static struct flags
push_agreed(const struct flags *base, const struct plan_store *store, const struct push_report *report)
{
	SCOPED(flags_finish) struct flags changed = flags_union(&store->add, &store->remove);
	SCOPED(flags_finish) struct flags kept = flags_minus(base, &changed);
	SCOPED(flags_finish) struct flags told = flags_intersection(&report->flags, &changed);

	return flags_union(&kept, report->has_flags ? &told : &store->add);
}

/* The group that a STORE went with; their firsts rise. */
static size_t
push_group_of(const struct push_stores *stores, size_t i)
{
	size_t low = 0, high = stores->group_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (stores->group_first[middle] <= i) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

static bool
push_settle_store(struct run *run, struct store_txn *txn, void *context, size_t i, bool first, struct error *err)
{
	struct push_stores *stores = context;
	size_t group = push_group_of(stores, i);
	const struct plan_store *store = &stores->stores[i];
	const struct push_item *item = &stores->push->items[store->item];
	const struct push_report *report;

	(void)first;
	switch (stores->groups[group].outcome) {
	case REMOTE_NOT_SENT:
	case REMOTE_UNKNOWN:
		stores->box->push_incomplete = true;
		return true; /* the next scan tells what it is now */
	case REMOTE_REFUSED:
		run->result->failed++;
		return message_set_failed(txn, item->number, stores->groups[group].error.text, err) &&
		       aside_note(txn, RUN_REMOTE, item->number, item->mailbox, SIDE_REMOTE,
			       slice_of(stores->groups[group].error.text), err);
	case REMOTE_DONE:
		break;
	}
	report = push_report_of(stores, store->uid);
	if (report ==
		NULL) { /* it has left the mailbox: the next scan tells where it went, and the change goes there */
		stores->box->push_incomplete = true;
		run->result->again = true;
		return true;
	}
	SCOPED(flags_finish) struct flags agreed = push_agreed(&item->base.flags, store, report);

	run->result->flags_there++;
	return base_message_set_flags(txn, RUN_REMOTE, item->number, &agreed, report->modseq, err) &&
	       run_clear_failure(txn, item->number, err);
}

static void
push_make_groups(struct push_stores *stores)
{
	plan_store_sort(stores->stores, stores->count);
	for (size_t first = 0, length; first < stores->count; first += length) {
		struct remote_store *group = &stores->groups[stores->group_count];

		length = plan_store_group(stores->stores, stores->count, first);
		stores->group_first[stores->group_count++] = first;
		*group = (struct remote_store){
			.add = flags_copy(&stores->stores[first].add),
			.remove = flags_copy(&stores->stores[first].remove),
		};
		for (size_t i = first; i < first + length; i++) {
			uidset_add(&group->uids, stores->stores[i].uid, stores->stores[i].uid);
		}
	}
}

static bool
push_store_box(struct push *push, struct run_box *box, struct error *err)
{
	struct run *run = push->run;
	struct push_stores stores = {.push = push, .box = box};
	struct remote_target target = run_target(box);
	struct error failure = ERROR_INIT;

	stores.stores = arena_alloc(&run->arena, (push->count + 1) * sizeof(*stores.stores));
	for (size_t i = 0; i < push->count; i++) {
		const struct push_item *item = &push->items[i];

		if (item->kind == PLAN_STORE && item->base.mailbox.value == box->id.value) {
			stores.stores[stores.count++] = (struct plan_store){
				.item = i, .uid = item->base.uid.uid, .add = item->add, .remove = item->remove};
		}
	}
	if (stores.count == 0 || box->failed) {
		return true;
	}
	stores.groups = arena_alloc(&run->arena, stores.count * sizeof(*stores.groups));
	stores.group_first = arena_alloc(&run->arena, stores.count * sizeof(*stores.group_first));
	stores.reports = arena_alloc(&run->arena, stores.count * 2 * sizeof(*stores.reports));
	push_make_groups(&stores);
	bool sent = run->session->ops->store(
		run->session, &target, stores.groups, stores.group_count, push_note_report, &stores, &failure);

	qsort(stores.reports, stores.report_count, sizeof(*stores.reports), push_compare_reports);
	bool ok = run_write_each(run, push_settle_store, &stores, stores.count, err);

	for (size_t i = 0; i < stores.group_count; i++) {
		uidset_finish(&stores.groups[i].uids);
		flags_finish(&stores.groups[i].add);
		flags_finish(&stores.groups[i].remove);
	}
	for (size_t i = 0; i < stores.report_count; i++) {
		flags_finish(&stores.reports[i].flags);
	}
	if (ok && !sent) {
		*err = failure;
		return push_survives(push, box, NULL, err);
	}
	return ok;
}

/* --- expunges --- */

struct push_expunge {
	struct push *push;
	struct run_box *box;
	struct push_item **items; /* by UID */
	size_t count;
	bool *found; /* parallel: the server has it, and it is what the base says */
	bool differs;
	bool marked;
	enum remote_outcome outcome;
	struct error refusal;
};

static int
push_compare_uids(const void *left, const void *right)
{
	const struct push_item *a = *(struct push_item *const *)left, *b = *(struct push_item *const *)right;

	return a->base.uid.uid < b->base.uid.uid ? -1 : a->base.uid.uid > b->base.uid.uid;
}

/* A burst is seen whole before it leaves; behind a waiting hold, any number is. */
static bool
push_burst_waits(struct push *push, struct run_box *box, struct push_item **items, size_t count)
{
	struct run *run = push->run;
	int64_t newest_s = INT64_MIN, now_s = io_wall_s(run->sync->io);

	for (size_t i = 0; i < count; i++) {
		newest_s = items[i]->expunged_s > newest_s ? items[i]->expunged_s : newest_s;
	}
	/* Times have whole seconds: one that is 2 s old by them may be 1 s old. */
	int64_t age_ms = now_s <= newest_s ? 0 : (now_s - newest_s - 1) * 1000;
	int64_t wait_ms = brake_wait_ms(box->held_there ? BRAKE_FREE + 1 : count, age_ms);

	if (wait_ms <= 0) {
		return false;
	}
	box->push_incomplete = true;
	run->result->again = true;
	if (run->result->again_in_ms == 0 || run->result->again_in_ms > wait_ms) {
		run->result->again_in_ms = wait_ms;
	}
	return true;
}

static bool
push_write_decision(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct push_expunge *expunge = context;
	struct number *numbers = arena_alloc(&run->arena, (expunge->count + 1) * sizeof(*numbers));
	struct mailbox mailbox;

	for (size_t i = 0; i < expunge->count; i++) {
		numbers[i] = expunge->items[i]->number;
	}
	if (!mailbox_load(txn, expunge->box->id, &mailbox, err)) {
		return false;
	}
	uint64_t left = mailbox.expunged_s != 0 ? 0 : mailbox.messages;

	mailbox_finish(&mailbox);
	bool *passes = arena_alloc(&run->arena, (expunge->count + 1) * sizeof(*passes));
	size_t passed = 0;

	if (!holds_decide(run, txn, expunge->box, SIDE_REMOTE, numbers, expunge->count, left, passes, err)) {
		return false;
	}
	for (size_t i = 0; i < expunge->count; i++) {
		if (passes[i]) {
			expunge->items[passed++] = expunge->items[i];
		}
	}
	expunge->count = passed;
	return true;
}

static bool
push_check_identity(void *context, struct remote_message *message, struct error *err)
{
	struct push_expunge *expunge = context;

	(void)err;
	size_t low = 0, high = expunge->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (expunge->items[middle]->base.uid.uid < message->uid) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low == expunge->count || expunge->items[low]->base.uid.uid != message->uid) {
		return true;
	}
	const struct base_message *base = &expunge->items[low]->base;
	bool guid_differs = base->guid.kind != GUID_NONE && message->guid.kind != GUID_NONE &&
			    !guid_equal(&base->guid, &message->guid);
	bool date_differs = base->internaldate_s != message->internaldate_s;

	expunge->found[low] = true;
	expunge->differs |= guid_differs || (base->guid.kind == GUID_NONE && date_differs);
	return true;
}

/* What cannot be undone is not done before its body is here (R6), but for the trash. */
struct push_missing {
	struct push_expunge *expunge;
	size_t failed;
};

static void
push_note_hydrated(void *context, struct number number, const struct error *error)
{
	struct push_missing *missing = context;

	if (error != NULL) {
		log_warn("sync", "number=%" PRIu64 " stays on the server: its body could not be fetched: %s",
			number.value, error->text);
		missing->failed++;
		for (size_t i = 0; i < missing->expunge->count; i++) {
			if (missing->expunge->items[i]->number.value == number.value) {
				missing->expunge->found[i] = false;
				missing->expunge->box->push_incomplete = true;
			}
		}
	}
}

static bool
push_fetch_missing(struct push_expunge *expunge, struct error *err)
{
	struct run *run = expunge->push->run;
	struct push_missing missing = {.expunge = expunge};
	struct number *numbers = arena_alloc(&run->arena, (expunge->count + 1) * sizeof(*numbers));
	size_t count = 0;

	if (expunge->box->in_trash) {
		return true;
	}
	for (size_t i = 0; i < expunge->count; i++) {
		if (expunge->found[i] && expunge->items[i]->body == 0) {
			numbers[count++] = expunge->items[i]->number;
		}
	}
	return count == 0 || sync_hydrate(run->sync->io, run->sync->store, run->session, expunge->box->id, numbers,
				     count, push_note_hydrated, &missing, err);
}

static bool
push_settle_expunge(struct run *run, struct store_txn *txn, void *context, size_t i, bool first, struct error *err)
{
	struct push_expunge *expunge = context;
	const struct push_item *item = expunge->items[i];

	(void)first;
	if (expunge->found[i] && expunge->outcome == REMOTE_REFUSED) {
		run->result->failed++;
		return aside_note(txn, RUN_REMOTE, item->number, item->mailbox, SIDE_REMOTE,
			slice_of(expunge->refusal.text), err);
	}
	if (expunge->found[i] && expunge->outcome != REMOTE_DONE) {
		return true;
	}
	if (!expunge->found[i] && item->body == 0 && !expunge->box->in_trash && expunge->box->push_incomplete) {
		return true; /* its body could not be fetched */
	}
	run->result->expunged_there++;
	return (expunge->found[i] && expunge->marked
			       ? base_message_set_gone(txn, RUN_REMOTE, item->number, BASE_MARKED, err)
			       : base_message_remove(txn, RUN_REMOTE, item->number, err)) &&
	       run_clear_failure(txn, item->number, err);
}

struct push_unhold {
	struct run *run;
	struct store_txn *txn;
	uint64_t number;
	uint64_t emptied[64];
	size_t emptied_count;
};

static bool
push_note_emptied(void *context, const struct hold *hold, struct error *err)
{
	struct push_unhold *unhold = context;

	(void)err;
	if (hold->state == HOLD_CONFIRMED && hold->side == SIDE_REMOTE && hold->messages == 0 &&
		unhold->emptied_count < ARRAY_LENGTH(unhold->emptied)) {
		unhold->emptied[unhold->emptied_count++] = hold->id;
	}
	return true;
}

static bool
push_unlist_confirmed(void *context, const struct hold *hold, struct error *err)
{
	struct push_unhold *unhold = context;

	return hold->state != HOLD_CONFIRMED ||
	       hold_remove_message(unhold->txn, hold->id, (struct number){unhold->number}, err);
}

/* A confirmed hold is over when all it lists is. */
static bool
push_write_unhold(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct push_expunge *expunge = context;
	struct push_unhold unhold = {.run = run, .txn = txn};

	for (size_t i = 0; i < expunge->count; i++) {
		unhold.number = expunge->items[i]->number.value;
		if (expunge->items[i]->confirmed && (!expunge->found[i] || expunge->outcome == REMOTE_DONE) &&
			!hold_each(txn, RUN_REMOTE, push_unlist_confirmed, &unhold, err)) {
			return false;
		}
	}
	if (!hold_each(txn, RUN_REMOTE, push_note_emptied, &unhold, err)) {
		return false;
	}
	for (size_t i = 0; i < unhold.emptied_count; i++) {
		if (!hold_remove(txn, unhold.emptied[i], err)) {
			return false;
		}
	}
	return true;
}

static bool
push_expunge_passed(struct push_expunge *expunge, bool confirmed, struct error *err)
{
	struct run *run = expunge->push->run;
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	SCOPED(uidset_finish) struct uidset asked = UIDSET_INIT;
	struct remote_target target = run_target(expunge->box);
	struct error failure = ERROR_INIT;
	bool sent = true;

	expunge->found = arena_alloc(&run->arena, (expunge->count + 1) * sizeof(*expunge->found));
	for (size_t i = 0; i < expunge->count; i++) {
		uidset_add(&asked, expunge->items[i]->base.uid.uid, expunge->items[i]->base.uid.uid);
	}
	if (!run->session->ops->identify(
		    run->session, &target, &asked, false, push_check_identity, expunge, NULL, err)) {
		return push_survives(expunge->push, expunge->box, NULL, err);
	}
	if (expunge->differs) {
		return scan_begin_repair(
			run, expunge->box, "a message that was to be expunged is another one now", err);
	}
	if (!push_fetch_missing(expunge, err)) {
		return push_survives(expunge->push, expunge->box, NULL, err);
	}
	for (size_t i = 0; i < expunge->count; i++) {
		if (expunge->found[i]) {
			uidset_add(&uids, expunge->items[i]->base.uid.uid, expunge->items[i]->base.uid.uid);
		}
	}
	expunge->outcome = REMOTE_DONE;
	if (uidset_size(&uids) > 0) {
		sent = run->session->ops->expunge(
			run->session, &target, &uids, &expunge->outcome, &expunge->marked, &failure);
	}
	if (expunge->outcome == REMOTE_REFUSED) {
		run_say(run, "%s: %s", expunge->box->name, failure.text);
		expunge->refusal = failure;
	} else if (expunge->outcome != REMOTE_DONE) {
		expunge->box->push_incomplete = true;
	}
	if (!run_write_each(run, push_settle_expunge, expunge, expunge->count, err) ||
		(confirmed && !run_write(run, push_write_unhold, expunge, STORE_LAZY, err))) {
		return false;
	}
	if (!sent) {
		*err = failure;
		return push_survives(expunge->push, expunge->box, NULL, err);
	}
	return true;
}

static bool
push_expunge_box(struct push *push, struct run_box *box, bool confirmed, struct error *err)
{
	struct run *run = push->run;
	struct push_expunge expunge = {.push = push, .box = box};

	expunge.items = arena_alloc(&run->arena, (push->count + 1) * sizeof(struct push_item *));
	for (size_t i = 0; i < push->count; i++) {
		struct push_item *item = &push->items[i];

		if (item->kind == PLAN_EXPUNGE && item->base.mailbox.value == box->id.value &&
			item->confirmed == confirmed) {
			expunge.items[expunge.count++] = item;
		}
	}
	if (expunge.count == 0 || box->failed || box->rebuilt) {
		return true;
	}
	qsort(expunge.items, expunge.count, sizeof(struct push_item *), push_compare_uids);
	if (!confirmed) {
		if (push_burst_waits(push, box, expunge.items, expunge.count)) {
			return true;
		}
		if (!run_write(run, push_write_decision, &expunge, STORE_DURABLE, err)) {
			return false;
		}
	}
	return expunge.count == 0 || push_expunge_passed(&expunge, confirmed, err);
}

bool
push_changes(struct push *push, struct error *err)
{
	for (size_t i = 0; i < push->run->box_count; i++) {
		if (!push_store_box(push, &push->run->boxes[i], err)) {
			return false;
		}
	}
	for (size_t i = 0; i < push->run->box_count; i++) {
		if (!push_expunge_box(push, &push->run->boxes[i], true, err) ||
			!push_expunge_box(push, &push->run->boxes[i], false, err)) {
			return false;
		}
	}
	return true;
}
