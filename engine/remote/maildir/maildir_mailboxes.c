#include "engine/remote/maildir/maildir_mailboxes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "engine/mail/safe_text.h"
#include "engine/remote/maildir/maildir_box.h"
#include "engine/remote/maildir/maildir_dir.h"
#include "engine/remote/maildir/maildir_tree.h"

#define FOLDER_FILE "maildirfolder" /* Maildir++: in each mailbox but the top */

/* What programs keep beside cur, new and tmp; it goes with the mailbox. All else is somebody's, and keeps the mailbox there. */
static const char *const kept_beside[] = {".mailfs-", "dovecot", "courier", ".mbsync", ".isyncuidmap", ".uidvalidity",
	"maildirfolder", "maildirsize", ".customflags", "subscriptions"};

/* --- paths --- */

/* The part above the last `/`, in place. */
static const char *
parent_of(struct buf *path)
{
	size_t end = path->length;

	while (end > 0 && path->data[end - 1] != '/') {
		end--;
	}
	buf_truncate(path, end > 0 ? end - 1 : 0);
	path->data[path->length] = '\0';
	return path->data;
}

static bool
fsync_parent(struct maildir_session *session, const char *path, struct error *err)
{
	SCOPED(buf_finish) struct buf parent = BUF_INIT;

	buf_append_text(&parent, path);
	return io_dir_fsync(session->dir, parent_of(&parent), err);
}

/* Makes the directories above a path. */
static bool
make_above(struct maildir_session *session, const char *path, struct error *err)
{
	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		char *level = slice_dup(slice_make(path, (size_t)(slash - path)));
		bool ok = io_mkdir(session->dir, level, err) && fsync_parent(session, level, err);

		free(level);
		if (!ok) {
			return false;
		}
	}
	return true;
}

/* Removes directories above a path that nothing is in any more. */
static void
remove_above(struct maildir_session *session, const char *path)
{
	SCOPED(buf_finish) struct buf parent = BUF_INIT;
	struct error why = ERROR_INIT;

	buf_append_text(&parent, path);
	while (parent_of(&parent)[0] != '\0' && io_rmdir(session->dir, parent.data, &why)) {
	}
}

static bool
path_of(struct maildir_session *session, struct slice raw, struct buf *out, struct error *err)
{
	buf_append_text(out, "");
	return maildir_tree_look(session, err) && maildir_names_path(&session->layout, raw, out, err);
}

/* --- create --- */

/* Makes cur last: what has it is a mailbox. */
static bool
make_maildir(struct maildir_session *session, const char *path, struct error *err)
{
	static const char *const parts[] = {"tmp", "new", "cur"};
	SCOPED(buf_finish) struct buf joined = BUF_INIT;
	int fd = -1;

	if (path[0] != '\0' && (!make_above(session, path, err) || !io_mkdir(session->dir, path, err) ||
				       !fsync_parent(session, path, err))) {
		return false;
	}
	if (path[0] != '\0' && session->layout.style == MAILDIR_PLUS) {
		if (!io_open(
			    session->dir, maildir_dir_join(&joined, path, FOLDER_FILE), O_WRONLY | O_CREAT, &fd, err)) {
			return false;
		}
		io_close(session->io, &fd);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		if (!io_mkdir(session->dir, maildir_dir_join(&joined, path, parts[i]), err)) {
			return false;
		}
	}
	return io_dir_fsync(session->dir, path, err);
}

static bool
create(struct maildir_session *session, struct slice raw, enum remote_outcome *out_outcome, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	bool is_there;

	if (!path_of(session, raw, &path, err) || !maildir_tree_is_mailbox(session, path.data, &is_there, err)) {
		return false;
	}
	if (is_there) {
		return error_set(err, ERROR_EXISTS, "%s/%s is there already", session->remote->path, path.data);
	}
	if (!make_maildir(session, path.data, err)) {
		return false;
	}
	*out_outcome = REMOTE_DONE;
	return true;
}

bool
maildir_mailboxes_make_inbox(struct maildir_session *session, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	bool is_there;

	if (!path_of(session, SLICE_LITERAL("INBOX"), &path, err) ||
		!maildir_tree_is_mailbox(session, path.data, &is_there, err)) {
		return false;
	}
	if (is_there) {
		return true;
	}
	if (!maildir_tree_lock(session, err)) {
		return false;
	}
	bool ok = make_maildir(session, path.data, err);

	maildir_tree_unlock(session);
	return ok && maildir_tree_look(session, err);
}

/* --- rename --- */

static bool
is_directory(struct maildir_session *session, const char *path, bool *out, struct error *err)
{
	struct io_stat st;

	*out = false;
	if (!io_stat(session->dir, path, &st, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	*out = st.is_directory;
	return true;
}

/* An empty directory may stand in the way; anything else is a mailbox, or holds some. */
static bool
clear_way(struct maildir_session *session, const char *path, struct error *err)
{
	bool is_there;

	if (!is_directory(session, path, &is_there, err)) {
		return false;
	}
	if (is_there && !io_rmdir(session->dir, path, err)) {
		return error_set(err, ERROR_EXISTS, "%s/%s is there already", session->remote->path, path);
	}
	return true;
}

static bool
rename_directory(struct maildir_session *session, const char *from, const char *to, struct error *err)
{
	return make_above(session, to, err) && clear_way(session, to, err) &&
	       io_rename_new(session->dir, from, to, err) && fsync_parent(session, to, err) &&
	       fsync_parent(session, from, err);
}

/* In Maildir++ each mailbox beneath it is renamed for itself; it goes last, so that what was cut short is done again. */
static bool
rename_children(struct maildir_session *session, const char *from, const char *to, struct error *err)
{
	SCOPED(maildir_dir_finish) struct maildir_dir names = MAILDIR_DIR_INIT;
	SCOPED(buf_finish) struct buf head = BUF_INIT;
	SCOPED(buf_finish) struct buf target = BUF_INIT;
	const char *name;

	buf_printf(&head, "%s.", from);
	if (!maildir_dir_read(&names, session->dir, "", err)) {
		return false;
	}
	for (size_t at = 0; (name = maildir_dir_next(&names, &at)) != NULL;) {
		if (!slice_has_prefix(slice_of(name), buf_slice(&head))) {
			continue;
		}
		buf_clear(&target);
		buf_printf(&target, "%s.%s", to, name + head.length);
		if (!rename_directory(session, name, target.data, err)) {
			return false;
		}
	}
	return true;
}

static bool
rename_mailbox(struct maildir_session *session, struct slice raw_from, struct slice raw_to,
	enum remote_outcome *out_outcome, struct error *err)
{
	SCOPED(buf_finish) struct buf from = BUF_INIT;
	SCOPED(buf_finish) struct buf to = BUF_INIT;
	bool is_there, is_taken;

	if (!path_of(session, raw_from, &from, err) || !path_of(session, raw_to, &to, err)) {
		return false;
	}
	if (from.length == 0 || to.length == 0) {
		return error_set(err, ERROR_REFUSED, "INBOX is the top of the tree and keeps its name");
	}
	if (!is_directory(session, from.data, &is_there, err) ||
		!maildir_tree_is_mailbox(session, to.data, &is_taken, err)) {
		return false;
	}
	if (!is_there) {
		return error_set(err, ERROR_GONE, "there is no Maildir %s/%s", session->remote->path, from.data);
	}
	if (is_taken) {
		return error_set(err, ERROR_EXISTS, "%s/%s is there already", session->remote->path, to.data);
	}
	*out_outcome = REMOTE_UNKNOWN;
	if ((session->layout.style == MAILDIR_PLUS && !rename_children(session, from.data, to.data, err)) ||
		!rename_directory(session, from.data, to.data, err)) {
		return false;
	}
	remove_above(session, from.data);
	*out_outcome = REMOTE_DONE;
	return true;
}

/* --- remove --- */

static bool
is_kept_beside(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(kept_beside); i++) {
		if (slice_has_prefix(slice_of(name), slice_of(kept_beside[i]))) {
			return true;
		}
	}
	return false;
}

static bool
refuse(struct maildir_session *session, const char *path, const char *name, const char *why, struct error *err)
{
	SCOPED(buf_finish) struct buf safe = BUF_INIT;

	safe_text_line(slice_of(name), 100, &safe);
	return error_set(err, ERROR_ITEM, "%s/%s stays: %s%s", session->remote->path, path,
		safe.length > 0 ? safe.data : "", why);
}

/* Checks that nothing is in it but what goes with a mailbox; `remove` also removes that. */
static bool
beside(struct maildir_session *session, const char *path, bool remove, struct error *err)
{
	SCOPED(maildir_dir_finish) struct maildir_dir names = MAILDIR_DIR_INIT;
	SCOPED(buf_finish) struct buf joined = BUF_INIT;
	const char *name;

	if (!maildir_dir_read(&names, session->dir, path, err)) {
		return false;
	}
	for (size_t at = 0; (name = maildir_dir_next(&names, &at)) != NULL;) {
		struct io_stat st;

		if (strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || strcmp(name, "tmp") == 0) {
			continue;
		}
		if (!io_stat(session->dir, maildir_dir_join(&joined, path, name), &st, err)) {
			return false;
		}
		if (!st.is_file || !is_kept_beside(name)) {
			return refuse(session, path, name, " in it is no part of a mailbox", err);
		}
		if (remove && !io_unlink(session->dir, joined.data, err)) {
			return false;
		}
	}
	return true;
}

/* Removes cur, new and tmp as long as they are empty: what is delivered meanwhile stops it. */
static bool
remove_parts(struct maildir_session *session, const char *path, struct error *err)
{
	static const char *const parts[] = {"tmp", "new", "cur"};
	SCOPED(buf_finish) struct buf joined = BUF_INIT;
	struct error ignored = ERROR_INIT;

	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		if (io_rmdir(session->dir, maildir_dir_join(&joined, path, parts[i]), err)) {
			continue;
		}
		bool in_use = err->sys_errno == ENOTEMPTY || err->sys_errno == EEXIST;

		for (size_t j = 0; j < i; j++) {
			(void)!io_mkdir(session->dir, maildir_dir_join(&joined, path, parts[j]), &ignored);
		}
		return in_use ? refuse(session, path, parts[i], " is not empty", err) : false;
	}
	return true;
}

static bool
remove_maildir(struct maildir_session *session, const char *path, struct error *err)
{
	struct maildir_box *box;

	if (!maildir_box_open_path(session, path, &box, err) || !maildir_box_lock(session, box, err)) {
		return false;
	}
	bool ok = beside(session, path, false, err) && remove_parts(session, path, err) &&
		  (path[0] == '\0' || (beside(session, path, true, err) && io_rmdir(session->dir, path, err)));

	maildir_box_unlock(session, box);
	maildir_box_doubt(box);
	return ok;
}

static bool
remove_mailbox(struct maildir_session *session, struct slice raw, enum remote_outcome *out_outcome, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	bool is_mailbox, is_there;

	if (!path_of(session, raw, &path, err)) {
		return false;
	}
	if (path.length == 0) {
		return error_set(err, ERROR_REFUSED, "INBOX is the top of the tree and stays");
	}
	if (!maildir_tree_is_mailbox(session, path.data, &is_mailbox, err) ||
		!is_directory(session, path.data, &is_there, err)) {
		return false;
	}
	if (!is_there) {
		return error_set(err, ERROR_GONE, "there is no Maildir %s/%s", session->remote->path, path.data);
	}
	if (is_mailbox ? !remove_maildir(session, path.data, err) : !io_rmdir(session->dir, path.data, err)) {
		return false;
	}
	if (!fsync_parent(session, path.data, err)) {
		*out_outcome = REMOTE_UNKNOWN;
		return false;
	}
	remove_above(session, path.data);
	*out_outcome = REMOTE_DONE;
	return true;
}

/* --- one at a time --- */

/* Ends an effect: what failed before it was begun, or for itself, was refused. */
static bool
end_effect(struct maildir_session *session, bool done, enum remote_outcome *out_outcome, struct error *err)
{
	maildir_tree_unlock(session);
	if (done) {
		return true;
	}
	if (*out_outcome != REMOTE_UNKNOWN) {
		*out_outcome = REMOTE_REFUSED;
		if (err->kind == ERROR_SYSTEM || err->kind == ERROR_SPACE) {
			err->kind = ERROR_ITEM;
		}
	}
	return false;
}

bool
maildir_mailboxes_create(
	struct maildir_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err)
{
	*out_outcome = REMOTE_NOT_SENT;
	return maildir_tree_check(session, err) && maildir_tree_lock(session, err) &&
	       end_effect(session, create(session, raw_name, out_outcome, err), out_outcome, err);
}

bool
maildir_mailboxes_rename(struct maildir_session *session, struct slice from, struct slice to,
	enum remote_outcome *out_outcome, struct error *err)
{
	*out_outcome = REMOTE_NOT_SENT;
	return maildir_tree_check(session, err) && maildir_tree_lock(session, err) &&
	       end_effect(session, rename_mailbox(session, from, to, out_outcome, err), out_outcome, err);
}

bool
maildir_mailboxes_remove(
	struct maildir_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err)
{
	*out_outcome = REMOTE_NOT_SENT;
	return maildir_tree_check(session, err) && maildir_tree_lock(session, err) &&
	       end_effect(session, remove_mailbox(session, raw_name, out_outcome, err), out_outcome, err);
}
