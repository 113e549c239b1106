/* Base64 (RFC 4648, 4). */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "engine/base/buf.h"

/* Appends the encoding, with padding and without line breaks. */
void base64_encode(struct slice data, struct buf *out);
/* Appends the decoded octets; false if the text is not base64 (whitespace is not allowed). */
bool base64_decode(struct slice text, struct buf *out) MUST_CHECK;

#endif
