/* One connection: commands out, answers in, and what the server tells beside them.
 *
 * Commands are numbered and pipelined: imap_session_send queues one and returns, imap_session_step reads one event and hands it on. Every tagged answer goes to
 * its command's `done`; everything untagged goes first to the session itself (capabilities, the selected mailbox) and then to the listener of the oldest
 * command that has no answer yet: that is the one the server is busy with. Between two SELECTs it may be busy with several at once and mix what it
 * says (RFC 9051, 5.5; Dovecot works on four), so commands on the way for one mailbox share a listener or know of each other's. Unsolicited data may
 * come after any command, so there is this one way in.
 *
 * When a call fails the session is dead: what was sent and not answered has an unknown outcome, and imap_session_sent tells what was sent at all.
 * A refusal (NO, BAD) is an answer and no failure. Callbacks must not send; whoever steps sends in between.
 */
#ifndef REMOTE_IMAP_IMAP_SESSION_H
#define REMOTE_IMAP_IMAP_SESSION_H

#include "engine/base/mutex.h"
#include "engine/remote/imap/imap_capability.h"
#include "engine/remote/imap/imap_command.h"
#include "engine/remote/imap/imap_reader.h"
#include "engine/remote/imap/imap_remote.h"

#define IMAP_CONNECT_MS    30000
#define IMAP_ANSWER_MS     60000  /* without an octet while an answer is due */
#define IMAP_PENDING_MAX   512    /* commands on the way */
#define IMAP_IDLE_CHECK_MS 60000  /* a rest after which a session is tried before it is used */
#define IMAP_NAMES_MAX     100000 /* mailboxes whose id is kept */

struct imap_listener {
	void *context;
	bool (*untagged)(void *context, const struct imap_response *response, struct error *err); /* or NULL */
	bool (*body)(void *context, const struct imap_event *piece, struct error *err);           /* or NULL */
	bool passes; /* asks for nothing untagged: what comes is for the command behind, for a server may mix its answers */
};

/* The answer to a command; `cookie` is the sender's. */
typedef bool imap_done_fn(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err);

struct imap_pending {
	uint32_t tag;
	bool answered;
	bool selects;                         /* SELECT or EXAMINE */
	struct buf name;                      /* ... of this mailbox */
	const char *what;                     /* the command's name, for errors */
	const struct imap_listener *listener; /* or NULL */
	imap_done_fn *done;                   /* or NULL */
	void *context;                        /* of done */
	uint64_t cookie;
};

/* The mailbox that is selected, or being selected. */
struct imap_selection {
	bool selected;
	struct buf name;
	struct remote_selected is;
	bool has_permanent, nomodseq, uids_change;
};

struct imap_session {
	struct remote_session head;
	struct imap_remote *remote;
	struct stream *stream;
	struct cancel *cancel;
	bool dead;
	struct error death; /* why */

	struct imap_reader reader;
	struct slice
		view; /* what of the stream has been looked at and is not yet read; behind `taken` octets that have been */
	size_t taken;

	struct imap_pending pending[IMAP_PENDING_MAX]; /* a ring, in the order sent; the first has no answer yet */
	size_t pending_first, pending_count;           /* count: those answered out of turn among them */
	size_t unanswered;
	uint32_t last_tag;
	bool continued; /* a continuation came */
	struct buf challenge;

	struct imap_capabilities can;
	bool has_capabilities; /* were told in this state of the connection */
	bool enabled_qresync;  /* asked for, which is as good: what counts is HIGHESTMODSEQ */
	bool authenticated, compressed, notifying;
	unsigned list_way; /* enum of imap_list: what this server's LIST takes */
	struct imap_selection selection;
	struct remote_capabilities told;
	struct imap_listener id_listener; /* its command is on the way when `open` returns */

	char bye[200]; /* the last words, if any */
	int64_t last_used_ms;
	bool read_since_write;
	uint64_t turns, commands;
};

/* Mailboxes' ids by name and UIDVALIDITY, which together name a mailbox for ever: asked once, not at every check. */
struct imap_known_name {
	char *name;
	uint32_t uidvalidity;
	uint8_t id_kind, id_length;
	char *id;
};

/* What is known of one account's server; shared by its sessions. */
struct imap_remote {
	struct remote head;
	struct io *io;
	struct io_dir *spool_dir;
	struct stream_tls *tls;
	enum imap_transport transport;
	char *host, *tunnel, *user, *auth, *without;
	uint16_t port;
	bool certificate, compress;
	imap_secret_fn *secret;
	void *secret_context;

	struct mutex lock;
	bool no_binding;               /* under lock: it refused a SCRAM with channel binding, and took one without */
	enum guid_kind message_ids;    /* under lock: what FETCH calls an id; meaningful once ids_known */
	bool ids_known;                /* under lock */
	bool prefix_known;             /* under lock: NAMESPACE was answered */
	char prefix[256];              /* under lock: of personal mailboxes, `INBOX.` */
	size_t prefix_length;          /* under lock; 0: none */
	struct imap_known_name *names; /* under lock: ids of mailboxes, sorted by name */
	size_t name_count, name_capacity;
};

/* A session around a connected stream, which it then owns. */
struct imap_session *imap_session_create(struct imap_remote *remote, struct stream *stream, struct cancel *cancel);
void imap_session_destroy(struct imap_session **session);

/* What the messages' ids are called here; GUID_NONE: there are none. */
enum guid_kind imap_session_message_ids(const struct imap_session *session);

/* How a string or body may be sent here. */
enum imap_literals imap_session_literals(const struct imap_session *session);

struct imap_asked {
	const char *what; /* the command's name, for errors and logs */
	const struct imap_listener *listener;
	imap_done_fn *done;
	void *context;
	uint64_t cookie;
	struct slice selects; /* the mailbox, where the command is a SELECT; else empty */
};

/* Queues a command; where its literals have to wait for the server's word this reads until it comes. If the server refuses before that, `done` has
 * been called and the rest is not sent. *out_mark (or NULL) is for imap_session_sent. */
bool imap_session_send(struct imap_session *session, const struct imap_command *command, const struct imap_asked *asked,
	uint64_t *out_mark, struct error *err) MUST_CHECK;
/* Sends what is queued and reads one event. */
bool imap_session_step(struct imap_session *session, struct error *err) MUST_CHECK;
/* Steps until at most `left` commands are without an answer. */
bool imap_session_settle(struct imap_session *session, size_t left, struct error *err) MUST_CHECK;
/* Tells whether the command whose mark this is was handed over to its last octet. */
bool imap_session_sent(const struct imap_session *session, uint64_t mark);
/* Reads until a continuation comes; *out_continued is false where the last command was answered instead. */
bool imap_session_await_continuation(struct imap_session *session, bool *out_continued, struct error *err) MUST_CHECK;
/* Queues octets that are no command: an answer to a challenge, DONE. */
bool imap_session_say(struct imap_session *session, struct slice octets, struct error *err) MUST_CHECK;
/* Waits for what the server says of itself, at most timeout_ms, and reads all of it. The event is what ended the waiting. */
bool imap_session_listen(struct imap_session *session, const struct imap_listener *listener, int other_fd,
	int64_t timeout_ms, enum stream_event *out_event, struct error *err) MUST_CHECK;

/* Waits for the greeting: one event, at most; what follows it stays unread. */
bool imap_session_greet(struct imap_session *session, const struct imap_listener *listener, int64_t timeout_ms,
	enum stream_event *out_event, struct error *err) MUST_CHECK;

/* An answer that outlives its response. */
struct imap_answer {
	enum imap_status status;
	char code[40];
	struct buf arguments;
	struct error error; /* what NO or BAD means */
};
void imap_answer_finish(struct imap_answer *answer);
/* Sends a command alone and waits for its answer. A refusal is true with the status and the error in *out. */
bool imap_session_run(struct imap_session *session, const struct imap_command *command, const struct imap_asked *asked,
	struct imap_answer *out, struct error *err) MUST_CHECK;

/* Gives what was looked at and not read back to the stream, before anything else is done with it. */
void imap_session_rest(struct imap_session *session);
/* Forgets what the server said of itself: it counts for nothing across login and TLS. */
void imap_session_forget_capabilities(struct imap_session *session);
/* Ends the session's usefulness; false, with the error. */
bool imap_session_die(struct imap_session *session, struct error *err);
/* The error of a session that died earlier. */
bool imap_session_check(const struct imap_session *session, struct error *err) MUST_CHECK;

#endif
