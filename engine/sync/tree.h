/* The mailbox tree's merge: what to create, rename, subscribe, and what vanished (SYNC R8).
 *
 * Mailboxes are paired by the base; without one by the remote's id, else by name. Names and subscriptions merge three-way against the base; both sides renamed:
 * the remote's name wins. Removal is only proposed here: whether it may be done is the brake's and the settlement's business.
 *
 * Pure: no I/O.
 */
#ifndef SYNC_TREE_H
#define SYNC_TREE_H

#include <stddef.h>

#include "engine/base/slice.h"
#include "engine/mail/ids.h"

#define TREE_NONE ((size_t)-1)

struct tree_remote {       /* a mailbox of the remote's listing that is selected by `mailboxes` */
	struct slice name; /* ours */
	struct slice raw_name;
	char separator;
	struct guid id;
	uint32_t uidvalidity, uidnext;
	bool directory, subscribed;
};

struct tree_local {
	struct mailbox_id id;
	struct slice name;
	bool directory, subscribed, live, implied; /* implied: a directory made only because a child needed it */
	bool has_messages;
};

struct tree_base {
	struct mailbox_id mailbox; /* its local row */
	struct slice name, raw_name;
	struct guid id;
	uint32_t uidvalidity;
	uint32_t uidnext; /* above all UIDs that are known */
	bool subscribed, directory;
	bool has_messages; /* that are not settled, wherever they are here */
};

enum tree_action {
	TREE_PAIR,           /* local and remote are one: write or refresh the base */
	TREE_CREATE_HERE,    /* new there */
	TREE_CREATE_THERE,   /* new here */
	TREE_RENAME_HERE,    /* to the remote's name */
	TREE_RENAME_THERE,   /* to our name */
	TREE_SUBSCRIBE_HERE, /* to `subscribed` */
	TREE_SUBSCRIBE_THERE,
	TREE_VANISHED,     /* gone there, live here */
	TREE_REMOVE_THERE, /* removed here, live there */
	TREE_FORGET,       /* gone on both */
	TREE_CONFLICT,     /* a name that is taken: set aside with its reason */
};

struct tree_step {
	enum tree_action action;
	size_t local, remote, base; /* indices, or TREE_NONE */
	bool subscribed;
};

/* Gives the steps in the order in which they are to be done: pairs; renames, parents first; creations, parents first; subscriptions; then what
 * vanished or is to be removed, children first. `*out` is to be freed. */
size_t tree_plan(const struct tree_local *locals, size_t local_count, const struct tree_remote *remotes,
	size_t remote_count, const struct tree_base *bases, size_t base_count, struct tree_step **out);

/* Where names are gone from the listing and new ones stand in it: out[base] is the one remote mailbox that may be this one renamed, by UIDVALIDITY and UIDNEXT
 * (a remote that does not list them may be any), or TREE_NONE. Only where ids cannot tell, and where one fits one. To be confirmed by messages. */
void tree_find_renamed(const struct tree_remote *remotes, size_t remote_count, const struct tree_base *bases,
	size_t base_count, size_t *out);

#endif
