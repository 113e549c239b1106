/* A mount: the kernel's requests, answered from the engine's views (design 5).
 *
 * The life of one, in the order main goes through it: mount_attach (mount(2), one thread, maybe still root), giving up rights, mount_open,
 * engine_start, mount_start, mount_run until somebody unmounts it or a signal comes, mount_close, engine_stop. Who has no rights to give up
 * leaves mount_attach out.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/engine.h"

enum mount_view { MOUNT_VIEW_MAIL, MOUNT_VIEW_MAILDIR };

struct mount_options {
	bool read_only;
	enum mount_view view; /* which view is the root */
	bool directories;     /* every account is a directory, also where there is one */
	bool xattrs;          /* LISTXATTR lists the two writable attributes */
	bool allow_other;     /* brings default_permissions */
	bool has_uid, has_gid, has_umask;
	uid_t uid; /* the owner shown; without has_uid whoever runs mount_start */
	gid_t gid;
	mode_t umask;  /* taken from 0777 and 0666; without has_umask 077 */
	bool has_user; /* setuid=USER: the kernel is told that the mount is that user's */
	uid_t user_uid;
	gid_t user_gid;
	const char *const *fuse_words; /* options handed on, as "noatime" or "max_read=65536" */
	size_t fuse_word_count;
	bool has_device;         /* mount_attach has mounted it */
	int device_fd, abort_fd; /* attach_abort_open */
};

struct mount;

/* Mounts `dir`, which must be an empty directory; a dead mount there is taken away first. `account_or_null` is its source. Who so much as looks into it waits
 * until mount_run. Sets the device in `options`, for mount_open. ERROR_CONFIG for an option that nobody knows, ERROR_REFUSED (ENOTEMPTY, EACCES…),
 * ERROR_SYSTEM. */
bool mount_attach(const char *dir, const char *account_or_null, struct mount_options *options, struct error *err)
	MUST_CHECK;
/* Takes away what mount_attach mounted, where mount_open was not reached. */
void mount_let_go(const char *dir, struct mount_options *options);
/* All accounts only pull: the kernel is to be told that nothing can be written. */
bool mount_only_pulls(const struct engine *engine);
/* Makes the mount, and mounts `dir` unless that was done; starts its guard (guard.h), so this comes after the last fork and the last change of rights, and
 * before threads. The engine need not be started. What was attached is let go of in any case. Errors as
 * mount_attach has. */
bool mount_open(struct engine *engine, const char *dir, const struct mount_options *options, struct mount **out,
	struct error *err) MUST_CHECK;
/* Once the engine is started: settles what a crash left of writes, starts the mount's threads. */
bool mount_start(struct mount *mount, struct error *err) MUST_CHECK;
/* Answers requests until the mount is unmounted, by anybody or by SIGTERM, SIGINT or SIGHUP. */
bool mount_run(struct mount *mount, struct error *err) MUST_CHECK;
/* Unmounts if need be, ends the threads and hands over what was written. NULL is fine. */
void mount_close(struct mount **mount);
/* Unmounts `dir`, whosever mount it is, without waiting for open files when `lazy`. ERROR_INVALID where nothing is mounted. */
bool mount_detach(const char *dir, bool lazy, struct error *err) MUST_CHECK;

#endif
