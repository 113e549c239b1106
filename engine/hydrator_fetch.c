/* The threads of a hydrator: each takes a batch and brings it, over a session of its own or by the process that drives the account. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/control.h"
#include "engine/driver.h"
#include "engine/hydrator_internal.h"
#include "engine/worker.h"

#define SESSION_REST_MS 60000
#define ANSWER_MS       70000 /* of the driving process, to a fetch */
#define NO_DRIVER_TRIES 20    /* while the account is kept in step some process drives it soon */
#define NO_DRIVER_MS    100

struct carrier { /* a thread */
	struct hydrator *hydrator;
	struct remote_session *session;
	unsigned generation;
	int64_t used_ms;
	struct batch batch;
	bool told[HYDRATOR_BATCH_MAX];
	bool put_off[HYDRATOR_BATCH_MAX]; /* failed for a while: it is tried again, or told at the end */
	struct error put_off_why;
};

static void
close_session(struct carrier *carrier)
{
	account_session_close(carrier->hydrator->account, &carrier->session);
}

static bool
open_session(struct carrier *carrier, struct error *err)
{
	struct account *account = carrier->hydrator->account;
	unsigned generation = atomic_load(&account->config_generation);

	if (carrier->session != NULL && carrier->generation == generation &&
		carrier->session->ops->alive(carrier->session) &&
		carrier->session->ops->refresh(carrier->session, err)) {
		return true;
	}
	close_session(carrier);
	carrier->generation = generation;
	return account_session_open(account, account->stop, &carrier->session, err);
}

/* Where the way failed and not the message, another connection may do: nobody is told yet. */
static void
tell(void *context, struct number number, const struct error *error)
{
	struct carrier *carrier = context;
	bool put_off = error != NULL && (error_is_temporary(error) || error->kind == ERROR_CANCELLED);

	for (size_t i = 0; i < carrier->batch.count; i++) {
		if (carrier->batch.numbers[i].value == number.value) {
			carrier->told[i] = !put_off;
			carrier->put_off[i] = put_off;
		}
	}
	if (put_off) {
		carrier->put_off_why = *error;
	} else {
		hydrator_complete(carrier->hydrator, number, error, true);
	}
}

/* Those of the batch that nothing was told of. */
static size_t
untold(const struct carrier *carrier, struct number out[HYDRATOR_BATCH_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < carrier->batch.count; i++) {
		if (!carrier->told[i]) {
			out[count++] = carrier->batch.numbers[i];
		}
	}
	return count;
}

static bool
fetch_ourselves(struct carrier *carrier, struct error *err)
{
	struct account *account = carrier->hydrator->account;
	struct number left[HYDRATOR_BATCH_MAX];

	/* A connection that was cut is opened once more: it may have rested too long. */
	for (int tries = 0; tries < 2; tries++) {
		size_t count = untold(carrier, left);

		if (!open_session(carrier, err)) {
			return false;
		}
		if (sync_hydrate(account->io, account->store, carrier->session, carrier->batch.mailbox, left, count,
			    tell, carrier, err)) {
			return true;
		}
		if (err->kind != ERROR_RETRY) {
			break;
		}
		close_session(carrier);
	}
	return false;
}

/* --- by the driving process --- */

static void
hear_of_bodies(struct carrier *carrier, struct slice frame)
{
	struct error error = control_get_error(frame);
	uint64_t number = control_get_u64(frame, "number");

	for (size_t i = 0; i < carrier->batch.count; i++) {
		if (carrier->batch.numbers[i].value == number && !carrier->told[i]) {
			tell(carrier, (struct number){number}, error.kind == ERROR_NONE ? NULL : &error);
		}
	}
}

static bool
ask_on(struct carrier *carrier, int fd, struct error *err)
{
	struct account *account = carrier->hydrator->account;
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct number left[HYDRATOR_BATCH_MAX];
	size_t count = untold(carrier, left);

	control_put_text(&frame, "op", "fetch");
	for (size_t i = 0; i < count; i++) {
		control_put_u64(&frame, "number", left[i].value);
	}
	if (!control_send(account->io, fd, buf_slice(&frame), ANSWER_MS, account->stop, err)) {
		return false;
	}
	do {
		if (!control_receive(account->io, fd, &frame, ANSWER_MS, account->stop, err)) {
			return false;
		}
		hear_of_bodies(carrier, buf_slice(&frame));
	} while (!slice_equal(control_get(buf_slice(&frame), "op"), SLICE_LITERAL("end")));
	return true;
}

static bool
ask_driver(struct carrier *carrier, struct error *err)
{
	struct account *account = carrier->hydrator->account;
	int fd;
	bool ok;

	if (!control_connect(store_dir(account->store), &fd, err)) {
		return false;
	}
	ok = ask_on(carrier, fd, err);
	control_close(&fd);
	return ok;
}

/* Where no process drives the account: one that keeps it in step does so soon, perhaps this one; else we fetch over our own connection. */
static bool
fetch(struct carrier *carrier, struct error *err)
{
	struct account *account = carrier->hydrator->account;

	for (int tries = 0;; tries++) {
		if (driver_drives(account->driver)) {
			return fetch_ourselves(carrier, err);
		}
		if (ask_driver(carrier, err)) {
			return true;
		}
		if (err->kind != ERROR_GONE && err->kind != ERROR_RETRY) {
			return false;
		}
		if (!account->sync || tries == NO_DRIVER_TRIES || cancel_raised(account->stop)) {
			break;
		}
		io_sleep_ms(account->io, NO_DRIVER_MS);
	}
	return fetch_ourselves(carrier, err);
}

static void
carry(struct carrier *carrier)
{
	struct hydrator *hydrator = carrier->hydrator;
	struct error err = ERROR_INIT;
	bool ok;

	memset(carrier->told, 0, sizeof(carrier->told));
	memset(carrier->put_off, 0, sizeof(carrier->put_off));
	ok = fetch(carrier, &err);
	if (!ok) {
		/* Whoever waits is told that the message cannot be had now, not which system call failed on the way. */
		err.sys_errno = error_is_temporary(&err) ? 0 : err.sys_errno;
		if (driver_drives(hydrator->account->driver)) {
			worker_note_hint(hydrator->account->worker); /* finds out whether the server is there */
		}
		log_info("hydrator", "account=%s event=fetch-failed messages=%zu reason=%s",
			account_name(hydrator->account), carrier->batch.count, err.text);
	}
	/* What was not told of was here already. */
	for (size_t i = 0; i < carrier->batch.count; i++) {
		if (!carrier->told[i]) {
			hydrator_complete(hydrator, carrier->batch.numbers[i],
				!ok                   ? &err
				: carrier->put_off[i] ? &carrier->put_off_why
						      : NULL,
				ok && carrier->put_off[i]);
		}
	}
	carrier->used_ms = io_now_ms(hydrator->account->io);
	if (carrier->session != NULL &&
		(!carrier->session->ops->alive(carrier->session) || account_session_wanted(hydrator->account))) {
		close_session(carrier); /* however much is left to bring: the other one goes first */
	}
	if (carrier->batch.background) {
		mutex_lock(&hydrator->mutex);
		hydrator->background--;
		if (ok) {
			hydrator->fill_due = hydrator->filling;
		} else { /* the next pass looks again */
			hydrator_end_fill_locked(hydrator);
		}
		mutex_unlock(&hydrator->mutex);
	}
}

/* Rests until there is work; closes the session when it rested long or is wanted elsewhere. */
static void
rest_locked(struct hydrator *hydrator, struct carrier *carrier) REQUIRES(hydrator->mutex)
{
	int64_t now_ms = io_now_ms(hydrator->account->io);
	bool over;

	if (carrier->session == NULL) {
		condition_wait(&hydrator->work, &hydrator->mutex);
		return;
	}
	mutex_unlock(&hydrator->mutex);
	over = now_ms - carrier->used_ms >= SESSION_REST_MS || account_session_wanted(hydrator->account);
	if (over) {
		close_session(carrier);
	}
	mutex_lock(&hydrator->mutex);
	/* What came meanwhile was signalled to nobody: the caller looks first. */
	if (!over && !hydrator->ending && hydrator->waiting[WANT_DEMAND].count == 0 &&
		hydrator->waiting[WANT_AHEAD].count == 0) {
		(void)condition_wait_until(&hydrator->work, &hydrator->mutex, carrier->used_ms + SESSION_REST_MS);
	}
}

static void *
run(void *context)
{
	struct hydrator *hydrator = context;
	struct carrier *carrier = calloc(1, sizeof(*carrier));

	if (carrier == NULL) {
		abort();
	}
	carrier->hydrator = hydrator;
	account_mark_thread();
	mutex_lock(&hydrator->mutex);
	while (!hydrator->ending) {
		if (hydrator_take_locked(hydrator, &carrier->batch)) {
			mutex_unlock(&hydrator->mutex);
			carry(carrier);
			mutex_lock(&hydrator->mutex);
		} else if (!hydrator_plan_ahead_locked(hydrator) && !hydrator_plan_fill_locked(hydrator)) {
			rest_locked(hydrator, carrier);
		}
	}
	mutex_unlock(&hydrator->mutex);
	close_session(carrier);
	free(carrier);
	return NULL;
}

bool
hydrator_start_locked(struct hydrator *hydrator, struct error *err)
{
	unsigned connections = account_config(hydrator->account)->connections;
	unsigned wanted = connections > 3 ? connections - 2 : 1;

	wanted = wanted < HYDRATOR_THREADS_MAX ? wanted : HYDRATOR_THREADS_MAX;
	while (hydrator->threads < wanted) {
		int answer = pthread_create(&hydrator->thread[hydrator->threads], NULL, run, hydrator);

		if (answer != 0) {
			return hydrator->threads > 0 ||
			       error_errno(err, answer, "cannot start a thread that fetches messages");
		}
		hydrator->threads++;
	}
	return true;
}
