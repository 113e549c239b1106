/* rename: what each pair of things under the old and the new name means (design 5, Writing). */
#ifndef FS_RENAME_H
#define FS_RENAME_H

#include "fs/dir.h"

/* One rename(2), looked up on both sides. */
struct renaming {
	struct node from_dir, to_dir;
	struct slice from_name, to_name;
	struct entry source;
	struct entry target; /* when there is one */
	bool replaces;
	bool may_wait;
	uint64_t
		waits; /* the inode of a file whose last close is under way: it is to be a message before it is renamed */
};
/* The message that would be replaced, or 0. */
struct number rename_replaced_message(const struct renaming *renaming);
/* Takes away what stands under the new name and is no message; a message is replaced by the engine, with the flags it had. */
bool rename_clear_target(struct mount *mount, const struct renaming *renaming, struct error *err) MUST_CHECK;

void rename_answer(struct mount *mount, fuse_req_t req, uint64_t from_inode, const char *from_name, uint64_t to_inode,
	const char *to_name, unsigned flags);

#endif
