/* Bodies on demand, from a remote that is a table of operations: what is asked for, how often, and in which order. */
#include "engine/hydrator.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/account.h"
#include "engine/edit.h"
#include "engine/store/base.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"
#include "tests/unit/engine_fixture.h"

#define MESSAGES 400

static struct engine_fixture fixture;
static struct account *account;
static struct mailbox_id mailbox;
static struct number numbers[MESSAGES + 1]; /* by the remote's UID, from 1 */
static struct error err;

/* --- the remote --- */

static struct {
	pthread_mutex_t mutex;
	unsigned opened, closed, calls, fetched[MESSAGES + 1];
	uint64_t sizes[1000]; /* of the sets asked for, by call */
	unsigned cuts;        /* so many calls are cut */
	unsigned gone;        /* this UID is not there */
	int64_t delay_ms;
	bool refuse; /* nobody can connect */
} server = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static const struct remote_ops ops;

static void
op_destroy(struct remote **remote)
{
	free(*remote);
	*remote = NULL;
}

static bool
op_open(struct remote *remote, struct cancel *cancel, struct remote_session **out, struct error *out_err)
{
	struct remote_session *session = calloc(1, sizeof(*session));
	bool refuse;

	pthread_mutex_lock(&server.mutex);
	refuse = server.refuse;
	server.opened += refuse ? 0 : 1;
	pthread_mutex_unlock(&server.mutex);
	if (refuse || session == NULL) {
		free(session);
		return error_set(out_err, ERROR_UNREACHABLE, "no network");
	}
	session->ops = &ops;
	*out = session;
	return true;
}

static void
op_close(struct remote_session **session)
{
	pthread_mutex_lock(&server.mutex);
	server.closed++;
	pthread_mutex_unlock(&server.mutex);
	free(*session);
	*session = NULL;
}

static bool
op_alive(const struct remote_session *session)
{
	return true;
}

static bool
op_refresh(struct remote_session *session, struct error *out_err)
{
	return true;
}

static void
op_counters(const struct remote_session *session, uint64_t *octets_in, uint64_t *octets_out, uint64_t *turns,
	uint64_t *commands)
{
	*octets_in = *octets_out = *turns = *commands = 0;
}

static bool
op_fetch(struct remote_session *session, const struct remote_target *target, const struct uidset *uids,
	const uint64_t *sizes, const struct remote_body_sink *sink, struct error *out_err)
{
	bool cut;
	unsigned gone;

	pthread_mutex_lock(&server.mutex);
	server.sizes[server.calls++ % 1000] = uidset_size(uids);
	cut = server.cuts > 0;
	server.cuts -= cut ? 1 : 0;
	gone = server.gone;
	int64_t delay_ms = server.delay_ms;

	pthread_mutex_unlock(&server.mutex);
	usleep((useconds_t)(delay_ms * 1000));
	if (cut) {
		return error_set(out_err, ERROR_RETRY, "the connection was cut");
	}
	for (uint32_t uid = 0; uidset_next(uids, &uid);) {
		char text[200];

		pthread_mutex_lock(&server.mutex);
		server.fetched[uid]++;
		pthread_mutex_unlock(&server.mutex);
		(void)snprintf(text, sizeof(text), "From: a@b\r\nSubject: %u\r\n\r\nbody %u\r\n", uid, uid);
		if (uid != gone && (!sink->begin(sink->context, uid, strlen(text), out_err) ||
					   !sink->data(sink->context, uid, slice_of(text), out_err))) {
			return false;
		}
		if (!sink->end(sink->context, uid, uid != gone, out_err)) {
			return false;
		}
	}
	return true;
}

static const struct remote_ops ops = {
	.kind = "test",
	.destroy = op_destroy,
	.open = op_open,
	.close = op_close,
	.alive = op_alive,
	.refresh = op_refresh,
	.counters = op_counters,
	.fetch = op_fetch,
};

/* --- the store: a mailbox whose messages are listed, and none is here --- */

static void
add_message(struct store_txn *txn, uint32_t uid)
{
	struct envelope envelope = {.from = (char *)"a@b",
		.from_short = (char *)"a",
		.to = (char *)"",
		.subject = (char *)"s",
		.date = (char *)"",
		.message_id = (char *)"",
		.date_s = INT64_MIN};
	struct message_new new = {.mailbox = mailbox, .internaldate_s = uid, .size_bytes = 40, .envelope = &envelope};
	struct base_message base = {.mailbox = mailbox, .uid = {.uidvalidity = 7, .uid = uid}, .internaldate_s = uid};

	assert_true(message_create(txn, &new, &numbers[uid], &err));
	base.number = numbers[uid];
	assert_true(base_message_put(txn, BASE_REMOTE, &base, &err));
}

static int
set_up(void **state)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct base_mailbox base = {
		.raw_name = (char *)"Work", .name = (char *)"Work", .separator = '/', .uidvalidity = 7};

	server.opened = server.closed = server.calls = server.cuts = server.gone = 0;
	server.delay_ms = 0;
	server.refuse = false;
	memset(server.fetched, 0, sizeof(server.fetched));
	engine_fixture_create(&fixture, "server = maildir:/nowhere\nconnections = 4");
	engine_fixture_open(&fixture, &(struct engine_options){.mounted = true});
	account = fixture.account;
	account->remote = calloc(1, sizeof(*account->remote));
	assert_non_null(account->remote);
	account->remote->ops = &ops;
	assert_true(edit_mailbox_create(account, SLICE_LITERAL("Work"), &mailbox, &err));
	assert_true(store_write_begin(account->store, STORE_ENGINE, &txn, &err));
	base.mailbox = mailbox;
	assert_true(base_mailbox_put(txn, BASE_REMOTE, &base, &err));
	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		add_message(txn, uid);
	}
	assert_true(store_write_commit(&txn, STORE_LAZY, &err));
	return 0;
}

static int
tear_down(void **state)
{
	engine_fixture_destroy(&fixture);
	assert_int_equal(server.opened, server.closed);
	return 0;
}

/* --- who waits --- */

struct waiter {
	pthread_mutex_t mutex;
	pthread_cond_t told;
	unsigned calls;
	enum error_kind kind;
	uint64_t ticket;
};
#define WAITER_INIT                                                                  \
	{                                                                            \
		.mutex = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER \
	}

static void
hear(void *context, const struct error *error)
{
	struct waiter *waiter = context;

	pthread_mutex_lock(&waiter->mutex);
	waiter->calls++;
	waiter->kind = error != NULL ? error->kind : ERROR_NONE;
	pthread_cond_broadcast(&waiter->told);
	pthread_mutex_unlock(&waiter->mutex);
}

static void
ask(struct waiter *waiter, uint32_t uid)
{
	assert_true(view_body_request(account, numbers[uid], hear, waiter, &waiter->ticket, &err));
}

static enum error_kind
await(struct waiter *waiter)
{
	enum error_kind kind;

	pthread_mutex_lock(&waiter->mutex);
	while (waiter->calls == 0) {
		pthread_cond_wait(&waiter->told, &waiter->mutex);
	}
	kind = waiter->kind;
	pthread_mutex_unlock(&waiter->mutex);
	return kind;
}

static bool
is_here(uint32_t uid)
{
	struct view_message message;
	bool here;

	assert_true(view_message_load(account, numbers[uid], &message, &err));
	here = message.here;
	view_message_finish(&message);
	return here;
}

static unsigned
count_here(void)
{
	unsigned count = 0;

	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		count += is_here(uid) ? 1 : 0;
	}
	return count;
}

static bool
settles_at(unsigned here)
{
	for (int i = 0; i < 300; i++) {
		if (count_here() == here) {
			usleep(50000);
			return count_here() == here;
		}
		usleep(10000);
	}
	return false;
}

/* --- the tests --- */

static void
one_request_brings_one_message(void **state)
{
	struct waiter waiter = WAITER_INIT;

	ask(&waiter, 200);
	assert_int_equal(await(&waiter), ERROR_NONE);
	assert_true(is_here(200));
	assert_true(settles_at(1));
	assert_int_equal(server.calls, 1);
	assert_false(view_body_forget(account, waiter.ticket));
}

static void
many_who_wait_for_one_message_cause_one_fetch(void **state)
{
	struct waiter waiters[20];

	server.delay_ms = 50;
	for (size_t i = 0; i < ARRAY_LENGTH(waiters); i++) {
		waiters[i] = (struct waiter)WAITER_INIT;
		ask(&waiters[i], 100);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(waiters); i++) {
		assert_int_equal(await(&waiters[i]), ERROR_NONE);
	}
	assert_int_equal(server.fetched[100], 1);
}

static void
requests_in_a_row_read_ahead(void **state)
{
	unsigned waited = 0;

	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		struct waiter waiter = WAITER_INIT;

		if (is_here(uid)) {
			continue;
		}
		ask(&waiter, uid);
		assert_int_equal(await(&waiter), ERROR_NONE);
		waited++;
	}
	assert_int_equal(count_here(), MESSAGES);
	assert_true(waited < MESSAGES / 3);
	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		assert_int_equal(server.fetched[uid], 1);
	}
}

static void
requests_here_and_there_do_not(void **state)
{
	static const uint32_t uids[] = {300, 10, 200, 100, 390};

	for (size_t i = 0; i < ARRAY_LENGTH(uids); i++) {
		struct waiter waiter = WAITER_INIT;

		ask(&waiter, uids[i]);
		assert_int_equal(await(&waiter), ERROR_NONE);
	}
	assert_true(settles_at(5));
}

static void
who_forgets_is_not_called(void **state)
{
	struct waiter first = WAITER_INIT, second = WAITER_INIT;

	server.delay_ms = 100;
	ask(&first, 100);
	ask(&second, 100);
	assert_true(view_body_forget(account, first.ticket));
	assert_false(view_body_forget(account, first.ticket));
	assert_int_equal(await(&second), ERROR_NONE);
	usleep(20000);
	assert_int_equal(first.calls, 0);
}

static void
a_cut_connection_is_opened_once_more(void **state)
{
	struct waiter waiter = WAITER_INIT, again = WAITER_INIT;

	server.cuts = 1;
	ask(&waiter, 5);
	assert_int_equal(await(&waiter), ERROR_NONE);
	assert_int_equal(server.opened, 2);
	server.cuts = 2;
	ask(&again, 300);
	assert_int_equal(await(&again), ERROR_RETRY);
}

static void
a_message_that_is_gone_is_told(void **state)
{
	struct waiter waiter = WAITER_INIT;

	server.gone = 5;
	ask(&waiter, 5);
	assert_int_equal(await(&waiter), ERROR_GONE);
	assert_false(is_here(5));
}

static void
without_a_network_all_are_told(void **state)
{
	struct waiter waiters[10];

	server.refuse = true;
	for (uint32_t i = 0; i < ARRAY_LENGTH(waiters); i++) {
		waiters[i] = (struct waiter)WAITER_INIT;
		ask(&waiters[i], i + 1);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(waiters); i++) {
		assert_int_equal(await(&waiters[i]), ERROR_UNREACHABLE);
	}
}

static void
the_background_brings_everything(void **state)
{
	hydrator_fill(account->hydrator);
	for (int i = 0; i < 100 && !hydrator_wait_filled(account->hydrator, 100); i++) {
	}
	assert_int_equal(count_here(), MESSAGES);
	assert_true(hydrator_wait_filled(account->hydrator, 0));
	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		assert_int_equal(server.fetched[uid], 1);
	}
}

static void
the_background_gives_up_what_fails(void **state)
{
	server.gone = 7;
	hydrator_fill(account->hydrator);
	for (int i = 0; i < 100 && !hydrator_wait_filled(account->hydrator, 100); i++) {
	}
	assert_true(hydrator_wait_filled(account->hydrator, 0));
	assert_int_equal(count_here(), MESSAGES - 1);
	assert_true(server.fetched[7] < 5);
}

static void
a_stop_tells_who_waits(void **state)
{
	struct waiter waiter = WAITER_INIT, later = WAITER_INIT;

	server.delay_ms = 100;
	ask(&waiter, 1);
	ask(&later, 200);
	engine_stop(fixture.engine, 0);
	assert_int_equal(waiter.calls, 1);
	assert_int_equal(later.calls, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(one_request_brings_one_message),
		TEST(many_who_wait_for_one_message_cause_one_fetch),
		TEST(requests_in_a_row_read_ahead),
		TEST(requests_here_and_there_do_not),
		TEST(who_forgets_is_not_called),
		TEST(a_cut_connection_is_opened_once_more),
		TEST(a_message_that_is_gone_is_told),
		TEST(without_a_network_all_are_told),
		TEST(the_background_brings_everything),
		TEST(the_background_gives_up_what_fails),
		TEST(a_stop_tells_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
