/* Opening a store, closing it, and what it knows of itself. */
#include "engine/store/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/db/migrate.h"
#include "engine/store/schema.h"
#include "engine/store/store_parts.h"

#define APPLICATION_ID   0x6d6c6673u /* "mlfs" */
#define SCHEMA_LOCK      "locks/schema"
#define WRITER_LOCK      "locks/writer"
#define WAKE_FILE        "wake"
#define SCHEMA_OCTET     0
#define SCHEMA_WAIT_MS   30000
#define WRITER_CACHE_KIB 8192u
#define UPKEEP_CACHE_KIB 256u

/* Packs (docs/adr/0006): of a body its pack and the octet it begins at; data is NULL then. Of a pack that nothing refers to, the running time when that was found. */
static const char packs_sql[] = "ALTER TABLE body ADD COLUMN pack INTEGER;"
				"ALTER TABLE body ADD COLUMN place INTEGER;"
				"CREATE INDEX body_by_pack ON body (pack, place, size) WHERE pack IS NOT NULL;"
				"CREATE TABLE pack (id INTEGER PRIMARY KEY, swept INTEGER NOT NULL);";

static const struct migrate_step steps[] = {
	{.number = 1, .sql = STORE_SCHEMA_SQL},
	/* when a message's name, flags, times or size last changed: its ctime, which never goes back; 0: not since this step */
	{.number = 2, .sql = "ALTER TABLE listing ADD COLUMN changed_ns INTEGER NOT NULL DEFAULT 0;"},
	{.number = 3, .sql = packs_sql},
};

/* --- opening --- */

static bool
make_places(struct store *store, struct error *err)
{
	return io_mkdir(store->dir, "locks", err) && io_mkdir(store->dir, "bodies", err) &&
	       io_mkdir(store->dir, "spool", err) &&
	       io_lock_file_open(store->dir, SCHEMA_LOCK, &store->schema_lock, err) &&
	       io_lock_file_open(store->dir, WRITER_LOCK, &store->writer_lock, err);
}

/* Takes the lock of the schema: alone if nobody else has the store open, else shared with them. */
static bool
lock_schema(struct store *store, bool *out_alone, struct error *err)
{
	if (io_lock(store->schema_lock, SCHEMA_OCTET, IO_LOCK_EXCLUSIVE, 0, NULL, err)) {
		*out_alone = true;
		return true;
	}
	if (err->kind != ERROR_RETRY) {
		return false;
	}
	*out_alone = false;
	return io_lock(store->schema_lock, SCHEMA_OCTET, IO_LOCK_SHARED, SCHEMA_WAIT_MS, NULL, err);
}

/* SQLite would make it readable for others; its log and its shared memory take their mode from it. */
static bool
make_private(struct store *store, struct error *err)
{
	int fd;

	if (!io_open(store->dir, STORE_DATABASE, O_RDWR | O_CREAT | O_EXCL, &fd, err)) {
		return false;
	}
	io_close(store->io, &fd);
	return true;
}

static bool
open_database(struct store *store, bool create, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	struct db_options options = {.write = true, .create = create, .cache_kib = WRITER_CACHE_KIB};
	struct db_options upkeep = {.write = true, .cache_kib = UPKEEP_CACHE_KIB};
	char *real = realpath(io_dir_path(store->dir), NULL);

	if (real == NULL) {
		return error_set(err, ERROR_GONE, "%s is not there any more", io_dir_path(store->dir));
	}
	buf_printf(&path, "%s/%s", real, STORE_DATABASE);
	free(real);
	store->database_path = buf_take(&path);
	return db_open(store->database_path, &options, &store->writer, err) &&
	       db_open(store->database_path, &upkeep, &store->upkeep, err);
}

static bool
check_version(struct store *store, bool alone, struct error *err)
{
	const unsigned ours = steps[ARRAY_LENGTH(steps) - 1].number;
	unsigned version;

	if (alone) {
		return migrate_run(store->writer, APPLICATION_ID, steps, ARRAY_LENGTH(steps), err);
	}
	if (!migrate_version(store->writer, APPLICATION_ID, &version, err)) {
		return false;
	}
	if (version < ours) {
		return error_set(err, ERROR_RETRY, "an older mailfs has the store open: end it first");
	}
	return version == ours ||
	       error_set(err, ERROR_FATAL,
		       "the store has schema %u and this program knows %u: a newer mailfs made it, use that one",
		       version, ours);
}

/* Gives a new database its id: that of its marks, where they outlived one before. */
static bool
ensure_id(struct store_txn *txn, struct error *err)
{
	struct store *store = txn->store;
	SCOPED(buf_finish) struct buf id = BUF_INIT;
	struct store_marks marks;

	if (!store_meta_get_text(txn, "id", &id, err)) {
		return false;
	}
	if (id.length == STORE_ID_BYTES) {
		memcpy(store->id, id.data, STORE_ID_BYTES);
		return true;
	}
	if (store_marks_load(store, &marks, err)) {
		memcpy(store->id, marks.id, STORE_ID_BYTES);
	} else {
		io_random(store->io, store->id, STORE_ID_BYTES);
		error_clear(err);
	}
	return store_meta_set_text(txn, "id", slice_make(store->id, STORE_ID_BYTES), err);
}

static bool
check_owner(struct store_txn *txn, const char *key, const char *ours, struct error *err)
{
	SCOPED(buf_finish) struct buf kept = BUF_INIT;

	if (!store_meta_get_text(txn, key, &kept, err)) {
		return false;
	}
	if (kept.length == 0) {
		return store_meta_set_text(txn, key, slice_of(ours), err);
	}
	return slice_equal(buf_slice(&kept), slice_of(ours)) ||
	       error_set(err, ERROR_CONFIG,
		       "the store %s is that of %s %.200s, not of %.200s: give this account a store of its own",
		       io_dir_path(txn->store->dir), key, kept.data, ours);
}

/* What is checked and made in one transaction before anybody else sees the store: whose it is, and whether it is an old copy. */
static bool
prepare(struct store *store, const struct store_identity *identity, bool *out_rolled_back, struct error *err)
{
	struct store_txn *txn;
	uint64_t commit;

	store_turn_take(store, STORE_ENGINE);
	if (!store_write_begin_in_turn(store, STORE_ENGINE, &txn, err)) {
		store_turn_give(store);
		return false;
	}
	if (!ensure_id(txn, err) || !store_marks_check(txn, out_rolled_back, err) ||
		(identity != NULL && (!check_owner(txn, "server", identity->server, err) ||
					     !check_owner(txn, "user", identity->user, err)))) {
		store_write_rollback(&txn);
		return false;
	}
	/* Not by store_write_commit: the log is not open yet, and the epoch is renewed by the first change that counts. */
	bool done = store_commit_in_turn(txn, &commit, err);

	store_writer_unlock(store);
	store_turn_give(store);
	if (!done || !store_log_open(store, err)) {
		return false;
	}
	/* An empty log: neither this nor a schema step had anything to write. */
	return db_log_pages(store->writer) == 0 ||
	       (store_log_sync(store, commit, err) && io_dir_fsync(store->dir, NULL, err));
}

static bool
open_wake(struct store *store, struct error *err)
{
	uint64_t modseq = 0;

	if (!io_open(store->dir, WAKE_FILE, O_RDWR | O_CREAT, &store->wake_fd, err)) {
		return false;
	}
	(void)store_wake_read(store, &modseq);
	store->announced = modseq;
	store->wake_at_sync = UINT64_MAX; /* what others committed may not be on the disk */
	if (!io_watch_open(store->dir, WAKE_FILE, &store->watch, err)) {
		log_warn("store", "event=no-watch reason=\"%s\"", err->text);
		error_clear(err);
	}
	return true;
}

static bool
open_directory(struct store *store, const char *path, struct error *err)
{
	uint8_t id[STORE_ID_BYTES];
	bool known;

	if (io_dir_open(store->io, path, false, &store->dir, err)) {
		return true;
	}
	if (err->kind != ERROR_GONE || !store_marks_known_id(store->io, path, id, &known, err)) {
		return false;
	}
	if (known) {
		return error_set(err, ERROR_CONFIG,
			"%s is missing, and %s.id says that a store was there: mount its disk, or remove %s.id to "
			"begin anew",
			path, path, path);
	}
	return io_dir_open(store->io, path, true, &store->dir, err);
}

/* Refuses a directory in which a store was and is not any more (P9). */
static bool
check_known(struct store *store, const char *path, bool *out_known, uint8_t known_id[STORE_ID_BYTES], bool *out_fresh,
	struct error *err)
{
	struct io_stat st;
	bool database = io_stat(store->dir, STORE_DATABASE, &st, err), marks;

	if (!database && err->kind != ERROR_GONE) {
		return false;
	}
	marks = io_stat(store->dir, "marks", &st, err);
	if (!marks && err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	*out_fresh = !database;
	if (!store_marks_known_id(store->io, path, known_id, out_known, err)) {
		return false;
	}
	return database || marks || !*out_known ||
	       error_set(err, ERROR_CONFIG,
		       "%s is empty, and %s.id says that a store was there: mount its disk, or remove %s.id to begin "
		       "anew",
		       path, path, path);
}

static bool
open_in(struct store *store, const char *path, const struct store_identity *identity, bool *out_rolled_back,
	struct error *err)
{
	uint8_t known_id[STORE_ID_BYTES];
	bool known, fresh, alone;

	if (!check_known(store, path, &known, known_id, &fresh, err) || !make_places(store, err) ||
		!lock_schema(store, &alone, err)) {
		return false;
	}
	if (fresh && !alone) {
		return error_set(err, ERROR_RETRY, "another process is making the store %s: try again", path);
	}
	if ((fresh && !make_private(store, err)) || !open_database(store, alone, err) ||
		!check_version(store, alone, err) || !open_wake(store, err) ||
		!prepare(store, identity, out_rolled_back, err)) {
		return false;
	}
	if (known && memcmp(known_id, store->id, STORE_ID_BYTES) != 0) {
		return error_set(err, ERROR_CONFIG,
			"%s holds another store than %s.id says: mount the right disk, or remove %s.id", path, path,
			path);
	}
	if (alone) {
		store_marks_sweep_known(store->io, path);
	}
	if (alone && !store_sweep_leftovers(store, err)) {
		return false;
	}
	if ((!known && !store_marks_make_known(store->io, path, store->id, err)) ||
		(alone && !io_lock(store->schema_lock, SCHEMA_OCTET, IO_LOCK_SHARED, 0, NULL, err))) {
		return false;
	}
	return store_thread_start(store, err);
}

static struct store *
create(struct io *io)
{
	struct store *store = calloc(1, sizeof(*store));

	if (store == NULL) {
		abort();
	}
	store->io = io;
	store->wake_fd = store->log_fd = -1;
	store->nudge = cancel_create();
	store->verified = body_verified_create();
	store->packs = body_packs_create(store);
	mutex_init(&store->lock, LOCK_RANK_WRITER);
	mutex_init(&store->readers_lock, LOCK_RANK_READERS);
	mutex_init(&store->upkeep_lock, LOCK_RANK_READERS);
	condition_init(&store->turns);
	condition_init(&store->synced);
	condition_init(&store->announced_all);
	return store;
}

static void
destroy(struct store *store)
{
	store_thread_end(store);
	store_readers_close(store);
	db_close(&store->upkeep);
	db_close(&store->writer);
	io_watch_close(&store->watch);
	io_close(store->io, &store->wake_fd);
	io_close(store->io, &store->log_fd);
	io_lock_file_close(&store->writer_lock);
	io_lock_file_close(&store->schema_lock);
	body_packs_destroy(&store->packs);
	io_dir_close(&store->dir);
	cancel_destroy(&store->nudge);
	body_verified_destroy(&store->verified);
	condition_finish(&store->turns);
	condition_finish(&store->synced);
	condition_finish(&store->announced_all);
	mutex_finish(&store->lock);
	mutex_finish(&store->readers_lock);
	mutex_finish(&store->upkeep_lock);
	free(store->write.mailboxes);
	free(store->undo.mailboxes);
	free(store->database_path);
	free(store);
}

bool
store_open(struct io *io, const char *path, const struct store_identity *identity, bool *out_rolled_back,
	struct store **out, struct error *err)
{
	struct store *store = create(io);
	bool rolled_back = false;

	if (!open_directory(store, path, err) || !open_in(store, path, identity, &rolled_back, err)) {
		destroy(store);
		return error_wrap(err, "opening the store");
	}
	if (out_rolled_back != NULL) {
		*out_rolled_back = rolled_back;
	}
	*out = store;
	return true;
}

/* So that a copy of the database that was made while it was open is known as old after this (S6). */
static void
renew_epoch(struct store *store)
{
	struct store_txn *txn;
	struct error err;

	if (!store->epoch_renewed) {
		return;
	}
	store->epoch_renewed = false; /* so the commit does it */
	if (!store_write_begin(store, STORE_ENGINE, &txn, &err) || !store_write_commit(&txn, STORE_DURABLE, &err)) {
		log_warn("store", "event=epoch-not-renewed reason=\"%s\"", err.text);
	}
}

void
store_close(struct store **pointer)
{
	struct store *store = pointer != NULL ? *pointer : NULL;
	struct error err;

	if (store == NULL) {
		return;
	}
	store_set_listener(store, NULL, NULL);
	store_group_settle(store);
	renew_epoch(store);
	if (!store_sync(store, &err)) {
		log_error("store", "event=sync-at-close-failed reason=\"%s\"", err.text);
	}
	destroy(store);
	*pointer = NULL;
}

struct io *
store_io(struct store *store)
{
	return store->io;
}

struct io_dir *
store_dir(struct store *store)
{
	return store->dir;
}

struct body_packs *
store_body_packs(struct store *store)
{
	return store->packs;
}

struct body_verified *
store_body_verified(struct store *store)
{
	return store->verified;
}

/* --- news --- */

bool
store_wake_read(struct store *store, uint64_t *out_modseq)
{
	struct error ignored;
	uint64_t modseq;
	size_t got;

	if (!io_pread(store->io, store->wake_fd, &modseq, sizeof(modseq), 0, &got, &ignored) || got != sizeof(modseq)) {
		return false;
	}
	*out_modseq = modseq;
	return true;
}

void
store_announce(struct store *store, uint64_t modseq)
{
	mutex_lock(&store->lock);
	if (modseq == store->announced || store->changed == NULL) {
		store->announced = modseq;
		mutex_unlock(&store->lock);
		return;
	}
	void (*changed)(void *context) = store->changed;
	void *context = store->changed_context;

	store->announced = modseq;
	store->announcing++;
	mutex_unlock(&store->lock);
	changed(context);
	mutex_lock(&store->lock);
	store->announcing--;
	condition_broadcast(&store->announced_all);
	mutex_unlock(&store->lock);
}

void
store_set_listener(struct store *store, void (*changed)(void *context), void *context)
{
	mutex_lock(&store->lock);
	store->changed = changed;
	store->changed_context = context;
	while (store->announcing > 0) { /* afterwards the one before is called no more */
		condition_wait(&store->announced_all, &store->lock);
	}
	mutex_unlock(&store->lock);
}

/* --- keys and values --- */

static bool
find_meta(struct store_txn *txn, const char *key, struct db_statement **out, bool *out_found, struct error *err)
{
	if (!store_prepare(txn, "SELECT value FROM meta WHERE key = ?", out, err)) {
		return false;
	}
	db_bind_text(*out, 1, slice_of(key));
	enum db_row row = db_step(*out, err);

	*out_found = row == DB_ROW;
	return row != DB_FAILED;
}

static bool
set_meta(struct store_txn *txn, const char *key, struct db_statement **out, struct error *err)
{
	if (!store_prepare_write(txn,
		    "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = "
		    "excluded.value",
		    out, err)) {
		return false;
	}
	db_bind_text(*out, 1, slice_of(key));
	return true;
}

bool
store_meta_get_u64(struct store_txn *txn, const char *key, uint64_t *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	bool found;

	if (!find_meta(txn, key, &select, &found, err)) {
		return false;
	}
	*out = found ? db_u64(select, 0) : 0;
	return true;
}

bool
store_meta_set_u64(struct store_txn *txn, const char *key, uint64_t value, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;

	if (!set_meta(txn, key, &insert, err)) {
		return false;
	}
	db_bind_u64(insert, 2, value);
	return db_run(insert, err);
}

bool
store_meta_get_text(struct store_txn *txn, const char *key, struct buf *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	bool found;

	if (!find_meta(txn, key, &select, &found, err)) {
		return false;
	}
	buf_clear(out);
	if (found) {
		buf_append(out, db_blob(select, 0));
	}
	return true;
}

bool
store_meta_set_text(struct store_txn *txn, const char *key, struct slice value, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;

	if (!set_meta(txn, key, &insert, err)) {
		return false;
	}
	db_bind_text(insert, 2, value);
	return db_run(insert, err);
}
