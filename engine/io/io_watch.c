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

bool
io_watch_open(struct io_dir *dir, const char *name, struct io_watch **out, struct error *err)
{
	struct io *io = io_dir_io(dir);
	struct stat st;
	int file_fd;

	if (!io_open(dir, name, O_PATH | O_NOFOLLOW, &file_fd, err)) {
		return false;
	}
	int code = io->ops->stat(io, file_fd, &st);
	int fd = code != 0 ? code : io->ops->watch(io, file_fd, S_ISDIR(st.st_mode) ? DIRECTORY_NEWS : FILE_NEWS);

	io_close(io, &file_fd);
	if (fd == -ENOSPC || fd == -EMFILE) {
		return error_set(err, ERROR_REFUSED,
			"watching %s/%s: the limit of inotify is reached: raise fs.inotify.max_user_watches and "
			"max_user_instances",
			io_dir_path(dir), name);
	}
	if (fd < 0) {
		return error_errno(err, -fd, "watching %s/%s", io_dir_path(dir), name);
	}
	*out = io_alloc(sizeof(**out));
	**out = (struct io_watch){.io = io, .fd = fd};
	return true;
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
