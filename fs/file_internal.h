/* What file.c and file_table.c share: the table of open files. */
#ifndef FS_FILE_INTERNAL_H
#define FS_FILE_INTERNAL_H

#include "fs/file.h"

/* Makes a file that is in no table, held once. file_destroy ends one that is in none any more. */
struct file *file_new(struct mount *mount, uint8_t octet, enum file_state state);
void file_destroy(struct file *file);
/* Finds by an inode without aliases. mount->lock is held, as it is for the two below. */
struct file *file_find_locked(struct mount *mount, uint64_t inode);
/* Puts a file among those whose name only the mount knows, or takes it out. */
void file_set_named_locked(struct mount *mount, struct file *file, bool named);
void file_set_name_locked(struct file *file, struct node dir, struct slice name);
/* Has a file that became a local one found under that one's inode, too. mount->lock is not held. */
void file_find_as_local(struct mount *mount, struct file *file, struct node local);
/* Joins what is open under an inode; NULL if nothing is. */
struct file *file_join(struct mount *mount, uint64_t inode, bool writes);

#endif
