#include "engine/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static const struct {
	const char *name, *journal; /* the prefix by which journald knows a line's priority: sd-daemon(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", "<3>"},
	[LOG_LEVEL_WARN] = {"warn", "<4>"},
	[LOG_LEVEL_INFO] = {"info", "<6>"},
	[LOG_LEVEL_DEBUG] = {"debug", "<7>"},
};

static atomic_int most_detailed = LOG_LEVEL_WARN;

/* Not a struct mutex: a line may be logged under any lock, the last in rank included. */
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*sink)(enum log_level level, const char *line, void *context); /* under sink_lock */
static void *sink_context;                                                  /* under sink_lock */

void
log_set_level(enum log_level level)
{
	atomic_store(&most_detailed, (int)level);
}

bool
log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&most_detailed, memory_order_relaxed);
}

void
log_set_sink(void (*to)(enum log_level level, const char *line, void *context), void *context)
{
	(void)pthread_mutex_lock(&sink_lock);
	sink = to;
	sink_context = context;
	(void)pthread_mutex_unlock(&sink_lock);
}

/* Copies text with control characters as \xNN; gives the length. `size` is at least 1. */
static size_t
escape(const char *text, char *out, size_t size)
{
	size_t used = 0;

	for (; *text != '\0'; text++) {
		unsigned char octet = (unsigned char)*text;
		bool control = octet < 0x20 || octet == 0x7f;

		if (used + (control ? 4 : 1) >= size) {
			break;
		}
		if (control) {
			(void)snprintf(out + used, 5, "\\x%02x", octet);
			used += 4;
		} else {
			out[used++] = (char)octet;
		}
	}
	out[used] = '\0';
	return used;
}

static void
write_line(enum log_level level, const char *line)
{
	char whole[LINE_MAX_BYTES + 16];
	const char *prefix = getenv("JOURNAL_STREAM") != NULL ? levels[level].journal : "";
	int length = snprintf(whole, sizeof(whole), "%s%s\n", prefix, line);

	/* One write, so that lines of several threads and processes do not mix. A log that can't be written is lost. */
	while (write(STDERR_FILENO, whole, (size_t)length) < 0 && errno == EINTR) {
	}
}

void
log_line(enum log_level level, const char *area, const char *format, ...)
{
	char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	int saved_errno = errno, start;
	va_list arguments;

	if (!log_enabled(level)) {
		return;
	}
	va_start(arguments, format);
	(void)vsnprintf(raw, sizeof(raw), format, arguments);
	va_end(arguments);
	start = snprintf(line, sizeof(line), "%s %.32s ", levels[level].name, area);
	(void)escape(raw, line + start, sizeof(line) - (size_t)start);
	write_line(level, line);

	(void)pthread_mutex_lock(&sink_lock);
	if (sink != NULL) {
		sink(level, line, sink_context);
	}
	(void)pthread_mutex_unlock(&sink_lock);
	errno = saved_errno;
}
