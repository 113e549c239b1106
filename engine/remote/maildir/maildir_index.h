/* What we keep of a Maildir beside it, in its file `.mailfs-uids`: which UID a message has, and since when it is as it is (docs/FORMAT.md).
 *
 * The file is lines, added at its end; the last one about a UID counts. A last line without its line end was never finished and says nothing.
 *
 *   mailfs-uids 1 ID UIDVALIDITY DIRECTORY EDITION     the first line; DIRECTORY is the inode of the Maildir when the file was begun, and
 *                                                      EDITION rises each time the file is replaced as a whole
 *   N UIDNEXT MODSEQ                           counters, where no other line says as much
 *   K LETTER NAME                              what the letter of a keyword meant; without NAME: nothing
 *   U UID MODSEQ c|n FILE                      a message in cur or new, by the name of its file; %XX for octets that a line cannot hold
 *   D UID MODSEQ                               it is gone
 *   G UID GUID                                 its GUID is not its key: it came by a copy or move to where its key was taken
 *
 * UIDs and mod-sequences rise. A message is known by its key (maildir_filename). Pure: reading and writing the file is maildir_box's.
 */
#ifndef MAILDIR_INDEX_H
#define MAILDIR_INDEX_H

#include "engine/base/error.h"
#include "engine/mail/ids.h"
#include "engine/remote/maildir/maildir_keywords.h"

#define MAILDIR_INDEX_ENTRIES_MAX 4000000
#define MAILDIR_INDEX_LINE_MAX    1024
#define MAILDIR_INDEX_BYTES_MAX   (UINT64_C(1) << 30) /* of the file */
#define MAILDIR_INDEX_ID_LENGTH   32

struct maildir_entry {
	uint32_t uid;
	uint32_t keywords; /* letters, as in maildir_filename */
	uint64_t modseq;
	char *name;         /* of its file as last seen; NULL: it is gone */
	char *guid;         /* NULL: its key is */
	uint32_t seen_at;   /* which listing saw it last; for maildir_box */
	uint8_t key_length; /* the name begins with its key */
	uint8_t bits;       /* flags */
	bool in_new;        /* else in cur */
};

struct maildir_index {
	char id[MAILDIR_INDEX_ID_LENGTH + 1]; /* random, of this mailbox; empty: nothing was read yet */
	uint32_t uidvalidity, uidnext;
	uint64_t directory; /* inode */
	uint64_t edition;
	uint64_t modseq;
	struct maildir_keywords keywords; /* as of the last look */
	struct maildir_entry *entries;    /* by rising UID, gone ones among them */
	size_t count, capacity, live;
	uint32_t *slots; /* entries by their key: index + 1, or 0 */
	size_t slot_count, slots_used;
	uint64_t seed;
	uint64_t lines; /* read and written since the file was begun */
};

/* Begins an index of an empty mailbox. `seed` is by chance: names from outside do not choose their places in the table. */
void maildir_index_begin(
	struct maildir_index *index, const char *id, uint32_t uidvalidity, uint64_t directory, uint64_t seed);
void maildir_index_finish(struct maildir_index *index);

/* Reads the whole lines at the start of `text`, and tells how many octets that was. ERROR_DAMAGED at a line that cannot be. */
bool maildir_index_feed(struct maildir_index *index, struct slice text, size_t *out_used, struct error *err) MUST_CHECK;
/* Appends the first line. */
void maildir_index_print_head(const struct maildir_index *index, struct buf *out);
/* Appends all there is to say, as a new file. */
void maildir_index_print(const struct maildir_index *index, struct buf *out);
/* Whether a new file would be much shorter. */
bool maildir_index_is_long(const struct maildir_index *index);

/* Finds a live message, or NULL. What comes out is good until the next change. */
struct maildir_entry *maildir_index_find(const struct maildir_index *index, uint32_t uid);
struct maildir_entry *maildir_index_find_key(const struct maildir_index *index, struct slice key);

/* A message's GUID. */
struct slice maildir_index_guid(const struct maildir_entry *entry);

/* Changes, each with its line appended to `out`. Names must be a message's (maildir_filename_read). `modseq` is not below the index's own. */

/* Adds a message under the next UID; NULL where there can be no more. */
struct maildir_entry *maildir_index_add(
	struct maildir_index *index, struct slice name, bool in_new, uint64_t modseq, struct buf *out);
/* Gives it a GUID that is not its key. */
void maildir_index_set_guid(
	struct maildir_index *index, struct maildir_entry *entry, struct slice guid, struct buf *out);
/* Its file has another name now, with the same key. */
void maildir_index_rename(struct maildir_index *index, struct maildir_entry *entry, struct slice name, bool in_new,
	uint64_t modseq, struct buf *out);
void maildir_index_remove(struct maildir_index *index, struct maildir_entry *entry, uint64_t modseq, struct buf *out);
/* Letters mean something else now: every message that has one of them has changed. */
void maildir_index_set_keywords(
	struct maildir_index *index, const struct maildir_keywords *keywords, uint64_t modseq, struct buf *out);

#endif
