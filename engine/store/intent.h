/* Intents (what is about to be done on a remote, R9) and set-aside items (R13). */
#ifndef STORE_INTENT_H
#define STORE_INTENT_H

#include "engine/base/sha256.h"
#include "engine/mail/side.h"
#include "engine/store/store.h"

enum intent_kind {
	INTENT_APPEND = 1, /* number goes to `mailbox` as a new message */
	INTENT_COPY = 2,   /* number goes to `target` as a copy of uid in `mailbox` */
	INTENT_MOVE = 3,   /* number goes from `mailbox`, uid, to `target` */
	INTENT_CREATE = 4, /* detail: raw name */
	INTENT_RENAME = 5, /* detail: raw names, old and new, with a newline between */
	INTENT_REMOVE = 6, /* detail: raw names: its own, and the one it is renamed to */
};

enum intent_state {
	INTENT_PENDING = 0, /* written before the effect; what became of it is not known */
	INTENT_LOST = 1,    /* sent, answer lost: look for it */
};

struct intent {
	uint64_t id;
	enum intent_kind kind;
	struct number number;
	struct mailbox_id mailbox, target;
	struct remote_uid uid; /* of the message in `mailbox` */
	uint32_t uidnext;      /* of the place it goes to, before */
	uint32_t target_uidvalidity;
	bool has_digest;
	struct digest digest;
	char *detail; /* or NULL; of a message's: the flags that are sent */
	enum intent_state state;
	unsigned looked;
	int64_t next_try_s;
	int64_t created_s;
};
void intent_finish(struct intent *intent);
/* Fills intent->id. */
bool intent_add(struct store_txn *txn, uint32_t remote, struct intent *intent, struct error *err) MUST_CHECK;
bool intent_remove(struct store_txn *txn, uint64_t id, struct error *err) MUST_CHECK;
/* Writes back state, looked and next_try_s. */
bool intent_update(struct store_txn *txn, const struct intent *intent, struct error *err) MUST_CHECK;
bool intent_each(struct store_txn *txn, uint32_t remote,
	bool (*each)(void *context, const struct intent *intent, struct error *err), void *context, struct error *err)
	MUST_CHECK;

/* Whether there is one of this message. */
bool intent_exists(struct store_txn *txn, uint32_t remote, struct number number, bool *out, struct error *err)
	MUST_CHECK;

/* --- set aside (R13) --- */
struct aside {
	struct number number; /* 0: the mailbox as a whole */
	struct mailbox_id mailbox;
	enum side direction; /* the side it should have reached */
	char *reason;
	unsigned tries;
	int64_t next_try_s;
};
void aside_finish(struct aside *aside);
/* Notes another failure: the next try is 1, 2, 4 … minutes from now, at most 6 hours. */
bool aside_note(struct store_txn *txn, uint32_t remote, struct number number, struct mailbox_id mailbox,
	enum side direction, struct slice reason, struct error *err) MUST_CHECK;
/* Of a message, mailbox 0 is whichever it was in then. */
bool aside_remove(struct store_txn *txn, uint32_t remote, struct number number, struct mailbox_id mailbox,
	enum side direction, struct error *err) MUST_CHECK;
bool aside_each(struct store_txn *txn, uint32_t remote,
	bool (*each)(void *context, const struct aside *aside, struct error *err), void *context, struct error *err)
	MUST_CHECK;

#endif
