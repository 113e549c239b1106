#include "tests/sim/world.h"

#include <assert.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/io/io_ops.h"

struct world world;

/* What a process does that has lost its memory would be told as leaks. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

#define OK(call)                                                   \
	do {                                                       \
		if (!(call)) {                                     \
			fail_msg("%s: %s", #call, world.err.text); \
		}                                                  \
	} while (0)

/* --- clock and disk --- */

static struct io_ops world_ops;
static const struct io_ops *real_ops;

static int64_t
virtual_now_ms(struct io *io)
{
	world.ahead_ms += world.slowness_ms;
	return real_ops->now_ms(io) + world.ahead_ms;
}

static int64_t
virtual_wall_ns(struct io *io)
{
	(void)io;
	return world.wall_ns;
}

/* Power is not cut here. */
static int
no_fsync(struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

void
world_advance_s(int64_t seconds)
{
	world.wall_ns += seconds * 1000000000;
	world.ahead_ms += seconds * 1000;
}

/* --- transactions --- */

void
world_read_begin(void)
{
	OK(store_read_begin(world.store, &world.txn, &world.err));
}

void
world_read_end(void)
{
	store_read_end(&world.txn);
}

/* --- begin and end --- */

static int64_t
bodies_since_s(void *context)
{
	(void)context;
	return world.options.on_demand ? INT64_MAX : INT64_MIN;
}

/* A thread of a pass that may be ended in the midst: what it holds then is lost as well. */
static void
forget_leaks(void)
{
	if (__lsan_disable != NULL) {
		__lsan_disable();
	}
}

static void
start_process(void)
{
	OK(store_open(world.io, world.path, NULL, &world.rolled_back, &world.store, &world.err));
	world.sync = sync_create(world.io, world.store, &world.settings);
}

static void
end_second(void)
{
	struct world_process *second = &world.second;

	if (second->session != NULL) {
		second->remote->base.ops->close(&second->session);
	}
	sync_destroy(&second->sync);
	store_close(&second->store);
	if (second->remote != NULL) {
		model_remote_destroy(&second->remote);
	}
}

static void
end_process(void)
{
	if (world.session != NULL) {
		world.remote->base.ops->close(&world.session);
	}
	sync_destroy(&world.sync);
	store_close(&world.store);
}

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *at)
{
	(void)st;
	(void)what;
	(void)at;
	return remove(path);
}

static void
remove_files(void)
{
	assert_int_equal(nftw(world.above, remove_one, 20, FTW_DEPTH | FTW_PHYS), 0);
}

void
world_begin(const struct world_options *options)
{
	world = (struct world){.options = *options, .wall_ns = 1793700000 * INT64_C(1000000000)};
	(void)snprintf(world.above, sizeof world.above, "%s/mailfs-sim-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(world.above));
	(void)snprintf(world.path, sizeof world.path, "%s/store", world.above);
	world.io = io_posix_create();
	real_ops = world.io->ops;
	world_ops = *real_ops;
	world_ops.now_ms = virtual_now_ms;
	world_ops.wall_ns = virtual_wall_ns;
	world_ops.fsync = no_fsync;
	world.io->ops = &world_ops;
	world.settings = (struct sync_settings){
		.mailboxes = "*",
		.direction = options->direction,
		.deletes_keep = options->deletes_keep,
		.hold_percent = 20,
		.hold_off = options->hold_off,
		.undelete_days = 30,
		.trash = "server",
		.bodies_since_s = bodies_since_s,
		.thread_begins = forget_leaks,
	};
	world.server = model_server_create(&options->server);
	world.remote = model_remote_create(world.server);
	world.remote->stop = &world.stop;
	start_process();
}

void
world_end(void)
{
	sync_result_finish(&world.result);
	if (world.txn != NULL) {
		remove_files(); /* a check failed in the midst of reading: what it held is left as it is */
		return;
	}
	end_second();
	end_process();
	model_remote_destroy(&world.remote);
	model_server_destroy(&world.server);
	io_destroy(&world.io);
	remove_files();
}

void
world_restart(void)
{
	end_process();
	start_process();
}

void
world_lose_store(void)
{
	end_second();
	end_process();
	remove_files();
	start_process();
}

static const char *const store_files[] = {"store.db", "store.db-wal", "store.db-shm"};

static void
copy_file(const char *from, const char *to)
{
	FILE *in = fopen(from, "rb"), *out;
	char block[8192];
	size_t length;

	(void)remove(to);
	if (in == NULL) {
		return;
	}
	out = fopen(to, "wb");
	assert_non_null(out);
	while ((length = fread(block, 1, sizeof block, in)) > 0) {
		assert_int_equal(fwrite(block, 1, length, out), length);
	}
	assert_int_equal(fclose(out), 0);
	(void)fclose(in);
}

static void
copy_store(bool back)
{
	char there[200], kept[200];

	for (size_t i = 0; i < ARRAY_LENGTH(store_files); i++) {
		(void)snprintf(there, sizeof there, "%s/%s", world.path, store_files[i]);
		(void)snprintf(kept, sizeof kept, "%s/kept-%s", world.above, store_files[i]);
		copy_file(back ? kept : there, back ? there : kept);
	}
}

void
world_keep_copy(void)
{
	end_second();
	end_process();
	copy_store(false);
	start_process();
}

bool
world_put_back(void)
{
	end_second();
	end_process();
	copy_store(true);
	start_process();
	return world.rolled_back;
}

/* --- passes --- */

static bool
run_pass(const struct sync_pass *pass, struct error *err)
{
	const struct remote_ops *ops = world.remote->base.ops;

	if (world.session != NULL && !ops->alive(world.session)) {
		ops->close(&world.session);
	}
	if (world.session == NULL && !ops->open(&world.remote->base, NULL, &world.session, err)) {
		return false;
	}
	if (!sync_pass_run(world.sync, world.session, pass, &world.result, err)) {
		return false;
	}
	return pass->dry_run || sync_hydrate_wanted(world.sync, world.session, pass, &world.result, err);
}

static bool
try_pass(const struct sync_pass *pass)
{
	bool may_stop = world.remote->trouble.fault >= MODEL_STOP_BEFORE && world.remote->trouble.nth != 0;
	volatile bool ok = false;

	sync_result_finish(&world.result);
	world.result = (struct sync_result){0};
	error_clear(&world.err);
	error_clear(&world.pass_err);
	world.stopped = false;
	world.passes++;
	if (may_stop && __lsan_disable != NULL) {
		__lsan_disable();
	}
	if (setjmp(world.stop) == 0) {
		ok = run_pass(pass, &world.pass_err);
	} else {
		world.stopped = true;
		world.result = (struct sync_result){0};
	}
	if (may_stop && __lsan_enable != NULL) {
		__lsan_enable();
	}
	if (world.stopped) {
		world.remote->in_meanwhile = false;
		world_restart();
		error_set(&world.err, ERROR_CANCELLED, "the process was ended");
		return false;
	}
	world.err = world.pass_err;
	return ok;
}

static struct sync_pass
pass_of(unsigned flags)
{
	return (struct sync_pass){
		.full = (flags & WORLD_PASS_FULL) != 0,
		.dry_run = (flags & WORLD_PASS_DRY) != 0,
		.local_only = (flags & WORLD_PASS_LOCAL_ONLY) != 0,
		.bodies_with_scan = world.options.bodies_with_scan,
		.lock_timeout_ms = 0,
	};
}

bool
world_try(unsigned flags)
{
	const struct sync_pass pass = pass_of(flags);

	return try_pass(&pass);
}

bool
world_try_second(unsigned flags, struct sync_result *out)
{
	const struct sync_pass pass = pass_of(flags);
	struct world_process *second = &world.second;
	struct error *err = &world.second_err;

	*out = (struct sync_result){0};
	error_clear(err);
	if (second->remote == NULL) {
		second->remote = model_remote_create(world.server);
		if (!store_open(world.io, world.path, NULL, NULL, &second->store, err)) {
			return false;
		}
		second->sync = sync_create(world.io, second->store, &world.settings);
	}
	const struct remote_ops *ops = second->remote->base.ops;

	if (second->session != NULL && !ops->alive(second->session)) {
		ops->close(&second->session);
	}
	return (second->session != NULL || ops->open(&second->remote->base, NULL, &second->session, err)) &&
	       sync_pass_run(second->sync, second->session, &pass, out, err) &&
	       sync_hydrate_wanted(second->sync, second->session, &pass, out, err);
}

void
world_pass(void)
{
	OK(world_try(WORLD_PASS_ALL));
}

void
world_pass_over(const char *mailbox)
{
	const struct slice name = slice_of(mailbox);
	const struct sync_pass pass = {.mailboxes = &name, .mailbox_count = 1};

	OK(try_pass(&pass));
}

void
world_settle(void)
{
	for (unsigned i = 0; i < 12; i++) {
		world_pass();
		if (!world.result.again) {
			return;
		}
		world_advance_s(world.result.again_in_ms / 1000 + 1);
	}
	fail_msg("twelve passes did not settle, the last asks for another in %" PRId64 " ms: %s",
		world.result.again_in_ms, world.result.text.data != NULL ? world.result.text.data : "");
}

unsigned
world_sent(const char *token)
{
	unsigned count = 0;

	for (struct slice left = buf_slice(&world.server->sent); left.length > 0;) {
		size_t length = slice_find(left, '\n');

		count += slice_equal(slice_head(left, length), slice_of(token));
		left = slice_skip(left, length + 1);
	}
	return count;
}

void
world_trouble(const char *call, enum model_fault fault, unsigned item)
{
	world.remote->fired = false;
	world.remote->trouble = (struct model_trouble){.nth = 1, .call = call, .fault = fault, .item = item};
}
