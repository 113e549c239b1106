/* fill [-n MESSAGES] [-b OCTETS] [-l] [-m MAILBOX] [-s SEED] [-d] STORE: writes synthetic messages straight into a store.
 *
 * For measuring listings and memory with many rows, and the store itself: it prints what a message cost. -b 0 leaves bodies away, as a first listing
 * does; -l spreads the sizes of bodies as those of real mail are (log-normal, -b being the median); -d makes the last commit durable before the
 * clock is stopped. The same seed gives the same messages.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/random.h"
#include "engine/store/body.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"

#define FIRST_DATE_S 1600000000
#define DATE_STEP_S  97
#define BODY_MIN     600
#define BODY_MAX     (2u << 20)
#define SIGMA        1.4 /* of the logarithm of sizes */

struct options {
	uint64_t messages;
	size_t body_octets;
	const char *mailbox;
	uint64_t seed;
	bool durable, spread;
	const char *store;
};

struct fill {
	struct options options;
	struct store *store;
	struct random random;
	struct mailbox_id mailbox;
	struct buf text;     /* what all bodies are cut from */
	uint64_t prepare_ns; /* spent on bodies before they are put */
	uint64_t octets;     /* of all bodies */
	uint64_t commits;
};

static const char *const people[] = {
	"Ana Ruiz", "Bo Lindqvist", "build@ci", "Chidi Okafor", "Dewi Sri", "Eve Novak", "F. Haddad"};
static const char *const words[] = {
	"budget", "main", "is", "red", "lunch", "Re:", "minutes", "of", "the", "meeting", "invoice", "plan"};

static const char *
pick(struct random *random, const char *const *list, size_t count)
{
	return list[random_below(random, count)];
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct texts {
	char from[128], subject[160], id[96], date[64];
};

static void
make_texts(struct fill *fill, uint64_t n, int64_t date_s, struct texts *texts)
{
	const char *person = pick(&fill->random, people, ARRAY_LENGTH(people));
	time_t date = (time_t)date_s;
	size_t length = 0;
	struct tm tm;

	(void)snprintf(texts->from, sizeof(texts->from), "%s <p%u@example.org>", person, (unsigned)(n % 1000));
	texts->subject[0] = '\0';
	for (uint64_t count = 2 + random_below(&fill->random, 6); count > 0; count--) {
		length += (size_t)snprintf(texts->subject + length, sizeof(texts->subject) - length, "%s%s",
			length > 0 ? " " : "", pick(&fill->random, words, ARRAY_LENGTH(words)));
	}
	(void)snprintf(texts->id, sizeof(texts->id), "<%" PRIx64 ".%" PRIx64 "@example.org>", fill->options.seed, n);
	(void)strftime(texts->date, sizeof(texts->date), "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&date, &tm));
}

static void
make_text(struct fill *fill)
{
	while (fill->text.length < 2 * BODY_MAX) {
		for (int i = 0; i < 10; i++) {
			buf_append_text(&fill->text, pick(&fill->random, words, ARRAY_LENGTH(words)));
			buf_append_octet(&fill->text, ' ');
		}
		buf_append_text(&fill->text, "\r\n");
	}
}

static size_t
body_size(struct fill *fill)
{
	if (!fill->options.spread) {
		return fill->options.body_octets;
	}
	double u = ((double)random_below(&fill->random, 1u << 30) + 1) / (double)(1u << 30);
	double v = (double)random_below(&fill->random, 1u << 30) / (double)(1u << 30);
	double size = (double)fill->options.body_octets * exp(SIGMA * sqrt(-2 * log(u)) * cos(2 * M_PI * v));

	return size < BODY_MIN ? BODY_MIN : size > BODY_MAX ? BODY_MAX : (size_t)size;
}

static bool
make_body(struct fill *fill, const struct texts *texts, struct body_prepared **out, struct error *err)
{
	SCOPED(spool_close) struct spool *spool = spool_create(store_dir(fill->store));
	char header[1024];
	int length = snprintf(header, sizeof(header),
		"From: %s\r\nTo: me@example.org\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: %s\r\n\r\n", texts->from,
		texts->subject, texts->date, texts->id);
	struct slice text = slice_skip(buf_slice(&fill->text), random_below(&fill->random, BODY_MAX));
	uint64_t begun_ns;

	if (!spool_append(spool, slice_make(header, (size_t)length), err) ||
		!spool_append(spool, slice_head(text, body_size(fill)), err)) {
		return false;
	}
	begun_ns = now_ns();
	bool done = body_prepare_wire(fill->store, spool, out, err);

	fill->prepare_ns += now_ns() - begun_ns;
	fill->octets += spool_size(spool);
	return done;
}

static bool
add_message(struct fill *fill, struct store_txn *txn, uint64_t n, struct error *err)
{
	SCOPED(body_prepared_destroy) struct body_prepared *body = NULL;
	struct texts texts;
	struct number number;
	int64_t date_s = FIRST_DATE_S + (int64_t)n * DATE_STEP_S;

	make_texts(fill, n, date_s, &texts);
	struct envelope envelope = {
		.from = texts.from,
		.from_short = texts.from,
		.to = (char *)"me@example.org",
		.subject = texts.subject,
		.date = texts.date,
		.message_id = texts.id,
		.date_s = date_s,
	};
	struct message_new new = {
		.mailbox = fill->mailbox,
		.flags = {.bits = (uint32_t)random_below(&fill->random, FLAG_ALL + 1) & ~(uint32_t)FLAG_DELETED},
		.internaldate_s = date_s,
		.size_bytes = fill->options.body_octets,
		.identity = {1},
		.envelope = &envelope,
	};

	memcpy(new.identity + 1, &n, sizeof(n));
	if (fill->options.body_octets > 0) {
		if (!make_body(fill, &texts, &body, err)) {
			return false;
		}
		new.size_bytes = body_prepared_get(body)->size_bytes;
		if (!body_put(txn, body, &new.body, err)) {
			return false;
		}
	}
	return message_create(txn, &new, &number, err);
}

static bool
find_mailbox(struct fill *fill, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	SCOPED(mailbox_finish) struct mailbox there = {0};
	struct slice name = slice_of(fill->options.mailbox);

	if (!store_write_begin(fill->store, STORE_ENGINE, &txn, err)) {
		return false;
	}
	if (mailbox_load_by_name(txn, name, &there, err)) {
		fill->mailbox = there.id;
	} else if (err->kind != ERROR_GONE || !mailbox_create(txn, name, MAILBOX_REAL, NULL, &fill->mailbox, err)) {
		return false;
	}
	return mailbox_set_listed(txn, fill->mailbox, true, err) && store_write_commit(&txn, STORE_LAZY, err);
}

static bool
add_all(struct fill *fill, struct error *err)
{
	for (uint64_t n = 0; n < fill->options.messages;) {
		SCOPED(store_write_rollback) struct store_txn *txn = NULL;

		if (!store_write_begin(fill->store, STORE_ENGINE, &txn, err)) {
			return false;
		}
		do {
			if (!add_message(fill, txn, n++, err)) {
				return false;
			}
		} while (n < fill->options.messages && !store_write_should_yield(txn));
		if (!store_write_commit(&txn, STORE_LAZY, err)) {
			return false;
		}
		fill->commits++;
	}
	return !fill->options.durable || store_sync(fill->store, err);
}

static bool
parse(int argc, char **argv, struct options *out)
{
	int letter;

	*out = (struct options){.messages = 50000, .body_octets = 4096, .mailbox = "INBOX", .seed = 1};
	while ((letter = getopt(argc, argv, "n:b:m:s:dl")) != -1) {
		uint64_t number = 0;

		if (letter == 'd') {
			out->durable = true;
		} else if (letter == 'l') {
			out->spread = true;
		} else if (letter == 'm') {
			out->mailbox = optarg;
		} else if (letter == '?' || !slice_to_u64(slice_of(optarg), &number)) {
			return false;
		}
		if (letter == 'n') {
			out->messages = number;
		} else if (letter == 'b') {
			out->body_octets = (size_t)number;
		} else if (letter == 's') {
			out->seed = number;
		}
	}
	out->store = argv[optind];
	return optind + 1 == argc;
}

int
main(int argc, char **argv)
{
	struct fill fill = {0};
	struct io *io = io_posix_create();
	struct error err;
	struct rusage usage;

	if (!parse(argc, argv, &fill.options)) {
		(void)fprintf(stderr, "usage: fill [-n MESSAGES] [-b OCTETS] [-l] [-m MAILBOX] [-s SEED] [-d] STORE\n");
		return 64;
	}
	random_seed(&fill.random, fill.options.seed);
	make_text(&fill);
	if (!store_open(io, fill.options.store, NULL, NULL, &fill.store, &err) || !find_mailbox(&fill, &err)) {
		(void)fprintf(stderr, "fill: %s\n", err.text);
		return 1;
	}
	uint64_t begun_ns = now_ns();
	bool done = add_all(&fill, &err);
	double all_us = (double)(now_ns() - begun_ns) / 1e3, prepare_us = (double)fill.prepare_ns / 1e3;

	begun_ns = now_ns();
	store_close(&fill.store);
	io_destroy(&io);
	buf_finish(&fill.text);
	if (!done) {
		(void)fprintf(stderr, "fill: %s\n", err.text);
		return 1;
	}
	(void)getrusage(RUSAGE_SELF, &usage);
	(void)printf("%" PRIu64 " messages, %" PRIu64
		     " octets of bodies: %.2f us each (of which preparing the body %.2f), %" PRIu64
		     " commits, close %.0f ms, CPU %.2f us each, peak %ld KiB\n",
		fill.options.messages, fill.octets, all_us / (double)fill.options.messages,
		prepare_us / (double)fill.options.messages, fill.commits, (double)(now_ns() - begun_ns) / 1e6,
		((double)usage.ru_utime.tv_sec * 1e6 + (double)usage.ru_utime.tv_usec +
			(double)usage.ru_stime.tv_sec * 1e6 + (double)usage.ru_stime.tv_usec) /
			(double)fill.options.messages,
		usage.ru_maxrss);
	return 0;
}
