/* rename: what each pair of things under the old and the new name means (design 5, Writing). */
#ifndef FS_RENAME_H
#define FS_RENAME_H

#include "fs/dir.h"

void rename_answer(struct mount *mount, fuse_req_t req, uint64_t from_inode, const char *from_name, uint64_t to_inode,
	const char *to_name, unsigned flags);

#endif
