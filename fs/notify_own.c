#include "fs/notify_own.h"

#include <assert.h>
#include <stdlib.h>

#define OWN_MAX 4096 /* tickets */

struct notify_own_entry {
	struct notify_own_entry *next, **at; /* in its bucket */
	const struct notify_ticket *ticket;
	struct notify_own what;
	char *name;
};

struct notify_ticket {
	struct notify_ticket *next, **at;
	uint8_t octet;
	uint64_t modseq; /* UINT64_MAX while it goes on */
	size_t count;
	struct notify_own_entry entries[NOTIFY_OWN_MAX];
};

void
notify_own_init(struct notify_own_table *table)
{
	*table = (struct notify_own_table){0};
	mutex_init(&table->lock, LOCK_RANK_LEAF);
}

static struct notify_own_entry **
bucket_of(struct notify_own_table *table, uint64_t dir_inode, struct slice name)
{
	uint64_t hash = dir_inode * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < name.length; i++) {
		hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001b3);
	}
	return &table->buckets[(hash >> 32) % NOTIFY_OWN_BUCKETS];
}

static void
add_entry_locked(struct notify_own_table *table, struct notify_own_entry *entry)
{
	struct notify_own_entry **bucket = bucket_of(table, entry->what.dir_inode, entry->what.name);

	entry->next = *bucket;
	entry->at = bucket;
	if (entry->next != NULL) {
		entry->next->at = &entry->next;
	}
	*bucket = entry;
}

struct notify_ticket *
notify_own_announce(struct notify_own_table *table, uint8_t octet, const struct notify_own *owns, size_t count)
{
	struct notify_ticket *ticket = calloc(1, sizeof(*ticket));

	assert(count <= NOTIFY_OWN_MAX);
	if (ticket == NULL) {
		abort();
	}
	ticket->octet = octet;
	ticket->modseq = UINT64_MAX;
	ticket->count = count;
	for (size_t i = 0; i < count; i++) {
		ticket->entries[i] =
			(struct notify_own_entry){.ticket = ticket, .what = owns[i], .name = slice_dup(owns[i].name)};
		ticket->entries[i].what.name.data = ticket->entries[i].name;
	}
	mutex_lock(&table->lock);
	bool full = table->count >= OWN_MAX;

	for (size_t i = 0; i < count && !full; i++) {
		add_entry_locked(table, &ticket->entries[i]);
	}
	if (!full) {
		table->count++;
		ticket->next = table->tickets;
		ticket->at = &table->tickets;
		if (ticket->next != NULL) {
			ticket->next->at = &ticket->next;
		}
		table->tickets = ticket;
	}
	mutex_unlock(&table->lock);
	if (full) {
		for (size_t i = 0; i < count; i++) {
			free(ticket->entries[i].name);
		}
		free(ticket);
		ticket = NULL;
	}
	return ticket;
}

/* Takes a ticket and its names out of the table. */
static void
take_out_locked(struct notify_own_table *table, struct notify_ticket *ticket)
{
	for (size_t i = 0; i < ticket->count; i++) {
		struct notify_own_entry *entry = &ticket->entries[i];

		*entry->at = entry->next;
		if (entry->next != NULL) {
			entry->next->at = entry->at;
		}
	}
	*ticket->at = ticket->next;
	if (ticket->next != NULL) {
		ticket->next->at = ticket->at;
	}
	table->count--;
}

static void
destroy(struct notify_ticket *ticket)
{
	for (size_t i = 0; i < ticket->count; i++) {
		free(ticket->entries[i].name);
	}
	free(ticket);
}

void
notify_own_succeeded(struct notify_own_table *table, struct notify_ticket *ticket, uint64_t modseq, uint64_t number)
{
	mutex_lock(&table->lock);
	ticket->modseq = modseq;
	for (size_t i = 0; i < ticket->count; i++) {
		if (ticket->entries[i].what.number == 0) {
			ticket->entries[i].what.number = number;
		}
	}
	mutex_unlock(&table->lock);
}

void
notify_own_failed(struct notify_own_table *table, struct notify_ticket *ticket,
	void (*each)(void *context, uint64_t dir_inode, struct slice name), void *context)
{
	mutex_lock(&table->lock);
	take_out_locked(table, ticket);
	mutex_unlock(&table->lock);
	for (size_t i = 0; i < ticket->count; i++) {
		each(context, ticket->entries[i].what.dir_inode, ticket->entries[i].what.name);
	}
	destroy(ticket);
}

static bool
fits(const struct notify_own_entry *entry, const struct notify_told *told, uint64_t dir_inode, bool live)
{
	const struct notify_own *what = &entry->what;

	return entry->ticket->octet == told->octet && entry->ticket->modseq >= told->modseq &&
	       what->dir_inode == dir_inode && what->live == live &&
	       (what->number == told->number || what->number == 0) && slice_equal(what->name, told->leaf);
}

bool
notify_own_has(struct notify_own_table *table, const struct notify_told *told, uint64_t dir_inode, bool live,
	bool *out_dir_known)
{
	const struct notify_own_entry *entry;

	mutex_lock(&table->lock);
	entry = *bucket_of(table, dir_inode, told->leaf);
	while (entry != NULL && !fits(entry, told, dir_inode, live)) {
		entry = entry->next;
	}
	*out_dir_known = entry != NULL && entry->what.dir_known;
	mutex_unlock(&table->lock);
	return entry != NULL;
}

void
notify_own_told(struct notify_own_table *table, uint8_t octet, uint64_t until)
{
	struct notify_ticket *gone = NULL;

	mutex_lock(&table->lock);
	for (struct notify_ticket *ticket = table->tickets, *next; ticket != NULL; ticket = next) {
		next = ticket->next;
		if (ticket->octet == octet && ticket->modseq <= until) {
			take_out_locked(table, ticket);
			ticket->next = gone;
			gone = ticket;
		}
	}
	mutex_unlock(&table->lock);
	while (gone != NULL) {
		struct notify_ticket *next = gone->next;

		destroy(gone);
		gone = next;
	}
}

void
notify_own_finish(struct notify_own_table *table)
{
	while (table->tickets != NULL) {
		struct notify_ticket *ticket = table->tickets;

		take_out_locked(table, ticket);
		destroy(ticket);
	}
	mutex_finish(&table->lock);
}
