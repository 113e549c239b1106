/* What hydrator.c (what is wanted, and in which order) and hydrator_fetch.c (the threads that bring it) share. Not for others. */
#ifndef ENGINE_HYDRATOR_INTERNAL_H
#define ENGINE_HYDRATOR_INTERNAL_H

#include <pthread.h>

#include "engine/account.h"
#include "engine/hydrator.h"

#define HYDRATOR_THREADS_MAX 8
#define HYDRATOR_BUCKETS     1024
#define HYDRATOR_STREAMS     16
#define HYDRATOR_FAILED_MAX  2048
#define HYDRATOR_BATCH_MAX   256

enum want_priority { WANT_DEMAND, WANT_AHEAD, WANT_BACKGROUND, WANT_PRIORITY_COUNT };

struct ticket { /* somebody who waits */
	struct ticket *next;
	uint64_t id;
	void (*done)(void *context, const struct error *error);
	void *context;
};

struct want { /* a message whose body is to come: once, however many wait */
	struct want *next_in_bucket;
	struct want *next, *previous; /* in its priority's list, while it does not fly */
	struct number number;
	struct mailbox_id mailbox;
	enum want_priority priority;
	bool flying; /* a thread has it */
	struct ticket *tickets;
};

struct want_list {
	struct want *first, *last;
	size_t count;
};

struct stream_of_reads { /* requests in a row in a mailbox */
	struct mailbox_id mailbox;
	uint64_t used;
	uint32_t last;   /* local UID asked for last */
	uint32_t ahead;  /* read-ahead has been planned up to here */
	uint32_t window; /* messages */
	bool planned;    /* a window is to be looked for */
};

struct batch { /* messages of one mailbox that a thread brings in one flight */
	struct mailbox_id mailbox;
	struct number numbers[HYDRATOR_BATCH_MAX];
	size_t count;
	bool background;
};

struct hydrator {
	struct account *account;

	struct mutex mutex;      /* rank LEAF; guards all below */
	struct condition work;   /* something is wanted, or the end */
	struct condition filled; /* nothing more is wanted in the background */
	struct want *buckets[HYDRATOR_BUCKETS];
	struct want_list waiting[WANT_PRIORITY_COUNT];
	struct stream_of_reads streams[HYDRATOR_STREAMS];
	uint64_t stream_clock;
	uint64_t last_ticket;
	size_t tickets;
	bool filling;                         /* the background has something to do, as far as is known */
	bool fill_due;                        /* it is to be looked what that is */
	bool looking;                         /* a thread looks */
	unsigned background;                  /* threads that bring something in the background */
	uint64_t failed[HYDRATOR_FAILED_MAX]; /* not tried again in the background for a while */
	int64_t failed_ms[HYDRATOR_FAILED_MAX];
	size_t failed_next;
	bool ending;
	pthread_t thread[HYDRATOR_THREADS_MAX];
	unsigned threads;
};

/* Starts the threads that the configuration allows, unless they run. */
bool hydrator_start_locked(struct hydrator *hydrator, struct error *err) REQUIRES(hydrator->mutex) MUST_CHECK;
/* Takes what comes first; false: nothing waits. */
bool hydrator_take_locked(struct hydrator *hydrator, struct batch *batch) REQUIRES(hydrator->mutex);
/* Look what comes next in a listing, and what `bodies` wants. They give up the lock while they read, and are true if they did. */
bool hydrator_plan_ahead_locked(struct hydrator *hydrator) REQUIRES(hydrator->mutex);
bool hydrator_plan_fill_locked(struct hydrator *hydrator) REQUIRES(hydrator->mutex);
/* The background has nothing to do until the next pass. */
void hydrator_end_fill_locked(struct hydrator *hydrator) REQUIRES(hydrator->mutex);
/* A message is here (error NULL), or will not be: tells those who wait. `tried`: it was this message that failed, not the way to it. */
void hydrator_complete(struct hydrator *hydrator, struct number number, const struct error *error, bool tried);

#endif
