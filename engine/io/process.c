#include "engine/io/process.h"

#include <signal.h>

#define PAUSE_FIRST_MS 1
#define PAUSE_MAX_MS   20

enum io_wake
process_wait(struct io *io, struct io_process *process, int64_t deadline_ms, struct cancel *cancel, int *out_status)
{
	int64_t pause_ms = PAUSE_FIRST_MS;

	for (;;) {
		if (io->ops->reap(io, process, out_status) == 1) {
			return IO_WAKE_READY;
		}
		int64_t left_ms = io_left_ms(io, deadline_ms), until_ms = deadline_ms;
		struct pollfd ended = {.fd = process->pid_fd, .events = POLLIN};

		if (left_ms == 0) {
			return IO_WAKE_TIMEOUT;
		}
		if (process->pid_fd < 0 && (left_ms < 0 || left_ms > pause_ms)) {
			until_ms = io_deadline_ms(io, pause_ms);
			pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
		}
		if (io_wait(io, &ended, 1, until_ms, cancel) == IO_WAKE_CANCELLED) {
			return IO_WAKE_CANCELLED;
		}
	}
}

void
process_end(struct io *io, struct io_process *process, int64_t ask_after_ms, int64_t kill_after_ms)
{
	int status;

	if (process_wait(io, process, io_deadline_ms(io, ask_after_ms), NULL, &status) == IO_WAKE_READY) {
		return;
	}
	(void)io->ops->kill(io, process, SIGTERM);
	if (process_wait(io, process, io_deadline_ms(io, kill_after_ms), NULL, &status) == IO_WAKE_READY) {
		return;
	}
	(void)io->ops->kill(io, process, SIGKILL);
	(void)process_wait(io, process, -1, NULL, &status);
}
