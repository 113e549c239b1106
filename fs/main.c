/* mailfs: mail as a tree of files. Reads the command line, does the command, gives its exit status. */
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "fs/command/command.h"
#include "fs/command/say.h"
#include "fs/options.h"

static enum exit_status (*const commands[])(const struct options *options) = {
	[COMMAND_MOUNT] = command_mount,
	[COMMAND_UNMOUNT] = command_unmount,
	[COMMAND_SYNC] = command_sync,
	[COMMAND_DAEMON] = command_daemon,
	[COMMAND_STATUS] = command_status,
	[COMMAND_WAIT] = command_wait,
	[COMMAND_HELD] = command_held,
	[COMMAND_CONFIRM] = command_confirm,
	[COMMAND_REVERT] = command_revert,
	[COMMAND_FLAG] = command_flag,
	[COMMAND_CHECK] = command_check,
	[COMMAND_INIT] = command_init,
	[COMMAND_DEMO] = command_demo,
	[COMMAND_HELP] = command_help,
	[COMMAND_VERSION] = command_version,
};
_Static_assert(ARRAY_LENGTH(commands) == COMMAND_COUNT, "a command without its function");

/* mount(8), cron and systemd may leave it out. */
static void
find_home(void)
{
	const char *home = getenv("HOME");

	if (home == NULL || home[0] != '/') {
		const struct passwd *entry = getpwuid(getuid());

		if (entry != NULL) {
			(void)setenv("HOME", entry->pw_dir, 1);
		}
	}
}

/* Those who stay tell of what passes by as well; others say in a sentence what came of it. */
static void
set_log_level(const struct options *options)
{
	static const enum log_level levels[] = {LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};
	size_t most = ARRAY_LENGTH(levels) - 1;
	bool stays = options->command == COMMAND_DAEMON || (options->command == COMMAND_MOUNT && options->foreground);

	if (options->verbose == 0 && !stays) {
		log_set_level(LOG_LEVEL_ERROR);
	} else {
		log_set_level(levels[options->verbose < most ? options->verbose : most]);
	}
}

int
main(int argc, char **argv)
{
	SCOPED(options_finish) struct options options;
	struct error err = ERROR_INIT;
	enum exit_status status;

	if (!options_parse(argc, argv, &options, &err)) {
		return (int)say_error(NULL, &err);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	find_home();
	set_log_level(&options);
	status = commands[options.command](&options);
	if (!say_finish() && status == EXIT_DONE) {
		status = EXIT_SOME_FAILED;
	}
	return (int)status;
}
