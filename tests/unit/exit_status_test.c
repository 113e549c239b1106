#include "fs/command/exit_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
every_kind_of_error_but_none_fails(void **state)
{
	assert_int_equal(exit_status_of(ERROR_NONE), 0);
	for (int kind = ERROR_NONE + 1; kind < ERROR_KIND_COUNT; kind++) {
		assert_int_not_equal(exit_status_of((enum error_kind)kind), 0);
	}
}

static void
scripts_can_tell_what_to_do(void **state)
{
	assert_int_equal(exit_status_of(ERROR_UNREACHABLE), 69);
	assert_int_equal(exit_status_of(ERROR_RETRY), 75);
	assert_int_equal(exit_status_of(ERROR_THROTTLED), 75);
	assert_int_equal(exit_status_of(ERROR_CREDENTIALS), 77);
	assert_int_equal(exit_status_of(ERROR_CONFIG), 78);
	assert_int_equal(exit_status_of(ERROR_INVALID), 64);
	assert_int_equal(exit_status_of(ERROR_DAMAGED), 65);
	assert_int_equal(exit_status_of(ERROR_ITEM), 1);
}

static void
what_needs_a_person_outweighs_what_needs_time(void **state)
{
	assert_int_equal(exit_status_worse(EXIT_DONE, EXIT_TRY_AGAIN), EXIT_TRY_AGAIN);
	assert_int_equal(exit_status_worse(EXIT_UNREACHABLE, EXIT_SOME_FAILED), EXIT_SOME_FAILED);
	assert_int_equal(exit_status_worse(EXIT_CREDENTIALS, EXIT_HELD), EXIT_CREDENTIALS);
	assert_int_equal(exit_status_worse(EXIT_CONFIG, EXIT_DONE), EXIT_CONFIG);
	for (int kind = 0; kind < ERROR_KIND_COUNT; kind++) {
		enum exit_status status = exit_status_of((enum error_kind)kind);

		assert_int_equal(exit_status_worse(EXIT_DONE, status), status);
		assert_int_equal(exit_status_worse(status, EXIT_DAMAGED), EXIT_DAMAGED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_error_but_none_fails),
		cmocka_unit_test(scripts_can_tell_what_to_do),
		cmocka_unit_test(what_needs_a_person_outweighs_what_needs_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
