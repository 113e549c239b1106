/* Snapshots, the queue of writers, and commits (S8). */
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/mail/message_id32.h"
#include "engine/store/store_parts.h"

#define READERS_KEPT     8u /* idle connections */
#define READER_CACHE_KIB 512u
#define YIELD_MS         5 /* a long write goes on at least so long */
#define YIELD_ALWAYS_MS  50
#define LOCK_STEP_MS     2 /* between processes: how long one try lasts */
#define LOCK_TRIES       5000

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

/* --- reading --- */

static struct store_txn *
take_idle(struct store *store)
{
	mutex_lock(&store->readers_lock);
	struct store_txn *txn = store->idle;

	if (txn != NULL) {
		store->idle = txn->next_idle;
		store->idle_count--;
	}
	store->open_readers++;
	mutex_unlock(&store->readers_lock);
	return txn;
}

static void
free_reader(struct store_txn *txn)
{
	db_close(&txn->db);
	free(txn->mailboxes);
	free(txn);
}

static void
give_back(struct store *store, struct store_txn *txn)
{
	mutex_lock(&store->readers_lock);
	store->open_readers--;
	bool keep = txn != NULL && store->idle_count < READERS_KEPT;

	if (keep) {
		txn->next_idle = store->idle;
		store->idle = txn;
		store->idle_count++;
	}
	mutex_unlock(&store->readers_lock);
	if (!keep && txn != NULL) {
		free_reader(txn);
	}
}

bool
store_read_begin(struct store *store, struct store_txn **out, struct error *err)
{
	struct store_txn *txn = take_idle(store);

	if (txn == NULL) {
		struct db_options options = {.cache_kib = READER_CACHE_KIB};

		txn = calloc(1, sizeof(*txn));
		if (txn == NULL) {
			abort();
		}
		if (!db_open(store->database_path, &options, &txn->db, err)) {
			free(txn);
			give_back(store, NULL);
			return false;
		}
	}
	txn->store = store;
	txn->counters_known = false;
	txn->wall_ns = 0;
	if (!db_begin_read(txn->db, err)) {
		free_reader(txn);
		give_back(store, NULL);
		return false;
	}
	*out = txn;
	return true;
}

void
store_read_end(struct store_txn **txn)
{
	if (txn == NULL || *txn == NULL) {
		return;
	}
	assert(!(*txn)->write);
	db_rollback((*txn)->db);
	give_back((*txn)->store, *txn);
	*txn = NULL;
}

void
store_readers_close(struct store *store)
{
	mutex_lock(&store->readers_lock);
	assert(store->open_readers == 0); /* else a read was not ended */
	struct store_txn *txn = store->idle;

	store->idle = NULL;
	store->idle_count = 0;
	mutex_unlock(&store->readers_lock);
	for (struct store_txn *next; txn != NULL; txn = next) {
		next = txn->next_idle;
		free_reader(txn);
	}
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
	store_turn_take(store, priority);
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

int64_t
store_next_changed_ns(struct store_txn *txn, int64_t last_ns)
{
	int64_t now_ns = io_wall_ns(txn->store->io);

	return now_ns > last_ns ? now_ns : last_ns + 1000000000;
}

static bool
write_mailbox(struct store_txn *txn, struct store_counters *counters, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (counters->changed) {
		counters->changed_ns = store_next_changed_ns(txn, counters->changed_ns);
	}
	if (!store_prepare_write(
		    txn, "UPDATE mailbox SET uidnext = ?, messages = ?, changed_ns = ? WHERE id = ?", &update, err)) {
		return false;
	}
	db_bind_u64(update, 1, counters->uidnext);
	db_bind_u64(update, 2, counters->messages);
	db_bind_i64(update, 3, counters->changed_ns);
	db_bind_u64(update, 4, counters->mailbox.value);
	return db_run(update, err);
}

static bool
write_counters(struct store_txn *txn, struct error *err)
{
	for (size_t i = 0; i < txn->mailboxes_count; i++) {
		struct store_counters *counters = &txn->mailboxes[i];

		if ((counters->dirty || counters->changed) && !write_mailbox(txn, counters, err)) {
			return false;
		}
	}
	if (!txn->counters_known) {
		return true;
	}
	return (txn->modseq == txn->modseq_before || store_meta_set_u64(txn, "modseq", txn->modseq, err)) &&
	       (txn->number == txn->number_before || store_meta_set_u64(txn, "number", txn->number, err)) &&
	       (txn->given == txn->given_before || store_meta_set_u64(txn, "given", txn->given, err));
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
	if (!write_counters(txn, err)) {
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

bool
store_write_commit(struct store_txn **pointer, enum store_durability durability, struct error *err)
{
	struct store_txn *txn = *pointer;
	struct store *store = txn->store;
	uint64_t commit = 0, modseq = txn->counters_known ? txn->modseq : 0;

	assert(txn->write);
	*pointer = NULL;
	txn->lazy = durability == STORE_LAZY;

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
	db_rollback((*txn)->db);
	end_write(*txn);
	*txn = NULL;
}

/* --- what a transaction knows --- */

bool
store_load_counters(struct store_txn *txn, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row;

	if (txn->counters_known) {
		return true;
	}
	if (!store_prepare(
		    txn, "SELECT key, value FROM meta WHERE key IN ('given', 'modseq', 'number')", &select, err)) {
		return false;
	}
	txn->modseq = txn->number = txn->given = 0;
	while ((row = db_step(select, err)) == DB_ROW) {
		struct slice key = db_text(select, 0);
		uint64_t value = db_u64(select, 1);

		if (key.data[0] == 'm') {
			txn->modseq = value;
		} else if (key.data[0] == 'n') {
			txn->number = value;
		} else {
			txn->given = value;
		}
	}
	if (row == DB_FAILED) {
		return false;
	}
	txn->modseq_before = txn->modseq;
	txn->number_before = txn->number;
	txn->given_before = txn->given;
	txn->counters_known = true;
	return true;
}

struct modseq
store_modseq(struct store_txn *txn)
{
	struct error err;

	if (!store_load_counters(txn, &err)) { /* as if nothing were known: whoever reads on fails with the reason */
		log_error("store", "event=no-modseq reason=\"%s\"", err.text);
		return (struct modseq){0};
	}
	return (struct modseq){txn->modseq};
}

struct modseq
store_next_modseq(struct store_txn *txn)
{
	assert(txn->write && txn->counters_known);
	txn->modseq++;
	if (txn->modseq > txn->store->marks.modseq_limit) {
		struct error err;

		if (!store_marks_reach(txn->store, txn->number, txn->modseq, &err)) {
			txn->broken = err;
		}
	}
	return (struct modseq){txn->modseq};
}

bool
store_next_number(struct store_txn *txn, struct number *out, struct error *err)
{
	assert(txn->write && txn->counters_known);
	if (txn->number >= UINT32_MAX) {
		return error_set(err, ERROR_FATAL,
			"the account has used all its message numbers: remove its store, and it is built anew");
	}
	if (txn->number + 1 > txn->store->marks.number_limit &&
		!store_marks_reach(txn->store, txn->number + 1, txn->modseq, err)) {
		return false;
	}
	txn->number++;
	*out = (struct number){txn->number};
	return true;
}

void
store_note_given(struct store_txn *txn, struct slice name)
{
	struct number number;

	assert(txn->write && txn->counters_known);
	if (number_from_name(name, &number) && number.value <= UINT32_MAX && number.value > txn->given) {
		txn->given = number.value;
	}
}

bool
store_may_meet_given(const struct store_txn *txn, struct number number)
{
	assert(txn->write && txn->counters_known);
	return number.value <= txn->given;
}

bool
store_is_write(const struct store_txn *txn)
{
	return txn->write;
}

struct store *
store_of(struct store_txn *txn)
{
	return txn->store;
}

struct db *
store_db(struct store_txn *txn)
{
	return txn->db;
}

int64_t
store_wall_s(struct store_txn *txn)
{
	if (txn->wall_ns == 0) {
		txn->wall_ns = io_wall_ns(txn->store->io);
	}
	return txn->wall_ns / 1000000000;
}

/* --- counters of mailboxes --- */

static struct store_counters *
find_counters(const struct store_txn *txn, struct mailbox_id mailbox)
{
	for (size_t i = txn->mailboxes_count; i > 0; i--) { /* the newest is the likeliest */
		if (txn->mailboxes[i - 1].mailbox.value == mailbox.value) {
			return &txn->mailboxes[i - 1];
		}
	}
	return NULL;
}

static bool
load_mailbox(struct store_txn *txn, struct mailbox_id mailbox, struct store_counters *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT uidnext, messages, changed_ns FROM mailbox WHERE id = ? AND expunged IS NULL",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, mailbox.value);
	switch (db_step(select, err)) {
	case DB_ROW:
		*out = (struct store_counters){.mailbox = mailbox,
			.uidnext = db_u32(select, 0),
			.messages = db_u32(select, 1),
			.changed_ns = db_i64(select, 2)};
		return true;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "there is no mailbox %u", mailbox.value);
	case DB_FAILED:
		break;
	}
	return false;
}

bool
store_counters(struct store_txn *txn, struct mailbox_id mailbox, struct store_counters **out, struct error *err)
{
	struct store_counters *counters = find_counters(txn, mailbox), loaded;

	assert(txn->write);
	if (counters != NULL) {
		*out = counters;
		return true;
	}
	if (!load_mailbox(txn, mailbox, &loaded, err)) {
		return false;
	}
	if (txn->mailboxes_count == txn->mailboxes_capacity) {
		txn->mailboxes_capacity = txn->mailboxes_capacity * 2 + 8;
		txn->mailboxes = realloc(txn->mailboxes, txn->mailboxes_capacity * sizeof(txn->mailboxes[0]));
		if (txn->mailboxes == NULL) {
			abort();
		}
	}
	txn->mailboxes[txn->mailboxes_count] = loaded;
	*out = &txn->mailboxes[txn->mailboxes_count++];
	return true;
}

const struct store_counters *
store_counters_peek(const struct store_txn *txn, struct mailbox_id mailbox)
{
	return txn->write ? find_counters(txn, mailbox) : NULL;
}

void
store_counters_forget(struct store_txn *txn, struct mailbox_id mailbox)
{
	struct store_counters *counters = find_counters(txn, mailbox);

	if (counters != NULL) {
		*counters = txn->mailboxes[--txn->mailboxes_count];
	}
}

bool
store_touch(struct store_txn *txn, struct mailbox_id mailbox, struct error *err)
{
	struct store_counters *counters;

	if (!store_counters(txn, mailbox, &counters, err)) {
		return false;
	}
	counters->changed = true;
	return true;
}
