#include "engine/listener.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/account.h"
#include "engine/base/log.h"
#include "engine/watcher.h"
#include "engine/worker.h"

#define WATCH_MS       1500000 /* at a time: 25 min, as servers end a rest of 30 */
#define RETRY_FIRST_MS 2000
#define RETRY_MAX_MS   300000
#define SPARE_MS       15000 /* a spare one that finds no connection free, or gave its own back, looks again then */

struct listener {
	struct account *account;
	bool spare;
	struct cancel *bell;
	pthread_t thread;
	bool started;
	char *given; /* of the thread that gives: what it gave last */

	atomic_int state;
	atomic_bool holds, giving; /* a session; and is asked to give it back */
	atomic_uint generation;    /* of the configuration its session was opened with */

	struct mutex mutex; /* rank LEAF */
	char *wanted;       /* under mutex: raw name, or NULL */

	/* The thread's own. */
	struct remote_session *session;
	char *mailbox; /* or NULL */
	int64_t retry_ms, next_try_ms;
};

struct listener *
listener_create(struct account *account, bool spare)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (listener == NULL) {
		abort();
	}
	listener->account = account;
	listener->spare = spare;
	listener->bell = cancel_create();
	mutex_init(&listener->mutex, LOCK_RANK_LEAF);
	return listener;
}

void
listener_stop(struct listener *listener)
{
	int answer;

	if (listener->started) {
		answer = pthread_join(listener->thread, NULL);
		assert(answer == 0);
		listener->started = false;
	}
}

void
listener_destroy(struct listener **listener)
{
	struct listener *old = *listener;

	if (old == NULL) {
		return;
	}
	listener_stop(old);
	mutex_finish(&old->mutex);
	cancel_destroy(&old->bell);
	free(old->given);
	free(old->wanted);
	free(old->mailbox);
	free(old);
	*listener = NULL;
}

/* --- what comes from other threads --- */

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
keep(char **place, const char *text)
{
	free(*place);
	*place = text != NULL ? slice_dup(slice_of(text)) : NULL;
}

void
listener_set(struct listener *listener, const char *raw_name_or_null)
{
	if (same(listener->given, raw_name_or_null)) {
		return;
	}
	keep(&listener->given, raw_name_or_null);
	mutex_lock(&listener->mutex);
	keep(&listener->wanted, raw_name_or_null);
	mutex_unlock(&listener->mutex);
	cancel_raise(listener->bell);
}

const char *
listener_mailbox(const struct listener *listener)
{
	return listener->given;
}

void
listener_wake(struct listener *listener)
{
	/* While it listens only another configuration is news to it. */
	if (!atomic_load(&listener->holds) ||
		atomic_load(&listener->generation) != atomic_load(&listener->account->config_generation)) {
		cancel_raise(listener->bell);
	}
}

bool
listener_give_back(struct listener *listener)
{
	if (!listener->spare || !atomic_load(&listener->holds) || atomic_exchange(&listener->giving, true)) {
		return false;
	}
	cancel_raise(listener->bell);
	return true;
}

enum listener_state
listener_state(struct listener *listener)
{
	return (enum listener_state)atomic_load(&listener->state);
}

/* --- the thread --- */

/* Who plans what is listened to hears of it. */
static void
enter_state(struct listener *listener, enum listener_state state)
{
	if (atomic_exchange(&listener->state, state) != (int)state) {
		watcher_wake(listener->account->watcher);
	}
}

/* Rests until the bell, the stop or the time (-1: for ever). */
static void
rest(struct listener *listener, int64_t timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = cancel_fd(listener->bell), .events = POLLIN},
		{.fd = cancel_fd(listener->account->stop), .events = POLLIN},
	};

	if (poll(fds, ARRAY_LENGTH(fds), (int)timeout_ms) < 0 && errno != EINTR) {
		io_sleep_ms(listener->account->io, 100);
	}
	cancel_clear(listener->bell);
}

static void
close_session(struct listener *listener)
{
	account_session_close(listener->account, &listener->session);
	atomic_store(&listener->holds, false);
	atomic_store(&listener->giving, false);
}

/* The worker meets the same trouble, and tells it. */
static bool
may_connect(struct listener *listener)
{
	switch (account_condition_get(listener->account).state) {
	case ACCOUNT_SYNCING:
	case ACCOUNT_IDLE:
	case ACCOUNT_HELD:
	case ACCOUNT_FAILING:
		return true;
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

static void
pass_on(void *context, const struct remote_watch_event *event)
{
	struct listener *listener = context;

	(void)event;
	worker_note_hint(listener->account->worker);
}

static bool
open_session(struct listener *listener, struct error *err)
{
	struct account *account = listener->account;

	atomic_store(&listener->generation, atomic_load(&account->config_generation));
	if (!(listener->spare ? account_session_open_spare(account, account->stop, &listener->session, err)
			      : account_session_open(account, account->stop, &listener->session, err))) {
		return false;
	}
	atomic_store(&listener->holds, true);
	return true;
}

/* Listens until there is something else to do; false: the connection is no more. */
static bool
listen_once(struct listener *listener, struct error *err)
{
	const struct slice name = slice_of(listener->mailbox);
	const struct remote_capabilities *can = listener->session->ops->capabilities(listener->session);

	if (!can->notify && !can->idle) {
		close_session(listener);
		enter_state(listener, LISTENER_CANNOT);
		log_info("listener", "account=%s event=no-push: the server is polled", account_name(listener->account));
		return true;
	}
	enter_state(listener, can->notify ? LISTENER_HEARS_ALL : LISTENER_HEARS_ONE);
	return listener->session->ops->watch(
		listener->session, &name, 1, cancel_fd(listener->bell), WATCH_MS, pass_on, listener, err);
}

/* Takes over what it was given; false: it has nothing to do now, and *out_rest_ms says until when (-1: until the bell). */
static bool
is_due(struct listener *listener, int64_t *out_rest_ms)
{
	struct account *account = listener->account;
	bool anew = atomic_load(&listener->generation) != atomic_load(&account->config_generation);
	int64_t now_ms = io_now_ms(account->io);

	mutex_lock(&listener->mutex);
	if (!same(listener->mailbox, listener->wanted)) {
		keep(&listener->mailbox, listener->wanted);
		listener->next_try_ms = 0;
	}
	mutex_unlock(&listener->mutex);
	if (atomic_load(&listener->giving)) {
		listener->next_try_ms = now_ms + SPARE_MS;
	}
	if (anew || listener->mailbox == NULL || atomic_load(&listener->giving)) {
		close_session(listener);
	}
	if (anew && listener_state(listener) == LISTENER_CANNOT) {
		enter_state(listener, LISTENER_RESTS);
	}
	*out_rest_ms = -1;
	if (listener->mailbox == NULL || listener_state(listener) == LISTENER_CANNOT) {
		return false;
	}
	if (listener->session == NULL && now_ms < listener->next_try_ms) {
		*out_rest_ms = listener->next_try_ms - now_ms;
		return false;
	}
	return listener->session != NULL || may_connect(listener);
}

/* The connection failed, or none could be had. */
static void
note_failure(struct listener *listener, const struct error *error, int64_t began_ms, bool opened)
{
	struct account *account = listener->account;
	int64_t now_ms = io_now_ms(account->io);

	if (listener->spare && !opened) {
		listener->next_try_ms = now_ms + SPARE_MS;
		return;
	}
	/* What came while nobody listened is found by a pass, which also finds out whether the server is there. */
	log_info("listener", "account=%s event=ended reason=%s", account_name(account), error->text);
	worker_note_hint(account->worker);
	listener->retry_ms =
		listener->retry_ms == 0 || now_ms - began_ms > RETRY_MAX_MS ? RETRY_FIRST_MS : listener->retry_ms * 2;
	listener->retry_ms = listener->retry_ms < RETRY_MAX_MS ? listener->retry_ms : RETRY_MAX_MS;
	listener->next_try_ms = now_ms + listener->retry_ms;
}

static void *
run(void *context)
{
	struct listener *listener = context;
	struct account *account = listener->account;

	account_mark_thread();
	while (!cancel_raised(account->stop)) {
		int64_t rest_ms, began_ms = io_now_ms(account->io);
		struct error err = ERROR_INIT;
		bool opened;

		cancel_clear(listener->bell);
		if (!is_due(listener, &rest_ms)) {
			if (listener->session == NULL && listener_state(listener) != LISTENER_CANNOT) {
				enter_state(listener, LISTENER_RESTS);
			}
			rest(listener, rest_ms);
			continue;
		}
		opened = listener->session != NULL || open_session(listener, &err);
		if (opened && listen_once(listener, &err)) {
			listener->retry_ms = 0;
			continue;
		}
		close_session(listener);
		if (err.kind == ERROR_CANCELLED) {
			break;
		}
		note_failure(listener, &err, began_ms, opened);
	}
	close_session(listener);
	enter_state(listener, LISTENER_RESTS);
	return NULL;
}

bool
listener_start(struct listener *listener, struct error *err)
{
	int answer;

	if (listener->started) {
		return true;
	}
	answer = pthread_create(&listener->thread, NULL, run, listener);
	if (answer != 0) {
		return error_errno(err, answer, "cannot start a listener's thread");
	}
	listener->started = true;
	return true;
}
