/* The worker: the thread of the driving process that runs an account's passes, and decides when the next one is due.
 *
 * A pass is due at the start, on a hint from a listener, when something was changed here (50 ms after the last change, 100 ms after the
 * first), 1.5 s after one that changed something, when `poll` is over, and when somebody asks. After a failure it waits: 2 s, doubling to 15 min, with full jitter; a refused
 * login waits 15 min or for another configuration; a person's request does not wait.
 */
#ifndef ENGINE_WORKER_H
#define ENGINE_WORKER_H

#include "engine/admin.h"
#include "engine/sync/sync.h"

struct worker;

struct worker *worker_create(struct account *account);
void worker_destroy(struct worker **worker);
bool worker_start(struct worker *worker, struct error *err) MUST_CHECK;
/* Ends the thread, after account->stop was raised; requests that wait are told CANCELLED. */
void worker_stop(struct worker *worker);
bool worker_runs(struct worker *worker);

/* Something was committed here by others than the engine. Cheap, and under any lock. */
void worker_note_change(struct worker *worker);
/* The remote has news. */
void worker_note_hint(struct worker *worker);
/* Makes it look: the configuration changed, or its session is wanted. */
void worker_wake(struct worker *worker);
/* Goes on sending until nothing is queued, nothing can be sent, or the time has come. */
void worker_drain(struct worker *worker, int64_t deadline_ms);

/* A pass that somebody asks for. */
struct worker_request;
/* Queues one; names are copied. How it goes on is told by account_progress_get. */
struct worker_request *worker_submit(struct worker *worker, const struct admin_sync_options *options);
/* Waits for its end, for at most timeout_ms; false: not yet. */
bool worker_wait(struct worker *worker, struct worker_request *request, int64_t timeout_ms);
/* After the end: gives the result, which is filled in either case, and whether the pass ran. */
bool worker_result(struct worker_request *request, struct admin_sync_result *out, struct error *err) MUST_CHECK;
/* Frees it; one that has not ended is forgotten by whoever asked, and freed at its end. */
void worker_release(struct worker *worker, struct worker_request **request);

/* What is set aside, to be tried again. */
struct worker_asides {
	uint64_t count;
	int64_t next_try_s; /* of the one that is tried first */
};
bool worker_count_asides(struct store_txn *txn, struct worker_asides *out, struct error *err) MUST_CHECK;

/* Runs one pass on a session of the caller's: what the worker does, for a process that does not drive. */
bool worker_run_pass(struct account *account, struct sync *sync, struct remote_session *session,
	const struct admin_sync_options *options,
	void (*report)(void *context, const char *phase, uint64_t done, uint64_t total), void *context, bool bodies,
	struct admin_sync_result *out, struct error *err) MUST_CHECK;

#endif
