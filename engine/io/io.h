/* Everything with an effect outside the process and its database: clock, randomness, files, locks, commands, sockets.
 *
 * The code above calls the functions here; they go through `struct io_ops`, so that a test can count effects, make the n-th fail, or end
 * the process there (tests/unit/io_test_ops). io_posix is the real one. All paths of a store are relative to a directory handle and never leave it
 * (openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS): P23.
 *
 * Thread-safe unless a comment says otherwise. Blocking calls take a `struct cancel`, which ends them with ERROR_CANCELLED.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/scope.h"
#include "engine/base/slice.h"

struct io;

/* The real world. One per process is enough. */
struct io *io_posix_create(void);
void io_destroy(struct io **io);

/* --- clock and randomness --- */
int64_t io_now_ms(struct io *io); /* monotonic */
int64_t io_wall_s(struct io *io); /* seconds since 1970; decides nothing about messages (P19) */
int64_t io_wall_ns(struct io *io);
void io_sleep_ms(struct io *io, int64_t duration_ms);
void io_random(struct io *io, void *out, size_t size); /* from the kernel */

/* --- cancel: one thread ends another's waiting --- */
struct cancel; /* an eventfd */
struct cancel *cancel_create(void);
void cancel_destroy(struct cancel **cancel);
void cancel_raise(struct cancel *cancel); /* until cleared every wait ends at once */
void cancel_clear(struct cancel *cancel);
bool cancel_raised(const struct cancel *cancel);
int cancel_fd(const struct cancel *cancel); /* readable while raised */

/* --- directories and files --- */
struct io_dir; /* an open directory; names given with it are relative, of one or more components */
/* Opens, making missing levels (mode 0700) when `create`. Fails with ERROR_CONFIG when it is not a directory of our uid, or on a file
 * system that cannot be trusted with locks (NFS and the like). */
bool io_dir_open(struct io *io, const char *path, bool create, struct io_dir **out, struct error *err) MUST_CHECK;
void io_dir_close(struct io_dir **dir);
const char *io_dir_path(const struct io_dir *dir);
struct io *io_dir_io(const struct io_dir *dir);
bool io_mkdir(struct io_dir *dir, const char *name, struct error *err) MUST_CHECK; /* true if it is there already */
bool io_rmdir(struct io_dir *dir, const char *name, struct error *err) MUST_CHECK; /* true if it is not there */
/* Opens a file and gives its descriptor, O_CLOEXEC; flags as open(2), mode 0600. */
bool io_open(struct io_dir *dir, const char *name, int flags, int *out_fd, struct error *err) MUST_CHECK;
void io_close(struct io *io, int *fd); /* leaves -1 behind; nothing if it is that already */
struct io_stat {
	bool is_file, is_directory; /* neither: a symbolic link or something stranger */
	uint64_t inode, size_bytes;
	int64_t mtime_ns, ctime_ns;
};
bool io_stat(struct io_dir *dir, const char *name, struct io_stat *out, struct error *err) MUST_CHECK; /* ERROR_GONE */
bool io_file_size(struct io *io, int fd, uint64_t *out, struct error *err) MUST_CHECK;
bool io_set_mtime(struct io *io, int fd, int64_t mtime_ns, struct error *err) MUST_CHECK;
bool io_pwrite(struct io *io, int fd, struct slice data, uint64_t offset, struct error *err) MUST_CHECK; /* all of it */
bool io_pread(struct io *io, int fd, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
	MUST_CHECK;
bool io_ftruncate(struct io *io, int fd, uint64_t size, struct error *err) MUST_CHECK;
bool io_fsync(struct io *io, int fd, struct error *err) MUST_CHECK;
bool io_dir_fsync(struct io_dir *dir, const char *name_of_subdirectory_or_null, struct error *err) MUST_CHECK;
bool io_rename(struct io_dir *dir, const char *from, const char *to, struct error *err) MUST_CHECK;
bool io_rename_new(struct io_dir *dir, const char *from, const char *to, struct error *err)
	MUST_CHECK;                                                                 /* ERROR_EXISTS, nothing replaced */
bool io_unlink(struct io_dir *dir, const char *name, struct error *err) MUST_CHECK; /* true if it is not there */
/* Replaces a small file as a whole, durably: temporary, fsync, rename, fsync of the directory. */
bool io_replace_file(struct io_dir *dir, const char *name, struct slice content, struct error *err) MUST_CHECK;
/* Reads a whole file of at most `max` octets; ERROR_GONE if it is not there. */
bool io_read_file(struct io_dir *dir, const char *name, size_t max, struct buf *out, struct error *err) MUST_CHECK;
/* Calls back for every name in a subdirectory ("" for itself) except . and .. until the callback gives false. */
bool io_list(struct io_dir *dir, const char *name, bool (*each)(void *context, const char *name), void *context,
	struct error *err) MUST_CHECK;

/* --- kernel locks (open file description locks; S7, S8, S9, R1). A lock ends with its holder, also by kill -9. --- */
struct io_lock_file; /* an open lock file; each handle is a holder of its own */
bool io_lock_file_open(struct io_dir *dir, const char *name, struct io_lock_file **out, struct error *err) MUST_CHECK;
void io_lock_file_close(struct io_lock_file **file); /* gives back all it holds */
enum io_lock_mode { IO_LOCK_SHARED, IO_LOCK_EXCLUSIVE };
/* Takes the lock of one octet. timeout_ms 0 tries once, -1 waits for ever (until cancelled; cancel may be NULL).
 * ERROR_RETRY when it was not to be had in time. */
bool io_lock(struct io_lock_file *file, uint64_t octet, enum io_lock_mode mode, int64_t timeout_ms,
	struct cancel *cancel, struct error *err) MUST_CHECK;
void io_unlock(struct io_lock_file *file, uint64_t octet);

/* --- commands --- */
/* Runs `sh -c command`, its stderr to ours, and gives the first line of its stdout without the line end; at most `max` octets, `timeout_ms`
 * long. For passwords: the memory it used is wiped. ERROR_CREDENTIALS with the reason otherwise. */
bool io_run_line(struct io *io, const char *command, size_t max, int64_t timeout_ms, struct cancel *cancel,
	struct buf *out, struct error *err) MUST_CHECK;

/* --- watching one file for writes by other processes (S9 wake), or one directory for names that come and go --- */
struct io_watch;
bool io_watch_open(struct io_dir *dir, const char *name, struct io_watch **out, struct error *err) MUST_CHECK;
/* Watches one more file or directory with the same descriptor; one that it watches already stays as it is. */
bool io_watch_add(struct io_watch *watch, struct io_dir *dir, const char *name, struct error *err) MUST_CHECK;
void io_watch_close(struct io_watch **watch);
int io_watch_fd(const struct io_watch *watch); /* readable when something was written */
void io_watch_drain(struct io_watch *watch);
/* Waits for news, for `other_fd` (-1: none) to become readable, or until the time is over (-1: for ever); `watch` may be NULL. */
enum io_watch_wake { IO_WATCH_NEWS, IO_WATCH_OTHER, IO_WATCH_TIMEOUT };
bool io_watch_wait(struct io *io, const struct io_watch *watch, int other_fd, int64_t timeout_ms, struct cancel *cancel,
	enum io_watch_wake *out, struct error *err) MUST_CHECK; /* ERROR_CANCELLED */

#endif
