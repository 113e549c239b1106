#include "engine/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
values_are_separated_by_commas(void **state)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct json json;

	json_begin(&json, &out, false);
	json_object(&json);
	json_key_text(&json, "name", "home");
	json_key(&json, "list");
	json_array(&json);
	json_u64(&json, UINT64_MAX);
	json_i64(&json, -7);
	json_bool(&json, true);
	json_null(&json);
	json_array(&json);
	json_end(&json);
	json_end(&json);
	json_key_text(&json, "none", NULL);
	json_end(&json);
	assert_string_equal(
		out.data, "{\"name\":\"home\",\"list\":[18446744073709551615,-7,true,null,[]],\"none\":null}");
}

static void
an_indented_text_has_one_thing_to_a_line(void **state)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct json json;

	json_begin(&json, &out, true);
	json_object(&json);
	json_key_u64(&json, "a", 1);
	json_key(&json, "b");
	json_object(&json);
	json_key_bool(&json, "c", false);
	json_end(&json);
	json_end(&json);
	assert_string_equal(out.data, "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"c\": false\n\t}\n}\n");
}

static void
texts_are_escaped_and_made_utf_8(void **state)
{
	static const struct {
		struct slice text;
		const char *expected;
	} cases[] = {
		{SLICE_LITERAL("plain"), "\"plain\""}, {SLICE_LITERAL("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""},
		{SLICE_LITERAL("\n\t\r\0\x1b\x7f"), "\"\\n\\t\\r\\u0000\\u001b\\u007f\""},
		{SLICE_LITERAL("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\""},
		{SLICE_LITERAL("\xc2\x9b"), "\"\\u009b\""}, {SLICE_LITERAL("\xf0\x9f\x93\xac"), "\"\xf0\x9f\x93\xac\""},
		{SLICE_LITERAL("\xff"), "\"\xef\xbf\xbd\""},
		{SLICE_LITERAL("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* too long a form */
		{SLICE_LITERAL("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
		{SLICE_LITERAL("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* cut short */
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(buf_finish) struct buf out = BUF_INIT;

		json_quote(cases[i].text, &out);
		assert_string_equal(out.data, cases[i].expected);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_separated_by_commas),
		cmocka_unit_test(an_indented_text_has_one_thing_to_a_line),
		cmocka_unit_test(texts_are_escaped_and_made_utf_8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
