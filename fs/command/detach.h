/* A process that goes to the background once it is ready, its parent giving the exit status then.
 *
 * detach_fork comes before any thread. In the child, detach_ready or detach_failed ends the parent's wait; a child that ends without a word has failed.
 */
#ifndef COMMAND_DETACH_H
#define COMMAND_DETACH_H

#include "engine/base/error.h"
#include "fs/command/exit_status.h"

struct detach {
	int pipe; /* the child's end; -1 in the foreground, and once it is told */
};

/* Forks: in the child gives true. In the parent it gives false with *out_status, what the child told. */
bool detach_fork(struct detach *detach, enum exit_status *out_status) MUST_CHECK;
/* Stays in the foreground: the functions below do nothing. */
void detach_foreground(struct detach *detach);
/* Leaves terminal and directory, and lets the parent end with EXIT_DONE. From now on log lines go to syslog. */
void detach_ready(struct detach *detach);
/* Lets the parent end with a status; stderr stays. */
void detach_failed(struct detach *detach, enum exit_status status);

#endif
