#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "tests/unit/io_test_ops.h"
#include "tests/unit/store_fixture.h"

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

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
	assert_ok(fixture_open(NULL));
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

/* --- a full disk (P22): SQLite's own writes fail from the n-th on --- */

static atomic_int writes_left = INT_MAX;
static ssize_t (*real_pwrite)(int fd, const void *octets, size_t count, off_t offset);

static ssize_t
limited_pwrite(int fd, const void *octets, size_t count, off_t offset)
{
	if (atomic_fetch_sub(&writes_left, 1) <= 0) {
		errno = ENOSPC;
		return -1;
	}
	return real_pwrite(fd, octets, count, offset);
}

static const char *const pwrite_names[] = {"pwrite", "pwrite64"};

static void
limit_writes(bool limited)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	bool found = false;

	atomic_store(&writes_left, INT_MAX);
	for (size_t i = 0; i < ARRAY_LENGTH(pwrite_names); i++) {
		sqlite3_syscall_ptr real = vfs->xGetSystemCall(vfs, pwrite_names[i]);

		if (limited && real != NULL) {
			found = true;
			real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))real;
			(void)vfs->xSetSystemCall(vfs, pwrite_names[i], (sqlite3_syscall_ptr)limited_pwrite);
		} else if (!limited) {
			(void)vfs->xSetSystemCall(vfs, pwrite_names[i], NULL);
		}
	}
	assert_true(found || !limited);
}

static int
setup_limited(void **state)
{
	fixture_setup(state);
	store_close(&fixture.store);
	limit_writes(true);
	return fixture_open(NULL) ? 0 : -1;
}

static int
teardown_limited(void **state)
{
	int answer = fixture_teardown(state);

	limit_writes(false);
	return answer;
}

static void
a_full_disk_fails_the_write_and_nothing_else(void **state)
{
	struct mailbox_id inbox = fixture_inbox();
	uint32_t made = 0, refused = 0;

	for (int room = 0; room < 60; room++) {
		atomic_store(&writes_left, room);
		fixture_write();
		for (int i = 0; i < 3; i++) {
			(void)fixture_message(inbox, "x", NULL);
		}
		if (store_write_commit(&fixture.txn, STORE_LAZY, &fixture.err)) {
			made += 3;
		} else {
			assert_int_equal(fixture.err.kind, ERROR_SPACE);
			refused++;
		}
		SCOPED(mailbox_finish) struct mailbox mailbox = {0};

		fixture_read();
		assert_ok(mailbox_load(fixture.txn, inbox, &mailbox, &fixture.err));
		assert_int_equal(mailbox.messages, made);
		fixture_end();
	}
	assert_true(refused >= 5 && made > 0);
	atomic_store(&writes_left, INT_MAX);
	(void)fixture_add(inbox);
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
	struct mailbox_id inbox = fixture_inbox();
	struct number numbers[100];
	uint32_t messages;
	int64_t changed_ns, last_ns;

	for (int i = 0; i < 100; i++) {
		numbers[i] = fixture_add(inbox);
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
	struct mailbox_id inbox = fixture_inbox();
	struct number a = fixture_add(inbox), b = fixture_add(inbox);
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
	struct mailbox_id inbox = fixture_inbox();
	struct number a = fixture_add(inbox), b = fixture_add(inbox);
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

static void
a_group_that_meets_a_full_disk_is_told(void **state)
{
	struct mailbox_id inbox = fixture_inbox();
	struct number a = fixture_add(inbox), b = fixture_add(inbox);
	uint32_t messages;
	int64_t changed_ns;

	expunge_briefly(a);
	atomic_store(&writes_left, 0);
	expunge_briefly(b);
	(void)usleep(50000); /* its time is over */
	(void)look_at(inbox, &messages, &changed_ns);
	assert_true(messages == 1 || messages == 2); /* one may have been committed in time */
	assert_fails(store_sync(fixture.store, &fixture.err), ERROR_SPACE);
	atomic_store(&writes_left, INT_MAX);
	expunge_briefly(b);
	(void)look_at(inbox, &messages, &changed_ns);
	assert_true(messages <= 1);
	assert_ok(store_sync(fixture.store, &fixture.err));
	fixture_audit();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
		cmocka_unit_test_setup_teardown(
			a_full_disk_fails_the_write_and_nothing_else, setup_limited, teardown_limited),
		cmocka_unit_test_setup_teardown(
			a_group_that_meets_a_full_disk_is_told, setup_limited, teardown_limited),
	};

	return cmocka_run_group_tests_name("store_durable", tests, NULL, NULL);
}
