/* What the files edit*.c share. Not for others. */
#ifndef ENGINE_EDIT_INTERNAL_H
#define ENGINE_EDIT_INTERNAL_H

#include "engine/account.h"
#include "engine/edit.h"
#include "engine/store/local.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"

#define EDIT_REST_NS           INT64_C(10000000000) /* so long a file of another name rests before it becomes a message */
#define EDIT_JUST_NOW_MS       50                   /* times set so soon after a delivery belong to it */
#define EDIT_MESSAGE_BYTES_MAX (256u << 20)

/* Begins a write for a user; REFUSED where the account only pulls. */
bool edit_begin(struct account *account, struct store_txn **out, struct error *err) MUST_CHECK;
/* The same for one lazy change: several share a commit (store_write_begin_brief). */
bool edit_begin_brief(struct account *account, struct store_txn **out, struct error *err) MUST_CHECK;
/* Commits it, and tells the worker. */
bool edit_commit(struct account *account, struct store_txn **txn, enum store_durability durability, struct error *err)
	MUST_CHECK;
/* GONE where the mailbox is no more; REFUSED with EACCES where no message can be put: \Noselect or read-only. */
bool edit_check_mailbox(struct store_txn *txn, struct mailbox_id mailbox, struct error *err) MUST_CHECK;
/* Notes that a message was made just now, by a user. */
void edit_note_delivery(struct account *account, struct number number);
/* Takes a number for a message that is being written; several at a time are taken from the store. */
bool edit_reserve_number(struct account *account, struct number *out, struct error *err) MUST_CHECK;
/* REFUSED with an errno that says more. */
bool edit_refuse(struct error *err, int sys_errno, const char *format, ...) PRINTF_LIKE(3, 4);

/* Tells whether a file of this name is a message at its last close; else it is local, or becomes one after a rest. */
bool edit_is_message_name(struct slice name);

/* A message that stands aside under a temporary's name while the file that has its former name is made (edit_aside.c). */
struct edit_aside {
	struct account *account;
	char *name;          /* the temporary's; NULL: it does not stand aside */
	bool stays;          /* its body is not here, or it has another name or mailbox by now: it is not replaced */
	bool placed;         /* the transaction makes a local file of it */
	bool kept;           /* the commit that made a local file of it is through */
	struct number local; /* the local file that it becomes */
	struct mailbox_id mailbox;
	uint64_t size_bytes;
	int64_t mtime_ns;
};
/* Looks whether a message stands aside for a new file called `new_name` in `mailbox`, and copies its bytes if so. */
bool edit_aside_prepare(struct account *account, struct number message, struct mailbox_id mailbox,
	struct slice new_name, struct edit_aside *out, struct error *err) MUST_CHECK;
/* Makes the local file; the message has left its name. */
bool edit_aside_keep(struct edit_aside *aside, struct store_txn *txn, struct error *err) MUST_CHECK;
void edit_aside_finish(struct edit_aside *aside);

/* A writer around bytes that a crash left, or a local file whose rest is over. `pending` 0: none. */
bool edit_writer_recover(
	struct account *account, const struct pending *pending, struct edit_writer **out, struct error *err) MUST_CHECK;
/* Its bytes go to rejected/. */
bool edit_writer_reject(struct edit_writer *writer, struct error *err) MUST_CHECK;

/* Makes messages of local files whose rest is over and that look like mail. Gives when to look again (monotonic; INT64_MAX: no need). */
void edit_promote(struct account *account, int64_t *out_next_ms);

/* A message that was not removed: ERROR_GONE. */
bool edit_load_live(struct store_txn *txn, struct number number, struct message *out, struct error *err) MUST_CHECK;

#endif
