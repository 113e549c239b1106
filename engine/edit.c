/* Messages and mailboxes changed by a user: one local transaction each. */
#include "engine/edit.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/edit_internal.h"
#include "engine/mail/mailbox_name.h"

#define TRASH_KEPT_MS 60000 /* the server may name another one meanwhile */

bool
edit_refuse(struct error *err, int sys_errno, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	error_set(err, ERROR_REFUSED, "%s", text);
	err->sys_errno = sys_errno;
	return false;
}

bool
edit_begin(struct account *account, struct store_txn **out, struct error *err)
{
	return account_check_writable(account, err) && store_write_begin(account->store, STORE_MOUNT, out, err);
}

bool
edit_begin_brief(struct account *account, struct store_txn **out, struct error *err)
{
	return account_check_writable(account, err) && store_write_begin_brief(account->store, out, err);
}

bool
edit_commit(struct account *account, struct store_txn **txn, enum store_durability durability, struct error *err)
{
	if (!store_write_commit(txn, durability, err)) {
		return false;
	}
	account_edited(account);
	return true;
}

bool
edit_sync(struct account *account, struct error *err)
{
	return store_sync(account->store, err);
}

/* --- mailboxes: checks --- */

static bool
load_live_mailbox(struct store_txn *txn, struct mailbox_id id, struct mailbox *out, struct error *err)
{
	if (!mailbox_load(txn, id, out, err)) {
		return false;
	}
	if (out->expunged_s != 0) {
		mailbox_finish(out);
		return error_set(err, ERROR_GONE, "the mailbox was removed");
	}
	return true;
}

bool
edit_check_mailbox(struct store_txn *txn, struct mailbox_id mailbox, struct error *err)
{
	struct mailbox row;
	bool ok = true;

	if (!load_live_mailbox(txn, mailbox, &row, err)) {
		return false;
	}
	if (row.kind != MAILBOX_REAL) {
		ok = edit_refuse(err, EACCES, "mailbox %s can hold no messages: it is a directory only", row.name);
	} else if (row.read_only) {
		ok = edit_refuse(err, EACCES, "mailbox %s is read-only on the server", row.name);
	}
	mailbox_finish(&row);
	return ok;
}

/* --- deliveries of just now --- */

void
edit_note_delivery(struct account *account, struct number number)
{
	int64_t now_ms = io_now_ms(account->io);

	mutex_lock(&account->mutex);
	account->deliveries[account->deliveries_next].number = number.value;
	account->deliveries[account->deliveries_next].at_ms = now_ms;
	account->deliveries_next = (account->deliveries_next + 1) % ACCOUNT_DELIVERIES_MAX;
	mutex_unlock(&account->mutex);
}

#define RESERVED_COUNT 32

bool
edit_reserve_number(struct account *account, struct number *out, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct number first, last;

	mutex_lock(&account->mutex);
	out->value = account->reserved_next < account->reserved_end ? account->reserved_next++ : 0;
	mutex_unlock(&account->mutex);
	if (out->value != 0) {
		return true;
	}
	if (!store_write_begin(account->store, STORE_MOUNT, &txn, err) || !store_next_number(txn, &first, err)) {
		return false;
	}
	last = first;
	for (unsigned i = 1; i < RESERVED_COUNT; i++) { /* one after another, within a transaction */
		if (!store_next_number(txn, &last, err)) {
			return false;
		}
	}
	if (!store_write_commit(&txn, STORE_LAZY, err)) {
		return false;
	}
	*out = first;
	mutex_lock(&account->mutex);
	if (account->reserved_next >= account->reserved_end) { /* else another was faster: these are left out */
		account->reserved_next = first.value + 1;
		account->reserved_end = last.value + 1;
	}
	mutex_unlock(&account->mutex);
	return true;
}

static bool
was_just_delivered(struct account *account, struct number number)
{
	int64_t now_ms = io_now_ms(account->io);
	bool found = false;

	mutex_lock(&account->mutex);
	for (size_t i = 0; i < ACCOUNT_DELIVERIES_MAX; i++) {
		found = found || (account->deliveries[i].number == number.value &&
					 now_ms - account->deliveries[i].at_ms <= EDIT_JUST_NOW_MS);
	}
	mutex_unlock(&account->mutex);
	return found;
}

/* --- messages --- */

bool
edit_load_live(struct store_txn *txn, struct number number, struct message *out, struct error *err)
{
	if (!message_load(txn, number, out, err)) {
		return false;
	}
	if (out->expunged_s != 0) {
		message_finish(out);
		return error_set(err, ERROR_GONE, "the message was removed");
	}
	return true;
}

/* A message takes the place of another (R14): with its flags and keywords. */
static bool
take_place(struct store_txn *txn, struct number number, struct number replaces, struct error *err)
{
	struct message old;
	bool applied, ok;

	if (!message_load(txn, replaces, &old, err)) {
		return err->kind == ERROR_GONE;
	}
	ok = message_set_flags(txn, number, &old.flags, (struct modseq){0}, &applied, err) &&
	     (old.expunged_s != 0 || message_expunge(txn, replaces, MESSAGE_REPLACED, number, err));
	message_finish(&old);
	return ok;
}

/* The name to give in a move: none where the user only keeps the name that was made. */
static bool
name_to_give(struct store_txn *txn, struct number number, struct slice wanted, struct slice *out, bool *out_same,
	struct error *err)
{
	struct listing row;

	*out = wanted;
	*out_same = false;
	if (!listing_load(txn, number, &row, err)) {
		return err->kind == ERROR_GONE; /* not listed: it has no name yet */
	}
	*out_same = wanted.length == 0 || slice_equal(wanted, row.name);
	if (*out_same && !row.given) {
		*out = (struct slice){0};
	}
	listing_finish(&row);
	return true;
}

static bool
move_in(struct store_txn *txn, struct number number, struct mailbox_id to, struct slice to_name, struct number replaces,
	struct error *err)
{
	struct message row;
	struct mailbox_id from;
	struct slice name;
	bool same;

	if (!edit_load_live(txn, number, &row, err)) {
		return false;
	}
	from = row.mailbox;
	message_finish(&row);
	if (!edit_check_mailbox(txn, to, err) || (from.value != to.value && !edit_check_mailbox(txn, from, err)) ||
		!name_to_give(txn, number, to_name, &name, &same, err)) {
		return false;
	}
	if (replaces.value != 0 && replaces.value != number.value && !take_place(txn, number, replaces, err)) {
		return false;
	}
	if (from.value != to.value) {
		return message_move(txn, number, to, name, err);
	}
	return same || message_rename(txn, number, to_name, err);
}

bool
edit_message_move(struct account *account, struct number number, struct mailbox_id to, struct slice to_name,
	struct number replaces, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	bool alone = replaces.value == 0 || replaces.value == number.value;

	return (alone ? edit_begin_brief(account, &txn, err) : edit_begin(account, &txn, err)) &&
	       move_in(txn, number, to, to_name, replaces, err) && edit_commit(account, &txn, STORE_LAZY, err);
}

bool
edit_message_expunge(struct account *account, struct number number, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct message row;
	struct mailbox_id from;

	if (!edit_begin_brief(account, &txn, err) || !edit_load_live(txn, number, &row, err)) {
		return false;
	}
	from = row.mailbox;
	message_finish(&row);
	return edit_check_mailbox(txn, from, err) &&
	       message_expunge(txn, number, MESSAGE_BY_USER, (struct number){0}, err) &&
	       edit_commit(account, &txn, STORE_LAZY, err);
}

bool
edit_message_attribute(
	struct account *account, struct number number, const char *name, struct slice value, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct message row;
	bool applied, ok;

	if (!edit_begin_brief(account, &txn, err) || !edit_load_live(txn, number, &row, err)) {
		return false;
	}
	if (strcmp(name, "mail.flags") == 0) {
		ok = flags_apply_system(&row.flags, value, err);
	} else if (strcmp(name, "mail.keywords") == 0) {
		ok = flags_apply_keywords(&row.flags, value, err);
	} else {
		ok = edit_refuse(err, ENOTSUP, "user.%s cannot be written", name);
	}
	ok = ok && message_set_flags(txn, number, &row.flags, (struct modseq){0}, &applied, err);
	message_finish(&row);
	return ok && edit_commit(account, &txn, STORE_LAZY, err);
}

/* Only what the names tell apart: what somebody else changed meanwhile stays. */
static bool
change_letters(struct store_txn *txn, struct number number, uint32_t was, uint32_t wanted, struct error *err)
{
	SCOPED(flags_finish) struct flags add = FLAGS_INIT;
	SCOPED(flags_finish) struct flags remove = FLAGS_INIT;

	return was == wanted ||
	       (maildir_name_set_letters(&add, wanted & ~was) && maildir_name_set_letters(&remove, was & ~wanted) &&
		       message_change_flags(txn, number, &add, &remove, err));
}

bool
edit_message_rename_maildir(struct account *account, struct number number, const struct maildir_name *was,
	struct mailbox_id to, const struct maildir_name *wanted, struct number replaces, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	bool alone = replaces.value == 0 || replaces.value == number.value;

	return (alone ? edit_begin_brief(account, &txn, err) : edit_begin(account, &txn, err)) &&
	       move_in(txn, number, to, (struct slice){0}, replaces, err) &&
	       change_letters(txn, number, was->letters, wanted->letters, err) &&
	       message_set_maildir(txn, number, wanted->base, wanted->is_new, err) &&
	       edit_commit(account, &txn, STORE_LAZY, err);
}

bool
edit_message_set_mtime(struct account *account, struct number number, int64_t mtime_s, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;

	if (!edit_begin_brief(account, &txn, err)) {
		return false;
	}
	return (was_just_delivered(account, number) ? message_set_internaldate(txn, number, mtime_s, err)
						    : message_set_mtime(txn, number, mtime_s, err)) &&
	       edit_commit(account, &txn, STORE_LAZY, err);
}

/* --- rm --- */

struct trash_search {
	struct slice name; /* of a mailbox that serves where none has the role */
	bool by_role;      /* the role counts before the name */
	struct mailbox_id with_role, with_name;
};

static bool
look_for_trash(void *context, const struct mailbox *row, struct error *err)
{
	struct trash_search *search = context;

	if (row->kind != MAILBOX_REAL) {
		return true;
	}
	if (search->by_role && row->role != NULL && strcmp(row->role, "trash") == 0 && search->with_role.value == 0) {
		search->with_role = row->id;
	}
	if (search->by_role ? slice_equal_nocase(slice_of(row->name), search->name)
			    : slice_equal(slice_of(row->name), search->name)) {
		search->with_name = row->id;
	}
	return true;
}

/* Finds where rm puts messages; 0 where there is none. */
static bool
find_trash(struct store_txn *txn, const char *policy, struct mailbox_id *out, struct error *err)
{
	bool by_role = strcmp(policy, "server") == 0;
	struct trash_search search = {.name = slice_of(by_role ? "Trash" : policy), .by_role = by_role};

	if (!mailbox_each(txn, false, look_for_trash, &search, err)) {
		return false;
	}
	*out = search.with_role.value != 0 ? search.with_role : search.with_name;
	return true;
}

static bool
make_trash(struct account *account, const char *policy, struct mailbox_id *out, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct slice name = slice_of(strcmp(policy, "server") == 0 ? "Trash" : policy);

	if (!edit_begin(account, &txn, err) || !find_trash(txn, policy, out, err)) {
		return false;
	}
	if (out->value != 0) {
		return true; /* made by another meanwhile */
	}
	return (mailbox_create(txn, name, MAILBOX_REAL, NULL, out, err) && mailbox_set_listed(txn, *out, true, err) &&
		       edit_commit(account, &txn, STORE_LAZY, err)) ||
	       error_wrap(err, "making the mailbox for what is removed");
}

/* As last found, for a minute; the write in which it is used looks whether it is still there. */
static bool
get_trash(struct account *account, bool anew, struct mailbox_id *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	const char *policy = account_config(account)->trash;
	int64_t now_ms = io_now_ms(account->io), found_ms;

	mutex_lock(&account->mutex);
	*out = account->trash;
	found_ms = account->trash_found_ms;
	mutex_unlock(&account->mutex);
	if (!anew && out->value != 0 && now_ms - found_ms < TRASH_KEPT_MS) {
		return true;
	}
	if (!store_read_begin(account->store, &txn, err) || !find_trash(txn, policy, out, err)) {
		return false;
	}
	store_read_end(&txn);
	if (out->value == 0 && !make_trash(account, policy, out, err)) {
		return false;
	}
	mutex_lock(&account->mutex);
	account->trash = *out;
	account->trash_found_ms = now_ms;
	mutex_unlock(&account->mutex);
	return true;
}

/* Puts it into the trash, or expunges it where it lies there already. *out_again: the trash is not there any more. */
static bool
remove_in(struct store_txn *txn, struct number number, struct mailbox_id to, bool *out_again, struct error *err)
{
	struct mailbox trash, holder;
	struct message row;
	struct mailbox_id from;
	bool inside;

	*out_again = false;
	if (!edit_load_live(txn, number, &row, err)) {
		return false;
	}
	from = row.mailbox;
	message_finish(&row);
	if (!edit_check_mailbox(txn, from, err)) {
		return false;
	}
	if (!load_live_mailbox(txn, to, &trash, err)) {
		*out_again = err->kind == ERROR_GONE;
		return false;
	}
	if (!load_live_mailbox(txn, from, &holder, err)) {
		mailbox_finish(&trash);
		return false;
	}
	inside = mailbox_name_within(slice_of(holder.name), slice_of(trash.name));
	mailbox_finish(&holder);
	mailbox_finish(&trash);
	if (inside) {
		return message_expunge(txn, number, MESSAGE_BY_USER, (struct number){0}, err);
	}
	return message_move(txn, number, to, (struct slice){0}, err);
}

bool
edit_message_remove(struct account *account, struct number number, struct error *err)
{
	bool again = true, ok = false;

	if (strcmp(account_config(account)->trash, "none") == 0) {
		return edit_message_expunge(account, number, err);
	}
	for (int tries = 0; !ok && again && tries < 3; tries++) {
		SCOPED(store_write_rollback) struct store_txn *txn = NULL;
		struct mailbox_id trash;

		again = false;
		ok = account_check_writable(account, err) && get_trash(account, tries > 0, &trash, err) &&
		     edit_begin_brief(account, &txn, err) && remove_in(txn, number, trash, &again, err) &&
		     edit_commit(account, &txn, STORE_LAZY, err);
	}
	return ok;
}

/* --- mailboxes --- */

/* Names that no user may make: too long, too deep, a second INBOX. */
static bool
check_mailbox_name(struct slice name, struct error *err)
{
	size_t depth = 1;

	for (size_t i = 0; i < name.length; i++) {
		depth += name.data[i] == '/';
	}
	if (name.length == 0 || name.length > MAILBOX_NAME_MAX || depth > MAILBOX_DEPTH_MAX) {
		error_set(err, ERROR_INVALID, "a mailbox's name has 1 to %d octets and at most %d levels",
			MAILBOX_NAME_MAX, MAILBOX_DEPTH_MAX);
		err->sys_errno = ENAMETOOLONG;
		return false;
	}
	if (slice_equal_nocase(name, SLICE_LITERAL("INBOX"))) {
		return error_set(err, ERROR_EXISTS, "there is an INBOX, however it is spelled");
	}
	return true;
}

bool
edit_mailbox_create(struct account *account, struct slice name, struct mailbox_id *out, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct mailbox_id id;

	/* All it holds is known: it is new. */
	if (!check_mailbox_name(name, err) || !edit_begin(account, &txn, err) ||
		!mailbox_create(txn, name, MAILBOX_REAL, NULL, &id, err) || !mailbox_set_listed(txn, id, true, err) ||
		!edit_commit(account, &txn, STORE_LAZY, err)) {
		return false;
	}
	*out = id;
	return true;
}

static bool
check_free_of_role(const struct mailbox *row, struct error *err)
{
	if (row->role != NULL || mailbox_name_is_inbox(slice_of(row->name))) {
		return edit_refuse(err, EBUSY, "mailbox %s has a role (%s): it stays where it is", row->name,
			row->role != NULL ? row->role : "inbox");
	}
	return true;
}

bool
edit_mailbox_rename(struct account *account, struct mailbox_id id, struct slice new_name, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct mailbox row;
	bool ok;

	if (!check_mailbox_name(new_name, err) || !edit_begin(account, &txn, err) ||
		!load_live_mailbox(txn, id, &row, err)) {
		return false;
	}
	ok = check_free_of_role(&row, err);
	mailbox_finish(&row);
	return ok && mailbox_rename(txn, id, new_name, err) && edit_commit(account, &txn, STORE_LAZY, err);
}

static bool
note_one(void *context, const struct local *local)
{
	*(bool *)context = true;
	return false;
}

bool
edit_mailbox_remove(struct account *account, struct mailbox_id id, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct mailbox row;
	bool ok, holds_local = false;

	if (!edit_begin(account, &txn, err) || !load_live_mailbox(txn, id, &row, err)) {
		return false;
	}
	ok = check_free_of_role(&row, err);
	if (ok && !row.listed && row.kind == MAILBOX_REAL) {
		ok = edit_refuse(err, ENOTEMPTY, "mailbox %s is not listed yet: it may hold messages", row.name);
	}
	mailbox_finish(&row);
	ok = ok && local_each(txn, LOCAL_IN_MAILBOX, id.value, 0, note_one, &holds_local, err);
	if (ok && holds_local) {
		ok = edit_refuse(err, ENOTEMPTY, "there are local files in the mailbox");
	}
	return ok && mailbox_expunge(txn, id, true, MESSAGE_BY_USER, err) &&
	       edit_commit(account, &txn, STORE_LAZY, err);
}
