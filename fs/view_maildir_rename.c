/* The Maildir view: what a rename, a link or an unlink there means. */
#include <errno.h>

#include "fs/deliver.h"
#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/plain.h"
#include "fs/rename.h"
#include "fs/view_mail.h"
#include "fs/view_maildir.h"

static bool
is_of_view(struct node node)
{
	return node.kind == NODE_MAILDIR || node.kind == NODE_TMP || node_holds_maildir_names(node);
}

bool
view_maildir_renames(const struct renaming *renaming)
{
	return is_of_view(renaming->to_dir) || is_of_view(renaming->source.node);
}

/* Tells whether the new name is a message's. */
static bool
names_message(const struct renaming *renaming)
{
	return node_holds_maildir_names(renaming->to_dir) && name_classify(renaming->to_name) != NAME_LOCAL;
}

/* Flags change, it goes from new to cur, it gets another base name, or another mailbox. */
static bool
rename_message(struct mount *mount, const struct renaming *renaming, struct error *err)
{
	struct account *account = mount_account(mount, renaming->from_dir.account);
	struct number number = {renaming->source.node.number};
	SCOPED(view_message_finish) struct view_message message = {0};
	struct maildir_name was = {0}, wanted;

	if (!names_message(renaming)) {
		return error_errno(err, EXDEV, "a message is not a local file");
	}
	if (!view_maildir_read_name(renaming->to_dir, renaming->to_name, &wanted, err) ||
		!view_message_load(account, number, &message, err)) {
		return false;
	}
	was.letters = message.flags | (message.passed ? MAILDIR_PASSED : 0);
	return rename_clear_target(mount, renaming, err) &&
	       edit_message_rename_maildir(account, number, &was, (struct mailbox_id){renaming->to_dir.number}, &wanted,
		       rename_replaced_message(renaming), err);
}

static bool
rename_new(struct mount *mount, const struct renaming *renaming, struct error *err)
{
	struct file *file;
	bool done;

	if (!names_message(renaming)) {
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

	if (is_file && names_message(renaming)) {
		return rename_clear_target(mount, renaming, err) &&
		       deliver_local(mount, renaming->source.node, renaming->to_dir, renaming->to_name,
			       rename_replaced_message(renaming), err);
	}
	if (names_message(renaming) ||
		(!is_file && renaming->to_dir.kind == NODE_MAILDIR && renaming->to_name.data[0] != '.')) {
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
	if (renaming->to_dir.kind != NODE_MAILDIR || renaming->to_name.data[0] == '.') {
		return error_errno(err, EXDEV, "a mailbox is not a local directory");
	}
	if (renaming->replaces && renaming->target.node.kind != NODE_MAILDIR) {
		return error_errno(err, EEXIST, "a local directory has this name");
	}
	return view_mail_rename(mount, renaming->source.node, renaming->to_dir, renaming->to_name,
		renaming->replaces ? renaming->target.node : none, err);
}

bool
view_maildir_rename(struct mount *mount, const struct renaming *renaming, struct error *err)
{
	switch (renaming->source.node.kind) {
	case NODE_MESSAGE:
		return rename_message(mount, renaming, err);
	case NODE_NEW:
		return rename_new(mount, renaming, err);
	case NODE_LOCAL:
		return rename_local(mount, renaming, err);
	case NODE_MAILDIR:
		return rename_mailbox(mount, renaming, err);
	case NODE_CUR:
	case NODE_FRESH:
	case NODE_TMP:
		return error_errno(err, EBUSY, "cur, new and tmp are parts of their mailbox");
	case NODE_MAILBOX:
	case NODE_REJECTED:
		return error_errno(err, EXDEV, "it is of another view");
	case NODE_ACCOUNTS:
	case NODE_CONTROL:
	case NODE_KIND_COUNT:
		break;
	}
	return error_errno(err, EACCES, "it is a part of the mount");
}

bool
view_maildir_link(
	struct mount *mount, uint64_t inode, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	struct error looked = ERROR_INIT;
	struct entry there;
	struct node source;
	bool passing;

	if (!file_resolve(mount, inode, &source)) {
		return error_errno(err, ESTALE, "no such inode");
	}
	if (source.kind != NODE_LOCAL || !node_holds_maildir_names(dir) || name_classify(name) == NAME_LOCAL) {
		return error_errno(err, EPERM, "a link delivers a local file to a Maildir, and nothing else");
	}
	if (source.account != dir.account) {
		return error_errno(err, EXDEV, "another account");
	}
	if (dir_lookup(mount, dir, name.data, &there, &passing, &looked)) {
		return error_errno(err, EEXIST, "%s", name.data);
	}
	return deliver_copy(mount, source, dir, name, err) && attr_load(mount, inode, out, err);
}

bool
view_maildir_unlink(struct mount *mount, struct node message, struct error *err)
{
	struct number took;

	if (!edit_message_unlink(mount_account(mount, message.account), (struct number){message.number}, &took, err)) {
		return false;
	}
	if (took.value != 0) { /* who has that message's inode goes on with this one */
		file_set_alias(mount,
			mount_inode(mount, (struct node){.kind = NODE_MESSAGE,
						   .account = message.account,
						   .number = (uint32_t)took.value}),
			message, false);
	}
	return true;
}
