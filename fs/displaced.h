/* Messages that this mount renamed to a temporary's name: the next file under their former name replaces them (design 5, Replacement). Kept in memory:
 * after a restart they are messages under those names.
 */
#ifndef FS_DISPLACED_H
#define FS_DISPLACED_H

#include "engine/mail/ids.h"
#include "fs/attr.h"

#define DISPLACED_MAX 64 /* the oldest is forgotten */

struct displaced_table {
	struct {
		struct node dir;
		char *name; /* its former; NULL: a free place */
		uint32_t number;
	} items[DISPLACED_MAX];
	unsigned next;
};

/* Notes that a message of `dir` which was called `name` has a temporary's name now. */
void displaced_note(struct mount *mount, struct node dir, struct slice name, uint32_t number);
/* Finds the message that a new file of this name replaces; 0 if there is none, or it was named or removed otherwise since. */
struct number displaced_find(struct mount *mount, struct node dir, struct slice name);
/* Forgets a message: it was removed. */
void displaced_forget(struct mount *mount, uint8_t octet, uint32_t number);
void displaced_finish(struct displaced_table *asides);

#endif
