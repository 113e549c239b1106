/* Several engines on one store, with a server that cannot be reached. */
#include "engine/driver.h"

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
#include "engine/admin.h"
#include "engine/edit.h"
#include "engine/status.h"
#include "tests/unit/engine_fixture.h"

static struct engine_fixture fixture; /* its engine is the first */
static struct engine *second_engine;
static struct account *first, *second;
static struct error err;

static const struct engine_options syncing = {.sync = true, .mounted = true};

static int
set_up(void **state)
{
	/* Nothing listens on the discard port. */
	engine_fixture_create(
		&fixture, "server = imap://127.0.0.1:9\nuser = u\npassword-command = echo p\nconnections = 3");
	engine_fixture_open(&fixture, &syncing);
	first = fixture.account;
	return 0;
}

static int
tear_down(void **state)
{
	if (second_engine != NULL) {
		engine_stop(second_engine, 0);
	}
	engine_destroy(&second_engine);
	engine_fixture_destroy(&fixture);
	return 0;
}

static void
open_second(const struct engine_options *options)
{
	assert_true(engine_create(fixture.config, NULL, 0, options, &second_engine, &err));
	assert_true(engine_start(second_engine, &err));
	second = engine_account(second_engine, 0);
}

static bool
comes_to(struct account *account, enum account_state state)
{
	for (int i = 0; i < 500; i++) {
		if (account_condition_get(account).state == state) {
			return true;
		}
		usleep(10000);
	}
	return false;
}

static void
a_server_that_is_not_there_is_offline(void **state)
{
	struct account_condition condition;

	assert_true(comes_to(first, ACCOUNT_OFFLINE));
	assert_true(driver_drives(first->driver));
	condition = account_condition_get(first);
	assert_int_not_equal(condition.next_try_s, 0);
	assert_int_not_equal(condition.reason[0], '\0');
}

static void
one_drives_and_the_next_takes_over(void **state)
{
	assert_true(comes_to(first, ACCOUNT_OFFLINE));
	open_second(&syncing);
	assert_true(comes_to(second, ACCOUNT_STANDBY));
	assert_false(driver_drives(second->driver));
	engine_fixture_close(&fixture);
	assert_true(comes_to(second, ACCOUNT_OFFLINE));
	assert_true(driver_drives(second->driver));
}

static void
others_are_told_the_state_of_the_driver(void **state)
{
	struct account_condition condition;
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	bool here = true;

	assert_true(comes_to(first, ACCOUNT_OFFLINE));
	open_second(&(struct engine_options){0});
	condition = status_condition(second, &here);
	assert_false(here);
	assert_int_equal(condition.state, ACCOUNT_OFFLINE);
	assert_true(view_status(second, false, &text, &err));
	assert_non_null(strstr(text.data, "home: offline since"));
}

static void
a_pass_is_asked_of_the_driver(void **state)
{
	struct admin_sync_options options = {.direction = -1, .lock_timeout_ms = 1000};
	struct admin_sync_result result;

	assert_true(comes_to(first, ACCOUNT_OFFLINE));
	open_second(&(struct engine_options){0});
	assert_false(admin_sync(second, &options, NULL, &result, &err));
	assert_true(err.kind == ERROR_UNREACHABLE || err.kind == ERROR_RETRY);
	admin_sync_result_finish(&result);
	options.alone = true;
	assert_false(admin_sync(second, &options, NULL, &result, &err));
	assert_true(err.kind == ERROR_UNREACHABLE || err.kind == ERROR_RETRY);
	admin_sync_result_finish(&result);
}

static void
a_first_listing_is_not_waited_for_in_vain(void **state)
{
	assert_false(admin_wait_listed(first, NULL, &err));
	assert_int_equal(err.kind, ERROR_UNREACHABLE);
}

static void
never_called(void *context, const struct error *error)
{
	abort();
}

static void
a_body_that_cannot_come_is_refused_at_once(void **state)
{
	struct mailbox_id mailbox;
	struct edit_writer *writer = NULL;
	struct number number, local;
	uint64_t ticket;

	assert_true(comes_to(first, ACCOUNT_OFFLINE));
	assert_true(edit_mailbox_create(first, SLICE_LITERAL("A"), &mailbox, &err));
	assert_true(edit_writer_create(first, mailbox, SLICE_LITERAL("x.eml"), &writer, &err));
	assert_true(edit_writer_pwrite(writer, SLICE_LITERAL("From: a@b\n\nx\n"), 0, &err));
	assert_true(edit_writer_flush(writer, false, &err));
	assert_true(edit_writer_release(&writer, &number, &local, &err));
	assert_false(view_body_request(first, number, never_called, NULL, &ticket, &err));
	assert_int_equal(err.kind, ERROR_UNREACHABLE);
}

static void
note_kind(void *context, const struct error *error)
{
	atomic_store((atomic_int *)context, error != NULL ? (int)error->kind : -1);
}

/* A message that is here already is found by the driver, which says so. */
static void
a_body_is_asked_of_the_driver(void **state)
{
	struct mailbox_id mailbox;
	struct edit_writer *writer = NULL;
	struct number number, local;
	atomic_int kind = 0;
	uint64_t ticket;

	assert_true(comes_to(first, ACCOUNT_OFFLINE));
	assert_true(edit_mailbox_create(first, SLICE_LITERAL("A"), &mailbox, &err));
	assert_true(edit_writer_create(first, mailbox, SLICE_LITERAL("x.eml"), &writer, &err));
	assert_true(edit_writer_pwrite(writer, SLICE_LITERAL("From: a@b\n\nx\n"), 0, &err));
	assert_true(edit_writer_flush(writer, false, &err));
	assert_true(edit_writer_release(&writer, &number, &local, &err));
	open_second(&(struct engine_options){.mounted = true});
	assert_true(view_body_request(second, number, note_kind, &kind, &ticket, &err));
	for (int i = 0; i < 500 && atomic_load(&kind) == 0; i++) {
		usleep(10000);
	}
	assert_int_equal(atomic_load(&kind), ERROR_UNREACHABLE); /* as the driver answers while it is offline */
	assert_false(view_body_forget(second, ticket));
}

static void
a_stop_ends_in_time(void **state)
{
	int64_t began_ms = io_now_ms(first->io);
	struct io *io = io_posix_create();

	engine_fixture_close(&fixture);
	assert_true(io_now_ms(io) - began_ms < 2000);
	io_destroy(&io);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_server_that_is_not_there_is_offline),
		TEST(one_drives_and_the_next_takes_over),
		TEST(others_are_told_the_state_of_the_driver),
		TEST(a_pass_is_asked_of_the_driver),
		TEST(a_first_listing_is_not_waited_for_in_vain),
		TEST(a_body_that_cannot_come_is_refused_at_once),
		TEST(a_body_is_asked_of_the_driver),
		TEST(a_stop_ends_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
