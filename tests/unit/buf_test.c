#include "engine/base/buf.h"

#include <stdlib.h>

#include "tests/unit/assert_slice.h"

static void
what_is_appended_stands_in_order_and_is_ended_by_a_nul(void **state)
{
	SCOPED(buf_finish) struct buf buf = BUF_INIT;

	buf_append(&buf, SLICE_LITERAL("a\0b"));
	buf_append_octet(&buf, 'c');
	buf_append_text(&buf, "de");
	buf_printf(&buf, "%d-%s", 42, "f");
	buf_append_u64(&buf, UINT64_MAX);
	buf_append_u64(&buf, 0);
	buf_append(&buf, slice_of(NULL));
	assert_slice(buf_slice(&buf), "a\0bcde42-f184467440737095516150");
	assert_int_equal(buf.data[buf.length], '\0');
}

static void
a_long_text_is_printed_whole(void **state)
{
	SCOPED(buf_finish) struct buf buf = BUF_INIT;

	buf_printf(&buf, "%5000d", 1);
	assert_int_equal(buf.length, 5000);
	assert_int_equal(buf.data[4999], '1');
}

static void
consuming_and_cutting_keep_the_rest(void **state)
{
	SCOPED(buf_finish) struct buf buf = BUF_INIT;

	buf_consume(&buf, 0);
	buf_truncate(&buf, 0);
	buf_append_text(&buf, "abcdef");
	buf_consume(&buf, 2);
	assert_string_equal(buf.data, "cdef");
	buf_truncate(&buf, 3);
	assert_string_equal(buf.data, "cde");
	buf_consume(&buf, 3);
	assert_string_equal(buf.data, "");
	buf_append_text(&buf, "x");
	buf_clear(&buf);
	assert_int_equal(buf.length, 0);
	assert_true(buf.capacity > 0);
}

static void
memory_can_be_taken_even_from_an_empty_one(void **state)
{
	struct buf buf;
	char *text;

	buf_init(&buf);
	text = buf_take(&buf);
	assert_string_equal(text, "");
	free(text);

	buf_append_text(&buf, "abc");
	text = buf_take(&buf);
	assert_string_equal(text, "abc");
	assert_null(buf.data);
	free(text);
	buf_finish(&buf);
	buf_finish(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_appended_stands_in_order_and_is_ended_by_a_nul),
		cmocka_unit_test(a_long_text_is_printed_whole),
		cmocka_unit_test(consuming_and_cutting_keep_the_rest),
		cmocka_unit_test(memory_can_be_taken_even_from_an_empty_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
