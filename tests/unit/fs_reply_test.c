/* The one table from error kind to errno. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/reply.h"

static int
errno_of(enum error_kind kind, int sys_errno)
{
	struct error err;

	error_set(&err, kind, "why");
	err.sys_errno = sys_errno;
	return reply_errno_of(&err);
}

static void
every_kind_has_an_errno(void **state)
{
	for (int kind = ERROR_RETRY; kind < ERROR_KIND_COUNT; kind++) {
		assert_true(errno_of((enum error_kind)kind, 0) > 0);
	}
}

static void
kinds_mean_what_the_design_says(void **state)
{
	assert_int_equal(errno_of(ERROR_UNREACHABLE, 0), ENETUNREACH);
	assert_int_equal(errno_of(ERROR_GONE, 0), ENOENT);
	assert_int_equal(errno_of(ERROR_DAMAGED, 0), EIO);
	assert_int_equal(errno_of(ERROR_CANCELLED, 0), EINTR);
	assert_int_equal(errno_of(ERROR_INVALID, 0), EINVAL);
	assert_int_equal(errno_of(ERROR_EXISTS, 0), EEXIST);
	assert_int_equal(errno_of(ERROR_REFUSED, 0), EACCES);
	assert_int_equal(errno_of(ERROR_SPACE, 0), ENOSPC);
}

static void
an_errno_that_says_more_counts(void **state)
{
	assert_int_equal(errno_of(ERROR_REFUSED, ENOTEMPTY), ENOTEMPTY);
	assert_int_equal(errno_of(ERROR_REFUSED, EBUSY), EBUSY);
	assert_int_equal(errno_of(ERROR_SPACE, EDQUOT), EDQUOT);
	assert_int_equal(errno_of(ERROR_INVALID, ENAMETOOLONG), ENAMETOOLONG);
	assert_int_equal(errno_of(ERROR_SYSTEM, EFBIG), EFBIG);
}

static void
what_a_socket_said_is_not_told(void **state)
{
	assert_int_equal(errno_of(ERROR_UNREACHABLE, ECONNREFUSED), ENETUNREACH);
	assert_int_equal(errno_of(ERROR_DAMAGED, ENOENT), EIO);
	assert_int_equal(errno_of(ERROR_CREDENTIALS, EPIPE), EACCES);
}

static void
an_errno_that_the_kernel_would_not_take_does_not_reach_it(void **state)
{
	assert_int_equal(errno_of(ERROR_SYSTEM, 512), EIO);
	assert_int_equal(errno_of(ERROR_SYSTEM, -5), EIO);
	assert_int_equal(errno_of(ERROR_SYSTEM, 100000), EIO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_has_an_errno),
		cmocka_unit_test(kinds_mean_what_the_design_says),
		cmocka_unit_test(an_errno_that_says_more_counts),
		cmocka_unit_test(what_a_socket_said_is_not_told),
		cmocka_unit_test(an_errno_that_the_kernel_would_not_take_does_not_reach_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
