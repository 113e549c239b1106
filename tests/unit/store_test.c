#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "tests/unit/io_test_ops.h"
#include "tests/unit/store_fixture.h"

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* --- transactions (S8) --- */

static void
a_rollback_leaves_nothing(void **state)
{
	struct mailbox_id inbox = fixture_inbox();
	struct number number;

	fixture_write();
	number = fixture_message(inbox, "x", NULL);
	store_write_rollback(&fixture.txn);
	assert_null(fixture.txn);
	fixture_read();
	SCOPED(message_finish) struct message message = {0};
	SCOPED(mailbox_finish) struct mailbox mailbox = {0};

	assert_fails(message_load(fixture.txn, number, &message, &fixture.err), ERROR_GONE);
	assert_ok(mailbox_load(fixture.txn, inbox, &mailbox, &fixture.err));
	assert_int_equal(mailbox.messages, 0);
}

static void
a_snapshot_does_not_see_what_comes_after_it(void **state)
{
	struct store_txn *before = NULL;
	struct mailbox_id inbox = fixture_inbox();
	struct message message = {0};

	assert_ok(store_read_begin(fixture.store, &before, &fixture.err));
	struct modseq modseq = store_modseq(before);
	struct number number = fixture_add(inbox);

	assert_fails(message_load(before, number, &message, &fixture.err), ERROR_GONE);
	assert_true(store_modseq(before).value == modseq.value);
	store_read_end(&before);
	fixture_read();
	assert_ok(message_load(fixture.txn, number, &message, &fixture.err));
	assert_true(store_modseq(fixture.txn).value > modseq.value);
	message_finish(&message);
}

static void
keys_hold_numbers_and_texts(void **state)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	uint64_t number = 7;

	fixture_write();
	assert_ok(store_meta_get_u64(fixture.txn, "test", &number, &fixture.err));
	assert_int_equal(number, 0);
	assert_ok(store_meta_set_u64(fixture.txn, "test", 5, &fixture.err));
	assert_ok(store_meta_set_u64(fixture.txn, "test", 6, &fixture.err));
	assert_ok(store_meta_set_text(fixture.txn, "text", slice_of("a\nb"), &fixture.err));
	fixture_commit();
	fixture_read();
	assert_ok(store_meta_get_u64(fixture.txn, "test", &number, &fixture.err));
	assert_int_equal(number, 6);
	assert_ok(store_meta_get_text(fixture.txn, "text", &text, &fixture.err));
	assert_true(slice_equal(buf_slice(&text), slice_of("a\nb")));
	assert_ok(store_meta_get_text(fixture.txn, "nothing", &text, &fixture.err));
	assert_int_equal(text.length, 0);
}

struct waiter {
	pthread_t thread;
	enum store_priority priority;
	atomic_int *order;
	int place;
	atomic_bool waiting;
};

static void *
wait_for_turn(void *context)
{
	struct waiter *waiter = context;
	struct store_txn *txn = NULL;
	struct error err;

	atomic_store(&waiter->waiting, true);
	if (store_write_begin(fixture.store, waiter->priority, &txn, &err)) {
		waiter->place = atomic_fetch_add(waiter->order, 1) + 1;
		store_write_rollback(&txn);
	}
	return NULL;
}

static void
start(struct waiter *waiter, enum store_priority priority, atomic_int *order)
{
	waiter->priority = priority;
	waiter->order = order;
	assert_int_equal(pthread_create(&waiter->thread, NULL, wait_for_turn, waiter), 0);
	while (!atomic_load(&waiter->waiting)) {
		(void)usleep(1000);
	}
	(void)usleep(20000); /* it waits by now */
}

static void
writers_queue_and_the_mount_goes_first(void **state)
{
	struct waiter waiters[4] = {0};
	atomic_int order = 0;

	assert_ok(store_write_begin(fixture.store, STORE_ENGINE, &fixture.txn, &fixture.err));
	(void)usleep(6000);
	assert_false(store_write_should_yield(fixture.txn));
	start(&waiters[0], STORE_ENGINE, &order);
	start(&waiters[1], STORE_ENGINE, &order);
	start(&waiters[2], STORE_MOUNT, &order);
	start(&waiters[3], STORE_MOUNT, &order);
	assert_true(store_write_should_yield(fixture.txn));
	store_write_rollback(&fixture.txn);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(waiters[i].thread, NULL), 0);
	}
	assert_int_equal(waiters[2].place, 1);
	assert_int_equal(waiters[3].place, 2);
	assert_int_equal(waiters[0].place, 3);
	assert_int_equal(waiters[1].place, 4);
}

static void
a_long_write_yields_to_nobody_in_particular_after_a_while(void **state)
{
	fixture_write();
	assert_false(store_write_should_yield(fixture.txn));
	(void)usleep(55000);
	assert_true(store_write_should_yield(fixture.txn));
}

/* --- news (S9) --- */

static atomic_int heard;

static void
hear(void *context)
{
	atomic_fetch_add(&heard, 1);
}

static void
the_listener_hears_of_our_commits(void **state)
{
	struct mailbox_id inbox = fixture_inbox();

	atomic_store(&heard, 0);
	store_set_listener(fixture.store, hear, NULL);
	(void)fixture_add(inbox);
	assert_true(atomic_load(&heard) >= 1);
	store_set_listener(fixture.store, NULL, NULL);
	int before = atomic_load(&heard);

	(void)fixture_add(inbox);
	(void)usleep(20000);
	assert_int_equal(atomic_load(&heard), before);
}

/* Begins anew in a process of its own, when told: what was open before the fork stays the parent's. */
static void
commit_as_another(int from_parent)
{
	char go;
	struct store *store = NULL;
	struct store_txn *txn = NULL;
	struct io *io = io_posix_create();
	struct mailbox_id id;
	struct error err;

	if (read(from_parent, &go, 1) != 1 || !store_open(io, fixture.path, NULL, NULL, &store, &err) ||
		!store_write_begin(store, STORE_ENGINE, &txn, &err) ||
		!mailbox_create(txn, slice_of("Made there"), MAILBOX_REAL, NULL, &id, &err) ||
		!store_write_commit(&txn, STORE_LAZY, &err)) {
		_exit(1);
	}
	store_close(&store);
	io_destroy(&io);
	_exit(0);
}

static void
the_listener_hears_of_the_commits_of_other_processes(void **state)
{
	SCOPED(mailbox_finish) struct mailbox mailbox = {0};
	int to_child[2], status;

	store_close(&fixture.store);
	assert_int_equal(pipe(to_child), 0);
	pid_t child = fork();

	if (child == 0) {
		commit_as_another(to_child[0]);
	}
	assert_ok(fixture_open(NULL));
	(void)fixture_inbox();
	(void)usleep(30000);
	atomic_store(&heard, 0);
	store_set_listener(fixture.store, hear, NULL);
	assert_int_equal(write(to_child[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (int i = 0; i < 200 && atomic_load(&heard) == 0; i++) {
		(void)usleep(5000);
	}
	assert_true(atomic_load(&heard) >= 1);
	fixture_read();
	assert_ok(mailbox_load_by_name(fixture.txn, slice_of("Made there"), &mailbox, &fixture.err));
	fixture_end();
	(void)close(to_child[0]);
	(void)close(to_child[1]);
	fixture_audit();
}

static void
without_a_watch_others_are_heard_all_the_same(void **state)
{
	struct io *io = io_test_create(fixture.io);
	int to_child[2], status;

	store_close(&fixture.store);
	assert_int_equal(pipe(to_child), 0);
	pid_t child = fork();

	if (child == 0) {
		commit_as_another(to_child[0]);
	}
	io_test_reset(io, IO_EFFECT_BIT(IO_EFFECT_WATCH));
	io_test_fail(io, 1, EMFILE, false);
	assert_ok(store_open(io, fixture.path, NULL, NULL, &fixture.store, &fixture.err));
	assert_true(io_test_fired(io));
	(void)usleep(600000);
	atomic_store(&heard, 0);
	store_set_listener(fixture.store, hear, NULL);
	assert_int_equal(write(to_child[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (int i = 0; i < 400 && atomic_load(&heard) == 0; i++) {
		(void)usleep(5000);
	}
	assert_true(atomic_load(&heard) >= 1);
	(void)close(to_child[0]);
	(void)close(to_child[1]);
	store_close(&fixture.store);
	io_destroy(&io);
	assert_ok(fixture_open(NULL));
}

/* Writes until it is told to end; the exit status is how many writes it made, at most 100. */
static void
write_as_another(int from_parent)
{
	struct store *store = NULL;
	struct io *io = io_posix_create();
	struct error err;
	int writes = 0;

	if (!store_open(io, fixture.path, NULL, NULL, &store, &err)) {
		_exit(200);
	}
	(void)fcntl(from_parent, F_SETFL, O_NONBLOCK);
	for (char end; read(from_parent, &end, 1) != 1;) {
		struct store_txn *txn = NULL;

		if (!store_write_begin(store, STORE_ENGINE, &txn, &err) ||
			!store_meta_set_u64(txn, "theirs", (uint64_t)++writes, &err)) {
			_exit(201);
		}
		while (!store_write_should_yield(txn)) { /* a long one */
		}
		if (!store_write_commit(&txn, STORE_LAZY, &err)) {
			_exit(202);
		}
	}
	store_close(&store);
	io_destroy(&io);
	_exit(writes > 100 ? 100 : writes);
}

static void
processes_take_turns(void **state)
{
	int to_child[2], status;
	int64_t worst_ms = 0;

	store_close(&fixture.store);
	assert_int_equal(pipe(to_child), 0);
	pid_t child = fork();

	if (child == 0) {
		write_as_another(to_child[0]);
	}
	assert_ok(fixture_open(NULL));
	for (int i = 0; i < 40; i++) {
		int64_t begun_ms = io_now_ms(fixture.io);

		(void)usleep(3000);

		fixture_write();
		if (io_now_ms(fixture.io) - begun_ms > worst_ms) {
			worst_ms = io_now_ms(fixture.io) - begun_ms;
		}
		assert_ok(store_meta_set_u64(fixture.txn, "ours", (uint64_t)i, &fixture.err));
		fixture_commit();
	}
	(void)usleep(60000); /* a write to which nobody waits takes 50 ms */
	assert_int_equal(write(to_child[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) >= 3 && WEXITSTATUS(status) <= 100);
	assert_true(worst_ms < 2000);
	(void)close(to_child[0]);
	(void)close(to_child[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_rollback_leaves_nothing),
		test(a_snapshot_does_not_see_what_comes_after_it),
		test(keys_hold_numbers_and_texts),
		test(writers_queue_and_the_mount_goes_first),
		test(a_long_write_yields_to_nobody_in_particular_after_a_while),
		test(the_listener_hears_of_our_commits),
		test(the_listener_hears_of_the_commits_of_other_processes),
		test(without_a_watch_others_are_heard_all_the_same),
		test(processes_take_turns),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
