/* What people do on either side. */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#include "engine/mime/envelope_read.h"
#include "engine/mime/identity.h"
#include "engine/store/body.h"
#include "tests/sim/world.h"

#define OK(call)                                                   \
	do {                                                       \
		if (!(call)) {                                     \
			fail_msg("%s: %s", #call, world.err.text); \
		}                                                  \
	} while (0)

/* --- transactions --- */

static struct store_txn *
begin_write(void)
{
	OK(store_write_begin(world.store, STORE_MOUNT, &world.txn, &world.err));
	return world.txn;
}

static void
commit(struct store_txn *txn)
{
	assert(txn == world.txn);
	OK(store_write_commit(&world.txn, STORE_LAZY, &world.err));
}

void
world_body(const char *token, struct buf *out)
{
	assert(token != NULL);
	bool twin = strncmp(token, "twin", 4) == 0;

	buf_printf(out, "X-Token: %s\r\n", token);
	if (strncmp(token, "bare", 4) != 0) {
		const char *name = twin ? "twin" : token;

		buf_printf(out,
			"From: Ana Ruiz <ana@example.org>\r\nTo: me@example.org\r\nSubject: %s\r\n"
			"Date: Tue, 3 Nov 2026 09:12:00 +0000\r\nMessage-ID: <%s@example.org>\r\n",
			name, name);
	}
	buf_printf(out, "\r\nThis is %s.\r\n", token);
	if (token[0] == 't' &&
		isdigit((unsigned char)token[1])) { /* of histories at random: as many sizes as there are */
		for (int i = atoi(token + 1); i > 0; i--) {
			buf_append_octet(out, 'x');
		}
		buf_append_text(out, "\r\n");
	}
}

/* --- there --- */

struct model_mailbox *
there_mailbox(const char *name)
{
	struct model_mailbox *mailbox = model_find(world.server, name);

	if (mailbox == NULL || mailbox->directory) {
		fail_msg("there is no mailbox %s on the server", name);
	}
	return mailbox;
}

struct model_message *
there_message(const char *name, const char *token)
{
	struct model_mailbox *mailbox = there_mailbox(name);

	for (size_t i = 0; i < mailbox->count; i++) {
		struct model_message *message = &mailbox->messages[i];

		if (slice_equal(model_token(slice_make(message->body, message->length)), slice_of(token))) {
			return message;
		}
	}
	fail_msg("there is no %s in %s on the server", token, name);
	return NULL;
}

uint32_t
there_add(const char *mailbox, const char *message)
{
	SCOPED(flags_finish) struct flags flags = FLAGS_INIT;
	SCOPED(buf_finish) struct buf body = BUF_INIT;
	char *token = slice_dup(world_token_of(message));

	world_apply_change(message, &flags);
	world_body(token, &body);
	free(token);
	return model_deliver(
		world.server, there_mailbox(mailbox), buf_slice(&body), &flags, world.wall_ns / 1000000000);
}

void
there_flag(const char *mailbox, const char *token, const char *change)
{
	const struct model_message *message = there_message(mailbox, token);
	SCOPED(flags_finish) struct flags flags = flags_copy(&message->flags);

	world_apply_change(change, &flags);
	model_set_flags(world.server, there_mailbox(mailbox), message->uid, &flags);
}

void
there_copy(const char *from, const char *token, const char *to)
{
	(void)model_copy(world.server, there_mailbox(from), there_message(from, token)->uid, there_mailbox(to));
}

void
there_move(const char *from, const char *token, const char *to)
{
	(void)model_move(world.server, there_mailbox(from), there_message(from, token)->uid, there_mailbox(to));
}

void
there_expunge(const char *mailbox, const char *token)
{
	model_expunge(world.server, there_mailbox(mailbox), there_message(mailbox, token)->uid);
}

void
there_expunge_deleted(const char *name)
{
	struct model_mailbox *mailbox = there_mailbox(name);

	for (size_t i = mailbox->count; i-- > 0;) {
		if ((mailbox->messages[i].flags.bits & FLAG_DELETED) != 0) {
			model_expunge(world.server, mailbox, mailbox->messages[i].uid);
		}
	}
}

void
there_create(const char *mailbox)
{
	assert_non_null(model_create(world.server, mailbox));
}

void
there_rename(const char *from, const char *to)
{
	assert_true(model_rename(world.server, from, to));
}

void
there_remove(const char *mailbox)
{
	assert_true(model_remove(world.server, mailbox));
}

/* --- here --- */

bool
here_has_body(const char *mailbox, const char *token)
{
	struct number number = here_number(mailbox, token);
	struct message message;

	world_read_begin();
	OK(message_load(world.txn, number, &message, &world.err));
	bool here = message.body != 0;

	message_finish(&message);
	world_read_end();
	return here;
}

/* Makes a message of a token's octets; where the account has the body, the date is that message's. */
static struct number
create_here(struct store_txn *txn, struct mailbox_id mailbox, const char *token, const struct flags *flags)
{
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = NULL;
	SCOPED(spool_close) struct spool *spool = spool_create(store_dir(world.store));
	SCOPED(envelope_finish) struct envelope envelope = {0};
	SCOPED(buf_finish) struct buf wire = BUF_INIT;
	struct message_new new = {.mailbox = mailbox, .flags = *flags, .internaldate_s = world.wall_ns / 1000000000};
	struct number number;

	world_body(token, &wire);
	OK(spool_append(spool, buf_slice(&wire), &world.err));
	OK(body_prepare_wire(world.store, spool, &prepared, &world.err));
	struct slice head = body_prepared_head(prepared);
	struct identity identity = identity_of(head);

	(void)envelope_read(head, &envelope);
	memcpy(new.identity, identity.bytes, sizeof new.identity);
	new.envelope = &envelope;
	new.size_bytes = body_prepared_get(prepared)->size_bytes;
	OK(body_put(txn, prepared, &new.body, &world.err));
	if (message_find_by_body(txn, new.body, &number, &world.err)) {
		struct message equal;

		OK(message_load(txn, number, &equal, &world.err));
		new.internaldate_s = equal.internaldate_s;
		message_finish(&equal);
	}
	error_clear(&world.err);
	OK(message_create(txn, &new, &number, &world.err));
	return number;
}

struct number
here_add(const char *mailbox, const char *message)
{
	SCOPED(flags_finish) struct flags flags = FLAGS_INIT;
	struct mailbox_id id = here_mailbox(mailbox);
	struct store_txn *txn = begin_write();
	char *token = slice_dup(world_token_of(message));

	world_apply_change(message, &flags);
	struct number number = create_here(txn, id, token, &flags);

	commit(txn);
	free(token);
	return number;
}

struct number
here_copy(const char *from, const char *token, const char *to)
{
	struct number number = here_number(from, token), copy;
	struct mailbox_id id = here_mailbox(to);
	struct store_txn *txn = begin_write();
	SCOPED(envelope_finish) struct envelope envelope = {0};
	struct message message;

	OK(message_load(txn, number, &message, &world.err));
	OK(message_load_envelope(txn, number, &envelope, &world.err));
	assert_int_not_equal(message.body, 0); /* cp reads it */
	struct message_new new = {
		.mailbox = id,
		.flags = message.flags,
		.internaldate_s = message.internaldate_s,
		.size_bytes = message.size_bytes,
		.body = message.body,
		.envelope = &envelope,
	};

	new.flags.bits &= ~(uint32_t)FLAG_DELETED;
	memcpy(new.identity, message.identity, sizeof new.identity);
	OK(message_create(txn, &new, &copy, &world.err));
	message_finish(&message);
	commit(txn);
	return copy;
}

void
here_flag(const char *mailbox, const char *token, const char *change)
{
	struct number number = here_number(mailbox, token);
	struct store_txn *txn = begin_write();
	struct message message;

	OK(message_load(txn, number, &message, &world.err));
	SCOPED(flags_finish) struct flags flags = flags_copy(&message.flags);
	bool applied;

	world_apply_change(change, &flags);
	OK(message_set_flags(txn, number, &flags, (struct modseq){0}, &applied, &world.err));
	message_finish(&message);
	commit(txn);
}

void
here_move(const char *from, const char *token, const char *to)
{
	struct number number = here_number(from, token);
	struct mailbox_id id = here_mailbox(to);
	struct store_txn *txn = begin_write();

	OK(message_move(txn, number, id, (struct slice){0}, &world.err));
	commit(txn);
}

void
here_expunge(const char *mailbox, const char *token)
{
	struct number number = here_number(mailbox, token);
	struct store_txn *txn = begin_write();

	OK(message_expunge(txn, number, MESSAGE_BY_USER, (struct number){0}, &world.err));
	commit(txn);
}

struct number
here_replace(const char *mailbox, const char *old_token, const char *message)
{
	struct number old = here_number(mailbox, old_token);
	struct mailbox_id id = here_mailbox(mailbox);
	struct store_txn *txn = begin_write();
	char *token = slice_dup(world_token_of(message));
	struct message row;

	OK(message_load(txn, old, &row, &world.err));
	SCOPED(flags_finish) struct flags flags = flags_copy(&row.flags);

	world_apply_change(message, &flags);
	struct number number = create_here(txn, id, token, &flags);

	OK(message_expunge(txn, old, MESSAGE_REPLACED, number, &world.err));
	message_finish(&row);
	commit(txn);
	free(token);
	return number;
}

void
here_create(const char *mailbox)
{
	struct store_txn *txn = begin_write();
	struct mailbox_id id;

	OK(mailbox_create(txn, slice_of(mailbox), MAILBOX_REAL, NULL, &id, &world.err));
	OK(mailbox_set_listed(txn, id, true, &world.err));
	commit(txn);
}

void
here_rename(const char *from, const char *to)
{
	struct mailbox_id id = here_mailbox(from);
	struct store_txn *txn = begin_write();

	OK(mailbox_rename(txn, id, slice_of(to), &world.err));
	commit(txn);
}

void
here_remove(const char *mailbox)
{
	struct mailbox_id id = here_mailbox(mailbox);
	struct store_txn *txn = begin_write();

	OK(mailbox_expunge(txn, id, false, MESSAGE_BY_USER, &world.err));
	commit(txn);
}

void
here_subscribe(const char *mailbox, bool subscribed)
{
	struct mailbox_id id = here_mailbox(mailbox);
	struct store_txn *txn = begin_write();

	OK(mailbox_set_subscribed(txn, id, subscribed, &world.err));
	commit(txn);
}
