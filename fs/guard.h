/* A process beside a mount, which ends what waits for the mount when the mount's own process is killed.
 *
 * A thread that tells the kernel of a change waits there, deaf to SIGKILL, for the lock of a directory; who holds that lock may wait for our answer. When we are
 * killed no answer comes, so the thread never ends, so /dev/fuse is never closed, and whoever works in the mount hangs, he too deaf to signals. The
 * kernel tells a child of the death of the thread that made it, though others of that process live on: so a child can abort the connection. The dead
 * mount stays where it is, as after any crash.
 *
 * It sleeps, holds nothing but the file that aborts, heeds no signal, and is of a session of its own: it is not meant when the mount is.
 */
#ifndef FS_GUARD_H
#define FS_GUARD_H

#include <sys/types.h>

#include "engine/base/error.h"

/* To be called by the main thread while there is no other, as the user who stays. `abort_fd`: attach_abort_open. */
bool guard_start(int abort_fd, const char *dir, pid_t *out, struct error *err) MUST_CHECK;
/* Sends it away: what it guards is no more. 0 is none. */
void guard_end(pid_t *guard);

#endif
