/* Watching a file or a directory for the writes of other processes. What changed is not told: those who hear look for themselves. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>

#include "engine/io/io_ops.h"

#define NEWS_BYTES 4096 /* of news, thrown away at a time */

#define FILE_NEWS      IN_MODIFY
#define DIRECTORY_NEWS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

struct io_watch {
	struct io *io;
	int fd;
};

/* Watches what a name stands for: with the descriptor that is there, or a new one. */
static bool
watch_name(struct io_dir *dir, const char *name, int *watch_fd, struct error *err)
{
	struct io *io = io_dir_io(dir);
	struct stat st;
	int file_fd;

	if (!io_open(dir, name, O_PATH | O_NOFOLLOW, &file_fd, err)) {
		return false;
	}
	int code = io->ops->stat(io, file_fd, &st);
	uint32_t mask = code == 0 && S_ISDIR(st.st_mode) ? DIRECTORY_NEWS : FILE_NEWS;

	if (code == 0 && *watch_fd >= 0) {
		code = io->ops->watch_more(io, *watch_fd, file_fd, mask);
	} else if (code == 0) {
		code = io->ops->watch(io, file_fd, mask);
		*watch_fd = code >= 0 ? code : -1;
	}
	io_close(io, &file_fd);
	if (code == -ENOSPC || code == -EMFILE) {
		return error_set(err, ERROR_REFUSED,
			"watching %s/%s: the limit of inotify is reached: raise fs.inotify.max_user_watches and "
			"max_user_instances",
			io_dir_path(dir), name);
	}
	return code >= 0 || error_errno(err, -code, "watching %s/%s", io_dir_path(dir), name);
}

bool
io_watch_open(struct io_dir *dir, const char *name, struct io_watch **out, struct error *err)
{
	int fd = -1;

	if (!watch_name(dir, name, &fd, err)) {
		return false;
	}
	*out = io_alloc(sizeof(**out));
	**out = (struct io_watch){.io = io_dir_io(dir), .fd = fd};
	return true;
}

bool
io_watch_add(struct io_watch *watch, struct io_dir *dir, const char *name, struct error *err)
{
	return watch_name(dir, name, &watch->fd, err);
}

void
io_watch_close(struct io_watch **watch)
{
	if (watch == NULL || *watch == NULL) {
		return;
	}
	io_close((*watch)->io, &(*watch)->fd);
	free(*watch);
	*watch = NULL;
}

int
io_watch_fd(const struct io_watch *watch)
{
	return watch->fd;
}

void
io_watch_drain(struct io_watch *watch)
{
	char news[NEWS_BYTES];
	ssize_t count;

	do {
		count = watch->io->ops->read(watch->io, watch->fd, news, sizeof(news));
	} while (count > 0 || count == -EINTR);
}

bool
io_watch_wait(struct io *io, const struct io_watch *watch, int other_fd, int64_t timeout_ms, struct cancel *cancel,
	enum io_watch_wake *out, struct error *err)
{
	struct pollfd fds[2];
	size_t count = 0;

	if (watch != NULL) {
		fds[count++] = (struct pollfd){.fd = watch->fd, .events = POLLIN};
	}
	if (other_fd >= 0) {
		fds[count++] = (struct pollfd){.fd = other_fd, .events = POLLIN};
	}
	switch (io_wait(io, fds, count, io_deadline_ms(io, timeout_ms), cancel)) {
	case IO_WAKE_CANCELLED:
		return io_fail_cancelled(err);
	case IO_WAKE_TIMEOUT:
		*out = IO_WATCH_TIMEOUT;
		return true;
	case IO_WAKE_READY:
		break;
	}
	*out = watch != NULL && fds[0].revents != 0 ? IO_WATCH_NEWS : IO_WATCH_OTHER;
	return true;
}
