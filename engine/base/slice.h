/* Bytes and a length, owned elsewhere. Mail holds NULs and 8-bit octets, so a slice is never a C string. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *data; /* may be NULL when length is 0 */
	size_t length;
};

#define SLICE_LITERAL(text) ((struct slice){.data = (text), .length = sizeof(text) - 1})

/* Views a C string (NULL gives the empty slice). */
static inline struct slice
slice_of(const char *text)
{
	return (struct slice){.data = text, .length = text != NULL ? strlen(text) : 0};
}

static inline struct slice
slice_make(const void *data, size_t length)
{
	return (struct slice){.data = data, .length = length};
}

/* Tells whether both hold the same octets. */
bool slice_equal(struct slice a, struct slice b);

/* Compares as unsigned octets, shorter first where one is a prefix. */
int slice_compare(struct slice a, struct slice b);

/* Tells whether both are equal when ASCII letters are compared without case; other octets exactly. */
bool slice_equal_nocase(struct slice a, struct slice b);

bool slice_has_prefix(struct slice s, struct slice prefix);
bool slice_has_prefix_nocase(struct slice s, struct slice prefix);
bool slice_has_suffix(struct slice s, struct slice suffix);

/* Cuts off the first `count` octets; count must not exceed the length. */
struct slice slice_skip(struct slice s, size_t count);

/* The first `count` octets, or all if there are fewer. */
struct slice slice_head(struct slice s, size_t count);

/* Finds the first occurrence of an octet; gives the length if there is none. */
size_t slice_find(struct slice s, char octet);

/* Drops ASCII space, tab, CR and LF at both ends. */
struct slice slice_trim(struct slice s);

/* Reads a whole decimal number: digits only, no sign, no overflow. False leaves *out untouched. */
bool slice_to_u64(struct slice s, uint64_t *out);
bool slice_to_u32(struct slice s, uint32_t *out);

/* A copy with a NUL at the end, to be freed; aborts when memory runs out. */
char *slice_dup(struct slice s);

#endif
