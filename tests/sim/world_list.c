/* Messages and their names, and what mailboxes hold. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/store/body.h"
#include "tests/sim/world.h"

#define OK(call)                                                   \
	do {                                                       \
		if (!(call)) {                                     \
			fail_msg("%s: %s", #call, world.err.text); \
		}                                                  \
	} while (0)

/* --- messages and their names --- */

/* "m1+seen-Junk": the part before the first sign is the token. */
struct slice
world_token_of(const char *message)
{
	return slice_make(message, strcspn(message, "+-"));
}

/* Applies "+seen-Junk" to flags. */
void
world_apply_change(const char *change, struct flags *flags)
{
	const char *at = change + strcspn(change, "+-");

	while (*at != '\0') {
		struct slice word = slice_make(at + 1, strcspn(at + 1, "+-"));
		uint32_t bit = flags_bit_of(word);

		if (bit != 0) {
			flags->bits = *at == '+' ? flags->bits | bit : flags->bits & ~bit;
		} else if (*at == '+') {
			assert_true(flags_add_keyword(flags, word));
		} else {
			flags_remove_keyword(flags, word);
		}
		at = word.data + word.length;
	}
}

/* One message as text: its token and its flags in a fixed order. */
static void
put_message(struct slice token, const struct flags *flags, struct buf *out)
{
	SCOPED(buf_finish) struct buf words = BUF_INIT;
	struct slice rest = flags_keywords(flags), keyword;

	buf_append(out, token);
	flags_print_system(flags, &words);
	for (struct slice left = buf_slice(&words); left.length > 0;) {
		size_t length = slice_find(left, ' ');

		buf_append_octet(out, '+');
		buf_append(out, slice_head(left, length));
		left = slice_skip(left, length < left.length ? length + 1 : length);
	}
	while (flags_next_keyword(&rest, &keyword)) {
		buf_append_octet(out, '+');
		for (size_t i = 0; i < keyword.length; i++) {
			buf_append_octet(out, (char)tolower((unsigned char)keyword.data[i]));
		}
	}
}

struct listing_text {
	char **messages;
	size_t count;
	struct store_txn *txn;
};

static void
listing_text_add(struct listing_text *text, struct slice token, const struct flags *flags)
{
	struct buf message = BUF_INIT;

	put_message(token, flags, &message);
	text->messages = realloc(text->messages, (text->count + 1) * sizeof *text->messages);
	assert_non_null(text->messages);
	text->messages[text->count++] = buf_take(&message);
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Puts them in order and makes one text of them. */
static char *
listing_text_take(struct listing_text *text)
{
	struct buf all = BUF_INIT;

	if (text->count > 0) {
		qsort(text->messages, text->count, sizeof *text->messages, compare_texts);
	}
	for (size_t i = 0; i < text->count; i++) {
		buf_append_text(&all, i > 0 ? " " : "");
		buf_append_text(&all, text->messages[i]);
		free(text->messages[i]);
	}
	free(text->messages);
	return buf_take(&all);
}
/* --- there --- */

char *
world_list_there(const char *name)
{
	const struct model_mailbox *mailbox = model_find(world.server, name);
	struct listing_text text = {0};

	if (mailbox == NULL || mailbox->directory) {
		return NULL;
	}
	for (size_t i = 0; i < mailbox->count; i++) {
		const struct model_message *message = &mailbox->messages[i];

		listing_text_add(&text, model_token(slice_make(message->body, message->length)), &message->flags);
	}
	return listing_text_take(&text);
}
/* --- here --- */

bool
world_find_mailbox(struct store_txn *txn, const char *name, struct mailbox_id *out)
{
	struct mailbox mailbox;

	if (!mailbox_load_by_name(txn, slice_of(name), &mailbox, &world.err)) {
		assert_int_equal(world.err.kind, ERROR_GONE);
		error_clear(&world.err);
		return false;
	}
	*out = mailbox.id;
	bool real = mailbox.kind == MAILBOX_REAL;

	mailbox_finish(&mailbox);
	return real;
}

struct mailbox_id
here_mailbox(const char *name)
{
	struct mailbox_id id = {0};

	world_read_begin();
	if (!world_find_mailbox(world.txn, name, &id)) {
		fail_msg("there is no mailbox %s here", name);
	}
	world_read_end();
	return id;
}

/* The token of a message: from its body, else from its subject. To be freed. */
char *
world_token_here(struct store_txn *txn, const struct message *message)
{
	SCOPED(envelope_finish) struct envelope envelope = {0};
	SCOPED(spool_close) struct spool *body = NULL;
	struct slice view;

	if (message->body == 0) {
		OK(message_load_envelope(txn, message->number, &envelope, &world.err));
		return slice_dup(slice_of(envelope.subject));
	}
	OK(body_to_wire(txn, message->body, &body, &world.err));
	OK(spool_view(body, &view, &world.err));
	return slice_dup(model_token(view));
}

struct finding {
	struct store_txn *txn;
	const char *token;
	struct number number;
	struct listing_text *text;
};

static bool
find_by_token(void *context, const struct listing *listing)
{
	struct finding *finding = context;
	struct message message;

	OK(message_load(finding->txn, listing->number, &message, &world.err));
	char *token = world_token_here(finding->txn, &message);

	if (finding->text != NULL) {
		listing_text_add(finding->text, slice_of(token), &message.flags);
	} else if (strcmp(token, finding->token) == 0) {
		finding->number = listing->number;
	}
	free(token);
	message_finish(&message);
	return finding->number.value == 0;
}

struct number
here_number(const char *mailbox, const char *token)
{
	struct finding finding = {.token = token};
	struct mailbox_id id;

	world_read_begin();
	finding.txn = world.txn;
	if (world_find_mailbox(finding.txn, mailbox, &id)) {
		OK(listing_each(finding.txn, id, 0, find_by_token, &finding, &world.err));
	}
	world_read_end();
	if (finding.number.value == 0) {
		fail_msg("there is no %s in %s here", token, mailbox);
	}
	return finding.number;
}

char *
world_list_here(const char *mailbox)
{
	struct listing_text text = {0};
	struct finding finding = {.text = &text};
	struct mailbox_id id;

	world_read_begin();
	finding.txn = world.txn;
	bool there = world_find_mailbox(finding.txn, mailbox, &id);

	if (there) {
		OK(listing_each(finding.txn, id, 0, find_by_token, &finding, &world.err));
	}
	world_read_end();
	return there ? listing_text_take(&text) : NULL;
}

/* --- expectations --- */

/* Turns "m2 m1+seen" to the fixed order. */
static char *
normalise(const char *messages)
{
	struct listing_text text = {0};

	for (const char *at = messages; *at != '\0';) {
		struct slice word = slice_make(at, strcspn(at, " "));
		char *message = slice_dup(word);
		SCOPED(flags_finish) struct flags flags = FLAGS_INIT;

		world_apply_change(message, &flags);
		listing_text_add(&text, world_token_of(message), &flags);
		free(message);
		at += word.length;
		at += strspn(at, " ");
	}
	return listing_text_take(&text);
}

static void
expect_list(const char *where, const char *mailbox, char *is, const char *messages)
{
	char *wanted = messages != NULL ? normalise(messages) : NULL;

	if ((is == NULL) != (wanted == NULL) || (is != NULL && strcmp(is, wanted) != 0)) {
		fail_msg("%s %s: is [%s], wanted [%s]\nlast pass: %s", mailbox, where, is != NULL ? is : "none",
			wanted != NULL ? wanted : "none", world.result.text.data != NULL ? world.result.text.data : "");
	}
	free(is);
	free(wanted);
}

void
expect_here(const char *mailbox, const char *messages)
{
	expect_list("here", mailbox, world_list_here(mailbox), messages);
}

void
expect_there(const char *mailbox, const char *messages)
{
	expect_list("there", mailbox, world_list_there(mailbox), messages);
}

void
expect_both(const char *mailbox, const char *messages)
{
	expect_here(mailbox, messages);
	expect_there(mailbox, messages);
}
