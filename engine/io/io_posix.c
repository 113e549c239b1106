/* The real io: one system call to an entry, or the few that stand in for one that the kernel lacks. */
#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/io/io_ops.h"
#include "engine/io/resolve.h"

#define OPEN_TRIES_MAX 32 /* openat2 answers EAGAIN when a rename elsewhere crossed it */

struct io_posix {
	struct io base;
	atomic_bool without_openat2;
};

static const struct io_ops posix_ops;

static struct io *
create(bool without_openat2)
{
	struct io_posix *posix = io_alloc(sizeof(*posix));

	posix->base.ops = &posix_ops;
	atomic_init(&posix->without_openat2, without_openat2);
	return &posix->base;
}

struct io *
io_posix_create(void)
{
	return create(false);
}

struct io *
io_posix_create_without_openat2(void)
{
	return create(true);
}

static void
posix_destroy(struct io *io)
{
	free(io);
}

/* What a system call answered, as entries give it. */
static int
result(long answer)
{
	return answer < 0 ? -errno : (int)answer;
}

static ssize_t
result_count(ssize_t answer)
{
	return answer < 0 ? -errno : answer;
}

/* --- clock and randomness --- */

static int64_t
posix_now_ms(struct io *io)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t
posix_wall_ns(struct io *io)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
posix_sleep_ms(struct io *io, int64_t duration_ms)
{
	struct timespec left = {.tv_sec = duration_ms / 1000, .tv_nsec = duration_ms % 1000 * 1000000};

	while (duration_ms > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
	}
}

static void
posix_random(struct io *io, void *out, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t count = getrandom((char *)out + done, size - done, 0);

		if (count < 0 && errno != EINTR) {
			abort(); /* ids and names must not be guessable; every kernel we run on has it */
		}
		done += count > 0 ? (size_t)count : 0;
	}
}

/* --- directories and files --- */

static int
posix_open_path(struct io *io, const char *path, int flags)
{
	return result(open(path, flags | O_CLOEXEC));
}

static int
posix_make_path(struct io *io, const char *path, mode_t mode)
{
	return result(mkdir(path, mode));
}

/* Opens one component, which is not a symbolic link. */
static int
open_step(int dir_fd, const char *component, int flags, mode_t mode)
{
	struct stat st;
	int fd = result(openat(dir_fd, component, flags | O_NOFOLLOW | O_CLOEXEC, mode));

	/* to O_DIRECTORY a symbolic link is only something that is no directory */
	if (fd == -ENOTDIR && fstatat(dir_fd, component, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)) {
		return -ELOOP;
	}
	return fd;
}

/* Opens by one step to a component, none of them a symbolic link or `..`. */
static int
open_by_steps(int dir_fd, const char *name, int flags, mode_t mode)
{
	char component[NAME_MAX + 1];
	int at = dir_fd, fd;

	if (name[0] == '/' || strlen(name) >= PATH_MAX) {
		return name[0] == '/' ? -EXDEV : -ENAMETOOLONG;
	}
	for (;;) {
		size_t length = strcspn(name, "/");
		const char *rest = name + length + strspn(name + length, "/");

		if (length > NAME_MAX) {
			fd = -ENAMETOOLONG;
			break;
		}
		memcpy(component, name, length);
		component[length] = '\0';
		if (length == 0 || strcmp(component, "..") == 0) {
			fd = length == 0 ? -ENOENT : -EXDEV;
			break;
		}
		bool last = *rest == '\0';

		fd = open_step(at, component, last ? flags : O_PATH | O_DIRECTORY, mode);
		if (last || fd < 0) {
			break;
		}
		if (at != dir_fd) {
			(void)close(at);
		}
		at = fd;
		name = rest;
	}
	if (at != dir_fd) {
		(void)close(at);
	}
	return fd;
}

static int
posix_open_beneath(struct io *io, int dir_fd, const char *name, int flags, mode_t mode)
{
	struct io_posix *posix = (struct io_posix *)io;
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) != 0 ? mode : 0, /* it must be 0 where nothing is made */
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	for (int tries = 0; !atomic_load(&posix->without_openat2) && tries < OPEN_TRIES_MAX; tries++) {
		int fd = result(syscall(SYS_openat2, dir_fd, name, &how, sizeof(how)));

		if (fd == -ENOSYS) {
			atomic_store(&posix->without_openat2, true);
		} else if (fd == -EPERM) {
			break; /* some sandboxes answer so for calls they do not know; if it is meant, the steps meet it again */
		} else if (fd != -EAGAIN) {
			return fd;
		}
	}
	return open_by_steps(dir_fd, name, flags, mode);
}

static int
posix_mkdir(struct io *io, int dir_fd, const char *leaf, mode_t mode)
{
	return result(mkdirat(dir_fd, leaf, mode));
}

static int
posix_rename(struct io *io, int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return result(renameat2(from_fd, from, to_fd, to, flags));
}

static int
posix_unlink(struct io *io, int dir_fd, const char *leaf, int flags)
{
	return result(unlinkat(dir_fd, leaf, flags));
}

static int
posix_stat(struct io *io, int fd, struct stat *out)
{
	return result(fstat(fd, out));
}

static int
posix_set_times(struct io *io, int fd, int64_t mtime_ns)
{
	int64_t seconds = mtime_ns / 1000000000, rest = mtime_ns % 1000000000;
	struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = rest < 0 ? seconds - 1 : seconds, .tv_nsec = rest < 0 ? rest + 1000000000 : rest},
	};

	return result(futimens(fd, times));
}

static ssize_t
posix_pread(struct io *io, int fd, void *out, size_t size, uint64_t offset)
{
	return offset > INT64_MAX ? -EINVAL : result_count(pread(fd, out, size, (off_t)offset));
}

static ssize_t
posix_pwrite(struct io *io, int fd, const void *data, size_t size, uint64_t offset)
{
	return offset > INT64_MAX ? -EFBIG : result_count(pwrite(fd, data, size, (off_t)offset));
}

static int
posix_truncate(struct io *io, int fd, uint64_t size)
{
	return size > INT64_MAX ? -EFBIG : result(ftruncate(fd, (off_t)size));
}

static int
posix_fsync(struct io *io, int fd)
{
	return result(fsync(fd));
}

static ssize_t
posix_list(struct io *io, int fd, void *out, size_t size)
{
	return result_count(getdents64(fd, out, size));
}

static int
posix_map(struct io *io, int fd, size_t size, const void **out)
{
	void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (data == MAP_FAILED) {
		return -errno;
	}
	*out = data;
	return 0;
}

static void
posix_unmap(struct io *io, const void *data, size_t size)
{
	(void)munmap((void *)data, size);
}

static void
posix_close(struct io *io, int fd)
{
	(void)close(fd); /* Linux closes it whatever it answers */
}

static int
posix_lock(struct io *io, int fd, short type, uint64_t octet)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)octet, .l_len = 1};

	return result(fcntl(fd, F_OFD_SETLK, &lock));
}

/* --- file systems --- */

#define FUSE_MAGIC 0x65735546

/* By the magic numbers of statfs(2): shared between machines, or with locks that only pretend. */
static const struct {
	uint32_t magic;
	const char *name;
} remote_file_systems[] = {
	{0x00006969, "NFS"},
	{0x0000517b, "SMB"},
	{0xff534d42, "CIFS"},
	{0xfe534d42, "SMB"},
	{0x5346414f, "AFS"},
	{0x6b414653, "AFS"},
	{0x73757245, "Coda"},
	{0x0000564c, "NCP"},
	{0x01021997, "9P"},
	{0x00c36400, "Ceph"},
	{0x0bd00bd0, "Lustre"},
	{0x47504653, "GPFS"},
	{0x19830326, "BeeGFS"},
	{0x01161970, "GFS2"},
	{0x7461636f, "OCFS2"},
	{0x786f4256, "a shared folder of VirtualBox"},
	{0xbacbacbc, "a shared folder of VMware"},
};

/* FUSE carries local ones too (encryption, other disks' formats); these are not, or cannot hold a store. */
static const char *const remote_fuse[] = {
	"fuse.sshfs",
	"fuse.rclone",
	"fuse.s3fs",
	"fuse.goofys",
	"fuse.gcsfuse",
	"fuse.glusterfs",
	"fuse.ceph-fuse",
	"fuse.curlftpfs",
	"fuse.davfs",
	"fuse.davfs2",
	"fuse.gvfsd-fuse",
	"fuse.google-drive-ocamlfuse",
	"fuse.onedriver",
	"fuse.vmhgfs-fuse",
	"fuse.lustre",
	"fuse.juicefs",
	"fuse.seaweedfs",
	"fuse.mailfs",
};

/* Finds the type that /proc/self/mountinfo tells for a device, among those of remote_fuse. */
static const char *
remote_fuse_type(dev_t device)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	const char *found = NULL;
	char *line = NULL;
	size_t capacity = 0;

	if (mounts == NULL) {
		return NULL;
	}
	while (found == NULL && getline(&line, &capacity, mounts) > 0) {
		unsigned major_number, minor_number;
		char type[64];
		const char *behind = strstr(line, " - ");

		if (behind == NULL || sscanf(line, "%*d %*d %u:%u ", &major_number, &minor_number) != 2 ||
			makedev(major_number, minor_number) != device || sscanf(behind, " - %63s", type) != 1) {
			continue;
		}
		for (size_t i = 0; i < ARRAY_LENGTH(remote_fuse); i++) {
			if (strcmp(type, remote_fuse[i]) == 0) {
				found = remote_fuse[i];
			}
		}
	}
	free(line);
	(void)fclose(mounts);
	return found;
}

static int
posix_is_remote(struct io *io, int fd, const char **out_name)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) != 0 || fstat(fd, &st) != 0) {
		return -errno;
	}
	uint32_t magic = (uint32_t)fs.f_type;
	const char *name = magic == FUSE_MAGIC ? remote_fuse_type(st.st_dev) : NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(remote_file_systems); i++) {
		if (remote_file_systems[i].magic == magic) {
			name = remote_file_systems[i].name;
		}
	}
	if (name == NULL) {
		return 0;
	}
	*out_name = name;
	return 1;
}

static int
posix_watch_more(struct io *io, int watch_fd, int file_fd, uint32_t mask)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
	return inotify_add_watch(watch_fd, path, mask) < 0 ? -errno : 0;
}

static int
posix_watch(struct io *io, int file_fd, uint32_t mask)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0) {
		return -errno;
	}
	int code = posix_watch_more(io, fd, file_fd, mask);

	if (code != 0) {
		(void)close(fd);
		return code;
	}
	return fd;
}

/* --- commands --- */

/* Tells whether we are in the foreground of a terminal: then what we start stays in our process group, for it may have to ask there. */
static bool
has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		return false;
	}
	bool foreground = tcgetpgrp(fd) == getpgrp();

	(void)close(fd);
	return foreground;
}

static int
spawn_with(const char *command, int stdin_fd, int stdout_fd, posix_spawn_file_actions_t *actions,
	posix_spawnattr_t *attributes, struct io_process *out)
{
	extern char **environ;
	char shell[] = "sh", option[] = "-c";
	char *const arguments[] = {shell, option, (char *)command, NULL};
	bool own_group = !has_terminal();
	sigset_t all, none;
	pid_t pid;
	int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | (own_group ? POSIX_SPAWN_SETPGROUP : 0);
	int code = stdin_fd >= 0 ? posix_spawn_file_actions_adddup2(actions, stdin_fd, STDIN_FILENO)
				 : posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	if (code != 0 || (code = posix_spawn_file_actions_adddup2(actions, stdout_fd, STDOUT_FILENO)) != 0 ||
		(code = posix_spawnattr_setsigdefault(attributes, &all)) != 0 ||
		(code = posix_spawnattr_setsigmask(attributes, &none)) != 0 ||
		(code = posix_spawnattr_setpgroup(attributes, 0)) != 0 ||
		(code = posix_spawnattr_setflags(attributes, (short)flags)) != 0 ||
		(code = posix_spawn(&pid, "/bin/sh", actions, attributes, arguments, environ)) != 0) {
		return -code;
	}
	*out = (struct io_process){.pid = pid, .pid_fd = (int)syscall(SYS_pidfd_open, pid, 0), .own_group = own_group};
	return 0;
}

static int
posix_spawn_shell(struct io *io, const char *command, int stdin_fd, int stdout_fd, struct io_process *out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int code = -posix_spawn_file_actions_init(&actions);

	if (code != 0) {
		return code;
	}
	code = -posix_spawnattr_init(&attributes);
	if (code == 0) {
		code = spawn_with(command, stdin_fd, stdout_fd, &actions, &attributes, out);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return code;
}

static int
posix_reap(struct io *io, struct io_process *process, int *out_status)
{
	int status = 0;
	pid_t pid = waitpid(process->pid, &status, WNOHANG);

	if (pid < 0 && errno == EINTR) {
		return 0;
	}
	if (pid == 0) {
		return 0;
	}
	/* ECHILD: whoever holds our process ignores SIGCHLD, so the status went nowhere */
	if (process->pid_fd >= 0) {
		(void)close(process->pid_fd);
	}
	process->pid_fd = -1;
	*out_status = pid < 0 ? 0 : status;
	return 1;
}

static int
posix_kill(struct io *io, const struct io_process *process, int signal)
{
	assert(process->pid > 0);
	return result(kill(process->own_group ? -process->pid : process->pid, signal));
}

/* --- sockets and pipes --- */

static int
posix_resolve(struct io *io, const char *host, uint16_t port, int64_t timeout_ms, int cancel_descriptor,
	struct io_address *out, size_t max, const char **out_why)
{
	return resolve_host(host, port, timeout_ms, cancel_descriptor, out, max, out_why);
}

static int
posix_socket(struct io *io, int family)
{
	return result(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static int
posix_socket_pair(struct io *io, int out[2])
{
	return result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out));
}

static int
posix_pipe(struct io *io, int out[2])
{
	if (pipe2(out, O_CLOEXEC) != 0) {
		return -errno;
	}
	if (fcntl(out[0], F_SETFL, O_NONBLOCK) != 0) {
		int code = -errno;

		(void)close(out[0]);
		(void)close(out[1]);
		return code;
	}
	return 0;
}

static int
posix_set_option(struct io *io, int fd, int level, int option, int value)
{
	return result(setsockopt(fd, level, option, &value, sizeof(value)));
}

static int
posix_connect(struct io *io, int fd, const struct io_address *address)
{
	return result(connect(fd, (const struct sockaddr *)&address->storage, address->length));
}

static int
posix_connected(struct io *io, int fd)
{
	int code = 0;
	socklen_t size = sizeof(code);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0 ? -errno : -code;
}

static ssize_t
posix_send(struct io *io, int fd, const void *data, size_t size)
{
	return result_count(send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static ssize_t
posix_recv(struct io *io, int fd, void *out, size_t size)
{
	return result_count(recv(fd, out, size, MSG_DONTWAIT));
}

static ssize_t
posix_read(struct io *io, int fd, void *out, size_t size)
{
	return result_count(read(fd, out, size));
}

static int
posix_poll(struct io *io, struct pollfd *fds, size_t count, int64_t timeout_ms)
{
	return result(poll(fds, count, timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms));
}

static const struct io_ops posix_ops = {
	.destroy = posix_destroy,
	.now_ms = posix_now_ms,
	.wall_ns = posix_wall_ns,
	.sleep_ms = posix_sleep_ms,
	.random = posix_random,
	.open_path = posix_open_path,
	.make_path = posix_make_path,
	.open_beneath = posix_open_beneath,
	.mkdir = posix_mkdir,
	.rename = posix_rename,
	.unlink = posix_unlink,
	.stat = posix_stat,
	.set_times = posix_set_times,
	.pread = posix_pread,
	.pwrite = posix_pwrite,
	.truncate = posix_truncate,
	.fsync = posix_fsync,
	.list = posix_list,
	.map = posix_map,
	.unmap = posix_unmap,
	.close = posix_close,
	.is_remote = posix_is_remote,
	.lock = posix_lock,
	.watch = posix_watch,
	.watch_more = posix_watch_more,
	.spawn = posix_spawn_shell,
	.reap = posix_reap,
	.kill = posix_kill,
	.resolve = posix_resolve,
	.socket = posix_socket,
	.socket_pair = posix_socket_pair,
	.pipe = posix_pipe,
	.set_option = posix_set_option,
	.connect = posix_connect,
	.connected = posix_connected,
	.send = posix_send,
	.recv = posix_recv,
	.read = posix_read,
	.poll = posix_poll,
};
