/* What the stories of trouble, of rebuilt servers and of the brake begin with, and how a trouble is met. */
#ifndef SIM_TROUBLE_H
#define SIM_TROUBLE_H

#include "tests/sim/stories.h"

static inline void
fill(const char *mailbox, const char *prefix, int count)
{
	for (int i = 1; i <= count; i++) {
		char token[40];

		(void)snprintf(token, sizeof token, "%s%d", prefix, i);
		there_add(mailbox, token);
	}
}

/* INBOX with m1..m3, Archive with a1. */
static inline void
a_small_account(void)
{
	there_create("Archive");
	fill("INBOX", "m", 3);
	there_add("Archive", "a1");
	world_settle();
	world_expect_equal();
}

static inline void
settle_marked(const char *mailbox)
{
	if (world.options.server.without_uidplus) {
		there_expunge_deleted(mailbox);
		world_settle();
	}
}

/* Runs the pass in which the trouble comes, and then all that follows it. */
static inline void
meet_trouble(const char *call, enum model_fault fault, unsigned item, bool half)
{
	world_trouble(call, fault, item);
	world.remote->trouble.half = half;
	(void)world_try(WORLD_PASS_ALL);
	assert_true(world.remote->fired);
	world_settle();
	world_advance_s(120); /* what was set aside comes again */
	world_settle();
}

/* Tells a story once for each way in which a call can go wrong. */
static inline void
with_every_trouble(const char *call, void (*change)(void), void (*check)(void))
{
	struct world_options options = world.options;

	for (int fault = 0; fault < MODEL_FAULT_COUNT; fault++) {
		bool halves = fault == MODEL_LOST || fault == MODEL_REFUSED || fault == MODEL_STOP_AFTER;

		for (unsigned item = 0; item < 2; item++) {
			for (int half = 0; half < (halves ? 2 : 1); half++) {
				world_end();
				world_begin(&options);
				a_small_account();
				change();
				print_message("  %s: %s at %u%s\n", call, model_fault_name((enum model_fault)fault),
					item, half ? ", half" : "");
				meet_trouble(call, (enum model_fault)fault, item, half);
				check();
			}
		}
	}
}

#endif
