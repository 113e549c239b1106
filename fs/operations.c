#include "fs/operations.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/dir.h"
#include "fs/extended.h"
#include "fs/file.h"
#include "fs/handle.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/notify.h"
#include "fs/plain.h"
#include "fs/rename.h"
#include "fs/view_control.h"
#include "fs/view_mail.h"
#include "fs/view_maildir.h"

#define CHANGE_TRIES 3

/* Names the request's mount, and counts. */
static struct mount *
begin(fuse_req_t req, enum fuse_opcode opcode)
{
	struct mount *mount = fuse_req_userdata(req);

	atomic_fetch_add_explicit(&mount->counts[opcode], 1, memory_order_relaxed);
	return mount;
}

static void
want(struct fuse_conn_info *connection, unsigned capability, bool wanted)
{
	if (wanted) {
		connection->want |= connection->capable & capability;
	} else {
		connection->want &= ~capability;
	}
}

/* What was measured to be best: attributes with listings only where they are asked for, nothing kept back here that was written, no
 * splicing, and pages dropped when we say so, not when a time moves. */
static void
do_init(void *context, struct fuse_conn_info *connection)
{
	struct mount *mount = context;

	want(connection, FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO, true);
	want(connection, FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC, true);
	want(connection, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	want(connection, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(connection, FUSE_CAP_WRITEBACK_CACHE, false);
	want(connection, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, false);
	want(connection, FUSE_CAP_POSIX_ACL, false);
	mount->can_expire = (connection->capable & FUSE_CAP_EXPIRE_ONLY) != 0;
}

static void
do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	dir_answer_lookup(begin(req, FUSE_LOOKUP), req, parent, name);
}

static void
do_forget(fuse_req_t req, fuse_ino_t inode, uint64_t count)
{
	file_forget(begin(req, FUSE_FORGET), inode);
	reply_none(req);
}

static void
do_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct mount *mount = begin(req, FUSE_BATCH_FORGET);

	for (size_t i = 0; i < count; i++) {
		file_forget(mount, forgets[i].ino);
	}
	reply_none(req);
}

static void
do_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct mount *mount = begin(req, FUSE_GETATTR);
	struct error err = ERROR_INIT;
	struct entry entry;

	if (attr_load(mount, inode, &entry, &err)) {
		reply_attr(req, &entry);
	} else {
		reply_error(req, &err);
	}
}

static void
do_setattr(fuse_req_t req, fuse_ino_t inode, struct stat *wanted, int mask, struct fuse_file_info *info)
{
	struct mount *mount = begin(req, FUSE_SETATTR);
	struct error err = ERROR_INIT;
	struct entry entry;

	if (attr_set(mount, inode, wanted, mask, &entry, &err)) {
		reply_attr(req, &entry);
	} else {
		reply_error(req, &err);
	}
}

static void
do_readlink(fuse_req_t req, fuse_ino_t inode)
{
	plain_answer_readlink(begin(req, FUSE_READLINK), req, inode);
}

/* Resolves the directory in which a name is to be made or removed; answers where it cannot be. */
static bool
begin_change(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name, struct node *out)
{
	if (!file_resolve(mount, parent, out)) {
		reply_errno(req, ESTALE);
	} else if (strlen(name) > NAME_BYTES_MAX) {
		reply_errno(req, ENAMETOOLONG);
	} else if (out->kind == NODE_ACCOUNTS) {
		reply_errno(req, EACCES);
	} else if (mount_is_read_only(mount, out->account)) {
		reply_errno(req, EROFS);
	} else {
		return true;
	}
	return false;
}

/* Announces what is done to one name; `number` 0: it begins. */
static struct notify_ticket *
begin_own(struct mount *mount, struct node dir, const char *name, uint32_t number)
{
	return notify_own_begin(mount->notify, dir.account,
		&(struct notify_own){
			mount_inode(mount, dir), slice_of(name), number, .live = number == 0, .dir_known = true},
		1);
}

static void
answer_made(struct mount *mount, fuse_req_t req, uint8_t octet, struct notify_ticket *own, bool made,
	const struct entry *entry, const struct error *err)
{
	notify_own_end(mount->notify, octet, own, made, made ? entry->node.number : 0);
	if (made) {
		reply_entry(req, entry);
	} else {
		reply_error(req, err);
	}
}

static bool
make_directory(
	struct mount *mount, struct node dir, struct slice name, mode_t mode, struct entry *out, struct error *err)
{
	bool is_local = name.data[0] == '.';

	if (!is_local && dir.kind == NODE_MAILBOX) {
		return view_mail_mkdir(mount, dir, name, out, err);
	}
	if (!is_local && (dir.kind == NODE_MAILDIR || node_holds_maildir_names(dir))) {
		return view_maildir_mkdir(mount, dir, name, out, err);
	}
	return plain_make(mount, dir, name, PLAIN_DIRECTORY, mode, NULL, out, err);
}

static void
do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct mount *mount = begin(req, FUSE_MKDIR);
	struct error err = ERROR_INIT;
	struct entry entry;
	struct node dir;
	struct notify_ticket *own;
	bool made;

	if (!begin_change(mount, req, parent, name, &dir)) {
		return;
	}
	own = begin_own(mount, dir, name, 0);
	made = make_directory(mount, dir, slice_of(name), mode, &entry, &err);
	answer_made(mount, req, dir.account, own, made, &entry, &err);
}

static void
do_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct mount *mount = begin(req, FUSE_SYMLINK);
	struct error err = ERROR_INIT;
	struct entry entry;
	struct node dir;
	struct notify_ticket *own;
	bool made;

	if (!begin_change(mount, req, parent, name, &dir)) {
		return;
	}
	if ((dir.kind == NODE_MAILBOX || node_holds_maildir_names(dir)) &&
		name_classify(slice_of(name)) != NAME_LOCAL) {
		reply_errno(req, EPERM);
		return;
	}
	own = begin_own(mount, dir, name, 0);
	made = plain_make(mount, dir, slice_of(name), PLAIN_SYMLINK, 0777, target, &entry, &err);
	answer_made(mount, req, dir.account, own, made, &entry, &err);
}

static void
do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	(void)begin(req, FUSE_MKNOD);
	reply_errno(req, EPERM);
}

static void
do_link(fuse_req_t req, fuse_ino_t inode, fuse_ino_t parent, const char *name)
{
	struct mount *mount = begin(req, FUSE_LINK);
	struct error err = ERROR_INIT;
	struct entry entry;
	struct node dir;
	struct notify_ticket *own;
	bool made;

	if (!begin_change(mount, req, parent, name, &dir)) {
		return;
	}
	own = begin_own(mount, dir, name, 0);
	made = view_maildir_link(mount, inode, dir, slice_of(name), &entry, &err);
	answer_made(mount, req, dir.account, own, made, &entry, &err);
}

static bool
unlink_entry(struct mount *mount, struct node dir, const char *name, const struct entry *entry, struct error *err)
{
	struct file *file;
	bool done = true;

	switch (entry->node.kind) {
	case NODE_MESSAGE:
		if (!(node_holds_maildir_names(dir) /* as mail programs mean it */
				    ? view_maildir_unlink(mount, entry->node, err)
				    : edit_message_remove(mount_account(mount, dir.account),
					      (struct number){entry->node.number}, err))) {
			return false;
		}
		displaced_forget(mount, dir.account, entry->node.number);
		file_unlink_inode(mount, entry->inode);
		return true;
	case NODE_LOCAL:
		return plain_unlink(mount, dir, entry->node, err);
	case NODE_NEW:
		file = file_hold(mount, entry->inode);
		if (file == NULL) {
			return error_set(err, ERROR_RETRY, "it was handed over just now");
		}
		done = file_unlink_new(mount, file, err);
		file_drop(mount, &file);
		if (done) {
			dir_touch(mount, dir);
		}
		return done;
	case NODE_CONTROL:
	case NODE_REJECTED:
		return view_control_unlink(mount, entry->node, slice_of(name), err);
	case NODE_MAILBOX:
	case NODE_ACCOUNTS:
	case NODE_MAILDIR:
	case NODE_CUR:
	case NODE_FRESH:
	case NODE_TMP:
	case NODE_KIND_COUNT:
		break;
	}
	return error_errno(err, EISDIR, "%s", name);
}

static bool
rmdir_entry(struct mount *mount, struct node dir, const char *name, const struct entry *entry, struct error *err)
{
	if (!S_ISDIR(entry->attr.st_mode)) {
		return error_errno(err, ENOTDIR, "%s", name);
	}
	if (entry->node.kind == NODE_LOCAL) {
		return plain_unlink(mount, dir, entry->node, err);
	}
	bool in_maildir = entry->node.kind == NODE_MAILDIR || node_holds_maildir_names(entry->node) ||
			  entry->node.kind == NODE_TMP;

	if ((entry->node.kind == NODE_MAILBOX || in_maildir) && entry->node.number != 0) {
		if (!(in_maildir ? view_maildir_rmdir : view_mail_rmdir)(mount, entry->node, err)) {
			return false;
		}
		dir_touch_own(mount, dir);
		return true;
	}
	return error_errno(err, EBUSY, "it is a part of the mount");
}

static void
answer_removal(struct mount *mount, fuse_req_t req, fuse_ino_t parent, const char *name,
	bool (*remove)(
		struct mount *mount, struct node dir, const char *name, const struct entry *entry, struct error *err))
{
	struct error err = ERROR_INIT;
	struct entry entry;
	struct node dir;
	bool passing, done = false;

	if (!begin_change(mount, req, parent, name, &dir)) {
		return;
	}
	/* What was being handed over when it was looked up is something else by now. */
	for (int tries = 0; !done && tries < CHANGE_TRIES && (tries == 0 || err.kind == ERROR_RETRY); tries++) {
		error_clear(&err);
		done = dir_lookup(mount, dir, name, &entry, &passing, &err);
		if (done) {
			struct notify_ticket *own = begin_own(mount, dir, name, entry.node.number);

			done = remove(mount, dir, name, &entry, &err);
			notify_own_end(mount->notify, dir.account, own, done, 0);
		}
	}
	reply_result(req, done, &err);
}

static void
do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	answer_removal(begin(req, FUSE_UNLINK), req, parent, name, unlink_entry);
}

static void
do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	answer_removal(begin(req, FUSE_RMDIR), req, parent, name, rmdir_entry);
}

static void
do_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
	unsigned flags)
{
	rename_answer(begin(req, FUSE_RENAME2), req, parent, name, new_parent, new_name, flags);
}

static void
do_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
	handle_answer_open(begin(req, FUSE_OPEN), req, inode, info);
}

static void
do_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *info)
{
	handle_answer_create(begin(req, FUSE_CREATE), req, parent, name, mode, info);
}

static void
do_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info)
{
	handle_answer_read(begin(req, FUSE_READ), req, inode, size, offset, info);
}

static void
do_write(fuse_req_t req, fuse_ino_t inode, const char *data, size_t size, off_t offset, struct fuse_file_info *info)
{
	handle_answer_write(begin(req, FUSE_WRITE), req, slice_make(data, size), offset, info);
}

static void
do_flush(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
	handle_answer_flush(begin(req, FUSE_FLUSH), req, info);
}

static void
do_release(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
	handle_answer_release(begin(req, FUSE_RELEASE), req, info);
}

static void
do_fsync(fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info *info)
{
	handle_answer_sync(begin(req, FUSE_FSYNC), req, inode, info);
}

static void
do_opendir(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
	dir_answer_open(begin(req, FUSE_OPENDIR), req, inode, info);
}

static void
do_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info)
{
	dir_answer_list(begin(req, FUSE_READDIR), req, inode, size, (uint64_t)offset, false);
}

static void
do_readdirplus(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *info)
{
	dir_answer_list(begin(req, FUSE_READDIRPLUS), req, inode, size, (uint64_t)offset, true);
}

static void
do_releasedir(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info)
{
	(void)begin(req, FUSE_RELEASEDIR);
	reply_done(req);
}

static void
do_fsyncdir(fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info *info)
{
	handle_answer_sync(begin(req, FUSE_FSYNCDIR), req, inode, info);
}

static void
do_poll(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *info, struct fuse_pollhandle *poll)
{
	handle_answer_poll(begin(req, FUSE_POLL), req, info, poll);
}

static void
do_getxattr(fuse_req_t req, fuse_ino_t inode, const char *name, size_t size)
{
	extended_answer_get(begin(req, FUSE_GETXATTR), req, inode, name, size);
}

static void
do_listxattr(fuse_req_t req, fuse_ino_t inode, size_t size)
{
	extended_answer_list(begin(req, FUSE_LISTXATTR), req, inode, size);
}

static void
do_setxattr(fuse_req_t req, fuse_ino_t inode, const char *name, const char *value, size_t size, int flags)
{
	extended_answer_set(begin(req, FUSE_SETXATTR), req, inode, name, slice_make(value, size), flags);
}

static void
do_removexattr(fuse_req_t req, fuse_ino_t inode, const char *name)
{
	extended_answer_set(begin(req, FUSE_REMOVEXATTR), req, inode, name, (struct slice){0}, 0);
}

static void
do_fallocate(fuse_req_t req, fuse_ino_t inode, int mode, off_t offset, off_t length, struct fuse_file_info *info)
{
	handle_answer_allocate(begin(req, FUSE_FALLOCATE), req, mode, offset, length, info);
}

static void
do_statfs(fuse_req_t req, fuse_ino_t inode)
{
	struct mount *mount = begin(req, FUSE_STATFS);
	struct statvfs stat = {.f_bsize = 4096, .f_frsize = 4096};
	uint64_t messages = 0;

	for (unsigned octet = 1; octet < MOUNT_ACCOUNTS_MAX; octet++) {
		if (mount_account(mount, (uint8_t)octet) != NULL) {
			(void)statvfs(view_store_path(mount_account(mount, (uint8_t)octet)), &stat);
			messages += view_message_count(mount_account(mount, (uint8_t)octet));
		}
	}
	stat.f_files = messages + stat.f_ffree;
	stat.f_namemax = NAME_BYTES_MAX;
	reply_statfs(req, &stat);
}

static const struct fuse_lowlevel_ops operations = {
	.init = do_init,
	.lookup = do_lookup,
	.forget = do_forget,
	.forget_multi = do_forget_multi,
	.getattr = do_getattr,
	.setattr = do_setattr,
	.readlink = do_readlink,
	.mknod = do_mknod,
	.mkdir = do_mkdir,
	.unlink = do_unlink,
	.rmdir = do_rmdir,
	.symlink = do_symlink,
	.rename = do_rename,
	.link = do_link,
	.open = do_open,
	.create = do_create,
	.read = do_read,
	.write = do_write,
	.flush = do_flush,
	.release = do_release,
	.fsync = do_fsync,
	.opendir = do_opendir,
	.readdir = do_readdir,
	.readdirplus = do_readdirplus,
	.releasedir = do_releasedir,
	.fsyncdir = do_fsyncdir,
	.poll = do_poll,
	.getxattr = do_getxattr,
	.listxattr = do_listxattr,
	.setxattr = do_setxattr,
	.removexattr = do_removexattr,
	.statfs = do_statfs,
	.fallocate = do_fallocate,
};

const struct fuse_lowlevel_ops *
operations_get(void)
{
	return &operations;
}

size_t
operations_size(void)
{
	return sizeof(operations);
}
