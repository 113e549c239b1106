/* The name of a message's file in a Maildir: what it says, and how it is written.
 *
 *   1793610720.R0f3aQ1.host,S=1234,W=1250:2,FS
 *
 * key     up to the first `,` or `:`: the unique part. It names the message wherever the file goes, whatever other programs put behind it: sizes
 *         (Dovecot, Courier), `,U=12` (mbsync), flags. It is the message's GUID (GUID_MAILDIR)
 * base    up to the `:`
 * flags   behind `:2,`, in ASCII order: D F R S T, `P` and others that we pass on, and a to z for keywords (maildir_keywords)
 * S=, W=  the sizes of the file and of its wire form; hints
 *
 * Pure and total: every name has an answer. Slices that come out point into the name.
 */
#ifndef MAILDIR_FILENAME_H
#define MAILDIR_FILENAME_H

#include "engine/base/buf.h"
#include "engine/base/slice.h"

#define MAILDIR_FILENAME_MAX 255

struct maildir_filename {
	struct slice key, base;
	struct slice letters; /* behind `:2,`, as they stand */
	uint32_t bits;        /* enum flag_bit */
	uint32_t keywords;    /* bit n: the letter `a` + n */
	bool has_wire_size;
	uint64_t wire_size;
};

/* Reads a file's name; false if it is none of a message: empty, too long, with a leading dot, or with `/` or NUL in it. */
bool maildir_filename_read(struct slice name, struct maildir_filename *out);

/* Appends the name of the same file with these flags; letters that we do not know stay. False, appending nothing, where it would be too long. */
bool maildir_filename_print(const struct maildir_filename *name, uint32_t bits, uint32_t keywords, struct buf *out);

/* The same for a file that goes to another Maildir: without mbsync's `,U=12`, which is true in one only; and with another key if `key` is not
 * empty. Without `info` it ends with the base, as in new. */
bool maildir_filename_print_moved(const struct maildir_filename *name, struct slice key, bool info, uint32_t bits,
	uint32_t keywords, struct buf *out);

/* Appends the base of a new file's name, which no other has: the time, `unique` by chance, and the sizes. */
void maildir_filename_make(int64_t time_s, uint64_t unique, uint64_t file_size, uint64_t wire_size, struct buf *out);

#endif
