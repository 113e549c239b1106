/* The queue of writers, within the process and between processes, and commits (S8). */
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/store/store_parts.h"

#define YIELD_MS        5 /* a long write goes on at least so long */
#define YIELD_ALWAYS_MS 50
#define LOCK_STEP_MS    2 /* between processes: how long one try lasts */
#define LOCK_TRIES      5000

/* Octets of locks/writer: who writes holds the first; who waits for it holds the second, one at a time, so that nobody who comes later, or comes back, gets
 * it first, and the holder sees that somebody waits. */
#define WRITER_OCTET 0
#define GATE_OCTET   1

/* --- the queue within the process --- */

static bool
my_turn_locked(const struct store *store, enum store_priority priority, uint64_t ticket)
{
	return !store->turn_taken && store->served[priority] == ticket &&
	       (priority == STORE_MOUNT || store->tickets[STORE_MOUNT] == store->served[STORE_MOUNT]);
}

bool
store_turn_is_mine(struct store *store)
{
	mutex_lock(&store->lock);
	bool mine = store->turn_taken && pthread_equal(store->turn_thread, pthread_self()) != 0;

	mutex_unlock(&store->lock);
	return mine;
}

void
store_turn_take(struct store *store, enum store_priority priority)
{
	mutex_lock(&store->lock);
	assert(!store->turn_taken || !pthread_equal(store->turn_thread, pthread_self()));
	uint64_t ticket = store->tickets[priority]++;

	if (priority == STORE_MOUNT) {
		atomic_fetch_add(&store->mount_waits, 1);
	}
	while (!my_turn_locked(store, priority, ticket)) {
		condition_wait(&store->turns, &store->lock);
	}
	if (priority == STORE_MOUNT) {
		atomic_fetch_sub(&store->mount_waits, 1);
	}
	store->served[priority]++;
	store->turn_taken = true;
	store->turn_thread = pthread_self();
	mutex_unlock(&store->lock);
}

void
store_turn_give(struct store *store)
{
	mutex_lock(&store->lock);
	assert(store->turn_taken);
	store->turn_taken = false;
	condition_broadcast(&store->turns);
	mutex_unlock(&store->lock);
}

/* --- between processes --- */

static bool
lock_patiently(struct store *store, uint64_t octet, struct error *err)
{
	for (unsigned tries = 0; tries < LOCK_TRIES; tries++) {
		if (io_lock(store->writer_lock, octet, IO_LOCK_EXCLUSIVE, LOCK_STEP_MS, NULL, err)) {
			return true;
		}
		if (err->kind != ERROR_RETRY) {
			return false;
		}
	}
	return error_set(err, ERROR_RETRY, "another process has been writing to the store %s for a long time",
		io_dir_path(store->dir));
}

bool
store_writer_lock(struct store *store, struct error *err)
{
	if (!lock_patiently(store, GATE_OCTET, err)) {
		return false;
	}
	bool locked = lock_patiently(store, WRITER_OCTET, err);

	io_unlock(store->writer_lock, GATE_OCTET);
	return locked;
}

void
store_writer_unlock(struct store *store)
{
	io_unlock(store->writer_lock, WRITER_OCTET);
}

static bool
another_process_waits(struct store *store)
{
	struct error err;

	if (!io_lock(store->writer_lock, GATE_OCTET, IO_LOCK_EXCLUSIVE, 0, NULL, &err)) {
		return err.kind == ERROR_RETRY;
	}
	io_unlock(store->writer_lock, GATE_OCTET);
	return false;
}

/* --- writing --- */

bool
store_write_begin_in_turn(struct store *store, enum store_priority priority, struct store_txn **out, struct error *err)
{
	struct store_txn *txn = &store->write;

	if (!store_writer_lock(store, err)) {
		return false;
	}
	if (!db_begin_write(store->writer, err)) {
		store_writer_unlock(store);
		return false;
	}
	txn->store = store;
	txn->db = store->writer;
	txn->write = true;
	txn->brief = false;
	txn->priority = priority;
	txn->began_ms = io_now_ms(store->io);
	txn->wall_ns = 0;
	txn->counters_known = false;
	txn->mailboxes_count = 0;
	txn->broken = ERROR_INIT;
	if (!store_load_counters(txn, err)) {
		db_rollback(txn->db);
		store_writer_unlock(store);
		return false;
	}
	*out = txn;
	return true;
}

bool
store_write_begin(struct store *store, enum store_priority priority, struct store_txn **out, struct error *err)
{
	uint64_t commit;
	struct error told; /* to the next sync */

	if (!store_check(store, err)) {
		return false;
	}
	store_turn_take(store, priority);
	if (atomic_load(&store->group_open) && !store_group_close_in_turn(store, &commit, &told)) {
		log_debug("store", "event=group-lost-before-write");
	}
	if (!store_write_begin_in_turn(store, priority, out, err)) {
		store_turn_give(store);
		return error_wrap(err, "beginning to write to the store");
	}
	return true;
}

bool
store_write_should_yield(struct store_txn *txn)
{
	struct store *store = txn->store;
	int64_t elapsed_ms = io_now_ms(store->io) - txn->began_ms;

	assert(txn->write);
	if (elapsed_ms < YIELD_MS) {
		return false;
	}
	return elapsed_ms >= YIELD_ALWAYS_MS || atomic_load(&store->mount_waits) > 0 || another_process_waits(store);
}

static void
end_write(struct store_txn *txn)
{
	struct store *store = txn->store;

	assert(!db_in_transaction(store->writer));
	store_writer_unlock(store);
	store_turn_give(store);
}

static bool
tell_wake(struct store *store, uint64_t modseq, struct error *err)
{
	return io_pwrite(store->io, store->wake_fd, slice_make(&modseq, sizeof(modseq)), 0, err);
}

bool
store_commit_in_turn(struct store_txn *txn, uint64_t *out_commit, struct error *err)
{
	struct store *store = txn->store;
	struct error ignored;

	if (txn->broken.kind != ERROR_NONE) {
		*err = txn->broken;
		db_rollback(txn->db);
		return false;
	}
	if (!store_write_counters(txn, err)) {
		db_rollback(txn->db);
		return false;
	}
	if (!db_commit(txn->db, err)) {
		return false;
	}
	*out_commit = store_log_note_commit(store, txn->lazy, db_log_pages(txn->db));
	/* It is committed whatever comes now: who is not told here sees it at the next change. */
	if (txn->counters_known && txn->modseq != txn->modseq_before && !tell_wake(store, txn->modseq, &ignored)) {
		log_warn("store", "event=wake-failed reason=\"%s\"", ignored.text);
	}
	return true;
}

/* The first write of a process gives the store a new epoch (S6), which wants this commit on the disk at once. */
static bool
commit_first(struct store_txn *txn, uint64_t *out_commit, struct error *err)
{
	struct store *store = txn->store;
	uint64_t epoch;

	if (!store_marks_renew_begin(txn, &epoch, err)) {
		db_rollback(txn->db);
		return false;
	}
	if (!store_commit_in_turn(txn, out_commit, err)) {
		return false;
	}
	if (!store_log_sync(store, *out_commit, err) || !store_marks_renew_end(store, epoch, err)) {
		return error_wrap(err, "the store %s", io_dir_path(store->dir));
	}
	store->epoch_renewed = true;
	return true;
}

/* A brief write that is to be durable takes the whole group along. */
static bool
commit_group(struct store_txn *txn, struct error *err)
{
	struct store *store = txn->store;
	uint64_t commit, modseq = txn->modseq;
	bool done = store_group_close_in_turn(store, &commit, err);

	store_turn_give(store);
	if (!done || !store_log_sync(store, commit, err)) {
		return error_wrap(err, "writing to the store");
	}
	store_announce(store, modseq);
	return true;
}

bool
store_write_commit(struct store_txn **pointer, enum store_durability durability, struct error *err)
{
	struct store_txn *txn = *pointer;
	struct store *store = txn->store;
	uint64_t commit = 0, modseq = txn->counters_known ? txn->modseq : 0;

	assert(txn->write);
	*pointer = NULL;
	txn->lazy = durability == STORE_LAZY;
	if (txn->brief && txn->lazy && store->epoch_renewed) {
		return store_group_keep(txn, err) || error_wrap(err, "writing to the store");
	}
	if (atomic_load(&store->group_open)) {
		return commit_group(txn, err);
	}

	bool done = store->epoch_renewed ? store_commit_in_turn(txn, &commit, err) : commit_first(txn, &commit, err);

	end_write(txn);
	if (!done) {
		return error_wrap(err, "writing to the store");
	}
	if (durability == STORE_DURABLE && !store_log_sync(store, commit, err)) {
		return error_wrap(err, "writing to the store");
	}
	if (modseq != 0) {
		store_announce(store, modseq);
	}
	return true;
}

void
store_write_rollback(struct store_txn **txn)
{
	if (txn == NULL || *txn == NULL) {
		return;
	}
	assert((*txn)->write);
	if (atomic_load(&(*txn)->store->group_open)) {
		store_group_undo(*txn);
	} else {
		db_rollback((*txn)->db);
		end_write(*txn);
	}
	*txn = NULL;
}
