#include "engine/remote/maildir/maildir_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mail/safe_text.h"
#include "engine/remote/maildir/maildir_dir.h"

#define TREE_OCTET     0
#define TREE_BYTES_MAX (4u << 20) /* of .mailfs-tree */
#define HEAD_NESTED    "mailfs-tree 1 nested\n"
#define HEAD_PLUS      "mailfs-tree 1 maildir++\n"

static bool
is_directory(struct maildir_session *session, const char *path, bool *out, struct error *err)
{
	struct io_stat st;

	*out = false;
	if (io_stat(session->dir, path, &st, err)) {
		*out = st.is_directory;
		return true;
	}
	/* A symbolic link on the way leads nowhere for us (P23); what may not be seen is as if it were not there. */
	if (err->kind == ERROR_GONE || err->kind == ERROR_REFUSED || err->sys_errno == ENOTDIR) {
		error_clear(err);
		return true;
	}
	return false;
}

bool
maildir_tree_is_mailbox(struct maildir_session *session, const char *path, bool *out, struct error *err)
{
	SCOPED(buf_finish) struct buf joined = BUF_INIT;

	return is_directory(session, maildir_dir_join(&joined, path, "cur"), out, err);
}

/* --- the style --- */

static bool
is_ours_beneath(const char *name)
{
	return name[0] == '.' || strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || strcmp(name, "tmp") == 0;
}

/* Looks at what is there: `.X/cur` is Maildir++; else another directory is a level of a nested tree; else a top that is a Maildir is
 * Maildir++ that has no other mailbox yet, and an empty one will be a nested tree. */
static bool
guess_style(struct maildir_session *session, enum maildir_style *out, struct error *err)
{
	SCOPED(maildir_dir_finish) struct maildir_dir names = MAILDIR_DIR_INIT;
	bool nested = false, found;
	const char *name;

	if (!maildir_dir_read(&names, session->dir, "", err)) {
		return false;
	}
	for (size_t at = 0; (name = maildir_dir_next(&names, &at)) != NULL;) {
		if (name[0] == '.') {
			if (!maildir_tree_is_mailbox(session, name, &found, err)) {
				return false;
			}
			if (found) {
				*out = MAILDIR_PLUS;
				return true;
			}
		} else if (!nested && !is_ours_beneath(name) && !is_directory(session, name, &nested, err)) {
			return false;
		}
	}
	if (!maildir_tree_is_mailbox(session, "", &found, err)) {
		return false;
	}
	*out = found && !nested ? MAILDIR_PLUS : MAILDIR_NESTED;
	return true;
}

static bool
load_settings(struct maildir_session *session, struct buf *out, struct error *err)
{
	return io_read_file(session->dir, MAILDIR_TREE_FILE, TREE_BYTES_MAX, out, err);
}

static bool
read_style(struct maildir_session *session, bool *out_found, struct error *err)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	*out_found = true;
	if (!load_settings(session, &text, err)) {
		*out_found = false;
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	if (slice_has_prefix(buf_slice(&text), SLICE_LITERAL(HEAD_NESTED))) {
		session->layout.style = MAILDIR_NESTED;
	} else if (slice_has_prefix(buf_slice(&text), SLICE_LITERAL(HEAD_PLUS))) {
		session->layout.style = MAILDIR_PLUS;
	} else {
		return error_set(err, ERROR_DAMAGED,
			"%s/%s is none of ours, or of a newer version: remove it, then the tree is looked at anew",
			session->remote->path, MAILDIR_TREE_FILE);
	}
	return true;
}

/* The style is found out once and kept: a directory that somebody makes later shall not turn every name into another. */
static bool
settle_style(struct maildir_session *session, struct error *err)
{
	bool found;

	if (!read_style(session, &found, err)) {
		return false;
	}
	if (found) {
		return true;
	}
	if (!maildir_tree_lock(session, err)) {
		return false;
	}
	bool ok = read_style(session, &found, err);

	if (ok && !found) {
		ok = guess_style(session, &session->layout.style, err) &&
		     io_replace_file(session->dir, MAILDIR_TREE_FILE,
			     slice_of(session->layout.style == MAILDIR_PLUS ? HEAD_PLUS : HEAD_NESTED), err);
	}
	maildir_tree_unlock(session);
	return ok;
}

static bool
find_inbox(struct maildir_session *session, struct error *err)
{
	SCOPED(maildir_dir_finish) struct maildir_dir names = MAILDIR_DIR_INIT;
	const char *name;

	session->layout.inbox[0] = '\0';
	if (!maildir_dir_read(&names, session->dir, "", err)) {
		return false;
	}
	for (size_t at = 0; (name = maildir_dir_next(&names, &at)) != NULL;) {
		bool exact = strcmp(name, "INBOX") == 0;

		if (slice_equal_nocase(slice_of(name), SLICE_LITERAL("INBOX")) &&
			(exact || session->layout.inbox[0] == '\0')) {
			(void)snprintf(session->layout.inbox, sizeof(session->layout.inbox), "%s", name);
		}
	}
	return true;
}

bool
maildir_tree_look(struct maildir_session *session, struct error *err)
{
	session->layout.top_is_inbox = session->layout.style == MAILDIR_PLUS;
	return session->layout.style == MAILDIR_PLUS ||
	       (maildir_tree_is_mailbox(session, "", &session->layout.top_is_inbox, err) && find_inbox(session, err));
}

/* --- opening --- */

static bool
open_top(struct maildir_session *session, struct error *err)
{
	const char *path = session->remote->path;
	struct io_stat st;

	if (!io_dir_open(session->io, path, false, &session->dir, err)) {
		if (err->kind == ERROR_GONE) {
			error_set(err, ERROR_UNREACHABLE,
				"there is no directory %s: attach its disk, or make it (mkdir -p) for a new tree of "
				"Maildirs",
				path);
		}
		return false;
	}
	if (!io_stat(session->dir, "", &st, err)) {
		return false;
	}
	session->top = st.inode;
	return true;
}

bool
maildir_tree_open(struct maildir_session *session, struct error *err)
{
	if (!open_top(session, err)) {
		return false;
	}
	if (!io_lock_file_open(session->dir, MAILDIR_LOCK_FILE, &session->locks, err)) {
		return error_wrap(err, "nothing can be kept beside the mail");
	}
	return settle_style(session, err) && maildir_tree_look(session, err);
}

void
maildir_tree_close(struct maildir_session *session)
{
	io_lock_file_close(&session->locks);
	io_dir_close(&session->dir);
}

bool
maildir_tree_check(struct maildir_session *session, struct error *err)
{
	SCOPED(io_dir_close) struct io_dir *now = NULL;
	struct error why = ERROR_INIT;
	struct io_stat st;

	if (session->dead) {
		return error_set(err, ERROR_RETRY, "the tree of Maildirs was lost");
	}
	if (!io_dir_open(session->io, session->remote->path, false, &now, &why) || !io_stat(now, "", &st, &why) ||
		st.inode != session->top) {
		session->dead = true;
		return error_set(err, ERROR_RETRY, "%s is not the directory it was", session->remote->path);
	}
	return true;
}

bool
maildir_tree_lock(struct maildir_session *session, struct error *err)
{
	return io_lock(session->locks, TREE_OCTET, IO_LOCK_EXCLUSIVE, MAILDIR_LOCK_WAIT_MS, session->cancel, err) ||
	       error_wrap(err, "%s", session->remote->path);
}

void
maildir_tree_unlock(struct maildir_session *session)
{
	io_unlock(session->locks, TREE_OCTET);
}

/* --- walking --- */

struct walk {
	struct maildir_session *session;
	bool (*each)(void *context, const char *path, struct slice raw, bool is_mailbox, struct error *err);
	void *context;
	size_t count;
};

static bool
tell(struct walk *walk, const char *path, bool is_mailbox, struct error *err)
{
	SCOPED(buf_finish) struct buf raw = BUF_INIT;

	if (!maildir_names_raw(&walk->session->layout, slice_of(path), &raw)) {
		if (is_mailbox) {
			buf_clear(&raw);
			safe_text_line(slice_of(path), 200, &raw);
			log_warn("maildir", "path=%s event=left-out: no mailbox can have the name of `%s`",
				walk->session->remote->path, raw.data);
		}
		return true;
	}
	if (walk->count++ == MAILDIR_TREE_MAILBOXES_MAX) {
		return error_set(err, ERROR_CONFIG, "%s has more than %d mailboxes", walk->session->remote->path,
			MAILDIR_TREE_MAILBOXES_MAX);
	}
	return walk->each(walk->context, path, buf_slice(&raw), is_mailbox, err);
}

static bool
walk_plus(struct walk *walk, struct error *err)
{
	SCOPED(maildir_dir_finish) struct maildir_dir names = MAILDIR_DIR_INIT;
	const char *name;
	bool found;

	if (!maildir_dir_read(&names, walk->session->dir, "", err) ||
		!maildir_tree_is_mailbox(walk->session, "", &found, err) || (found && !tell(walk, "", true, err))) {
		return false;
	}
	for (size_t at = 0; (name = maildir_dir_next(&names, &at)) != NULL;) {
		if (name[0] == '.' && (!maildir_tree_is_mailbox(walk->session, name, &found, err) ||
					      (found && !tell(walk, name, true, err)))) {
			return false;
		}
	}
	return true;
}

/* What was found beneath a directory: it is told of only when there is a Maildir in it. */
struct found {
	char **paths;
	bool *are_mailboxes;
	size_t count, capacity;
};

static void
found_finish(struct found *found)
{
	for (size_t i = 0; i < found->count; i++) {
		free(found->paths[i]);
	}
	free(found->paths);
	free(found->are_mailboxes);
}

static void
found_add(struct found *found, const char *path, bool is_mailbox)
{
	if (found->count == found->capacity) {
		found->capacity = found->capacity * 2 + 16;
		found->paths = realloc(found->paths, found->capacity * sizeof(*found->paths));
		found->are_mailboxes = realloc(found->are_mailboxes, found->capacity * sizeof(bool));
		if (found->paths == NULL || found->are_mailboxes == NULL) {
			abort();
		}
	}
	found->are_mailboxes[found->count] = is_mailbox;
	found->paths[found->count++] = slice_dup(slice_of(path));
}

static bool
walk_nested(struct maildir_session *session, const char *path, unsigned depth, struct found *found, bool *out_any,
	struct error *err)
{
	SCOPED(maildir_dir_finish) struct maildir_dir names = MAILDIR_DIR_INIT;
	SCOPED(buf_finish) struct buf below = BUF_INIT;
	const char *name;

	if (!maildir_dir_read(&names, session->dir, path, err)) {
		if (err->kind != ERROR_REFUSED) {
			return false;
		}
		error_clear(err); /* it may not be read: it is none of ours */
		return true;
	}
	for (size_t at = 0; (name = maildir_dir_next(&names, &at)) != NULL;) {
		bool directory, mailbox, any;

		if (is_ours_beneath(name) ||
			(path[0] == '\0' && slice_equal_nocase(slice_of(name), SLICE_LITERAL("INBOX")) &&
				strcmp(name, session->layout.inbox) != 0)) {
			continue;
		}
		if (!is_directory(session, maildir_dir_join(&below, path, name), &directory, err)) {
			return false;
		}
		if (!directory) {
			continue;
		}
		if (depth == MAILDIR_TREE_DEPTH_MAX || found->count > 2 * MAILDIR_TREE_MAILBOXES_MAX) {
			return error_set(err, ERROR_CONFIG, "%s has more than %d levels, or %d mailboxes",
				session->remote->path, MAILDIR_TREE_DEPTH_MAX, MAILDIR_TREE_MAILBOXES_MAX);
		}
		size_t place = found->count;

		if (!maildir_tree_is_mailbox(session, below.data, &mailbox, err)) {
			return false;
		}
		found_add(found, below.data, mailbox);
		any = mailbox;
		if (!walk_nested(session, found->paths[place], depth + 1, found, &any, err)) {
			return false;
		}
		if (!any) {
			free(found->paths[--found->count]); /* nothing was found in it, so it is the last */
		}
		*out_any |= any;
	}
	return true;
}

bool
maildir_tree_walk(struct maildir_session *session,
	bool (*each)(void *context, const char *path, struct slice raw, bool is_mailbox, struct error *err),
	void *context, struct error *err)
{
	struct walk walk = {.session = session, .each = each, .context = context};
	SCOPED(found_finish) struct found found = {0};
	bool any = false;

	if (session->layout.style == MAILDIR_PLUS) {
		return walk_plus(&walk, err);
	}
	if (session->layout.top_is_inbox && !tell(&walk, "", true, err)) {
		return false;
	}
	if (!walk_nested(session, "", 0, &found, &any, err)) {
		return false;
	}
	for (size_t i = 0; i < found.count; i++) {
		if (!tell(&walk, found.paths[i], found.are_mailboxes[i], err)) {
			return false;
		}
	}
	return true;
}

/* --- subscriptions --- */

#define UNSUBSCRIBED SLICE_LITERAL("unsubscribed ")

static struct slice
take_line(struct slice *rest)
{
	struct slice line = slice_head(*rest, slice_find(*rest, '\n'));

	*rest = slice_skip(*rest, line.length < rest->length ? line.length + 1 : line.length);
	return line;
}

bool
maildir_tree_unsubscribed(struct maildir_session *session, struct buf *out, struct error *err)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	buf_append_octet(out, '\n');
	if (!load_settings(session, &text, err)) {
		return false;
	}
	for (struct slice rest = buf_slice(&text); rest.length > 0;) {
		struct slice line = take_line(&rest);

		if (slice_has_prefix(line, UNSUBSCRIBED)) {
			buf_append(out, slice_skip(line, UNSUBSCRIBED.length));
			buf_append_octet(out, '\n');
		}
	}
	return true;
}

/* Writes the settings anew, with or without the line. */
static bool
rewrite(struct maildir_session *session, struct slice raw, bool subscribed, struct error *err)
{
	SCOPED(buf_finish) struct buf old = BUF_INIT;
	SCOPED(buf_finish) struct buf new = BUF_INIT;
	bool listed = false;

	if (!load_settings(session, &old, err)) {
		return false;
	}
	for (struct slice rest = buf_slice(&old); rest.length > 0;) {
		struct slice line = take_line(&rest);

		if (slice_has_prefix(line, UNSUBSCRIBED) && slice_equal(slice_skip(line, UNSUBSCRIBED.length), raw)) {
			listed = true;
			continue;
		}
		buf_append(&new, line);
		buf_append_octet(&new, '\n');
	}
	if (listed == !subscribed) {
		return true; /* as it is */
	}
	if (!subscribed) {
		buf_append(&new, UNSUBSCRIBED);
		buf_append(&new, raw);
		buf_append_octet(&new, '\n');
	}
	return io_replace_file(session->dir, MAILDIR_TREE_FILE, buf_slice(&new), err);
}

bool
maildir_tree_subscribe(struct maildir_session *session, struct slice raw, bool subscribed, struct error *err)
{
	if (slice_find(raw, '\n') < raw.length) {
		return error_set(err, ERROR_INVALID, "no mailbox has a name of several lines");
	}
	if (!maildir_tree_lock(session, err)) {
		return false;
	}
	bool ok = rewrite(session, raw, subscribed, err);

	maildir_tree_unlock(session);
	return ok;
}
