/* Bodies in bulk: sets of at most 50 messages and 4 MiB, several on the way; large ones in pieces of 1 MiB.
 *
 * A fetcher holds what is wanted of the selected mailbox, sends as much as the window lets it, and hands on what comes. Several fetchers may be on
 * the way one behind the other, each with its own mailbox selected in between; imap_fetch_unsend and _resend take one back.
 *
 * A message that the server says it cannot give (NO for the set it is in) is looked for by halving the set. Dovecot replaces NULs in BODY[] by the octet
 * 0x80; a body in which that octet stands where no UTF-8 can have it is asked for once more by BINARY, and taken so if nothing but NULs differ
 * (Dovecot's BINARY[] decodes the transfer encoding of parts, which is not wanted).
 */
#ifndef REMOTE_IMAP_IMAP_FETCH_H
#define REMOTE_IMAP_IMAP_FETCH_H

#include "engine/remote/imap/imap_session.h"

#define IMAP_FETCH_SET_MESSAGES 50
#define IMAP_FETCH_SET_OCTETS   (4ull << 20)
#define IMAP_FETCH_WINDOW       (12ull << 20) /* octets on the way */
#define IMAP_FETCH_SETS_MAX     64            /* commands on the way */
#define IMAP_FETCH_WHOLE_MAX    (8ull << 20)  /* larger ones come in pieces */
#define IMAP_FETCH_PIECE        (1ull << 20)
#define IMAP_FETCH_PIECES_MAX   6 /* on the way */

enum imap_fetch_form {
	IMAP_FETCH_WHOLE,
	IMAP_FETCH_HEADER, /* the fields of imap_items alone */
	IMAP_FETCH_PIECES,
};

struct imap_fetch_item {
	uint32_t uid;
	bool done;
	enum imap_fetch_form form;
	uint64_t size;      /* a hint, 0 unknown */
	struct spool *body; /* waits for BINARY to be compared with */
	/* PIECES */
	uint64_t next, got; /* octets asked for, and come */
	bool begun, ended;  /* ended: a piece was shorter than asked */
};

/* Called for each item once, in any order of UIDs. */
struct imap_fetch_sink {
	/* A whole body, to be taken by setting it to NULL; *body is NULL where the message is gone. */
	bool (*whole)(void *context, uint32_t uid, struct spool **body, struct error *err);
	bool (*header)(void *context, uint32_t uid, struct slice header, struct error *err);
	/* The octets of a large body in order; at the end data is empty and `end` true. found = false: it is gone. */
	bool (*piece)(void *context, uint32_t uid, struct slice data, bool end, bool found, struct error *err);
	/* The server cannot give it. */
	bool (*failed)(void *context, uint32_t uid, const struct error *why, struct error *err);
	void *context;
};

struct imap_fetch_set { /* a command on the way */
	bool used;
	bool binary;
	enum imap_fetch_form form; /* the items of another are none of it */
	size_t first, count;       /* of the items */
	uint64_t octets, offset;
};

struct imap_fetch_range { /* items of one form that wait to be asked for */
	size_t first, count;
	enum imap_fetch_form form;
	bool binary;
};

struct imap_fetcher {
	struct imap_session *session;
	const struct imap_fetch_sink *sink;
	const struct imap_listener *beside;
	struct imap_listener listener;
	struct imap_fetch_item *items; /* by rising UID */
	size_t item_count, item_capacity;
	size_t left;                     /* items that are not done */
	struct imap_fetch_range *ranges; /* a stack */
	size_t range_count, range_capacity;
	struct imap_fetch_set sets[IMAP_FETCH_SETS_MAX];
	size_t sets_out;
	uint64_t octets_out;
	uint32_t generation; /* answers to what was taken back carry another */
	struct spool *body;  /* that is coming */
	bool restores_nuls;
	bool muted; /* what comes is of what was taken back */
	uint64_t bodies_octets;
};

/* `beside` (or NULL) hears what is no body. */
void imap_fetch_begin(struct imap_fetcher *fetcher, struct imap_session *session, const struct imap_fetch_sink *sink,
	const struct imap_listener *beside);
void imap_fetch_finish(struct imap_fetcher *fetcher);
/* Adds an item; UIDs rise. */
void imap_fetch_add(struct imap_fetcher *fetcher, uint32_t uid, enum imap_fetch_form form, uint64_t size);
/* The item added last is to go on behind `octets` octets of a large body, which are had already. */
void imap_fetch_resume(struct imap_fetcher *fetcher, uint64_t octets);
/* All are added: from here on it may be sent. */
void imap_fetch_ready(struct imap_fetcher *fetcher);

/* Sends as much as the window allows; the mailbox is selected, or will be by a command already sent. */
bool imap_fetch_send(struct imap_fetcher *fetcher, struct error *err) MUST_CHECK;
/* Tells whether all is sent that can be known to be needed: another mailbox's commands may follow. */
bool imap_fetch_all_sent(const struct imap_fetcher *fetcher);
bool imap_fetch_complete(const struct imap_fetcher *fetcher);
/* Takes back what is on the way: its answers mean nothing. */
void imap_fetch_unsend(struct imap_fetcher *fetcher);
/* After all those answers came, makes what is left ready to be sent again. */
void imap_fetch_resend(struct imap_fetcher *fetcher);
/* Sends and reads until it is complete. */
bool imap_fetch_run(struct imap_fetcher *fetcher, struct error *err) MUST_CHECK;

#endif
