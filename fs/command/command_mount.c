/* mailfs mount: the life of a mount, from the command line to the last byte sent.
 *
 * Fork comes first, before SQLite and threads; the parent waits for the child's word. The child reads the configuration, mounts, opens stores, and starts
 * what syncs. As root with setuid= it mounts and becomes that user before it reads or runs anything of the user's; that the configuration will do, and
 * whether the mount is read-only, it learns before from a child of its own which has given up root. While requests are answered already, a thread waits
 * until the tree can be used; then the child leaves the terminal. After the unmount it goes on sending for a while.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/admin.h"
#include "engine/mail/mailbox_name.h"
#include "fs/command/accounts.h"
#include "fs/command/command.h"
#include "fs/command/detach.h"
#include "fs/command/mounted.h"
#include "fs/command/privileges.h"
#include "fs/command/progress.h"
#include "fs/command/say.h"
#include "fs/mount.h"
#include "fs/service.h"

/* What is queued at an unmount is sent for at most so long (design 3). */
#define DRAIN_MS 30000
/* How long the first listing ever may be without hope before the mount is given up. */
#define PATIENCE_MS 3000

struct life {
	const struct options *options;
	const char *account; /* NULL: all */
	char *directory;     /* absolute */
	struct detach detach;
	struct accounts accounts;
	struct mount *mount;
	pthread_t waiter;
	bool waiting;        /* the thread is to be joined */
	_Atomic int outcome; /* the waiter's exit status; EXIT_TRY_AGAIN until it has ended */
};

/* --- the waiter: until the tree can be used --- */

/* Tells on a terminal where things are. */
static void
tell_places(const struct life *life)
{
	size_t count = engine_account_count(life->accounts.engine);

	if (life->options->quiet || !isatty(STDOUT_FILENO)) {
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const char *name = account_name(engine_account(life->accounts.engine, i));
		const char *slash = life->account != NULL ? "" : "/";
		const char *below = life->account != NULL ? "" : name;
		const char *maildir = life->options->mount.maildir ? "" : "/.maildir";

		printf("%s: %s%s%s    (for mail programs: %s%s%s%s, status: %s%s%s/.mailfs/status)\n", name,
			life->directory, slash, below, life->directory, slash, below, maildir, life->directory, slash,
			below);
	}
}

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for one account; the engine gets its second try at a server that cuts the first connection. With nofail an account that cannot be
 * reached is an empty tree. */
static bool
wait_listed(struct life *life, struct account *account, struct error *err)
{
	int64_t patience_ms = now_ms() + PATIENCE_MS;
	struct progress progress;
	bool ok;

	progress_begin(&progress, !life->options->quiet);
	while (!(ok = admin_wait_listed(account, &progress.admin, err)) && error_is_temporary(err) &&
		now_ms() < patience_ms) {
		(void)usleep(PATIENCE_MS / 30 * 1000);
	}
	progress_end(&progress);
	if (!ok && life->options->mount.nofail && error_is_temporary(err)) {
		say_note(account_name(account), "%s: the tree is empty until that passes", err->text);
		return true;
	}
	return ok;
}

/* A mount of several accounts is of use as soon as one of them is; the others' troubles are told. */
static enum exit_status
wait_all(struct life *life)
{
	enum exit_status status = EXIT_DONE;
	bool usable = false;

	if (life->options->mount.nosync) {
		return EXIT_DONE; /* what is listed is listed */
	}
	for (size_t i = 0; i < engine_account_count(life->accounts.engine); i++) {
		struct account *account = engine_account(life->accounts.engine, i);
		struct error err = ERROR_INIT;

		if (wait_listed(life, account, &err)) {
			usable = true;
		} else if (err.kind == ERROR_CANCELLED) {
			return EXIT_TRY_AGAIN; /* unmounted or interrupted: whoever did it knows */
		} else {
			status = exit_status_worse(status, say_error(account_name(account), &err));
		}
	}
	return usable ? EXIT_DONE : status;
}

static void *
wait_until_usable(void *context)
{
	struct life *life = context;

	enum exit_status outcome = wait_all(life);

	life->outcome = (int)outcome;
	if (outcome == EXIT_DONE) {
		tell_places(life);
		detach_ready(&life->detach);
		service_tell("READY=1\nSTATUS=Mounted");
	} else {
		(void)kill(getpid(), SIGTERM); /* ends mount_run, which unmounts */
	}
	return NULL;
}

/* --- the main thread --- */

static struct mount_options
mount_options_of(const struct life *life)
{
	const struct options_mount *given = &life->options->mount;

	return (struct mount_options){
		.read_only = given->read_only,
		.directories = life->account == NULL,
		.view = given->maildir ? MOUNT_VIEW_MAILDIR : MOUNT_VIEW_MAIL,
		.xattrs = given->xattrs,
		.allow_other = given->allow_other,
		.has_uid = given->has_uid,
		.has_gid = given->has_gid,
		.has_umask = given->has_umask,
		.uid = given->uid,
		.gid = given->gid,
		.umask = given->umask,
		.fuse_words = given->fuse.items,
		.fuse_word_count = given->fuse.count,
	};
}

/* A store within its own mount would wait for itself for ever. */
static bool
check_stores(const struct life *life, struct error *err)
{
	for (size_t i = 0; i < engine_account_count(life->accounts.engine); i++) {
		const struct config_account *account = account_config(engine_account(life->accounts.engine, i));

		if (mailbox_name_within(slice_of(account->store), slice_of(life->directory))) {
			return error_set(err, ERROR_CONFIG,
				"the store of account %s, %s, lies within the mount: set `store` to a directory "
				"outside of it",
				account->name, account->store);
		}
	}
	return true;
}

static bool
configure(struct life *life, struct error *err)
{
	const struct engine_options how = {.sync = !life->options->mount.nosync, .mounted = true};
	size_t count = life->account != NULL ? 1 : 0;

	return accounts_configure(life->options, &life->account, count, &life->accounts.config, err) &&
	       engine_create(life->accounts.config, &life->account, count, &how, &life->accounts.engine, err) &&
	       check_stores(life, err);
}

/* --- as root, for a user --- */

struct rehearsal {
	bool ok, only_pulls;
	struct error err;
};

/* Reads the configuration in a process that is the user's for good, and tells what root has to know before it mounts. */
static bool
rehearse(struct life *life, const struct privileges_user *user, bool *out_only_pulls, struct error *err)
{
	struct rehearsal told = {0};
	int ends[2];
	pid_t child;
	bool heard;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		return error_errno(err, errno, "making a pipe");
	}
	child = fork();
	if (child == 0) {
		told.ok = privileges_become(user, &told.err) && configure(life, &told.err);
		told.only_pulls = told.ok && mount_only_pulls(life->accounts.engine);
		_exit(write(ends[1], &told, sizeof(told)) != (ssize_t)sizeof(told));
	}
	(void)close(ends[1]);
	heard = child > 0 && read(ends[0], &told, sizeof(told)) == (ssize_t)sizeof(told);
	(void)close(ends[0]);
	if (child > 0) {
		(void)waitpid(child, NULL, 0);
	}
	if (!heard) {
		return error_set(err, ERROR_SYSTEM, "reading the configuration as %s: no answer came", user->name);
	}
	*out_only_pulls = told.only_pulls;
	*err = told.err;
	return told.ok;
}

/* Mounts as root and becomes the user; what is the user's is read from there on. */
static bool
attach_for(struct life *life, const struct privileges_user *user, struct mount_options *how, struct error *err)
{
	bool only_pulls = false, given = how->read_only;

	if (!rehearse(life, user, &only_pulls, err)) {
		return false;
	}
	how->has_user = true;
	how->user_uid = user->uid;
	how->user_gid = user->gid;
	how->read_only = given || only_pulls;
	if (!mount_attach(life->directory, life->account, how, err)) {
		return false;
	}
	how->read_only = given;
	if (!privileges_become(user, err) || !configure(life, err)) {
		mount_let_go(life->directory, how);
		return false;
	}
	return true;
}

static bool
begin(struct life *life, struct error *err)
{
	SCOPED(privileges_user_finish) struct privileges_user user = {0};
	const char *name = life->options->mount.setuid_user;
	struct mount_options how = mount_options_of(life);
	bool ready;

	if (name != NULL && !privileges_find(name, &user, err)) {
		return false;
	}
	ready = name != NULL && geteuid() == 0 ? attach_for(life, &user, &how, err) : configure(life, err);
	return ready && mount_open(life->accounts.engine, life->directory, &how, &life->mount, err) &&
	       engine_start(life->accounts.engine, err) && mount_start(life->mount, err);
}

static bool
start_waiter(struct life *life, struct error *err)
{
	int failure = pthread_create(&life->waiter, NULL, wait_until_usable, life);

	if (failure != 0) {
		return error_errno(err, failure, "starting a thread");
	}
	life->waiting = true;
	return true;
}

/* Ends everything in order. What is queued is sent unless the mount never came to be of use. */
static void
end(struct life *life)
{
	mount_close(&life->mount);
	if (life->accounts.engine != NULL) {
		engine_stop(life->accounts.engine, life->outcome == EXIT_DONE ? DRAIN_MS : 0);
	}
	if (life->waiting) {
		(void)pthread_join(life->waiter, NULL);
	}
	engine_destroy(&life->accounts.engine);
	config_destroy(&life->accounts.config);
}

/* Threads are made with the signals that end a mount blocked, so that these come to the main thread alone; to it they come once it runs. */
static bool
prepare(struct life *life, struct error *err)
{
	sigset_t ending, before;
	bool ok;

	(void)sigemptyset(&ending);
	(void)sigaddset(&ending, SIGTERM);
	(void)sigaddset(&ending, SIGINT);
	(void)sigaddset(&ending, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &ending, &before);
	ok = begin(life, err) && start_waiter(life, err);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ok;
}

static enum exit_status
live(struct life *life)
{
	struct error err = ERROR_INIT;
	enum exit_status status = EXIT_DONE;

	if (!prepare(life, &err) || !mount_run(life->mount, &err)) {
		status = say_error(life->account, &err);
	}
	service_tell("STOPPING=1\nSTATUS=Sending what is queued");
	end(life);
	status = exit_status_worse(status, (enum exit_status)life->outcome);
	detach_failed(&life->detach, status); /* unless it is ready since long */
	return status;
}

/* `mailfs satus DIR` means the command status more likely than an account of that name. */
static bool
check_directory(const struct options *options, const char *directory, struct error *err)
{
	struct stat status;
	const char *nearest;

	if (stat(directory, &status) == 0 || errno == ENOTCONN) {
		return true;
	}
	nearest = options->implied ? options_nearest_command(options->arguments.items[0]) : NULL;
	if (nearest != NULL) {
		return error_set(err, ERROR_INVALID, "there is no command '%s', did you mean '%s'?",
			options->arguments.items[0], nearest);
	}
	if (errno == ENOENT) {
		return error_set(err, ERROR_CONFIG, "there is no directory %s to mount at: make it with `mkdir -p %s`",
			directory, directory);
	}
	return error_errno(err, errno, "%s", directory);
}

enum exit_status
command_mount(const struct options *options)
{
	size_t count = options->arguments.count;
	const char *directory = options->arguments.items[count - 1];
	struct life life = {
		.options = options,
		.account = count > 1 ? options->arguments.items[0] : NULL,
		.outcome = EXIT_TRY_AGAIN,
	};
	struct error err = ERROR_INIT;
	enum exit_status status;

	if (!check_directory(options, directory, &err)) {
		return say_error(NULL, &err);
	}
	life.directory = mounted_absolute(directory);
	if (life.directory == NULL) {
		error_errno(&err, errno, "%s", directory);
		return say_error(NULL, &err);
	}
	if (options->foreground) {
		detach_foreground(&life.detach);
		status = live(&life);
	} else if (detach_fork(&life.detach, &status)) {
		status = live(&life);
	}
	free(life.directory);
	return status;
}
