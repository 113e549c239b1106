#include "fs/command/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define EVERY_MS      100
#define WIDTH_DEFAULT 80
#define WIDTH_MAX     200

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static size_t
terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) {
		return WIDTH_DEFAULT;
	}
	return size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
}

/* Called by the engine, from any thread. The first report shows at once, later ones ten times a second. */
static void
report(void *context, const char *account, const char *phase, uint64_t done, uint64_t total)
{
	struct progress *progress = context;
	int64_t now = now_ms();
	char line[WIDTH_MAX];

	if (!progress->on) {
		return;
	}
	mutex_lock(&progress->mutex);
	if (!progress->shown || now - progress->last_ms >= EVERY_MS) {
		if (total > 0) {
			(void)snprintf(
				line, sizeof(line), "%s: %s: %" PRIu64 " of %" PRIu64, account, phase, done, total);
		} else if (done > 0) {
			(void)snprintf(line, sizeof(line), "%s: %s: %" PRIu64, account, phase, done);
		} else {
			(void)snprintf(line, sizeof(line), "%s: %s", account, phase);
		}
		/* A line that wraps could not be written over. */
		(void)fprintf(stderr, "\r%.*s\033[K", (int)terminal_width() - 1, line);
		(void)fflush(stderr);
		progress->shown = true;
		progress->last_ms = now;
	}
	mutex_unlock(&progress->mutex);
}

void
progress_begin(struct progress *progress, bool wanted)
{
	const char *terminal = getenv("TERM");

	*progress = (struct progress){.admin = {.report = report, .context = progress}};
	mutex_init(&progress->mutex, LOCK_RANK_LEAF);
	progress->on = wanted && isatty(STDERR_FILENO) && (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

void
progress_end(struct progress *progress)
{
	if (progress->shown) {
		(void)fputs("\r\033[K", stderr);
		(void)fflush(stderr);
	}
	mutex_finish(&progress->mutex);
}
