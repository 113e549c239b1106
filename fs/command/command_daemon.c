/* mailfs daemon: keeps accounts in step without a mount, in the foreground. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "fs/command/accounts.h"
#include "fs/command/command.h"
#include "fs/command/say.h"
#include "fs/service.h"

/* What is queued may be sent for this long after SIGTERM; the promise is 5 s in all (design 3). */
#define DRAIN_MS 2000
#define END_S    5

static void
block_signals(sigset_t *out)
{
	(void)sigemptyset(out);
	(void)sigaddset(out, SIGTERM);
	(void)sigaddset(out, SIGINT);
	(void)sigaddset(out, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, out, NULL);
}

static void
reload(struct accounts *accounts)
{
	struct error err = ERROR_INIT;

	service_reloading();
	if (!engine_reload(accounts->engine, &err)) {
		(void)say_error(NULL, &err);
		say_note(NULL, "the configuration as it was before stays in force");
	}
	service_tell("READY=1");
}

static void
end_now(int signal_number)
{
	_exit(EXIT_DONE);
}

/* Until SIGTERM or SIGINT. Threads have the signals blocked, so they come here alone. */
static void
run(struct accounts *accounts, const sigset_t *signals)
{
	for (;;) {
		int signal_number;

		if (sigwait(signals, &signal_number) != 0) {
			continue;
		}
		if (signal_number != SIGHUP) {
			return;
		}
		reload(accounts);
	}
}

enum exit_status
command_daemon(const struct options *options)
{
	static const struct engine_options how = {.sync = true};
	SCOPED(accounts_close) struct accounts accounts = {0};
	struct error err = ERROR_INIT;
	sigset_t signals;

	block_signals(&signals);
	if (!accounts_open(&accounts, options, options->arguments.items, options->arguments.count, &how, &err)) {
		return say_error(NULL, &err);
	}
	service_tell("READY=1\nSTATUS=Keeping mail in step");
	run(&accounts, &signals);
	service_tell("STOPPING=1");
	/* Whatever hangs must not keep us: the store takes an abrupt end. A second signal ends at once. */
	(void)signal(SIGALRM, end_now);
	(void)alarm(END_S);
	(void)pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
	engine_stop(accounts.engine, DRAIN_MS);
	engine_destroy(&accounts.engine);
	return EXIT_DONE;
}
