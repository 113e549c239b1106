#include "fs/extended.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "engine/edit.h"
#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/park.h"

#define FLAGS_ATTRIBUTE    "user.mail.flags"
#define KEYWORDS_ATTRIBUTE "user.mail.keywords"
#define CLOSED_WAIT_MS     200 /* for the RELEASE of a file that was closed just now */

static bool
no_such_attribute(const char *name, struct error *err)
{
	return error_errno(err, ENODATA, "%s", name);
}

/* Fails for the names that no file here has: ENOTSUP, which `ls -l` remembers and asks no more. */
static bool
check_name(const char *name, struct error *err)
{
	if (strncmp(name, "user.", 5) != 0) {
		return error_errno(err, ENOTSUP, "attribute %s", name);
	}
	if (strncmp(name, "user.mail.", 10) != 0 && strncmp(name, "user.mailfs.", 12) != 0) {
		return no_such_attribute(name, err);
	}
	return true;
}

static bool
get_local_attribute(struct mount *mount, struct node node, const char *name, struct buf *out, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};

	if (!edit_local_load(mount_account(mount, node.account), (struct number){node.number}, &local, err)) {
		return false;
	}
	if (strcmp(name, "user.mailfs.state") == 0) {
		buf_append_text(out, local.error != NULL ? "failed" : "local");
		return true;
	}
	if (strcmp(name, "user.mailfs.error") == 0 && local.error != NULL) {
		buf_append_text(out, local.error);
		return true;
	}
	return no_such_attribute(name, err);
}

/* What the engine says of a message or mailbox; what it does not know is ENODATA. */
static bool
get_engine_attribute(struct mount *mount, struct node node, const char *name, struct buf *out, struct error *err)
{
	struct account *account = mount_account(mount, node.account);
	const char *short_name = name + strlen("user.");
	bool got = node.kind == NODE_MESSAGE
			   ? view_attribute(account, (struct number){node.number}, short_name, out, err)
			   : view_mailbox_attribute(account, (struct mailbox_id){node.number}, short_name, out, err);

	return got || (err->kind == ERROR_GONE && no_such_attribute(name, err));
}

static bool
get(struct mount *mount, uint64_t inode, const char *name, struct buf *out, struct error *err)
{
	struct node node;

	if (!check_name(name, err)) {
		return false;
	}
	if (!file_resolve(mount, inode, &node)) {
		return error_errno(err, ESTALE, "no such inode");
	}
	if (node.kind == NODE_MESSAGE || node_holds_maildir_names(node) ||
		((node.kind == NODE_MAILBOX || node.kind == NODE_MAILDIR) && node.number != 0)) {
		return get_engine_attribute(mount, node, name, out, err);
	}
	if (node.kind == NODE_LOCAL) {
		return get_local_attribute(mount, node, name, out, err);
	}
	if (node.kind == NODE_NEW && strcmp(name, "user.mailfs.state") == 0) {
		buf_append_text(out, "local");
		return true;
	}
	return no_such_attribute(name, err);
}

static bool
list(struct mount *mount, uint64_t inode, struct buf *out, struct error *err)
{
	struct node node;

	if (!mount->options.xattrs) {
		return error_errno(err, ENOTSUP, "listing attributes");
	}
	if (!file_resolve(mount, inode, &node)) {
		return error_errno(err, ESTALE, "no such inode");
	}
	if (node.kind == NODE_MESSAGE) {
		buf_append(out, slice_make(FLAGS_ATTRIBUTE, sizeof(FLAGS_ATTRIBUTE)));
		buf_append(out, slice_make(KEYWORDS_ATTRIBUTE, sizeof(KEYWORDS_ATTRIBUTE)));
	}
	return true;
}

static bool
set(struct mount *mount, uint64_t inode, const char *name, struct slice value, int flags, struct error *err)
{
	bool flags_named = strcmp(name, FLAGS_ATTRIBUTE) == 0, keywords_named = strcmp(name, KEYWORDS_ATTRIBUTE) == 0;
	struct node node;

	if (strncmp(name, "user.", 5) != 0) {
		return error_errno(err, ENOTSUP, "attribute %s", name);
	}
	if (!file_resolve(mount, inode, &node)) {
		return error_errno(err, ESTALE, "no such inode");
	}
	if (node.kind != NODE_MESSAGE) {
		return error_errno(err, ENOTSUP, "attribute %s of what is no message", name);
	}
	if (mount_is_read_only(mount, node.account)) {
		return error_errno(err, EROFS, "attribute %s", name);
	}
	if (!flags_named && !keywords_named) {
		return error_errno(err, strncmp(name, "user.mail", 9) == 0 ? EACCES : ENOTSUP, "attribute %s", name);
	}
	if ((flags & XATTR_CREATE) != 0) {
		return error_errno(err, EEXIST, "attribute %s", name);
	}
	return edit_message_attribute(
		mount_account(mount, node.account), (struct number){node.number}, name + strlen("user."), value, err);
}

/* --- answering, at once or when a file has become a message --- */

struct asking {
	uint64_t inode;
	bool sets;
	char *name;
	struct buf value; /* to set */
	int flags;
	size_t size; /* room for the value that is got */
};

static void
answer(struct mount *mount, fuse_req_t req, const struct asking *asking)
{
	SCOPED(buf_finish) struct buf value = BUF_INIT;
	struct error err = ERROR_INIT;
	bool done;

	if (asking->sets) {
		done = set(mount, asking->inode, asking->name, buf_slice(&asking->value), asking->flags, &err);
		reply_result(req, done, &err);
		return;
	}
	done = get(mount, asking->inode, asking->name, &value, &err);
	if (done) {
		reply_extended(req, buf_slice(&value), asking->size);
	} else {
		reply_error(req, &err);
	}
}

static void
answer_parked(struct mount *mount, fuse_req_t req, void *context, enum park_end end, const struct error *error)
{
	struct asking *asking = context;

	if (end == PARK_INTERRUPTED || end == PARK_CLOSED) {
		reply_errno(req, EINTR);
	} else {
		answer(mount, req, asking);
	}
	free(asking->name);
	buf_finish(&asking->value);
	free(asking);
}

/* Waits for the file's last close if that may be under way; false if there is nothing to wait for. */
static bool
wait_for_close(struct mount *mount, fuse_req_t req, const struct asking *asking)
{
	struct file *file = strncmp(asking->name, "user.mail", 9) == 0 ? file_hold(mount, asking->inode) : NULL;
	bool closing = file != NULL && file_is_closing(file);
	uint64_t inode = closing ? file->inode : 0;
	struct asking *kept;

	file_drop(mount, &file);
	if (!closing) {
		return false;
	}
	kept = calloc(1, sizeof(*kept));
	if (kept == NULL) {
		abort();
	}
	*kept = (struct asking){
		.inode = asking->inode, .sets = asking->sets, .flags = asking->flags, .size = asking->size};
	kept->name = slice_dup(slice_of(asking->name));
	buf_append(&kept->value, buf_slice(&asking->value));
	park_for_inode(mount->park, req, inode, CLOSED_WAIT_MS, answer_parked, kept);
	file = file_hold(mount, inode);
	if (file == NULL || !file_is_closing(file)) { /* it became one before we waited */
		park_wake_inode(mount->park, inode);
	}
	file_drop(mount, &file);
	return true;
}

void
extended_answer_get(struct mount *mount, fuse_req_t req, uint64_t inode, const char *name, size_t size)
{
	struct asking asking = {.inode = inode, .name = (char *)(uintptr_t)name, .size = size};

	if (!wait_for_close(mount, req, &asking)) {
		answer(mount, req, &asking);
	}
}

void
extended_answer_set(
	struct mount *mount, fuse_req_t req, uint64_t inode, const char *name, struct slice value, int flags)
{
	struct asking asking = {.inode = inode, .sets = true, .name = (char *)(uintptr_t)name, .flags = flags};

	buf_append(&asking.value, value);
	if (!wait_for_close(mount, req, &asking)) {
		answer(mount, req, &asking);
	}
	buf_finish(&asking.value);
}

void
extended_answer_list(struct mount *mount, fuse_req_t req, uint64_t inode, size_t size)
{
	SCOPED(buf_finish) struct buf names = BUF_INIT;
	struct error err = ERROR_INIT;

	if (list(mount, inode, &names, &err)) {
		reply_extended(req, buf_slice(&names), size);
	} else {
		reply_error(req, &err);
	}
}
