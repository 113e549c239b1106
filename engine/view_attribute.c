/* The values of extended attributes of messages and mailboxes (design 5, Flags). */
#include "engine/view.h"

#include <inttypes.h>

#include "engine/account.h"
#include "engine/mail/envelope.h"
#include "engine/store/body.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"

/* What a value is made from. */
struct attribute {
	struct store_txn *txn;
	const struct message *row;
	struct buf *out;
};

static bool
absent(struct error *err)
{
	return error_set(err, ERROR_GONE, "there is no such attribute");
}

static bool
give_text(struct buf *out, const char *text, struct error *err)
{
	if (text == NULL || text[0] == '\0') {
		return absent(err);
	}
	buf_append_text(out, text);
	return true;
}

static bool
value_flags(const struct attribute *attribute, struct error *err)
{
	flags_print_system(&attribute->row->flags, attribute->out);
	return true;
}

static bool
value_keywords(const struct attribute *attribute, struct error *err)
{
	buf_append(attribute->out, flags_keywords(&attribute->row->flags));
	return true;
}

static bool
value_uid(const struct attribute *attribute, struct error *err)
{
	buf_append_u64(attribute->out, attribute->row->uid);
	return true;
}

static bool
value_modseq(const struct attribute *attribute, struct error *err)
{
	buf_append_u64(attribute->out, attribute->row->modseq.value);
	return true;
}

static bool
value_guid(const struct attribute *attribute, struct error *err)
{
	size_t before = attribute->out->length;
	uint64_t modseq;

	return sync_message_remote(attribute->txn, attribute->row->number, attribute->out, &modseq, err) &&
	       (attribute->out->length > before || absent(err));
}

static bool
value_of_envelope(const struct attribute *attribute, size_t member, struct error *err)
{
	struct envelope envelope;
	bool ok;

	if (!message_load_envelope(attribute->txn, attribute->row->number, &envelope, err)) {
		return false;
	}
	ok = give_text(attribute->out, *(char *const *)(const void *)((const char *)&envelope + member), err);
	envelope_finish(&envelope);
	return ok;
}

static bool
value_message_id(const struct attribute *attribute, struct error *err)
{
	return value_of_envelope(attribute, offsetof(struct envelope, message_id), err);
}

static bool
value_from(const struct attribute *attribute, struct error *err)
{
	return value_of_envelope(attribute, offsetof(struct envelope, from), err);
}

static bool
value_to(const struct attribute *attribute, struct error *err)
{
	return value_of_envelope(attribute, offsetof(struct envelope, to), err);
}

static bool
value_subject(const struct attribute *attribute, struct error *err)
{
	return value_of_envelope(attribute, offsetof(struct envelope, subject), err);
}

static bool
value_date(const struct attribute *attribute, struct error *err)
{
	return value_of_envelope(attribute, offsetof(struct envelope, date), err);
}

static bool
value_state(const struct attribute *attribute, struct error *err)
{
	const char *state;

	if (!sync_message_state(attribute->txn, attribute->row->number, &state, err)) {
		return false;
	}
	buf_append_text(attribute->out, state);
	return true;
}

static bool
value_error(const struct attribute *attribute, struct error *err)
{
	return give_text(attribute->out, attribute->row->error, err);
}

static bool
value_digest(const struct attribute *attribute, struct error *err)
{
	char hex[SHA256_HEX_BYTES];
	struct body body;

	if (attribute->row->body == 0) {
		return absent(err);
	}
	if (!body_load(attribute->txn, attribute->row->body, &body, err)) {
		return false;
	}
	digest_to_hex(&body.digest, hex);
	buf_append_text(attribute->out, hex);
	return true;
}

static const struct {
	const char *name;
	bool (*value)(const struct attribute *attribute, struct error *err);
} attributes[] = {
	{"mail.flags", value_flags},
	{"mail.keywords", value_keywords},
	{"mail.uid", value_uid},
	{"mail.guid", value_guid},
	{"mail.modseq", value_modseq},
	{"mail.message-id", value_message_id},
	{"mail.from", value_from},
	{"mail.to", value_to},
	{"mail.subject", value_subject},
	{"mail.date", value_date},
	{"mailfs.state", value_state},
	{"mailfs.error", value_error},
	{"mailfs.digest", value_digest},
};

bool
view_attribute(struct account *account, struct number number, const char *name, struct buf *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	size_t which = 0;
	struct message row;
	bool ok;

	while (which < ARRAY_LENGTH(attributes) && strcmp(attributes[which].name, name) != 0) {
		which++;
	}
	if (which == ARRAY_LENGTH(attributes)) {
		return absent(err);
	}
	if (!store_look_begin(account->store, &txn, err) || !message_load(txn, number, &row, err)) {
		return false;
	}
	ok = row.expunged_s == 0
		     ? attributes[which].value(&(struct attribute){.txn = txn, .row = &row, .out = out}, err)
		     : error_set(err, ERROR_GONE, "the message was removed");
	message_finish(&row);
	return ok;
}

bool
view_mailbox_attribute(
	struct account *account, struct mailbox_id mailbox, const char *name, struct buf *out, struct error *err)
{
	struct view_mailbox row;
	bool listed;

	if (strcmp(name, "mailfs.state") != 0) {
		return absent(err);
	}
	if (!view_mailbox_load(account, mailbox, &row, err)) {
		return false;
	}
	listed = row.listed || row.directory_only;
	view_mailbox_finish(&row);
	buf_append_text(out, listed ? account_state_name(account_condition_get(account).state) : "listing");
	return true;
}
