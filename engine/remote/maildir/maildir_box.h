/* One Maildir as a session knows it: its index, brought up to date by looking at cur and new.
 *
 * Other programs deliver, rename and remove here at any time and take no lock of ours; so what we know is only what was so when we looked, and
 * every effect must expect another name, or none. A look lists both directories. What it does not see has moved under its hands, more
 * often than not: a message is gone only when two more listings did not show it under any name, between which neither directory changed, and
 * whose time of change lies so far back that a change now would move it (SYNC R6).
 *
 * Our own processes exclude each other by a lock of the Maildir, held while an index is brought up to date and while something is changed.
 * A UID is told to nobody before the index that has it is durable.
 */
#ifndef MAILDIR_BOX_H
#define MAILDIR_BOX_H

#include "engine/remote/maildir/maildir_index.h"
#include "engine/remote/maildir/maildir_session.h"

struct maildir_stamp {               /* of the directories' names, and of what the keywords mean */
	uint64_t cur, new, keywords; /* inodes */
	int64_t cur_ns, new_ns, keywords_ns;
};

struct maildir_summary { /* of an index */
	struct guid id;
	uint32_t uidvalidity, uidnext, messages;
	uint64_t modseq, directory;
};

struct maildir_box {
	char *path;         /* beneath the tree's top */
	uint64_t directory; /* inode */
	uint64_t used;      /* the session's clock at the last use */
	bool loaded;        /* the index is that of the file, up to `file_octets` */
	bool clean;         /* the summary, and the index if it is loaded, is that of the directories as of `stamp` */
	struct maildir_stamp stamp;
	struct maildir_summary summary; /* as of the last look */
	struct maildir_index index;
	struct maildir_keywords keywords;
	uint64_t file, file_octets; /* the index's file: inode, or 0; what was read of it */
	uint32_t listing;           /* rises with each listing of the directories */
};

/* Gives the mailbox of a raw name. ERROR_GONE where there is none. Owned by the session; good until the next maildir_box_rest. */
bool maildir_box_open(struct maildir_session *session, struct slice raw, struct maildir_box **out, struct error *err)
	MUST_CHECK;
bool maildir_box_open_path(
	struct maildir_session *session, const char *path, struct maildir_box **out, struct error *err) MUST_CHECK;
/* Opens the mailbox of a target and brings it up to date: ERROR_RETRY "rebuilt" where its UIDVALIDITY is another one. */
bool maildir_box_select(struct maildir_session *session, const struct remote_target *target, struct maildir_box **out,
	struct error *err) MUST_CHECK;
/* Frees what was not used lately, when much is kept. Every call of the contract ends so. */
void maildir_box_rest(struct maildir_session *session);
void maildir_box_forget_all(struct maildir_session *session);

/* Brings the index up to date, under its lock if there is need. */
bool maildir_box_refresh(struct maildir_session *session, struct maildir_box *box, struct error *err) MUST_CHECK;
/* The summary, up to date; for that the index need not be loaded. */
bool maildir_box_summarize(struct maildir_session *session, struct maildir_box *box, struct maildir_summary *out,
	struct error *err) MUST_CHECK;
/* The same by one that has the lock; looks even if nothing seems to have changed. */
bool maildir_box_look(struct maildir_session *session, struct maildir_box *box, struct error *err) MUST_CHECK;

bool maildir_box_lock(struct maildir_session *session, struct maildir_box *box, struct error *err) MUST_CHECK;
void maildir_box_unlock(struct maildir_session *session, struct maildir_box *box);
/* Under the lock: the same, if something seems to have changed. */
bool maildir_box_refresh_locked(struct maildir_session *session, struct maildir_box *box, struct error *err) MUST_CHECK;
/* Whether its lock comes before another's: of two the lower is taken first; equal ones are one lock. */
int maildir_box_compare_locks(const struct maildir_box *a, const struct maildir_box *b);
/* Under the lock: makes lines that the index printed durable. */
bool maildir_box_write(struct maildir_session *session, struct maildir_box *box, struct slice lines, struct error *err)
	MUST_CHECK;
/* Under the lock: gives it another id, UIDVALIDITY and UIDs, as a copy of another Maildir must have. */
bool maildir_box_renew(struct maildir_session *session, struct maildir_box *box, struct error *err) MUST_CHECK;
/* The index in memory is ahead of what could be written: it is read again at the next use. */
void maildir_box_doubt(struct maildir_box *box);

/* The path of a message's file beneath the top. */
const char *maildir_box_file(const struct maildir_box *box, const struct maildir_entry *entry, struct buf *out);
/* What its letters mean, as a new set. */
struct flags maildir_box_flags(const struct maildir_box *box, const struct maildir_entry *entry);
/* What SELECT would tell; flags are a new set. */
void maildir_box_tell(const struct maildir_box *box, struct remote_selected *out);
/* Its id, of kind GUID_MAILBOXID; and a message's, of kind GUID_MAILDIR. */
struct guid maildir_box_id(const struct maildir_box *box);
struct guid maildir_box_guid(const struct maildir_entry *entry);

#endif
