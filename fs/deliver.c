#include "fs/deliver.h"

#include <stdlib.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/view_maildir.h"

/* A writer of a local file's bytes. */
static bool
begin(struct account *account, struct number id, struct node dir, struct slice name, struct number replaces,
	struct edit_writer **out, struct error *err)
{
	struct mailbox_id mailbox = {dir.number};
	struct maildir_name read;

	if (!node_holds_maildir_names(dir)) {
		return edit_writer_from_local(account, id, mailbox, name, replaces, out, err);
	}
	if (!view_maildir_read_name(dir, name, &read, err) ||
		!edit_writer_from_local(account, id, mailbox, (struct slice){0}, replaces, out, err)) {
		return false;
	}
	edit_writer_set_maildir(*out, &read);
	return true;
}

/* An open one: its handles go on writing to the message-to-be. */
static bool
deliver_open(struct mount *mount, struct file *file, struct node dir, struct slice name, struct number replaces,
	struct error *err)
{
	struct edit_writer *writer = NULL;
	struct error flush = ERROR_INIT;

	if (!begin(file->account, file->number, dir, name, replaces, &writer, err)) {
		return false;
	}
	/* half written it may be no message yet */
	if (!edit_writer_flush(writer, false, &flush) && flush.kind != ERROR_INVALID) {
		edit_writer_discard(&writer);
		*err = flush;
		return false;
	}
	if (!edit_writer_leave_local(writer, err)) {
		edit_writer_discard(&writer);
		return false;
	}
	(void)close(file->fd);
	file->fd = -1;
	file->writer = writer;
	file->mixed = true;
	file->aside = replaces;
	file->over = file_over(mount, dir, name, replaces);
	file->number = (struct number){0};
	file->state = FILE_WRITER;
	file->written = file->odd = true;
	file->dirty = flush.kind != ERROR_NONE;
	file_become_new(mount, file, (uint32_t)edit_writer_number(writer).value);
	file_take_name(mount, file, dir, name);
	return true;
}

static bool
deliver_closed(struct mount *mount, struct account *account, struct node local, struct node dir, struct slice name,
	struct number replaces, struct number *out, struct error *err)
{
	struct edit_writer *writer = NULL;
	struct number message = {0}, kept = {0};

	if (!begin(account, (struct number){local.number}, dir, name, replaces, &writer, err)) {
		return false;
	}
	if (!edit_writer_flush(writer, false, err)) {
		edit_writer_discard(&writer);
		return false;
	}
	if (!edit_writer_release(&writer, &message, &kept, err)) {
		return false;
	}
	if (message.value == 0) {
		return error_set(err, ERROR_INVALID, "it can be no message");
	}
	if (kept.value != 0) {
		file_alias_displaced(mount, local.account, replaces, kept);
	}
	file_set_alias(mount, mount_inode(mount, local),
		(struct node){.kind = NODE_MESSAGE, .account = local.account, .number = (uint32_t)message.value}, true);
	*out = message;
	return true;
}

bool
deliver_local(struct mount *mount, struct node local, struct node dir, struct slice name, struct number replaces,
	struct error *err)
{
	struct file *file = file_hold(mount, mount_inode(mount, local));
	struct account *account = mount_account(mount, local.account);
	struct number message = {0};
	bool done, settled;

	if (file == NULL) {
		return deliver_closed(mount, account, local, dir, name, replaces, &message, err);
	}
	mutex_lock(&file->lock);
	/* The RELEASE of a file that was closed just now may be behind this; what a mail program delivers is durable when we return. */
	settled = node_holds_maildir_names(dir) && !file->dirty;
	if (file->state != FILE_LOCAL) {
		done = error_set(err, ERROR_RETRY, "it is being handed over");
	} else if (!settled && file_has_writers(mount, file)) {
		done = deliver_open(mount, file, dir, name, replaces, err);
	} else {
		done = deliver_closed(mount, account, local, dir, name, replaces, &message, err);
		if (done) { /* who reads it goes on with the message's body */
			file->state = FILE_MESSAGE;
			file->number = message;
		}
	}
	mutex_unlock(&file->lock);
	file_drop(mount, &file);
	return done;
}

bool
deliver_copy(struct mount *mount, struct node local, struct node dir, struct slice name, struct error *err)
{
	struct account *account = mount_account(mount, local.account);
	struct number message = {0}, kept = {0};
	struct edit_writer *writer = NULL;

	if (!begin(account, (struct number){local.number}, dir, name, (struct number){0}, &writer, err)) {
		return false;
	}
	edit_writer_keep_local(writer);
	if (!edit_writer_check(writer, err)) {
		edit_writer_discard(&writer);
		return false;
	}
	if (!edit_writer_release(&writer, &message, &kept, err)) {
		return false;
	}
	if (message.value == 0) {
		return error_set(err, ERROR_INVALID, "it can be no message");
	}
	file_set_alias(mount, mount_inode(mount, local),
		(struct node){.kind = NODE_MESSAGE, .account = local.account, .number = (uint32_t)message.value}, true);
	return true;
}
