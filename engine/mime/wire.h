/* Line ends: the form that travels (CRLF) and the form that is kept and presented (S4).
 *
 * served    what a remote gave us, octet by octet
 * written   what a user wrote into a file
 * wire      what we send: served as it is; written with each LF that has no CR before it made CRLF, and nothing else
 * kept      what stands in the store: the wire form with LF line ends where that turns back exactly (WIRE_FORM_LF), that is where every CR
 *           precedes an LF and every LF follows a CR, else the wire form as it is (WIRE_FORM_RAW). The form must be kept beside the
 *           octets: `a LF b` can be either.
 *
 * A body's digest is the SHA-256 of its wire form, whichever form is kept. Pure; the streaming parts take pieces cut anywhere.
 */
#ifndef MIME_WIRE_H
#define MIME_WIRE_H

#include "engine/base/buf.h"
#include "engine/base/sha256.h"
#include "engine/base/slice.h"

enum wire_form {
	WIRE_FORM_LF,  /* turns back by wire_from_lf */
	WIRE_FORM_RAW, /* is the wire form */
};

/* Counts line ends, fed by pieces. */
struct wire_scan {
	uint64_t size;    /* octets fed */
	uint64_t crlf;    /* CR LF pairs */
	uint64_t bare_lf; /* LF without a CR before it */
	uint64_t cr;      /* all CR */
	bool after_cr;    /* the last octet was a CR */
};

#define WIRE_SCAN_INIT ((struct wire_scan){0})

void wire_scan_feed(struct wire_scan *scan, struct slice piece);

/* The kept form of octets that a remote served. */
static inline enum wire_form
wire_scan_served(const struct wire_scan *scan)
{
	return scan->cr == scan->crlf && scan->bare_lf == 0 ? WIRE_FORM_LF : WIRE_FORM_RAW;
}

/* The kept form of octets that a user wrote, once they are made wire form. */
static inline enum wire_form
wire_scan_written(const struct wire_scan *scan)
{
	return scan->cr == scan->crlf ? WIRE_FORM_LF : WIRE_FORM_RAW;
}

/* The exact size of what was fed in wire form: of a written file, and of a kept LF form. */
static inline uint64_t
wire_scan_wire_size(const struct wire_scan *scan)
{
	return scan->size + scan->bare_lf;
}

/* The exact size of what was fed with LF line ends. */
static inline uint64_t
wire_scan_lf_size(const struct wire_scan *scan)
{
	return scan->size - scan->crlf;
}

/* The size of a written file or a kept LF form in wire form. */
uint64_t wire_size(struct slice written);

/* Appends what to keep of served octets, and tells its form. */
enum wire_form wire_keep_served(struct slice served, struct buf *out);
/* Appends what to keep of written octets, and tells its form. */
enum wire_form wire_keep_written(struct slice written, struct buf *out);
/* Appends the LF form; false, appending nothing, where that would not turn back exactly. */
bool wire_to_lf(struct slice wire, struct buf *out) MUST_CHECK;
/* Appends a piece without its CRs: the LF form of octets of which a scan has told that they are WIRE_FORM_LF. */
void wire_drop_cr(struct slice piece, struct buf *out);

/* Where wire_from_lf stands between pieces. */
struct wire_state {
	bool after_cr; /* the last octet was a CR */
};

#define WIRE_STATE_INIT ((struct wire_state){0})

/* Appends a piece of a written file, or of a kept LF form, in wire form. */
void wire_from_lf(struct wire_state *state, struct slice piece, struct buf *out);
/* Appends the wire form of a kept body. */
void wire_from_kept(struct slice kept, enum wire_form form, struct buf *out);

/* Gives a piece of a written file, or of a kept LF form, to the digest in wire form. */
void wire_digest_piece(struct wire_state *state, struct slice piece, struct sha256 *sha);
/* The body's digest: the SHA-256 of the wire form. */
struct digest wire_digest_of_kept(struct slice kept, enum wire_form form);

/* The bytes without a first line that begins `From `, as mbox files and some programs put before a message. */
struct slice wire_skip_mbox_line(struct slice bytes);

#endif
