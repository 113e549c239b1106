#include "engine/base/mutex.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#define HELD_MAX 16

/* The ranks this thread holds, in the order they were taken, which is rising. */
static _Thread_local struct {
	enum lock_rank ranks[HELD_MAX];
	unsigned count;
} held;

static void
note_taken(enum lock_rank rank)
{
	assert(held.count < HELD_MAX);
	held.ranks[held.count++] = rank;
}

static void
note_given(enum lock_rank rank)
{
	unsigned i = held.count;

	while (i > 0 && held.ranks[i - 1] != rank) {
		i--;
	}
	assert(i > 0); /* else this thread does not hold it */
	for (held.count--; i <= held.count; i++) {
		held.ranks[i - 1] = held.ranks[i];
	}
}

/* True if this thread holds a mutex of that rank: as ranks rise, no two of one rank are held together. */
static bool
holds(enum lock_rank rank)
{
	for (unsigned i = 0; i < held.count; i++) {
		if (held.ranks[i] == rank) {
			return true;
		}
	}
	return false;
}

void
mutex_init(struct mutex *mutex, enum lock_rank rank)
{
	int answer = pthread_mutex_init(&mutex->native, NULL);

	assert(answer == 0);
	mutex->rank = rank;
}

void
mutex_finish(struct mutex *mutex)
{
	int answer;

	if (mutex == NULL) {
		return;
	}
	answer = pthread_mutex_destroy(&mutex->native);
	assert(answer == 0);
}

UNCHECKED_LOCKS void
mutex_lock(struct mutex *mutex)
{
	int answer;

	assert(held.count == 0 || held.ranks[held.count - 1] < mutex->rank);
	answer = pthread_mutex_lock(&mutex->native);
	assert(answer == 0);
	note_taken(mutex->rank);
}

UNCHECKED_LOCKS void
mutex_unlock(struct mutex *mutex)
{
	int answer;

	note_given(mutex->rank);
	answer = pthread_mutex_unlock(&mutex->native);
	assert(answer == 0);
}

void
condition_init(struct condition *condition)
{
	pthread_condattr_t attributes;
	int answer = pthread_condattr_init(&attributes);

	assert(answer == 0);
	answer = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	assert(answer == 0);
	answer = pthread_cond_init(&condition->native, &attributes);
	assert(answer == 0);
	(void)pthread_condattr_destroy(&attributes);
}

void
condition_finish(struct condition *condition)
{
	int answer;

	if (condition == NULL) {
		return;
	}
	answer = pthread_cond_destroy(&condition->native);
	assert(answer == 0);
}

void
condition_wait(struct condition *condition, struct mutex *mutex)
{
	int answer;

	assert(holds(mutex->rank));
	answer = pthread_cond_wait(&condition->native, &mutex->native);
	assert(answer == 0);
}

bool
condition_wait_until(struct condition *condition, struct mutex *mutex, int64_t deadline_ms)
{
	int64_t at = deadline_ms > 0 ? deadline_ms : 0;
	struct timespec when = {.tv_sec = (time_t)(at / 1000), .tv_nsec = (long)(at % 1000) * 1000000};
	int answer;

	assert(holds(mutex->rank));
	answer = pthread_cond_timedwait(&condition->native, &mutex->native, &when);
	assert(answer == 0 || answer == ETIMEDOUT);
	return answer == 0;
}

void
condition_signal(struct condition *condition)
{
	int answer = pthread_cond_signal(&condition->native);

	assert(answer == 0);
}

void
condition_broadcast(struct condition *condition)
{
	int answer = pthread_cond_broadcast(&condition->native);

	assert(answer == 0);
}
