#include "engine/busiest.h"

#define WORKING 2 /* connections that never listen: the worker's, and one for bodies */

static uint64_t
weight(const struct busiest_mailbox *mailbox)
{
	return mailbox->heard ? 2 * (uint64_t)mailbox->changes : mailbox->changes;
}

/* a goes before b. */
static bool
is_busier(const struct busiest_mailbox *a, const struct busiest_mailbox *b)
{
	if (a->inbox != b->inbox) {
		return a->inbox;
	}
	if (a->dull != b->dull) {
		return b->dull;
	}
	if (weight(a) != weight(b)) {
		return weight(a) > weight(b);
	}
	if (a->heard != b->heard) {
		return a->heard;
	}
	if (a->touched_s != b->touched_s) {
		return a->touched_s > b->touched_s;
	}
	return a->id.value < b->id.value;
}

size_t
busiest_choose(const struct busiest_mailbox *mailboxes, size_t count, size_t most, size_t *out)
{
	size_t chosen = 0;

	/* The chosen ones are kept in order: few of many, so each of the many is compared with the last of them. */
	for (size_t i = 0; i < count && most > 0; i++) {
		size_t place = chosen;

		while (place > 0 && is_busier(&mailboxes[i], &mailboxes[out[place - 1]])) {
			place--;
		}
		if (place == most) {
			continue;
		}
		chosen += chosen < most ? 1 : 0;
		for (size_t j = chosen - 1; j > place; j--) {
			out[j] = out[j - 1];
		}
		out[place] = i;
	}
	return chosen;
}

uint32_t
busiest_age(uint32_t changes, int64_t hours)
{
	return hours <= 0 ? changes : hours >= 32 ? 0 : changes >> hours;
}

unsigned
busiest_listeners(unsigned connections)
{
	return connections > WORKING ? connections - WORKING : 0;
}
