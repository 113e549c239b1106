/* Listings: the narrow rows behind readdir and lookup, and the names in them. */
#include <stdlib.h>

#include "engine/mail/maildir_name.h"
#include "engine/mail/message_id32.h"
#include "engine/mime/listing_name.h"
#include "engine/store/message_internal.h"

#define COLUMNS                                                                                        \
	"l.number, l.mailbox, l.uid, l.name, l.base_name, l.given, l.here, l.size, l.mtime, l.flags, " \
	"l.changed_ns, l.letters"
#define LETTER_NEW    "N"
#define LETTER_PASSED "P"
#define FILE_NAME_MAX 255
#define REPEATS_MAX   8

void
listing_finish(struct listing *listing)
{
	if (listing == NULL) {
		return;
	}
	free(listing->owned);
	*listing = (struct listing){0};
}

/* --- reading --- */

void
listing_read_letters(struct listing *listing, struct slice letters)
{
	listing->is_new = slice_find(letters, LETTER_NEW[0]) < letters.length;
	listing->passed = slice_find(letters, LETTER_PASSED[0]) < letters.length;
}

static struct listing
view_row(const struct db_statement *row)
{
	int64_t changed_ns = db_i64(row, 10);
	struct listing listing = {
		.number = {db_u64(row, 0)},
		.mailbox = {db_u32(row, 1)},
		.uid = db_u32(row, 2),
		.name = db_text(row, 3),
		.base_name = db_text(row, 4),
		.given = db_bool(row, 5),
		.here = db_bool(row, 6),
		.size_bytes = db_u64(row, 7),
		.mtime_s = db_i64(row, 8),
		.flags = db_u32(row, 9),
		.changed_ns = changed_ns != 0 ? changed_ns : db_i64(row, 8) * 1000000000,
	};

	listing_read_letters(&listing, db_text(row, 11));
	return listing;
}

void
listing_set_flags(struct listing *listing, const struct flags *flags)
{
	listing->flags = flags->bits;
	listing->passed = (maildir_name_letters(flags) & MAILDIR_PASSED) != 0;
}

void
listing_print_maildir(const struct listing *listing, struct buf *out)
{
	SCOPED(buf_finish) struct buf base = BUF_INIT;
	struct maildir_name name = {.is_new = listing->is_new,
		.base = listing->base_name,
		.letters = listing->flags | (listing->passed ? MAILDIR_PASSED : 0)};

	if (name.base.length == 0) {
		maildir_name_make_base(listing->mtime_s, listing->number, &base);
		name.base = buf_slice(&base);
	}
	maildir_name_print_path(&name, out);
}

/* Makes the names the listing's own. */
static struct listing
own(struct listing listing)
{
	struct buf names = BUF_INIT;

	buf_append(&names, listing.name);
	buf_append(&names, listing.base_name);
	listing.owned = buf_take(&names);
	listing.name.data = listing.owned;
	if (listing.base_name.length > 0) {
		listing.base_name.data = listing.owned + listing.name.length;
	}
	return listing;
}

static bool
load_one(struct db_statement *select, struct listing *out, struct error *err)
{
	switch (db_step(select, err)) {
	case DB_ROW:
		*out = own(view_row(select));
		return true;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "there is no such message in the listing");
	case DB_FAILED:
		break;
	}
	return false;
}

bool
listing_each(struct store_txn *txn, struct mailbox_id mailbox, uint32_t after_uid,
	bool (*each)(void *context, const struct listing *listing), void *context, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row;

	if (!store_prepare(txn, "SELECT " COLUMNS " FROM listing l WHERE l.mailbox = ? AND l.uid > ? ORDER BY l.uid",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, mailbox.value);
	db_bind_u64(select, 2, after_uid);
	while ((row = db_step(select, err)) == DB_ROW) {
		struct listing listing = view_row(select);

		if (!each(context, &listing)) {
			return true;
		}
	}
	return row == DB_DONE;
}

bool
listing_load(struct store_txn *txn, struct number number, struct listing *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT " COLUMNS " FROM message m CROSS JOIN listing l ON l.mailbox = m.mailbox AND l.uid = m.uid "
		    "WHERE m.number = ? AND m.expunged IS NULL",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, number.value);
	return load_one(select, out, err);
}

static bool
load_given(struct store_txn *txn, struct mailbox_id mailbox, struct slice name, struct listing *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT " COLUMNS
		    " FROM listing l INDEXED BY listing_by_given WHERE l.mailbox = ? AND l.name = ? AND l.given = 1",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, mailbox.value);
	db_bind_text(select, 2, name);
	return load_one(select, out, err);
}

/* By the ID in the name. ERROR_GONE also where that message has another name, or is elsewhere. */
static bool
load_made(struct store_txn *txn, struct mailbox_id mailbox, struct slice name, struct listing *out, struct error *err)
{
	struct listing listing;
	struct number number;

	if (!number_from_name(name, &number) || number.value > UINT32_MAX) {
		return error_set(err, ERROR_GONE, "there is no such message in the listing");
	}
	if (!listing_load(txn, number, &listing, err)) {
		return false;
	}
	if (listing.mailbox.value != mailbox.value || !slice_equal(listing.name, name)) {
		listing_finish(&listing);
		return error_set(err, ERROR_GONE, "there is no such message in the listing");
	}
	*out = listing;
	return true;
}

/* No name is both a given and a made one in a mailbox, so the order does not matter, and the ID is the quicker way. */
bool
listing_load_by_name(
	struct store_txn *txn, struct mailbox_id mailbox, struct slice name, struct listing *out, struct error *err)
{
	if (name.length > FILE_NAME_MAX) {
		return error_set(err, ERROR_GONE, "there is no such message in the listing");
	}
	if (load_made(txn, mailbox, name, out, err)) {
		return true;
	}
	return err->kind == ERROR_GONE && load_given(txn, mailbox, name, out, err);
}

static bool
load_chosen(struct store_txn *txn, struct mailbox_id mailbox, struct slice base_name, struct listing *out,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT " COLUMNS " FROM listing l INDEXED BY listing_by_base_name WHERE l.mailbox = ? AND "
		    "l.base_name = ? AND l.base_name IS NOT NULL",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, mailbox.value);
	db_bind_text(select, 2, base_name);
	return load_one(select, out, err);
}

/* By the number in the base. ERROR_GONE also where that message has another one, or is elsewhere. */
static bool
load_by_made_base(struct store_txn *txn, struct mailbox_id mailbox, struct slice base_name, struct listing *out,
	struct error *err)
{
	struct listing listing;
	struct number number;
	int64_t seconds;

	if (!maildir_name_read_base(base_name, &seconds, &number) || number.value > UINT32_MAX) {
		return error_set(err, ERROR_GONE, "there is no such message in the listing");
	}
	if (!listing_load(txn, number, &listing, err)) {
		return false;
	}
	if (listing.mailbox.value != mailbox.value || listing.base_name.length > 0 || listing.mtime_s != seconds) {
		listing_finish(&listing);
		return error_set(err, ERROR_GONE, "there is no such message in the listing");
	}
	*out = listing;
	return true;
}

bool
listing_load_by_base_name(struct store_txn *txn, struct mailbox_id mailbox, struct slice base_name, struct listing *out,
	struct error *err)
{
	if (load_by_made_base(txn, mailbox, base_name, out, err)) {
		return true;
	}
	return err->kind == ERROR_GONE && load_chosen(txn, mailbox, base_name, out, err);
}

/* --- names --- */

static bool
is_local(struct store_txn *txn, struct mailbox_id mailbox, struct slice name, bool *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn,
		    "SELECT 1 FROM local WHERE parent_kind = 0 AND parent = ? AND name = ? AND expunged IS NULL",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, mailbox.value);
	db_bind_blob(select, 2, name);
	enum db_row row = db_step(select, err);

	*out = row == DB_ROW;
	return row != DB_FAILED;
}

bool
listing_check_given(
	struct store_txn *txn, struct mailbox_id mailbox, struct slice name, struct number but, struct error *err)
{
	struct listing there;
	bool local;

	if (name.length == 0 || name.length > FILE_NAME_MAX || slice_find(name, '\0') < name.length ||
		slice_find(name, '/') < name.length || slice_equal(name, SLICE_LITERAL(".")) ||
		slice_equal(name, SLICE_LITERAL(".."))) {
		return error_set(err, ERROR_INVALID, "this can be no file name");
	}
	if (listing_load_by_name(txn, mailbox, name, &there, err)) {
		bool itself = there.number.value == but.value;

		listing_finish(&there);
		return itself ||
		       error_set(err, ERROR_EXISTS, "a message has the name %.*s already", (int)name.length, name.data);
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return is_local(txn, mailbox, name, &local, err) &&
	       (!local || error_set(err, ERROR_EXISTS, "a local file has the name %.*s already", (int)name.length,
				  name.data));
}

static bool
meets_given(struct store_txn *txn, struct mailbox_id mailbox, struct slice name, bool *out, struct error *err)
{
	struct listing there;

	if (load_given(txn, mailbox, name, &there, err)) {
		listing_finish(&there);
		*out = true;
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return is_local(txn, mailbox, name, out, err);
}

bool
listing_settle_made(struct store_txn *txn, struct mailbox_id mailbox, struct number number, struct slice made,
	struct buf *out, struct error *err)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	SCOPED(buf_finish) struct buf longer = BUF_INIT;

	buf_append(&name, made);
	for (int repeats = 0; store_may_meet_given(txn, number); repeats++) {
		bool met;

		if (!meets_given(txn, mailbox, buf_slice(&name), &met, err)) {
			return false;
		}
		if (!met) {
			break;
		}
		buf_clear(&longer);
		if (repeats == REPEATS_MAX || !listing_name_repeat(buf_slice(&name), number.value, &longer)) {
			return error_set(err, ERROR_EXISTS,
				"files have taken every name that message %llu could be shown under: rename %.*s",
				(unsigned long long)number.value, (int)name.length, name.data);
		}
		struct buf swap = name;

		name = longer;
		longer = swap;
	}
	buf_append(out, buf_slice(&name));
	return true;
}

/* --- writing --- */

void
listing_bind_letters(struct db_statement *statement, int parameter, const struct listing *listing)
{
	static const char *const letters[2][2] = {{NULL, LETTER_PASSED}, {LETTER_NEW, LETTER_NEW LETTER_PASSED}};

	db_bind_text_or_null(statement, parameter, slice_of(letters[listing->is_new][listing->passed]));
}

bool
listing_insert(struct store_txn *txn, const struct listing *listing, struct error *err)
{
	SCOPED(db_end) struct db_statement *insert = NULL;

	if (!store_prepare_write(txn,
		    "INSERT INTO listing (mailbox, uid, number, name, given, base_name, size, here, mtime, flags, "
		    "changed_ns, letters) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    &insert, err)) {
		return false;
	}
	if (listing->given) {
		store_note_given(txn, listing->name);
	}
	db_bind_u64(insert, 1, listing->mailbox.value);
	db_bind_u64(insert, 2, listing->uid);
	db_bind_u64(insert, 3, listing->number.value);
	db_bind_text(insert, 4, listing->name);
	db_bind_bool(insert, 5, listing->given);
	db_bind_text_or_null(insert, 6, listing->base_name);
	db_bind_u64(insert, 7, listing->size_bytes);
	db_bind_bool(insert, 8, listing->here);
	db_bind_i64(insert, 9, listing->mtime_s);
	db_bind_u64(insert, 10, listing->flags);
	db_bind_i64(
		insert, 11, listing->told_ns != 0 ? listing->told_ns : store_next_changed_ns(txn, listing->changed_ns));
	listing_bind_letters(insert, 12, listing);
	return db_run(insert, err);
}

bool
listing_remove(struct store_txn *txn, struct mailbox_id mailbox, uint32_t uid, struct error *err)
{
	SCOPED(db_end) struct db_statement *remove = NULL;

	if (!store_prepare_write(txn, "DELETE FROM listing WHERE mailbox = ? AND uid = ?", &remove, err)) {
		return false;
	}
	db_bind_u64(remove, 1, mailbox.value);
	db_bind_u64(remove, 2, uid);
	return db_run(remove, err);
}
