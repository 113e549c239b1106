/* Two sets of UIDs, parted by a line end: each is read and printed, and they are intersected. */
#include <assert.h>

#include "engine/mail/uidset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_shape(const struct uidset *set)
{
	for (size_t i = 0; i < set->count; i++) {
		assert(set->ranges[i].first > 0 && set->ranges[i].first <= set->ranges[i].last);
		assert(i == 0 || (uint64_t)set->ranges[i - 1].last + 1 < set->ranges[i].first);
	}
}

static void
check_print(const struct uidset *set)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	SCOPED(buf_finish) struct buf again_text = BUF_INIT;
	SCOPED(uidset_finish) struct uidset again = UIDSET_INIT;

	uidset_print(set, &text);
	assert(set->count == 0 || uidset_parse(&again, buf_slice(&text)));
	uidset_print(&again, &again_text);
	assert(slice_equal(buf_slice(&text), buf_slice(&again_text)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	size_t first = slice_find(text, '\n');
	SCOPED(uidset_finish) struct uidset a = UIDSET_INIT;
	SCOPED(uidset_finish) struct uidset b = UIDSET_INIT;
	bool has_b;
	uint32_t uid = 0;

	if (!uidset_parse(&a, slice_head(text, first))) {
		assert(a.count == 0);
	}
	has_b = uidset_parse(&b, slice_skip(text, first < size ? first + 1 : first));
	check_shape(&a);
	check_print(&a);
	uidset_intersect(&a, &b);
	check_shape(&a);
	assert(has_b || a.count == 0);
	for (unsigned i = 0; i < 1000 && uidset_next(&a, &uid); i++) {
		assert(uidset_contains(&a, uid) && uidset_contains(&b, uid));
	}
	for (size_t i = 0; i < a.count; i++) {
		uidset_remove(&b, a.ranges[i].first, a.ranges[i].last);
	}
	check_shape(&b);
	uidset_intersect(&b, &a);
	assert(uidset_size(&b) == 0);
	return 0;
}
