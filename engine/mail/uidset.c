#include "engine/mail/uidset.h"

#include <assert.h>
#include <stdlib.h>

void
uidset_finish(struct uidset *set)
{
	if (set == NULL) {
		return;
	}
	free(set->ranges);
	*set = UIDSET_INIT;
}

void
uidset_clear(struct uidset *set)
{
	set->count = 0;
}

static void
reserve_one(struct uidset *set)
{
	size_t capacity = set->capacity == 0 ? 8 : set->capacity * 2;
	struct uid_range *ranges;

	if (set->count < set->capacity) {
		return;
	}
	ranges = capacity > SIZE_MAX / sizeof(*ranges) ? NULL : realloc(set->ranges, capacity * sizeof(*ranges));
	if (ranges == NULL) {
		abort();
	}
	set->ranges = ranges;
	set->capacity = capacity;
}

/* Finds the first range that ends at `uid` or above; the count where there is none. */
static size_t
find_range(const struct uidset *set, uint32_t uid)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ranges[middle].last < uid) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* Puts `count` ranges (0 or 1 more than stand there at most) in the place of those from `from` up to `to`. */
static void
replace(struct uidset *set, size_t from, size_t to, const struct uid_range *with, size_t count)
{
	assert(from <= to && to <= set->count && count <= to - from + 1);
	if (count > to - from) {
		reserve_one(set);
	}
	if (to < set->count) {
		memmove(&set->ranges[from + count], &set->ranges[to], (set->count - to) * sizeof(*with));
	}
	if (count > 0) {
		memcpy(&set->ranges[from], with, count * sizeof(*with));
	}
	set->count = set->count - (to - from) + count;
}

void
uidset_add(struct uidset *set, uint32_t first, uint32_t last)
{
	struct uid_range range = {.first = first < last ? first : last, .last = first < last ? last : first};
	size_t from, to;

	assert(range.first > 0);
	/* Those that overlap it or touch it become one with it. */
	from = find_range(set, range.first - 1 > 0 ? range.first - 1 : 1);
	for (to = from; to < set->count && (range.last == UINT32_MAX || set->ranges[to].first <= range.last + 1);
		to++) {
		if (set->ranges[to].first < range.first) {
			range.first = set->ranges[to].first;
		}
		if (set->ranges[to].last > range.last) {
			range.last = set->ranges[to].last;
		}
	}
	replace(set, from, to, &range, 1);
}

void
uidset_remove(struct uidset *set, uint32_t first, uint32_t last)
{
	uint32_t low = first < last ? first : last, high = first < last ? last : first;
	struct uid_range left[2];
	size_t from = find_range(set, low), to, count = 0;

	for (to = from; to < set->count && set->ranges[to].first <= high; to++) {
	}
	if (from == to) {
		return;
	}
	if (set->ranges[from].first < low) {
		left[count++] = (struct uid_range){.first = set->ranges[from].first, .last = low - 1};
	}
	if (set->ranges[to - 1].last > high) {
		left[count++] = (struct uid_range){.first = high + 1, .last = set->ranges[to - 1].last};
	}
	replace(set, from, to, left, count);
}

bool
uidset_contains(const struct uidset *set, uint32_t uid)
{
	size_t at = find_range(set, uid);

	return at < set->count && set->ranges[at].first <= uid;
}

uint64_t
uidset_size(const struct uidset *set)
{
	uint64_t size = 0;

	for (size_t i = 0; i < set->count; i++) {
		size += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
	}
	return size;
}

/* Reads a number from the start of *text: no 0, no leading zero, no more than 32 bits (RFC 9051, nz-number). */
static bool
read_uid(struct slice *text, uint32_t *out)
{
	size_t length = 0;

	while (length < text->length && text->data[length] >= '0' && text->data[length] <= '9') {
		length++;
	}
	if (length == 0 || text->data[0] == '0' || !slice_to_u32(slice_head(*text, length), out)) {
		return false;
	}
	*text = slice_skip(*text, length);
	return true;
}

static bool
read_octet(struct slice *text, char octet)
{
	if (text->length == 0 || text->data[0] != octet) {
		return false;
	}
	*text = slice_skip(*text, 1);
	return true;
}

static int
compare_ranges(const void *a, const void *b)
{
	const struct uid_range *left = a, *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

/* Appends the ranges as they stand in the text, in any order; tells whether their starts rise. */
static bool
read_ranges(struct slice text, struct uidset *out, bool *out_sorted)
{
	*out_sorted = true;
	do {
		uint32_t first, last;

		if (out->count == UIDSET_RANGES_MAX || !read_uid(&text, &first)) {
			return false;
		}
		last = first;
		if (read_octet(&text, ':') && !read_uid(&text, &last)) {
			return false;
		}
		reserve_one(out);
		out->ranges[out->count] =
			(struct uid_range){.first = first < last ? first : last, .last = first < last ? last : first};
		if (out->count > 0 && out->ranges[out->count].first < out->ranges[out->count - 1].first) {
			*out_sorted = false;
		}
		out->count++;
	} while (read_octet(&text, ','));
	return text.length == 0;
}

/* Adding each range where it belongs would cost the square of their number when they come in falling order: so they are sorted first, and
 * added at the end, one after the other. */
bool
uidset_parse(struct uidset *set, struct slice text)
{
	SCOPED(uidset_finish) struct uidset read = UIDSET_INIT;
	struct uidset whole = UIDSET_INIT;
	bool sorted;

	if (!read_ranges(text, &read, &sorted)) {
		return false;
	}
	for (size_t i = 0; i < set->count; i++) {
		reserve_one(&read);
		read.ranges[read.count++] = set->ranges[i];
	}
	if (!sorted || set->count > 0) {
		qsort(read.ranges, read.count, sizeof(*read.ranges), compare_ranges);
	}
	for (size_t i = 0; i < read.count; i++) {
		uidset_add(&whole, read.ranges[i].first, read.ranges[i].last);
	}
	uidset_finish(set);
	*set = whole;
	return true;
}

void
uidset_print(const struct uidset *set, struct buf *out)
{
	for (size_t i = 0; i < set->count; i++) {
		if (i > 0) {
			buf_append_octet(out, ',');
		}
		buf_append_u64(out, set->ranges[i].first);
		if (set->ranges[i].last != set->ranges[i].first) {
			buf_append_octet(out, ':');
			buf_append_u64(out, set->ranges[i].last);
		}
	}
}

bool
uidset_next(const struct uidset *set, uint32_t *uid)
{
	size_t at;

	if (*uid == UINT32_MAX) {
		return false;
	}
	at = find_range(set, *uid + 1);
	if (at == set->count) {
		return false;
	}
	*uid = set->ranges[at].first > *uid ? set->ranges[at].first : *uid + 1;
	return true;
}

void
uidset_intersect(struct uidset *set, const struct uidset *other)
{
	struct uidset both = UIDSET_INIT;
	size_t i = 0, j = 0;

	while (i < set->count && j < other->count) {
		struct uid_range a = set->ranges[i], b = other->ranges[j];
		uint32_t first = a.first > b.first ? a.first : b.first, last = a.last < b.last ? a.last : b.last;

		if (first <= last) {
			uidset_add(&both, first, last);
		}
		if (a.last < b.last) {
			i++;
		} else {
			j++;
		}
	}
	uidset_finish(set);
	*set = both;
}
