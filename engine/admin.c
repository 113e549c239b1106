#include "engine/admin.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/base/log.h"
#include "engine/control.h"
#include "engine/driver.h"
#include "engine/hydrator.h"
#include "engine/status.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"
#include "engine/worker.h"

#define SEND_MS    5000
#define SILENCE_MS 600000 /* of the driving process during a pass; its death is seen at once */
#define STEP_MS    100
#define ROUNDS_MAX 8     /* of one sync */
#define AGAIN_MS   30000 /* for so long it may go on after its first pass */

void
admin_sync_result_finish(struct admin_sync_result *result)
{
	buf_finish(&result->text);
}

static void
report(const struct admin_progress *progress, struct account *account, const char *phase, uint64_t done, uint64_t total)
{
	if (progress != NULL && progress->report != NULL) {
		progress->report(progress->context, account_name(account), phase, done, total);
	}
}

/* --- one pass --- */

static void
put_request(struct buf *frame, const struct admin_sync_options *options)
{
	control_put_text(frame, "op", "sync");
	for (size_t i = 0; i < options->mailbox_count; i++) {
		control_put_text(frame, "mailbox", options->mailboxes[i]);
	}
	control_put_u64(frame, "full", options->full);
	control_put_u64(frame, "dry-run", options->dry_run);
	control_put_u64(frame, "direction", options->direction < 0 ? 0 : (uint64_t)options->direction + 1);
	control_put_u64(frame, "lock-timeout", (uint64_t)(options->lock_timeout_ms > 0 ? options->lock_timeout_ms : 0));
	control_put_u64(frame, "bodies", 1);
}

static bool
hear_pass(struct account *account, int fd, const struct admin_sync_options *options,
	const struct admin_progress *progress, struct admin_sync_result *out, struct error *err)
{
	SCOPED(buf_finish) struct buf frame = BUF_INIT, phase = BUF_INIT;
	struct error theirs;

	put_request(&frame, options);
	if (!control_send(account->io, fd, buf_slice(&frame), SEND_MS, account->stop, err)) {
		return false;
	}
	for (;;) {
		if (!control_receive(account->io, fd, &frame, SILENCE_MS, account->stop, err)) {
			return false;
		}
		if (slice_equal(control_get(buf_slice(&frame), "op"), SLICE_LITERAL("end"))) {
			break;
		}
		buf_clear(&phase);
		buf_append(&phase, control_get(buf_slice(&frame), "phase"));
		report(progress, account, phase.length > 0 ? phase.data : "",
			control_get_u64(buf_slice(&frame), "done"), control_get_u64(buf_slice(&frame), "total"));
	}
	status_get_result(buf_slice(&frame), out);
	theirs = control_get_error(buf_slice(&frame));
	if (theirs.kind != ERROR_NONE) {
		*err = theirs;
		return false;
	}
	return true;
}

/* By this process's worker. */
static bool
sync_here(struct account *account, const struct admin_sync_options *options, const struct admin_progress *progress,
	struct admin_sync_result *out, struct error *err)
{
	struct worker_request *request = worker_submit(account->worker, options);
	bool ok;

	while (!worker_wait(account->worker, request, STEP_MS)) {
		struct account_progress now = account_progress_get(account);

		if (now.phase[0] != '\0') {
			report(progress, account, now.phase, now.done, now.total);
		}
	}
	ok = worker_result(request, out, err);
	worker_release(account->worker, &request);
	while (ok && !options->dry_run && !cancel_raised(account->stop) &&
		!hydrator_wait_filled(account->hydrator, STEP_MS)) {
	}
	return ok;
}

struct pass_report {
	struct account *account;
	const struct admin_progress *progress;
};

static void
pass_on(void *context, const char *phase, uint64_t done, uint64_t total)
{
	struct pass_report *pass = context;

	report(pass->progress, pass->account, phase, done, total);
}

/* One sync: a pass, and those that are due soon after it. */
struct rounds {
	struct account *account;
	const struct admin_sync_options *options;
	const struct admin_progress *progress;
	struct admin_sync_result *out; /* of all of them */
	unsigned count;
	int64_t deadline_ms;
};

/* Adds what a pass did. What is held, failed and put off is as the last one left it. */
static void
add_round(struct rounds *rounds, const struct admin_sync_result *once)
{
	struct admin_sync_result *out = rounds->out;

	out->downloaded += once->downloaded;
	out->uploaded += once->uploaded;
	out->moved_here += once->moved_here;
	out->moved_there += once->moved_there;
	out->flags_here += once->flags_here;
	out->flags_there += once->flags_there;
	out->expunged_here += once->expunged_here;
	out->expunged_there += once->expunged_there;
	out->bodies += once->bodies;
	out->failed = once->failed;
	out->held = once->held;
	out->deferred = once->deferred;
	out->turns += once->turns;
	out->commands += once->commands;
	out->octets_in += once->octets_in;
	out->octets_out += once->octets_out;
	buf_append(&out->text, buf_slice(&once->text));
}

/* Takes the result of a pass; true after the rest that another one needs. What stays undone is told as put off. */
static bool
another_round(struct rounds *rounds, const struct admin_sync_result *once)
{
	struct io *io = rounds->account->io;
	int64_t wait_ms = once->again_in_ms < AGAIN_MS ? (int64_t)once->again_in_ms : AGAIN_MS;
	int64_t now_ms = io_now_ms(io), due_ms = now_ms + wait_ms;

	add_round(rounds, once);
	if (once->again == 0 || once->deferred > 0 || rounds->options->dry_run) {
		return false;
	}
	if (rounds->count++ == 0) {
		rounds->deadline_ms = now_ms + AGAIN_MS;
	}
	if (rounds->count >= ROUNDS_MAX || due_ms >= rounds->deadline_ms) {
		rounds->out->deferred++;
		buf_append_text(&rounds->out->text, "not all is done yet: the next pass goes on\n");
		return false;
	}
	for (; now_ms < due_ms && !cancel_raised(rounds->account->stop); now_ms = io_now_ms(io)) {
		io_sleep_ms(io, due_ms - now_ms < STEP_MS ? due_ms - now_ms : STEP_MS);
	}
	return !cancel_raised(rounds->account->stop);
}

/* Where no process drives the account: a session and passes of our own; their locks keep others out mailbox by mailbox (R1). */
static bool
sync_alone(struct rounds *rounds, struct error *err)
{
	static const enum sync_direction directions[] = {SYNC_BOTH, SYNC_PULL, SYNC_PUSH};
	struct account *account = rounds->account;
	struct sync_settings settings = account_sync_settings(account);
	struct pass_report pass = {.account = account, .progress = rounds->progress};
	struct remote_session *session = NULL;
	bool ok, more = true;

	if (rounds->options->direction >= 0 && rounds->options->direction < 3) {
		settings.direction = directions[rounds->options->direction];
	}
	if (!store_sync(account->store, err) || !account_session_open(account, account->stop, &session, err)) {
		return false;
	}
	struct sync *sync = sync_create(account->io, account->store, &settings);

	for (ok = true; ok && more;) {
		SCOPED(admin_sync_result_finish) struct admin_sync_result once = {0};

		ok = worker_run_pass(account, sync, session, rounds->options, pass_on, &pass, true, &once, err);
		if (ok) {
			more = another_round(rounds, &once);
			if (more && once.reconnect) {
				account_session_close(account, &session);
				ok = account_session_open(account, account->stop, &session, err);
			}
		} else {
			add_round(rounds, &once);
		}
	}
	sync_destroy(&sync);
	account_session_close(account, &session);
	return ok && store_sync(account->store, err);
}

/* A pass of the process that drives the account; *out_alone: there is none. */
static bool
sync_asked(struct rounds *rounds, struct admin_sync_result *out, bool *out_alone, struct error *err)
{
	struct account *account = rounds->account;
	bool ok;
	int fd;

	*out_alone = false;
	if (driver_drives(account->driver)) {
		return sync_here(account, rounds->options, rounds->progress, out, err);
	}
	if (!control_connect(store_dir(account->store), &fd, err)) {
		*out_alone = err->kind == ERROR_GONE;
		return false;
	}
	ok = hear_pass(account, fd, rounds->options, rounds->progress, out, err);
	control_close(&fd);
	if (!ok && (err->kind == ERROR_CANCELLED || err->kind == ERROR_RETRY) && !cancel_raised(account->stop)) {
		/* It ends, as one that was just unmounted does, or lost its connection: we have our own. */
		admin_sync_result_finish(out);
		*out = (struct admin_sync_result){0};
		*out_alone = true;
	}
	return ok;
}

bool
admin_sync(struct account *account, const struct admin_sync_options *options, const struct admin_progress *progress,
	struct admin_sync_result *out, struct error *err)
{
	struct rounds rounds = {.account = account, .options = options, .progress = progress, .out = out};
	bool more = true, alone = options->alone;

	*out = (struct admin_sync_result){0};
	if (!account_check(account, err)) {
		return false;
	}
	while (more && !alone) {
		SCOPED(admin_sync_result_finish) struct admin_sync_result once = {0};
		bool ok = sync_asked(&rounds, &once, &alone, err);

		if (!ok && !alone) {
			add_round(&rounds, &once);
			return false;
		}
		more = alone || another_round(&rounds, &once);
	}
	if (alone) {
		error_clear(err);
		return sync_alone(&rounds, err);
	}
	return true;
}

/* Makes whoever drives the account look at it now; nobody waits for what comes of it. */
static void
nudge(struct account *account)
{
	struct admin_sync_options options = {.direction = -1, .lock_timeout_ms = 1000};
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct error ignored = ERROR_INIT;
	int fd;

	if (driver_drives(account->driver)) {
		worker_note_hint(account->worker);
		return;
	}
	if (!control_connect(store_dir(account->store), &fd, &ignored)) {
		return; /* the next pass of whoever comes does it */
	}
	put_request(&frame, &options);
	(void)!control_send(account->io, fd, buf_slice(&frame), SEND_MS, account->stop, &ignored);
	control_close(&fd);
}

/* --- waiting --- */

bool
admin_queued(struct account *account, uint64_t *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;

	return account_check(account, err) && store_read_begin(account->store, &txn, err) && sync_queued(txn, out, err);
}

static bool
one_is_missing(void *context, struct number number, struct mailbox_id mailbox)
{
	*(bool *)context = true;
	return false;
}

/* Whether what is waited for is so, of one message or of the account. */
static bool
look(struct account *account, bool uploaded, bool downloaded, struct number number, bool *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct sync_settings settings = account_sync_settings(account);
	struct message row;
	const char *state = "";
	uint64_t queued = 0;
	bool missing = false;

	if (!store_read_begin(account->store, &txn, err)) {
		return false;
	}
	if (number.value == 0) {
		if (!sync_queued(txn, &queued, err) ||
			!message_each_missing(txn, (struct mailbox_id){0}, settings.bodies_since_s(settings.context), 1,
				one_is_missing, &missing, err)) {
			return false;
		}
		*out = (!uploaded || queued == 0) && (!downloaded || !missing);
		return true;
	}
	if (!message_load(txn, number, &row, err)) {
		return false;
	}
	missing = row.body == 0;
	message_finish(&row);
	if (!sync_message_state(txn, number, &state, err)) {
		return false;
	}
	*out = (!uploaded || strcmp(state, "synced") == 0 || strcmp(state, "remote") == 0) && (!downloaded || !missing);
	return true;
}

bool
admin_wait(struct account *account, bool uploaded, bool downloaded, struct number message_or_0, int64_t timeout_ms,
	struct error *err)
{
	int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX : io_now_ms(account->io) + timeout_ms;
	bool so = false;

	if (!account_check(account, err)) {
		return false;
	}
	if (!uploaded && !downloaded) {
		uploaded = downloaded = true;
	}
	/* What is news on the server is not known here yet; and where nobody syncs, this process does. */
	if (downloaded || !account->sync) {
		nudge(account);
	}
	for (bool first = true;; first = false) {
		bool here;
		struct account_condition condition = status_condition(account, &here);
		bool rests = condition.state != ACCOUNT_SYNCING && condition.state != ACCOUNT_STARTING;

		if (!look(account, uploaded, downloaded, message_or_0, &so, err)) {
			return false;
		}
		/* The first look may come before the pass that was asked for. */
		if (so && (!downloaded || message_or_0.value != 0 || (!first && rests))) {
			return true;
		}
		if (io_now_ms(account->io) >= deadline_ms) {
			return error_set(
				err, ERROR_RETRY, "%s: it is not so yet, and the time is over", account_name(account));
		}
		if (cancel_raised(account->stop)) {
			return error_set(err, ERROR_CANCELLED, "the process is ending");
		}
		if (condition.state == ACCOUNT_STOPPED && first) {
			struct admin_sync_options options = {.direction = -1, .lock_timeout_ms = 30000};
			struct admin_sync_result result = {0};
			bool ok = admin_sync(account, &options, NULL, &result, err);

			admin_sync_result_finish(&result);
			if (!ok) {
				return false;
			}
		} else {
			io_sleep_ms(account->io, STEP_MS);
		}
	}
}

static bool
inbox_is_listed(struct account *account, bool *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct mailbox row;

	if (!store_read_begin(account->store, &txn, err)) {
		return false;
	}
	if (!mailbox_load_by_name(txn, SLICE_LITERAL("INBOX"), &row, err)) {
		*out = false;
		return err->kind == ERROR_GONE;
	}
	*out = row.listed;
	mailbox_finish(&row);
	return true;
}

/* What keeps the account from being listed, if something does. */
static bool
check_hope(const struct account_condition *condition, struct error *err)
{
	switch (condition->state) {
	case ACCOUNT_OFFLINE:
		return error_set(err, ERROR_UNREACHABLE, "%s", condition->reason);
	case ACCOUNT_THROTTLED:
		return error_set(err, ERROR_THROTTLED, "%s", condition->reason);
	case ACCOUNT_CREDENTIALS:
	case ACCOUNT_FAILING:
		return error_set(err, condition->kind, "%s", condition->reason);
	case ACCOUNT_STOPPED:
	case ACCOUNT_STANDBY:
	case ACCOUNT_STARTING:
	case ACCOUNT_SYNCING:
	case ACCOUNT_IDLE:
	case ACCOUNT_HELD:
	case ACCOUNT_STATE_COUNT:
		break;
	}
	return true;
}

bool
admin_wait_listed(struct account *account, const struct admin_progress *progress, struct error *err)
{
	bool listed, here;

	if (!account_check(account, err)) {
		return false;
	}
	for (int64_t began_ms = io_now_ms(account->io);;) {
		struct account_progress now = account_progress_get(account);
		struct account_condition condition;

		if (!inbox_is_listed(account, &listed, err) || listed) {
			return listed;
		}
		condition = status_condition(account, &here);
		if (!check_hope(&condition, err)) {
			return error_wrap(err, "it was never listed");
		}
		if (condition.state == ACCOUNT_STOPPED &&
			(!account->sync || io_now_ms(account->io) - began_ms > SEND_MS)) {
			return error_set(err, ERROR_UNREACHABLE,
				"it was never listed, and no process syncs it: run `mailfs sync %s`",
				account_name(account));
		}
		if (cancel_raised(account->stop)) {
			return error_set(err, ERROR_CANCELLED, "the process is ending");
		}
		if (now.phase[0] != '\0') {
			report(progress, account, now.phase, now.done, now.total);
		}
		io_sleep_ms(account->io, STEP_MS / 5);
	}
}

/* --- holds --- */

bool
admin_confirm(struct account *account, uint64_t hold, struct buf *out_text, struct error *err)
{
	if (!account_check(account, err) || !sync_confirm(account->store, hold, out_text, err) ||
		!store_sync(account->store, err)) {
		return false;
	}
	nudge(account);
	return true;
}

bool
admin_revert(struct account *account, uint64_t hold, struct buf *out_text, struct error *err)
{
	if (!account_check(account, err) || !sync_revert(account->store, hold, out_text, err) ||
		!store_sync(account->store, err)) {
		return false;
	}
	nudge(account);
	return true;
}
