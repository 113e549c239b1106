#include "fs/rename.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/deliver.h"
#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/notify.h"
#include "fs/park.h"
#include "fs/plain.h"
#include "fs/view_mail.h"
#include "fs/view_maildir.h"

#define RENAME_TRIES   3
#define CLOSED_WAIT_MS 200 /* for the RELEASE of a file that was closed just now */

struct number
rename_replaced_message(const struct renaming *renaming)
{
	return (struct number){
		renaming->replaces && renaming->target.node.kind == NODE_MESSAGE ? renaming->target.node.number : 0};
}

/* The same for a new file, which also replaces what stands aside for it. */
static struct number
replaced_by_new(struct mount *mount, const struct renaming *renaming)
{
	return renaming->replaces ? rename_replaced_message(renaming)
				  : displaced_find(mount, renaming->to_dir, renaming->to_name);
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
	bool done = true;

	if (!renaming->replaces) {
		return true;
	}
	switch (renaming->target.node.kind) {
	case NODE_MESSAGE:
		if (renaming->source.node.kind == NODE_MESSAGE || name_classify(renaming->to_name) != NAME_LOCAL) {
			return true;
		}
		/* one that stands aside under a local name goes as by rm */
		displaced_forget(mount, renaming->to_dir.account, renaming->target.node.number);
		return edit_message_remove(mount_account(mount, renaming->to_dir.account),
			(struct number){renaming->target.node.number}, err);
	case NODE_LOCAL:
		return plain_unlink(mount, renaming->to_dir, renaming->target.node, err);
	case NODE_NEW:
		file = file_hold(mount, renaming->target.inode);
		done = file != NULL ? file_unlink_new(mount, file, err)
				    : error_set(err, ERROR_RETRY, "it was handed over just now");
		file_drop(mount, &file);
		return done;
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
	bool aside = name_classify(renaming->to_name) == NAME_LOCAL;

	if (!is_mailbox(renaming->to_dir) || (aside && !node_equal(renaming->to_dir, renaming->from_dir))) {
		/* a local file is another thing: mv copies it there, and takes the message away as rm does */
		return error_errno(err, EXDEV, "a message is not a local file");
	}
	if (!rename_clear_target(mount, renaming, err) ||
		!edit_message_move(account, (struct number){renaming->source.node.number},
			(struct mailbox_id){renaming->to_dir.number}, renaming->to_name,
			rename_replaced_message(renaming), err)) {
		return false;
	}
	if (aside && name_classify(renaming->from_name) != NAME_LOCAL) {
		displaced_note(mount, renaming->from_dir, renaming->from_name, renaming->source.node.number);
	}
	return true;
}

/* A file whose last close is under way is a message first; one that is written goes on as a local file. */
static bool
rename_new_to_local(struct mount *mount, struct renaming *renaming, struct file *file, struct error *err)
{
	if (renaming->may_wait && file_is_closing(file)) {
		renaming->waits = file->inode;
		return error_set(err, ERROR_RETRY, "it is being handed over");
	}
	return rename_clear_target(mount, renaming, err) &&
	       file_make_local(mount, file, renaming->to_dir, renaming->to_name, err);
}

static bool
rename_new(struct mount *mount, struct renaming *renaming, struct error *err)
{
	struct file *file = file_hold(mount, renaming->source.inode);
	bool done;

	if (file == NULL) {
		return error_set(err, ERROR_RETRY, "it was handed over just now");
	}
	if (!is_mailbox(renaming->to_dir) || name_classify(renaming->to_name) != NAME_MESSAGE) {
		done = rename_new_to_local(mount, renaming, file, err);
	} else {
		done = rename_clear_target(mount, renaming, err) &&
		       file_rename(
			       mount, file, renaming->to_dir, renaming->to_name, replaced_by_new(mount, renaming), err);
	}
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
	enum name_class class = name_classify(renaming->to_name);
	bool onto_message = renaming->replaces && renaming->target.node.kind == NODE_MESSAGE && class != NAME_LOCAL;

	if (is_file && is_mailbox(renaming->to_dir) && (class == NAME_MESSAGE || onto_message)) {
		if (onto_message) {
			return deliver_local(mount, renaming->source.node, renaming->to_dir, renaming->to_name,
				rename_replaced_message(renaming), err);
		}
		return rename_clear_target(mount, renaming, err) &&
		       deliver_local(mount, renaming->source.node, renaming->to_dir, renaming->to_name,
			       replaced_by_new(mount, renaming), err);
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
carry_out(struct mount *mount, struct renaming *renaming, struct error *err)
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
rename_once(struct mount *mount, struct renaming *renaming, bool noreplace, struct error *err)
{
	bool same = false, done;
	struct notify_ticket *own;

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
	if (renaming->replaces &&
		renaming->target.node.kind == NODE_MESSAGE) { /* what is written there comes to nothing */
		file_unlink_inode(mount, renaming->target.inode);
	}
	dir_touch_own(mount, renaming->from_dir);
	dir_touch_own(mount, renaming->to_dir);
	return true;
}

static bool
rename_both(struct mount *mount, struct renaming *renaming, bool noreplace, struct error *err)
{
	bool done = false;

	if (renaming->from_dir.account != renaming->to_dir.account) {
		return error_errno(err, EXDEV, "another account");
	}
	if (renaming->from_dir.kind == NODE_ACCOUNTS) {
		return error_errno(err, EBUSY, "the directory of an account");
	}
	if (mount_is_read_only(mount, renaming->from_dir.account)) {
		return error_errno(err, EROFS, "renaming");
	}
	/* What was being handed over when it was looked up is something else by now. */
	for (int tries = 0; !done && tries < RENAME_TRIES && (tries == 0 || err->kind == ERROR_RETRY); tries++) {
		error_clear(err);
		done = rename_once(mount, renaming, noreplace, err);
		if (renaming->waits != 0) {
			return false;
		}
	}
	return done;
}

/* --- answering, at once or when a file has become a message --- */

struct asking {
	uint64_t from_inode, to_inode;
	char *from_name, *to_name;
	bool noreplace;
};

static void wait_for_close(struct mount *mount, fuse_req_t req, const struct asking *asking, uint64_t inode);

static void
answer(struct mount *mount, fuse_req_t req, const struct asking *asking, bool may_wait)
{
	struct renaming renaming = {
		.from_name = slice_of(asking->from_name), .to_name = slice_of(asking->to_name), .may_wait = may_wait};
	struct error err = ERROR_INIT;
	bool done;

	if (!file_resolve(mount, asking->from_inode, &renaming.from_dir) ||
		!file_resolve(mount, asking->to_inode, &renaming.to_dir)) {
		reply_errno(req, ESTALE);
		return;
	}
	done = rename_both(mount, &renaming, asking->noreplace, &err);
	if (renaming.waits != 0) {
		wait_for_close(mount, req, asking, renaming.waits);
	} else {
		reply_result(req, done, &err);
	}
}

static void
answer_parked(struct mount *mount, fuse_req_t req, void *context, enum park_end end, const struct error *error)
{
	struct asking *asking = context;

	if (end == PARK_INTERRUPTED || end == PARK_CLOSED) {
		reply_errno(req, EINTR);
	} else {
		answer(mount, req, asking, false);
	}
	free(asking->from_name);
	free(asking->to_name);
	free(asking);
}

static void
wait_for_close(struct mount *mount, fuse_req_t req, const struct asking *asking, uint64_t inode)
{
	struct asking *kept = malloc(sizeof(*kept));
	struct file *file;

	if (kept == NULL) {
		abort();
	}
	*kept = *asking;
	kept->from_name = slice_dup(slice_of(asking->from_name));
	kept->to_name = slice_dup(slice_of(asking->to_name));
	park_for_inode(mount->park, req, inode, CLOSED_WAIT_MS, answer_parked, kept);
	file = file_hold(mount, inode);
	if (file == NULL || !file_is_closing(file)) { /* it became one before we waited */
		park_wake_inode(mount->park, inode);
	}
	file_drop(mount, &file);
}

void
rename_answer(struct mount *mount, fuse_req_t req, uint64_t from_inode, const char *from_name, uint64_t to_inode,
	const char *to_name, unsigned flags)
{
	struct asking asking = {.from_inode = from_inode,
		.to_inode = to_inode,
		.from_name = (char *)(uintptr_t)from_name, /* only read */
		.to_name = (char *)(uintptr_t)to_name,
		.noreplace = (flags & RENAME_NOREPLACE) != 0};

	if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0) {
		reply_errno(req, EINVAL);
	} else {
		answer(mount, req, &asking, true);
	}
}
