/* SQLite: connections, transactions and statements, with errors as sentences. The only file that knows sqlite3.h.
 *
 * A connection belongs to one thread at a time; nothing here locks (SQLITE_OPEN_NOMUTEX). It is in WAL mode, never checkpoints by itself,
 * and maps the file. A commit is in the log when it returns and visible to all, but on the disk only once the log file has been fsynced,
 * which is the store's to do (store_sync); the ends of checkpoints are fsynced by SQLite (synchronous=NORMAL).
 *
 * A statement is prepared once per connection and kept: its SQL must be a text that lives for ever and is known by its address. The same one
 * may be in use several times at once (a callback that asks what its caller asks). Between db_prepare and db_end it is the caller's:
 *
 *     SCOPED(db_end) struct db_statement *find = NULL;
 *
 *     if (!db_prepare(db, "SELECT name FROM mailbox WHERE id = ?", &find, err)) {
 *             return false;
 *     }
 *     db_bind_u64(find, 1, id);
 *     switch (db_step(find, err)) { … db_text(find, 0) … }
 *
 * Kinds of error: ERROR_SPACE disk full; ERROR_DAMAGED the file is no database, or a broken one; ERROR_RETRY somebody else holds its lock;
 * ERROR_EXISTS a key is there already; ERROR_REFUSED read-only; ERROR_SYSTEM (with errno) what the disk answered; ERROR_FATAL the rest, which
 * is our mistake. Running out of memory aborts.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

struct db;
struct db_statement;

struct db_options {
	bool write;         /* else nothing can be changed through it */
	bool create;        /* makes the file where there is none */
	unsigned cache_kib; /* pages kept in memory; what is mapped needs none */
};

#define DB_PAGE_BYTES 8192u

/* Opens the file at `path`, none of whose parts may be a symbolic link. */
bool db_open(const char *path, const struct db_options *options, struct db **out, struct error *err) MUST_CHECK;
/* No statement may be in use, and no transaction open. */
void db_close(struct db **db);

/* Runs one or more statements that give nothing; for schema steps, not for values. */
bool db_exec(struct db *db, const char *sql, struct error *err) MUST_CHECK;

/* --- transactions --- */
/* The snapshot is taken by the first statement that reads. */
bool db_begin_read(struct db *db, struct error *err) MUST_CHECK;
bool db_begin_write(struct db *db, struct error *err) MUST_CHECK;
/* On failure the transaction has been rolled back. */
bool db_commit(struct db *db, struct error *err) MUST_CHECK;
void db_rollback(struct db *db);
bool db_in_transaction(const struct db *db);

/* --- statements --- */
bool db_prepare(struct db *db, const char *sql, struct db_statement **out, struct error *err) MUST_CHECK;
/* Gives it back to the connection; accepts NULL inside. */
void db_end(struct db_statement **statement);
/* Makes it ready to run again, with other values: all are NULL. */
void db_reset(struct db_statement *statement);

/* Values, counted from 1; those not bound are NULL. Blob and text are borrowed until db_reset or db_end. An empty slice is an empty value; `or_null` makes it
 * NULL instead. */
void db_bind_i64(struct db_statement *statement, int place, int64_t value);
void db_bind_u64(struct db_statement *statement, int place, uint64_t value); /* at most INT64_MAX */
void db_bind_bool(struct db_statement *statement, int place, bool value);
void db_bind_blob(struct db_statement *statement, int place, struct slice value);
void db_bind_text(struct db_statement *statement, int place, struct slice value);
void db_bind_blob_or_null(struct db_statement *statement, int place, struct slice value);
void db_bind_text_or_null(struct db_statement *statement, int place, struct slice value);
void db_bind_u64_or_null(struct db_statement *statement, int place, uint64_t value); /* 0 is NULL */
void db_bind_null(struct db_statement *statement, int place);

enum db_row {
	DB_ROW,    /* there is a row: its columns can be read */
	DB_DONE,   /* no more */
	DB_FAILED, /* err is filled */
};
enum db_row db_step(struct db_statement *statement, struct error *err) MUST_CHECK;
/* Steps to the end, ignoring rows, and resets. */
bool db_run(struct db_statement *statement, struct error *err) MUST_CHECK;

/* Columns, counted from 0, of the row that db_step gave; slices hold until the next step. NULL reads as 0 and as the empty slice with data NULL. */
int64_t db_i64(const struct db_statement *statement, int column);
uint64_t db_u64(const struct db_statement *statement, int column); /* a negative value reads as 0 */
uint32_t db_u32(const struct db_statement *statement, int column); /* what is out of range reads as 0 */
bool db_bool(const struct db_statement *statement, int column);
struct slice db_blob(const struct db_statement *statement, int column);
struct slice db_text(const struct db_statement *statement, int column);
bool db_is_null(const struct db_statement *statement, int column);

/* Rows that the last insert, update or delete touched, and the last inserted rowid. */
uint64_t db_changes(const struct db *db);
uint64_t db_changes_total(const struct db *db); /* since it was opened */
uint64_t db_last_rowid(const struct db *db);

/* --- upkeep --- */
enum db_checkpoint {
	DB_CHECKPOINT_PASSIVE, /* what can be copied without waiting for anybody */
	DB_CHECKPOINT_TRUNCATE, /* all, and makes the log empty; ERROR_RETRY while anybody reads from it. The caller keeps other writers away */
};
/* Copies the log into the file. *out_left: pages that remain in the log and are not in the file yet. */
bool db_checkpoint(struct db *db, enum db_checkpoint mode, uint64_t *out_left, struct error *err) MUST_CHECK;
/* Pages in the log after the last commit of this connection. */
uint64_t db_log_pages(const struct db *db);
/* Gives back memory that is not needed now. */
void db_shrink(struct db *db);
/* SQLite's own check of the file's structure; appends a sentence for each finding. Slow: reads everything. */
bool db_check(struct db *db, bool quick, void (*found)(void *context, struct slice sentence), void *context,
	struct error *err) MUST_CHECK;

#endif
