#include "tests/unit/io_test_ops.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "engine/io/io_ops.h"

static const char *const effect_names[] = {
	[IO_EFFECT_OPEN] = "open",
	[IO_EFFECT_MKDIR] = "mkdir",
	[IO_EFFECT_RENAME] = "rename",
	[IO_EFFECT_UNLINK] = "unlink",
	[IO_EFFECT_STAT] = "stat",
	[IO_EFFECT_SET_TIMES] = "set_times",
	[IO_EFFECT_PREAD] = "pread",
	[IO_EFFECT_PWRITE] = "pwrite",
	[IO_EFFECT_TRUNCATE] = "truncate",
	[IO_EFFECT_FSYNC] = "fsync",
	[IO_EFFECT_LIST] = "list",
	[IO_EFFECT_MAP] = "map",
	[IO_EFFECT_LOCK] = "lock",
	[IO_EFFECT_WATCH] = "watch",
	[IO_EFFECT_SPAWN] = "spawn",
	[IO_EFFECT_KILL] = "kill",
	[IO_EFFECT_RESOLVE] = "resolve",
	[IO_EFFECT_SOCKET] = "socket",
	[IO_EFFECT_PIPE] = "pipe",
	[IO_EFFECT_SET_OPTION] = "set_option",
	[IO_EFFECT_CONNECT] = "connect",
	[IO_EFFECT_SEND] = "send",
	[IO_EFFECT_RECV] = "recv",
	[IO_EFFECT_READ] = "read",
};
_Static_assert(ARRAY_LENGTH(effect_names) == IO_EFFECT_COUNT, "every effect has a name");

struct io_test {
	struct io base;
	struct io *real;
	pthread_mutex_t lock; /* over all below */
	uint64_t mask;
	unsigned count, nth; /* nth 0: nothing is to happen */
	int sys_errno;       /* 0: the process ends */
	int exit_status;
	bool for_ever, tear;
	int fired; /* the effect, or -1 */
	const char *remote;
	int64_t uid;
};

static struct io_test *
test_of(struct io *io)
{
	return (struct io_test *)io;
}

/* Counts an effect; gives the errno with which it is to fail, or 0. */
static int
step(struct io *io, enum io_effect effect, bool *out_tear)
{
	struct io_test *test = test_of(io);
	int code = 0;

	(void)pthread_mutex_lock(&test->lock);
	if ((test->mask & IO_EFFECT_BIT(effect)) != 0) {
		test->count++;
		if (test->nth != 0 && (test->count == test->nth || (test->for_ever && test->count > test->nth))) {
			if (test->sys_errno == 0) {
				_exit(test->exit_status);
			}
			code = test->sys_errno;
			test->fired = (int)effect;
			*out_tear = test->tear;
		}
	}
	(void)pthread_mutex_unlock(&test->lock);
	return code;
}

#define STEP(effect)                                    \
	do {                                            \
		bool tear_ = false;                     \
		int code_ = step(io, (effect), &tear_); \
		if (code_ != 0) {                       \
			return -code_;                  \
		}                                       \
	} while (0)

#define REAL(entry, ...) test_of(io)->real->ops->entry(test_of(io)->real, ##__VA_ARGS__)

static void
test_destroy(struct io *io)
{
	(void)pthread_mutex_destroy(&test_of(io)->lock);
	free(io);
}

static int64_t
test_now_ms(struct io *io)
{
	return REAL(now_ms);
}

static int64_t
test_wall_ns(struct io *io)
{
	return REAL(wall_ns);
}

static void
test_sleep_ms(struct io *io, int64_t duration_ms)
{
	REAL(sleep_ms, duration_ms);
}

static void
test_random(struct io *io, void *out, size_t size)
{
	REAL(random, out, size);
}

static int
test_open_path(struct io *io, const char *path, int flags)
{
	STEP(IO_EFFECT_OPEN);
	return REAL(open_path, path, flags);
}

static int
test_make_path(struct io *io, const char *path, mode_t mode)
{
	STEP(IO_EFFECT_MKDIR);
	return REAL(make_path, path, mode);
}

static int
test_open_beneath(struct io *io, int dir_fd, const char *name, int flags, mode_t mode)
{
	STEP(IO_EFFECT_OPEN);
	return REAL(open_beneath, dir_fd, name, flags, mode);
}

static int
test_mkdir(struct io *io, int dir_fd, const char *leaf, mode_t mode)
{
	STEP(IO_EFFECT_MKDIR);
	return REAL(mkdir, dir_fd, leaf, mode);
}

static int
test_rename(struct io *io, int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	STEP(IO_EFFECT_RENAME);
	return REAL(rename, from_fd, from, to_fd, to, flags);
}

static int
test_unlink(struct io *io, int dir_fd, const char *leaf, int flags)
{
	STEP(IO_EFFECT_UNLINK);
	return REAL(unlink, dir_fd, leaf, flags);
}

static int
test_stat(struct io *io, int fd, struct stat *out)
{
	STEP(IO_EFFECT_STAT);
	int code = REAL(stat, fd, out);

	if (code == 0 && test_of(io)->uid >= 0) {
		out->st_uid = (uid_t)test_of(io)->uid;
	}
	return code;
}

static int
test_set_times(struct io *io, int fd, int64_t mtime_ns)
{
	STEP(IO_EFFECT_SET_TIMES);
	return REAL(set_times, fd, mtime_ns);
}

static ssize_t
test_pread(struct io *io, int fd, void *out, size_t size, uint64_t offset)
{
	STEP(IO_EFFECT_PREAD);
	return REAL(pread, fd, out, size, offset);
}

static ssize_t
test_pwrite(struct io *io, int fd, const void *data, size_t size, uint64_t offset)
{
	bool tear = false;
	int code = step(io, IO_EFFECT_PWRITE, &tear);

	if (code != 0 && tear && size > 1) {
		(void)REAL(pwrite, fd, data, size / 2, offset);
	}
	return code != 0 ? -code : REAL(pwrite, fd, data, size, offset);
}

static int
test_truncate(struct io *io, int fd, uint64_t size)
{
	STEP(IO_EFFECT_TRUNCATE);
	return REAL(truncate, fd, size);
}

static int
test_fsync(struct io *io, int fd)
{
	STEP(IO_EFFECT_FSYNC);
	return REAL(fsync, fd);
}

static ssize_t
test_list(struct io *io, int fd, void *out, size_t size)
{
	STEP(IO_EFFECT_LIST);
	return REAL(list, fd, out, size);
}

static int
test_map(struct io *io, int fd, size_t size, const void **out)
{
	STEP(IO_EFFECT_MAP);
	return REAL(map, fd, size, out);
}

static void
test_unmap(struct io *io, const void *data, size_t size)
{
	REAL(unmap, data, size);
}

static void
test_close(struct io *io, int fd)
{
	REAL(close, fd);
}

static int
test_is_remote(struct io *io, int fd, const char **out_name)
{
	if (test_of(io)->remote != NULL) {
		*out_name = test_of(io)->remote;
		return 1;
	}
	return REAL(is_remote, fd, out_name);
}

static int
test_lock(struct io *io, int fd, short type, uint64_t octet)
{
	if (type != F_UNLCK) {
		STEP(IO_EFFECT_LOCK);
	}
	return REAL(lock, fd, type, octet);
}

static int
test_watch(struct io *io, int file_fd, uint32_t mask)
{
	STEP(IO_EFFECT_WATCH);
	return REAL(watch, file_fd, mask);
}

static int
test_watch_more(struct io *io, int watch_fd, int file_fd, uint32_t mask)
{
	STEP(IO_EFFECT_WATCH);
	return REAL(watch_more, watch_fd, file_fd, mask);
}

static int
test_spawn(struct io *io, const char *command, int stdin_fd, int stdout_fd, struct io_process *out)
{
	STEP(IO_EFFECT_SPAWN);
	return REAL(spawn, command, stdin_fd, stdout_fd, out);
}

static int
test_reap(struct io *io, struct io_process *process, int *out_status)
{
	return REAL(reap, process, out_status);
}

static int
test_kill(struct io *io, const struct io_process *process, int signal)
{
	STEP(IO_EFFECT_KILL);
	return REAL(kill, process, signal);
}

static int
test_resolve(struct io *io, const char *host, uint16_t port, int64_t timeout_ms, int cancel_descriptor,
	struct io_address *out, size_t max, const char **out_why)
{
	STEP(IO_EFFECT_RESOLVE);
	return REAL(resolve, host, port, timeout_ms, cancel_descriptor, out, max, out_why);
}

static int
test_socket(struct io *io, int family)
{
	STEP(IO_EFFECT_SOCKET);
	return REAL(socket, family);
}

static int
test_socket_pair(struct io *io, int out[2])
{
	STEP(IO_EFFECT_SOCKET);
	return REAL(socket_pair, out);
}

static int
test_pipe(struct io *io, int out[2])
{
	STEP(IO_EFFECT_PIPE);
	return REAL(pipe, out);
}

static int
test_set_option(struct io *io, int fd, int level, int option, int value)
{
	STEP(IO_EFFECT_SET_OPTION);
	return REAL(set_option, fd, level, option, value);
}

static int
test_connect(struct io *io, int fd, const struct io_address *address)
{
	STEP(IO_EFFECT_CONNECT);
	return REAL(connect, fd, address);
}

static int
test_connected(struct io *io, int fd)
{
	STEP(IO_EFFECT_CONNECT);
	return REAL(connected, fd);
}

static ssize_t
test_send(struct io *io, int fd, const void *data, size_t size)
{
	bool tear = false;
	int code = step(io, IO_EFFECT_SEND, &tear);

	if (code != 0 && tear && size > 1) {
		(void)REAL(send, fd, data, size / 2);
	}
	return code != 0 ? -code : REAL(send, fd, data, size);
}

static ssize_t
test_recv(struct io *io, int fd, void *out, size_t size)
{
	STEP(IO_EFFECT_RECV);
	return REAL(recv, fd, out, size);
}

static ssize_t
test_read(struct io *io, int fd, void *out, size_t size)
{
	STEP(IO_EFFECT_READ);
	return REAL(read, fd, out, size);
}

static int
test_poll(struct io *io, struct pollfd *fds, size_t count, int64_t timeout_ms)
{
	return REAL(poll, fds, count, timeout_ms);
}

static const struct io_ops test_ops = {
	.destroy = test_destroy,
	.now_ms = test_now_ms,
	.wall_ns = test_wall_ns,
	.sleep_ms = test_sleep_ms,
	.random = test_random,
	.open_path = test_open_path,
	.make_path = test_make_path,
	.open_beneath = test_open_beneath,
	.mkdir = test_mkdir,
	.rename = test_rename,
	.unlink = test_unlink,
	.stat = test_stat,
	.set_times = test_set_times,
	.pread = test_pread,
	.pwrite = test_pwrite,
	.truncate = test_truncate,
	.fsync = test_fsync,
	.list = test_list,
	.map = test_map,
	.unmap = test_unmap,
	.close = test_close,
	.is_remote = test_is_remote,
	.lock = test_lock,
	.watch = test_watch,
	.watch_more = test_watch_more,
	.spawn = test_spawn,
	.reap = test_reap,
	.kill = test_kill,
	.resolve = test_resolve,
	.socket = test_socket,
	.socket_pair = test_socket_pair,
	.pipe = test_pipe,
	.set_option = test_set_option,
	.connect = test_connect,
	.connected = test_connected,
	.send = test_send,
	.recv = test_recv,
	.read = test_read,
	.poll = test_poll,
};

struct io *
io_test_create(struct io *real)
{
	struct io_test *test = io_alloc(sizeof(*test));

	*test = (struct io_test){.base.ops = &test_ops, .real = real, .mask = IO_EFFECT_ALL, .fired = -1, .uid = -1};
	(void)pthread_mutex_init(&test->lock, NULL);
	return &test->base;
}

static void
arm(struct io *io, unsigned nth, int sys_errno, int exit_status, bool for_ever, bool tear)
{
	struct io_test *test = test_of(io);

	(void)pthread_mutex_lock(&test->lock);
	test->nth = nth;
	test->sys_errno = sys_errno;
	test->exit_status = exit_status;
	test->for_ever = for_ever;
	test->tear = tear;
	test->fired = -1;
	(void)pthread_mutex_unlock(&test->lock);
}

void
io_test_reset(struct io *io, uint64_t mask)
{
	struct io_test *test = test_of(io);

	arm(io, 0, 0, 0, false, false);
	(void)pthread_mutex_lock(&test->lock);
	test->mask = mask;
	test->count = 0;
	(void)pthread_mutex_unlock(&test->lock);
}

unsigned
io_test_count(struct io *io)
{
	struct io_test *test = test_of(io);

	(void)pthread_mutex_lock(&test->lock);
	unsigned count = test->count;

	(void)pthread_mutex_unlock(&test->lock);
	return count;
}

void
io_test_fail(struct io *io, unsigned nth, int sys_errno, bool for_ever)
{
	assert(nth > 0 && sys_errno > 0);
	arm(io, nth, sys_errno, 0, for_ever, false);
}

void
io_test_tear(struct io *io, unsigned nth, int sys_errno)
{
	assert(nth > 0 && sys_errno > 0);
	arm(io, nth, sys_errno, 0, false, true);
}

void
io_test_exit(struct io *io, unsigned nth, int status)
{
	assert(nth > 0);
	arm(io, nth, 0, status, false, false);
}

bool
io_test_fired(struct io *io)
{
	struct io_test *test = test_of(io);

	(void)pthread_mutex_lock(&test->lock);
	bool fired = test->fired >= 0;

	(void)pthread_mutex_unlock(&test->lock);
	return fired;
}

const char *
io_test_fired_name(struct io *io)
{
	return io_test_fired(io) ? effect_names[test_of(io)->fired] : "none";
}

void
io_test_pretend(struct io *io, const char *remote_file_system, int64_t uid)
{
	test_of(io)->remote = remote_file_system;
	test_of(io)->uid = uid;
}
