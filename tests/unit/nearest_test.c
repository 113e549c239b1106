#include "fs/command/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
distances_count_letters_to_insert_delete_change_or_swap(void **state)
{
	assert_int_equal(nearest_distance("", ""), 0);
	assert_int_equal(nearest_distance("sync", "sync"), 0);
	assert_int_equal(nearest_distance("SYNC", "sync"), 0);
	assert_int_equal(nearest_distance("", "sync"), 4);
	assert_int_equal(nearest_distance("sync", ""), 4);
	assert_int_equal(nearest_distance("syn", "sync"), 1);
	assert_int_equal(nearest_distance("ssync", "sync"), 1);
	assert_int_equal(nearest_distance("sinc", "sync"), 1);
	assert_int_equal(nearest_distance("snyc", "sync"), 1);
	assert_int_equal(nearest_distance("ysnc", "sync"), 1);
	assert_int_equal(nearest_distance("kitten", "sitting"), 3);
	assert_int_equal(nearest_distance("status", "unmount"), 6);
}

static void
a_word_longer_than_any_name_is_far_from_all(void **state)
{
	char word[NEAREST_LENGTH_MAX + 2];

	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_int_equal(nearest_distance(word, "a"), NEAREST_LENGTH_MAX);
	word[NEAREST_LENGTH_MAX] = '\0';
	assert_int_equal(nearest_distance(word, "a"), NEAREST_LENGTH_MAX - 1);
}

static void
the_nearest_of_several_is_found_and_nothing_where_all_are_far(void **state)
{
	static const char *const names[] = {"mount", "unmount", "status", "sync"};

	assert_string_equal(nearest_name("mout", names, 4), "mount");
	assert_string_equal(nearest_name("unmout", names, 4), "unmount");
	assert_string_equal(nearest_name("sttus", names, 4), "status");
	assert_null(nearest_name("hello", names, 4));
	assert_null(nearest_name("", names, 4));
	assert_null(nearest_name("x", names, 4));
	assert_null(nearest_name("mount", names, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances_count_letters_to_insert_delete_change_or_swap),
		cmocka_unit_test(a_word_longer_than_any_name_is_far_from_all),
		cmocka_unit_test(the_nearest_of_several_is_found_and_nothing_where_all_are_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
