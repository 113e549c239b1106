/* Pairs arrivals that had to wait with messages here that have no base there (R4, R10); what is left over moved, or is new (R11).
 *
 * Messages here that may be one of the arrivals are the live ones without a base, and those on their way into the mailbox by an effect whose outcome
 * is not known, wherever they are by now: moved on, or a tombstone.
 */
#include <assert.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/sync/match.h"
#include "engine/sync/pull.h"

struct pull_ours {
	struct match_item *items;
	struct number *numbers;
	const struct intent **intents; /* NULL: none */
	size_t count, capacity;
	struct run *run;
	struct run_box *box;
	struct store_txn *txn;
};

static void
pull_ours_add(struct pull_ours *ours, const struct match_item *item, struct number number, const struct intent *intent)
{
	if (ours->count == ours->capacity) {
		ours->capacity = ours->capacity * 2 + 64;
		ours->items = realloc(ours->items, ours->capacity * sizeof(*ours->items));
		ours->numbers = realloc(ours->numbers, ours->capacity * sizeof(*ours->numbers));
		ours->intents = realloc(ours->intents, ours->capacity * sizeof(struct intent *));
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

		if (intent->number.value == number.value && run_intent_target(intent).value == target.value) {
			return intent;
		}
	}
	return NULL;
}

/* What a message that was copied or moved from has, its copy has as well. */
static bool
pull_source_guid(struct pull_ours *ours, const struct intent *intent, const struct guid **out, struct error *err)
{
	struct base_message base;

	*out = NULL;
	if (intent->kind == INTENT_APPEND) {
		return true;
	}
	if (!base_message_load_by_uid(ours->txn, RUN_REMOTE, intent->mailbox, intent->uid, &base, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	struct guid *guid = arena_alloc(&ours->run->arena, sizeof(*guid));

	*guid = base.guid;
	*out = guid;
	base_message_finish(&base);
	return true;
}

static bool
pull_add_ours(struct pull_ours *ours, const struct message *message, const struct intent *intent, struct error *err)
{
	struct match_item item = {.internaldate_s = message->internaldate_s, .outcome_unknown = intent != NULL};
	uint8_t *identity = arena_alloc(&ours->run->arena, sizeof(message->identity));
	struct body body;

	memcpy(identity, message->identity, sizeof(message->identity));
	item.identity = identity;
	if (message->body != 0) {
		if (!body_load(ours->txn, message->body, &body, err)) {
			return false;
		}
		struct digest *digest = arena_alloc(&ours->run->arena, sizeof(*digest));

		*digest = body.digest;
		item.digest = digest;
		item.size_bytes = body.wire_size_bytes;
	}
	if (intent != NULL && !pull_source_guid(ours, intent, &item.guid, err)) {
		return false;
	}
	pull_ours_add(ours, &item, message->number, intent);
	return true;
}

static bool
pull_gather_unpaired(void *context, const struct base_change *change, struct error *err)
{
	struct pull_ours *ours = context;

	return pull_add_ours(ours, &change->message,
		pull_intent_of(ours->run, change->message.number, change->message.mailbox), err);
}

static bool
pull_gathered(const struct pull_ours *ours, const struct intent *intent)
{
	for (size_t i = 0; i < ours->count; i++) {
		if (ours->intents[i] == intent) {
			return true;
		}
	}
	return false;
}

/* What is on its way into this mailbox and is not one of its live messages without a base: it moves, or moved on, or was removed since. */
static bool
pull_gather_intents(struct pull_ours *ours, struct error *err)
{
	for (size_t i = 0; i < ours->run->intent_count; i++) {
		const struct intent *intent = &ours->run->intents[i];
		struct message message;

		if (intent->number.value == 0 || run_intent_target(intent).value != ours->box->id.value ||
			pull_gathered(ours, intent)) {
			continue;
		}
		if (!message_load(ours->txn, intent->number, &message, err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err);
			continue;
		}
		bool ok = pull_add_ours(ours, &message, intent, err);

		message_finish(&message);
		if (!ok) {
			return false;
		}
	}
	return true;
}

static bool
pull_gather_retired(void *context, const struct base_message *base, struct error *err)
{
	struct pull_ours *ours = context;
	struct message message;

	if (!message_load(ours->txn, base->number, &message, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	/* What the remote told of it says more than what we have. */
	message.internaldate_s = base->internaldate_s;
	bool ok = pull_add_ours(ours, &message, NULL, err);

	if (ok) {
		struct match_item *item = &ours->items[ours->count - 1];
		struct guid *guid = arena_alloc(&ours->run->arena, sizeof(*guid));

		*guid = base->guid;
		item->guid = guid;
		item->size_bytes = base->size_bytes;
		if (base->served != BASE_SERVED_SAME) {
			item->digest = NULL;
		}
	}
	message_finish(&message);
	return ok;
}

static bool
pull_gather_ours(struct pull_ours *ours, struct error *err)
{
	/* First what was there before the mailbox was rebuilt (R7). */
	if (ours->box->repairs &&
		!base_message_each_retired(ours->txn, RUN_REMOTE, ours->box->id, pull_gather_retired, ours, err)) {
		return false;
	}
	return base_each_unpaired(ours->txn, RUN_REMOTE, ours->box->id, pull_gather_unpaired, ours, err) &&
	       pull_gather_intents(ours, err);
}

/* --- pairing --- */

static bool
pull_settle_intent(struct run *run, struct store_txn *txn, uint64_t id, struct error *err)
{
	for (size_t i = 0; i < run->intent_count; i++) {
		if (run->intents[i].id == id) {
			run->intents[i].kind = INTENT_CREATE; /* no longer one of a message */
			run->intents[i].number = (struct number){0};
		}
	}
	return intent_remove(txn, id, err);
}

/* It was found: what was on its way to somewhere is not looked for any more. */
bool
pull_settle_intents_of(struct run *run, struct store_txn *txn, struct number number, struct error *err)
{
	for (size_t i = 0; i < run->intent_count; i++) {
		if (run->intents[i].number.value == number.value &&
			!pull_settle_intent(run, txn, run->intents[i].id, err)) {
			return false;
		}
	}
	return true;
}

static bool
pull_is_gone(const struct run *run, struct number number)
{
	for (size_t i = 0; i < run->gone_count; i++) {
		if (run->gone[i].number.value == number.value) {
			return true;
		}
	}
	return false;
}

/* A move whose answer was lost has arrived. Where it was COPY and EXPUNGE, the second half may be undone: what it left behind is seen to later. */
static bool
pull_leave_remnant(struct run *run, struct store_txn *txn, const struct intent *intent, struct error *err)
{
	struct base_message base;

	if (intent->kind != INTENT_MOVE) {
		return true;
	}
	if (!base_message_load(txn, RUN_REMOTE, intent->number, &base, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	bool is_source = base.mailbox.value == intent->mailbox.value && base.uid.uid == intent->uid.uid &&
			 base.uid.uidvalidity == intent->uid.uidvalidity && base.gone == BASE_HERE;
	bool ok = true;

	if (is_source && !pull_is_gone(run, intent->number)) {
		ok = remnant_make(txn, &base, err);
	}
	base_message_finish(&base);
	return ok;
}

/* What both sides last agreed on, if that is known: what was sent, or what a rebuilt mailbox had before (R7). */
static bool
pull_ancestor(struct store_txn *txn, const struct message *message, const struct intent *intent, bool *out_known,
	struct flags *out, struct error *err)
{
	struct base_message base;

	*out_known = intent != NULL;
	if (intent != NULL) {
		run_intent_flags(intent, out);
		return true;
	}
	if (!base_message_load(txn, RUN_REMOTE, message->number, &base, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	*out_known = true;
	*out = flags_copy(&base.flags);
	base_message_finish(&base);
	return true;
}

/* The flags that stand here after pairing; false in *out_differ where the remote has them all. */
static bool
pull_pair_flags(struct run *run, struct store_txn *txn, const struct run_arrival *arrival,
	const struct message *message, const struct intent *intent, bool *out_differ, struct error *err)
{
	struct merge_mask mask = run_mask(&run->boxes[arrival->box]);
	SCOPED(flags_finish) struct flags ancestor = FLAGS_INIT;
	bool applied, known, ok = true;

	if (!pull_ancestor(txn, message, intent, &known, &ancestor, err)) {
		return false;
	}
	struct merge_flags merge = known ? merge_flags(&ancestor, &message->flags, &arrival->flags, &mask)
					 : merge_flags_first(&message->flags, &arrival->flags, &mask);

	if (message->expunged_s == 0 && run->direction != SYNC_PUSH) {
		ok = message_set_flags(txn, message->number, &merge.local, message->modseq, &applied, err);
	}
	*out_differ = !flags_empty(&merge.add) || !flags_empty(&merge.remove);
	merge_flags_finish(&merge);
	return ok;
}

/* What could only be marked there stays settled so, also where its mailbox was rebuilt. */
static bool
pull_keep_mark(struct store_txn *txn, struct number number, struct base_message *base, struct error *err)
{
	struct base_message old;

	if (!base_message_load(txn, RUN_REMOTE, number, &old, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	base->gone = old.gone == BASE_MARKED ? BASE_MARKED : BASE_HERE;
	base_message_finish(&old);
	return true;
}

/* A message here and one there turned out to be the same. */
static bool
pull_pair(struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct number number,
	const struct intent *intent, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct message message;
	bool differ = false;

	if (!message_load(txn, number, &message, err)) {
		return false;
	}
	struct base_message base = pull_base_of(run, arrival, number);
	bool ok = pull_pair_flags(run, txn, arrival, &message, intent, &differ, err) &&
		  pull_keep_mark(txn, number, &base, err);

	if (message.body != 0) {
		struct body body;

		ok = ok && body_load(txn, message.body, &body, err);
		base.served =
			ok && body.wire_size_bytes == arrival->size_bytes ? BASE_SERVED_SAME : BASE_SERVED_UNKNOWN;
	}
	if (ok && message.hold != 0 && message.expunged_s == 0) {
		/* It is there after all. */
		ok = holds_release(txn, message.hold, number, err);
	}
	/* Moved on or removed since it was sent: the remote has to hear of it, and what failed of that is tried again. */
	bool departed = message.expunged_s != 0 || message.mailbox.value != box->id.value;

	box->wants_push |= differ || departed;
	message_finish(&message);
	arrival->done = true;
	ok = ok && (intent == NULL || pull_leave_remnant(run, txn, intent, err)) &&
	     base_message_put(txn, RUN_REMOTE, &base, err) && (departed || run_clear_failure(txn, number, err)) &&
	     (!differ || message_touch(txn, number, err));
	return ok && (intent == NULL || pull_settle_intent(run, txn, intent->id, err));
}

struct pull_theirs {
	struct match_item *items;
	struct run_arrival **arrivals;
	size_t count;
};

static void
pull_add_theirs(struct pull_theirs *theirs, struct run_arrival *arrival)
{
	theirs->items[theirs->count] = (struct match_item){
		.guid = &arrival->guid,
		.digest = arrival->body != NULL ? &body_prepared_get(arrival->body)->digest : NULL,
		.identity = arrival->identity.bytes,
		.internaldate_s = arrival->internaldate_s,
		.size_bytes = arrival->size_bytes,
	};
	theirs->arrivals[theirs->count++] = arrival;
}

static void
pull_gather_theirs(struct run *run, struct run_box *box, struct pull_theirs *out)
{
	size_t box_index = run_box_index(run, box);

	out->items = arena_alloc(&run->arena, (run->deferred_count + 1) * sizeof(*out->items));
	out->arrivals = arena_alloc(&run->arena, (run->deferred_count + 1) * sizeof(struct run_arrival *));
	out->count = 0;
	for (size_t i = 0; i < run->deferred_count; i++) {
		struct run_arrival *arrival = &run->deferred[i];

		if (arrival->box == box_index && !arrival->done) {
			pull_add_theirs(out, arrival);
		}
	}
}

struct pull_matching {
	struct run_box *box;
	bool all; /* also those that nothing was done for yet */
};

static bool
pull_match_box(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct pull_matching *matching = context;
	struct pull_ours ours = {.run = run, .txn = txn, .box = matching->box};
	struct pull_theirs theirs;

	if (!run_look_at_box(run, txn, ours.box, err) || ours.box->dead) {
		return ours.box->dead;
	}
	pull_gather_theirs(run, ours.box, &theirs);
	bool ok = theirs.count == 0 || (matching->all ? pull_gather_ours(&ours, err) : pull_gather_intents(&ours, err));

	if (ok && theirs.count > 0 && ours.count > 0) {
		size_t *partner = arena_alloc(&run->arena, ours.count * sizeof(*partner));

		match_pairs(ours.items, ours.count, theirs.items, theirs.count, partner);
		for (size_t i = 0; ok && i < ours.count; i++) {
			if (partner[i] == MATCH_NONE) {
				continue;
			}
			if (theirs.arrivals[partner[i]]->waits) {
				pull_let_wait(run, ours.numbers[i]);
				continue;
			}
			ok = pull_pair(run, txn, theirs.arrivals[partner[i]], ours.numbers[i], ours.intents[i], err);
		}
	}
	pull_ours_finish(&ours);
	return ok;
}

/* --- in the other mailboxes that got mail (R10) --- */

/* What was uploaded or copied, is not where it was sent, and has been looked for there. */
static bool
pull_gather_missed(struct pull_ours *ours, struct error *err)
{
	for (size_t i = 0; i < ours->run->intent_count; i++) {
		const struct intent *intent = &ours->run->intents[i];
		const struct run_box *box = run_box_of(ours->run, run_intent_target(intent));
		struct message message;

		if ((intent->kind != INTENT_APPEND && intent->kind != INTENT_COPY) || intent->number.value == 0 ||
			box == NULL || !box->scanned) {
			continue;
		}
		if (!message_load(ours->txn, intent->number, &message, err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err);
			continue;
		}
		bool ok = pull_add_ours(ours, &message, intent, err);

		message_finish(&message);
		if (!ok) {
			return false;
		}
		ours->items[ours->count - 1].date_asked = true; /* here nothing but what is surely it counts */
	}
	return true;
}

static void
pull_gather_left(struct run *run, struct pull_theirs *out)
{
	out->items = arena_alloc(&run->arena, (run->deferred_count + 1) * sizeof(*out->items));
	out->arrivals = arena_alloc(&run->arena, (run->deferred_count + 1) * sizeof(struct run_arrival *));
	out->count = 0;
	for (size_t i = 0; i < run->deferred_count; i++) {
		const struct run_box *box = &run->boxes[run->deferred[i].box];

		if (!run->deferred[i].done && !run->deferred[i].waits && box->live && !box->dead) {
			pull_add_theirs(out, &run->deferred[i]);
		}
	}
}

/* Somebody there moved it on before we heard of it: the remote's place is its place. */
static bool
pull_follow(struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct number number,
	struct mailbox_id sent_to, struct error *err)
{
	struct run_box *box = &run->boxes[arrival->box];
	struct message message;

	if (!message_load(txn, number, &message, err)) {
		return false;
	}
	bool follows = message.expunged_s == 0 && message.mailbox.value == sent_to.value && run->direction != SYNC_PUSH;

	message_finish(&message);
	run->result->moved_here += follows;
	return !follows || message_move(txn, number, box->id, (struct slice){0}, err);
}

static bool
pull_match_elsewhere(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_ours ours = {.run = run, .txn = txn};
	struct pull_theirs theirs;

	(void)context;
	pull_gather_left(run, &theirs);
	bool ok = theirs.count == 0 || pull_gather_missed(&ours, err);

	if (ok && theirs.count > 0 && ours.count > 0) {
		size_t *partner = arena_alloc(&run->arena, ours.count * sizeof(*partner));

		match_pairs(ours.items, ours.count, theirs.items, theirs.count, partner);
		for (size_t i = 0; ok && i < ours.count; i++) {
			if (partner[i] != MATCH_NONE) {
				struct mailbox_id sent_to = run_intent_target(ours.intents[i]);

				ok = pull_pair(run, txn, theirs.arrivals[partner[i]], ours.numbers[i], ours.intents[i],
					     err) &&
				     pull_follow(run, txn, theirs.arrivals[partner[i]], ours.numbers[i], sent_to, err);
			}
		}
	}
	pull_ours_finish(&ours);
	return ok;
}

/* --- what only the body tells (R10) --- */

struct pull_suspects {
	struct run_box *box;
	struct pull_theirs theirs;
	struct uidset uids; /* whose bodies are asked for */
	struct run *run;
	struct spool *spool;
};

static bool
pull_same_identity(const struct match_item *a, const struct match_item *b)
{
	return memcmp(a->identity, b->identity, IDENTITY_BYTES) == 0;
}

/* Where one here and one there share their header and no others do, that is enough. */
static bool
pull_is_doubtful(const struct pull_ours *ours, const struct pull_theirs *theirs, const struct match_item *item)
{
	static const uint8_t none[IDENTITY_BYTES];
	size_t here = 0, there = 0;
	bool looked_for = false;

	for (size_t i = 0; i < ours->count; i++) {
		if (pull_same_identity(&ours->items[i], item)) {
			here++;
			looked_for |= ours->items[i].outcome_unknown && ours->items[i].digest != NULL;
		}
	}
	for (size_t i = 0; looked_for && i < theirs->count; i++) {
		there += pull_same_identity(&theirs->items[i], item);
	}
	return looked_for && (here > 1 || there > 1 || memcmp(item->identity, none, sizeof(none)) == 0);
}

static bool
pull_read_suspects(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_suspects *suspects = context;
	struct pull_ours ours = {.run = run, .txn = txn, .box = suspects->box};

	pull_gather_theirs(run, suspects->box, &suspects->theirs);
	bool ok = suspects->theirs.count == 0 || pull_gather_intents(&ours, err);

	if (ok && ours.count > 0) {
		/* Those without an intent count as well, for they may be meant. */
		ours.count = 0;
		ok = pull_gather_ours(&ours, err);
	}
	for (size_t i = 0; ok && ours.count > 0 && i < suspects->theirs.count; i++) {
		const struct run_arrival *arrival = suspects->theirs.arrivals[i];

		if (arrival->body == NULL && pull_is_doubtful(&ours, &suspects->theirs, &suspects->theirs.items[i])) {
			uidset_add(&suspects->uids, arrival->uid, arrival->uid);
		}
	}
	pull_ours_finish(&ours);
	return ok;
}

static bool
pull_begin_suspect(void *context, uint32_t uid, uint64_t size_bytes, struct error *err)
{
	struct pull_suspects *suspects = context;

	(void)uid;
	(void)size_bytes;
	(void)err;
	spool_close(&suspects->spool);
	suspects->spool = spool_create(store_dir(suspects->run->sync->store));
	return true;
}

static bool
pull_take_octets(void *context, uint32_t uid, struct slice data, struct error *err)
{
	struct pull_suspects *suspects = context;

	(void)uid;
	return suspects->spool == NULL || spool_append(suspects->spool, data, err);
}

static bool
pull_end_suspect(void *context, uint32_t uid, bool found, struct error *err)
{
	struct pull_suspects *suspects = context;
	struct run_arrival *arrival = NULL;
	struct error why = ERROR_INIT;
	bool ok = true;

	for (size_t i = 0; i < suspects->theirs.count; i++) {
		arrival = suspects->theirs.arrivals[i]->uid == uid ? suspects->theirs.arrivals[i] : arrival;
	}
	if (found && arrival != NULL && arrival->body == NULL && suspects->spool != NULL &&
		!body_prepare_wire(suspects->run->sync->store, suspects->spool, &arrival->body, &why)) {
		log_warn("sync", "uid=%u its body could not be looked at: %s", uid, why.text);
		ok = run_error_is_local(&why);
		*err = ok ? *err : why;
	}
	spool_close(&suspects->spool);
	return ok;
}

/* Of what looks like a message whose upload was not answered, the bodies are fetched: header fields say nothing of two drafts that share them. */
static bool
pull_fetch_suspects(struct run *run, struct run_box *box, struct error *err)
{
	struct pull_suspects suspects = {.box = box, .run = run};
	const struct remote_body_sink sink = {
		.begin = pull_begin_suspect, .data = pull_take_octets, .end = pull_end_suspect, .context = &suspects};
	struct remote_target target = run_target(box);
	bool ok = run_read(run, pull_read_suspects, &suspects, err);

	if (ok && suspects.uids.count > 0 && !run->pass->dry_run) {
		ok = run->session->ops->fetch(run->session, &target, &suspects.uids, NULL, &sink, err) ||
		     run_error_is_local(err);
	}
	spool_close(&suspects.spool);
	uidset_finish(&suspects.uids);
	return ok;
}

/* --- all of it --- */

static bool
pull_match_boxes(struct run *run, bool all, struct error *err)
{
	for (size_t i = 0; i < run->box_count; i++) {
		struct pull_matching matching = {.box = &run->boxes[i], .all = all};

		if (!matching.box->scanned || (!(all && matching.box->has_unpaired) && run->intent_count == 0)) {
			continue;
		}
		if ((!all && !pull_fetch_suspects(run, matching.box, err)) ||
			!run_write(run, pull_match_box, &matching, STORE_LAZY, err)) {
			return false;
		}
	}
	return true;
}

/* What was not found again in a rebuilt mailbox may have moved to another; what did not is lost there. */
static bool
pull_lose(struct run *run, struct error *err)
{
	bool any = false;

	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];

		if (box->repairs && box->scanned && !box->dead) {
			any = true;
			if (!pull_gone_lost(run, box, err)) {
				return false;
			}
		}
	}
	return !any || (pull_moves(run, err) && pull_moves_alike(run, err));
}

bool
pull_match(struct run *run, struct error *err)
{
	/* What is surely ours first, then what is surely a move; then what is alike. */
	if (run->deferred_count > 0 &&
		(!pull_match_boxes(run, false, err) || !pull_moves(run, err) || !pull_moves_alike(run, err) ||
			!pull_wait(run, err) || !pull_match_boxes(run, true, err))) {
		return false;
	}
	if (!pull_lose(run, err)) {
		return false;
	}
	if (run->deferred_count > 0 && run->intent_count > 0 &&
		!run_write(run, pull_match_elsewhere, NULL, STORE_LAZY, err)) {
		return false;
	}
	return pull_place_all(run, err);
}
