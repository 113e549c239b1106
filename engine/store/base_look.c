/* Short looks at the base (base.h): one row, or whether there is one. */
#include "engine/store/base.h"
#include "engine/store/store_internal.h"

bool
base_mailbox_has_messages(
	struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, bool *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn, "SELECT 1 FROM base_message WHERE remote = ? AND mailbox = ? AND gone <> 3 LIMIT 1",
		    &find, err)) {
		return false;
	}
	db_bind_u64(find, 1, remote);
	db_bind_u64(find, 2, mailbox.value);
	enum db_row row = db_step(find, err);

	*out = row == DB_ROW;
	return row != DB_FAILED;
}

bool
base_highest_uid(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, uint32_t uidvalidity, uint32_t *out,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn,
		    "SELECT max(uid) FROM base_message WHERE remote = ? AND mailbox = ? AND uidvalidity = ?", &find,
		    err)) {
		return false;
	}
	db_bind_u64(find, 1, remote);
	db_bind_u64(find, 2, mailbox.value);
	db_bind_u64(find, 3, uidvalidity);
	enum db_row row = db_step(find, err);

	*out = row == DB_ROW && !db_is_null(find, 0) ? db_u32(find, 0) : 0;
	return row != DB_FAILED;
}

bool
base_has_retired(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, bool *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn,
		    "SELECT 1 FROM base_message WHERE remote = ? AND mailbox = ? AND uidvalidity = 0 AND gone IN (0, "
		    "2) LIMIT 1",
		    &find, err)) {
		return false;
	}
	db_bind_u64(find, 1, remote);
	db_bind_u64(find, 2, mailbox.value);
	enum db_row row = db_step(find, err);

	*out = row == DB_ROW;
	return row != DB_FAILED;
}

bool
base_each_placement(struct store_txn *txn, uint64_t body, bool (*each)(void *context, struct number number),
	void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	enum db_row row;

	if (!store_prepare(txn, "SELECT number FROM message WHERE body = ? AND expunged IS NULL", &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, body);
	while ((row = db_step(rows, err)) == DB_ROW) {
		if (!each(context, (struct number){db_u64(rows, 0)})) {
			return true;
		}
	}
	return row == DB_DONE;
}
