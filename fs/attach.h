/* Putting a FUSE mount on a directory and taking it away: mount(2) where we are root, fusermount3 where we are not. */
#ifndef FS_ATTACH_H
#define FS_ATTACH_H

#include "engine/base/error.h"
#include "fs/mount.h"

/* Takes away a dead mount at `dir`, and makes sure that it is an empty directory. */
bool attach_prepare(const char *dir, struct error *err) MUST_CHECK;
/* Mounts `dir`, as root with mount(2), else by fusermount3, and gives the open /dev/fuse. The mount is the user's for whom it is made (setuid=). */
bool attach_mount(const char *dir, const char *source, const struct mount_options *options, int *out_fd,
	struct error *err) MUST_CHECK;
/* Opens the file that aborts the connection behind a mount of ours when "1" is written to it, without asking the mount anything: it never means another
 * connection, whatever is mounted there later. -1 where we are not root and the file system fusectl is not mounted. */
int attach_abort_open(const char *dir);
/* Unmounts at once, and whoever still waits for an answer gets an error, if there is an `abort_fd`. */
bool attach_force(const char *dir, int abort_fd, struct error *err) MUST_CHECK;
/* Unmounts; `lazy`: at once, whoever works in it. */
bool attach_unmount(const char *dir, bool lazy, struct error *err) MUST_CHECK;

#endif
