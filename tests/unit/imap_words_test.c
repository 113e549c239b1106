#include "engine/remote/imap/imap_words.h"

#include "tests/unit/assert_slice.h"

static void
assert_date(const char *text, int64_t seconds)
{
	int64_t is = -1;

	assert_true(imap_words_date(slice_of(text), &is));
	assert_true(is == seconds);
}

static void
dates_are_read(void **state)
{
	static const char *const bad[] = {"", "17-Jul-1996", "17-Jux-1996 02:44:25 -0700", "32-Jan-2020 00:00:00 +0000",
		"00-Jan-2020 00:00:00 +0000", "01-Jan-2020 24:00:00 +0000", "01-Jan-2020 00:60:00 +0000",
		"01-Jan-2020 00:00:00 *0000", "01-Jan-2020 00:00:00 +00x0", "x1-Jan-2020 00:00:00 +0000",
		"01-Jan-20200 00:00:00 +0000", "1-Jan-2020 00:00:00 +000"};

	assert_date("17-Jul-1996 02:44:25 -0700", 837596665);
	assert_date(" 1-Jan-1970 00:00:00 +0000", 0);
	assert_date("1-Jan-1970 01:00:00 +0100", 0);
	assert_date("29-Feb-2024 23:59:60 +0000", 1709251200);
	assert_date("31-dec-9999 23:59:59 +0000", 253402300799);
	assert_date("01-Jan-0001 00:00:00 +0000", -62135596800);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		int64_t untouched = 77;

		assert_false(imap_words_date(slice_of(bad[i]), &untouched));
		assert_true(untouched == 77);
	}
}

static void
ranges_come_in_the_order_in_which_they_stand(void **state)
{
	struct slice set = SLICE_LITERAL("304,320:319,7,4294967295");
	static const struct uid_range wanted[] = {{304, 304}, {319, 320}, {7, 7}, {UINT32_MAX, UINT32_MAX}};
	struct uid_range range;

	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
		assert_true(imap_words_next_range(&set, &range));
		assert_int_equal(range.first, wanted[i].first);
		assert_int_equal(range.last, wanted[i].last);
	}
	assert_false(imap_words_next_range(&set, &range));
	assert_int_equal(set.length, 0);
}

static void
what_is_no_range_stops_the_walk(void **state)
{
	static const char *const bad[] = {"0", "1:", ":1", "1:*", "*", "a", "1,", "1 ,2", "4294967296", "1:0", "-1"};

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		struct slice set = slice_of(bad[i]);
		struct uid_range range;

		assert_false(imap_words_next_range(&set, &range));
		assert_true(set.length > 0);
	}
}

static void
words_and_flags_are_found(void **state)
{
	SCOPED(flags_finish) struct flags flags = FLAGS_INIT;
	struct slice list = SLICE_LITERAL("  \\Seen  Junk \\Recent \\*  "), word;
	size_t count = 0;

	imap_words_flags(list, &flags);
	assert_int_equal(flags.bits, FLAG_SEEN);
	assert_string_equal(flags.keywords, "Junk");
	assert_true(imap_words_has_word(list, SLICE_LITERAL("\\SEEN")));
	assert_true(imap_words_has_word(list, SLICE_LITERAL("\\*")));
	assert_false(imap_words_has_word(list, SLICE_LITERAL("\\See")));
	while (imap_words_next_word(&list, &word)) {
		count++;
	}
	assert_int_equal(count, 4);
}

static void
ids_are_what_their_kind_may_be(void **state)
{
	char longest[GUID_VALUE_MAX + 1];
	struct guid guid;

	memset(longest, 'a', sizeof longest);
	imap_words_guid(GUID_X_GUID, SLICE_LITERAL("1290000000.M1P2.host,S=3:2,"), &guid);
	assert_int_equal(guid.kind, GUID_X_GUID);
	assert_int_equal(guid.length, 27);
	imap_words_guid(GUID_MAILBOXID, SLICE_LITERAL("F-2_aZ9"), &guid);
	assert_int_equal(guid.kind, GUID_MAILBOXID);
	imap_words_guid(GUID_MAILBOXID, SLICE_LITERAL("a\tb"), &guid); /* a server's dangling pointer */
	assert_int_equal(guid.kind, GUID_NONE);
	imap_words_guid(GUID_EMAILID, SLICE_LITERAL("\x01\xff"), &guid);
	assert_int_equal(guid.kind, GUID_NONE);
	imap_words_guid(GUID_X_GUID, SLICE_LITERAL(""), &guid);
	assert_int_equal(guid.kind, GUID_NONE);
	imap_words_guid(GUID_X_GUID, slice_make(longest, GUID_VALUE_MAX), &guid);
	assert_int_equal(guid.length, GUID_VALUE_MAX);
	imap_words_guid(GUID_X_GUID, slice_make(longest, GUID_VALUE_MAX + 1), &guid);
	assert_int_equal(guid.kind, GUID_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_read),
		cmocka_unit_test(ranges_come_in_the_order_in_which_they_stand),
		cmocka_unit_test(what_is_no_range_stops_the_walk),
		cmocka_unit_test(words_and_flags_are_found),
		cmocka_unit_test(ids_are_what_their_kind_may_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
