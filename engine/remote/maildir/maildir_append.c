#include "engine/remote/maildir/maildir_append.h"

#include <fcntl.h>

#include "engine/base/log.h"
#include "engine/mime/wire.h"
#include "engine/remote/maildir/maildir_dir.h"
#include "engine/remote/maildir/maildir_filename.h"

#define PIECE_BYTES     (64u << 10)
#define OUR_NAMES       ".mailfs,"  /* in the names of our files */
#define TEMPORARY_OLD_S (36 * 3600) /* then its writer is no more */

void
maildir_append_make_name(struct maildir_session *session, uint64_t file_size, uint64_t wire_size, struct buf *out)
{
	uint64_t unique;

	io_random(session->io, &unique, sizeof(unique));
	maildir_filename_make(io_wall_s(session->io), unique, file_size, wire_size, out);
}

/* --- a file, from tmp on --- */

struct draft {
	struct maildir_session *session;
	struct buf path; /* in tmp */
	int fd;
	uint64_t size;
	bool there;
};

static void
draft_finish(struct draft *draft)
{
	struct error ignored = ERROR_INIT;

	io_close(draft->session->io, &draft->fd);
	if (draft->there && !io_unlink(draft->session->dir, draft->path.data, &ignored)) {
		log_warn("maildir", "file=%s/%s event=left-in-tmp reason=%s", draft->session->remote->path,
			draft->path.data, ignored.text);
	}
	buf_finish(&draft->path);
}

static bool
draft_begin(struct draft *draft, const struct maildir_work *to, struct slice name, struct error *err)
{
	*draft = (struct draft){.session = to->session, .fd = -1};
	maildir_dir_join(&draft->path, to->box->path, "tmp/");
	buf_append(&draft->path, name);
	draft->there = io_open(to->session->dir, draft->path.data, O_WRONLY | O_CREAT | O_EXCL, &draft->fd, err);
	return draft->there;
}

static bool
draft_write(struct draft *draft, struct slice octets, struct error *err)
{
	if (!io_pwrite(draft->session->io, draft->fd, octets, draft->size, err)) {
		return false;
	}
	draft->size += octets.length;
	draft->session->octets_out += octets.length;
	return true;
}

/* Makes it durable and gives it its place. */
static bool
draft_deliver(struct draft *draft, struct maildir_work *to, struct slice name, bool in_new, int64_t mtime_ns,
	struct error *err)
{
	struct maildir_session *session = draft->session;
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	maildir_dir_join(&path, to->box->path, in_new ? "new/" : "cur/");
	buf_append(&path, name);
	if (!io_set_mtime(session->io, draft->fd, mtime_ns, err) || !io_fsync(session->io, draft->fd, err) ||
		!io_rename_new(session->dir, draft->path.data, path.data, err)) {
		return false;
	}
	draft->there = false;
	to->new |= in_new;
	to->cur |= !in_new;
	return true;
}

/* --- copies --- */

bool
maildir_append_copy(struct maildir_work *from, const struct maildir_entry *entry, struct maildir_work *to,
	struct slice name, bool in_new, struct error *err)
{
	struct maildir_session *session = from->session;
	SCOPED(buf_finish) struct buf source = BUF_INIT;
	SCOPED(buf_finish) struct buf space = BUF_INIT;
	struct io_stat st;
	struct draft draft;
	size_t got = 1;
	int fd = -1;

	maildir_box_file(from->box, entry, &source);
	if (!io_stat(session->dir, source.data, &st, err) ||
		!io_open(session->dir, source.data, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, &fd, err)) {
		return false;
	}
	bool ok = draft_begin(&draft, to, name, err);

	buf_reserve(&space, PIECE_BYTES);
	while (ok && got > 0) {
		ok = io_pread(session->io, fd, space.data, PIECE_BYTES, draft.size, &got, err) &&
		     (got == 0 || draft_write(&draft, slice_make(space.data, got), err));
	}
	ok = ok && draft_deliver(&draft, to, name, in_new, st.mtime_ns, err);
	draft_finish(&draft);
	io_close(session->io, &fd);
	return ok;
}

/* --- uploads --- */

/* Writes the body with LF line ends where that turns back exactly, else as it is. */
static bool
write_body(struct draft *draft, struct slice wire, bool lf, struct error *err)
{
	SCOPED(buf_finish) struct buf piece = BUF_INIT;

	for (size_t at = 0; at < wire.length; at += PIECE_BYTES) {
		struct slice octets = slice_head(slice_skip(wire, at), PIECE_BYTES);

		buf_clear(&piece);
		if (lf) {
			wire_drop_cr(octets, &piece);
		}
		if (!draft_write(draft, lf ? buf_slice(&piece) : octets, err)) {
			return false;
		}
	}
	return true;
}

static bool
append_once(struct maildir_work *work, struct remote_append *item, struct error *err)
{
	SCOPED(buf_finish) struct buf base = BUF_INIT;
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct wire_scan scan = WIRE_SCAN_INIT;
	struct maildir_filename read;
	struct draft draft;
	struct slice wire;
	uint32_t letters;

	if (!maildir_work_letters(work, &item->flags, &letters, err) || !spool_view(item->body, &wire, err)) {
		return false;
	}
	wire_scan_feed(&scan, wire);

	bool lf = wire_scan_served(&scan) == WIRE_FORM_LF;
	uint64_t size = lf ? wire_scan_lf_size(&scan) : scan.size;

	/* What we serve of a file that keeps bare LFs has them as CRLF. */
	maildir_append_make_name(work->session, size, lf ? scan.size : wire_scan_wire_size(&scan), &base);
	if (!maildir_filename_read(buf_slice(&base), &read) ||
		!maildir_filename_print(&read, item->flags.bits, letters, &name)) {
		return error_set(err, ERROR_ITEM, "no name can be made for its file");
	}
	bool ok = draft_begin(&draft, work, buf_slice(&name), err) && write_body(&draft, wire, lf, err) &&
		  draft_deliver(&draft, work, buf_slice(&name), false, item->internaldate_s * 1000000000, err);

	draft_finish(&draft);
	if (!ok) {
		return false;
	}
	const struct maildir_entry *entry =
		maildir_index_add(&work->box->index, buf_slice(&name), false, maildir_work_modseq(work), &work->lines);

	if (entry == NULL) {
		return error_set(err, ERROR_ITEM, "the Maildir has no UIDs left");
	}
	item->uid = (struct remote_uid){.uidvalidity = work->box->index.uidvalidity, .uid = entry->uid};
	return true;
}

/* Removes what a process of ours that was killed left in tmp. */
static bool
sweep(struct maildir_work *work, struct error *err)
{
	struct maildir_session *session = work->session;
	SCOPED(maildir_dir_finish) struct maildir_dir names = MAILDIR_DIR_INIT;
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	const char *name;

	maildir_dir_join(&path, work->box->path, "tmp");
	if (!io_mkdir(session->dir, path.data, err) || !maildir_dir_read(&names, session->dir, path.data, err)) {
		return false;
	}
	for (size_t at = 0; (name = maildir_dir_next(&names, &at)) != NULL;) {
		struct io_stat st;

		if (strstr(name, OUR_NAMES) == NULL) {
			continue;
		}
		maildir_dir_join(&path, work->box->path, "tmp/");
		buf_append_text(&path, name);
		if (io_stat(session->dir, path.data, &st, err) && st.is_file &&
			st.ctime_ns / 1000000000 < io_wall_s(session->io) - TEMPORARY_OLD_S &&
			!io_unlink(session->dir, path.data, err)) {
			return false;
		}
		error_clear(err);
	}
	return true;
}

static bool
append_all(struct maildir_work *work, struct remote_append *items, size_t count, struct error *err)
{
	if (!sweep(work, err)) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (append_once(work, &items[i], err)) {
			items[i].outcome = REMOTE_DONE;
			continue;
		}
		if (err->kind == ERROR_RETRY || err->kind == ERROR_CANCELLED) {
			return false;
		}
		maildir_work_refusal(err);
		items[i].outcome = REMOTE_REFUSED;
		items[i].error = *err;
		error_clear(err);
	}
	return true;
}

bool
maildir_append_messages(struct maildir_session *session, const struct remote_target *target,
	struct remote_append *items, size_t count, struct error *err)
{
	struct maildir_work work;

	for (size_t i = 0; i < count; i++) {
		items[i].outcome = REMOTE_NOT_SENT;
		items[i].uid = (struct remote_uid){0};
	}
	if (!maildir_work_begin(&work, session, target, err)) {
		return false;
	}
	bool ok = append_all(&work, items, count, err);

	ok = maildir_work_commit(&work, ok ? err : &(struct error){0}) && ok;
	for (size_t i = 0; !ok && i < count; i++) {
		items[i].outcome = items[i].outcome == REMOTE_DONE ? REMOTE_UNKNOWN : items[i].outcome;
		items[i].uid = (struct remote_uid){0};
	}
	maildir_work_end(&work);
	return ok;
}
