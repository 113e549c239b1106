#include "fs/rename.h"

#include <errno.h>
#include <stdio.h>

#include "fs/deliver.h"
#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/notify.h"
#include "fs/plain.h"
#include "fs/view_mail.h"
#include "fs/view_maildir.h"

struct number
rename_replaced_message(const struct renaming *renaming)
{
	return (struct number){
		renaming->replaces && renaming->target.node.kind == NODE_MESSAGE ? renaming->target.node.number : 0};
}

static bool
is_mailbox(struct node node)
{
	return node.kind == NODE_MAILBOX && node.number != 0;
}

bool
rename_clear_target(struct mount *mount, const struct renaming *renaming, struct error *err)
{
	struct file *file;

	if (!renaming->replaces) {
		return true;
	}
	switch (renaming->target.node.kind) {
	case NODE_MESSAGE:
		return true;
	case NODE_LOCAL:
		return plain_unlink(mount, renaming->to_dir, renaming->target.node, err);
	case NODE_NEW:
		file = file_hold(mount, renaming->target.inode);
		if (file != NULL) {
			file_unlink(mount, file);
			file_drop(mount, &file);
		}
		return true;
	case NODE_MAILBOX:
	case NODE_ACCOUNTS:
	case NODE_CONTROL:
	case NODE_REJECTED:
	case NODE_MAILDIR:
	case NODE_CUR:
	case NODE_FRESH:
	case NODE_TMP:
	case NODE_KIND_COUNT:
		break;
	}
	return error_errno(err, EACCES, "what has this name cannot be replaced");
}

static bool
rename_message(struct mount *mount, const struct renaming *renaming, struct error *err)
{
	struct account *account = mount_account(mount, renaming->from_dir.account);

	if (!is_mailbox(renaming->to_dir) || name_classify(renaming->to_name) == NAME_LOCAL) {
		/* a local file is another thing: mv copies it there, and takes the message away as rm does */
		return error_errno(err, EXDEV, "a message is not a local file");
	}
	return rename_clear_target(mount, renaming, err) &&
	       edit_message_move(account, (struct number){renaming->source.node.number},
		       (struct mailbox_id){renaming->to_dir.number}, renaming->to_name,
		       rename_replaced_message(renaming), err);
}

static bool
rename_new(struct mount *mount, const struct renaming *renaming, struct error *err)
{
	struct file *file;
	bool done;

	if (!is_mailbox(renaming->to_dir) || name_classify(renaming->to_name) != NAME_MESSAGE) {
		return error_errno(err, EBUSY, "it is being written");
	}
	if (!rename_clear_target(mount, renaming, err)) {
		return false;
	}
	file = file_hold(mount, renaming->source.inode);
	if (file == NULL) {
		return error_set(err, ERROR_RETRY, "it was handed over just now");
	}
	done = file_rename(mount, file, renaming->to_dir, renaming->to_name, rename_replaced_message(renaming), err);
	file_drop(mount, &file);
	if (done) {
		dir_touch(mount, renaming->from_dir);
		dir_touch(mount, renaming->to_dir);
	}
	return done;
}

static bool
rename_local(struct mount *mount, const struct renaming *renaming, struct error *err)
{
	bool is_file = S_ISREG(renaming->source.attr.st_mode);
	bool onto_message = renaming->replaces && renaming->target.node.kind == NODE_MESSAGE;
	enum name_class class = name_classify(renaming->to_name);

	if (is_file && is_mailbox(renaming->to_dir) && (class == NAME_MESSAGE || onto_message)) {
		if (onto_message) {
			return deliver_local(mount, renaming->source.node, renaming->to_dir, renaming->to_name,
				rename_replaced_message(renaming), err);
		}
		return rename_clear_target(mount, renaming, err) &&
		       deliver_local(mount, renaming->source.node, renaming->to_dir, renaming->to_name,
			       (struct number){0}, err);
	}
	if (renaming->to_dir.kind == NODE_MAILBOX && class != NAME_LOCAL &&
		(!is_file || renaming->to_dir.number == 0)) {
		return error_errno(err, EXDEV, "here such a name is a mailbox's or a message's");
	}
	return rename_clear_target(mount, renaming, err) &&
	       plain_move(mount, renaming->source.node, renaming->to_dir, renaming->to_name, err);
}

static bool
rename_mailbox(struct mount *mount, const struct renaming *renaming, struct error *err)
{
	struct node none = {0};

	if (renaming->source.node.number == 0) {
		return error_errno(err, EBUSY, "the directory of an account");
	}
	if (renaming->to_dir.kind != NODE_MAILBOX || renaming->to_name.data[0] == '.') {
		return error_errno(err, EXDEV, "a mailbox is not a local directory");
	}
	if (renaming->replaces && renaming->target.node.kind != NODE_MAILBOX) {
		return error_errno(err, EEXIST, "a local directory has this name");
	}
	return view_mail_rename(mount, renaming->source.node, renaming->to_dir, renaming->to_name,
		renaming->replaces ? renaming->target.node : none, err);
}

static bool
carry_out(struct mount *mount, const struct renaming *renaming, struct error *err)
{
	if (view_maildir_renames(renaming)) {
		return view_maildir_rename(mount, renaming, err);
	}
	switch (renaming->source.node.kind) {
	case NODE_MESSAGE:
		return rename_message(mount, renaming, err);
	case NODE_NEW:
		return rename_new(mount, renaming, err);
	case NODE_LOCAL:
		return rename_local(mount, renaming, err);
	case NODE_MAILBOX:
		return rename_mailbox(mount, renaming, err);
	case NODE_REJECTED:
		return error_errno(err, EXDEV, "a rejected file is read, or removed");
	case NODE_ACCOUNTS:
	case NODE_CONTROL:
	case NODE_MAILDIR:
	case NODE_CUR:
	case NODE_FRESH:
	case NODE_TMP:
	case NODE_KIND_COUNT:
		break;
	}
	return error_errno(err, EACCES, "it is a part of the mount");
}

/* Looks up both names; *out_same: they are one file already. */
static bool
look_up(struct mount *mount, struct renaming *renaming, bool noreplace, bool *out_same, struct error *err)
{
	bool passing;

	*out_same = false;
	if (!dir_lookup(mount, renaming->from_dir, renaming->from_name.data, &renaming->source, &passing, err)) {
		return false;
	}
	renaming->replaces =
		dir_lookup(mount, renaming->to_dir, renaming->to_name.data, &renaming->target, &passing, err);
	if (!renaming->replaces && err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	if (renaming->replaces && noreplace) {
		return error_errno(err, EEXIST, "%s", renaming->to_name.data);
	}
	*out_same = renaming->replaces && renaming->target.inode == renaming->source.inode;
	return true;
}

/* Announces it: the kernel sees it done. What a delivery makes has another inode, which the kernel is to look up. */
static struct notify_ticket *
begin_own(struct mount *mount, const struct renaming *renaming)
{
	uint64_t from = mount_inode(mount, renaming->from_dir), to = mount_inode(mount, renaming->to_dir);
	struct notify_own owns[] = {
		{from, renaming->from_name, renaming->source.node.number, false, .dir_known = true},
		{to, renaming->to_name, renaming->source.node.number, true, .dir_known = true},
		{to, renaming->to_name, renaming->target.node.number, false, .dir_known = true},
	};

	return notify_own_begin(mount->notify, renaming->from_dir.account, owns, renaming->replaces ? 3 : 2);
}

static bool
rename_both(struct mount *mount, struct renaming *renaming, bool noreplace, struct error *err)
{
	bool same = false, done;
	struct notify_ticket *own;

	if (renaming->from_dir.account != renaming->to_dir.account) {
		return error_errno(err, EXDEV, "another account");
	}
	if (renaming->from_dir.kind == NODE_ACCOUNTS) {
		return error_errno(err, EBUSY, "the directory of an account");
	}
	if (mount_is_read_only(mount, renaming->from_dir.account)) {
		return error_errno(err, EROFS, "renaming");
	}
	if (!look_up(mount, renaming, noreplace, &same, err)) {
		return false;
	}
	if (same) {
		return true;
	}
	own = begin_own(mount, renaming);
	done = carry_out(mount, renaming, err);
	notify_own_end(mount->notify, renaming->from_dir.account, own, done, 0);
	if (!done) {
		return false;
	}
	dir_touch_own(mount, renaming->from_dir);
	dir_touch_own(mount, renaming->to_dir);
	return true;
}

void
rename_answer(struct mount *mount, fuse_req_t req, uint64_t from_inode, const char *from_name, uint64_t to_inode,
	const char *to_name, unsigned flags)
{
	struct renaming renaming = {.from_name = slice_of(from_name), .to_name = slice_of(to_name)};
	struct error err = ERROR_INIT;

	if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0) {
		reply_errno(req, EINVAL);
	} else if (!file_resolve(mount, from_inode, &renaming.from_dir) ||
		   !file_resolve(mount, to_inode, &renaming.to_dir)) {
		reply_errno(req, ESTALE);
	} else {
		reply_result(req, rename_both(mount, &renaming, (flags & RENAME_NOREPLACE) != 0, &err), &err);
	}
}
