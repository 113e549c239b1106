/* What the remote says, into the store (R4, R5, R6, R11).
 *
 * Batches are written while the scan goes on. What may turn out to be a move, or a message that is here already, waits until all mailboxes are
 * scanned: then it is matched, additions first, removals last.
 */
#include <assert.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/sync/match.h"
#include "engine/sync/run.h"

/* --- flags --- */

/* Merges the remote's flags of a message of the base into its row here; the base becomes what the remote has. */
static bool
pull_merge_flags(struct run *run, struct store_txn *txn, struct run_box *box, const struct base_message *base, const struct flags *theirs,
		 uint64_t modseq, struct error *err)
{
	struct message message;
	struct merge_mask mask = run_mask(box);

	if (!message_load(txn, base->number, &message, err)) {
		return err->kind == ERROR_GONE;
	}
	bool ok = true;

	if (message.expunged_s == 0 && run->direction != SYNC_PUSH) {
		struct merge_flags merge = merge_flags(&base->flags, &message.flags, theirs, &mask);
		bool applied = true;

		if (!flags_equal(&merge.local, &message.flags)) {
			ok = message_set_flags(txn, base->number, &merge.local, message.modseq, &applied, err);
			run->result->flags_here += ok && applied;
		}
		if (!flags_empty(&merge.add) || !flags_empty(&merge.remove)) {
			box->wants_push = true;
		}
		merge_flags_finish(&merge);
	}
	message_finish(&message);
	return ok && base_message_set_flags(txn, RUN_REMOTE, base->number, theirs, modseq, err);
}

static bool
pull_flag(struct run *run, struct store_txn *txn, const struct run_flag *flag, struct error *err)
{
	struct run_box *box = &run->boxes[flag->box];
	struct remote_uid uid = {.uidvalidity = box->base.uidvalidity, .uid = flag->uid};
	struct base_message base;

	if (!base_message_load_by_uid(txn, RUN_REMOTE, box->id, uid, &base, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	bool same = flags_equal(&base.flags, &flag->flags) && base.modseq >= flag->modseq;
	bool ok = same || pull_merge_flags(run, txn, box, &base, &flag->flags, flag->modseq, err);

	base_message_finish(&base);
	return ok;
}

/* --- new messages --- */

static struct base_message
pull_base_of(const struct run *run, const struct run_arrival *arrival, struct number number)
{
	const struct run_box *box = &run->boxes[arrival->box];

	return (struct base_message){
		.mailbox = box->id,
		.uid = {.uidvalidity = box->base.uidvalidity, .uid = arrival->uid},
		.number = number,
		.guid = arrival->guid,
		.modseq = arrival->modseq,
		.size_bytes = arrival->size_bytes,
		.internaldate_s = arrival->internaldate_s,
		.served = BASE_SERVED_SAME,
		.flags = arrival->flags, /* borrowed: not to be finished */
	};
}

struct pull_mate { /* a message with the same GUID */
	uint64_t body;
	struct number tombstone;
	bool elsewhere;
	struct store_txn *txn;
	struct error *err;
	bool failed;
};

static bool
pull_look_at_mate(void *context, const struct base_message *base)
{
	struct pull_mate *mate = context;
	struct message message;

	if (!message_load(mate->txn, base->number, &message, mate->err)) {
		mate->failed = mate->err->kind != ERROR_GONE;
		error_clear(mate->err);
		return !mate->failed;
	}
	if (message.body != 0 && base->served == BASE_SERVED_SAME) {
		mate->body = message.body;
	}
	if (base->gone == BASE_EXPUNGED && message.expunged_s != 0 && message.expunged_by == MESSAGE_BY_REMOTE) {
		mate->tombstone = base->number;
	}
	if (base->gone == BASE_HERE) {
		mate->elsewhere = true;
	}
	message_finish(&message);
	return true;
}

static bool
pull_find_mate(struct store_txn *txn, const struct guid *guid, struct pull_mate *out, struct error *err)
{
	*out = (struct pull_mate){.txn = txn, .err = err};
	return base_message_each_by_guid(txn, RUN_REMOTE, guid, pull_look_at_mate, out, err) && !out->failed;
}

static bool
pull_create(struct run *run, struct store_txn *txn, struct run_arrival *arrival, uint64_t body_of_mate, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct message_new new = {
		.mailbox = box->id,
		.flags = arrival->flags,
		.internaldate_s = arrival->internaldate_s,
		.size_bytes = arrival->size_bytes,
		.body = body_of_mate,
		.envelope = arrival->has_header ? &arrival->envelope : NULL,
	};
	struct number number;
	struct body body;

	memcpy(new.identity, arrival->identity.bytes, sizeof(new.identity));
	if (arrival->body != NULL) {
		if (!body_put(txn, arrival->body, &new.body, err)) {
			return false;
		}
		new.size_bytes = body_prepared_get(arrival->body)->size_bytes;
		run->result->bodies++;
	} else if (body_of_mate != 0) {
		if (!body_load(txn, body_of_mate, &body, err)) {
			return false;
		}
		new.size_bytes = body.size_bytes;
	}
	if (!message_create(txn, &new, &number, err)) {
		return false;
	}
	struct base_message base = pull_base_of(run, arrival, number);

	run->result->new_here++;
	arrival->done = true;
	return base_message_put(txn, RUN_REMOTE, &base, err);
}

/* The remote removed it from one mailbox in an earlier pass and put it into another now: the tombstone lives again (R11). */
static bool
pull_revive(struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct number number, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct base_message base = pull_base_of(run, arrival, number);
	struct message message;
	bool applied;

	if (!message_revive(txn, number, box->id, err) || !message_load(txn, number, &message, err)) {
		return false;
	}
	bool ok = message_set_flags(txn, number, &arrival->flags, message.modseq, &applied, err) && base_message_put(txn, RUN_REMOTE, &base, err);

	message_finish(&message);
	run->result->moved_here++;
	arrival->done = true;
	return ok;
}

static bool
pull_defer(struct run *run, struct run_arrival *arrival)
{
	if (run->deferred_count >= RUN_DEFERRED_MAX) {
		return false;
	}
	if (run->deferred_count == run->deferred_capacity) {
		run->deferred_capacity = run->deferred_capacity * 2 + 256;
		run->deferred = realloc(run->deferred, run->deferred_capacity * sizeof(*run->deferred));
		if (run->deferred == NULL) {
			abort();
		}
	}
	run->deferred[run->deferred_count++] = *arrival;
	*arrival = (struct run_arrival){0}; /* moved */
	return true;
}

/* A UID the base has: ours, uploaded between the base and the scan; what the remote tells of it completes the row. */
static bool
pull_known(struct run *run, struct store_txn *txn, struct run_arrival *arrival, bool *out_known, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct remote_uid uid = {.uidvalidity = box->base.uidvalidity, .uid = arrival->uid};
	struct base_message base;

	*out_known = base_message_load_by_uid(txn, RUN_REMOTE, box->id, uid, &base, err);
	if (!*out_known) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	bool ok = pull_merge_flags(run, txn, box, &base, &arrival->flags, arrival->modseq, err);

	base_message_finish(&base);
	return ok;
}

static bool
pull_arrival(struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct pull_mate mate = {0};
	bool known = false;

	if (run->direction == SYNC_PUSH) {
		return true;
	}
	if (!run->fresh) {
		if (!pull_known(run, txn, arrival, &known, err) || known) {
			return known;
		}
		if (!pull_find_mate(txn, &arrival->guid, &mate, err)) {
			return false;
		}
	}
	if ((mate.elsewhere || box->has_unpaired || run->intent_count > 0) && pull_defer(run, arrival)) {
		return true;
	}
	if (mate.tombstone.value != 0) {
		return pull_revive(run, txn, arrival, mate.tombstone, err);
	}
	return pull_create(run, txn, arrival, mate.body, err);
}

static bool
pull_write_batch(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)context;
	for (size_t i = 0; i < run->flag_count; i++) {
		if (!pull_flag(run, txn, &run->flags[i], err)) {
			return false;
		}
	}
	for (size_t i = 0; i < run->arrival_count; i++) {
		if (!pull_arrival(run, txn, &run->arrivals[i], err)) {
			return false;
		}
	}
	return true;
}

bool
pull_batch(struct run *run, struct error *err)
{
	if (run->arrival_count == 0 && run->flag_count == 0) {
		return true;
	}
	bool ok = run_write(run, pull_write_batch, NULL, STORE_LAZY, err);

	for (size_t i = 0; i < run->arrival_count; i++) {
		run_arrival_finish(&run->arrivals[i]);
	}
	for (size_t i = 0; i < run->flag_count; i++) {
		flags_finish(&run->flags[i].flags);
	}
	run->arrival_count = run->arrival_bytes = run->flag_count = 0;
	run_progress(run, "listing");
	return ok;
}

/* --- what is gone there --- */

struct pull_gone {
	struct run *run;
	struct run_box *box;
	const struct uidset *uids;
};

static void
pull_add_gone(struct run *run, struct run_box *box, const struct base_message *base)
{
	if (run->gone_count == run->gone_capacity) {
		run->gone_capacity = run->gone_capacity * 2 + 64;
		run->gone = realloc(run->gone, run->gone_capacity * sizeof(*run->gone));
		if (run->gone == NULL) {
			abort();
		}
	}
	run->gone[run->gone_count++] = (struct run_gone){.number = base->number, .box = run_box_index(run, box), .guid = base->guid};
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

/* --- matching what was deferred --- */

struct pull_ours { /* messages here that may be one of the arrivals */
	struct match_item *items;
	struct number *numbers;
	uint64_t *intents; /* intent.id, 0: none */
	size_t count, capacity;
	struct run *run;
	struct store_txn *txn;
};

static void
pull_ours_add(struct pull_ours *ours, const struct match_item *item, struct number number, uint64_t intent)
{
	if (ours->count == ours->capacity) {
		ours->capacity = ours->capacity * 2 + 64;
		ours->items = realloc(ours->items, ours->capacity * sizeof(*ours->items));
		ours->numbers = realloc(ours->numbers, ours->capacity * sizeof(*ours->numbers));
		ours->intents = realloc(ours->intents, ours->capacity * sizeof(*ours->intents));
		if (ours->items == NULL || ours->numbers == NULL || ours->intents == NULL) {
			abort();
		}
	}
	ours->items[ours->count] = *item;
	ours->numbers[ours->count] = number;
	ours->intents[ours->count++] = intent;
}

static void
pull_ours_finish(struct pull_ours *ours)
{
	free(ours->items);
	free(ours->numbers);
	free(ours->intents);
}

static const struct intent *
pull_intent_of(const struct run *run, struct number number, struct mailbox_id target)
{
	for (size_t i = 0; i < run->intent_count; i++) {
		const struct intent *intent = &run->intents[i];
		struct mailbox_id goes_to = intent->kind == INTENT_APPEND ? intent->mailbox : intent->target;

		if (intent->number.value == number.value && goes_to.value == target.value && intent->kind <= INTENT_MOVE) {
			return intent;
		}
	}
	return NULL;
}

static bool
pull_item_of(struct pull_ours *ours, const struct message *message, struct match_item *out, struct error *err)
{
	struct body body;

	*out = (struct match_item){.internaldate_s = message->internaldate_s};
	uint8_t *identity = arena_alloc(&ours->run->arena, sizeof(message->identity));

	memcpy(identity, message->identity, sizeof(message->identity));
	out->identity = identity;
	if (message->body != 0) {
		if (!body_load(ours->txn, message->body, &body, err)) {
			return false;
		}
		struct digest *digest = arena_alloc(&ours->run->arena, sizeof(*digest));

		*digest = body.digest;
		out->digest = digest;
		out->size_bytes = body.wire_size_bytes;
	}
	return true;
}

static bool
pull_gather_unpaired(void *context, const struct base_change *change, struct error *err)
{
	struct pull_ours *ours = context;
	struct match_item item;
	const struct intent *intent = pull_intent_of(ours->run, change->message.number, change->message.mailbox);

	if (!pull_item_of(ours, &change->message, &item, err)) {
		return false;
	}
	item.outcome_unknown = intent != NULL;
	pull_ours_add(ours, &item, change->message.number, intent != NULL ? intent->id : 0);
	return true;
}

/* Messages whose move or copy into this mailbox has an unknown outcome are looked for by the GUID they had. */
static bool
pull_gather_moves(struct pull_ours *ours, struct run_box *box, struct error *err)
{
	for (size_t i = 0; i < ours->run->intent_count; i++) {
		const struct intent *intent = &ours->run->intents[i];
		struct base_message base;
		struct message message;
		struct match_item item;

		if (intent->kind != INTENT_MOVE || intent->target.value != box->id.value) {
			continue;
		}
		if (!base_message_load(ours->txn, RUN_REMOTE, intent->number, &base, err) || !message_load(ours->txn, intent->number, &message, err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err);
			continue;
		}
		bool ok = pull_item_of(ours, &message, &item, err);
		struct guid *guid = arena_alloc(&ours->run->arena, sizeof(*guid));

		*guid = base.guid;
		item.guid = guid;
		item.outcome_unknown = true;
		if (ok && base.mailbox.value != box->id.value) {
			pull_ours_add(ours, &item, intent->number, intent->id);
		}
		base_message_finish(&base);
		message_finish(&message);
		if (!ok) {
			return false;
		}
	}
	return true;
}

static bool
pull_settle_intent(struct run *run, struct store_txn *txn, uint64_t id, struct error *err)
{
	for (size_t i = 0; i < run->intent_count; i++) {
		if (run->intents[i].id == id) {
			run->intents[i].kind = INTENT_CREATE; /* no longer one of a message */
			run->intents[i].number = (struct number){0};
		}
	}
	return id == 0 || intent_remove(txn, id, err);
}

/* A message here and one there turned out to be the same. */
static bool
pull_pair(struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct number number, uint64_t intent, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct merge_mask mask = run_mask(box);
	struct message message;
	bool applied;

	if (!message_load(txn, number, &message, err)) {
		return false;
	}
	struct base_message base = pull_base_of(run, arrival, number);
	/* An upload of ours: what differs here now was changed since, and wins as any change does. */
	struct merge_flags merge = intent != 0 ? merge_flags(&arrival->flags, &message.flags, &arrival->flags, &mask)
					       : merge_flags_first(&message.flags, &arrival->flags, &mask);
	bool ok = message_set_flags(txn, number, &merge.local, message.modseq, &applied, err);

	if (message.body != 0) {
		struct body body;

		ok = ok && body_load(txn, message.body, &body, err);
		base.served = ok && body.wire_size_bytes == arrival->size_bytes ? BASE_SERVED_SAME : BASE_SERVED_UNKNOWN;
	}
	if (!flags_empty(&merge.add) || !flags_empty(&merge.remove)) {
		box->wants_push = true;
	}
	merge_flags_finish(&merge);
	message_finish(&message);
	arrival->done = true;
	return ok && base_message_put(txn, RUN_REMOTE, &base, err) && pull_settle_intent(run, txn, intent, err);
}

static bool
pull_match_box(struct run *run, struct store_txn *txn, struct run_box *box, struct error *err)
{
	struct pull_ours ours = {.run = run, .txn = txn};
	size_t box_index = run_box_index(run, box), their_count = 0;
	struct match_item *theirs = arena_alloc(&run->arena, (run->deferred_count + 1) * sizeof(*theirs));
	struct run_arrival **arrivals = arena_alloc(&run->arena, (run->deferred_count + 1) * sizeof(struct run_arrival *));

	for (size_t i = 0; i < run->deferred_count; i++) {
		struct run_arrival *arrival = &run->deferred[i];

		if (arrival->box != box_index || arrival->done) {
			continue;
		}
		theirs[their_count] = (struct match_item){
			.guid = &arrival->guid,
			.digest = arrival->body != NULL ? &body_prepared_get(arrival->body)->digest : NULL,
			.identity = arrival->identity.bytes,
			.internaldate_s = arrival->internaldate_s,
			.size_bytes = arrival->size_bytes,
		};
		arrivals[their_count++] = arrival;
	}
	bool ok = their_count == 0 || (base_each_unpaired(txn, RUN_REMOTE, box->id, pull_gather_unpaired, &ours, err) &&
				       pull_gather_moves(&ours, box, err));

	if (ok && their_count > 0 && ours.count > 0) {
		size_t *partner = arena_alloc(&run->arena, ours.count * sizeof(*partner));

		match_pairs(ours.items, ours.count, theirs, their_count, partner);
		for (size_t i = 0; ok && i < ours.count; i++) {
			if (partner[i] != MATCH_NONE) {
				ok = pull_pair(run, txn, arrivals[partner[i]], ours.numbers[i], ours.intents[i], err);
			}
		}
	}
	pull_ours_finish(&ours);
	return ok;
}

/* --- moves the remote made --- */

static int
pull_compare_gone(const void *left, const void *right)
{
	const struct run_gone *a = *(const struct run_gone *const *)left, *b = *(const struct run_gone *const *)right;
	size_t size_a = offsetof(struct guid, value) + a->guid.length, size_b = offsetof(struct guid, value) + b->guid.length;
	int order = memcmp(&a->guid, &b->guid, size_a < size_b ? size_a : size_b);

	if (order != 0) {
		return order;
	}
	return a->number.value < b->number.value ? -1 : a->number.value > b->number.value;
}

static struct run_gone *
pull_find_gone(struct run_gone **sorted, size_t count, const struct guid *guid)
{
	size_t low = 0, high = count, size = offsetof(struct guid, value) + guid->length;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		size_t other = offsetof(struct guid, value) + sorted[middle]->guid.length;

		if (memcmp(&sorted[middle]->guid, guid, other < size ? other : size) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	for (; low < count && guid_equal(&sorted[low]->guid, guid); low++) {
		if (!sorted[low]->settled) {
			return sorted[low];
		}
	}
	return NULL;
}

/* Gone in one mailbox and new in another: it moves here and keeps its number. The remote's target wins, and a move beats an expunge. */
static bool
pull_move(struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct run_gone *gone, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct base_message base, old;
	struct message message;

	if (!message_load(txn, gone->number, &message, err)) {
		return false;
	}
	if (!base_message_load(txn, RUN_REMOTE, gone->number, &old, err)) {
		message_finish(&message);
		return false;
	}
	bool ok = true;

	if (message.expunged_s != 0) {
		ok = message_revive(txn, gone->number, box->id, err);
	} else if (message.mailbox.value != box->id.value) {
		ok = message_move(txn, gone->number, box->id, (struct slice){0}, err);
	}
	base = pull_base_of(run, arrival, gone->number);
	base.served = old.served;
	base.digest = old.digest;
	base.flags = old.flags; /* the ancestor of the merge that follows */
	ok = ok && base_message_put(txn, RUN_REMOTE, &base, err) &&
	     pull_merge_flags(run, txn, box, &base, &arrival->flags, arrival->modseq, err);
	message_finish(&message);
	base_message_finish(&old);
	run->result->moved_here++;
	arrival->done = gone->settled = true;
	return ok;
}

struct pull_place {
	struct run_gone **sorted;
	size_t next; /* of run->deferred */
};

static bool
pull_place_one(struct run *run, struct store_txn *txn, const struct pull_place *place, struct run_arrival *arrival, struct error *err)
{
	struct run_gone *gone = arrival->guid.kind != GUID_NONE ? pull_find_gone(place->sorted, run->gone_count, &arrival->guid) : NULL;
	struct pull_mate mate;

	if (gone != NULL) {
		return pull_move(run, txn, arrival, gone, err);
	}
	if (!pull_find_mate(txn, &arrival->guid, &mate, err)) {
		return false;
	}
	return mate.tombstone.value != 0 ? pull_revive(run, txn, arrival, mate.tombstone, err)
					 : pull_create(run, txn, arrival, mate.body, err);
}

/* One short transaction's worth: others write between them (S8). */
static bool
pull_place_some(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_place *place = context;
	size_t placed = 0;

	for (; place->next < run->deferred_count && placed < RUN_BATCH_MESSAGES; place->next++) {
		if (!run->deferred[place->next].done) {
			if (!pull_place_one(run, txn, place, &run->deferred[place->next], err)) {
				return false;
			}
			placed++;
		}
	}
	return true;
}

static bool
pull_place_deferred(struct run *run, struct error *err)
{
	struct pull_place place = {.sorted = arena_alloc(&run->arena, (run->gone_count + 1) * sizeof(struct run_gone *))};

	for (size_t i = 0; i < run->gone_count; i++) {
		place.sorted[i] = &run->gone[i];
	}
	qsort(place.sorted, run->gone_count, sizeof(struct run_gone *), pull_compare_gone);
	while (place.next < run->deferred_count) {
		if (!run_write(run, pull_place_some, &place, STORE_LAZY, err)) {
			return false;
		}
	}
	return true;
}

/* --- removals --- */

/* What is left of `gone` for one mailbox: settled where it is gone here too or moved here; else wanted to be expunged. */
static bool
pull_sort_gone(struct run *run, struct store_txn *txn, struct run_box *box, struct number *numbers, size_t *out_count, struct error *err)
{
	size_t index = run_box_index(run, box), count = 0;

	for (size_t i = 0; i < run->gone_count; i++) {
		struct run_gone *gone = &run->gone[i];
		struct message message;

		if (gone->box != index || gone->settled) {
			continue;
		}
		if (!message_load(txn, gone->number, &message, err)) {
			return false;
		}
		enum merge_presence here = message.expunged_s != 0                    ? MERGE_GONE
					   : message.mailbox.value != box->id.value ? MERGE_MOVED
										      : MERGE_STAYED;
		bool has_body = message.body != 0;
		bool ok = true;

		message_finish(&message);
		switch (merge_presence(here, MERGE_GONE)) {
		case MERGE_SETTLE:
			ok = base_message_remove(txn, RUN_REMOTE, gone->number, err);
			break;
		case MERGE_UPLOAD_TO_TARGET:
			if (has_body) {
				ok = base_message_remove(txn, RUN_REMOTE, gone->number, err);
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

static bool
pull_remove_from(struct run *run, struct store_txn *txn, struct run_box *box, struct error *err)
{
	struct number *numbers = arena_alloc(&run->arena, (run->gone_count + 1) * sizeof(*numbers));
	struct mailbox mailbox;
	size_t count;
	bool pass;

	if (run->direction == SYNC_PUSH) {
		return true;
	}
	if (!pull_sort_gone(run, txn, box, numbers, &count, err)) {
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
	return holds_decide(run, txn, box, SIDE_LOCAL, numbers, count, left, &pass, err) &&
	       (!pass || pull_expunge_here(run, txn, numbers, count, err));
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
	return base_mailbox_put(txn, RUN_REMOTE, base, err) && mailbox_set_listed(txn, box->id, true, err);
}

static bool
pull_write_match(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	return pull_match_box(run, txn, context, err);
}

/* Removals, and in the same transaction the record of what was seen. */
static bool
pull_write_end(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)context;
	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];

		if ((box->scanned || box->vanished) && !pull_remove_from(run, txn, box, err)) {
			return false;
		}
		if (box->scanned && !pull_record(run, txn, box, err)) {
			return false;
		}
	}
	return true;
}

bool
pull_finish(struct run *run, struct error *err)
{
	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];

		if (box->scanned && (box->has_unpaired || run->intent_count > 0) && !run_write(run, pull_write_match, box, STORE_LAZY, err)) {
			return false;
		}
	}
	return pull_place_deferred(run, err) && run_write(run, pull_write_end, NULL, STORE_LAZY, err);
}
