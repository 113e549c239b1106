/* What operations of this mount do to names, until the feed has told of it. Used by notify alone; see notify.h for its meaning. */
#ifndef FS_NOTIFY_OWN_H
#define FS_NOTIFY_OWN_H

#include "engine/base/mutex.h"
#include "fs/notify.h"
#include "fs/notify_batch.h"

#define NOTIFY_OWN_BUCKETS 1024

struct notify_own_table {
	struct mutex lock;                                    /* rank LEAF */
	struct notify_own_entry *buckets[NOTIFY_OWN_BUCKETS]; /* under lock: by directory and name */
	struct notify_ticket *tickets;                        /* under lock */
	size_t count;                                         /* under lock */
};

void notify_own_init(struct notify_own_table *table);
void notify_own_finish(struct notify_own_table *table);

/* Announces an operation; NULL when too many are there (then the kernel is told what it knows). */
struct notify_ticket *notify_own_announce(
	struct notify_own_table *table, uint8_t octet, const struct notify_own *owns, size_t count);
/* It succeeded: the feed tells of it at or below `modseq`. `number`: of what had none. */
void notify_own_succeeded(
	struct notify_own_table *table, struct notify_ticket *ticket, uint64_t modseq, uint64_t number);
/* It failed: calls back for each of its names, and forgets it. */
void notify_own_failed(struct notify_own_table *table, struct notify_ticket *ticket,
	void (*each)(void *context, uint64_t dir_inode, struct slice name), void *context);
/* Tells whether a change of a name that the feed tells is our own. */
bool notify_own_has(struct notify_own_table *table, const struct notify_told *told, uint64_t dir_inode, bool live,
	bool *out_dir_known);
/* The feed of an account has been told up to a modseq. */
void notify_own_told(struct notify_own_table *table, uint8_t octet, uint64_t until);

#endif
