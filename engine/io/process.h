/* Commands that were started: waiting for their end, and bringing it about. A command is reaped before any of these is through with it, so that
 * its number cannot have become another's when it is signalled. */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include "engine/io/io_ops.h"

/* Waits for its end; READY when it has ended and been reaped. */
enum io_wake process_wait(
	struct io *io, struct io_process *process, int64_t deadline_ms, struct cancel *cancel, int *out_status);

/* Ends it: `ask_after_ms` from now politely (SIGTERM), `kill_after_ms` later by force; reaps it in any case. */
void process_end(struct io *io, struct io_process *process, int64_t ask_after_ms, int64_t kill_after_ms);

#endif
