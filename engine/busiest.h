/* Busiest: which mailboxes are worth a connection that listens to them, on a server that tells of one mailbox to a connection (IDLE).
 *
 * Busy is what changed lately: each pass that finds a mailbox changed counts, and counts halve by the hour. Where nothing was counted yet, what was
 * changed or looked at last comes first. The INBOX is always the first, the trash and junk are the last.
 *
 * Pure: no I/O, no clock.
 */
#ifndef ENGINE_BUSIEST_H
#define ENGINE_BUSIEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/mail/ids.h"

struct busiest_mailbox {
	struct mailbox_id id;
	bool inbox;
	bool dull;         /* the trash, junk: nobody waits for what comes there */
	bool heard;        /* a connection listens to it: it gives way only to one that is more than twice as busy */
	uint32_t changes;  /* counted lately */
	int64_t touched_s; /* when it was changed or looked at last */
};

/* Chooses at most `most` of them, the busiest first: *out gets their places in `mailboxes`. Gives how many. */
size_t busiest_choose(const struct busiest_mailbox *mailboxes, size_t count, size_t most, size_t *out);
/* What is left of a count after so many hours. */
uint32_t busiest_age(uint32_t changes, int64_t hours);
/* How many connections may listen, of all that the account may have: a pass and an opened message must not wait for them. */
unsigned busiest_listeners(unsigned connections);

#endif
