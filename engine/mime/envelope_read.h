/* A header to the texts that a listing shows.
 *
 * Plain ASCII values are read here; GMime gets only those that hold an encoded word, 8-bit octets, or an address that is more than a
 * name and an angle. The texts are UTF-8 in NFC, one line, without control characters and bidi marks, at most ENVELOPE_TEXT_MAX octets
 * and cut between characters. Raw 8-bit values are UTF-8 where they can be, else Windows-1252, whatever the locale.
 *
 * Pure, total and thread-safe: every header gives an envelope, with empty texts where nothing is to be had.
 */
#ifndef MIME_ENVELOPE_READ_H
#define MIME_ENVELOPE_READ_H

#include "engine/base/slice.h"
#include "engine/mail/envelope.h"
#include "engine/mime/header.h"

/* Reads a header or a whole message; the envelope is the caller's to finish. False where none of its fields is there (it is filled all
 * the same, with empty texts). */
bool envelope_read(struct slice header, struct envelope *out);
/* The same from keys that were collected before. */
bool envelope_read_keys(const struct header_keys *keys, struct envelope *out);

#endif
