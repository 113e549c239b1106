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
#include "engine/edit_writer_internal.h"
#include "engine/mime/header.h"
#include "engine/mime/wire.h"
#include "engine/store/body.h"

#define COPY_BYTES   65536
#define NS_PER_S     INT64_C(1000000000)
#define SET_APART_NS NS_PER_S /* mtime and ctime, where the one was set */

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
		.written_s = INT64_MIN,
		.touched = true,
	};
	return writer;
}

/* Frees it; its pending row is as it is, and nobody's. */
void
edit_writer_destroy(struct edit_writer **writer)
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
	struct number number;

	if (!account_check_writable(account, err) || !store_look_begin(account->store, &txn, err) ||
		!edit_check_mailbox(txn, mailbox, err)) {
		return false;
	}
	store_read_end(&txn);
	if (!edit_reserve_number(account, &number, err)) {
		return false;
	}
	*out = create_writer(account, mailbox, name);
	(*out)->number = number;
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
	writer->in_place = true;
	if (!truncate && !copy_body(writer, number, err)) {
		edit_writer_destroy(&writer);
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

/* A time that was set on a local file is the message's own; else it was written then. */
static void
take_time(struct edit_writer *writer, const struct edit_local *local)
{
	int64_t mtime_s = local->mtime_ns / NS_PER_S - (local->mtime_ns % NS_PER_S < 0);
	int64_t apart_ns = local->ctime_ns - local->mtime_ns;

	if (apart_ns >= SET_APART_NS || apart_ns <= -SET_APART_NS) {
		writer->mtime_s = mtime_s;
	} else {
		writer->written_s = mtime_s;
	}
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
	take_time(writer, &local);
	local_file_name(local_id, file);
	edit_local_finish(&local);
	if (!copy_file(writer, file, err)) {
		edit_writer_destroy(&writer);
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
		edit_writer_destroy(&writer);
		return false;
	}
	*out = writer;
	return true;
}

/* How the commit that ends the row must be: what follows it may unlink the files that the row needs. */
enum store_durability
edit_writer_settling(const struct edit_writer *writer)
{
	return writer->in_file || writer->local.value != 0 ? STORE_DURABLE : STORE_LAZY;
}

/* Removes the pending row: what takes its place, if anything, is there. */
bool
edit_writer_drop_pending(struct edit_writer *writer, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	if (writer->pending == 0) {
		return true;
	}
	return store_write_begin(writer->account->store, STORE_MOUNT, &txn, err) &&
	       pending_remove(txn, writer->pending, err) && store_write_commit(&txn, edit_writer_settling(writer), err);
}

void
edit_writer_discard(struct edit_writer **writer)
{
	struct error err = ERROR_INIT;

	if (*writer != NULL && !edit_writer_drop_pending(*writer, &err)) {
		log_warn("edit", "event=discard-failed pending=%" PRIu64 " reason=%s", (*writer)->pending, err.text);
	}
	edit_writer_destroy(writer);
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

bool
edit_writer_leave_local(struct edit_writer *writer, struct error *err)
{
	struct number local = writer->local;

	if (local.value == 0) {
		return true;
	}
	writer->local.value = 0;
	if (!put_pending(writer, STORE_DURABLE, err)) {
		writer->local = local;
		return false;
	}
	writer->touched = false;
	return edit_local_remove(writer->account, local, err);
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
	writer->in_place = false;
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
edit_writer_note_written(struct edit_writer *writer, int64_t written_s, int64_t changed_ns)
{
	writer->written_s = written_s;
	writer->changed_ns = changed_ns;
}

struct number
edit_writer_number(const struct edit_writer *writer)
{
	return writer->number;
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
bool
edit_writer_look(struct edit_writer *writer, struct slice *out, struct error *err)
{
	if (!spool_view(writer->spool, out, err)) {
		return false;
	}
	*out = wire_skip_mbox_line(*out);
	return true;
}

bool
edit_check_message(struct slice bytes, struct error *err)
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

	return edit_writer_look(writer, &bytes, err) && edit_check_message(bytes, err);
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
	if (!edit_writer_look(writer, &bytes, err)) {
		return false;
	}
	return writer->killed || (writer->replaces.value == 0 && !edit_is_message_name(slice_of(writer->name))) ||
	       edit_check_message(bytes, err);
}
