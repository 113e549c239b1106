/* What a transaction knows by heart: the store's counters, and those of the mailboxes it has changed. They are read once and written once, at the
 * commit. */
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mail/message_id32.h"
#include "engine/store/store_parts.h"

int64_t
store_next_changed_ns(struct store_txn *txn, int64_t last_ns)
{
	int64_t now_ns = io_wall_ns(txn->store->io);

	return now_ns > last_ns ? now_ns : last_ns + 1000000000;
}

static bool
write_mailbox(struct store_txn *txn, struct store_counters *counters, struct error *err)
{
	SCOPED(db_end) struct db_statement *update = NULL;

	if (counters->changed) {
		counters->changed_ns = store_next_changed_ns(txn, counters->changed_ns);
	}
	if (!store_prepare_write(
		    txn, "UPDATE mailbox SET uidnext = ?, messages = ?, changed_ns = ? WHERE id = ?", &update, err)) {
		return false;
	}
	db_bind_u64(update, 1, counters->uidnext);
	db_bind_u64(update, 2, counters->messages);
	db_bind_i64(update, 3, counters->changed_ns);
	db_bind_u64(update, 4, counters->mailbox.value);
	return db_run(update, err);
}

bool
store_write_counters(struct store_txn *txn, struct error *err)
{
	for (size_t i = 0; i < txn->mailboxes_count; i++) {
		struct store_counters *counters = &txn->mailboxes[i];

		if ((counters->dirty || counters->changed) && !write_mailbox(txn, counters, err)) {
			return false;
		}
	}
	if (!txn->counters_known) {
		return true;
	}
	return (txn->modseq == txn->modseq_before || store_meta_set_u64(txn, "modseq", txn->modseq, err)) &&
	       (txn->number == txn->number_before || store_meta_set_u64(txn, "number", txn->number, err)) &&
	       (txn->given == txn->given_before || store_meta_set_u64(txn, "given", txn->given, err));
}

bool
store_load_counters(struct store_txn *txn, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;
	enum db_row row;

	if (txn->counters_known) {
		return true;
	}
	if (!store_prepare(
		    txn, "SELECT key, value FROM meta WHERE key IN ('given', 'modseq', 'number')", &select, err)) {
		return false;
	}
	txn->modseq = txn->number = txn->given = 0;
	while ((row = db_step(select, err)) == DB_ROW) {
		struct slice key = db_text(select, 0);
		uint64_t value = db_u64(select, 1);

		if (key.data[0] == 'm') {
			txn->modseq = value;
		} else if (key.data[0] == 'n') {
			txn->number = value;
		} else {
			txn->given = value;
		}
	}
	if (row == DB_FAILED) {
		return false;
	}
	if (txn->write && txn->modseq < atomic_load(&txn->store->lost_modseq)) {
		txn->modseq = atomic_load(&txn->store->lost_modseq);
	}
	if (txn->write && txn->number < atomic_load(&txn->store->lost_number)) {
		txn->number = atomic_load(&txn->store->lost_number);
	}
	txn->modseq_before = txn->modseq;
	txn->number_before = txn->number;
	txn->given_before = txn->given;
	txn->counters_known = true;
	return true;
}

struct modseq
store_modseq(struct store_txn *txn)
{
	struct error err;

	if (!store_load_counters(txn, &err)) { /* as if nothing were known: whoever reads on fails with the reason */
		log_error("store", "event=no-modseq reason=\"%s\"", err.text);
		return (struct modseq){0};
	}
	return (struct modseq){txn->modseq};
}

struct modseq
store_next_modseq(struct store_txn *txn)
{
	assert(txn->write && txn->counters_known);
	txn->modseq++;
	if (txn->modseq > txn->store->marks.modseq_limit) {
		struct error err;

		if (!store_marks_reach(txn->store, txn->number, txn->modseq, &err)) {
			txn->broken = err;
		}
	}
	return (struct modseq){txn->modseq};
}

bool
store_next_number(struct store_txn *txn, struct number *out, struct error *err)
{
	assert(txn->write && txn->counters_known);
	if (txn->number >= UINT32_MAX) {
		return error_set(err, ERROR_FATAL,
			"the account has used all its message numbers: remove its store, and it is built anew");
	}
	if (txn->number + 1 > txn->store->marks.number_limit &&
		!store_marks_reach(txn->store, txn->number + 1, txn->modseq, err)) {
		return false;
	}
	txn->number++;
	*out = (struct number){txn->number};
	return true;
}

void
store_note_given(struct store_txn *txn, struct slice name)
{
	struct number number;

	assert(txn->write && txn->counters_known);
	if (number_from_name(name, &number) && number.value <= UINT32_MAX && number.value > txn->given) {
		txn->given = number.value;
	}
}

bool
store_may_meet_given(const struct store_txn *txn, struct number number)
{
	assert(txn->write && txn->counters_known);
	return number.value <= txn->given;
}

bool
store_is_write(const struct store_txn *txn)
{
	return txn->write;
}

struct store *
store_of(struct store_txn *txn)
{
	return txn->store;
}

struct db *
store_db(struct store_txn *txn)
{
	return txn->db;
}

int64_t
store_wall_s(struct store_txn *txn)
{
	if (txn->wall_ns == 0) {
		txn->wall_ns = io_wall_ns(txn->store->io);
	}
	return txn->wall_ns / 1000000000;
}

/* --- counters of mailboxes --- */

static struct store_counters *
find_counters(const struct store_txn *txn, struct mailbox_id mailbox)
{
	for (size_t i = txn->mailboxes_count; i > 0; i--) { /* the newest is the likeliest */
		if (txn->mailboxes[i - 1].mailbox.value == mailbox.value) {
			return &txn->mailboxes[i - 1];
		}
	}
	return NULL;
}

static bool
load_mailbox(struct store_txn *txn, struct mailbox_id mailbox, struct store_counters *out, struct error *err)
{
	SCOPED(db_end) struct db_statement *select = NULL;

	if (!store_prepare(txn, "SELECT uidnext, messages, changed_ns FROM mailbox WHERE id = ? AND expunged IS NULL",
		    &select, err)) {
		return false;
	}
	db_bind_u64(select, 1, mailbox.value);
	switch (db_step(select, err)) {
	case DB_ROW:
		*out = (struct store_counters){.mailbox = mailbox,
			.uidnext = db_u32(select, 0),
			.messages = db_u32(select, 1),
			.changed_ns = db_i64(select, 2)};
		return true;
	case DB_DONE:
		return error_set(err, ERROR_GONE, "there is no mailbox %u", mailbox.value);
	case DB_FAILED:
		break;
	}
	return false;
}

bool
store_counters(struct store_txn *txn, struct mailbox_id mailbox, struct store_counters **out, struct error *err)
{
	struct store_counters *counters = find_counters(txn, mailbox), loaded;

	assert(txn->write);
	if (counters != NULL) {
		*out = counters;
		return true;
	}
	if (!load_mailbox(txn, mailbox, &loaded, err)) {
		return false;
	}
	if (txn->mailboxes_count == txn->mailboxes_capacity) {
		txn->mailboxes_capacity = txn->mailboxes_capacity * 2 + 8;
		txn->mailboxes = realloc(txn->mailboxes, txn->mailboxes_capacity * sizeof(txn->mailboxes[0]));
		if (txn->mailboxes == NULL) {
			abort();
		}
	}
	txn->mailboxes[txn->mailboxes_count] = loaded;
	*out = &txn->mailboxes[txn->mailboxes_count++];
	return true;
}

const struct store_counters *
store_counters_peek(const struct store_txn *txn, struct mailbox_id mailbox)
{
	if (txn == &txn->store->look) {
		txn = &txn->store->write;
	}
	return txn->write ? find_counters(txn, mailbox) : NULL;
}

void
store_counters_forget(struct store_txn *txn, struct mailbox_id mailbox)
{
	struct store_counters *counters = find_counters(txn, mailbox);

	if (counters != NULL) {
		*counters = txn->mailboxes[--txn->mailboxes_count];
	}
}

bool
store_touch(struct store_txn *txn, struct mailbox_id mailbox, struct error *err)
{
	struct store_counters *counters;

	if (!store_counters(txn, mailbox, &counters, err)) {
		return false;
	}
	counters->changed = true;
	return true;
}
