/* Local names: files, directories and symbolic links beside the mail, never sent (design 5, Writing). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/edit_internal.h"

_Static_assert(LOCAL_IN_MAILBOX == 0 && LOCAL_IN_DIRECTORY == 1 && LOCAL_IN_SCRATCH == 2 && LOCAL_IN_ROOT == 3 &&
		       LOCAL_IN_MAILDIR == 4 && LOCAL_IN_CUR == 5 && LOCAL_IN_NEW == 6 && LOCAL_IN_TMP == 7,
	"as edit.h says");
_Static_assert(LOCAL_FILE == 0 && LOCAL_DIRECTORY == 1 && LOCAL_SYMLINK == 2, "as edit.h says");

#define LOCAL_NAME_MAX   255
#define LOCAL_TARGET_MAX 4095

/* The same with memory borrowed from the row. */
static struct edit_local
borrow(const struct local *row)
{
	return (struct edit_local){
		.id = row->id,
		.parent_kind = (int)row->parent_kind,
		.parent = row->parent,
		.name = row->name,
		.kind = (int)row->kind,
		.size_bytes = row->size_bytes,
		.mode = row->mode,
		.mtime_ns = row->mtime_ns,
		.ctime_ns = row->ctime_ns,
		.target = row->target,
		.error = row->error,
		.closed_ns = row->closed_ns,
	};
}

static struct local
row_of(const struct edit_local *local)
{
	return (struct local){
		.id = local->id,
		.parent_kind = (enum local_parent)local->parent_kind,
		.parent = local->parent,
		.name = local->name,
		.kind = (enum local_kind)local->kind,
		.size_bytes = local->size_bytes,
		.mode = local->mode,
		.mtime_ns = local->mtime_ns,
		.ctime_ns = local->ctime_ns,
		.target = local->target,
		.error = local->error,
		.closed_ns = local->closed_ns,
	};
}

void
edit_local_finish(struct edit_local *local)
{
	free(local->name);
	free(local->target);
	free(local->error);
	*local = (struct edit_local){0};
}

bool
edit_local_load(struct account *account, struct number id, struct edit_local *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct local row;

	if (!store_look_begin(account->store, &txn, err) || !local_load(txn, id, &row, err)) {
		return false;
	}
	*out = borrow(&row); /* its texts are the caller's now */
	return true;
}

bool
edit_local_by_name(struct account *account, int parent_kind, uint64_t parent, struct slice name, struct edit_local *out,
	struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct local row;

	if (!store_look_begin(account->store, &txn, err) ||
		!local_load_by_name(txn, (enum local_parent)parent_kind, parent, name, &row, err)) {
		return false;
	}
	*out = borrow(&row);
	return true;
}

struct local_walk {
	bool (*each)(void *context, const struct edit_local *local);
	void *context;
};

static bool
give_local(void *context, const struct local *row)
{
	struct local_walk *walk = context;
	struct edit_local local = borrow(row);

	return walk->each(walk->context, &local);
}

bool
edit_local_each(struct account *account, int parent_kind, uint64_t parent, uint64_t after,
	bool (*each)(void *context, const struct edit_local *local), void *context, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct local_walk walk = {.each = each, .context = context};

	return store_read_begin(account->store, &txn, err) &&
	       local_each(txn, (enum local_parent)parent_kind, parent, after, give_local, &walk, err);
}

static bool
check_local(const struct edit_local *local, struct error *err)
{
	size_t length = strlen(local->name);

	if (length == 0 || length > LOCAL_NAME_MAX || strchr(local->name, '/') != NULL) {
		error_set(err, ERROR_INVALID, "a file's name has 1 to %d octets", LOCAL_NAME_MAX);
		err->sys_errno = ENAMETOOLONG;
		return false;
	}
	if (local->kind == LOCAL_SYMLINK && (local->target == NULL || strlen(local->target) > LOCAL_TARGET_MAX)) {
		error_set(err, ERROR_INVALID, "a symbolic link has a target of at most %d octets", LOCAL_TARGET_MAX);
		err->sys_errno = ENAMETOOLONG;
		return false;
	}
	return true;
}

static bool
make_file(struct account *account, struct number id, struct error *err)
{
	char file[32];
	int fd;

	local_file_name(id, file);
	if (!io_mkdir(store_dir(account->store), "spool", err) ||
		!io_open(store_dir(account->store), file, O_RDWR | O_CREAT | O_TRUNC, &fd, err)) {
		return false;
	}
	io_close(account->io, &fd);
	return true;
}

bool
edit_local_create(struct account *account, struct edit_local *local, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct local row;
	struct number id;

	if (!check_local(local, err) || !edit_begin(account, &txn, err)) {
		return false;
	}
	row = row_of(local);
	row.id = (struct number){0};
	row.mtime_ns = row.ctime_ns = io_wall_ns(account->io);
	row.size_bytes = row.kind == LOCAL_SYMLINK ? strlen(row.target) : 0;
	row.error = NULL;
	row.closed_ns = 0;
	if (!local_create(txn, &row, &id, err) || (row.kind == LOCAL_FILE && !make_file(account, id, err)) ||
		!store_write_commit(&txn, STORE_LAZY, err)) {
		return false;
	}
	local->id = id;
	local->mtime_ns = row.mtime_ns;
	local->ctime_ns = row.ctime_ns;
	local->size_bytes = row.size_bytes;
	local->closed_ns = 0;
	return true;
}

bool
edit_local_open(struct account *account, struct number id, int flags, int *out_fd, struct error *err)
{
	char file[32];

	local_file_name(id, file);
	/* Where a crash took an empty file that was never made durable, it is empty again. */
	return io_open(store_dir(account->store), file, (flags & ~(O_EXCL | O_DIRECTORY)) | O_CREAT, out_fd, err);
}

bool
edit_local_update(struct account *account, const struct edit_local *local, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct local row = row_of(local);

	/* A file that may become a message is looked at when its rest is over: the worker must know. */
	return store_write_begin_brief(account->store, &txn, err) && local_update(txn, &row, err) &&
	       edit_commit(account, &txn, STORE_LAZY, err);
}

bool
edit_local_move(struct account *account, struct number id, int parent_kind, uint64_t parent, struct slice name,
	struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	return edit_begin_brief(account, &txn, err) &&
	       local_move(txn, id, (enum local_parent)parent_kind, parent, name, err) &&
	       edit_commit(account, &txn, STORE_LAZY, err);
}

bool
edit_local_remove(struct account *account, struct number id, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct error ignored = ERROR_INIT;
	char file[32];

	if (!edit_begin_brief(account, &txn, err) || !local_expunge(txn, id, err) ||
		!store_write_commit(&txn, STORE_LAZY, err)) {
		return false;
	}
	local_file_name(id, file);
	if (!io_unlink(store_dir(account->store), file, &ignored)) {
		log_warn("edit", "event=not-unlinked file=%s reason=%s", file, ignored.text);
	}
	return true;
}
