/* Inode numbers: packed and back, stable, and small enough for doubles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/scope.h"
#include "fs/node.h"

static void
every_node_comes_back(void **state)
{
	static const uint32_t numbers[] = {0, 1, 2, 0x7fffffff, 0x80000000, UINT32_MAX};
	static const uint8_t accounts[] = {1, 2, 255};

	for (unsigned kind = NODE_MESSAGE; kind < NODE_KIND_COUNT; kind++) {
		for (size_t i = 0; i < ARRAY_LENGTH(numbers) * ARRAY_LENGTH(accounts); i++) {
			struct node node = {(enum node_kind)kind, accounts[i % ARRAY_LENGTH(accounts)],
				numbers[i / ARRAY_LENGTH(accounts)]};
			struct node back;
			uint64_t inode = node_pack(node);

			assert_true(inode < UINT64_C(1) << 53);
			assert_int_not_equal(inode, NODE_ROOT_INODE);
			assert_true(node_unpack(inode, &back));
			assert_int_equal(back.kind, kind == NODE_NEW ? NODE_MESSAGE : node.kind);
			assert_int_equal(back.account, node.account);
			assert_int_equal(back.number, node.number);
		}
	}
}

static void
the_root_is_one(void **state)
{
	struct node root = {.kind = NODE_ACCOUNTS}, back;

	assert_int_equal(node_pack(root), 1);
	assert_true(node_unpack(1, &back));
	assert_int_equal(back.kind, NODE_ACCOUNTS);
}

static void
numbers_stay_what_they_were(void **state)
{
	/* what a backup or a mail program has noted must hold after an upgrade */
	assert_int_equal(node_pack((struct node){NODE_MESSAGE, 1, 5}), 0x1000100000005);
	assert_int_equal(node_pack((struct node){NODE_MAILBOX, 2, 7}), 0x1010200000007);
	assert_int_equal(node_pack((struct node){NODE_LOCAL, 3, 9}), 0x1020300000009);
	assert_int_equal(node_pack((struct node){NODE_MAILDIR, 1, 7}), 0x2000100000007);
	assert_int_equal(node_pack((struct node){NODE_CUR, 1, 7}), 0x2010100000007);
	assert_int_equal(node_pack((struct node){NODE_FRESH, 1, 7}), 0x2020100000007);
	assert_int_equal(node_pack((struct node){NODE_TMP, 1, 7}), 0x2030100000007);
}

static void
what_was_never_given_is_refused(void **state)
{
	struct node back;

	assert_false(node_unpack(0, &back));
	assert_false(node_unpack(2, &back));
	assert_false(node_unpack(UINT64_C(0x1000000000005), &back)); /* no account */
	assert_false(node_unpack(UINT64_C(0x2040100000005), &back)); /* no part of the Maildir view */
	assert_false(node_unpack(UINT64_C(0x3000100000005), &back)); /* parts are not given yet */
	assert_false(node_unpack(UINT64_C(0x1ff0100000005), &back));
	assert_false(node_unpack(UINT64_MAX, &back));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_node_comes_back),
		cmocka_unit_test(the_root_is_one),
		cmocka_unit_test(numbers_stay_what_they_were),
		cmocka_unit_test(what_was_never_given_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
