#include <errno.h>

#include "tests/unit/store_fixture.h"

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static struct number
make(enum local_parent parent_kind, uint64_t parent, enum local_kind kind, const char *name)
{
	struct local local = {
		.parent_kind = parent_kind, .parent = parent, .kind = kind, .name = (char *)name, .mode = 0644};
	struct number id;

	assert_ok(local_create(fixture.txn, &local, &id, &fixture.err));
	return id;
}

static bool
append(void *context, const struct local *local)
{
	buf_printf(context, "%s ", local->name);
	return true;
}

static void
assert_names(enum local_parent parent_kind, uint64_t parent, uint64_t after, const char *wanted)
{
	SCOPED(buf_finish) struct buf names = BUF_INIT;

	assert_ok(local_each(fixture.txn, parent_kind, parent, after, append, &names, &fixture.err));
	buf_append_octet(&names, '\0');
	assert_string_equal(names.data, wanted);
}

static void
what_a_local_name_was_made_of_comes_back(void **state)
{
	SCOPED(local_finish) struct local read = {0};
	SCOPED(local_finish) struct local found = {0};
	struct local local = {
		.parent_kind = LOCAL_IN_SCRATCH,
		.name = (char *)"\xff link",
		.kind = LOCAL_SYMLINK,
		.size_bytes = 6,
		.mode = 0777,
		.mtime_ns = -1,
		.ctime_ns = 1793697120123456789,
		.target = (char *)"target",
		.error = (char *)"why not",
		.closed_ns = 5,
	};
	struct number id;

	fixture_write();
	assert_ok(local_create(fixture.txn, &local, &id, &fixture.err));
	assert_ok(local_load(fixture.txn, id, &read, &fixture.err));
	assert_string_equal(read.name, local.name);
	assert_string_equal(read.target, local.target);
	assert_string_equal(read.error, local.error);
	assert_true(read.kind == LOCAL_SYMLINK && read.size_bytes == 6 && read.mode == 0777 && read.mtime_ns == -1);
	assert_true(read.ctime_ns == local.ctime_ns && read.closed_ns == 5);
	assert_ok(local_load_by_name(fixture.txn, LOCAL_IN_SCRATCH, 0, slice_of("\xff link"), &found, &fixture.err));
	assert_int_equal(found.id.value, id.value);
}

static void
a_directory_lists_its_own_in_the_order_of_ids(void **state)
{
	fixture_write();
	struct mailbox_id a = fixture_mailbox("A");
	struct number directory = make(LOCAL_IN_MAILBOX, a.value, LOCAL_DIRECTORY, ".d");
	struct number z = make(LOCAL_IN_DIRECTORY, directory.value, LOCAL_FILE, "z");

	(void)make(LOCAL_IN_DIRECTORY, directory.value, LOCAL_FILE, "a");
	(void)make(LOCAL_IN_MAILBOX, a.value, LOCAL_FILE, ".f");
	assert_names(LOCAL_IN_MAILBOX, a.value, 0, ".d .f ");
	assert_names(LOCAL_IN_DIRECTORY, directory.value, 0, "z a ");
	assert_names(LOCAL_IN_DIRECTORY, directory.value, z.value, "a ");
	fixture_commit();
	fixture_audit();
}

static void
a_name_or_a_place_that_cannot_be_is_refused(void **state)
{
	struct local local = {.parent_kind = LOCAL_IN_SCRATCH, .name = (char *)"x"};
	struct number id;

	fixture_write();
	struct number file = make(LOCAL_IN_SCRATCH, 0, LOCAL_FILE, "x");

	assert_fails(local_create(fixture.txn, &local, &id, &fixture.err), ERROR_EXISTS);
	local.name = (char *)"a/b";
	assert_fails(local_create(fixture.txn, &local, &id, &fixture.err), ERROR_INVALID);
	local.name = (char *)"..";
	assert_fails(local_create(fixture.txn, &local, &id, &fixture.err), ERROR_INVALID);
	local = (struct local){.parent_kind = LOCAL_IN_DIRECTORY, .parent = file.value, .name = (char *)"y"};
	assert_fails(local_create(fixture.txn, &local, &id, &fixture.err), ERROR_INVALID);
	local.parent = 999;
	assert_fails(local_create(fixture.txn, &local, &id, &fixture.err), ERROR_GONE);
	local = (struct local){.parent_kind = LOCAL_IN_MAILBOX, .parent = 999, .name = (char *)"y"};
	assert_fails(local_create(fixture.txn, &local, &id, &fixture.err), ERROR_GONE);
}

static void
a_move_goes_anywhere_but_onto_a_name_or_below_itself(void **state)
{
	fixture_write();
	struct mailbox_id a = fixture_mailbox("A");
	struct number d = make(LOCAL_IN_SCRATCH, 0, LOCAL_DIRECTORY, "d"),
		      e = make(LOCAL_IN_DIRECTORY, d.value, LOCAL_DIRECTORY, "e");
	struct number f = make(LOCAL_IN_SCRATCH, 0, LOCAL_FILE, "f");

	assert_fails(
		local_move(fixture.txn, d, LOCAL_IN_DIRECTORY, e.value, slice_of("x"), &fixture.err), ERROR_INVALID);
	assert_fails(
		local_move(fixture.txn, d, LOCAL_IN_DIRECTORY, d.value, slice_of("x"), &fixture.err), ERROR_INVALID);
	assert_fails(local_move(fixture.txn, f, LOCAL_IN_SCRATCH, 0, slice_of("d"), &fixture.err), ERROR_EXISTS);
	assert_ok(local_move(fixture.txn, f, LOCAL_IN_DIRECTORY, e.value, slice_of("g"), &fixture.err));
	assert_ok(local_move(fixture.txn, e, LOCAL_IN_MAILBOX, a.value, slice_of(".e"), &fixture.err));
	assert_names(LOCAL_IN_SCRATCH, 0, 0, "d ");
	assert_names(LOCAL_IN_MAILBOX, a.value, 0, ".e ");
	assert_names(LOCAL_IN_DIRECTORY, e.value, 0, "g ");
	fixture_commit();
	fixture_audit();
}

static void
a_directory_goes_only_when_it_is_empty_and_names_can_be_used_again(void **state)
{
	fixture_write();
	struct number d = make(LOCAL_IN_SCRATCH, 0, LOCAL_DIRECTORY, "d"),
		      f = make(LOCAL_IN_DIRECTORY, d.value, LOCAL_FILE, "f");

	if (local_expunge(fixture.txn, d, &fixture.err)) {
		fail_msg("a directory with a file in it was removed");
	}
	assert_int_equal(fixture.err.kind, ERROR_REFUSED);
	assert_int_equal(fixture.err.sys_errno, ENOTEMPTY);
	assert_ok(local_expunge(fixture.txn, f, &fixture.err));
	assert_ok(local_expunge(fixture.txn, d, &fixture.err));
	assert_fails(local_expunge(fixture.txn, d, &fixture.err), ERROR_GONE);
	assert_int_not_equal(make(LOCAL_IN_SCRATCH, 0, LOCAL_DIRECTORY, "d").value, d.value);
	assert_names(LOCAL_IN_SCRATCH, 0, 0, "d ");
}

static void
an_update_is_written_and_told(void **state)
{
	SCOPED(local_finish) struct local local = {0};
	SCOPED(local_finish) struct local read = {0};

	fixture_write();
	struct number id = make(LOCAL_IN_SCRATCH, 0, LOCAL_FILE, "f");
	struct modseq before = store_modseq(fixture.txn);

	assert_ok(local_load(fixture.txn, id, &local, &fixture.err));
	local.size_bytes = 77;
	local.error = slice_dup(slice_of("no header"));
	assert_ok(local_update(fixture.txn, &local, &fixture.err));
	assert_ok(local_load(fixture.txn, id, &read, &fixture.err));
	assert_true(read.size_bytes == 77 && store_modseq(fixture.txn).value > before.value);
	assert_string_equal(read.error, "no header");
	local.id.value = 999;
	assert_fails(local_update(fixture.txn, &local, &fixture.err), ERROR_GONE);
}

static bool
note_pending(void *context, const struct pending *pending)
{
	buf_printf(context, "%llu:%s:%s:%.*s:%d%d:%lld ", (unsigned long long)pending->id, pending->name,
		pending->file != NULL ? pending->file : "-", (int)pending->data.length, pending->data.data,
		pending->dirty, pending->killed, pending->mtime_s == INT64_MIN ? -1 : (long long)pending->mtime_s);
	return true;
}

static void
pending_writes_are_kept_until_they_are_removed(void **state)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	struct pending small = {
		.mailbox = {1}, .name = (char *)"a.eml", .mtime_s = INT64_MIN, .data = SLICE_LITERAL("bytes")};
	struct pending large = {
		.mailbox = {1}, .name = (char *)"b.eml", .mtime_s = 9, .file = (char *)"spool/x", .dirty = true};

	fixture_write();
	assert_ok(pending_put(fixture.txn, &small, &fixture.err));
	assert_ok(pending_put(fixture.txn, &large, &fixture.err));
	fixture_commit();
	fixture_reopen();
	fixture_write();
	small.data = slice_of("more");
	assert_ok(pending_put(fixture.txn, &small, &fixture.err));
	assert_ok(pending_set_dirty(fixture.txn, large.id, false, true, &fixture.err));
	assert_ok(pending_each(fixture.txn, note_pending, &text, &fixture.err));
	buf_append_octet(&text, '\0');
	assert_string_equal(text.data, "1:a.eml:-:more:00:-1 2:b.eml:spool/x::01:9 ");
	assert_ok(pending_remove(fixture.txn, small.id, &fixture.err));
	assert_ok(pending_remove(fixture.txn, large.id, &fixture.err));
	buf_clear(&text);
	assert_ok(pending_each(fixture.txn, note_pending, &text, &fixture.err));
	assert_int_equal(text.length, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_a_local_name_was_made_of_comes_back),
		test(a_directory_lists_its_own_in_the_order_of_ids),
		test(a_name_or_a_place_that_cannot_be_is_refused),
		test(a_move_goes_anywhere_but_onto_a_name_or_below_itself),
		test(a_directory_goes_only_when_it_is_empty_and_names_can_be_used_again),
		test(an_update_is_written_and_told),
		test(pending_writes_are_kept_until_they_are_removed),
	};

	return cmocka_run_group_tests_name("store_local", tests, NULL, NULL);
}
