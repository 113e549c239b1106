/* Writing behind: a write by a thread of its own, while its caller gathers what the next one is to write.
 *
 * Each has a thread of its own, which costs some 30 us; what is written so takes tens of milliseconds. Where none can be had the write is made at once.
 */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/store/store_parts.h"

struct store_behind {
	bool (*write)(void *context, struct error *err);
	void *context;
	bool threaded, done;
	struct error err;
	pthread_t thread;
};

static void *
run(void *context)
{
	struct store_behind *behind = context;

	behind->done = behind->write(behind->context, &behind->err);
	return NULL;
}

struct store_behind *
store_behind_begin(bool (*write)(void *context, struct error *err), void *context)
{
	struct store_behind *behind = calloc(1, sizeof(*behind));
	sigset_t all, before;

	if (behind == NULL) {
		abort();
	}
	*behind = (struct store_behind){.write = write, .context = context, .err = ERROR_INIT};
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	behind->threaded = pthread_create(&behind->thread, NULL, run, behind) == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!behind->threaded) {
		(void)run(behind);
	}
	return behind;
}

bool
store_behind_end(struct store_behind **pointer, struct error *err)
{
	struct store_behind *behind = *pointer;

	if (behind == NULL) {
		return true;
	}
	if (behind->threaded) {
		int code = pthread_join(behind->thread, NULL);

		assert(code == 0);
	}
	bool done = behind->done;

	if (!done) {
		*err = behind->err;
	}
	free(behind);
	*pointer = NULL;
	return done;
}
