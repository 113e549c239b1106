/* Reading an account, straight over its store: looks for one thing, snapshots for lists, whose callbacks may take locks that others hold while they look. */
#include "engine/view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/hydrator.h"
#include "engine/mail/mailbox_name.h"
#include "engine/store/body.h"
#include "engine/store/change.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"

/* --- mailboxes --- */

static struct view_mailbox
mailbox_of(const struct account *account, const struct mailbox *row)
{
	bool pulls = account_config(account)->direction == CONFIG_PULL;

	return (struct view_mailbox){
		.id = row->id,
		.name = slice_of(row->name),
		.directory_only = row->kind == MAILBOX_DIRECTORY,
		.read_only = row->read_only || pulls,
		.listed = row->listed,
		.subscribed = row->subscribed,
		.has_role = row->role != NULL || mailbox_name_is_inbox(slice_of(row->name)),
		.messages = row->messages,
		.uidnext = row->uidnext,
		.changed_ns = row->changed_ns,
	};
}

void
view_mailbox_finish(struct view_mailbox *mailbox)
{
	free(mailbox->owned);
	mailbox->owned = NULL;
	mailbox->name = (struct slice){0};
}

/* Gives a row to the caller, with its name. */
static void
take_mailbox(const struct account *account, struct mailbox *row, struct view_mailbox *out)
{
	*out = mailbox_of(account, row);
	out->owned = slice_dup(out->name);
	out->name.data = out->owned;
	mailbox_finish(row);
}

bool
view_mailbox_load(struct account *account, struct mailbox_id id, struct view_mailbox *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct mailbox row;

	if (!store_look_begin(account->store, &txn, err) || !mailbox_load(txn, id, &row, err)) {
		return false;
	}
	if (row.expunged_s != 0) {
		mailbox_finish(&row);
		return error_set(err, ERROR_GONE, "the mailbox was removed");
	}
	take_mailbox(account, &row, out);
	return true;
}

bool
view_mailbox_by_name(struct account *account, struct slice name, struct view_mailbox *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct mailbox row;

	if (!store_look_begin(account->store, &txn, err) || !mailbox_load_by_name(txn, name, &row, err)) {
		return false;
	}
	take_mailbox(account, &row, out);
	return true;
}

struct mailbox_walk {
	const struct account *account;
	bool (*each)(void *context, const struct view_mailbox *mailbox);
	void *context;
	bool over;
};

static bool
give_mailbox(void *context, const struct mailbox *row, struct error *err)
{
	struct mailbox_walk *walk = context;
	struct view_mailbox mailbox = mailbox_of(walk->account, row);

	walk->over = walk->over || !walk->each(walk->context, &mailbox);
	return true;
}

bool
view_mailbox_children(struct account *account, struct slice parent,
	bool (*each)(void *context, const struct view_mailbox *mailbox), void *context, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct mailbox_walk walk = {.account = account, .each = each, .context = context};

	return store_read_begin(account->store, &txn, err) && mailbox_each_child(txn, parent, give_mailbox, &walk, err);
}

void
view_mailbox_opened(struct account *account, struct mailbox_id id)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct error ignored = ERROR_INIT;
	struct mailbox row;
	int64_t now_s = io_wall_s(account->io);
	bool recent;

	{
		SCOPED(store_read_end) struct store_txn *look = NULL;

		if (!store_read_begin(account->store, &look, &ignored) || !mailbox_load(look, id, &row, &ignored)) {
			return;
		}
	}
	recent = row.opened_s > now_s - 60 && row.opened_s <= now_s;
	mailbox_finish(&row);
	if (!recent && store_write_begin(account->store, STORE_MOUNT, &txn, &ignored) &&
		mailbox_set_opened(txn, id, now_s, &ignored)) {
		(void)!store_write_commit(&txn, STORE_LAZY, &ignored);
	}
}

/* --- messages --- */

static struct view_message
message_of(const struct listing *row)
{
	return (struct view_message){
		.number = row->number,
		.mailbox = row->mailbox,
		.uid = row->uid,
		.name = row->name,
		.base_name = row->base_name,
		.is_new = row->is_new,
		.passed = row->passed,
		.here = row->here,
		.size_bytes = row->size_bytes,
		.mtime_s = row->mtime_s,
		.ctime_ns = row->changed_ns,
		.flags = row->flags,
	};
}

void
view_message_finish(struct view_message *message)
{
	free(message->owned);
	message->owned = NULL;
	message->name = message->base_name = (struct slice){0};
}

struct message_walk {
	bool (*each)(void *context, const struct view_message *message);
	void *context;
};

static bool
give_message(void *context, const struct listing *row)
{
	struct message_walk *walk = context;
	struct view_message message = message_of(row);

	return walk->each(walk->context, &message);
}

bool
view_list(struct account *account, struct mailbox_id mailbox, uint32_t after,
	bool (*each)(void *context, const struct view_message *message), void *context, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct message_walk walk = {.each = each, .context = context};

	return store_read_begin(account->store, &txn, err) &&
	       listing_each(txn, mailbox, after, give_message, &walk, err);
}

/* The memory goes from the row to the view. */
static void
take_message(struct listing *row, struct view_message *out)
{
	*out = message_of(row);
	out->owned = row->owned;
	row->owned = NULL;
}

bool
view_message_load(struct account *account, struct number number, struct view_message *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct listing row;

	if (!store_look_begin(account->store, &txn, err) || !listing_load(txn, number, &row, err)) {
		return false;
	}
	take_message(&row, out);
	return true;
}

bool
view_message_by_name(struct account *account, struct mailbox_id mailbox, struct slice name, struct view_message *out,
	struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct listing row;

	if (!store_look_begin(account->store, &txn, err) || !listing_load_by_name(txn, mailbox, name, &row, err)) {
		return false;
	}
	take_message(&row, out);
	return true;
}

bool
view_message_by_base_name(struct account *account, struct mailbox_id mailbox, struct slice base_name,
	struct view_message *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct listing row;

	if (!store_look_begin(account->store, &txn, err) ||
		!listing_load_by_base_name(txn, mailbox, base_name, &row, err)) {
		return false;
	}
	take_message(&row, out);
	return true;
}

/* --- bodies --- */

struct view_body {
	struct body_reader *reader;
};

/* What is kept does not check out: it is fetched again (S5). */
static void
distrust(struct account *account, uint64_t body)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct error ignored = ERROR_INIT;

	if (store_write_begin(account->store, STORE_MOUNT, &txn, &ignored) && body_set_damaged(txn, body, &ignored)) {
		(void)!store_write_commit(&txn, STORE_LAZY, &ignored);
	}
}

static enum view_body_result
open_body(struct account *account, struct number number, struct body_reader **out, uint64_t *out_damaged,
	struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct message row;
	uint64_t body;
	bool live;

	if (!store_look_begin(account->store, &txn, err) || !message_load(txn, number, &row, err)) {
		return VIEW_BODY_FAILED;
	}
	body = row.body;
	live = row.expunged_s == 0;
	message_finish(&row);
	/* Of a message that is gone the body is kept for a while: a file that was open before is still to be read. */
	if (!live && body == 0) {
		(void)error_set(err, ERROR_GONE, "the message was removed");
		return VIEW_BODY_FAILED;
	}
	if (body == 0) {
		return VIEW_BODY_MISSING;
	}
	if (body_open(txn, body, out, err)) {
		return VIEW_BODY_OPEN;
	}
	if (err->kind == ERROR_DAMAGED) {
		*out_damaged = body;
		return VIEW_BODY_MISSING;
	}
	return VIEW_BODY_FAILED;
}

enum view_body_result
view_body_open(struct account *account, struct number number, struct view_body **out, struct error *err)
{
	struct body_reader *reader = NULL;
	uint64_t damaged = 0;
	enum view_body_result result = open_body(account, number, &reader, &damaged, err);

	if (damaged != 0) {
		distrust(account, damaged);
	}
	if (result == VIEW_BODY_OPEN) {
		struct view_body *body = malloc(sizeof(*body));

		if (body == NULL) {
			abort();
		}
		body->reader = reader;
		*out = body;
	}
	return result;
}

void
view_body_close(struct view_body **body)
{
	if (*body == NULL) {
		return;
	}
	body_reader_close(&(*body)->reader);
	free(*body);
	*body = NULL;
}

uint64_t
view_body_size(const struct view_body *body)
{
	return body_reader_size(body->reader);
}

struct slice
view_body_memory(const struct view_body *body)
{
	return body_reader_memory(body->reader);
}

bool
view_body_read(
	const struct view_body *body, void *out, size_t size, uint64_t offset, size_t *out_got, struct error *err)
{
	return body_reader_read(body->reader, out, size, offset, out_got, err);
}

bool
view_body_request(struct account *account, struct number number, void (*done)(void *context, const struct error *error),
	void *context, uint64_t *out_ticket, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct message row;
	struct mailbox_id mailbox;
	uint32_t uid;
	bool live;

	if (!store_look_begin(account->store, &txn, err) || !message_load(txn, number, &row, err)) {
		return false;
	}
	mailbox = row.mailbox;
	uid = row.uid;
	live = row.expunged_s == 0;
	message_finish(&row);
	store_read_end(&txn);
	if (!live) {
		return error_set(err, ERROR_GONE, "the message was removed");
	}
	return hydrator_request(account->hydrator, number, mailbox, uid, done, context, out_ticket, err);
}

bool
view_body_forget(struct account *account, uint64_t ticket)
{
	return hydrator_forget(account->hydrator, ticket);
}

/* --- the feed --- */

struct change_walk {
	bool (*each)(void *context, const struct view_change *change);
	void *context;
};

static bool
give_change(void *context, const struct change *row)
{
	static const enum view_change_kind kinds[] = {
		[CHANGE_MESSAGE] = VIEW_MESSAGE,
		[CHANGE_NAME_ENDED] = VIEW_NAME_ENDED,
		[CHANGE_MAILBOX] = VIEW_MAILBOX,
		[CHANGE_MAILBOX_ENDED] = VIEW_MAILBOX_ENDED,
		[CHANGE_LOCAL] = VIEW_LOCAL,
		[CHANGE_RESET] = VIEW_RESET,
	};
	struct change_walk *walk = context;
	struct view_change change = {
		.kind = kinds[row->kind],
		.modseq = row->modseq.value,
		.number = row->number,
		.mailbox = row->mailbox,
		.name = row->name,
		.maildir = row->maildir,
		.flags = row->flags,
		.live = row->live,
		.here = row->here,
		.parent_kind = row->parent_kind,
		.parent = row->parent,
	};

	return walk->each(walk->context, &change);
}

bool
view_changes(struct account *account, uint64_t since, size_t limit,
	bool (*each)(void *context, const struct view_change *change), void *context, uint64_t *out_until,
	struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct change_walk walk = {.each = each, .context = context};
	struct modseq until;

	if (!store_read_begin(account->store, &txn, err) ||
		!change_each(txn, (struct modseq){since}, limit, give_change, &walk, &until, err)) {
		return false;
	}
	*out_until = until.value;
	return true;
}

bool
view_modseq(struct account *account, uint64_t *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;

	if (!store_look_begin(account->store, &txn, err)) {
		return false;
	}
	*out = store_modseq(txn).value;
	return true;
}

/* --- statfs --- */

static bool
count_messages(void *context, const struct mailbox *row, struct error *err)
{
	*(uint64_t *)context += row->messages;
	return true;
}

uint64_t
view_message_count(struct account *account)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct error ignored = ERROR_INIT;
	uint64_t count = 0;

	if (store_read_begin(account->store, &txn, &ignored)) {
		(void)!mailbox_each(txn, false, count_messages, &count, &ignored);
	}
	return count;
}

const char *
view_store_path(const struct account *account)
{
	return account_config(account)->store;
}
