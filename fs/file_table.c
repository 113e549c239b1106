#include "fs/file_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/mount_internal.h"

#define ALIASES_MAX    65536
#define ALIAS_HOPS_MAX 8                   /* new file, local name, message, its replacements */
#define ALIAS_ODD      (UINT64_C(1) << 63) /* beside the inode: the bytes are others than were written */

/* --- the table --- */

struct file *
file_find_locked(struct mount *mount, uint64_t inode)
{
	uint64_t value;

	return inode_map_get(&mount->files, inode, &value) ? (struct file *)(uintptr_t)value : NULL;
}

/* Somebody may have joined it while it became a local file: who looks for that finds it, too. */
void
file_find_as_local(struct mount *mount, struct file *file, struct node local)
{
	uint64_t inode = mount_inode(mount, local);

	mutex_lock(&mount->lock);
	if (inode != file->inode && file_find_locked(mount, inode) == NULL) {
		assert(file->also == 0);
		file->also = inode;
		inode_map_put(&mount->files, inode, (uint64_t)(uintptr_t)file);
	}
	mutex_unlock(&mount->lock);
}

/* Puts a file among those whose name only the mount knows, or takes it out. */
void
file_set_named_locked(struct mount *mount, struct file *file, bool named)
{
	if (named == file->named) {
		return;
	}
	file->named = named;
	if (named) {
		file->next_named = mount->named_files;
		file->at_named = &mount->named_files;
		if (file->next_named != NULL) {
			file->next_named->at_named = &file->next_named;
		}
		mount->named_files = file;
		mount->named_file_count++;
	} else {
		*file->at_named = file->next_named;
		if (file->next_named != NULL) {
			file->next_named->at_named = file->at_named;
		}
		mount->named_file_count--;
	}
}

void
file_set_name_locked(struct file *file, struct node dir, struct slice name)
{
	free(file->name);
	file->name = slice_dup(name);
	file->dir = dir;
}

struct file *
file_new(struct mount *mount, uint8_t octet, enum file_state state)
{
	struct file *file = calloc(1, sizeof(*file));

	if (file == NULL) {
		abort();
	}
	mutex_init(&file->lock, LOCK_RANK_HANDLE);
	file->account = mount_account(mount, octet);
	file->octet = octet;
	file->state = state;
	file->references = 1;
	file->fd = -1;
	file->mtime_ns = file->ctime_ns = attr_now_ns();
	return file;
}

void
file_destroy(struct file *file)
{
	assert(!file->named);
	edit_writer_discard(&file->writer);
	view_body_close(&file->body);
	if (file->fd >= 0) {
		(void)close(file->fd);
	}
	mutex_finish(&file->lock);
	free(file->name);
	free(file);
}

/* The inode that an inode's aliases lead to. */
static uint64_t
canonical_locked(struct mount *mount, uint64_t inode)
{
	uint64_t next, begin = inode, odd = 0;
	unsigned hops;

	for (hops = 0; hops < ALIAS_HOPS_MAX && inode_map_get(&mount->aliases, inode, &next); hops++) {
		odd |= next & ALIAS_ODD;
		if ((next & ~ALIAS_ODD) == inode) {
			break;
		}
		inode = next & ~ALIAS_ODD;
	}
	if (hops > 1 && inode != begin) { /* the way stays short, however often it is replaced */
		inode_map_put(&mount->aliases, begin, inode | odd);
	}
	return inode;
}

struct file *
file_hold(struct mount *mount, uint64_t inode)
{
	struct file *file;

	mutex_lock(&mount->lock);
	file = file_find_locked(mount, canonical_locked(mount, inode));
	if (file != NULL) {
		file->references++;
	}
	mutex_unlock(&mount->lock);
	return file;
}

void
file_drop(struct mount *mount, struct file **file)
{
	struct file *gone = NULL;

	if (*file == NULL) {
		return;
	}
	mutex_lock(&mount->lock);
	assert((*file)->references > 0);
	if (--(*file)->references == 0) {
		gone = *file;
		file_set_named_locked(mount, gone, false);
		inode_map_remove(&mount->files, gone->inode);
		if (gone->also != 0) {
			inode_map_remove(&mount->files, gone->also);
		}
	}
	mutex_unlock(&mount->lock);
	if (gone != NULL) {
		file_destroy(gone);
	}
	*file = NULL;
}

void
file_become_new(struct mount *mount, struct file *file, uint32_t number)
{
	uint64_t inode = mount_inode(mount, (struct node){.kind = NODE_NEW, .account = file->octet, .number = number});

	mutex_lock(&mount->lock);
	inode_map_remove(&mount->files, file->inode);
	inode_map_put(&mount->aliases, file->inode, inode | ALIAS_ODD);
	if (file->also != 0) {
		inode_map_remove(&mount->files, file->also);
		inode_map_put(&mount->aliases, file->also, inode | ALIAS_ODD);
		file->also = 0;
	}
	file->inode = inode;
	file->fresh = true;
	inode_map_put(&mount->files, inode, (uint64_t)(uintptr_t)file);
	mutex_unlock(&mount->lock);
}

uint64_t
file_by_name(struct mount *mount, struct node dir, struct slice name)
{
	uint64_t inode = 0;

	mutex_lock(&mount->lock);
	for (struct file *file = mount->named_files; file != NULL; file = file->next_named) {
		if (node_equal(file->dir, dir) && slice_equal(slice_of(file->name), name)) {
			inode = file->inode;
			break;
		}
	}
	mutex_unlock(&mount->lock);
	return inode;
}

static int
by_inode(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

size_t
file_list_new(struct mount *mount, struct node dir, uint32_t after, uint64_t **out_inodes)
{
	uint64_t *inodes;
	size_t count = 0;

	mutex_lock(&mount->lock);
	inodes = calloc(mount->named_file_count + 1, sizeof(*inodes));
	if (inodes == NULL) {
		abort();
	}
	for (struct file *file = mount->named_files; file != NULL; file = file->next_named) {
		if (node_equal(file->dir, dir) && (uint32_t)file->inode > after) {
			inodes[count++] = file->inode;
		}
	}
	mutex_unlock(&mount->lock);
	qsort(inodes, count, sizeof(*inodes), by_inode); /* one account, one kind: by serial */
	*out_inodes = inodes;
	return count;
}

char *
file_name(struct mount *mount, struct file *file)
{
	char *name = NULL;

	mutex_lock(&mount->lock);
	if (file->named) {
		name = slice_dup(slice_of(file->name));
	}
	mutex_unlock(&mount->lock);
	return name;
}

/* --- aliases --- */

bool
file_resolve(struct mount *mount, uint64_t inode, struct node *out)
{
	const struct file *file;
	bool fresh;

	mutex_lock(&mount->lock);
	inode = canonical_locked(mount, inode);
	file = file_find_locked(mount, inode);
	fresh = file != NULL && file->fresh;
	mutex_unlock(&mount->lock);
	if (!mount_node(mount, inode, out)) {
		return false;
	}
	out->kind = fresh ? NODE_NEW : out->kind;
	return true;
}

bool
file_resolve_again(struct mount *mount, uint64_t inode, struct node was, struct node *out)
{
	struct file *file = file_hold(mount, inode);

	if (file != NULL) {
		mutex_lock(&file->lock);
		mutex_unlock(&file->lock);
		file_drop(mount, &file);
	}
	return file_resolve(mount, inode, out) && !node_equal(*out, was);
}

void
file_set_alias(struct mount *mount, uint64_t inode, struct node became, bool odd)
{
	uint64_t target = mount_inode(mount, became);

	mutex_lock(&mount->lock);
	if (inode != target || odd) { /* itself, with other bytes, is told too */
		inode_map_put(&mount->aliases, inode, target | (odd ? ALIAS_ODD : 0));
	}
	mutex_unlock(&mount->lock);
}

void
file_show_as(struct mount *mount, struct node now, struct node was)
{
	uint64_t inode = mount_inode(mount, now), shown = mount_inode(mount, was), before;

	if (inode == shown) {
		return;
	}
	mutex_lock(&mount->lock);
	if (inode_map_get(&mount->shown, shown, &before)) {
		shown = before;
	}
	inode_map_put(&mount->shown, inode, shown);
	mount->some_shown = true;
	mutex_unlock(&mount->lock);
}

uint64_t
file_shown_inode(struct mount *mount, uint64_t inode)
{
	uint64_t shown = inode;

	if (mount->some_shown) {
		mutex_lock(&mount->lock);
		if (!inode_map_get(&mount->shown, inode, &shown)) {
			shown = inode;
		}
		mutex_unlock(&mount->lock);
	}
	return shown;
}

struct number
file_over(struct mount *mount, struct node dir, struct slice name, struct number replaces)
{
	return displaced_find(mount, dir, name).value == replaces.value ? (struct number){0} : replaces;
}

void
file_alias_displaced(struct mount *mount, uint8_t octet, struct number message, struct number local)
{
	struct node was = {.kind = NODE_MESSAGE, .account = octet, .number = (uint32_t)message.value};
	struct node is = {.kind = NODE_LOCAL, .account = octet, .number = (uint32_t)local.value};

	displaced_forget(mount, octet, was.number);
	file_set_alias(mount, mount_inode(mount, was), is, false);
}

bool
file_pages_hold(struct mount *mount, uint64_t inode)
{
	uint64_t next;
	bool hold;

	mutex_lock(&mount->lock);
	hold = !inode_map_get(&mount->aliases, inode, &next) || (next & ALIAS_ODD) == 0;
	mutex_unlock(&mount->lock);
	return hold;
}

void
file_forget(struct mount *mount, uint64_t inode)
{
	uint64_t next;

	mutex_lock(&mount->lock);
	if (inode_map_get(&mount->aliases, inode, &next)) {
		/* It may know the inode by another lookup still, so the alias stays while there is room: no number is given twice. */
		if (next == (inode | ALIAS_ODD) || mount->aliases.count > ALIASES_MAX) {
			inode_map_remove(&mount->aliases, inode);
		}
	}
	mutex_unlock(&mount->lock);
}

bool
file_has_writers(struct mount *mount, const struct file *file)
{
	bool has;

	mutex_lock(&mount->lock);
	has = file->writers > 0;
	mutex_unlock(&mount->lock);
	return has;
}

void
file_take_name(struct mount *mount, struct file *file, struct node dir, struct slice name)
{
	mutex_lock(&mount->lock);
	file_set_name_locked(file, dir, name);
	file_set_named_locked(mount, file, true);
	mutex_unlock(&mount->lock);
}

/* Joins what is open under an inode; NULL if nothing is. */
struct file *
file_join(struct mount *mount, uint64_t inode, bool writes)
{
	struct file *file;

	mutex_lock(&mount->lock);
	file = file_find_locked(mount, inode);
	if (file != NULL) {
		file->references++;
		file->writers += writes;
	}
	mutex_unlock(&mount->lock);
	return file;
}

bool
file_is_open(struct mount *mount, uint64_t inode)
{
	bool open;

	mutex_lock(&mount->lock);
	open = file_find_locked(mount, inode) != NULL;
	mutex_unlock(&mount->lock);
	return open;
}
