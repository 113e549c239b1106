#include "engine/sync/plan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static enum plan_kind
plan_tombstone(const struct plan_message *message)
{
	if (!message->base_here || !message->by_user) {
		return PLAN_NOTHING;
	}
	if (message->held || message->waits_for_successor || message->from == PLAN_BUSY) {
		return PLAN_LATER;
	}
	return message->from == PLAN_CLOSED ? PLAN_NOTHING : message->from == PLAN_FIXED ? PLAN_FORBID : PLAN_EXPUNGE;
}

enum plan_kind
plan_message(const struct plan_message *message)
{
	if (!message->base) {
		if (!message->live || !message->body_here || message->to == PLAN_CLOSED) {
			return PLAN_NOTHING;
		}
		return message->to == PLAN_BUSY ? PLAN_LATER : message->to == PLAN_FIXED ? PLAN_FORBID : PLAN_UPLOAD;
	}
	if (!message->live) {
		return plan_tombstone(message);
	}
	if (!message->base_here) {
		return PLAN_NOTHING; /* kept or held against the other side */
	}
	if (message->from == PLAN_BUSY || message->to == PLAN_BUSY) {
		return !message->same_mailbox || message->flags_differ ? PLAN_LATER : PLAN_NOTHING;
	}
	if (!message->same_mailbox) {
		if (message->from == PLAN_CLOSED || message->to == PLAN_CLOSED) {
			return PLAN_NOTHING;
		}
		return message->from == PLAN_FIXED || message->to == PLAN_FIXED ? PLAN_FORBID : PLAN_MOVE;
	}
	return message->flags_differ && message->from == PLAN_READY ? PLAN_STORE : PLAN_NOTHING;
}

static int
plan_compare_flags(const struct flags *a, const struct flags *b)
{
	if (a->bits != b->bits) {
		return a->bits < b->bits ? -1 : 1;
	}
	return strcasecmp(a->keywords != NULL ? a->keywords : "", b->keywords != NULL ? b->keywords : "");
}

static int
plan_compare_change(const struct plan_store *a, const struct plan_store *b)
{
	int order = plan_compare_flags(&a->add, &b->add);

	return order != 0 ? order : plan_compare_flags(&a->remove, &b->remove);
}

static int
plan_compare_store(const void *left, const void *right)
{
	const struct plan_store *a = left, *b = right;
	int order = plan_compare_change(a, b);

	if (order != 0) {
		return order;
	}
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

void
plan_store_sort(struct plan_store *stores, size_t count)
{
	qsort(stores, count, sizeof(*stores), plan_compare_store);
}

size_t
plan_store_group(const struct plan_store *stores, size_t count, size_t first)
{
	size_t end = first + 1;

	while (end < count && plan_compare_change(&stores[first], &stores[end]) == 0) {
		end++;
	}
	return end - first;
}

static int
plan_compare_transfer(const void *left, const void *right)
{
	const struct plan_transfer *a = left, *b = right;

	if (a->to != b->to) {
		return a->to < b->to ? -1 : 1;
	}
	if (a->from != b->from) {
		return a->from < b->from ? -1 : 1;
	}
	if (a->uid != b->uid) {
		return a->uid < b->uid ? -1 : 1;
	}
	return a->item < b->item ? -1 : a->item > b->item;
}

void
plan_transfer_sort(struct plan_transfer *transfers, size_t count)
{
	qsort(transfers, count, sizeof(*transfers), plan_compare_transfer);
}

size_t
plan_transfer_group(const struct plan_transfer *transfers, size_t count, size_t first)
{
	size_t end = first + 1;

	while (end < count && transfers[end].from == transfers[first].from &&
		transfers[end].to == transfers[first].to) {
		end++;
	}
	return end - first;
}
