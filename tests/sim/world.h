/* Both sides at once: a server in memory, a store in a directory of its own, and the sync between them; and the hands of the people on either side.
 *
 * Messages are named by tokens. `m1+seen+flagged+Junk` is the message m1 with its flags and keywords. The octets of a message follow from its
 * token; tokens that begin with `twin` share all header fields but X-Token, and those that begin with `bare` have no other field.
 * There is one world at a time, for a test is one process and one thread. What fails ends the test.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/store/base.h"
#include "engine/store/hold.h"
#include "engine/store/intent.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"
#include "engine/sync/sync.h"
#include "tests/sim/model_remote.h"

struct world_options {
	struct model_options server;
	enum sync_direction direction;
	bool deletes_keep, hold_off;
	bool on_demand;        /* bodies are brought only when asked for */
	bool bodies_with_scan; /* new messages come with their bodies */
};

extern struct world {
	struct world_options options;
	char above[64], path[96];
	struct io *io;
	int64_t wall_ns, ahead_ms;
	int64_t slowness_ms; /* every look at the clock takes so long */
	struct store *store;
	struct sync *sync;
	struct sync_settings settings;
	struct model_server *server;
	struct model_remote *remote;
	struct remote_session *session;
	struct sync_result result; /* of the last pass */
	struct error err;          /* why the last pass failed */
	struct error pass_err;     /* while it runs: others use err meanwhile */
	bool rolled_back;          /* the store was an old copy when it was opened */
	bool stopped;              /* our process ended in the last pass */
	jmp_buf stop;
	struct store_txn *txn; /* of a check that may fail in the midst of it */
	unsigned passes;
	struct world_process { /* another one on the same store, with a connection of its own */
		struct store *store;
		struct sync *sync;
		struct model_remote *remote;
		struct remote_session *session;
	} second;
	struct error second_err;
} world;

void world_begin(const struct world_options *options);
void world_end(void);
/* Ends our process and starts it again on the same store. */
void world_restart(void);
/* Loses the store: the next process begins with an empty one. */
void world_lose_store(void);
/* Keeps a copy of the database as it is; puts it back, as a backup would be: *out tells whether the store knew it for an old one. */
void world_keep_copy(void);
bool world_put_back(void);
void world_advance_s(int64_t seconds);

enum world_pass {
	WORLD_PASS_ALL = 0,
	WORLD_PASS_LOCAL_ONLY = 1 << 0,
	WORLD_PASS_FULL = 1 << 1,
	WORLD_PASS_DRY = 1 << 2,
};
/* Runs one pass of `flags` (enum world_pass), with hydration behind it. False: it failed, and world.err says why; or our process was stopped and started again. */
bool world_try(unsigned flags);
/* One pass of a second process on the same store, which lives from its first pass on; also within a pass of the first. *out is to be finished. */
bool world_try_second(unsigned flags, struct sync_result *out);
/* A pass that has to succeed. */
void world_pass(void);
/* Passes, the clock advancing as they ask for, until none asks for another. */
void world_settle(void);
/* One pass over one mailbox. */
void world_pass_over(const char *mailbox);
/* Checks that a pass changes nothing on either side (R12). */
void world_expect_rest(void);
/* Checks that both sides hold the same, that every base row says so, and that the store is sound; nothing may be held or set aside. */
void world_expect_equal(void);
/* Both of them. */
void world_expect_agreed(void);

/* --- what people do there, with programs of their own --- */
uint32_t there_add(const char *mailbox, const char *message);
void there_flag(const char *mailbox, const char *token, const char *change); /* "+seen-Junk" */
void there_copy(const char *from, const char *token, const char *to);
void there_move(const char *from, const char *token, const char *to);
void there_expunge(const char *mailbox, const char *token);
void there_expunge_deleted(const char *mailbox); /* all that is marked \Deleted */
void there_create(const char *mailbox);
void there_rename(const char *from, const char *to);
void there_remove(const char *mailbox);
struct model_mailbox *there_mailbox(const char *name);
struct model_message *there_message(const char *mailbox, const char *token);

/* --- what they do here, through a mount --- */
struct number here_add(const char *mailbox, const char *message);
struct number here_copy(const char *from, const char *token, const char *to);
void here_flag(const char *mailbox, const char *token, const char *change);
void here_move(const char *from, const char *token, const char *to);
void here_expunge(const char *mailbox, const char *token);
struct number here_replace(
	const char *mailbox, const char *old_token, const char *message); /* a new file under its name (R14) */
void here_create(const char *mailbox);
void here_rename(const char *from, const char *to);
void here_remove(const char *mailbox); /* with what is in it: `rm -r` where nothing is kept */
void here_subscribe(const char *mailbox, bool subscribed);
struct number here_number(const char *mailbox, const char *token);
struct mailbox_id here_mailbox(const char *name);
bool here_has_body(const char *mailbox, const char *token);

/* Checks what a mailbox holds: messages separated by spaces, in any order; NULL: there is no such mailbox. */
void expect_here(const char *mailbox, const char *messages);
void expect_there(const char *mailbox, const char *messages);
void expect_both(const char *mailbox, const char *messages);
/* What a mailbox holds, as text in a fixed order, to be freed; NULL: there is none. */
char *world_list_here(const char *mailbox);
char *world_list_there(const char *mailbox);

/* --- holds --- */
/* Checks how many waiting holds there are, and how many messages they list. */
void expect_held(unsigned holds, uint64_t messages);
void world_answer_all(bool confirm);
void world_answer_each(bool (*confirms)(void)); /* one by one */

/* How often our program sent a body with this token. */
unsigned world_sent(const char *token);
/* The octets of a message of this token. */
void world_body(const char *token, struct buf *out);
/* "m1+seen-Junk": the part before the first sign. */
struct slice world_token_of(const char *message);
/* Applies "+seen-Junk" to flags. */
void world_apply_change(const char *change, struct flags *flags);
char *world_token_here(struct store_txn *txn, const struct message *message); /* to be freed */
/* Tells both sides, with bases and intents. */
void world_tell(FILE *out);
bool world_find_mailbox(struct store_txn *txn, const char *name, struct mailbox_id *out); /* a real one */
/* Reading, in a check. */
void world_read_begin(void);
void world_read_end(void);
/* The next call (of that kind) of the program meets this; world_try gives what becomes of it. */
void world_trouble(const char *call, enum model_fault fault, unsigned item);

#endif
