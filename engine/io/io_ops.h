/* The table of effects: everything that touches the world outside the process has one entry here, and nothing in engine/io goes past it.
 *
 * io_posix.c fills it with system calls. A test brings its own table around the real one (tests/unit/io_test_ops), to count effects, to make the
 * n-th fail, or to end the process there. Entries give what their system call gives, with -errno where it would set errno, and do no more than one
 * thing; loops over short counts, EINTR, sentences and cleaning up are the work of those who call.
 *
 * For engine/io and for tests that bring a table; the code above includes io.h alone.
 */
#ifndef IO_IO_OPS_H
#define IO_IO_OPS_H

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "engine/io/io.h"

struct io_address {
	struct sockaddr_storage storage;
	socklen_t length;
};

/* A command that was started. */
struct io_process {
	pid_t pid;
	int pid_fd;     /* readable when it ended; -1 where the kernel has no such thing */
	bool own_group; /* it leads a process group, so that all it started can be ended with it */
};

struct io_ops {
	/* Frees the io itself. */
	void (*destroy)(struct io *io);

	/* clock and randomness: cannot fail */
	int64_t (*now_ms)(struct io *io);
	int64_t (*wall_ns)(struct io *io);
	void (*sleep_ms)(struct io *io, int64_t duration_ms);
	void (*random)(struct io *io, void *out, size_t size);

	/* directories and files; descriptors are close-on-exec */
	int (*open_path)(struct io *io, const char *path, int flags); /* as the user wrote it, symbolic links and all */
	int (*make_path)(struct io *io, const char *path, mode_t mode);
	int (*open_beneath)(struct io *io, int dir_fd, const char *name, int flags,
		mode_t mode); /* EXDEV or ELOOP: it would leave */
	int (*mkdir)(struct io *io, int dir_fd, const char *leaf, mode_t mode);
	int (*rename)(struct io *io, int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
	int (*unlink)(struct io *io, int dir_fd, const char *leaf, int flags);
	int (*stat)(struct io *io, int fd, struct stat *out);
	int (*set_times)(struct io *io, int fd, int64_t mtime_ns);
	ssize_t (*pread)(struct io *io, int fd, void *out, size_t size, uint64_t offset);
	ssize_t (*pwrite)(struct io *io, int fd, const void *data, size_t size, uint64_t offset);
	int (*truncate)(struct io *io, int fd, uint64_t size);
	int (*fsync)(struct io *io, int fd);
	ssize_t (*list)(struct io *io, int fd, void *out, size_t size);   /* getdents64 */
	int (*map)(struct io *io, int fd, size_t size, const void **out); /* read-only */
	void (*unmap)(struct io *io, const void *data, size_t size);
	void (*close)(struct io *io, int fd);
	/* 1 and a name where locks and memory maps are not shared with every other writer (NFS and the like), else 0. */
	int (*is_remote)(struct io *io, int fd, const char **out_name);
	/* F_OFD_SETLK of one octet; type is F_RDLCK, F_WRLCK or F_UNLCK. EAGAIN: somebody holds it. */
	int (*lock)(struct io *io, int fd, short type, uint64_t octet);

	/* watching */
	int (*watch)(struct io *io, int file_fd, uint32_t mask); /* a new inotify descriptor for what file_fd names */
	int (*watch_more)(
		struct io *io, int watch_fd, int file_fd, uint32_t mask); /* the same descriptor for one more */

	/* commands: stdin_fd -1 is /dev/null; stderr is ours */
	int (*spawn)(struct io *io, const char *command, int stdin_fd, int stdout_fd, struct io_process *out);
	int (*reap)(struct io *io, struct io_process *process, int *out_status); /* 1 ended and gone, 0 still running */
	int (*kill)(struct io *io, const struct io_process *process, int signal);

	/* sockets and pipes: non-blocking, never SIGPIPE */
	int (*resolve)(struct io *io, const char *host, uint16_t port, int64_t timeout_ms, int cancel_fd,
		struct io_address *out, size_t max,
		const char **out_why); /* how many; ECANCELED, ETIMEDOUT, ENOENT (the reason is in *out_why) */
	int (*socket)(struct io *io, int family);
	int (*socket_pair)(struct io *io, int out[2]);
	int (*pipe)(struct io *io, int out[2]); /* only the reading end, out[0], is non-blocking */
	int (*set_option)(struct io *io, int fd, int level, int option, int value);
	int (*connect)(struct io *io, int fd, const struct io_address *address); /* EINPROGRESS */
	int (*connected)(struct io *io, int fd);                                 /* how connect ended */
	ssize_t (*send)(struct io *io, int fd, const void *data, size_t size);
	ssize_t (*recv)(struct io *io, int fd, void *out, size_t size);
	ssize_t (*read)(struct io *io, int fd, void *out, size_t size); /* from a pipe or an inotify descriptor */
	int (*poll)(struct io *io, struct pollfd *fds, size_t count, int64_t timeout_ms);
};

/* The beginning of every kind of io. */
struct io {
	const struct io_ops *ops;
};

/* The real io as on a kernel without openat2. */
struct io *io_posix_create_without_openat2(void);

/* Zeroed memory; aborts when there is none. */
static inline void *
io_alloc(size_t size)
{
	void *memory = calloc(1, size);

	if (memory == NULL) {
		abort();
	}
	return memory;
}

/* The moment `timeout_ms` from now on the monotonic clock; -1 stays -1, for ever. */
int64_t io_deadline_ms(struct io *io, int64_t timeout_ms);
/* What is left until then: 0 when it is over, -1 for ever. */
int64_t io_left_ms(struct io *io, int64_t deadline_ms);

/* Waits until one of `fds` is ready, the deadline, or the cancel (may be NULL). */
enum io_wake { IO_WAKE_READY, IO_WAKE_TIMEOUT, IO_WAKE_CANCELLED };
#define IO_WAIT_FDS_MAX 24
enum io_wake io_wait(struct io *io, struct pollfd *fds, size_t count, int64_t deadline_ms, struct cancel *cancel);

bool io_fail_cancelled(struct error *err); /* ERROR_CANCELLED, its sentence, false */

#endif
