/* Readdir cookies: each comes back, no two clash, and 0 is the beginning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/scope.h"
#include "fs/dir.h"

static const uint32_t numbers[] = {1, 2, 15, 16, 17, 0x7fffffff, 0x80000000, UINT32_MAX - 16, UINT32_MAX};

static void
every_cookie_comes_back(void **state)
{
	for (unsigned section = DIR_NEW; section <= DIR_MESSAGE; section++) {
		for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
			uint64_t cookie = dir_cookie((enum dir_section)section, numbers[i]);
			enum dir_section back;
			uint32_t number;

			assert_true(cookie <= INT64_MAX);
			assert_true(dir_cookie_read(cookie, &back, &number));
			assert_int_equal(back, section);
			assert_int_equal(number, numbers[i]);
		}
	}
}

static void
fixed_entries_have_one_to_fifteen_and_messages_their_uid(void **state)
{
	enum dir_section section;
	uint32_t number;

	for (uint32_t i = 1; i <= DIR_FIXED_MAX; i++) {
		assert_int_equal(dir_cookie(DIR_FIXED, i), i);
	}
	assert_int_equal(dir_cookie(DIR_MESSAGE, 1), 17);
	assert_int_equal(dir_cookie(DIR_MESSAGE, 4711), 4711 + 16);
	assert_true(dir_cookie_read(0, &section, &number));
	assert_int_equal(section, DIR_FIXED);
	assert_int_equal(number, 0);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
no_two_cookies_clash(void **state)
{
	uint64_t cookies[DIR_FIXED_MAX + 4 * ARRAY_LENGTH(numbers)];
	size_t count = 0;

	for (uint32_t i = 1; i <= DIR_FIXED_MAX; i++) {
		cookies[count++] = dir_cookie(DIR_FIXED, i);
	}
	for (unsigned section = DIR_NEW; section <= DIR_MESSAGE; section++) {
		for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
			cookies[count++] = dir_cookie((enum dir_section)section, numbers[i]);
		}
	}
	qsort(cookies, count, sizeof(*cookies), compare);
	for (size_t i = 1; i < count; i++) {
		assert_int_not_equal(cookies[i - 1], cookies[i]);
	}
}

static void
what_was_never_given_is_refused(void **state)
{
	enum dir_section section;
	uint32_t number;

	assert_false(dir_cookie_read(UINT64_MAX, &section, &number));
	assert_false(dir_cookie_read(UINT64_C(1) << 39, &section, &number));
	assert_false(dir_cookie_read((UINT64_C(1) << 40) + (UINT64_C(1) << 33), &section, &number));
	assert_false(dir_cookie_read(UINT64_C(9) << 40, &section, &number));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cookie_comes_back),
		cmocka_unit_test(fixed_entries_have_one_to_fifteen_and_messages_their_uid),
		cmocka_unit_test(no_two_cookies_clash),
		cmocka_unit_test(what_was_never_given_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
