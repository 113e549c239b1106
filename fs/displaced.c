#include "fs/displaced.h"

#include <stdlib.h>

#include "fs/mount_internal.h"
#include "fs/name.h"

static void
clear(struct displaced_table *table, size_t i)
{
	free(table->items[i].name);
	table->items[i].name = NULL;
}

void
displaced_note(struct mount *mount, struct node dir, struct slice name, uint32_t number)
{
	struct displaced_table *table = &mount->displaced;

	displaced_forget(mount, dir.account, number);
	mutex_lock(&mount->lock);
	for (size_t i = 0; i < DISPLACED_MAX; i++) { /* the last that had the name counts */
		if (table->items[i].name != NULL && node_equal(table->items[i].dir, dir) &&
			slice_equal(slice_of(table->items[i].name), name)) {
			clear(table, i);
		}
	}
	clear(table, table->next);
	table->items[table->next].dir = dir;
	table->items[table->next].name = slice_dup(name);
	table->items[table->next].number = number;
	table->next = (table->next + 1) % DISPLACED_MAX;
	mutex_unlock(&mount->lock);
}

static bool
stands_aside(struct mount *mount, struct node dir, uint32_t number)
{
	SCOPED(view_message_finish) struct view_message message = {0};
	struct error ignored = ERROR_INIT;

	return view_message_load(mount_account(mount, dir.account), (struct number){number}, &message, &ignored) &&
	       message.mailbox.value == dir.number && name_classify(message.name) == NAME_LOCAL;
}

struct number
displaced_find(struct mount *mount, struct node dir, struct slice name)
{
	struct displaced_table *table = &mount->displaced;
	uint32_t number = 0;

	mutex_lock(&mount->lock);
	for (size_t i = 0; i < DISPLACED_MAX && number == 0; i++) {
		if (table->items[i].name != NULL && node_equal(table->items[i].dir, dir) &&
			slice_equal(slice_of(table->items[i].name), name)) {
			number = table->items[i].number;
		}
	}
	mutex_unlock(&mount->lock);
	if (number != 0 && !stands_aside(mount, dir, number)) {
		displaced_forget(mount, dir.account, number);
		number = 0;
	}
	return (struct number){number};
}

void
displaced_forget(struct mount *mount, uint8_t octet, uint32_t number)
{
	struct displaced_table *table = &mount->displaced;

	mutex_lock(&mount->lock);
	for (size_t i = 0; i < DISPLACED_MAX; i++) {
		if (table->items[i].name != NULL && table->items[i].number == number &&
			table->items[i].dir.account == octet) {
			clear(table, i);
		}
	}
	mutex_unlock(&mount->lock);
}

void
displaced_finish(struct displaced_table *table)
{
	for (size_t i = 0; i < DISPLACED_MAX; i++) {
		clear(table, i);
	}
}
