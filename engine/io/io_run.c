/* A command that prints a secret. Its output is kept in one place of fixed size, which is wiped; only the line goes out. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "engine/io/io_ops.h"
#include "engine/io/process.h"

#define LINE_BYTES_MAX (1u << 20)
#define PATIENCE_MS    200 /* between asking it to end and killing it */
#define LOOK_AGAIN_MS  20  /* how soon we look whether it has ended, while its output stays open */

struct run {
	struct io *io;
	struct io_process process;
	int fd; /* its output; -1 once that has ended */
	bool running;
	int status; /* when it is not */
	char *line;
	size_t length, capacity;
	bool line_ended, too_long;
};

static void
run_finish(struct run *run)
{
	io_close(run->io, &run->fd);
	if (run->running) {
		process_end(run->io, &run->process, 0, PATIENCE_MS);
	}
	if (run->line != NULL) {
		explicit_bzero(run->line, run->capacity);
	}
	free(run->line);
}

static bool
start(struct run *run, const char *command, struct error *err)
{
	int ends[2];
	int code = run->io->ops->pipe(run->io, ends);

	if (code != 0) {
		return error_errno(err, -code, "making a pipe");
	}
	code = run->io->ops->spawn(run->io, command, -1, ends[1], &run->process);
	io_close(run->io, &ends[1]);
	run->fd = ends[0];
	if (code != 0) {
		return error_errno(err, -code, "starting a shell");
	}
	run->running = true;
	return true;
}

/* Takes in what was printed; behind the first line it goes nowhere. Gives false when there is nothing to read now. */
static bool
take(struct run *run)
{
	char rest[256];
	bool keep = !run->line_ended && !run->too_long;
	ssize_t count =
		keep ? run->io->ops->read(run->io, run->fd, run->line + run->length, run->capacity - run->length)
		     : run->io->ops->read(run->io, run->fd, rest, sizeof(rest));

	if (count <= 0) {
		if (count != -EAGAIN && count != -EINTR) {
			io_close(run->io, &run->fd);
		}
		explicit_bzero(rest, sizeof(rest));
		return count == -EINTR;
	}
	if (keep) {
		size_t end = run->length + slice_find(slice_make(run->line + run->length, (size_t)count), '\n');

		run->line_ended = end < run->length + (size_t)count;
		run->length = end;
		run->too_long = !run->line_ended && run->length == run->capacity;
	}
	explicit_bzero(rest, sizeof(rest));
	return true;
}

/* Until the command has ended and what it printed is here. Others that it started may keep its output open (agents do): they are not waited for. */
static bool
drive(struct run *run, int64_t timeout_ms, struct cancel *cancel, struct error *err)
{
	struct io *io = run->io;
	int64_t deadline_ms = io_deadline_ms(io, timeout_ms);

	for (;;) {
		bool ended = !run->running || io->ops->reap(io, &run->process, &run->status) == 1;

		run->running = !ended;
		while (run->fd >= 0 && take(run)) {
		}
		if (ended) {
			return true;
		}
		struct pollfd fds[2] = {
			{.fd = run->fd, .events = POLLIN}, {.fd = run->process.pid_fd, .events = POLLIN}};
		int64_t left_ms = io_left_ms(io, deadline_ms), until_ms = deadline_ms;

		if (left_ms == 0) {
			return error_set(err, ERROR_CREDENTIALS, "it took longer than %" PRId64 " ms", timeout_ms);
		}
		if (run->process.pid_fd < 0 && (left_ms < 0 || left_ms > LOOK_AGAIN_MS)) {
			until_ms = io_deadline_ms(io, LOOK_AGAIN_MS);
		}
		if (io_wait(io, fds, ARRAY_LENGTH(fds), until_ms, cancel) == IO_WAKE_CANCELLED) {
			return io_fail_cancelled(err);
		}
	}
}

static bool
judge(const struct run *run, size_t max, struct error *err)
{
	if (WIFSIGNALED(run->status)) {
		return error_set(err, ERROR_CREDENTIALS, "it was ended by signal %d", WTERMSIG(run->status));
	}
	if (WEXITSTATUS(run->status) == 127) {
		return error_set(err, ERROR_CREDENTIALS, "there is no such command (status 127)");
	}
	if (WEXITSTATUS(run->status) != 0) {
		return error_set(err, ERROR_CREDENTIALS, "it failed with status %d", WEXITSTATUS(run->status));
	}
	if (run->too_long) {
		return error_set(err, ERROR_CREDENTIALS, "its first line is longer than %zu octets", max);
	}
	if (run->length == 0) {
		return error_set(err, ERROR_CREDENTIALS, "it printed no line");
	}
	return true;
}

bool
io_run_line(struct io *io, const char *command, size_t max, int64_t timeout_ms, struct cancel *cancel, struct buf *out,
	struct error *err)
{
	assert(max <= LINE_BYTES_MAX);
	SCOPED(run_finish) struct run run = {.io = io, .fd = -1, .capacity = max + 2, .line = io_alloc(max + 2)};

	if (!start(&run, command, err)) {
		err->kind = ERROR_CREDENTIALS;
		return false;
	}
	if (!drive(&run, timeout_ms, cancel, err)) {
		return false;
	}
	if (run.length > 0 && run.line[run.length - 1] == '\r') {
		run.length--;
	}
	run.too_long = run.too_long || run.length > max;
	if (!judge(&run, max, err)) {
		return false;
	}
	buf_reserve(out, run.length); /* one piece of memory, so that no copy is left behind when it grows */
	buf_append(out, slice_make(run.line, run.length));
	return true;
}
