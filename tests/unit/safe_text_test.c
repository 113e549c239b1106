#include "engine/mail/safe_text.h"

#include "engine/base/random.h"
#include "tests/unit/assert_slice.h"

struct row {
	const char *text, *safe;
};

static void
assert_rows(const struct row *rows, size_t count, void (*make)(struct slice, size_t, struct buf *))
{
	for (size_t i = 0; i < count; i++) {
		SCOPED(buf_finish) struct buf out = BUF_INIT;

		buf_append_text(&out, "before:");
		make(slice_of(rows[i].text), 1000, &out);
		assert_slices(slice_skip(buf_slice(&out), 7), slice_of(rows[i].safe));
	}
}

static void
a_line_has_no_controls_and_single_spaces(void **state)
{
	static const struct row rows[] = {
		{"", ""},
		{" \r\n\t ", ""},
		{"plain text", "plain text"},
		{"  a\r\n\tb  c ", "a b c"},
		{"a\x1b[31mb\x07\x7f", "a[31mb"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"cafe\xcc\x81", "caf\xc3\xa9"}, /* decomposed */
		{"a\xe2\x80\xae"
		 "b\xe2\x81\xa6"
		 "c\xe2\x80\x8f"
		 "d\xd8\x9c",
			"abcd"}, /* bidi */
		{"a\xc2\x85"
		 "b\xe2\x80\xa8"
		 "c\xc2\xa0"
		 "d\xe3\x80\x80"
		 "e",
			"a b c d e"}, /* NEL, line separator, other spaces */
		{"\xc2\x9b"
		 "31mx\xef\xbb\xbfy\xe2\x80\x8bz\xc2\xad",
			"31mxyz"},                                          /* C1, BOM, zero width, soft hyphen */
		{"a\xff\xfe\xc3", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* no UTF-8 */
		{"\xed\xa0\x80\xc0\xaf",
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* surrogate; long form of / */
		{"\xe2\x84\xab", "\xc3\x85"}, /* the sign of the Angstrom is the letter */
		{"\xd9\x86\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xb4",
			"\xd9\x86\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xb4"}, /* joiners stay */
		{"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80"},
		{"a / b", "a / b"},
	};

	assert_rows(rows, ARRAY_LENGTH(rows), safe_text_line);
}

static void
a_name_has_nothing_that_file_systems_trip_over(void **state)
{
	static const struct row rows[] = {
		{"Re: Q4 budget", "Re Q4 budget"},
		{"a\\b:c*d?e\"f<g>h|i", "a b c d e f g h i"},
		{"../../etc/passwd", "etcpasswd"},
		{"..", ""},
		{".", ""},
		{"/", ""},
		{"-rf x", "rf x"},
		{" .-. -x", "x"},
		{"\xe2\x80\x8f.hidden", "hidden"},
		{"ends. . ..", "ends"},
		{"a\xe2\x81\x84"
		 "b",
			"a\xe2\x81\x84"
			"b"},        /* a fraction slash is no slash */
		{"x\xcd\xbe", "x;"}, /* the Greek question mark becomes a semicolon */
		{"???", ""},
		{"\xc3\xa9: \xc3\xa9", "\xc3\xa9 \xc3\xa9"},
	};

	assert_rows(rows, ARRAY_LENGTH(rows), safe_text_name);
}

static void
octets_that_are_nul_are_dropped(void **state)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	safe_text_line(SLICE_LITERAL("a\0b"), 10, &out);
	assert_slice(buf_slice(&out), "ab");
	safe_text_name(SLICE_LITERAL("\0c\0\xc3\xa9"), 10, &out);
	assert_slice(buf_slice(&out), "abc\xc3\xa9");
}

static void
cuts_fall_between_graphemes_where_they_can(void **state)
{
	/* a family joined of three, then a letter with two marks */
	const struct slice family =
		SLICE_LITERAL("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7\xe2\x80\x8d\xf0\x9f\x91\xa6"
			      "x\xcc\xa3\xcc\x8c"
			      "y");

	assert_int_equal(safe_text_cut(family, 100), family.length);
	assert_int_equal(safe_text_cut(family, family.length), family.length);
	assert_int_equal(safe_text_cut(family, family.length - 1), family.length - 1);
	assert_int_equal(safe_text_cut(family, family.length - 2), 18);
	assert_int_equal(safe_text_cut(family, 18), 18);
	assert_int_equal(safe_text_cut(family, 17), 14); /* one grapheme, too long: between code points */
	assert_int_equal(safe_text_cut(family, 3), 0);
	assert_int_equal(safe_text_cut(SLICE_LITERAL("abc"), 2), 2);
	assert_int_equal(safe_text_cut(SLICE_LITERAL("a\xcc\x81"), 2), 1);
}

static void
a_cut_leaves_no_space_or_dot_at_the_end(void **state)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	safe_text_line(SLICE_LITERAL("abc def"), 4, &out);
	assert_string_equal(out.data, "abc");
	buf_clear(&out);
	safe_text_name(SLICE_LITERAL("abc. .def"), 6, &out);
	assert_string_equal(out.data, "abc");
	buf_clear(&out);
	safe_text_name(SLICE_LITERAL("abc"), 0, &out);
	assert_int_equal(out.length, 0);
}

/* Octets that come to matter more often than all others would. */
static char
random_octet(struct random *random)
{
	static const char telling[] =
		"./\\:*?\"<>|- \t\r\n\0\x7f\xc2\x85\xcc\x81\xe2\x80\xae\xae\xef\xbb\xbf\xf0\x9f\x91\xa9"
		"ae";

	return random_below(random, 3) == 0 ? (char)random_u64(random)
					    : telling[random_below(random, sizeof(telling) - 1)];
}

static void
random_octets_become_safe_and_stay_as_they_then_are(void **state)
{
	struct random random;

	random_seed(&random, 4);
	for (unsigned round = 0; round < 20000; round++) {
		char text[200];
		size_t length = random_below(&random, sizeof(text)), max = random_below(&random, 100);
		SCOPED(buf_finish) struct buf line = BUF_INIT;
		SCOPED(buf_finish) struct buf name = BUF_INIT;
		SCOPED(buf_finish) struct buf again = BUF_INIT;

		for (size_t i = 0; i < length; i++) {
			text[i] = random_octet(&random);
		}
		safe_text_line(slice_make(text, length), max, &line);
		safe_text_name(slice_make(text, length), max, &name);
		assert_true(line.length <= max && name.length <= max);
		assert_true(safe_text_is_utf8(buf_slice(&line)) && safe_text_is_utf8(buf_slice(&name)));
		for (size_t i = 0; i < line.length; i++) {
			assert_true((unsigned char)line.data[i] >= ' ' && line.data[i] != 0x7f);
			assert_false(
				line.data[i] == ' ' && (i == 0 || line.data[i - 1] == ' ' || i + 1 == line.length));
		}
		for (size_t i = 0; i < name.length; i++) {
			assert_true(
				(unsigned char)name.data[i] >= ' ' && strchr("/\\:*?\"<>|\x7f", name.data[i]) == NULL);
		}
		assert_true(name.length == 0 ||
			    (strchr(".- ", name.data[0]) == NULL && strchr(". ", name.data[name.length - 1]) == NULL));
		safe_text_line(buf_slice(&line), max, &again);
		assert_slices(buf_slice(&again), buf_slice(&line));
		buf_clear(&again);
		safe_text_name(buf_slice(&name), max, &again);
		assert_slices(buf_slice(&again), buf_slice(&name));
	}
}

static void
append_code_point(uint32_t code, struct buf *out)
{
	if (code < 0x800) {
		buf_append_octet(out, (char)(0xc0 | code >> 6));
	} else if (code < 0x10000) {
		buf_append_octet(out, (char)(0xe0 | code >> 12));
		buf_append_octet(out, (char)(0x80 | (code >> 6 & 0x3f)));
	} else {
		buf_append_octet(out, (char)(0xf0 | code >> 18));
		buf_append_octet(out, (char)(0x80 | (code >> 12 & 0x3f)));
		buf_append_octet(out, (char)(0x80 | (code >> 6 & 0x3f)));
	}
	buf_append_octet(out, (char)(0x80 | (code & 0x3f)));
}

/* What is known to be composed is not composed again: a Thai letter before it, which nothing composes with, has it composed all the same. */
static void
what_is_left_as_it_is_was_composed(void **state)
{
	static const char thai[] = "\xe0\xb8\x81";
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	SCOPED(buf_finish) struct buf line = BUF_INIT;
	SCOPED(buf_finish) struct buf composed = BUF_INIT;

	for (uint32_t code = 0xa0; code < 0x20000; code++) {
		buf_clear(&text);
		buf_clear(&line);
		buf_clear(&composed);
		buf_append_text(&text, thai);
		buf_append_octet(&text, 'e');
		append_code_point(code, &text);
		append_code_point(code, &text);
		buf_append_octet(&text, 'u');
		safe_text_line(slice_skip(buf_slice(&text), sizeof(thai) - 1), 100, &line);
		safe_text_line(buf_slice(&text), 100, &composed);
		assert_slices(slice_skip(buf_slice(&composed), sizeof(thai) - 1), buf_slice(&line));
	}
}

static void
utf_8_is_told_from_what_is_none(void **state)
{
	static const char *const good[] = {
		"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "a\xff", "\xe2\x82", "\xf8\x88\x80\x80\x80"};

	for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
		assert_true(safe_text_is_utf8(slice_of(good[i])));
	}
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		assert_false(safe_text_is_utf8(slice_of(bad[i])));
	}
	assert_true(safe_text_is_plain(SLICE_LITERAL(" ~")));
	assert_false(safe_text_is_plain(SLICE_LITERAL("a\tb")));
	assert_false(safe_text_is_plain(SLICE_LITERAL("\x7f")));
	assert_false(safe_text_is_plain(SLICE_LITERAL("\xc3\xa9")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_no_controls_and_single_spaces),
		cmocka_unit_test(a_name_has_nothing_that_file_systems_trip_over),
		cmocka_unit_test(octets_that_are_nul_are_dropped),
		cmocka_unit_test(cuts_fall_between_graphemes_where_they_can),
		cmocka_unit_test(a_cut_leaves_no_space_or_dot_at_the_end),
		cmocka_unit_test(random_octets_become_safe_and_stay_as_they_then_are),
		cmocka_unit_test(what_is_left_as_it_is_was_composed),
		cmocka_unit_test(utf_8_is_told_from_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
