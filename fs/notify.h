/* The engine's feed turned to kernel invalidations and lines of .mailfs/events, by one thread.
 *
 * The kernel keeps names, attributes and listings for ever; this takes back exactly what changed. A notification may wait in the kernel behind an
 * operation on the same directory, which waits for one of our answers: so the thread holds no lock while it notifies, and no handler
 * ever waits for it.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include "engine/view.h"
#include "fs/node.h"

struct mount;
struct notify;

struct notify *notify_create(struct mount *mount);
/* Notes how things stand, before the first request, and starts the thread. */
bool notify_start(struct notify *notify, struct error *err) MUST_CHECK;
/* Ends the thread. NULL is fine. */
void notify_destroy(struct notify **notify);

/* Has an inode's attributes and pages dropped. From anywhere; does not wait. */
void notify_inode(struct notify *notify, uint64_t inode);

/* What an operation of this mount does to names: the kernel sees it done, so the feed's word of it needs no invalidation. It is announced before the
 * engine is asked, for the feed is quick, and ended before it is answered. One that failed has its names looked up again: what
 * somebody else did to them meanwhile was not told. */
#define NOTIFY_OWN_MAX 3 /* names to an operation: a rename that replaces */
struct notify_ticket;
struct notify_own {
	uint64_t dir_inode;
	struct slice name;
	uint64_t number; /* of the message, mailbox or local name; 0 while it has none */
	bool live;       /* the name begins; else it ends */
	bool dir_known;  /* the kernel knows that the directory changes, too */
};
struct notify_ticket *notify_own_begin(
	struct notify *notify, uint8_t octet, const struct notify_own *owns, size_t count);
/* `number`: of what had none. */
void notify_own_end(struct notify *notify, uint8_t octet, struct notify_ticket *ticket, bool done, uint64_t number);

#endif
