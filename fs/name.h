/* What a file name means in a mailbox, before anything is looked up (design 5, Writing). Pure. */
#ifndef FS_NAME_H
#define FS_NAME_H

#include <stdbool.h>

#include "engine/base/buf.h"

#define NAME_BYTES_MAX 255 /* the kernel passes longer ones on; we answer ENAMETOOLONG */

enum name_class {
	NAME_MESSAGE, /* X.eml */
	NAME_LOCAL,   /* what editors and tools leave beside a file: a leading dot, a trailing ~, 4913, #x# */
	NAME_OTHER,   /* local at first; a message if it rests and looks like one (the engine looks) */
};

enum name_class name_classify(struct slice name);
/* Appends the whole name of the mailbox that a directory called `file` in mailbox `parent` ("" for the top) stands for; false if none can. */
bool name_of_mailbox(struct slice parent, struct slice file, struct buf *out) MUST_CHECK;
/* Appends the path of a mailbox below its account's directory, from its whole name; false if a level has no file name. */
bool name_mailbox_path(struct slice mailbox, struct buf *out) MUST_CHECK;

#endif
