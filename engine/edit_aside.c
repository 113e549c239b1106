/* A message that was renamed to a temporary's name, as editors do before they write the file anew (design 5, Replacement). It stays that message
 * until a file under its former name is closed: that one replaces it, and the temporary becomes a local file with its bytes.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/edit_internal.h"
#include "engine/mail/local_name.h"

#define COPY_BYTES 65536

static bool
copy_out(struct account *account, const struct view_body *body, int fd, struct error *err)
{
	uint64_t offset = 0;
	char piece[COPY_BYTES];

	while (offset < view_body_size(body)) {
		size_t got = 0;

		if (!view_body_read(body, piece, sizeof(piece), offset, &got, err)) {
			return false;
		}
		if (got == 0) {
			return error_set(err, ERROR_DAMAGED, "the body ended too early");
		}
		if (!io_pwrite(account->io, fd, slice_make(piece, got), offset, err)) {
			return false;
		}
		offset += got;
	}
	return io_fsync(account->io, fd, err);
}

static bool
write_file(struct account *account, const struct view_body *body, struct number id, struct error *err)
{
	struct io_dir *dir = store_dir(account->store);
	char file[32];
	bool ok;
	int fd;

	local_file_name(id, file);
	if (!io_mkdir(dir, "spool", err) || !io_open(dir, file, O_WRONLY | O_CREAT | O_TRUNC, &fd, err)) {
		return false;
	}
	ok = copy_out(account, body, fd, err);
	io_close(account->io, &fd);
	return ok && io_dir_fsync(dir, "spool", err);
}

static bool
take_number(struct account *account, struct number *out, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	return store_write_begin(account->store, STORE_MOUNT, &txn, err) && store_next_number(txn, out, err) &&
	       store_write_commit(&txn, STORE_LAZY, err);
}

static bool
copy_message(struct account *account, struct number message, struct edit_aside *aside, struct error *err)
{
	struct view_body *body = NULL;
	bool ok;

	switch (view_body_open(account, message, &body, err)) {
	case VIEW_BODY_OPEN:
		break;
	case VIEW_BODY_MISSING: /* its bytes cannot be kept, so it stays */
		aside->stays = true;
		return true;
	case VIEW_BODY_FAILED:
		return false;
	}
	aside->size_bytes = view_body_size(body);
	ok = take_number(account, &aside->local, err) && write_file(account, body, aside->local, err);
	view_body_close(&body);
	return ok;
}

bool
edit_aside_prepare(struct account *account, struct number message, struct mailbox_id mailbox, struct slice new_name,
	struct edit_aside *out, struct error *err)
{
	struct view_message row;
	bool ok = true;

	*out = (struct edit_aside){.account = account};
	if (!view_message_load(account, message, &row, err)) {
		return err->kind == ERROR_GONE && (error_clear(err), true);
	}
	if (row.mailbox.value != mailbox.value) {
		out->stays = true;
	} else if (local_name_is(row.name) && row.name.length > 0 && !local_name_is(new_name)) {
		out->name = slice_dup(row.name);
		out->mailbox = row.mailbox;
		out->mtime_ns = row.mtime_s * INT64_C(1000000000);
		ok = copy_message(account, message, out, err);
	} else if (new_name.length > 0 && !slice_equal(row.name, new_name)) {
		out->stays = true;
	}
	view_message_finish(&row);
	return ok;
}

bool
edit_aside_keep(struct edit_aside *aside, struct store_txn *txn, struct error *err)
{
	struct local row = {
		.id = aside->local,
		.parent_kind = LOCAL_IN_MAILBOX,
		.parent = aside->mailbox.value,
		.name = aside->name,
		.kind = LOCAL_FILE,
		.size_bytes = aside->size_bytes,
		.mode = 0600,
		.mtime_ns = aside->mtime_ns,
		.ctime_ns = io_wall_ns(aside->account->io),
	};
	struct number made;

	aside->placed = local_create(txn, &row, &made, err);
	return aside->placed;
}

void
edit_aside_finish(struct edit_aside *aside)
{
	struct error err = ERROR_INIT;
	char file[32];

	if (aside->local.value != 0 && !aside->kept) {
		local_file_name(aside->local, file);
		if (!io_unlink(store_dir(aside->account->store), file, &err)) {
			log_warn("edit", "event=not-unlinked file=%s reason=%s", file, err.text);
		}
	}
	free(aside->name);
	*aside = (struct edit_aside){0};
}
