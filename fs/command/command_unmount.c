/* mailfs unmount: takes a mount away, and says what is still queued. The process behind it sends that for a while (design 3). */
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
				"%" PRIu64 " change%s not on the server yet: sent during the next 30 s if it can be "
				"reached, else by the next mount, daemon or sync",
				queued, queued == 1 ? " is" : "s are");
		}
	}
}

enum exit_status
command_unmount(const struct options *options)
{
	SCOPED(mounted_finish) struct mounted mounted = {0};
	struct error err = ERROR_INIT;

	if (!mounted_at(options->arguments.items[0], &mounted, &err) || !mount_detach(mounted.directory, false, &err)) {
		return say_error(NULL, &err);
	}
	tell_queue(options, mounted.source, strcmp(mounted.source, MOUNTED_SEVERAL) == 0);
	return EXIT_DONE;
}
