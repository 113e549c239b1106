/* A mutex that carries a rank and asserts that ranks rise: a thread may take a mutex only if its rank is above every rank it holds.
 * The ranks are listed here and explained in docs/ARCHITECTURE.md.
 */
#ifndef BASE_MUTEX_H
#define BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/scope.h"

enum lock_rank {
	LOCK_RANK_HANDLE = 5,   /* mount: one file being written, while the engine works on it */
	LOCK_RANK_ENGINE = 10,  /* engine: list of accounts, listeners */
	LOCK_RANK_ACCOUNT = 20, /* account: worker state, queues */
	LOCK_RANK_FS = 30,      /* mount: handles, parked opens, local names */
	LOCK_RANK_WRITER = 40,  /* store: the queue of writers */
	LOCK_RANK_READERS = 50, /* store: pool of reading connections */
	LOCK_RANK_IO = 60,      /* io: spools, sockets shared between threads */
	LOCK_RANK_LEAF = 90,    /* taken last, nothing under it */
};

struct LOCKABLE mutex {
	pthread_mutex_t native;
	enum lock_rank rank;
};

void mutex_init(struct mutex *mutex, enum lock_rank rank);
void mutex_finish(struct mutex *mutex);
void mutex_lock(struct mutex *mutex) ACQUIRES(*mutex);
void mutex_unlock(struct mutex *mutex) RELEASES(*mutex);

struct condition {
	pthread_cond_t native; /* on CLOCK_MONOTONIC */
};

void condition_init(struct condition *condition);
void condition_finish(struct condition *condition);
void condition_wait(struct condition *condition, struct mutex *mutex) REQUIRES(*mutex);
/* Waits until signalled or until the monotonic time `deadline_ms`; false when the time came first. */
bool condition_wait_until(struct condition *condition, struct mutex *mutex, int64_t deadline_ms) REQUIRES(*mutex);
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);

#endif
