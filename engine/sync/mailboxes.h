/* What the files of the mailbox tree share. Not for others.
 *
 * mailboxes.c checks, plans and settles; mailboxes_rename.c finds what was renamed there; mailboxes_step.c carries out the steps.
 */
#ifndef SYNC_MAILBOXES_H
#define SYNC_MAILBOXES_H

#include "engine/sync/run.h"
#include "engine/sync/tree.h"

struct mailboxes {
	struct run *run;
	struct store_txn *txn;
	struct tree_local *locals;
	struct tree_base *bases;
	char separator;
	size_t local_count, base_count, capacity;
	struct tree_remote *remotes;
	struct intent *intents; /* of creations and renames, of earlier passes */
	size_t intent_count;
};

/* --- mailboxes.c --- */
/* A new row of the listing. */
struct run_remote *mailboxes_add_remote(struct run *run);

/* --- mailboxes_rename.c --- */
/* Without ids: finds mailboxes whose names are gone and that stand under new ones (R8), and lets the base's rows of `all` say so. */
bool mailboxes_find_renamed(struct mailboxes *all, struct error *err) MUST_CHECK;

/* --- mailboxes_step.c --- */
/* A creation there whose answer was lost, or whose pass ended: one that is there, and was removed here since, gets a base, so that it is removed there too. */
bool mailboxes_settle_created(struct mailboxes *all, const struct intent *intent, struct error *err) MUST_CHECK;
/* Carries out a step of the plan. */
bool mailboxes_do(struct mailboxes *all, const struct tree_step *step, struct error *err) MUST_CHECK;

#endif
