/* Local names: files, directories and symlinks that are no mail, in mailboxes, in the account's directory, and in .mailfs/scratch. */
#ifndef FS_PLAIN_H
#define FS_PLAIN_H

#include "fs/dir.h"

enum plain_parent { /* edit_local.parent_kind */
	PLAIN_IN_MAILBOX,
	PLAIN_IN_DIRECTORY,
	PLAIN_IN_SCRATCH,
	PLAIN_IN_ROOT,
	PLAIN_IN_MAILDIR,
	PLAIN_IN_CUR,
	PLAIN_IN_NEW,
	PLAIN_IN_TMP,
};
/* The directory of such a place; false if there is none such. The other way: dir_local_place. */
bool plain_directory(uint8_t octet, int parent_kind, uint64_t parent, struct node *out);
enum plain_kind { PLAIN_FILE, PLAIN_DIRECTORY, PLAIN_SYMLINK }; /* edit_local.kind */

bool plain_lookup(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
	MUST_CHECK;
/* Lists local names; `without_dots`: those with a leading dot are left out. */
bool plain_list(struct mount *mount, struct node dir, uint32_t after, bool without_dots, struct dir_sink *sink,
	struct error *err) MUST_CHECK;
/* Makes one; `target` of a symlink, else NULL. */
bool plain_make(struct mount *mount, struct node dir, struct slice name, int kind, mode_t mode, const char *target,
	struct entry *out, struct error *err) MUST_CHECK;
bool plain_unlink(struct mount *mount, struct node dir, struct node node, struct error *err) MUST_CHECK;
bool plain_move(struct mount *mount, struct node node, struct node to, struct slice name, struct error *err) MUST_CHECK;
void plain_answer_readlink(struct mount *mount, fuse_req_t req, uint64_t inode);
/* Writes what is known of an open local file into its row; `closed`: by who wrote it, so that it rests now if it may become a message (the engine
 * makes one of it then). The caller has its lock. */
struct file;
bool plain_record(struct mount *mount, struct file *file, bool closed, struct error *err) MUST_CHECK;
/* Writes a row back (edit_local_update): its name is what it was, so the kernel need not hear of it. */
bool plain_update(struct mount *mount, uint8_t octet, const struct edit_local *local, struct error *err) MUST_CHECK;

#endif
