#include "engine/store/intent.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/store/store_internal.h"

#define ASIDE_FIRST_S 60
#define ASIDE_LAST_S  (6 * 3600)

void
intent_finish(struct intent *intent)
{
	free(intent->detail);
	intent->detail = NULL;
}

bool
intent_add(struct store_txn *txn, uint32_t remote, struct intent *intent, struct error *err)
{
	SCOPED(db_end) struct db_statement *add = NULL;

	if (!store_prepare_write(txn,
		    "INSERT INTO intent (remote, kind, number, mailbox, target, uidvalidity, uid, uidnext, "
		    "target_uidvalidity, digest, "
		    "detail, state, looked, next_try, created) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		    &add, err)) {
		return false;
	}
	db_bind_u64(add, 1, remote);
	db_bind_u64(add, 2, intent->kind);
	db_bind_u64(add, 3, intent->number.value);
	db_bind_u64(add, 4, intent->mailbox.value);
	db_bind_u64(add, 5, intent->target.value);
	db_bind_u64(add, 6, intent->uid.uidvalidity);
	db_bind_u64(add, 7, intent->uid.uid);
	db_bind_u64(add, 8, intent->uidnext);
	db_bind_u64(add, 9, intent->target_uidvalidity);
	store_bind_digest(add, 10, intent->has_digest ? &intent->digest : NULL);
	store_bind_text(add, 11, intent->detail);
	db_bind_u64(add, 12, intent->state);
	db_bind_u64(add, 13, intent->looked);
	db_bind_i64(add, 14, intent->next_try_s);
	db_bind_i64(add, 15, intent->created_s);
	if (!db_run(add, err)) {
		return false;
	}
	intent->id = db_last_rowid(store_db(txn));
	return true;
}

bool
intent_remove(struct store_txn *txn, uint64_t id, struct error *err)
{
	SCOPED(db_end) struct db_statement *remove = NULL;

	if (!store_prepare_write(txn, "DELETE FROM intent WHERE id = ?", &remove, err)) {
		return false;
	}
	db_bind_u64(remove, 1, id);
	return db_run(remove, err);
}

bool
intent_update(struct store_txn *txn, const struct intent *intent, struct error *err)
{
	SCOPED(db_end) struct db_statement *set = NULL;

	if (!store_prepare_write(
		    txn, "UPDATE intent SET state = ?, looked = ?, next_try = ? WHERE id = ?", &set, err)) {
		return false;
	}
	db_bind_u64(set, 1, intent->state);
	db_bind_u64(set, 2, intent->looked);
	db_bind_i64(set, 3, intent->next_try_s);
	db_bind_u64(set, 4, intent->id);
	return db_run(set, err);
}

static void
intent_read(const struct db_statement *row, struct intent *out)
{
	*out = (struct intent){
		.id = db_u64(row, 0),
		.kind = (enum intent_kind)db_u32(row, 1),
		.number = {db_u64(row, 2)},
		.mailbox = {db_u32(row, 3)},
		.target = {db_u32(row, 4)},
		.uid = {.uidvalidity = db_u32(row, 5), .uid = db_u32(row, 6)},
		.uidnext = db_u32(row, 7),
		.target_uidvalidity = db_u32(row, 8),
		.detail = store_read_text(row, 10),
		.state = (enum intent_state)db_u32(row, 11),
		.looked = db_u32(row, 12),
		.next_try_s = db_i64(row, 13),
		.created_s = db_i64(row, 14),
	};
	out->has_digest = store_read_digest(row, 9, &out->digest);
}

bool
intent_each(struct store_txn *txn, uint32_t remote,
	bool (*each)(void *context, const struct intent *intent, struct error *err), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	enum db_row row;

	if (!store_prepare(txn,
		    "SELECT id, kind, number, mailbox, target, uidvalidity, uid, uidnext, target_uidvalidity, digest, "
		    "detail, state, looked, "
		    "next_try, created FROM intent WHERE remote = ? ORDER BY id",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	while ((row = db_step(rows, err)) == DB_ROW) {
		struct intent intent;

		intent_read(rows, &intent);
		bool go_on = each(context, &intent, err);

		intent_finish(&intent);
		if (!go_on) {
			return false;
		}
	}
	return row == DB_DONE;
}

bool
intent_exists(struct store_txn *txn, uint32_t remote, struct number number, bool *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	enum db_row row;

	if (!store_prepare(txn, "SELECT 1 FROM intent WHERE number = ? AND remote = ?", &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, number.value);
	db_bind_u64(rows, 2, remote);
	row = db_step(rows, err);
	*out = row == DB_ROW;
	return row != DB_FAILED;
}

/* --- set aside --- */

void
aside_finish(struct aside *aside)
{
	free(aside->reason);
	aside->reason = NULL;
}

static void
aside_bind_key(struct db_statement *statement, int place, uint32_t remote, struct number number,
	struct mailbox_id mailbox, enum side direction)
{
	db_bind_u64(statement, place, remote);
	db_bind_u64(statement, place + 1, number.value);
	db_bind_u64(statement, place + 2, mailbox.value);
	db_bind_u64(statement, place + 3, direction);
}

static bool
aside_tries(struct store_txn *txn, uint32_t remote, struct number number, struct mailbox_id mailbox,
	enum side direction, unsigned *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn,
		    "SELECT tries FROM aside WHERE remote = ? AND number = ? AND mailbox = ? AND direction = ?", &find,
		    err)) {
		return false;
	}
	aside_bind_key(find, 1, remote, number, mailbox, direction);
	switch (db_step(find, err)) {
	case DB_ROW:
		*out = db_u32(find, 0);
		return true;
	case DB_DONE:
		*out = 0;
		return true;
	case DB_FAILED:
		break;
	}
	return false;
}

static bool
aside_remove_others(struct store_txn *txn, uint32_t remote, struct number number, struct mailbox_id mailbox,
	enum side direction, struct error *err)
{
	SCOPED(db_end) struct db_statement *remove = NULL;

	if (!store_prepare_write(txn,
		    "DELETE FROM aside WHERE remote = ? AND number = ? AND mailbox <> ? AND direction = ?", &remove,
		    err)) {
		return false;
	}
	aside_bind_key(remove, 1, remote, number, mailbox, direction);
	return db_run(remove, err);
}

bool
aside_note(struct store_txn *txn, uint32_t remote, struct number number, struct mailbox_id mailbox, enum side direction,
	struct slice reason, struct error *err)
{
	SCOPED(db_end) struct db_statement *put = NULL;
	unsigned tries;

	/* It failed elsewhere before it came to this mailbox. */
	if (number.value != 0 && !aside_remove_others(txn, remote, number, mailbox, direction, err)) {
		return false;
	}
	if (!aside_tries(txn, remote, number, mailbox, direction, &tries, err) ||
		!store_prepare_write(txn,
			"INSERT OR REPLACE INTO aside (remote, number, mailbox, direction, reason, tries, next_try) "
			"VALUES (?,?,?,?,?,?,?)",
			&put, err)) {
		return false;
	}
	int64_t wait_s = tries < 10 ? (int64_t)ASIDE_FIRST_S << tries : ASIDE_LAST_S;

	aside_bind_key(put, 1, remote, number, mailbox, direction);
	db_bind_text(put, 5, reason);
	db_bind_u64(put, 6, tries + 1u);
	db_bind_i64(put, 7, store_wall_s(txn) + (wait_s < ASIDE_LAST_S ? wait_s : ASIDE_LAST_S));
	return db_run(put, err);
}

bool
aside_remove(struct store_txn *txn, uint32_t remote, struct number number, struct mailbox_id mailbox,
	enum side direction, struct error *err)
{
	SCOPED(db_end) struct db_statement *remove = NULL;

	if (!store_prepare_write(txn,
		    "DELETE FROM aside WHERE remote = ?1 AND number = ?2 AND (mailbox = ?3 OR (?2 <> 0 AND ?3 = 0)) "
		    "AND direction = ?4",
		    &remove, err)) {
		return false;
	}
	aside_bind_key(remove, 1, remote, number, mailbox, direction);
	return db_run(remove, err);
}

bool
aside_each(struct store_txn *txn, uint32_t remote,
	bool (*each)(void *context, const struct aside *aside, struct error *err), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	enum db_row row;

	if (!store_prepare(txn,
		    "SELECT number, mailbox, direction, reason, tries, next_try FROM aside WHERE remote = ?", &rows,
		    err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	while ((row = db_step(rows, err)) == DB_ROW) {
		struct aside aside = {
			.number = {db_u64(rows, 0)},
			.mailbox = {db_u32(rows, 1)},
			.direction = db_u32(rows, 2) == SIDE_LOCAL ? SIDE_LOCAL : SIDE_REMOTE,
			.reason = slice_dup(db_text(rows, 3)),
			.tries = db_u32(rows, 4),
			.next_try_s = db_i64(rows, 5),
		};
		bool go_on = each(context, &aside, err);

		aside_finish(&aside);
		if (!go_on) {
			return false;
		}
	}
	return row == DB_DONE;
}
