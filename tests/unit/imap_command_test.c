#include "engine/remote/imap/imap_command.h"

#include <stdio.h>

#include "engine/base/random.h"
#include "tests/unit/assert_slice.h"

static void
assert_string_prints(enum imap_literals literals, struct slice value, struct slice text, size_t cuts)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	struct error err;

	imap_command_begin(&command, literals, "X");
	imap_command_string(&command, value);
	assert_true(imap_command_check(&command, &err));
	assert_slices(buf_slice(&command.text), text);
	assert_int_equal(command.cut_count, cuts);
}

static void
strings_are_quoted_or_sent_as_literals(void **state)
{
	SCOPED(buf_finish) struct buf large = BUF_INIT;
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	assert_string_prints(IMAP_LITERALS_WAIT, SLICE_LITERAL("a \"b\\c\" {5} *"),
		SLICE_LITERAL("X \"a \\\"b\\\\c\\\" {5} *\""), 0);
	assert_string_prints(IMAP_LITERALS_WAIT, SLICE_LITERAL(""), SLICE_LITERAL("X \"\""), 0);
	assert_string_prints(IMAP_LITERALS_PLUS, SLICE_LITERAL("gr\xc3\xbc\xc3\x9f"),
		SLICE_LITERAL("X {6+}\r\ngr\xc3\xbc\xc3\x9f"), 0);
	assert_string_prints(IMAP_LITERALS_MINUS, SLICE_LITERAL("\x7f"), SLICE_LITERAL("X {1+}\r\n\x7f"), 0);
	assert_string_prints(IMAP_LITERALS_WAIT, SLICE_LITERAL("\t"), SLICE_LITERAL("X {1}\r\n\t"), 1);
	for (int i = 0; i < IMAP_LITERAL_MINUS_MAX + 1; i++) {
		buf_append_octet(&large, 'a');
	}
	buf_printf(&text, "X {%d}\r\n%s", IMAP_LITERAL_MINUS_MAX + 1, large.data);
	assert_string_prints(IMAP_LITERALS_MINUS, buf_slice(&large), buf_slice(&text), 1);
}

static void
line_ends_and_nuls_are_refused(void **state)
{
	static const struct slice bad[] = {SLICE_LITERAL("a\r\nm2 DELETE INBOX"), SLICE_LITERAL("a\nb"),
		SLICE_LITERAL("a\rb"), SLICE_LITERAL("a\0b")};

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		SCOPED(imap_command_finish) struct imap_command command = {0};
		struct error err;

		imap_command_begin(&command, IMAP_LITERALS_PLUS, "SELECT");
		imap_command_string(&command, bad[i]);
		assert_false(imap_command_check(&command, &err));
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_slice(buf_slice(&command.text), "SELECT");
		/* and it can be used again */
		imap_command_begin(&command, IMAP_LITERALS_PLUS, "NOOP");
		assert_true(imap_command_check(&command, &err));
	}
}

static void
dates_and_flags_are_printed(void **state)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(flags_finish) struct flags flags = {.bits = FLAG_SEEN | FLAG_DRAFT};

	assert_true(flags_add_keyword(&flags, SLICE_LITERAL("$Junk")));
	imap_command_begin(&command, IMAP_LITERALS_WAIT, "");
	imap_command_flags(&command, &flags);
	imap_command_date(&command, 837596665);
	imap_command_date(&command, 0);
	imap_command_date(&command, INT64_MIN);
	imap_command_date(&command, INT64_MAX);
	assert_slice(buf_slice(&command.text), " (\\Seen \\Draft $Junk) \"17-Jul-1996 09:44:25 +0000\" \"01-Jan-1970 "
					       "00:00:00 +0000\" \"01-Jan-0001 00:00:00 +0000\" "
					       "\"31-Dec-9999 23:59:59 +0000\"");
}

static void
sets_are_cut_into_parts_that_fit(void **state)
{
	SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;
	SCOPED(uidset_finish) struct uidset part = UIDSET_INIT;
	SCOPED(uidset_finish) struct uidset again = UIDSET_INIT;
	struct random random;
	uint32_t uid = 0;
	size_t parts = 0;

	random_seed(&random, 4);
	for (int i = 0; i < 5000; i++) {
		uint32_t first = (uint32_t)random_below(&random, 4000000000) + 1;

		uidset_add(&set, first, first + (uint32_t)random_below(&random, 300));
	}
	while (imap_command_next_part(&set, &uid, 1000, 500, &part)) {
		SCOPED(buf_finish) struct buf text = BUF_INIT;

		uidset_print(&part, &text);
		assert_true(text.length <= 500);
		assert_true(uidset_size(&part) <= 1000);
		for (size_t i = 0; i < part.count; i++) {
			uidset_add(&again, part.ranges[i].first, part.ranges[i].last);
		}
		parts++;
	}
	assert_int_equal(uidset_size(&again), uidset_size(&set));
	assert_int_equal(again.count, set.count);
	assert_true(parts > 100);
}

static void
a_part_ends_within_a_range(void **state)
{
	SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;
	SCOPED(uidset_finish) struct uidset part = UIDSET_INIT;
	uint32_t uid = 0;

	uidset_add(&set, 1, UINT32_MAX);
	assert_true(imap_command_next_part(&set, &uid, 50, 100, &part));
	assert_int_equal(part.ranges[0].last, 50);
	assert_int_equal(uid, 50);
	uid = UINT32_MAX - 1;
	assert_true(imap_command_next_part(&set, &uid, 50, 100, &part));
	assert_int_equal(uidset_size(&part), 1);
	assert_false(imap_command_next_part(&set, &uid, 50, 100, &part));
	uid = 0;
	assert_true(imap_command_next_part(&set, &uid, SIZE_MAX, 100, &part));
	assert_int_equal(uid, UINT32_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_quoted_or_sent_as_literals),
		cmocka_unit_test(line_ends_and_nuls_are_refused),
		cmocka_unit_test(dates_and_flags_are_printed),
		cmocka_unit_test(sets_are_cut_into_parts_that_fit),
		cmocka_unit_test(a_part_ends_within_a_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
