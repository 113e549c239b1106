/* The header of a message: where it ends, and its fields, found in the bytes themselves.
 *
 * A header is lines ended by LF or CRLF up to the first empty line, which may be missing. A field is a name of ftext (33..126 without
 * `:`), a colon and a value that goes on over the lines that begin with space or tab (RFC 5322, 2.2). Lines that are neither field nor
 * continuation are passed over. Nothing behind HEADER_BYTES_MAX octets or HEADER_FIELDS_MAX fields is looked at. A first mbox line
 * (`From ` with the space) is no part of it.
 *
 * Pure and total: every sequence of octets has an answer. Slices that come out point into the bytes that went in.
 * Decoding of values is envelope_read's work.
 */
#ifndef MIME_HEADER_H
#define MIME_HEADER_H

#include "engine/base/buf.h"
#include "engine/base/slice.h"

#define HEADER_BYTES_MAX  (256 * 1024)
#define HEADER_FIELDS_MAX 1000

struct header_field {
	struct slice name;
	struct slice raw; /* behind the colon, up to but without the last line end; still folded, not trimmed */
};

struct header_walk {
	struct slice rest;
	unsigned fields; /* given so far */
};

/* The fields that a listing and the header identity need. */
enum header_key {
	HEADER_FROM,
	HEADER_TO,
	HEADER_SUBJECT,
	HEADER_DATE,
	HEADER_MESSAGE_ID,
	HEADER_KEY_COUNT,
};

struct header_keys {
	struct slice raw
		[HEADER_KEY_COUNT]; /* of the first field of that name, as in header_field; data is NULL where there is none */
	unsigned received_count;
};

/* How many octets the header has, with the empty line that ends it and a first mbox line; all of them where no empty line ends it
 * within HEADER_BYTES_MAX, but never more than that. */
size_t header_length(struct slice message);

/* Begins a walk over the fields of a header or of a whole message. */
void header_walk_begin(struct header_walk *walk, struct slice message);
/* Gives the next field; false at the end of the header. */
bool header_next(struct header_walk *walk, struct header_field *out);
/* Finds the first field of that name, without regard to case. */
bool header_find(struct slice message, struct slice name, struct slice *out_raw);
/* Appends the value as one line: line ends taken out, space and tab at both ends dropped. */
void header_unfold(struct slice raw, struct buf *out);

/* Collects the keys in one pass without allocating. */
void header_collect(struct slice message, struct header_keys *out);

/* Tells whether the bytes begin as a message does: with a field, behind an mbox line if there is one (design 5, Bytes). */
bool header_is_message(struct slice bytes);
/* How many different of From, To, Date, Subject, Message-ID and Received are there (0..6); two make a message (design 5, Writing). */
unsigned header_score(struct slice bytes);

#endif
