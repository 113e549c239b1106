#include "fs/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/name.h"

bool
plain_lookup(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct file *file;
	int kind;
	uint64_t parent;

	if (!dir_local_place(mount, dir, &kind, &parent)) {
		return error_set(err, ERROR_GONE, "no local names there");
	}
	if (!edit_local_by_name(mount_account(mount, dir.account), kind, parent, name, &local, err)) {
		return false;
	}
	attr_of_local(mount, dir.account, &local, out);
	file = file_hold(mount, out->inode);
	if (file != NULL) { /* open: it knows better how large it is */
		(void)file_attr(mount, file, out);
		file_drop(mount, &file);
	}
	return true;
}

struct listing {
	struct mount *mount;
	struct node dir;
	struct dir_sink *sink;
	bool without_dots;
};

static bool
list_one(void *context, const struct edit_local *local)
{
	struct listing *listing = context;
	struct entry entry;

	if (listing->without_dots && local->name[0] == '.') {
		return true;
	}
	attr_of_local(listing->mount, listing->dir.account, local, &entry);
	return dir_put(listing->sink, local->name, &entry, dir_cookie(DIR_LOCAL, (uint32_t)local->id.value));
}

bool
plain_list(struct mount *mount, struct node dir, uint32_t after, bool without_dots, struct dir_sink *sink,
	struct error *err)
{
	struct listing listing = {mount, dir, sink, without_dots};
	int kind;
	uint64_t parent;

	return sink->full || !dir_local_place(mount, dir, &kind, &parent) ||
	       edit_local_each(mount_account(mount, dir.account), kind, parent, after, list_one, &listing, err);
}

/* The names of views, which stand in the account's directory. */
static bool
is_reserved(struct node dir, struct slice name)
{
	static const char *const names[] = {".mailfs", ".maildir", ".parts", ".search"};

	for (size_t i = 0; dir.kind == NODE_MAILBOX && dir.number == 0 && i < ARRAY_LENGTH(names); i++) {
		if (slice_equal(name, slice_of(names[i]))) {
			return true;
		}
	}
	return false;
}

bool
plain_make(struct mount *mount, struct node dir, struct slice name, int kind, mode_t mode, const char *target,
	struct entry *out, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {.kind = kind, .mode = mode & 07777};

	if (!dir_local_place(mount, dir, &local.parent_kind, &local.parent) || is_reserved(dir, name)) {
		return error_errno(err, EACCES, "no file can be made there");
	}
	local.name = slice_dup(name);
	local.target = target != NULL ? slice_dup(slice_of(target)) : NULL;
	local.mtime_ns = local.ctime_ns = attr_now_ns();
	if (!edit_local_create(mount_account(mount, dir.account), &local, err)) {
		return false;
	}
	attr_of_local(mount, dir.account, &local, out);
	dir_touch_own(mount, dir);
	return true;
}

bool
plain_unlink(struct mount *mount, struct node dir, struct node node, struct error *err)
{
	struct file *file;

	if (!edit_local_remove(mount_account(mount, node.account), (struct number){node.number}, err)) {
		return false;
	}
	file = file_hold(mount, mount_inode(mount, node));
	if (file != NULL) {
		file_unlink(mount, file);
		file_drop(mount, &file);
	}
	dir_touch_own(mount, dir);
	return true;
}

/* Tells whether a file in that place and of that name becomes a message when it has rested: its rest begins with its closing. */
static bool
may_be_mail(const struct edit_local *local)
{
	return local->kind == PLAIN_FILE && local->parent_kind == PLAIN_IN_MAILBOX && local->error == NULL &&
	       name_classify(slice_of(local->name)) == NAME_OTHER;
}

bool
plain_record(struct file *file, bool closed, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct stat st;

	if (!edit_local_load(file->account, file->number, &local, err)) {
		return false;
	}
	if (fstat(file->fd, &st) != 0) {
		return error_errno(err, errno, "asking for the size of a local file");
	}
	local.size_bytes = (uint64_t)st.st_size;
	local.mtime_ns = file->mtime_ns;
	local.ctime_ns = file->ctime_ns;
	local.closed_ns = closed && may_be_mail(&local) ? attr_now_ns() : 0;
	return edit_local_update(file->account, &local, err);
}

/* A new name or place may make it one whose rest is over some day, or take that from it. */
static bool
judge_again(struct mount *mount, struct node node, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct account *account = mount_account(mount, node.account);
	struct file *file = file_hold(mount, mount_inode(mount, node));
	bool open = file != NULL && file_has_writers(mount, file), rests;

	file_drop(mount, &file);
	if (!edit_local_load(account, (struct number){node.number}, &local, err)) {
		return false;
	}
	rests = may_be_mail(&local) && !open;
	if (rests == (local.closed_ns != 0)) {
		return true;
	}
	local.closed_ns = rests ? attr_now_ns() : 0;
	return edit_local_update(account, &local, err);
}

bool
plain_move(struct mount *mount, struct node node, struct node to, struct slice name, struct error *err)
{
	int kind;
	uint64_t parent;

	if (!dir_local_place(mount, to, &kind, &parent) || is_reserved(to, name)) {
		return error_errno(err, EACCES, "no file can be put there");
	}
	if (!edit_local_move(
		    mount_account(mount, node.account), (struct number){node.number}, kind, parent, name, err)) {
		return false;
	}
	dir_touch_own(mount, to);
	return judge_again(mount, node, err);
}

void
plain_answer_readlink(struct mount *mount, fuse_req_t req, uint64_t inode)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct error err = ERROR_INIT;
	struct node node;

	if (!file_resolve(mount, inode, &node) || node.kind != NODE_LOCAL) {
		reply_errno(req, EINVAL);
	} else if (!edit_local_load(mount_account(mount, node.account), (struct number){node.number}, &local, &err)) {
		reply_error(req, &err);
	} else if (local.target == NULL) {
		reply_errno(req, EINVAL);
	} else {
		reply_link(req, local.target);
	}
}
