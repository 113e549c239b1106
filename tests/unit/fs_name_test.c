/* What a file name means, and which headers make a message of a file with any other name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/name.h"

static void
names_ending_in_eml_are_messages(void **state)
{
	static const char *const names[] = {
		"x.eml", "2026-11-03 0912 Ana - Re.k7q2m.eml", "a b.eml", "4913.eml", "x~.eml", "#x.eml"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		assert_int_equal(name_classify(slice_of(names[i])), NAME_MESSAGE);
	}
}

static void
what_editors_leave_is_local(void **state)
{
	static const char *const names[] = {
		".x.eml.swp", ".x.eml", ".#x.eml", "x.eml~", "~", "4913", "#x.eml#", "##", ".eml", "."};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		assert_int_equal(name_classify(slice_of(names[i])), NAME_LOCAL);
	}
}

static void
any_other_name_waits(void **state)
{
	static const char *const names[] = {
		"x", "x.txt", "x.eml.tmp", "sedXyZ123", "x.EML", "49130", "#x", "x#", "#", "eml", "x~1"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		assert_int_equal(name_classify(slice_of(names[i])), NAME_OTHER);
	}
}

static void
mailboxes_have_the_names_of_their_directories(void **state)
{
	struct buf out = BUF_INIT;

	assert_true(name_of_mailbox(SLICE_LITERAL(""), SLICE_LITERAL("INBOX"), &out));
	assert_string_equal(out.data, "INBOX");
	buf_clear(&out);
	assert_true(name_of_mailbox(SLICE_LITERAL("A/B"), SLICE_LITERAL("%2Ehidden"), &out));
	assert_string_equal(out.data, "A/B/.hidden");
	buf_clear(&out);
	assert_true(name_mailbox_path(SLICE_LITERAL("A/B/.hidden"), &out));
	assert_string_equal(out.data, "A/B/%2Ehidden");
	buf_clear(&out);
	assert_false(name_of_mailbox(SLICE_LITERAL("A"), SLICE_LITERAL(".hidden"), &out));
	assert_int_equal(out.length, 0);
	assert_false(name_of_mailbox(SLICE_LITERAL("A"), SLICE_LITERAL(""), &out));
	buf_finish(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_ending_in_eml_are_messages),
		cmocka_unit_test(what_editors_leave_is_local),
		cmocka_unit_test(any_other_name_waits),
		cmocka_unit_test(mailboxes_have_the_names_of_their_directories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
