/* The last close of a writer: what becomes of its bytes (design 5, Writing). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/edit_writer_internal.h"
#include "engine/mail/local_name.h"
#include "engine/mime/envelope_read.h"
#include "engine/mime/header.h"
#include "engine/mime/identity.h"
#include "engine/store/body.h"

/* --- the last close --- */

struct release {
	struct edit_writer *writer;
	struct store_txn *txn;
	uint64_t body;
	uint64_t size_bytes;
	struct envelope envelope;
	struct identity identity;
	struct flags flags;
	int64_t internaldate_s;
	struct edit_aside aside;
};

/* A copy of a body that the account has takes that message's date and flags, unless a time was set to something else. */
static bool
take_from_equal(struct release *release, struct error *err)
{
	struct number number;
	struct message equal;

	if (!message_find_by_body(release->txn, release->body, &number, err)) {
		return err->kind == ERROR_GONE;
	}
	if (!message_load(release->txn, number, &equal, err)) {
		return false;
	}
	if (release->writer->mtime_s == INT64_MIN || release->writer->mtime_s == equal.internaldate_s) {
		release->internaldate_s = equal.internaldate_s;
		flags_finish(&release->flags);
		release->flags = flags_copy(&equal.flags);
		release->flags.bits &= ~(uint32_t)FLAG_DELETED;
	}
	message_finish(&equal);
	return true;
}

static bool
create_message(struct release *release, struct slice name, struct number *out, struct error *err)
{
	struct message_new new = {
		.number = release->writer->number,
		.changed_ns = release->writer->changed_ns,
		.mailbox = release->writer->mailbox,
		.flags = release->flags,
		.internaldate_s = release->internaldate_s,
		.size_bytes = release->size_bytes,
		.body = release->body,
		.envelope = &release->envelope,
		.name = name,
	};

	if (release->writer->maildir.leaf != NULL && release->writer->replaces.value == 0) {
		new.base_name = release->writer->maildir.name.base;
		new.lies = release->writer->maildir.name.is_new ? MESSAGE_LIES_IN_NEW : MESSAGE_LIES_IN_CUR;
	}
	memcpy(new.identity, release->identity.bytes, sizeof(new.identity));
	if (!message_create(release->txn, &new, out, err)) {
		if (err->kind != ERROR_EXISTS) {
			return false;
		}
		/* Another process took the name meanwhile: the message comes in under one of our making. */
		new.name = new.base_name = (struct slice){0};
		error_clear(err);
		return message_create(release->txn, &new, out, err);
	}
	return true;
}

/* The name in the Maildir view says all flags that it can. */
static bool
take_letters(struct release *release, struct error *err)
{
	const struct edit_writer *writer = release->writer;

	return writer->maildir.leaf == NULL ||
	       maildir_name_set_letters(&release->flags, writer->maildir.name.letters) ||
	       error_set(err, ERROR_REFUSED, "the message has too many keywords");
}

/* The old one is gone: the new one takes its names, in both views. */
static bool
take_names(struct release *release, struct number number, struct slice old_path, struct error *err)
{
	const struct edit_writer *writer = release->writer;
	struct maildir_name name;

	if (writer->name[0] != '\0' && !message_rename(release->txn, number, slice_of(writer->name), err)) {
		return false;
	}
	if (!maildir_name_read_path(old_path, &name)) {
		return true; /* it was not listed */
	}
	return message_set_maildir(release->txn, number, name.base, name.is_new, err);
}

static bool
print_old_path(struct release *release, struct buf *out, struct error *err)
{
	SCOPED(listing_finish) struct listing old = {0};
	struct edit_writer *writer = release->writer;
	const char *expected = release->aside.name != NULL ? release->aside.name : writer->name;

	if (listing_load(release->txn, writer->replaces, &old, err)) {
		listing_print_maildir(&old, out);
		if (!writer->in_place && expected[0] != '\0' &&
			(old.mailbox.value != writer->mailbox.value || !slice_equal(old.name, slice_of(expected)))) {
			writer->replaces.value = 0; /* it got another name just now */
		}
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return true;
}

/* Equal bytes: the message stays, under the name of the file. */
static bool
keep_equal(struct release *release, struct error *err)
{
	const struct edit_writer *writer = release->writer;

	return (writer->mtime_s == INT64_MIN ||
		       message_set_mtime(release->txn, writer->replaces, writer->mtime_s, err)) &&
	       (release->aside.name == NULL ||
		       message_rename(release->txn, writer->replaces, slice_of(writer->name), err));
}

/* The new message takes the old one's flags and, once the old one is gone, its name (R14). Equal bytes change nothing. */
static bool
replace_message(struct release *release, struct number *out, struct error *err)
{
	struct edit_writer *writer = release->writer;
	SCOPED(buf_finish) struct buf old_path = BUF_INIT;
	struct edit_aside *aside = &release->aside;
	struct message old;
	bool same, live;

	if (!print_old_path(release, &old_path, err)) {
		return false;
	}
	if (writer->replaces.value == 0) {
		return create_message(release, slice_of(writer->name), out, err);
	}
	if (!message_load(release->txn, writer->replaces, &old, err)) {
		writer->replaces.value = 0;
		return err->kind == ERROR_GONE && create_message(release, slice_of(writer->name), out, err);
	}
	live = old.expunged_s == 0;
	same = live && old.body == release->body;
	flags_finish(&release->flags);
	release->flags = flags_copy(&old.flags);
	message_finish(&old);
	if (!live) {
		writer->replaces.value = 0;
		return create_message(release, slice_of(writer->name), out, err);
	}
	*out = writer->replaces;
	if (same ? !keep_equal(release, err)
		 : !take_letters(release, err) || !create_message(release, (struct slice){0}, out, err) ||
				!message_expunge(release->txn, writer->replaces, MESSAGE_REPLACED, *out, err) ||
				!take_names(release, *out, buf_slice(&old_path), err)) {
		return false;
	}
	return aside->name == NULL || edit_aside_keep(aside, release->txn, err);
}

static bool
fill_release(struct release *release, const struct body_prepared *prepared, struct error *err)
{
	struct slice head = body_prepared_head(prepared);
	struct edit_writer *writer = release->writer;

	(void)envelope_read(head, &release->envelope);
	release->identity = identity_of(head);
	release->size_bytes = body_prepared_get(prepared)->size_bytes;
	release->internaldate_s = writer->mtime_s != INT64_MIN     ? writer->mtime_s
				  : writer->written_s != INT64_MIN ? writer->written_s
								   : io_wall_s(writer->account->io);
	return body_put(release->txn, prepared, &release->body, err);
}

static bool
release_in(struct release *release, const struct body_prepared *prepared, struct number *out, struct error *err)
{
	struct edit_writer *writer = release->writer;

	if (!edit_check_mailbox(release->txn, writer->mailbox, err) || !fill_release(release, prepared, err)) {
		return false;
	}
	/* The local file first: its name may be the message's. */
	if (writer->local.value != 0 && !local_expunge(release->txn, writer->local, err)) {
		return false;
	}
	if (writer->replaces.value != 0 ? !replace_message(release, out, err)
					: !take_from_equal(release, err) || !take_letters(release, err) ||
						  !create_message(release, slice_of(writer->name), out, err)) {
		return false;
	}
	return writer->pending == 0 || pending_remove(release->txn, writer->pending, err);
}

/* Looks at the message that is replaced as it is now: one that was written in place may have been renamed or moved meanwhile, another stands aside. */
static bool
look_at_replaced(struct edit_writer *writer, struct edit_aside *aside, struct error *err)
{
	struct view_message row;

	*aside = (struct edit_aside){0};
	if (writer->replaces.value == 0) {
		return true;
	}
	if (!writer->in_place) {
		if (!edit_aside_prepare(
			    writer->account, writer->replaces, writer->mailbox, slice_of(writer->name), aside, err)) {
			return false;
		}
		writer->replaces.value = aside->stays ? 0 : writer->replaces.value;
		return true;
	}
	if (!view_message_load(writer->account, writer->replaces, &row, err)) {
		return err->kind == ERROR_GONE && (error_clear(err), true);
	}
	writer->mailbox = row.mailbox;
	if (writer->name[0] != '\0') {
		free(writer->name);
		writer->name = slice_dup(row.name);
	}
	view_message_finish(&row);
	return true;
}

/* Large bodies are written and renamed into place before the transaction begins. `out_local`: what a message that stood aside became. */
static bool
release_message(struct edit_writer *writer, struct number *out, struct number *out_local, struct error *err)
{
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = NULL;
	struct account *account = writer->account;
	struct release release = {.writer = writer};
	bool flushed = writer->pending != 0 && !writer->touched;
	bool ok;

	struct number replaces;

	if (!body_prepare_written(account->store, writer->spool, &prepared, err) ||
		!look_at_replaced(writer, &release.aside, err)) {
		return false;
	}
	replaces = writer->replaces;
	ok = store_write_begin(account->store, STORE_MOUNT, &release.txn, err) &&
	     release_in(&release, prepared, out, err) &&
	     edit_commit(account, &release.txn, flushed ? edit_writer_settling(writer) : STORE_DURABLE, err);
	store_write_rollback(&release.txn);
	if (ok && release.aside.placed && out->value != replaces.value) {
		*out_local = release.aside.local;
	}
	release.aside.kept = ok && release.aside.placed;
	edit_aside_finish(&release.aside);
	envelope_finish(&release.envelope);
	flags_finish(&release.flags);
	if (ok) {
		edit_note_delivery(account, *out);
	}
	return ok;
}

static bool
write_out(struct edit_writer *writer, const char *file, struct error *err)
{
	struct account *account = writer->account;
	struct io_dir *dir = store_dir(account->store);
	struct slice content;
	bool ok;
	int fd;

	if (!spool_view(writer->spool, &content, err) || !io_open(dir, file, O_WRONLY | O_CREAT | O_TRUNC, &fd, err)) {
		return false;
	}
	ok = io_pwrite(account->io, fd, content, 0, err) && io_fsync(account->io, fd, err);
	io_close(account->io, &fd);
	return ok;
}

bool
edit_writer_reject(struct edit_writer *writer, struct error *err)
{
	struct account *account = writer->account;
	struct io_dir *dir = store_dir(account->store);
	SCOPED(buf_finish) struct buf file = BUF_INIT;
	uint32_t unique;

	if (spool_size(writer->spool) == 0) {
		return edit_writer_drop_pending(writer, err);
	}
	io_random(account->io, &unique, sizeof(unique));
	buf_printf(&file, "rejected/%" PRId64 ".%08" PRIx32 ".", io_wall_s(account->io), unique);
	buf_append(&file, slice_head(slice_of(writer->name), 200));
	if (!io_mkdir(dir, "rejected", err) || !write_out(writer, file.data, err) ||
		!io_dir_fsync(dir, "rejected", err) || !edit_writer_drop_pending(writer, err)) {
		return error_wrap(err, "keeping what cannot be a message");
	}
	log_warn("edit", "account=%s event=rejected file=%s", account_name(account), file.data);
	return true;
}

/* Makes a local file of the bytes, or leaves the one they came from where the message was to be. */
static bool
put_local(struct edit_writer *writer, struct store_txn *txn, struct number id, const char *reason, bool may_be_mail,
	struct error *err)
{
	int64_t now_ns = io_wall_ns(writer->account->io);
	int64_t mtime_ns = writer->mtime_s != INT64_MIN ? writer->mtime_s * INT64_C(1000000000) : now_ns;
	bool in_maildir = writer->maildir.leaf != NULL;
	enum local_parent place = !in_maildir                   ? LOCAL_IN_MAILBOX
				  : writer->maildir.name.is_new ? LOCAL_IN_NEW
								: LOCAL_IN_CUR;
	char *name = in_maildir ? writer->maildir.leaf : writer->name;
	struct local old, new = {
				  .id = id,
				  .parent_kind = place,
				  .parent = writer->mailbox.value,
				  .name = name,
				  .kind = LOCAL_FILE,
				  .size_bytes = spool_size(writer->spool),
				  .mode = 0600,
				  .mtime_ns = mtime_ns,
				  .ctime_ns = now_ns,
				  .error = (char *)(uintptr_t)reason, /* only read */
				  .closed_ns = may_be_mail ? now_ns : 0,
			  };
	struct number made;

	if (local_load_by_name(txn, place, writer->mailbox.value, slice_of(name), &old, err)) {
		bool ok = local_expunge(txn, old.id, err);

		local_finish(&old);
		if (!ok) {
			return false;
		}
	} else if (err->kind != ERROR_GONE) {
		return false;
	}
	return local_create(txn, &new, &made, err);
}

static bool
release_local(struct edit_writer *writer, const char *reason, bool may_be_mail, struct number *out, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct account *account = writer->account;
	struct number id;
	char file[32];

	/* The number first, then the file, then the row that needs it. */
	if (!store_write_begin(account->store, STORE_MOUNT, &txn, err) || !store_next_number(txn, &id, err) ||
		!store_write_commit(&txn, STORE_LAZY, err)) {
		return false;
	}
	local_file_name(id, file);
	if (!io_mkdir(store_dir(account->store), "spool", err) || !write_out(writer, file, err) ||
		!io_dir_fsync(store_dir(account->store), "spool", err) || !edit_begin(account, &txn, err) ||
		(writer->local.value != 0 && !local_expunge(txn, writer->local, err)) ||
		!put_local(writer, txn, id, reason, may_be_mail, err) ||
		(writer->pending != 0 && !pending_remove(txn, writer->pending, err)) ||
		!edit_commit(account, &txn, edit_writer_settling(writer), err)) {
		return false;
	}
	*out = id;
	return true;
}

/* The local file whose bytes are a message now, or another local file, is of no use. */
static void
unlink_old_local(struct edit_writer *writer)
{
	struct error err = ERROR_INIT;
	char file[32];

	if (writer->local.value == 0) {
		return;
	}
	local_file_name(writer->local, file);
	if (!io_unlink(store_dir(writer->account->store), file, &err)) {
		log_warn("edit", "event=not-unlinked file=%s reason=%s", file, err.text);
	}
}

/* Tells whether the message that it would replace stands aside, under another name. */
static bool
has_name_to_itself(struct edit_writer *writer)
{
	struct error ignored = ERROR_INIT;
	struct view_message row;
	bool aside;

	if (writer->in_place || !view_message_load(writer->account, writer->replaces, &row, &ignored)) {
		return false;
	}
	aside = local_name_is(row.name) && !slice_equal(row.name, slice_of(writer->name));
	view_message_finish(&row);
	return aside;
}

static bool
release(struct edit_writer *writer, struct number *out_message, struct number *out_local, struct error *err)
{
	struct slice bytes;
	struct error why = ERROR_INIT;
	bool is_mail;

	if (writer->killed) {
		return edit_writer_reject(writer, err);
	}
	if (!edit_writer_look(writer, &bytes, err)) {
		return false;
	}
	/* A file of another name came here from a rest (then its bytes are mail), or rests first. */
	if (writer->local.value == 0 && writer->replaces.value == 0 && !edit_is_message_name(slice_of(writer->name))) {
		is_mail = header_is_message(bytes) && header_score(bytes) >= 2;
		return release_local(writer, NULL, is_mail, out_local, err);
	}
	is_mail = edit_check_message(bytes, &why);
	if (is_mail) {
		if (release_message(writer, out_message, out_local, err)) {
			return true;
		}
		/* Where its mailbox is gone or closed the bytes are kept for their owner. */
		if (writer->local.value == 0 && (err->kind == ERROR_GONE || err->kind == ERROR_REFUSED)) {
			struct error ignored = ERROR_INIT;

			(void)!edit_writer_reject(writer, &ignored);
		}
		return false;
	}
	if (writer->replaces.value != 0 &&
		!has_name_to_itself(writer)) { /* the message under that name stays as it is */
		return edit_writer_reject(writer, err);
	}
	return release_local(writer, why.text, false, out_local, err);
}

bool
edit_writer_release(
	struct edit_writer **writer, struct number *out_message, struct number *out_local, struct error *err)
{
	struct number message = {0}, local = {0};
	bool ok = release(*writer, &message, &local, err) || error_wrap(err, "%s", (*writer)->name);

	if (ok) {
		unlink_old_local(*writer);
		*out_message = message;
		*out_local = local;
	}
	edit_writer_destroy(writer);
	return ok;
}
