/* store_ops STORE [COUNT [reads]]: what single operations of the mount cost the store, each in a transaction of its own, on a store that fill has filled.
 * The floor of a durable one is an fsync of a log, which it measures beside it. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "engine/store/body.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"

static struct store *store;
static struct mailbox_id inbox, other;
static struct number *numbers;
static char **names;
static size_t count, known;

static void
must(bool done, const struct error *err)
{
	if (!done) {
		(void)fprintf(stderr, "store_ops: %s\n", err->text);
		exit(1);
	}
}

static double
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static bool
note(void *context, const struct listing *listing)
{
	numbers[known] = listing->number;
	names[known] = slice_dup(listing->name);
	return ++known < count;
}

static void
open_mailboxes(void)
{
	struct store_txn *txn;
	struct mailbox mailbox = {0};
	struct error err;

	must(store_write_begin(store, STORE_MOUNT, &txn, &err), &err);
	must(mailbox_load_by_name(txn, SLICE_LITERAL("INBOX"), &mailbox, &err), &err);
	inbox = mailbox.id;
	mailbox_finish(&mailbox);
	if (mailbox_load_by_name(txn, SLICE_LITERAL("Other"), &mailbox, &err)) {
		other = mailbox.id;
		mailbox_finish(&mailbox);
	} else {
		must(mailbox_create(txn, SLICE_LITERAL("Other"), MAILBOX_REAL, NULL, &other, &err), &err);
	}
	must(listing_each(txn, inbox, 0, note, NULL, &err), &err);
	must(store_write_commit(&txn, STORE_DURABLE, &err), &err);
}

static bool
op_lookup(struct store_txn *txn, size_t i, struct error *err)
{
	struct listing listing = {0};
	bool done = listing_load_by_name(txn, inbox, slice_of(names[i]), &listing, err);

	listing_finish(&listing);
	return done;
}

static bool
op_lookup_nothing(struct store_txn *txn, size_t i, struct error *err)
{
	struct listing listing = {0};

	if (listing_load_by_name(txn, inbox, SLICE_LITERAL("not there.eml"), &listing, err)) {
		return false;
	}
	return err->kind == ERROR_GONE;
}

static bool
op_read(struct store_txn *txn, size_t i, struct error *err)
{
	struct message message = {0};
	struct body_reader *reader = NULL;
	bool done = message_load(txn, numbers[i], &message, err) &&
		    (message.body == 0 || body_open(txn, message.body, &reader, err));

	body_reader_close(&reader);
	message_finish(&message);
	return done;
}

static bool
op_flag(struct store_txn *txn, size_t i, struct error *err)
{
	struct flags add = {.bits = FLAG_DELETED}, none = FLAGS_INIT;

	return message_change_flags(txn, numbers[i], &add, &none, err);
}

static bool
op_unflag(struct store_txn *txn, size_t i, struct error *err)
{
	struct flags change = {.bits = FLAG_DRAFT}, none = FLAGS_INIT;

	return message_change_flags(txn, numbers[i], &none, &change, err);
}

static bool
op_rename(struct store_txn *txn, size_t i, struct error *err)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "renamed %zu.eml", i);
	return message_rename(txn, numbers[i], slice_of(name), err);
}

static bool
op_rename_first(struct store_txn *txn, size_t i, struct error *err)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "first renamed %zu.eml", i);
	return message_rename(txn, numbers[i], slice_of(name), err);
}

static bool
op_move_back(struct store_txn *txn, size_t i, struct error *err)
{
	return message_move(txn, numbers[i], inbox, slice_of(NULL), err);
}

static bool
op_move(struct store_txn *txn, size_t i, struct error *err)
{
	return message_move(txn, numbers[i], other, slice_of(NULL), err);
}

static bool
op_expunge(struct store_txn *txn, size_t i, struct error *err)
{
	return message_expunge(txn, numbers[i], MESSAGE_BY_USER, (struct number){0}, err);
}

static bool
op_create(struct store_txn *txn, size_t i, struct error *err)
{
	struct envelope envelope = {.from = (char *)"A <a@example.org>",
		.from_short = (char *)"A",
		.to = (char *)"",
		.subject = (char *)"new",
		.date = (char *)"",
		.message_id = (char *)"",
		.date_s = 1};
	struct message_new new = {
		.mailbox = inbox, .internaldate_s = 1700000000, .size_bytes = 100, .envelope = &envelope};
	struct number number;

	return message_create(txn, &new, &number, err);
}

static void
measure_reads(const char *name, bool (*op)(struct store_txn *txn, size_t i, struct error *err))
{
	struct store_txn *txn;
	struct error err = ERROR_INIT;
	double begun_us = now_us();

	for (size_t i = 0; i < known; i++) {
		must(store_read_begin(store, &txn, &err), &err);
		must(op(txn, i, &err), &err);
		store_read_end(&txn);
	}
	(void)printf("%-24s %8.2f us\n", name, (now_us() - begun_us) / (double)known);
}

static void
measure_writes(const char *name, enum store_durability durability, size_t times,
	bool (*op)(struct store_txn *txn, size_t i, struct error *err))
{
	struct store_txn *txn;
	struct error err = ERROR_INIT;
	double begun_us = now_us();

	for (size_t i = 0; i < times; i++) {
		must(store_write_begin(store, STORE_MOUNT, &txn, &err), &err);
		must(op(txn, i, &err), &err);
		must(store_write_commit(&txn, durability, &err), &err);
	}
	(void)printf("%-24s %8.2f us\n", name, (now_us() - begun_us) / (double)times);
}

/* As mv and rm do: a lookup before each. */
static void
measure_brief(const char *name, size_t times, bool (*op)(struct store_txn *txn, size_t i, struct error *err))
{
	struct store_txn *txn;
	struct error err = ERROR_INIT;
	double begun_us = now_us();

	for (size_t i = 0; i < times; i++) {
		must(store_look_begin(store, &txn, &err), &err);
		must(op_lookup_nothing(txn, i, &err), &err);
		store_read_end(&txn);
		must(store_write_begin_brief(store, &txn, &err), &err);
		must(op(txn, i, &err), &err);
		must(store_write_commit(&txn, STORE_LAZY, &err), &err);
	}
	(void)printf("%-24s %8.2f us\n", name, (now_us() - begun_us) / (double)times);
}

static void
measure_fsync(const char *path, size_t times)
{
	static const char octets[65536];
	char name[4096];
	double begun_us = now_us();

	(void)snprintf(name, sizeof(name), "%s/floor", path);
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	for (size_t i = 0; i < times; i++) {
		if (pwrite(fd, octets, sizeof(octets), (off_t)(i % 64 * sizeof(octets))) < 0 || fsync(fd) != 0) {
			return;
		}
	}
	(void)close(fd);
	(void)unlink(name);
	(void)printf("%-24s %8.2f us\n", "64 KiB and fsync", (now_us() - begun_us) / (double)times);
}

int
main(int argc, char **argv)
{
	struct io *io = io_posix_create();
	struct error err;

	if (argc < 2) {
		(void)fprintf(stderr, "usage: store_ops STORE [COUNT [reads]]\n");
		return 64;
	}
	count = argc > 2 ? (size_t)atoi(argv[2]) : 5000;
	numbers = calloc(count, sizeof(numbers[0]));
	names = calloc(count, sizeof(names[0]));
	must(store_open(io, argv[1], NULL, NULL, &store, &err), &err);
	open_mailboxes();
	if (argc > 3) { /* only what reads bodies: for cold caches */
		measure_reads("open a body", op_read);
		store_close(&store);
		return 0;
	}
	measure_reads("lookup", op_lookup);
	measure_reads("lookup, nothing there", op_lookup_nothing);
	measure_reads("open a body, first", op_read);
	measure_reads("open a body, again", op_read);
	measure_brief("lookup and flag, brief", known, op_unflag);
	measure_brief("lookup and rename, brief", known, op_rename_first);
	measure_brief("lookup and move, brief", known, op_move);
	measure_writes("move, lazy", STORE_LAZY, known, op_move_back);
	measure_writes("flag, lazy", STORE_LAZY, known, op_flag);
	measure_writes("rename, lazy", STORE_LAZY, known, op_rename);
	measure_writes("expunge, lazy", STORE_LAZY, known / 2, op_expunge);
	measure_brief("lookup and expunge, brief", known, op_expunge);
	measure_writes("create, lazy", STORE_LAZY, known, op_create);
	(void)usleep(1000000); /* what the others left to be copied */
	measure_writes("create, durable", STORE_DURABLE, known / 10 + 1, op_create);
	measure_fsync(argv[1], known / 10 + 1);
	for (size_t i = 0; i < known; i++) {
		free(names[i]);
	}
	free(numbers);
	free(names);
	store_close(&store);
	io_destroy(&io);
	return 0;
}
