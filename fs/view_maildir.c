#include "fs/view_maildir.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/park.h"
#include "fs/plain.h"
#include "fs/view_control.h"
#include "fs/view_mail.h"

#define CONTROL_NAME   ".mailfs"
#define UNMADE_MS      2000 /* so long after mkdir of a mailbox a program may make its cur, new and tmp */
#define UNMADE_BITS    3u
#define NUMBER_FITS(n) ((n).value > 0 && (n).value <= UINT32_MAX)

/* What a mailbox's directory has, in the order of its listing. */
static const struct {
	const char *name;
	enum node_kind kind;
} parts[] = {{"cur", NODE_CUR}, {"new", NODE_FRESH}, {"tmp", NODE_TMP}};
#define ALL_PARTS ((1u << ARRAY_LENGTH(parts)) - 1)
_Static_assert(ARRAY_LENGTH(parts) == UNMADE_BITS, "a bit for each");

/* --- mkdir X, then of X/cur, X/new and X/tmp: until then they are not there --- */

static struct node
mailbox_of(struct node dir)
{
	return (struct node){.kind = NODE_MAILDIR, .account = dir.account, .number = dir.number};
}

/* Which parts of a mailbox are not made yet. */
static unsigned
unmade_parts(struct mount *mount, struct node mailbox)
{
	uint64_t inode = mount_inode(mount, mailbox), value = 0;

	mutex_lock(&mount->lock);
	if (inode_map_get(&mount->unmade, inode, &value) && (int64_t)(value >> UNMADE_BITS) <= park_now_ms()) {
		inode_map_remove(&mount->unmade, inode);
		value = 0;
	}
	mutex_unlock(&mount->lock);
	return (unsigned)value & ALL_PARTS;
}

static void
set_unmade_parts(struct mount *mount, struct node mailbox, unsigned bits)
{
	uint64_t inode = mount_inode(mount, mailbox);

	mutex_lock(&mount->lock);
	if (bits != 0) {
		inode_map_put(&mount->unmade, inode, (uint64_t)(park_now_ms() + UNMADE_MS) << UNMADE_BITS | bits);
	} else {
		inode_map_remove(&mount->unmade, inode);
	}
	mutex_unlock(&mount->lock);
}

bool
view_maildir_is_made(struct mount *mount, struct node dir)
{
	return dir.kind != NODE_MAILDIR || unmade_parts(mount, dir) == 0;
}

/* The part of that name; ARRAY_LENGTH(parts) if it is none. */
static size_t
part_of(struct node dir, struct slice name)
{
	size_t part = 0;

	while (part < ARRAY_LENGTH(parts) && (dir.number == 0 || !slice_equal(name, slice_of(parts[part].name)))) {
		part++;
	}
	return part;
}

/* --- names of messages --- */

bool
view_maildir_read_name(struct node dir, struct slice name, struct maildir_name *out, struct error *err)
{
	if (maildir_name_read(name, dir.kind == NODE_FRESH, out)) {
		return true;
	}
	if (name.length > MAILDIR_BASE_MAX) {
		return error_errno(
			err, ENAMETOOLONG, "a base name of a Maildir of more than %u octets", MAILDIR_BASE_MAX);
	}
	return error_errno(err, EINVAL,
		"'%.*s': a message's name in a Maildir is BASE:2, with letters of DFPRST in that order",
		(int)name.length, name.data);
}

void
view_maildir_print_name(const struct view_message *message, struct buf *out)
{
	if (message->base_name.length > 0) {
		buf_append(out, message->base_name);
	} else {
		maildir_name_make_base(message->mtime_s, message->number, out);
	}
	maildir_name_print_info(message->is_new, message->flags | (message->passed ? MAILDIR_PASSED : 0), out);
}

/* Whether it is listed there: in cur or new, and where nothing is opened with its body. */
static bool
is_shown(const struct mount *mount, struct node dir, const struct view_message *message)
{
	return NUMBER_FITS(message->number) && message->is_new == (dir.kind == NODE_FRESH) &&
	       (!mount->unopened || message->here);
}

/* --- finding --- */

static bool
lookup_message(struct mount *mount, struct node dir, struct slice leaf, struct entry *out, struct error *err)
{
	SCOPED(view_message_finish) struct view_message message = {0};
	struct maildir_name name;

	if (!maildir_name_read(leaf, dir.kind == NODE_FRESH, &name)) {
		return error_set(err, ERROR_GONE, "no message has such a name");
	}
	if (!view_message_by_base_name(
		    mount_account(mount, dir.account), (struct mailbox_id){dir.number}, name.base, &message, err)) {
		return false;
	}
	/* A name with other letters is another name. */
	if (!is_shown(mount, dir, &message) ||
		name.letters != (message.flags | (message.passed ? MAILDIR_PASSED : 0))) {
		return error_set(err, ERROR_GONE, "it is not called so any more");
	}
	attr_of_message(mount, dir.account, &message, out);
	(void)file_attr_if_open(mount, out);
	return true;
}

static bool
lookup_in_part(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	uint64_t inode = file_by_name(mount, dir, name);

	if (inode != 0 && attr_load(mount, inode, out, err)) {
		return true;
	}
	error_clear(err);
	if (name_classify(name) == NAME_LOCAL) {
		return plain_lookup(mount, dir, name, out, err);
	}
	if (lookup_message(mount, dir, name, out, err)) {
		return true;
	}
	/* What could be no message stayed there as a local file. */
	return err->kind == ERROR_GONE && plain_lookup(mount, dir, name, out, err);
}

static bool
lookup_part(
	struct mount *mount, struct node mailbox, size_t part, struct entry *out, bool *out_passing, struct error *err)
{
	struct node node = {.kind = parts[part].kind, .account = mailbox.account, .number = mailbox.number};
	SCOPED(view_mailbox_finish) struct view_mailbox row = {0};

	if ((unmade_parts(mount, mailbox) & 1u << part) != 0) {
		*out_passing = true;
		return error_set(err, ERROR_GONE, "it is not made yet");
	}
	if (!view_mailbox_load(mount_account(mount, mailbox.account), (struct mailbox_id){mailbox.number}, &row, err)) {
		return false;
	}
	if (row.directory_only) {
		return error_set(err, ERROR_GONE, "a mailbox that can hold no messages is no Maildir");
	}
	return attr_load(mount, mount_inode(mount, node), out, err);
}

bool
view_maildir_lookup(struct mount *mount, struct node dir, struct slice name, struct entry *out, bool *out_passing,
	struct error *err)
{
	size_t part = part_of(dir, name);

	mount->maildir_used = true;
	if (dir.kind != NODE_MAILDIR) {
		return lookup_in_part(mount, dir, name, out, err);
	}
	if (part < ARRAY_LENGTH(parts)) {
		return lookup_part(mount, dir, part, out, out_passing, err);
	}
	if (dir.number == 0 && slice_equal(name, SLICE_LITERAL(CONTROL_NAME))) {
		return view_control_attr(mount,
			(struct node){.kind = NODE_CONTROL, .account = dir.account, .number = CONTROL_DIRECTORY}, out,
			err);
	}
	if (name.data[0] != '.' && view_mail_lookup_mailbox(mount, dir, name, out, err)) {
		return true;
	}
	if (err->kind != ERROR_NONE && err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return plain_lookup(mount, dir, name, out, err);
}

/* --- listing --- */

struct messages {
	struct mount *mount;
	struct node dir;
	struct dir_sink *sink;
	struct buf name;
	bool some_open, some_new; /* as in the mail view */
};

static bool
list_message(void *context, const struct view_message *message)
{
	struct messages *messages = context;
	struct entry entry;

	if (!is_shown(messages->mount, messages->dir, message)) {
		return true;
	}
	buf_clear(&messages->name);
	view_maildir_print_name(message, &messages->name);
	if (messages->some_new && file_by_name(messages->mount, messages->dir, buf_slice(&messages->name)) != 0) {
		return true; /* it was listed as being written */
	}
	attr_of_message(messages->mount, messages->dir.account, message, &entry);
	if (messages->some_open && file_is_open(messages->mount, entry.inode)) {
		entry.inode = 0; /* READDIRPLUS would tell the size that it had before */
	}
	return dir_put(messages->sink, messages->name.data, &entry, dir_cookie(DIR_MESSAGE, message->uid));
}

static bool
list_messages(struct mount *mount, struct node dir, uint32_t after, struct dir_sink *sink, struct error *err)
{
	struct messages messages = {.mount = mount, .dir = dir, .sink = sink};
	bool done;

	if (sink->full) {
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

static bool
list_parts(struct mount *mount, struct node mailbox, uint32_t after, struct dir_sink *sink)
{
	for (size_t part = 0; mailbox.number != 0 && part < ARRAY_LENGTH(parts) && !sink->full; part++) {
		uint32_t cookie = DIR_COOKIE_PARENT + 1 + (uint32_t)part;
		struct error err = ERROR_INIT;
		struct entry entry;
		bool passing;

		if (cookie > after && lookup_part(mount, mailbox, part, &entry, &passing, &err)) {
			(void)dir_put(sink, parts[part].name, &entry, dir_cookie(DIR_FIXED, cookie));
		}
	}
	return true;
}

bool
view_maildir_list(struct mount *mount, struct node dir, enum dir_section section, uint32_t after, struct dir_sink *sink,
	struct error *err)
{
	bool is_mailbox = dir.kind == NODE_MAILDIR;

	mount->maildir_used = true;
	if (is_mailbox && section == DIR_FIXED && !list_parts(mount, dir, after, sink)) {
		return false;
	}
	if (!is_mailbox && section <= DIR_NEW && !sink->full &&
		!view_mail_list_new(mount, dir, section == DIR_NEW ? after : 0, sink, err)) {
		return false;
	}
	if (section <= DIR_LOCAL && !sink->full &&
		!plain_list(mount, dir, section == DIR_LOCAL ? after : 0, false, sink, err)) {
		return false;
	}
	if (!is_mailbox) {
		return list_messages(mount, dir, section == DIR_MESSAGE ? after : 0, sink, err);
	}
	return section > DIR_MAILBOX || sink->full ||
	       view_mail_list_mailboxes(mount, dir, section == DIR_MAILBOX ? after : 0, sink, err);
}

/* --- mkdir and rmdir --- */

bool
view_maildir_mkdir(struct mount *mount, struct node dir, struct slice name, struct entry *out, struct error *err)
{
	size_t part = part_of(dir, name);
	unsigned unmade;

	if (dir.kind != NODE_MAILDIR) {
		return error_errno(err, EPERM, "cur and new hold messages");
	}
	if (part == ARRAY_LENGTH(parts)) {
		if (!view_mail_mkdir(mount, dir, name, out, err)) {
			return false;
		}
		set_unmade_parts(mount, out->node, ALL_PARTS);
		return true;
	}
	unmade = unmade_parts(mount, dir);
	if ((unmade & 1u << part) == 0) {
		return error_errno(err, EEXIST, "%s is there", parts[part].name);
	}
	set_unmade_parts(mount, dir, unmade & ~(1u << part));
	return attr_load(mount,
		mount_inode(
			mount, (struct node){.kind = parts[part].kind, .account = dir.account, .number = dir.number}),
		out, err);
}

static bool
note_one(void *context, const char *name, const struct entry *entry, uint64_t cookie)
{
	(void)name;
	(void)entry;
	*(bool *)context |= cookie > DIR_FIXED_MAX;
	return !*(bool *)context;
}

static bool
check_empty(struct mount *mount, struct node dir, struct error *err)
{
	bool some = false;
	struct dir_sink sink = {.put = note_one, .context = &some};

	return dir_list(mount, dir, 0, &sink, err) && (!some || error_errno(err, ENOTEMPTY, "something is in it"));
}

bool
view_maildir_rmdir(struct mount *mount, struct node node, struct error *err)
{
	struct node mailbox = mailbox_of(node);

	if (!check_empty(mount, node, err)) {
		return false;
	}
	if (node.kind == NODE_MAILDIR) {
		for (size_t part = 0; part < ARRAY_LENGTH(parts); part++) {
			node.kind = parts[part].kind;
			if (!check_empty(mount, node, err)) {
				return false;
			}
		}
		if (!view_mail_rmdir(mount, (struct node){NODE_MAILBOX, node.account, node.number}, err)) {
			return false;
		}
		set_unmade_parts(mount, mailbox, 0);
		return true;
	}
	for (size_t part = 0; part < ARRAY_LENGTH(parts); part++) {
		if (parts[part].kind == node.kind) {
			set_unmade_parts(mount, mailbox, unmade_parts(mount, mailbox) | 1u << part);
		}
	}
	return true;
}
