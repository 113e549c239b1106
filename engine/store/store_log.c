/* The log of the database: making commits durable, and copying it into the file.
 *
 * A commit stands in the log (store.db-wal) when it is visible; an fsync of the log makes it and all before it durable. So one fsync serves every writer
 * that waits at that time, none of them holds the turn meanwhile, and a lazy commit is one that does not wait. SQLite's own synchronous=FULL
 * would do the same fsync inside each commit, before the next writer may begin.
 *
 * The price: when the fsync fails, what it was for is visible already. The kernel may then have dropped it from its list of what is to be
 * written, so another fsync of the log proves nothing. The log is copied into the database instead, whose fsync does, and cut; until that has worked
 * nothing counts as durable.
 */
#include <fcntl.h>

#include "engine/base/log.h"
#include "engine/store/store_parts.h"

#define CUT_TRIES    50
#define CUT_PAUSE_MS 20

bool
store_log_open(struct store *store, struct error *err)
{
	if (!io_open(store->dir, STORE_LOG, O_RDONLY, &store->log_fd, err)) {
		return error_wrap(err, "the log of the database");
	}
	return true;
}

uint64_t
store_log_note_commit(struct store *store, bool lazy, uint64_t pages)
{
	bool nudge = store_log_is_due(pages) && !store_log_is_due(atomic_load(&store->log_pages));

	atomic_store(&store->log_pages, pages);
	mutex_lock(&store->lock);
	uint64_t commit = ++store->committed;

	if (store->lazy_since_ms == 0) {
		store->lazy_since_ms = io_now_ms(store->io);
		nudge = nudge || lazy;
	}
	mutex_unlock(&store->lock);
	if (nudge) {
		store_thread_nudge(store);
	}
	return commit;
}

static bool
checkpoint(struct store *store, enum db_checkpoint mode, uint64_t *out_left, struct error *err)
{
	mutex_lock(&store->upkeep_lock);
	bool done = db_checkpoint(store->upkeep, mode, out_left, err);

	mutex_unlock(&store->upkeep_lock);
	return done;
}

/* Keeps all writers away, of this process and others. */
static bool
take_all(struct store *store, struct error *err)
{
	uint64_t commit;

	store_turn_take(store, STORE_ENGINE);
	if (atomic_load(&store->group_open) && !store_group_close_in_turn(store, &commit, err)) {
		error_clear(err); /* the next sync tells it */
	}
	if (!store_writer_lock(store, err)) {
		store_turn_give(store);
		return false;
	}
	return true;
}

static void
give_all(struct store *store)
{
	store_writer_unlock(store);
	store_turn_give(store);
}

/* Copies everything and empties the log, against readers that may be in the way for a moment. Nobody writes meanwhile. */
static bool
cut_log(struct store *store, unsigned tries, struct error *err)
{
	bool mine = store_turn_is_mine(store); /* the first commit of a process is synced with the turn */
	uint64_t left;

	if (!mine && !take_all(store, err)) {
		return false;
	}
	bool done = checkpoint(store, DB_CHECKPOINT_TRUNCATE, &left, err);

	while (!done && err->kind == ERROR_RETRY && --tries > 0) {
		io_sleep_ms(store->io, CUT_PAUSE_MS);
		done = checkpoint(store, DB_CHECKPOINT_TRUNCATE, &left, err);
	}
	if (done) {
		atomic_store(&store->log_pages, 0);
	}
	if (!mine) {
		give_all(store);
	}
	return done;
}

static bool
sync_once(struct store *store, bool suspect, struct error *err)
{
	if (suspect) {
		return cut_log(store, CUT_TRIES, err);
	}
	if (io_fsync(store->io, store->log_fd, err)) {
		return true;
	}
	log_error(
		"store", "event=fsync-failed file=%s/%s reason=\"%s\"", io_dir_path(store->dir), STORE_LOG, err->text);
	mutex_lock(&store->lock);
	store->log_suspect = true;
	mutex_unlock(&store->lock);
	return cut_log(store, CUT_TRIES, err);
}

bool
store_log_sync(struct store *store, uint64_t commit, struct error *err)
{
	mutex_lock(&store->lock);
	for (;;) {
		if (store->durable >= commit) {
			mutex_unlock(&store->lock);
			return true;
		}
		if (!store->syncing) {
			break;
		}
		condition_wait(&store->synced, &store->lock);
	}
	uint64_t target = store->committed, woken = 0;
	int64_t lazy_since_ms = store->lazy_since_ms;
	bool suspect = store->log_suspect;

	store->syncing = true;
	store->lazy_since_ms = 0;
	mutex_unlock(&store->lock);

	/* The octets first, then the rows that say where they are. */
	bool heard = store_wake_read(store, &woken);
	bool done = body_packs_sync(store->packs, err) && sync_once(store, suspect, err);

	mutex_lock(&store->lock);
	store->syncing = false;
	if (done) {
		store->durable = target;
		store->wake_at_sync = heard ? woken : store->wake_at_sync;
		store->log_suspect = false;
		store->syncs++;
	} else if (store->lazy_since_ms == 0) {
		store->lazy_since_ms = lazy_since_ms;
	}
	condition_broadcast(&store->synced);
	mutex_unlock(&store->lock);
	if (!done) {
		store_thread_nudge(store); /* it tries again, also for lazy commits that relied on us */
		return error_wrap(err, "making changes durable");
	}
	return true;
}

bool
store_sync(struct store *store, struct error *err)
{
	uint64_t woken = 0;

	if (!store_check(store, err)) {
		return false;
	}
	store_group_settle(store);
	(void)store_wake_read(store, &woken);
	mutex_lock(&store->lock);
	if (woken != store->wake_at_sync && store->durable == store->committed) {
		store->committed++; /* another process committed: its commit counts as one of ours */
	}
	uint64_t commit = store->committed;

	mutex_unlock(&store->lock);
	return store_log_sync(store, commit, err) && store_group_tell_loss(store, err);
}

/* Copies the little that is left while nobody writes: the next writer begins the log anew, in the room that it has on the disk already. */
static bool
finish_checkpoint(struct store *store, struct error *err)
{
	uint64_t left = 1;

	if (!take_all(store, err)) {
		return false;
	}
	bool done = checkpoint(store, DB_CHECKPOINT_PASSIVE, &left, err);

	if (done && left == 0) {
		atomic_store(&store->log_pages, 0);
	}
	give_all(store);
	return done;
}

bool
store_log_checkpoint(struct store *store, bool idle, struct error *err)
{
	uint64_t left, pages = atomic_load(&store->log_pages), size_bytes = 0;

	if (pages == 0 && !idle) {
		return true;
	}
	if (!checkpoint(store, DB_CHECKPOINT_PASSIVE, &left, err)) {
		return err->kind == ERROR_RETRY;
	}
	if (idle) {
		if (!io_file_size(store->io, store->log_fd, &size_bytes, err)) {
			return false;
		}
		return size_bytes <= STORE_LOG_KEPT_BYTES || cut_log(store, 1, err) || err->kind == ERROR_RETRY;
	}
	return pages * DB_PAGE_BYTES < STORE_LOG_LONG_BYTES || finish_checkpoint(store, err) ||
	       err->kind == ERROR_RETRY;
}
