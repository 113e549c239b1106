#include "fs/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/notify.h"
#include "fs/view_control.h"

bool
plain_lookup(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	int kind;
	uint64_t parent;

	if (!dir_local_place(mount, dir, &kind, &parent)) {
		return error_set(err, ERROR_GONE, "no local names there");
	}
	if (!edit_local_by_name(mount_account(mount, dir.account), kind, parent, name, &local, err)) {
		return false;
	}
	attr_of_local(mount, dir.account, &local, out);
	if (file_attr_if_open(mount, out)) {
		return true;
	}
	/* One that was closed just now has recorded its size since the row was read. */
	edit_local_finish(&local);
	if (!edit_local_load(mount_account(mount, dir.account), (struct number){out->node.number}, &local, err)) {
		return false;
	}
	attr_of_local(mount, dir.account, &local, out);
	return true;
}

#define PAGE_NAMES 256

/* Names are collected, and put when the engine is done: of one that is open its file knows the size. */
struct page {
	struct mount *mount;
	struct node dir;
	size_t count;
	struct entry entries[PAGE_NAMES];
	char *names[PAGE_NAMES];
};

static bool
collect(void *context, const struct edit_local *local)
{
	struct page *page = context;

	attr_of_local(page->mount, page->dir.account, local, &page->entries[page->count]);
	page->names[page->count++] = slice_dup(slice_of(local->name));
	return page->count < PAGE_NAMES;
}

static void
put_page(struct page *page, bool without_dots, struct dir_sink *sink)
{
	for (size_t i = 0; i < page->count; i++) {
		struct entry *entry = &page->entries[i];
		bool shown = !without_dots || page->names[i][0] != '.';
		uint64_t cookie = dir_cookie(DIR_LOCAL, entry->node.number); /* an open file may tell another node */

		/* one that just became local was listed as being written */
		if (!sink->full && shown && file_by_name(page->mount, page->dir, slice_of(page->names[i])) == 0) {
			(void)file_attr_if_open(page->mount, entry);
			(void)dir_put(sink, page->names[i], entry, cookie);
		}
		free(page->names[i]);
	}
}

bool
plain_list(struct mount *mount, struct node dir, uint32_t after, bool without_dots, struct dir_sink *sink,
	struct error *err)
{
	struct page *page;
	bool done = true, more = true;
	int kind;
	uint64_t parent;

	if (!dir_local_place(mount, dir, &kind, &parent)) {
		return true;
	}
	page = malloc(sizeof(*page));
	if (page == NULL) {
		abort();
	}
	while (done && more && !sink->full) {
		page->mount = mount;
		page->dir = dir;
		page->count = 0;
		done = edit_local_each(mount_account(mount, dir.account), kind, parent, after, collect, page, err);
		more = page->count == PAGE_NAMES;
		if (page->count > 0) {
			after = page->entries[page->count - 1].node.number;
		}
		put_page(page, without_dots, sink);
	}
	free(page);
	return done;
}

/* The names of views, which stand in the account's directory, and those that a Maildir has. */
static bool
is_reserved(struct node dir, struct slice name)
{
	static const char *const tops[] = {".mailfs", ".maildir", ".parts", ".search"};
	static const char *const maildirs[] = {"cur", "new", "tmp"};
	bool top = (dir.kind == NODE_MAILBOX || dir.kind == NODE_MAILDIR) && dir.number == 0;

	for (size_t i = 0; top && i < ARRAY_LENGTH(tops); i++) {
		if (slice_equal(name, slice_of(tops[i]))) {
			return true;
		}
	}
	for (size_t i = 0; !top && dir.kind == NODE_MAILDIR && i < ARRAY_LENGTH(maildirs); i++) {
		if (slice_equal(name, slice_of(maildirs[i]))) {
			return true;
		}
	}
	return false;
}

bool
plain_directory(uint8_t octet, int parent_kind, uint64_t parent, struct node *out)
{
	static const enum node_kind kinds[] = {
		[PLAIN_IN_MAILBOX] = NODE_MAILBOX,
		[PLAIN_IN_DIRECTORY] = NODE_LOCAL,
		[PLAIN_IN_SCRATCH] = NODE_CONTROL,
		[PLAIN_IN_ROOT] = NODE_MAILBOX,
		[PLAIN_IN_MAILDIR] = NODE_MAILDIR,
		[PLAIN_IN_CUR] = NODE_CUR,
		[PLAIN_IN_NEW] = NODE_FRESH,
		[PLAIN_IN_TMP] = NODE_TMP,
	};

	if (parent_kind < 0 || (size_t)parent_kind >= ARRAY_LENGTH(kinds)) {
		return false;
	}
	*out = (struct node){.kind = kinds[parent_kind], .account = octet, .number = (uint32_t)parent};
	if (parent_kind == PLAIN_IN_SCRATCH) {
		out->number = CONTROL_SCRATCH;
	} else if (parent_kind == PLAIN_IN_ROOT) {
		out->number = 0;
	}
	return true;
}

bool
plain_make(struct mount *mount, struct node dir, struct slice name, int kind, mode_t mode, const char *target,
	struct entry *out, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {.kind = kind, .mode = mode & 07777};

	if (!dir_local_place(mount, dir, &local.parent_kind, &local.parent) || is_reserved(dir, name)) {
		return error_errno(err, EACCES, "no file can be made there");
	}
	local.name = slice_dup(name);
	local.target = target != NULL ? slice_dup(slice_of(target)) : NULL;
	local.mtime_ns = local.ctime_ns = attr_now_ns();
	if (!edit_local_create(mount_account(mount, dir.account), &local, err)) {
		return false;
	}
	attr_of_local(mount, dir.account, &local, out);
	dir_touch_own(mount, dir);
	return true;
}

bool
plain_unlink(struct mount *mount, struct node dir, struct node node, struct error *err)
{
	struct node now = {0};
	struct file *file;

	if (!edit_local_remove(mount_account(mount, node.account), (struct number){node.number}, err)) {
		return false;
	}
	/* Delivered by a link its inode is the message's, which stays. */
	file = file_resolve(mount, mount_inode(mount, node), &now) && node_equal(now, node)
		       ? file_hold(mount, mount_inode(mount, node))
		       : NULL;
	if (file != NULL) {
		file_unlink(mount, file);
		file_drop(mount, &file);
	}
	dir_touch_own(mount, dir);
	return true;
}

/* Tells whether a file in that place and of that name becomes a message when it has rested: its rest begins with its closing. */
static bool
may_be_mail(const struct edit_local *local)
{
	return local->kind == PLAIN_FILE && local->parent_kind == PLAIN_IN_MAILBOX && local->error == NULL &&
	       name_classify(slice_of(local->name)) == NAME_OTHER;
}

bool
plain_update(struct mount *mount, uint8_t octet, const struct edit_local *local, struct error *err)
{
	struct notify_own own = {
		.name = slice_of(local->name), .number = local->id.value, .live = true, .dir_known = true};
	struct notify_ticket *ticket;
	struct node dir;
	bool done;

	if (!plain_directory(octet, local->parent_kind, local->parent, &dir)) {
		return error_set(err, ERROR_DAMAGED, "a local name in no place that is known");
	}
	own.dir_inode = mount_inode(mount, dir);
	ticket = notify_own_begin(mount->notify, octet, &own, 1);
	done = edit_local_update(mount_account(mount, octet), local, err);
	notify_own_end(mount->notify, octet, ticket, done, 0);
	return done;
}

bool
plain_record(struct mount *mount, struct file *file, bool closed, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct stat st;

	if (!edit_local_load(file->account, file->number, &local, err)) {
		return false;
	}
	if (fstat(file->fd, &st) != 0) {
		return error_errno(err, errno, "asking for the size of a local file");
	}
	local.size_bytes = (uint64_t)st.st_size;
	local.mtime_ns = file->mtime_ns;
	local.ctime_ns = file->ctime_ns;
	local.closed_ns = closed && may_be_mail(&local) ? attr_now_ns() : 0;
	return plain_update(mount, file->octet, &local, err);
}

/* A new name or place may make it one whose rest is over some day, or take that from it. */
static bool
judge_again(struct mount *mount, struct node node, struct error *err)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct account *account = mount_account(mount, node.account);
	struct file *file = file_hold(mount, mount_inode(mount, node));
	bool open = file != NULL && file_has_writers(mount, file), rests;

	file_drop(mount, &file);
	if (!edit_local_load(account, (struct number){node.number}, &local, err)) {
		return false;
	}
	rests = may_be_mail(&local) && !open;
	if (rests == (local.closed_ns != 0)) {
		return true;
	}
	local.closed_ns = rests ? attr_now_ns() : 0;
	return plain_update(mount, node.account, &local, err);
}

bool
plain_move(struct mount *mount, struct node node, struct node to, struct slice name, struct error *err)
{
	int kind;
	uint64_t parent;

	if (!dir_local_place(mount, to, &kind, &parent) || is_reserved(to, name)) {
		return error_errno(err, EACCES, "no file can be put there");
	}
	if (!edit_local_move(
		    mount_account(mount, node.account), (struct number){node.number}, kind, parent, name, err)) {
		return false;
	}
	dir_touch_own(mount, to);
	return judge_again(mount, node, err);
}

void
plain_answer_readlink(struct mount *mount, fuse_req_t req, uint64_t inode)
{
	SCOPED(edit_local_finish) struct edit_local local = {0};
	struct error err = ERROR_INIT;
	struct node node;

	if (!file_resolve(mount, inode, &node) || node.kind != NODE_LOCAL) {
		reply_errno(req, EINVAL);
	} else if (!edit_local_load(mount_account(mount, node.account), (struct number){node.number}, &local, &err)) {
		reply_error(req, &err);
	} else if (local.target == NULL) {
		reply_errno(req, EINVAL);
	} else {
		reply_link(req, local.target);
	}
}
