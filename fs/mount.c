#include "fs/mount.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/edit.h"
#include "engine/mail/mailbox_name.h"
#include "fs/attach.h"
#include "fs/guard.h"
#include "fs/handle.h"
#include "fs/mount_internal.h"
#include "fs/notify.h"
#include "fs/operations.h"
#include "fs/park.h"
#include "fs/plain.h"

#define THREADS       4
#define GRACE_MS      1000 /* after a signal, for who works in the mount */
#define GRACE_STEP_MS 100
#define WAKE_EVERY_MS 20 /* how often a thread that sits in read(2) is called until it comes */

_Static_assert(FUSE_BATCH_FORGET < MOUNT_OPCODES_MAX, "a counter for every operation");

/* --- signals: one mount to a process --- */

static _Atomic int signal_fd = -1;

static void
note_signal(int signal_number)
{
	uint64_t one = 1;
	int kept = errno, fd = signal_fd;

	if (fd >= 0) {
		(void)!write(fd, &one, sizeof(one));
	}
	errno = kept;
}

static void
do_nothing(int signal_number)
{
}

/* Those that end a mount; and one that calls a thread out of read(2). */
static bool
set_signals(struct mount *mount, struct error *err)
{
	static const int ending[] = {SIGTERM, SIGINT, SIGHUP};
	struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
	struct sigaction call = {.sa_handler = do_nothing};

	mount->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mount->wakeup < 0) {
		return error_errno(err, errno, "making an eventfd");
	}
	signal_fd = mount->wakeup;
	for (size_t i = 0; i < ARRAY_LENGTH(ending); i++) {
		(void)sigaction(ending[i], &action, NULL);
	}
	(void)sigaction(SIGUSR2, &call, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return true;
}

/* --- opening --- */

/* The options as they are kept: what they point to may go. */
static struct mount_options
copy_options(const struct mount_options *options)
{
	struct mount_options copy = *options;
	const char **words = calloc(options->fuse_word_count + 1, sizeof(*words));

	if (words == NULL) {
		abort();
	}
	for (size_t i = 0; i < options->fuse_word_count; i++) {
		words[i] = slice_dup(slice_of(options->fuse_words[i]));
	}
	copy.fuse_words = words;
	return copy;
}

static void
finish_options(struct mount_options *options)
{
	for (size_t i = 0; i < options->fuse_word_count; i++) {
		free((void *)(uintptr_t)options->fuse_words[i]);
	}
	free((void *)(uintptr_t)options->fuse_words);
}

/* A test counts requests through a file that it reads while we run: one 64-bit number for each of the kernel's operations, at its number. */
static void
map_counts(struct mount *mount)
{
	const char *path = getenv("MAILFS_COUNT_FILE");
	size_t size = sizeof(mount->own_counts);
	void *mapped;
	int fd;

	mount->counts = mount->own_counts;
	if (path == NULL) {
		return;
	}
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size) != 0) {
		log_warn("mount", "event=no-counts path=\"%s\"", path);
	} else {
		mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		mount->counts = mapped != MAP_FAILED ? mapped : mount->own_counts;
	}
	if (fd >= 0) {
		(void)close(fd);
	}
}

/* Whose direction is pull may not be changed; where that is all, the kernel says so itself. */
bool
mount_only_pulls(const struct engine *engine)
{
	for (size_t i = 0; i < engine_account_count(engine); i++) {
		if (account_config(engine_account((struct engine *)(uintptr_t)engine, i))->direction != CONFIG_PULL) {
			return false;
		}
	}
	return engine_account_count(engine) > 0;
}

/* Nothing is asked of us for a cached read where nothing may have to be fetched at an OPEN. */
static bool
keeps_all_bodies(struct engine *engine)
{
	for (size_t i = 0; i < engine_account_count(engine); i++) {
		if (account_config(engine_account(engine, i))->bodies != CONFIG_BODIES_ALL) {
			return false;
		}
	}
	return true;
}

bool
mount_attach(const char *dir, const char *account_or_null, struct mount_options *options, struct error *err)
{
	options->has_device =
		attach_prepare(dir, err) && attach_mount(dir, account_or_null != NULL ? account_or_null : "mailfs",
						    options, &options->device_fd, err);
	options->abort_fd = options->has_device ? attach_abort_open(dir) : -1;
	return options->has_device;
}

void
mount_let_go(const char *dir, struct mount_options *options)
{
	struct error err;

	if (!options->has_device) {
		return;
	}
	options->has_device = false;
	if (!attach_unmount(dir, true, &err)) {
		log_warn("mount", "event=unmount error=\"%s\"", err.text);
	}
	(void)close(options->device_fd);
	if (options->abort_fd >= 0) {
		(void)close(options->abort_fd);
	}
}

static bool
open_session(struct mount *mount, struct error *err)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char device[32];

	(void)fuse_opt_add_arg(&args, "mailfs");
	mount->session = fuse_session_new(&args, operations_get(), operations_size(), mount);
	fuse_opt_free_args(&args);
	(void)snprintf(device, sizeof(device), "/dev/fd/%d", mount->device_fd);
	if (mount->session == NULL || fuse_session_mount(mount->session, device) != 0) {
		return error_set(err, ERROR_SYSTEM, "libfuse does not take the mount");
	}
	return true;
}

/* Where that cannot be the mount goes without. */
static void
start_guard(struct mount *mount)
{
	struct error err = ERROR_INIT;

	if (mount->abort_fd < 0) {
		log_info("mount", "event=unguarded reason=\"fusectl is not mounted at /sys/fs/fuse/connections\"");
	} else if (!guard_start(mount->abort_fd, mount->dir, &mount->guard, &err)) {
		log_warn("mount", "event=unguarded error=\"%s\"", err.text);
	}
}

bool
mount_open(struct engine *engine, const char *dir, const struct mount_options *options, struct mount **out,
	struct error *err)
{
	struct mount *mount = calloc(1, sizeof(*mount));
	bool one = !options->directories && engine_account_count(engine) == 1;
	const char *account = one ? account_name(engine_account(engine, 0)) : NULL;

	if (mount == NULL) {
		abort();
	}
	mount->engine = engine;
	mount->options = copy_options(options);
	mount->options.read_only = options->read_only || mount_only_pulls(engine);
	mount->unopened = options->read_only && keeps_all_bodies(engine);
	mount->dir = slice_dup(slice_of(dir));
	mount->device_fd = mount->abort_fd = mount->wakeup = -1;
	mount->attached = options->has_device;
	mutex_init(&mount->lock, LOCK_RANK_FS);
	(void)pthread_mutex_init(&mount->taking, NULL);
	map_counts(mount);
	if (!options->has_device) {
		mount->attached = mount_attach(dir, account, &mount->options, err);
	}
	if (mount->attached) {
		mount->device_fd = mount->options.device_fd;
		mount->abort_fd = mount->options.abort_fd;
	}
	if (!mount->attached || !set_signals(mount, err) || !open_session(mount, err)) {
		mount_close(&mount);
		return false;
	}
	start_guard(mount);
	*out = mount;
	return true;
}

bool
mount_detach(const char *dir, bool lazy, struct error *err)
{
	return attach_unmount(dir, lazy, err);
}

/* --- starting --- */

static bool
add_account(struct mount *mount, struct account *account, struct error *err)
{
	struct mount_account *slot = &mount->accounts[account_octet(account)];
	SCOPED(buf_finish) struct buf directory = BUF_INIT;

	if (account_octet(account) == 0 || slot->account != NULL) {
		return error_set(err, ERROR_CONFIG, "account %s has the same octet as another: mount them one by one",
			account_name(account));
	}
	if (!mailbox_name_to_file(slice_of(account_name(account)), &directory)) {
		return error_set(
			err, ERROR_CONFIG, "account %s has a name that no directory can have", account_name(account));
	}
	slot->account = account;
	slot->directory = buf_take(&directory);
	slot->read_only = account_config(account)->direction == CONFIG_PULL || account_failure(account) != NULL;
	mount->account_count++;
	if (!mount_is_read_only(mount, account_octet(account)) && !edit_recover(account, err)) {
		return error_wrap(err, "account %s: settling what was being written", account_name(account));
	}
	return true;
}

bool
mount_start(struct mount *mount, struct error *err)
{
	size_t count = engine_account_count(mount->engine);
	sigset_t all, before;
	bool started;

	mount->uid = mount->options.has_uid ? mount->options.uid : getuid();
	mount->gid = mount->options.has_gid ? mount->options.gid : getgid();
	mount->umask = mount->options.has_umask ? mount->options.umask : 077;
	mount->started_ns = attr_now_ns();
	for (size_t i = 0; i < count; i++) {
		if (!add_account(mount, engine_account(mount->engine, i), err)) {
			return false;
		}
	}
	mount->sole = !mount->options.directories && count == 1 ? account_octet(engine_account(mount->engine, 0)) : 0;
	mount->park = park_create(mount);
	mount->notify = notify_create(mount);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the thread in mount_run */
	started = notify_start(mount->notify, err) && park_start(mount->park, err);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

/* --- running --- */

struct worker {
	struct mount *mount;
	pthread_t thread;
	bool started;
	_Atomic bool ended;
};

static void
wake_main(struct mount *mount)
{
	uint64_t one = 1;

	(void)!write(mount->wakeup, &one, sizeof(one));
}

/* Tells whether a request is answered in less time than another thread takes to wake: then the one that read it does so, and reads the next. */
static bool
is_brief(const struct fuse_buf *buffer)
{
	const struct fuse_in_header *header = buffer->mem;
	const void *argument = header + 1;

	if (buffer->size < sizeof(*header)) {
		return true;
	}
	switch (header->opcode) {
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
	case FUSE_RELEASEDIR:
		return true;
	case FUSE_OPEN:
		return (((const struct fuse_open_in *)argument)->flags & (O_ACCMODE | O_TRUNC)) == O_RDONLY;
	case FUSE_RELEASE:
		return handle_is_brief(((const struct fuse_release_in *)argument)->fh);
	default:
		return false;
	}
}

/* Takes the next request that is not brief, and answers the brief ones before it; false when there will be none. One thread at a time: waking
 * another for each of a row of brief requests costs more than they do. */
static bool
take_request(struct mount *mount, struct fuse_buf *buffer)
{
	bool taken = false;

	(void)pthread_mutex_lock(&mount->taking);
	while (!mount->stop && !fuse_session_exited(mount->session)) {
		int answer = fuse_session_receive_buf(mount->session, buffer);

		if (answer == -EINTR || answer == -EAGAIN) {
			continue;
		}
		if (answer <= 0) {
			break; /* ENODEV is 0: it was unmounted */
		}
		if (!is_brief(buffer)) {
			taken = true;
			break;
		}
		fuse_session_process_buf(mount->session, buffer);
	}
	(void)pthread_mutex_unlock(&mount->taking);
	return taken;
}

static void *
work(void *context)
{
	struct worker *worker = context;
	struct mount *mount = worker->mount;
	struct fuse_buf buffer = {.mem = NULL};

	while (take_request(mount, &buffer)) {
		fuse_session_process_buf(mount->session, &buffer);
	}
	free(buffer.mem);
	worker->ended = true;
	wake_main(mount);
	return NULL;
}

static bool
start_workers(struct worker workers[THREADS], struct error *err)
{
	sigset_t all, before;
	int answer = 0;

	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGUSR2);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	for (size_t i = 0; i < THREADS && answer == 0; i++) {
		answer = pthread_create(&workers[i].thread, NULL, work, &workers[i]);
		workers[i].started = answer == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return answer == 0 || error_errno(err, answer, "starting the threads of the mount");
}

static size_t
call_workers(struct worker workers[THREADS])
{
	size_t left = 0;

	for (size_t i = 0; i < THREADS; i++) {
		if (workers[i].started && !workers[i].ended) {
			(void)pthread_kill(workers[i].thread, SIGUSR2);
			left++;
		}
	}
	return left;
}

/* Ends those that are left: one that sits in read(2) is called until it comes, and the others come after it. */
static void
stop_workers(struct mount *mount, struct worker workers[THREADS])
{
	mount->stop = true;
	while (call_workers(workers) > 0) {
		(void)poll(NULL, 0, WAKE_EVERY_MS);
	}
	for (size_t i = 0; i < THREADS; i++) {
		if (workers[i].started) {
			(void)pthread_join(workers[i].thread, NULL);
		}
	}
}

static bool
any_ended(const struct worker workers[THREADS])
{
	for (size_t i = 0; i < THREADS; i++) {
		if (workers[i].ended) {
			return true;
		}
	}
	return false;
}

/* A signal came. Who works in the mount has a moment to end; then it is taken from them. */
static void
leave(struct mount *mount, const struct worker workers[THREADS])
{
	struct pollfd waiting = {.fd = mount->wakeup, .events = POLLIN};
	int64_t end_ms = park_now_ms() + GRACE_MS;
	struct error err = ERROR_INIT;
	bool detached = false;
	uint64_t count;

	while (!any_ended(workers) && park_now_ms() < end_ms) {
		detached = detached || attach_unmount(mount->dir, false, &err);
		(void)!read(mount->wakeup, &count, sizeof(count));
		if (!any_ended(workers)) {
			(void)poll(&waiting, 1, GRACE_STEP_MS);
		}
	}
	if (!detached && !any_ended(workers) && !attach_force(mount->dir, mount->abort_fd, &err)) {
		log_warn("mount", "event=unmount error=\"%s\"", err.text);
	}
}

bool
mount_run(struct mount *mount, struct error *err)
{
	struct worker workers[THREADS];
	struct pollfd waiting = {.fd = mount->wakeup, .events = POLLIN};
	bool done;

	for (size_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.mount = mount};
	}
	done = start_workers(workers, err);
	while (done && poll(&waiting, 1, -1) < 0 && errno == EINTR) {
	}
	if (!any_ended(workers)) {
		leave(mount, workers);
	}
	mount->attached = false; /* by the path another mount may be there soon */
	stop_workers(mount, workers);
	return done;
}

/* --- closing --- */

static void
free_tables(struct mount *mount)
{
	for (size_t octet = 0; octet < MOUNT_ACCOUNTS_MAX; octet++) {
		free(mount->accounts[octet].directory);
	}
	displaced_finish(&mount->displaced);
	inode_map_finish(&mount->aliases);
	inode_map_finish(&mount->shown);
	inode_map_finish(&mount->dir_times);
	inode_map_finish(&mount->unmade);
	inode_map_finish(&mount->open_bodies);
	inode_map_finish(&mount->bodies_here);
	inode_map_finish(&mount->files);
	if (mount->counts != mount->own_counts) {
		(void)munmap((void *)mount->counts, sizeof(mount->own_counts));
	}
}

void
mount_close(struct mount **out)
{
	struct mount *mount = *out;
	struct error err = ERROR_INIT;

	if (mount == NULL) {
		return;
	}
	if (mount->attached && !attach_unmount(mount->dir, true, &err)) {
		log_debug("mount", "event=unmounted-already reason=\"%s\"", err.text);
	}
	park_stop(mount->park); /* what waits is answered, and opens nothing more */
	if (mount->account_count > 0 && mount->notify != NULL) {
		handle_close_all(mount);
	}
	notify_destroy(&mount->notify);
	park_destroy(&mount->park);
	if (mount->session != NULL) {
		fuse_session_destroy(mount->session); /* closes the device */
	} else if (mount->device_fd >= 0) {
		(void)close(mount->device_fd);
	}
	guard_end(&mount->guard);
	if (mount->abort_fd >= 0) {
		(void)close(mount->abort_fd);
	}
	signal_fd = -1;
	if (mount->wakeup >= 0) {
		(void)close(mount->wakeup);
	}
	free_tables(mount);
	finish_options(&mount->options);
	mutex_finish(&mount->lock);
	(void)pthread_mutex_destroy(&mount->taking);
	free(mount->dir);
	free(mount);
	*out = NULL;
}
