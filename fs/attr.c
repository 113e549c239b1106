#include "fs/attr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/dir.h"
#include "fs/file.h"
#include "fs/handle.h"
#include "fs/mount_internal.h"
#include "fs/plain.h"
#include "fs/view_control.h"

#define BLOCK_BYTES 512
#define NS_PER_S    INT64_C(1000000000)

int64_t
attr_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static struct timespec
time_of_ns(int64_t ns)
{
	struct timespec time = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	if (time.tv_nsec < 0) {
		time.tv_nsec += NS_PER_S;
		time.tv_sec--;
	}
	return time;
}

/* What all entries have; `mode` before the umask. */
static void
fill(struct mount *mount, struct node node, mode_t mode, uint64_t size_bytes, int64_t mtime_ns, int64_t ctime_ns,
	struct entry *out)
{
	*out = (struct entry){.inode = mount_inode(mount, node), .node = node};
	out->attr = (struct stat){
		.st_ino = file_shown_inode(mount, out->inode),
		.st_mode = mode & ~(mode_t)mount->umask,
		.st_nlink = 1, /* of directories too: it says "do not trust it to count what is below" */
		.st_uid = mount->uid,
		.st_gid = mount->gid,
		.st_size = (off_t)size_bytes,
		.st_blocks = (blkcnt_t)((size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES),
		.st_blksize = 4096,
		.st_mtim = time_of_ns(mtime_ns),
		.st_atim = time_of_ns(mtime_ns),
		.st_ctim = time_of_ns(ctime_ns),
	};
}

static void
fill_directory(struct mount *mount, struct node node, int64_t changed_ns, struct entry *out)
{
	fill(mount, node, S_IFDIR | 0777, 0, changed_ns, changed_ns, out);
}

void
attr_of_message(struct mount *mount, uint8_t octet, const struct view_message *message, struct entry *out)
{
	struct node node = {.kind = NODE_MESSAGE, .account = octet, .number = (uint32_t)message->number.value};

	fill(mount, node, S_IFREG | 0666, message->size_bytes, 0, message->ctime_ns, out);
	out->attr.st_mtim = out->attr.st_atim = (struct timespec){.tv_sec = (time_t)message->mtime_s};
	out->attr_passing = !message->here;
}

void
attr_of_mailbox(
	struct mount *mount, enum node_kind view, uint8_t octet, const struct view_mailbox *mailbox, struct entry *out)
{
	struct node node = {.kind = view, .account = octet, .number = mailbox->id.value};

	fill_directory(mount, node, dir_time(mount, node, mailbox->changed_ns), out);
}

void
attr_of_root(struct mount *mount, struct node node, struct entry *out)
{
	fill_directory(mount, node, dir_time(mount, node, mount->started_ns), out);
}

void
attr_of_local(struct mount *mount, uint8_t octet, const struct edit_local *local, struct entry *out)
{
	struct node node = {.kind = NODE_LOCAL, .account = octet, .number = (uint32_t)local->id.value};

	switch ((enum plain_kind)local->kind) {
	case PLAIN_DIRECTORY:
		fill_directory(mount, node, dir_time(mount, node, local->mtime_ns), out);
		out->attr.st_mode = S_IFDIR | (local->mode & 07777);
		break;
	case PLAIN_SYMLINK:
		fill(mount, node, S_IFLNK, strlen(local->target != NULL ? local->target : ""), local->mtime_ns,
			local->ctime_ns, out);
		out->attr.st_mode = S_IFLNK | 0777;
		break;
	case PLAIN_FILE:
		fill(mount, node, S_IFREG, local->size_bytes, local->mtime_ns, local->ctime_ns, out);
		out->attr.st_mode = S_IFREG | (local->mode & 07777);
		break;
	}
	out->inode =
		out->attr.st_ino; /* the kernel may have it by the number that it had while it was to be a message */
}

void
attr_of_fixed(
	struct mount *mount, struct node node, mode_t mode, uint64_t size_bytes, int64_t changed_ns, struct entry *out)
{
	fill(mount, node, mode, size_bytes, changed_ns, changed_ns, out);
}

void
attr_of_bytes(struct mount *mount, struct node node, uint64_t size_bytes, int64_t mtime_ns, int64_t ctime_ns,
	struct entry *out)
{
	fill(mount, node, S_IFREG | 0666, size_bytes, mtime_ns, ctime_ns, out);
}

static bool
load_message(struct mount *mount, struct node node, struct entry *out, struct error *err)
{
	SCOPED(view_message_finish) struct view_message message = {0};

	if (!view_message_load(mount_account(mount, node.account), (struct number){node.number}, &message, err)) {
		return false;
	}
	attr_of_message(mount, node.account, &message, out);
	return true;
}

static bool
load_mailbox(struct mount *mount, struct node node, struct entry *out, struct error *err)
{
	SCOPED(view_mailbox_finish) struct view_mailbox mailbox = {0};

	if (node.number == 0) {
		attr_of_root(mount, node, out);
		return true;
	}
	if (!view_mailbox_load(mount_account(mount, node.account), (struct mailbox_id){node.number}, &mailbox, err)) {
		return false;
	}
	attr_of_mailbox(mount, node.kind, node.account, &mailbox, out);
	return true;
}

static bool
load_local(struct mount *mount, struct node node, struct entry *out, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};

	if (!edit_local_load(mount_account(mount, node.account), (struct number){node.number}, &local, err)) {
		return false;
	}
	attr_of_local(mount, node.account, &local, out);
	return true;
}

static bool
load_node(struct mount *mount, struct node node, struct entry *out, struct error *err)
{
	switch (node.kind) {
	case NODE_ACCOUNTS:
	case NODE_TMP: /* nobody looks there for what is new */
		attr_of_root(mount, node, out);
		return true;
	case NODE_MAILBOX:
	case NODE_MAILDIR:
	case NODE_CUR:
	case NODE_FRESH:
		return load_mailbox(mount, node, out, err);
	case NODE_MESSAGE:
		return load_message(mount, node, out, err);
	case NODE_LOCAL:
		return load_local(mount, node, out, err);
	case NODE_CONTROL:
	case NODE_REJECTED:
		return view_control_attr(mount, node, out, err);
	case NODE_NEW:
	case NODE_KIND_COUNT:
		break;
	}
	return error_set(err, ERROR_GONE, "nothing came of this file");
}

bool
attr_load(struct mount *mount, uint64_t inode, struct entry *out, struct error *err)
{
	struct file *file = file_hold(mount, inode);
	struct node node;
	bool told = file != NULL && file_attr(mount, file, out);

	file_drop(mount, &file);
	if (told) {
		return true;
	}
	if (!file_resolve(mount, inode, &node)) {
		return error_errno(err, ESTALE, "no such inode");
	}
	if (load_node(mount, node, out, err) ||
		(err->kind == ERROR_GONE && file_resolve_again(mount, inode, node, &node) &&
			load_node(mount, node, out, err))) {
		out->inode = inode;
		return true;
	}
	return err->kind == ERROR_GONE && handle_attr(mount, inode, out);
}

static bool
set_local_row(
	struct mount *mount, struct node node, const struct stat *wanted, int mask, mode_t *out_mode, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct account *account = mount_account(mount, node.account);

	if (!edit_local_load(account, (struct number){node.number}, &local, err)) {
		return false;
	}
	if ((mask & FUSE_SET_ATTR_MODE) != 0) {
		local.mode = wanted->st_mode & 07777;
	}
	if ((mask & FUSE_SET_ATTR_MTIME) != 0) {
		local.mtime_ns = (mask & FUSE_SET_ATTR_MTIME_NOW) != 0
					 ? attr_now_ns()
					 : (int64_t)wanted->st_mtim.tv_sec * NS_PER_S + wanted->st_mtim.tv_nsec;
	}
	local.ctime_ns = attr_now_ns();
	*out_mode = local.mode;
	return plain_update(mount, node.account, &local, err);
}

/* Where it is open its file writes the row, too, and tells of it. */
static bool
set_local(struct mount *mount, struct node node, const struct stat *wanted, int mask, struct error *err)
{
	struct file *file = file_hold(mount, mount_inode(mount, node));
	mode_t mode;
	bool done;

	if (file == NULL) {
		return set_local_row(mount, node, wanted, mask, &mode, err);
	}
	mutex_lock(&file->lock);
	done = set_local_row(mount, node, wanted, mask, &mode, err);
	file->mode = done ? mode : file->mode;
	mutex_unlock(&file->lock);
	file_drop(mount, &file);
	return done;
}

/* Sets the time of what is no open file. */
static bool
set_mtime(struct mount *mount, struct node node, int64_t mtime_ns, struct error *err)
{
	struct account *account = mount_account(mount, node.account);

	if (node.kind == NODE_MESSAGE) {
		return edit_message_set_mtime(account, (struct number){node.number}, mtime_ns / NS_PER_S, err);
	}
	return true; /* of directories and our own files: accepted and forgotten */
}

static bool
set_times(struct mount *mount, uint64_t inode, struct node node, const struct stat *wanted, int mask, struct error *err)
{
	int64_t mtime_ns = (mask & FUSE_SET_ATTR_MTIME_NOW) != 0
				   ? attr_now_ns()
				   : (int64_t)wanted->st_mtim.tv_sec * NS_PER_S + wanted->st_mtim.tv_nsec;

	if (file_set_mtime(mount, inode, mtime_ns, err)) {
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	/* A message that is being replaced just now is looked up again. */
	return set_mtime(mount, node, mtime_ns, err) ||
	       (err->kind == ERROR_GONE && file_resolve_again(mount, inode, node, &node) &&
		       set_mtime(mount, node, mtime_ns, err));
}

bool
attr_set(struct mount *mount, uint64_t inode, const struct stat *wanted, int mask, struct entry *out, struct error *err)
{
	struct node node;

	if (!file_resolve(mount, inode, &node)) {
		return error_errno(err, ESTALE, "no such inode");
	}
	if (node.kind == NODE_ACCOUNTS || mount_is_read_only(mount, node.account)) {
		return error_errno(err, EROFS, "changing an attribute");
	}
	if ((mask & FUSE_SET_ATTR_SIZE) != 0 && !file_truncate(mount, inode, (uint64_t)wanted->st_size, err)) {
		return false;
	}
	if ((mask & FUSE_SET_ATTR_MTIME) != 0 && !set_times(mount, inode, node, wanted, mask, err)) {
		return false;
	}
	if (node.kind == NODE_LOCAL && (mask & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_MTIME)) != 0 &&
		!set_local(mount, node, wanted, mask, err)) {
		return false;
	}
	return attr_load(mount, inode, out, err);
}
