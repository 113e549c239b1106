#include "fs/command/detach.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What the parent learns from a child that does `child`, which must not return. */
static enum exit_status
status_of(void (*child)(struct detach *detach))
{
	enum exit_status status = EXIT_DONE;
	struct detach detach;

	if (detach_fork(&detach, &status)) {
		child(&detach);
		_exit(99);
	}
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGQUIT, SIG_DFL);
	return status;
}

/* Still there when the parent has its answer: the parent waits for the word, not for the end. */
static void
is_ready(struct detach *detach)
{
	detach_ready(detach);
	if (detach->pipe >= 0 || getsid(0) != getpid()) {
		_exit(98);
	}
	(void)usleep(200000);
	_exit(97);
}

static void
fails(struct detach *detach)
{
	detach_failed(detach, EXIT_CREDENTIALS);
	_exit(0);
}

static void
fails_when_ready(struct detach *detach)
{
	detach_ready(detach);
	detach_failed(detach, EXIT_CREDENTIALS);
	_exit(0);
}

static void
ends_without_a_word(struct detach *detach)
{
	_exit(EXIT_CONFIG);
}

static void
ends_as_if_all_were_well(struct detach *detach)
{
	_exit(0);
}

static void
is_killed(struct detach *detach)
{
	(void)close(STDERR_FILENO);
	(void)raise(SIGKILL);
}

static void
the_parent_gives_the_status_that_the_child_tells(void **state)
{
	assert_int_equal(status_of(is_ready), EXIT_DONE);
	assert_int_equal(status_of(fails), EXIT_CREDENTIALS);
}

static void
what_fails_after_it_was_ready_is_told_to_nobody(void **state)
{
	assert_int_equal(status_of(fails_when_ready), EXIT_DONE);
}

static void
a_child_that_ends_without_a_word_has_failed(void **state)
{
	assert_int_equal(status_of(ends_without_a_word), EXIT_CONFIG);
	assert_int_equal(status_of(ends_as_if_all_were_well), EXIT_SOME_FAILED);
	assert_int_equal(status_of(is_killed), EXIT_SOME_FAILED);
}

static void
in_the_foreground_nothing_is_left(void **state)
{
	struct detach detach;
	pid_t session = getsid(0);

	detach_foreground(&detach);
	detach_ready(&detach);
	detach_failed(&detach, EXIT_CONFIG);
	assert_int_equal(getsid(0), session);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parent_gives_the_status_that_the_child_tells),
		cmocka_unit_test(what_fails_after_it_was_ready_is_told_to_nobody),
		cmocka_unit_test(a_child_that_ends_without_a_word_has_failed),
		cmocka_unit_test(in_the_foreground_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
