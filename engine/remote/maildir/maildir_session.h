/* What the files of this kind of remote share. Not for others.
 *
 * A session has the tree's directory open, and keeps what it read of its mailboxes (maildir_box); nothing is shared between sessions but
 * the files, which change under locks: octets of `.mailfs-lock` in the tree's top, a mailbox's by the inode of its directory, 0 the tree's own.
 */
#ifndef MAILDIR_SESSION_H
#define MAILDIR_SESSION_H

#include "engine/remote/maildir/maildir_names.h"
#include "engine/remote/remote.h"

#define MAILDIR_INDEX_FILE    ".mailfs-uids"
#define MAILDIR_LOCK_FILE     ".mailfs-lock"
#define MAILDIR_TREE_FILE     ".mailfs-tree"
#define MAILDIR_KEYWORDS_FILE "dovecot-keywords"
#define MAILDIR_LOCK_WAIT_MS  30000
#define MAILDIR_PATH_MAX      4096

struct maildir_box;

struct maildir_remote {
	struct remote head;
	struct io *io;
	struct io_dir *spool_dir;
	char *path; /* of the tree's top */
};

struct maildir_session {
	struct remote_session head;
	struct maildir_remote *remote;
	struct io *io;
	struct cancel *cancel;
	struct io_dir *dir;
	uint64_t top; /* inode of the tree's top */
	struct io_lock_file *locks;
	struct maildir_layout layout;
	struct maildir_box **boxes;
	size_t box_count;
	uint64_t clock; /* rises with each use of a box */
	struct remote_capabilities told;
	struct io_watch *watch; /* or NULL */
	bool polls;             /* inotify's limits do not let us watch */
	uint64_t times;         /* of the last look without it */
	bool dead;
	uint64_t octets_in, octets_out, turns;
};

static inline struct maildir_session *
maildir_session(struct remote_session *session)
{
	return (struct maildir_session *)session;
}

#endif
