/* Writes that are durable and no message yet. */
#include <stdlib.h>

#include "engine/store/local.h"
#include "engine/store/store_internal.h"

void
pending_finish(struct pending *pending)
{
	if (pending == NULL) {
		return;
	}
	free(pending->name);
	free(pending->file);
	free((char *)pending->data.data);
	pending->name = pending->file = NULL;
	pending->data = slice_of(NULL);
}

bool
pending_put(struct store_txn *txn, struct pending *pending, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;

	if (!store_prepare_write(txn,
		    "INSERT OR REPLACE INTO pending (id, mailbox, name, replaces, mtime, file, data, dirty, killed) "
		    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    &insert, err)) {
		return false;
	}
	db_bind_u64_or_null(insert, 1, pending->id);
	db_bind_u64(insert, 2, pending->mailbox.value);
	db_bind_blob(insert, 3, slice_of(pending->name));
	db_bind_u64(insert, 4, pending->replaces.value);
	if (pending->mtime_s != INT64_MIN) {
		db_bind_i64(insert, 5, pending->mtime_s);
	}
	store_bind_text(insert, 6, pending->file);
	if (pending->file == NULL) {
		db_bind_blob(insert, 7, pending->data);
	}
	db_bind_bool(insert, 8, pending->dirty);
	db_bind_bool(insert, 9, pending->killed);
	if (!db_run(insert, err)) {
		return error_wrap(err, "a write that is not finished");
	}
	if (pending->id == 0) {
		pending->id = db_last_rowid(store_db(txn));
	}
	return true;
}

bool
pending_remove(struct store_txn *txn, uint64_t id, struct error *err)
{
	SCOPED(db_end) struct db_statement *remove = NULL;

	if (!store_prepare_write(txn, "DELETE FROM pending WHERE id = ?", &remove, err)) {
		return false;
	}
	db_bind_u64(remove, 1, id);
	return db_run(remove, err);
}

bool
pending_set_dirty(struct store_txn *txn, uint64_t id, bool dirty, bool killed, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn, "UPDATE pending SET dirty = ?, killed = ? WHERE id = ?", &update, err)) {
		return false;
	}
	db_bind_bool(update, 1, dirty);
	db_bind_bool(update, 2, killed);
	db_bind_u64(update, 3, id);
	return db_run(update, err);
}

static struct pending
read_row(const struct db_statement *row)
{
	struct slice data = db_blob(row, 6);
	struct pending pending = {
		.id = db_u64(row, 0),
		.mailbox = {db_u32(row, 1)},
		.name = store_read_text(row, 2),
		.replaces = {db_u64(row, 3)},
		.mtime_s = db_is_null(row, 4) ? INT64_MIN : db_i64(row, 4),
		.file = store_read_text(row, 5),
		.dirty = db_bool(row, 7),
		.killed = db_bool(row, 8),
	};

	if (pending.file == NULL) {
		pending.data = slice_make(slice_dup(data), data.length);
	}
	return pending;
}

bool
pending_each(struct store_txn *txn, bool (*each)(void *context, const struct pending *pending), void *context,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row;

	if (!store_prepare(txn,
		    "SELECT id, mailbox, name, replaces, mtime, file, data, dirty, killed FROM pending ORDER BY id",
		    &select, err)) {
		return false;
	}
	while ((row = db_step(select, err)) == DB_ROW) {
		SCOPED(pending_finish) struct pending pending = read_row(select);

		if (!each(context, &pending)) {
			return true;
		}
	}
	return row == DB_DONE;
}
