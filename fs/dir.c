#include "fs/dir.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/plain.h"
#include "fs/view_control.h"
#include "fs/view_mail.h"
#include "fs/view_maildir.h"

#define MESSAGE_COOKIE_FIRST (DIR_FIXED_MAX + 1)
#define SECTION_SHIFT        40
#define LIST_BYTES_MAX       (1u << 20)

uint64_t
dir_cookie(enum dir_section section, uint32_t number)
{
	switch (section) {
	case DIR_FIXED:
		assert(number > 0 && number <= DIR_FIXED_MAX);
		return number;
	case DIR_MESSAGE:
		return (uint64_t)MESSAGE_COOKIE_FIRST + number;
	case DIR_NEW:
	case DIR_LOCAL:
	case DIR_MAILBOX:
		break;
	}
	return (uint64_t)section << SECTION_SHIFT | number;
}

bool
dir_cookie_read(uint64_t cookie, enum dir_section *out_section, uint32_t *out_number)
{
	uint64_t above = cookie >> SECTION_SHIFT;

	if (cookie <= DIR_FIXED_MAX) {
		*out_section = DIR_FIXED;
		*out_number = (uint32_t)cookie;
		return true;
	}
	if (cookie - MESSAGE_COOKIE_FIRST <= UINT32_MAX) {
		*out_section = DIR_MESSAGE;
		*out_number = (uint32_t)(cookie - MESSAGE_COOKIE_FIRST);
		return true;
	}
	if (above < DIR_NEW || above > DIR_MAILBOX || (cookie & ((UINT64_C(1) << SECTION_SHIFT) - 1)) > UINT32_MAX) {
		return false;
	}
	*out_section = (enum dir_section)above;
	*out_number = (uint32_t)cookie;
	return true;
}

static void
keep_new_name(struct dir_sink *sink, const char *name)
{
	char **names = realloc(sink->new_names, (sink->new_count + 1) * sizeof(*names));

	if (names == NULL) {
		abort();
	}
	names[sink->new_count++] = slice_dup(slice_of(name));
	sink->new_names = names;
}

static bool
has_new_name(const struct dir_sink *sink, const char *name)
{
	for (size_t i = 0; i < sink->new_count; i++) {
		if (strcmp(sink->new_names[i], name) == 0) {
			return true;
		}
	}
	return false;
}

void
dir_sink_finish(struct dir_sink *sink)
{
	for (size_t i = 0; i < sink->new_count; i++) {
		free(sink->new_names[i]);
	}
	free(sink->new_names);
	sink->new_names = NULL;
	sink->new_count = 0;
}

bool
dir_put(struct dir_sink *sink, const char *name, const struct entry *entry, uint64_t cookie)
{
	if (cookie >> SECTION_SHIFT == DIR_NEW) {
		keep_new_name(sink, name);
	} else if (sink->new_count > 0 && has_new_name(sink, name)) {
		return !sink->full;
	}
	if (!sink->full && !sink->put(sink->context, name, entry, cookie)) {
		sink->full = true;
	}
	return !sink->full;
}

bool
dir_local_place(struct mount *mount, struct node dir, int *out_kind, uint64_t *out_parent)
{
	*out_parent = dir.number;
	switch (dir.kind) {
	case NODE_MAILBOX:
		*out_kind = dir.number != 0 ? PLAIN_IN_MAILBOX : PLAIN_IN_ROOT;
		return true;
	case NODE_MAILDIR:
		*out_kind = PLAIN_IN_MAILDIR;
		return true;
	case NODE_CUR:
		*out_kind = PLAIN_IN_CUR;
		return true;
	case NODE_FRESH:
		*out_kind = PLAIN_IN_NEW;
		return true;
	case NODE_TMP:
		*out_kind = PLAIN_IN_TMP;
		return true;
	case NODE_LOCAL:
		*out_kind = PLAIN_IN_DIRECTORY;
		return true;
	case NODE_CONTROL:
		*out_kind = PLAIN_IN_SCRATCH;
		*out_parent = 0;
		return dir.number == CONTROL_SCRATCH;
	case NODE_ACCOUNTS:
	case NODE_MESSAGE:
	case NODE_NEW:
	case NODE_REJECTED:
	case NODE_KIND_COUNT:
		break;
	}
	return false;
}

void
dir_touch(struct mount *mount, struct node dir)
{
	uint64_t inode = mount_inode(mount, dir), last;
	int64_t now_ns = attr_now_ns();

	mutex_lock(&mount->lock);
	if (inode_map_get(&mount->dir_times, inode, &last) && (int64_t)last >= now_ns) {
		now_ns = (int64_t)last + 1;
	}
	inode_map_put(&mount->dir_times, inode, (uint64_t)now_ns);
	mutex_unlock(&mount->lock);
}

void
dir_touch_own(struct mount *mount, struct node dir)
{
	bool top = (dir.kind == NODE_MAILBOX || dir.kind == NODE_MAILDIR) && dir.number == 0;

	if (top || dir.kind == NODE_CONTROL || dir.kind == NODE_TMP) {
		dir_touch(mount, dir);
	}
}

int64_t
dir_time(struct mount *mount, struct node dir, int64_t own_ns)
{
	uint64_t touched;

	mutex_lock(&mount->lock);
	if (inode_map_get(&mount->dir_times, mount_inode(mount, dir), &touched) && (int64_t)touched > own_ns) {
		own_ns = (int64_t)touched;
	}
	mutex_unlock(&mount->lock);
	return own_ns;
}

bool
dir_lookup(
	struct mount *mount, struct node dir, const char *name, struct entry *out, bool *out_passing, struct error *err)
{
	struct slice text = slice_of(name);
	int kind;
	uint64_t parent;

	*out_passing = false;
	if (text.length > NAME_BYTES_MAX) {
		return error_errno(err, ENAMETOOLONG, "a name of %zu octets", text.length);
	}
	if (dir.kind == NODE_ACCOUNTS) {
		return view_mail_lookup_account(mount, text, out, err);
	}
	if (dir.kind == NODE_MAILBOX) {
		return view_mail_lookup(mount, dir, text, out, err);
	}
	if (dir.kind == NODE_MAILDIR || node_holds_maildir_names(dir)) {
		return view_maildir_lookup(mount, dir, text, out, out_passing, err);
	}
	if (dir_local_place(mount, dir, &kind, &parent)) {
		return plain_lookup(mount, dir, text, out, err);
	}
	if (dir.kind == NODE_CONTROL) {
		*out_passing = dir.number == CONTROL_REJECTED;
		return view_control_lookup(mount, dir, text, out, err);
	}
	return error_errno(err, ENOTDIR, "looking for a name in a file");
}

/* The directory itself and the one above. Above is told by its own number: programs take it from stat, not from here. */
static void
put_dots(struct mount *mount, struct node dir, uint32_t after, struct dir_sink *sink)
{
	struct entry entry = {.inode = mount_inode(mount, dir), .node = dir};

	entry.attr.st_ino = entry.inode;
	entry.attr.st_mode = S_IFDIR;
	entry.inode = 0; /* no reference, says READDIRPLUS */
	if (after < DIR_COOKIE_SELF) {
		(void)dir_put(sink, ".", &entry, DIR_COOKIE_SELF);
	}
	if (after < DIR_COOKIE_PARENT) {
		(void)dir_put(sink, "..", &entry, DIR_COOKIE_PARENT);
	}
}

bool
dir_list(struct mount *mount, struct node dir, uint64_t cookie, struct dir_sink *sink, struct error *err)
{
	enum dir_section section;
	uint32_t after;
	int kind;
	uint64_t parent;

	if (!dir_cookie_read(cookie, &section, &after)) {
		return error_errno(err, EINVAL, "a place in a directory that was never given");
	}
	if (section == DIR_FIXED) {
		put_dots(mount, dir, after, sink);
	}
	if (dir.kind == NODE_ACCOUNTS) {
		return view_mail_list_accounts(mount, section, after, sink, err);
	}
	if (dir.kind == NODE_MAILBOX) {
		return view_mail_list(mount, dir, section, after, sink, err);
	}
	if (dir.kind == NODE_MAILDIR || node_holds_maildir_names(dir)) {
		return view_maildir_list(mount, dir, section, after, sink, err);
	}
	if (dir_local_place(mount, dir, &kind, &parent)) {
		return section > DIR_LOCAL ||
		       plain_list(mount, dir, section == DIR_LOCAL ? after : 0, false, sink, err);
	}
	if (dir.kind == NODE_CONTROL) {
		return view_control_list(mount, dir, section, after, sink, err);
	}
	return error_errno(err, ENOTDIR, "listing a file");
}

void
dir_answer_lookup(struct mount *mount, fuse_req_t req, uint64_t inode, const char *name)
{
	struct error err = ERROR_INIT;
	struct entry entry;
	struct node dir;
	bool passing = false;

	if (!file_resolve(mount, inode, &dir)) {
		reply_errno(req, ESTALE);
	} else if (dir_lookup(mount, dir, name, &entry, &passing, &err)) {
		reply_entry(req, &entry);
	} else if (err.kind == ERROR_GONE) {
		reply_no_entry(req, passing);
	} else {
		reply_error(req, &err);
	}
}

struct reply_buffer {
	fuse_req_t req;
	char *data;
	size_t size, at;
	bool plus;
};

static bool
put_reply(void *context, const char *name, const struct entry *entry, uint64_t cookie)
{
	struct reply_buffer *buffer = context;

	return reply_add_entry(buffer->req, buffer->data, buffer->size, &buffer->at, name, entry, cookie, buffer->plus);
}

void
dir_answer_list(struct mount *mount, fuse_req_t req, uint64_t inode, size_t size, uint64_t cookie, bool plus)
{
	struct reply_buffer buffer = {.req = req, .size = size < LIST_BYTES_MAX ? size : LIST_BYTES_MAX, .plus = plus};
	struct dir_sink sink = {.put = put_reply, .context = &buffer};
	struct error err = ERROR_INIT;
	struct node dir;

	buffer.data = malloc(buffer.size + 1);
	if (buffer.data == NULL) {
		reply_errno(req, ENOMEM);
	} else if (!file_resolve(mount, inode, &dir)) {
		reply_errno(req, ESTALE);
	} else if (!dir_list(mount, dir, cookie, &sink, &err) && buffer.at == 0) {
		reply_error(req, &err);
	} else {
		reply_data(req, slice_make(buffer.data, buffer.at));
	}
	dir_sink_finish(&sink);
	free(buffer.data);
}

void
dir_answer_open(struct mount *mount, fuse_req_t req, uint64_t inode, struct fuse_file_info *info)
{
	struct node dir;

	if (mount->unopened) {
		reply_errno(req, ENOSYS);
		return;
	}
	if (!file_resolve(mount, inode, &dir)) {
		reply_errno(req, ESTALE);
		return;
	}
	if ((dir.kind == NODE_MAILBOX && dir.number != 0) || node_holds_maildir_names(dir)) {
		view_mailbox_opened(mount_account(mount, dir.account), (struct mailbox_id){dir.number});
	}
	info->fh = 0;
	info->cache_readdir =
		dir.kind == NODE_CONTROL ? dir.number == CONTROL_SCRATCH : view_maildir_is_made(mount, dir);
	info->keep_cache = info->cache_readdir;
	(void)!reply_open(req, info); /* nothing is held for it */
}
