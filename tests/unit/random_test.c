#include "engine/base/random.h"

#include "tests/unit/assert_slice.h"

static void
a_seed_fixes_a_run_and_near_seeds_differ(void **state)
{
	struct random a, b, c;
	unsigned same = 0;

	random_seed(&a, 5);
	random_seed(&b, 5);
	random_seed(&c, 6);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t value = random_u64(&a);

		assert_true(value == random_u64(&b));
		same += value == random_u64(&c);
	}
	assert_int_equal(same, 0);
}

static void
numbers_below_a_bound_come_about_equally_often(void **state)
{
	struct random random;
	unsigned counts[7] = {0};

	random_seed(&random, 0);
	for (unsigned i = 0; i < 70000; i++) {
		counts[random_below(&random, 7)]++;
	}
	for (unsigned i = 0; i < 7; i++) {
		assert_in_range(counts[i], 9500, 10500);
	}
	assert_int_equal(random_below(&random, 1), 0);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(random_below(&random, UINT64_C(3) << 62) < UINT64_C(3) << 62);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_fixes_a_run_and_near_seeds_differ),
		cmocka_unit_test(numbers_below_a_bound_come_about_equally_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
