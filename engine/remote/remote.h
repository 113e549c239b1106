/* The contract every kind of remote keeps (imap; maildir; later dsync, jmap).
 *
 * A `remote` is one account's other side: where it is and what is known of it; thread-safe. A `remote_session` is one connection to it, used by
 * one thread at a time; an account has several. Calls block (they are made from the engine's threads), end early by the cancel given at open,
 * and pipeline inside: one call is one flight wherever the protocol allows. What a call learns beyond its purpose (unsolicited data) is a hint
 * kept in the session: remote_hints.
 *
 * Errors of a whole call: RETRY (connection lost: the session is dead, remote_session_alive is false), UNREACHABLE, THROTTLED, CREDENTIALS, TRUST, CANCELLED; ITEM where only
 * what was asked failed and the session goes on. After RETRY each effect's `outcome` says what is known.
 *
 * "Raw name" is the remote's spelling of a mailbox; names of ours never get here.
 */
#ifndef REMOTE_REMOTE_H
#define REMOTE_REMOTE_H

#include "engine/io/io.h"
#include "engine/io/spool.h"
#include "engine/mail/flags.h"
#include "engine/mail/ids.h"
#include "engine/mail/uidset.h"

struct remote;
struct remote_session;

/* What became of an effect (SYNC R9, R10). */
enum remote_outcome {
	REMOTE_NOT_SENT, /* not sent to its last octet: it was not taken */
	REMOTE_UNKNOWN,  /* sent, and the answer was lost */
	REMOTE_DONE,
	REMOTE_REFUSED, /* the server said no: see error */
};

/* --- mailboxes --- */
enum remote_mailbox_attribute {
	REMOTE_NOSELECT = 1 << 0, /* \Noselect or \NonExistent: a directory only */
	REMOTE_NOINFERIORS = 1 << 1,
	REMOTE_SUBSCRIBED = 1 << 2,
};

struct remote_mailbox {
	struct slice raw_name;
	char separator; /* '\0' for none */
	struct slice
		prefix; /* of the personal mailboxes, of this one or not; empty: none (mailbox_name_from_imap_behind) */
	uint32_t attributes;
	const char *
		role; /* "trash", "sent", "drafts", "junk", "archive", "all", "flagged", "important", "inbox" or NULL */
	struct guid id;                /* MAILBOXID or STATUS X-GUID; kind GUID_NONE where it has none */
	bool has_status;               /* the rest is meaningful */
	uint32_t uidvalidity, uidnext; /* 0: not told */
	uint64_t highestmodseq;        /* 0: not told */
	uint32_t messages;
};

/* --- scanning (SYNC R2, R3, R6, R7) --- */
struct remote_newest { /* the base's newest message and its last changed one, to recognise a restored server (R7); uid 0: none */
	uint32_t uid;
	struct guid guid;
	int64_t internaldate_s;
	uint64_t size_bytes;
	uint32_t changed_uid;
	uint64_t changed_modseq;
};

struct remote_scan_request {
	struct slice raw_name;
	struct guid id;             /* to be compared with what SELECT tells, if it does */
	uint32_t uidvalidity;       /* of the base; 0: first contact, everything is listed */
	uint64_t highestmodseq;     /* of the base; 0: none, so flags are compared in windows */
	uint32_t uidnext;           /* of the base: all below was seen. >= 1 */
	const struct uidset *known; /* UIDs of the base that are not marked gone */
	struct remote_newest newest;
	uint32_t messages_hint, uidnext_hint; /* from the account check, 0 unknown */
	bool full;                            /* list every UID and every flag in any case (sync --full, once a day) */
	bool bodies;                          /* ask for whole bodies of new messages instead of their header fields */
	uint64_t body_size_max;               /* ... of at most this size; larger ones come as header fields */
};

enum remote_scan_state {
	REMOTE_SCAN_OK,
	REMOTE_SCAN_REBUILT, /* R7: `reason` says why; nothing else was reported */
	REMOTE_SCAN_GONE, /* there is no such mailbox now; nothing else was reported (list again before believing it) */
	REMOTE_SCAN_FAILED, /* err tells; nothing reported counts */
};

struct remote_selected { /* as of the selected session */
	uint32_t uidvalidity, uidnext;
	uint64_t highestmodseq; /* 0: none */
	uint32_t exists;
	struct guid id;         /* kind NONE where SELECT does not tell it */
	struct flags permanent; /* flags that last */
	bool keywords_any;      /* \* */
	bool read_only;
};

/* A message as the remote lists it. */
struct remote_message {
	uint32_t uid;
	struct flags flags;
	uint64_t modseq; /* 0: none */
	int64_t internaldate_s;
	uint64_t size_bytes; /* RFC822.SIZE: a hint */
	struct guid guid;
	struct slice header; /* the fields asked for, as served (CRLF); empty where not asked */
	struct spool *body;  /* with `bodies`: the bytes as served, to be taken by setting it to NULL; else NULL */
};

/* Called in this order for each request, requests in their order; a false return ends the call with `err` as set by the callback. */
struct remote_scan_sink {
	bool (*selected)(void *context, size_t request, const struct remote_selected *selected, struct error *err);
	/* Flags of a message of `known` that may have changed. */
	bool (*flags)(void *context, size_t request, uint32_t uid, const struct flags *flags, uint64_t modseq,
		struct error *err);
	/* A message that is not in `known`. */
	bool (*message)(void *context, size_t request, struct remote_message *message, struct error *err);
	/* UIDs of `known` that are proven gone (R6); at most once, may be missing. */
	bool (*gone)(void *context, size_t request, const struct uidset *uids, struct error *err);
	/* The request is over. `selected` again, with the counters as of the last line (R3). */
	bool (*end)(void *context, size_t request, enum remote_scan_state state, const struct remote_selected *selected,
		const char *reason, const struct error *failure, struct error *err);
	void *context;
};

/* --- bodies --- */
struct remote_body_sink {
	/* Octets of one message's body as served, in order; messages come one after another, in any order of UIDs. */
	bool (*begin)(void *context, uint32_t uid, uint64_t size_bytes, struct error *err);
	bool (*data)(void *context, uint32_t uid, struct slice data, struct error *err);
	/* found = false: it is gone (NIL or not in the answer); data may have been given for nothing. */
	bool (*end)(void *context, uint32_t uid, bool found, struct error *err);
	void *context;
	/* How many octets of this large body are had from a call that was cut, under the same UIDVALIDITY and size: `data` goes on behind them.
	 * May be NULL. Less than size_bytes, else all is fetched. */
	uint64_t (*resume)(void *context, uint32_t uid, uint64_t size_bytes);
};

/* --- effects; every one names the mailbox with the UIDVALIDITY it was decided for: where SELECT (or APPENDUID, COPYUID) tells another, nothing is
 * done (or recorded) and the error is RETRY with kind text "rebuilt" --- */
struct remote_target {
	struct slice raw_name;
	uint32_t uidvalidity; /* 0: any */
};

struct remote_store { /* one group of equal flag changes */
	struct uidset uids;
	struct flags add, remove;
	enum remote_outcome outcome;
	struct error error;
};

struct remote_append {
	struct spool *body; /* wire form, CRLF; borrowed */
	struct flags flags;
	int64_t internaldate_s;
	/* results */
	enum remote_outcome outcome;
	struct remote_uid uid; /* uid 0: the server has no UIDPLUS */
	struct error error;
};

struct remote_copy { /* one message of a MOVE or COPY */
	uint32_t uid;
	enum remote_outcome
		outcome; /* DONE only if the server named it (COPYUID) or, without UIDPLUS, said OK with `target.uid` 0 */
	struct remote_uid target;
	enum error_kind
		refusal; /* REFUSED: GONE where it is not in the mailbox (look again), else what the server's NO means */
	struct error *why; /* or NULL: filled with what the first NO said */
};

struct remote_capabilities {
	bool qresync, condstore, uidplus, move, multiappend, literal_plus, literal_minus, binary, esearch, list_status,
		special_use, notify, idle, compress, compressed, message_guid, mailbox_id, id;
	uint32_t append_limit;                                    /* 0: none told */
	char greeting[200], server[200], mechanism[40], tls[100]; /* for `check`, safe to print */
};

struct remote_watch_event {
	enum { REMOTE_WATCH_MAILBOX, REMOTE_WATCH_TREE, REMOTE_WATCH_ANY } what;
	struct slice raw_name; /* for MAILBOX */
};

struct remote_ops {
	const char *kind; /* "imap" */

	void (*destroy)(struct remote **remote);
	/* Connects and logs in. */
	bool (*open)(struct remote *remote, struct cancel *cancel, struct remote_session **out, struct error *err);
	void (*close)(struct remote_session **session);
	bool (*alive)(const struct remote_session *session);
	/* Makes sure that a session that rested still works (NOOP after 60 s); cheap otherwise. */
	bool (*refresh)(struct remote_session *session, struct error *err);
	const struct remote_capabilities *(*capabilities)(const struct remote_session *session);

	/* The account check: every mailbox, in one turn where the server can. `each` gives false to end with its error. */
	bool (*list)(struct remote_session *session,
		bool (*each)(void *context, const struct remote_mailbox *mailbox, struct error *err), void *context,
		struct error *err);
	/* Scans mailboxes, pipelined over as few turns as the server allows. */
	bool (*scan)(struct remote_session *session, const struct remote_scan_request *requests, size_t count,
		const struct remote_scan_sink *sink, struct error *err);
	/* Tells the messages of a set of UIDs (GUID, MODSEQ, date, size, flags; header fields if `headers`). UIDs that are gone are left out. */
	bool (*identify)(struct remote_session *session, const struct remote_target *target, const struct uidset *uids,
		bool headers, bool (*each)(void *context, struct remote_message *message, struct error *err),
		void *context, struct remote_selected *out_selected /* or NULL */, struct error *err);
	/* Streams bodies. Sizes are hints for slicing (0 unknown), parallel to the UIDs of the set in rising order, or NULL. */
	bool (*fetch)(struct remote_session *session, const struct remote_target *target, const struct uidset *uids,
		const uint64_t *sizes, const struct remote_body_sink *sink, struct error *err);

	/* Effects. The call fails only when the session does; what became of each item is in it. */
	/* `each` (may be NULL) hears of every message that is there still, with its flags or, where the server tells only that, its modseq. Of one it does
	 * not hear of nothing was changed: it has left the mailbox. */
	bool (*store)(struct remote_session *session, const struct remote_target *target, struct remote_store *groups,
		size_t count,
		bool (*each)(void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq,
			struct error *err),
		void *context, struct error *err);
	bool (*append)(struct remote_session *session, const struct remote_target *target, struct remote_append *items,
		size_t count, struct error *err);
	/* `items` have rising UIDs. move: MOVE, else COPY and UID EXPUNGE of exactly what COPYUID named; `marked` is set where it could
	 * only be marked \Deleted (no UIDPLUS). */
	bool (*copy)(struct remote_session *session, const struct remote_target *from, const struct remote_target *to,
		bool move, struct remote_copy *items, size_t count, bool *out_marked, struct error *err);
	/* Removes for good exactly these UIDs. out_marked: no UIDPLUS, they were only marked \Deleted. */
	bool (*expunge)(struct remote_session *session, const struct remote_target *target, const struct uidset *uids,
		enum remote_outcome *out_outcome, bool *out_marked, struct error *err);

	/* Mailboxes. ERROR_EXISTS and ERROR_GONE say that the name was taken or is not there. */
	bool (*create)(struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome,
		struct error *err);
	bool (*rename)(struct remote_session *session, struct slice from, struct slice to,
		enum remote_outcome *out_outcome, struct error *err);
	bool (*remove)(struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome,
		struct error *err);
	bool (*subscribe)(struct remote_session *session, struct slice raw_name, bool subscribed, struct error *err);

	/* Waits for news on this session until cancelled, `other_fd` becomes readable (true, no event) or timeout_ms is over. NOTIFY, else IDLE on
	 * `raw_names[0]` (call it on one session per mailbox; ITEM or GONE where that cannot be selected), else sleeps. Calls back for each hint, and once when
	 * it begins to hear: what came before is unknown. */
	bool (*watch)(struct remote_session *session, const struct slice *raw_names, size_t count, int other_fd,
		int64_t timeout_ms, void (*hint)(void *context, const struct remote_watch_event *event), void *context,
		struct error *err);

	/* Tells a mailbox's id that an earlier process learned, so that the account check need not ask for what the name and UIDVALIDITY already say.
	 * NULL where nothing is gained. */
	void (*remember)(struct remote *remote, struct slice raw_name, uint32_t uidvalidity, const struct guid *id);

	/* Counters of the session's wire, for tests and `sync -v`. */
	void (*counters)(const struct remote_session *session, uint64_t *octets_in, uint64_t *octets_out,
		uint64_t *turns, uint64_t *commands);
};

/* Every remote and session begins with its ops. */
struct remote {
	const struct remote_ops *ops;
};
struct remote_session {
	const struct remote_ops *ops;
};

#endif
