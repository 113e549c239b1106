#include "fs/node.h"

#include <assert.h>

enum { VIEW_NONE = 0, VIEW_MAIL = 1, VIEW_MAILDIR = 2, VIEW_CONTROL = 4 };

#define VIEW_SHIFT    48
#define PART_SHIFT    40
#define ACCOUNT_SHIFT 32

static const struct {
	unsigned view, part;
} places[] = {
	[NODE_ACCOUNTS] = {VIEW_NONE, 0},
	[NODE_MESSAGE] = {VIEW_MAIL, 0},
	[NODE_MAILBOX] = {VIEW_MAIL, 1},
	[NODE_LOCAL] = {VIEW_MAIL, 2},
	[NODE_NEW] = {VIEW_MAIL, 0},
	[NODE_CONTROL] = {VIEW_CONTROL, 0},
	[NODE_REJECTED] = {VIEW_CONTROL, 1},
	[NODE_MAILDIR] = {VIEW_MAILDIR, 0},
	[NODE_CUR] = {VIEW_MAILDIR, 1},
	[NODE_FRESH] = {VIEW_MAILDIR, 2},
	[NODE_TMP] = {VIEW_MAILDIR, 3},
};

uint64_t
node_pack(struct node node)
{
	if (node.kind == NODE_ACCOUNTS) {
		return NODE_ROOT_INODE;
	}
	assert(node.account != 0);
	return (uint64_t)places[node.kind].view << VIEW_SHIFT | (uint64_t)places[node.kind].part << PART_SHIFT |
	       (uint64_t)node.account << ACCOUNT_SHIFT | node.number;
}

bool
node_unpack(uint64_t inode, struct node *out)
{
	unsigned view = (unsigned)(inode >> VIEW_SHIFT), part = (inode >> PART_SHIFT) & 0xff;
	struct node node = {.account = (inode >> ACCOUNT_SHIFT) & 0xff, .number = (uint32_t)inode};

	if (inode == NODE_ROOT_INODE) {
		*out = (struct node){.kind = NODE_ACCOUNTS};
		return true;
	}
	for (unsigned kind = NODE_MESSAGE; kind < NODE_KIND_COUNT; kind++) {
		if (places[kind].view == view && places[kind].part == part && node.account != 0) {
			node.kind = (enum node_kind)kind;
			*out = node;
			return true;
		}
	}
	return false;
}
