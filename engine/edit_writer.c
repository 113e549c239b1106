/* Writers: a file on its way to be a message (design 5, Writing).
 *
 * written   in a spool, changed at will
 * FLUSH     the bytes stand in the store as a pending row, durably, with the spool's file where they are large
 * RELEASE   body, message and listing come in and the pending row goes, in one commit that need not be durable: after a crash the
 *           pending row is there instead, and edit_recover does the same again
 *
 * So create, write and close of a small message cost one fsync. A living writer holds the lock of its pending row's octet in
 * locks/writers: what is not locked was left by a crash.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/edit_internal.h"
#include "engine/mime/envelope_read.h"
#include "engine/mime/header.h"
#include "engine/mime/identity.h"
#include "engine/mime/wire.h"
#include "engine/store/body.h"

#define COPY_BYTES 65536

struct edit_writer {
	struct account *account;
	struct mailbox_id mailbox;
	char *name;         /* empty: one is made */
	struct {            /* made in the Maildir view: the file name there, and what it says */
		char *leaf; /* NULL: it was not */
		struct maildir_name name;
	} maildir;
	struct number replaces;
	struct number local; /* the local file whose bytes these are; it goes when they are a message */
	struct spool *spool;
	int64_t mtime_s; /* INT64_MIN: nobody set it */
	bool touched;    /* something is not in the pending row */
	bool killed;
	uint64_t pending;   /* row, 0: none */
	bool pending_dirty; /* as the row says */
	bool in_file;       /* the row names the spool's file: it must not go before the row does */
};

static struct edit_writer *
create_writer(struct account *account, struct mailbox_id mailbox, struct slice name)
{
	struct edit_writer *writer = calloc(1, sizeof(*writer));

	if (writer == NULL) {
		abort();
	}
	*writer = (struct edit_writer){
		.account = account,
		.mailbox = mailbox,
		.name = slice_dup(name),
		.spool = spool_create(store_dir(account->store)),
		.mtime_s = INT64_MIN,
		.touched = true,
	};
	return writer;
}

/* Frees it; its pending row is as it is, and nobody's. */
static void
destroy_writer(struct edit_writer **writer)
{
	struct edit_writer *old = *writer;

	if (old == NULL) {
		return;
	}
	if (old->pending != 0) {
		io_unlock(old->account->writers, old->pending);
	}
	spool_close(&old->spool);
	free(old->maildir.leaf);
	free(old->name);
	free(old);
	*writer = NULL;
}

bool
edit_is_message_name(struct slice name)
{
	return name.length == 0 || slice_has_suffix(name, SLICE_LITERAL(".eml"));
}

/* --- making one --- */

bool
edit_writer_create(struct account *account, struct mailbox_id mailbox, struct slice name, struct edit_writer **out,
	struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;

	if (!account_check_writable(account, err) || !store_look_begin(account->store, &txn, err) ||
		!edit_check_mailbox(txn, mailbox, err)) {
		return false;
	}
	*out = create_writer(account, mailbox, name);
	return true;
}

static bool
copy_body(struct edit_writer *writer, struct number number, struct error *err)
{
	struct view_body *body = NULL;
	char piece[COPY_BYTES];
	uint64_t offset = 0;
	bool ok = true;

	switch (view_body_open(writer->account, number, &body, err)) {
	case VIEW_BODY_OPEN:
		break;
	case VIEW_BODY_MISSING:
		return error_set(err, ERROR_RETRY, "the message is not here yet: open it for reading first");
	case VIEW_BODY_FAILED:
		return false;
	}
	while (ok && offset < view_body_size(body)) {
		size_t got = 0;

		ok = view_body_read(body, piece, sizeof(piece), offset, &got, err);
		if (ok && got == 0) {
			ok = error_set(err, ERROR_DAMAGED, "the body ended too early");
		}
		ok = ok && spool_append(writer->spool, slice_make(piece, got), err);
		offset += got;
	}
	view_body_close(&body);
	return ok;
}

bool
edit_writer_replace(
	struct account *account, struct number number, bool truncate, struct edit_writer **out, struct error *err)
{
	struct view_message message;
	struct edit_writer *writer;

	if (!view_message_load(account, number, &message, err)) {
		return false;
	}
	if (!edit_writer_create(account, message.mailbox, message.name, &writer, err)) {
		view_message_finish(&message);
		return false;
	}
	view_message_finish(&message);
	writer->replaces = number;
	if (!truncate && !copy_body(writer, number, err)) {
		destroy_writer(&writer);
		return false;
	}
	*out = writer;
	return true;
}

/* Appends a whole file of the store's directory. */
static bool
copy_file(struct edit_writer *writer, const char *name, struct error *err)
{
	struct account *account = writer->account;
	char piece[COPY_BYTES];
	size_t got = 1;
	bool ok;
	int fd;

	if (!io_open(store_dir(account->store), name, O_RDONLY, &fd, err)) {
		return false;
	}
	ok = true;
	while (ok && got > 0) {
		ok = io_pread(account->io, fd, piece, sizeof(piece), spool_size(writer->spool), &got, err) &&
		     spool_append(writer->spool, slice_make(piece, got), err);
		if (ok && spool_size(writer->spool) > EDIT_MESSAGE_BYTES_MAX) {
			ok = error_errno(err, EFBIG, "a message of more than %u MiB", EDIT_MESSAGE_BYTES_MAX >> 20);
		}
	}
	io_close(account->io, &fd);
	return ok;
}

bool
edit_writer_from_local(struct account *account, struct number local_id, struct mailbox_id mailbox, struct slice name,
	struct number replaces, struct edit_writer **out, struct error *err)
{
	struct edit_writer *writer;
	struct edit_local local;
	char file[32];

	if (!edit_local_load(account, local_id, &local, err)) {
		return false;
	}
	if (local.kind != LOCAL_FILE) {
		edit_local_finish(&local);
		return edit_refuse(err, EINVAL, "only a file can become a message");
	}
	if (!edit_writer_create(account, mailbox, name, &writer, err)) {
		edit_local_finish(&local);
		return false;
	}
	writer->local = local_id;
	writer->replaces = replaces;
	local_file_name(local_id, file);
	edit_local_finish(&local);
	if (!copy_file(writer, file, err)) {
		destroy_writer(&writer);
		return false;
	}
	*out = writer;
	return true;
}

bool
edit_writer_recover(struct account *account, const struct pending *pending, struct edit_writer **out, struct error *err)
{
	struct maildir_name name;
	bool in_maildir = maildir_name_read_path(slice_of(pending->name), &name);
	struct edit_writer *writer =
		create_writer(account, pending->mailbox, in_maildir ? slice_of("") : slice_of(pending->name));

	if (in_maildir) {
		edit_writer_set_maildir(writer, &name);
	}
	writer->replaces = pending->replaces;
	writer->mtime_s = pending->mtime_s;
	writer->killed = pending->killed;
	writer->pending = pending->id;
	writer->pending_dirty = pending->dirty;
	writer->in_file = pending->file != NULL;
	writer->touched = false;
	if (!(pending->file != NULL ? copy_file(writer, pending->file, err)
				    : spool_append(writer->spool, pending->data, err))) {
		destroy_writer(&writer);
		return false;
	}
	*out = writer;
	return true;
}

/* How the commit that ends the row must be: what follows it may unlink the files that the row needs. */
static enum store_durability
settling(const struct edit_writer *writer)
{
	return writer->in_file || writer->local.value != 0 ? STORE_DURABLE : STORE_LAZY;
}

/* Removes the pending row: what takes its place, if anything, is there. */
static bool
drop_pending(struct edit_writer *writer, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	if (writer->pending == 0) {
		return true;
	}
	return store_write_begin(writer->account->store, STORE_MOUNT, &txn, err) &&
	       pending_remove(txn, writer->pending, err) && store_write_commit(&txn, settling(writer), err);
}

void
edit_writer_discard(struct edit_writer **writer)
{
	struct error err = ERROR_INIT;

	if (*writer != NULL && !drop_pending(*writer, &err)) {
		log_warn("edit", "event=discard-failed pending=%" PRIu64 " reason=%s", (*writer)->pending, err.text);
	}
	destroy_writer(writer);
}

/* --- changing it --- */

/* Before the bytes of a flushed writer change, its row says so: after a crash they count for nothing whole. */
static bool
mark_dirty(struct edit_writer *writer, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	writer->touched = true;
	if (writer->pending == 0 || writer->pending_dirty) {
		return true;
	}
	if (!store_write_begin(writer->account->store, STORE_MOUNT, &txn, err) ||
		!pending_set_dirty(txn, writer->pending, true, writer->killed, err) ||
		!store_write_commit(&txn, STORE_LAZY, err)) {
		return false;
	}
	writer->pending_dirty = true;
	return true;
}

static bool
check_size(uint64_t size, struct error *err)
{
	return size <= EDIT_MESSAGE_BYTES_MAX ||
	       error_errno(err, EFBIG, "a message of more than %u MiB", EDIT_MESSAGE_BYTES_MAX >> 20);
}

bool
edit_writer_pwrite(struct edit_writer *writer, struct slice data, uint64_t offset, struct error *err)
{
	if (offset > EDIT_MESSAGE_BYTES_MAX) {
		return check_size(offset, err);
	}
	return check_size(offset + data.length, err) && mark_dirty(writer, err) &&
	       spool_pwrite(writer->spool, data, offset, err);
}

bool
edit_writer_pread(
	struct edit_writer *writer, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
{
	return spool_pread(writer->spool, out, size, offset, out_got, err);
}

bool
edit_writer_truncate(struct edit_writer *writer, uint64_t size, struct error *err)
{
	if (size == spool_size(writer->spool)) {
		return true;
	}
	return check_size(size, err) && mark_dirty(writer, err) && spool_truncate(writer->spool, size, err);
}

uint64_t
edit_writer_size(const struct edit_writer *writer)
{
	return spool_size(writer->spool);
}

/* The name in the row: one of the Maildir view with its directory, so that the slash tells. */
static char *
pending_name(const struct edit_writer *writer, struct buf *path)
{
	if (writer->maildir.leaf == NULL) {
		return writer->name;
	}
	maildir_name_print_path(&writer->maildir.name, path);
	return path->data;
}

/* Writes the row anew, with the bytes; small ones are in it, large ones in the spool's file, which is durable before. */
static bool
put_pending(struct edit_writer *writer, enum store_durability durability, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct account *account = writer->account;
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	struct pending row = {
		.id = writer->pending,
		.mailbox = writer->mailbox,
		.name = pending_name(writer, &path),
		.replaces = writer->replaces,
		.mtime_s = writer->mtime_s,
		.killed = writer->killed,
	};
	struct slice content;
	const char *file;
	int fd;

	if (spool_size(writer->spool) <= BODY_ROW_MAX) {
		if (!spool_view(writer->spool, &content, err)) {
			return false;
		}
		row.data = content;
	} else {
		if (!spool_to_file(writer->spool, &fd, &file, err) || !io_fsync(account->io, fd, err) ||
			!io_dir_fsync(store_dir(account->store), "spool", err)) {
			return false;
		}
		row.file = (char *)(uintptr_t)file; /* only read */
	}
	if (!store_write_begin(account->store, STORE_MOUNT, &txn, err)) {
		return false;
	}
	/* A number of the account's is used once, so the octet is nobody else's; it is locked before anyone can see the row. */
	if (writer->pending == 0) {
		struct number id;

		if (!store_next_number(txn, &id, err) ||
			!io_lock(account->writers, id.value, IO_LOCK_EXCLUSIVE, 0, NULL, err)) {
			return false;
		}
		row.id = id.value;
	}
	if (!pending_put(txn, &row, err)) {
		return false;
	}
	if (!store_write_commit(&txn, durability, err)) {
		if (writer->pending == 0) {
			io_unlock(account->writers, row.id);
		}
		return false;
	}
	writer->pending = row.id;
	writer->pending_dirty = false;
	writer->in_file = row.file != NULL;
	return true;
}

/* What changed beside the bytes is kept for a recovery too. */
static bool
update_pending(struct edit_writer *writer, struct error *err)
{
	return writer->pending == 0 || writer->touched || put_pending(writer, STORE_LAZY, err);
}

bool
edit_writer_rename(struct edit_writer *writer, struct mailbox_id mailbox, struct slice name, struct number replaces,
	struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;

	if (!store_look_begin(writer->account->store, &txn, err) || !edit_check_mailbox(txn, mailbox, err)) {
		return false;
	}
	store_read_end(&txn);
	writer->mailbox = mailbox;
	free(writer->name);
	writer->name = slice_dup(name);
	writer->replaces = replaces;
	return update_pending(writer, err);
}

void
edit_writer_set_mtime(struct edit_writer *writer, int64_t mtime_s)
{
	struct error err = ERROR_INIT;

	if (writer->mtime_s == mtime_s) {
		return;
	}
	writer->mtime_s = mtime_s;
	if (!update_pending(writer, &err)) {
		log_warn("edit", "event=time-not-kept reason=%s", err.text); /* it matters after a crash alone */
	}
}

void
edit_writer_set_maildir(struct edit_writer *writer, const struct maildir_name *name)
{
	struct buf leaf = BUF_INIT;
	struct error err = ERROR_INIT;

	free(writer->maildir.leaf);
	writer->maildir.leaf = NULL;
	if (name != NULL) {
		maildir_name_print(name, &leaf);
		writer->maildir.name = *name;
		writer->maildir.leaf = buf_take(&leaf);
		writer->maildir.name.base.data = writer->maildir.leaf; /* it begins with the base */
	}
	if (!update_pending(writer, &err)) {
		log_warn("edit", "event=name-not-kept reason=%s", err.text); /* it matters after a crash alone */
	}
}

void
edit_writer_keep_local(struct edit_writer *writer)
{
	writer->local.value = 0;
}

/* --- what the bytes are --- */

/* The bytes without an mbox line. */
static bool
look(struct edit_writer *writer, struct slice *out, struct error *err)
{
	if (!spool_view(writer->spool, out, err)) {
		return false;
	}
	*out = wire_skip_mbox_line(*out);
	return true;
}

static bool
check_message(struct slice bytes, struct error *err)
{
	if (bytes.length == 0) {
		error_set(err, ERROR_INVALID, "an empty file is no message");
	} else if (!header_is_message(bytes)) {
		error_set(err, ERROR_INVALID,
			"this is no message: it does not begin with a header field such as `From: `");
	} else {
		return true;
	}
	err->sys_errno = EINVAL;
	return false;
}

bool
edit_writer_check(struct edit_writer *writer, struct error *err)
{
	struct slice bytes;

	return look(writer, &bytes, err) && check_message(bytes, err);
}

bool
edit_writer_flush(struct edit_writer *writer, bool killed, struct error *err)
{
	struct slice bytes;
	bool changed = killed && !writer->killed;

	writer->killed = writer->killed || killed;
	/* Bytes of a local file stay in it until they are a message: nothing has to be kept twice. */
	if (writer->local.value == 0 && (writer->touched || changed || writer->pending == 0)) {
		if (!put_pending(writer, killed ? STORE_LAZY : STORE_DURABLE, err)) {
			return error_wrap(err, "writing %s", writer->name);
		}
		writer->touched = false;
	}
	if (!look(writer, &bytes, err)) {
		return false;
	}
	return writer->killed || !edit_is_message_name(slice_of(writer->name)) || check_message(bytes, err);
}

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
print_old_path(struct store_txn *txn, struct number number, struct buf *out, struct error *err)
{
	SCOPED(listing_finish) struct listing old = {0};

	if (listing_load(txn, number, &old, err)) {
		listing_print_maildir(&old, out);
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return true;
}

/* The new message takes the old one's flags and, once the old one is gone, its name (R14). Equal bytes change nothing. */
static bool
replace_message(struct release *release, struct number *out, struct error *err)
{
	struct edit_writer *writer = release->writer;
	SCOPED(buf_finish) struct buf old_path = BUF_INIT;
	struct message old;
	bool same, live;

	if (!print_old_path(release->txn, writer->replaces, &old_path, err)) {
		return false;
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
	if (same) {
		*out = writer->replaces;
		return writer->mtime_s == INT64_MIN || message_set_mtime(release->txn, *out, writer->mtime_s, err);
	}
	if (!live) {
		writer->replaces.value = 0;
		return create_message(release, slice_of(writer->name), out, err);
	}
	return take_letters(release, err) && create_message(release, (struct slice){0}, out, err) &&
	       message_expunge(release->txn, writer->replaces, MESSAGE_REPLACED, *out, err) &&
	       take_names(release, *out, buf_slice(&old_path), err);
}

static bool
fill_release(struct release *release, const struct body_prepared *prepared, struct error *err)
{
	struct slice head = body_prepared_head(prepared);
	struct edit_writer *writer = release->writer;

	(void)envelope_read(head, &release->envelope);
	release->identity = identity_of(head);
	release->size_bytes = body_prepared_get(prepared)->size_bytes;
	release->internaldate_s = writer->mtime_s != INT64_MIN ? writer->mtime_s : io_wall_s(writer->account->io);
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

/* Large bodies are written and renamed into place before the transaction begins. */
static bool
release_message(struct edit_writer *writer, struct number *out, struct error *err)
{
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = NULL;
	struct account *account = writer->account;
	struct release release = {.writer = writer};
	bool flushed = writer->pending != 0 && !writer->touched;
	bool ok;

	if (!body_prepare_written(account->store, writer->spool, &prepared, err) ||
		!store_write_begin(account->store, STORE_MOUNT, &release.txn, err)) {
		return false;
	}
	ok = release_in(&release, prepared, out, err) &&
	     edit_commit(account, &release.txn, flushed ? settling(writer) : STORE_DURABLE, err);
	store_write_rollback(&release.txn);
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
		return drop_pending(writer, err);
	}
	io_random(account->io, &unique, sizeof(unique));
	buf_printf(&file, "rejected/%" PRId64 ".%08" PRIx32 ".", io_wall_s(account->io), unique);
	buf_append(&file, slice_head(slice_of(writer->name), 200));
	if (!io_mkdir(dir, "rejected", err) || !write_out(writer, file.data, err) ||
		!io_dir_fsync(dir, "rejected", err) || !drop_pending(writer, err)) {
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
		!edit_commit(account, &txn, settling(writer), err)) {
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

static bool
release(struct edit_writer *writer, struct number *out_message, struct number *out_local, struct error *err)
{
	struct slice bytes;
	struct error why = ERROR_INIT;
	bool is_mail;

	if (writer->killed) {
		return edit_writer_reject(writer, err);
	}
	if (!look(writer, &bytes, err)) {
		return false;
	}
	/* A file of another name came here from a rest (then its bytes are mail), or rests first. */
	if (writer->local.value == 0 && !edit_is_message_name(slice_of(writer->name))) {
		is_mail = header_is_message(bytes) && header_score(bytes) >= 2;
		return release_local(writer, NULL, is_mail, out_local, err);
	}
	is_mail = check_message(bytes, &why);
	if (is_mail) {
		if (release_message(writer, out_message, err)) {
			return true;
		}
		/* Where its mailbox is gone or closed the bytes are kept for their owner. */
		if (writer->local.value == 0 && (err->kind == ERROR_GONE || err->kind == ERROR_REFUSED)) {
			struct error ignored = ERROR_INIT;

			(void)!edit_writer_reject(writer, &ignored);
		}
		return false;
	}
	if (writer->replaces.value != 0) { /* the message under that name stays as it is */
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
	destroy_writer(writer);
	return ok;
}
