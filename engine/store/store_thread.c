/* The store's thread: makes lazy commits durable in time, tells the listener what other processes committed, and keeps the log short.
 *
 * It never holds a lock while it waits. What it fails at it tells the log, and tries again: the next durable commit meets the same trouble and tells it to its
 * caller.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/store/store_parts.h"

#define LAZY_MS       60 /* after the first commit that is not durable; the fsync itself comes on top, 100 ms in all */
#define RETRY_MS      1000 /* after a failure */
#define CHECKPOINT_MS 100  /* at least between two checkpoints */
#define LOOK_MS       500  /* between two looks where the kernel does not tell */
#define HEAR_PAUSE_MS 5    /* at least between two looks at `wake`, which tells of our own commits too */

static int64_t
lazy_due_ms(struct store *store)
{
	mutex_lock(&store->lock);
	int64_t since_ms = store->durable < store->committed ? store->lazy_since_ms : 0;

	mutex_unlock(&store->lock);
	return since_ms == 0 ? INT64_MAX : since_ms + LAZY_MS;
}

static bool
flush(struct store *store)
{
	struct error err;

	mutex_lock(&store->lock);
	uint64_t commit = store->committed;

	mutex_unlock(&store->lock);
	if (!store_log_sync(store, commit, &err)) {
		log_error("store", "event=lazy-sync-failed reason=\"%s\"", err.text);
		return false;
	}
	return true;
}

static void
hear_others(struct store *store)
{
	uint64_t modseq;

	if (store->watch != NULL) {
		io_watch_drain(store->watch);
	}
	if (store_wake_read(store, &modseq)) {
		store_announce(store, modseq);
	}
}

static int
timeout_of(int64_t now_ms, int64_t due_ms)
{
	if (due_ms == INT64_MAX) {
		return -1;
	}
	return due_ms <= now_ms ? 0 : due_ms - now_ms > INT32_MAX ? INT32_MAX : (int)(due_ms - now_ms);
}

/* Waits for the due time, a nudge or news; leaves *heard_ms as the time of the last look at news. */
static void
wait_until(struct store *store, int64_t due_ms, int64_t *heard_ms)
{
	int64_t now_ms = io_now_ms(store->io);
	bool deaf = now_ms < *heard_ms + HEAR_PAUSE_MS;
	struct pollfd fds[] = {
		{.fd = cancel_fd(store->nudge), .events = POLLIN},
		{.fd = deaf || store->watch == NULL ? -1 : io_watch_fd(store->watch), .events = POLLIN},
	};
	int timeout_ms =
		timeout_of(now_ms, deaf && due_ms > *heard_ms + HEAR_PAUSE_MS ? *heard_ms + HEAR_PAUSE_MS : due_ms);

	if (poll(fds, ARRAY_LENGTH(fds), timeout_ms) < 0 && errno != EINTR) {
		io_sleep_ms(store->io, LAZY_MS);
	}
	if (fds[0].revents != 0) {
		cancel_clear(store->nudge);
	}
	if (fds[1].revents != 0 || (store->watch == NULL && io_now_ms(store->io) >= *heard_ms + LOOK_MS)) {
		hear_others(store);
		*heard_ms = io_now_ms(store->io);
	}
}

static void
checkpoint_when_long(struct store *store, int64_t now_ms, int64_t *next_ms)
{
	struct error err;

	if (!store_log_is_due(atomic_load(&store->log_pages)) || now_ms < *next_ms) {
		return;
	}
	if (!store_log_checkpoint(store, false, &err)) {
		log_warn("store", "event=checkpoint-failed reason=\"%s\"", err.text);
		*next_ms = io_now_ms(store->io) + RETRY_MS;
		return;
	}
	*next_ms = io_now_ms(store->io) + CHECKPOINT_MS;
}

static void *
run(void *context)
{
	struct store *store = context;
	int64_t not_before_ms = 0, next_checkpoint_ms = 0, heard_ms = 0;

	while (!atomic_load(&store->ending)) {
		int64_t due_ms = lazy_due_ms(store);

		if (store->watch == NULL && heard_ms + LOOK_MS < due_ms) {
			due_ms = heard_ms + LOOK_MS;
		}
		if (due_ms != INT64_MAX && due_ms < not_before_ms) {
			due_ms = not_before_ms;
		}
		if (store_log_is_due(atomic_load(&store->log_pages)) && next_checkpoint_ms < due_ms) {
			due_ms = next_checkpoint_ms;
		}
		if (store_group_due_ms(store) < due_ms) {
			due_ms = store_group_due_ms(store);
		}
		wait_until(store, due_ms, &heard_ms);
		int64_t now_ms = io_now_ms(store->io);

		if (store_group_due_ms(store) <= now_ms) {
			store_group_settle(store);
		}
		if (atomic_exchange(&store->loss_untold, false)) {
			store_announce(store, store_lost_modseq(store));
		}

		if (lazy_due_ms(store) <= now_ms && now_ms >= not_before_ms) {
			not_before_ms = flush(store) ? 0 : now_ms + RETRY_MS;
		}
		checkpoint_when_long(store, now_ms, &next_checkpoint_ms);
	}
	return NULL;
}

bool
store_thread_start(struct store *store, struct error *err)
{
	atomic_store(&store->ending, false);
	int code = pthread_create(&store->thread, NULL, run, store);

	if (code != 0) {
		return error_errno(err, code, "starting the store's thread");
	}
	store->thread_runs = true;
	return true;
}

void
store_thread_end(struct store *store)
{
	if (!store->thread_runs) {
		return;
	}
	atomic_store(&store->ending, true);
	cancel_raise(store->nudge);
	int code = pthread_join(store->thread, NULL);

	assert(code == 0);
	store->thread_runs = false;
}

void
store_thread_nudge(struct store *store)
{
	cancel_raise(store->nudge);
}
