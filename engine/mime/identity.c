#include "engine/mime/identity.h"

#include <string.h>

#include "engine/base/scope.h"
#include "engine/base/sha256.h"

_Static_assert(IDENTITY_BYTES <= 1 + SHA256_BYTES, "the digest is cut, not stretched");

/* Appends a value as it is compared, and a line end, which no value holds. Gives whether there was anything. */
static bool
append_normalised(struct slice raw, struct buf *out)
{
	size_t start = out->length;
	bool after_mark = false, any;
	char *to;

	buf_reserve(out, raw.length + 1);
	to = out->data + start;
	for (size_t i = 0; i < raw.length; i++) {
		char c = raw.data[i];

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			continue;
		}
		if (c > ' ' && c < 0x7f && c != '?') {
			*to++ = c;
			after_mark = false;
		} else if (!after_mark) {
			*to++ = '?';
			after_mark = true;
		}
	}
	any = to > out->data + start;
	*to++ = '\n';
	out->length = (size_t)(to - out->data);
	return any;
}

struct identity
identity_of_keys(const struct header_keys *keys)
{
	static const enum header_key order[] = {HEADER_MESSAGE_ID, HEADER_DATE, HEADER_FROM, HEADER_SUBJECT};
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	struct identity identity = {.bytes = {0}};
	struct digest digest;
	bool any = false;
	size_t size = ARRAY_LENGTH(order);

	for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
		size += keys->raw[order[i]].length;
	}
	buf_reserve(&text, size);
	for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
		any |= append_normalised(keys->raw[order[i]], &text);
	}
	if (any) {
		digest = sha256_of(buf_slice(&text));
		identity.bytes[0] = IDENTITY_VERSION;
		memcpy(identity.bytes + 1, digest.bytes, sizeof(identity.bytes) - 1);
	}
	return identity;
}

struct identity
identity_of(struct slice header)
{
	struct header_keys keys;

	header_collect(header, &keys);
	return identity_of_keys(&keys);
}

bool
identity_is_none(const struct identity *identity)
{
	static const struct identity none;

	return memcmp(identity->bytes, none.bytes, sizeof(none.bytes)) == 0;
}

bool
identity_equal(const struct identity *a, const struct identity *b)
{
	return !identity_is_none(a) && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
