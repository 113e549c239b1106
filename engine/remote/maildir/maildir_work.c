#include "engine/remote/maildir/maildir_work.h"

#include <assert.h>
#include <fcntl.h>

#include "engine/base/log.h"
#include "engine/remote/maildir/maildir_dir.h"

#define KEYWORDS_LOCK           MAILDIR_KEYWORDS_FILE ".lock"
#define KEYWORDS_LOCK_WAIT_MS   1000
#define KEYWORDS_LOCK_STEP_MS   20
#define KEYWORDS_LOCK_OLD_S     120
#define KEYWORDS_LOCK_BYTES_MAX MAILDIR_KEYWORDS_BYTES_MAX
#define KEYWORDS_LOCK_MARK      SLICE_LITERAL("mailfs\n")

/* --- begin and end --- */

static bool
take(struct maildir_work *work, struct error *err)
{
	work->locked = maildir_box_lock(work->session, work->box, err);
	return work->locked;
}

static bool
check(struct maildir_work *work, const struct remote_target *target, struct error *err)
{
	if (!maildir_box_refresh_locked(work->session, work->box, err)) {
		return false;
	}
	if (target->uidvalidity != 0 && target->uidvalidity != work->box->index.uidvalidity) {
		return error_set(err, ERROR_RETRY, "rebuilt: UIDVALIDITY is another one");
	}
	return true;
}

bool
maildir_work_begin(struct maildir_work *work, struct maildir_session *session, const struct remote_target *target,
	struct error *err)
{
	*work = (struct maildir_work){.session = session};
	if (!maildir_box_open(session, target->raw_name, &work->box, err) || !take(work, err)) {
		return false;
	}
	if (!check(work, target, err)) {
		maildir_work_end(work);
		return false;
	}
	return true;
}

bool
maildir_work_begin_two(struct maildir_work *from, struct maildir_work *to, struct maildir_session *session,
	const struct remote_target *from_target, const struct remote_target *to_target, bool *out_target_failed,
	struct error *err)
{
	*from = *to = (struct maildir_work){.session = session};
	*out_target_failed = false;
	if (!maildir_box_open(session, from_target->raw_name, &from->box, err)) {
		return false;
	}
	if (!maildir_box_open(session, to_target->raw_name, &to->box, err)) {
		*out_target_failed = true;
		return false;
	}
	int order = maildir_box_compare_locks(from->box, to->box);
	bool ok = order <= 0 ? take(from, err) && (order == 0 || take(to, err)) : take(to, err) && take(from, err);

	ok = ok && check(from, from_target, err);
	if (ok && !check(to, to_target, err)) {
		*out_target_failed = true;
		ok = false;
	}
	if (!ok) {
		maildir_work_end(from);
		maildir_work_end(to);
	}
	return ok;
}

void
maildir_work_end(struct maildir_work *work)
{
	if (work->lines.length > 0) {
		maildir_box_doubt(work->box);
	}
	buf_finish(&work->lines);
	if (work->locked) {
		maildir_box_unlock(work->session, work->box);
		work->locked = false;
	}
}

uint64_t
maildir_work_modseq(struct maildir_work *work)
{
	if (work->modseq < work->box->index.modseq || work->modseq == 0) {
		work->modseq = work->box->index.modseq + 1;
	}
	return work->modseq;
}

static bool
write_lines(struct maildir_work *work, struct error *err)
{
	bool ok = work->lines.length == 0 || maildir_box_write(work->session, work->box, buf_slice(&work->lines), err);

	buf_clear(&work->lines);
	return ok;
}

bool
maildir_work_look(struct maildir_work *work, struct error *err)
{
	return write_lines(work, err) && maildir_box_look(work->session, work->box, err);
}

static bool
sync_directory(struct maildir_work *work, const char *name, bool *dirty, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	if (!*dirty) {
		return true;
	}
	*dirty = false;
	return io_dir_fsync(work->session->dir, maildir_dir_join(&path, work->box->path, name), err);
}

bool
maildir_work_commit(struct maildir_work *work, struct error *err)
{
	if (work->cur || work->new) {
		work->box->clean = false;
	}
	return sync_directory(work, "cur", &work->cur, err) && sync_directory(work, "new", &work->new, err) &&
	       write_lines(work, err);
}

void
maildir_work_refusal(struct error *err)
{
	if (err->kind == ERROR_SPACE || err->kind == ERROR_SYSTEM) {
		err->kind = ERROR_ITEM;
	}
}

/* --- keywords --- */

/* Whether the lock is one of ours. We have the Maildir's own lock, so whoever made it was killed. */
static bool
was_left_by_us(struct maildir_session *session, const char *path)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	struct error ignored = ERROR_INIT;

	return io_read_file(session->dir, path, KEYWORDS_LOCK_BYTES_MAX, &text, &ignored) &&
	       slice_equal(buf_slice(&text), KEYWORDS_LOCK_MARK);
}

/* Takes the lock that Dovecot takes for this file: by making it. An old one was left by a process that died. */
static bool
take_keywords_lock(struct maildir_work *work, const char *path, int *out_fd, struct error *err)
{
	struct maildir_session *session = work->session;
	int64_t end_ms = io_now_ms(session->io) + KEYWORDS_LOCK_WAIT_MS;
	struct io_stat st;

	for (;;) {
		if (io_open(session->dir, path, O_WRONLY | O_CREAT | O_EXCL, out_fd, err)) {
			return true;
		}
		if (err->kind != ERROR_EXISTS) {
			return false;
		}
		if (io_now_ms(session->io) >= end_ms) {
			return false;
		}
		error_clear(err);
		if (io_stat(session->dir, path, &st, err) &&
			(was_left_by_us(session, path) ||
				st.mtime_ns / 1000000000 < io_wall_s(session->io) - KEYWORDS_LOCK_OLD_S) &&
			!io_unlink(session->dir, path, err)) {
			return false;
		}
		error_clear(err);
		io_sleep_ms(session->io, KEYWORDS_LOCK_STEP_MS);
	}
}

/* Gives each keyword of the set a letter, in the text and in the table. */
static bool
add_all(struct maildir_keywords *table, const struct flags *flags, struct buf *text)
{
	struct slice rest = flags_keywords(flags), name;
	bool any = false;

	while (flags_next_keyword(&rest, &name)) {
		any |= maildir_keywords_find(table, name) < 0 && maildir_keywords_add(table, name, text);
	}
	return any;
}

static bool
write_table(struct maildir_work *work, const struct flags *flags, struct error *err)
{
	struct maildir_session *session = work->session;
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	struct maildir_keywords table = {0};

	maildir_dir_join(&path, work->box->path, MAILDIR_KEYWORDS_FILE);
	if (!io_read_file(session->dir, path.data, MAILDIR_KEYWORDS_BYTES_MAX, &text, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
	}
	maildir_keywords_read(&table, buf_slice(&text));
	bool added = add_all(&table, flags, &text);
	bool ok = added && io_replace_file(session->dir, path.data, buf_slice(&text), err);

	if (ok) {
		maildir_index_set_keywords(&work->box->index, &table, maildir_work_modseq(work), &work->lines);
		maildir_keywords_finish(&work->box->keywords);
		work->box->keywords = maildir_keywords_copy(&table);
		work->box->clean = false;
	}
	maildir_keywords_finish(&table);
	return ok || (!added && err->kind == ERROR_NONE && error_set(err, ERROR_ITEM, "there is no letter left"));
}

static bool
learn(struct maildir_work *work, const struct flags *flags, struct error *err)
{
	struct maildir_session *session = work->session;
	SCOPED(buf_finish) struct buf lock = BUF_INIT;
	struct error ignored = ERROR_INIT;
	int fd = -1;

	maildir_dir_join(&lock, work->box->path, KEYWORDS_LOCK);
	if (!take_keywords_lock(work, lock.data, &fd, err)) {
		return false;
	}
	bool ok = io_pwrite(session->io, fd, KEYWORDS_LOCK_MARK, 0, err) && write_table(work, flags, err);

	io_close(session->io, &fd);
	if (!io_unlink(session->dir, lock.data, &ignored)) {
		log_warn("maildir", "file=%s/%s event=lock-left reason=%s", session->remote->path, lock.data,
			ignored.text);
	}
	return ok;
}

bool
maildir_work_letters(struct maildir_work *work, const struct flags *flags, uint32_t *out, struct error *err)
{
	struct slice rest = flags_keywords(flags), name;
	bool missing = false;

	while (flags_next_keyword(&rest, &name)) {
		missing |= maildir_keywords_find(&work->box->index.keywords, name) < 0;
	}
	missing = missing && maildir_keywords_have_room(&work->box->index.keywords);
	if (missing && !work->keywords_locked && !learn(work, flags, err)) {
		if (err->kind == ERROR_CANCELLED) {
			return false;
		}
		work->keywords_locked = err->kind == ERROR_EXISTS;
		log_warn("maildir", "path=%s/%s event=keywords-not-kept reason=%s", work->session->remote->path,
			work->box->path, err->text);
		error_clear(err);
	}
	if (missing && work->keywords_locked) {
		return error_set(err, ERROR_ITEM, "another program holds the table of keywords");
	}
	*out = maildir_keywords_letters(&work->box->index.keywords, flags);
	return true;
}
