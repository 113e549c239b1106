#include "engine/mime/mail_date.h"

#include <time.h>

#include "engine/base/random.h"
#include "engine/base/scope.h"
#include "tests/unit/assert_slice.h"

static void
dates_are_read_as_they_are_met(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} cases[] = {
		{"Thu, 1 Jan 1970 00:00:00 +0000", 0},
		{"Fri, 21 Nov 1997 09:55:06 -0600", 880127706},
		{"21 Nov 1997 09:55:06 -0600", 880127706},
		{"Fri,21 Nov 1997 09:55:06 -0600 (CST)", 880127706},
		{" Fri, 21 Nov 97 09:55:06 CST", 880127706},
		{"Fri, 21\r\n Nov 1997\r\n 09:55:06 -0600", 880127706},
		{"Fri, 21-Nov-97 09:55:06 -0600", 880127706},
		{"Fri Nov 21 15:55:06 1997", 880127706},
		{"Fri Nov 21 15:55:06 GMT 1997", 880127706},
		{"21 November 1997 15:55:06", 880127706},
		{"(c (nested) omment) 21 Nov 1997 (x) 15:55:06 Z", 880127706},
		{"21 Nov 1997 15:55:06 A", 880127706}, /* military zones mean nothing: RFC 5322, 4.3 */
		{"21 Nov 1997 15:55", 880127700},
		{"21 Nov 097 15:55", 880127700},
		{"Wed, 24 Jul 0102 21:48:06 +1200", 1027504086},
		{"29 Feb 2000 00:00:00 +0000", 951782400},
		{"31 Dec 2016 23:59:60 +0000", 1483228799},
		{"1 Jan 1900 00:00 +0000", -2208988800},
		{"1 Jan 49 00:00 +0000", 2493072000},
		{"1 Jan 50 00:00 +0000", -631152000},
		{"3 Nov 2026 10:00:00+0200", 1793692800},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		int64_t seconds = -1;

		if (!mail_date_read(slice_of(cases[i].text), &seconds) || seconds != cases[i].seconds) {
			fail_msg("%s gives %lld", cases[i].text, (long long)seconds);
		}
	}
}

static void
what_is_no_date_is_refused(void **state)
{
	static const char *const refused[] = {
		"",
		"yesterday",
		"Fri, 21 Nov 1997",
		"Nov 1997 10:00",
		"21 1997 10:00",
		"32 Nov 1997 10:00",
		"30 Feb 2000 10:00",
		"29 Feb 1900 10:00",
		"21 Nov 1997 24:00",
		"21 Nov 1997 10:60",
		"21 Nov 1997 10:00:61",
		"21 Nov 1997 10",
		"21 Nov 99999 10:00",
		"0 Nov 1997 10:00",
		"21 Nov 1997 1:2:3:4",
		"(21 Nov 1997 10:00",
		"21 Foo 1997 10:00",
		"99999999999999999999 Nov 1997 10:00",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		int64_t seconds = 7;

		if (mail_date_read(slice_of(refused[i]), &seconds)) {
			fail_msg("accepted: %s", refused[i]);
		}
		assert_true(seconds == 7);
	}
	assert_false(mail_date_read(SLICE_LITERAL("21\0Nov 1997 10:00"), &(int64_t){0}));
}

static void
the_calendar_agrees_with_the_c_library(void **state)
{
	const int64_t first = INT64_C(-62167219200), last = INT64_C(253402300799);
	struct random random;

	random_seed(&random, 6);
	for (unsigned round = 0; round < 20000; round++) {
		int64_t seconds = first + (int64_t)random_below(&random, (uint64_t)(last - first + 1));
		struct mail_date date = mail_date_split(seconds);
		time_t same = (time_t)seconds;
		struct tm tm;

		assert_non_null(gmtime_r(&same, &tm));
		assert_int_equal(date.year, tm.tm_year + 1900);
		assert_int_equal(date.month, tm.tm_mon + 1);
		assert_int_equal(date.day, tm.tm_mday);
		assert_int_equal(date.hour, tm.tm_hour);
		assert_int_equal(date.minute, tm.tm_min);
		assert_int_equal(date.second, tm.tm_sec);
		assert_true(mail_date_join(&date) == seconds);
	}
}

static void
times_out_of_the_calendar_become_its_ends(void **state)
{
	struct mail_date first = mail_date_split(INT64_MIN), last = mail_date_split(INT64_MAX);

	assert_int_equal(first.year, 0);
	assert_int_equal(first.month, 1);
	assert_int_equal(first.day, 1);
	assert_int_equal(last.year, 9999);
	assert_int_equal(last.month, 12);
	assert_int_equal(last.day, 31);
	assert_int_equal(last.second, 59);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_read_as_they_are_met),
		cmocka_unit_test(what_is_no_date_is_refused),
		cmocka_unit_test(the_calendar_agrees_with_the_c_library),
		cmocka_unit_test(times_out_of_the_calendar_become_its_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
