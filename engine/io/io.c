#include "engine/io/io.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "engine/io/io_ops.h"

#define POLL_AGAIN_MS 10 /* between tries while the kernel has no memory for a poll */

void
io_destroy(struct io **io)
{
	if (io == NULL || *io == NULL) {
		return;
	}
	(*io)->ops->destroy(*io);
	*io = NULL;
}

int64_t
io_now_ms(struct io *io)
{
	return io->ops->now_ms(io);
}

int64_t
io_wall_s(struct io *io)
{
	return io->ops->wall_ns(io) / 1000000000;
}

int64_t
io_wall_ns(struct io *io)
{
	return io->ops->wall_ns(io);
}

void
io_sleep_ms(struct io *io, int64_t duration_ms)
{
	io->ops->sleep_ms(io, duration_ms);
}

void
io_random(struct io *io, void *out, size_t size)
{
	io->ops->random(io, out, size);
}

int64_t
io_deadline_ms(struct io *io, int64_t timeout_ms)
{
	int64_t deadline_ms;

	if (timeout_ms < 0 || __builtin_add_overflow(io->ops->now_ms(io), timeout_ms, &deadline_ms)) {
		return -1;
	}
	return deadline_ms;
}

int64_t
io_left_ms(struct io *io, int64_t deadline_ms)
{
	if (deadline_ms < 0) {
		return -1;
	}
	int64_t left_ms = deadline_ms - io->ops->now_ms(io);

	return left_ms > 0 ? left_ms : 0;
}

enum io_wake
io_wait(struct io *io, struct pollfd *fds, size_t count, int64_t deadline_ms, struct cancel *cancel)
{
	struct pollfd all[IO_WAIT_FDS_MAX + 1];

	assert(count <= IO_WAIT_FDS_MAX);
	for (size_t i = 0; i < count; i++) {
		all[i] = fds[i];
	}
	all[count] = (struct pollfd){.fd = cancel != NULL ? cancel_fd(cancel) : -1, .events = POLLIN};
	for (;;) {
		int64_t left_ms = io_left_ms(io, deadline_ms);
		int ready = io->ops->poll(io, all, count + 1, left_ms);

		if (cancel != NULL && (cancel_raised(cancel) || (ready > 0 && all[count].revents != 0))) {
			return IO_WAKE_CANCELLED;
		}
		if (ready > 0) {
			for (size_t i = 0; i < count; i++) {
				fds[i].revents = all[i].revents;
			}
			return IO_WAKE_READY;
		}
		if (left_ms == 0) {
			return IO_WAKE_TIMEOUT;
		}
		if (ready < 0 && ready != -EINTR) {
			io->ops->sleep_ms(io, POLL_AGAIN_MS);
		}
	}
}

bool
io_fail_cancelled(struct error *err)
{
	return error_set(err, ERROR_CANCELLED, "stopped before it was done");
}

bool
io_pwrite(struct io *io, int fd, struct slice data, uint64_t offset, struct error *err)
{
	while (data.length > 0) {
		ssize_t count = io->ops->pwrite(io, fd, data.data, data.length, offset);

		if (count == -EINTR) {
			continue;
		}
		if (count <= 0) {
			return error_errno(err, count < 0 ? (int)-count : EIO, "writing a file");
		}
		assert((size_t)count <= data.length);
		data = slice_skip(data, (size_t)count);
		offset += (uint64_t)count;
	}
	return true;
}

bool
io_pread(struct io *io, int fd, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
{
	size_t got = 0;

	while (got < size) {
		ssize_t count = io->ops->pread(io, fd, (char *)out + got, size - got, offset + got);

		if (count == -EINTR) {
			continue;
		}
		if (count < 0) {
			return error_errno(err, (int)-count, "reading a file");
		}
		if (count == 0) {
			break;
		}
		got += (size_t)count;
	}
	*out_got = got;
	return true;
}

bool
io_ftruncate(struct io *io, int fd, uint64_t size, struct error *err)
{
	int code;

	do {
		code = io->ops->truncate(io, fd, size);
	} while (code == -EINTR);
	return code == 0 || error_errno(err, -code, "setting the size of a file");
}

bool
io_fsync(struct io *io, int fd, struct error *err)
{
	int code;

	/* An interrupted fsync has not failed; any other answer means that what was written may be lost, so it is never asked again. */
	do {
		code = io->ops->fsync(io, fd);
	} while (code == -EINTR);
	return code == 0 || error_errno(err, -code, "making a file durable");
}

bool
io_file_size(struct io *io, int fd, uint64_t *out, struct error *err)
{
	struct stat st;
	int code = io->ops->stat(io, fd, &st);

	if (code != 0) {
		return error_errno(err, -code, "asking for the size of a file");
	}
	*out = st.st_size > 0 ? (uint64_t)st.st_size : 0;
	return true;
}

bool
io_set_mtime(struct io *io, int fd, int64_t mtime_ns, struct error *err)
{
	int code = io->ops->set_times(io, fd, mtime_ns);

	return code == 0 || error_errno(err, -code, "setting the time of a file");
}

void
io_close(struct io *io, int *fd)
{
	if (*fd >= 0) {
		io->ops->close(io, *fd);
	}
	*fd = -1;
}
