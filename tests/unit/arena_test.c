#include "engine/base/arena.h"

#include <stdalign.h>

#include "engine/base/random.h"
#include "engine/base/scope.h"
#include "tests/unit/assert_slice.h"

static void
pieces_are_zeroed_aligned_and_apart(void **state)
{
	SCOPED(arena_finish) struct arena arena = ARENA_INIT;
	unsigned char *pieces[500];
	size_t sizes[500];
	struct random random;

	random_seed(&random, 1);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 500; i++) {
			sizes[i] = random_below(&random, i % 50 == 0 ? 50000 : 300);
			pieces[i] = arena_alloc(&arena, sizes[i]);
			assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
			for (size_t j = 0; j < sizes[i]; j++) {
				assert_int_equal(pieces[i][j], 0);
			}
			memset(pieces[i], (int)(i % 251) + 1, sizes[i]);
		}
		for (unsigned i = 0; i < 500; i++) {
			for (size_t j = 0; j < sizes[i]; j++) {
				assert_int_equal(pieces[i][j], i % 251 + 1);
			}
		}
		arena_reset(&arena);
		assert_int_equal(arena.used, 0);
	}
}

static void
copies_end_in_a_nul(void **state)
{
	SCOPED(arena_finish) struct arena arena = ARENA_INIT;
	struct slice copy = arena_copy(&arena, SLICE_LITERAL("a\0b"));

	assert_slice(copy, "a\0b");
	assert_int_equal(copy.data[3], '\0');
	assert_string_equal(arena_text(&arena, slice_of(NULL)), "");
	assert_int_equal(arena.used, 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
		cmocka_unit_test(copies_end_in_a_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
