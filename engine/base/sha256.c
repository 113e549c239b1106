#include "engine/base/sha256.h"

#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

struct sha256 {
	EVP_MD_CTX *context;
};

/* Looked up once: a look-up costs more than the digest of a header. */
static EVP_MD *algorithm;
static pthread_once_t algorithm_once = PTHREAD_ONCE_INIT;

static void
find_algorithm(void)
{
	algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (algorithm == NULL) {
		abort(); /* a libcrypto without SHA-256 */
	}
}

static void
must(int answer)
{
	if (answer != 1) {
		abort(); /* only out of memory */
	}
}

struct sha256 *
sha256_create(void)
{
	struct sha256 *sha = malloc(sizeof(*sha));

	(void)pthread_once(&algorithm_once, find_algorithm);
	if (sha == NULL || (sha->context = EVP_MD_CTX_new()) == NULL) {
		abort();
	}
	must(EVP_DigestInit_ex2(sha->context, algorithm, NULL));
	return sha;
}

void
sha256_destroy(struct sha256 **sha)
{
	if (sha == NULL || *sha == NULL) {
		return;
	}
	EVP_MD_CTX_free((*sha)->context);
	free(*sha);
	*sha = NULL;
}

void
sha256_update(struct sha256 *sha, struct slice data)
{
	if (data.length > 0) {
		must(EVP_DigestUpdate(sha->context, data.data, data.length));
	}
}

struct digest
sha256_final(struct sha256 *sha)
{
	struct digest digest;
	unsigned length = 0;

	must(EVP_DigestFinal_ex(sha->context, digest.bytes, &length));
	assert(length == sizeof(digest.bytes));
	must(EVP_DigestInit_ex2(sha->context, algorithm, NULL));
	return digest;
}

struct digest
sha256_of(struct slice data)
{
	struct digest digest;
	unsigned length = 0;

	(void)pthread_once(&algorithm_once, find_algorithm);
	must(EVP_Digest(data.data, data.length, digest.bytes, &length, algorithm, NULL));
	assert(length == sizeof(digest.bytes));
	return digest;
}

bool
digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void
digest_to_hex(const struct digest *digest, char out[SHA256_HEX_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SHA256_BYTES; i++) {
		out[2 * i] = digits[digest->bytes[i] >> 4];
		out[2 * i + 1] = digits[digest->bytes[i] & 15];
	}
	out[SHA256_HEX_BYTES - 1] = '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
digest_from_hex(struct slice hex, struct digest *out)
{
	struct digest digest;

	if (hex.length != SHA256_HEX_BYTES - 1) {
		return false;
	}
	for (size_t i = 0; i < SHA256_BYTES; i++) {
		int high = hex_value(hex.data[2 * i]), low = hex_value(hex.data[2 * i + 1]);

		if (high < 0 || low < 0) {
			return false;
		}
		digest.bytes[i] = (uint8_t)(high * 16 + low);
	}
	*out = digest;
	return true;
}
