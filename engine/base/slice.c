#include "engine/base/slice.h"

#include <assert.h>
#include <stdlib.h>

static unsigned char
lower(char c)
{
	unsigned char octet = (unsigned char)c;

	return octet >= 'A' && octet <= 'Z' ? (unsigned char)(octet + ('a' - 'A')) : octet;
}

bool
slice_equal(struct slice a, struct slice b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

int
slice_compare(struct slice a, struct slice b)
{
	size_t common = a.length < b.length ? a.length : b.length;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

	if (order != 0) {
		return order;
	}
	return a.length < b.length ? -1 : a.length > b.length;
}

bool
slice_equal_nocase(struct slice a, struct slice b)
{
	if (a.length != b.length) {
		return false;
	}
	for (size_t i = 0; i < a.length; i++) {
		if (lower(a.data[i]) != lower(b.data[i])) {
			return false;
		}
	}
	return true;
}

bool
slice_has_prefix(struct slice s, struct slice prefix)
{
	return s.length >= prefix.length && slice_equal(slice_head(s, prefix.length), prefix);
}

bool
slice_has_prefix_nocase(struct slice s, struct slice prefix)
{
	return s.length >= prefix.length && slice_equal_nocase(slice_head(s, prefix.length), prefix);
}

bool
slice_has_suffix(struct slice s, struct slice suffix)
{
	return s.length >= suffix.length && slice_equal(slice_skip(s, s.length - suffix.length), suffix);
}

struct slice
slice_skip(struct slice s, size_t count)
{
	assert(count <= s.length);
	if (count == 0) {
		return s;
	}
	return (struct slice){.data = s.data + count, .length = s.length - count};
}

struct slice
slice_head(struct slice s, size_t count)
{
	return (struct slice){.data = s.data, .length = count < s.length ? count : s.length};
}

size_t
slice_find(struct slice s, char octet)
{
	const char *at = s.length == 0 ? NULL : memchr(s.data, octet, s.length);

	return at == NULL ? s.length : (size_t)(at - s.data);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice
slice_trim(struct slice s)
{
	while (s.length > 0 && is_space(s.data[s.length - 1])) {
		s.length--;
	}
	while (s.length > 0 && is_space(s.data[0])) {
		s.data++;
		s.length--;
	}
	return s;
}

bool
slice_to_u64(struct slice s, uint64_t *out)
{
	uint64_t value = 0;

	if (s.length == 0) {
		return false;
	}
	for (size_t i = 0; i < s.length; i++) {
		unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';

		if (digit > 9 || __builtin_mul_overflow(value, 10u, &value) ||
			__builtin_add_overflow(value, digit, &value)) {
			return false;
		}
	}
	*out = value;
	return true;
}

bool
slice_to_u32(struct slice s, uint32_t *out)
{
	uint64_t value;

	if (!slice_to_u64(s, &value) || value > UINT32_MAX) {
		return false;
	}
	*out = (uint32_t)value;
	return true;
}

char *
slice_dup(struct slice s)
{
	char *copy = s.length == SIZE_MAX ? NULL : malloc(s.length + 1);

	if (copy == NULL) {
		abort();
	}
	if (s.length > 0) {
		memcpy(copy, s.data, s.length);
	}
	copy[s.length] = '\0';
	return copy;
}
