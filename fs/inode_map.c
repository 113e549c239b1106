#include "fs/inode_map.h"

#include <assert.h>
#include <stdlib.h>

/* Linear probing; removal moves later entries of a run back, so there are no tombstones. */
struct inode_map_slot {
	uint64_t inode; /* 0: free */
	uint64_t value;
};

#define CAPACITY_MIN 64

void
inode_map_finish(struct inode_map *map)
{
	free(map->slots);
	*map = (struct inode_map){0};
}

static size_t
home_of(const struct inode_map *map, uint64_t inode)
{
	uint64_t mixed = inode * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(mixed >> 32) & (map->capacity - 1);
}

/* The slot of an inode, or the free one where it belongs. */
static struct inode_map_slot *
slot_of(const struct inode_map *map, uint64_t inode)
{
	size_t at = home_of(map, inode);

	while (map->slots[at].inode != 0 && map->slots[at].inode != inode) {
		at = (at + 1) & (map->capacity - 1);
	}
	return &map->slots[at];
}

bool
inode_map_get(const struct inode_map *map, uint64_t inode, uint64_t *out)
{
	const struct inode_map_slot *slot;

	if (map->count == 0) {
		return false;
	}
	slot = slot_of(map, inode);
	if (slot->inode == 0) {
		return false;
	}
	*out = slot->value;
	return true;
}

static void
grow(struct inode_map *map)
{
	struct inode_map bigger = {.capacity = map->capacity > 0 ? map->capacity * 2 : CAPACITY_MIN};

	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (bigger.slots == NULL) {
		abort();
	}
	for (size_t i = 0; i < map->capacity; i++) {
		if (map->slots[i].inode != 0) {
			*slot_of(&bigger, map->slots[i].inode) = map->slots[i];
			bigger.count++;
		}
	}
	free(map->slots);
	*map = bigger;
}

void
inode_map_put(struct inode_map *map, uint64_t inode, uint64_t value)
{
	struct inode_map_slot *slot;

	assert(inode != 0);
	if ((map->count + 1) * 2 > map->capacity) {
		grow(map);
	}
	slot = slot_of(map, inode);
	if (slot->inode == 0) {
		map->count++;
	}
	*slot = (struct inode_map_slot){.inode = inode, .value = value};
}

void
inode_map_remove(struct inode_map *map, uint64_t inode)
{
	size_t mask = map->capacity - 1, hole, at;

	if (map->count == 0 || slot_of(map, inode)->inode == 0) {
		return;
	}
	hole = (size_t)(slot_of(map, inode) - map->slots);
	map->count--;
	for (at = (hole + 1) & mask; map->slots[at].inode != 0; at = (at + 1) & mask) {
		size_t home = home_of(map, map->slots[at].inode);

		/* it may move into the hole unless its home lies between the hole and it */
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			map->slots[hole] = map->slots[at];
			hole = at;
		}
	}
	map->slots[hole].inode = 0;
}
