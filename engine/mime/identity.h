/* The header identity: by which two copies of one message are known when there is neither GUID nor body (R4).
 *
 * A digest over Message-ID, Date, From and Subject, each without whitespace and with every run of `?`, control and 8-bit octets as one
 * `?`: servers fold anew, and write other things for octets they cannot hold. The first octet is the version of these rules, so that
 * identities of different versions are never equal. It is no proof: see R4 for what it may pair.
 */
#ifndef MIME_IDENTITY_H
#define MIME_IDENTITY_H

#include "engine/base/slice.h"
#include "engine/mime/header.h"

#define IDENTITY_BYTES   17
#define IDENTITY_VERSION 1

struct identity {
	uint8_t bytes[IDENTITY_BYTES]; /* all zero: none */
};

/* The identity of a header or of a whole message; none where all four fields are missing or empty. */
struct identity identity_of(struct slice header);
struct identity identity_of_keys(const struct header_keys *keys);

bool identity_is_none(const struct identity *identity);
/* Tells whether both are the same; none is equal to nothing, itself included. */
bool identity_equal(const struct identity *a, const struct identity *b);

#endif
