/* Locks of single octets of a file, held by the open file description: they end when its last descriptor is closed, however the process
 * ends, and two handles of one process exclude each other like two processes. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/io/io_ops.h"

#define WAIT_FIRST_MS 1
#define WAIT_MAX_MS   20

struct io_lock_file {
	struct io *io;
	char *name;
	int fd;
};

bool
io_lock_file_open(struct io_dir *dir, const char *name, struct io_lock_file **out, struct error *err)
{
	int fd;

	if (!io_open(dir, name, O_RDWR | O_CREAT, &fd, err)) {
		return false;
	}
	struct io_lock_file *file = io_alloc(sizeof(*file));

	*file = (struct io_lock_file){.io = io_dir_io(dir), .name = slice_dup(slice_of(name)), .fd = fd};
	*out = file;
	return true;
}

void
io_lock_file_close(struct io_lock_file **file)
{
	if (file == NULL || *file == NULL) {
		return;
	}
	io_close((*file)->io, &(*file)->fd);
	free((*file)->name);
	free(*file);
	*file = NULL;
}

/* The kernel wakes waiters in no order that could be told beforehand, and its waiting cannot be cancelled; so we ask again, at first soon. */
bool
io_lock(struct io_lock_file *file, uint64_t octet, enum io_lock_mode mode, int64_t timeout_ms, struct cancel *cancel,
	struct error *err)
{
	struct io *io = file->io;
	int64_t deadline_ms = io_deadline_ms(io, timeout_ms), pause_ms = WAIT_FIRST_MS;
	short type = mode == IO_LOCK_SHARED ? F_RDLCK : F_WRLCK;

	assert(octet <= INT64_MAX);
	for (;;) {
		int code = io->ops->lock(io, file->fd, type, octet);

		if (code == 0) {
			return true;
		}
		if (code != -EAGAIN && code != -EACCES && code != -EINTR) {
			return error_errno(err, -code, "locking octet %" PRIu64 " of %s", octet, file->name);
		}
		int64_t left_ms = io_left_ms(io, deadline_ms);

		if (left_ms == 0) {
			return error_set(err, ERROR_RETRY, "octet %" PRIu64 " of %s is locked by another process",
				octet, file->name);
		}
		if (left_ms > 0 && left_ms < pause_ms) {
			pause_ms = left_ms;
		}
		if (io_wait(io, NULL, 0, io_deadline_ms(io, pause_ms), cancel) == IO_WAKE_CANCELLED) {
			return io_fail_cancelled(err);
		}
		pause_ms = pause_ms * 2 < WAIT_MAX_MS ? pause_ms * 2 : WAIT_MAX_MS;
	}
}

void
io_unlock(struct io_lock_file *file, uint64_t octet)
{
	int code = file->io->ops->lock(file->io, file->fd, F_UNLCK, octet);

	assert(code == 0);
}
