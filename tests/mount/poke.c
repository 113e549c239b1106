/* poke STORE: changes a store as a sync of another process would, while a mount shows it. Commands come in on stdin, one to a line, words separated by
 * tabs; each is answered by one line: "ok" with what it made, or "error" and why.
 *
 *	mailbox NAME			messages MAILBOX COUNT			here COUNT messages, in one transaction
 *	message MAILBOX FILE		header MAILBOX FILE SIZE		a message, with its body or with its header only
 *	body NUMBER FILE		expunge NUMBER				move NUMBER MAILBOX
 *	flags NUMBER VALUE		rename OLD NEW				remove MAILBOX
 *	directory NAME			readonly MAILBOX
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/io/spool.h"
#include "engine/mime/envelope_read.h"
#include "engine/mime/identity.h"
#include "engine/store/body.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"

#define FILE_BYTES_MAX (16u << 20)
#define WORDS_MAX      4

static struct store *store;

static bool
read_file(const char *path, struct buf *out, struct error *err)
{
	char piece[65536];
	FILE *file = fopen(path, "re");
	size_t got;

	if (file == NULL) {
		return error_set(err, ERROR_GONE, "%s", path);
	}
	while ((got = fread(piece, 1, sizeof(piece), file)) > 0 && out->length < FILE_BYTES_MAX) {
		buf_append(out, slice_make(piece, got));
	}
	(void)fclose(file);
	return true;
}

static bool
find_mailbox(struct store_txn *txn, const char *name, struct mailbox_id *out, struct error *err)
{
	SCOPED(mailbox_finish) struct mailbox row = {0};

	if (!mailbox_load_by_name(txn, slice_of(name), &row, err)) {
		return false;
	}
	*out = row.id;
	return true;
}

static bool
prepare(const char *path, struct buf *bytes, struct body_prepared **out, struct error *err)
{
	SCOPED(spool_close) struct spool *spool = spool_create(store_dir(store));

	return read_file(path, bytes, err) && spool_append(spool, buf_slice(bytes), err) &&
	       body_prepare_written(store, spool, out, err);
}

static bool
make_message(struct store_txn *txn, struct mailbox_id mailbox, struct slice bytes, uint64_t body, uint64_t size_bytes,
	struct number *out, struct error *err)
{
	SCOPED(envelope_finish) struct envelope envelope = {0};
	struct identity identity = identity_of(bytes);
	struct message_new new = {.mailbox = mailbox,
		.internaldate_s = 1793610720,
		.body = body,
		.size_bytes = size_bytes,
		.envelope = &envelope};

	(void)envelope_read(bytes, &envelope);
	memcpy(new.identity, identity.bytes, sizeof(new.identity));
	return message_create(txn, &new, out, err);
}

static bool
print_message(struct store_txn *txn, struct number number, struct buf *answer, struct error *err)
{
	SCOPED(listing_finish) struct listing row = {0};

	if (!listing_load(txn, number, &row, err)) {
		return false;
	}
	buf_printf(answer, "%" PRIu64 "\t", number.value);
	buf_append(answer, row.name);
	return true;
}

static bool
do_message(struct store_txn *txn, char **words, const struct body_prepared *prepared, struct slice bytes,
	struct buf *answer, struct error *err)
{
	struct mailbox_id mailbox;
	struct number number;
	uint64_t body = 0, size_bytes = bytes.length;

	if (prepared == NULL && !slice_to_u64(slice_of(words[3]), &size_bytes)) {
		return error_set(err, ERROR_INVALID, "a size");
	}
	return find_mailbox(txn, words[1], &mailbox, err) &&
	       (prepared == NULL || body_put(txn, prepared, &body, err)) &&
	       make_message(txn, mailbox, bytes, body, size_bytes, &number, err) &&
	       print_message(txn, number, answer, err);
}

static bool
do_messages(struct store_txn *txn, char **words, struct error *err)
{
	SCOPED(buf_finish) struct buf bytes = BUF_INIT;
	struct mailbox_id mailbox;
	struct number number;
	uint64_t count = 0;

	if (!find_mailbox(txn, words[1], &mailbox, err) || !slice_to_u64(slice_of(words[2]), &count)) {
		return false;
	}
	for (uint64_t i = 0; i < count; i++) {
		SCOPED(body_prepared_destroy) struct body_prepared *prepared = NULL;
		SCOPED(spool_close) struct spool *spool = spool_create(store_dir(store));
		uint64_t body;

		buf_clear(&bytes);
		buf_printf(&bytes,
			"From: Number %" PRIu64 " <n@example.org>\nSubject: one of many\nMessage-ID: <%" PRIu64
			"@example.org>\n\nneedle %" PRIu64 "\n",
			i, i, i);
		if (!spool_append(spool, buf_slice(&bytes), err) ||
			!body_prepare_written(store, spool, &prepared, err) || !body_put(txn, prepared, &body, err) ||
			!make_message(txn, mailbox, buf_slice(&bytes), body, bytes.length, &number, err)) {
			return false;
		}
	}
	return true;
}

static bool
do_body(struct store_txn *txn, struct number number, const struct body_prepared *prepared, struct error *err)
{
	uint64_t body;

	return body_put(txn, prepared, &body, err) &&
	       message_set_body(txn, number, body, body_prepared_get(prepared)->size_bytes, NULL, NULL, err);
}

static bool
do_flags(struct store_txn *txn, struct number number, const char *value, struct error *err)
{
	SCOPED(message_finish) struct message row = {0};
	bool applied;

	return message_load(txn, number, &row, err) && flags_apply_system(&row.flags, slice_of(value), err) &&
	       message_set_flags(txn, number, &row.flags, (struct modseq){0}, &applied, err);
}

static bool
do_mailbox(struct store_txn *txn, char **words, struct error *err)
{
	struct mailbox_id id;

	if (strcmp(words[0], "mailbox") == 0 || strcmp(words[0], "directory") == 0) {
		return mailbox_create(txn, slice_of(words[1]), words[0][0] == 'd' ? MAILBOX_DIRECTORY : MAILBOX_REAL,
			       NULL, &id, err) &&
		       mailbox_set_listed(txn, id, true, err);
	}
	if (!find_mailbox(txn, words[1], &id, err)) {
		return false;
	}
	if (strcmp(words[0], "rename") == 0) {
		return mailbox_rename(txn, id, slice_of(words[2]), err);
	}
	return strcmp(words[0], "readonly") == 0 ? mailbox_set_read_only(txn, id, true, err)
						 : mailbox_expunge(txn, id, false, MESSAGE_BY_REMOTE, err);
}

static bool
is_one_of(const char *word, const char *const *words)
{
	while (*words != NULL && strcmp(*words, word) != 0) {
		words++;
	}
	return *words != NULL;
}

static bool
run_in(struct store_txn *txn, char **words, const struct body_prepared *prepared, struct slice bytes,
	struct buf *answer, struct error *err)
{
	struct number number = {0};
	struct mailbox_id mailbox;

	if (is_one_of(words[0], (const char *const[]){"mailbox", "directory", "rename", "remove", "readonly", NULL})) {
		return do_mailbox(txn, words, err);
	}
	if (is_one_of(words[0], (const char *const[]){"message", "header", NULL})) {
		return do_message(txn, words, prepared, bytes, answer, err);
	}
	if (strcmp(words[0], "messages") == 0) {
		return do_messages(txn, words, err);
	}
	if (!slice_to_u64(slice_of(words[1]), &number.value)) {
		return error_set(err, ERROR_INVALID, "a number");
	}
	if (strcmp(words[0], "body") == 0) {
		return do_body(txn, number, prepared, err);
	}
	if (strcmp(words[0], "expunge") == 0) {
		return message_expunge(txn, number, MESSAGE_BY_REMOTE, (struct number){0}, err);
	}
	if (strcmp(words[0], "flags") == 0) {
		return do_flags(txn, number, words[2], err);
	}
	if (strcmp(words[0], "move") == 0) {
		return find_mailbox(txn, words[2], &mailbox, err) &&
		       message_move(txn, number, mailbox, (struct slice){0}, err) &&
		       print_message(txn, number, answer, err);
	}
	return error_set(err, ERROR_INVALID, "no command");
}

static bool
run(char **words, struct buf *answer, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	SCOPED(body_prepared_destroy) struct body_prepared *prepared = NULL;
	SCOPED(buf_finish) struct buf bytes = BUF_INIT;
	bool with_body = is_one_of(words[0], (const char *const[]){"message", "body", NULL});

	if (with_body && !prepare(words[2], &bytes, &prepared, err)) {
		return false;
	}
	if (strcmp(words[0], "header") == 0 && !read_file(words[2], &bytes, err)) {
		return false;
	}
	return store_write_begin(store, STORE_ENGINE, &txn, err) &&
	       run_in(txn, words, prepared, buf_slice(&bytes), answer, err) &&
	       store_write_commit(&txn, STORE_LAZY, err);
}

int
main(int argc, char **argv)
{
	struct io *io = io_posix_create();
	struct error err = ERROR_INIT;
	char *line = NULL, *rest;
	size_t size = 0;
	char none[] = "";

	if (argc != 2 || !store_open(io, argv[1], NULL, NULL, &store, &err)) {
		fprintf(stderr, "poke: %s\n", err.text);
		return 1;
	}
	while (getline(&line, &size, stdin) > 0) {
		SCOPED(buf_finish) struct buf answer = BUF_INIT;
		char *words[WORDS_MAX] = {none, none, none, none};

		line[strcspn(line, "\n")] = '\0';
		rest = line;
		for (size_t i = 0; i < WORDS_MAX && rest != NULL; i++) {
			words[i] = strsep(&rest, "\t");
		}
		error_clear(&err);
		if (run(words, &answer, &err)) {
			printf("ok\t%s\n", answer.length > 0 ? answer.data : "");
		} else {
			printf("error\t%s\n", err.text);
		}
		(void)fflush(stdout);
	}
	free(line);
	store_close(&store);
	io_destroy(&io);
	return 0;
}
