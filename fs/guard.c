#include "fs/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED        SIGUSR1     /* the kernel's word that who made us is dead */
#define NAME          "mfs-guard" /* `pkill -9 mailfs` does not mean it */
#define ARGUMENTS_MAX 4096

/* What ps shows: in place of the arguments, where they lie in one piece as they did at the start. */
static void
rename_process(const char *dir)
{
	char now[ARGUMENTS_MAX];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, now, sizeof(now)) : 0;

	if (length > 0 && length < ARGUMENTS_MAX && memcmp(program_invocation_name, now, (size_t)length) == 0) {
		memset(program_invocation_name, 0, (size_t)length);
		(void)snprintf(program_invocation_name, (size_t)length, NAME " %s", dir);
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	(void)prctl(PR_SET_NAME, NAME);
}

/* Lets go of all but the file that aborts: neither /dev/fuse nor what whoever started us waits to be closed may stay open. */
static int
let_go(int abort_fd)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	abort_fd = fcntl(abort_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		(void)dup2(nothing, fd);
	}
	(void)dup2(abort_fd, STDERR_FILENO + 1);
	(void)close_range(STDERR_FILENO + 2, ~0U, 0);
	(void)!chdir("/");
	return STDERR_FILENO + 1;
}

/* Waits for the death of the thread that made us. Its process is our parent even then, as long as another thread of it is left: only the signal tells. */
static void
keep_watch(pid_t guarded)
{
	siginfo_t told = {.si_pid = 0};
	sigset_t killed;

	(void)sigemptyset(&killed);
	(void)sigaddset(&killed, KILLED);
	if (prctl(PR_SET_PDEATHSIG, KILLED) != 0) {
		_exit(1);
	}
	if (getppid() != guarded) {
		return; /* it died before it could be told */
	}
	while (sigwaitinfo(&killed, &told) != KILLED || told.si_pid != guarded) {
	}
}

bool
guard_start(int abort_fd, const char *dir, pid_t *out, struct error *err)
{
	pid_t guarded = getpid(), child;
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	child = fork();
	if (child == 0) {
		abort_fd = let_go(abort_fd);
		(void)setsid();
		rename_process(dir);
		keep_watch(guarded);
		(void)!write(abort_fd, "1", 1);
		_exit(0);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (child < 0) {
		return error_errno(err, errno, "starting the guard of a mount");
	}
	*out = child;
	return true;
}

void
guard_end(pid_t *guard)
{
	if (*guard > 0) {
		(void)kill(*guard, SIGKILL);
		while (waitpid(*guard, NULL, 0) < 0 && errno == EINTR) {
		}
	}
	*guard = 0;
}
