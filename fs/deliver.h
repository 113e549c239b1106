/* Delivery: a local file becomes a message, by a rename to a message's name, or because it rested and looks like one. */
#ifndef FS_DELIVER_H
#define FS_DELIVER_H

#include "fs/dir.h"

/* Makes a message named `name` in mailbox `dir` of the local file `local`, and makes it durable; one that is still open for writing becomes it at its
 * last close. ERROR_INVALID when its bytes can be no message: then the local file is as it was. `replaces`: the message under that
 * name, or 0. */
bool deliver_local(struct mount *mount, struct node local, struct node dir, struct slice name, struct number replaces,
	struct error *err) MUST_CHECK;
/* The same of a copy of its bytes, in cur or new of the Maildir view: the local file stays, and its inode is the message's from now on. */
bool deliver_copy(struct mount *mount, struct node local, struct node dir, struct slice name, struct error *err)
	MUST_CHECK;

#endif
