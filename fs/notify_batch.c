#include "fs/notify_batch.h"

#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mail/mailbox_name.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/view_control.h"

static void *
grown(void *items, size_t *capacity, size_t size)
{
	*capacity = *capacity > 0 ? *capacity * 2 : 64;
	items = realloc(items, *capacity * size);
	if (items == NULL) {
		abort();
	}
	return items;
}

/* The file name of a mailbox, in the batch's memory; empty where it has none. */
static struct slice
leaf_of_mailbox(struct notify_batch *batch, struct slice whole)
{
	SCOPED(buf_finish) struct buf leaf = BUF_INIT;

	if (!mailbox_name_to_file(mailbox_name_leaf(whole), &leaf)) {
		return (struct slice){0};
	}
	return arena_copy(&batch->arena, buf_slice(&leaf));
}

bool
notify_batch_collect(void *context, const struct view_change *change)
{
	struct notify_batch *batch = context;
	struct notify_told *told;
	bool is_mailbox = change->kind == VIEW_MAILBOX || change->kind == VIEW_MAILBOX_ENDED;

	if (batch->count == batch->capacity) {
		batch->items = grown(batch->items, &batch->capacity, sizeof(*batch->items));
	}
	told = &batch->items[batch->count++];
	*told = (struct notify_told){
		.octet = batch->octet,
		.kind = change->kind,
		.modseq = change->modseq,
		.number = is_mailbox ? change->mailbox.value : change->number.value,
		.mailbox = change->mailbox.value,
		.name = arena_copy(&batch->arena, change->name),
		.live = change->live,
		.here = change->here,
		.parent_kind = change->parent_kind,
		.parent = change->parent,
	};
	told->leaf = is_mailbox ? leaf_of_mailbox(batch, told->name) : told->name;
	return true;
}

void
notify_batch_mark(struct notify_batch *batch, uint64_t dir_inode)
{
	for (size_t i = batch->marked_count; i > 0; i--) {
		if (batch->marked[i - 1] == dir_inode) {
			return;
		}
	}
	if (batch->marked_count == batch->marked_capacity) {
		batch->marked = grown(batch->marked, &batch->marked_capacity, sizeof(*batch->marked));
	}
	batch->marked[batch->marked_count++] = dir_inode;
}

struct walk {
	struct mount *mount;
	uint8_t octet;
	bool (*each)(struct walk *walk, const struct view_mailbox *mailbox);
	void *context;
	struct name_list {
		char **items;
		size_t count, capacity;
	} names; /* of mailboxes whose children are still to be asked for */
};

static bool
walk_one(void *context, const struct view_mailbox *mailbox)
{
	struct walk *walk = context;

	if (walk->names.count == walk->names.capacity) {
		walk->names.items = grown(walk->names.items, &walk->names.capacity, sizeof(*walk->names.items));
	}
	walk->names.items[walk->names.count++] = slice_dup(mailbox->name);
	return walk->each(walk, mailbox);
}

/* All mailboxes of an account, one level after another: no transaction outlives its question. */
static bool
walk_mailboxes(struct walk *walk, struct error *err)
{
	struct account *account = mount_account(walk->mount, walk->octet);
	bool done = view_mailbox_children(account, (struct slice){0}, walk_one, walk, err);

	while (walk->names.count > 0) {
		char *name = walk->names.items[--walk->names.count];

		done = done && view_mailbox_children(account, slice_of(name), walk_one, walk, err);
		free(name);
	}
	free(walk->names.items);
	walk->names = (struct name_list){0};
	return done;
}

static bool
mark_one(struct walk *walk, const struct view_mailbox *mailbox)
{
	notify_batch_mark(
		walk->context, mount_inode(walk->mount, (struct node){NODE_MAILBOX, walk->octet, mailbox->id.value}));
	return true;
}

void
notify_batch_mark_all(struct mount *mount, struct notify_batch *batch, uint8_t octet)
{
	struct walk walk = {.mount = mount, .octet = octet, .each = mark_one, .context = batch};
	struct error err = ERROR_INIT;

	notify_batch_mark(batch, mount_inode(mount, (struct node){.kind = NODE_MAILBOX, .account = octet}));
	if (!walk_mailboxes(&walk, &err)) {
		log_warn("notify", "event=walk error=\"%s\"", err.text);
	}
}

/* --- which directories changed --- */

/* Compares a directory's time with the one seen last. One that is not there any more has changed. */
static bool
has_changed(struct mount *mount, struct notify_known *known, uint8_t octet, uint32_t mailbox)
{
	SCOPED(view_mailbox_finish) struct view_mailbox row = {0};
	uint64_t inode = mount_inode(mount, (struct node){NODE_MAILBOX, octet, mailbox}), seen;
	struct error err = ERROR_INIT;

	if (!view_mailbox_load(mount_account(mount, octet), (struct mailbox_id){mailbox}, &row, &err)) {
		inode_map_remove(&known->changed_ns, inode);
		return true;
	}
	if (inode_map_get(&known->changed_ns, inode, &seen) && (int64_t)seen == row.changed_ns) {
		return false;
	}
	inode_map_put(&known->changed_ns, inode, (uint64_t)row.changed_ns);
	return true;
}

/* What was committed after the batch was read may have moved a time that we saw: it would not be noticed next time. */
static void
distrust(struct mount *mount, struct notify_known *known, const struct notify_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->items[i].kind == VIEW_MESSAGE) {
			inode_map_remove(&known->changed_ns,
				mount_inode(mount, (struct node){NODE_MAILBOX, batch->octet, batch->items[i].mailbox}));
		}
	}
}

void
notify_batch_look(struct mount *mount, struct notify_known *known, struct notify_batch *batch, uint64_t until)
{
	struct error err = ERROR_INIT;
	uint64_t value, now;

	for (size_t i = 0; i < batch->count; i++) {
		const struct notify_told *told = &batch->items[i];

		if (told->kind == VIEW_MESSAGE && !inode_map_get(&batch->changed, told->mailbox, &value)) {
			inode_map_put(
				&batch->changed, told->mailbox, has_changed(mount, known, batch->octet, told->mailbox));
		}
	}
	if (!view_modseq(mount_account(mount, batch->octet), &now, &err) || now > until) {
		distrust(mount, known, batch);
	}
}

bool
notify_batch_is_new(const struct notify_batch *batch, const struct notify_told *told)
{
	uint64_t changed;

	return !inode_map_get(&batch->changed, told->mailbox, &changed) || changed != 0;
}

bool
notify_batch_parent(struct mount *mount, const struct notify_told *told, uint32_t *out_mailbox)
{
	SCOPED(view_mailbox_finish) struct view_mailbox row = {0};
	struct slice parent = mailbox_name_parent(told->name);
	struct error err = ERROR_INIT;

	if (told->leaf.length == 0) {
		return false;
	}
	*out_mailbox = 0;
	if (parent.length == 0) {
		return true;
	}
	if (!view_mailbox_by_name(mount_account(mount, told->octet), parent, &row, &err)) {
		return false;
	}
	*out_mailbox = row.id.value;
	return true;
}

void
notify_batch_finish(struct notify_batch *batch)
{
	free(batch->items);
	free(batch->marked);
	inode_map_finish(&batch->changed);
	arena_finish(&batch->arena);
	*batch = (struct notify_batch){0};
}

/* --- lines of .mailfs/events --- */

static bool
know_one(struct walk *walk, const struct view_mailbox *mailbox)
{
	inode_map_put(walk->context,
		mount_inode(walk->mount, (struct node){NODE_MAILBOX, walk->octet, mailbox->id.value}),
		mailbox->uidnext);
	return true;
}

bool
notify_known_messages(
	struct mount *mount, struct mutex *lock, struct notify_known *known, uint8_t octet, struct error *err)
{
	struct inode_map uidnext = {0};
	struct walk walk = {.mount = mount, .octet = octet, .each = know_one, .context = &uidnext};
	uint64_t inode, value, older;

	if (!walk_mailboxes(&walk, err)) {
		inode_map_finish(&uidnext);
		return false;
	}
	mutex_lock(lock);
	while (inode_map_any(&uidnext, &inode, &value)) {
		/* who listens already is not told less */
		if (!known->heard[octet] || !inode_map_get(&known->uidnext, inode, &older)) {
			inode_map_put(&known->uidnext, inode, value);
		}
		inode_map_remove(&uidnext, inode);
	}
	known->heard[octet] = true;
	mutex_unlock(lock);
	inode_map_finish(&uidnext);
	return true;
}

void
notify_known_finish(struct notify_known *known)
{
	inode_map_finish(&known->changed_ns);
	inode_map_finish(&known->uidnext);
}

/* The path of a mailbox below its account, with a slash after it. */
static bool
append_mailbox_path(struct mount *mount, uint8_t octet, uint32_t mailbox, struct buf *out)
{
	SCOPED(view_mailbox_finish) struct view_mailbox row = {0};
	struct error err = ERROR_INIT;

	if (!view_mailbox_load(mount_account(mount, octet), (struct mailbox_id){mailbox}, &row, &err) ||
		!name_mailbox_path(row.name, out)) {
		return false;
	}
	buf_append_octet(out, '/');
	return true;
}

/* The name that a message had before, if this batch tells that it ended. */
static const struct notify_told *
ended_name(const struct notify_batch *batch, const struct notify_told *told, enum view_change_kind kind)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->items[i].kind == kind && batch->items[i].number == told->number) {
			return &batch->items[i];
		}
	}
	return NULL;
}

/* Tells whether a message came to its mailbox after it was last looked at. */
static bool
came(struct mount *mount, struct mutex *lock, struct notify_known *known, const struct notify_told *told)
{
	SCOPED(view_message_finish) struct view_message message = {0};
	uint64_t inode = mount_inode(mount, (struct node){NODE_MAILBOX, told->octet, told->mailbox}), below = 0;
	struct error err = ERROR_INIT;
	bool is_new;

	if (!view_message_load(mount_account(mount, told->octet), (struct number){told->number}, &message, &err)) {
		return true;
	}
	mutex_lock(lock);
	(void)inode_map_get(&known->uidnext, inode, &below);
	is_new = message.uid >= below;
	if (is_new) {
		inode_map_put(&known->uidnext, inode, (uint64_t)message.uid + 1);
	}
	mutex_unlock(lock);
	return is_new;
}

static void
tell_message(struct mount *mount, struct mutex *lock, struct notify_known *known, const struct notify_batch *batch,
	const struct notify_told *told)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT, old_path = BUF_INIT;
	const struct notify_told *ended = ended_name(batch, told, VIEW_NAME_ENDED);
	struct slice old;
	bool is_new;

	if (!told->live || told->leaf.length == 0 || !append_mailbox_path(mount, told->octet, told->mailbox, &path)) {
		return;
	}
	buf_append(&path, told->leaf);
	is_new = came(mount, lock, known, told);
	if (ended != NULL && append_mailbox_path(mount, ended->octet, ended->mailbox, &old_path)) {
		buf_append(&old_path, ended->leaf);
		old = buf_slice(&old_path);
		view_control_tell(mount, told->octet, told->modseq, "move", buf_slice(&path), &old);
	} else {
		view_control_tell(
			mount, told->octet, told->modseq, is_new ? "create" : "change", buf_slice(&path), NULL);
	}
}

static void
tell_ended(struct mount *mount, const struct notify_batch *batch, const struct notify_told *told)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	for (size_t i = 0; i < batch->count; i++) {
		if (batch->items[i].kind == VIEW_MESSAGE && batch->items[i].number == told->number &&
			batch->items[i].live) {
			return; /* told as a move */
		}
	}
	if (append_mailbox_path(mount, told->octet, told->mailbox, &path)) {
		buf_append(&path, told->leaf);
		view_control_tell(mount, told->octet, told->modseq, "delete", buf_slice(&path), NULL);
	}
}

static void
tell_mailbox(struct mount *mount, struct mutex *lock, struct notify_known *known, const struct notify_batch *batch,
	const struct notify_told *told)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT, old_path = BUF_INIT;
	const struct notify_told *ended = ended_name(batch, told, VIEW_MAILBOX_ENDED);
	uint64_t inode = mount_inode(mount, (struct node){NODE_MAILBOX, told->octet, told->mailbox}), below;
	bool is_new;

	if (!name_mailbox_path(told->name, &path)) {
		return;
	}
	buf_append_octet(&path, '/');
	mutex_lock(lock);
	is_new = !inode_map_get(&known->uidnext, inode, &below);
	if (!told->live) {
		inode_map_remove(&known->uidnext, inode);
	} else if (is_new) {
		inode_map_put(&known->uidnext, inode, 1);
	}
	mutex_unlock(lock);
	if (!told->live) {
		view_control_tell(mount, told->octet, told->modseq, "delete", buf_slice(&path), NULL);
	} else if (ended != NULL && name_mailbox_path(ended->name, &old_path)) {
		buf_append_octet(&old_path, '/');
		view_control_tell(mount, told->octet, told->modseq, "move", buf_slice(&path),
			&(struct slice){old_path.data, old_path.length});
	} else if (is_new) {
		view_control_tell(mount, told->octet, told->modseq, "create", buf_slice(&path), NULL);
	}
}

void
notify_batch_tell(struct mount *mount, struct mutex *lock, struct notify_known *known, struct notify_batch *batch)
{
	if (!view_control_is_heard(mount, batch->octet)) {
		return;
	}
	for (size_t i = 0; i < batch->count; i++) {
		const struct notify_told *told = &batch->items[i];

		switch (told->kind) {
		case VIEW_MESSAGE:
			tell_message(mount, lock, known, batch, told);
			break;
		case VIEW_NAME_ENDED:
			tell_ended(mount, batch, told);
			break;
		case VIEW_MAILBOX:
			tell_mailbox(mount, lock, known, batch, told);
			break;
		case VIEW_RESET:
			view_control_tell(mount, told->octet, told->modseq, "lost", (struct slice){0}, NULL);
			break;
		case VIEW_MAILBOX_ENDED:
		case VIEW_LOCAL:
			break;
		}
	}
}
