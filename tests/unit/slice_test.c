#include "engine/base/slice.h"

#include <stdlib.h>

#include "tests/unit/assert_slice.h"

static void
equality_counts_every_octet(void **state)
{
	assert_true(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0b")));
	assert_false(slice_equal(SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\0c")));
	assert_false(slice_equal(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
	assert_true(slice_equal(slice_of(NULL), SLICE_LITERAL("")));
}

static void
order_is_by_unsigned_octets_and_shorter_first(void **state)
{
	assert_true(slice_compare(SLICE_LITERAL("a"), SLICE_LITERAL("\xff")) < 0);
	assert_true(slice_compare(SLICE_LITERAL("ab"), SLICE_LITERAL("a")) > 0);
	assert_true(slice_compare(slice_of(NULL), SLICE_LITERAL("a")) < 0);
	assert_int_equal(slice_compare(slice_of(NULL), SLICE_LITERAL("")), 0);
}

static void
case_is_ignored_for_ascii_letters_only(void **state)
{
	assert_true(slice_equal_nocase(SLICE_LITERAL("InBoX"), SLICE_LITERAL("INBOX")));
	assert_false(slice_equal_nocase(SLICE_LITERAL("\xc3\xa9"), SLICE_LITERAL("\xc3\x89")));
	assert_false(slice_equal_nocase(SLICE_LITERAL("["), SLICE_LITERAL("{")));
	assert_false(slice_equal_nocase(SLICE_LITERAL("@"), SLICE_LITERAL("`")));
}

static void
prefixes_and_suffixes_may_be_the_whole_and_may_be_empty(void **state)
{
	assert_true(slice_has_prefix(SLICE_LITERAL("abc"), SLICE_LITERAL("abc")));
	assert_true(slice_has_prefix(slice_of(NULL), slice_of(NULL)));
	assert_false(slice_has_prefix(SLICE_LITERAL("ab"), SLICE_LITERAL("abc")));
	assert_true(slice_has_prefix_nocase(SLICE_LITERAL("AbC"), SLICE_LITERAL("aB")));
	assert_true(slice_has_suffix(SLICE_LITERAL("x.eml"), SLICE_LITERAL(".eml")));
	assert_false(slice_has_suffix(SLICE_LITERAL("eml"), SLICE_LITERAL(".eml")));
}

static void
parts_are_cut_within_bounds(void **state)
{
	assert_slice(slice_skip(SLICE_LITERAL("abc"), 1), "bc");
	assert_slice(slice_skip(slice_of(NULL), 0), "");
	assert_slice(slice_head(SLICE_LITERAL("abc"), 9), "abc");
	assert_slice(slice_trim(SLICE_LITERAL(" \t\r\na b\n ")), "a b");
	assert_slice(slice_trim(SLICE_LITERAL(" \n")), "");
	assert_int_equal(slice_find(SLICE_LITERAL("a\0b"), 'b'), 2);
	assert_int_equal(slice_find(SLICE_LITERAL("a"), 'b'), 1);
	assert_int_equal(slice_find(slice_of(NULL), 'b'), 0);
}

static void
numbers_are_digits_without_overflow(void **state)
{
	uint64_t big = 7;
	uint32_t small = 7;

	assert_true(slice_to_u64(SLICE_LITERAL("18446744073709551615"), &big));
	assert_true(big == UINT64_MAX);
	assert_true(slice_to_u32(SLICE_LITERAL("0004294967295"), &small));
	assert_true(small == UINT32_MAX);

	static const char *const refused[] = {
		"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616", "99999999999999999999", "1a"};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		big = 7;
		assert_false(slice_to_u64(slice_of(refused[i]), &big));
		assert_true(big == 7);
	}
	assert_false(slice_to_u32(SLICE_LITERAL("4294967296"), &small));
	assert_true(small == UINT32_MAX);
}

static void
a_copy_ends_in_a_nul(void **state)
{
	char *copy = slice_dup(SLICE_LITERAL("a\0b")), *empty = slice_dup(slice_of(NULL));

	assert_memory_equal(copy, "a\0b", 4);
	assert_string_equal(empty, "");
	free(copy);
	free(empty);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality_counts_every_octet),
		cmocka_unit_test(order_is_by_unsigned_octets_and_shorter_first),
		cmocka_unit_test(case_is_ignored_for_ascii_letters_only),
		cmocka_unit_test(prefixes_and_suffixes_may_be_the_whole_and_may_be_empty),
		cmocka_unit_test(parts_are_cut_within_bounds),
		cmocka_unit_test(numbers_are_digits_without_overflow),
		cmocka_unit_test(a_copy_ends_in_a_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
