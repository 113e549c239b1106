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

#define PF_SIGNALED    0x400 /* linux/sched.h: a signal ends the process */
#define READ_BYTES_MAX (2u << 20)

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
unlist_body(struct mount *mount, struct handle *handle)
{
	uint64_t value;
	struct handle *at;

	mutex_lock(&mount->lock);
	if (inode_map_get(&mount->open_bodies, handle->inode, &value)) {
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
	mutex_unlock(&mount->lock);
}

bool
handle_attr(struct mount *mount, uint64_t inode, struct entry *out)
{
	uint64_t value;
	bool found;

	mutex_lock(&mount->lock);
	found = inode_map_get(&mount->open_bodies, inode, &value);
	if (found) {
		*out = ((struct handle *)(uintptr_t)value)->entry;
		out->attr.st_nlink = 0;
	}
	mutex_unlock(&mount->lock);
	return found;
}

/* --- ending --- */

static void
drop(struct mount *mount, struct handle *handle)
{
	if (atomic_fetch_sub(&handle->references, 1) > 1) {
		return;
	}
	mutex_lock(&mount->lock);
	*handle->at_open = handle->next_open;
	if (handle->next_open != NULL) {
		handle->next_open->at_open = handle->at_open;
	}
	mutex_unlock(&mount->lock);
	switch (handle->kind) {
	case HANDLE_BODY:
		unlist_body(mount, handle);
		view_body_close(&handle->body);
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

void
handle_close_all(struct mount *mount)
{
	struct handle *handle;

	while ((handle = mount->open_handles) != NULL) { /* no thread is left that answers */
		if (handle->kind == HANDLE_FILE && handle->writes) {
			file_reject_half(handle->file);
		}
		drop(mount, handle);
	}
}

/* Gives the handle to the kernel; if it takes it no more, that was its life. */
static void
answer_opened(struct mount *mount, fuse_req_t req, struct handle *handle, struct fuse_file_info *info)
{
	info->fh = (uint64_t)(uintptr_t)handle;
	if (!reply_open(req, info)) {
		drop(mount, handle);
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

/* Makes a handle on an open body. */
static struct handle *
handle_of_body(struct mount *mount, const struct opening *opening, struct view_body *body)
{
	struct handle *handle = handle_create(mount, HANDLE_BODY, opening->inode);
	struct error err = ERROR_INIT;

	handle->body = body;
	if (!attr_load(mount, opening->inode, &handle->entry, &err)) {
		attr_of_bytes(mount, opening->node, view_body_size(body), 0, 0, &handle->entry);
		handle->entry.inode = opening->inode;
	}
	handle->entry.attr.st_size = (off_t)view_body_size(body);
	list_body(mount, handle);
	return handle;
}

static enum view_body_result
open_body(struct mount *mount, const struct opening *opening, struct handle **out, struct error *err)
{
	struct view_body *body = NULL;
	enum view_body_result result = view_body_open(
		mount_account(mount, opening->node.account), (struct number){opening->node.number}, &body, err);

	if (result == VIEW_BODY_OPEN) {
		*out = handle_of_body(mount, opening, body);
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
	if ((opening->info.flags & O_TRUNC) != 0 && !file_truncate_open(file, 0, err)) {
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
	} else if (handle->kind == HANDLE_FILE) {
		opening->info.noflush = !handle->writes || opening->node.kind == NODE_LOCAL;
		/* who reads the message goes on reading the old bytes, so these do not go into the kernel's pages */
		opening->info.direct_io = opening->node.kind == NODE_MESSAGE;
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
	drop(mount, *out); /* it is here: it can be copied at the first write */
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

void
handle_answer_open(struct mount *mount, fuse_req_t req, uint64_t inode, struct fuse_file_info *info)
{
	struct opening opening = {.inode = inode, .info = *info};

	if (!file_resolve(mount, inode, &opening.node)) {
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
	if (dir.kind != NODE_MAILBOX || name_classify(name) != NAME_MESSAGE) {
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
	bool passing;

	if (!file_resolve(mount, dir_inode, &dir)) {
		reply_errno(req, ESTALE);
		return;
	}
	if (dir.kind == NODE_ACCOUNTS || mount_is_read_only(mount, dir.account)) {
		reply_errno(req, dir.kind == NODE_ACCOUNTS ? EACCES : EROFS);
		return;
	}
	if (dir_lookup(mount, dir, name, &entry, &passing, &err)) {
		/* it came while the kernel believed that it was not there: it looks again after ESTALE */
		reply_errno(req, (info->flags & O_EXCL) != 0 ? EEXIST : ESTALE);
		return;
	}
	if (err.kind != ERROR_GONE ||
		(error_clear(&err), !create(mount, dir, slice_of(name), mode, &entry, &file, &err))) {
		reply_error(req, &err);
		return;
	}
	handle = handle_create(mount, HANDLE_FILE, entry.inode);
	handle->file = file;
	handle->writes = true;
	info->fh = (uint64_t)(uintptr_t)handle;
	info->keep_cache = 1;
	info->noflush = entry.node.kind == NODE_LOCAL;
	if (!reply_create(req, &entry, info)) {
		file_unlink(mount, file); /* who made it never heard of it */
		drop(mount, handle);
	}
}

/* --- READ, WRITE --- */

static void
answer_body_read(fuse_req_t req, const struct handle *handle, size_t size, uint64_t offset)
{
	struct slice memory = view_body_memory(handle->body);
	struct error err = ERROR_INIT;
	size_t got = 0;
	char *data;

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

void
handle_answer_read(struct mount *mount, fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct handle *handle = handle_of(info);
	struct slice text;

	size = size < READ_BYTES_MAX ? size : READ_BYTES_MAX;
	(void)atomic_fetch_add(&handle->references, 1);
	switch (handle->kind) {
	case HANDLE_BODY:
		answer_body_read(req, handle, size, (uint64_t)offset);
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

	if (handle->kind != HANDLE_FILE || !handle->writes) {
		reply_errno(req, EBADF);
	} else if (!file_write(handle->file, data, (uint64_t)offset, &err)) {
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

	if (handle->kind == HANDLE_FILE && handle->writes) {
		done = file_flush(handle->file, is_being_killed(fuse_req_ctx(req)->pid), &err);
	}
	reply_result(req, done, &err);
}

void
handle_answer_release(struct mount *mount, fuse_req_t req, struct fuse_file_info *info)
{
	drop(mount, handle_of(info));
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
		done = file_sync(handle->file, &err);
	}
	if (done && file_resolve(mount, inode, &node) && node.kind != NODE_ACCOUNTS) {
		done = edit_sync(mount_account(mount, node.account), &err);
	}
	reply_result(req, done, &err);
}

void
handle_answer_poll(struct mount *mount, fuse_req_t req, struct fuse_file_info *info, struct fuse_pollhandle *poll)
{
	struct handle *handle = handle_of(info);

	if (handle->kind == HANDLE_EVENTS) {
		view_control_poll_events(mount, handle->reader, req, poll);
		return;
	}
	if (poll != NULL) {
		fuse_pollhandle_destroy(poll);
	}
	reply_poll(req, info->poll_events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM));
}
