#include "engine/db/db.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS         64u
#define MAP_BYTES       (1ll << 40) /* SQLite cuts it to what it was built for */
#define LOG_BYTES_KEPT  (64 << 20)  /* a log that grew beyond is cut when it begins anew */
#define BUSY_TIMEOUT_MS 5000        /* only recovery after a crash, and hands other than ours, ever hold the lock */

struct db_statement {
	sqlite3_stmt *native;
	const char *sql;
	struct db *db;
	struct db_statement *next; /* in its bucket */
	int bind_code;             /* the first failure of a binding, told by the next step */
	bool busy;
};

struct db {
	sqlite3 *native;
	struct db_statement *buckets[BUCKETS];
	uint64_t log_pages;
};

static void
configure_once(void)
{
	/* Counting memory takes a global lock at every allocation. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	(void)sqlite3_initialize();
}

static enum error_kind
kind_of(int code, int sys_errno)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ERROR_SPACE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERROR_DAMAGED;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return ERROR_RETRY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return ERROR_REFUSED;
	case SQLITE_INTERRUPT:
		return ERROR_CANCELLED;
	case SQLITE_TOOBIG:
		return ERROR_INVALID;
	case SQLITE_CONSTRAINT:
		return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
				       code == SQLITE_CONSTRAINT_ROWID
			       ? ERROR_EXISTS
			       : ERROR_FATAL;
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS) {
			return ERROR_DAMAGED;
		}
		return sys_errno == ENOSPC || sys_errno == EDQUOT ? ERROR_SPACE : ERROR_SYSTEM;
	case SQLITE_CANTOPEN:
		return sys_errno == EACCES ? ERROR_REFUSED : ERROR_SYSTEM;
	default:
		return ERROR_FATAL;
	}
}

static bool
fail(struct db *db, int code, const char *what, struct error *err)
{
	int sys_errno = sqlite3_system_errno(db->native);
	int extended = sqlite3_extended_errcode(db->native);
	const char *reason = sqlite3_errmsg(db->native);

	if ((extended & 0xff) != (code & 0xff)) { /* it was not this connection that told */
		extended = code;
		reason = sqlite3_errstr(code);
	}
	if ((code & 0xff) == SQLITE_NOMEM) {
		abort();
	}
	enum error_kind kind = kind_of(extended, sys_errno);

	if (kind == ERROR_SPACE) {
		(void)error_set(err, kind, "%s: no space is left on its disk (SQLite %d)", what, extended);
	} else {
		(void)error_set(err, kind, "%s: %s (SQLite %d)", what, reason, extended);
	}
	if (kind == ERROR_SYSTEM || kind == ERROR_SPACE || kind == ERROR_REFUSED) {
		err->sys_errno = sys_errno;
	}
	return false;
}

static int
note_log_pages(void *context, sqlite3 *native, const char *name, int pages)
{
	struct db *db = context;

	db->log_pages = pages > 0 ? (uint64_t)pages : 0;
	return SQLITE_OK;
}

static bool
set_up(struct db *db, const struct db_options *options, struct error *err)
{
	char pragmas[512];

	sqlite3_extended_result_codes(db->native, 1);
	sqlite3_busy_timeout(db->native, BUSY_TIMEOUT_MS);
	(void)sqlite3_db_config(db->native, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db->native, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(db->native, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	(void)sqlite3_db_config(db->native, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	(void)sqlite3_db_config(db->native, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	(void)snprintf(pragmas, sizeof(pragmas),
		"PRAGMA mmap_size=%lld; PRAGMA cache_size=-%u; PRAGMA temp_store=MEMORY;", MAP_BYTES,
		options->cache_kib);
	if (!db_exec(db, pragmas, err)) {
		return false;
	}
	if (options->create) {
		(void)snprintf(
			pragmas, sizeof(pragmas), "PRAGMA page_size=%u; PRAGMA journal_mode=WAL;", DB_PAGE_BYTES);
		if (!db_exec(db, pragmas, err)) {
			return false;
		}
	}
	(void)snprintf(pragmas, sizeof(pragmas),
		"PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=%d; PRAGMA query_only=%s;", LOG_BYTES_KEPT,
		options->write ? "OFF" : "ON");
	if (!db_exec(db, pragmas, err)) {
		return false;
	}
	(void)sqlite3_wal_hook(db->native, note_log_pages, db); /* takes the place of automatic checkpoints */
	return true;
}

bool
db_open(const char *path, const struct db_options *options, struct db **out, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_READWRITE;
	struct db *db = calloc(1, sizeof(*db));
	int code;

	if (db == NULL) {
		abort();
	}
	(void)pthread_once(&once, configure_once);
	/* A reader opens for writing too, for it may be the one that has to recover the log; query_only holds it back. */
	code = sqlite3_open_v2(path, &db->native, options->create ? flags | SQLITE_OPEN_CREATE : flags, NULL);
	if (code != SQLITE_OK) {
		if (db->native == NULL) {
			abort(); /* only when memory ran out */
		}
		(void)fail(db, code, path, err);
		(void)sqlite3_close(db->native);
		free(db);
		return false;
	}
	if (!set_up(db, options, err)) {
		(void)error_wrap(err, "%s", path);
		db_close(&db);
		return false;
	}
	*out = db;
	return true;
}

void
db_close(struct db **pointer)
{
	struct db *db = pointer != NULL ? *pointer : NULL;

	if (db == NULL) {
		return;
	}
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct db_statement *next, *statement = db->buckets[i]; statement != NULL; statement = next) {
			next = statement->next;
			assert(!statement->busy);
			(void)sqlite3_finalize(statement->native);
			free(statement);
		}
	}
	int code = sqlite3_close(db->native);

	assert(code == SQLITE_OK);
	free(db);
	*pointer = NULL;
}

bool
db_exec(struct db *db, const char *sql, struct error *err)
{
	int code = sqlite3_exec(db->native, sql, NULL, NULL, NULL);

	return code == SQLITE_OK || fail(db, code, "running a statement", err);
}

/* --- transactions --- */

static bool
run_text(struct db *db, const char *sql, struct error *err)
{
	SCOPED(db_end) struct db_statement *statement = NULL;

	return db_prepare(db, sql, &statement, err) && db_run(statement, err);
}

bool
db_begin_read(struct db *db, struct error *err)
{
	assert(!db_in_transaction(db));
	return run_text(db, "BEGIN", err);
}

bool
db_begin_write(struct db *db, struct error *err)
{
	assert(!db_in_transaction(db));
	return run_text(db, "BEGIN IMMEDIATE", err);
}

bool
db_commit(struct db *db, struct error *err)
{
	if (!db_in_transaction(db)) {
		return error_set(err, ERROR_FATAL, "the transaction has been rolled back after an earlier failure");
	}
	if (!run_text(db, "COMMIT", err)) {
		db_rollback(db);
		return false;
	}
	return true;
}

void
db_rollback(struct db *db)
{
	struct error ignored;

	/* SQLite may have rolled back by itself: on a full disk, for one. A rollback that fails leaves the connection without a transaction. */
	if (db_in_transaction(db) && !run_text(db, "ROLLBACK", &ignored)) {
		assert(!db_in_transaction(db));
	}
}

bool
db_in_transaction(const struct db *db)
{
	return sqlite3_get_autocommit(db->native) == 0;
}

/* --- statements --- */

static unsigned
bucket_of(const char *sql)
{
	uintptr_t address = (uintptr_t)sql;

	return (unsigned)((address ^ (address >> 6) ^ (address >> 12)) % BUCKETS);
}

bool
db_prepare(struct db *db, const char *sql, struct db_statement **out, struct error *err)
{
	struct db_statement **bucket = &db->buckets[bucket_of(sql)];

	for (struct db_statement *statement = *bucket; statement != NULL; statement = statement->next) {
		if (statement->sql == sql && !statement->busy) {
			statement->busy = true;
			*out = statement;
			return true;
		}
	}

	sqlite3_stmt *native;
	int code = sqlite3_prepare_v3(db->native, sql, -1, SQLITE_PREPARE_PERSISTENT, &native, NULL);

	if (code != SQLITE_OK) {
		return fail(db, code, sql, err);
	}
	struct db_statement *statement = calloc(1, sizeof(*statement));

	if (statement == NULL) {
		abort();
	}
	*statement = (struct db_statement){.native = native, .sql = sql, .db = db, .next = *bucket, .busy = true};
	*bucket = statement;
	*out = statement;
	return true;
}

void
db_reset(struct db_statement *statement)
{
	(void)sqlite3_reset(statement->native); /* tells the last step's failure again */
	(void)sqlite3_clear_bindings(statement->native);
	statement->bind_code = SQLITE_OK;
}

void
db_end(struct db_statement **statement)
{
	if (statement == NULL || *statement == NULL) {
		return;
	}
	assert((*statement)->busy);
	db_reset(*statement);
	(*statement)->busy = false;
	*statement = NULL;
}

static void
note_bound(struct db_statement *statement, int code)
{
	assert((code & 0xff) != SQLITE_RANGE && (code & 0xff) != SQLITE_MISUSE);
	if (statement->bind_code == SQLITE_OK) {
		statement->bind_code = code;
	}
}

void
db_bind_i64(struct db_statement *statement, int place, int64_t value)
{
	note_bound(statement, sqlite3_bind_int64(statement->native, place, value));
}

void
db_bind_u64(struct db_statement *statement, int place, uint64_t value)
{
	assert(value <= INT64_MAX);
	db_bind_i64(statement, place, (int64_t)value);
}

void
db_bind_bool(struct db_statement *statement, int place, bool value)
{
	db_bind_i64(statement, place, value);
}

void
db_bind_blob(struct db_statement *statement, int place, struct slice value)
{
	note_bound(statement, sqlite3_bind_blob64(statement->native, place, value.data != NULL ? value.data : "",
				      value.length, SQLITE_STATIC));
}

void
db_bind_text(struct db_statement *statement, int place, struct slice value)
{
	note_bound(statement, sqlite3_bind_text64(statement->native, place, value.data != NULL ? value.data : "",
				      value.length, SQLITE_STATIC, SQLITE_UTF8));
}

void
db_bind_blob_or_null(struct db_statement *statement, int place, struct slice value)
{
	if (value.length > 0) {
		db_bind_blob(statement, place, value);
	} else {
		db_bind_null(statement, place);
	}
}

void
db_bind_text_or_null(struct db_statement *statement, int place, struct slice value)
{
	if (value.length > 0) {
		db_bind_text(statement, place, value);
	} else {
		db_bind_null(statement, place);
	}
}

void
db_bind_u64_or_null(struct db_statement *statement, int place, uint64_t value)
{
	if (value != 0) {
		db_bind_u64(statement, place, value);
	} else {
		db_bind_null(statement, place);
	}
}

void
db_bind_null(struct db_statement *statement, int place)
{
	note_bound(statement, sqlite3_bind_null(statement->native, place));
}

enum db_row
db_step(struct db_statement *statement, struct error *err)
{
	int code = statement->bind_code;

	assert(statement->busy);
	if (code == SQLITE_OK) {
		code = sqlite3_step(statement->native);
	}
	if (code == SQLITE_ROW) {
		return DB_ROW;
	}
	if (code == SQLITE_DONE) {
		return DB_DONE;
	}
	(void)fail(statement->db, code, statement->sql, err);
	return DB_FAILED;
}

bool
db_run(struct db_statement *statement, struct error *err)
{
	enum db_row row;

	do {
		row = db_step(statement, err);
	} while (row == DB_ROW);
	db_reset(statement);
	return row == DB_DONE;
}

int64_t
db_i64(const struct db_statement *statement, int column)
{
	return sqlite3_column_int64(statement->native, column);
}

uint64_t
db_u64(const struct db_statement *statement, int column)
{
	int64_t value = db_i64(statement, column);

	return value > 0 ? (uint64_t)value : 0;
}

uint32_t
db_u32(const struct db_statement *statement, int column)
{
	int64_t value = db_i64(statement, column);

	return value > 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

bool
db_bool(const struct db_statement *statement, int column)
{
	return db_i64(statement, column) != 0;
}

struct slice
db_blob(const struct db_statement *statement, int column)
{
	const void *data = sqlite3_column_blob(statement->native, column);

	return slice_make(data, (size_t)sqlite3_column_bytes(statement->native, column));
}

struct slice
db_text(const struct db_statement *statement, int column)
{
	const void *data = sqlite3_column_text(statement->native, column);

	return slice_make(data, (size_t)sqlite3_column_bytes(statement->native, column));
}

bool
db_is_null(const struct db_statement *statement, int column)
{
	return sqlite3_column_type(statement->native, column) == SQLITE_NULL;
}

uint64_t
db_changes(const struct db *db)
{
	return (uint64_t)sqlite3_changes64(db->native);
}

uint64_t
db_changes_total(const struct db *db)
{
	return (uint64_t)sqlite3_total_changes64(db->native);
}

uint64_t
db_last_rowid(const struct db *db)
{
	return (uint64_t)sqlite3_last_insert_rowid(db->native);
}

/* --- upkeep --- */

bool
db_checkpoint(struct db *db, enum db_checkpoint mode, uint64_t *out_left, struct error *err)
{
	int pages = 0, done = 0, code;

	assert(!db_in_transaction(db));
	sqlite3_busy_timeout(db->native, 0);
	code = sqlite3_wal_checkpoint_v2(db->native, NULL,
		mode == DB_CHECKPOINT_PASSIVE ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE, &pages, &done);
	sqlite3_busy_timeout(db->native, BUSY_TIMEOUT_MS);
	if (code != SQLITE_OK) {
		return fail(db, code, "copying the log into the database", err);
	}
	*out_left = pages > done ? (uint64_t)(pages - done) : 0;
	db->log_pages = pages > 0 ? (uint64_t)pages : 0;
	return true;
}

uint64_t
db_log_pages(const struct db *db)
{
	return db->log_pages;
}

void
db_shrink(struct db *db)
{
	(void)sqlite3_db_release_memory(db->native);
}

bool
db_check(struct db *db, bool quick, void (*found)(void *context, struct slice sentence), void *context,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *check = NULL;
	enum db_row row;

	if (!db_prepare(db, quick ? "PRAGMA quick_check" : "PRAGMA integrity_check", &check, err)) {
		return false;
	}
	while ((row = db_step(check, err)) == DB_ROW) {
		if (!slice_equal(db_text(check, 0), SLICE_LITERAL("ok"))) {
			found(context, db_text(check, 0));
		}
	}
	return row == DB_DONE;
}
