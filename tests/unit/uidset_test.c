#include "engine/mail/uidset.h"

#include <stdio.h>

#include "engine/base/random.h"
#include "tests/unit/assert_slice.h"

static void
assert_set(const struct uidset *set, const char *text)
{
	SCOPED(buf_finish) struct buf out = BUF_INIT;

	uidset_print(set, &out);
	assert_slices(buf_slice(&out), slice_of(text));
}

static void
texts_are_read_in_any_order_and_printed_in_one(void **state)
{
	static const struct {
		const char *text, *printed;
	} cases[] = {
		{"1", "1"},
		{"1:5,7,9:12", "1:5,7,9:12"},
		{"5:1", "1:5"},
		{"3,2,1", "1:3"},
		{"1:3,4:6", "1:6"},
		{"10,1:20,5", "1:20"},
		{"4294967295,1", "1,4294967295"},
		{"1:4294967295", "1:4294967295"},
		{"4294967294:4294967295,4294967293", "4294967293:4294967295"},
		{"7:7,7", "7"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;

		assert_true(uidset_parse(&set, slice_of(cases[i].text)));
		assert_set(&set, cases[i].printed);
	}
}

static void
what_is_no_set_is_refused_and_changes_nothing(void **state)
{
	static const char *const refused[] = {
		"",
		"0",
		"1:0",
		"0:1",
		"*",
		"1:*",
		"1,",
		",1",
		"1,,2",
		"1:",
		":1",
		"1:2:3",
		"1 2",
		" 1",
		"1 ",
		"01",
		"-1",
		"4294967296",
		"1:99999999999999999999",
		"a",
		"1;2",
	};

	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
		SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;

		uidset_add(&set, 100, 200);
		if (uidset_parse(&set, slice_of(refused[i]))) {
			fail_msg("accepted: %s", refused[i]);
		}
		assert_set(&set, "100:200");
	}
}

static void
reading_adds_to_what_is_there(void **state)
{
	SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;

	uidset_add(&set, 10, 20);
	assert_true(uidset_parse(&set, SLICE_LITERAL("1:2,21,30")));
	assert_set(&set, "1:2,10:21,30");
	uidset_clear(&set);
	assert_set(&set, "");
}

static void
too_many_ranges_are_refused_and_falling_ones_cost_no_square(void **state)
{
	SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	for (uint32_t i = 0; i < UIDSET_RANGES_MAX; i++) {
		buf_append_u64(&text, 3000000 - 2 * i);
		buf_append_octet(&text, ',');
	}
	buf_truncate(&text, text.length - 1);
	assert_true(uidset_parse(&set, buf_slice(&text)));
	assert_int_equal(set.count, UIDSET_RANGES_MAX);
	buf_append_text(&text, ",1");
	assert_false(uidset_parse(&set, buf_slice(&text)));
	assert_int_equal(set.count, UIDSET_RANGES_MAX);
}

#define MODEL_SIZE 200

/* The set as a bitmap, and a base so that both ends of the numbers are met. */
struct model {
	uint32_t base;
	bool has[MODEL_SIZE];
};

static void
assert_same(const struct uidset *set, const struct model *model)
{
	uint64_t size = 0;
	uint32_t uid = 0;

	for (uint32_t i = 0; i < MODEL_SIZE; i++) {
		assert_int_equal(uidset_contains(set, model->base + i), model->has[i]);
		if (model->has[i]) {
			size++;
			assert_true(uidset_next(set, &uid));
			assert_int_equal(uid, model->base + i);
		}
	}
	assert_false(uidset_next(set, &uid));
	assert_true(uidset_size(set) == size);
	for (size_t i = 0; i < set->count; i++) {
		assert_true(set->ranges[i].first <= set->ranges[i].last && set->ranges[i].first > 0);
		assert_true(i == 0 || set->ranges[i - 1].last + 1 < set->ranges[i].first); /* never touching */
	}
}

static void
fill_model(struct model *model, uint32_t first, uint32_t last, bool value)
{
	for (uint32_t i = first < last ? first : last; i <= (first < last ? last : first); i++) {
		model->has[i] = value;
	}
}

static void
random_changes_agree_with_a_bitmap(void **state)
{
	static const uint32_t bases[] = {1, 1000, UINT32_MAX - MODEL_SIZE + 1};
	struct random random;

	random_seed(&random, 11);
	for (unsigned round = 0; round < 60; round++) {
		SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;
		SCOPED(uidset_finish) struct uidset other = UIDSET_INIT;
		SCOPED(uidset_finish) struct uidset again = UIDSET_INIT;
		SCOPED(buf_finish) struct buf text = BUF_INIT;
		struct model model = {.base = bases[round % 3]}, other_model = model;

		for (unsigned step = 0; step < 60; step++) {
			uint32_t first = (uint32_t)random_below(&random, MODEL_SIZE),
				 length = (uint32_t)random_below(&random, 12);
			uint32_t last = first + length < MODEL_SIZE ? first + length : MODEL_SIZE - 1;

			if (random_below(&random, 3) == 0) {
				uidset_remove(&set, model.base + last, model.base + first);
				fill_model(&model, first, last, false);
			} else {
				uidset_add(&set, model.base + first, model.base + last);
				fill_model(&model, first, last, true);
			}
			uidset_add(&other, model.base + last, model.base + first / 2);
			fill_model(&other_model, first / 2, last, true);
			if (random_below(&random, 20) == 0) {
				uidset_clear(&other);
				fill_model(&other_model, 0, MODEL_SIZE - 1, false);
			}
			assert_same(&set, &model);
		}
		uidset_print(&set, &text);
		assert_true(text.length == 0 || uidset_parse(&again, buf_slice(&text)));
		assert_same(&again, &model);
		uidset_intersect(&set, &other);
		for (uint32_t i = 0; i < MODEL_SIZE; i++) {
			model.has[i] = model.has[i] && other_model.has[i];
		}
		assert_same(&set, &model);
	}
}

static void
the_largest_range_is_held_without_being_expanded(void **state)
{
	SCOPED(uidset_finish) struct uidset set = UIDSET_INIT;
	uint32_t uid = UINT32_MAX - 1;

	uidset_add(&set, 1, UINT32_MAX);
	uidset_add(&set, 1, 1);
	uidset_add(&set, UINT32_MAX, UINT32_MAX);
	assert_true(uidset_size(&set) == UINT32_MAX);
	assert_true(uidset_next(&set, &uid));
	assert_false(uidset_next(&set, &uid));
	uidset_remove(&set, 2, UINT32_MAX - 1);
	assert_set(&set, "1,4294967295");
	assert_false(uidset_contains(&set, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_read_in_any_order_and_printed_in_one),
		cmocka_unit_test(what_is_no_set_is_refused_and_changes_nothing),
		cmocka_unit_test(reading_adds_to_what_is_there),
		cmocka_unit_test(too_many_ranges_are_refused_and_falling_ones_cost_no_square),
		cmocka_unit_test(random_changes_agree_with_a_bitmap),
		cmocka_unit_test(the_largest_range_is_held_without_being_expanded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
