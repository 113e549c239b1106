#include "fs/deliver.h"

#include <stdlib.h>

#include "engine/base/log.h"
#include "fs/file.h"
#include "fs/mount_internal.h"

/* An open one: its handles go on writing to the message-to-be. */
static bool
deliver_open(struct mount *mount, struct file *file, struct node dir, struct slice name, struct number replaces,
	struct error *err)
{
	struct edit_writer *writer = NULL;
	struct error flush = ERROR_INIT;

	if (!edit_writer_from_local(
		    file->account, file->number, (struct mailbox_id){dir.number}, name, replaces, &writer, err)) {
		return false;
	}
	/* half written it may be no message yet */
	if (!edit_writer_flush(writer, false, &flush) && flush.kind != ERROR_INVALID) {
		edit_writer_discard(&writer);
		*err = flush;
		return false;
	}
	file->writer = writer;
	file->state = FILE_WRITER;
	file->written = file->odd = true;
	file->dirty = flush.kind != ERROR_NONE;
	file_take_name(mount, file, dir, name);
	return true;
}

static bool
deliver_closed(struct mount *mount, struct account *account, struct node local, struct node dir, struct slice name,
	struct number replaces, struct number *out, struct error *err)
{
	struct edit_writer *writer = NULL;
	struct number message = {0}, kept = {0};

	if (!edit_writer_from_local(account, (struct number){local.number}, (struct mailbox_id){dir.number}, name,
		    replaces, &writer, err)) {
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
	bool done;

	if (file == NULL) {
		return deliver_closed(mount, account, local, dir, name, replaces, &message, err);
	}
	mutex_lock(&file->lock);
	if (file->state != FILE_LOCAL) {
		done = error_set(err, ERROR_RETRY, "it is being handed over");
	} else if (file_has_writers(mount, file)) {
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
