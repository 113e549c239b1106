#include "fs/command/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "fs/command/say.h"

static enum exit_status
say_errno(const char *what)
{
	struct error err;

	error_errno(&err, errno, "%s", what);
	return say_error(NULL, &err);
}

/* Waits for the child's word. */
static enum exit_status
hear(int pipe_end, pid_t child)
{
	uint8_t word;
	ssize_t got;
	int status;

	/* The terminal's interrupt goes to the child as well, which unmounts and tells. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	do {
		got = read(pipe_end, &word, 1);
	} while (got < 0 && errno == EINTR);
	if (got == 1) {
		return (enum exit_status)word;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	if (WIFSIGNALED(status)) {
		say_note(NULL, "the process of the mount was ended by signal %d", WTERMSIG(status));
		return EXIT_SOME_FAILED;
	}
	return WEXITSTATUS(status) != 0 ? (enum exit_status)WEXITSTATUS(status) : EXIT_SOME_FAILED;
}

bool
detach_fork(struct detach *detach, enum exit_status *out_status)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		*out_status = say_errno("making a pipe");
		return false;
	}
	(void)fflush(stdout);
	child = fork();
	if (child < 0) {
		*out_status = say_errno("starting a process");
		(void)close(ends[0]);
		(void)close(ends[1]);
		return false;
	}
	(void)close(ends[child == 0 ? 0 : 1]);
	if (child == 0) {
		detach->pipe = ends[1];
		return true;
	}
	*out_status = hear(ends[0], child);
	(void)close(ends[0]);
	return false;
}

void
detach_foreground(struct detach *detach)
{
	detach->pipe = -1;
}

static void
tell(struct detach *detach, enum exit_status status)
{
	uint8_t word = (uint8_t)status;

	(void)!write(detach->pipe, &word, 1); /* a parent that is gone needs no word */
	(void)close(detach->pipe);
	detach->pipe = -1;
}

static void
to_syslog(enum log_level level, const char *line, void *context)
{
	static const int priorities[] = {
		[LOG_LEVEL_ERROR] = LOG_ERR,
		[LOG_LEVEL_WARN] = LOG_WARNING,
		[LOG_LEVEL_INFO] = LOG_INFO,
		[LOG_LEVEL_DEBUG] = LOG_DEBUG,
	};

	syslog(priorities[level], "%s", line);
}

void
detach_ready(struct detach *detach)
{
	int nothing;

	if (detach->pipe < 0) {
		return;
	}
	(void)fflush(stdout);
	(void)setsid();
	(void)!chdir("/");
	openlog("mailfs", LOG_PID | LOG_NDELAY, LOG_MAIL);
	log_set_sink(to_syslog, NULL);
	if (!log_enabled(LOG_LEVEL_WARN)) {
		log_set_level(LOG_LEVEL_WARN);
	}
	nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (nothing >= 0) {
		(void)dup2(nothing, STDIN_FILENO);
		(void)dup2(nothing, STDOUT_FILENO);
		(void)dup2(nothing, STDERR_FILENO);
		(void)close(nothing);
	}
	tell(detach, EXIT_DONE);
}

void
detach_failed(struct detach *detach, enum exit_status status)
{
	if (detach->pipe >= 0) {
		tell(detach, status);
	}
}
