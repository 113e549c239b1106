#include "engine/worker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/base/log.h"
#include "engine/base/random.h"
#include "engine/edit_internal.h"
#include "engine/hydrator.h"
#include "engine/store/base.h"
#include "engine/store/intent.h"
#include "engine/watcher.h"

#define CHANGE_REST_MS       50 /* after the last change: times may still come */
#define CHANGE_MOST_MS       90 /* after the first */
#define HINT_REST_MS         30 /* a burst of hints is one pass */
#define BACKOFF_FIRST_MS     2000
#define BACKOFF_MAX_MS       900000
#define BACKOFF_LEAST_MS     200
#define HEALTHY_MS           300000 /* so long without a failure, and the next one counts as the first */
#define POLL_WHEN_HEARING_MS 900000
#define UPKEEP_MS            60000
#define IDLE_LOCAL_MAX_MS    30000 /* between passes over local changes that change nothing */
#define DRAIN_STEP_MS        100
#define SETTLE_MS            1500 /* after a pass that changed something, until the account is looked at once more */
#define SETTLE_LOOKS         2    /* so often: then, and when `poll` is over */
#define AGAIN_MS             1000 /* until the next pass, where one left something to it and did not say when */

struct worker_request {
	struct worker_request *next;
	struct admin_sync_options options; /* with names of its own */
	char **names;
	bool ended, forgotten; /* under the worker's mutex */
	bool ok;
	struct admin_sync_result result;
	struct error error;
};

struct worker {
	struct account *account;
	struct cancel *bell;
	pthread_t thread;
	atomic_bool running;

	struct mutex mutex;                      /* rank LEAF */
	struct condition ended;                  /* with mutex: a request or a pass ended */
	struct worker_request *first, *last;     /* under mutex */
	int64_t hint_ms;                         /* under mutex: when the last hint came; 0: none waits */
	int64_t change_first_ms, change_last_ms; /* under mutex: of changes that no pass has seen; 0: none */

	/* The thread's own. */
	struct remote_session *session;
	struct sync *sync;
	struct sync_settings settings; /* what sync was made with */
	unsigned generation;           /* of the configuration they are of */
	struct random random;
	unsigned failures; /* in a row, each less than HEALTHY_MS after the one before */
	int64_t healthy_since_ms;
	int64_t next_try_ms;  /* nothing is tried before, but for requests */
	int64_t next_poll_ms; /* the next pass of all mailboxes */
	int64_t next_upkeep_ms, next_promote_ms;
	int64_t next_local_ms; /* no pass over local changes before */
	int64_t idle_local_ms; /* how long such a pass waits after one that changed nothing */
	bool agreed_once;      /* a pass of all mailboxes has been through */
	unsigned looks_left;   /* at the account, since a pass changed something */
};

struct worker *
worker_create(struct account *account)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (worker == NULL) {
		abort();
	}
	worker->account = account;
	worker->bell = cancel_create();
	mutex_init(&worker->mutex, LOCK_RANK_LEAF);
	condition_init(&worker->ended);
	return worker;
}

static void
free_request(struct worker_request *request)
{
	for (size_t i = 0; i < request->options.mailbox_count; i++) {
		free(request->names[i]);
	}
	free(request->names);
	admin_sync_result_finish(&request->result);
	free(request);
}

void
worker_destroy(struct worker **worker)
{
	if (*worker == NULL) {
		return;
	}
	assert(!atomic_load(&(*worker)->running) && (*worker)->first == NULL);
	condition_finish(&(*worker)->ended);
	mutex_finish(&(*worker)->mutex);
	cancel_destroy(&(*worker)->bell);
	free(*worker);
	*worker = NULL;
}

/* --- what comes from other threads --- */

bool
worker_runs(struct worker *worker)
{
	return atomic_load(&worker->running);
}

void
worker_wake(struct worker *worker)
{
	if (worker_runs(worker)) {
		cancel_raise(worker->bell);
	}
}

void
worker_note_change(struct worker *worker)
{
	int64_t now_ms;
	bool first;

	if (!worker_runs(worker)) {
		return;
	}
	now_ms = io_now_ms(worker->account->io);
	mutex_lock(&worker->mutex);
	first = worker->change_first_ms == 0;
	if (first) {
		worker->change_first_ms = now_ms;
	}
	worker->change_last_ms = now_ms;
	mutex_unlock(&worker->mutex);
	if (first) {
		cancel_raise(worker->bell);
	}
}

void
worker_note_hint(struct worker *worker)
{
	int64_t now_ms = io_now_ms(worker->account->io);

	mutex_lock(&worker->mutex);
	worker->hint_ms = now_ms;
	mutex_unlock(&worker->mutex);
	worker_wake(worker);
}

struct worker_request *
worker_submit(struct worker *worker, const struct admin_sync_options *options)
{
	struct worker_request *request = calloc(1, sizeof(*request));

	if (request == NULL || (request->names = calloc(options->mailbox_count + 1, sizeof(char *))) == NULL) {
		abort();
	}
	for (size_t i = 0; i < options->mailbox_count; i++) {
		request->names[i] = slice_dup(slice_of(options->mailboxes[i]));
	}
	request->options = *options;
	request->options.mailboxes = (const char *const *)request->names;
	mutex_lock(&worker->mutex);
	if (!worker_runs(worker)) {
		request->ended = true;
		error_set(&request->error, ERROR_RETRY, "the account is not driven by this process any more");
	} else if (worker->last == NULL) {
		worker->first = worker->last = request;
	} else {
		worker->last->next = request;
		worker->last = request;
	}
	mutex_unlock(&worker->mutex);
	worker_wake(worker);
	return request;
}

bool
worker_wait(struct worker *worker, struct worker_request *request, int64_t timeout_ms)
{
	int64_t deadline_ms = io_now_ms(worker->account->io) + timeout_ms;
	bool ended, more = true;

	mutex_lock(&worker->mutex);
	while (!request->ended && more) {
		more = condition_wait_until(&worker->ended, &worker->mutex, deadline_ms);
	}
	ended = request->ended;
	mutex_unlock(&worker->mutex);
	return ended;
}

bool
worker_result(struct worker_request *request, struct admin_sync_result *out, struct error *err)
{
	*out = request->result;
	request->result = (struct admin_sync_result){0};
	if (!request->ok) {
		*err = request->error;
	}
	return request->ok;
}

void
worker_release(struct worker *worker, struct worker_request **request)
{
	struct worker_request *old = *request;
	bool ended;

	if (old == NULL) {
		return;
	}
	mutex_lock(&worker->mutex);
	ended = old->ended;
	old->forgotten = true;
	mutex_unlock(&worker->mutex);
	if (ended) {
		free_request(old);
	}
	*request = NULL;
}

/* --- the thread: sessions --- */

static void
close_session(struct worker *worker)
{
	account_session_close(worker->account, &worker->session);
}

/* What was opened is of an older configuration. */
static void
drop_old(struct worker *worker)
{
	unsigned generation = atomic_load(&worker->account->config_generation);

	if (worker->sync != NULL && worker->generation == generation) {
		return;
	}
	close_session(worker);
	sync_destroy(&worker->sync);
	worker->settings = account_sync_settings(worker->account);
	worker->sync = sync_create(worker->account->io, worker->account->store, &worker->settings);
	worker->generation = generation;
	worker->failures = 0;
	worker->next_try_ms = 0;
	worker->next_poll_ms = 0;
}

static bool
open_session(struct worker *worker, struct error *err)
{
	struct remote_session *session = worker->session;

	if (session != NULL && session->ops->alive(session)) {
		if (session->ops->refresh(session, err)) {
			return true;
		}
		if (err->kind != ERROR_RETRY && err->kind != ERROR_UNREACHABLE) {
			return false;
		}
	}
	close_session(worker); /* one that rested and was cut says nothing about the server */
	return account_session_open(worker->account, worker->account->stop, &worker->session, err);
}

/* --- the thread: passes --- */

static void
report_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
	struct worker *worker = context;

	account_set_progress(worker->account, phase, done, total);
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A pass left something to another one that is due soon. */
static void
note_again(struct worker *worker, int64_t again_in_ms)
{
	int64_t again_ms = again_in_ms > 0 ? again_in_ms : AGAIN_MS;

	worker->next_poll_ms = least(worker->next_poll_ms, io_now_ms(worker->account->io) + again_ms);
}

/* The state that a pass leaves the account in: what is held or set aside counts, whichever pass did it. */
static void
enter_settled_state(struct worker *worker)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(buf_finish) struct buf ignored_text = BUF_INIT;
	struct error why = ERROR_INIT, ignored = ERROR_INIT;
	struct worker_asides asides;
	uint64_t held = 0;

	if (!store_read_begin(worker->account->store, &txn, &why) ||
		!sync_held(txn, false, &ignored_text, &held, &why) || !worker_count_asides(txn, &asides, &why)) {
		account_enter_state(worker->account, ACCOUNT_FAILING, &why, worker->next_poll_ms);
		return;
	}
	store_read_end(&txn);
	if (asides.count > 0) {
		int64_t wait_ms = (asides.next_try_s - io_wall_s(worker->account->io)) * 1000;

		note_again(worker, wait_ms > AGAIN_MS ? wait_ms : AGAIN_MS);
	}
	if (held > 0) {
		error_set(&ignored, ERROR_REFUSED, "%" PRIu64 " held: see `mailfs held`", held);
		account_enter_state(worker->account, ACCOUNT_HELD, &ignored, worker->next_poll_ms);
	} else if (asides.count > 0) {
		error_set(&ignored, ERROR_ITEM, "some messages or mailboxes are set aside: see `mailfs status`");
		account_enter_state(worker->account, ACCOUNT_FAILING, &ignored, worker->next_poll_ms);
	} else {
		account_enter_state(worker->account, ACCOUNT_IDLE, NULL, worker->next_poll_ms);
	}
}

static int64_t
backoff_ms(struct worker *worker)
{
	int64_t most_ms = BACKOFF_FIRST_MS;

	for (unsigned i = 1; i < worker->failures && most_ms < BACKOFF_MAX_MS; i++) {
		most_ms *= 2;
	}
	most_ms = most_ms < BACKOFF_MAX_MS ? most_ms : BACKOFF_MAX_MS;
	return BACKOFF_LEAST_MS + (int64_t)random_below(&worker->random, (uint64_t)(most_ms - BACKOFF_LEAST_MS));
}

static enum account_state
state_of(enum error_kind kind)
{
	switch (kind) {
	case ERROR_RETRY:
	case ERROR_UNREACHABLE:
		return ACCOUNT_OFFLINE;
	case ERROR_THROTTLED:
		return ACCOUNT_THROTTLED;
	case ERROR_CREDENTIALS:
	case ERROR_TRUST:
		return ACCOUNT_CREDENTIALS;
	case ERROR_NONE:
	case ERROR_CONFIG:
	case ERROR_ITEM:
	case ERROR_GONE:
	case ERROR_EXISTS:
	case ERROR_REFUSED:
	case ERROR_INVALID:
	case ERROR_SPACE:
	case ERROR_DAMAGED:
	case ERROR_CANCELLED:
	case ERROR_SYSTEM:
	case ERROR_FATAL:
	case ERROR_KIND_COUNT:
		break;
	}
	return ACCOUNT_FAILING;
}

static void
note_failure(struct worker *worker, const struct error *error)
{
	int64_t now_ms = io_now_ms(worker->account->io), wait_ms;
	enum account_state state = state_of(error->kind);

	if (error->kind == ERROR_CANCELLED) {
		return;
	}
	if (worker->healthy_since_ms != 0 && now_ms - worker->healthy_since_ms > HEALTHY_MS) {
		worker->failures = 0;
	}
	worker->healthy_since_ms = 0;
	worker->failures++;
	wait_ms = backoff_ms(worker);
	if (state == ACCOUNT_THROTTLED && error->wait_s > 0) {
		wait_ms = (int64_t)error->wait_s * 1000;
	} else if (state == ACCOUNT_CREDENTIALS || error->kind == ERROR_CONFIG || error->kind == ERROR_FATAL) {
		wait_ms = BACKOFF_MAX_MS;
	}
	worker->next_try_ms = now_ms + wait_ms;
	worker->next_poll_ms = worker->next_try_ms; /* what was missed is looked for */
	if (state == ACCOUNT_CREDENTIALS) {
		account_secret_forget(&worker->account->secret);
	}
	account_enter_state(worker->account, state, error, worker->next_try_ms);
}

static void
note_success(struct worker *worker, bool all)
{
	int64_t now_ms = io_now_ms(worker->account->io),
		poll_ms = (int64_t)account_config(worker->account)->poll_s * 1000;

	if (worker->healthy_since_ms == 0) {
		worker->healthy_since_ms = now_ms;
	}
	worker->next_try_ms = 0;
	if (all) {
		worker->agreed_once = true;
		if (watcher_hears_all(worker->account->watcher) && poll_ms < POLL_WHEN_HEARING_MS) {
			poll_ms = POLL_WHEN_HEARING_MS;
		}
		worker->next_poll_ms = now_ms + poll_ms;
	}
}

/* Where one change was another may follow, and the server may not tell of it: what comes and goes between two of its looks is nothing to it
 * (VIOLATIONS.md). So the account is looked at soon again, and once more later.
 */
static void
note_looked(struct worker *worker, bool did, bool all, int64_t now_ms)
{
	int64_t poll_ms = (int64_t)account_config(worker->account)->poll_s * 1000;

	if (did) {
		worker->looks_left = SETTLE_LOOKS;
	} else if (all && worker->looks_left > 0) {
		worker->looks_left--;
	}
	if (worker->looks_left > 0) {
		worker->next_poll_ms = least(
			worker->next_poll_ms, now_ms + (worker->looks_left == SETTLE_LOOKS ? SETTLE_MS : poll_ms));
	}
}

/* What stands in the store before this is seen by the pass. */
static void
forget_changes(struct worker *worker, bool hints)
{
	mutex_lock(&worker->mutex);
	worker->change_first_ms = worker->change_last_ms = 0;
	if (hints) {
		worker->hint_ms = 0;
	}
	mutex_unlock(&worker->mutex);
}

/* One pass of our own accord, over everything or over local changes. Nothing is sent before it is durable. */
static void
run_own_pass(struct worker *worker, bool local_only)
{
	struct account *account = worker->account;
	struct sync_result result = {0};
	struct error err = ERROR_INIT;
	bool ok, did, old_copy = atomic_load(&account->rolled_back);
	struct sync_pass pass = {
		.full = old_copy,
		.local_only = local_only,
		.bodies_with_scan = account_config(account)->bodies == CONFIG_BODIES_ALL &&
				    (!account->mounted || worker->agreed_once),
		.lock_timeout_ms = local_only ? 0 : 1000,
		.progress = report_progress,
		.context = worker,
	};

	forget_changes(worker, !local_only);
	account_enter_state(account, ACCOUNT_SYNCING, NULL, 0);
	ok = store_sync(account->store, &err) && open_session(worker, &err) &&
	     sync_pass_run(worker->sync, worker->session, &pass, &result, &err);
	account_set_progress(account, NULL, 0, 0);
	did = result.mailboxes_changed + result.new_here + result.new_there + result.moved_here + result.moved_there +
		      result.flags_here + result.flags_there + result.expunged_here + result.expunged_there >
	      0;
	if (!ok) {
		note_failure(worker, &err);
	} else {
		int64_t now_ms = io_now_ms(account->io);

		note_success(worker, !local_only && result.deferred == 0);
		note_looked(worker, did, !local_only, now_ms);
		if (old_copy && !local_only) {
			account_settle_rollback(account);
		}
		if (result.reconnect) {
			close_session(worker);
		}
		if (result.again || result.deferred > 0) {
			note_again(worker, result.again ? result.again_in_ms : 0);
		}
		worker->idle_local_ms = did ? 0 : worker->idle_local_ms == 0 ? 200 : worker->idle_local_ms * 2;
		worker->idle_local_ms =
			worker->idle_local_ms < IDLE_LOCAL_MAX_MS ? worker->idle_local_ms : IDLE_LOCAL_MAX_MS;
		worker->next_local_ms = local_only ? now_ms + worker->idle_local_ms : 0;
		enter_settled_state(worker);
		hydrator_fill(account->hydrator);
		watcher_wake(account->watcher);
	}
	sync_result_finish(&result);
}

/* A pass that somebody asked for, with settings of its own where the direction differs. */
static void
serve(struct worker *worker, struct worker_request *request)
{
	static const enum sync_direction directions[] = {SYNC_BOTH, SYNC_PULL, SYNC_PUSH};
	struct account *account = worker->account;
	struct sync_settings settings = worker->settings;
	struct sync *own = NULL, *sync = worker->sync;
	int direction = request->options.direction;
	struct error err = ERROR_INIT;
	bool ok;

	if (direction >= 0 && direction < 3 && directions[direction] != settings.direction) {
		settings.direction = directions[direction];
		sync = own = sync_create(account->io, account->store, &settings);
	}
	forget_changes(worker, true);
	account_enter_state(account, ACCOUNT_SYNCING, NULL, 0);
	ok = store_sync(account->store, &err) && open_session(worker, &err) &&
	     worker_run_pass(account, sync, worker->session, &request->options, report_progress, worker, false,
		     &request->result, &err);
	sync_destroy(&own);
	account_set_progress(account, NULL, 0, 0);
	if (ok) {
		note_success(worker, request->options.mailbox_count == 0 && !request->options.dry_run &&
					     request->result.deferred == 0);
		if (request->result.reconnect) {
			close_session(worker);
		}
		if (request->result.again != 0) {
			note_again(worker, (int64_t)request->result.again_in_ms);
		}
		enter_settled_state(worker);
		hydrator_fill(account->hydrator);
		watcher_wake(account->watcher);
	} else {
		note_failure(worker, &err);
	}
	request->ok = ok;
	request->error = err;
}

static void
end_request(struct worker *worker, struct worker_request *request)
{
	bool forgotten;

	mutex_lock(&worker->mutex);
	request->ended = true;
	forgotten = request->forgotten;
	condition_broadcast(&worker->ended);
	mutex_unlock(&worker->mutex);
	if (forgotten) {
		free_request(request);
	}
}

static struct worker_request *
take_request(struct worker *worker)
{
	struct worker_request *request;

	mutex_lock(&worker->mutex);
	request = worker->first;
	if (request != NULL) {
		worker->first = request->next;
		worker->last = worker->first == NULL ? NULL : worker->last;
	}
	mutex_unlock(&worker->mutex);
	return request;
}

/* --- the thread: what is due --- */

/* When a pass over local changes is due; INT64_MAX: there are none. */
static int64_t
local_due_ms(struct worker *worker)
{
	int64_t due_ms = INT64_MAX;

	mutex_lock(&worker->mutex);
	if (worker->change_first_ms != 0) {
		int64_t rested_ms = worker->change_last_ms + CHANGE_REST_MS,
			most_ms = worker->change_first_ms + CHANGE_MOST_MS;

		due_ms = rested_ms < most_ms ? rested_ms : most_ms;
	}
	mutex_unlock(&worker->mutex);
	return due_ms == INT64_MAX || due_ms > worker->next_local_ms ? due_ms : worker->next_local_ms;
}

static int64_t
hint_due_ms(struct worker *worker)
{
	int64_t due_ms;

	mutex_lock(&worker->mutex);
	due_ms = worker->hint_ms == 0 ? INT64_MAX : worker->hint_ms + HINT_REST_MS;
	mutex_unlock(&worker->mutex);
	return due_ms;
}

/* Something here is not there yet. */
static bool
has_queued(struct worker *worker)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct error err = ERROR_INIT;
	uint64_t queued = 0;

	if (!store_read_begin(worker->account->store, &txn, &err) || !sync_queued(txn, &queued, &err)) {
		log_warn(
			"worker", "account=%s event=queue-not-read reason=%s", account_name(worker->account), err.text);
		return false;
	}
	return queued > 0;
}

static void
look_at_changes(struct worker *worker, int64_t now_ms)
{
	/* A file may have begun to rest. */
	worker->next_promote_ms = now_ms + EDIT_REST_NS / 1000000 < worker->next_promote_ms
					  ? now_ms + EDIT_REST_NS / 1000000
					  : worker->next_promote_ms;
	if (account_config(worker->account)->direction == CONFIG_PULL || !has_queued(worker)) {
		forget_changes(worker, false);
		return;
	}
	run_own_pass(worker, worker->agreed_once);
}

static void
keep_up(struct worker *worker, int64_t now_ms)
{
	struct error err = ERROR_INIT;

	if (now_ms >= worker->next_promote_ms) {
		edit_promote(worker->account, &worker->next_promote_ms);
		if (has_queued(worker)) { /* the commits were this thread's own */
			worker_note_change(worker);
		}
	}
	if (now_ms >= worker->next_upkeep_ms) {
		worker->next_upkeep_ms = now_ms + UPKEEP_MS;
		if (!store_maintain(worker->account->store, account_config(worker->account)->undelete_days, &err)) {
			log_warn("worker", "account=%s event=upkeep-failed reason=%s", account_name(worker->account),
				err.text);
		}
	}
}

/* Rests until the bell, the stop or the time. */
static void
rest_until(struct worker *worker, int64_t due_ms)
{
	int64_t left_ms = due_ms - io_now_ms(worker->account->io);
	struct pollfd fds[] = {
		{.fd = cancel_fd(worker->bell), .events = POLLIN},
		{.fd = cancel_fd(worker->account->stop), .events = POLLIN},
	};

	if (worker->session != NULL && account_session_wanted(worker->account)) {
		close_session(worker);
	}
	if (left_ms > 0 && poll(fds, ARRAY_LENGTH(fds), left_ms > 60000 ? 60000 : (int)left_ms) < 0 && errno != EINTR) {
		io_sleep_ms(worker->account->io, 100);
	}
	cancel_clear(worker->bell);
}

/* Does what is due first; gives when to look again. */
static int64_t
step(struct worker *worker)
{
	int64_t now_ms = io_now_ms(worker->account->io), local_ms = local_due_ms(worker), hint_ms = hint_due_ms(worker),
		remote_ms;
	struct worker_request *request = take_request(worker);

	drop_old(worker);
	remote_ms = least(hint_ms, worker->next_poll_ms);
	if (request != NULL) {
		serve(worker, request);
		end_request(worker, request);
		return now_ms;
	}
	if (now_ms >= worker->next_try_ms && now_ms >= remote_ms) {
		run_own_pass(worker, false);
		return now_ms;
	}
	if (now_ms >= worker->next_try_ms && now_ms >= local_ms) {
		look_at_changes(worker, now_ms);
		return now_ms;
	}
	if (now_ms >= worker->next_promote_ms || now_ms >= worker->next_upkeep_ms) {
		keep_up(worker, now_ms);
		return now_ms;
	}
	remote_ms = least(remote_ms, local_ms);
	remote_ms = remote_ms > worker->next_try_ms ? remote_ms : worker->next_try_ms;
	return least(remote_ms, least(worker->next_promote_ms, worker->next_upkeep_ms));
}

static void *
run(void *context)
{
	struct worker *worker = context;
	struct account *account = worker->account;
	struct worker_request *left;
	uint64_t seed;

	account_mark_thread();
	io_random(account->io, &seed, sizeof(seed));
	random_seed(&worker->random, seed);
	worker->next_upkeep_ms = io_now_ms(account->io) + UPKEEP_MS;
	account_enter_state(account, ACCOUNT_STARTING, NULL, 0);
	while (!cancel_raised(account->stop)) {
		int64_t due_ms = step(worker);

		mutex_lock(&worker->mutex);
		condition_broadcast(&worker->ended); /* for worker_drain */
		mutex_unlock(&worker->mutex);
		rest_until(worker, due_ms);
	}
	mutex_lock(&worker->mutex);
	atomic_store(&worker->running, false);
	mutex_unlock(&worker->mutex);
	while ((left = take_request(worker)) != NULL) {
		error_set(&left->error, ERROR_CANCELLED, "the process that drives the account is ending");
		end_request(worker, left);
	}
	close_session(worker);
	sync_destroy(&worker->sync);
	account_enter_state(account, ACCOUNT_STOPPED, NULL, 0);
	return NULL;
}

bool
worker_start(struct worker *worker, struct error *err)
{
	int answer;

	assert(!worker_runs(worker));
	atomic_store(&worker->running, true);
	answer = pthread_create(&worker->thread, NULL, run, worker);
	if (answer != 0) {
		atomic_store(&worker->running, false);
		return error_errno(err, answer, "cannot start the worker's thread");
	}
	return true;
}

void
worker_stop(struct worker *worker)
{
	int answer = pthread_join(worker->thread, NULL);

	assert(answer == 0);
}

void
worker_drain(struct worker *worker, int64_t deadline_ms)
{
	struct account *account = worker->account;

	worker_note_change(worker);
	while (worker_runs(worker) && io_now_ms(account->io) < deadline_ms && has_queued(worker)) {
		enum account_state state = account_condition_get(account).state;
		bool looked;

		mutex_lock(&worker->mutex);
		looked = worker->change_first_ms == 0 && state != ACCOUNT_SYNCING && state != ACCOUNT_STARTING;
		if (looked || state == ACCOUNT_OFFLINE || state == ACCOUNT_CREDENTIALS || state == ACCOUNT_THROTTLED) {
			mutex_unlock(&worker->mutex);
			return; /* what is left cannot be sent now; the next process does it */
		}
		(void)condition_wait_until(
			&worker->ended, &worker->mutex, least(deadline_ms, io_now_ms(account->io) + DRAIN_STEP_MS));
		mutex_unlock(&worker->mutex);
	}
}
