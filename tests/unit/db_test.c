#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/db/migrate.h"

#define APPLICATION 0x74657374u

static struct {
	char directory[64];
	char path[96];
	struct db *db;
	struct error err;
} it;

#define assert_ok(call)                                         \
	do {                                                    \
		if (!(call)) {                                  \
			fail_msg("%s: %s", #call, it.err.text); \
		}                                               \
	} while (0)

static int
setup(void **state)
{
	struct db_options options = {.write = true, .create = true, .cache_kib = 256};

	(void)snprintf(it.directory, sizeof(it.directory), "/tmp/mailfs-db-XXXXXX");
	assert_non_null(mkdtemp(it.directory));
	(void)snprintf(it.path, sizeof(it.path), "%s/test.db", it.directory);
	assert_ok(db_open(it.path, &options, &it.db, &it.err));
	assert_ok(db_exec(it.db, "CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE, c)", &it.err));
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	db_close(&it.db);
	(void)snprintf(command, sizeof(command), "rm -rf %s", it.directory);
	return system(command);
}

static bool
insert(struct db *db, int64_t a, struct slice b)
{
	SCOPED(db_end) struct db_statement *statement = NULL;

	assert_ok(db_prepare(db, "INSERT INTO t (a, b) VALUES (?, ?)", &statement, &it.err));
	db_bind_i64(statement, 1, a);
	db_bind_text_or_null(statement, 2, b);
	return db_run(statement, &it.err);
}

static int64_t
count(struct db *db)
{
	SCOPED(db_end) struct db_statement *statement = NULL;

	assert_ok(db_prepare(db, "SELECT count(*) FROM t", &statement, &it.err));
	assert_int_equal(db_step(statement, &it.err), DB_ROW);
	return db_i64(statement, 0);
}

static void
values_come_back_as_they_were_bound(void **state)
{
	SCOPED(db_end) struct db_statement *write = NULL;
	SCOPED(db_end) struct db_statement *read = NULL;
	static const char octets[] = {'a', '\0', '\xff'};

	assert_ok(db_prepare(it.db, "INSERT INTO t (a, b, c) VALUES (?, ?, ?)", &write, &it.err));
	db_bind_u64(write, 1, INT64_MAX);
	db_bind_blob(write, 2, slice_make(octets, sizeof(octets)));
	db_bind_text(write, 3, slice_of(""));
	assert_ok(db_run(write, &it.err));
	assert_ok(db_prepare(it.db, "SELECT a, b, c, NULL FROM t", &read, &it.err));
	assert_int_equal(db_step(read, &it.err), DB_ROW);
	assert_true(db_u64(read, 0) == INT64_MAX);
	assert_int_equal(db_u32(read, 0), 0); /* out of range */
	assert_true(slice_equal(db_blob(read, 1), slice_make(octets, sizeof(octets))));
	assert_false(db_is_null(read, 2));
	assert_int_equal(db_text(read, 2).length, 0);
	assert_true(db_is_null(read, 3));
	assert_null(db_text(read, 3).data);
	assert_int_equal(db_step(read, &it.err), DB_DONE);
}

static void
a_statement_can_be_used_while_it_is_in_use(void **state)
{
	static const char sql[] = "SELECT a FROM t ORDER BY a";
	SCOPED(db_end) struct db_statement *outer = NULL;
	int pairs = 0;

	assert_true(insert(it.db, 1, slice_of("x")) && insert(it.db, 2, slice_of("y")));
	assert_ok(db_prepare(it.db, sql, &outer, &it.err));
	while (db_step(outer, &it.err) == DB_ROW) {
		SCOPED(db_end) struct db_statement *inner = NULL;

		assert_ok(db_prepare(it.db, sql, &inner, &it.err));
		assert_ptr_not_equal(inner, outer);
		while (db_step(inner, &it.err) == DB_ROW) {
			pairs++;
		}
	}
	assert_int_equal(pairs, 4);
}

static void
a_statement_is_kept_and_forgets_its_values(void **state)
{
	static const char sql[] = "SELECT ? IS NULL";
	struct db_statement *first = NULL, *second = NULL;

	assert_ok(db_prepare(it.db, sql, &first, &it.err));
	db_bind_i64(first, 1, 7);
	assert_int_equal(db_step(first, &it.err), DB_ROW);
	assert_false(db_bool(first, 0));
	struct db_statement *kept = first;

	db_end(&first);
	assert_null(first);
	assert_ok(db_prepare(it.db, sql, &second, &it.err));
	assert_ptr_equal(second, kept);
	assert_int_equal(db_step(second, &it.err), DB_ROW);
	assert_true(db_bool(second, 0));
	db_end(&second);
}

static void
a_key_that_is_there_is_told_as_such(void **state)
{
	assert_true(insert(it.db, 1, slice_of("x")));
	assert_false(insert(it.db, 2, slice_of("x")));
	assert_int_equal(it.err.kind, ERROR_EXISTS);
	assert_false(insert(it.db, 1, slice_of("y")));
	assert_int_equal(it.err.kind, ERROR_EXISTS);
	assert_int_equal(count(it.db), 1);
}

static void
what_is_rolled_back_is_gone_and_what_is_committed_is_seen_by_others(void **state)
{
	struct db_options options = {.cache_kib = 256};
	struct db *reader = NULL;

	assert_ok(db_open(it.path, &options, &reader, &it.err));
	assert_ok(db_begin_write(it.db, &it.err));
	assert_true(insert(it.db, 1, slice_of("x")));
	db_rollback(it.db);
	assert_int_equal(count(it.db), 0);
	assert_ok(db_begin_write(it.db, &it.err));
	assert_true(insert(it.db, 1, slice_of("x")));
	assert_int_equal(count(reader), 0);
	assert_ok(db_commit(it.db, &it.err));
	assert_int_equal(count(reader), 1);
	assert_true(db_log_pages(it.db) > 0);
	db_close(&reader);
}

static void
a_reader_cannot_write(void **state)
{
	struct db_options options = {.cache_kib = 256};
	struct db *reader = NULL;

	assert_ok(db_open(it.path, &options, &reader, &it.err));
	assert_false(insert(reader, 1, slice_of("x")));
	assert_int_equal(it.err.kind, ERROR_REFUSED);
	db_close(&reader);
}

static void
a_snapshot_stays_as_it_was(void **state)
{
	struct db_options options = {.cache_kib = 256};
	struct db *reader = NULL;

	assert_ok(db_open(it.path, &options, &reader, &it.err));
	assert_ok(db_begin_read(reader, &it.err));
	assert_int_equal(count(reader), 0);
	assert_true(insert(it.db, 1, slice_of("x")));
	assert_int_equal(count(reader), 0);
	db_rollback(reader);
	assert_int_equal(count(reader), 1);
	db_close(&reader);
}

static void
the_log_is_copied_and_cut(void **state)
{
	char name[128];
	uint64_t left;
	FILE *log;

	for (int i = 1; i <= 100; i++) {
		assert_true(insert(it.db, i, slice_of(NULL)));
	}
	assert_ok(db_checkpoint(it.db, DB_CHECKPOINT_PASSIVE, &left, &it.err));
	assert_int_equal(left, 0);
	assert_ok(db_checkpoint(it.db, DB_CHECKPOINT_TRUNCATE, &left, &it.err));
	(void)snprintf(name, sizeof(name), "%s-wal", it.path);
	log = fopen(name, "r");
	assert_non_null(log);
	assert_int_equal(fseek(log, 0, SEEK_END), 0);
	assert_int_equal(ftell(log), 0);
	(void)fclose(log);
}

static void
cutting_the_log_gives_way_to_a_reader(void **state)
{
	struct db_options options = {.cache_kib = 256};
	struct db *reader = NULL;
	uint64_t left;

	assert_ok(db_open(it.path, &options, &reader, &it.err));
	assert_true(insert(it.db, 1, slice_of("x")));
	assert_ok(db_begin_read(reader, &it.err));
	assert_int_equal(count(reader), 1);
	assert_true(insert(it.db, 2, slice_of("y")));
	assert_false(db_checkpoint(it.db, DB_CHECKPOINT_TRUNCATE, &left, &it.err));
	assert_int_equal(it.err.kind, ERROR_RETRY);
	db_rollback(reader);
	assert_ok(db_checkpoint(it.db, DB_CHECKPOINT_TRUNCATE, &left, &it.err));
	db_close(&reader);
}

static void
a_file_that_is_no_database_is_damaged(void **state)
{
	struct db_options options = {.write = true, .create = true, .cache_kib = 256};
	struct db *other = NULL;
	char name[128];
	FILE *file;

	(void)snprintf(name, sizeof(name), "%s/garbage", it.directory);
	file = fopen(name, "w");
	assert_non_null(file);
	for (int i = 0; i < 4000; i++) {
		(void)fputs("garbage ", file);
	}
	(void)fclose(file);
	assert_false(db_open(name, &options, &other, &it.err));
	assert_int_equal(it.err.kind, ERROR_DAMAGED);
}

static void
a_symbolic_link_is_not_followed(void **state)
{
	struct db_options options = {.write = true, .create = true, .cache_kib = 256};
	struct db *other = NULL;
	char name[128];

	(void)snprintf(name, sizeof(name), "%s/link", it.directory);
	assert_int_equal(symlink("test.db", name), 0);
	assert_false(db_open(name, &options, &other, &it.err));
}

static void
note(void *context, struct slice sentence)
{
	++*(int *)context;
}

static void
a_broken_page_is_found(void **state)
{
	int found = 0;
	uint64_t left;
	FILE *file;

	for (int i = 1; i <= 3000; i++) {
		assert_true(insert(it.db, i, slice_of(NULL)));
	}
	assert_ok(db_check(it.db, true, note, &found, &it.err));
	assert_int_equal(found, 0);
	assert_ok(db_checkpoint(it.db, DB_CHECKPOINT_TRUNCATE, &left, &it.err));
	db_close(&it.db);
	file = fopen(it.path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, 3 * DB_PAGE_BYTES + 5, SEEK_SET), 0);
	for (int i = 0; i < 200; i++) {
		(void)fputc(0xa5, file);
	}
	(void)fclose(file);

	struct db_options options = {.write = true, .cache_kib = 256};

	assert_ok(db_open(it.path, &options, &it.db, &it.err));
	if (db_check(it.db, true, note, &found, &it.err)) {
		assert_true(found > 0);
	} else {
		assert_int_equal(it.err.kind, ERROR_DAMAGED);
	}
}

/* --- schema steps --- */

static const struct migrate_step steps[] = {
	{1, "CREATE TABLE one (x); -- a comment\nCREATE TABLE two (x)"},
	{2, "ALTER TABLE one ADD COLUMN y"},
};

static void
steps_run_once_and_in_order(void **state)
{
	unsigned version;

	assert_ok(db_exec(it.db, "DROP TABLE t", &it.err));
	assert_ok(migrate_run(it.db, APPLICATION, steps, 1, &it.err));
	assert_ok(migrate_version(it.db, APPLICATION, &version, &it.err));
	assert_int_equal(version, 1);
	assert_ok(migrate_run(it.db, APPLICATION, steps, 2, &it.err));
	assert_ok(migrate_run(it.db, APPLICATION, steps, 2, &it.err));
	assert_ok(migrate_version(it.db, APPLICATION, &version, &it.err));
	assert_int_equal(version, 2);
	assert_ok(db_exec(it.db, "INSERT INTO one (x, y) VALUES (1, 2)", &it.err));
}

static void
an_older_program_refuses_a_newer_file(void **state)
{
	assert_ok(db_exec(it.db, "DROP TABLE t", &it.err));
	assert_ok(migrate_run(it.db, APPLICATION, steps, 2, &it.err));
	assert_false(migrate_run(it.db, APPLICATION, steps, 1, &it.err));
	assert_int_equal(it.err.kind, ERROR_FATAL);
}

static void
a_step_that_fails_leaves_nothing(void **state)
{
	static const struct migrate_step broken[] = {{1, "CREATE TABLE one (x); CREATE TABLE one (x)"}};
	unsigned version;

	assert_ok(db_exec(it.db, "DROP TABLE t", &it.err));
	assert_false(migrate_run(it.db, APPLICATION, broken, 1, &it.err));
	assert_ok(migrate_version(it.db, APPLICATION, &version, &it.err));
	assert_int_equal(version, 0);
	assert_ok(migrate_run(it.db, APPLICATION, steps, 2, &it.err));
}

static void
the_database_of_another_program_is_refused(void **state)
{
	assert_false(migrate_run(it.db, APPLICATION, steps, 2, &it.err)); /* it has a table t */
	assert_int_equal(it.err.kind, ERROR_DAMAGED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_come_back_as_they_were_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(a_statement_can_be_used_while_it_is_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(a_statement_is_kept_and_forgets_its_values, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_that_is_there_is_told_as_such, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_rolled_back_is_gone_and_what_is_committed_is_seen_by_others, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reader_cannot_write, setup, teardown),
		cmocka_unit_test_setup_teardown(a_snapshot_stays_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log_is_copied_and_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(cutting_the_log_gives_way_to_a_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_no_database_is_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(a_symbolic_link_is_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_page_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(steps_run_once_and_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_program_refuses_a_newer_file, setup, teardown),
		cmocka_unit_test_setup_teardown(a_step_that_fails_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_database_of_another_program_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("db", tests, NULL, NULL);
}
