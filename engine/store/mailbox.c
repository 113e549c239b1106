#include "engine/store/mailbox.h"

#include <stdlib.h>

#include "engine/mail/mailbox_name.h"
#include "engine/mail/safe_text.h"
#include "engine/store/store_internal.h"

#define COLUMNS                                                                                                       \
	"id, guid, name, kind, role, uidvalidity, uidnext, subscribed, read_only, listed, opened, messages, modseq, " \
	"changed_ns, expunged"

void
mailbox_finish(struct mailbox *mailbox)
{
	if (mailbox == NULL) {
		return;
	}
	free(mailbox->name);
	free(mailbox->role);
	mailbox->name = mailbox->role = NULL;
}

/* --- reading --- */

static struct mailbox
read_row(struct store_txn *txn, const struct db_statement *row)
{
	struct slice guid = db_blob(row, 1);
	struct mailbox mailbox = {
		.id = {db_u32(row, 0)},
		.name = store_read_text(row, 2),
		.kind = db_u32(row, 3),
		.role = store_read_text(row, 4),
		.uidvalidity = db_u32(row, 5),
		.uidnext = db_u32(row, 6),
		.subscribed = db_bool(row, 7),
		.read_only = db_bool(row, 8),
		.listed = db_bool(row, 9),
		.opened_s = db_i64(row, 10),
		.messages = db_u32(row, 11),
		.modseq = {db_u64(row, 12)},
		.changed_ns = db_i64(row, 13),
		.expunged_s = db_i64(row, 14),
	};
	const struct store_counters *counters = store_counters_peek(txn, mailbox.id);

	if (guid.length == sizeof(mailbox.guid.bytes)) {
		memcpy(mailbox.guid.bytes, guid.data, guid.length);
	}
	if (counters != NULL) { /* this transaction knows better */
		mailbox.uidnext = counters->uidnext;
		mailbox.messages = counters->messages;
		mailbox.changed_ns = counters->changed_ns;
	}
	return mailbox;
}

static bool
read_only_row(struct store_txn *txn, struct db_statement *select, struct mailbox *out, struct error *err)
{
	switch (db_step(select, err)) {
	case DB_ROW:
		*out = read_row(txn, select);
		return true;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "there is no such mailbox");
	case DB_FAILED:
		break;
	}
	return false;
}

bool
mailbox_load(struct store_txn *txn, struct mailbox_id id, struct mailbox *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT " COLUMNS " FROM mailbox WHERE id = ?", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, id.value);
	return read_only_row(txn, select, out, err);
}

bool
mailbox_load_by_name(struct store_txn *txn, struct slice name, struct mailbox *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT " COLUMNS " FROM mailbox WHERE name = ? AND expunged IS NULL", &select, err)) {
		return false;
	}
	db_bind_text(select, 1, name);
	return read_only_row(txn, select, out, err);
}

static bool
each_row(struct store_txn *txn, struct db_statement *select, struct slice prefix, bool children,
	bool (*each)(void *context, const struct mailbox *mailbox, struct error *err), void *context, struct error *err)
{
	enum db_row row;

	while ((row = db_step(select, err)) == DB_ROW) {
		if (children) {
			struct slice leaf = slice_skip(db_text(select, 2), prefix.length);

			if (slice_find(leaf, '/') < leaf.length) {
				continue; /* further below */
			}
		}
		SCOPED(mailbox_finish) struct mailbox mailbox = read_row(txn, select);

		error_clear(err);
		if (!each(context, &mailbox, err)) {
			return err->kind == ERROR_NONE;
		}
	}
	return row == DB_DONE;
}

bool
mailbox_each(struct store_txn *txn, bool with_tombstones,
	bool (*each)(void *context, const struct mailbox *mailbox, struct error *err), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	const char *sql = with_tombstones ? "SELECT " COLUMNS " FROM mailbox ORDER BY name, id"
					  : "SELECT " COLUMNS " FROM mailbox WHERE expunged IS NULL ORDER BY name";

	return store_prepare(txn, sql, &select, err) && each_row(txn, select, slice_of(""), false, each, context, err);
}

/* Appends the bounds between which all names below `parent` lie: "parent/" and "parent0", for 0 follows the slash. */
static void
subtree_bounds(struct slice parent, struct buf *low, struct buf *high)
{
	if (parent.length > 0) {
		buf_append(low, parent);
		buf_append_octet(low, '/');
		buf_append(high, parent);
		buf_append_octet(high, '/' + 1);
	} else {
		buf_append_octet(high, '\xff'); /* above all UTF-8 */
	}
}

bool
mailbox_each_child(struct store_txn *txn, struct slice parent,
	bool (*each)(void *context, const struct mailbox *mailbox, struct error *err), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	SCOPED(buf_finish) struct buf low = BUF_INIT;
	SCOPED(buf_finish) struct buf high = BUF_INIT;

	if (!store_prepare(txn,
		    "SELECT " COLUMNS " FROM mailbox WHERE expunged IS NULL AND name > ? AND name < ? ORDER BY name",
		    &select, err)) {
		return false;
	}
	subtree_bounds(parent, &low, &high);
	db_bind_text(select, 1, buf_slice(&low));
	db_bind_text(select, 2, buf_slice(&high));
	return each_row(txn, select, buf_slice(&low), true, each, context, err);
}

/* --- names --- */

static bool
check_name(struct slice name, struct error *err)
{
	size_t levels = 1;

	if (name.length == 0 || name.length > MAILBOX_NAME_MAX || !safe_text_is_utf8(name) ||
		slice_find(name, '\0') < name.length) {
		return error_set(err, ERROR_INVALID, "this can be no name of a mailbox");
	}
	for (size_t i = 0; i < name.length; i++) {
		if (name.data[i] != '/') {
			continue;
		}
		levels++;
		if (i == 0 || i + 1 == name.length || name.data[i + 1] == '/') {
			return error_set(err, ERROR_INVALID, "a mailbox's name has an empty level: %.*s",
				(int)name.length, name.data);
		}
	}
	return levels <= MAILBOX_DEPTH_MAX ||
	       error_set(err, ERROR_INVALID, "a mailbox would lie more than %d levels deep", MAILBOX_DEPTH_MAX);
}

/* Finds a live mailbox of that name, or below it: *out_found. */
static bool
is_taken(struct store_txn *txn, struct slice name, bool *out_found, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	SCOPED(buf_finish) struct buf low = BUF_INIT;
	SCOPED(buf_finish) struct buf high = BUF_INIT;

	if (!store_prepare(txn,
		    "SELECT 1 FROM mailbox WHERE expunged IS NULL AND name = ? UNION ALL "
		    "SELECT 1 FROM mailbox WHERE expunged IS NULL AND name > ? AND name < ? LIMIT 1",
		    &select, err)) {
		return false;
	}
	subtree_bounds(name, &low, &high);
	db_bind_text(select, 1, name);
	db_bind_text(select, 2, buf_slice(&low));
	db_bind_text(select, 3, buf_slice(&high));
	enum db_row row = db_step(select, err);

	*out_found = row == DB_ROW;
	return row != DB_FAILED;
}

/* The directory that holds `name` has changed: a mailbox, or the top, whose time is meta tree_changed_ns. */
bool
mailbox_touch_parent(struct store_txn *txn, struct slice name, struct error *err)
{
	struct slice parent = mailbox_name_parent(name);
	SCOPED(mailbox_finish) struct mailbox mailbox = {0};
	uint64_t last_ns;

	if (parent.length > 0) {
		if (mailbox_load_by_name(txn, parent, &mailbox, err)) {
			return store_touch(txn, mailbox.id, err);
		}
		return err->kind == ERROR_GONE;
	}
	if (!store_meta_get_u64(txn, "tree_changed_ns", &last_ns, err)) {
		return false;
	}
	return store_meta_set_u64(txn, "tree_changed_ns", (uint64_t)store_next_changed_ns(txn, (int64_t)last_ns), err);
}

/* --- making --- */

/* Ours rises with the clock, and never comes back. */
static bool
next_uidvalidity(struct store_txn *txn, uint32_t *out, struct error *err)
{
	uint64_t last, now_s = store_wall_s(txn) > 0 ? (uint64_t)store_wall_s(txn) : 1;

	if (!store_meta_get_u64(txn, "uidvalidity", &last, err)) {
		return false;
	}
	uint64_t next = now_s > last ? now_s : last + 1;

	if (next > UINT32_MAX) {
		next = last < UINT32_MAX ? last + 1 : 1;
	}
	*out = (uint32_t)next;
	return store_meta_set_u64(txn, "uidvalidity", next, err);
}

static bool
insert_row(struct store_txn *txn, struct slice name, enum mailbox_kind kind, const char *role, struct mailbox_id *out,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;
	struct mailbox_guid guid;
	uint32_t uidvalidity;

	if (!next_uidvalidity(txn, &uidvalidity, err) ||
		!store_prepare_write(txn,
			"INSERT INTO mailbox (guid, name, kind, role, uidvalidity, modseq, changed_ns) VALUES (?, ?, "
			"?, ?, ?, ?, ?)",
			&insert, err)) {
		return false;
	}
	io_random(store_io(store_of(txn)), guid.bytes, sizeof(guid.bytes));
	db_bind_blob(insert, 1, slice_make(guid.bytes, sizeof(guid.bytes)));
	db_bind_text(insert, 2, name);
	db_bind_u64(insert, 3, kind);
	store_bind_text(insert, 4, role);
	db_bind_u64(insert, 5, uidvalidity);
	db_bind_u64(insert, 6, store_next_modseq(txn).value);
	db_bind_i64(insert, 7, store_next_changed_ns(txn, 0));
	if (!db_run(insert, err)) {
		return false;
	}
	uint64_t id = db_last_rowid(store_db(txn));

	if (id > UINT32_MAX) {
		return error_set(err, ERROR_FATAL, "the store has used all its mailbox numbers");
	}
	*out = (struct mailbox_id){(uint32_t)id};
	return true;
}

/* Makes the levels above `name` that are missing. */
static bool
make_parents(struct store_txn *txn, struct slice name, struct error *err)
{
	for (size_t i = 0; i < name.length; i++) {
		SCOPED(mailbox_finish) struct mailbox parent = {0};
		struct slice level = slice_head(name, i);
		struct mailbox_id id;

		if (name.data[i] != '/' || mailbox_load_by_name(txn, level, &parent, err)) {
			continue;
		}
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		if (!insert_row(txn, level, MAILBOX_DIRECTORY, NULL, &id, err) ||
			!mailbox_touch_parent(txn, level, err)) {
			return false;
		}
	}
	return true;
}

bool
mailbox_create(struct store_txn *txn, struct slice name, enum mailbox_kind kind, const char *role,
	struct mailbox_id *out, struct error *err)
{
	SCOPED(mailbox_finish) struct mailbox there = {0};

	if (!check_name(name, err)) {
		return false;
	}
	if (mailbox_load_by_name(txn, name, &there, err)) {
		return error_set(err, ERROR_EXISTS, "there is a mailbox %s already", there.name);
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return make_parents(txn, name, err) && insert_row(txn, name, kind, role, out, err) &&
	       mailbox_touch_parent(txn, name, err);
}

/* --- renaming --- */

static bool
leave_trace(struct store_txn *txn, struct mailbox_id id, struct slice name, struct modseq modseq, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;

	if (!store_prepare_write(txn, "INSERT INTO trace (modseq, number, mailbox, name, time) VALUES (?, 0, ?, ?, ?)",
		    &insert, err)) {
		return false;
	}
	db_bind_u64(insert, 1, modseq.value);
	db_bind_u64(insert, 2, id.value);
	db_bind_text(insert, 3, name);
	db_bind_i64(insert, 4, store_wall_s(txn));
	return db_run(insert, err);
}

static bool
rename_row(struct store_txn *txn, const struct mailbox *mailbox, struct slice new_name, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	struct modseq modseq = store_next_modseq(txn);

	if (!leave_trace(txn, mailbox->id, slice_of(mailbox->name), modseq, err) ||
		!store_prepare_write(txn, "UPDATE mailbox SET name = ?, modseq = ? WHERE id = ?", &update, err)) {
		return false;
	}
	db_bind_text(update, 1, new_name);
	db_bind_u64(update, 2, modseq.value);
	db_bind_u64(update, 3, mailbox->id.value);
	return db_run(update, err);
}

struct ids {
	struct mailbox_id *ids;
	size_t count, capacity;
};

static void
ids_finish(struct ids *ids)
{
	free(ids->ids);
}

/* Collects the live mailboxes below a name: rows must not change under the statement that reads them. */
static bool
collect_below(struct store_txn *txn, struct slice name, struct ids *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	SCOPED(buf_finish) struct buf low = BUF_INIT;
	SCOPED(buf_finish) struct buf high = BUF_INIT;
	enum db_row row;

	if (!store_prepare(txn, "SELECT id FROM mailbox WHERE expunged IS NULL AND name > ? AND name < ? ORDER BY name",
		    &select, err)) {
		return false;
	}
	subtree_bounds(name, &low, &high);
	db_bind_text(select, 1, buf_slice(&low));
	db_bind_text(select, 2, buf_slice(&high));
	while ((row = db_step(select, err)) == DB_ROW) {
		if (out->count == out->capacity) {
			out->capacity = out->capacity * 2 + 16;
			out->ids = realloc(out->ids, out->capacity * sizeof(out->ids[0]));
			if (out->ids == NULL) {
				abort();
			}
		}
		out->ids[out->count++] = (struct mailbox_id){db_u32(select, 0)};
	}
	return row == DB_DONE;
}

/* The new name of a mailbox below the renamed one: its old one, whose first `old_length` octets were those of the renamed one's. */
static void
name_below(const struct mailbox *child, size_t old_length, struct slice new_name, struct buf *out)
{
	buf_append(out, new_name);
	buf_append(out, slice_skip(slice_of(child->name), old_length));
}

/* All names are looked at before the first row is changed. */
static bool
check_below(struct store_txn *txn, const struct ids *below, size_t old_length, struct slice new_name, struct error *err)
{
	for (size_t i = 0; i < below->count; i++) {
		SCOPED(mailbox_finish) struct mailbox child = {0};
		SCOPED(buf_finish) struct buf name = BUF_INIT;

		if (!mailbox_load(txn, below->ids[i], &child, err)) {
			return false;
		}
		name_below(&child, old_length, new_name, &name);
		if (!check_name(buf_slice(&name), err)) {
			return false;
		}
	}
	return true;
}

static bool
rename_below(
	struct store_txn *txn, const struct ids *below, size_t old_length, struct slice new_name, struct error *err)
{
	for (size_t i = 0; i < below->count; i++) {
		SCOPED(mailbox_finish) struct mailbox child = {0};
		SCOPED(buf_finish) struct buf name = BUF_INIT;

		if (!mailbox_load(txn, below->ids[i], &child, err)) {
			return false;
		}
		name_below(&child, old_length, new_name, &name);
		if (!rename_row(txn, &child, buf_slice(&name), err)) {
			return false;
		}
	}
	return true;
}

bool
mailbox_rename(struct store_txn *txn, struct mailbox_id id, struct slice new_name, struct error *err)
{
	SCOPED(mailbox_finish) struct mailbox mailbox = {0};
	SCOPED(ids_finish) struct ids below = {0};
	bool taken;

	if (!check_name(new_name, err) || !mailbox_load(txn, id, &mailbox, err)) {
		return false;
	}
	struct slice old_name = slice_of(mailbox.name);

	if (mailbox.expunged_s != 0) {
		return error_set(err, ERROR_GONE, "the mailbox %s is not there any more", mailbox.name);
	}
	if (slice_equal(old_name, new_name)) {
		return true;
	}
	if (mailbox_name_within(new_name, old_name)) {
		return error_set(err, ERROR_INVALID, "the mailbox %s cannot be moved below itself", mailbox.name);
	}
	if (!is_taken(txn, new_name, &taken, err)) {
		return false;
	}
	if (taken) {
		return error_set(
			err, ERROR_EXISTS, "there is a mailbox %.*s already", (int)new_name.length, new_name.data);
	}
	return collect_below(txn, old_name, &below, err) && check_below(txn, &below, old_name.length, new_name, err) &&
	       make_parents(txn, new_name, err) && rename_row(txn, &mailbox, new_name, err) &&
	       rename_below(txn, &below, old_name.length, new_name, err) && mailbox_touch_parent(txn, old_name, err) &&
	       mailbox_touch_parent(txn, new_name, err);
}
