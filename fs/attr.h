/* What stat shows (design 5, Stat). */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include <sys/stat.h>

#include "engine/edit.h"
#include "fs/node.h"

struct mount;
struct handle;

/* A name's answer to the kernel. */
struct entry {
	uint64_t inode;
	struct node node;
	struct stat attr;
	bool attr_passing; /* ask again each time: the size is not exact yet, or it is nobody's to tell changes */
	bool name_passing; /* the same of the name */
};

/* Fill an entry from what stands for it. An octet is account_octet's; `view` is the kind of the mailbox's directory. */
void attr_of_message(struct mount *mount, uint8_t octet, const struct view_message *message, struct entry *out);
void attr_of_mailbox(
	struct mount *mount, enum node_kind view, uint8_t octet, const struct view_mailbox *mailbox, struct entry *out);
/* The directory of an account, or the one above several. */
void attr_of_root(struct mount *mount, struct node node, struct entry *out);
void attr_of_local(struct mount *mount, uint8_t octet, const struct edit_local *local, struct entry *out);
/* A file or directory of the mount's own, such as .mailfs. */
void attr_of_fixed(
	struct mount *mount, struct node node, mode_t mode, uint64_t size_bytes, int64_t changed_ns, struct entry *out);
/* A regular file of ours with its size and times. */
void attr_of_bytes(struct mount *mount, struct node node, uint64_t size_bytes, int64_t mtime_ns, int64_t ctime_ns,
	struct entry *out);

/* Loads what stat shows of an inode; ERROR_GONE. */
bool attr_load(struct mount *mount, uint64_t inode, struct entry *out, struct error *err) MUST_CHECK;

/* Sets size or times (mask: FUSE_SET_ATTR_…) and gives the result; mode and owner are accepted and, but for local names, forgotten. */
bool attr_set(struct mount *mount, uint64_t inode, const struct stat *wanted, int mask, struct entry *out,
	struct error *err) MUST_CHECK;

/* The wall clock. */
int64_t attr_now_ns(void);

#endif
