#include "fs/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* A manager that listens at a path, or at an abstract name where `name` begins with @. */
static int
listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@') {
		address.sun_path[0] = '\0';
	}
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static void
assert_heard(int fd, const char *expected)
{
	char heard[200] = "";
	ssize_t got = recv(fd, heard, sizeof(heard) - 1, 0);

	assert_int_equal(got, strlen(expected));
	assert_string_equal(heard, expected);
}

static void
a_manager_with_a_path_hears_what_is_told(void **state)
{
	char directory[] = "/tmp/service_test.XXXXXX", path[64];
	int fd;

	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/notify", directory);
	fd = listen_at(path);
	service_tell("READY=1\nSTATUS=Mounted");
	assert_heard(fd, "READY=1\nSTATUS=Mounted");
	(void)close(fd);
	service_tell("STOPPING=1"); /* nobody listens: nothing happens */
	(void)unlink(path);
	(void)rmdir(directory);
}

static void
a_manager_with_an_abstract_name_hears_what_is_told(void **state)
{
	char name[64];
	int fd;

	(void)snprintf(name, sizeof(name), "@mailfs-service-test-%ld", (long)getpid());
	fd = listen_at(name);
	service_tell("READY=1");
	assert_heard(fd, "READY=1");
	(void)close(fd);
}

static void
a_reload_tells_when_it_began(void **state)
{
	char name[64], heard[200] = "";
	int fd;

	(void)snprintf(name, sizeof(name), "@mailfs-service-test-%ld", (long)getpid());
	fd = listen_at(name);
	service_reloading();
	assert_true(recv(fd, heard, sizeof(heard) - 1, 0) > 0);
	assert_memory_equal(heard, "RELOADING=1\nMONOTONIC_USEC=", 27);
	assert_true(strtoll(heard + 27, NULL, 10) > 0);
	(void)close(fd);
}

static void
without_a_manager_nothing_happens(void **state)
{
	char longer[200];

	memset(longer, '/', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	(void)setenv("NOTIFY_SOCKET", longer, 1);
	service_tell("READY=1");
	(void)setenv("NOTIFY_SOCKET", "relative", 1);
	service_tell("READY=1");
	(void)unsetenv("NOTIFY_SOCKET");
	service_tell("READY=1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_manager_with_a_path_hears_what_is_told),
		cmocka_unit_test(a_manager_with_an_abstract_name_hears_what_is_told),
		cmocka_unit_test(a_reload_tells_when_it_began),
		cmocka_unit_test(without_a_manager_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
