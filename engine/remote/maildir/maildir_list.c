#include "engine/remote/maildir/maildir_list.h"

#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/remote/maildir/maildir_box.h"
#include "engine/remote/maildir/maildir_tree.h"

struct row {
	char *path, *raw;
	bool is_mailbox, has_status;
	uint64_t directory;
	struct maildir_summary summary;
};

struct rows {
	struct row *items;
	size_t count, capacity;
};

static void
rows_finish(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		free(rows->items[i].path);
		free(rows->items[i].raw);
	}
	free(rows->items);
}

static bool
note(void *context, const char *path, struct slice raw, bool is_mailbox, struct error *err)
{
	struct rows *rows = context;

	if (rows->count == rows->capacity) {
		rows->capacity = rows->capacity * 2 + 32;
		rows->items = realloc(rows->items, rows->capacity * sizeof(*rows->items));
		if (rows->items == NULL) {
			abort();
		}
	}
	rows->items[rows->count++] =
		(struct row){.path = slice_dup(slice_of(path)), .raw = slice_dup(raw), .is_mailbox = is_mailbox};
	return true;
}

/* One that cannot be looked at is listed without its status: its scan fails for itself and says why. */
static bool
summarize(struct maildir_session *session, struct row *row, struct error *err)
{
	struct maildir_box *box;

	if (!row->is_mailbox) {
		return true;
	}
	row->has_status = maildir_box_open_path(session, row->path, &box, err) &&
			  maildir_box_summarize(session, box, &row->summary, err);
	if (!row->has_status && (err->kind == ERROR_RETRY || err->kind == ERROR_CANCELLED)) {
		return false;
	}
	if (!row->has_status) {
		log_warn("maildir", "path=%s/%s event=not-looked-at reason=%s", session->remote->path, row->path,
			err->text);
		error_clear(err);
		return true;
	}
	row->directory = box->directory;
	return true;
}

/* Whether another one has its id, and the better claim to it: by the inode that the index was begun in, else by coming first. */
static bool
is_copy(const struct rows *rows, size_t which)
{
	const struct row *row = &rows->items[which];

	if (!row->has_status || row->summary.directory == row->directory) {
		return false;
	}
	for (size_t i = 0; i < rows->count; i++) {
		const struct row *other = &rows->items[i];

		if (i != which && other->has_status && guid_equal(&other->summary.id, &row->summary.id) &&
			(i < which || other->summary.directory == other->directory)) {
			return true;
		}
	}
	return false;
}

/* A Maildir that was copied with its index is another mailbox. */
static bool
part_copy(struct maildir_session *session, struct row *row, struct error *err)
{
	struct maildir_box *box;

	if (!maildir_box_open_path(session, row->path, &box, err) || !maildir_box_lock(session, box, err)) {
		return false;
	}
	bool ok = maildir_box_look(session, box, err) && maildir_box_renew(session, box, err);

	maildir_box_unlock(session, box);
	if (ok) {
		log_info("maildir", "path=%s/%s event=copied: it is a mailbox of its own now", session->remote->path,
			row->path);
		row->summary = box->summary;
	}
	return ok;
}

static bool
tell(struct maildir_session *session, const struct row *row, struct slice unsubscribed,
	bool (*each)(void *context, const struct remote_mailbox *mailbox, struct error *err), void *context,
	struct error *err)
{
	struct remote_mailbox mailbox = {
		.raw_name = slice_of(row->raw),
		.separator = maildir_names_separator(&session->layout),
		.attributes = row->is_mailbox ? 0u : (uint32_t)REMOTE_NOSELECT,
		.role = strcmp(row->raw, "INBOX") == 0 ? "inbox" : NULL,
		.has_status = row->has_status,
	};
	SCOPED(buf_finish) struct buf line = BUF_INIT;

	buf_printf(&line, "\n%s\n", row->raw);
	if (memmem(unsubscribed.data, unsubscribed.length, line.data, line.length) == NULL) {
		mailbox.attributes |= REMOTE_SUBSCRIBED;
	}
	if (row->has_status) {
		mailbox.id = row->summary.id;
		mailbox.uidvalidity = row->summary.uidvalidity;
		mailbox.uidnext = row->summary.uidnext;
		mailbox.highestmodseq = row->summary.modseq;
		mailbox.messages = row->summary.messages;
	}
	return each(context, &mailbox, err);
}

bool
maildir_list_all(struct maildir_session *session,
	bool (*each)(void *context, const struct remote_mailbox *mailbox, struct error *err), void *context,
	struct error *err)
{
	SCOPED(rows_finish) struct rows rows = {0};
	SCOPED(buf_finish) struct buf unsubscribed = BUF_INIT;

	if (!maildir_tree_check(session, err) || !maildir_tree_look(session, err) ||
		!maildir_tree_unsubscribed(session, &unsubscribed, err) ||
		!maildir_tree_walk(session, note, &rows, err)) {
		return false;
	}
	for (size_t i = 0; i < rows.count; i++) {
		if (!summarize(session, &rows.items[i], err)) {
			return false;
		}
	}
	for (size_t i = 0; i < rows.count; i++) {
		if (is_copy(&rows, i) && !part_copy(session, &rows.items[i], err)) {
			return false;
		}
	}
	for (size_t i = 0; i < rows.count; i++) {
		if (!tell(session, &rows.items[i], buf_slice(&unsubscribed), each, context, err)) {
			return false;
		}
	}
	return true;
}
