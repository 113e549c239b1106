/* Inode numbers and back, without a table: view 4 | part 8 | account 8 | number 32 bits (design 5, Stat).
 *
 * They stay under 2^53, so that programs which keep them in doubles tell files apart. Number 1 is the kernel's name for the root, whatever stands there.
 * A message has one number in every view. View 3 (parts) is not given out yet.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <stdbool.h>
#include <stdint.h>

#define NODE_ROOT_INODE 1u

enum node_kind {
	NODE_ACCOUNTS, /* the root above several accounts */
	NODE_MESSAGE,  /* by its number */
	NODE_MAILBOX,  /* by its id; 0: the account's own directory */
	NODE_LOCAL,    /* a local file, directory or symlink, by its id */
	NODE_NEW, /* being written, and not a message or local name yet: by the number that the message will have, so that its inode is that one's */
	NODE_CONTROL,  /* .mailfs and what is fixed in it: enum control_item */
	NODE_REJECTED, /* .mailfs/rejected/NAME: by a digest of the name */
	NODE_MAILDIR,  /* a mailbox in the Maildir view, by its id; 0: .maildir itself */
	NODE_CUR,      /* its cur, new and tmp */
	NODE_FRESH,    /* (that is new) */
	NODE_TMP,
	NODE_KIND_COUNT,
};

struct node {
	enum node_kind kind;
	uint8_t account; /* account_octet; 0 for NODE_ACCOUNTS */
	uint32_t number;
};

/* Tells whether a directory holds messages under the names of a Maildir. */
static inline bool
node_holds_maildir_names(struct node node)
{
	return node.kind == NODE_CUR || node.kind == NODE_FRESH;
}

static inline bool
node_equal(struct node a, struct node b)
{
	return a.kind == b.kind && a.account == b.account && a.number == b.number;
}

/* The inode number. NODE_ACCOUNTS is the root. */
uint64_t node_pack(struct node node);
/* Back; false for a number that node_pack never gives. What is being written comes back as its message: file_resolve tells them apart. */
bool node_unpack(uint64_t inode, struct node *out);

#endif
