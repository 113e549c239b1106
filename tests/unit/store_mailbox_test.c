#include <errno.h>

#include "tests/unit/store_fixture.h"

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

static struct mailbox
load(const char *name)
{
	struct mailbox mailbox = {0};

	assert_ok(mailbox_load_by_name(fixture.txn, slice_of(name), &mailbox, &fixture.err));
	return mailbox;
}

static bool
append_name(void *context, const struct mailbox *mailbox, struct error *err)
{
	buf_append_text(context, mailbox->name);
	buf_append_octet(context, mailbox->kind == MAILBOX_DIRECTORY ? ':' : ';');
	return true;
}

static void
assert_tree(const char *wanted)
{
	SCOPED(buf_finish) struct buf names = BUF_INIT;

	assert_ok(mailbox_each(fixture.txn, false, append_name, &names, &fixture.err));
	buf_append_octet(&names, '\0');
	assert_string_equal(names.data, wanted);
}

static void
missing_parents_are_made_as_directories(void **state)
{
	fixture_write();
	(void)fixture_mailbox("A/B/C");
	(void)fixture_mailbox("A-b");
	assert_tree("A:A-b;A/B:A/B/C;");
	fixture_commit();
	fixture_audit();
}

static void
a_new_mailbox_has_a_guid_and_a_uidvalidity_of_its_own(void **state)
{
	fixture_write();
	(void)fixture_mailbox("A");
	(void)fixture_mailbox("B");
	SCOPED(mailbox_finish) struct mailbox a = load("A");
	SCOPED(mailbox_finish) struct mailbox b = load("B");

	assert_memory_not_equal(a.guid.bytes, b.guid.bytes, sizeof(a.guid.bytes));
	assert_true(a.uidvalidity != 0 && b.uidvalidity > a.uidvalidity);
	assert_int_equal(a.uidnext, 1);
	assert_true(a.modseq.value != b.modseq.value);
}

static void
a_name_that_is_taken_is_refused(void **state)
{
	struct mailbox_id id;

	fixture_write();
	(void)fixture_mailbox("A/B");
	assert_fails(mailbox_create(fixture.txn, slice_of("A/B"), MAILBOX_REAL, NULL, &id, &fixture.err), ERROR_EXISTS);
	assert_fails(mailbox_create(fixture.txn, slice_of("A"), MAILBOX_REAL, NULL, &id, &fixture.err), ERROR_EXISTS);
}

static void
a_name_that_can_be_none_is_refused(void **state)
{
	static const char *const bad[] = {"", "/A", "A/", "A//B", "A\xff"};
	char *deep = calloc(1, 200);
	struct mailbox_id id;

	fixture_write();
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		assert_fails(mailbox_create(fixture.txn, slice_of(bad[i]), MAILBOX_REAL, NULL, &id, &fixture.err),
			ERROR_INVALID);
	}
	for (int i = 0; i < 70; i++) {
		(void)strcat(deep, i > 0 ? "/d" : "d");
	}
	assert_fails(mailbox_create(fixture.txn, slice_of(deep), MAILBOX_REAL, NULL, &id, &fixture.err), ERROR_INVALID);
	free(deep);
}

static void
children_are_those_one_level_below(void **state)
{
	SCOPED(buf_finish) struct buf names = BUF_INIT;

	fixture_write();
	(void)fixture_mailbox("A");
	(void)fixture_mailbox("A/B/C");
	(void)fixture_mailbox("A/D");
	(void)fixture_mailbox("A0");
	(void)fixture_mailbox("AB/E");
	assert_ok(mailbox_each_child(fixture.txn, slice_of("A"), append_name, &names, &fixture.err));
	buf_append_octet(&names, '\0');
	assert_string_equal(names.data, "A/B:A/D;");
	buf_clear(&names);
	assert_ok(mailbox_each_child(fixture.txn, slice_of(""), append_name, &names, &fixture.err));
	buf_append_octet(&names, '\0');
	assert_string_equal(names.data, "A;A0;AB:");
}

static void
a_rename_takes_all_below_along_and_leaves_traces(void **state)
{
	fixture_write();
	struct mailbox_id a = fixture_mailbox("A"), b = fixture_mailbox("A/B");
	SCOPED(mailbox_finish) struct mailbox before = load("A/B");

	(void)fixture_mailbox("AB");
	assert_ok(mailbox_rename(fixture.txn, a, slice_of("X/Y"), &fixture.err));
	assert_tree("AB;X:X/Y;X/Y/B;");
	SCOPED(mailbox_finish) struct mailbox after = load("X/Y/B");

	assert_int_equal(after.id.value, b.value);
	assert_memory_equal(after.guid.bytes, before.guid.bytes, sizeof(after.guid.bytes));
	assert_true(after.modseq.value > before.modseq.value);
	fixture_commit();
	fixture_audit();
}

static void
a_rename_onto_something_or_below_itself_is_refused(void **state)
{
	fixture_write();
	struct mailbox_id a = fixture_mailbox("A");

	(void)fixture_mailbox("B");
	(void)fixture_mailbox("C/D");
	assert_fails(mailbox_rename(fixture.txn, a, slice_of("B"), &fixture.err), ERROR_EXISTS);
	assert_fails(mailbox_rename(fixture.txn, a, slice_of("C"), &fixture.err), ERROR_EXISTS);
	assert_fails(mailbox_rename(fixture.txn, a, slice_of("A/X"), &fixture.err), ERROR_INVALID);
	assert_ok(mailbox_rename(fixture.txn, a, slice_of("A"), &fixture.err));
	assert_tree("A;B;C:C/D;");
}

static void
a_mailbox_that_holds_something_is_removed_only_with_it(void **state)
{
	fixture_write();
	struct mailbox_id a = fixture_mailbox("A"), b = fixture_mailbox("B"), c = fixture_mailbox("C");
	struct number number = fixture_message(a, "x", NULL);

	(void)fixture_mailbox("B/D");
	assert_fails(mailbox_expunge(fixture.txn, a, true, MESSAGE_BY_USER, &fixture.err), ERROR_REFUSED);
	assert_fails(mailbox_expunge(fixture.txn, b, true, MESSAGE_BY_USER, &fixture.err), ERROR_REFUSED);
	assert_ok(mailbox_expunge(fixture.txn, c, true, MESSAGE_BY_USER, &fixture.err));
	assert_ok(mailbox_expunge(fixture.txn, a, false, MESSAGE_BY_REMOTE, &fixture.err));
	SCOPED(message_finish) struct message message = {0};

	assert_ok(message_load(fixture.txn, number, &message, &fixture.err));
	assert_true(message.expunged_s != 0);
	assert_int_equal(message.expunged_by, MESSAGE_BY_REMOTE);
	assert_tree("B;B/D;");
	fixture_commit();
	fixture_audit();
}

static void
a_mailbox_with_children_that_ends_becomes_the_way_to_them(void **state)
{
	fixture_write();
	struct mailbox_id a = fixture_mailbox("A");

	(void)fixture_mailbox("A/B");
	(void)fixture_message(a, "x", NULL);
	assert_ok(mailbox_expunge(fixture.txn, a, false, MESSAGE_BY_REMOTE, &fixture.err));
	assert_tree("A:A/B;");
	fixture_commit();
	fixture_audit();
}

static void
local_files_outlive_their_mailbox(void **state)
{
	struct local local = {.parent_kind = LOCAL_IN_MAILBOX, .name = (char *)".notes", .mode = 0600};
	SCOPED(local_finish) struct local rescued = {0};
	struct number id, scratch;

	fixture_write();
	struct mailbox_id a = fixture_mailbox("A");

	assert_ok(local_create(fixture.txn, &(struct local){.parent_kind = LOCAL_IN_SCRATCH, .name = (char *)".notes"},
		&scratch, &fixture.err));
	local.parent = a.value;
	assert_ok(local_create(fixture.txn, &local, &id, &fixture.err));
	assert_fails(mailbox_expunge(fixture.txn, a, true, MESSAGE_BY_USER, &fixture.err), ERROR_REFUSED);
	assert_ok(mailbox_expunge(fixture.txn, a, false, MESSAGE_BY_REMOTE, &fixture.err));
	assert_ok(local_load(fixture.txn, id, &rescued, &fixture.err));
	assert_int_equal(rescued.parent_kind, LOCAL_IN_SCRATCH);
	assert_non_null(strstr(rescued.name, ".notes"));
	fixture_commit();
	fixture_audit();
}

static void
a_name_can_be_used_again_by_another_mailbox(void **state)
{
	fixture_write();
	struct mailbox_id first = fixture_mailbox("A");
	SCOPED(mailbox_finish) struct mailbox before = load("A");

	assert_ok(mailbox_expunge(fixture.txn, first, true, MESSAGE_BY_USER, &fixture.err));
	struct mailbox_id second = fixture_mailbox("A");
	SCOPED(mailbox_finish) struct mailbox after = load("A");

	assert_int_not_equal(first.value, second.value);
	assert_true(after.uidvalidity > before.uidvalidity);
	fixture_commit();
	fixture_audit();
}

static void
an_attribute_takes_a_modseq_only_when_it_changes(void **state)
{
	fixture_write();
	struct mailbox_id a = fixture_mailbox("A");

	assert_ok(mailbox_set_role(fixture.txn, a, "trash", &fixture.err));
	struct modseq before = store_modseq(fixture.txn);

	assert_ok(mailbox_set_role(fixture.txn, a, "trash", &fixture.err));
	assert_ok(mailbox_set_subscribed(fixture.txn, a, true, &fixture.err));
	assert_ok(mailbox_set_opened(fixture.txn, a, 5, &fixture.err));
	assert_true(store_modseq(fixture.txn).value == before.value);
	assert_ok(mailbox_set_listed(fixture.txn, a, true, &fixture.err));
	assert_ok(mailbox_set_read_only(fixture.txn, a, true, &fixture.err));
	assert_true(store_modseq(fixture.txn).value == before.value + 2);
	SCOPED(mailbox_finish) struct mailbox mailbox = load("A");

	assert_string_equal(mailbox.role, "trash");
	assert_true(mailbox.listed && mailbox.read_only && mailbox.subscribed);
	assert_int_equal(mailbox.opened_s, 5);
	assert_fails(mailbox_set_listed(fixture.txn, (struct mailbox_id){999}, true, &fixture.err), ERROR_GONE);
}

static int64_t
changed_ns(const char *name)
{
	SCOPED(mailbox_finish) struct mailbox mailbox = load(name);

	return mailbox.changed_ns;
}

static void
the_time_of_a_directory_moves_with_every_change_in_it_and_never_back(void **state)
{
	fixture_write();
	struct mailbox_id a = fixture_mailbox("A");

	fixture_commit();
	fixture_read();
	int64_t made_ns = changed_ns("A");

	fixture_end();
	fixture_write();
	struct number number = fixture_message(a, "x", NULL);

	fixture_commit();
	fixture_read();
	int64_t filled_ns = changed_ns("A");

	assert_true(filled_ns > made_ns);
	fixture_end();
	fixture_write();
	(void)fixture_mailbox("A/B");
	fixture_commit();
	fixture_read();
	int64_t child_ns = changed_ns("A");

	assert_true(child_ns > filled_ns);
	fixture_end();
	fixture_write();
	assert_ok(message_expunge(fixture.txn, number, MESSAGE_BY_USER, (struct number){0}, &fixture.err));
	fixture_commit();
	fixture_read();
	assert_true(changed_ns("A") > child_ns);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(missing_parents_are_made_as_directories),
		test(a_new_mailbox_has_a_guid_and_a_uidvalidity_of_its_own),
		test(a_name_that_is_taken_is_refused),
		test(a_name_that_can_be_none_is_refused),
		test(children_are_those_one_level_below),
		test(a_rename_takes_all_below_along_and_leaves_traces),
		test(a_rename_onto_something_or_below_itself_is_refused),
		test(a_mailbox_that_holds_something_is_removed_only_with_it),
		test(a_mailbox_with_children_that_ends_becomes_the_way_to_them),
		test(local_files_outlive_their_mailbox),
		test(a_name_can_be_used_again_by_another_mailbox),
		test(an_attribute_takes_a_modseq_only_when_it_changes),
		test(the_time_of_a_directory_moves_with_every_change_in_it_and_never_back),
	};

	return cmocka_run_group_tests_name("store_mailbox", tests, NULL, NULL);
}
