#include "engine/mime/envelope_read.h"

#include <pthread.h>

#include "engine/base/random.h"
#include "engine/mail/safe_text.h"
#include "tests/unit/assert_slice.h"

static void
addresses_give_a_text_and_a_short_form(void **state)
{
	static const struct {
		const char *raw, *from, *from_short;
	} cases[] = {
		{" Ana Ruiz <ana@example.org>", "Ana Ruiz <ana@example.org>", "Ana Ruiz"},
		{" ana@example.org", "ana@example.org", "ana@example.org"},
		{" <ana@example.org>", "<ana@example.org>", "ana@example.org"},
		{" \"Ana Ruiz\" <ana@example.org>", "\"Ana Ruiz\" <ana@example.org>", "Ana Ruiz"},
		{" \"Ruiz, Ana\" <ana@example.org>", "\"Ruiz, Ana\" <ana@example.org>", "Ruiz, Ana"},
		{" \"\" <ana@example.org>", "\"\" <ana@example.org>", "ana@example.org"},
		{" \"A \\\"B\\\" C\" <ana@example.org>", "\"A \\\"B\\\" C\" <ana@example.org>", "A \"B\" C"},
		{" ana@example.org (Ana Ruiz)", "ana@example.org (Ana Ruiz)", "Ana Ruiz"},
		{" Ana\r\n\tRuiz\r\n <ana@example.org>", "Ana Ruiz <ana@example.org>", "Ana Ruiz"},
		{" Ana <ana@example.org>, Bob <bob@example.org>", "Ana <ana@example.org>, Bob <bob@example.org>",
			"Ana"},
		{" =?utf-8?B?w4lsw6luZQ==?= <e@example.org>", "\xc3\x89l\xc3\xa9ne <e@example.org>",
			"\xc3\x89l\xc3\xa9ne"},
		{" =?iso-8859-1?Q?J=FCrgen?= =?iso-8859-1?Q?_M?= <j@x>", "J\xc3\xbcrgen M <j@x>", "J\xc3\xbcrgen M"},
		{" J\xfcrgen <j@example.org>", "J\xc3\xbcrgen <j@example.org>", "J\xc3\xbcrgen"},
		{" J\xc3\xbcrgen <j@example.org>", "J\xc3\xbcrgen <j@example.org>", "J\xc3\xbcrgen"},
		{" Friends: ana@x, bob@y;", "Friends: ana@x, bob@y;", "Friends"},
		{"", "", ""},
		{" \r\n ", "", ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(envelope_finish) struct envelope envelope = {0};
		SCOPED(buf_finish) struct buf header = BUF_INIT;

		buf_printf(&header, "From:%s\r\n\r\n", cases[i].raw);
		assert_true(envelope_read(buf_slice(&header), &envelope));
		assert_string_equal(envelope.from, cases[i].from);
		assert_string_equal(envelope.from_short, cases[i].from_short);
	}
}

static void
subjects_are_decoded_to_one_line(void **state)
{
	static const struct {
		const char *raw, *subject;
	} cases[] = {
		{" plain", "plain"},
		{" folded\r\n over\r\n\ttwo", "folded over two"},
		{" =?utf-8?Q?Caf=C3=A9_am?=\r\n =?utf-8?Q?_Montag?=", "Caf\xc3\xa9 am Montag"},
		{" =?utf-8?B?8J+Y?= =?utf-8?B?gA==?=", "\xf0\x9f\x98\x80"}, /* a character over two words */
		{" =?utf-8?Q?Cafe=CC=81?=", "Caf\xc3\xa9"},
		{" =?utf-8?Q?a=0D=0Ab=1B[31m?=", "a b[31m"},
		{" =?utf-8?Q?a=E2=80=AEb?=", "ab"},
		{" gr\xfc\xdf", "gr\xc3\xbc\xc3\x9f"}, /* Windows-1252, as nothing says otherwise */
		{" \x93"
		 "a\x94",
			"\xe2\x80\x9c"
			"a\xe2\x80\x9d"},
		{" gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{" =?utf-8?Q?never ends", "=?utf-8?Q?never ends"},
		{" =?no-such-charset?Q?abc?=", "abc"},
		{" 1 =? 2", "1 =? 2"},
		{" =?koi8-r?B?8NLJ18XU?=", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
		{" =?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(envelope_finish) struct envelope envelope = {0};
		SCOPED(buf_finish) struct buf header = BUF_INIT;

		buf_printf(&header, "Subject:%s\n", cases[i].raw);
		assert_true(envelope_read(buf_slice(&header), &envelope));
		assert_string_equal(envelope.subject, cases[i].subject);
	}
}

static void
the_other_fields_are_there_as_written(void **state)
{
	SCOPED(envelope_finish) struct envelope envelope = {0};

	assert_true(envelope_read(
		SLICE_LITERAL(
			"To: a@b,\r\n \"C\" <c@d>\r\nDate: Thu,  1 Jan 1970\r\n 00:00:05 +0000\r\nMessage-Id: <x@y>\r\n"
			"\r\nFrom: body"),
		&envelope));
	assert_string_equal(envelope.to, "a@b, \"C\" <c@d>");
	assert_string_equal(envelope.date, "Thu, 1 Jan 1970 00:00:05 +0000");
	assert_true(envelope.date_s == 5);
	assert_string_equal(envelope.message_id, "<x@y>");
	assert_string_equal(envelope.from, "");
	assert_string_equal(envelope.subject, "");
}

static void
encoded_recipients_are_decoded_whole(void **state)
{
	SCOPED(envelope_finish) struct envelope envelope = {0};

	assert_true(envelope_read(SLICE_LITERAL("To: =?utf-8?Q?=C3=89l=C3=A9ne?= <e@x>, Bob <b@y>\n"), &envelope));
	assert_string_equal(envelope.to, "\xc3\x89l\xc3\xa9ne <e@x>, Bob <b@y>");
}

static void
decoded_names_are_quoted_where_they_must_be_and_domains_stay_as_written(void **state)
{
	SCOPED(envelope_finish) struct envelope envelope = {0};

	assert_true(envelope_read(SLICE_LITERAL("To: =?utf-8?Q?Ruiz=2C_Ana?= <a@x>, b@y, J\xc3\xbcrgen <j@b\xc3\xbc"
						"cher.example>, <c@z>\r\n\r\n"),
		&envelope));
	assert_string_equal(envelope.to, "\"Ruiz, Ana\" <a@x>, b@y, J\xc3\xbcrgen <j@b\xc3\xbc"
					 "cher.example>, c@z");
}

static void
a_header_without_our_fields_gives_empty_texts(void **state)
{
	SCOPED(envelope_finish) struct envelope envelope = {0};

	assert_false(envelope_read(SLICE_LITERAL("X-Other: 1\n\n"), &envelope));
	assert_string_equal(envelope.from, "");
	assert_string_equal(envelope.from_short, "");
	assert_string_equal(envelope.to, "");
	assert_string_equal(envelope.subject, "");
	assert_string_equal(envelope.date, "");
	assert_string_equal(envelope.message_id, "");
	assert_true(envelope.date_s == INT64_MIN);
}

static void
an_octet_nul_ends_no_text(void **state)
{
	SCOPED(envelope_finish) struct envelope envelope = {0};

	assert_true(envelope_read(SLICE_LITERAL("Subject: a\0b\nFrom: =?utf-8?Q?=C3=A9?=\0 <e\0@x>\n"), &envelope));
	assert_string_equal(envelope.subject, "ab");
	assert_string_equal(envelope.from_short, "\xc3\xa9");
}

static void
assert_fit(const char *text)
{
	struct slice s = slice_of(text);

	assert_non_null(text);
	assert_true(s.length <= ENVELOPE_TEXT_MAX);
	assert_true(safe_text_is_utf8(s));
	for (size_t i = 0; i < s.length; i++) {
		assert_true((unsigned char)s.data[i] >= ' ' && s.data[i] != 0x7f);
	}
}

static void
random_headers_give_bounded_safe_texts(void **state)
{
	static const char *const pieces[] = {"From: ", "To: ", "Subject: ", "\n", "\r\n ", "=?utf-8?Q?", "=?utf-8?B?",
		"=?big5?B?", "?=", "=?=", "w4k=", "=C3=A9", "=00", "=0A", "<", ">", "\"", "(", ")", "\\", "@", ",", ";",
		":", "a", "\xff", "\xc3\xa9", "\xe2\x80\xae", " ", "\x1b"};
	struct random random;

	random_seed(&random, 12);
	for (unsigned round = 0; round < 3000; round++) {
		SCOPED(envelope_finish) struct envelope envelope = {0};
		SCOPED(buf_finish) struct buf header = BUF_INIT;

		for (uint64_t i = random_below(&random, round % 100 == 0 ? 5000 : 60); i > 0; i--) {
			buf_append_text(&header, pieces[random_below(&random, ARRAY_LENGTH(pieces))]);
		}
		(void)envelope_read(buf_slice(&header), &envelope);
		assert_fit(envelope.from);
		assert_fit(envelope.from_short);
		assert_fit(envelope.to);
		assert_fit(envelope.subject);
		assert_fit(envelope.date);
		assert_fit(envelope.message_id);
	}
}

static char failure; /* its address says that a thread read something else */

static void *
read_often(void *unused)
{
	for (unsigned i = 0; i < 300; i++) {
		struct envelope envelope = {0};

		(void)envelope_read(
			SLICE_LITERAL("From: =?koi8-r?B?8NLJ18XU?= <a@b>\nSubject: gr\xfc\xdf =?utf-8?Q?=C3=A9?=\n"),
			&envelope);
		if (strcmp(envelope.from_short, "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82") != 0) {
			envelope_finish(&envelope);
			return &failure;
		}
		envelope_finish(&envelope);
	}
	return unused;
}

static void
threads_read_at_once(void **state)
{
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, read_often, NULL), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_read_at_once), /* first, so that they meet what is made once */
		cmocka_unit_test(addresses_give_a_text_and_a_short_form),
		cmocka_unit_test(subjects_are_decoded_to_one_line),
		cmocka_unit_test(the_other_fields_are_there_as_written),
		cmocka_unit_test(encoded_recipients_are_decoded_whole),
		cmocka_unit_test(decoded_names_are_quoted_where_they_must_be_and_domains_stay_as_written),
		cmocka_unit_test(a_header_without_our_fields_gives_empty_texts),
		cmocka_unit_test(an_octet_nul_ends_no_text),
		cmocka_unit_test(random_headers_give_bounded_safe_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
