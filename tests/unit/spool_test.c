#include "engine/io/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
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

struct world {
	struct io *real, *io;
	struct io_dir *dir;
	char path[64];
};

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static int
setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->real = io_posix_create();
	world->io = io_test_create(world->real);
	(void)snprintf(world->path, sizeof(world->path), "/tmp/mailfs-spool-XXXXXX");
	assert_non_null(mkdtemp(world->path));
	OK(io_dir_open(world->io, world->path, false, &world->dir, &err));
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;

	io_dir_close(&world->dir);
	io_destroy(&world->io);
	io_destroy(&world->real);
	(void)nftw(world->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(world);
	return 0;
}

static bool
count_name(void *context, const char *name)
{
	++*(unsigned *)context;
	return true;
}

static unsigned
files_left(struct world *world)
{
	struct error err = ERROR_INIT;
	unsigned count = 0;

	if (!io_list(world->dir, "spool", count_name, &count, &err)) {
		assert_int_equal(err.kind, ERROR_GONE);
	}
	return count;
}

/* What a spool should hold, beside it. */
struct twin {
	struct spool *spool;
	struct buf plain;
};

static void
twin_write(struct twin *twin, size_t length, uint64_t offset, unsigned seed)
{
	SCOPED(buf_finish) struct buf data = BUF_INIT;

	buf_reserve(&data, length);
	for (size_t i = 0; i < length; i++) {
		data.data[i] = (char)(seed + i * 7 + i / 251);
	}
	data.length = length;
	OK(spool_pwrite(twin->spool, buf_slice(&data), offset, &err));
	if (length > 0 && offset + length > twin->plain.length) {
		size_t before = twin->plain.length;

		buf_reserve(&twin->plain, offset + length - before);
		memset(twin->plain.data + before, 0, offset + length - before + 1);
		twin->plain.length = offset + length;
	}
	if (length > 0) {
		memcpy(twin->plain.data + offset, data.data, length);
	}
}

static void
twin_truncate(struct twin *twin, size_t size)
{
	OK(spool_truncate(twin->spool, size, &err));
	if (size > twin->plain.length) {
		size_t before = twin->plain.length;

		buf_reserve(&twin->plain, size - before);
		memset(twin->plain.data + before, 0, size - before + 1);
		twin->plain.length = size;
	}
	buf_truncate(&twin->plain, size);
}

static void
twin_check(struct twin *twin)
{
	struct slice view;
	size_t length = twin->plain.length, got;
	char *octets = malloc(length + 1);

	assert_non_null(octets);
	assert_int_equal(spool_size(twin->spool), length);
	OK(spool_view(twin->spool, &view, &err));
	assert_true(slice_equal(view, buf_slice(&twin->plain)));
	OK(spool_pread(twin->spool, octets, length + 1, 0, &got, &err));
	assert_int_equal(got, length);
	assert_true(length == 0 || memcmp(octets, twin->plain.data, length) == 0);
	OK(spool_pread(twin->spool, octets, 10, length, &got, &err));
	assert_int_equal(got, 0);
	OK(spool_pread(twin->spool, octets, 10, length + 1000, &got, &err));
	assert_int_equal(got, 0);
	if (length > 5) {
		OK(spool_pread(twin->spool, octets, 100, length - 5, &got, &err));
		assert_int_equal(got, 5);
	}
	free(octets);
}

static void
a_small_spool_touches_no_disk(void **state)
{
	struct world *world = *state;
	struct spool *spool = spool_create(world->dir);
	struct slice view;

	io_test_reset(world->io, IO_EFFECT_ALL);
	spool_expect(spool, 1000);
	spool_expect(spool, UINT64_MAX); /* it is a hint */
	OK(spool_append(spool, slice_of("Subject: "), &err));
	OK(spool_append(spool, slice_of("x\n"), &err));
	OK(spool_append(spool, slice_make(NULL, 0), &err));
	assert_true(spool_in_memory(spool));
	OK(spool_view(spool, &view, &err));
	assert_true(slice_equal(view, SLICE_LITERAL("Subject: x\n")));
	spool_close(&spool);
	assert_null(spool);
	spool_close(&spool);
	assert_int_equal(io_test_count(world->io), 0);
}

static void
a_large_spool_is_a_file_that_close_removes(void **state)
{
	struct world *world = *state;
	struct twin twin = {.spool = spool_create(world->dir)};

	twin_write(&twin, SPOOL_MEMORY_MAX, 0, 1);
	assert_true(spool_in_memory(twin.spool));
	assert_int_equal(files_left(world), 0);
	twin_write(&twin, 1, SPOOL_MEMORY_MAX, 2);
	assert_false(spool_in_memory(twin.spool));
	assert_int_equal(files_left(world), 1);
	twin_check(&twin);
	twin_write(&twin, 100000, 50, 3);
	twin_check(&twin);
	spool_close(&twin.spool);
	assert_int_equal(files_left(world), 0);
	buf_finish(&twin.plain);
}

static void
writes_and_cuts_anywhere_read_back_as_from_plain_memory(void **state)
{
	struct world *world = *state;
	struct twin twin = {.spool = spool_create(world->dir)};
	uint64_t seed = 12345;

	twin_check(&twin);
	for (unsigned round = 0; round < 60; round++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		size_t where = (size_t)(seed >> 33) % (round < 30 ? SPOOL_MEMORY_MAX / 2 : SPOOL_MEMORY_MAX * 3);

		if (round % 5 == 4) {
			twin_truncate(&twin, where);
		} else {
			twin_write(&twin, (size_t)(seed >> 20) % 70000, where, round);
		}
		twin_check(&twin);
		assert_true(round >= 30 || spool_in_memory(twin.spool));
	}
	assert_false(spool_in_memory(twin.spool));
	twin_truncate(&twin, 0);
	twin_check(&twin);
	spool_close(&twin.spool);
	buf_finish(&twin.plain);
}

static void
a_gap_beyond_memory_becomes_a_file_of_nuls(void **state)
{
	struct world *world = *state;
	struct twin twin = {.spool = spool_create(world->dir)};

	twin_truncate(&twin, SPOOL_MEMORY_MAX + 10);
	assert_false(spool_in_memory(twin.spool));
	twin_check(&twin);
	spool_close(&twin.spool);
	buf_finish(&twin.plain);
}

static void
a_size_beyond_what_a_file_can_have_is_refused(void **state)
{
	struct world *world = *state;
	struct spool *spool = spool_create(world->dir);
	struct error err = ERROR_INIT;

	assert_false(spool_pwrite(spool, slice_of("x"), UINT64_MAX, &err));
	assert_int_equal(err.sys_errno, EFBIG);
	assert_false(spool_pwrite(spool, slice_of("x"), INT64_MAX, &err));
	assert_false(spool_truncate(spool, UINT64_MAX, &err));
	assert_int_equal(spool_size(spool), 0);
	spool_close(&spool);
}

static void
a_file_that_was_renamed_into_place_stays(void **state)
{
	struct world *world = *state;
	struct spool *spool = spool_create(world->dir);
	SCOPED(buf_finish) struct buf back = BUF_INIT;
	const char *name;
	int fd;

	OK(spool_append(spool, slice_of("body"), &err));
	OK(spool_to_file(spool, &fd, &name, &err));
	assert_memory_equal(name, "spool/", 6);
	OK(spool_append(spool, slice_of(" and more"), &err));
	OK(io_fsync(world->io, fd, &err));
	OK(io_rename(world->dir, name, "kept", &err));
	spool_forget_file(spool);
	spool_close(&spool);
	OK(io_read_file(world->dir, "kept", 100, &back, &err));
	assert_string_equal(back.data, "body and more");
	assert_int_equal(files_left(world), 0);
}

static void
a_file_cut_by_other_hands_is_damage_and_no_crash(void **state)
{
	struct world *world = *state;
	struct spool *spool = spool_create(world->dir);
	struct error failure = ERROR_INIT;
	struct slice view;
	const char *name;
	char octets[100];
	size_t got;
	int fd;

	OK(spool_append(spool, slice_of("0123456789"), &err));
	OK(spool_to_file(spool, &fd, &name, &err));
	OK(io_ftruncate(world->io, fd, 4, &err));
	assert_false(spool_pread(spool, octets, sizeof(octets), 0, &got, &failure));
	assert_int_equal(failure.kind, ERROR_DAMAGED);
	assert_false(spool_view(spool, &view, &failure));
	assert_int_equal(failure.kind, ERROR_DAMAGED);
	spool_close(&spool);
}

/* Grows a spool past memory in steps, and gives false at the first that fails. */
static bool
fill(struct spool *spool, uint64_t *out_written, struct error *err)
{
	static char piece[100000];
	struct slice view;
	const char *name;
	int fd;

	for (unsigned i = 0; i < 5; i++) {
		memset(piece, 'a' + (int)i, sizeof(piece));
		if (!spool_append(spool, slice_make(piece, sizeof(piece)), err)) {
			return false;
		}
		*out_written += sizeof(piece);
	}
	return spool_to_file(spool, &fd, &name, err) && spool_view(spool, &view, err);
}

static void
whichever_effect_fails_what_was_acknowledged_is_there_and_nothing_is_left_over(void **state)
{
	struct world *world = *state;
	unsigned nth;

	for (nth = 1;; nth++) {
		struct spool *spool = spool_create(world->dir);
		struct error failure = ERROR_INIT;
		uint64_t written = 0;
		char octet;
		size_t got;

		io_test_reset(world->io, IO_EFFECT_ALL);
		io_test_tear(world->io, nth, ENOSPC);
		bool done = fill(spool, &written, &failure);
		bool fired = io_test_fired(world->io);

		assert_int_equal(done, !fired);
		assert_true(done || failure.kind == ERROR_SPACE);
		io_test_reset(world->io, IO_EFFECT_ALL);
		assert_int_equal(spool_size(spool), written);
		for (uint64_t at = 0; at < written; at += 100000) {
			OK(spool_pread(spool, &octet, 1, at, &got, &err));
			assert_int_equal(octet, (char)('a' + at / 100000));
		}
		/* it can be gone on with, and a gap over what was half written is empty */
		OK(spool_pwrite(spool, slice_of("z"), 600000, &err));
		OK(spool_pread(spool, &octet, 1, written + 1000, &got, &err));
		assert_int_equal(octet, 0);
		spool_close(&spool);
		assert_int_equal(files_left(world), 0);
		if (!fired) {
			break;
		}
	}
	assert_true(nth > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_small_spool_touches_no_disk),
		TEST(a_large_spool_is_a_file_that_close_removes),
		TEST(writes_and_cuts_anywhere_read_back_as_from_plain_memory),
		TEST(a_gap_beyond_memory_becomes_a_file_of_nuls),
		TEST(a_size_beyond_what_a_file_can_have_is_refused),
		TEST(a_file_that_was_renamed_into_place_stays),
		TEST(a_file_cut_by_other_hands_is_damage_and_no_crash),
		TEST(whichever_effect_fails_what_was_acknowledged_is_there_and_nothing_is_left_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
