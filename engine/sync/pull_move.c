/* Moves that the remote made (R11): gone in one mailbox and new in another with the same GUID, or, where no GUID tells, with the same octets. What is left is new.
 */
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/sync/match.h"
#include "engine/sync/pull.h"

/* --- moves the remote made --- */

static int
pull_compare_gone(const void *left, const void *right)
{
	const struct run_gone *a = *(const struct run_gone *const *)left, *b = *(const struct run_gone *const *)right;
	size_t size_a = offsetof(struct guid, value) + a->guid.length,
	       size_b = offsetof(struct guid, value) + b->guid.length;
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
	/* Another process may have held it since this pass found it gone. */
	ok = ok && (message.hold == 0 || holds_release(txn, message.hold, gone->number, err));
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
	return ok && pull_settle_intents_of(run, txn, gone->number, err);
}

static bool
pull_place_one(struct run *run, struct store_txn *txn, struct run_arrival *arrival, struct error *err)
{
	struct pull_mate mate;

	if (!pull_find_mate(txn, &arrival->guid, &mate, err)) {
		return false;
	}
	if (mate.held.value != 0 && !mate.elsewhere) {
		/* What a hold keeps here because it was gone there turns up in another mailbox: it moved. */
		struct run_gone gone = {.number = mate.held};

		return pull_move(run, txn, arrival, &gone, err);
	}
	return mate.tombstone.value != 0 ? pull_revive(run, txn, arrival, mate.tombstone, err)
					 : pull_create(run, txn, arrival, mate.body, err);
}

struct pull_placing {
	struct run_gone **sorted; /* NULL: no more moves */
	size_t next;              /* of run->deferred */
};

static bool
pull_move_or_place(struct run *run, struct store_txn *txn, const struct pull_placing *place,
	struct run_arrival *arrival, struct error *err)
{
	if (run->direction == SYNC_PUSH || !run->boxes[arrival->box].live) {
		run->boxes[arrival->box].passed_over = true;
		return true; /* into a mailbox that was removed here it comes when that lives again (R8) */
	}
	if (place->sorted == NULL) {
		return pull_place_one(run, txn, arrival, err);
	}
	struct run_gone *gone =
		arrival->guid.kind != GUID_NONE ? pull_find_gone(place->sorted, run->gone_count, &arrival->guid) : NULL;

	return gone == NULL || pull_move(run, txn, arrival, gone, err);
}

/* One short transaction's worth: others write between them (S8). */
static bool
pull_place_some(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_placing *place = context;
	size_t placed = 0;

	for (; place->next < run->deferred_count && placed < RUN_BATCH_MESSAGES; place->next++) {
		struct run_arrival *arrival = &run->deferred[place->next];
		struct run_box *box = &run->boxes[arrival->box];

		if (arrival->done || arrival->waits) {
			continue;
		}
		if (!run_look_at_box(run, txn, box, err) ||
			(!box->dead && !pull_move_or_place(run, txn, place, arrival, err))) {
			return false;
		}
		placed++;
	}
	return true;
}

static bool
pull_place_sorted(struct run *run, struct run_gone **sorted, struct error *err)
{
	struct pull_placing place = {.sorted = sorted};

	while (place.next < run->deferred_count) {
		if (!run_write(run, pull_place_some, &place, STORE_LAZY, err)) {
			return false;
		}
	}
	return true;
}

bool
pull_moves(struct run *run, struct error *err)
{
	struct run_gone **sorted = arena_alloc(&run->arena, (run->gone_count + 1) * sizeof(struct run_gone *));

	for (size_t i = 0; i < run->gone_count; i++) {
		sorted[i] = &run->gone[i];
	}
	qsort(sorted, run->gone_count, sizeof(struct run_gone *), pull_compare_gone);
	return run->gone_count == 0 || pull_place_sorted(run, sorted, err);
}

bool
pull_place_all(struct run *run, struct error *err)
{
	return pull_place_sorted(run, NULL, err);
}

/* --- by their octets --- */

struct pull_alike {
	struct run *run;
	struct run_gone **gone;
	struct match_item *gone_items; /* parallel */
	size_t gone_count;
	struct run_arrival **arrivals;
	struct match_item *arrival_items; /* parallel; a digest where it is known */
	size_t arrival_count;
	struct sha256 *hash; /* of the body that is coming in */
	struct run_box *box;
	size_t *partner;
};

/* What is gone and whose octets are here as the remote served them. */
static bool
pull_add_alike(struct pull_alike *alike, struct store_txn *txn, struct run_gone *gone, struct error *err)
{
	struct match_item *item = &alike->gone_items[alike->gone_count];
	struct base_message base;
	struct message message;
	struct body body;

	if (!base_message_load(txn, RUN_REMOTE, gone->number, &base, err)) {
		bool over = err->kind == ERROR_GONE;

		if (over) {
			error_clear(err);
		}
		return over;
	}
	bool served = base.served == BASE_SERVED_SAME || base.size_bytes == 0;

	base_message_finish(&base);
	if (!message_load(txn, gone->number, &message, err)) {
		return false;
	}
	uint64_t id = message.body;
	uint8_t *identity = arena_alloc(&alike->run->arena, IDENTITY_BYTES);

	memcpy(identity, message.identity, IDENTITY_BYTES);
	message_finish(&message);
	if (id == 0 || !served) {
		return true;
	}
	if (!body_load(txn, id, &body, err)) {
		return false;
	}
	struct digest *digest = arena_alloc(&alike->run->arena, sizeof(*digest));

	*digest = body.digest;
	*item = (struct match_item){.digest = digest, .identity = identity, .size_bytes = body.wire_size_bytes};
	alike->gone[alike->gone_count++] = gone;
	return true;
}

static bool
pull_read_alike(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_alike *alike = context;

	for (size_t i = 0; i < run->gone_count && alike->gone_count < RUN_ALIKE_MAX; i++) {
		if (!run->gone[i].settled && !pull_add_alike(alike, txn, &run->gone[i], err)) {
			return false;
		}
	}
	return true;
}

/* Whether an arrival may be one of them: where both have a GUID, that has told already. */
static bool
pull_may_be_alike(const struct pull_alike *alike, const struct run_arrival *arrival)
{
	for (size_t i = 0; i < alike->gone_count; i++) {
		const struct match_item *item = &alike->gone_items[i];
		bool told = alike->gone[i]->guid.kind != GUID_NONE && arrival->guid.kind != GUID_NONE;

		if (!told && item->size_bytes == arrival->size_bytes &&
			memcmp(item->identity, arrival->identity.bytes, IDENTITY_BYTES) == 0) {
			return true;
		}
	}
	return false;
}

static void
pull_choose_alike(struct pull_alike *alike)
{
	struct run *run = alike->run;
	uint64_t octets = 0;

	for (size_t i = 0; i < run->deferred_count && alike->arrival_count < RUN_ALIKE_MAX; i++) {
		struct run_arrival *arrival = &run->deferred[i];

		if (arrival->done || !run->boxes[arrival->box].live || !pull_may_be_alike(alike, arrival)) {
			continue;
		}
		octets += arrival->body == NULL ? arrival->size_bytes : 0;
		if (octets > RUN_ALIKE_BYTES) {
			return;
		}
		alike->arrival_items[alike->arrival_count] = (struct match_item){
			.digest = arrival->body != NULL ? &body_prepared_get(arrival->body)->digest : NULL};
		alike->arrivals[alike->arrival_count++] = arrival;
	}
}

static bool
pull_alike_begin(void *context, uint32_t uid, uint64_t size_bytes, struct error *err)
{
	struct pull_alike *alike = context;

	(void)uid;
	(void)size_bytes;
	(void)err;
	(void)sha256_final(alike->hash); /* what was given for nothing */
	return true;
}

static bool
pull_alike_data(void *context, uint32_t uid, struct slice data, struct error *err)
{
	struct pull_alike *alike = context;

	(void)uid;
	(void)err;
	sha256_update(alike->hash, data);
	return true;
}

static bool
pull_alike_end(void *context, uint32_t uid, bool found, struct error *err)
{
	struct pull_alike *alike = context;
	struct digest *digest = arena_alloc(&alike->run->arena, sizeof(*digest));

	(void)err;
	*digest = sha256_final(alike->hash);
	for (size_t i = 0; found && i < alike->arrival_count; i++) {
		if (alike->arrivals[i]->uid == uid && &alike->run->boxes[alike->arrivals[i]->box] == alike->box) {
			alike->arrival_items[i].digest = digest;
		}
	}
	return true;
}

/* Only what looks the same is asked for; where it is the same, nothing has to be fetched again. */
static bool
pull_fetch_alike(struct pull_alike *alike, struct run_box *box, struct error *err)
{
	struct run *run = alike->run;
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	const struct remote_body_sink sink = {
		.begin = pull_alike_begin, .data = pull_alike_data, .end = pull_alike_end, .context = alike};
	struct remote_target target = run_target(box);

	for (size_t i = 0; i < alike->arrival_count; i++) {
		if (&run->boxes[alike->arrivals[i]->box] == box && alike->arrival_items[i].digest == NULL) {
			uidset_add(&uids, alike->arrivals[i]->uid, alike->arrivals[i]->uid);
		}
	}
	alike->box = box;
	if (uidset_size(&uids) == 0 || run->pass->dry_run) {
		return true;
	}
	if (run->session->ops->fetch(run->session, &target, &uids, NULL, &sink, err)) {
		return true;
	}
	if (!run_error_is_local(err)) {
		return false;
	}
	error_clear(err);
	return true;
}

static bool
pull_write_alike(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct pull_alike *alike = context;

	for (size_t i = 0; i < alike->gone_count; i++) {
		struct run_gone *gone = alike->gone[i];
		struct run_arrival *arrival =
			alike->partner[i] != MATCH_NONE ? alike->arrivals[alike->partner[i]] : NULL;

		if (arrival == NULL || arrival->done || gone->settled) {
			continue;
		}
		struct run_box *box = &run->boxes[arrival->box];

		if (!run_look_at_box(run, txn, box, err) || (!box->dead && !pull_move(run, txn, arrival, gone, err))) {
			return false;
		}
	}
	return true;
}

bool
pull_moves_alike(struct run *run, struct error *err)
{
	struct pull_alike alike = {.run = run};

	if (run->gone_count == 0 || run->deferred_count == 0 || run->direction == SYNC_PUSH) {
		return true;
	}
	alike.gone = arena_alloc(&run->arena, RUN_ALIKE_MAX * sizeof(struct run_gone *));
	alike.gone_items = arena_alloc(&run->arena, RUN_ALIKE_MAX * sizeof(*alike.gone_items));
	alike.arrivals = arena_alloc(&run->arena, RUN_ALIKE_MAX * sizeof(struct run_arrival *));
	alike.arrival_items = arena_alloc(&run->arena, RUN_ALIKE_MAX * sizeof(*alike.arrival_items));
	alike.partner = arena_alloc(&run->arena, RUN_ALIKE_MAX * sizeof(*alike.partner));
	if (!run_read(run, pull_read_alike, &alike, err)) {
		return false;
	}
	pull_choose_alike(&alike);
	if (alike.arrival_count == 0) {
		return true;
	}
	bool ok = true;

	alike.hash = sha256_create();
	for (size_t i = 0; ok && i < run->box_count; i++) {
		ok = !run->boxes[i].scanned || pull_fetch_alike(&alike, &run->boxes[i], err);
	}
	sha256_destroy(&alike.hash);
	if (!ok) {
		return false;
	}
	for (size_t i = 0; i < alike.gone_count; i++) {
		alike.gone_items[i].identity = NULL; /* the digest decides */
	}
	match_pairs(alike.gone_items, alike.gone_count, alike.arrival_items, alike.arrival_count, alike.partner);
	return run_write(run, pull_write_alike, &alike, STORE_LAZY, err);
}
