/* mailfs unmount: takes a mount away, and says what is still queued. The process behind it sends that for a while (design 3). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/admin.h"
#include "fs/command/accounts.h"
#include "fs/command/command.h"
#include "fs/command/mounted.h"
#include "fs/command/say.h"
#include "fs/mount.h"

/* What is queued is told where the configuration at hand has the account; another user's, or one mounted with --config, is passed over. */
static void
tell_queue(const struct options *options, const char *source, bool several)
{
	SCOPED(accounts_close) struct accounts accounts = {0};
	struct error err = ERROR_INIT;

	if (!accounts_open(&accounts, options, &source, several ? 0 : 1, &(struct engine_options){0}, &err)) {
		return;
	}
	for (size_t i = 0; i < engine_account_count(accounts.engine); i++) {
		struct account *account = engine_account(accounts.engine, i);
		uint64_t queued;

		if (admin_queued(account, &queued, &err) && queued > 0) {
			say_note(account_name(account),
				"%" PRIu64 " change%s not on the server yet: sent within 30 s if it can be reached, "
				"else by the next "
				"mount, daemon or sync",
				queued, queued == 1 ? " is" : "s are");
		}
	}
}

/* What can be done about it. */
static bool
detach(const char *directory, struct error *err)
{
	if (mount_detach(directory, false, err)) {
		return true;
	}
	if (err->sys_errno == EBUSY ||
		err->kind == ERROR_REFUSED) { /* fusermount3 has said on stderr what it does not like */
		return error_set(err, ERROR_RETRY,
			"%s is not unmounted: if a program is using it, leave it (`fuser -vm %s` lists them), or "
			"detach it with `fusermount3 -uz %s`",
			directory, directory, directory);
	}
	return false;
}

enum exit_status
command_unmount(const struct options *options)
{
	SCOPED(mounted_finish) struct mounted mounted = {0};
	struct error err = ERROR_INIT;

	if (!mounted_at(options->arguments.items[0], &mounted, &err) || !detach(mounted.directory, &err)) {
		return say_error(NULL, &err);
	}
	tell_queue(options, mounted.source, strcmp(mounted.source, MOUNTED_SEVERAL) == 0);
	return EXIT_DONE;
}
