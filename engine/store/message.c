/* Messages: rows, making them, and their flags. */
#include "engine/store/message.h"

#include <stdlib.h>

#include "engine/mail/maildir_name.h"
#include "engine/mime/listing_name.h"
#include "engine/store/message_internal.h"

#define ENVELOPE_TEXTS 6

void
message_finish(struct message *message)
{
	if (message == NULL) {
		return;
	}
	flags_finish(&message->flags);
	free(message->error);
	message->error = NULL;
}

/* --- reading --- */

static bool
no_such(struct number number, struct error *err)
{
	return error_set(err, ERROR_GONE, "there is no message %llu", (unsigned long long)number.value);
}

bool
message_load(struct store_txn *txn, struct number number, struct message *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT mailbox, uid, flags, keywords, internaldate, saved, size, modseq, identity, body, state, "
		    "error, hold, expunged, "
		    "expunged_by, successor FROM message WHERE number = ?",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, number.value);
	enum db_row row = db_step(select, err);

	if (row != DB_ROW) {
		return row == DB_DONE && no_such(number, err);
	}
	*out = (struct message){
		.number = number,
		.mailbox = {db_u32(select, 0)},
		.uid = db_u32(select, 1),
		.flags = store_read_flags(select, 2),
		.internaldate_s = db_i64(select, 4),
		.saved_s = db_i64(select, 5),
		.size_bytes = db_u64(select, 6),
		.modseq = {db_u64(select, 7)},
		.body = db_u64(select, 9),
		.state = db_u32(select, 10),
		.error = store_read_text(select, 11),
		.hold = db_u64(select, 12),
		.expunged_s = db_i64(select, 13),
		.expunged_by = db_u32(select, 14),
		.successor = {db_u64(select, 15)},
	};
	struct slice identity = db_blob(select, 8);

	if (identity.length == sizeof(out->identity)) {
		memcpy(out->identity, identity.data, identity.length);
	}
	return true;
}

static bool
place_of(struct store_txn *txn, struct number number, struct message_place *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT mailbox, uid, modseq, expunged IS NULL, body IS NOT NULL FROM message WHERE number = ?",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, number.value);
	enum db_row row = db_step(select, err);

	if (row != DB_ROW) {
		return row == DB_DONE && no_such(number, err);
	}
	*out = (struct message_place){
		.number = number,
		.mailbox = {db_u32(select, 0)},
		.uid = db_u32(select, 1),
		.modseq = {db_u64(select, 2)},
		.live = db_bool(select, 3),
		.here = db_bool(select, 4),
	};
	return true;
}

bool
message_load_place(struct store_txn *txn, struct number number, struct message_place *out, struct error *err)
{
	return place_of(txn, number, out, err);
}

bool
message_load_live(struct store_txn *txn, struct number number, struct message_place *out, struct error *err)
{
	return place_of(txn, number, out, err) &&
	       (out->live || error_set(err, ERROR_GONE, "the message %llu is not there any more",
				     (unsigned long long)number.value));
}

/* --- envelopes: six texts with a NUL between each --- */

void
message_pack_envelope(const struct envelope *envelope, struct buf *out)
{
	const char *texts[ENVELOPE_TEXTS] = {envelope->from, envelope->from_short, envelope->to, envelope->subject,
		envelope->date, envelope->message_id};

	for (size_t i = 0; i < ENVELOPE_TEXTS; i++) {
		if (i > 0) {
			buf_append_octet(out, '\0');
		}
		buf_append(out, slice_head(slice_of(texts[i]), ENVELOPE_TEXT_MAX));
	}
}

static char *
take_text(struct slice *rest)
{
	size_t length = slice_find(*rest, '\0');
	char *text = slice_dup(slice_head(*rest, length));

	*rest = slice_skip(*rest, length < rest->length ? length + 1 : length);
	return text;
}

bool
message_load_envelope(struct store_txn *txn, struct number number, struct envelope *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT envelope, date FROM message WHERE number = ?", &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, number.value);
	enum db_row row = db_step(select, err);

	if (row != DB_ROW) {
		return row == DB_DONE && no_such(number, err);
	}
	struct slice rest = db_blob(select, 0);

	out->from = take_text(&rest);
	out->from_short = take_text(&rest);
	out->to = take_text(&rest);
	out->subject = take_text(&rest);
	out->date = take_text(&rest);
	out->message_id = take_text(&rest);
	out->date_s = db_is_null(select, 1) ? INT64_MIN : db_i64(select, 1);
	return true;
}

/* --- making --- */

bool
message_enter(struct store_txn *txn, struct mailbox_id mailbox, uint32_t *out_uid, struct error *err)
{
	struct store_counters *counters;

	if (!store_counters(txn, mailbox, &counters, err)) {
		return false;
	}
	if (counters->uidnext == UINT32_MAX || counters->uidnext == 0) {
		return error_set(
			err, ERROR_REFUSED, "the mailbox has used all its UIDs: move its messages to another one");
	}
	*out_uid = counters->uidnext++;
	counters->messages++;
	counters->changed = counters->dirty = true;
	return true;
}

bool
message_leave(struct store_txn *txn, struct mailbox_id mailbox, struct error *err)
{
	struct store_counters *counters;

	if (!store_counters(txn, mailbox, &counters, err)) {
		return false;
	}
	if (counters->messages > 0) {
		counters->messages--;
	}
	counters->changed = counters->dirty = true;
	return true;
}

static bool
is_set(const uint8_t identity[17])
{
	static const uint8_t none[17];

	return memcmp(identity, none, sizeof(none)) != 0;
}

static bool
insert_message(
	struct store_txn *txn, const struct message_new *new, const struct message_place *place, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;
	SCOPED(buf_finish) struct buf envelope = BUF_INIT;

	if (!store_prepare_write(txn,
		    "INSERT INTO message (number, mailbox, uid, flags, keywords, internaldate, saved, size, modseq, "
		    "identity, body, envelope, date) "
		    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    &insert, err)) {
		return false;
	}
	db_bind_u64(insert, 1, place->number.value);
	db_bind_u64(insert, 2, place->mailbox.value);
	db_bind_u64(insert, 3, place->uid);
	store_bind_flags(insert, 4, &new->flags);
	db_bind_i64(insert, 6, new->internaldate_s);
	db_bind_i64(insert, 7, store_wall_s(txn));
	db_bind_u64(insert, 8, new->size_bytes);
	db_bind_u64(insert, 9, place->modseq.value);
	if (is_set(new->identity)) {
		db_bind_blob(insert, 10, slice_make(new->identity, sizeof(new->identity)));
	}
	db_bind_u64_or_null(insert, 11, new->body);
	if (new->envelope != NULL) {
		message_pack_envelope(new->envelope, &envelope);
		db_bind_blob(insert, 12, buf_slice(&envelope));
		if (new->envelope->date_s != INT64_MIN) {
			db_bind_i64(insert, 13, new->envelope->date_s);
		}
	}
	return db_run(insert, err);
}

static bool
list_new(struct store_txn *txn, const struct message_new *new, const struct message_place *place, struct error *err)
{
	SCOPED(buf_finish) struct buf made = BUF_INIT;
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct listing listing = {
		.number = place->number,
		.mailbox = place->mailbox,
		.uid = place->uid,
		.name = new->name,
		.given = new->name.length > 0,
		.here = new->body != 0,
		.size_bytes = new->size_bytes,
		.mtime_s = new->internaldate_s,
		.told_ns = new->changed_ns,
		.base_name = new->base_name,
		.is_new =
			new->lies == MESSAGE_LIES_IN_NEW || (new->lies == MESSAGE_LIES_BY_FLAGS &&new->flags.bits == 0),
	};

	listing_set_flags(&listing, &new->flags);
	if (!listing.given) {
		listing_name_make(new->envelope, new->internaldate_s, place->number.value, &made);
		if (!listing_settle_made(txn, place->mailbox, place->number, buf_slice(&made), &name, err)) {
			return false;
		}
		listing.name = buf_slice(&name);
	}
	return listing_insert(txn, &listing, err);
}

static bool
check_base_name(struct store_txn *txn, struct mailbox_id mailbox, struct slice base_name, struct error *err)
{
	SCOPED(listing_finish) struct listing there = {0};

	if (listing_load_by_base_name(txn, mailbox, base_name, &there, err)) {
		return error_set(err, ERROR_EXISTS, "a message has the name %.*s already", (int)base_name.length,
			base_name.data);
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return true;
}

bool
message_create(struct store_txn *txn, const struct message_new *new, struct number *out, struct error *err)
{
	struct message_place place = {.mailbox = new->mailbox, .live = true, .here = new->body != 0};

	if (new->name.length > 0 && !listing_check_given(txn, new->mailbox, new->name, (struct number){0}, err)) {
		return false;
	}
	if (new->base_name.length > 0 && !check_base_name(txn, new->mailbox, new->base_name, err)) {
		return false;
	}
	place.number = new->number;
	if (!message_enter(txn, new->mailbox, &place.uid, err) ||
		(place.number.value == 0 && !store_next_number(txn, &place.number, err))) {
		return false;
	}
	place.modseq = store_next_modseq(txn);
	if (!insert_message(txn, new, &place, err) ||
		((new->envelope != NULL || new->name.length > 0) && !list_new(txn, new, &place, err))) {
		return error_wrap(err, "a new message");
	}
	*out = place.number;
	return true;
}

/* --- flags --- */

/* In the Maildir view the name changes with the letters: the listing has it, and a trace the old one. */
static bool
write_listing_flags(struct store_txn *txn, const struct message_place *place, const struct flags *old_flags,
	const struct flags *flags, struct modseq modseq, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	SCOPED(listing_finish) struct listing old = {0};
	bool renamed = maildir_name_letters(old_flags) != maildir_name_letters(flags);
	struct listing new;

	if (!listing_load(txn, place->number, &old, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err); /* its header is not here */
		return true;
	}
	new = old;
	listing_set_flags(&new, flags);
	new.is_new = old.is_new && flags->bits == 0; /* somebody has looked at it */
	if (!store_prepare_write(txn,
		    "UPDATE listing SET " LISTING_CHANGED ", flags = ?2, letters = ?3 WHERE mailbox = ?4 AND uid = ?5",
		    &update, err)) {
		return false;
	}
	db_bind_i64(update, 1, store_next_changed_ns(txn, 0));
	db_bind_u64(update, 2, new.flags);
	listing_bind_letters(update, 3, &new);
	db_bind_u64(update, 4, place->mailbox.value);
	db_bind_u64(update, 5, place->uid);
	return db_run(update, err) &&
	       (!renamed || (message_trace(txn, place, modseq, slice_of(NULL), &old, old.flags, err) &&
				    store_touch(txn, place->mailbox, err)));
}

static bool
write_flags(struct store_txn *txn, const struct message_place *place, const struct flags *old,
	const struct flags *flags, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	struct modseq modseq = store_next_modseq(txn);

	if (!store_prepare_write(
		    txn, "UPDATE message SET flags = ?, keywords = ?, modseq = ? WHERE number = ?", &update, err)) {
		return false;
	}
	store_bind_flags(update, 1, flags);
	db_bind_u64(update, 3, modseq.value);
	db_bind_u64(update, 4, place->number.value);
	return db_run(update, err) && write_listing_flags(txn, place, old, flags, modseq, err);
}

static bool
load_flags(struct store_txn *txn, struct number number, struct message_place *out_place, struct flags *out_flags,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT mailbox, uid, modseq, expunged IS NULL, flags, keywords FROM message WHERE number = ?",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, number.value);
	enum db_row row = db_step(select, err);

	if (row != DB_ROW) {
		return row == DB_DONE && no_such(number, err);
	}
	*out_place = (struct message_place){
		.number = number,
		.mailbox = {db_u32(select, 0)},
		.uid = db_u32(select, 1),
		.modseq = {db_u64(select, 2)},
		.live = db_bool(select, 3),
	};
	*out_flags = store_read_flags(select, 4);
	return true;
}

bool
message_set_flags(struct store_txn *txn, struct number number, const struct flags *flags, struct modseq seen,
	bool *out_applied, struct error *err)
{
	SCOPED(flags_finish) struct flags old = FLAGS_INIT;
	struct message_place place;

	if (!load_flags(txn, number, &place, &old, err)) {
		return false;
	}
	if (seen.value != 0 && place.modseq.value != seen.value) {
		*out_applied = false;
		return true;
	}
	if (!place.live) {
		return error_set(
			err, ERROR_GONE, "the message %llu is not there any more", (unsigned long long)number.value);
	}
	if (!flags_equal(&old, flags) && !write_flags(txn, &place, &old, flags, err)) {
		return false;
	}
	*out_applied = true;
	return true;
}

bool
message_change_flags(struct store_txn *txn, struct number number, const struct flags *add, const struct flags *remove,
	struct error *err)
{
	SCOPED(flags_finish) struct flags old = FLAGS_INIT;
	SCOPED(flags_finish) struct flags less = FLAGS_INIT;
	SCOPED(flags_finish) struct flags new = FLAGS_INIT;
	struct message_place place = {0};

	if (!load_flags(txn, number, &place, &old, err)) {
		return false;
	}
	if (!place.live) {
		return error_set(
			err, ERROR_GONE, "the message %llu is not there any more", (unsigned long long)number.value);
	}
	less = flags_minus(&old, remove);
	new = flags_union(&less, add);
	return flags_equal(&old, &new) || write_flags(txn, &place, &old, &new, err);
}
