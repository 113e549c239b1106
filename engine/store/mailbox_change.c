/* Mailboxes: attributes, and their end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/mail/mailbox_name.h"
#include "engine/store/local.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"
#include "engine/store/store_internal.h"

#define MESSAGES_AT_ONCE 256

/* An attribute of the row: ?1 is the mailbox, ?2 the value, ?3 the modseq. */
struct attribute {
	const char *same; /* tells whether it has the value already */
	const char *set;
};

static const struct attribute kind_attribute = {
	.same = "SELECT kind IS ?2 FROM mailbox WHERE id = ?1 AND expunged IS NULL",
	.set = "UPDATE mailbox SET kind = ?2, modseq = ?3 WHERE id = ?1",
};
static const struct attribute role_attribute = {
	.same = "SELECT role IS ?2 FROM mailbox WHERE id = ?1 AND expunged IS NULL",
	.set = "UPDATE mailbox SET role = ?2, modseq = ?3 WHERE id = ?1",
};
static const struct attribute subscribed_attribute = {
	.same = "SELECT subscribed IS ?2 FROM mailbox WHERE id = ?1 AND expunged IS NULL",
	.set = "UPDATE mailbox SET subscribed = ?2, modseq = ?3 WHERE id = ?1",
};
static const struct attribute read_only_attribute = {
	.same = "SELECT read_only IS ?2 FROM mailbox WHERE id = ?1 AND expunged IS NULL",
	.set = "UPDATE mailbox SET read_only = ?2, modseq = ?3 WHERE id = ?1",
};
static const struct attribute listed_attribute = {
	.same = "SELECT listed IS ?2 FROM mailbox WHERE id = ?1 AND expunged IS NULL",
	.set = "UPDATE mailbox SET listed = ?2, modseq = ?3 WHERE id = ?1",
};

struct value {
	bool is_text;
	const char *text; /* or NULL */
	uint64_t number;
};

static void
bind_value(struct db_statement *statement, int place, const struct value *value)
{
	if (value->is_text) {
		store_bind_text(statement, place, value->text);
	} else {
		db_bind_u64(statement, place, value->number);
	}
}

static bool
set_attribute(struct store_txn *txn, struct mailbox_id id, const struct attribute *attribute, struct value value,
	struct error *err)
{
	SCOPED(db_end) struct db_statement *same = NULL;
	SCOPED(db_end) struct db_statement *set = NULL;

	if (!store_prepare(txn, attribute->same, &same, err)) {
		return false;
	}
	db_bind_u64(same, 1, id.value);
	bind_value(same, 2, &value);
	switch (db_step(same, err)) {
	case DB_ROW:
		if (db_bool(same, 0)) {
			return true;
		}
		break;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "there is no such mailbox");
	case DB_FAILED:
		return false;
	}
	if (!store_prepare_write(txn, attribute->set, &set, err)) {
		return false;
	}
	db_bind_u64(set, 1, id.value);
	bind_value(set, 2, &value);
	db_bind_u64(set, 3, store_next_modseq(txn).value);
	return db_run(set, err);
}

bool
mailbox_set_kind(struct store_txn *txn, struct mailbox_id id, enum mailbox_kind kind, struct error *err)
{
	return set_attribute(txn, id, &kind_attribute, (struct value){.number = kind}, err);
}

bool
mailbox_set_role(struct store_txn *txn, struct mailbox_id id, const char *role, struct error *err)
{
	return set_attribute(txn, id, &role_attribute, (struct value){.is_text = true, .text = role}, err);
}

bool
mailbox_set_subscribed(struct store_txn *txn, struct mailbox_id id, bool subscribed, struct error *err)
{
	return set_attribute(txn, id, &subscribed_attribute, (struct value){.number = subscribed}, err);
}

bool
mailbox_set_read_only(struct store_txn *txn, struct mailbox_id id, bool read_only, struct error *err)
{
	return set_attribute(txn, id, &read_only_attribute, (struct value){.number = read_only}, err);
}

bool
mailbox_set_listed(struct store_txn *txn, struct mailbox_id id, bool listed, struct error *err)
{
	return set_attribute(txn, id, &listed_attribute, (struct value){.number = listed}, err);
}

bool
mailbox_set_opened(struct store_txn *txn, struct mailbox_id id, int64_t opened_s, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (!store_prepare_write(
		    txn, "UPDATE mailbox SET opened = ? WHERE id = ? AND expunged IS NULL", &update, err)) {
		return false;
	}
	db_bind_i64(update, 1, opened_s);
	db_bind_u64(update, 2, id.value);
	if (!db_run(update, err)) {
		return false;
	}
	return db_changes(store_db(txn)) > 0 || error_set(err, ERROR_GONE, "there is no such mailbox");
}

/* --- the end --- */

struct messages {
	struct number numbers[MESSAGES_AT_ONCE];
	size_t count;
	uint32_t last_uid;
};

static bool
next_messages(struct store_txn *txn, struct mailbox_id id, struct messages *messages, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row;

	messages->count = 0;
	if (!store_prepare(txn,
		    "SELECT number, uid FROM message WHERE mailbox = ? AND uid > ? AND expunged IS NULL ORDER BY uid "
		    "LIMIT ?",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, id.value);
	db_bind_u64(select, 2, messages->last_uid);
	db_bind_u64(select, 3, MESSAGES_AT_ONCE);
	while ((row = db_step(select, err)) == DB_ROW) {
		messages->numbers[messages->count++] = (struct number){db_u64(select, 0)};
		messages->last_uid = db_u32(select, 1);
	}
	return row == DB_DONE;
}

static bool
expunge_messages(struct store_txn *txn, struct mailbox_id id, int cause, struct error *err)
{
	struct messages messages = {0};

	for (;;) {
		if (!next_messages(txn, id, &messages, err)) {
			return false;
		}
		if (messages.count == 0) {
			return true;
		}
		for (size_t i = 0; i < messages.count; i++) {
			if (!message_expunge(
				    txn, messages.numbers[i], (enum message_cause)cause, (struct number){0}, err)) {
				return false;
			}
		}
	}
}

static bool
keep_first_local(void *context, const struct local *local)
{
	struct local *first = context;

	*first = *local;
	first->name = slice_dup(slice_of(local->name));
	first->target = first->error = NULL;
	return false;
}

/* Local names never expire: those of a mailbox that ends move to the scratch directory, beside one of the same name if need be. */
static bool
rescue_locals_of(struct store_txn *txn, enum local_parent kind, struct mailbox_id id, struct error *err)
{
	for (;;) {
		SCOPED(local_finish) struct local local = {0};
		SCOPED(buf_finish) struct buf name = BUF_INIT;

		if (!local_each(txn, kind, id.value, 0, keep_first_local, &local, err)) {
			return false;
		}
		if (local.name == NULL) {
			return true;
		}
		if (local_move(txn, local.id, LOCAL_IN_SCRATCH, 0, slice_of(local.name), err)) {
			continue;
		}
		if (err->kind != ERROR_EXISTS) {
			return false;
		}
		error_clear(err);
		buf_printf(&name, "%llu-%.200s", (unsigned long long)local.id.value, local.name);
		if (!local_move(txn, local.id, LOCAL_IN_SCRATCH, 0, buf_slice(&name), err)) {
			return false;
		}
	}
}

static bool
rescue_locals(struct store_txn *txn, struct mailbox_id id, struct error *err)
{
	for (int kind = 0; kind < LOCAL_PARENT_COUNT; kind++) {
		if (local_is_below_mailbox((enum local_parent)kind, id.value) &&
			!rescue_locals_of(txn, (enum local_parent)kind, id, err)) {
			return false;
		}
	}
	return true;
}

static bool
note_child(void *context, const struct mailbox *mailbox, struct error *err)
{
	*(bool *)context = true;
	return false;
}

static bool
note_local(void *context, const struct local *local)
{
	*(bool *)context = true;
	return false;
}

/* Ends the row and its name; the trace tells the name. */
static bool
end_row(struct store_txn *txn, const struct mailbox *mailbox, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;
	SCOPED(db_end) struct db_statement *trace = NULL;
	struct store_counters *counters;
	struct modseq modseq = store_next_modseq(txn);

	if (!store_counters(txn, mailbox->id, &counters, err) ||
		!store_prepare_write(txn,
			"UPDATE mailbox SET expunged = ?, modseq = ?, uidnext = ?, messages = 0 WHERE id = ?", &update,
			err)) {
		return false;
	}
	db_bind_i64(update, 1, store_wall_s(txn));
	db_bind_u64(update, 2, modseq.value);
	db_bind_u64(update, 3, counters->uidnext);
	db_bind_u64(update, 4, mailbox->id.value);
	store_counters_forget(txn, mailbox->id);
	if (!db_run(update, err) ||
		!store_prepare_write(txn,
			"INSERT INTO trace (modseq, number, mailbox, name, time) VALUES (?, 0, ?, ?, ?)", &trace,
			err)) {
		return false;
	}
	db_bind_u64(trace, 1, modseq.value);
	db_bind_u64(trace, 2, mailbox->id.value);
	db_bind_text(trace, 3, slice_of(mailbox->name));
	db_bind_i64(trace, 4, store_wall_s(txn));
	return db_run(trace, err);
}

bool
mailbox_expunge(struct store_txn *txn, struct mailbox_id id, bool must_be_empty, int cause, struct error *err)
{
	SCOPED(mailbox_finish) struct mailbox mailbox = {0};
	bool children = false, locals = false;

	if (!mailbox_load(txn, id, &mailbox, err)) {
		return false;
	}
	if (mailbox.expunged_s != 0) {
		return true;
	}
	if (!mailbox_each_child(txn, slice_of(mailbox.name), note_child, &children, err) ||
		!local_each(txn, LOCAL_IN_MAILBOX, id.value, 0, note_local, &locals, err)) {
		return false;
	}
	if (must_be_empty && (mailbox.messages > 0 || children || locals)) {
		(void)error_set(err, ERROR_REFUSED, "the mailbox %s is not empty", mailbox.name);
		err->sys_errno = ENOTEMPTY;
		return false;
	}
	if (!expunge_messages(txn, id, cause, err)) {
		return false;
	}
	if (children) { /* its name is still the way to them */
		return mailbox_set_role(txn, id, NULL, err) && mailbox_set_kind(txn, id, MAILBOX_DIRECTORY, err);
	}
	return rescue_locals(txn, id, err) && end_row(txn, &mailbox, err) &&
	       mailbox_touch_parent(txn, slice_of(mailbox.name), err);
}
