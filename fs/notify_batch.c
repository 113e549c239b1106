#include "fs/notify_batch.h"

#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mail/mailbox_name.h"
#include "engine/mail/maildir_name.h"
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
		.maildir = arena_copy(&batch->arena, change->maildir),
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

bool
notify_batch_in_maildir(
	struct mount *mount, const struct notify_told *told, struct notify_told *out_told, struct node *out_dir)
{
	struct maildir_name name;

	if (!mount->maildir_used || !maildir_name_read_path(told->maildir, &name)) {
		return false;
	}
	*out_told = *told;
	out_told->leaf = slice_skip(told->maildir, strlen("cur/"));
	*out_dir = (struct node){name.is_new ? NODE_FRESH : NODE_CUR, told->octet, told->mailbox};
	return true;
}

void
notify_batch_mark_maildir(struct mount *mount, struct notify_batch *batch, uint8_t octet, uint32_t mailbox)
{
	if (mount->maildir_used) {
		notify_batch_mark(batch, mount_inode(mount, (struct node){NODE_CUR, octet, mailbox}));
		notify_batch_mark(batch, mount_inode(mount, (struct node){NODE_FRESH, octet, mailbox}));
	}
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
	static const enum node_kind kinds[] = {NODE_MAILBOX, NODE_MAILDIR, NODE_CUR, NODE_FRESH};

	for (size_t i = 0; i < (walk->mount->maildir_used ? ARRAY_LENGTH(kinds) : 1); i++) {
		notify_batch_mark(walk->context,
			mount_inode(walk->mount, (struct node){kinds[i], walk->octet, mailbox->id.value}));
	}
	return true;
}

void
notify_batch_mark_all(struct mount *mount, struct notify_batch *batch)
{
	struct walk walk = {.mount = mount, .octet = batch->octet, .each = mark_one, .context = batch};
	struct error err = ERROR_INIT;

	notify_batch_mark(batch, mount_inode(mount, (struct node){.kind = NODE_MAILBOX, .account = batch->octet}));
	notify_batch_mark(batch, mount_inode(mount, (struct node){.kind = NODE_MAILDIR, .account = batch->octet}));
	if (!walk_mailboxes(&walk, &err)) {
		log_warn("notify", "event=walk error=\"%s\"", err.text);
	}
}

/* --- which names began --- */

static bool
know_one(struct walk *walk, const struct view_mailbox *mailbox)
{
	uint64_t inode = mount_inode(walk->mount, (struct node){NODE_MAILBOX, walk->octet, mailbox->id.value});

	inode_map_put(walk->context, inode, mailbox->uidnext - 1);
	return true;
}

bool
notify_known_begin(struct mount *mount, struct notify_known *known, uint8_t octet, struct error *err)
{
	struct walk walk = {.mount = mount, .octet = octet, .each = know_one, .context = &known->uids};

	return walk_mailboxes(&walk, err);
}

void
notify_known_finish(struct notify_known *known)
{
	inode_map_finish(&known->uids);
	inode_map_finish(&known->fresh);
	inode_map_finish(&known->unlisted);
}

static uint64_t
inode_of_message(const struct mount *mount, const struct notify_told *told)
{
	return mount_inode(mount, (struct node){NODE_MESSAGE, told->octet, (uint32_t)told->number});
}

static void
add_begun(struct notify_batch *batch, const struct notify_told *told)
{
	if (batch->begun_count == batch->begun_capacity) {
		batch->begun = grown(batch->begun, &batch->begun_capacity, sizeof(*batch->begun));
	}
	batch->begun[batch->begun_count++] = *told;
}

struct newcomers {
	struct mount *mount;
	struct notify_known *known;
	struct notify_batch *batch;
	uint32_t mailbox;
	uint32_t last_uid;
	bool heard; /* somebody reads .mailfs/events */
};

static bool
add_newcomer(void *context, const struct view_message *message)
{
	struct newcomers *newcomers = context;
	struct notify_told told = {.octet = newcomers->batch->octet,
		.kind = VIEW_MESSAGE,
		.number = message->number.value,
		.mailbox = newcomers->mailbox,
		.live = true,
		.here = message->here};

	told.name = told.leaf = arena_copy(&newcomers->batch->begun_arena, message->name);
	add_begun(newcomers->batch, &told);
	if (newcomers->heard) {
		inode_map_put(&newcomers->known->fresh, inode_of_message(newcomers->mount, &told), 1);
	}
	newcomers->last_uid = message->uid;
	return newcomers->batch->begun_count < NOTIFY_BATCH_PART;
}

/* Those that came to a mailbox since it was last looked at: UIDs rise. */
static bool
look_at_mailbox(struct mount *mount, struct notify_known *known, struct notify_batch *batch, uint32_t mailbox,
	struct error *err)
{
	uint64_t inode = mount_inode(mount, (struct node){NODE_MAILBOX, batch->octet, mailbox}), last = 0;
	struct newcomers newcomers = {mount, known, batch, mailbox, 0, view_control_is_heard(mount, batch->octet)};

	(void)inode_map_get(&known->uids, inode, &last);
	newcomers.last_uid = (uint32_t)last;
	if (!view_list(mount_account(mount, batch->octet), (struct mailbox_id){mailbox}, (uint32_t)last, add_newcomer,
		    &newcomers, err)) {
		return err->kind == ERROR_GONE;
	}
	inode_map_put(&known->uids, inode, newcomers.last_uid);
	if (batch->begun_count >= NOTIFY_BATCH_PART) {
		if (batch->unfinished_count == batch->unfinished_capacity) {
			batch->unfinished =
				grown(batch->unfinished, &batch->unfinished_capacity, sizeof(*batch->unfinished));
		}
		batch->unfinished[batch->unfinished_count++] = mailbox;
	}
	return true;
}

/* One that was there already, and has a name only now, or another one. */
static void
look_at_message(struct mount *mount, struct notify_known *known, struct notify_batch *batch,
	const struct notify_told *told, const struct inode_map *ended)
{
	uint64_t inode = inode_of_message(mount, told), value;
	bool was_unlisted = inode_map_get(&known->unlisted, inode, &value);

	if (told->live && told->leaf.length == 0) {
		inode_map_put(&known->unlisted, inode, 1);
		return;
	}
	inode_map_remove(&known->unlisted, inode);
	if (told->live && !inode_map_get(&known->fresh, inode, &value) &&
		(was_unlisted || inode_map_get(ended, inode, &value) || (mount->unopened && told->here))) {
		add_begun(batch, told);
	}
}

bool
notify_batch_look(struct mount *mount, struct notify_known *known, struct notify_batch *batch, struct error *err)
{
	struct inode_map looked = {0}, ended = {0};
	bool done = true;
	uint64_t value;

	for (size_t i = 0; i < batch->count; i++) {
		if (batch->items[i].kind == VIEW_NAME_ENDED && batch->items[i].leaf.length > 0) {
			inode_map_put(&ended, inode_of_message(mount, &batch->items[i]), 1);
		}
	}
	for (size_t i = 0; done && i < batch->count; i++) {
		const struct notify_told *told = &batch->items[i];

		if (told->kind != VIEW_MESSAGE) {
			continue;
		}
		if (told->live && !inode_map_get(&looked, told->mailbox, &value)) {
			inode_map_put(&looked, told->mailbox, 1);
			done = look_at_mailbox(mount, known, batch, told->mailbox, err);
		}
		look_at_message(mount, known, batch, told, &ended);
	}
	inode_map_finish(&looked);
	inode_map_finish(&ended);
	return done;
}

bool
notify_batch_look_on(struct mount *mount, struct notify_known *known, struct notify_batch *batch)
{
	struct error err = ERROR_INIT;

	batch->begun_count = batch->marked_count = 0;
	arena_reset(&batch->begun_arena);
	if (batch->unfinished_count == 0) {
		return false;
	}
	if (!look_at_mailbox(mount, known, batch, batch->unfinished[--batch->unfinished_count], &err)) {
		log_warn("notify", "event=look error=\"%s\"", err.text);
	}
	return true;
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
	free(batch->begun);
	free(batch->marked);
	free(batch->unfinished);
	arena_finish(&batch->begun_arena);
	arena_finish(&batch->arena);
	*batch = (struct notify_batch){0};
}

/* --- lines of .mailfs/events --- */

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
		if (batch->items[i].kind == kind && batch->items[i].number == told->number &&
			batch->items[i].leaf.length > 0) {
			return &batch->items[i];
		}
	}
	return NULL;
}

static void
tell_message(struct mount *mount, const struct notify_batch *batch, const struct notify_told *told, bool is_new)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT, old_path = BUF_INIT;
	const struct notify_told *ended = ended_name(batch, told, VIEW_NAME_ENDED);
	struct slice old;

	if (!told->live || told->leaf.length == 0 || !append_mailbox_path(mount, told->octet, told->mailbox, &path)) {
		return;
	}
	buf_append(&path, told->leaf);
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
tell_mailbox(struct mount *mount, const struct notify_batch *batch, const struct notify_told *told, bool is_new)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT, old_path = BUF_INIT;
	const struct notify_told *ended = ended_name(batch, told, VIEW_MAILBOX_ENDED);
	struct slice old;

	if (!name_mailbox_path(told->name, &path)) {
		return;
	}
	buf_append_octet(&path, '/');
	if (!told->live) {
		view_control_tell(mount, told->octet, told->modseq, "delete", buf_slice(&path), NULL);
	} else if (ended != NULL && name_mailbox_path(ended->name, &old_path)) {
		buf_append_octet(&old_path, '/');
		old = buf_slice(&old_path);
		view_control_tell(mount, told->octet, told->modseq, "move", buf_slice(&path), &old);
	} else if (is_new) {
		view_control_tell(mount, told->octet, told->modseq, "create", buf_slice(&path), NULL);
	}
}

/* Brings what is known of a mailbox up to date; true if nothing was. */
static bool
note_mailbox(struct mount *mount, struct notify_known *known, const struct notify_told *told)
{
	uint64_t inode = mount_inode(mount, (struct node){NODE_MAILBOX, told->octet, told->mailbox}), last;
	bool is_new = !inode_map_get(&known->uids, inode, &last);

	if (!told->live) {
		inode_map_remove(&known->uids, inode);
	} else if (is_new) {
		inode_map_put(&known->uids, inode, 0);
	}
	return is_new;
}

void
notify_batch_tell(struct mount *mount, struct notify_known *known, struct notify_batch *batch)
{
	bool heard = view_control_is_heard(mount, batch->octet), is_new;
	uint64_t value;

	for (size_t i = 0; i < batch->count; i++) {
		const struct notify_told *told = &batch->items[i];

		switch (told->kind) {
		case VIEW_MESSAGE:
			is_new = inode_map_get(&known->fresh, inode_of_message(mount, told), &value);
			inode_map_remove(&known->fresh, inode_of_message(mount, told));
			if (heard) {
				tell_message(mount, batch, told, is_new);
			}
			break;
		case VIEW_NAME_ENDED:
			if (heard && told->leaf.length > 0) {
				tell_ended(mount, batch, told);
			}
			break;
		case VIEW_MAILBOX:
			is_new = note_mailbox(mount, known, told);
			if (heard) {
				tell_mailbox(mount, batch, told, is_new);
			}
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
