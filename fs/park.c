#include "fs/park.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/mutex.h"
#include "fs/mount_internal.h"

/* One request. It is ended once, by whatever comes first; then the thread answers it. The engine's callback may still be on its way, so
 * the last of the two frees it. */
struct park_wait {
	struct park_wait *next; /* under lock, in park->waits */
	struct park *park;
	fuse_req_t req;
	park_answer *answer;
	void *context;
	struct account *account; /* waits for the body of `number`; or NULL */
	struct number number;
	uint64_t inode;      /* waits for park_wake_inode; or 0 */
	uint64_t ticket;     /* of view_body_request */
	bool called;         /* under lock: the engine called back */
	bool ended;          /* under lock: `end` tells how */
	bool answered;       /* under lock: its request is gone; the engine's callback is awaited */
	enum park_end end;   /* under lock */
	bool failed;         /* under lock: `error` tells why */
	struct error error;  /* under lock */
	int64_t deadline_ms; /* monotonic */
};

struct park {
	struct mount *mount;
	struct mutex lock; /* rank LEAF */
	struct condition changed;
	struct park_wait *waits; /* under lock */
	bool stop;               /* under lock */
	bool running;
	pthread_t thread;
};

int64_t
park_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
end_locked(struct park_wait *wait, enum park_end end)
{
	if (!wait->ended) {
		wait->ended = true;
		wait->end = end;
		condition_signal(&wait->park->changed);
	}
}

/* A signal for who waits. libfuse holds the request's own lock, so the answer is the thread's. */
static void
interrupted(fuse_req_t req, void *context)
{
	struct park_wait *wait = context;

	mutex_lock(&wait->park->lock);
	end_locked(wait, PARK_INTERRUPTED);
	mutex_unlock(&wait->park->lock);
}

static struct park_wait *
new_wait(struct park *park, fuse_req_t req, park_answer *answer, void *context)
{
	struct park_wait *wait = calloc(1, sizeof(*wait));

	if (wait == NULL) {
		abort();
	}
	*wait = (struct park_wait){
		.park = park, .req = req, .answer = answer, .context = context, .deadline_ms = INT64_MAX};
	return wait;
}

static void
add(struct park *park, struct park_wait *wait)
{
	mutex_lock(&park->lock);
	wait->next = park->waits;
	park->waits = wait;
	condition_signal(&park->changed);
	mutex_unlock(&park->lock);
}

/* Called by a thread of the engine, once. */
static void
body_came(void *context, const struct error *error)
{
	struct park_wait *wait = context;
	struct park *park = wait->park;
	bool last;

	mutex_lock(&park->lock);
	wait->called = true;
	last = wait->answered;
	if (!wait->ended && error != NULL && error->kind != ERROR_NONE) {
		wait->failed = true;
		wait->error = *error;
	}
	end_locked(wait, PARK_READY);
	mutex_unlock(&park->lock);
	if (last) {
		free(wait);
	}
}

bool
park_for_body(struct park *park, fuse_req_t req, struct account *account, struct number number, int64_t timeout_ms,
	park_answer *answer, void *context, struct error *err)
{
	struct park_wait *wait = new_wait(park, req, answer, context);
	uint64_t ticket = 0;

	wait->account = account;
	wait->number = number;
	wait->deadline_ms = park_now_ms() + timeout_ms;
	if (!view_body_request(account, number, body_came, wait, &ticket, err)) {
		free(wait);
		return false;
	}
	wait->ticket = ticket;
	/* known to the kernel's interrupts before the thread may answer it, or they would find it freed */
	fuse_req_interrupt_func(req, interrupted, wait);
	add(park, wait);
	return true;
}

struct park_wait *
park_for_wake(struct park *park, fuse_req_t req, park_answer *answer, void *context)
{
	struct park_wait *wait = new_wait(park, req, answer, context);

	wait->called = true; /* no callback of the engine's to wait for */
	fuse_req_interrupt_func(req, interrupted, wait);
	add(park, wait);
	return wait;
}

void
park_for_inode(
	struct park *park, fuse_req_t req, uint64_t inode, int64_t timeout_ms, park_answer *answer, void *context)
{
	struct park_wait *wait = new_wait(park, req, answer, context);

	wait->called = true;
	wait->inode = inode;
	wait->deadline_ms = park_now_ms() + timeout_ms;
	fuse_req_interrupt_func(req, interrupted, wait);
	add(park, wait);
}

void
park_wake_inode(struct park *park, uint64_t inode)
{
	mutex_lock(&park->lock);
	for (struct park_wait *wait = park->waits; wait != NULL; wait = wait->next) {
		if (wait->inode == inode) {
			end_locked(wait, PARK_READY);
		}
	}
	mutex_unlock(&park->lock);
}

void
park_body_here(struct park *park, const struct account *account, struct number number)
{
	mutex_lock(&park->lock);
	for (struct park_wait *wait = park->waits; wait != NULL; wait = wait->next) {
		if (wait->account == account && wait->number.value == number.value) {
			end_locked(wait, PARK_READY);
		}
	}
	mutex_unlock(&park->lock);
}

void
park_wake(struct park *park, struct park_wait *wait)
{
	mutex_lock(&park->lock);
	end_locked(wait, PARK_READY);
	mutex_unlock(&park->lock);
}

/* Takes out a wait that has ended; *out_due is the nearest deadline of the others. */
static struct park_wait *
take_ended_locked(struct park *park, int64_t now_ms, int64_t *out_due)
{
	*out_due = INT64_MAX;
	for (struct park_wait **at = &park->waits; *at != NULL; at = &(*at)->next) {
		struct park_wait *wait = *at;

		if (!wait->ended && park->stop) {
			end_locked(wait, PARK_CLOSED);
		} else if (!wait->ended && wait->deadline_ms <= now_ms) {
			end_locked(wait, PARK_TIMEOUT);
		}
		if (wait->ended) {
			*at = wait->next;
			return wait;
		}
		*out_due = wait->deadline_ms < *out_due ? wait->deadline_ms : *out_due;
	}
	return NULL;
}

/* Answers a wait that was taken out. */
static void
finish(struct park *park, struct park_wait *wait)
{
	bool free_now;

	fuse_req_interrupt_func(wait->req, NULL, NULL); /* after this no interrupt is, or will be, with us */
	mutex_lock(&park->lock);
	free_now = wait->called;
	mutex_unlock(&park->lock);
	if (!free_now && view_body_forget(wait->account, wait->ticket)) {
		free_now = true; /* it will not call */
	}
	wait->answer(park->mount, wait->req, wait->context, wait->end, wait->failed ? &wait->error : NULL);
	if (!free_now) {
		mutex_lock(&park->lock);
		free_now = wait->called;
		wait->answered = true;
		mutex_unlock(&park->lock);
	}
	if (free_now) {
		free(wait);
	}
}

static void *
run(void *context)
{
	struct park *park = context;

	mutex_lock(&park->lock);
	for (;;) {
		int64_t due_ms;
		struct park_wait *wait = take_ended_locked(park, park_now_ms(), &due_ms);

		if (wait != NULL) {
			mutex_unlock(&park->lock);
			finish(park, wait);
			mutex_lock(&park->lock);
			continue;
		}
		if (park->stop) {
			break;
		}
		if (due_ms == INT64_MAX) {
			condition_wait(&park->changed, &park->lock);
		} else {
			(void)condition_wait_until(&park->changed, &park->lock, due_ms);
		}
	}
	mutex_unlock(&park->lock);
	return NULL;
}

struct park *
park_create(struct mount *mount)
{
	struct park *park = calloc(1, sizeof(*park));

	if (park == NULL) {
		abort();
	}
	park->mount = mount;
	mutex_init(&park->lock, LOCK_RANK_LEAF);
	condition_init(&park->changed);
	return park;
}

bool
park_start(struct park *park, struct error *err)
{
	int answer = pthread_create(&park->thread, NULL, run, park);

	if (answer != 0) {
		return error_errno(err, answer, "starting the thread for requests that wait");
	}
	park->running = true;
	return true;
}

void
park_stop(struct park *park)
{
	if (park == NULL || !park->running) {
		return;
	}
	mutex_lock(&park->lock);
	park->stop = true;
	condition_signal(&park->changed);
	mutex_unlock(&park->lock);
	(void)pthread_join(park->thread, NULL);
	park->running = false;
}

void
park_destroy(struct park **park)
{
	if (*park == NULL) {
		return;
	}
	park_stop(*park);
	assert((*park)->waits == NULL);
	condition_finish(&(*park)->changed);
	mutex_finish(&(*park)->lock);
	free(*park);
	*park = NULL;
}
