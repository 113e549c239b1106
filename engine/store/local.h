/* Local names (files, directories, symlinks that are no mail) and pending writes (design 5, Writing). The contents of a local file are the file
 * spool/l<id> of the store's directory. */
#ifndef STORE_LOCAL_H
#define STORE_LOCAL_H

#include "engine/store/store.h"

enum local_parent {
	LOCAL_IN_MAILBOX = 0,
	LOCAL_IN_DIRECTORY = 1,
	LOCAL_IN_SCRATCH = 2,
	LOCAL_IN_ROOT = 3,
	LOCAL_IN_MAILDIR = 4, /* the Maildir view: a mailbox's directory, or the top where `parent` is 0 */
	LOCAL_IN_CUR = 5,
	LOCAL_IN_NEW = 6,
	LOCAL_IN_TMP = 7,
	LOCAL_PARENT_COUNT
};
/* Tells whether `parent` is a mailbox. */
bool local_is_below_mailbox(enum local_parent parent_kind, uint64_t parent);
enum local_kind { LOCAL_FILE = 0, LOCAL_DIRECTORY = 1, LOCAL_SYMLINK = 2 };

struct local {
	struct number id;
	enum local_parent parent_kind;
	uint64_t parent; /* mailbox or local id; 0 for scratch and the tops */
	char *name;
	enum local_kind kind;
	uint64_t size_bytes;
	uint32_t mode;
	int64_t mtime_ns, ctime_ns;
	char *target;      /* of a symlink, or NULL */
	char *error;       /* why it is no message, or NULL */
	int64_t closed_ns; /* 0: none */
};
void local_finish(struct local *local);
void local_file_name(struct number id, char out[32]); /* "spool/l<id>" */

bool local_load(struct store_txn *txn, struct number id, struct local *out, struct error *err)
	MUST_CHECK; /* ERROR_GONE */
bool local_load_by_name(struct store_txn *txn, enum local_parent parent_kind, uint64_t parent, struct slice name,
	struct local *out, struct error *err) MUST_CHECK;
/* Those with an id above `after`, in the order of ids. */
bool local_each(struct store_txn *txn, enum local_parent parent_kind, uint64_t parent, uint64_t after,
	bool (*each)(void *context, const struct local *local), void *context, struct error *err) MUST_CHECK;
/* Every live local file, for status and for names that may become messages. */
bool local_each_file(struct store_txn *txn, bool (*each)(void *context, const struct local *local), void *context,
	struct error *err) MUST_CHECK;
/* `new->id` 0: takes a number. ERROR_EXISTS. */
bool local_create(struct store_txn *txn, const struct local *new, struct number *out, struct error *err) MUST_CHECK;
/* Writes back size, mode, times, error, closed of the row with its id. */
bool local_update(struct store_txn *txn, const struct local *local, struct error *err) MUST_CHECK;
/* A target name that exists is the caller's to remove first: ERROR_EXISTS. */
bool local_move(struct store_txn *txn, struct number id, enum local_parent parent_kind, uint64_t parent,
	struct slice name, struct error *err) MUST_CHECK;
/* Removes the row (as a tombstone for the feed); the file is the caller's to unlink after the commit. ERROR_REFUSED with ENOTEMPTY for a directory that is not empty. */
bool local_expunge(struct store_txn *txn, struct number id, struct error *err) MUST_CHECK;

struct pending {
	uint64_t id;
	struct mailbox_id mailbox;
	char *name;
	struct number replaces;
	int64_t mtime_s;   /* INT64_MIN: not set */
	char *file;        /* in spool/, or NULL */
	struct slice data; /* owned, when file is NULL */
	bool dirty, killed;
};
void pending_finish(struct pending *pending);
/* Inserts (id 0) or replaces. */
bool pending_put(struct store_txn *txn, struct pending *pending, struct error *err) MUST_CHECK;
bool pending_remove(struct store_txn *txn, uint64_t id, struct error *err) MUST_CHECK;
bool pending_set_dirty(struct store_txn *txn, uint64_t id, bool dirty, bool killed, struct error *err) MUST_CHECK;
bool pending_each(struct store_txn *txn, bool (*each)(void *context, const struct pending *pending), void *context,
	struct error *err) MUST_CHECK;

#endif
