/* The table of inodes against a plain array, at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/random.h"
#include "fs/inode_map.h"

#define INODES 300

static void
it_agrees_with_an_array(void **state)
{
	struct inode_map map = {0};
	struct random random;
	uint64_t model[INODES] = {0}, value;
	size_t count = 0;

	random_seed(&random, 1);
	for (int step = 0; step < 20000; step++) {
		size_t at = (size_t)random_below(&random, INODES);
		uint64_t inode = (UINT64_C(0x1010100000000) | at) + 1; /* as they come: one after another */

		switch (random_below(&random, 3)) {
		case 0:
			count += model[at] == 0;
			model[at] = (uint64_t)step + 1;
			inode_map_put(&map, inode, model[at]);
			break;
		case 1:
			count -= model[at] != 0;
			model[at] = 0;
			inode_map_remove(&map, inode);
			break;
		default:
			assert_int_equal(inode_map_get(&map, inode, &value), model[at] != 0);
			assert_true(model[at] == 0 || value == model[at]);
		}
		assert_int_equal(map.count, count);
	}
	for (size_t at = 0; at < INODES; at++) {
		assert_int_equal(inode_map_get(&map, (UINT64_C(0x1010100000000) | at) + 1, &value), model[at] != 0);
	}
	inode_map_finish(&map);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_agrees_with_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
