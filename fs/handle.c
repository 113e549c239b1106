#include "fs/handle.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "fs/dir.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/notify.h"
#include "fs/park.h"
#include "fs/plain.h"
#include "fs/view_control.h"

#define PF_SIGNALED     0x400 /* linux/sched.h: a signal ends the process */
#define READ_BYTES_MAX  (2u << 20)
#define BODIES_HERE_MAX 65536
#define CLOSED_WAIT_MS  200 /* for the RELEASE of a message that was closed just now */

struct handle *
handle_create(struct mount *mount, enum handle_kind kind, uint64_t inode)
{
	struct handle *handle = calloc(1, sizeof(*handle));

	if (handle == NULL) {
		abort();
	}
	handle->kind = kind;
	handle->references = 1;
	handle->inode = inode;
	handle->fd = -1;
	mutex_lock(&mount->lock);
	handle->next_open = mount->open_handles;
	handle->at_open = &mount->open_handles;
	if (handle->next_open != NULL) {
		handle->next_open->at_open = &handle->next_open;
	}
	mount->open_handles = handle;
	mutex_unlock(&mount->lock);
	return handle;
}

static struct handle *
handle_of(const struct fuse_file_info *info)
{
	return (struct handle *)(uintptr_t)info->fh;
}

static void drop(struct mount *mount, struct handle *handle);

bool
handle_is_brief(uint64_t fh)
{
	const struct handle *handle = (const struct handle *)(uintptr_t)fh;

	return handle != NULL && (handle->kind == HANDLE_BODY || handle->kind == HANDLE_TEXT);
}

/* --- open bodies --- */

static void
list_body(struct mount *mount, struct handle *handle)
{
	uint64_t first;

	mutex_lock(&mount->lock);
	if (inode_map_get(&mount->open_bodies, handle->inode, &first)) {
		handle->next = (struct handle *)(uintptr_t)first;
	}
	inode_map_put(&mount->open_bodies, handle->inode, (uint64_t)(uintptr_t)handle);
	mutex_unlock(&mount->lock);
}

static void
unlist_body_locked(struct mount *mount, struct handle *handle)
{
	uint64_t value;
	struct handle *at;

	if (!inode_map_get(&mount->open_bodies, handle->inode, &value)) {
		return; /* it was never listed */
	}
	at = (struct handle *)(uintptr_t)value;
	if (at == handle && handle->next == NULL) {
		inode_map_remove(&mount->open_bodies, handle->inode);
	} else if (at == handle) {
		inode_map_put(&mount->open_bodies, handle->inode, (uint64_t)(uintptr_t)handle->next);
	} else {
		while (at->next != handle) {
			at = at->next;
		}
		at->next = handle->next;
	}
}

/* Opens the body of a handle if that was not done yet. */
static bool
need_body(struct mount *mount, struct handle *handle, struct error *err)
{
	struct view_body *body = NULL, *none = NULL;

	if (handle->body != NULL) {
		return true;
	}
	switch (view_body_open(
		mount_account(mount, handle->node.account), (struct number){handle->node.number}, &body, err)) {
	case VIEW_BODY_OPEN:
		if (!atomic_compare_exchange_strong(&handle->body, &none, body)) {
			view_body_close(&body); /* another read was faster */
		}
		return true;
	case VIEW_BODY_MISSING: /* it was here: it is damaged, and will be fetched for who opens it again */
		(void)error_set(err, ERROR_DAMAGED, "the body is not here any more");
		break;
	case VIEW_BODY_FAILED:
		break;
	}
	handle_forget_body(mount, mount_inode(mount, handle->node));
	return false;
}

/* Keeps in mind that a message's body is here, so that the next OPEN need not ask. */
static void
remember_body(struct mount *mount, struct node node, int64_t mtime_s)
{
	mutex_lock(&mount->lock);
	if (mount->bodies_here.count >= BODIES_HERE_MAX) {
		inode_map_finish(&mount->bodies_here);
	}
	inode_map_put(&mount->bodies_here, mount_inode(mount, node), (uint64_t)mtime_s);
	mutex_unlock(&mount->lock);
}

void
handle_forget_body(struct mount *mount, uint64_t inode)
{
	mutex_lock(&mount->lock);
	inode_map_remove(&mount->bodies_here, inode);
	mutex_unlock(&mount->lock);
}

/* Tells whether a message's body is known to be here, and nobody writes to the message. */
static bool
is_body_here(struct mount *mount, struct node node, int64_t *out_mtime_s)
{
	uint64_t inode = mount_inode(mount, node), value;
	bool here;

	mutex_lock(&mount->lock);
	here = !inode_map_get(&mount->files, inode, &value) && inode_map_get(&mount->bodies_here, inode, &value);
	mutex_unlock(&mount->lock);
	*out_mtime_s = here ? (int64_t)value : 0;
	return here;
}

bool
handle_attr(struct mount *mount, uint64_t inode, struct entry *out)
{
	struct error err = ERROR_INIT;
	struct handle *handle = NULL;
	uint64_t value;
	bool found;

	mutex_lock(&mount->lock);
	if (inode_map_get(&mount->open_bodies, inode, &value)) {
		handle = (struct handle *)(uintptr_t)value;
		(void)atomic_fetch_add(&handle->references, 1);
	}
	mutex_unlock(&mount->lock);
	if (handle == NULL) {
		return false;
	}
	found = need_body(mount, handle, &err);
	if (found) {
		int64_t mtime_ns = handle->mtime_s * INT64_C(1000000000);

		attr_of_bytes(mount, handle->node, view_body_size(handle->body), mtime_ns, mtime_ns, out);
		out->inode = inode;
		out->attr.st_nlink = 0;
	}
	drop(mount, handle);
	return found;
}

/* --- ending --- */

static void
drop(struct mount *mount, struct handle *handle)
{
	struct view_body *body;

	if (atomic_fetch_sub(&handle->references, 1) > 1) {
		return;
	}
	switch (handle->kind) {
	case HANDLE_BODY:
		body = handle->body;
		view_body_close(&body);
		break;
	case HANDLE_FILE:
		file_close(mount, &handle->file, handle->writes);
		break;
	case HANDLE_TEXT:
		buf_finish(&handle->text);
		break;
	case HANDLE_DESCRIPTOR:
		(void)close(handle->fd);
		break;
	case HANDLE_EVENTS:
		view_control_close_events(mount, &handle->reader);
		break;
	}
	free(handle);
}

/* The kernel's own reference ends: nobody finds the handle any more. */
static void
close_handle(struct mount *mount, struct handle *handle)
{
	mutex_lock(&mount->lock);
	*handle->at_open = handle->next_open;
	if (handle->next_open != NULL) {
		handle->next_open->at_open = handle->at_open;
	}
	if (handle->kind == HANDLE_BODY) {
		unlist_body_locked(mount, handle);
	}
	mutex_unlock(&mount->lock);
	drop(mount, handle);
}

void
handle_close_all(struct mount *mount)
{
	struct handle *handle;

	while ((handle = mount->open_handles) != NULL) { /* no thread is left that answers */
		if (handle->kind == HANDLE_FILE && handle->writes) {
			file_reject_half(handle->file);
		}
		close_handle(mount, handle);
	}
}

/* Gives the handle to the kernel; if it takes it no more, that was its life. */
static void
answer_opened(struct mount *mount, fuse_req_t req, struct handle *handle, struct fuse_file_info *info)
{
	info->fh = (uint64_t)(uintptr_t)handle;
	if (!reply_open(req, info)) {
		close_handle(mount, handle);
	}
}

/* --- OPEN --- */

/* An OPEN on its way. */
struct opening {
	uint64_t inode; /* as the kernel has it */
	struct node node;
	struct fuse_file_info info;
};

static bool
wants_writing(const struct fuse_file_info *info)
{
	return (info->flags & O_ACCMODE) != O_RDONLY || (info->flags & O_TRUNC) != 0;
}

static struct handle *
handle_of_body(struct mount *mount, const struct opening *opening, int64_t mtime_s, struct view_body *body)
{
	struct handle *handle = handle_create(mount, HANDLE_BODY, opening->inode);

	handle->node = opening->node;
	handle->mtime_s = mtime_s;
	handle->body = body;
	list_body(mount, handle);
	return handle;
}

static enum view_body_result
open_body(struct mount *mount, const struct opening *opening, struct handle **out, struct error *err)
{
	struct account *account = mount_account(mount, opening->node.account);
	SCOPED(view_message_finish) struct view_message message = {0};
	struct number number = {opening->node.number};
	struct view_body *body = NULL;
	enum view_body_result result;
	int64_t mtime_s;

	if (is_body_here(mount, opening->node, &mtime_s)) {
		*out = handle_of_body(mount, opening, mtime_s, NULL);
		return VIEW_BODY_OPEN;
	}
	if (!view_message_load(account, number, &message, err)) {
		return VIEW_BODY_FAILED;
	}
	result = view_body_open(account, number, &body, err);
	if (result == VIEW_BODY_OPEN) {
		remember_body(mount, opening->node, message.mtime_s);
		*out = handle_of_body(mount, opening, message.mtime_s, body);
	}
	return result;
}

/* A handle on a file that is, or will be, written; or a local file. */
static bool
open_file(struct mount *mount, const struct opening *opening, struct handle **out, struct error *err)
{
	bool writes = wants_writing(&opening->info);
	struct file *file = NULL;
	struct handle *handle;

	if (!file_open(mount, opening->node, writes, &file, err)) {
		return false;
	}
	if (writes && opening->node.kind == NODE_MESSAGE) { /* it is no temporary then, whatever its name */
		displaced_forget(mount, opening->node.account, opening->node.number);
	}
	if ((opening->info.flags & O_TRUNC) != 0 && !file_truncate_open(mount, file, 0, err)) {
		file_close(mount, &file, writes);
		return false;
	}
	handle = handle_create(mount, HANDLE_FILE, opening->inode);
	handle->file = file;
	handle->writes = writes;
	*out = handle;
	return true;
}

static void
set_flags(struct mount *mount, struct opening *opening, const struct handle *handle)
{
	if (handle->kind == HANDLE_BODY) {
		opening->info.keep_cache = file_pages_hold(mount, opening->inode);
		opening->info.noflush = 1;
		/* while it is written in place the kernel's size is the writer's */
		opening->info.direct_io = file_is_written_in_place(mount, opening->inode);
	} else if (handle->kind == HANDLE_FILE) {
		opening->info.noflush = !handle->writes; /* a local file may become a message while it is open */
		/* who reads the message goes on reading the old bytes, so these do not go into the kernel's pages */
		opening->info.direct_io = opening->node.kind == NODE_MESSAGE || handle->file->mixed;
	}
}

static void answer_parked(
	struct mount *mount, fuse_req_t req, void *context, enum park_end end, const struct error *error);

/* Opens what a message's body is needed for. MISSING: it is not here. */
static enum view_body_result
open_message(struct mount *mount, struct opening *opening, struct handle **out, struct error *err)
{
	enum view_body_result result = open_body(mount, opening, out, err);

	if (result != VIEW_BODY_OPEN || !wants_writing(&opening->info)) {
		return result;
	}
	close_handle(mount, *out); /* it is here: it can be copied at the first write */
	*out = NULL;
	return open_file(mount, opening, out, err) ? VIEW_BODY_OPEN : VIEW_BODY_FAILED;
}

/* Waits for the body; the request is parked. */
static void
park_open(struct mount *mount, fuse_req_t req, const struct opening *opening)
{
	struct opening *kept;
	struct error err = ERROR_INIT;

	/* O_NONBLOCK says nothing of files, and `grep -r` opens every file with it. */
	kept = malloc(sizeof(*kept));
	if (kept == NULL) {
		abort();
	}
	*kept = *opening;
	if (!park_for_body(mount->park, req, mount_account(mount, kept->node.account),
		    (struct number){kept->node.number}, PARK_OPEN_TIMEOUT_MS, answer_parked, kept, &err)) {
		free(kept);
		reply_error(req, &err);
	}
}

static void
answer_opening(struct mount *mount, fuse_req_t req, struct opening *opening, bool may_park)
{
	struct error err = ERROR_INIT;
	struct handle *handle = NULL;
	bool opened = false;

	switch (opening->node.kind) {
	case NODE_MESSAGE:
		switch (open_message(mount, opening, &handle, &err)) {
		case VIEW_BODY_OPEN:
			opened = true;
			break;
		case VIEW_BODY_MISSING:
			if (may_park) {
				park_open(mount, req, opening);
				return;
			}
			(void)error_set(&err, ERROR_DAMAGED, "the body came, and is not here");
			break;
		case VIEW_BODY_FAILED:
			if (err.kind == ERROR_GONE &&
				file_resolve_again(mount, opening->inode, opening->node, &opening->node)) {
				answer_opening(mount, req, opening, may_park);
				return;
			}
			break;
		}
		break;
	case NODE_LOCAL:
	case NODE_NEW:
		opened = open_file(mount, opening, &handle, &err);
		break;
	case NODE_CONTROL:
	case NODE_REJECTED:
		opened = view_control_open(mount, opening->node, &opening->info, &handle, &err);
		break;
	case NODE_ACCOUNTS:
	case NODE_MAILBOX:
	case NODE_MAILDIR:
	case NODE_CUR:
	case NODE_FRESH:
	case NODE_TMP:
	case NODE_KIND_COUNT:
		(void)error_errno(&err, EISDIR, "opening a directory as a file");
		break;
	}
	if (opened) {
		set_flags(mount, opening, handle);
		answer_opened(mount, req, handle, &opening->info);
	} else {
		reply_error(req, &err);
	}
}

static void
answer_parked(struct mount *mount, fuse_req_t req, void *context, enum park_end end, const struct error *error)
{
	struct opening *opening = context;

	switch (end) {
	case PARK_READY:
		if (error != NULL) {
			reply_error(req, error);
		} else {
			answer_opening(mount, req, opening, false);
		}
		break;
	case PARK_INTERRUPTED:
	case PARK_CLOSED:
		reply_errno(req, EINTR);
		break;
	case PARK_TIMEOUT:
		reply_errno(req, ETIMEDOUT);
		break;
	}
	free(opening);
}

static void
answer_after_close(struct mount *mount, fuse_req_t req, void *context, enum park_end end, const struct error *error)
{
	struct opening *opening = context;

	if (end == PARK_INTERRUPTED || end == PARK_CLOSED) {
		reply_errno(req, EINTR);
	} else if (!file_resolve(mount, opening->inode, &opening->node)) {
		reply_errno(req, ESTALE);
	} else {
		answer_opening(mount, req, opening, true);
	}
	free(opening);
}

/* A message that was written in place and closed just now: who reads it after that close is to get the new bytes, and the RELEASE that makes them
 * the message may be behind this OPEN. False if there is nothing to wait for. */
static bool
wait_for_close(struct mount *mount, fuse_req_t req, const struct opening *opening)
{
	struct file *file = file_hold(mount, opening->inode);
	bool closing = file != NULL && file_is_closing(file) && file->replaces;
	uint64_t inode = closing ? file->inode : 0;
	struct opening *kept;

	file_drop(mount, &file);
	if (!closing) {
		return false;
	}
	kept = malloc(sizeof(*kept));
	if (kept == NULL) {
		abort();
	}
	*kept = *opening;
	park_for_inode(mount->park, req, inode, CLOSED_WAIT_MS, answer_after_close, kept);
	file = file_hold(mount, inode);
	if (file == NULL || !file_is_closing(file)) { /* it became one before we waited */
		park_wake_inode(mount->park, inode);
	}
	file_drop(mount, &file);
	return true;
}

void
handle_answer_open(struct mount *mount, fuse_req_t req, uint64_t inode, struct fuse_file_info *info)
{
	struct opening opening = {.inode = inode, .info = *info};

	if (mount->unopened) {
		reply_errno(req, ENOSYS);
		return;
	}
	if (!wants_writing(info) && wait_for_close(mount, req, &opening)) {
		return;
	}
	if (!file_resolve(mount, inode, &opening.node)) { /* after looking for who writes: it may have become another */
		reply_errno(req, ESTALE);
	} else if (wants_writing(info) && mount_is_read_only(mount, opening.node.account)) {
		reply_errno(req, EROFS);
	} else {
		answer_opening(mount, req, &opening, true);
	}
}

/* --- CREATE --- */

/* Makes what a new name stands for: a message-to-be or a local file, open. */
static bool
create(struct mount *mount, struct node dir, struct slice name, mode_t mode, struct entry *out_entry, struct file **out,
	struct error *err)
{
	enum name_class class = name_classify(name);
	bool is_message =
		node_holds_maildir_names(dir) ? class != NAME_LOCAL : dir.kind == NODE_MAILBOX && class == NAME_MESSAGE;

	if (!is_message) {
		return plain_make(mount, dir, name, PLAIN_FILE, mode, NULL, out_entry, err) &&
		       file_open(mount, out_entry->node, true, out, err);
	}
	if (dir.number == 0) {
		return error_errno(err, EACCES, "a message needs a mailbox");
	}
	if (!file_create(mount, dir, name, out, err)) {
		return false;
	}
	return file_attr(mount, *out, out_entry) || error_set(err, ERROR_GONE, "it was handed over already");
}

void
handle_answer_create(struct mount *mount, fuse_req_t req, uint64_t dir_inode, const char *name, mode_t mode,
	struct fuse_file_info *info)
{
	struct error err = ERROR_INIT;
	struct entry entry;
	struct file *file = NULL;
	struct handle *handle;
	struct node dir;

	if (!file_resolve(mount, dir_inode, &dir)) {
		reply_errno(req, ESTALE);
		return;
	}
	if (dir.kind == NODE_ACCOUNTS || mount_is_read_only(mount, dir.account)) {
		reply_errno(req, dir.kind == NODE_ACCOUNTS ? EACCES : EROFS);
		return;
	}
	if (strlen(name) > NAME_BYTES_MAX) {
		reply_errno(req, ENAMETOOLONG);
		return;
	}
	/* That there is no such name the kernel knows: it asked, and would have heard since. */
	if (!create(mount, dir, slice_of(name), mode, &entry, &file, &err)) {
		/* a local name that another process made just now: it looks again after ESTALE */
		reply_errno(
			req, err.kind == ERROR_EXISTS && (info->flags & O_EXCL) == 0 ? ESTALE : reply_errno_of(&err));
		return;
	}
	handle = handle_create(mount, HANDLE_FILE, entry.inode);
	handle->file = file;
	handle->writes = true;
	info->fh = (uint64_t)(uintptr_t)handle;
	info->keep_cache = 1;
	if (!reply_create(req, &entry, info)) {
		file_unlink(mount, file); /* who made it never heard of it */
		close_handle(mount, handle);
	}
}

/* --- READ, WRITE --- */

static void
answer_body_read(struct mount *mount, fuse_req_t req, struct handle *handle, size_t size, uint64_t offset)
{
	struct error err = ERROR_INIT;
	struct slice memory;
	size_t got = 0;
	char *data;

	if (!need_body(mount, handle, &err)) {
		reply_error(req, &err);
		return;
	}
	memory = view_body_memory(handle->body);
	if (memory.data != NULL) {
		reply_data(req,
			slice_head(slice_skip(memory, offset < memory.length ? (size_t)offset : memory.length), size));
		return;
	}
	data = malloc(size + 1);
	if (data == NULL) {
		reply_errno(req, ENOMEM);
	} else if (!view_body_read(handle->body, data, size, offset, &got, &err)) {
		reply_error(req, &err);
	} else {
		reply_data(req, slice_make(data, got));
	}
	free(data);
}

static void
answer_file_read(fuse_req_t req, const struct handle *handle, size_t size, uint64_t offset)
{
	struct error err = ERROR_INIT;
	char *data = malloc(size + 1);
	size_t got = 0;
	ssize_t count;

	if (data == NULL) {
		reply_errno(req, ENOMEM);
	} else if (handle->kind == HANDLE_DESCRIPTOR) {
		count = pread(handle->fd, data, size, (off_t)offset);
		if (count < 0) {
			reply_errno(req, errno);
		} else {
			reply_data(req, slice_make(data, (size_t)count));
		}
	} else if (!file_read(handle->file, data, size, offset, &got, &err)) {
		reply_error(req, &err);
	} else {
		reply_data(req, slice_make(data, got));
	}
	free(data);
}

/* Where nothing is opened a READ comes by inode alone (mount->unopened). */
static void
answer_unopened_read(struct mount *mount, fuse_req_t req, uint64_t inode, size_t size, uint64_t offset)
{
	struct fuse_file_info info = {.flags = O_RDONLY};
	struct opening opening = {.inode = inode, .info = info};
	struct error err = ERROR_INIT;
	struct handle *handle = NULL;
	bool opened = false;

	if (!file_resolve(mount, inode, &opening.node)) {
		reply_errno(req, ESTALE);
		return;
	}
	if (opening.node.kind == NODE_MESSAGE) {
		opened = open_body(mount, &opening, &handle, &err) == VIEW_BODY_OPEN;
		if (!opened && err.kind == ERROR_NONE) {
			(void)error_set(&err, ERROR_DAMAGED, "the body is not here");
		}
	} else if (opening.node.kind == NODE_LOCAL) {
		opened = open_file(mount, &opening, &handle, &err);
	} else {
		opened = view_control_open(mount, opening.node, &info, &handle, &err);
	}
	if (!opened) {
		reply_error(req, &err);
		return;
	}
	info.fh = (uint64_t)(uintptr_t)handle;
	info.flags = O_RDONLY | O_NONBLOCK; /* nobody waits for events that nobody opened */
	handle_answer_read(mount, req, inode, size, (off_t)offset, &info);
	close_handle(mount, handle);
}

void
handle_answer_read(
	struct mount *mount, fuse_req_t req, uint64_t inode, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct handle *handle = handle_of(info);
	struct slice text;

	size = size < READ_BYTES_MAX ? size : READ_BYTES_MAX;
	if (handle == NULL) {
		answer_unopened_read(mount, req, inode, size, (uint64_t)offset);
		return;
	}
	(void)atomic_fetch_add(&handle->references, 1);
	switch (handle->kind) {
	case HANDLE_BODY:
		answer_body_read(mount, req, handle, size, (uint64_t)offset);
		break;
	case HANDLE_FILE:
	case HANDLE_DESCRIPTOR:
		answer_file_read(req, handle, size, (uint64_t)offset);
		break;
	case HANDLE_TEXT:
		text = buf_slice(&handle->text);
		reply_data(
			req, slice_head(slice_skip(text, (size_t)offset < text.length ? (size_t)offset : text.length),
				     size));
		break;
	case HANDLE_EVENTS:
		view_control_read_events(mount, handle->reader, req, size, (info->flags & O_NONBLOCK) == 0);
		break;
	}
	drop(mount, handle);
}

void
handle_answer_write(struct mount *mount, fuse_req_t req, struct slice data, off_t offset, struct fuse_file_info *info)
{
	struct handle *handle = handle_of(info);
	struct error err = ERROR_INIT;

	if (handle == NULL || handle->kind != HANDLE_FILE || !handle->writes) {
		reply_errno(req, EBADF);
	} else if (!file_write(mount, handle->file, data, (uint64_t)offset, &err)) {
		reply_error(req, &err);
	} else {
		reply_written(req, data.length);
	}
}

/* --- FLUSH, FSYNC, RELEASE, POLL --- */

/* Tells whether a signal is ending the process whose thread asks: field 9 of /proc/PID/stat, counted after the name, which may hold anything. */
static bool
is_being_killed(pid_t thread)
{
	char path[32], text[512], *at;
	unsigned long flags = 0;
	ssize_t length;
	int fd;

	if (thread <= 0) {
		return false;
	}
	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	length = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[length > 0 ? length : 0] = '\0';
	at = strrchr(text, ')');
	/* ") S ppid pgrp session tty tpgid flags" */
	return at != NULL && sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %lu", &flags) == 1 && (flags & PF_SIGNALED) != 0;
}

void
handle_answer_flush(struct mount *mount, fuse_req_t req, struct fuse_file_info *info)
{
	struct handle *handle = handle_of(info);
	struct error err = ERROR_INIT;
	bool done = true;

	if (handle == NULL) {
		reply_errno(req, ENOSYS); /* mount->unopened: it does not come again */
		return;
	}
	if (handle->kind == HANDLE_FILE && handle->writes) {
		done = file_flush(handle->file, is_being_killed(fuse_req_ctx(req)->pid), &err);
	}
	reply_result(req, done, &err);
}

void
handle_answer_release(struct mount *mount, fuse_req_t req, struct fuse_file_info *info)
{
	if (handle_of(info) != NULL) {
		close_handle(mount, handle_of(info));
	}
	reply_done(req);
}

void
handle_answer_sync(struct mount *mount, fuse_req_t req, uint64_t inode, struct fuse_file_info *info)
{
	struct handle *handle = handle_of(info);
	struct error err = ERROR_INIT;
	struct node node;
	bool done = true;

	if (handle != NULL && handle->kind == HANDLE_FILE) {
		done = file_sync(mount, handle->file, &err);
	}
	if (done && file_resolve(mount, inode, &node) && node.kind != NODE_ACCOUNTS) {
		done = edit_sync(mount_account(mount, node.account), &err);
	}
	reply_result(req, done, &err);
}

void
handle_answer_allocate(
	struct mount *mount, fuse_req_t req, int mode, off_t offset, off_t length, struct fuse_file_info *info)
{
	struct handle *handle = handle_of(info);
	struct error err = ERROR_INIT;

	if (handle == NULL || handle->kind != HANDLE_FILE || !handle->writes) {
		reply_errno(req, EBADF);
	} else {
		reply_result(req, file_allocate(mount, handle->file, mode, offset, length, &err), &err);
	}
}

void
handle_answer_poll(struct mount *mount, fuse_req_t req, struct fuse_file_info *info, struct fuse_pollhandle *poll)
{
	struct handle *handle = handle_of(info);

	if (handle != NULL && handle->kind == HANDLE_EVENTS) {
		view_control_poll_events(mount, handle->reader, req, poll);
		return;
	}
	if (poll != NULL) {
		fuse_pollhandle_destroy(poll);
	}
	reply_poll(req, info->poll_events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM));
}
