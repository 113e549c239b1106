#include "engine/watcher.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/base/log.h"
#include "engine/worker.h"

#define CONNECTIONS_LEAST 3       /* else the worker and the bodies need them */
#define WATCH_MS          1500000 /* at a time: 25 min, as servers end a rest of 30 */
#define RETRY_FIRST_MS    2000
#define RETRY_MAX_MS      300000

struct watcher {
	struct account *account;
	struct cancel *bell;
	pthread_t thread;
	bool started;
	atomic_bool watching, hears_all;
	atomic_uint generation; /* of the configuration its session was opened with */
	/* The thread's own. */
	struct remote_session *session;
	int64_t retry_ms;
};

struct watcher *
watcher_create(struct account *account)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));

	if (watcher == NULL) {
		abort();
	}
	watcher->account = account;
	watcher->bell = cancel_create();
	return watcher;
}

void
watcher_destroy(struct watcher **watcher)
{
	if (*watcher == NULL) {
		return;
	}
	assert(!(*watcher)->started);
	cancel_destroy(&(*watcher)->bell);
	free(*watcher);
	*watcher = NULL;
}

void
watcher_wake(struct watcher *watcher)
{
	/* While it watches only another configuration is news to it. */
	if (!atomic_load(&watcher->watching) ||
		atomic_load(&watcher->generation) != atomic_load(&watcher->account->config_generation)) {
		cancel_raise(watcher->bell);
	}
}

bool
watcher_hears_all(struct watcher *watcher)
{
	return atomic_load(&watcher->hears_all);
}

/* Rests until the bell, the stop or the time (-1: for ever). */
static void
rest(struct watcher *watcher, int64_t timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = cancel_fd(watcher->bell), .events = POLLIN},
		{.fd = cancel_fd(watcher->account->stop), .events = POLLIN},
	};

	if (poll(fds, ARRAY_LENGTH(fds), (int)timeout_ms) < 0 && errno != EINTR) {
		io_sleep_ms(watcher->account->io, 100);
	}
	cancel_clear(watcher->bell);
}

static void
pass_on(void *context, const struct remote_watch_event *event)
{
	struct watcher *watcher = context;

	worker_note_hint(watcher->account->worker);
}

/* The worker meets the same trouble, and tells it. */
static bool
may_connect(struct watcher *watcher)
{
	switch (account_condition_get(watcher->account).state) {
	case ACCOUNT_SYNCING:
	case ACCOUNT_IDLE:
	case ACCOUNT_HELD:
	case ACCOUNT_FAILING:
		return account_config(watcher->account)->connections >= CONNECTIONS_LEAST;
	case ACCOUNT_STOPPED:
	case ACCOUNT_STANDBY:
	case ACCOUNT_STARTING:
	case ACCOUNT_OFFLINE:
	case ACCOUNT_CREDENTIALS:
	case ACCOUNT_THROTTLED:
	case ACCOUNT_STATE_COUNT:
		break;
	}
	return false;
}

static bool
watch(struct watcher *watcher, struct error *err)
{
	struct account *account = watcher->account;
	const struct slice inbox = SLICE_LITERAL("INBOX");
	const struct remote_capabilities *can;
	bool ok;

	if (watcher->session == NULL) {
		atomic_store(&watcher->generation, atomic_load(&account->config_generation));
		if (!account_session_open(account, account->stop, &watcher->session, err)) {
			return false;
		}
	}
	can = watcher->session->ops->capabilities(watcher->session);
	if (!can->notify && !can->idle) {
		account_session_close(account, &watcher->session);
		log_info("watcher", "account=%s event=no-push: the server is polled", account_name(account));
		rest(watcher, -1);
		return true;
	}
	atomic_store(&watcher->hears_all, can->notify);
	atomic_store(&watcher->watching, true);
	ok = watcher->session->ops->watch(
		watcher->session, &inbox, 1, cancel_fd(watcher->bell), WATCH_MS, pass_on, watcher, err);
	atomic_store(&watcher->watching, false);
	atomic_store(&watcher->hears_all, false);
	cancel_clear(watcher->bell);
	return ok;
}

static void *
run(void *context)
{
	struct watcher *watcher = context;
	struct account *account = watcher->account;

	account_mark_thread();
	while (!cancel_raised(account->stop)) {
		struct error err = ERROR_INIT;
		int64_t began_ms = io_now_ms(account->io);

		if (watcher->session == NULL && !may_connect(watcher)) {
			rest(watcher, -1);
			continue;
		}
		if (watch(watcher, &err)) {
			watcher->retry_ms = 0;
			if (atomic_load(&watcher->generation) != atomic_load(&account->config_generation)) {
				account_session_close(account, &watcher->session);
			}
			continue;
		}
		account_session_close(account, &watcher->session);
		if (err.kind == ERROR_CANCELLED) {
			break;
		}
		/* What came while nobody listened is found by a pass, which also finds out whether the server is there. */
		log_info("watcher", "account=%s event=ended reason=%s", account_name(account), err.text);
		worker_note_hint(account->worker);
		watcher->retry_ms = watcher->retry_ms == 0 || io_now_ms(account->io) - began_ms > RETRY_MAX_MS
					    ? RETRY_FIRST_MS
					    : watcher->retry_ms * 2;
		watcher->retry_ms = watcher->retry_ms < RETRY_MAX_MS ? watcher->retry_ms : RETRY_MAX_MS;
		rest(watcher, watcher->retry_ms);
	}
	account_session_close(account, &watcher->session);
	return NULL;
}

bool
watcher_start(struct watcher *watcher, struct error *err)
{
	int answer = pthread_create(&watcher->thread, NULL, run, watcher);

	if (answer != 0) {
		return error_errno(err, answer, "cannot start the watcher's thread");
	}
	watcher->started = true;
	return true;
}

void
watcher_stop(struct watcher *watcher)
{
	int answer;

	if (!watcher->started) {
		return;
	}
	answer = pthread_join(watcher->thread, NULL);
	assert(answer == 0);
	watcher->started = false;
}
