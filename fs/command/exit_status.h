/* Exit statuses, and the one table from an error's kind to them (design 3). */
#ifndef COMMAND_EXIT_STATUS_H
#define COMMAND_EXIT_STATUS_H

#include "engine/base/error.h"

enum exit_status {
	EXIT_DONE = 0,         /* done and agreed */
	EXIT_SOME_FAILED = 1,  /* some mailboxes or messages failed and are listed */
	EXIT_HELD = 3,         /* changes are held */
	EXIT_USAGE = 64,       /* the command line */
	EXIT_DAMAGED = 65,     /* stored data does not check out */
	EXIT_UNREACHABLE = 69, /* the remote cannot be reached */
	EXIT_TRY_AGAIN = 75,   /* locked, throttled, or time over */
	EXIT_CREDENTIALS = 77, /* the login was refused, or there is no password */
	EXIT_CONFIG = 78,      /* the configuration */
};

enum exit_status exit_status_of(enum error_kind kind);
/* Of several accounts' statuses the one to exit with: what needs a person comes before what needs time. */
enum exit_status exit_status_worse(enum exit_status a, enum exit_status b);

#endif
