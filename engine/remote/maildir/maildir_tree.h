/* The tree: where its Maildirs are, in which style it is kept, and what we keep of it in its top, in `.mailfs-tree`:
 *
 *   mailfs-tree 1 nested          or maildir++
 *   unsubscribed RAW-NAME         a line each
 */
#ifndef MAILDIR_TREE_H
#define MAILDIR_TREE_H

#include "engine/remote/maildir/maildir_session.h"

#define MAILDIR_TREE_MAILBOXES_MAX 20000
#define MAILDIR_TREE_DEPTH_MAX     64

/* Opens the tree for a session: its directory, its locks, its layout. ERROR_UNREACHABLE where there is none. */
bool maildir_tree_open(struct maildir_session *session, struct error *err) MUST_CHECK;
void maildir_tree_close(struct maildir_session *session);
/* Makes sure that the path still leads to the directory that is open; else the session is dead. */
bool maildir_tree_check(struct maildir_session *session, struct error *err) MUST_CHECK;
/* Looks again whether the top is a Maildir itself. */
bool maildir_tree_look(struct maildir_session *session, struct error *err) MUST_CHECK;

/* Tells whether a path beneath the top is a Maildir: it has a directory `cur`. */
bool maildir_tree_is_mailbox(struct maildir_session *session, const char *path, bool *out, struct error *err)
	MUST_CHECK;

/* Walks the tree: Maildirs, and directories above Maildirs (is_mailbox false), each above what is in it. Symbolic links are not followed. */
bool maildir_tree_walk(struct maildir_session *session,
	bool (*each)(void *context, const char *path, struct slice raw, bool is_mailbox, struct error *err),
	void *context, struct error *err) MUST_CHECK;

/* The raw names that somebody unsubscribed, a line each, appended to `out` with a line end in front of the first. */
bool maildir_tree_unsubscribed(struct maildir_session *session, struct buf *out, struct error *err) MUST_CHECK;
bool maildir_tree_subscribe(struct maildir_session *session, struct slice raw, bool subscribed, struct error *err)
	MUST_CHECK;

bool maildir_tree_lock(struct maildir_session *session, struct error *err) MUST_CHECK;
void maildir_tree_unlock(struct maildir_session *session);

#endif
