#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/db/db.h"
#include "tests/unit/io_test_ops.h"
#include "tests/unit/store_fixture.h"

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static void shell(const char *format, ...) PRINTF_LIKE(1, 2);

static void
shell(const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	assert_int_equal(system(command), 0);
}

/* Runs SQL on the store's database, past the store. */
static void
run_sql(const char *sql)
{
	struct db_options options = {.write = true, .cache_kib = 256};
	struct db *db = NULL;
	char name[128];

	(void)snprintf(name, sizeof(name), "%s/store.db", fixture.path);
	assert_ok(db_open(name, &options, &db, &fixture.err));
	assert_ok(db_exec(db, sql, &fixture.err));
	db_close(&db);
}

static bool
open_again(bool *out_rolled_back)
{
	return store_open(fixture.io, fixture.path, NULL, out_rolled_back, &fixture.store, &fixture.err);
}

static struct mailbox_id
make_inbox(void)
{
	fixture_write();
	struct mailbox_id inbox = fixture_mailbox("INBOX");

	fixture_commit();
	return inbox;
}

static struct number
add_message(struct mailbox_id mailbox)
{
	fixture_write();
	struct number number = fixture_message(mailbox, "x", NULL);

	fixture_commit();
	return number;
}

/* --- opening (S6, S7, P9) --- */

static void
a_new_store_is_empty_and_sound(void **state)
{
	fixture_audit();
	fixture_reopen();
	fixture_audit();
}

static void
a_message_is_there_after_the_store_is_opened_again(void **state)
{
	struct mailbox_id inbox = make_inbox();

	fixture_write();
	struct number number = fixture_message(inbox, "Re: Q4 budget", NULL);

	fixture_commit();
	fixture_reopen();
	fixture_read();
	SCOPED(message_finish) struct message message = {0};
	char *name = fixture_name(number);

	assert_ok(message_load(fixture.txn, number, &message, &fixture.err));
	assert_int_equal(message.mailbox.value, inbox.value);
	assert_string_equal(name, "2026-11-03 0912 Ana Ruiz - Re Q4 budget.00001.eml");
	free(name);
	fixture_end();
	fixture_audit();
}

static void
the_store_of_another_login_is_refused(void **state)
{
	struct store_identity mine = {"imaps://a.example", "me"}, other = {"imaps://a.example", "you"},
			      elsewhere = {"imaps://b.example", "me"};

	store_close(&fixture.store);
	assert_ok(store_open(fixture.io, fixture.path, &mine, NULL, &fixture.store, &fixture.err));
	store_close(&fixture.store);
	assert_fails(store_open(fixture.io, fixture.path, &other, NULL, &fixture.store, &fixture.err), ERROR_CONFIG);
	assert_fails(
		store_open(fixture.io, fixture.path, &elsewhere, NULL, &fixture.store, &fixture.err), ERROR_CONFIG);
	assert_ok(store_open(fixture.io, fixture.path, &mine, NULL, &fixture.store, &fixture.err));
}

static void
an_empty_directory_where_a_store_was_is_refused(void **state)
{
	store_close(&fixture.store);
	shell("mv %s %s.away && mkdir -m 700 %s", fixture.path, fixture.path, fixture.path);
	assert_fails(open_again(NULL), ERROR_CONFIG);
	shell("rmdir %s", fixture.path);
	assert_fails(open_again(NULL), ERROR_CONFIG);
	assert_int_not_equal(access(fixture.path, F_OK), 0); /* nothing was made */
	shell("mv %s.away %s", fixture.path, fixture.path);
	assert_ok(open_again(NULL));
}

static void
a_store_begins_anew_when_the_note_of_the_old_one_is_removed(void **state)
{
	store_close(&fixture.store);
	shell("rm -r %s %s.id", fixture.path, fixture.path);
	assert_ok(open_again(NULL));
	fixture_audit();
}

static void
another_store_in_its_place_is_refused(void **state)
{
	store_close(&fixture.store);
	shell("mv %s %s.one && mv %s.id %s.one.id", fixture.path, fixture.path, fixture.path, fixture.path);
	assert_ok(open_again(NULL));
	store_close(&fixture.store);
	shell("mv %s %s.two && mv %s.one %s", fixture.path, fixture.path, fixture.path, fixture.path);
	assert_fails(open_again(NULL), ERROR_CONFIG);
	shell("rm %s.id", fixture.path);
	assert_ok(open_again(NULL));
}

static void
the_store_of_a_newer_program_is_refused(void **state)
{
	store_close(&fixture.store);
	run_sql("PRAGMA user_version=9");
	assert_fails(open_again(NULL), ERROR_FATAL);
}

static void
a_database_that_is_none_is_damaged(void **state)
{
	store_close(&fixture.store);
	shell("rm -f %s/store.db-wal %s/store.db-shm; yes garbage | head -c 100000 > %s/store.db", fixture.path,
		fixture.path, fixture.path);
	assert_fails(open_again(NULL), ERROR_DAMAGED);
}

static void
a_foreign_or_remote_directory_is_refused(void **state)
{
	struct io *io = io_test_create(fixture.io);

	store_close(&fixture.store);
	io_test_pretend(io, NULL, 12345);
	assert_fails(store_open(io, fixture.path, NULL, NULL, &fixture.store, &fixture.err), ERROR_CONFIG);
	io_test_pretend(io, "nfs", -1);
	assert_fails(store_open(io, fixture.path, NULL, NULL, &fixture.store, &fixture.err), ERROR_CONFIG);
	io_destroy(&io);
	assert_ok(open_again(NULL));
}

/* --- old copies (S6) --- */

static void
copy_database(const char *from, const char *to)
{
	shell("cp %s %s", from, to);
}

static void
an_old_copy_is_told_and_goes_on_above(void **state)
{
	char database[128], copy[128];
	bool rolled_back = true;

	(void)snprintf(database, sizeof(database), "%s/store.db", fixture.path);
	(void)snprintf(copy, sizeof(copy), "%s/copy", fixture.above);
	struct mailbox_id inbox = make_inbox();

	store_close(&fixture.store);
	copy_database(database, copy);
	assert_ok(open_again(&rolled_back));
	assert_false(rolled_back);
	struct number last = add_message(inbox);
	fixture_read();
	struct modseq modseq = store_modseq(fixture.txn);

	fixture_end();
	store_close(&fixture.store);
	copy_database(copy, database);
	assert_ok(open_again(&rolled_back));
	assert_true(rolled_back);
	assert_true(add_message(inbox).value > last.value);
	fixture_read();
	assert_true(store_modseq(fixture.txn).value > modseq.value);
	fixture_end();
	store_close(&fixture.store);
	assert_ok(open_again(&rolled_back)); /* until somebody has seen to it */
	assert_true(rolled_back);
	fixture_write();
	assert_ok(store_meta_set_u64(fixture.txn, "rolled_back", 0, &fixture.err));
	fixture_commit();
	store_close(&fixture.store);
	assert_ok(open_again(&rolled_back));
	assert_false(rolled_back);
	fixture_audit();
}

static void
a_copy_made_while_it_was_open_is_old_after_the_close(void **state)
{
	char database[128], copy[128], sql[192];
	bool rolled_back = false;
	struct mailbox_id inbox = make_inbox();

	(void)add_message(inbox);
	assert_ok(store_sync(fixture.store, &fixture.err));
	(void)snprintf(database, sizeof(database), "%s/store.db", fixture.path);
	(void)snprintf(copy, sizeof(copy), "%s/copy", fixture.above);
	(void)snprintf(sql, sizeof(sql), "VACUUM INTO '%s'", copy);
	run_sql(sql);
	(void)add_message(inbox);
	store_close(&fixture.store);
	copy_database(copy, database);
	assert_ok(open_again(&rolled_back));
	assert_true(rolled_back);
}

static void
a_database_that_is_gone_is_made_anew_above_its_marks(void **state)
{
	bool rolled_back = false;
	struct number last = add_message(make_inbox());

	store_close(&fixture.store);
	shell("rm %s/store.db*", fixture.path);
	assert_ok(open_again(&rolled_back));
	assert_true(rolled_back);
	assert_true(add_message(make_inbox()).value > last.value);
	fixture_audit();
}

static void
lost_or_broken_marks_count_as_an_old_copy(void **state)
{
	bool rolled_back = false;
	struct number last = add_message(make_inbox());

	store_close(&fixture.store);
	shell("rm %s/marks", fixture.path);
	assert_ok(open_again(&rolled_back));
	assert_true(rolled_back);
	fixture_write();
	struct number next;

	assert_ok(store_next_number(fixture.txn, &next, &fixture.err));
	assert_true(next.value > last.value);
	store_write_rollback(&fixture.txn);
	store_close(&fixture.store);
	shell("echo nonsense > %s/marks", fixture.path);
	assert_ok(open_again(&rolled_back));
	assert_true(rolled_back);
}

static void
a_kill_is_no_old_copy(void **state)
{
	bool rolled_back = true;
	struct mailbox_id inbox = make_inbox();

	store_close(&fixture.store);
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();

		if (child == 0) {
			fixture.io = io_posix_create();
			if (!open_again(&rolled_back) || rolled_back) {
				_exit(1);
			}
			for (int n = 0; n < 5000; n++) {
				(void)add_message(inbox);
				if (n == i * 10) {
					_exit(0); /* nothing is closed */
				}
			}
		}
		int status;

		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	assert_ok(open_again(&rolled_back));
	assert_false(rolled_back);
	fixture_audit();
}

static void
numbers_are_recorded_before_they_are_used(void **state)
{
	struct number number = {0};
	char marks[256] = "";
	unsigned long long limit = 0;
	int fd;

	fixture_write();
	for (int i = 0; i < 5000; i++) {
		assert_ok(store_next_number(fixture.txn, &number, &fixture.err));
	}
	(void)snprintf(marks, sizeof(marks), "%s/marks", fixture.path);
	fd = open(marks, O_RDONLY);
	assert_true(fd >= 0 && read(fd, marks, sizeof(marks) - 1) > 0);
	(void)close(fd);
	assert_non_null(strstr(marks, "\nnumber "));
	assert_int_equal(sscanf(strstr(marks, "\nnumber "), "\nnumber %llu", &limit), 1);
	assert_true(limit >= number.value);
}

/* --- transactions (S8) --- */

static void
a_rollback_leaves_nothing(void **state)
{
	struct mailbox_id inbox = make_inbox();
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
	struct mailbox_id inbox = make_inbox();
	struct message message = {0};

	assert_ok(store_read_begin(fixture.store, &before, &fixture.err));
	struct modseq modseq = store_modseq(before);
	struct number number = add_message(inbox);

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

/* --- durability --- */

static struct io *counting;

static int
setup_counting(void **state)
{
	fixture_setup(state);
	store_close(&fixture.store);
	counting = io_test_create(fixture.io);
	assert_ok(store_open(counting, fixture.path, NULL, NULL, &fixture.store, &fixture.err));
	fixture_write();
	(void)fixture_message(fixture_mailbox("INBOX"), "x", NULL); /* so that its block of numbers is recorded */
	assert_ok(store_write_commit(&fixture.txn, STORE_DURABLE, &fixture.err));
	io_test_reset(counting, IO_EFFECT_BIT(IO_EFFECT_FSYNC));
	return 0;
}

static int
teardown_counting(void **state)
{
	store_close(&fixture.store);
	io_destroy(&counting);
	assert_ok(open_again(NULL));
	return fixture_teardown(state);
}

static void
commit_one(enum store_durability durability)
{
	fixture_write();
	(void)fixture_message((struct mailbox_id){1}, "x", NULL);
	assert_ok(store_write_commit(&fixture.txn, durability, &fixture.err));
}

static void
a_durable_commit_is_one_fsync(void **state)
{
	for (unsigned i = 1; i <= 5; i++) {
		commit_one(STORE_DURABLE);
		assert_int_equal(io_test_count(counting), i);
	}
}

static void
lazy_commits_share_an_fsync_that_comes_in_time(void **state)
{
	int64_t begun_ms = io_now_ms(fixture.io);

	for (int i = 0; i < 20; i++) {
		commit_one(STORE_LAZY);
	}
	if (io_now_ms(fixture.io) - begun_ms < 50) { /* unless the machine is very busy */
		assert_int_equal(io_test_count(counting), 0);
	}
	while (io_test_count(counting) == 0 && io_now_ms(fixture.io) - begun_ms < 5000) {
		(void)usleep(5000);
	}
	assert_true(io_test_count(counting) > 0 && io_test_count(counting) <= 3);
	unsigned settled = io_test_count(counting);

	(void)usleep(150000);
	assert_int_equal(io_test_count(counting), settled); /* nothing more to do */
}

static void
a_sync_makes_lazy_commits_durable_once(void **state)
{
	commit_one(STORE_LAZY);
	assert_ok(store_sync(fixture.store, &fixture.err));
	unsigned count = io_test_count(counting);

	assert_true(count >= 1);
	assert_ok(store_sync(fixture.store, &fixture.err));
	assert_ok(store_sync(fixture.store, &fixture.err));
	assert_int_equal(io_test_count(counting), count);
}

static void
a_failed_fsync_is_made_good_by_copying_the_log(void **state)
{
	struct stat st;
	char name[160];

	io_test_fail(counting, 1, EIO, false);
	commit_one(STORE_DURABLE);
	assert_true(io_test_fired(counting));
	(void)snprintf(name, sizeof(name), "%s/store.db-wal", fixture.path);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_size, 0);
	commit_one(STORE_DURABLE);
	fixture_audit();
}

static void
a_failed_fsync_is_told_when_it_cannot_be_made_good(void **state)
{
	struct store_txn *reader = NULL;

	assert_ok(store_read_begin(fixture.store, &reader, &fixture.err)); /* in the way of cutting the log */
	(void)store_modseq(reader);
	io_test_fail(counting, 1, EIO, false);
	fixture_write();
	(void)fixture_message((struct mailbox_id){1}, "x", NULL);
	assert_fails(store_write_commit(&fixture.txn, STORE_DURABLE, &fixture.err), ERROR_RETRY);
	assert_true(io_test_fired(counting));
	store_read_end(&reader);
	assert_ok(store_sync(fixture.store, &fixture.err));
	fixture_audit();
}

static void
marks_that_cannot_be_written_fail_the_write_and_nothing_else(void **state)
{
	struct number number;
	bool done = true;

	io_test_reset(counting, IO_EFFECT_ALL & ~IO_EFFECT_BIT(IO_EFFECT_LOCK));
	fixture_write();
	io_test_fail(counting, 1, ENOSPC, true);
	for (int i = 0; i < 5000 && done; i++) {
		done = store_next_number(fixture.txn, &number, &fixture.err);
	}
	assert_false(done);
	assert_int_equal(fixture.err.kind, ERROR_SPACE);
	store_write_rollback(&fixture.txn);
	io_test_reset(counting, 0);
	commit_one(STORE_DURABLE);
	fixture_audit();
}

/* --- brief writes --- */

static struct mailbox_id
look_at(struct mailbox_id id, uint32_t *out_messages, int64_t *out_changed_ns)
{
	struct store_txn *txn = NULL;
	struct mailbox mailbox;

	assert_ok(store_look_begin(fixture.store, &txn, &fixture.err));
	assert_ok(mailbox_load(txn, id, &mailbox, &fixture.err));
	*out_messages = mailbox.messages;
	*out_changed_ns = mailbox.changed_ns;
	mailbox_finish(&mailbox);
	store_read_end(&txn);
	return id;
}

static void
expunge_briefly(struct number number)
{
	assert_ok(store_write_begin_brief(fixture.store, &fixture.txn, &fixture.err));
	assert_ok(message_expunge(fixture.txn, number, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	assert_ok(store_write_commit(&fixture.txn, STORE_LAZY, &fixture.err));
}

static void
brief_writes_are_seen_by_looks_and_by_reads(void **state)
{
	struct mailbox_id inbox = make_inbox();
	struct number numbers[100];
	uint32_t messages;
	int64_t changed_ns, last_ns;

	for (int i = 0; i < 100; i++) {
		numbers[i] = add_message(inbox);
	}
	(void)look_at(inbox, &messages, &last_ns);
	for (uint32_t i = 0; i < 100; i++) {
		expunge_briefly(numbers[i]);
		(void)look_at(inbox, &messages, &changed_ns);
		assert_int_equal(messages, 99 - i);
		assert_true(changed_ns > last_ns);
		last_ns = changed_ns;
		if (i % 10 == 0) {
			SCOPED(mailbox_finish) struct mailbox mailbox = {0};

			fixture_read();
			assert_ok(mailbox_load(fixture.txn, inbox, &mailbox, &fixture.err));
			assert_int_equal(mailbox.messages, 99 - i);
			assert_true(mailbox.changed_ns == changed_ns);
			fixture_end();
		}
	}
	fixture_audit();
}

static void
a_brief_write_that_is_refused_leaves_the_others(void **state)
{
	struct mailbox_id inbox = make_inbox();
	struct number a = add_message(inbox), b = add_message(inbox);
	uint32_t messages;
	int64_t changed_ns;

	expunge_briefly(a);
	assert_ok(store_write_begin_brief(fixture.store, &fixture.txn, &fixture.err));
	assert_fails(message_rename(fixture.txn, b, slice_of("no/name"), &fixture.err), ERROR_INVALID);
	store_write_rollback(&fixture.txn);
	assert_ok(store_write_begin_brief(fixture.store, &fixture.txn, &fixture.err));
	assert_fails(message_move(fixture.txn, b, (struct mailbox_id){99}, slice_of(NULL), &fixture.err), ERROR_GONE);
	store_write_rollback(&fixture.txn);
	(void)look_at(inbox, &messages, &changed_ns);
	assert_int_equal(messages, 1);
	fixture_audit();
	fixture_reopen();
	(void)look_at(inbox, &messages, &changed_ns);
	assert_int_equal(messages, 1);
}

static bool
note_reset(void *context, const struct change *change)
{
	if (change->kind == CHANGE_RESET) {
		*(bool *)context = true;
	}
	return true;
}

static void
a_group_that_is_lost_is_told(void **state)
{
	struct mailbox_id inbox = make_inbox();
	struct number a = add_message(inbox), b = add_message(inbox);
	struct modseq since, until;
	uint32_t messages;
	int64_t changed_ns;
	bool reset = false;

	fixture_read();
	since = store_modseq(fixture.txn);
	fixture_end();
	expunge_briefly(a);
	/* Two changes in one brief write, and then a rollback: what must not be done. */
	assert_ok(store_write_begin_brief(fixture.store, &fixture.txn, &fixture.err));
	assert_ok(message_expunge(fixture.txn, b, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	store_write_rollback(&fixture.txn);
	(void)look_at(inbox, &messages, &changed_ns);
	assert_int_equal(messages, 2);
	assert_fails(store_sync(fixture.store, &fixture.err), ERROR_FATAL);
	assert_ok(store_sync(fixture.store, &fixture.err)); /* told once */
	fixture_read();
	assert_ok(change_each(fixture.txn, since, 100, note_reset, &reset, &until, &fixture.err));
	assert_true(reset && until.value > since.value);
	fixture_end();
	reset = false;
	expunge_briefly(b);
	fixture_read();
	struct modseq after;

	assert_ok(change_each(fixture.txn, until, 100, note_reset, &reset, &after, &fixture.err));
	assert_true(!reset && after.value > until.value);
	fixture_end();
	fixture_audit();
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
	struct mailbox_id inbox = make_inbox();

	atomic_store(&heard, 0);
	store_set_listener(fixture.store, hear, NULL);
	(void)add_message(inbox);
	assert_true(atomic_load(&heard) >= 1);
	store_set_listener(fixture.store, NULL, NULL);
	int before = atomic_load(&heard);

	(void)add_message(inbox);
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
	assert_ok(open_again(NULL));
	(void)make_inbox();
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
	assert_ok(open_again(NULL));
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
		test(a_new_store_is_empty_and_sound),
		test(a_message_is_there_after_the_store_is_opened_again),
		test(the_store_of_another_login_is_refused),
		test(an_empty_directory_where_a_store_was_is_refused),
		test(a_store_begins_anew_when_the_note_of_the_old_one_is_removed),
		test(another_store_in_its_place_is_refused),
		test(the_store_of_a_newer_program_is_refused),
		test(a_database_that_is_none_is_damaged),
		test(a_foreign_or_remote_directory_is_refused),
		test(an_old_copy_is_told_and_goes_on_above),
		test(a_copy_made_while_it_was_open_is_old_after_the_close),
		test(a_database_that_is_gone_is_made_anew_above_its_marks),
		test(lost_or_broken_marks_count_as_an_old_copy),
		test(a_kill_is_no_old_copy),
		test(numbers_are_recorded_before_they_are_used),
		test(a_rollback_leaves_nothing),
		test(a_snapshot_does_not_see_what_comes_after_it),
		test(keys_hold_numbers_and_texts),
		test(writers_queue_and_the_mount_goes_first),
		test(a_long_write_yields_to_nobody_in_particular_after_a_while),
		cmocka_unit_test_setup_teardown(a_durable_commit_is_one_fsync, setup_counting, teardown_counting),
		cmocka_unit_test_setup_teardown(
			lazy_commits_share_an_fsync_that_comes_in_time, setup_counting, teardown_counting),
		cmocka_unit_test_setup_teardown(
			a_sync_makes_lazy_commits_durable_once, setup_counting, teardown_counting),
		cmocka_unit_test_setup_teardown(
			a_failed_fsync_is_made_good_by_copying_the_log, setup_counting, teardown_counting),
		cmocka_unit_test_setup_teardown(
			a_failed_fsync_is_told_when_it_cannot_be_made_good, setup_counting, teardown_counting),
		cmocka_unit_test_setup_teardown(marks_that_cannot_be_written_fail_the_write_and_nothing_else,
			setup_counting, teardown_counting),
		test(brief_writes_are_seen_by_looks_and_by_reads),
		test(a_brief_write_that_is_refused_leaves_the_others),
		test(a_group_that_is_lost_is_told),
		test(the_listener_hears_of_our_commits),
		test(the_listener_hears_of_the_commits_of_other_processes),
		test(processes_take_turns),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
