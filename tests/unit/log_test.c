#include "engine/base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/assert_slice.h"

static struct {
	unsigned count;
	enum log_level level;
	char line[4096];
} heard;

static void
listen(enum log_level level, const char *line, void *context)
{
	assert_ptr_equal(context, &heard);
	heard.count++;
	heard.level = level;
	assert_true(strlen(line) < sizeof(heard.line));
	strcpy(heard.line, line);
}

static int
begin(void **state)
{
	memset(&heard, 0, sizeof(heard));
	log_set_level(LOG_LEVEL_WARN);
	log_set_sink(listen, &heard);
	return 0;
}

static int
end(void **state)
{
	log_set_sink(NULL, NULL);
	return 0;
}

static unsigned evaluated;

static unsigned
count_evaluation(void)
{
	return ++evaluated;
}

static void
only_what_the_level_lets_through_is_printed(void **state)
{
	log_info("sync", "pair=%d", 1);
	log_debug("sync", "pair=%u", count_evaluation());
	assert_int_equal(heard.count, 0);
	assert_int_equal(evaluated, 0);

	log_error("sync", "pair=%d action=%s", 3, "store");
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.level, LOG_LEVEL_ERROR);
	assert_string_equal(heard.line, "error sync pair=3 action=store");

	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("sync", "pair=%u", count_evaluation());
	assert_string_equal(heard.line, "debug sync pair=1");
}

static void
a_line_is_one_line_without_controls(void **state)
{
	log_warn("imap", "text=%s", "a\r\n\x1b[0m\x7f");
	assert_string_equal(heard.line, "warn imap text=a\\x0d\\x0a\\x1b[0m\\x7f");
}

static void
a_long_line_is_cut(void **state)
{
	char text[5000];

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_warn("imap", "%s", text);
	assert_in_range(strlen(heard.line), 1000, 1023);
	memset(text, 'x', sizeof(text) - 1);
	log_warn("imap", "%s", text);
	assert_in_range(strlen(heard.line), 1000, 1023);
}

static void
errno_is_left_as_it_was(void **state)
{
	errno = ENOTTY;
	log_error("io", "x");
	assert_int_equal(errno, ENOTTY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_what_the_level_lets_through_is_printed, begin, end),
		cmocka_unit_test_setup_teardown(a_line_is_one_line_without_controls, begin, end),
		cmocka_unit_test_setup_teardown(a_long_line_is_cut, begin, end),
		cmocka_unit_test_setup_teardown(errno_is_left_as_it_was, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
