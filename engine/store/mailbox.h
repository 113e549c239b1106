/* Rows of mailboxes (S2). */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include "engine/store/store.h"

enum mailbox_kind { MAILBOX_REAL = 0, MAILBOX_DIRECTORY = 1, MAILBOX_VIRTUAL = 2 };

struct mailbox {
	struct mailbox_id id;
	struct mailbox_guid guid;
	char *name;
	enum mailbox_kind kind;
	char *role; /* or NULL */
	uint32_t uidvalidity, uidnext;
	bool subscribed, read_only, listed;
	int64_t opened_s;
	uint32_t messages;
	struct modseq modseq;
	int64_t changed_ns;
	int64_t expunged_s; /* 0: live */
};

void mailbox_finish(struct mailbox *mailbox);

/* ERROR_GONE where there is none (load_by_name: no live one). */
bool mailbox_load(struct store_txn *txn, struct mailbox_id id, struct mailbox *out, struct error *err) MUST_CHECK;
bool mailbox_load_by_name(struct store_txn *txn, struct slice name, struct mailbox *out, struct error *err) MUST_CHECK;
/* Calls back in the order of names, parents first; live ones, or tombstones too. */
bool mailbox_each(struct store_txn *txn, bool with_tombstones,
	bool (*each)(void *context, const struct mailbox *mailbox, struct error *err), void *context, struct error *err)
	MUST_CHECK;
/* The live children one level below `parent` ("" for the top), in order of names. */
bool mailbox_each_child(struct store_txn *txn, struct slice parent,
	bool (*each)(void *context, const struct mailbox *mailbox, struct error *err), void *context, struct error *err)
	MUST_CHECK;

/* Makes a live mailbox with a new GUID, UIDVALIDITY and modseq. Missing parents are made as directories. ERROR_EXISTS. */
bool mailbox_create(struct store_txn *txn, struct slice name, enum mailbox_kind kind, const char *role,
	struct mailbox_id *out, struct error *err) MUST_CHECK;
/* Renames it and all below it, leaving traces. ERROR_EXISTS when the new name or one below it is taken; ERROR_INVALID below itself. */
bool mailbox_rename(struct store_txn *txn, struct mailbox_id id, struct slice new_name, struct error *err) MUST_CHECK;
/* Makes it a tombstone with its messages (cause as given) unless `must_be_empty` and it holds messages or children (ERROR_REFUSED, errno
 * ENOTEMPTY). */
bool mailbox_expunge(struct store_txn *txn, struct mailbox_id id, bool must_be_empty, int cause, struct error *err)
	MUST_CHECK;
/* Set one attribute, with a new modseq where the value changed. */
bool mailbox_set_kind(struct store_txn *txn, struct mailbox_id id, enum mailbox_kind kind, struct error *err)
	MUST_CHECK;
bool mailbox_set_role(struct store_txn *txn, struct mailbox_id id, const char *role, struct error *err) MUST_CHECK;
bool mailbox_set_subscribed(struct store_txn *txn, struct mailbox_id id, bool subscribed, struct error *err) MUST_CHECK;
bool mailbox_set_read_only(struct store_txn *txn, struct mailbox_id id, bool read_only, struct error *err) MUST_CHECK;
bool mailbox_set_listed(struct store_txn *txn, struct mailbox_id id, bool listed, struct error *err) MUST_CHECK;
bool mailbox_set_opened(struct store_txn *txn, struct mailbox_id id, int64_t opened_s, struct error *err)
	MUST_CHECK; /* no modseq */

#endif
