#include "engine/control.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void
fields_come_back(void **state)
{
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct error error, back;

	error_set(&error, ERROR_THROTTLED, "slow down");
	error.wait_s = 7;
	error.sys_errno = 11;
	control_put_text(&frame, "op", "sync");
	control_put(&frame, "mailbox", SLICE_LITERAL("A\0B"));
	control_put_u64(&frame, "number", UINT64_MAX);
	control_put_error(&frame, &error);
	assert_true(control_check(buf_slice(&frame)));
	assert_true(slice_equal(control_get(buf_slice(&frame), "op"), SLICE_LITERAL("sync")));
	assert_true(slice_equal(control_get(buf_slice(&frame), "mailbox"), SLICE_LITERAL("A\0B")));
	assert_int_equal(control_get(buf_slice(&frame), "nothing").length, 0);
	assert_true(control_get_u64(buf_slice(&frame), "number") == UINT64_MAX);
	assert_int_equal(control_get_u64(buf_slice(&frame), "op"), 0);
	back = control_get_error(buf_slice(&frame));
	assert_int_equal(back.kind, ERROR_THROTTLED);
	assert_int_equal(back.wait_s, 7);
	assert_int_equal(back.sys_errno, 11);
	assert_string_equal(back.text, "slow down");
}

static void
every_cut_of_a_frame_is_refused(void **state)
{
	SCOPED(buf_finish) struct buf frame = BUF_INIT;

	control_put_text(&frame, "op", "status");
	for (size_t length = 1; length < frame.length; length++) {
		assert_false(control_check(slice_make(frame.data, length)));
	}
	assert_false(control_check(SLICE_LITERAL("\0\0\0\0\0")));
	assert_false(control_check(SLICE_LITERAL("\1a\xff\xff\xff\xff")));
	assert_true(control_check((struct slice){0}));
}

struct echo {
	struct io *io;
	int fd;
};

static void *
echo(void *context)
{
	struct echo *echo = context;
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct error err;

	while (control_receive(echo->io, echo->fd, &frame, 5000, NULL, &err)) {
		if (!control_send(echo->io, echo->fd, buf_slice(&frame), 5000, NULL, &err)) {
			break;
		}
	}
	return NULL;
}

static void
frames_travel_whole(void **state)
{
	SCOPED(io_destroy) struct io *io = io_posix_create();
	SCOPED(buf_finish) struct buf large = BUF_INIT, frame = BUF_INIT, back = BUF_INIT;
	struct echo other = {.io = io};
	struct error err;
	pthread_t thread;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	other.fd = fds[1];
	assert_int_equal(pthread_create(&thread, NULL, echo, &other), 0);
	for (size_t i = 0; i < 300000; i++) {
		buf_append_octet(&large, (char)i);
	}
	control_put(&frame, "large", buf_slice(&large));
	assert_true(control_send(io, fds[0], buf_slice(&frame), 5000, NULL, &err));
	assert_true(control_receive(io, fds[0], &back, 5000, NULL, &err));
	assert_true(slice_equal(buf_slice(&frame), buf_slice(&back)));
	close(fds[0]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(fds[1]);
}

static void
lengths_that_lie_and_silence_are_refused(void **state)
{
	SCOPED(io_destroy) struct io *io = io_posix_create();
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct error err;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(write(fds[1], "\xff\xff\xff\xff", 4), 4);
	assert_false(control_receive(io, fds[0], &frame, 1000, NULL, &err));
	assert_int_equal(err.kind, ERROR_ITEM);
	assert_int_equal(write(fds[1], "\0\0\0\5abc", 7), 7);
	assert_false(control_receive(io, fds[0], &frame, 50, NULL, &err));
	assert_int_equal(err.kind, ERROR_RETRY);
	assert_false(control_hung_up(fds[0]));
	close(fds[1]);
	assert_true(control_hung_up(fds[0]));
	assert_false(control_receive(io, fds[0], &frame, 1000, NULL, &err));
	close(fds[0]);
}

/* A path that no socket's address could hold. */
static void
a_socket_may_lie_deep(void **state)
{
	SCOPED(io_destroy) struct io *io = io_posix_create();
	SCOPED(io_dir_close) struct io_dir *dir = NULL;
	char top[] = "/tmp/control_test.XXXXXX", path[300], socket_path[320];
	struct error err;
	struct stat status;
	int listener = -1, again = -1, client = -1, server = -1;

	assert_non_null(mkdtemp(top));
	(void)snprintf(path, sizeof(path), "%s/%0200d", top, 7);
	assert_true(io_dir_open(io, path, true, &dir, &err));
	assert_false(control_connect(dir, &client, &err));
	assert_int_equal(err.kind, ERROR_GONE);
	assert_true(control_listen(dir, &listener, &err));
	(void)snprintf(socket_path, sizeof(socket_path), "%s/control", path);
	assert_int_equal(stat(socket_path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_false(control_accept(listener, &server, &err));
	assert_int_equal(err.kind, ERROR_RETRY);
	assert_true(control_connect(dir, &client, &err));
	assert_true(control_accept(listener, &server, &err));
	control_close(&client);
	control_close(&server);
	control_close(&listener);
	assert_int_equal(listener, -1);
	assert_false(control_connect(dir, &client, &err)); /* nobody listens on what is left */
	assert_int_equal(err.kind, ERROR_GONE);
	assert_true(control_listen(dir, &again, &err));
	assert_true(control_connect(dir, &client, &err));
	control_close(&client);
	control_close(&again);
	unlink(socket_path);
	rmdir(path);
	rmdir(top);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_come_back),
		cmocka_unit_test(every_cut_of_a_frame_is_refused),
		cmocka_unit_test(frames_travel_whole),
		cmocka_unit_test(lengths_that_lie_and_silence_are_refused),
		cmocka_unit_test(a_socket_may_lie_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
