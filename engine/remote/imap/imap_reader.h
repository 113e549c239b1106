/* Octets from a server to whole responses, one at a time, whatever way they are cut.
 *
 * A response's lines and literals are put together here, within the limits below, and read by imap_grammar. The one thing that is not kept is
 * a message's body: it is given out piece by piece as it comes, with what is known of the message by then.
 * Pure: no I/O; never allocates by what a literal announces. Of a literal that is no body, what is over IMAP_LITERAL_KEEP_MAX is dropped.
 */
#ifndef REMOTE_IMAP_IMAP_READER_H
#define REMOTE_IMAP_IMAP_READER_H

#include "engine/remote/imap/imap_grammar.h"

#define IMAP_LINE_MAX (64u << 10) /* octets of a response without its literals */
#define IMAP_SET_LINE_MAX \
	(12u << 20) /* ... that carries numbers: VANISHED, SEARCH, ESEARCH, a status with its code: 1 M of them */
#define IMAP_LITERAL_KEEP_MAX  (256u << 10) /* of a literal that is no body */
#define IMAP_RESPONSE_KEEP_MAX (1u << 20)   /* of all literals of one response */
#define IMAP_LITERAL_MAX       (1ull << 30) /* of any literal */
#define IMAP_LITERALS_MAX      32           /* in one response */

enum imap_event_kind {
	IMAP_EVENT_MORE,     /* the input is used up */
	IMAP_EVENT_RESPONSE, /* a whole response */
	IMAP_EVENT_BODY,     /* a piece of a body; its response follows when it is whole */
};

struct imap_event {
	enum imap_event_kind kind;
	struct imap_response response;      /* RESPONSE: valid until the next call */
	const struct imap_fetched *message; /* BODY: what is known by now; uid 0 where it was not told yet */
	uint64_t size, offset;              /* BODY: octets announced, and where this piece stands among them */
	struct slice data;                  /* BODY: points into the input; empty only where size is 0 */
};

struct imap_reader {
	enum { IMAP_READER_LINE, IMAP_READER_KEEP, IMAP_READER_SKIP, IMAP_READER_STREAM } state;
	bool whole;         /* the response in `text` was given out */
	struct buf text;    /* the response so far */
	struct buf scratch; /* values that had to be unescaped */
	size_t line_begin;  /* where the line at hand begins in `text` */
	size_t line_octets; /* of all lines so far */
	size_t kept_octets; /* of all literals so far */
	uint64_t literal_left, literal_drop, literal_offset;
	struct imap_literal literals[IMAP_LITERALS_MAX];
	size_t literal_count;
	struct imap_fetched message; /* whose body is streamed */
};

void imap_reader_init(struct imap_reader *reader);
void imap_reader_finish(struct imap_reader *reader);

/* Takes octets off *input up to the next event. ERROR_RETRY where they cannot be IMAP or a limit is passed: the connection is of no more use. */
bool imap_reader_next(struct imap_reader *reader, struct slice *input, struct imap_event *out, struct error *err)
	MUST_CHECK;
/* Tells whether it stands between two responses. */
bool imap_reader_rests(const struct imap_reader *reader);

#endif
