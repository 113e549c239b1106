/* A mail server in memory: mailboxes with UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ and ids; messages with UIDs, GUIDs, flags, dates and octets.
 *
 * The functions here are what other people's programs do with it, and what a test looks at; what our own program asks goes through
 * model_remote.h. The separator is `/`; raw names are as IMAP has them. Nothing here fails: a test that asks for what is not there ends.
 */
#ifndef SIM_MODEL_SERVER_H
#define SIM_MODEL_SERVER_H

#include "engine/mail/flags.h"
#include "engine/mail/ids.h"

enum model_guids {
	MODEL_GUIDS_INSTANCE, /* one to a delivery, kept by COPY and MOVE, as Dovecot has it */
	MODEL_GUIDS_CONTENT,  /* the same octets, the same id, as Cyrus has it */
	MODEL_GUIDS_NONE,
};

struct model_options {
	enum model_guids guids;
	enum guid_kind mailbox_ids; /* GUID_NONE, GUID_MAILBOXID, or GUID_X_GUID, which SELECT does not tell */
	bool without_uidplus, without_move, without_modseq, without_keywords, without_status;
	bool folds;       /* APPEND and COPY of what a mailbox has give the UID of that */
	bool tells_flags; /* after a STORE, even a silent one */
	bool rewrites;    /* it keeps other octets than it was sent: one more line */
};

struct model_message {
	uint32_t uid;
	uint64_t modseq;
	int64_t internaldate_s;
	struct flags flags;
	struct guid guid;
	uint64_t instance; /* of this placement; MOVE keeps it */
	char *body;
	size_t length;
};

struct model_mailbox {
	char *name;
	struct guid id;
	uint32_t uidvalidity, uidnext;
	uint64_t highestmodseq;
	bool directory, subscribed, read_only;
	const char *role;
	struct model_message *messages; /* by UID */
	size_t count, capacity;
};

struct model_counts { /* of what our own program asked for */
	uint64_t lists, scans, appends, copies, stores, expunges, tree, bodies;
	uint64_t changes; /* effects that changed something: what a third quiet pass must leave as it is (R12) */
};

struct model_server {
	struct model_options options;
	struct model_mailbox **mailboxes;
	size_t count, capacity;
	uint64_t last_id, last_instance;
	uint32_t last_uidvalidity;
	uint64_t last_modseq;
	struct model_counts counts;
	struct buf sent; /* the tokens of the bodies our program sent, a line each */
};

struct model_server *model_server_create(const struct model_options *options);
void model_server_destroy(struct model_server **server);

/* --- mailboxes --- */
struct model_mailbox *model_find(struct model_server *server, const char *name); /* or NULL; directories too */
/* Makes it, and what is missing above it as directories; gives NULL where it is there. */
struct model_mailbox *model_create(struct model_server *server, const char *name);
/* With all below it. INBOX gives its messages away and stays. False where `from` is not there or `to` is. */
bool model_rename(struct model_server *server, const char *from, const char *to);
/* With what is in it; one that has children stays as a directory. False where it is not there. */
bool model_remove(struct model_server *server, const char *name);
/* Another UIDVALIDITY, and new UIDs from 1, for the same messages. */
void model_rebuild(struct model_server *server, struct model_mailbox *mailbox);
/* As a backup had it: without the last `lost` messages, and its counters as they were before those came. */
void model_restore(struct model_mailbox *mailbox, size_t lost);

/* --- messages --- */
uint32_t model_deliver(struct model_server *server, struct model_mailbox *mailbox, struct slice body,
	const struct flags *flags, int64_t internaldate_s);
struct model_message *model_message(struct model_mailbox *mailbox, uint32_t uid); /* or NULL */
void model_set_flags(
	struct model_server *server, struct model_mailbox *mailbox, uint32_t uid, const struct flags *flags);
uint32_t model_copy(struct model_server *server, struct model_mailbox *from, uint32_t uid, struct model_mailbox *to);
uint32_t model_move(struct model_server *server, struct model_mailbox *from, uint32_t uid, struct model_mailbox *to);
void model_expunge(struct model_server *server, struct model_mailbox *mailbox, uint32_t uid);

/* The value of the field X-Token of a message's octets; empty where there is none. */
struct slice model_token(struct slice body);

#endif
