/* What commands say: results on stdout, one sentence to a trouble on stderr (design 3). */
#ifndef COMMAND_SAY_H
#define COMMAND_SAY_H

#include <stdarg.h>

#include "engine/base/error.h"
#include "engine/base/slice.h"
#include "fs/command/exit_status.h"

/* Prints `mailfs: ACCOUNT: text` on stderr (no account: NULL) and gives the exit status that fits. What has not been printed on stdout yet is, first. */
enum exit_status say_error(const char *account, const struct error *err);
/* Prints `mailfs: ACCOUNT: text` on stderr: what is no failure, but should be known. */
void say_note(const char *account, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints each line of a text on stderr as say_note does. */
void say_lines(const char *account, struct slice text);
/* Prints a text on stdout as it is, and ends its last line if need be. */
void say_text(struct slice text);
/* Says on stderr when stdout could not take all that was printed; true if it could. */
bool say_finish(void);

#endif
