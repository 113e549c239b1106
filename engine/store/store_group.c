/* The group: brief writes of the mount that are done but not committed yet.
 *
 * A commit writes every page that was touched to the log, some 60 us for what takes 5 us to do, so `mv *` and `rm *` would be ten times as slow as on a
 * disk file system. Brief writes are therefore left in one open transaction, for GROUP_MS at most; they promise no more than to be durable within
 * 100 ms (design 5, Writing). Who looks (store_look_begin) sees them, on the writer's connection and in turn; who reads, writes otherwise, or wants
 * something durable commits them first, and so does the store's thread when their time is over.
 *
 * A brief write makes one change that either fails before it has touched anything or is done, so that it need not be rolled back alone: a savepoint
 * would cost more than the write. Should one fail half way all the same, or the commit fail (a full disk), then the group is lost, as it would be
 * in a crash: the next sync tells it, and the feed tells everybody to list anew.
 */
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/store/store_parts.h"

#define GROUP_WRITES_MAX    256u
#define GROUP_MAILBOXES_MAX 64u

/* --- losing it --- */

static void
raise(atomic_ullong *value, uint64_t floor)
{
	if (atomic_load(value) < floor) {
		atomic_store(value, floor);
	}
}

/* With the turn: what was in the group is gone, and its numbers and modseqs are not to be given again. */
static void
lose(struct store *store, const struct error *why)
{
	log_error("store", "event=changes-lost writes=%u reason=\"%s\"", store->group_writes, why->text);
	raise(&store->lost_modseq, store->write.modseq + 1);
	raise(&store->lost_number, store->write.number);
	mutex_lock(&store->lock);
	store->lost = *why;
	mutex_unlock(&store->lock);
	atomic_store(&store->loss_untold, true);
	store_thread_nudge(store);
}

bool
store_group_tell_loss(struct store *store, struct error *err)
{
	mutex_lock(&store->lock);
	struct error lost = store->lost;

	error_clear(&store->lost);
	mutex_unlock(&store->lock);
	if (lost.kind == ERROR_NONE) {
		return true;
	}
	*err = lost;
	return error_wrap(err, "changes of a moment ago could not be kept");
}

uint64_t
store_lost_modseq(struct store *store)
{
	return atomic_load(&store->lost_modseq);
}

/* --- ending it --- */

bool
store_group_close_in_turn(struct store *store, uint64_t *out_commit, struct error *err)
{
	assert(atomic_load(&store->group_open) && store->look_depth == 0);
	store->write.lazy = true;
	bool done = store_commit_in_turn(&store->write, out_commit, err);

	if (!done) {
		lose(store, err);
	}
	atomic_store(&store->group_open, false);
	store_writer_unlock(store);
	return done;
}

void
store_group_settle(struct store *store)
{
	uint64_t commit;
	struct error told; /* to the next sync */

	if (!atomic_load(&store->group_open) || store_turn_is_mine(store)) {
		return;
	}
	store_turn_take(store, STORE_MOUNT);
	bool closed = atomic_load(&store->group_open) && store_group_close_in_turn(store, &commit, &told);
	uint64_t modseq = store->write.modseq;

	store_turn_give(store);
	if (closed) {
		store_announce(store, modseq);
	}
}

int64_t
store_group_due_ms(struct store *store)
{
	return atomic_load(&store->group_open) ? atomic_load(&store->group_since_ms) + STORE_GROUP_MS : INT64_MAX;
}

/* --- brief writes --- */

static void
remember(struct store_txn *txn)
{
	struct store_undo *undo = &txn->store->undo;

	undo->changes = db_changes_total(txn->db);
	undo->modseq = txn->modseq;
	undo->number = txn->number;
	undo->given = txn->given;
	undo->count = txn->mailboxes_count;
	if (undo->capacity < txn->mailboxes_capacity) {
		undo->capacity = txn->mailboxes_capacity;
		undo->mailboxes = realloc(undo->mailboxes, undo->capacity * sizeof(undo->mailboxes[0]));
		if (undo->mailboxes == NULL) {
			abort();
		}
	}
	if (undo->count > 0) {
		memcpy(undo->mailboxes, txn->mailboxes, undo->count * sizeof(undo->mailboxes[0]));
	}
}

static void
forget(struct store_txn *txn)
{
	const struct store_undo *undo = &txn->store->undo;

	txn->modseq = undo->modseq;
	txn->number = undo->number;
	txn->given = undo->given;
	txn->mailboxes_count = undo->count;
	if (undo->count > 0) {
		memcpy(txn->mailboxes, undo->mailboxes, undo->count * sizeof(undo->mailboxes[0]));
	}
}

bool
store_write_begin_brief(struct store *store, struct store_txn **out, struct error *err)
{
	if (!store_check(store, err)) {
		return false;
	}
	store_turn_take(store, STORE_MOUNT);
	if (atomic_load(&store->group_open)) {
		store->write.wall_ns = 0;
		*out = &store->write;
	} else if (!store_write_begin_in_turn(store, STORE_MOUNT, out, err)) {
		store_turn_give(store);
		return error_wrap(err, "beginning to write to the store");
	}
	(*out)->brief = true;
	remember(*out);
	return true;
}

/* Those who look see the directory's new time at once. */
static void
settle_times(struct store_txn *txn)
{
	for (size_t i = 0; i < txn->mailboxes_count; i++) {
		struct store_counters *counters = &txn->mailboxes[i];

		if (counters->changed) {
			counters->changed_ns = store_next_changed_ns(txn, counters->changed_ns);
			counters->changed = false;
			counters->dirty = true;
		}
	}
}

bool
store_group_keep(struct store_txn *txn, struct error *err)
{
	struct store *store = txn->store;
	int64_t now_ms = io_now_ms(store->io);
	uint64_t commit;
	bool done = true;

	settle_times(txn);
	if (!atomic_load(&store->group_open)) {
		atomic_store(&store->group_since_ms, now_ms);
		store->group_writes = 0;
		atomic_store(&store->group_open, true);
		store_thread_nudge(store);
	}
	store->group_writes++;
	if (txn->broken.kind != ERROR_NONE || store->group_writes >= GROUP_WRITES_MAX ||
		txn->mailboxes_count >= GROUP_MAILBOXES_MAX ||
		now_ms >= atomic_load(&store->group_since_ms) + STORE_GROUP_MS) {
		done = store_group_close_in_turn(store, &commit, err);
	}
	store_turn_give(store); /* others hear of it through `wake` */
	return done;
}

void
store_group_undo(struct store_txn *txn)
{
	struct store *store = txn->store;
	struct error why;

	if (db_in_transaction(txn->db) && db_changes_total(txn->db) == store->undo.changes) {
		forget(txn);
		store_turn_give(store);
		return;
	}
	db_rollback(txn->db);
	(void)error_set(&why, ERROR_FATAL, "a change failed half way");
	lose(store, &why);
	atomic_store(&store->group_open, false);
	store_writer_unlock(store);
	store_turn_give(store);
}
