/* A table from inode number to a 64-bit value: for the few inodes of which something is known besides their number. */
#ifndef FS_INODE_MAP_H
#define FS_INODE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inode_map {
	struct inode_map_slot *slots;
	size_t count, capacity; /* capacity: 0 or a power of two */
};

void inode_map_finish(struct inode_map *map);
/* Tells the value of an inode; false if it has none. */
bool inode_map_get(const struct inode_map *map, uint64_t inode, uint64_t *out);
/* Sets the value; inode 0 is nobody's. */
void inode_map_put(struct inode_map *map, uint64_t inode, uint64_t value);
void inode_map_remove(struct inode_map *map, uint64_t inode);

#endif
