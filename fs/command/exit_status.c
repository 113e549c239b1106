#include "fs/command/exit_status.h"

#include <assert.h>
#include <stddef.h>

/* Every kind has its line; a test walks them all. A certificate that does not check out is settled in the configuration (tls-pin,
 * tls-ca-file), or not at all: trying again does not help. */
static const enum exit_status of_kind[] = {
	[ERROR_NONE] = EXIT_DONE,
	[ERROR_RETRY] = EXIT_TRY_AGAIN,
	[ERROR_UNREACHABLE] = EXIT_UNREACHABLE,
	[ERROR_THROTTLED] = EXIT_TRY_AGAIN,
	[ERROR_CREDENTIALS] = EXIT_CREDENTIALS,
	[ERROR_TRUST] = EXIT_CONFIG,
	[ERROR_CONFIG] = EXIT_CONFIG,
	[ERROR_ITEM] = EXIT_SOME_FAILED,
	[ERROR_GONE] = EXIT_SOME_FAILED,
	[ERROR_EXISTS] = EXIT_SOME_FAILED,
	[ERROR_REFUSED] = EXIT_SOME_FAILED,
	[ERROR_INVALID] = EXIT_USAGE,
	[ERROR_SPACE] = EXIT_SOME_FAILED,
	[ERROR_DAMAGED] = EXIT_DAMAGED,
	[ERROR_CANCELLED] = EXIT_TRY_AGAIN,
	[ERROR_SYSTEM] = EXIT_SOME_FAILED,
	[ERROR_FATAL] = EXIT_DAMAGED,
};
static_assert(ARRAY_LENGTH(of_kind) == ERROR_KIND_COUNT, "a kind without an exit status");

/* From what a script can forget to what a person must see. */
static const enum exit_status by_weight[] = {
	EXIT_DONE,
	EXIT_TRY_AGAIN,
	EXIT_UNREACHABLE,
	EXIT_SOME_FAILED,
	EXIT_HELD,
	EXIT_CREDENTIALS,
	EXIT_USAGE,
	EXIT_CONFIG,
	EXIT_DAMAGED,
};

enum exit_status
exit_status_of(enum error_kind kind)
{
	assert((unsigned)kind < ERROR_KIND_COUNT);
	return of_kind[kind];
}

static size_t
weight(enum exit_status status)
{
	for (size_t i = 0; i < ARRAY_LENGTH(by_weight); i++) {
		if (by_weight[i] == status) {
			return i;
		}
	}
	assert(0 && "a status without a weight");
	return 0;
}

enum exit_status
exit_status_worse(enum exit_status a, enum exit_status b)
{
	return weight(a) >= weight(b) ? a : b;
}
