#include "engine/store/hold.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/mail/mailbox_name.h"
#include "engine/store/mailbox.h"
#include "engine/store/store_internal.h"

#define HOLD_HOUR_S 3600

void
hold_finish(struct hold *hold)
{
	free(hold->reason);
	hold->reason = NULL;
}

bool
hold_add(struct store_txn *txn, uint32_t remote, struct hold *hold, struct error *err)
{
	SCOPED(db_end) struct db_statement *add = NULL;

	if (!store_prepare_write(txn,
		    "INSERT INTO hold (remote, mailbox, side, kind, state, modseq, created, reason) VALUES "
		    "(?,?,?,?,?,?,?,?)",
		    &add, err)) {
		return false;
	}
	hold->modseq = store_next_modseq(txn);
	hold->created_s = store_wall_s(txn);
	db_bind_u64(add, 1, remote);
	db_bind_u64(add, 2, hold->mailbox.value);
	db_bind_u64(add, 3, hold->side);
	db_bind_u64(add, 4, hold->kind);
	db_bind_u64(add, 5, hold->state);
	db_bind_u64(add, 6, hold->modseq.value);
	db_bind_i64(add, 7, hold->created_s);
	db_bind_text(add, 8, slice_of(hold->reason));
	if (!db_run(add, err)) {
		return false;
	}
	hold->id = db_last_rowid(store_db(txn));
	return true;
}

static bool
hold_run_pair(struct store_txn *txn, const char *sql, uint64_t first, uint64_t second, struct error *err)
{
	SCOPED(db_end) struct db_statement *run = NULL;

	if (!store_prepare_write(txn, sql, &run, err)) {
		return false;
	}
	db_bind_u64(run, 1, first);
	db_bind_u64(run, 2, second);
	return db_run(run, err);
}

bool
hold_add_message(struct store_txn *txn, uint64_t hold, struct number number, struct error *err)
{
	return hold_run_pair(
		txn, "INSERT OR IGNORE INTO hold_message (hold, number) VALUES (?, ?)", hold, number.value, err);
}

bool
hold_remove_message(struct store_txn *txn, uint64_t hold, struct number number, struct error *err)
{
	return hold_run_pair(txn, "DELETE FROM hold_message WHERE hold = ? AND number = ?", hold, number.value, err);
}

bool
hold_set_state(struct store_txn *txn, uint64_t id, enum hold_state state, struct error *err)
{
	/* A person's answer is a change that a waiting pass must hear of. */
	(void)store_next_modseq(txn);
	return hold_run_pair(txn, "UPDATE hold SET state = ?1 WHERE id = ?2", state, id, err);
}

bool
hold_remove(struct store_txn *txn, uint64_t id, struct error *err)
{
	return hold_run_pair(txn, "DELETE FROM hold_message WHERE hold = ?1 AND ?2 = 0", id, 0, err) &&
	       hold_run_pair(txn, "DELETE FROM hold WHERE id = ?1 AND ?2 = 0", id, 0, err);
}

#define HOLD_COLUMNS                                                                                         \
	"id, mailbox, side, kind, state, modseq, created, reason, (SELECT count(*) FROM hold_message WHERE " \
	"hold_message.hold = hold.id)"

static void
hold_read(const struct db_statement *row, struct hold *out)
{
	*out = (struct hold){
		.id = db_u64(row, 0),
		.mailbox = {db_u32(row, 1)},
		.side = db_u32(row, 2) == SIDE_LOCAL ? SIDE_LOCAL : SIDE_REMOTE,
		.kind = (enum hold_kind)db_u32(row, 3),
		.state = (enum hold_state)db_u32(row, 4),
		.modseq = {db_u64(row, 5)},
		.created_s = db_i64(row, 6),
		.reason = slice_dup(db_text(row, 7)),
		.messages = db_u64(row, 8),
	};
}

bool
hold_load(struct store_txn *txn, uint64_t id, struct hold *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn, "SELECT " HOLD_COLUMNS " FROM hold WHERE id = ?", &find, err)) {
		return false;
	}
	db_bind_u64(find, 1, id);
	switch (db_step(find, err)) {
	case DB_ROW:
		hold_read(find, out);
		return true;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "there is no hold %" PRIu64 ": `mailfs held` lists them", id);
	case DB_FAILED:
		break;
	}
	return false;
}

bool
hold_each(struct store_txn *txn, uint32_t remote,
	bool (*each)(void *context, const struct hold *hold, struct error *err), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	enum db_row row;

	if (!store_prepare(txn, "SELECT " HOLD_COLUMNS " FROM hold WHERE remote = ? ORDER BY id", &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	while ((row = db_step(rows, err)) == DB_ROW) {
		struct hold hold;

		hold_read(rows, &hold);
		bool go_on = each(context, &hold, err);

		hold_finish(&hold);
		if (!go_on) {
			return false;
		}
	}
	return row == DB_DONE;
}

bool
hold_each_message(struct store_txn *txn, uint64_t hold,
	bool (*each)(void *context, struct number number, struct error *err), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	enum db_row row;

	if (!store_prepare(txn, "SELECT number FROM hold_message WHERE hold = ? ORDER BY number", &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, hold);
	while ((row = db_step(rows, err)) == DB_ROW) {
		if (!each(context, (struct number){db_u64(rows, 0)}, err)) {
			return false;
		}
	}
	return row == DB_DONE;
}

/* Ends the row of a name that is only the way to what is below it. */
static bool
hold_end_directory(struct store_txn *txn, struct mailbox_id directory, struct error *err)
{
	SCOPED(db_end) struct db_statement *end = NULL;

	if (!store_prepare_write(txn, "UPDATE mailbox SET expunged = ?, modseq = ? WHERE id = ?", &end, err)) {
		return false;
	}
	db_bind_i64(end, 1, store_wall_s(txn));
	db_bind_u64(end, 2, store_next_modseq(txn).value);
	db_bind_u64(end, 3, directory.value);
	return db_run(end, err);
}

#define HOLD_NAMES_MAX 100

/* Finds a name for it: its own, or one beside it where that was taken. */
static bool
hold_free_name(struct store_txn *txn, const struct mailbox *row, struct buf *out, struct error *err)
{
	for (unsigned i = 1; i < HOLD_NAMES_MAX; i++) {
		struct mailbox taken;

		buf_clear(out);
		buf_append_text(out, row->name);
		if (i == 2) {
			buf_append_text(out, " (recovered)");
		} else if (i > 2) {
			buf_printf(out, " (recovered %u)", i - 1);
		}
		if (!mailbox_load_by_name(txn, buf_slice(out), &taken, err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err);
			return true;
		}
		bool directory = i == 1 && taken.kind == MAILBOX_DIRECTORY;
		struct mailbox_id id = taken.id;

		mailbox_finish(&taken);
		if (directory) {
			return hold_end_directory(txn, id, err);
		}
	}
	return error_set(err, ERROR_EXISTS, "the name %s was taken meanwhile", row->name);
}

/* Missing levels above it come back as directories. */
static bool
hold_make_parent(struct store_txn *txn, struct slice name, struct error *err)
{
	struct slice parent = mailbox_name_parent(name);
	struct mailbox there;
	struct mailbox_id made;

	if (parent.length == 0) {
		return true;
	}
	if (mailbox_load_by_name(txn, parent, &there, err)) {
		mailbox_finish(&there);
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return mailbox_create(txn, parent, MAILBOX_DIRECTORY, NULL, &made, err);
}

bool
hold_revive_mailbox(struct store_txn *txn, struct mailbox_id mailbox, struct error *err)
{
	SCOPED(db_end) struct db_statement *revive = NULL;
	SCOPED(mailbox_finish) struct mailbox row = {0};
	SCOPED(buf_finish) struct buf name = BUF_INIT;

	if (!mailbox_load(txn, mailbox, &row, err)) {
		return false;
	}
	if (row.expunged_s == 0) {
		return true;
	}
	if (!hold_free_name(txn, &row, &name, err) || !hold_make_parent(txn, buf_slice(&name), err) ||
		!store_prepare_write(
			txn, "UPDATE mailbox SET expunged = NULL, name = ?, modseq = ? WHERE id = ?", &revive, err)) {
		return false;
	}
	db_bind_text(revive, 1, buf_slice(&name));
	db_bind_u64(revive, 2, store_next_modseq(txn).value);
	db_bind_u64(revive, 3, mailbox.value);
	return db_run(revive, err) && store_touch(txn, mailbox, err) &&
	       mailbox_touch_parent(txn, buf_slice(&name), err);
}

/* --- what the brake counts --- */

bool
hold_note_deletion(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, enum side side,
	struct number number, struct error *err)
{
	SCOPED(db_end) struct db_statement *note = NULL;
	uint64_t running_s;

	if (!store_meta_get_u64(txn, "running_s", &running_s, err) ||
		!store_prepare_write(txn, "INSERT INTO deletion (remote, mailbox, side, number, at) VALUES (?,?,?,?,?)",
			&note, err)) {
		return false;
	}
	db_bind_u64(note, 1, remote);
	db_bind_u64(note, 2, mailbox.value);
	db_bind_u64(note, 3, side);
	db_bind_u64(note, 4, number.value);
	db_bind_u64(note, 5, running_s);
	return db_run(note, err);
}

bool
hold_note_size(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox_or_0, enum side side,
	uint64_t messages, struct error *err)
{
	SCOPED(db_end) struct db_statement *note = NULL;
	uint64_t running_s;

	/* One mark a minute holds the largest size in it. */
	if (!store_meta_get_u64(txn, "running_s", &running_s, err) ||
		!store_prepare_write(txn,
			"INSERT INTO size_mark (remote, mailbox, side, at, messages) VALUES (?1,?2,?3,?4,?5)"
			" ON CONFLICT DO UPDATE SET messages = max(messages, excluded.messages)",
			&note, err)) {
		return false;
	}
	db_bind_u64(note, 1, remote);
	db_bind_u64(note, 2, mailbox_or_0.value);
	db_bind_u64(note, 3, side);
	db_bind_u64(note, 4, running_s - running_s % 60);
	db_bind_u64(note, 5, messages);
	return db_run(note, err);
}

static bool
hold_count(struct store_txn *txn, const char *sql, uint32_t remote, struct mailbox_id mailbox, enum side side,
	uint64_t *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *count = NULL;
	uint64_t running_s;

	if (!store_meta_get_u64(txn, "running_s", &running_s, err) || !store_prepare(txn, sql, &count, err)) {
		return false;
	}
	db_bind_u64(count, 1, remote);
	db_bind_u64(count, 2, mailbox.value);
	db_bind_u64(count, 3, side);
	db_bind_u64(count, 4, running_s > HOLD_HOUR_S ? running_s - HOLD_HOUR_S : 0);
	switch (db_step(count, err)) {
	case DB_ROW:
		*out = db_u64(count, 0);
		return true;
	case DB_DONE:
		*out = 0;
		return true;
	case DB_FAILED:
		break;
	}
	return false;
}

bool
hold_passed(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox_or_0, enum side side, uint64_t *out,
	struct error *err)
{
	return hold_count(txn,
		"SELECT count(*) FROM deletion WHERE remote = ?1 AND (?2 = 0 OR mailbox = ?2) AND side = ?3 AND at >= "
		"?4",
		remote, mailbox_or_0, side, out, err);
}

bool
hold_largest(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox_or_0, enum side side, uint64_t *out,
	struct error *err)
{
	return hold_count(txn,
		"SELECT coalesce(max(messages), 0) FROM size_mark WHERE remote = ?1 AND mailbox = ?2 AND side = ?3 AND "
		"at + 60 >= ?4",
		remote, mailbox_or_0, side, out, err);
}

static bool
hold_forget(struct store_txn *txn, const char *sql, uint32_t remote, uint64_t before, struct error *err)
{
	SCOPED(db_end) struct db_statement *forget = NULL;

	if (!store_prepare_write(txn, sql, &forget, err)) {
		return false;
	}
	db_bind_u64(forget, 1, remote);
	db_bind_u64(forget, 2, before);
	return db_run(forget, err);
}

bool
hold_run_clock(struct store_txn *txn, uint32_t remote, uint64_t seconds, struct error *err)
{
	uint64_t running_s;

	if (!store_meta_get_u64(txn, "running_s", &running_s, err)) {
		return false;
	}
	running_s += seconds;
	uint64_t before = running_s > HOLD_HOUR_S + 60 ? running_s - HOLD_HOUR_S - 60 : 0;

	return store_meta_set_u64(txn, "running_s", running_s, err) &&
	       hold_forget(txn, "DELETE FROM deletion WHERE remote = ? AND at < ?", remote, before, err) &&
	       hold_forget(txn, "DELETE FROM size_mark WHERE remote = ? AND at < ?", remote, before, err);
}
