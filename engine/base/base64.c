#include "engine/base/base64.h"

#include <assert.h>
#include <openssl/evp.h>

#define QUADS_AT_ONCE 4096

void
base64_encode(struct slice data, struct buf *out)
{
	while (data.length > 0) {
		struct slice piece = slice_head(data, (size_t)3 * QUADS_AT_ONCE);
		int written;

		buf_reserve(out, (piece.length + 2) / 3 * 4);
		written = EVP_EncodeBlock(
			(unsigned char *)out->data + out->length, (const unsigned char *)piece.data, (int)piece.length);
		assert(written > 0);
		out->length += (size_t)written; /* EVP_EncodeBlock has put the NUL */
		data = slice_skip(data, piece.length);
	}
}

static bool
is_digit(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* The decoder of libcrypto skips white space and leaves padding in the count; so what is no base64 is refused here. */
static bool
is_base64(struct slice text, size_t *out_padding)
{
	size_t padding = 0;

	if (text.length % 4 != 0) {
		return false;
	}
	while (padding < 2 && padding < text.length && text.data[text.length - 1 - padding] == '=') {
		padding++;
	}
	for (size_t i = 0; i < text.length - padding; i++) {
		if (!is_digit(text.data[i])) {
			return false;
		}
	}
	*out_padding = padding;
	return true;
}

bool
base64_decode(struct slice text, struct buf *out)
{
	size_t padding, start = out->length;
	struct slice rest = text;

	if (!is_base64(text, &padding)) {
		return false;
	}
	while (rest.length > 0) {
		struct slice piece = slice_head(rest, (size_t)4 * QUADS_AT_ONCE);
		int written;

		buf_reserve(out, piece.length / 4 * 3);
		written = EVP_DecodeBlock(
			(unsigned char *)out->data + out->length, (const unsigned char *)piece.data, (int)piece.length);
		assert(written >= 0 && (size_t)written == piece.length / 4 * 3);
		out->length += (size_t)written;
		rest = slice_skip(rest, piece.length);
	}
	if (text.length > 0) {
		/* What stands in the place of the padding must be zero bits, so that each text has one spelling. */
		unsigned char again[5], last[3];

		memcpy(last, out->data + out->length - 3, sizeof(last));
		buf_truncate(out, out->length - padding);
		(void)EVP_EncodeBlock(again, last, (int)(3 - padding));
		if (memcmp(again, text.data + text.length - 4, 4) != 0) {
			buf_truncate(out, start);
			return false;
		}
	}
	return true;
}
