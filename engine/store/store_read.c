/* Snapshots: a pool of reading connections. And looks, which see what the open group holds. */
#include <errno.h>
#include <stdlib.h>

#include "engine/store/store_parts.h"

#define READERS_KEPT     8u /* idle connections */
#define READER_CACHE_KIB 512u

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

static bool
begin_reader(struct store *store, struct store_txn **out, struct error *err)
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

bool
store_check(const struct store *store, struct error *err)
{
	if (store == NULL) {
		error_set(err, ERROR_SYSTEM, "there is no store: it could not be opened");
		err->sys_errno = EIO;
	}
	return store != NULL;
}

bool
store_read_begin(struct store *store, struct store_txn **out, struct error *err)
{
	if (!store_check(store, err)) {
		return false;
	}
	store_group_settle(store);
	return begin_reader(store, out, err);
}

bool
store_look_begin(struct store *store, struct store_txn **out, struct error *err)
{
	struct store_txn *look;

	if (!store_check(store, err)) {
		return false;
	}
	look = &store->look;
	if (!atomic_load(&store->group_open)) {
		return begin_reader(store, out, err);
	}
	if (store_turn_is_mine(store)) {
		if (store->look_depth == 0) { /* our own write is going on: this is not for it to see */
			return begin_reader(store, out, err);
		}
		store->look_depth++;
		*out = look;
		return true;
	}
	store_turn_take(store, STORE_MOUNT);
	if (!atomic_load(&store->group_open)) {
		store_turn_give(store);
		return begin_reader(store, out, err);
	}
	store->look_depth = 1;
	*look = (struct store_txn){
		.store = store, .db = store->writer, .counters_known = true, .modseq = store->write.modseq};
	*out = look;
	return true;
}

void
store_read_end(struct store_txn **pointer)
{
	struct store_txn *txn = pointer != NULL ? *pointer : NULL;

	if (txn == NULL) {
		return;
	}
	assert(!txn->write);
	*pointer = NULL;
	if (txn != &txn->store->look) {
		db_rollback(txn->db);
		give_back(txn->store, txn);
	} else if (--txn->store->look_depth == 0) {
		store_turn_give(txn->store);
	}
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
