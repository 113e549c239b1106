#include "tests/sim/world.h"

#include <assert.h>
#include <ctype.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/io/io_ops.h"
#include "engine/mime/envelope_read.h"
#include "engine/mime/identity.h"
#include "engine/store/body.h"
#include "engine/store/intent.h"

struct world world;

/* What a process does that has lost its memory would be told as leaks. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

#define OK(call)                                                   \
	do {                                                       \
		if (!(call)) {                                     \
			fail_msg("%s: %s", #call, world.err.text); \
		}                                                  \
	} while (0)

/* --- clock and disk --- */

static struct io_ops world_ops;
static const struct io_ops *real_ops;

static int64_t
virtual_now_ms(struct io *io)
{
	return real_ops->now_ms(io) + world.ahead_ms;
}

static int64_t
virtual_wall_ns(struct io *io)
{
	(void)io;
	return world.wall_ns;
}

/* Power is not cut here. */
static int
no_fsync(struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

void
world_advance_s(int64_t seconds)
{
	world.wall_ns += seconds * 1000000000;
	world.ahead_ms += seconds * 1000;
}

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
world_read_begin(void)
{
	OK(store_read_begin(world.store, &world.txn, &world.err));
}

void
world_read_end(void)
{
	store_read_end(&world.txn);
}

/* --- begin and end --- */

static int64_t
bodies_since_s(void *context)
{
	(void)context;
	return world.options.on_demand ? INT64_MAX : INT64_MIN;
}

static void
start_process(void)
{
	OK(store_open(world.io, world.path, NULL, NULL, &world.store, &world.err));
	world.sync = sync_create(world.io, world.store, &world.settings);
}

static void
end_process(void)
{
	if (world.session != NULL) {
		world.remote->base.ops->close(&world.session);
	}
	sync_destroy(&world.sync);
	store_close(&world.store);
}

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *at)
{
	(void)st;
	(void)what;
	(void)at;
	return remove(path);
}

static void
remove_files(void)
{
	assert_int_equal(nftw(world.above, remove_one, 20, FTW_DEPTH | FTW_PHYS), 0);
}

void
world_begin(const struct world_options *options)
{
	world = (struct world){.options = *options, .wall_ns = 1793700000 * INT64_C(1000000000)};
	(void)snprintf(world.above, sizeof world.above, "%s/mailfs-sim-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(world.above));
	(void)snprintf(world.path, sizeof world.path, "%s/store", world.above);
	world.io = io_posix_create();
	real_ops = world.io->ops;
	world_ops = *real_ops;
	world_ops.now_ms = virtual_now_ms;
	world_ops.wall_ns = virtual_wall_ns;
	world_ops.fsync = no_fsync;
	world.io->ops = &world_ops;
	world.settings = (struct sync_settings){
		.mailboxes = "*",
		.direction = options->direction,
		.deletes_keep = options->deletes_keep,
		.hold_percent = 20,
		.hold_off = options->hold_off,
		.undelete_days = 30,
		.trash = "server",
		.bodies_since_s = bodies_since_s,
	};
	world.server = model_server_create(&options->server);
	world.remote = model_remote_create(world.server);
	world.remote->stop = &world.stop;
	start_process();
}

void
world_end(void)
{
	sync_result_finish(&world.result);
	if (world.txn != NULL) {
		remove_files(); /* a check failed in the midst of reading: what it held is left as it is */
		return;
	}
	end_process();
	model_remote_destroy(&world.remote);
	model_server_destroy(&world.server);
	io_destroy(&world.io);
	remove_files();
}

void
world_restart(void)
{
	end_process();
	start_process();
}

void
world_lose_store(void)
{
	end_process();
	remove_files();
	start_process();
}

/* --- passes --- */

static bool
run_pass(const struct sync_pass *pass, struct error *err)
{
	const struct remote_ops *ops = world.remote->base.ops;

	if (world.session != NULL && !ops->alive(world.session)) {
		ops->close(&world.session);
	}
	if (world.session == NULL && !ops->open(&world.remote->base, NULL, &world.session, err)) {
		return false;
	}
	if (!sync_pass_run(world.sync, world.session, pass, &world.result, err)) {
		return false;
	}
	return pass->dry_run || sync_hydrate_wanted(world.sync, world.session, pass, &world.result, err);
}

static bool
try_pass(const struct sync_pass *pass)
{
	bool may_stop = world.remote->trouble.fault >= MODEL_STOP_BEFORE && world.remote->trouble.nth != 0;
	volatile bool ok = false;

	sync_result_finish(&world.result);
	world.result = (struct sync_result){0};
	error_clear(&world.err);
	error_clear(&world.pass_err);
	world.stopped = false;
	world.passes++;
	if (may_stop && __lsan_disable != NULL) {
		__lsan_disable();
	}
	if (setjmp(world.stop) == 0) {
		ok = run_pass(pass, &world.pass_err);
	} else {
		world.stopped = true;
		world.result = (struct sync_result){0};
	}
	if (may_stop && __lsan_enable != NULL) {
		__lsan_enable();
	}
	if (world.stopped) {
		world.remote->in_meanwhile = false;
		world_restart();
		error_set(&world.err, ERROR_CANCELLED, "the process was ended");
		return false;
	}
	world.err = world.pass_err;
	return ok;
}

bool
world_try(unsigned flags)
{
	const struct sync_pass pass = {
		.full = (flags & WORLD_PASS_FULL) != 0,
		.dry_run = (flags & WORLD_PASS_DRY) != 0,
		.local_only = (flags & WORLD_PASS_LOCAL_ONLY) != 0,
		.bodies_with_scan = world.options.bodies_with_scan,
		.lock_timeout_ms = 0,
	};

	return try_pass(&pass);
}

void
world_pass(void)
{
	OK(world_try(WORLD_PASS_ALL));
}

void
world_pass_over(const char *mailbox)
{
	const struct slice name = slice_of(mailbox);
	const struct sync_pass pass = {.mailboxes = &name, .mailbox_count = 1};

	OK(try_pass(&pass));
}

void
world_settle(void)
{
	for (unsigned i = 0; i < 12; i++) {
		world_pass();
		if (!world.result.again) {
			return;
		}
		world_advance_s(world.result.again_in_ms / 1000 + 1);
	}
	fail_msg("twelve passes did not settle, the last asks for another in %" PRId64 " ms: %s",
		world.result.again_in_ms, world.result.text.data != NULL ? world.result.text.data : "");
}

/* --- messages and their names --- */

/* "m1+seen-Junk": the part before the first sign is the token. */
static struct slice
token_of(const char *message)
{
	return slice_make(message, strcspn(message, "+-"));
}

/* Applies "+seen-Junk" to flags. */
static void
apply_change(const char *change, struct flags *flags)
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

void
world_body(const char *token, struct buf *out)
{
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
	char *token = slice_dup(token_of(message));

	apply_change(message, &flags);
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

	apply_change(change, &flags);
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

static bool
find_mailbox(struct store_txn *txn, const char *name, struct mailbox_id *out)
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
	if (!find_mailbox(world.txn, name, &id)) {
		fail_msg("there is no mailbox %s here", name);
	}
	world_read_end();
	return id;
}

/* The token of a message: from its body, else from its subject. To be freed. */
static char *
token_here(struct store_txn *txn, const struct message *message)
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
	char *token = token_here(finding->txn, &message);

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
	if (find_mailbox(finding.txn, mailbox, &id)) {
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
	bool there = find_mailbox(finding.txn, mailbox, &id);

	if (there) {
		OK(listing_each(finding.txn, id, 0, find_by_token, &finding, &world.err));
	}
	world_read_end();
	return there ? listing_text_take(&text) : NULL;
}

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
	char *token = slice_dup(token_of(message));

	apply_change(message, &flags);
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

	apply_change(change, &flags);
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
	char *token = slice_dup(token_of(message));
	struct message row;

	OK(message_load(txn, old, &row, &world.err));
	SCOPED(flags_finish) struct flags flags = flags_copy(&row.flags);

	apply_change(message, &flags);
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

		apply_change(message, &flags);
		listing_text_add(&text, token_of(message), &flags);
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

unsigned
world_sent(const char *token)
{
	unsigned count = 0;

	for (struct slice left = buf_slice(&world.server->sent); left.length > 0;) {
		size_t length = slice_find(left, '\n');

		count += slice_equal(slice_head(left, length), slice_of(token));
		left = slice_skip(left, length + 1);
	}
	return count;
}

void
world_trouble(const char *call, enum model_fault fault, unsigned item)
{
	world.remote->fired = false;
	world.remote->trouble = (struct model_trouble){.nth = 1, .call = call, .fault = fault, .item = item};
}
