/* mailfs wait: returns when what was changed here is on the server, and what is new there is here.
 *
 * A path names a message by its inode number: the account's octet above 32 bits of the message's number (fs/node.h). A directory stands for its whole
 * account. The account is the mount's source, or the first directory of the path where several are mounted at once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/admin.h"
#include "fs/command/accounts.h"
#include "fs/command/command.h"
#include "fs/command/mounted.h"
#include "fs/command/say.h"
#include "fs/node.h"

struct target {
	char *account;        /* NULL: all */
	struct number number; /* 0: the account */
	uint8_t octet;        /* of the account, where a number is given */
};

static void
target_finish(struct target *target)
{
	free(target->account);
	*target = (struct target){0};
}

/* Tells what an inode number means to us. */
static bool
read_inode(const char *path, struct target *target, struct error *err)
{
	struct stat stat_of;
	struct node node;

	if (stat(path, &stat_of) != 0) {
		return error_errno(err, errno, "%s", path);
	}
	if (S_ISDIR(stat_of.st_mode)) {
		return true;
	}
	if (!node_unpack(stat_of.st_ino, &node) ||
		(node.kind != NODE_MESSAGE && node.kind != NODE_LOCAL && node.kind != NODE_NEW)) {
		return error_set(err, ERROR_INVALID, "%s is no message", path);
	}
	if (node.kind == NODE_LOCAL) {
		return error_set(err, ERROR_INVALID, "%s is a local file, which is never sent", path);
	}
	if (node.kind == NODE_MESSAGE) {
		target->number = (struct number){.value = node.number};
		target->octet = node.account;
	}
	return true;
}

static bool
read_path(const char *path, struct target *target, struct error *err)
{
	SCOPED(mounted_finish) struct mounted mounted = {0};

	if (!mounted_find(path, &mounted, err) || !read_inode(path, target, err)) {
		return false;
	}
	if (strcmp(mounted.source, MOUNTED_SEVERAL) != 0) {
		target->account = slice_dup(slice_of(mounted.source));
		return true;
	}

	struct slice inside = slice_of(mounted.inside);

	if (inside.length > 0) {
		target->account = slice_dup(slice_head(inside, slice_find(inside, '/')));
	}
	return true;
}

/* A word is an account's name if there is such an account, and it has no slash. */
static bool
read_target(const struct options *options, struct target *target, struct error *err)
{
	const char *word = options->arguments.count > 0 ? options->arguments.items[0] : NULL;
	SCOPED(config_destroy) struct config *config = NULL;

	if (word == NULL) {
		return true;
	}
	if (strchr(word, '/') != NULL) {
		return read_path(word, target, err);
	}
	if (!accounts_configure(options, NULL, 0, &config, err)) {
		return false;
	}

	struct stat stat_of;

	if (config_find(config, word) == NULL && stat(word, &stat_of) == 0) {
		return read_path(word, target, err);
	}
	target->account = slice_dup(slice_of(word));
	return true;
}

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What is still missing when the time is over. */
static void
explain(struct account *account, const struct target *target, struct error *err)
{
	struct error ignored;
	uint64_t queued;

	if (err->kind != ERROR_RETRY || target->number.value != 0 || !admin_queued(account, &queued, &ignored)) {
		return;
	}
	if (queued > 0) {
		error_set(err, ERROR_RETRY,
			"the time is over, and %" PRIu64 " change%s not on the server: `mailfs status %s` says why",
			queued, queued == 1 ? " is" : "s are", account_name(account));
	} else {
		error_set(err, ERROR_RETRY,
			"the time is over, and not all that is on the server is here: `mailfs status %s` says why",
			account_name(account));
	}
}

static enum exit_status
wait_for(struct accounts *accounts, const struct options *options, const struct target *target)
{
	bool both = options->uploaded == options->downloaded;
	int64_t end_ms = options->timeout_ms < 0 ? -1 : now_ms() + options->timeout_ms;
	enum exit_status status = EXIT_DONE;

	for (size_t i = 0; i < engine_account_count(accounts->engine); i++) {
		struct account *account = engine_account(accounts->engine, i);
		int64_t left_ms = end_ms < 0 ? -1 : end_ms - now_ms();
		struct error err = ERROR_INIT;

		if (target->number.value != 0 && account_octet(account) != target->octet) {
			error_set(&err, ERROR_CONFIG,
				"the mount has another store than this configuration names: give the --config of the "
				"mount");
			return say_error(account_name(account), &err);
		}
		if (!admin_wait(account, both || options->uploaded, both || options->downloaded, target->number,
			    end_ms >= 0 && left_ms < 0 ? 0 : left_ms, &err)) {
			explain(account, target, &err);
			status = exit_status_worse(status, say_error(account_name(account), &err));
		}
	}
	return status;
}

/* Keeps the account in step itself where no other process does: else it might wait for nothing. */
enum exit_status
command_wait(const struct options *options)
{
	static const struct engine_options how = {.sync = true};
	SCOPED(accounts_close) struct accounts accounts = {0};
	SCOPED(target_finish) struct target target = {0};
	struct error err = ERROR_INIT;

	if (!read_target(options, &target, &err)) {
		return say_error(NULL, &err);
	}

	const char *name = target.account;

	if (!accounts_open(&accounts, options, &name, name != NULL ? 1 : 0, &how, &err)) {
		return say_error(NULL, &err);
	}
	return wait_for(&accounts, options, &target);
}
