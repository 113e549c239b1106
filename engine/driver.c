#include "engine/driver.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/base/log.h"
#include "engine/control.h"
#include "engine/hydrator.h"
#include "engine/status.h"
#include "engine/store/message.h"
#include "engine/watcher.h"
#include "engine/worker.h"

#define STANDBY_MS  500 /* between two tries for the lock */
#define CALLS_MAX   16
#define REQUEST_MS  10000
#define ANSWER_MS   30000
#define STEP_MS     200 /* how often a call that waits looks whether the caller is there, and tells how far it is */
#define NUMBERS_MAX 1024

struct driver {
	struct account *account;
	struct io_lock_file *lock;
	pthread_t thread;
	bool started;
	atomic_bool drives;

	struct mutex mutex;    /* rank LEAF */
	struct condition hung; /* with mutex: a call ended */
	unsigned calls;        /* under mutex */
};

struct call { /* a connection of another process, served by a thread */
	struct driver *driver;
	int fd;
};

struct driver *
driver_create(struct account *account)
{
	struct driver *driver = calloc(1, sizeof(*driver));

	if (driver == NULL) {
		abort();
	}
	driver->account = account;
	mutex_init(&driver->mutex, LOCK_RANK_LEAF);
	condition_init(&driver->hung);
	return driver;
}

void
driver_destroy(struct driver **driver)
{
	if (*driver == NULL) {
		return;
	}
	assert(!(*driver)->started);
	io_lock_file_close(&(*driver)->lock);
	condition_finish(&(*driver)->hung);
	mutex_finish(&(*driver)->mutex);
	free(*driver);
	*driver = NULL;
}

bool
driver_drives(struct driver *driver)
{
	return atomic_load(&driver->drives);
}

/* --- what other processes ask for --- */

static bool
answer(struct call *call, const struct buf *frame)
{
	struct error ignored = ERROR_INIT;
	struct account *account = call->driver->account;

	return control_send(account->io, call->fd, buf_slice(frame), ANSWER_MS, account->stop, &ignored);
}

static void
answer_error(struct call *call, const struct error *error)
{
	SCOPED(buf_finish) struct buf frame = BUF_INIT;

	control_put_text(&frame, "op", "end");
	control_put_error(&frame, error);
	(void)answer(call, &frame);
}

static bool
answer_progress(struct call *call)
{
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct account_progress progress = account_progress_get(call->driver->account);

	if (progress.phase[0] == '\0') {
		return true;
	}
	control_put_text(&frame, "op", "progress");
	control_put_text(&frame, "phase", progress.phase);
	control_put_u64(&frame, "done", progress.done);
	control_put_u64(&frame, "total", progress.total);
	return answer(call, &frame);
}

/* Waits for the pass and for the bodies that it made wanted; false when the caller has gone. */
static bool
wait_for_pass(struct call *call, struct worker_request *request, bool bodies)
{
	struct account *account = call->driver->account;

	while (!worker_wait(account->worker, request, STEP_MS)) {
		if (control_hung_up(call->fd) || !answer_progress(call)) {
			return false;
		}
	}
	while (bodies && !cancel_raised(account->stop) && !hydrator_wait_filled(account->hydrator, STEP_MS)) {
		if (control_hung_up(call->fd)) {
			return false;
		}
	}
	return true;
}

static void
serve_sync(struct call *call, struct slice asked)
{
	struct account *account = call->driver->account;
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct admin_sync_result result = {0};
	struct worker_request *request;
	struct error err = ERROR_INIT;
	struct slice rest = asked, key, value;
	char *names[NUMBERS_MAX];
	struct admin_sync_options options = {
		.mailboxes = (const char *const *)names,
		.full = control_get_u64(asked, "full") != 0,
		.dry_run = control_get_u64(asked, "dry-run") != 0,
		.direction = (int)(control_get_u64(asked, "direction") & 0xff) - 1,
		.lock_timeout_ms = (int64_t)(control_get_u64(asked, "lock-timeout") & 0xffffffff),
	};

	while (options.mailbox_count < NUMBERS_MAX && control_next(&rest, &key, &value)) {
		if (slice_equal(key, SLICE_LITERAL("mailbox"))) {
			names[options.mailbox_count++] = slice_dup(value);
		}
	}
	request = worker_submit(account->worker, &options);
	for (size_t i = 0; i < options.mailbox_count; i++) {
		free(names[i]);
	}
	if (wait_for_pass(call, request, !options.dry_run && control_get_u64(asked, "bodies") != 0)) {
		(void)!worker_result(request, &result, &err);
		control_put_text(&frame, "op", "end");
		control_put_error(&frame, &err);
		status_put_result(&frame, &result);
		(void)answer(call, &frame);
		admin_sync_result_finish(&result);
	}
	worker_release(account->worker, &request);
}

/* Bodies that are fetched for another process. */
struct fetch {
	struct mutex mutex; /* rank LEAF */
	struct condition told;
	struct fetched {
		struct fetch *fetch;
		struct number number;
		uint64_t ticket;
		bool asked, done, sent; /* done, error: under mutex */
		struct error error;
	} * items;
	size_t count;
};

static void
note_fetched(void *context, const struct error *error)
{
	struct fetched *item = context;

	mutex_lock(&item->fetch->mutex);
	item->done = true;
	item->error = error != NULL ? *error : ERROR_INIT;
	condition_broadcast(&item->fetch->told);
	mutex_unlock(&item->fetch->mutex);
}

static bool
place_of(struct account *account, struct number number, struct mailbox_id *out_mailbox, uint32_t *out_uid,
	struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct message row;
	bool live;

	if (!store_read_begin(account->store, &txn, err) || !message_load(txn, number, &row, err)) {
		return false;
	}
	*out_mailbox = row.mailbox;
	*out_uid = row.uid;
	live = row.expunged_s == 0;
	message_finish(&row);
	return live || error_set(err, ERROR_GONE, "the message was removed");
}

static void
ask_for(struct account *account, struct fetch *fetch)
{
	for (size_t i = 0; i < fetch->count; i++) {
		struct fetched *item = &fetch->items[i];
		struct error err = ERROR_INIT;
		struct mailbox_id mailbox;
		uint32_t uid;

		item->fetch = fetch;
		item->asked = place_of(account, item->number, &mailbox, &uid, &err) &&
			      hydrator_request(account->hydrator, item->number, mailbox, uid, note_fetched, item,
				      &item->ticket, &err);
		if (!item->asked) {
			note_fetched(item, &err);
		}
	}
}

static bool
tell_fetched(struct call *call, struct fetch *fetch, size_t *left)
{
	for (size_t i = 0; i < fetch->count; i++) {
		struct fetched *item = &fetch->items[i];
		SCOPED(buf_finish) struct buf frame = BUF_INIT;
		struct error error;
		bool done;

		mutex_lock(&fetch->mutex);
		done = item->done;
		error = item->error;
		mutex_unlock(&fetch->mutex);
		if (!done || item->sent) {
			continue;
		}
		control_put_text(&frame, "op", "body");
		control_put_u64(&frame, "number", item->number.value);
		control_put_error(&frame, &error);
		item->sent = true;
		(*left)--;
		if (!answer(call, &frame)) {
			return false;
		}
	}
	return true;
}

/* Nobody may call back into what is about to go: those that are forgotten too late are waited for. */
static void
end_fetch(struct account *account, struct fetch *fetch)
{
	for (size_t i = 0; i < fetch->count; i++) {
		struct fetched *item = &fetch->items[i];

		if (item->asked && !hydrator_forget(account->hydrator, item->ticket)) {
			mutex_lock(&fetch->mutex);
			while (!item->done) {
				condition_wait(&fetch->told, &fetch->mutex);
			}
			mutex_unlock(&fetch->mutex);
		}
	}
	condition_finish(&fetch->told);
	mutex_finish(&fetch->mutex);
	free(fetch->items);
}

static void
serve_fetch(struct call *call, struct slice asked)
{
	struct account *account = call->driver->account;
	struct fetch fetch = {.items = calloc(NUMBERS_MAX, sizeof(struct fetched))};
	struct slice rest = asked, key, value;
	bool there = true;
	size_t left;

	if (fetch.items == NULL) {
		abort();
	}
	mutex_init(&fetch.mutex, LOCK_RANK_LEAF);
	condition_init(&fetch.told);
	while (fetch.count < NUMBERS_MAX && control_next(&rest, &key, &value)) {
		if (slice_equal(key, SLICE_LITERAL("number")) &&
			slice_to_u64(value, &fetch.items[fetch.count].number.value)) {
			fetch.count++;
		}
	}
	left = fetch.count;
	ask_for(account, &fetch);
	while (left > 0 && there) {
		size_t before = left;

		there = tell_fetched(call, &fetch, &left) && !control_hung_up(call->fd);
		if (left == before && there) {
			mutex_lock(&fetch.mutex);
			(void)condition_wait_until(&fetch.told, &fetch.mutex, io_now_ms(account->io) + STEP_MS / 10);
			mutex_unlock(&fetch.mutex);
		}
	}
	end_fetch(account, &fetch);
	if (there) {
		answer_error(call, &ERROR_INIT);
	}
}

static void
serve_status(struct call *call)
{
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct account_condition condition = account_condition_get(call->driver->account);

	control_put_text(&frame, "op", "end");
	status_put_condition(&frame, &condition);
	(void)answer(call, &frame);
}

static void
serve_reload(struct call *call)
{
	struct error err = ERROR_INIT;

	(void)!engine_reload(call->driver->account->engine, &err);
	answer_error(call, &err);
}

static void
serve(struct call *call, struct slice asked)
{
	struct slice op = control_get(asked, "op");
	struct error err;

	if (slice_equal(op, SLICE_LITERAL("sync"))) {
		serve_sync(call, asked);
	} else if (slice_equal(op, SLICE_LITERAL("fetch"))) {
		serve_fetch(call, asked);
	} else if (slice_equal(op, SLICE_LITERAL("status"))) {
		serve_status(call);
	} else if (slice_equal(op, SLICE_LITERAL("reload"))) {
		serve_reload(call);
	} else {
		error_set(&err, ERROR_INVALID,
			"the process that drives the account is of another version, and does not know `%.*s`",
			(int)slice_head(op, 40).length, op.length > 0 ? op.data : "");
		answer_error(call, &err);
	}
}

static void *
run_call(void *context)
{
	struct call *call = context;
	struct driver *driver = call->driver;
	struct account *account = driver->account;
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct error err = ERROR_INIT;

	/* One request after another; who says nothing for a while is hung up on. */
	while (!cancel_raised(account->stop) &&
		control_receive(account->io, call->fd, &frame, REQUEST_MS, account->stop, &err)) {
		serve(call, buf_slice(&frame));
	}
	control_close(&call->fd);
	free(call);
	mutex_lock(&driver->mutex);
	driver->calls--;
	condition_broadcast(&driver->hung);
	mutex_unlock(&driver->mutex);
	return NULL;
}

static void
take_call(struct driver *driver, int listener)
{
	struct error err = ERROR_INIT;
	pthread_attr_t detached;
	pthread_t thread;
	struct call *call;
	bool room;
	int fd, code;

	if (!control_accept(listener, &fd, &err)) {
		if (err.kind != ERROR_RETRY) {
			log_warn("driver", "account=%s event=call-refused reason=%s", account_name(driver->account),
				err.text);
		}
		return;
	}
	mutex_lock(&driver->mutex);
	room = driver->calls < CALLS_MAX;
	driver->calls += room ? 1 : 0;
	mutex_unlock(&driver->mutex);
	if (!room) {
		control_close(&fd); /* it tries again */
		return;
	}
	call = calloc(1, sizeof(*call));
	if (call == NULL) {
		abort();
	}
	*call = (struct call){.driver = driver, .fd = fd};
	(void)pthread_attr_init(&detached);
	(void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	code = pthread_create(&thread, &detached, run_call, call);
	(void)pthread_attr_destroy(&detached);
	if (code != 0) {
		log_error("driver", "account=%s event=call-not-served errno=%d", account_name(driver->account), code);
		control_close(&call->fd);
		free(call);
		mutex_lock(&driver->mutex);
		driver->calls--;
		mutex_unlock(&driver->mutex);
	}
}

static void
wait_for_calls(struct driver *driver)
{
	mutex_lock(&driver->mutex);
	while (driver->calls > 0) {
		condition_wait(&driver->hung, &driver->mutex);
	}
	mutex_unlock(&driver->mutex);
}

/* --- driving --- */

/* Waits for a call (descriptor or -1), the stop, or the time (-1: for ever). */
static void
rest(struct driver *driver, int listener, int timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = listener, .events = POLLIN},
		{.fd = cancel_fd(driver->account->stop), .events = POLLIN},
	};

	if (poll(fds, ARRAY_LENGTH(fds), timeout_ms) < 0 && errno != EINTR) {
		io_sleep_ms(driver->account->io, 100);
	}
	if (fds[0].revents != 0) {
		take_call(driver, listener);
	}
}

static void
drive(struct driver *driver)
{
	struct account *account = driver->account;
	struct error err = ERROR_INIT;
	int listener = -1;
	bool works;

	log_info("driver", "account=%s event=drives", account_name(account));
	if (!control_listen(store_dir(account->store), &listener, &err)) {
		log_warn("driver", "account=%s event=no-control reason=%s: other processes cannot ask this one",
			account_name(account), err.text);
	}
	atomic_store(&driver->drives, true); /* before the worker can tell anyone of a state */
	works = worker_start(account->worker, &err);
	if (!works) {
		atomic_store(&driver->drives, false);
		account_enter_state(account, ACCOUNT_FAILING, &err, 0);
	} else if (!watcher_start(account->watcher, &err)) {
		log_warn("driver", "account=%s event=no-watcher reason=%s", account_name(account), err.text);
	}
	while (!cancel_raised(account->stop)) {
		rest(driver, listener, -1);
	}
	control_close(&listener);
	watcher_stop(account->watcher);
	if (works) {
		worker_stop(account->worker);
	}
	hydrator_stop(account->hydrator); /* ends the waiting of calls */
	wait_for_calls(driver);
	atomic_store(&driver->drives, false);
}

static void *
run(void *context)
{
	struct driver *driver = context;
	struct account *account = driver->account;

	account_mark_thread();
	while (!cancel_raised(account->stop)) {
		struct error err = ERROR_INIT;

		if (io_lock(driver->lock, 0, IO_LOCK_EXCLUSIVE, 0, account->stop, &err)) {
			drive(driver);
			io_unlock(driver->lock, 0);
		} else if (err.kind == ERROR_RETRY) {
			account_enter_state(account, ACCOUNT_STANDBY, NULL, 0);
			rest(driver, -1, STANDBY_MS);
		} else if (err.kind != ERROR_CANCELLED) {
			account_enter_state(account, ACCOUNT_FAILING, &err, 0);
			rest(driver, -1, 20 * STANDBY_MS);
		}
	}
	return NULL;
}

bool
driver_start(struct driver *driver, struct error *err)
{
	int code;

	assert(!driver->started);
	if (!io_lock_file_open(store_dir(driver->account->store), "locks/driver", &driver->lock, err)) {
		return false;
	}
	code = pthread_create(&driver->thread, NULL, run, driver);
	if (code != 0) {
		return error_errno(err, code, "cannot start the driver's thread");
	}
	driver->started = true;
	return true;
}

void
driver_stop(struct driver *driver)
{
	int code;

	if (!driver->started) {
		return;
	}
	code = pthread_join(driver->thread, NULL);
	assert(code == 0);
	driver->started = false;
}
