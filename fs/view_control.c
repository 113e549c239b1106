#include "fs/view_control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/json.h"
#include "fs/handle.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/park.h"
#include "fs/plain.h"

#define EVENTS_BYTES_MAX (1u << 20) /* a reader that does not read loses what comes after */

static const struct {
	const char *name;
	mode_t mode;
} items[CONTROL_ITEM_COUNT] = {
	[CONTROL_DIRECTORY] = {".mailfs", S_IFDIR | 0555},
	[CONTROL_STATUS] = {"status", S_IFREG | 0444},
	[CONTROL_STATUS_JSON] = {"status.json", S_IFREG | 0444},
	[CONTROL_HELD] = {"held", S_IFREG | 0444},
	[CONTROL_EVENTS] = {"events", S_IFREG | 0444},
	[CONTROL_REJECTED] = {"rejected", S_IFDIR | 0777},
	[CONTROL_SCRATCH] = {"scratch", S_IFDIR | 0777},
};

/* --- rejected/: by name, and by a digest of the name where there is but an inode --- */

static uint32_t
digest_of(const char *name)
{
	uint32_t digest = 2166136261u;

	for (; *name != '\0'; name++) {
		digest = (digest ^ (unsigned char)*name) * 16777619u;
	}
	return digest;
}

struct rejected {
	struct mount *mount;
	struct node dir;
	const char *name; /* looked for, or NULL: `number` is */
	uint32_t number, after;
	struct dir_sink *sink;
	struct entry entry;
	char found_name[NAME_BYTES_MAX + 1];
	bool found;
};

static struct entry
entry_of_rejected(const struct rejected *rejected, const char *name, uint64_t size_bytes, int64_t mtime_s)
{
	struct node node = {.kind = NODE_REJECTED, .account = rejected->dir.account, .number = digest_of(name)};
	struct entry entry;

	attr_of_fixed(rejected->mount, node, S_IFREG | 0666, size_bytes, mtime_s * INT64_C(1000000000), &entry);
	entry.attr_passing = entry.name_passing = true;
	return entry;
}

static bool
find_rejected(void *context, const char *name, uint64_t size_bytes, int64_t mtime_s)
{
	struct rejected *rejected = context;
	bool same = rejected->name != NULL ? strcmp(rejected->name, name) == 0 : digest_of(name) == rejected->number;

	if (!same || strlen(name) > NAME_BYTES_MAX) {
		return true;
	}
	rejected->entry = entry_of_rejected(rejected, name, size_bytes, mtime_s);
	(void)stpcpy(rejected->found_name, name);
	rejected->found = true;
	return false;
}

static bool
rejected_find(struct rejected *rejected, struct error *err)
{
	if (!edit_rejected_each(mount_account(rejected->mount, rejected->dir.account), find_rejected, rejected, err)) {
		return false;
	}
	return rejected->found || error_set(err, ERROR_GONE, "no such rejected file");
}

struct rejected_item {
	struct entry entry;
	char *name;
};

struct rejected_list {
	struct rejected base;
	struct rejected_item *items;
	size_t count, capacity;
};

static bool
collect_rejected(void *context, const char *name, uint64_t size_bytes, int64_t mtime_s)
{
	struct rejected_list *list = context;
	struct entry entry = entry_of_rejected(&list->base, name, size_bytes, mtime_s);

	if (entry.node.number <= list->base.after) {
		return true;
	}
	if (list->count == list->capacity) {
		list->capacity = list->capacity > 0 ? list->capacity * 2 : 16;
		list->items = realloc(list->items, list->capacity * sizeof(*list->items));
		if (list->items == NULL) {
			abort();
		}
	}
	list->items[list->count++] = (struct rejected_item){entry, slice_dup(slice_of(name))};
	return true;
}

static int
by_digest(const void *a, const void *b)
{
	const struct rejected_item *x = a, *y = b;

	return x->entry.node.number < y->entry.node.number ? -1 : x->entry.node.number > y->entry.node.number;
}

static bool
list_rejected(struct mount *mount, struct node dir, uint32_t after, struct dir_sink *sink, struct error *err)
{
	struct rejected_list list = {.base = {.mount = mount, .dir = dir, .after = after}};
	bool done = edit_rejected_each(mount_account(mount, dir.account), collect_rejected, &list, err);

	if (list.count > 0) {
		qsort(list.items, list.count, sizeof(*list.items), by_digest);
	}
	for (size_t i = 0; i < list.count; i++) {
		(void)dir_put(sink, list.items[i].name, &list.items[i].entry,
			dir_cookie(DIR_LOCAL, list.items[i].entry.node.number));
		free(list.items[i].name);
	}
	free(list.items);
	return done;
}

/* --- names --- */

static bool
render(struct account *account, uint32_t item, struct buf *out, struct error *err)
{
	return item == CONTROL_HELD ? view_held(account, false, out, err)
				    : view_status(account, item == CONTROL_STATUS_JSON, out, err);
}

static bool
is_text(uint32_t item)
{
	return item == CONTROL_STATUS || item == CONTROL_STATUS_JSON || item == CONTROL_HELD;
}

/* Where nothing is opened the kernel reads as much as stat tells. */
static bool
measure(struct mount *mount, struct node node, struct entry *out, struct error *err)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	if (!render(mount_account(mount, node.account), node.number, &text, err)) {
		return false;
	}
	out->attr.st_size = (off_t)text.length;
	out->attr_passing = true;
	return true;
}

bool
view_control_attr(struct mount *mount, struct node node, struct entry *out, struct error *err)
{
	struct rejected rejected = {.mount = mount, .dir = node, .number = node.number};

	if (node.kind == NODE_CONTROL && node.number > 0 && node.number < CONTROL_ITEM_COUNT) {
		attr_of_fixed(mount, node, items[node.number].mode, 0, dir_time(mount, node, mount->started_ns), out);
		out->attr_passing = node.number == CONTROL_REJECTED;
		return !mount->unopened || !is_text(node.number) || measure(mount, node, out, err);
	}
	if (node.kind != NODE_REJECTED || !rejected_find(&rejected, err)) {
		return node.kind == NODE_REJECTED ? false : error_set(err, ERROR_GONE, "no such file");
	}
	*out = rejected.entry;
	return true;
}

bool
view_control_lookup(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	struct rejected rejected = {.mount = mount, .dir = dir, .name = name.data};

	if (dir.number == CONTROL_REJECTED) {
		if (!rejected_find(&rejected, err)) {
			return false;
		}
		*out = rejected.entry;
		return true;
	}
	for (uint32_t item = CONTROL_STATUS; dir.number == CONTROL_DIRECTORY && item < CONTROL_ITEM_COUNT; item++) {
		if (slice_equal(name, slice_of(items[item].name))) {
			return view_control_attr(mount,
				(struct node){.kind = NODE_CONTROL, .account = dir.account, .number = item}, out, err);
		}
	}
	return error_set(err, ERROR_GONE, "no such file");
}

bool
view_control_list(struct mount *mount, struct node dir, enum dir_section section, uint32_t after, struct dir_sink *sink,
	struct error *err)
{
	struct entry entry;

	if (dir.number == CONTROL_REJECTED) {
		return section > DIR_LOCAL || list_rejected(mount, dir, section == DIR_LOCAL ? after : 0, sink, err);
	}
	for (uint32_t item = CONTROL_STATUS; section == DIR_FIXED && item < CONTROL_ITEM_COUNT && !sink->full; item++) {
		uint32_t cookie = DIR_COOKIE_PARENT + item;

		if (cookie > after &&
			view_control_attr(mount,
				(struct node){.kind = NODE_CONTROL, .account = dir.account, .number = item}, &entry,
				err)) {
			(void)dir_put(sink, items[item].name, &entry, dir_cookie(DIR_FIXED, cookie));
		}
	}
	return true;
}

bool
view_control_unlink(struct mount *mount, struct node node, struct slice name, struct error *err)
{
	if (node.kind != NODE_REJECTED) {
		return error_errno(err, EACCES, "it is a part of the mount");
	}
	return edit_rejected_remove(mount_account(mount, node.account), name.data, err);
}

/* --- opening --- */

static bool open_events(struct mount *mount, uint8_t octet, struct control_reader **out, struct error *err);

bool
view_control_open(
	struct mount *mount, struct node node, struct fuse_file_info *info, struct handle **out, struct error *err)
{
	struct account *account = mount_account(mount, node.account);
	struct rejected rejected = {.mount = mount, .dir = node, .number = node.number};
	struct handle *handle;
	int fd;

	if ((info->flags & O_ACCMODE) != O_RDONLY) {
		return error_errno(err, EACCES, "it is a part of the mount");
	}
	if (node.kind == NODE_REJECTED) {
		if (!rejected_find(&rejected, err) || !edit_rejected_open(account, rejected.found_name, &fd, err)) {
			return false;
		}
		handle = handle_create(mount, HANDLE_DESCRIPTOR, 0);
		handle->fd = fd;
	} else if (node.number == CONTROL_EVENTS) {
		struct control_reader *reader;

		if (!open_events(mount, node.account, &reader, err)) {
			return false;
		}
		handle = handle_create(mount, HANDLE_EVENTS, 0);
		handle->reader = reader;
		info->direct_io = info->nonseekable = 1;
	} else {
		SCOPED(buf_finish) struct buf text = BUF_INIT;

		if (!render(account, node.number, &text, err)) {
			return false;
		}
		handle = handle_create(mount, HANDLE_TEXT, 0);
		handle->text = text;
		text = BUF_INIT;
		info->direct_io = 1; /* its size, 0, is no size */
	}
	info->noflush = 1;
	*out = handle;
	return true;
}

/* --- events --- */

struct control_reader { /* all under mount->lock */
	struct control_reader *next;
	uint8_t octet;
	uint64_t since; /* what was before OPEN is not told */
	struct buf lines;
	bool lost;              /* lines were dropped: said in their place */
	struct park_wait *wait; /* a read that waits */
	size_t wait_size;
	struct fuse_pollhandle *poll;
};

static bool
open_events(struct mount *mount, uint8_t octet, struct control_reader **out, struct error *err)
{
	struct control_reader *reader;
	uint64_t since;

	if (!view_modseq(mount_account(mount, octet), &since, err)) {
		return false;
	}
	reader = calloc(1, sizeof(*reader));
	if (reader == NULL) {
		abort();
	}
	reader->octet = octet;
	reader->since = since;
	mutex_lock(&mount->lock);
	reader->next = mount->readers;
	mount->readers = reader;
	mutex_unlock(&mount->lock);
	*out = reader;
	return true;
}

/* Takes what a read of `size` octets gets: whole lines where one fits. */
static struct slice
take_locked(struct control_reader *reader, size_t size, struct buf *out)
{
	struct slice data = slice_head(buf_slice(&reader->lines), size);
	size_t length = data.length;

	while (length > 0 && data.data[length - 1] != '\n') {
		length--;
	}
	data = slice_head(data, length > 0 ? length : data.length);
	buf_append(out, data);
	buf_consume(&reader->lines, data.length);
	return buf_slice(out);
}

static void
answer_read(struct mount *mount, fuse_req_t req, void *context, enum park_end end, const struct error *error)
{
	struct control_reader *reader = context;
	SCOPED(buf_finish) struct buf data = BUF_INIT;

	mutex_lock(&mount->lock);
	reader->wait = NULL;
	if (end == PARK_READY) {
		(void)take_locked(reader, reader->wait_size, &data);
	}
	mutex_unlock(&mount->lock);
	if (end == PARK_READY) {
		reply_data(req, buf_slice(&data));
	} else {
		reply_errno(req, EINTR);
	}
}

void
view_control_read_events(struct mount *mount, struct control_reader *reader, fuse_req_t req, size_t size, bool wait)
{
	SCOPED(buf_finish) struct buf data = BUF_INIT;
	bool busy, parked = false;

	mutex_lock(&mount->lock);
	busy = reader->wait != NULL; /* another read of the same handle has the next lines */
	if (!busy && reader->lines.length > 0) {
		(void)take_locked(reader, size, &data);
	} else if (!busy && wait) {
		reader->wait_size = size;
		reader->wait = park_for_wake(mount->park, req, answer_read, reader);
		parked = true;
	}
	mutex_unlock(&mount->lock);
	if (parked) {
		return;
	}
	if (data.length > 0) {
		reply_data(req, buf_slice(&data));
	} else {
		reply_errno(req, busy ? EBUSY : EAGAIN);
	}
}

void
view_control_poll_events(
	struct mount *mount, struct control_reader *reader, fuse_req_t req, struct fuse_pollhandle *poll)
{
	struct fuse_pollhandle *old = NULL;
	bool ready;

	mutex_lock(&mount->lock);
	ready = reader->lines.length > 0;
	if (poll != NULL) {
		old = reader->poll;
		reader->poll = poll;
	}
	mutex_unlock(&mount->lock);
	if (old != NULL) {
		fuse_pollhandle_destroy(old);
	}
	reply_poll(req, ready ? POLLIN | POLLRDNORM : 0);
}

void
view_control_close_events(struct mount *mount, struct control_reader **reader)
{
	struct control_reader **at;

	mutex_lock(&mount->lock);
	for (at = &mount->readers; *at != *reader; at = &(*at)->next) {
	}
	*at = (*reader)->next;
	mutex_unlock(&mount->lock);
	assert((*reader)->wait == NULL); /* the kernel closes no handle with a read under way */
	if ((*reader)->poll != NULL) {
		fuse_pollhandle_destroy((*reader)->poll);
	}
	buf_finish(&(*reader)->lines);
	free(*reader);
	*reader = NULL;
}

bool
view_control_is_heard(struct mount *mount, uint8_t octet)
{
	bool heard = false;

	mutex_lock(&mount->lock);
	for (const struct control_reader *reader = mount->readers; reader != NULL; reader = reader->next) {
		heard = heard || reader->octet == octet;
	}
	mutex_unlock(&mount->lock);
	return heard;
}

static void
print_event(struct buf *out, uint64_t seq, const char *op, const struct slice *path, const struct slice *old_path)
{
	struct json json;

	json_begin(&json, out, false);
	json_object(&json);
	json_key_u64(&json, "seq", seq);
	json_key_text(&json, "op", op);
	if (path != NULL) {
		json_key_slice(&json, "path", *path);
	}
	if (old_path != NULL) {
		json_key_slice(&json, "old_path", *old_path);
	}
	json_end(&json);
	buf_append_octet(out, '\n');
}

/* Gives a reader one line more; a bounded number of them, then one that says that some were lost. */
static void
append_locked(struct control_reader *reader, uint64_t seq, struct slice line)
{
	if (reader->lines.length + line.length > EVENTS_BYTES_MAX) {
		if (!reader->lost) {
			print_event(&reader->lines, seq, "lost", NULL, NULL);
		}
		reader->lost = true;
		return;
	}
	reader->lost = false;
	buf_append(&reader->lines, line);
}

void
view_control_tell(struct mount *mount, uint8_t octet, uint64_t seq, const char *op, struct slice path,
	const struct slice *old_path)
{
	SCOPED(buf_finish) struct buf line = BUF_INIT;
	struct fuse_pollhandle *polls[16];
	size_t count = 0;

	print_event(&line, seq, op, &path, old_path);
	mutex_lock(&mount->lock);
	for (struct control_reader *reader = mount->readers; reader != NULL; reader = reader->next) {
		if (reader->octet != octet || seq <= reader->since) {
			continue;
		}
		append_locked(reader, seq, buf_slice(&line));
		if (reader->wait != NULL) {
			park_wake(mount->park, reader->wait);
		}
		if (reader->poll != NULL && count < ARRAY_LENGTH(polls)) {
			polls[count++] = reader->poll;
			reader->poll = NULL;
		}
	}
	mutex_unlock(&mount->lock);
	for (size_t i = 0; i < count; i++) { /* into the kernel, without a lock */
		(void)fuse_lowlevel_notify_poll(polls[i]);
		fuse_pollhandle_destroy(polls[i]);
	}
}
