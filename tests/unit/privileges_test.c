#include "fs/command/privileges.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHECK(condition)                                                                              \
	do {                                                                                          \
		if (!(condition)) {                                                                   \
			(void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1);                                                                     \
		}                                                                                     \
	} while (0)

/* In a process of its own, since what is given up is gone. */
static void
in_a_child(void (*body)(void))
{
	int status;
	pid_t child;

	if (geteuid() != 0) {
		skip();
	}
	child = fork();
	if (child == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static bool
can_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)close(fd);
	}
	return fd >= 0;
}

static void
become(void)
{
	struct privileges_user user = {0};
	uid_t real, effective, saved;
	struct error err;

	(void)setenv("XDG_CONFIG_HOME", "/nowhere", 1);
	(void)setenv("MAILFS_CONFIG", "/nowhere", 1);
	CHECK(can_read("/etc/shadow"));
	CHECK(privileges_find("nobody", &user, &err));
	CHECK(privileges_become(&user, &err));
	CHECK(getenv("XDG_CONFIG_HOME") == NULL && getenv("MAILFS_CONFIG") == NULL);
	CHECK(strcmp(getenv("HOME"), user.home) == 0);
	CHECK(getresuid(&real, &effective, &saved) == 0);
	CHECK(real == user.uid && effective == user.uid && saved == user.uid);
	CHECK(setuid(0) != 0 && seteuid(0) != 0 && setgid(0) != 0);
	CHECK(!can_read("/etc/shadow"));
	CHECK(!privileges_find("root", &user, &err));
	CHECK(err.kind == ERROR_REFUSED);
}

static void
rights_that_are_given_up_never_come_back(void **state)
{
	in_a_child(become);
}

static void
a_user_that_is_not_there_is_refused(void **state)
{
	struct privileges_user user = {0};
	struct error err = ERROR_INIT;

	assert_false(privileges_find("no-such-user-anywhere", &user, &err));
	assert_int_equal(err.kind, ERROR_CONFIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights_that_are_given_up_never_come_back),
		cmocka_unit_test(a_user_that_is_not_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
