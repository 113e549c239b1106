/* What went wrong: a kind that says what the caller can do, an errno for the mount, and a sentence.
 *
 * A function that can fail takes `struct error *err` last, returns false and fills it. Wrapping puts context before the sentence:
 * "mailbox Work: APPEND: the server refused the message: over quota". Errors are values: nothing to free.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/scope.h"

enum error_kind {
	ERROR_NONE = 0,
	ERROR_RETRY,       /* soon: a cut connection, a busy lock, a lost race */
	ERROR_UNREACHABLE, /* later: no network, unknown host, refused connection */
	ERROR_THROTTLED,   /* later: the server asked us to wait */
	ERROR_CREDENTIALS, /* ask the user: login refused, no password */
	ERROR_TRUST,       /* ask the user: certificate or downgrade */
	ERROR_CONFIG,      /* ask the user: configuration or command line */
	ERROR_ITEM,        /* give up on this message or mailbox, go on with the others (R13) */
	ERROR_GONE,        /* what was asked for is not there any more */
	ERROR_EXISTS,      /* the name is taken */
	ERROR_REFUSED,     /* not permitted by rights, mode or rule */
	ERROR_INVALID,     /* bytes or arguments that can be no message, name or value */
	ERROR_SPACE,       /* no space or over quota */
	ERROR_DAMAGED,     /* stored data does not check out */
	ERROR_CANCELLED,   /* we were asked to stop */
	ERROR_SYSTEM,      /* a system call failed; see sys_errno */
	ERROR_FATAL,       /* stop: our own state cannot be trusted */
	ERROR_KIND_COUNT,
};

#define ERROR_TEXT_MAX 512

struct error {
	enum error_kind kind;
	int sys_errno;   /* 0 where no errno says more than the kind */
	unsigned wait_s; /* for ERROR_THROTTLED: how long the server asked us to wait, 0 if it did not say */
	char text
		[ERROR_TEXT_MAX]; /* a sentence without a final period; control characters are replaced when it is set */
};

#define ERROR_INIT ((struct error){.kind = ERROR_NONE})

/* Fills `err` and returns false, so that `return error_set(...)` is a whole failure path. */
bool error_set(struct error *err, enum error_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same from errno: kind ERROR_SPACE for ENOSPC and EDQUOT, ERROR_GONE for ENOENT, ERROR_EXISTS for EEXIST, ERROR_REFUSED for EACCES and
 * EPERM, else ERROR_SYSTEM; the text ends with strerror. */
bool error_errno(struct error *err, int sys_errno, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "context: " before the text and returns false. */
bool error_wrap(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);
/* Makes it no error. */
void error_clear(struct error *err);
/* The kind's name, for logs and JSON: "retry", "unreachable", … */
const char *error_kind_name(enum error_kind kind);
/* Tells whether trying again later, unchanged, can help (RETRY, UNREACHABLE, THROTTLED). */
bool error_is_temporary(const struct error *err);

#endif
