/* An io for tests: the real one behind it, with every effect counted, and one of them made to fail or to be the last of the process.
 *
 * Clock, randomness, waiting (poll), and giving back what is held (close, unmap, unlock, reap) are no effects here: they are passed on and neither
 * counted nor failed. Thread-safe.
 */
#ifndef UNIT_IO_TEST_OPS_H
#define UNIT_IO_TEST_OPS_H

#include "engine/io/io.h"

enum io_effect {
	IO_EFFECT_OPEN,
	IO_EFFECT_MKDIR,
	IO_EFFECT_RENAME,
	IO_EFFECT_UNLINK,
	IO_EFFECT_STAT,
	IO_EFFECT_SET_TIMES,
	IO_EFFECT_PREAD,
	IO_EFFECT_PWRITE,
	IO_EFFECT_TRUNCATE,
	IO_EFFECT_FSYNC,
	IO_EFFECT_LIST,
	IO_EFFECT_MAP,
	IO_EFFECT_LOCK,
	IO_EFFECT_WATCH,
	IO_EFFECT_SPAWN,
	IO_EFFECT_KILL,
	IO_EFFECT_RESOLVE,
	IO_EFFECT_SOCKET,
	IO_EFFECT_PIPE,
	IO_EFFECT_SET_OPTION,
	IO_EFFECT_CONNECT,
	IO_EFFECT_SEND,
	IO_EFFECT_RECV,
	IO_EFFECT_READ,
	IO_EFFECT_COUNT,
};

#define IO_EFFECT_BIT(effect) (UINT64_C(1) << (effect))
#define IO_EFFECT_ALL         (IO_EFFECT_BIT(IO_EFFECT_COUNT) - 1)

/* Around `real`, which stays the caller's; ended by io_destroy. */
struct io *io_test_create(struct io *real);

/* Counts from 0 again, only the effects of `mask`, and takes away what was asked to happen. */
void io_test_reset(struct io *io, uint64_t mask);
/* The counted effects since the reset. */
unsigned io_test_count(struct io *io);

/* Makes the n-th counted effect (1 is the next after the reset) fail with an errno, without having happened; with `for_ever` also all behind it. */
void io_test_fail(struct io *io, unsigned nth, int sys_errno, bool for_ever);
/* The same, but where it is a write, half of its octets are written all the same. */
void io_test_tear(struct io *io, unsigned nth, int sys_errno);
/* Ends the process with _exit(status) instead of the n-th counted effect. */
void io_test_exit(struct io *io, unsigned nth, int status);
/* Tells whether the fault came to pass; a test of faults that never asks this proves nothing. */
bool io_test_fired(struct io *io);
/* The effect that failed, for messages; "none" before. */
const char *io_test_fired_name(struct io *io);

/* Says that every directory is on this file system, or belongs to this uid; NULL and -1 for the truth. */
void io_test_pretend(struct io *io, const char *remote_file_system, int64_t uid);

#endif
