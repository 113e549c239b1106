#include "fs/view_mail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mail/mailbox_name.h"
#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/plain.h"
#include "fs/view_control.h"

#define CONTROL_NAME ".mailfs"
#define MAILDIR_NAME ".maildir"

/* Numbers have 32 bits in an inode; one beyond them cannot be shown. */
static bool
fits(struct number number)
{
	return number.value > 0 && number.value <= UINT32_MAX;
}

/* --- finding --- */

static bool
lookup_message(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	SCOPED(view_message_finish) struct view_message message = {0};

	if (dir.number == 0) {
		return error_set(err, ERROR_GONE, "no messages there");
	}
	if (!view_message_by_name(
		    mount_account(mount, dir.account), (struct mailbox_id){dir.number}, name, &message, err)) {
		return false;
	}
	if (mount->unopened && !message.here) {
		return error_set(err, ERROR_GONE, "its body is not here yet");
	}
	if (!fits(message.number)) {
		return error_set(err, ERROR_GONE, "a number beyond what an inode holds");
	}
	attr_of_message(mount, dir.account, &message, out);
	(void)file_attr_if_open(mount, out); /* who writes it in place sees what it wrote */
	return true;
}

/* The whole name of the mailbox of a directory; empty for the account's own. */
static bool
mailbox_name(struct mount *mount, struct node dir, struct buf *out, struct error *err)
{
	SCOPED(view_mailbox_finish) struct view_mailbox mailbox = {0};

	if (dir.number == 0) {
		return true;
	}
	if (!view_mailbox_load(mount_account(mount, dir.account), (struct mailbox_id){dir.number}, &mailbox, err)) {
		return false;
	}
	buf_append(out, mailbox.name);
	return true;
}

bool
view_mail_lookup_mailbox(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	SCOPED(view_mailbox_finish) struct view_mailbox mailbox = {0};
	SCOPED(buf_finish) struct buf parent = BUF_INIT, whole = BUF_INIT;

	if (name.data[0] == '.') {
		return error_set(err, ERROR_GONE, "no mailbox begins with a dot");
	}
	if (!mailbox_name(mount, dir, &parent, err)) {
		return false;
	}
	if (!name_of_mailbox(buf_slice(&parent), name, &whole)) {
		return error_set(err, ERROR_GONE, "no mailbox has this name");
	}
	if (!view_mailbox_by_name(mount_account(mount, dir.account), buf_slice(&whole), &mailbox, err)) {
		return false;
	}
	attr_of_mailbox(mount, dir.kind, dir.account, &mailbox, out);
	return true;
}

typedef bool lookup_step(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err);

bool
view_mail_lookup(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	/* what a name most likely is comes first; what is a mailbox for all others cannot be hidden by a local file */
	static lookup_step *const orders[][3] = {
		[NAME_MESSAGE] = {lookup_message, plain_lookup, view_mail_lookup_mailbox},
		[NAME_LOCAL] = {plain_lookup, view_mail_lookup_mailbox,
			lookup_message}, /* a message that stands aside */
		[NAME_OTHER] = {view_mail_lookup_mailbox, lookup_message, plain_lookup},
	};
	lookup_step *const *order = orders[name_classify(name)];
	uint64_t inode = file_by_name(mount, dir, name);

	if (dir.number == 0 && slice_equal(name, SLICE_LITERAL(CONTROL_NAME))) {
		return view_control_attr(mount,
			(struct node){.kind = NODE_CONTROL, .account = dir.account, .number = CONTROL_DIRECTORY}, out,
			err);
	}
	if (dir.number == 0 && slice_equal(name, SLICE_LITERAL(MAILDIR_NAME))) {
		attr_of_root(mount, (struct node){.kind = NODE_MAILDIR, .account = dir.account}, out);
		return true;
	}
	if (inode != 0 && attr_load(mount, inode, out, err)) {
		return true;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(orders[0]) && order[i] != NULL; i++) {
		error_clear(err);
		if (order[i](mount, dir, name, out, err)) {
			return true;
		}
		if (err->kind != ERROR_GONE) {
			return false;
		}
	}
	/* A local file may have become a message between the two questions. */
	error_clear(err);
	return lookup_message(mount, dir, name, out, err);
}

bool
view_mail_lookup_account(struct mount *mount, struct slice name, struct entry *out, struct error *err)
{
	for (unsigned octet = 1; octet < MOUNT_ACCOUNTS_MAX; octet++) {
		const struct mount_account *account = &mount->accounts[octet];

		if (account->account != NULL && slice_equal(name, slice_of(account->directory))) {
			attr_of_root(mount, mount_top(mount, (uint8_t)octet), out);
			return true;
		}
	}
	return error_set(err, ERROR_GONE, "no such account");
}

/* --- listing --- */

bool
view_mail_list_new(struct mount *mount, struct node dir, uint32_t after, struct dir_sink *sink, struct error *err)
{
	uint64_t *inodes;
	size_t count = file_list_new(mount, dir, after, &inodes);

	for (size_t i = 0; i < count && !sink->full; i++) {
		struct file *file = file_hold(mount, inodes[i]);
		char *name = file != NULL ? file_name(mount, file) : NULL;
		struct entry entry;

		if (name != NULL && file_attr(mount, file, &entry)) {
			entry.inode = 0; /* no reference, says READDIRPLUS */
			(void)dir_put(sink, name, &entry, dir_cookie(DIR_NEW, (uint32_t)inodes[i]));
		}
		free(name);
		file_drop(mount, &file);
	}
	free(inodes);
	return true;
}

struct children {
	struct mount *mount;
	struct node dir;
	struct child {
		struct entry entry;
		char *name;
	} * items;
	size_t count, capacity;
	uint32_t after;
};

static bool
collect_child(void *context, const struct view_mailbox *mailbox)
{
	struct children *children = context;
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct child *child;

	if (mailbox->id.value <= children->after || !mailbox_name_to_file(mailbox_name_leaf(mailbox->name), &name)) {
		return true;
	}
	if (children->count == children->capacity) {
		children->capacity = children->capacity > 0 ? children->capacity * 2 : 64;
		children->items = realloc(children->items, children->capacity * sizeof(*children->items));
		if (children->items == NULL) {
			abort();
		}
	}
	child = &children->items[children->count++];
	attr_of_mailbox(children->mount, children->dir.kind, children->dir.account, mailbox, &child->entry);
	child->name = buf_take(&name);
	return true;
}

static int
by_id(const void *a, const void *b)
{
	const struct child *x = a, *y = b;

	return x->entry.node.number < y->entry.node.number ? -1 : x->entry.node.number > y->entry.node.number;
}

bool
view_mail_list_mailboxes(struct mount *mount, struct node dir, uint32_t after, struct dir_sink *sink, struct error *err)
{
	struct children children = {.mount = mount, .dir = dir, .after = after};
	SCOPED(buf_finish) struct buf parent = BUF_INIT;
	bool done;

	done = mailbox_name(mount, dir, &parent, err) && view_mailbox_children(mount_account(mount, dir.account),
								 buf_slice(&parent), collect_child, &children, err);
	if (done && children.count > 0) {
		qsort(children.items, children.count, sizeof(*children.items), by_id);
	}
	for (size_t i = 0; i < children.count; i++) {
		if (done && !sink->full) {
			(void)dir_put(sink, children.items[i].name, &children.items[i].entry,
				dir_cookie(DIR_MAILBOX, children.items[i].entry.node.number));
		}
		free(children.items[i].name);
	}
	free(children.items);
	return done;
}

struct messages {
	struct mount *mount;
	struct node dir;
	struct dir_sink *sink;
	struct buf name;
	bool some_open; /* files are being written */
	bool some_new;  /* files are being handed over: the name of one may be a message's by now */
};

static bool
list_message(void *context, const struct view_message *message)
{
	struct messages *messages = context;
	struct entry entry;

	if (!fits(message->number) || (messages->mount->unopened && !message->here)) {
		return true;
	}
	if (messages->some_new && file_by_name(messages->mount, messages->dir, message->name) != 0) {
		return true; /* it was listed as new */
	}
	attr_of_message(messages->mount, messages->dir.account, message, &entry);
	if (messages->some_open && file_is_open(messages->mount, entry.inode)) {
		entry.inode = 0; /* READDIRPLUS would tell the size that it had before */
	}
	buf_clear(&messages->name);
	buf_append(&messages->name, message->name);
	return dir_put(messages->sink, messages->name.data, &entry, dir_cookie(DIR_MESSAGE, message->uid));
}

static bool
list_messages(struct mount *mount, struct node dir, uint32_t after, struct dir_sink *sink, struct error *err)
{
	struct messages messages = {.mount = mount, .dir = dir, .sink = sink};
	bool done;

	if (dir.number == 0 || sink->full) {
		return true;
	}
	mutex_lock(&mount->lock);
	messages.some_new = mount->named_file_count > 0;
	messages.some_open = mount->files.count > 0;
	mutex_unlock(&mount->lock);
	done = view_list(mount_account(mount, dir.account), (struct mailbox_id){dir.number}, after, list_message,
		&messages, err);
	buf_finish(&messages.name);
	return done;
}

bool
view_mail_list(struct mount *mount, struct node dir, enum dir_section section, uint32_t after, struct dir_sink *sink,
	struct error *err)
{
	if (section <= DIR_NEW && !sink->full &&
		!view_mail_list_new(mount, dir, section == DIR_NEW ? after : 0, sink, err)) {
		return false;
	}
	if (section <= DIR_LOCAL &&
		!plain_list(mount, dir, section == DIR_LOCAL ? after : 0, dir.number == 0, sink, err)) {
		return false;
	}
	if (section <= DIR_MAILBOX && !sink->full &&
		!view_mail_list_mailboxes(mount, dir, section == DIR_MAILBOX ? after : 0, sink, err)) {
		return false;
	}
	return list_messages(mount, dir, section == DIR_MESSAGE ? after : 0, sink, err);
}

bool
view_mail_list_accounts(
	struct mount *mount, enum dir_section section, uint32_t after, struct dir_sink *sink, struct error *err)
{
	struct entry entry;

	if (section > DIR_MAILBOX) {
		return true;
	}
	for (unsigned octet = section == DIR_MAILBOX ? after + 1 : 1; octet < MOUNT_ACCOUNTS_MAX && !sink->full;
		octet++) {
		if (mount->accounts[octet].account != NULL) {
			attr_of_root(mount, mount_top(mount, (uint8_t)octet), &entry);
			(void)dir_put(sink, mount->accounts[octet].directory, &entry, dir_cookie(DIR_MAILBOX, octet));
		}
	}
	return true;
}

/* --- changing --- */

/* Refuses what no mailbox may be called: `inbox` in another case than the one that is there is that one. */
static bool
whole_name(struct mount *mount, struct node dir, struct slice name, struct buf *out, struct error *err)
{
	SCOPED(buf_finish) struct buf parent = BUF_INIT;

	if (dir.number == 0 && slice_equal_nocase(name, SLICE_LITERAL("INBOX"))) {
		return error_errno(err, EEXIST, "INBOX is there, in any case");
	}
	if (!mailbox_name(mount, dir, &parent, err)) {
		return false;
	}
	if (!name_of_mailbox(buf_slice(&parent), name, out)) {
		return error_errno(err, EINVAL, "no mailbox can have this name");
	}
	return true;
}

bool
view_mail_mkdir(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	SCOPED(view_mailbox_finish) struct view_mailbox mailbox = {0};
	SCOPED(buf_finish) struct buf whole = BUF_INIT;
	struct account *account = mount_account(mount, dir.account);
	struct mailbox_id id = {0};

	if (!whole_name(mount, dir, name, &whole, err) || !edit_mailbox_create(account, buf_slice(&whole), &id, err) ||
		!view_mailbox_load(account, id, &mailbox, err)) {
		return false;
	}
	dir_touch_own(mount, dir);
	attr_of_mailbox(mount, dir.kind, dir.account, &mailbox, out);
	return true;
}

static bool
stop_at_first(void *context, const struct edit_local *local)
{
	bool *some = context;

	*some = true;
	return false;
}

bool
view_mail_rmdir(struct mount *mount, struct node mailbox, struct error *err)
{
	struct account *account = mount_account(mount, mailbox.account);
	uint64_t *inodes;
	bool some = file_list_new(mount, mailbox, 0, &inodes) > 0;

	free(inodes);
	if (!edit_local_each(account, PLAIN_IN_MAILBOX, mailbox.number, 0, stop_at_first, &some, err)) {
		return false;
	}
	if (some) {
		return error_errno(err, ENOTEMPTY, "files are in it that are no messages");
	}
	return edit_mailbox_remove(account, (struct mailbox_id){mailbox.number}, err);
}

bool
view_mail_rename(struct mount *mount, struct node mailbox, struct node to, struct slice name, struct node replaced,
	struct error *err)
{
	SCOPED(view_mailbox_finish) struct view_mailbox loaded = {0};
	SCOPED(buf_finish) struct buf whole = BUF_INIT;
	struct account *account = mount_account(mount, mailbox.account);

	if (!view_mailbox_load(account, (struct mailbox_id){mailbox.number}, &loaded, err)) {
		return false;
	}
	if (loaded.has_role) {
		return error_errno(err, EBUSY, "a mailbox with a role keeps its name");
	}
	if (!whole_name(mount, to, name, &whole, err) ||
		(replaced.number != 0 && !view_mail_rmdir(mount, replaced, err))) {
		return false;
	}
	return edit_mailbox_rename(account, (struct mailbox_id){mailbox.number}, buf_slice(&whole), err);
}
