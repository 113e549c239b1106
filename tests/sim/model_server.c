#include "tests/sim/model_server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/sha256.h"

static void *
must_have(void *memory)
{
	if (memory == NULL) {
		abort();
	}
	return memory;
}

static void
set_guid(struct guid *guid, enum guid_kind kind, const char *text)
{
	size_t length = strlen(text);

	*guid = (struct guid){.kind = (uint8_t)kind, .length = (uint8_t)length};
	memcpy(guid->value, text, length);
}

static void
mailbox_destroy(struct model_mailbox *mailbox)
{
	for (size_t i = 0; i < mailbox->count; i++) {
		flags_finish(&mailbox->messages[i].flags);
		free(mailbox->messages[i].body);
	}
	free(mailbox->messages);
	free(mailbox->name);
	free(mailbox);
}

struct model_server *
model_server_create(const struct model_options *options)
{
	struct model_server *server = must_have(calloc(1, sizeof *server));

	server->options = *options;
	server->last_uidvalidity = 1000;
	server->last_modseq = 10;
	model_create(server, "INBOX")->role = "inbox";
	return server;
}

void
model_server_destroy(struct model_server **server)
{
	if (*server == NULL) {
		return;
	}
	for (size_t i = 0; i < (*server)->count; i++) {
		mailbox_destroy((*server)->mailboxes[i]);
	}
	free((*server)->mailboxes);
	buf_finish(&(*server)->sent);
	free(*server);
	*server = NULL;
}

/* --- mailboxes --- */

struct model_mailbox *
model_find(struct model_server *server, const char *name)
{
	for (size_t i = 0; i < server->count; i++) {
		if (strcmp(server->mailboxes[i]->name, name) == 0) {
			return server->mailboxes[i];
		}
	}
	return NULL;
}

static bool
is_below(const char *name, const char *above)
{
	size_t length = strlen(above);

	return strncmp(name, above, length) == 0 && name[length] == '/';
}

static bool
has_children(const struct model_server *server, const char *name)
{
	for (size_t i = 0; i < server->count; i++) {
		if (is_below(server->mailboxes[i]->name, name)) {
			return true;
		}
	}
	return false;
}

/* Becomes a mailbox nobody has seen before. */
static void
begin_life(struct model_server *server, struct model_mailbox *mailbox)
{
	char text[40];

	mailbox->uidvalidity = ++server->last_uidvalidity;
	mailbox->uidnext = 1;
	mailbox->highestmodseq = server->options.without_modseq ? 0 : ++server->last_modseq;
	mailbox->subscribed = true;
	if (server->options.mailbox_ids != GUID_NONE) {
		(void)snprintf(text, sizeof text, "box-%llu", (unsigned long long)++server->last_id);
		set_guid(&mailbox->id, server->options.mailbox_ids, text);
	}
}

static struct model_mailbox *
add_row(struct model_server *server, const char *name)
{
	struct model_mailbox *mailbox = must_have(calloc(1, sizeof *mailbox));

	if (server->count == server->capacity) {
		server->capacity = server->capacity * 2 + 8;
		server->mailboxes =
			must_have(realloc(server->mailboxes, server->capacity * sizeof(struct model_mailbox *)));
	}
	mailbox->name = slice_dup(slice_of(name));
	server->mailboxes[server->count++] = mailbox;
	return mailbox;
}

static void
make_parents(struct model_server *server, const char *name)
{
	for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		char *parent = slice_dup(slice_make(name, (size_t)(slash - name)));

		if (model_find(server, parent) == NULL) {
			add_row(server, parent)->directory = true;
		}
		free(parent);
	}
}

struct model_mailbox *
model_create(struct model_server *server, const char *name)
{
	struct model_mailbox *mailbox = model_find(server, name);

	if (mailbox != NULL && !mailbox->directory) {
		return NULL;
	}
	make_parents(server, name);
	if (mailbox == NULL) {
		mailbox = add_row(server, name);
	}
	mailbox->directory = false;
	begin_life(server, mailbox);
	return mailbox;
}

static void
remove_row(struct model_server *server, struct model_mailbox *mailbox)
{
	for (size_t i = 0; i < server->count; i++) {
		if (server->mailboxes[i] == mailbox) {
			memmove(&server->mailboxes[i], &server->mailboxes[i + 1],
				(server->count - i - 1) * sizeof(struct model_mailbox *));
			server->count--;
			mailbox_destroy(mailbox);
			return;
		}
	}
	assert(false); /* a mailbox of another server */
}

/* Directories are there for what is below them. */
static void
prune_directories(struct model_server *server)
{
	for (size_t i = server->count; i-- > 0;) {
		struct model_mailbox *mailbox = server->mailboxes[i];

		if (mailbox->directory && !has_children(server, mailbox->name)) {
			remove_row(server, mailbox);
			i = server->count;
		}
	}
}

static void
give_away_all(struct model_server *server, struct model_mailbox *from, struct model_mailbox *to)
{
	while (from->count > 0) {
		(void)model_move(server, from, from->messages[0].uid, to);
	}
}

bool
model_rename(struct model_server *server, const char *from, const char *to)
{
	struct model_mailbox *mailbox = model_find(server, from), *target = model_find(server, to);
	char *old;

	if (mailbox == NULL || (target != NULL && !target->directory) || (target != NULL && has_children(server, to)) ||
		is_below(to, from)) {
		return false;
	}
	if (strcmp(from, "INBOX") == 0) {
		target = model_create(server, to);
		give_away_all(server, model_find(server, from), target);
		return true;
	}
	make_parents(server, to);
	old = slice_dup(slice_of(from));
	for (size_t i = 0; i < server->count; i++) {
		struct model_mailbox *row = server->mailboxes[i];

		if (row == mailbox || is_below(row->name, old)) {
			SCOPED(buf_finish) struct buf name = BUF_INIT;

			buf_append_text(&name, to);
			buf_append_text(&name, row->name + strlen(old));
			free(row->name);
			row->name = buf_take(&name);
		}
	}
	free(old);
	prune_directories(server);
	return true;
}

bool
model_remove(struct model_server *server, const char *name)
{
	struct model_mailbox *mailbox = model_find(server, name);

	if (mailbox == NULL || mailbox->directory) {
		return false;
	}
	while (mailbox->count > 0) {
		model_expunge(server, mailbox, mailbox->messages[0].uid);
	}
	if (has_children(server, name)) {
		mailbox->directory = true;
		mailbox->id = (struct guid){0};
		mailbox->role = NULL;
	} else {
		remove_row(server, mailbox);
		prune_directories(server);
	}
	return true;
}

void
model_rebuild(struct model_server *server, struct model_mailbox *mailbox)
{
	mailbox->uidvalidity = ++server->last_uidvalidity;
	mailbox->uidnext = 1;
	for (size_t i = 0; i < mailbox->count; i++) {
		mailbox->messages[i].uid = mailbox->uidnext++;
	}
}

void
model_restore(struct model_mailbox *mailbox, size_t lost)
{
	while (lost-- > 0 && mailbox->count > 0) {
		struct model_message *last = &mailbox->messages[--mailbox->count];

		mailbox->uidnext = last->uid;
		flags_finish(&last->flags);
		free(last->body);
	}
	mailbox->highestmodseq = mailbox->highestmodseq > 0 ? 1 : 0;
	for (size_t i = 0; i < mailbox->count; i++) {
		if (mailbox->messages[i].modseq > mailbox->highestmodseq) {
			mailbox->highestmodseq = mailbox->messages[i].modseq;
		}
	}
}

/* --- messages --- */

static uint64_t
next_modseq(struct model_server *server, struct model_mailbox *mailbox)
{
	if (server->options.without_modseq) {
		return 0;
	}
	mailbox->highestmodseq = ++server->last_modseq;
	return mailbox->highestmodseq;
}

static struct model_message *
add_message(struct model_server *server, struct model_mailbox *mailbox)
{
	struct model_message *message;

	assert(!mailbox->directory);
	if (mailbox->count == mailbox->capacity) {
		mailbox->capacity = mailbox->capacity * 2 + 16;
		mailbox->messages =
			must_have(realloc(mailbox->messages, mailbox->capacity * sizeof *mailbox->messages));
	}
	message = &mailbox->messages[mailbox->count++];
	*message = (struct model_message){.uid = mailbox->uidnext++, .modseq = next_modseq(server, mailbox)};
	return message;
}

static void
give_guid(struct model_server *server, struct model_message *message)
{
	char text[SHA256_HEX_BYTES];

	switch (server->options.guids) {
	case MODEL_GUIDS_INSTANCE:
		(void)snprintf(text, sizeof text, "guid-%llu", (unsigned long long)++server->last_id);
		set_guid(&message->guid, GUID_X_GUID, text);
		break;
	case MODEL_GUIDS_CONTENT: {
		struct digest digest = sha256_of(slice_make(message->body, message->length));

		digest_to_hex(&digest, text);
		text[24] = '\0';
		set_guid(&message->guid, GUID_EMAILID, text);
		break;
	}
	case MODEL_GUIDS_NONE:
		break;
	}
}

uint32_t
model_deliver(struct model_server *server, struct model_mailbox *mailbox, struct slice body, const struct flags *flags,
	int64_t internaldate_s)
{
	struct model_message *message = add_message(server, mailbox);

	message->internaldate_s = internaldate_s;
	message->flags = flags_copy(flags);
	message->body = slice_dup(body);
	message->length = body.length;
	message->instance = ++server->last_instance;
	give_guid(server, message);
	return message->uid;
}

struct model_message *
model_message(struct model_mailbox *mailbox, uint32_t uid)
{
	for (size_t i = 0; i < mailbox->count; i++) {
		if (mailbox->messages[i].uid == uid) {
			return &mailbox->messages[i];
		}
	}
	return NULL;
}

void
model_set_flags(struct model_server *server, struct model_mailbox *mailbox, uint32_t uid, const struct flags *flags)
{
	struct model_message *message = model_message(mailbox, uid);

	assert(message != NULL);
	if (!flags_equal(&message->flags, flags)) {
		struct flags copy = flags_copy(flags);

		flags_finish(&message->flags);
		message->flags = copy;
		message->modseq = next_modseq(server, mailbox);
	}
}

uint32_t
model_copy(struct model_server *server, struct model_mailbox *from, uint32_t uid, struct model_mailbox *to)
{
	struct model_message *copy = add_message(server, to);
	const struct model_message *message = model_message(from, uid);

	assert(message != NULL);
	copy->internaldate_s = message->internaldate_s;
	copy->flags = flags_copy(&message->flags);
	copy->guid = message->guid;
	copy->body = slice_dup(slice_make(message->body, message->length));
	copy->length = message->length;
	copy->instance = ++server->last_instance;
	return copy->uid;
}

uint32_t
model_move(struct model_server *server, struct model_mailbox *from, uint32_t uid, struct model_mailbox *to)
{
	uint32_t new_uid = model_copy(server, from, uid, to);

	model_message(to, new_uid)->instance = model_message(from, uid)->instance;
	model_expunge(server, from, uid);
	return new_uid;
}

void
model_expunge(struct model_server *server, struct model_mailbox *mailbox, uint32_t uid)
{
	struct model_message *message = model_message(mailbox, uid);
	size_t index;

	assert(message != NULL);
	index = (size_t)(message - mailbox->messages);
	flags_finish(&message->flags);
	free(message->body);
	memmove(message, message + 1, (mailbox->count - index - 1) * sizeof *message);
	mailbox->count--;
	(void)next_modseq(server, mailbox);
}

struct slice
model_token(struct slice body)
{
	static const char field[] = "X-Token: ";
	const char *at = body.length > 0 ? memmem(body.data, body.length, field, sizeof field - 1) : NULL;

	if (at == NULL) {
		return (struct slice){0};
	}
	at += sizeof field - 1;
	struct slice rest = slice_make(at, body.length - (size_t)(at - body.data));

	return slice_trim(slice_head(rest, slice_find(rest, '\n')));
}
