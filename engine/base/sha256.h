/* SHA-256 (FIPS 180-4) by libcrypto. The 32 octets are a body's digest (design 2). */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/slice.h"

#define SHA256_BYTES     32
#define SHA256_HEX_BYTES 65 /* with the final NUL */

struct digest {
	uint8_t bytes[SHA256_BYTES];
};

struct sha256; /* a running computation */

struct sha256 *sha256_create(void);
void sha256_destroy(struct sha256 **sha);
void sha256_update(struct sha256 *sha, struct slice data);
/* Ends the computation and resets it for the next. */
struct digest sha256_final(struct sha256 *sha);
/* All at once. */
struct digest sha256_of(struct slice data);

bool digest_equal(const struct digest *a, const struct digest *b);
void digest_to_hex(const struct digest *digest, char out[SHA256_HEX_BYTES]);
bool digest_from_hex(struct slice hex, struct digest *out);

#endif
