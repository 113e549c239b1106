#include "fs/attach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/buf.h"
#include "engine/base/log.h"

#define FILE_SYSTEM_TYPE "fuse.mailfs"

extern char **environ;

/* --- unmounting --- */

/* fusermount3 may unmount what the kernel says is ours, though we are not root. */
static bool
ask_fusermount(const char *dir, bool lazy, struct error *err)
{
	char program[] = "fusermount3", how[] = "-uq", at_once[] = "-uqz", end[] = "--";
	char *directory = slice_dup(slice_of(dir));
	char *arguments[] = {program, lazy ? at_once : how, end, directory, NULL};
	int status = 0, answer;
	pid_t child;

	answer = posix_spawnp(&child, program, NULL, NULL, arguments, environ);
	if (answer != 0) {
		free(directory);
		return error_errno(err, answer, "%s: running fusermount3", dir);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	free(directory);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		return error_set(err, ERROR_REFUSED, "%s: fusermount3 could not unmount it", dir);
	}
	return true;
}

bool
attach_unmount(const char *dir, bool lazy, struct error *err)
{
	if (umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) {
		return true;
	}
	if (errno == EPERM) {
		return ask_fusermount(dir, lazy, err);
	}
	if (errno == EINVAL || errno == ENOENT) {
		return error_set(err, ERROR_INVALID, "%s: nothing is mounted there", dir);
	}
	return error_errno(err, errno, "unmounting %s", dir);
}

/* Root needs no fusectl that is mounted anywhere. */
static int
open_unmounted_fusectl(const char *path)
{
	int system = fsopen("fusectl", FSOPEN_CLOEXEC), top = -1, fd = -1;

	if (system >= 0 && fsconfig(system, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
		top = fsmount(system, FSMOUNT_CLOEXEC, 0);
	}
	if (top >= 0) {
		fd = openat(top, path, O_WRONLY | O_CLOEXEC);
		(void)close(top);
	}
	if (system >= 0) {
		(void)close(system);
	}
	return fd;
}

int
attach_abort_open(const char *dir)
{
	static const char connections[] = "/sys/fs/fuse/connections/";
	char path[80];
	struct statx st;
	int fd;

	if (statx(AT_FDCWD, dir, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) != 0 || st.stx_dev_major != 0) {
		return -1;
	}
	(void)snprintf(path, sizeof(path), "%s%u/abort", connections, st.stx_dev_minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		fd = open_unmounted_fusectl(path + strlen(connections));
	}
	return fd;
}

bool
attach_force(const char *dir, int abort_fd, struct error *err)
{
	bool done = umount2(dir, UMOUNT_NOFOLLOW | MNT_FORCE | MNT_DETACH) == 0 || attach_unmount(dir, true, err);

	if (abort_fd >= 0) {
		(void)!write(abort_fd, "1", 1);
	}
	return done;
}

/* --- before mounting --- */

static bool
is_empty(const char *dir, bool *out_empty, struct error *err)
{
	DIR *stream = opendir(dir);
	const struct dirent *entry;

	if (stream == NULL) {
		return error_errno(err, errno, "%s", dir);
	}
	*out_empty = true;
	while ((entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			*out_empty = false;
			break;
		}
	}
	(void)closedir(stream);
	return true;
}

bool
attach_prepare(const char *dir, struct error *err)
{
	struct statvfs room;
	struct stat st;
	bool empty = false;

	/* ENOTCONN: what was mounted there has died, and its mount is left. What stat tells may come from the kernel's caches; this never does. */
	if (statvfs(dir, &room) != 0 && (errno == ENOTCONN || errno == ECONNABORTED)) {
		log_info("mount", "event=dead-mount-taken-away dir=\"%s\"", dir);
		if (!attach_unmount(dir, true, err)) {
			return error_wrap(err, "taking away the dead mount");
		}
	}
	if (stat(dir, &st) != 0) {
		return error_errno(err, errno, "%s", dir);
	}
	if (!S_ISDIR(st.st_mode)) {
		return error_errno(err, ENOTDIR, "%s", dir);
	}
	if (!is_empty(dir, &empty, err)) {
		return false;
	}
	if (!empty) {
		(void)error_set(err, ERROR_REFUSED, "%s is not empty: what is in it would be hidden", dir);
		err->sys_errno = ENOTEMPTY;
		return false;
	}
	return true;
}

/* --- mounting --- */

static const struct {
	const char *word;
	unsigned long set, clear;
} flags_of_words[] = {
	{"ro", MS_RDONLY, 0},
	{"rw", 0, MS_RDONLY},
	{"nosuid", MS_NOSUID, 0},
	{"suid", 0, MS_NOSUID},
	{"nodev", MS_NODEV, 0},
	{"dev", 0, MS_NODEV},
	{"noexec", MS_NOEXEC, 0},
	{"exec", 0, MS_NOEXEC},
	{"noatime", MS_NOATIME, 0},
	{"atime", 0, MS_NOATIME},
	{"sync", MS_SYNCHRONOUS, 0},
	{"async", 0, MS_SYNCHRONOUS},
	{"nodiratime", MS_NODIRATIME, 0},
	{"diratime", 0, MS_NODIRATIME},
	{"dirsync", MS_DIRSYNC, 0},
	{"relatime", MS_RELATIME, 0},
};

/* Turns a word of -o to a flag of mount(2), or adds it to what FUSE reads for itself. */
static void
take_word(const char *word, unsigned long *flags, struct buf *data)
{
	for (size_t i = 0; i < ARRAY_LENGTH(flags_of_words); i++) {
		if (strcmp(word, flags_of_words[i].word) == 0) {
			*flags = (*flags | flags_of_words[i].set) & ~flags_of_words[i].clear;
			return;
		}
	}
	buf_printf(data, ",%s", word);
}

/* As root, with mount(2). */
static bool
mount_ourselves(
	const char *dir, const char *source, const struct mount_options *options, int *out_fd, struct error *err)
{
	SCOPED(buf_finish) struct buf data = BUF_INIT;
	unsigned long flags = MS_NOSUID | MS_NODEV | (options->read_only ? MS_RDONLY : 0);
	uid_t uid = options->has_user ? options->user_uid : getuid();
	gid_t gid = options->has_user ? options->user_gid : getgid();
	struct stat st;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		return error_errno(err, errno, "/dev/fuse");
	}
	if (stat(dir, &st) != 0) {
		(void)error_errno(err, errno, "%s", dir);
		(void)close(fd);
		return false;
	}
	buf_printf(&data, "fd=%d,rootmode=%o,user_id=%u,group_id=%u", fd, (unsigned)st.st_mode & S_IFMT, (unsigned)uid,
		(unsigned)gid);
	if (options->allow_other) {
		buf_append_text(&data, ",allow_other,default_permissions");
	}
	for (size_t i = 0; i < options->fuse_word_count; i++) {
		take_word(options->fuse_words[i], &flags, &data);
	}
	if (mount(source, dir, FILE_SYSTEM_TYPE, flags, data.data) != 0) {
		if (errno == EINVAL) {
			(void)error_set(
				err, ERROR_CONFIG, "mounting %s: an option is not known to FUSE (%s)", dir, data.data);
		} else {
			(void)error_errno(err, errno, "mounting %s", dir);
		}
		(void)close(fd);
		return false;
	}
	*out_fd = fd;
	return true;
}

/* --- where we are not root --- */

#define DEVICE_VARIABLE "_FUSE_COMMFD" /* tells fusermount3 where to send the open /dev/fuse */

/* Receives the descriptor that fusermount3 sends once it has mounted; -1 if it sends none. */
static int
receive_device(int socket)
{
	char octet;
	struct iovec piece = {.iov_base = &octet, .iov_len = 1};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	const struct cmsghdr *header;
	ssize_t got;
	int fd = -1;

	do {
		got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
		header->cmsg_len == CMSG_LEN(sizeof(fd))) {
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	}
	return fd;
}

/* The environment and one variable more; to be freed, the last entry too. */
static char **
environment_with(const char *name, int value)
{
	SCOPED(buf_finish) struct buf variable = BUF_INIT;
	size_t count = 0;
	char **all;

	while (environ[count] != NULL) {
		count++;
	}
	all = calloc(count + 2, sizeof(*all));
	if (all == NULL) {
		abort();
	}
	memcpy(all, environ, count * sizeof(*all));
	buf_printf(&variable, "%s=%d", name, value);
	all[count] = buf_take(&variable);
	return all;
}

static void
free_environment(char **all)
{
	size_t last = 0;

	while (all[last + 1] != NULL) {
		last++;
	}
	free(all[last]);
	free(all);
}

static bool
run_fusermount(const char *dir, const char *words, int socket, struct error *err)
{
	char program[] = "fusermount3", option[] = "-o", end[] = "--";
	char *directory = slice_dup(slice_of(dir)), *list = slice_dup(slice_of(words));
	char *arguments[] = {program, option, list, end, directory, NULL};
	char **environment = environment_with(DEVICE_VARIABLE, socket);
	int answer, status = 0;
	pid_t child;

	answer = posix_spawnp(&child, program, NULL, NULL, arguments, environment);
	free_environment(environment);
	free(directory);
	free(list);
	if (answer != 0) {
		return error_errno(err, answer, "running fusermount3, which mounts where we are not root");
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
	       error_set(err, ERROR_REFUSED, "%s: fusermount3 could not mount it", dir);
}

static bool
let_mount(const char *dir, const char *source, const struct mount_options *options, int *out_fd, struct error *err)
{
	SCOPED(buf_finish) struct buf words = BUF_INIT;
	int ends[2];
	bool done;

	buf_printf(&words, "subtype=mailfs,fsname=%s%s%s", source, options->read_only ? ",ro" : "",
		options->allow_other ? ",allow_other,default_permissions" : "");
	for (size_t i = 0; i < options->fuse_word_count; i++) {
		buf_printf(&words, ",%s", options->fuse_words[i]);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
		return error_errno(err, errno, "making a pair of sockets");
	}
	(void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	done = run_fusermount(dir, words.data, ends[0], err);
	(void)close(ends[0]);
	if (done) {
		*out_fd = receive_device(ends[1]);
		done = *out_fd >= 0 || error_set(err, ERROR_REFUSED, "%s: fusermount3 gave no device", dir);
	}
	(void)close(ends[1]);
	return done;
}

bool
attach_mount(const char *dir, const char *source, const struct mount_options *options, int *out_fd, struct error *err)
{
	return geteuid() == 0 ? mount_ourselves(dir, source, options, out_fd, err)
			      : let_mount(dir, source, options, out_fd, err);
}
