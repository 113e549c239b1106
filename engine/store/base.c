#include "engine/store/base.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/store/store_internal.h"

#define BASE_SYSTEM_FLAGS 31u

void
base_mailbox_finish(struct base_mailbox *base)
{
	free(base->raw_name);
	free(base->name);
	base->raw_name = base->name = NULL;
	flags_finish(&base->permanent);
}

void
base_message_finish(struct base_message *base)
{
	flags_finish(&base->flags);
}

/* --- mailboxes --- */

#define BASE_MAILBOX_COLUMNS                                                                                  \
	"mailbox, raw_name, name, separator, id_kind, id, attributes, subscribed, uidvalidity, uidnext, "     \
	"highestmodseq, messages, seen_uidnext, "                                                             \
	"seen_highestmodseq, seen_messages, permanent, permanent_keywords, keywords_any, read_only, merged, " \
	"flags_checked, gone"

static void
base_mailbox_read(const struct db_statement *row, struct base_mailbox *out)
{
	struct slice separator = db_text(row, 3);

	*out = (struct base_mailbox){
		.mailbox = {db_u32(row, 0)},
		.raw_name = slice_dup(db_blob(row, 1)),
		.name = slice_dup(db_text(row, 2)),
		.separator = separator.length > 0 ? separator.data[0] : '\0',
		.attributes = db_u32(row, 6),
		.subscribed = db_bool(row, 7),
		.uidvalidity = db_u32(row, 8),
		.uidnext = db_u32(row, 9),
		.highestmodseq = db_u64(row, 10),
		.messages = db_u32(row, 11),
		.seen_uidnext = db_u32(row, 12),
		.seen_highestmodseq = db_u64(row, 13),
		.seen_messages = db_u32(row, 14),
		.permanent = store_read_flags(row, 15),
		.keywords_any = db_bool(row, 17),
		.read_only = db_bool(row, 18),
		.merged = {db_u64(row, 19)},
		.flags_checked_s = db_i64(row, 20),
		.gone_s = db_i64(row, 21),
	};
	store_read_guid(row, 4, &out->id);
}

bool
base_mailbox_load(
	struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct base_mailbox *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn, "SELECT " BASE_MAILBOX_COLUMNS " FROM base_mailbox WHERE remote = ? AND mailbox = ?",
		    &find, err)) {
		return false;
	}
	db_bind_u64(find, 1, remote);
	db_bind_u64(find, 2, mailbox.value);
	switch (db_step(find, err)) {
	case DB_ROW:
		base_mailbox_read(find, out);
		return true;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "the mailbox has no counterpart on the server");
	case DB_FAILED:
		break;
	}
	return false;
}

bool
base_mailbox_each(struct store_txn *txn, uint32_t remote,
	bool (*each)(void *context, const struct base_mailbox *base, struct error *err), void *context,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	enum db_row row;

	if (!store_prepare(txn, "SELECT " BASE_MAILBOX_COLUMNS " FROM base_mailbox WHERE remote = ? ORDER BY mailbox",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	while ((row = db_step(rows, err)) == DB_ROW) {
		struct base_mailbox base;

		base_mailbox_read(rows, &base);
		bool go_on = each(context, &base, err);

		base_mailbox_finish(&base);
		if (!go_on) {
			return false;
		}
	}
	return row == DB_DONE;
}

bool
base_mailbox_put(struct store_txn *txn, uint32_t remote, const struct base_mailbox *base, struct error *err)
{
	SCOPED(db_end) struct db_statement *put = NULL;

	if (!store_prepare_write(txn,
		    "INSERT OR REPLACE INTO base_mailbox (" BASE_MAILBOX_COLUMNS
		    ", remote) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		    &put, err)) {
		return false;
	}
	db_bind_u64(put, 1, base->mailbox.value);
	db_bind_blob(put, 2, slice_of(base->raw_name));
	db_bind_text(put, 3, slice_of(base->name));
	db_bind_text(put, 4, slice_make(&base->separator, base->separator != '\0' ? 1 : 0));
	store_bind_guid(put, 5, &base->id);
	db_bind_u64(put, 7, base->attributes);
	db_bind_bool(put, 8, base->subscribed);
	db_bind_u64(put, 9, base->uidvalidity);
	db_bind_u64(put, 10, base->uidnext);
	db_bind_u64(put, 11, base->highestmodseq);
	db_bind_u64(put, 12, base->messages);
	db_bind_u64(put, 13, base->seen_uidnext);
	db_bind_u64(put, 14, base->seen_highestmodseq);
	db_bind_u64(put, 15, base->seen_messages);
	store_bind_flags(put, 16, &base->permanent);
	db_bind_bool(put, 18, base->keywords_any);
	db_bind_bool(put, 19, base->read_only);
	db_bind_u64(put, 20, base->merged.value);
	db_bind_i64(put, 21, base->flags_checked_s);
	if (base->gone_s != 0) {
		db_bind_i64(put, 22, base->gone_s);
	}
	db_bind_u64(put, 23, remote);
	return db_run(put, err);
}

/* Runs a statement whose only values are the remote and one number. */
static bool
base_run(struct store_txn *txn, const char *sql, uint32_t remote, uint64_t value, struct error *err)
{
	SCOPED(db_end) struct db_statement *run = NULL;

	if (!store_prepare_write(txn, sql, &run, err)) {
		return false;
	}
	db_bind_u64(run, 1, remote);
	db_bind_u64(run, 2, value);
	return db_run(run, err);
}

/* What it held and is live is new to the remote: it is in the feed again. */
static bool
base_touch_all(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;
	SCOPED(buf_finish) struct buf numbers = BUF_INIT;
	enum db_row row;

	if (!store_prepare(txn,
		    "SELECT b.number FROM base_message b JOIN message m ON m.number = b.number WHERE b.remote = ? AND "
		    "b.mailbox = ? AND m.expunged IS NULL",
		    &find, err)) {
		return false;
	}
	db_bind_u64(find, 1, remote);
	db_bind_u64(find, 2, mailbox.value);
	while ((row = db_step(find, err)) == DB_ROW) {
		struct number number = {db_u64(find, 0)};

		buf_append(&numbers, slice_make(&number, sizeof(number)));
	}
	for (size_t at = 0; row == DB_DONE && at < numbers.length; at += sizeof(struct number)) {
		struct number number;

		memcpy(&number, numbers.data + at, sizeof(number));
		if (!message_touch(txn, number, err)) {
			return false;
		}
	}
	return row == DB_DONE;
}

bool
base_mailbox_remove(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct error *err)
{
	return base_touch_all(txn, remote, mailbox, err) &&
	       base_run(txn, "DELETE FROM base_message WHERE remote = ? AND mailbox = ?", remote, mailbox.value, err) &&
	       base_run(txn, "DELETE FROM base_mailbox WHERE remote = ? AND mailbox = ?", remote, mailbox.value, err) &&
	       base_run(txn, "DELETE FROM aside WHERE remote = ? AND mailbox = ? AND number = 0", remote, mailbox.value,
		       err);
}

struct base_renaming {
	struct slice raw_from, raw_to, from, to;
	struct store_txn *txn;
	uint32_t remote;
};

static bool
base_within(struct slice name, struct slice head, char separator)
{
	return slice_has_prefix(name, head) &&
	       (name.length == head.length || (separator != '\0' && name.data[head.length] == separator));
}

static bool
base_rename_one(void *context, const struct base_mailbox *base, struct error *err)
{
	const struct base_renaming *renaming = context;
	SCOPED(db_end) struct db_statement *set = NULL;
	SCOPED(buf_finish) struct buf raw = BUF_INIT;
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct slice old_raw = slice_of(base->raw_name), old_name = slice_of(base->name);

	if (!base_within(old_raw, renaming->raw_from, base->separator)) {
		return true;
	}
	buf_append(&raw, renaming->raw_to);
	buf_append(&raw, slice_skip(old_raw, renaming->raw_from.length));
	if (base_within(old_name, renaming->from, '/')) {
		buf_append(&name, renaming->to);
		buf_append(&name, slice_skip(old_name, renaming->from.length));
	} else {
		buf_append(&name, old_name);
	}
	if (!store_prepare_write(renaming->txn,
		    "UPDATE base_mailbox SET raw_name = ?, name = ? WHERE remote = ? AND mailbox = ?", &set, err)) {
		return false;
	}
	db_bind_blob(set, 1, buf_slice(&raw));
	db_bind_text(set, 2, buf_slice(&name));
	db_bind_u64(set, 3, renaming->remote);
	db_bind_u64(set, 4, base->mailbox.value);
	return db_run(set, err);
}

bool
base_mailbox_rename(struct store_txn *txn, uint32_t remote, struct slice raw_from, struct slice raw_to,
	struct slice from, struct slice to, struct error *err)
{
	struct base_renaming renaming = {
		.raw_from = raw_from, .raw_to = raw_to, .from = from, .to = to, .txn = txn, .remote = remote};

	return base_mailbox_each(txn, remote, base_rename_one, &renaming, err);
}

bool
base_mailbox_set_merged(
	struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct modseq until, struct error *err)
{
	SCOPED(db_end) struct db_statement *set = NULL;

	if (!store_prepare_write(txn,
		    "UPDATE base_mailbox SET merged = ? WHERE remote = ? AND mailbox = ? AND merged < ?", &set, err)) {
		return false;
	}
	db_bind_u64(set, 1, until.value);
	db_bind_u64(set, 2, remote);
	db_bind_u64(set, 3, mailbox.value);
	db_bind_u64(set, 4, until.value);
	return db_run(set, err);
}

/* --- messages --- */

#define BASE_MESSAGE_COLUMNS                                                                                           \
	"b.mailbox, b.uidvalidity, b.uid, b.number, b.guid_kind, b.guid, b.modseq, b.size, b.internaldate, b.digest, " \
	"b.flags, b.keywords, b.gone"
#define BASE_MESSAGE_COLUMN_COUNT 13

static void
base_message_read(const struct db_statement *row, int first, struct base_message *out)
{
	*out = (struct base_message){
		.mailbox = {db_u32(row, first)},
		.uid = {.uidvalidity = db_u32(row, first + 1), .uid = db_u32(row, first + 2)},
		.number = {db_u64(row, first + 3)},
		.modseq = db_u64(row, first + 6),
		.size_bytes = db_u64(row, first + 7),
		.internaldate_s = db_i64(row, first + 8),
		.flags = store_read_flags(row, first + 10),
		.gone = (enum base_gone)db_u32(row, first + 12),
	};
	store_read_guid(row, first + 4, &out->guid);
	if (db_is_null(row, first + 9)) {
		out->served = BASE_SERVED_SAME;
	} else {
		out->served = store_read_digest(row, first + 9, &out->digest) ? BASE_SERVED_OTHER : BASE_SERVED_UNKNOWN;
	}
}

static bool
base_message_one(struct db_statement *find, struct base_message *out, struct error *err)
{
	switch (db_step(find, err)) {
	case DB_ROW:
		base_message_read(find, 0, out);
		return true;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "the message has no counterpart on the server");
	case DB_FAILED:
		break;
	}
	return false;
}

bool
base_message_load(
	struct store_txn *txn, uint32_t remote, struct number number, struct base_message *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn,
		    "SELECT " BASE_MESSAGE_COLUMNS " FROM base_message b WHERE b.remote = ? AND b.number = ?", &find,
		    err)) {
		return false;
	}
	db_bind_u64(find, 1, remote);
	db_bind_u64(find, 2, number.value);
	return base_message_one(find, out, err);
}

bool
base_message_load_by_uid(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct remote_uid uid,
	struct base_message *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn,
		    "SELECT " BASE_MESSAGE_COLUMNS
		    " FROM base_message b WHERE b.remote = ? AND b.mailbox = ? AND b.uidvalidity = ? AND b.uid = ?",
		    &find, err)) {
		return false;
	}
	db_bind_u64(find, 1, remote);
	db_bind_u64(find, 2, mailbox.value);
	db_bind_u64(find, 3, uid.uidvalidity);
	db_bind_u64(find, 4, uid.uid);
	return base_message_one(find, out, err);
}

static void
base_bind_served(struct db_statement *statement, int place, const struct base_message *base)
{
	switch (base->served) {
	case BASE_SERVED_SAME:
		db_bind_null(statement, place);
		return;
	case BASE_SERVED_UNKNOWN:
		db_bind_blob(statement, place, slice_make("", 0));
		return;
	case BASE_SERVED_OTHER:
		store_bind_digest(statement, place, &base->digest);
		return;
	}
}

bool
base_message_put(struct store_txn *txn, uint32_t remote, const struct base_message *base, struct error *err)
{
	SCOPED(db_end) struct db_statement *clear = NULL;
	SCOPED(db_end) struct db_statement *put = NULL;

	assert(base->uid.uid != 0 && base->uid.uidvalidity != 0 && base->number.value != 0);
	if (!store_prepare_write(txn, "DELETE FROM base_message WHERE remote = ? AND number = ?", &clear, err)) {
		return false;
	}
	db_bind_u64(clear, 1, remote);
	db_bind_u64(clear, 2, base->number.value);
	if (!db_run(clear, err) ||
		!store_prepare_write(txn,
			"INSERT INTO base_message (mailbox, uidvalidity, uid, number, guid_kind, guid, modseq, size, "
			"internaldate, "
			"digest, flags, keywords, gone, remote) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
			&put, err)) {
		return false;
	}
	db_bind_u64(put, 1, base->mailbox.value);
	db_bind_u64(put, 2, base->uid.uidvalidity);
	db_bind_u64(put, 3, base->uid.uid);
	db_bind_u64(put, 4, base->number.value);
	store_bind_guid(put, 5, &base->guid);
	db_bind_u64(put, 7, base->modseq);
	db_bind_u64(put, 8, base->size_bytes);
	db_bind_i64(put, 9, base->internaldate_s);
	base_bind_served(put, 10, base);
	store_bind_flags(put, 11, &base->flags);
	db_bind_u64(put, 13, base->gone);
	db_bind_u64(put, 14, remote);
	return db_run(put, err);
}

bool
base_message_set_flags(struct store_txn *txn, uint32_t remote, struct number number, const struct flags *flags,
	uint64_t modseq_or_0, struct error *err)
{
	SCOPED(db_end) struct db_statement *set = NULL;

	if (!store_prepare_write(txn,
		    "UPDATE base_message SET flags = ?, keywords = ?, modseq = max(modseq, ?) WHERE remote = ? AND "
		    "number = ?",
		    &set, err)) {
		return false;
	}
	store_bind_flags(set, 1, flags);
	db_bind_u64(set, 3, modseq_or_0);
	db_bind_u64(set, 4, remote);
	db_bind_u64(set, 5, number.value);
	return db_run(set, err);
}

bool
base_message_set_gone(
	struct store_txn *txn, uint32_t remote, struct number number, enum base_gone gone, struct error *err)
{
	SCOPED(db_end) struct db_statement *set = NULL;

	if (!store_prepare_write(txn, "UPDATE base_message SET gone = ? WHERE remote = ? AND number = ?", &set, err)) {
		return false;
	}
	db_bind_u64(set, 1, gone);
	db_bind_u64(set, 2, remote);
	db_bind_u64(set, 3, number.value);
	return db_run(set, err);
}

bool
base_message_remove(struct store_txn *txn, uint32_t remote, struct number number, struct error *err)
{
	return base_run(txn, "DELETE FROM base_message WHERE remote = ? AND number = ?", remote, number.value, err);
}

bool
base_message_renumber(struct store_txn *txn, uint32_t remote, struct number from, struct number to, struct error *err)
{
	SCOPED(db_end) struct db_statement *set = NULL;

	if (!base_message_remove(txn, remote, to, err) ||
		!store_prepare_write(
			txn, "UPDATE base_message SET number = ? WHERE remote = ? AND number = ?", &set, err)) {
		return false;
	}
	db_bind_u64(set, 1, to.value);
	db_bind_u64(set, 2, remote);
	db_bind_u64(set, 3, from.value);
	return db_run(set, err);
}

bool
base_message_each_by_guid(struct store_txn *txn, uint32_t remote, const struct guid *guid,
	bool (*each)(void *context, const struct base_message *base), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	enum db_row row;

	if (guid->kind == GUID_NONE) {
		return true;
	}
	if (!store_prepare(txn,
		    "SELECT " BASE_MESSAGE_COLUMNS
		    " FROM base_message b WHERE b.remote = ? AND b.guid_kind = ? AND b.guid = ? ORDER BY b.number",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	store_bind_guid(rows, 2, guid);
	while ((row = db_step(rows, err)) == DB_ROW) {
		struct base_message base;

		base_message_read(rows, 0, &base);
		bool go_on = each(context, &base);

		base_message_finish(&base);
		if (!go_on) {
			return true;
		}
	}
	return row == DB_DONE;
}

static bool
base_messages(struct db_statement *rows,
	bool (*each)(void *context, const struct base_message *base, struct error *err), void *context,
	struct error *err)
{
	enum db_row row;

	while ((row = db_step(rows, err)) == DB_ROW) {
		struct base_message base;

		base_message_read(rows, 0, &base);
		bool go_on = each(context, &base, err);

		base_message_finish(&base);
		if (!go_on) {
			return false;
		}
	}
	return row == DB_DONE;
}

bool
base_message_each(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox,
	bool (*each)(void *context, const struct base_message *base, struct error *err), void *context,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;

	if (!store_prepare(txn,
		    "SELECT " BASE_MESSAGE_COLUMNS
		    " FROM base_message b WHERE b.remote = ? AND b.mailbox = ? ORDER BY b.uidvalidity, b.uid",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	db_bind_u64(rows, 2, mailbox.value);
	return base_messages(rows, each, context, err);
}

bool
base_message_each_untold(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct remote_uid uid,
	bool (*each)(void *context, const struct base_message *base, struct error *err), void *context,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;

	if (!store_prepare(txn,
		    "SELECT " BASE_MESSAGE_COLUMNS
		    " FROM base_message b WHERE b.remote = ? AND b.mailbox = ? AND b.uidvalidity = ? AND b.uid >= ?"
		    " AND b.size = 0 AND b.gone = 0 ORDER BY b.uid",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	db_bind_u64(rows, 2, mailbox.value);
	db_bind_u64(rows, 3, uid.uidvalidity);
	db_bind_u64(rows, 4, uid.uid);
	return base_messages(rows, each, context, err);
}

bool
base_known(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, uint32_t uidvalidity, struct uidset *out,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	enum db_row row;

	if (!store_prepare(txn,
		    "SELECT uid FROM base_message WHERE remote = ? AND mailbox = ? AND uidvalidity = ? AND gone IN (0, "
		    "2) AND size > 0 ORDER BY uid",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	db_bind_u64(rows, 2, mailbox.value);
	db_bind_u64(rows, 3, uidvalidity);
	while ((row = db_step(rows, err)) == DB_ROW) {
		uint32_t uid = db_u32(rows, 0);

		if (uid != 0) {
			uidset_add(out, uid, uid);
		}
	}
	return row == DB_DONE;
}

bool
base_newest(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, uint32_t uidvalidity, bool last_changed,
	bool *out_found, struct base_message *out, struct error *err)
{
	/* The last changed one is looked for among the newest 1000, lest the whole mailbox is read for it. */
	static const char newest[] =
		"SELECT " BASE_MESSAGE_COLUMNS
		" FROM base_message b WHERE b.remote = ? AND b.mailbox = ? AND b.uidvalidity = ? AND b.gone = 0 AND "
		"b.size > 0 ORDER BY b.uid DESC LIMIT 1";
	static const char changed[] =
		"SELECT * FROM (SELECT " BASE_MESSAGE_COLUMNS
		" FROM base_message b WHERE b.remote = ? AND b.mailbox = ? AND b.uidvalidity = ? AND b.gone = 0 AND "
		"b.size > 0 ORDER BY b.uid DESC LIMIT 1000) ORDER BY modseq DESC LIMIT 1";
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn, last_changed ? changed : newest, &find, err)) {
		return false;
	}
	db_bind_u64(find, 1, remote);
	db_bind_u64(find, 2, mailbox.value);
	db_bind_u64(find, 3, uidvalidity);
	switch (db_step(find, err)) {
	case DB_ROW:
		base_message_read(find, 0, out);
		*out_found = true;
		return true;
	case DB_DONE:
		*out_found = false;
		return true;
	case DB_FAILED:
		break;
	}
	return false;
}

/* --- retired rows (R7) --- */

bool
base_message_retire(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox, struct error *err)
{
	return base_run(txn,
		"UPDATE base_message SET uidvalidity = 0, uid = number, modseq = 0 WHERE remote = ? AND mailbox = ? "
		"AND "
		"uidvalidity <> 0",
		remote, mailbox.value, err);
}

bool
base_message_each_retired(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox,
	bool (*each)(void *context, const struct base_message *base, struct error *err), void *context,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;

	if (!store_prepare(txn,
		    "SELECT " BASE_MESSAGE_COLUMNS " FROM base_message b WHERE b.remote = ? AND b.mailbox = ? AND "
		    "b.uidvalidity = 0 AND b.gone <> 3"
		    " ORDER BY b.uid",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	db_bind_u64(rows, 2, mailbox.value);
	return base_messages(rows, each, context, err);
}

bool
base_purge(struct store_txn *txn, uint32_t remote, int64_t before_s, struct error *err)
{
	SCOPED(db_end) struct db_statement *purge = NULL;

	if (!store_prepare_write(txn,
		    "DELETE FROM base_message WHERE remote = ? AND gone IN (2, 3) AND number IN "
		    "(SELECT number FROM message WHERE expunged IS NOT NULL AND expunged < ?)",
		    &purge, err)) {
		return false;
	}
	db_bind_u64(purge, 1, remote);
	db_bind_i64(purge, 2, before_s);
	return db_run(purge, err);
}

/* --- changes --- */

#define BASE_CHANGE_COLUMNS                                                                                         \
	BASE_MESSAGE_COLUMNS ", m.number, m.mailbox, m.uid, m.flags, m.keywords, m.internaldate, m.saved, m.size, " \
			     "m.modseq, m.identity, m.body, "                                                       \
			     "m.state, m.hold, m.expunged, m.expunged_by, m.successor"

static void
base_change_read(const struct db_statement *row, struct base_change *out)
{
	const int m = BASE_MESSAGE_COLUMN_COUNT;

	*out = (struct base_change){
		.message =
			{
				.number = {db_u64(row, m)},
				.mailbox = {db_u32(row, m + 1)},
				.uid = db_u32(row, m + 2),
				.flags = store_read_flags(row, m + 3),
				.internaldate_s = db_i64(row, m + 5),
				.saved_s = db_i64(row, m + 6),
				.size_bytes = db_u64(row, m + 7),
				.modseq = {db_u64(row, m + 8)},
				.body = db_u64(row, m + 10),
				.state = (enum message_state)db_u32(row, m + 11),
				.hold = db_u64(row, m + 12),
				.expunged_s = db_i64(row, m + 13),
				.expunged_by = (enum message_cause)db_u32(row, m + 14),
				.successor = {db_u64(row, m + 15)},
			},
	};
	struct slice identity = db_blob(row, m + 9);

	if (identity.length == sizeof(out->message.identity)) {
		memcpy(out->message.identity, identity.data, identity.length);
	}
	out->has_base = !db_is_null(row, 3);
	if (out->has_base) {
		base_message_read(row, 0, &out->base);
	}
}

static void
base_change_finish(struct base_change *change)
{
	message_finish(&change->message);
	base_message_finish(&change->base);
}

static bool
base_changes(struct db_statement *rows,
	bool (*each)(void *context, const struct base_change *change, struct error *err), void *context,
	uint64_t *out_count, struct error *err)
{
	enum db_row row;

	*out_count = 0;
	while ((row = db_step(rows, err)) == DB_ROW) {
		struct base_change change;

		base_change_read(rows, &change);
		bool go_on = each(context, &change, err);

		base_change_finish(&change);
		if (!go_on) {
			return false;
		}
		++*out_count;
	}
	return row == DB_DONE;
}

bool
base_change_each(struct store_txn *txn, uint32_t remote, struct modseq since,
	bool (*each)(void *context, const struct base_change *change, struct error *err), void *context,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	uint64_t count;

	if (!store_prepare(txn,
		    "SELECT " BASE_CHANGE_COLUMNS
		    " FROM message m LEFT JOIN base_message b ON b.remote = ? AND b.number = m.number"
		    " WHERE m.modseq > ? ORDER BY m.modseq",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	db_bind_u64(rows, 2, since.value);
	return base_changes(rows, each, context, &count, err);
}

bool
base_change_load(struct store_txn *txn, uint32_t remote, struct number number,
	bool (*each)(void *context, const struct base_change *change, struct error *err), void *context,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	uint64_t count;

	if (!store_prepare(txn,
		    "SELECT " BASE_CHANGE_COLUMNS
		    " FROM message m LEFT JOIN base_message b ON b.remote = ? AND b.number = m.number"
		    " WHERE m.number = ?",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	db_bind_u64(rows, 2, number.value);
	if (!base_changes(rows, each, context, &count, err)) {
		return false;
	}
	return count > 0 || error_set(err, ERROR_GONE, "there is no message %" PRIu64, number.value);
}

bool
base_each_unpaired(struct store_txn *txn, uint32_t remote, struct mailbox_id mailbox,
	bool (*each)(void *context, const struct base_change *change, struct error *err), void *context,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *rows = NULL;
	uint64_t count;

	if (!store_prepare(txn,
		    "SELECT " BASE_CHANGE_COLUMNS
		    " FROM message m LEFT JOIN base_message b ON b.remote = ? AND b.number = m.number"
		    " WHERE m.mailbox = ? AND m.expunged IS NULL AND b.number IS NULL ORDER BY m.uid",
		    &rows, err)) {
		return false;
	}
	db_bind_u64(rows, 1, remote);
	db_bind_u64(rows, 2, mailbox.value);
	return base_changes(rows, each, context, &count, err);
}

bool
base_find_copy_source(struct store_txn *txn, uint32_t remote, uint64_t body, int64_t internaldate_s, bool *out_found,
	struct base_message *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *find = NULL;

	if (!store_prepare(txn,
		    "SELECT " BASE_MESSAGE_COLUMNS
		    " FROM message m JOIN base_message b ON b.remote = ? AND b.number = m.number"
		    " WHERE m.body = ? AND b.gone = 0 AND b.uidvalidity <> 0 AND b.digest IS NULL AND b.internaldate = "
		    "? "
		    "ORDER BY b.number LIMIT 1",
		    &find, err)) {
		return false;
	}
	db_bind_u64(find, 1, remote);
	db_bind_u64(find, 2, body);
	db_bind_i64(find, 3, internaldate_s);
	switch (db_step(find, err)) {
	case DB_ROW:
		base_message_read(find, 0, out);
		*out_found = true;
		return true;
	case DB_DONE:
		*out_found = false;
		return true;
	case DB_FAILED:
		break;
	}
	return false;
}
