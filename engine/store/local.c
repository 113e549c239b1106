/* Local names. One that is moved or removed leaves a tombstone at its old place, so that the feed tells of it. */
#include "engine/store/local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/store/store_internal.h"

#define COLUMNS       "id, parent_kind, parent, name, kind, size, mode, mtime_ns, ctime_ns, target, error, closed_ns"
#define FILE_NAME_MAX 255
#define TARGET_MAX    4095

void
local_finish(struct local *local)
{
	if (local == NULL) {
		return;
	}
	free(local->name);
	free(local->target);
	free(local->error);
	local->name = local->target = local->error = NULL;
}

void
local_file_name(struct number id, char out[32])
{
	(void)snprintf(out, 32, "spool/l%llu", (unsigned long long)id.value);
}

/* --- reading --- */

static struct local
read_row(const struct db_statement *row)
{
	return (struct local){
		.id = {db_u64(row, 0)},
		.parent_kind = db_u32(row, 1),
		.parent = db_u64(row, 2),
		.name = store_read_text(row, 3),
		.kind = db_u32(row, 4),
		.size_bytes = db_u64(row, 5),
		.mode = db_u32(row, 6),
		.mtime_ns = db_i64(row, 7),
		.ctime_ns = db_i64(row, 8),
		.target = store_read_text(row, 9),
		.error = store_read_text(row, 10),
		.closed_ns = db_i64(row, 11),
	};
}

static bool
load_row(struct db_statement *select, struct local *out, struct error *err)
{
	switch (db_step(select, err)) {
	case DB_ROW:
		*out = read_row(select);
		return true;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "there is no such local file");
	case DB_FAILED:
		break;
	}
	return false;
}

bool
local_load(struct store_txn *txn, struct number id, struct local *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT " COLUMNS " FROM local WHERE id = ? AND expunged IS NULL", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, id.value);
	return load_row(select, out, err);
}

bool
local_load_by_name(struct store_txn *txn, enum local_parent parent_kind, uint64_t parent, struct slice name,
	struct local *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT " COLUMNS
		    " FROM local WHERE parent_kind = ? AND parent = ? AND name = ? AND expunged IS NULL",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, parent_kind);
	db_bind_u64(select, 2, parent);
	db_bind_blob(select, 3, name);
	return load_row(select, out, err);
}

static bool
each_row(struct db_statement *select, bool (*each)(void *context, const struct local *local), void *context,
	struct error *err)
{
	enum db_row row;

	while ((row = db_step(select, err)) == DB_ROW) {
		SCOPED(local_finish) struct local local = read_row(select);

		if (!each(context, &local)) {
			return true;
		}
	}
	return row == DB_DONE;
}

bool
local_each(struct store_txn *txn, enum local_parent parent_kind, uint64_t parent, uint64_t after,
	bool (*each)(void *context, const struct local *local), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT " COLUMNS
		    " FROM local WHERE parent_kind = ? AND parent = ? AND id > ? AND expunged IS NULL ORDER BY id",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, parent_kind);
	db_bind_u64(select, 2, parent);
	db_bind_u64(select, 3, after);
	return each_row(select, each, context, err);
}

bool
local_each_file(
	struct store_txn *txn, bool (*each)(void *context, const struct local *local), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	return store_prepare(txn, "SELECT " COLUMNS " FROM local WHERE kind = 0 AND expunged IS NULL ORDER BY id",
		       &select, err) &&
	       each_row(select, each, context, err);
}

/* --- writing --- */

bool
local_is_below_mailbox(enum local_parent parent_kind, uint64_t parent)
{
	return parent_kind == LOCAL_IN_MAILBOX ||
	       (parent_kind >= LOCAL_IN_MAILDIR && parent_kind < LOCAL_PARENT_COUNT && parent != 0);
}

/* The directory that holds the name has changed. What goes on in tmp is nothing that who reads the mailbox looks for. */
static bool
touch_parent(struct store_txn *txn, enum local_parent parent_kind, uint64_t parent, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	SCOPED(db_end) struct db_statement *update = NULL;
	const char *key = parent_kind == LOCAL_IN_SCRATCH ? "scratch_changed_ns" : "tree_changed_ns";
	uint64_t last_ns;

	if (parent_kind == LOCAL_IN_TMP) {
		return true;
	}
	if (local_is_below_mailbox(parent_kind, parent)) {
		/* The mailbox may have ended before its local names were brought out of it. */
		return store_touch(txn, (struct mailbox_id){(uint32_t)parent}, err) || err->kind == ERROR_GONE;
	}
	if (parent_kind != LOCAL_IN_DIRECTORY) {
		return store_meta_get_u64(txn, key, &last_ns, err) &&
		       store_meta_set_u64(txn, key, (uint64_t)store_next_changed_ns(txn, (int64_t)last_ns), err);
	}
	if (!store_prepare(txn, "SELECT mtime_ns FROM local WHERE id = ?", &select, err) ||
		!store_prepare_write(txn, "UPDATE local SET mtime_ns = ?1, ctime_ns = ?1, modseq = ?2 WHERE id = ?3",
			&update, err)) {
		return false;
	}
	db_bind_u64(select, 1, parent);
	enum db_row row = db_step(select, err);

	if (row != DB_ROW) {
		return row == DB_DONE;
	}
	db_bind_i64(update, 1, store_next_changed_ns(txn, db_i64(select, 0)));
	db_bind_u64(update, 2, store_next_modseq(txn).value);
	db_bind_u64(update, 3, parent);
	return db_run(update, err);
}

/* Checks that a name may be made in that place, and that the place is there. */
static bool
check_place(struct store_txn *txn, enum local_parent parent_kind, uint64_t parent, struct slice name, struct error *err)
{
	SCOPED(local_finish) struct local there = {0};
	SCOPED(local_finish) struct local directory = {0};
	struct store_counters *ignored;

	if (name.length == 0 || name.length > FILE_NAME_MAX || slice_find(name, '/') < name.length ||
		slice_find(name, '\0') < name.length || slice_equal(name, SLICE_LITERAL(".")) ||
		slice_equal(name, SLICE_LITERAL(".."))) {
		return error_set(err, ERROR_INVALID, "this can be no file name");
	}
	if (local_load_by_name(txn, parent_kind, parent, name, &there, err)) {
		return error_set(err, ERROR_EXISTS, "there is a local file %s already", there.name);
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	if (local_is_below_mailbox(parent_kind, parent)) {
		return parent <= UINT32_MAX &&
		       store_counters(txn, (struct mailbox_id){(uint32_t)parent}, &ignored, err);
	}
	if (parent_kind == LOCAL_IN_DIRECTORY) {
		return local_load(txn, (struct number){parent}, &directory, err) &&
		       (directory.kind == LOCAL_DIRECTORY ||
			       error_set(err, ERROR_INVALID, "%s is no directory", directory.name));
	}
	return true;
}

static bool
insert_row(
	struct store_txn *txn, const struct local *local, struct modseq modseq, int64_t expunged_s, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;

	if (!store_prepare_write(txn,
		    "INSERT INTO local (id, parent_kind, parent, name, kind, size, mode, mtime_ns, ctime_ns, target, "
		    "error, closed_ns, modseq, "
		    "expunged) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    &insert, err)) {
		return false;
	}
	db_bind_u64(insert, 1, local->id.value);
	db_bind_u64(insert, 2, local->parent_kind);
	db_bind_u64(insert, 3, local->parent);
	db_bind_blob(insert, 4, slice_of(local->name));
	db_bind_u64(insert, 5, local->kind);
	db_bind_u64(insert, 6, local->size_bytes);
	db_bind_u64(insert, 7, local->mode);
	db_bind_i64(insert, 8, local->mtime_ns);
	db_bind_i64(insert, 9, local->ctime_ns);
	db_bind_blob_or_null(insert, 10, slice_of(local->target));
	store_bind_text(insert, 11, local->error);
	if (local->closed_ns != 0) {
		db_bind_i64(insert, 12, local->closed_ns);
	}
	db_bind_u64(insert, 13, modseq.value);
	if (expunged_s != 0) {
		db_bind_i64(insert, 14, expunged_s);
	}
	return db_run(insert, err);
}

bool
local_create(struct store_txn *txn, const struct local *new, struct number *out, struct error *err)
{
	struct local local = *new;

	if (slice_of(new->target).length > TARGET_MAX) {
		return error_set(err, ERROR_INVALID, "the target of a symbolic link is too long");
	}
	if (!check_place(txn, new->parent_kind, new->parent, slice_of(new->name), err) ||
		(local.id.value == 0 && !store_next_number(txn, &local.id, err))) {
		return false;
	}
	if (new->parent_kind == LOCAL_IN_MAILBOX) {
		store_note_given(txn, slice_of(new->name));
	}
	if (!insert_row(txn, &local, store_next_modseq(txn), 0, err) ||
		!touch_parent(txn, new->parent_kind, new->parent, err)) {
		return false;
	}
	*out = local.id;
	return true;
}

bool
local_update(struct store_txn *txn, const struct local *local, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn,
		    "UPDATE local SET size = ?, mode = ?, mtime_ns = ?, ctime_ns = ?, error = ?, closed_ns = ?, modseq "
		    "= ? "
		    "WHERE id = ? AND expunged IS NULL",
		    &update, err)) {
		return false;
	}
	db_bind_u64(update, 1, local->size_bytes);
	db_bind_u64(update, 2, local->mode);
	db_bind_i64(update, 3, local->mtime_ns);
	db_bind_i64(update, 4, local->ctime_ns);
	store_bind_text(update, 5, local->error);
	if (local->closed_ns != 0) {
		db_bind_i64(update, 6, local->closed_ns);
	}
	db_bind_u64(update, 7, store_next_modseq(txn).value);
	db_bind_u64(update, 8, local->id.value);
	if (!db_run(update, err)) {
		return false;
	}
	return db_changes(store_db(txn)) > 0 || error_set(err, ERROR_GONE, "there is no such local file");
}

/* A tombstone with a number of its own where a name was. */
static bool
leave_tombstone(struct store_txn *txn, const struct local *old, struct error *err)
{
	struct local tombstone = *old;

	return store_next_number(txn, &tombstone.id, err) &&
	       insert_row(txn, &tombstone, store_next_modseq(txn), store_wall_s(txn), err);
}

/* Tells whether the directory `id` is, or holds, the directory `inside`. */
static bool
is_above(struct store_txn *txn, struct number id, enum local_parent parent_kind, uint64_t inside, bool *out,
	struct error *err)
{
	*out = false;
	while (parent_kind == LOCAL_IN_DIRECTORY && !*out) {
		SCOPED(local_finish) struct local directory = {0};

		*out = inside == id.value;
		if (!local_load(txn, (struct number){inside}, &directory, err)) {
			return false;
		}
		parent_kind = directory.parent_kind;
		inside = directory.parent;
	}
	return true;
}

bool
local_move(struct store_txn *txn, struct number id, enum local_parent parent_kind, uint64_t parent, struct slice name,
	struct error *err)
{
	SCOPED(local_finish) struct local old = {0};
	SCOPED(db_end) struct db_statement *update = NULL;
	bool above;

	if (!local_load(txn, id, &old, err)) {
		return false;
	}
	if (old.parent_kind == parent_kind && old.parent == parent && slice_equal(slice_of(old.name), name)) {
		return true;
	}
	if (!check_place(txn, parent_kind, parent, name, err) || !is_above(txn, id, parent_kind, parent, &above, err)) {
		return false;
	}
	if (above) {
		return error_set(err, ERROR_INVALID, "the directory %s cannot be moved below itself", old.name);
	}
	if (!leave_tombstone(txn, &old, err) ||
		!store_prepare_write(txn,
			"UPDATE local SET parent_kind = ?, parent = ?, name = ?, ctime_ns = ?, modseq = ? WHERE id = ?",
			&update, err)) {
		return false;
	}
	if (parent_kind == LOCAL_IN_MAILBOX) {
		store_note_given(txn, name);
	}
	db_bind_u64(update, 1, parent_kind);
	db_bind_u64(update, 2, parent);
	db_bind_blob(update, 3, name);
	db_bind_i64(update, 4, store_next_changed_ns(txn, old.ctime_ns));
	db_bind_u64(update, 5, store_next_modseq(txn).value);
	db_bind_u64(update, 6, id.value);
	return db_run(update, err) && touch_parent(txn, old.parent_kind, old.parent, err) &&
	       touch_parent(txn, parent_kind, parent, err);
}

static bool
note_child(void *context, const struct local *local)
{
	*(bool *)context = true;
	return false;
}

bool
local_expunge(struct store_txn *txn, struct number id, struct error *err)
{
	SCOPED(local_finish) struct local local = {0};
	SCOPED(db_end) struct db_statement *update = NULL;
	bool children = false;

	if (!local_load(txn, id, &local, err) ||
		(local.kind == LOCAL_DIRECTORY &&
			!local_each(txn, LOCAL_IN_DIRECTORY, id.value, 0, note_child, &children, err))) {
		return false;
	}
	if (children) {
		(void)error_set(err, ERROR_REFUSED, "the directory %s is not empty", local.name);
		err->sys_errno = ENOTEMPTY;
		return false;
	}
	if (!store_prepare_write(txn, "UPDATE local SET expunged = ?, modseq = ? WHERE id = ?", &update, err)) {
		return false;
	}
	db_bind_i64(update, 1, store_wall_s(txn));
	db_bind_u64(update, 2, store_next_modseq(txn).value);
	db_bind_u64(update, 3, id.value);
	return db_run(update, err) && touch_parent(txn, local.parent_kind, local.parent, err);
}
