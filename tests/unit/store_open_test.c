#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/db/db.h"
#include "tests/unit/io_test_ops.h"
#include "tests/unit/store_fixture.h"

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

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
	struct mailbox_id inbox = fixture_inbox();

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
	fixture_shell("mv %s %s.away && mkdir -m 700 %s", fixture.path, fixture.path, fixture.path);
	assert_fails(fixture_open(NULL), ERROR_CONFIG);
	fixture_shell("rmdir %s", fixture.path);
	assert_fails(fixture_open(NULL), ERROR_CONFIG);
	assert_int_not_equal(access(fixture.path, F_OK), 0); /* nothing was made */
	fixture_shell("mv %s.away %s", fixture.path, fixture.path);
	assert_ok(fixture_open(NULL));
}

static void
a_store_begins_anew_when_the_note_of_the_old_one_is_removed(void **state)
{
	store_close(&fixture.store);
	fixture_shell("rm -r %s %s.id", fixture.path, fixture.path);
	assert_ok(fixture_open(NULL));
	fixture_audit();
}

static void
another_store_in_its_place_is_refused(void **state)
{
	store_close(&fixture.store);
	fixture_shell("mv %s %s.one && mv %s.id %s.one.id", fixture.path, fixture.path, fixture.path, fixture.path);
	assert_ok(fixture_open(NULL));
	store_close(&fixture.store);
	fixture_shell("mv %s %s.two && mv %s.one %s", fixture.path, fixture.path, fixture.path, fixture.path);
	assert_fails(fixture_open(NULL), ERROR_CONFIG);
	fixture_shell("rm %s.id", fixture.path);
	assert_ok(fixture_open(NULL));
}

static void
the_store_of_a_newer_program_is_refused(void **state)
{
	store_close(&fixture.store);
	run_sql("PRAGMA user_version=9");
	assert_fails(fixture_open(NULL), ERROR_FATAL);
}

static void
a_listing_of_the_first_schema_has_changed_when_its_mtime_says(void **state)
{
	SCOPED(listing_finish) struct listing old = {0};
	SCOPED(listing_finish) struct listing new = {0};

	fixture_write();
	struct number number = fixture_message(fixture_mailbox("INBOX"), "x", NULL);

	fixture_commit();
	store_close(&fixture.store);
	run_sql("DROP TABLE pack; DROP INDEX body_by_pack; ALTER TABLE body DROP COLUMN place; ALTER TABLE body DROP "
		"COLUMN pack; "
		"ALTER TABLE listing DROP COLUMN changed_ns; PRAGMA user_version=1");
	assert_ok(fixture_open(NULL));
	fixture_write();
	assert_ok(listing_load(fixture.txn, number, &old, &fixture.err));
	assert_true(old.changed_ns == old.mtime_s * 1000000000);
	assert_ok(message_rename(fixture.txn, number, SLICE_LITERAL("new.eml"), &fixture.err));
	assert_ok(listing_load(fixture.txn, number, &new, &fixture.err));
	assert_true(new.changed_ns > old.changed_ns);
	fixture_commit();
}

static void
a_database_that_is_none_is_damaged(void **state)
{
	store_close(&fixture.store);
	fixture_shell("rm -f %s/store.db-wal %s/store.db-shm; yes garbage | head -c 100000 > %s/store.db", fixture.path,
		fixture.path, fixture.path);
	assert_fails(fixture_open(NULL), ERROR_DAMAGED);
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
	assert_ok(fixture_open(NULL));
}

/* --- old copies (S6) --- */

static void
copy_database(const char *from, const char *to)
{
	fixture_shell("cp %s %s", from, to);
}

static void
an_old_copy_is_told_and_goes_on_above(void **state)
{
	char database[128], copy[128];
	bool rolled_back = true;

	(void)snprintf(database, sizeof(database), "%s/store.db", fixture.path);
	(void)snprintf(copy, sizeof(copy), "%s/copy", fixture.above);
	struct mailbox_id inbox = fixture_inbox();

	store_close(&fixture.store);
	copy_database(database, copy);
	assert_ok(fixture_open(&rolled_back));
	assert_false(rolled_back);
	struct number last = fixture_add(inbox);
	fixture_read();
	struct modseq modseq = store_modseq(fixture.txn);

	fixture_end();
	store_close(&fixture.store);
	copy_database(copy, database);
	assert_ok(fixture_open(&rolled_back));
	assert_true(rolled_back);
	assert_true(fixture_add(inbox).value > last.value);
	fixture_read();
	assert_true(store_modseq(fixture.txn).value > modseq.value);
	fixture_end();
	store_close(&fixture.store);
	assert_ok(fixture_open(&rolled_back)); /* until somebody has seen to it */
	assert_true(rolled_back);
	fixture_write();
	assert_ok(store_meta_set_u64(fixture.txn, "rolled_back", 0, &fixture.err));
	fixture_commit();
	store_close(&fixture.store);
	assert_ok(fixture_open(&rolled_back));
	assert_false(rolled_back);
	fixture_audit();
}

static void
a_copy_made_while_it_was_open_is_old_after_the_close(void **state)
{
	char database[128], copy[128], sql[192];
	bool rolled_back = false;
	struct mailbox_id inbox = fixture_inbox();

	(void)fixture_add(inbox);
	assert_ok(store_sync(fixture.store, &fixture.err));
	(void)snprintf(database, sizeof(database), "%s/store.db", fixture.path);
	(void)snprintf(copy, sizeof(copy), "%s/copy", fixture.above);
	(void)snprintf(sql, sizeof(sql), "VACUUM INTO '%s'", copy);
	run_sql(sql);
	(void)fixture_add(inbox);
	store_close(&fixture.store);
	copy_database(copy, database);
	assert_ok(fixture_open(&rolled_back));
	assert_true(rolled_back);
}

static void
a_database_that_is_gone_is_made_anew_above_its_marks(void **state)
{
	bool rolled_back = false;
	struct number last = fixture_add(fixture_inbox());

	store_close(&fixture.store);
	fixture_shell("rm %s/store.db*", fixture.path);
	assert_ok(fixture_open(&rolled_back));
	assert_true(rolled_back);
	assert_true(fixture_add(fixture_inbox()).value > last.value);
	fixture_audit();
}

static void
lost_or_broken_marks_count_as_an_old_copy(void **state)
{
	bool rolled_back = false;
	struct number last = fixture_add(fixture_inbox());

	store_close(&fixture.store);
	fixture_shell("rm %s/marks", fixture.path);
	assert_ok(fixture_open(&rolled_back));
	assert_true(rolled_back);
	fixture_write();
	struct number next;

	assert_ok(store_next_number(fixture.txn, &next, &fixture.err));
	assert_true(next.value > last.value);
	store_write_rollback(&fixture.txn);
	store_close(&fixture.store);
	fixture_shell("echo nonsense > %s/marks", fixture.path);
	assert_ok(fixture_open(&rolled_back));
	assert_true(rolled_back);
}

static void
a_kill_is_no_old_copy(void **state)
{
	bool rolled_back = true;
	struct mailbox_id inbox = fixture_inbox();

	store_close(&fixture.store);
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();

		if (child == 0) {
			fixture.io = io_posix_create();
			if (!fixture_open(&rolled_back) || rolled_back) {
				_exit(1);
			}
			for (int n = 0; n < 5000; n++) {
				(void)fixture_add(inbox);
				if (n == i * 10) {
					_exit(0); /* nothing is closed */
				}
			}
		}
		int status;

		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	assert_ok(fixture_open(&rolled_back));
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

/* --- leftovers --- */

static void
spools_that_nothing_refers_to_go_when_nobody_has_the_store_open(void **state)
{
	static const char mine[] = "00112233445566778899aabbccddeeff", kept[] = "ffeeddccbbaa99887766554433221100";
	struct pending pending = {
		.mailbox = {1}, .name = (char *)"x", .file = (char *)"spool/ffeeddccbbaa99887766554433221100"};
	struct local local = {.parent_kind = LOCAL_IN_SCRATCH, .name = (char *)"l"};
	struct number id;
	char name[256];

	fixture_write();
	assert_ok(pending_put(fixture.txn, &pending, &fixture.err));
	assert_ok(local_create(fixture.txn, &local, &id, &fixture.err));
	fixture_commit();
	fixture_shell("cd %s/spool && touch %s %s l1 l999 other ../marks.0011.new && cd ../.. && touch "
		      "store.id.0123456789abcdef.new store.id.0123.new store.idea.0123456789abcdef.new",
		fixture.path, mine, kept);
	fixture_reopen();
	const char *const there[] = {
		kept, "l1", "other", "../../store.id.0123.new", "../../store.idea.0123456789abcdef.new"};
	const char *const gone[] = {mine, "l999", "../marks.0011.new", "../../store.id.0123456789abcdef.new"};

	for (size_t i = 0; i < ARRAY_LENGTH(there); i++) {
		(void)snprintf(name, sizeof(name), "%s/spool/%s", fixture.path, there[i]);
		assert_int_equal(access(name, F_OK), 0);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(gone); i++) {
		(void)snprintf(name, sizeof(name), "%s/spool/%s", fixture.path, gone[i]);
		assert_int_not_equal(access(name, F_OK), 0);
	}
}

static void
nobody_else_can_read_what_is_in_it(void **state)
{
	static const char *const files[] = {
		"", "store.db", "store.db-wal", "store.db-shm", "marks", "wake", "locks/writer"};
	char name[256];
	struct stat st;

	for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
		(void)snprintf(name, sizeof(name), "%s/%s", fixture.path, files[i]);
		assert_int_equal(stat(name, &st), 0);
		assert_int_equal(st.st_mode & 077, 0);
	}
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
		test(a_listing_of_the_first_schema_has_changed_when_its_mtime_says),
		test(a_database_that_is_none_is_damaged),
		test(a_foreign_or_remote_directory_is_refused),
		test(an_old_copy_is_told_and_goes_on_above),
		test(a_copy_made_while_it_was_open_is_old_after_the_close),
		test(a_database_that_is_gone_is_made_anew_above_its_marks),
		test(lost_or_broken_marks_count_as_an_old_copy),
		test(a_kill_is_no_old_copy),
		test(numbers_are_recorded_before_they_are_used),
		test(spools_that_nothing_refers_to_go_when_nobody_has_the_store_open),
		test(nobody_else_can_read_what_is_in_it),
	};

	return cmocka_run_group_tests_name("store_open", tests, NULL, NULL);
}
