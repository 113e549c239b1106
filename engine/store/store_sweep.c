/* Upkeep: old tombstones and traces, and bodies that nobody needs (S5). Everything in short writes, between which others have their turn.
 *
 * A body is needed by a message, live or tombstone, and by an intent that names its digest. A row that is not needed goes in the transaction that finds it so.
 * A file goes in two steps: first its row is marked with the running time; when it is still not needed an hour of running time later, file and
 * row go. A file without a row gets one, damaged and marked, so the same two steps end it or a body_put heals it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/store/store_parts.h"

#define ROWS_AT_ONCE   500u   /* in one write */
#define BODIES_AT_ONCE 20000u /* looked at in one call */
#define FILE_WAIT_S    3600
#define DAY_S          86400
#define DIRECTORIES    256u

struct ids {
	uint64_t ids[ROWS_AT_ONCE];
	size_t count;
};

/* Collects the first column of a statement, at most ROWS_AT_ONCE. */
static bool
collect(struct db_statement *select, struct ids *out, struct error *err)
{
	enum db_row row = DB_DONE;

	out->count = 0;
	while (out->count < ROWS_AT_ONCE && (row = db_step(select, err)) == DB_ROW) {
		out->ids[out->count++] = db_u64(select, 0);
	}
	return row != DB_FAILED;
}

static bool
run_with_id(struct store_txn *txn, const char *sql, uint64_t id, struct error *err)
{
	SCOPED(db_end) struct db_statement *statement = NULL;

	if (!store_prepare_write(txn, sql, &statement, err)) {
		return false;
	}
	db_bind_u64(statement, 1, id);
	return db_run(statement, err);
}

/* Readers of the feed below this modseq have to list anew (S3). */
static bool
raise_purged(struct store_txn *txn, uint64_t modseq, struct error *err)
{
	uint64_t purged;

	return store_meta_get_u64(txn, "purged", &purged, err) &&
	       (modseq <= purged || store_meta_set_u64(txn, "purged", modseq, err));
}

/* --- bodies --- */

static const char body_needed_sql[] =
	"SELECT 1 FROM message WHERE body = ?1 UNION ALL "
	"SELECT 1 FROM intent WHERE digest = (SELECT digest FROM body WHERE id = ?1) LIMIT 1";

static bool
is_needed(struct store_txn *txn, uint64_t id, bool *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, body_needed_sql, &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, id);
	enum db_row row = db_step(select, err);

	*out = row == DB_ROW;
	return row != DB_FAILED;
}

static bool
mark_file(struct store_txn *txn, uint64_t id, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	uint64_t running_s;

	if (!store_meta_get_u64(txn, "running_s", &running_s, err) ||
		!store_prepare_write(txn, "UPDATE body SET swept = ? WHERE id = ? AND swept IS NULL", &update, err)) {
		return false;
	}
	db_bind_u64(update, 1, running_s);
	db_bind_u64(update, 2, id);
	return db_run(update, err);
}

/* In a write: a row goes if it is not needed, a file is marked. */
static bool
sweep_body(struct store_txn *txn, uint64_t id, struct error *err)
{
	struct body body;
	bool needed;

	if (!is_needed(txn, id, &needed, err)) {
		return false;
	}
	if (needed) {
		return true;
	}
	if (!body_load(txn, id, &body, err)) {
		return err->kind == ERROR_GONE;
	}
	if (body.is_file) {
		return mark_file(txn, id, err);
	}
	body_verified_set(store_body_verified(store_of(txn)), id, false);
	return run_with_id(txn, "DELETE FROM body WHERE id = ?", id, err);
}

/* The second step, an hour later: the file first, for a row without a file heals, and a file without a row is found again. */
static bool
end_file(struct store_txn *txn, uint64_t id, struct error *err)
{
	char name[BODY_NAME_BYTES];
	struct body body;
	bool needed;

	if (!is_needed(txn, id, &needed, err) || !body_load(txn, id, &body, err)) {
		return err->kind == ERROR_GONE;
	}
	if (needed) {
		return run_with_id(txn, "UPDATE body SET swept = NULL WHERE id = ?", id, err);
	}
	body_file_name(&body.digest, name);
	body_verified_set(store_body_verified(store_of(txn)), id, false);
	return (!body.is_file || io_unlink(store_dir(store_of(txn)), name, err)) &&
	       run_with_id(txn, "DELETE FROM body WHERE id = ?", id, err);
}

/* Runs `each` on every id in a write of its own, giving way where others wait. */
static bool
write_each(struct store *store, const struct ids *ids,
	bool (*each)(struct store_txn *txn, uint64_t id, struct error *err), struct error *err)
{
	size_t done = 0;

	while (done < ids->count) {
		SCOPED(store_write_rollback) struct store_txn *txn = NULL;

		if (!store_write_begin(store, STORE_ENGINE, &txn, err)) {
			return false;
		}
		do {
			if (!each(txn, ids->ids[done], err)) {
				return false;
			}
			done++;
		} while (done < ids->count && !store_write_should_yield(txn));
		if (!store_write_commit(&txn, STORE_LAZY, err)) {
			return false;
		}
	}
	return true;
}

/* Looks at the next bodies in the order of their ids, beginning anew at the end; collects those that seem not to be needed. */
static bool
find_unneeded(struct store *store, struct ids *out, uint64_t *out_next, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(db_end) struct db_statement *select = NULL;
	uint64_t at, looked = 0;
	enum db_row row = DB_DONE;

	if (!store_read_begin(store, &txn, err) || !store_meta_get_u64(txn, "sweep_body", &at, err) ||
		!store_prepare(txn,
			"SELECT id, EXISTS (SELECT 1 FROM message WHERE body = b.id) FROM body b WHERE id > ? AND "
			"swept IS NULL ORDER BY id",
			&select, err)) {
		return false;
	}
	db_bind_u64(select, 1, at);
	out->count = 0;
	while (looked < BODIES_AT_ONCE && out->count < ROWS_AT_ONCE && (row = db_step(select, err)) == DB_ROW) {
		looked++;
		at = db_u64(select, 0);
		if (!db_bool(select, 1)) {
			out->ids[out->count++] = at;
		}
	}
	*out_next = row == DB_DONE ? 0 : at;
	return row != DB_FAILED;
}

static bool
set_progress(struct store *store, const char *key, uint64_t value, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	uint64_t before;

	return store_write_begin(store, STORE_ENGINE, &txn, err) && store_meta_get_u64(txn, key, &before, err) &&
	       (before == value || store_meta_set_u64(txn, key, value, err)) &&
	       store_write_commit(&txn, STORE_LAZY, err);
}

static bool
sweep_bodies(struct store *store, struct error *err)
{
	struct ids ids;
	uint64_t next;

	return find_unneeded(store, &ids, &next, err) && write_each(store, &ids, sweep_body, err) &&
	       set_progress(store, "sweep_body", next, err);
}

static bool
find_due_files(struct store *store, struct ids *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(db_end) struct db_statement *select = NULL;
	uint64_t running_s;

	if (!store_read_begin(store, &txn, err) || !store_meta_get_u64(txn, "running_s", &running_s, err) ||
		!store_prepare(txn, "SELECT id FROM body WHERE swept IS NOT NULL AND swept <= ?", &select, err)) {
		return false;
	}
	db_bind_i64(select, 1, (int64_t)running_s - FILE_WAIT_S);
	return collect(select, out, err);
}

static bool
end_files(struct store *store, struct error *err)
{
	struct ids ids;

	return find_due_files(store, &ids, err) && write_each(store, &ids, end_file, err);
}

/* --- files without a row --- */

struct orphans {
	struct store_txn *txn;
	unsigned directory;
	struct digest digests[ROWS_AT_ONCE];
	size_t count;
	struct error err;
};

static bool
note_orphan(void *context, const char *name)
{
	struct orphans *orphans = context;
	char hex[SHA256_HEX_BYTES];
	struct digest digest;
	struct body body;

	if (strlen(name) != SHA256_HEX_BYTES - 3) {
		return true;
	}
	(void)snprintf(hex, sizeof(hex), "%02x%s", orphans->directory, name);
	if (!digest_from_hex(slice_of(hex), &digest) || body_find(orphans->txn, &digest, &body, &orphans->err)) {
		return true;
	}
	if (orphans->err.kind != ERROR_GONE) {
		return false;
	}
	error_clear(&orphans->err);
	orphans->digests[orphans->count++] = digest;
	return orphans->count < ROWS_AT_ONCE;
}

static bool
find_orphans(struct store *store, struct orphans *orphans, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	char directory[sizeof("bodies/ab")];

	if (!store_read_begin(store, &txn, err)) {
		return false;
	}
	orphans->txn = txn;
	(void)snprintf(directory, sizeof(directory), "bodies/%02x", orphans->directory & 0xffu);
	if (!io_list(store_dir(store), directory, note_orphan, orphans, err)) {
		return err->kind == ERROR_GONE;
	}
	if (orphans->err.kind != ERROR_NONE) {
		*err = orphans->err;
		return false;
	}
	return true;
}

static bool
adopt_orphan(struct store_txn *txn, const struct digest *digest, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;
	uint64_t running_s;

	if (!store_meta_get_u64(txn, "running_s", &running_s, err) ||
		!store_prepare_write(txn,
			"INSERT INTO body (digest, raw, size, wire_size, damaged, swept) VALUES (?, 1, 0, 0, 1, ?) ON "
			"CONFLICT (digest) DO NOTHING",
			&insert, err)) {
		return false;
	}
	store_bind_digest(insert, 1, digest);
	db_bind_u64(insert, 2, running_s);
	return db_run(insert, err);
}

/* Looks at one of the directories in each call. */
static bool
sweep_orphans(struct store *store, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct orphans orphans = {0};
	uint64_t at;

	if (!store_write_begin(store, STORE_ENGINE, &txn, err) ||
		!store_meta_get_u64(txn, "sweep_directory", &at, err)) {
		return false;
	}
	store_write_rollback(&txn);
	orphans.directory = (unsigned)(at % DIRECTORIES);
	if (!find_orphans(store, &orphans, err) ||
		!set_progress(store, "sweep_directory", (at + 1) % DIRECTORIES, err)) {
		return false;
	}
	if (orphans.count == 0) {
		return true;
	}
	if (!store_write_begin(store, STORE_ENGINE, &txn, err)) {
		return false;
	}
	for (size_t i = 0; i < orphans.count; i++) {
		if (!adopt_orphan(txn, &orphans.digests[i], err)) {
			return false;
		}
	}
	return store_write_commit(&txn, STORE_LAZY, err);
}

/* --- tombstones and traces --- */

static bool
find_tombstones(struct store *store, int64_t before_s, struct ids *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_read_begin(store, &txn, err) ||
		!store_prepare(txn,
			"SELECT number FROM message m WHERE expunged IS NOT NULL AND expunged < ? "
			"AND NOT EXISTS (SELECT 1 FROM base_message b WHERE b.number = m.number) "
			"AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.number = m.number) "
			"AND NOT EXISTS (SELECT 1 FROM hold_message h JOIN hold ON hold.id = h.hold WHERE h.number = "
			"m.number AND hold.state = 0)",
			&select, err)) {
		return false;
	}
	db_bind_i64(select, 1, before_s);
	return collect(select, out, err);
}

/* With its body, if nobody else needs that. It may have been revived since it was found. */
static bool
purge_tombstone(struct store_txn *txn, uint64_t number, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	uint64_t modseq, body;

	if (!store_prepare(
		    txn, "SELECT modseq, body FROM message WHERE number = ? AND expunged IS NOT NULL", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, number);
	enum db_row row = db_step(select, err);

	if (row != DB_ROW) {
		return row == DB_DONE;
	}
	modseq = db_u64(select, 0);
	body = db_u64(select, 1);
	db_end(&select);
	return run_with_id(txn, "DELETE FROM message WHERE number = ?", number, err) &&
	       raise_purged(txn, modseq, err) && (body == 0 || sweep_body(txn, body, err));
}

/* Traces lie in the order of time. One stays as long as a remote has not heard of what ended there. */
static bool
find_traces(struct store *store, int64_t before_s, struct ids *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row = DB_DONE;

	if (!store_read_begin(store, &txn, err) || !store_prepare(txn,
							   "SELECT modseq, time, EXISTS (SELECT 1 FROM base_mailbox b "
							   "WHERE b.mailbox = t.mailbox AND b.merged < t.modseq) "
							   "FROM trace t ORDER BY modseq",
							   &select, err)) {
		return false;
	}
	out->count = 0;
	while (out->count < ROWS_AT_ONCE && (row = db_step(select, err)) == DB_ROW) {
		if (db_i64(select, 1) >= before_s || db_bool(select, 2)) {
			break;
		}
		out->ids[out->count++] = db_u64(select, 0);
	}
	return row != DB_FAILED;
}

static bool
purge_trace(struct store_txn *txn, uint64_t modseq, struct error *err)
{
	return run_with_id(txn, "DELETE FROM trace WHERE modseq = ?", modseq, err) && raise_purged(txn, modseq, err);
}

static bool
find_locals(struct store *store, int64_t before_s, struct ids *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_read_begin(store, &txn, err) ||
		!store_prepare(txn, "SELECT id FROM local WHERE expunged IS NOT NULL AND expunged < ?", &select, err)) {
		return false;
	}
	db_bind_i64(select, 1, before_s);
	return collect(select, out, err);
}

static bool
purge_local(struct store_txn *txn, uint64_t id, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT modseq FROM local WHERE id = ? AND expunged IS NOT NULL", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, id);
	enum db_row row = db_step(select, err);

	if (row != DB_ROW) {
		return row == DB_DONE;
	}
	uint64_t modseq = db_u64(select, 0);

	return run_with_id(txn, "DELETE FROM local WHERE id = ?", id, err) && raise_purged(txn, modseq, err);
}

static bool
purge_old(struct store *store, int64_t before_s, struct error *err)
{
	struct ids ids;

	return find_tombstones(store, before_s, &ids, err) && write_each(store, &ids, purge_tombstone, err) &&
	       find_traces(store, before_s, &ids, err) && write_each(store, &ids, purge_trace, err) &&
	       find_locals(store, before_s, &ids, err) && write_each(store, &ids, purge_local, err);
}

/* --- spools that a crash left --- */

struct leftovers {
	struct store_txn *txn;
	struct buf names; /* each ended by a NUL */
	struct error err;
};

static void
leftovers_finish(struct leftovers *leftovers)
{
	buf_finish(&leftovers->names);
}

static bool
is_referred_to(struct store_txn *txn, const char *sql, const char *name, uint64_t id, bool *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, sql, &select, err)) {
		return false;
	}
	if (name != NULL) {
		db_bind_text(select, 1, slice_of(name));
	} else {
		db_bind_u64(select, 1, id);
	}
	enum db_row row = db_step(select, err);

	*out = row == DB_ROW;
	return row != DB_FAILED;
}

/* Only names that are ours to give: l and a number, or 32 hexadecimal digits. */
static bool
note_leftover(void *context, const char *name)
{
	struct leftovers *leftovers = context;
	struct slice digits = slice_of(name);
	char path[64];
	uint64_t id = 0;
	bool wanted = true;

	if (digits.length > 1 && digits.length < 20 && name[0] == 'l' && slice_to_u64(slice_skip(digits, 1), &id) &&
		id <= INT64_MAX) {
		if (!is_referred_to(leftovers->txn, "SELECT 1 FROM local WHERE id = ? AND expunged IS NULL", NULL, id,
			    &wanted, &leftovers->err)) {
			return false;
		}
	} else if (digits.length == 32 && strspn(name, "0123456789abcdef") == 32) {
		(void)snprintf(path, sizeof(path), "spool/%.32s", name);
		if (!is_referred_to(leftovers->txn, "SELECT 1 FROM pending WHERE file = ?", path, 0, &wanted,
			    &leftovers->err)) {
			return false;
		}
	}
	if (!wanted) {
		buf_append(&leftovers->names, slice_make(name, digits.length + 1));
	}
	return true;
}

/* What io_replace_file had begun to write. */
static bool
note_replacement(void *context, const char *name)
{
	struct leftovers *leftovers = context;
	struct slice text = slice_of(name);

	if (slice_has_prefix(text, SLICE_LITERAL("marks.")) && slice_has_suffix(text, SLICE_LITERAL(".new"))) {
		buf_append(&leftovers->names, slice_make(name, text.length + 1));
	}
	return true;
}

static bool
remove_leftovers(struct store *store, const char *directory, struct leftovers *leftovers, struct error *err)
{
	if (leftovers->err.kind != ERROR_NONE) {
		*err = leftovers->err;
		return false;
	}
	for (size_t at = 0; at < leftovers->names.length; at += strlen(leftovers->names.data + at) + 1) {
		SCOPED(buf_finish) struct buf path = BUF_INIT;

		buf_printf(&path, "%s%s", directory, leftovers->names.data + at);
		log_info("store", "event=leftover-removed file=%s", path.data);
		if (!io_unlink(store->dir, path.data, err)) {
			return false;
		}
	}
	buf_clear(&leftovers->names);
	return true;
}

bool
store_sweep_leftovers(struct store *store, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(leftovers_finish) struct leftovers leftovers = {0};

	if (!store_read_begin(store, &txn, err)) {
		return false;
	}
	leftovers.txn = txn;
	return io_list(store->dir, "spool", note_leftover, &leftovers, err) &&
	       remove_leftovers(store, "spool/", &leftovers, err) &&
	       io_list(store->dir, "", note_replacement, &leftovers, err) &&
	       remove_leftovers(store, "", &leftovers, err);
}

bool
store_maintain(struct store *store, unsigned undelete_days, struct error *err)
{
	int64_t before_s = io_wall_s(store->io) - (int64_t)undelete_days * DAY_S;

	if (!purge_old(store, before_s, err) || !sweep_bodies(store, err) || !end_files(store, err) ||
		!sweep_orphans(store, err) || !store_sweep_packs(store, err) ||
		!store_log_checkpoint(store, true, err)) {
		return error_wrap(err, "the store's upkeep");
	}
	return true;
}
