/* One IMAP response: octets to values (RFC 9051, 9; RFC 3501, 9; RFC 7162, 7; RFC 5464 and others where named).
 *
 * text      a whole response as imap_reader puts it together: its lines, with its literals where they stood
 * literal   octets announced by {n}, {n+} or ~{n}; those of a message's body are not kept (streamed)
 *
 * Liberal in syntax, strict in meaning: any octet may stand in a text, items and responses that nobody asked for are passed over, but a number
 * or an id that cannot be one is absent, never 0, and a UID or a sequence number that cannot be one is an error. Pure; nothing here recurses or
 * allocates by what a server claims. Slices point into the text or into `scratch`.
 */
#ifndef REMOTE_IMAP_IMAP_GRAMMAR_H
#define REMOTE_IMAP_IMAP_GRAMMAR_H

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/remote/imap/imap_words.h"

#define IMAP_NESTING_MAX 64 /* parentheses within parentheses that are passed over */

struct imap_literal {
	size_t at;     /* where its `{` or `~` stands in the text */
	size_t data;   /* where its octets begin */
	size_t length; /* octets kept there; 0 when streamed */
	uint64_t size; /* octets announced */
	bool streamed; /* given to the listener piece by piece */
	bool binary;   /* ~{n} */
};

struct imap_text {
	struct slice octets; /* without the last line end */
	const struct imap_literal *literals;
	size_t literal_count;
	struct buf *scratch; /* has room for octets.length more: never moves while a response is read */
};

enum imap_response_kind {
	IMAP_RESPONSE_OTHER, /* nothing we know; passed over */
	IMAP_RESPONSE_TAGGED,
	IMAP_RESPONSE_STATUS, /* untagged OK, NO, BAD, PREAUTH, BYE */
	IMAP_RESPONSE_CONTINUE,
	IMAP_RESPONSE_CAPABILITY,
	IMAP_RESPONSE_ENABLED,
	IMAP_RESPONSE_FLAGS,
	IMAP_RESPONSE_LIST,
	IMAP_RESPONSE_LSUB,
	IMAP_RESPONSE_MAILBOX, /* * STATUS */
	IMAP_RESPONSE_SEARCH,
	IMAP_RESPONSE_ESEARCH,
	IMAP_RESPONSE_EXISTS,
	IMAP_RESPONSE_EXPUNGE,
	IMAP_RESPONSE_VANISHED,
	IMAP_RESPONSE_FETCH,
	IMAP_RESPONSE_ID,
	IMAP_RESPONSE_NAMESPACE,
};

enum imap_status { IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_PREAUTH, IMAP_BYE };

struct imap_listed {
	struct slice attributes; /* `\HasNoChildren \Trash`, as served */
	char separator;          /* '\0' for NIL */
	struct slice name;
	bool renamed; /* with OLDNAME (RFC 9051, 6.3.9.7) */
};

struct imap_mailbox { /* 0 or empty: not told */
	struct slice name;
	uint32_t messages, uidnext, uidvalidity;
	uint64_t highestmodseq;
	bool has_messages;
	struct slice x_guid, mailboxid;
};

enum imap_body_form {
	IMAP_BODY_NONE, /* no such item */
	IMAP_BODY_NIL,
	IMAP_BODY_KEPT,     /* in `body` */
	IMAP_BODY_STREAMED, /* was streamed, `body_size` octets */
};

struct imap_fetched {
	uint32_t uid; /* 0: not told */
	bool has_flags, has_date, has_size;
	struct slice flags; /* what stands between the parentheses */
	uint64_t modseq;    /* 0: not told */
	int64_t internaldate_s;
	uint64_t size;
	enum guid_kind guid_kind; /* GUID_NONE: not told */
	struct slice guid;
	bool has_header;
	struct slice header; /* of BODY[HEADER…]; its first octets where it is longer than what is kept */
	enum imap_body_form form;
	struct slice body;
	uint64_t body_size;
	uint64_t body_origin; /* of a partial */
	bool body_partial, body_binary;
};

struct imap_esearch {
	struct slice tag, all; /* `all` is a set; empty where nothing was found */
	bool has_count;
	uint32_t count;
};

struct imap_response {
	enum imap_response_kind kind;
	struct slice tag;        /* TAGGED */
	enum imap_status status; /* TAGGED, STATUS */
	struct slice code;       /* TAGGED, STATUS: `UIDNEXT` of `[UIDNEXT 43]`, else empty */
	struct slice arguments;  /* ... and `43` */
	struct slice
		text; /* what stands behind: a sentence (TAGGED, STATUS, CONTINUE), the words (CAPABILITY, ENABLED, FLAGS), numbers (SEARCH),
			    * a set (VANISHED) */
	uint32_t number; /* EXISTS, EXPUNGE, FETCH (0 for UIDFETCH) */
	bool earlier;    /* VANISHED (EARLIER) */
	struct imap_listed listed;
	struct imap_mailbox mailbox;
	struct imap_esearch esearch;
	struct imap_fetched fetched;
	struct slice id_name, id_version;
	struct slice prefix; /* NAMESPACE: of the first personal one; empty where there is none */
};

/* Reads a whole response. ERROR_RETRY with what is wrong where it cannot be IMAP at all. */
bool imap_grammar_read(const struct imap_text *text, struct imap_response *out, struct error *err) MUST_CHECK;

/* Tells whether `text`, which ends with a literal's announcement, is a FETCH response and the literal the body of a message; then *out says what is
 * known of the message so far. */
bool imap_grammar_awaits_body(const struct imap_text *text, struct imap_fetched *out);

#endif
