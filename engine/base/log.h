/* Log lines: level, area, event and key=value pairs, one line each, to stderr (with <n> prefixes under systemd). Control characters are
 * escaped and lines cut at 1 KiB; bodies and secrets never go in. Thread-safe.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "engine/base/scope.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* The most detailed level that is printed; WARN at first. */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
/* Where lines go besides stderr, e.g. a test's ear; NULL takes it away. */
void log_set_sink(void (*sink)(enum log_level level, const char *line, void *context), void *context);

void log_line(enum log_level level, const char *area, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(area, ...) log_line(LOG_LEVEL_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_line(LOG_LEVEL_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_line(LOG_LEVEL_INFO, area, __VA_ARGS__)
#define log_debug(area, ...)                                          \
	do {                                                          \
		if (log_enabled(LOG_LEVEL_DEBUG)) {                   \
			log_line(LOG_LEVEL_DEBUG, area, __VA_ARGS__); \
		}                                                     \
	} while (0)

#endif
