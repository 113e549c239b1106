/* Messages: where they are. Moving, renaming, expunging and reviving; each ends a name and leaves its trace. */
#include <stdlib.h>

#include "engine/mail/maildir_name.h"
#include "engine/mail/message_id32.h"
#include "engine/mime/listing_name.h"
#include "engine/store/message_internal.h"

bool
message_trace(struct store_txn *txn, const struct message_place *place, struct modseq modseq, struct slice name,
	const struct listing *maildir, uint32_t flags, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	if (!store_prepare_write(txn,
		    "INSERT INTO trace (modseq, number, mailbox, uid, name, base_name, flags, time) VALUES (?, ?, ?, "
		    "?, ?, ?, ?, ?)",
		    &insert, err)) {
		return false;
	}
	db_bind_u64(insert, 1, modseq.value);
	db_bind_u64(insert, 2, place->number.value);
	db_bind_u64(insert, 3, place->mailbox.value);
	db_bind_u64(insert, 4, place->uid);
	db_bind_text(insert, 5, name);
	if (maildir != NULL && maildir->uid != 0) {
		listing_print_maildir(maildir, &path);
	}
	db_bind_text_or_null(insert, 6, buf_slice(&path));
	db_bind_u64(insert, 7, flags);
	db_bind_i64(insert, 8, store_wall_s(txn));
	return db_run(insert, err);
}

bool
message_set_modseq(struct store_txn *txn, struct number number, struct modseq modseq, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn, "UPDATE message SET modseq = ? WHERE number = ?", &update, err)) {
		return false;
	}
	db_bind_u64(update, 1, modseq.value);
	db_bind_u64(update, 2, number.value);
	return db_run(update, err);
}

/* The listing of a live message, or an empty one where its header is not here. */
static bool
load_listing(struct store_txn *txn, struct number number, struct listing *out, struct error *err)
{
	*out = (struct listing){0};
	if (listing_load(txn, number, out, err)) {
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return true;
}

/* Ends a listing, if there is one, and leaves its trace. */
static bool
end_place(struct store_txn *txn, const struct message_place *place, const struct listing *listing, struct modseq modseq,
	struct error *err)
{
	return message_trace(txn, place, modseq, listing->name, listing, listing->flags, err) &&
	       (listing->uid == 0 || listing_remove(txn, place->mailbox, place->uid, err)) &&
	       message_leave(txn, place->mailbox, err);
}

/* --- moving --- */

/* Makes the name anew from the envelope. */
static bool
make_name(struct store_txn *txn, struct number number, struct mailbox_id mailbox, struct buf *out, struct error *err)
{
	SCOPED(message_finish) struct message message = {0};
	SCOPED(envelope_finish) struct envelope envelope = {0};
	SCOPED(buf_finish) struct buf made = BUF_INIT;

	if (!message_load(txn, number, &message, err) || !message_load_envelope(txn, number, &envelope, err)) {
		return false;
	}
	listing_name_make(&envelope, message.internaldate_s, number.value, &made);
	return listing_settle_made(txn, mailbox, number, buf_slice(&made), out, err);
}

/* Decides under which name a message that was shown as `old` appears in `mailbox`: the one that is asked for, else the same, else a made one. */
static bool
settle_name(struct store_txn *txn, const struct listing *old, struct mailbox_id mailbox, struct slice asked,
	struct buf *out, bool *out_given, struct error *err)
{
	*out_given = asked.length > 0 || old->given;
	if (asked.length > 0) {
		buf_append(out, asked);
		return listing_check_given(txn, mailbox, asked, old->number, err);
	}
	if (!old->given) {
		return listing_settle_made(txn, mailbox, old->number, old->name, out, err);
	}
	if (listing_check_given(txn, mailbox, old->name, old->number, err)) {
		buf_append(out, old->name);
		return true;
	}
	if (err->kind != ERROR_EXISTS) {
		return false;
	}
	error_clear(err);
	*out_given = false;
	return make_name(txn, old->number, mailbox, out, err);
}

static bool
write_place(struct store_txn *txn, const struct message_place *to, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn, "UPDATE message SET mailbox = ?, uid = ?, saved = ?, modseq = ? WHERE number = ?",
		    &update, err)) {
		return false;
	}
	db_bind_u64(update, 1, to->mailbox.value);
	db_bind_u64(update, 2, to->uid);
	db_bind_i64(update, 3, store_wall_s(txn));
	db_bind_u64(update, 4, to->modseq.value);
	db_bind_u64(update, 5, to->number.value);
	return db_run(update, err);
}

static bool
list_at(struct store_txn *txn, const struct listing *old, const struct message_place *to, struct slice name, bool given,
	struct error *err)
{
	struct listing listing = *old;

	listing.mailbox = to->mailbox;
	listing.uid = to->uid;
	listing.name = name;
	listing.given = given;
	listing.base_name = slice_of(NULL); /* it ends with the place (design 5, Names) */
	return listing_insert(txn, &listing, err);
}

bool
message_move(struct store_txn *txn, struct number number, struct mailbox_id to, struct slice name, struct error *err)
{
	SCOPED(listing_finish) struct listing old = {0};
	SCOPED(buf_finish) struct buf new_name = BUF_INIT;
	struct message_place from, place;
	bool given = false, listed;

	if (!message_load_live(txn, number, &from, err)) {
		return false;
	}
	if (from.mailbox.value == to.value) {
		return name.length == 0 || message_rename(txn, number, name, err);
	}
	if (!load_listing(txn, number, &old, err)) {
		return false;
	}
	listed = old.uid != 0;
	if (listed && !settle_name(txn, &old, to, name, &new_name, &given, err)) {
		return false;
	}
	place = (struct message_place){.number = number, .mailbox = to};
	if (!message_enter(txn, to, &place.uid, err)) {
		return false;
	}
	place.modseq = store_next_modseq(txn);
	return end_place(txn, &from, &old, place.modseq, err) && write_place(txn, &place, err) &&
	       (!listed || list_at(txn, &old, &place, buf_slice(&new_name), given, err));
}

/* --- renaming --- */

static bool
write_name(struct store_txn *txn, const struct listing *listing, struct slice name, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn,
		    "UPDATE listing SET " LISTING_CHANGED ", name = ?2, given = 1 WHERE mailbox = ?3 AND uid = ?4",
		    &update, err)) {
		return false;
	}
	store_note_given(txn, name);
	db_bind_i64(update, 1, store_next_changed_ns(txn, 0));
	db_bind_text(update, 2, name);
	db_bind_u64(update, 3, listing->mailbox.value);
	db_bind_u64(update, 4, listing->uid);
	return db_run(update, err);
}

bool
message_rename(struct store_txn *txn, struct number number, struct slice name, struct error *err)
{
	SCOPED(listing_finish) struct listing old = {0};

	if (!listing_load(txn, number, &old, err) || !listing_check_given(txn, old.mailbox, name, number, err)) {
		return false;
	}
	if (slice_equal(old.name, name)) {
		return true;
	}
	struct message_place place = {.number = number, .mailbox = old.mailbox, .uid = old.uid};
	struct modseq modseq = store_next_modseq(txn);

	/* Its name in the Maildir view stays, so the trace does not tell that one. */
	return message_trace(txn, &place, modseq, old.name, NULL, old.flags, err) && write_name(txn, &old, name, err) &&
	       message_set_modseq(txn, number, modseq, err) && store_touch(txn, old.mailbox, err);
}

/* --- in the Maildir view --- */

/* A base name that the message would have anyway is none that was chosen. */
static struct slice
chosen(const struct listing *listing, struct slice base_name)
{
	SCOPED(buf_finish) struct buf made = BUF_INIT;

	maildir_name_make_base(listing->mtime_s, listing->number, &made);
	return slice_equal(buf_slice(&made), base_name) ? slice_of(NULL) : base_name;
}

static bool
write_maildir(struct store_txn *txn, const struct listing *listing, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn,
		    "UPDATE listing SET " LISTING_CHANGED
		    ", base_name = ?2, letters = ?3 WHERE mailbox = ?4 AND uid = ?5",
		    &update, err)) {
		return false;
	}
	db_bind_i64(update, 1, store_next_changed_ns(txn, 0));
	db_bind_text_or_null(update, 2, listing->base_name);
	listing_bind_letters(update, 3, listing);
	db_bind_u64(update, 4, listing->mailbox.value);
	db_bind_u64(update, 5, listing->uid);
	return db_run(update, err);
}

bool
message_set_maildir(struct store_txn *txn, struct number number, struct slice base_name, bool is_new, struct error *err)
{
	SCOPED(listing_finish) struct listing old = {0};
	SCOPED(listing_finish) struct listing there = {0};
	struct listing wanted;

	if (!listing_load(txn, number, &old, err)) {
		return false;
	}
	wanted = old;
	wanted.owned = NULL;
	wanted.base_name = chosen(&old, base_name);
	wanted.is_new = is_new;
	if (slice_equal(old.base_name, wanted.base_name) && old.is_new == is_new) {
		return true;
	}
	if (base_name.length > 0 && listing_load_by_base_name(txn, old.mailbox, base_name, &there, err)) {
		if (there.number.value != number.value) {
			return error_set(err, ERROR_EXISTS, "a message has the name %.*s already",
				(int)base_name.length, base_name.data);
		}
	} else if (base_name.length > 0 && err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	struct message_place place = {.number = number, .mailbox = old.mailbox, .uid = old.uid};
	struct modseq modseq = store_next_modseq(txn);

	return write_maildir(txn, &wanted, err) &&
	       message_trace(txn, &place, modseq, slice_of(NULL), &old, old.flags, err) &&
	       message_set_modseq(txn, number, modseq, err) && store_touch(txn, old.mailbox, err);
}

/* --- the end, and back --- */

bool
message_expunge(struct store_txn *txn, struct number number, enum message_cause cause, struct number successor,
	struct error *err)
{
	SCOPED(listing_finish) struct listing old = {0};
	SCOPED(db_end) struct db_statement *update = NULL;
	struct message_place place;

	if (!message_load_place(txn, number, &place, err)) {
		return false;
	}
	if (!place.live) {
		return true;
	}
	if (!load_listing(txn, number, &old, err)) {
		return false;
	}
	struct modseq modseq = store_next_modseq(txn);

	if (!end_place(txn, &place, &old, modseq, err) ||
		!store_prepare_write(txn,
			"UPDATE message SET expunged = ?, expunged_by = ?, successor = ?, modseq = ? WHERE number = ?",
			&update, err)) {
		return false;
	}
	db_bind_i64(update, 1, store_wall_s(txn));
	db_bind_u64(update, 2, cause);
	db_bind_u64_or_null(update, 3, successor.value);
	db_bind_u64(update, 4, modseq.value);
	db_bind_u64(update, 5, number.value);
	return db_run(update, err);
}

/* The name under which it was last shown, from its trace; empty where it was never listed. */
static bool
last_name(struct store_txn *txn, const struct message_place *place, struct buf *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT name FROM trace WHERE modseq = ? AND number = ?", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, place->modseq.value);
	db_bind_u64(select, 2, place->number.value);
	enum db_row row = db_step(select, err);

	if (row == DB_ROW) {
		buf_append(out, db_text(select, 0));
	}
	return row != DB_FAILED;
}

static bool
write_live(struct store_txn *txn, const struct message_place *place, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(txn,
		    "UPDATE message SET expunged = NULL, expunged_by = NULL, successor = NULL, mailbox = ?, uid = ?, "
		    "saved = ?, modseq = ? "
		    "WHERE number = ?",
		    &update, err)) {
		return false;
	}
	db_bind_u64(update, 1, place->mailbox.value);
	db_bind_u64(update, 2, place->uid);
	db_bind_i64(update, 3, store_wall_s(txn));
	db_bind_u64(update, 4, place->modseq.value);
	db_bind_u64(update, 5, place->number.value);
	return db_run(update, err);
}

/* Lists it again as it was shown before. */
static bool
list_again(struct store_txn *txn, const struct message_place *place, struct slice name, struct error *err)
{
	SCOPED(message_finish) struct message message = {0};
	SCOPED(buf_finish) struct buf new_name = BUF_INIT;
	struct number in_name;

	if (!message_load(txn, place->number, &message, err)) {
		return false;
	}
	struct listing old = {
		.number = place->number,
		.name = name,
		.given = !number_from_name(name, &in_name) || in_name.value != place->number.value,
		.here = message.body != 0,
		.size_bytes = message.size_bytes,
		.mtime_s = message.internaldate_s,
	};
	bool given;

	listing_set_flags(&old, &message.flags);

	return settle_name(txn, &old, place->mailbox, slice_of(NULL), &new_name, &given, err) &&
	       list_at(txn, &old, place, buf_slice(&new_name), given, err);
}

bool
message_revive(struct store_txn *txn, struct number number, struct mailbox_id to, struct error *err)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct message_place place;

	if (!message_load_place(txn, number, &place, err)) {
		return false;
	}
	if (place.live) {
		return message_move(txn, number, to, slice_of(NULL), err);
	}
	if (!last_name(txn, &place, &name, err)) {
		return false;
	}
	place.mailbox = to;
	if (!message_enter(txn, to, &place.uid, err)) {
		return false;
	}
	place.modseq = store_next_modseq(txn);
	return write_live(txn, &place, err) && (name.length == 0 || list_again(txn, &place, buf_slice(&name), err));
}
