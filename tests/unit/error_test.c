#include "engine/base/error.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/assert_slice.h"

static void
context_comes_before_what_went_wrong(void **state)
{
	struct error err = ERROR_INIT;

	assert_false(error_set(&err, ERROR_ITEM, "the server refused %d of %s", 3, "them"));
	assert_false(error_wrap(&err, "mailbox %s", "Work"));
	assert_string_equal(err.text, "mailbox Work: the server refused 3 of them");
	assert_int_equal(err.kind, ERROR_ITEM);
	error_clear(&err);
	assert_int_equal(err.kind, ERROR_NONE);
}

static void
an_errno_has_its_kind_and_its_text(void **state)
{
	static const struct {
		int sys_errno;
		enum error_kind kind;
	} cases[] = {
		{ENOSPC, ERROR_SPACE},
		{EDQUOT, ERROR_SPACE},
		{ENOENT, ERROR_GONE},
		{EEXIST, ERROR_EXISTS},
		{EACCES, ERROR_REFUSED},
		{EPERM, ERROR_REFUSED},
		{EIO, ERROR_SYSTEM},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error err = ERROR_INIT;

		assert_false(error_errno(&err, cases[i].sys_errno, "opening %s", "x"));
		assert_int_equal(err.kind, cases[i].kind);
		assert_int_equal(err.sys_errno, cases[i].sys_errno);
		assert_non_null(strstr(err.text, strerror(cases[i].sys_errno)));
		assert_int_equal(strncmp(err.text, "opening x: ", 11), 0);
	}
}

static void
control_characters_of_a_server_do_not_reach_the_terminal(void **state)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_ITEM, "%s",
		"a\x1b[2J\r\n\x7f"
		"b\xc2\x9bz \xc3\xa9");
	assert_string_equal(err.text, "a [2J   b  z \xc3\xa9");
	error_wrap(&err, "%s", "c\td");
	assert_string_equal(err.text, "c d: a [2J   b  z \xc3\xa9");
}

static void
a_long_text_is_cut_between_characters(void **state)
{
	for (unsigned lead = 0; lead < 4; lead++) {
		struct error err = ERROR_INIT;
		char text[2000] = "xxxx";
		size_t length;

		for (size_t i = lead; i + 3 < sizeof(text); i += 3) {
			memcpy(text + i, "\xe2\x82\xac", 4);
		}
		error_set(&err, ERROR_ITEM, "%s", text);
		length = strlen(err.text);
		assert_true(length < ERROR_TEXT_MAX && length > ERROR_TEXT_MAX - 5);
		assert_int_equal((length - lead) % 3, 0);
		error_wrap(&err, "%s", text);
		assert_int_equal((strlen(err.text) - lead) % 3, 0);
	}
}

static void
an_error_can_be_set_from_its_own_text(void **state)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_ITEM, "over quota");
	error_set(&err, ERROR_SPACE, "upload: %s", err.text);
	assert_string_equal(err.text, "upload: over quota");
}

static void
every_kind_has_a_name_and_three_are_temporary(void **state)
{
	unsigned temporary = 0;

	for (int kind = ERROR_NONE; kind < ERROR_KIND_COUNT; kind++) {
		struct error err = {.kind = (enum error_kind)kind};

		assert_true(strlen(error_kind_name(err.kind)) > 0);
		temporary += error_is_temporary(&err);
	}
	assert_int_equal(temporary, 3);
	assert_string_equal(error_kind_name(ERROR_THROTTLED), "throttled");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(context_comes_before_what_went_wrong),
		cmocka_unit_test(an_errno_has_its_kind_and_its_text),
		cmocka_unit_test(control_characters_of_a_server_do_not_reach_the_terminal),
		cmocka_unit_test(a_long_text_is_cut_between_characters),
		cmocka_unit_test(an_error_can_be_set_from_its_own_text),
		cmocka_unit_test(every_kind_has_a_name_and_three_are_temporary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
