/* The maildir kind of remote: a tree of Maildirs on this machine, which other programs may work on at the same time (docs/adr/0005). */
#ifndef MAILDIR_REMOTE_H
#define MAILDIR_REMOTE_H

#include "engine/remote/remote.h"

/* Copies the path. The tree is opened by each session: it may be on a disk that is not there yet. */
bool maildir_remote_create(
	struct io *io, struct io_dir *spool_dir, const char *path, struct remote **out, struct error *err) MUST_CHECK;

#endif
