/* Which mount of ours a path lies in, as the kernel lists them (/proc/self/mountinfo).
 *
 * The type is fuse.mailfs; the source is the account's name, or "mailfs" where every account is a directory.
 */
#ifndef COMMAND_MOUNTED_H
#define COMMAND_MOUNTED_H

#include "engine/base/error.h"

#define MOUNTED_TYPE    "fuse.mailfs"
#define MOUNTED_SEVERAL "mailfs" /* the source of a mount of several accounts */

struct mounted {
	char *directory; /* where it is mounted */
	char *source;
	char *inside; /* the path within it, "" for its top */
};

/* Finds the mount that `path` lies in. ERROR_GONE when there is no such path, ERROR_INVALID when it lies in no mount of ours. */
bool mounted_find(const char *path, struct mounted *out, struct error *err) MUST_CHECK;
/* Finds the mount whose top is `directory`, also a dead one: nothing is asked of it. */
bool mounted_at(const char *directory, struct mounted *out, struct error *err) MUST_CHECK;
/* The absolute path of a directory, without a question to the directory itself, which may be a dead mount: that of its parent, and its name.
 * NULL with errno. To be freed. */
char *mounted_absolute(const char *directory);
void mounted_finish(struct mounted *mounted);

#endif
