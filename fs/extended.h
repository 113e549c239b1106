/* Extended attributes: flags, keywords, and what is known of a message (design 5, Flags). */
#ifndef FS_EXTENDED_H
#define FS_EXTENDED_H

#include "fs/attr.h"
#include "fs/reply.h"

/* Answer GETXATTR, LISTXATTR, SETXATTR (and REMOVEXATTR, an empty value). A file that was closed just now is waited for: its RELEASE, which makes the
 * message of it, may be behind this request. */
void extended_answer_get(struct mount *mount, fuse_req_t req, uint64_t inode, const char *name, size_t size);
void extended_answer_list(struct mount *mount, fuse_req_t req, uint64_t inode, size_t size);
void extended_answer_set(
	struct mount *mount, fuse_req_t req, uint64_t inode, const char *name, struct slice value, int flags);

#endif
