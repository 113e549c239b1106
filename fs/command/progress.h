/* What goes on, in one line on a terminal that is written over; nothing where stderr is none. */
#ifndef COMMAND_PROGRESS_H
#define COMMAND_PROGRESS_H

#include "engine/admin.h"
#include "engine/base/mutex.h"

struct progress {
	struct admin_progress admin; /* to be passed on */
	struct mutex mutex;
	bool shown;      /* under mutex: there is something to wipe */
	int64_t last_ms; /* under mutex: when it was written last */
	bool on;
};

/* `wanted` false shows nothing, on a terminal either. */
void progress_begin(struct progress *progress, bool wanted);
/* Wipes the line. */
void progress_end(struct progress *progress);

#endif
