/* Messages: what else is set on them, and finding them by their bodies. */
#include <stdlib.h>

#include "engine/mail/maildir_name.h"
#include "engine/mime/listing_name.h"
#include "engine/store/message_internal.h"

/* The modseq that a change gives a row. A tombstone keeps its own: its trace is found by it, and nobody is shown it. */
static struct modseq
modseq_for(struct store_txn *txn, const struct message_place *place)
{
	return place->live ? store_next_modseq(txn) : place->modseq;
}

/* --- the body --- */

static bool
write_body(struct store_txn *txn, const struct message_place *place, uint64_t body, uint64_t size_bytes,
	const uint8_t *identity, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn,
		    "UPDATE message SET body = ?, size = ?, modseq = ?, identity = coalesce(?, identity) WHERE number "
		    "= ?",
		    &update, err)) {
		return false;
	}
	db_bind_u64_or_null(update, 1, body);
	db_bind_u64(update, 2, size_bytes);
	db_bind_u64(update, 3, modseq_for(txn, place).value);
	db_bind_blob_or_null(update, 4, slice_make(identity, identity != NULL ? 17 : 0));
	db_bind_u64(update, 5, place->number.value);
	return db_run(update, err);
}

static bool
write_envelope(struct store_txn *txn, struct number number, const struct envelope *envelope, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	SCOPED(buf_finish) struct buf packed = BUF_INIT;

	if (!store_prepare_write(txn, "UPDATE message SET envelope = ?, date = ? WHERE number = ?", &update, err)) {
		return false;
	}
	message_pack_envelope(envelope, &packed);
	db_bind_blob(update, 1, buf_slice(&packed));
	if (envelope->date_s != INT64_MIN) {
		db_bind_i64(update, 2, envelope->date_s);
	}
	db_bind_u64(update, 3, number.value);
	return db_run(update, err);
}

/* Lists a live message whose header has just come. */
static bool
list_now(struct store_txn *txn, const struct message_place *place, const struct envelope *envelope, struct error *err)
{
	SCOPED(message_finish) struct message message = {0};
	SCOPED(buf_finish) struct buf made = BUF_INIT;
	SCOPED(buf_finish) struct buf name = BUF_INIT;

	if (!message_load(txn, place->number, &message, err)) {
		return false;
	}
	listing_name_make(envelope, message.internaldate_s, place->number.value, &made);
	if (!listing_settle_made(txn, place->mailbox, place->number, buf_slice(&made), &name, err)) {
		return false;
	}
	struct listing listing = {
		.number = place->number,
		.mailbox = place->mailbox,
		.uid = place->uid,
		.name = buf_slice(&name),
		.here = message.body != 0,
		.size_bytes = message.size_bytes,
		.mtime_s = message.internaldate_s,
		.is_new = message.flags.bits == 0,
	};

	listing_set_flags(&listing, &message.flags);
	return listing_insert(txn, &listing, err) && store_touch(txn, place->mailbox, err);
}

/* Writes size and presence into the listing; *out_listed tells whether there is one. */
static bool
write_size(struct store_txn *txn, const struct message_place *place, uint64_t size_bytes, bool here, bool *out_listed,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn,
		    "UPDATE listing SET " LISTING_CHANGED ", size = ?2, here = ?3 WHERE mailbox = ?4 AND uid = ?5",
		    &update, err)) {
		return false;
	}
	db_bind_i64(update, 1, store_next_changed_ns(txn, 0));
	db_bind_u64(update, 2, size_bytes);
	db_bind_bool(update, 3, here);
	db_bind_u64(update, 4, place->mailbox.value);
	db_bind_u64(update, 5, place->uid);
	if (!db_run(update, err)) {
		return false;
	}
	*out_listed = db_changes(store_db(txn)) > 0;
	return true;
}

static bool
has_body(struct store_txn *txn, struct number number, uint64_t body, uint64_t size_bytes, bool *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT 1 FROM message WHERE number = ? AND body IS ? AND size = ?", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, number.value);
	db_bind_u64_or_null(select, 2, body);
	db_bind_u64(select, 3, size_bytes);
	enum db_row row = db_step(select, err);

	*out = row == DB_ROW;
	return row != DB_FAILED;
}

bool
message_set_body(struct store_txn *txn, struct number number, uint64_t body, uint64_t size_bytes,
	const struct envelope *envelope_or_null, const uint8_t identity_or_null[17], struct error *err)
{
	struct message_place place;
	bool same, listed = true;

	if (!message_load_place(txn, number, &place, err) || !has_body(txn, number, body, size_bytes, &same, err)) {
		return false;
	}
	if (!same && !write_body(txn, &place, body, size_bytes, identity_or_null, err)) {
		return false;
	}
	if (place.live && !write_size(txn, &place, size_bytes, body != 0, &listed, err)) {
		return false;
	}
	if (listed || envelope_or_null == NULL) {
		return true;
	}
	if (same && !message_set_modseq(txn, number, store_next_modseq(txn), err)) {
		return false;
	}
	return write_envelope(txn, number, envelope_or_null, err) && list_now(txn, &place, envelope_or_null, err);
}

/* --- times, failures, holds --- */

/* Sets the time that stat shows. A base name that was made of the old one is kept, or ends (`renames`) with a trace. */
static bool
set_listing_mtime(struct store_txn *txn, const struct listing *old, int64_t mtime_s, bool renames, struct modseq modseq,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	SCOPED(buf_finish) struct buf made = BUF_INIT;
	struct message_place place = {.number = old->number, .mailbox = old->mailbox, .uid = old->uid};
	bool was_made = old->base_name.length == 0;

	if (!store_prepare_write(txn,
		    "UPDATE listing SET " LISTING_CHANGED
		    ", mtime = ?2, base_name = ?3 WHERE mailbox = ?4 AND uid = ?5",
		    &update, err)) {
		return false;
	}
	if (was_made && !renames) {
		maildir_name_make_base(old->mtime_s, old->number, &made);
	} else {
		buf_append(&made, old->base_name);
	}
	db_bind_i64(update, 1, store_next_changed_ns(txn, 0));
	db_bind_i64(update, 2, mtime_s);
	db_bind_text_or_null(update, 3, buf_slice(&made));
	db_bind_u64(update, 4, old->mailbox.value);
	db_bind_u64(update, 5, old->uid);
	return db_run(update, err) &&
	       (!was_made || !renames ||
		       (message_trace(txn, &place, modseq, slice_of(NULL), old, old->flags, err) &&
			       store_touch(txn, old->mailbox, err)));
}

/* The listing of a message; an empty one where it has none. */
static bool
load_listing(struct store_txn *txn, struct number number, struct listing *out, struct error *err)
{
	if (listing_load(txn, number, out, err)) {
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return true;
}

bool
message_set_internaldate(struct store_txn *txn, struct number number, int64_t internaldate_s, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	SCOPED(listing_finish) struct listing old = {0};
	struct message_place place;
	bool listed_anew, changed;

	if (!message_load_place(txn, number, &place, err) || !load_listing(txn, number, &old, err) ||
		!store_prepare_write(txn,
			"UPDATE message SET internaldate = ?1 WHERE number = ?2 AND internaldate <> ?1", &update,
			err)) {
		return false;
	}
	listed_anew = old.uid != 0 && old.mtime_s != internaldate_s;
	db_bind_i64(update, 1, internaldate_s);
	db_bind_u64(update, 2, number.value);
	if (!db_run(update, err)) {
		return false;
	}
	changed = listed_anew || db_changes(store_db(txn)) > 0;
	if (!changed) {
		return true;
	}
	struct modseq modseq = modseq_for(txn, &place);

	return (!listed_anew || set_listing_mtime(txn, &old, internaldate_s, true, modseq, err)) &&
	       message_set_modseq(txn, number, modseq, err);
}

bool
message_set_mtime(struct store_txn *txn, struct number number, int64_t mtime_s, struct error *err)
{
	SCOPED(listing_finish) struct listing old = {0};
	struct message_place place;

	if (!message_load_live(txn, number, &place, err) || !load_listing(txn, number, &old, err)) {
		return false;
	}
	if (old.uid == 0 || old.mtime_s == mtime_s) {
		return true;
	}
	struct modseq modseq = store_next_modseq(txn);

	return set_listing_mtime(txn, &old, mtime_s, false, modseq, err) &&
	       message_set_modseq(txn, number, modseq, err);
}

bool
message_set_failed(struct store_txn *txn, struct number number, const char *error_or_null, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	struct message_place place;

	if (!message_load_place(txn, number, &place, err) || !store_prepare_write(txn,
								     "UPDATE message SET state = ?1, error = ?2 WHERE "
								     "number = ?3 AND (state <> ?1 OR error IS NOT ?2)",
								     &update, err)) {
		return false;
	}
	db_bind_u64(update, 1, error_or_null != NULL ? MESSAGE_FAILED : MESSAGE_PLAIN);
	store_bind_text(update, 2, error_or_null);
	db_bind_u64(update, 3, number.value);
	if (!db_run(update, err)) {
		return false;
	}
	return db_changes(store_db(txn)) == 0 || message_set_modseq(txn, number, modseq_for(txn, &place), err);
}

bool
message_touch(struct store_txn *txn, struct number number, struct error *err)
{
	struct message_place place;

	if (!message_load_place(txn, number, &place, err)) {
		return false;
	}
	return !place.live || message_set_modseq(txn, number, store_next_modseq(txn), err);
}

bool
message_set_hold(struct store_txn *txn, struct number number, uint64_t hold_or_0, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	struct message_place place;

	if (!message_load_place(txn, number, &place, err) ||
		!store_prepare_write(
			txn, "UPDATE message SET hold = ?1 WHERE number = ?2 AND hold IS NOT ?1", &update, err)) {
		return false;
	}
	db_bind_u64_or_null(update, 1, hold_or_0);
	db_bind_u64(update, 2, number.value);
	if (!db_run(update, err)) {
		return false;
	}
	return db_changes(store_db(txn)) == 0 || message_set_modseq(txn, number, modseq_for(txn, &place), err);
}

/* --- by body --- */

bool
message_find_by_body(struct store_txn *txn, uint64_t body, struct number *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT number FROM message WHERE body = ? ORDER BY expunged IS NOT NULL, number LIMIT 1", &select,
		    err)) {
		return false;
	}
	db_bind_u64(select, 1, body);
	switch (db_step(select, err)) {
	case DB_ROW:
		*out = (struct number){db_u64(select, 0)};
		return true;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "no message has this body");
	case DB_FAILED:
		break;
	}
	return false;
}

struct missing {
	struct store_txn *txn;
	int64_t since_s;
	size_t left;
	bool (*each)(void *context, struct number number, struct mailbox_id mailbox);
	void *context;
	bool ended;
};

/* Tells the rows of a statement that gives number and mailbox. */
static bool
tell_missing(struct missing *missing, struct db_statement *select, struct error *err)
{
	enum db_row row = DB_DONE;

	while (!missing->ended && missing->left > 0 && (row = db_step(select, err)) == DB_ROW) {
		missing->left--;
		if (!missing->each(missing->context, (struct number){db_u64(select, 0)},
			    (struct mailbox_id){db_u32(select, 1)})) {
			missing->ended = true;
		}
	}
	return row != DB_FAILED;
}

/* Those whose body turned out to be damaged come first: somebody has tried to read them. */
static bool
each_damaged(struct missing *missing, struct mailbox_id mailbox, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(missing->txn,
		    "SELECT m.number, m.mailbox FROM body b CROSS JOIN message m ON m.body = b.id "
		    "WHERE b.damaged = 1 AND m.expunged IS NULL AND m.internaldate >= ? AND (? = 0 OR m.mailbox = ?)",
		    &select, err)) {
		return false;
	}
	db_bind_i64(select, 1, missing->since_s);
	db_bind_u64(select, 2, mailbox.value);
	db_bind_u64(select, 3, mailbox.value);
	return tell_missing(missing, select, err);
}

static bool
each_missing_in(struct missing *missing, struct mailbox_id mailbox, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(missing->txn,
		    "SELECT number, mailbox FROM message AS m WHERE mailbox = ? AND internaldate >= ? AND body IS NULL "
		    "AND expunged IS NULL "
		    /* what is gone there cannot be had any more */
		    "AND NOT EXISTS (SELECT 1 FROM base_message AS b WHERE b.number = m.number AND b.gone <> 0) "
		    "ORDER BY internaldate DESC",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, mailbox.value);
	db_bind_i64(select, 2, missing->since_s);
	return tell_missing(missing, select, err);
}

static bool
each_missing_anywhere(struct missing *missing, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row = DB_DONE;

	if (!store_prepare(missing->txn,
		    "SELECT id FROM mailbox WHERE expunged IS NULL ORDER BY opened DESC, name = 'INBOX' DESC, name",
		    &select, err)) {
		return false;
	}
	while (!missing->ended && missing->left > 0 && (row = db_step(select, err)) == DB_ROW) {
		if (!each_missing_in(missing, (struct mailbox_id){db_u32(select, 0)}, err)) {
			return false;
		}
	}
	return row != DB_FAILED;
}

bool
message_each_missing(struct store_txn *txn, struct mailbox_id mailbox_or_0, int64_t since_s, size_t limit,
	bool (*each)(void *context, struct number number, struct mailbox_id mailbox), void *context, struct error *err)
{
	struct missing missing = {.txn = txn, .since_s = since_s, .left = limit, .each = each, .context = context};

	if (!each_damaged(&missing, mailbox_or_0, err)) {
		return false;
	}
	return mailbox_or_0.value != 0 ? each_missing_in(&missing, mailbox_or_0, err)
				       : each_missing_anywhere(&missing, err);
}
