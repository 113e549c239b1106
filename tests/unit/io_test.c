#include "engine/io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "engine/io/io_ops.h"
#include "tests/unit/io_test_ops.h"

#define OK(call)                                             \
	do {                                                 \
		struct error err = ERROR_INIT;               \
		if (!(call)) {                               \
			fail_msg("%s: %s", #call, err.text); \
		}                                            \
	} while (0)

#define FAILS(wanted, call)                                                                 \
	do {                                                                                \
		struct error err = ERROR_INIT;                                              \
		assert_false(call);                                                         \
		if (err.kind != (wanted)) {                                                 \
			fail_msg("%s: %s: %s", #call, error_kind_name(err.kind), err.text); \
		}                                                                           \
		assert_int_not_equal(err.text[0], 0);                                       \
	} while (0)

struct world {
	struct io *io;
	struct io_dir *dir;
	char path[64];
};

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static int
setup_with(void **state, struct io *io)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->io = io;
	(void)snprintf(world->path, sizeof(world->path), "/tmp/mailfs-io-XXXXXX");
	assert_non_null(mkdtemp(world->path));
	OK(io_dir_open(world->io, world->path, false, &world->dir, &err));
	*state = world;
	return 0;
}

static int
setup(void **state)
{
	return setup_with(state, io_posix_create());
}

static int
setup_without_openat2(void **state)
{
	return setup_with(state, io_posix_create_without_openat2());
}

static int
teardown(void **state)
{
	struct world *world = *state;

	io_dir_close(&world->dir);
	io_destroy(&world->io);
	(void)nftw(world->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(world);
	return 0;
}

static void
write_file(struct world *world, const char *name, const char *text)
{
	int fd;

	OK(io_open(world->dir, name, O_WRONLY | O_CREAT | O_TRUNC, &fd, &err));
	OK(io_pwrite(world->io, fd, slice_of(text), 0, &err));
	io_close(world->io, &fd);
	assert_int_equal(fd, -1);
}

static void
assert_content(struct world *world, const char *name, const char *text)
{
	SCOPED(buf_finish) struct buf content = BUF_INIT;

	OK(io_read_file(world->dir, name, 1000, &content, &err));
	assert_string_equal(content.data != NULL ? content.data : "", text);
}

static bool
count_name(void *context, const char *name)
{
	++*(unsigned *)context;
	return true;
}

static unsigned
names_in(struct world *world, const char *name)
{
	unsigned count = 0;

	OK(io_list(world->dir, name, count_name, &count, &err));
	return count;
}

/* --- clock, randomness, cancel --- */

static void
the_clock_goes_forward_and_sleep_takes_its_time(void **state)
{
	struct world *world = *state;
	int64_t before_ms = io_now_ms(world->io);

	io_sleep_ms(world->io, 20);
	assert_true(io_now_ms(world->io) - before_ms >= 19);
	assert_true(io_wall_s(world->io) > 1700000000);
	assert_int_equal(io_wall_ns(world->io) / 1000000000 - io_wall_s(world->io), 0);
	assert_int_equal(io_deadline_ms(world->io, -1), -1);
	assert_int_equal(io_deadline_ms(world->io, INT64_MAX), -1);
	assert_int_equal(io_left_ms(world->io, 1), 0);
}

static void
random_octets_differ_each_time(void **state)
{
	struct world *world = *state;
	uint8_t a[32] = {0}, b[32] = {0};

	io_random(world->io, a, sizeof(a));
	io_random(world->io, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

static void *
raise_later(void *context)
{
	struct timespec pause = {.tv_nsec = 30000000};

	(void)nanosleep(&pause, NULL);
	cancel_raise(context);
	return NULL;
}

static void
a_cancel_ends_a_wait_and_stays_until_cleared(void **state)
{
	struct world *world = *state;
	struct cancel *cancel = cancel_create();
	pthread_t thread;

	assert_false(cancel_raised(cancel));
	assert_int_equal(io_wait(world->io, NULL, 0, io_deadline_ms(world->io, 1), cancel), IO_WAKE_TIMEOUT);
	assert_int_equal(pthread_create(&thread, NULL, raise_later, cancel), 0);
	assert_int_equal(io_wait(world->io, NULL, 0, -1, cancel), IO_WAKE_CANCELLED);
	assert_int_equal(io_wait(world->io, NULL, 0, -1, cancel), IO_WAKE_CANCELLED);
	assert_true(cancel_raised(cancel));
	assert_int_equal(pthread_join(thread, NULL), 0);
	cancel_clear(cancel);
	assert_false(cancel_raised(cancel));
	assert_int_equal(io_wait(world->io, NULL, 0, io_deadline_ms(world->io, 1), cancel), IO_WAKE_TIMEOUT);
	cancel_destroy(&cancel);
	assert_null(cancel);
}

/* --- directories --- */

static void
missing_levels_are_made_for_us_alone(void **state)
{
	struct world *world = *state;
	struct io_dir *dir;
	struct stat st;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s//a/b/c/", world->path);
	FAILS(ERROR_GONE, io_dir_open(world->io, path, false, &dir, &err));
	OK(io_dir_open(world->io, path, true, &dir, &err));
	assert_string_equal(io_dir_path(dir), path);
	assert_ptr_equal(io_dir_io(dir), world->io);
	io_dir_close(&dir);
	assert_null(dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void
what_cannot_be_trusted_as_a_directory_is_refused(void **state)
{
	struct world *world = *state;
	struct io *io = io_test_create(world->io);
	struct io_dir *dir;
	char path[128];

	write_file(world, "plain", "x");
	(void)snprintf(path, sizeof(path), "%s/plain", world->path);
	FAILS(ERROR_CONFIG, io_dir_open(io, path, true, &dir, &err));
	io_test_pretend(io, "NFS", -1);
	FAILS(ERROR_CONFIG, io_dir_open(io, world->path, true, &dir, &err));
	io_test_pretend(io, NULL, (int64_t)geteuid() + 1);
	FAILS(ERROR_CONFIG, io_dir_open(io, world->path, true, &dir, &err));
	io_test_pretend(io, NULL, -1);
	OK(io_dir_open(io, world->path, true, &dir, &err));
	io_dir_close(&dir);
	io_destroy(&io);
}

static void
no_name_leads_out_of_its_directory(void **state)
{
	struct world *world = *state;
	static const char *const names[] = {"../x", "/tmp/x", "sub/../../x", "out/x", "out", "sub/out/x", "..", "/"};
	int fd;
	unsigned count = 0;
	char link[128];

	OK(io_mkdir(world->dir, "sub", &err));
	(void)snprintf(link, sizeof(link), "%s/out", world->path);
	assert_int_equal(symlink("/tmp", link), 0);
	(void)snprintf(link, sizeof(link), "%s/sub/out", world->path);
	assert_int_equal(symlink("..", link), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		FAILS(ERROR_REFUSED, io_open(world->dir, names[i], O_RDONLY, &fd, &err));
		FAILS(ERROR_REFUSED, io_open(world->dir, names[i], O_RDWR | O_CREAT, &fd, &err));
		FAILS(ERROR_REFUSED, io_list(world->dir, names[i], count_name, &count, &err));
		FAILS(ERROR_REFUSED, io_dir_fsync(world->dir, names[i], &err));
		if (strcmp(names[i], "out") != 0) {
			struct io_stat st;

			FAILS(ERROR_REFUSED, io_mkdir(world->dir, names[i], &err));
			FAILS(ERROR_REFUSED, io_unlink(world->dir, names[i], &err));
			FAILS(ERROR_REFUSED, io_rename(world->dir, "sub", names[i], &err));
			FAILS(ERROR_REFUSED, io_rename(world->dir, names[i], "new", &err));
			FAILS(ERROR_REFUSED, io_replace_file(world->dir, names[i], slice_of("x"), &err));
			FAILS(ERROR_REFUSED, io_stat(world->dir, names[i], &st, &err));
		}
	}
	assert_int_equal(count, 0);
	assert_int_equal(access("/tmp/x", F_OK), -1);
	/* a link itself is a name like others */
	OK(io_unlink(world->dir, "out", &err));
	FAILS(ERROR_GONE, io_open(world->dir, "out", O_RDONLY, &fd, &err));
}

static void
files_are_written_read_renamed_and_removed(void **state)
{
	struct world *world = *state;
	struct io_stat st;
	uint64_t size;
	size_t got;
	char octets[16];
	int fd;

	OK(io_mkdir(world->dir, "sub", &err));
	OK(io_mkdir(world->dir, "sub", &err));
	OK(io_mkdir(world->dir, "sub/deeper", &err));
	OK(io_open(world->dir, "sub/deeper/f", O_RDWR | O_CREAT | O_EXCL, &fd, &err));
	OK(io_pwrite(world->io, fd, slice_of("0123456789"), 5, &err));
	OK(io_pread(world->io, fd, octets, sizeof(octets), 3, &got, &err));
	assert_int_equal(got, 12);
	assert_memory_equal(octets,
		"\0\0"
		"0123456789",
		12);
	OK(io_pread(world->io, fd, octets, sizeof(octets), 100, &got, &err));
	assert_int_equal(got, 0);
	OK(io_ftruncate(world->io, fd, 7, &err));
	OK(io_fsync(world->io, fd, &err));
	OK(io_set_mtime(world->io, fd, 1234567890000000001, &err));
	OK(io_file_size(world->io, fd, &size, &err));
	assert_int_equal(size, 7);
	io_close(world->io, &fd);
	OK(io_dir_fsync(world->dir, "sub/deeper", &err));
	OK(io_dir_fsync(world->dir, NULL, &err));
	OK(io_stat(world->dir, "sub/deeper/f", &st, &err));
	assert_true(st.is_file && !st.is_directory && st.size_bytes == 7 && st.mtime_ns == 1234567890000000001);

	FAILS(ERROR_EXISTS, io_open(world->dir, "sub/deeper/f", O_RDWR | O_CREAT | O_EXCL, &fd, &err));
	write_file(world, "g", "g");
	FAILS(ERROR_EXISTS, io_rename_new(world->dir, "sub/deeper/f", "g", &err));
	assert_content(world, "g", "g");
	OK(io_rename(world->dir, "sub/deeper/f", "g", &err));
	FAILS(ERROR_GONE, io_rename(world->dir, "sub/deeper/f", "g", &err));
	OK(io_stat(world->dir, "g", &st, &err));
	assert_int_equal(st.size_bytes, 7);
	FAILS(ERROR_GONE, io_stat(world->dir, "sub/deeper/f", &st, &err));
	OK(io_unlink(world->dir, "g", &err));
	OK(io_unlink(world->dir, "g", &err));
	OK(io_unlink(world->dir, "missing/g", &err));
	FAILS(ERROR_SYSTEM, io_rmdir(world->dir, "sub", &err)); /* not empty */
	OK(io_rmdir(world->dir, "sub/deeper", &err));
	OK(io_rmdir(world->dir, "sub", &err));
	OK(io_rmdir(world->dir, "sub", &err));
	assert_int_equal(names_in(world, ""), 0);
}

static void
a_name_that_is_too_long_is_an_error_and_no_overrun(void **state)
{
	struct world *world = *state;
	char component[300], deep[PATH_MAX + 100];
	int fd;

	memset(component, 'a', sizeof(component) - 1);
	component[sizeof(component) - 1] = '\0';
	FAILS(ERROR_SYSTEM, io_open(world->dir, component, O_RDONLY, &fd, &err));
	for (size_t i = 0; i < sizeof(deep) - 1; i++) {
		deep[i] = i % 2 == 0 ? 'd' : '/';
	}
	deep[sizeof(deep) - 1] = '\0';
	FAILS(ERROR_SYSTEM, io_open(world->dir, deep, O_RDONLY, &fd, &err));
	FAILS(ERROR_SYSTEM, io_mkdir(world->dir, deep, &err));
}

static bool
stop_at_three(void *context, const char *name)
{
	return ++*(unsigned *)context < 3;
}

static void
a_listing_gives_every_name_until_it_is_told_to_stop(void **state)
{
	struct world *world = *state;
	unsigned count = 0;
	char name[64];

	OK(io_mkdir(world->dir, "many", &err));
	for (unsigned i = 0; i < 1500; i++) {
		(void)snprintf(name, sizeof(name), "many/a-name-of-some-length-%u", i);
		write_file(world, name, "");
	}
	assert_int_equal(names_in(world, "many"), 1500);
	OK(io_list(world->dir, "many", stop_at_three, &count, &err));
	assert_int_equal(count, 3);
	FAILS(ERROR_GONE, io_list(world->dir, "none", count_name, &count, &err));
}

static void
reading_a_file_is_bounded(void **state)
{
	struct world *world = *state;
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	write_file(world, "f", "0123456789");
	buf_append_text(&out, "before ");
	FAILS(ERROR_INVALID, io_read_file(world->dir, "f", 9, &out, &err));
	assert_string_equal(out.data, "before ");
	OK(io_read_file(world->dir, "f", 10, &out, &err));
	assert_string_equal(out.data, "before 0123456789");
	FAILS(ERROR_GONE, io_read_file(world->dir, "g", 10, &out, &err));

	SCOPED(buf_finish) struct buf large = BUF_INIT, back = BUF_INIT;

	buf_reserve(&large, 300000);
	memset(large.data, 'x', 300000);
	large.length = 300000;
	OK(io_replace_file(world->dir, "large", buf_slice(&large), &err));
	OK(io_read_file(world->dir, "large", 300000, &back, &err));
	assert_true(slice_equal(buf_slice(&large), buf_slice(&back)));
}

/* --- faults --- */

static void
a_file_is_replaced_whole_or_not_at_all_whichever_effect_fails(void **state)
{
	struct world *world = *state;
	struct io *io = io_test_create(world->io);
	struct io_dir *dir;
	unsigned faults = 0;

	OK(io_dir_open(io, world->path, false, &dir, &err));
	for (unsigned nth = 1;; nth++) {
		struct error err = ERROR_INIT;

		write_file(world, "marks", "old");
		io_test_reset(io, IO_EFFECT_ALL);
		io_test_tear(io, nth, ENOSPC);
		bool done = io_replace_file(dir, "marks", slice_of("new content"), &err);

		if (!io_test_fired(io)) {
			assert_true(done);
			assert_content(world, "marks", "new content");
			break;
		}
		faults++;
		assert_false(done);
		assert_int_equal(err.kind, ERROR_SPACE);
		assert_int_equal(names_in(world, ""), 1); /* nothing is left over */
		/* the rename is the moment; only the last fsync comes behind it */
		assert_content(world, "marks",
			strcmp(io_test_fired_name(io), "fsync") == 0 && nth > 4 ? "new content" : "old");
	}
	assert_int_equal(faults, 5); /* open, write, fsync, rename, fsync of the directory */
	io_dir_close(&dir);
	io_destroy(&io);
}

static void
a_file_is_replaced_whole_or_not_at_all_wherever_the_process_ends(void **state)
{
	struct world *world = *state;
	bool ended_somewhere = false;

	for (unsigned nth = 1;; nth++) {
		int status;

		write_file(world, "marks", "old");
		pid_t pid = fork();

		if (pid == 0) {
			struct io *io = io_test_create(world->io);
			struct io_dir *dir;
			struct error err = ERROR_INIT;

			if (!io_dir_open(io, world->path, false, &dir, &err)) {
				_exit(3);
			}
			io_test_reset(io, IO_EFFECT_ALL);
			io_test_exit(io, nth, 42);
			_exit(io_replace_file(dir, "marks", slice_of("new"), &err) ? 0 : 4);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 0) {
			assert_content(world, "marks", "new");
			break;
		}
		assert_int_equal(WEXITSTATUS(status), 42);
		ended_somewhere = true;
		assert_content(world, "marks", nth <= 4 ? "old" : "new");
	}
	assert_true(ended_somewhere);
}

static void
opening_a_directory_fails_cleanly_at_every_effect(void **state)
{
	struct world *world = *state;
	struct io *io = io_test_create(world->io);
	char path[128];
	unsigned nth;

	for (nth = 1;; nth++) {
		struct error err = ERROR_INIT;
		struct io_dir *dir = NULL;

		(void)snprintf(path, sizeof(path), "%s/%u/x/y", world->path, nth);
		io_test_reset(io, IO_EFFECT_ALL);
		io_test_fail(io, nth, EIO, true);
		bool done = io_dir_open(io, path, true, &dir, &err);

		assert_int_equal(done, !io_test_fired(io));
		if (done) {
			io_dir_close(&dir);
			break;
		}
		assert_int_equal(err.kind, ERROR_SYSTEM);
		assert_int_equal(err.sys_errno, EIO);
	}
	assert_true(nth > 8);
	io_destroy(&io);
}

static void
an_interrupted_call_is_made_again(void **state)
{
	struct world *world = *state;
	struct io *io = io_test_create(world->io);
	struct io_dir *dir;
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	OK(io_dir_open(io, world->path, false, &dir, &err));
	for (unsigned nth = 1; nth <= 3; nth++) {
		static const enum io_effect effects[] = {IO_EFFECT_PWRITE, IO_EFFECT_FSYNC, IO_EFFECT_OPEN};

		io_test_reset(io, IO_EFFECT_BIT(effects[nth - 1]));
		io_test_fail(io, 1, EINTR, false);
		OK(io_replace_file(dir, "f", slice_of("abc"), &err));
		assert_true(io_test_fired(io));
	}
	io_test_reset(io, IO_EFFECT_BIT(IO_EFFECT_PREAD));
	io_test_fail(io, 1, EINTR, false);
	OK(io_read_file(dir, "f", 10, &out, &err));
	assert_true(io_test_fired(io));
	assert_string_equal(out.data, "abc");
	io_dir_close(&dir);
	io_destroy(&io);
}

/* --- locks --- */

static void
two_handles_exclude_each_other_octet_by_octet(void **state)
{
	struct world *world = *state;
	struct io_lock_file *a, *b;

	OK(io_lock_file_open(world->dir, "locks", &a, &err));
	OK(io_lock_file_open(world->dir, "locks", &b, &err));
	OK(io_lock(a, 5, IO_LOCK_EXCLUSIVE, 0, NULL, &err));
	FAILS(ERROR_RETRY, io_lock(b, 5, IO_LOCK_EXCLUSIVE, 0, NULL, &err));
	FAILS(ERROR_RETRY, io_lock(b, 5, IO_LOCK_SHARED, 0, NULL, &err));
	OK(io_lock(b, 6, IO_LOCK_EXCLUSIVE, 0, NULL, &err));
	OK(io_lock(b, INT64_MAX - 1, IO_LOCK_EXCLUSIVE, 0, NULL, &err));
	io_unlock(a, 5);
	OK(io_lock(b, 5, IO_LOCK_SHARED, 0, NULL, &err));
	OK(io_lock(a, 5, IO_LOCK_SHARED, 0, NULL, &err));
	FAILS(ERROR_RETRY, io_lock(a, 5, IO_LOCK_EXCLUSIVE, 0, NULL, &err));
	io_lock_file_close(&b);
	assert_null(b);
	OK(io_lock(a, 5, IO_LOCK_EXCLUSIVE, 0, NULL, &err));
	OK(io_lock(a, 6, IO_LOCK_EXCLUSIVE, 0, NULL, &err));
	io_lock_file_close(&a);
}

static void
waiting_for_a_lock_ends_in_time_or_by_cancel(void **state)
{
	struct world *world = *state;
	struct cancel *cancel = cancel_create();
	struct io_lock_file *a, *b;
	pthread_t thread;

	OK(io_lock_file_open(world->dir, "locks", &a, &err));
	OK(io_lock_file_open(world->dir, "locks", &b, &err));
	OK(io_lock(a, 0, IO_LOCK_EXCLUSIVE, 0, NULL, &err));

	int64_t before_ms = io_now_ms(world->io);

	FAILS(ERROR_RETRY, io_lock(b, 0, IO_LOCK_EXCLUSIVE, 60, cancel, &err));
	assert_true(io_now_ms(world->io) - before_ms >= 60);
	assert_int_equal(pthread_create(&thread, NULL, raise_later, cancel), 0);
	FAILS(ERROR_CANCELLED, io_lock(b, 0, IO_LOCK_EXCLUSIVE, -1, cancel, &err));
	assert_int_equal(pthread_join(thread, NULL), 0);
	cancel_destroy(&cancel);
	io_lock_file_close(&a);
	io_lock_file_close(&b);
}

/* A child takes the lock, says so, and holds it until it is killed. */
static pid_t
hold_in_a_child(struct world *world, int *out_said_fd)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();

	if (pid == 0) {
		struct io_lock_file *file;
		struct error err = ERROR_INIT;

		if (io_lock_file_open(world->dir, "locks", &file, &err) &&
			io_lock(file, 7, IO_LOCK_EXCLUSIVE, 0, NULL, &err)) {
			(void)!write(ends[1], "1", 1);
			(void)pause();
		}
		_exit(1);
	}
	(void)close(ends[1]);
	*out_said_fd = ends[0];
	return pid;
}

static void *
kill_later(void *context)
{
	struct timespec pause = {.tv_nsec = 50000000};

	(void)nanosleep(&pause, NULL);
	(void)kill(*(pid_t *)context, SIGKILL);
	return NULL;
}

static void
a_lock_ends_with_the_process_that_held_it(void **state)
{
	struct world *world = *state;
	struct io_lock_file *file;
	pthread_t thread;
	char said = 0;
	int said_fd, status;
	pid_t pid = hold_in_a_child(world, &said_fd);

	assert_int_equal(read(said_fd, &said, 1), 1);
	(void)close(said_fd);
	OK(io_lock_file_open(world->dir, "locks", &file, &err));
	FAILS(ERROR_RETRY, io_lock(file, 7, IO_LOCK_SHARED, 0, NULL, &err));
	assert_int_equal(pthread_create(&thread, NULL, kill_later, &pid), 0);
	OK(io_lock(file, 7, IO_LOCK_EXCLUSIVE, 10000, NULL, &err));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	io_lock_file_close(&file);
}

/* --- commands --- */

static void
assert_line(struct world *world, const char *command, const char *line)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	OK(io_run_line(world->io, command, 100, 10000, NULL, &out, &err));
	assert_string_equal(out.data, line);
}

static void
assert_no_line(struct world *world, const char *command, int64_t timeout_ms, const char *why)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	struct error err = ERROR_INIT;

	assert_false(io_run_line(world->io, command, 8, timeout_ms, NULL, &out, &err));
	assert_int_equal(err.kind, ERROR_CREDENTIALS);
	if (strstr(err.text, why) == NULL) {
		fail_msg("%s: %s", command, err.text);
	}
	assert_int_equal(out.length, 0);
}

static void
a_command_gives_the_first_line_it_prints(void **state)
{
	struct world *world = *state;

	assert_line(world, "echo secret", "secret");
	assert_line(world, "printf 'secret'", "secret");
	assert_line(world, "printf 'secret\\r\\nmore\\n'", "secret");
	assert_line(world, "printf 'two words\\n'; head -c 300000 /dev/zero", "two words");
	assert_line(world, "cat; echo no input", "no input");
	/* what goes on in the background, as agents do, is not waited for */
	int64_t before_ms = io_now_ms(world->io);

	assert_line(world, "sleep 10 2>/dev/null & echo agent", "agent");
	assert_true(io_now_ms(world->io) - before_ms < 5000);
	assert_line(world, "sleep 0.05; echo late", "late");
}

static void
a_command_that_gives_no_line_says_why(void **state)
{
	struct world *world = *state;
	int64_t before_ms;

	assert_no_line(world, "true", 10000, "printed no line");
	assert_no_line(world, "echo; echo second", 10000, "printed no line");
	assert_no_line(world, "echo secret; exit 3", 10000, "status 3");
	assert_no_line(world, "no-such-command-here 2>/dev/null", 10000, "no such command");
	assert_no_line(world, "kill -9 $$", 10000, "signal 9");
	assert_no_line(world, "echo 123456789", 10000, "longer than 8");
	assert_no_line(world, "head -c 100000 /dev/zero | tr '\\0' x", 10000, "longer than 8");
	before_ms = io_now_ms(world->io);
	assert_no_line(world, "sleep 30", 50, "longer than 50 ms");
	assert_no_line(world, "trap '' TERM; while :; do sleep 0.01; done", 50, "longer than 50 ms");
	assert_true(io_now_ms(world->io) - before_ms < 5000);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
	assert_int_equal(errno, ECHILD);
}

static void
a_command_is_ended_by_cancel(void **state)
{
	struct world *world = *state;
	struct cancel *cancel = cancel_create();
	SCOPED(buf_finish) struct buf out = BUF_INIT;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, raise_later, cancel), 0);
	FAILS(ERROR_CANCELLED, io_run_line(world->io, "sleep 30", 100, -1, cancel, &out, &err));
	assert_int_equal(pthread_join(thread, NULL), 0);
	cancel_destroy(&cancel);
}

static void
a_command_that_cannot_be_started_is_an_error(void **state)
{
	struct world *world = *state;
	struct io *io = io_test_create(world->io);
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	for (unsigned nth = 1; nth <= 2; nth++) {
		io_test_reset(io, IO_EFFECT_BIT(IO_EFFECT_PIPE) | IO_EFFECT_BIT(IO_EFFECT_SPAWN));
		io_test_fail(io, nth, EMFILE, false);
		FAILS(ERROR_CREDENTIALS, io_run_line(io, "echo x", 100, 1000, NULL, &out, &err));
		assert_true(io_test_fired(io));
	}
	io_destroy(&io);
}

/* --- watching --- */

static bool
has_news(const struct io_watch *watch, int timeout_ms)
{
	struct pollfd fd = {.fd = io_watch_fd(watch), .events = POLLIN};

	return poll(&fd, 1, timeout_ms) == 1;
}

static void
a_watched_file_tells_of_writes_until_drained(void **state)
{
	struct world *world = *state;
	struct io_watch *watch;

	FAILS(ERROR_GONE, io_watch_open(world->dir, "wake", &watch, &err));
	write_file(world, "wake", "1");
	OK(io_watch_open(world->dir, "wake", &watch, &err));
	assert_false(has_news(watch, 0));
	for (int i = 0; i < 3; i++) {
		write_file(world, "wake", "2");
		assert_true(has_news(watch, 5000));
		io_watch_drain(watch);
		assert_false(has_news(watch, 0));
	}
	io_watch_close(&watch);
	assert_null(watch);
}

static void
a_watched_directory_tells_of_names_that_come_and_go(void **state)
{
	struct world *world = *state;
	struct io_watch *watch;

	OK(io_mkdir(world->dir, "new", &err));
	OK(io_watch_open(world->dir, "new", &watch, &err));
	write_file(world, "f", "f");
	assert_false(has_news(watch, 0));
	OK(io_rename(world->dir, "f", "new/f", &err));
	assert_true(has_news(watch, 5000));
	io_watch_drain(watch);
	OK(io_unlink(world->dir, "new/f", &err));
	assert_true(has_news(watch, 5000));
	io_watch_close(&watch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITHOUT_OPENAT2(test)                                                      \
	{                                                                               \
#test " (without openat2)", test, setup_without_openat2, teardown, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_clock_goes_forward_and_sleep_takes_its_time),
		TEST(random_octets_differ_each_time),
		TEST(a_cancel_ends_a_wait_and_stays_until_cleared),
		TEST(missing_levels_are_made_for_us_alone),
		TEST(what_cannot_be_trusted_as_a_directory_is_refused),
		TEST(no_name_leads_out_of_its_directory),
		TEST_WITHOUT_OPENAT2(no_name_leads_out_of_its_directory),
		TEST(files_are_written_read_renamed_and_removed),
		TEST_WITHOUT_OPENAT2(files_are_written_read_renamed_and_removed),
		TEST(a_name_that_is_too_long_is_an_error_and_no_overrun),
		TEST_WITHOUT_OPENAT2(a_name_that_is_too_long_is_an_error_and_no_overrun),
		TEST(a_listing_gives_every_name_until_it_is_told_to_stop),
		TEST(reading_a_file_is_bounded),
		TEST(a_file_is_replaced_whole_or_not_at_all_whichever_effect_fails),
		TEST(a_file_is_replaced_whole_or_not_at_all_wherever_the_process_ends),
		TEST(opening_a_directory_fails_cleanly_at_every_effect),
		TEST(an_interrupted_call_is_made_again),
		TEST(two_handles_exclude_each_other_octet_by_octet),
		TEST(waiting_for_a_lock_ends_in_time_or_by_cancel),
		TEST(a_lock_ends_with_the_process_that_held_it),
		TEST(a_command_gives_the_first_line_it_prints),
		TEST(a_command_that_gives_no_line_says_why),
		TEST(a_command_is_ended_by_cancel),
		TEST(a_command_that_cannot_be_started_is_an_error),
		TEST(a_watched_file_tells_of_writes_until_drained),
		TEST(a_watched_directory_tells_of_names_that_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
