/* The result does not depend on which mailbox, or which side, was looked at first (R12): the same history is told with another order of scanning each time. */
#include "tests/sim/stories.h"

enum order {
	ORDER_USUAL,
	ORDER_ROWS_REVERSED, /* a scan goes by the rows of mailboxes, which were made the other way round */
	ORDER_HERE_FIRST,    /* a pass of local changes first */
	ORDER_ONE_BY_ONE,    /* a pass for each mailbox */
	ORDER_ONE_BY_ONE_REVERSED,
	ORDER_SECOND_PROCESS, /* another process looks first */
	ORDERS,
};

static const char *const names[] = {"INBOX", "W", "X", "Y", "Z"};

static void
make_mailboxes(enum order order)
{
	for (int i = 1; i <= 4; i++) {
		int at = order == ORDER_ROWS_REVERSED ? 5 - i : i;

		if (at > 1) {
			there_create(names[at]);
			world_settle(); /* in this order they get their rows */
		}
	}
}

static void
begin_in(enum order order)
{
	make_mailboxes(order);
	for (int i = 1; i <= 9; i++) {
		char token[20];

		(void)snprintf(token, sizeof token, "m%d", i);
		there_add(i % 2 == 0 ? "Y" : "X", token);
	}
	there_add("INBOX", "i1");
	world_settle();
}

static void
change_both_sides(void)
{
	here_move("X", "m1", "Y");
	there_move("X", "m1", "Z");
	here_expunge("Y", "m2");
	there_flag("Y", "m2", "+flagged");
	here_flag("X", "m3", "+seen");
	there_expunge("X", "m3");
	here_flag("Y", "m4", "+seen");
	there_flag("Y", "m4", "+flagged");
	there_move("Y", "m4", "X");
	here_move("X", "m5", "Z");
	there_expunge("X", "m5");
	here_move("Y", "m6", "INBOX");
	there_flag("Y", "m6", "+answered");
	here_expunge("X", "m7");
	there_move("X", "m7", "Z");
	here_copy("Y", "m8", "Z");
	there_move("X", "m9", "Y");
	there_move("INBOX", "i1", "X");
	here_add("Y", "n1+seen");
	there_add("X", "n2");
	here_create("W");
	there_create("W");
	there_add("W", "w1");
	here_add("W", "w2");
}

static void
pass_in(enum order order)
{
	struct sync_result result;

	switch (order) {
	case ORDER_HERE_FIRST:
		assert_true(world_try(WORLD_PASS_LOCAL_ONLY));
		break;
	case ORDER_ONE_BY_ONE:
	case ORDER_ONE_BY_ONE_REVERSED:
		for (int i = 0; i < 5; i++) {
			world_pass_over(names[order == ORDER_ONE_BY_ONE ? i : 4 - i]);
		}
		break;
	case ORDER_SECOND_PROCESS:
		assert_true(world_try_second(WORLD_PASS_LOCAL_ONLY, &result));
		sync_result_finish(&result);
		break;
	case ORDER_USUAL:
	case ORDER_ROWS_REVERSED:
	case ORDERS:
		break;
	}
}

static char *
tell_result(void)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		char *here = world_list_here(names[i]), *there = world_list_there(names[i]);

		buf_printf(&text, "%s here [%s] there [%s]\n", names[i], here != NULL ? here : "none",
			there != NULL ? there : "none");
		free(here);
		free(there);
	}
	return buf_take(&text);
}

static void
the_result_does_not_depend_on_the_order_of_scanning(void **state)
{
	struct world_options options = world.options;
	char *first = NULL;

	for (enum order order = ORDER_USUAL; order < ORDERS; order++) {
		/* Without GUIDs a move that is seen in two passes is one message gone and one new. */
		bool one_by_one = order == ORDER_ONE_BY_ONE || order == ORDER_ONE_BY_ONE_REVERSED;

		if (one_by_one && options.server.guids == MODEL_GUIDS_NONE) {
			continue;
		}
		world_end();
		world_begin(&options);
		begin_in(order);
		change_both_sides();
		pass_in(order);
		world_settle();
		world_settle();
		if (world.options.server.without_uidplus) {
			for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
				there_expunge_deleted(names[i]);
			}
			world_settle();
		}
		world_expect_agreed();
		char *result = tell_result();

		if (first == NULL) {
			first = result;
			continue;
		}
		if (strcmp(first, result) != 0) {
			fail_msg("order %d gives\n%sthe usual one\n%s", (int)order, result, first);
		}
		free(result);
	}
	free(first);
}

int
main(void)
{
	static const struct story stories[] = {
		STORY(the_result_does_not_depend_on_the_order_of_scanning, ON_ALL),
	};

	return stories_tell("stories of order", stories, ARRAY_LENGTH(stories));
}
