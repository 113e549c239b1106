#include "fs/file.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "fs/file_internal.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/notify.h"
#include "fs/park.h"
#include "fs/plain.h"
#include "fs/view_maildir.h"

#define NS_PER_S   INT64_C(1000000000)
#define COPY_BYTES 65536

/* --- making and opening --- */

bool
file_create(struct mount *mount, struct node dir, struct slice name, struct file **out, struct error *err)
{
	bool in_maildir = node_holds_maildir_names(dir);
	struct number aside = displaced_find(mount, dir, name);
	struct mailbox_id mailbox = {dir.number};
	struct edit_writer *writer = NULL;
	struct maildir_name read;
	struct file *file;
	uint32_t number;

	if ((in_maildir && !view_maildir_read_name(dir, name, &read, err)) ||
		!edit_writer_create(mount_account(mount, dir.account), mailbox, in_maildir ? (struct slice){0} : name,
			&writer, err)) {
		return false;
	}
	number = (uint32_t)edit_writer_number(writer).value; /* the store gives none beyond 32 bits */
	if (aside.value != 0 && !edit_writer_rename(writer, mailbox, name, aside, err)) {
		edit_writer_discard(&writer);
		return false;
	}
	if (in_maildir) {
		edit_writer_set_maildir(writer, &read);
	}
	file = file_new(mount, dir.account, FILE_WRITER);
	file->writer = writer;
	file->aside = aside;
	file->writers = 1;
	file_set_name_locked(file, dir, name);
	mutex_lock(&mount->lock);
	file->inode = mount_inode(mount, (struct node){.kind = NODE_NEW, .account = dir.account, .number = number});
	file->fresh = true;
	inode_map_put(&mount->files, file->inode, (uint64_t)(uintptr_t)file);
	file_set_named_locked(mount, file, true);
	mutex_unlock(&mount->lock);
	dir_touch(mount, dir);
	*out = file;
	return true;
}

static bool
open_local(struct file *file, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};

	if (!edit_local_load(file->account, file->number, &local, err)) {
		return false;
	}
	if (local.kind != PLAIN_FILE) {
		return error_errno(err, EISDIR, "%s", local.name);
	}
	file->mtime_ns = local.mtime_ns;
	file->ctime_ns = local.ctime_ns;
	file->mode = local.mode;
	return edit_local_open(file->account, file->number, O_RDWR | O_CLOEXEC, &file->fd, err);
}

bool
file_open(struct mount *mount, struct node node, bool writes, struct file **out, struct error *err)
{
	uint64_t inode = mount_inode(mount, node);
	struct file *file = file_join(mount, inode, writes), *other;

	if (file != NULL) {
		*out = file;
		return true;
	}
	if (node.kind != NODE_MESSAGE && node.kind != NODE_LOCAL) {
		return error_set(err, ERROR_GONE, "nothing came of this file");
	}
	file = file_new(mount, node.account, node.kind == NODE_LOCAL ? FILE_LOCAL : FILE_MESSAGE);
	file->number = (struct number){node.number};
	file->inode = inode;
	file->writers = writes;
	if (node.kind == NODE_LOCAL && !open_local(file, err)) {
		file_destroy(file);
		return false;
	}
	mutex_lock(&mount->lock);
	other = file_find_locked(mount, inode);
	if (other != NULL) { /* somebody was faster */
		other->references++;
		other->writers += writes;
	} else {
		inode_map_put(&mount->files, inode, (uint64_t)(uintptr_t)file);
	}
	mutex_unlock(&mount->lock);
	if (other != NULL) {
		file_destroy(file);
		file = other;
	}
	*out = file;
	return true;
}

/* --- bytes --- */

static bool
pread_all(int fd, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
{
	size_t got = 0;

	while (got < size) {
		ssize_t count = pread(fd, (char *)out + got, size - got, (off_t)(offset + got));

		if (count < 0 && errno == EINTR) {
			continue;
		}
		if (count < 0) {
			return error_errno(err, errno, "reading a local file");
		}
		if (count == 0) {
			break;
		}
		got += (size_t)count;
	}
	*out_got = got;
	return true;
}

static bool
pwrite_all(int fd, struct slice data, uint64_t offset, struct error *err)
{
	while (data.length > 0) {
		ssize_t count = pwrite(fd, data.data, data.length, (off_t)offset);

		if (count < 0 && errno == EINTR) {
			continue;
		}
		if (count < 0) {
			return error_errno(err, errno, "writing a local file");
		}
		data = slice_skip(data, (size_t)count);
		offset += (uint64_t)count;
	}
	return true;
}

static bool
open_message_locked(struct file *file, struct error *err)
{
	if (file->body != NULL) {
		return true;
	}
	switch (view_body_open(file->account, file->number, &file->body, err)) {
	case VIEW_BODY_OPEN:
		return true;
	case VIEW_BODY_MISSING:
		return error_errno(err, EIO, "the body is not here");
	case VIEW_BODY_FAILED:
		break;
	}
	return false;
}

static bool
read_message_locked(struct file *file, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
{
	return open_message_locked(file, err) && view_body_read(file->body, out, size, offset, out_got, err);
}

bool
file_read(struct file *file, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
{
	bool done = false;

	mutex_lock(&file->lock);
	switch (file->state) {
	case FILE_WRITER:
		done = edit_writer_pread(file->writer, out, size, offset, out_got, err);
		break;
	case FILE_LOCAL:
		done = pread_all(file->fd, out, size, offset, out_got, err);
		break;
	case FILE_MESSAGE:
		done = read_message_locked(file, out, size, offset, out_got, err);
		break;
	case FILE_NOTHING:
		done = error_set(err, ERROR_GONE, "nothing came of this file");
		break;
	}
	mutex_unlock(&file->lock);
	return done;
}

/* Makes sure that there is something to write to: a message is copied at its first write. `truncate`: without its bytes. */
static bool
make_writable_locked(struct file *file, bool truncate, struct error *err)
{
	if (file->state == FILE_NOTHING) {
		return error_set(err, ERROR_GONE, "nothing came of this file");
	}
	if (file->state == FILE_MESSAGE) {
		if (!edit_writer_replace(file->account, file->number, truncate, &file->writer, err)) {
			return false;
		}
		view_body_close(&file->body);
		file->replaces = true;
		file->state = FILE_WRITER;
	}
	return true;
}

static int64_t
floor_s(int64_t ns)
{
	return ns / NS_PER_S - (ns % NS_PER_S < 0);
}

/* The times that its message will have, so that they do not change when it becomes one. */
static void
set_message_time_locked(struct file *file, int64_t mtime_s)
{
	file->mtime_ns = mtime_s * NS_PER_S;
	file->ctime_ns = attr_now_ns();
}

static void
note_write_locked(struct mount *mount, struct file *file)
{
	struct error ignored = ERROR_INIT;

	if (file->state == FILE_LOCAL && !file->written && !file->unlinked) {
		(void)!plain_record(mount, file, false, &ignored); /* it does not rest any more */
	}
	file->written = file->dirty = true;
	file->mtime_ns = file->ctime_ns = attr_now_ns();
	if (file->state == FILE_WRITER) {
		set_message_time_locked(file, floor_s(file->mtime_ns));
	}
}

bool
file_write(struct mount *mount, struct file *file, struct slice data, uint64_t offset, struct error *err)
{
	bool done;

	mutex_lock(&file->lock);
	done = make_writable_locked(file, false, err);
	if (done) {
		done = file->state == FILE_LOCAL ? pwrite_all(file->fd, data, offset, err)
						 : edit_writer_pwrite(file->writer, data, offset, err);
		file->odd = file->odd || memchr(data.data, '\r', data.length) != NULL ||
			    (offset == 0 && slice_has_prefix(data, SLICE_LITERAL("From ")));
		note_write_locked(mount, file);
	}
	mutex_unlock(&file->lock);
	return done;
}

/* A local file under a message's name was refused before (X.eml that was empty, or no message); once it is written anew it may be one. Gives a writer of
 * its bytes, or NULL where it is of another kind; `out_local` is its row. */
static bool
writer_of_refused_locked(struct file *file, struct edit_writer **out, struct edit_local *out_local, struct error *err)
{
	*out = NULL;
	if (!edit_local_load(file->account, file->number, out_local, err)) {
		return false;
	}
	return out_local->parent_kind != PLAIN_IN_MAILBOX || out_local->kind != PLAIN_FILE ||
	       name_classify(slice_of(out_local->name)) != NAME_MESSAGE ||
	       edit_writer_from_local(file->account, file->number, (struct mailbox_id){(uint32_t)out_local->parent},
		       slice_of(out_local->name), (struct number){0}, out, err);
}

/* Its bytes are durable where they are; whether they are a message is told as of any other. */
static bool
flush_refused_locked(struct file *file, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct edit_writer *writer = NULL;
	bool done;

	if (!writer_of_refused_locked(file, &writer, &local, err) || writer == NULL) {
		return writer == NULL && err->kind == ERROR_NONE;
	}
	done = (fsync(file->fd) == 0 || error_errno(err, errno, "making a local file durable")) &&
	       edit_writer_flush(writer, false, err);
	file->again = true;
	edit_writer_discard(&writer);
	return done;
}

bool
file_flush(struct file *file, bool killed, struct error *err)
{
	bool done = true;

	mutex_lock(&file->lock);
	if (file->unlinked) {
		done = true; /* nothing will become of it */
	} else if (file->state == FILE_LOCAL && file->dirty) {
		done = flush_refused_locked(file, err);
		file->dirty = !done;
	} else if (file->state != FILE_WRITER) {
		done = true;
	} else if (!file->written) { /* nothing of it has to be durable yet */
		done = file->replaces || error_errno(err, EINVAL, "an empty file is no message");
	} else if (file->dirty || killed) {
		done = edit_writer_flush(file->writer, killed, err);
		file->dirty = !done;
	}
	mutex_unlock(&file->lock);
	return done;
}

bool
file_sync(struct mount *mount, struct file *file, struct error *err)
{
	bool done = true;

	/* half written it may be no message yet: that is told at close */
	if (!file_flush(file, false, err) && err->kind != ERROR_INVALID) {
		return false;
	}
	error_clear(err);
	mutex_lock(&file->lock);
	if (file->state == FILE_LOCAL) {
		done = fsync(file->fd) == 0 || error_errno(err, errno, "making a local file durable");
		done = done && (file->unlinked || plain_record(mount, file, false, err));
	}
	mutex_unlock(&file->lock);
	return done;
}

/* --- what becomes of it --- */

static void
log_released(const struct file *file, bool done, const struct error *error)
{
	if (!done) {
		log_error("mount", "event=handing-over inode=%#llx error=\"%s\"", (unsigned long long)file->inode,
			error->text);
	}
}

/* Hands a writer over to the engine. */
static void
release_locked(struct mount *mount, struct file *file)
{
	struct number message = {0}, local = {0};
	struct error err = ERROR_INIT;
	uint64_t size = edit_writer_size(file->writer);
	struct node became = {.account = file->octet};
	struct node replaced = {.kind = NODE_MESSAGE, .account = file->octet, .number = (uint32_t)file->number.value};
	bool odd = file->odd || file->replaces, done;
	/* The kernel has the name, and the pages unless they read back otherwise (CRLF as LF). That the directory changes it does not know. */
	struct notify_ticket *own = notify_own_begin(mount->notify, file->octet,
		&(struct notify_own){mount_inode(mount, file->dir), slice_of(file->name), .live = true}, odd ? 0 : 1);

	if (file->replaces) { /* before anybody can see it */
		struct node will = {.kind = NODE_MESSAGE,
			.account = file->octet,
			.number = (uint32_t)edit_writer_number(file->writer).value};

		file_show_as(mount, will, replaced);
	}
	edit_writer_note_written(file->writer, floor_s(file->mtime_ns), file->ctime_ns);
	done = edit_writer_release(&file->writer, &message, &local, &err);
	log_released(file, done, &err);
	file->writer = NULL;
	if (message.value != 0 && local.value != 0) {
		file_alias_displaced(mount, file->octet, file->aside, local);
		local.value = 0;
	}
	file->over.value = 0;
	file->number = message.value != 0 ? message : local;
	file->state = message.value != 0 ? FILE_MESSAGE : local.value != 0 ? FILE_LOCAL : FILE_NOTHING;
	became.kind = message.value != 0 ? NODE_MESSAGE : NODE_LOCAL;
	became.number = (uint32_t)file->number.value;
	if (file->state == FILE_LOCAL && (file->fd >= 0 || !open_local(file, &err))) {
		file->state = FILE_NOTHING;
	}
	if (file->state == FILE_LOCAL && file->also == 0) {
		file_find_as_local(mount, file, became);
	}
	if (file->state == FILE_LOCAL && file->fresh) {
		file_show_as(mount, became,
			(struct node){.kind = NODE_NEW, .account = file->octet, .number = (uint32_t)file->inode});
	}
	if (file->number.value != 0) {
		file_set_alias(mount, file->inode, became, odd);
	}
	if (file->replaces && message.value != 0) { /* it may have been another one than that of the inode */
		file_set_alias(mount, mount_inode(mount, replaced), became, odd);
	}
	mutex_lock(&mount->lock);
	file->fresh = false;
	file_set_named_locked(mount, file, false);
	mutex_unlock(&mount->lock);
	log_debug("mount", "event=released message=%llu local=%llu size=%llu", (unsigned long long)message.value,
		(unsigned long long)local.value, (unsigned long long)size);
	notify_own_end(mount->notify, file->octet, own, file->number.value != 0, file->number.value);
	if (odd) {
		notify_inode(mount->notify, file->inode);
	}
	park_wake_inode(mount->park, file->inode);
}

/* What was refused and has been written anew is handed over as any other. */
static bool
release_refused_locked(struct mount *mount, struct file *file, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct node dir = {.kind = NODE_MAILBOX, .account = file->octet};

	if (!writer_of_refused_locked(file, &file->writer, &local, err) || file->writer == NULL) {
		return false;
	}
	dir.number = (uint32_t)local.parent;
	mutex_lock(&mount->lock);
	file_set_name_locked(file, dir, slice_of(local.name));
	mutex_unlock(&mount->lock);
	(void)close(file->fd);
	file->fd = -1;
	file->state = FILE_WRITER;
	file->odd = true;
	release_locked(mount, file);
	return true;
}

static void
settle_local_locked(struct mount *mount, struct file *file)
{
	struct error err = ERROR_INIT;

	if (!file->written || file->unlinked) {
		return;
	}
	if (release_refused_locked(mount, file, &err)) {
		file->written = file->again = false;
		return;
	}
	error_clear(&err);
	if (file->again) {
		file->again = false;
		park_wake_inode(mount->park, file->inode);
	}
	if (!plain_record(mount, file, true, &err)) {
		log_warn("mount", "event=local-close error=\"%s\"", err.text);
		return;
	}
	file->written = false;
}

/* The last handle that may write is closed. */
static void
settle(struct mount *mount, struct file *file)
{
	bool again;

	mutex_lock(&file->lock);
	mutex_lock(&mount->lock);
	again = file->writers > 0; /* opened once more */
	mutex_unlock(&mount->lock);
	if (!again && file->state == FILE_LOCAL) {
		settle_local_locked(mount, file);
	} else if (!again && file->state == FILE_WRITER && file->unlinked) {
		edit_writer_discard(&file->writer);
		file->state = FILE_NOTHING;
	} else if (!again && file->state == FILE_WRITER) {
		release_locked(mount, file);
	}
	mutex_unlock(&file->lock);
}

void
file_reject_half(struct file *file)
{
	struct error err = ERROR_INIT;

	mutex_lock(&file->lock);
	if (file->state == FILE_WRITER && file->dirty && !edit_writer_flush(file->writer, true, &err)) {
		log_warn("mount", "event=rejecting error=\"%s\"", err.text);
	}
	mutex_unlock(&file->lock);
}

void
file_close(struct mount *mount, struct file **file, bool writes)
{
	bool last = false;

	if (*file == NULL) {
		return;
	}
	if (writes) {
		mutex_lock(&mount->lock);
		assert((*file)->writers > 0);
		last = --(*file)->writers == 0;
		mutex_unlock(&mount->lock);
	}
	if (last) {
		settle(mount, *file);
	}
	file_drop(mount, file);
}

bool
file_is_closing(struct file *file)
{
	bool closing;

	mutex_lock(&file->lock);
	closing = (file->state == FILE_WRITER || (file->state == FILE_LOCAL && file->again)) && file->written &&
		  !file->dirty && !file->unlinked;
	mutex_unlock(&file->lock);
	return closing;
}

bool
file_is_written_in_place(struct mount *mount, uint64_t inode)
{
	struct file *file = file_hold(mount, inode);
	bool written = false;

	if (file != NULL) {
		mutex_lock(&file->lock);
		written = file->state == FILE_WRITER && file->replaces;
		mutex_unlock(&file->lock);
		file_drop(mount, &file);
	}
	return written;
}

bool
file_attr(struct mount *mount, struct file *file, struct entry *out)
{
	struct node node = {0};
	struct stat st;
	bool told = mount_node(mount, file->inode, &node);
	struct error ignored = ERROR_INIT;

	mutex_lock(&file->lock);
	if (told && file->state == FILE_WRITER) {
		node.kind = file->fresh ? NODE_NEW : node.kind;
		attr_of_bytes(mount, node, edit_writer_size(file->writer), file->mtime_ns, file->ctime_ns, out);
	} else if (told && file->state == FILE_LOCAL && fstat(file->fd, &st) == 0) {
		node = (struct node){
			.kind = NODE_LOCAL, .account = file->octet, .number = (uint32_t)file->number.value};
		attr_of_bytes(mount, node, (uint64_t)st.st_size, file->mtime_ns, file->ctime_ns, out);
		out->inode = out->attr.st_ino = file->inode; /* as the kernel has it while it is open */
		out->attr.st_mode = S_IFREG | (file->mode & 07777);
	} else if (told && file->state == FILE_MESSAGE && file->unlinked && open_message_locked(file, &ignored)) {
		attr_of_bytes(mount, node, view_body_size(file->body), file->mtime_ns, file->ctime_ns, out);
	} else {
		told = false;
	}
	if (told && file->unlinked) {
		out->attr.st_nlink = 0;
	}
	if (told && file->mixed) {
		out->attr_passing = true;
	}
	mutex_unlock(&file->lock);
	return told;
}

/* --- changes by name or inode --- */

bool
file_attr_if_open(struct mount *mount, struct entry *entry)
{
	struct file *file = file_hold(mount, entry->inode);
	bool told = file != NULL && file_attr(mount, file, entry);

	file_drop(mount, &file);
	return told;
}

static bool
truncate_locked(struct mount *mount, struct file *file, uint64_t size, struct error *err)
{
	bool done;

	if (!make_writable_locked(file, size == 0, err)) {
		return false;
	}
	if (file->state == FILE_LOCAL) {
		done = ftruncate(file->fd, (off_t)size) == 0 ||
		       error_errno(err, errno, "changing the size of a local file");
	} else {
		done = edit_writer_truncate(file->writer, size, err);
	}
	if (size == 0 && !file->written && file->state == FILE_WRITER && !file->replaces) {
		return done; /* new and still empty */
	}
	note_write_locked(mount, file);
	return done;
}

bool
file_truncate_open(struct mount *mount, struct file *file, uint64_t size, struct error *err)
{
	bool done;

	mutex_lock(&file->lock);
	done = truncate_locked(mount, file, size, err);
	mutex_unlock(&file->lock);
	return done;
}

bool
file_allocate(struct mount *mount, struct file *file, int mode, off_t offset, off_t length, struct error *err)
{
	bool done;

	mutex_lock(&file->lock);
	if (file->state != FILE_LOCAL) {
		done = error_errno(err, ENOTSUP, "room for a message");
	} else {
		done = fallocate(file->fd, mode, offset, length) == 0 ||
		       error_errno(err, errno, "room for a local file");
	}
	if (done) {
		note_write_locked(mount, file);
	}
	mutex_unlock(&file->lock);
	return done;
}

/* Tells whether no handle may write: the caller's hold is the only one. */
static bool
is_alone(struct mount *mount, const struct file *file)
{
	bool alone;

	mutex_lock(&mount->lock);
	alone = file->writers == 1;
	mutex_unlock(&mount->lock);
	return alone;
}

/* A replacement that failed: the message stays as it was. */
static void
leave_replaced(struct file *file)
{
	mutex_lock(&file->lock);
	if (file->state == FILE_WRITER && file->replaces) {
		edit_writer_discard(&file->writer);
		file->replaces = false;
		file->state = FILE_MESSAGE;
	}
	mutex_unlock(&file->lock);
}

bool
file_truncate(struct mount *mount, uint64_t inode, uint64_t size, struct error *err)
{
	struct file *file = NULL;
	struct node node;
	bool done;

	if (!file_resolve(mount, inode, &node) || !file_open(mount, node, true, &file, err)) {
		return err->kind != ERROR_NONE ? false : error_errno(err, ESTALE, "no such inode");
	}
	done = file_truncate_open(mount, file, size, err);
	if (is_alone(mount, file)) { /* nobody has it open: the bytes are complete now */
		done = done && file_flush(file, false, err);
		if (!done) {
			leave_replaced(file);
		}
	}
	file_close(mount, &file, true);
	return done;
}

bool
file_set_mtime(struct mount *mount, uint64_t inode, int64_t mtime_ns, struct error *err)
{
	struct file *file = file_hold(mount, inode);
	bool set = false;

	if (file != NULL) {
		mutex_lock(&file->lock);
		set = file->state == FILE_WRITER || file->state == FILE_LOCAL;
		if (file->state == FILE_WRITER) {
			edit_writer_set_mtime(file->writer, floor_s(mtime_ns));
			set_message_time_locked(file, floor_s(mtime_ns));
		} else if (set) {
			file->mtime_ns = mtime_ns;
			file->ctime_ns = attr_now_ns();
		}
		mutex_unlock(&file->lock);
		file_drop(mount, &file);
	}
	return set || error_set(err, ERROR_GONE, "nothing is open there");
}

/* It leaves the name that it took from a message: that one went when it came. */
static bool
leave_over_locked(struct file *file, struct error *err)
{
	struct number over = file->over;

	file->over.value = 0;
	return over.value == 0 || edit_message_remove(file->account, over, err) ||
	       (err->kind == ERROR_GONE && (error_clear(err), true));
}

bool
file_unlink_new(struct mount *mount, struct file *file, struct error *err)
{
	bool done, left;

	mutex_lock(&file->lock);
	done = file->state == FILE_WRITER || file->state == FILE_NOTHING;
	file->unlinked = file->unlinked || done;
	left = !done || leave_over_locked(file, err);
	mutex_unlock(&file->lock);
	if (!done) {
		return error_set(err, ERROR_RETRY, "it was handed over just now");
	}
	if (!left) {
		return false;
	}
	mutex_lock(&mount->lock);
	file_set_named_locked(mount, file, false);
	mutex_unlock(&mount->lock);
	return true;
}

void
file_unlink(struct mount *mount, struct file *file)
{
	mutex_lock(&file->lock);
	file->unlinked = true;
	mutex_unlock(&file->lock);
	mutex_lock(&mount->lock);
	file_set_named_locked(mount, file, false);
	mutex_unlock(&mount->lock);
}

void
file_unlink_inode(struct mount *mount, uint64_t inode)
{
	struct file *file = file_hold(mount, inode);

	if (file != NULL) {
		file_unlink(mount, file);
		file_drop(mount, &file);
	}
}

bool
file_rename(struct mount *mount, struct file *file, struct node dir, struct slice name, struct number replaces,
	struct error *err)
{
	bool in_maildir = node_holds_maildir_names(dir), done;
	struct maildir_name read;

	if (in_maildir && !view_maildir_read_name(dir, name, &read, err)) {
		return false;
	}
	mutex_lock(&file->lock);
	if (file->state != FILE_WRITER) {
		done = error_set(err, ERROR_RETRY, "it was handed over just now");
	} else {
		done = edit_writer_rename(file->writer, (struct mailbox_id){dir.number},
			in_maildir ? (struct slice){0} : name, replaces, err);
	}
	if (done) {
		edit_writer_set_maildir(file->writer, in_maildir ? &read : NULL);
		done = leave_over_locked(file, err);
		file->aside = replaces;
		file->over = file_over(mount, dir, name, replaces);
		mutex_lock(&mount->lock);
		file_set_name_locked(file, dir, name);
		mutex_unlock(&mount->lock);
	}
	mutex_unlock(&file->lock);
	return done;
}

static bool
copy_to_local_locked(struct file *file, int fd, struct error *err)
{
	char piece[COPY_BYTES];
	uint64_t offset = 0;
	size_t got = 1;

	while (got > 0) {
		if (!edit_writer_pread(file->writer, piece, sizeof(piece), offset, &got, err) ||
			!pwrite_all(fd, slice_make(piece, got), offset, err)) {
			return false;
		}
		offset += got;
	}
	return true;
}

static bool
make_local_locked(struct mount *mount, struct file *file, struct node dir, struct slice name, struct error *err)
{
	struct entry entry;
	int fd = -1;

	if (file->state != FILE_WRITER || file->replaces) {
		return error_set(err, ERROR_RETRY, "it was handed over just now");
	}
	if (!plain_make(mount, dir, name, PLAIN_FILE, 0600, NULL, &entry, err)) {
		return false;
	}
	if (!edit_local_open(file->account, (struct number){entry.node.number}, O_RDWR | O_CLOEXEC, &fd, err) ||
		!copy_to_local_locked(file, fd, err)) {
		struct error ignored = ERROR_INIT;

		if (fd >= 0) {
			(void)close(fd);
		}
		(void)!plain_unlink(mount, dir, entry.node, &ignored);
		return false;
	}
	edit_writer_discard(&file->writer);
	file->state = FILE_LOCAL;
	file->fd = fd;
	file->mode = 0600;
	file->number = (struct number){entry.node.number};
	file->written = true;
	file_find_as_local(mount, file, entry.node);
	file_show_as(mount, entry.node,
		(struct node){.kind = NODE_NEW, .account = file->octet, .number = (uint32_t)file->inode});
	file_set_alias(mount, file->inode, entry.node, false);
	return leave_over_locked(file, err) && plain_record(mount, file, false, err);
}

bool
file_make_local(struct mount *mount, struct file *file, struct node dir, struct slice name, struct error *err)
{
	bool done;

	mutex_lock(&file->lock);
	done = make_local_locked(mount, file, dir, name, err);
	mutex_unlock(&file->lock);
	if (done) {
		mutex_lock(&mount->lock);
		file->fresh = false;
		file_set_named_locked(mount, file, false);
		mutex_unlock(&mount->lock);
	}
	return done;
}
