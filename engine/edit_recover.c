/* What is left over: writes that a crash cut off, files whose rest is over, and what was rejected. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/edit_internal.h"
#include "engine/mime/header.h"

#define HEAD_BYTES   65536
#define PROMOTED_MAX 1000 /* at a time */

/* --- pending rows (design 5: a spool with nothing written since its last FLUSH counts as released) --- */

/* A copy of the first row behind `after`. */
struct pending_search {
	uint64_t after;
	bool found;
	struct pending row;
};

static void
copy_row(const struct pending *from, struct pending *out)
{
	*out = *from;
	out->name = slice_dup(slice_of(from->name));
	out->file = from->file != NULL ? slice_dup(slice_of(from->file)) : NULL;
	out->data = slice_make(slice_dup(from->data), from->data.length);
}

static bool
take_first(void *context, const struct pending *row)
{
	struct pending_search *search = context;

	if (row->id <= search->after) {
		return true;
	}
	if (search->found && row->id > search->row.id) {
		return true;
	}
	if (search->found) {
		pending_finish(&search->row);
	}
	search->found = true;
	copy_row(row, &search->row);
	return true;
}

static bool
next_pending(struct account *account, struct pending_search *search, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;

	search->found = false;
	return store_read_begin(account->store, &txn, err) && pending_each(txn, take_first, search, err);
}

static bool
forget_row(struct account *account, uint64_t id, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	return store_write_begin(account->store, STORE_MOUNT, &txn, err) && pending_remove(txn, id, err) &&
	       store_write_commit(&txn, STORE_DURABLE, err);
}

/* Does what the last close would have done. A row that was written to after its last FLUSH is no whole message: its bytes are rejected. */
static bool
settle(struct account *account, const struct pending *row, struct error *err)
{
	struct edit_writer *writer = NULL;
	struct number message, local;
	bool ok;

	if (!edit_writer_recover(account, row, &writer, err)) {
		/* The file of a row whose end was not durable yet when the power went. */
		return err->kind == ERROR_GONE && forget_row(account, row->id, err);
	}
	if (row->dirty) {
		ok = edit_writer_reject(writer, err);
		edit_writer_discard(&writer);
	} else {
		ok = edit_writer_release(&writer, &message, &local, err);
	}
	if (ok && row->file != NULL) {
		ok = io_unlink(store_dir(account->store), row->file, err);
	}
	return ok;
}

/* One row, unless its writer lives. */
static void
settle_left(struct account *account, struct io_lock_file *locks, const struct pending *row)
{
	struct error err = ERROR_INIT;

	if (!io_lock(locks, row->id, IO_LOCK_EXCLUSIVE, 0, NULL, &err)) {
		return;
	}
	if (settle(account, row, &err)) {
		log_info("edit", "account=%s event=recovered pending=%" PRIu64 " name=%s", account_name(account),
			row->id, row->name);
	} else {
		log_error("edit",
			"account=%s event=not-recovered pending=%" PRIu64
			" name=%s reason=%s: it stays for the next mount",
			account_name(account), row->id, row->name, err.text);
	}
	io_unlock(locks, row->id);
}

bool
edit_recover(struct account *account, struct error *err)
{
	SCOPED(io_lock_file_close) struct io_lock_file *locks = NULL;
	struct pending_search search = {0};
	int64_t ignored_ms;

	if (!io_lock_file_open(store_dir(account->store), "locks/writers", &locks, err) ||
		!next_pending(account, &search, err)) {
		return false;
	}
	while (search.found) {
		settle_left(account, locks, &search.row);
		search.after = search.row.id;
		pending_finish(&search.row);
		if (!next_pending(account, &search, err)) {
			return false;
		}
	}
	edit_promote(account, &ignored_ms);
	return true;
}

/* --- files of other names that rest (design 5: they become messages after 10 s, if they look like mail) --- */

struct resting {
	struct number ids[PROMOTED_MAX];
	struct mailbox_id mailboxes[PROMOTED_MAX];
	char *names[PROMOTED_MAX];
	size_t count;
	int64_t now_ns, next_ns;
};

static bool
note_resting(void *context, const struct local *local)
{
	struct resting *resting = context;
	int64_t due_ns = local->closed_ns + EDIT_REST_NS;

	if (local->closed_ns == 0 || local->parent_kind != LOCAL_IN_MAILBOX || local->error != NULL) {
		return true;
	}
	/* A clock that went back does not make it rest for years. */
	if (due_ns > resting->now_ns && due_ns <= resting->now_ns + EDIT_REST_NS) {
		resting->next_ns = due_ns < resting->next_ns ? due_ns : resting->next_ns;
		return true;
	}
	resting->ids[resting->count] = local->id;
	resting->mailboxes[resting->count] = (struct mailbox_id){(uint32_t)local->parent};
	resting->names[resting->count] = slice_dup(slice_of(local->name));
	return ++resting->count < PROMOTED_MAX;
}

static bool
looks_like_mail(struct account *account, struct number id, bool *out, struct error *err)
{
	char *head = malloc(HEAD_BYTES), file[32];
	size_t got = 0;
	bool ok;
	int fd;

	if (head == NULL) {
		abort();
	}
	local_file_name(id, file);
	ok = io_open(store_dir(account->store), file, O_RDONLY, &fd, err);
	if (ok) {
		ok = io_pread(account->io, fd, head, HEAD_BYTES, 0, &got, err);
		io_close(account->io, &fd);
	}
	*out = ok && header_is_message(slice_make(head, got)) && header_score(slice_make(head, got)) >= 2;
	free(head);
	return ok;
}

/* It was looked at, and is local for good. */
static bool
end_rest(struct account *account, struct number id, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct local row;
	bool ok;

	if (!store_write_begin(account->store, STORE_ENGINE, &txn, err) || !local_load(txn, id, &row, err)) {
		return false;
	}
	row.closed_ns = 0;
	ok = local_update(txn, &row, err) && store_write_commit(&txn, STORE_LAZY, err);
	local_finish(&row);
	return ok;
}

static bool
promote(struct account *account, struct number id, struct mailbox_id mailbox, const char *name, struct error *err)
{
	struct edit_writer *writer = NULL;
	struct number message, local;
	bool is_mail;

	if (!looks_like_mail(account, id, &is_mail, err)) {
		return false;
	}
	if (!is_mail) {
		return end_rest(account, id, err);
	}
	return edit_writer_from_local(account, id, mailbox, slice_of(name), (struct number){0}, &writer, err) &&
	       edit_writer_release(&writer, &message, &local, err);
}

void
edit_promote(struct account *account, int64_t *out_next_ms)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct resting *resting = calloc(1, sizeof(*resting));
	struct error err = ERROR_INIT;

	if (resting == NULL) {
		abort();
	}
	resting->now_ns = io_wall_ns(account->io);
	resting->next_ns = INT64_MAX;
	if (!store_read_begin(account->store, &txn, &err) || !local_each_file(txn, note_resting, resting, &err)) {
		log_warn("edit", "event=rest-not-seen reason=%s", err.text);
	}
	store_read_end(&txn);
	for (size_t i = 0; i < resting->count; i++) {
		err = ERROR_INIT;
		if (!promote(account, resting->ids[i], resting->mailboxes[i], resting->names[i], &err) &&
			err.kind != ERROR_GONE) {
			struct error ignored = ERROR_INIT;

			log_warn("edit", "event=not-promoted name=%s reason=%s", resting->names[i], err.text);
			(void)!end_rest(account, resting->ids[i], &ignored);
		}
		free(resting->names[i]);
	}
	*out_next_ms = resting->next_ns == INT64_MAX
			       ? INT64_MAX
			       : io_now_ms(account->io) + (resting->next_ns - resting->now_ns) / 1000000 + 1;
	free(resting);
}

/* --- .mailfs/rejected --- */

struct rejected_walk {
	struct account *account;
	bool (*each)(void *context, const char *name, uint64_t size_bytes, int64_t mtime_s);
	void *context;
};

static bool
rejected_path(const char *name, struct buf *out, struct error *err)
{
	if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		return error_set(err, ERROR_GONE, "there is no such file");
	}
	buf_printf(out, "rejected/%s", name);
	return true;
}

static bool
give_rejected(void *context, const char *name)
{
	struct rejected_walk *walk = context;
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	struct error ignored = ERROR_INIT;
	struct io_stat status;

	if (!rejected_path(name, &path, &ignored) ||
		!io_stat(store_dir(walk->account->store), path.data, &status, &ignored) || !status.is_file) {
		return true;
	}
	return walk->each(walk->context, name, status.size_bytes, status.mtime_ns / 1000000000);
}

bool
edit_rejected_each(struct account *account,
	bool (*each)(void *context, const char *name, uint64_t size_bytes, int64_t mtime_s), void *context,
	struct error *err)
{
	struct rejected_walk walk = {.account = account, .each = each, .context = context};

	if (!account_check(account, err)) {
		return false;
	}
	if (!io_list(store_dir(account->store), "rejected", give_rejected, &walk, err)) {
		return err->kind == ERROR_GONE; /* nothing was ever rejected */
	}
	return true;
}

bool
edit_rejected_open(struct account *account, const char *name, int *out_fd, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	return account_check(account, err) && rejected_path(name, &path, err) &&
	       io_open(store_dir(account->store), path.data, O_RDONLY, out_fd, err);
}

bool
edit_rejected_remove(struct account *account, const char *name, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	return account_check(account, err) && rejected_path(name, &path, err) &&
	       io_unlink(store_dir(account->store), path.data, err);
}
