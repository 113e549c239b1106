/* Looking after accounts: passes, waiting, holds, checks. These may wait for the network. */
#ifndef ENGINE_ADMIN_H
#define ENGINE_ADMIN_H

#include "engine/base/buf.h"
#include "engine/engine.h"

struct admin_progress { /* called now and then, from any thread */
	void (*report)(void *context, const char *account, const char *phase, uint64_t done, uint64_t total);
	void *context;
};

struct admin_sync_options {
	const char *const *mailboxes; /* names of ours; count 0: all */
	size_t mailbox_count;
	bool full, dry_run;
	int direction;           /* -1: as configured; else enum config_direction */
	int64_t lock_timeout_ms; /* 30000 */
	bool alone;              /* do not ask the driving process (tests) */
};

struct admin_sync_result {
	uint64_t downloaded, uploaded, moved_here, moved_there, flags_here, flags_there, expunged_here, expunged_there,
		bodies;
	uint64_t failed, held, deferred;
	uint64_t turns, commands, octets_in, octets_out;
	uint64_t again, again_in_ms; /* 1: another pass is due, after that time */
	bool reconnect;              /* ... on a new connection */
	struct buf text;             /* a line per failure, hold and deferral; with dry_run the plan */
};
void admin_sync_result_finish(struct admin_sync_result *result);

/* A pass over the account, with the bodies that `bodies` asks for, and another where one is due soon: a burst of deletions is let come to its end, a lost
 * answer is looked for twice. Asks the driving process where there is one (S9). */
bool admin_sync(struct account *account, const struct admin_sync_options *options,
	const struct admin_progress *progress, struct admin_sync_result *out, struct error *err) MUST_CHECK;
/* Waits until what was changed here is on the remote (uploaded), the remote's news is here (downloaded), or the message or mailbox `path_number`
 * (0: the account). ERROR_RETRY when the time is over. */
bool admin_wait(struct account *account, bool uploaded, bool downloaded, struct number message_or_0, int64_t timeout_ms,
	struct error *err) MUST_CHECK;
/* Waits for the first listing of the tree and INBOX (mount returns then). true at once if it was listed before. */
bool admin_wait_listed(struct account *account, const struct admin_progress *progress, struct error *err) MUST_CHECK;
bool admin_confirm(struct account *account, uint64_t hold, struct buf *out_text, struct error *err) MUST_CHECK;
bool admin_revert(struct account *account, uint64_t hold, struct buf *out_text, struct error *err) MUST_CHECK;
/* Logs in, asks what the server can do, says where rm goes; changes nothing. `offline`: the configuration and the store only. */
bool admin_check(struct account *account, bool offline, bool json, struct buf *out, struct error *err) MUST_CHECK;
/* How many changes here are not there yet. */
bool admin_queued(struct account *account, uint64_t *out, struct error *err) MUST_CHECK;

#endif
