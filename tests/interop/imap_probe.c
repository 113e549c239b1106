/* Drives the imap remote from a command line, for tests against real servers and for a look at one.
 *
 * usage: imap_probe [OPTION...] COMMAND [ARGUMENT...]
 *
 *   -h HOST -p PORT      127.0.0.1 and 143
 *   -t KIND              clear, starttls, tls or tunnel:COMMAND (clear)
 *   -u USER -P PASSWORD  or -T TOKEN
 *   -a MECHANISM         auto
 *   -c FILE              the authority that signed the server's certificate
 *   -w WORDS             capabilities to pretend missing
 *   -z                   COMPRESS=DEFLATE
 *   -q                   no lines for messages, only totals
 *
 *   check                                   what the server can do
 *   list [N]                                the account check, N times
 *   scan STATE [BODIES [full]] MAILBOX...   catches up from the file STATE, or from nothing, and writes it; bodies up to BODIES octets
 *   identify MAILBOX SET
 *   fetch MAILBOX SET [SIZE]                bodies; SIZE is told as the hint for each; writes them to $OUT/UID where OUT is set
 *   append MAILBOX FILE...                  store MAILBOX SET +FLAG -FLAG …
 *   copy|move FROM TO SET                   expunge MAILBOX SET
 *   create|remove|subscribe|unsubscribe NAME    rename FROM TO
 *   watch MS [MAILBOX]
 *
 * Several commands are separated by `--` and share one session. Lines on stdout; counters at the end on stderr.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "tests/interop/imap_probe.h"

bool quiet;
static struct io *io;
static struct io_dir *spools;

struct secret {
	const char *text;
	bool is_token;
};

static bool
give_secret(void *context, bool again, struct buf *out, bool *out_is_token, struct cancel *cancel, struct error *err)
{
	const struct secret *secret = context;

	(void)cancel;
	(void)err;
	if (again) {
		printf("secret asked again\n");
	}
	buf_append_text(out, secret->text);
	*out_is_token = secret->is_token;
	return true;
}

int
fail(const char *what, const struct error *err)
{
	printf("%s failed kind=%s wait=%u: %s\n", what, error_kind_name(err->kind), err->wait_s, err->text);
	return 1;
}

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *
outcome_name(enum remote_outcome outcome)
{
	static const char *const names[] = {[REMOTE_NOT_SENT] = "not-sent",
		[REMOTE_UNKNOWN] = "unknown",
		[REMOTE_DONE] = "done",
		[REMOTE_REFUSED] = "refused"};

	return names[outcome];
}

void
print_flags(const struct flags *flags)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	flags_print_imap(flags, &text);
	printf("(%s)", text.data != NULL ? text.data : "");
}

/* --- commands --- */

static int
run_check(struct remote_session *session)
{
	const struct remote_capabilities *can = session->ops->capabilities(session);

	printf("greeting %s\nserver %s\nmechanism %s\ntls %s\n", can->greeting, can->server, can->mechanism, can->tls);
	printf("qresync %d condstore %d uidplus %d move %d multiappend %d literal+ %d literal- %d binary %d esearch %d "
	       "list-status %d "
	       "special-use %d notify %d idle %d compress %d message-guid %d mailbox-id %d\n",
		can->qresync, can->condstore, can->uidplus, can->move, can->multiappend, can->literal_plus,
		can->literal_minus, can->binary, can->esearch, can->list_status, can->special_use, can->notify,
		can->idle, can->compressed, can->message_guid, can->mailbox_id);
	return 0;
}

static bool
each_message(void *context, struct remote_message *message, struct error *err)
{
	(void)err;
	if (!quiet) {
		print_message(context, message);
	}
	return true;
}

static int
run_identify(struct remote_session *session, int argc, char **argv)
{
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct remote_target target;
	struct error err;

	if (argc != 2 || !uidset_parse(&uids, slice_of(argv[1]))) {
		return 64;
	}
	target = (struct remote_target){.raw_name = slice_of(argv[0])};
	return session->ops->identify(session, &target, &uids, true, each_message, argv[0], NULL, &err)
		       ? 0
		       : fail("identify", &err);
}

struct fetch {
	size_t count, gone;
	uint64_t octets;
	FILE *file;
};

static bool
body_begin(void *context, uint32_t uid, uint64_t size_bytes, struct error *err)
{
	struct fetch *fetch = context;
	char path[4096];

	(void)size_bytes;
	(void)err;
	if (getenv("OUT") != NULL) {
		snprintf(path, sizeof path, "%s/%u", getenv("OUT"), uid);
		fetch->file = fopen(path, "wb");
	}
	return true;
}

static bool
body_data(void *context, uint32_t uid, struct slice data, struct error *err)
{
	struct fetch *fetch = context;

	(void)uid;
	(void)err;
	fetch->octets += data.length;
	if (fetch->file != NULL && fwrite(data.data, 1, data.length, fetch->file) != data.length) {
		return error_set(err, ERROR_SYSTEM, "not written");
	}
	return true;
}

static bool
body_end(void *context, uint32_t uid, bool found, struct error *err)
{
	struct fetch *fetch = context;

	(void)err;
	fetch->count++;
	fetch->gone += !found;
	if (fetch->file != NULL) {
		fclose(fetch->file);
		fetch->file = NULL;
	}
	if (!quiet) {
		printf("body %u %s\n", uid, found ? "found" : "gone");
	}
	return true;
}

static int
run_fetch(struct remote_session *session, int argc, char **argv)
{
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct fetch fetch = {0};
	const struct remote_body_sink sink = {
		.begin = body_begin, .data = body_data, .end = body_end, .context = &fetch};
	struct remote_target target;
	uint64_t *sizes = NULL;
	struct error err;
	double begin = now();
	bool fine;

	if (argc < 2 || !uidset_parse(&uids, slice_of(argv[1]))) {
		return 64;
	}
	if (argc > 2) {
		sizes = calloc(uidset_size(&uids), sizeof *sizes);
		for (uint64_t i = 0; i < uidset_size(&uids); i++) {
			sizes[i] = strtoull(argv[2], NULL, 10);
		}
	}
	target = (struct remote_target){.raw_name = slice_of(argv[0])};
	fine = session->ops->fetch(session, &target, &uids, sizes, &sink, &err);
	free(sizes);
	printf("fetched %zu gone=%zu octets=%" PRIu64 " in %.1f ms\n", fetch.count, fetch.gone, fetch.octets,
		(now() - begin) * 1000);
	return fine ? 0 : fail("fetch", &err);
}

static bool
load_file(const char *path, struct spool *spool, struct error *err)
{
	char piece[65536];
	FILE *file = fopen(path, "rb");
	size_t got;
	bool fine = file != NULL;

	while (fine && (got = fread(piece, 1, sizeof piece, file)) > 0) {
		fine = spool_append(spool, slice_make(piece, got), err);
	}
	if (file != NULL) {
		fclose(file);
	}
	return fine;
}

static int
run_append(struct remote_session *session, int argc, char **argv)
{
	struct remote_append *items = calloc((size_t)argc, sizeof *items);
	struct remote_target target;
	struct error err = ERROR_INIT;
	size_t count = 0;
	bool fine;

	if (argc < 2) {
		free(items);
		return 64;
	}
	target = (struct remote_target){.raw_name = slice_of(argv[0])};
	for (int i = 1; i < argc; i++) {
		items[count].body = spool_create(spools);
		items[count].internaldate_s = 1700000000 + i;
		items[count].flags.bits = FLAG_SEEN;
		if (!load_file(argv[i], items[count].body, &err)) {
			fprintf(stderr, "%s: cannot be read\n", argv[i]);
		}
		count++;
	}
	fine = session->ops->append(session, &target, items, count, &err);
	for (size_t i = 0; i < count; i++) {
		if (!quiet || items[i].outcome != REMOTE_DONE) {
			printf("append %s %s uid=%u:%u %s\n", argv[i + 1], outcome_name(items[i].outcome),
				items[i].uid.uidvalidity, items[i].uid.uid,
				items[i].outcome == REMOTE_DONE ? "" : items[i].error.text);
		}
		spool_close(&items[i].body);
	}
	free(items);
	return fine ? 0 : fail("append", &err);
}

static bool
each_stored(void *context, uint32_t uid, const struct flags *flags, uint64_t modseq, struct error *err)
{
	(void)context;
	(void)err;
	if (!quiet) {
		printf("stored %u modseq=%" PRIu64 " ", uid, modseq);
		if (flags != NULL) {
			print_flags(flags);
		}
		printf("\n");
	}
	return true;
}

static int
run_store(struct remote_session *session, int argc, char **argv)
{
	struct remote_store group = {0};
	struct remote_target target;
	struct error err;
	bool fine;

	if (argc < 3 || !uidset_parse(&group.uids, slice_of(argv[1]))) {
		return 64;
	}
	target = (struct remote_target){.raw_name = slice_of(argv[0])};
	for (int i = 2; i < argc; i++) {
		(void)flags_add_imap(argv[i][0] == '-' ? &group.remove : &group.add, slice_of(argv[i] + 1));
	}
	fine = session->ops->store(session, &target, &group, 1, each_stored, NULL, &err);
	printf("store %s %s\n", outcome_name(group.outcome), group.outcome == REMOTE_DONE ? "" : group.error.text);
	uidset_finish(&group.uids);
	flags_finish(&group.add);
	flags_finish(&group.remove);
	return fine ? 0 : fail("store", &err);
}

static int
run_copy(struct remote_session *session, int argc, char **argv, bool move)
{
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct remote_target from, to;
	struct remote_copy *items;
	struct error err;
	uint32_t uid = 0;
	size_t count = 0;
	bool marked, fine;

	if (argc != 3 || !uidset_parse(&uids, slice_of(argv[2]))) {
		return 64;
	}
	from = (struct remote_target){.raw_name = slice_of(argv[0])};
	to = (struct remote_target){.raw_name = slice_of(argv[1])};
	items = calloc(uidset_size(&uids), sizeof *items);
	while (uidset_next(&uids, &uid)) {
		items[count++].uid = uid;
	}
	fine = session->ops->copy(session, &from, &to, move, items, count, &marked, &err);
	for (size_t i = 0; i < count; i++) {
		if (!quiet || items[i].outcome != REMOTE_DONE) {
			printf("%s %u %s to %u:%u refusal=%s\n", move ? "moved" : "copied", items[i].uid,
				outcome_name(items[i].outcome), items[i].target.uidvalidity, items[i].target.uid,
				error_kind_name(items[i].refusal));
		}
	}
	printf("marked=%d\n", marked);
	free(items);
	return fine ? 0 : fail("copy", &err);
}

static int
run_expunge(struct remote_session *session, int argc, char **argv)
{
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	enum remote_outcome outcome;
	struct remote_target target;
	struct error err;
	bool marked;

	if (argc != 2 || !uidset_parse(&uids, slice_of(argv[1]))) {
		return 64;
	}
	target = (struct remote_target){.raw_name = slice_of(argv[0])};
	if (!session->ops->expunge(session, &target, &uids, &outcome, &marked, &err)) {
		return fail("expunge", &err);
	}
	printf("expunge %s marked=%d %s\n", outcome_name(outcome), marked, outcome == REMOTE_REFUSED ? err.text : "");
	return 0;
}

static int
run_tree(struct remote_session *session, const char *what, int argc, char **argv)
{
	enum remote_outcome outcome = REMOTE_DONE;
	struct error err;
	bool fine;

	if (argc < 1 || (strcmp(what, "rename") == 0 && argc < 2)) {
		return 64;
	}
	struct slice name = slice_of(argv[0]);

	if (strcmp(what, "create") == 0) {
		fine = session->ops->create(session, name, &outcome, &err);
	} else if (strcmp(what, "remove") == 0) {
		fine = session->ops->remove(session, name, &outcome, &err);
	} else if (strcmp(what, "rename") == 0) {
		fine = session->ops->rename(session, name, slice_of(argv[1]), &outcome, &err);
	} else {
		fine = session->ops->subscribe(session, name, what[0] == 's', &err);
	}
	printf("%s %s\n", what, outcome_name(outcome));
	return fine ? 0 : fail(what, &err);
}

static void
hint(void *context, const struct remote_watch_event *event)
{
	static const char *const names[] = {"mailbox", "tree", "any"};

	(void)context;
	printf("hint %s %.*s\n", names[event->what], (int)event->raw_name.length,
		event->raw_name.length > 0 ? event->raw_name.data : "");
}

static int
run_watch(struct remote_session *session, int argc, char **argv)
{
	struct slice name;
	struct error err;
	double begin = now();

	if (argc < 1) {
		return 64;
	}
	name = slice_of(argc > 1 ? argv[1] : "");
	/* The first thing it tells is that it has begun to hear. */
	for (int left_ms; (left_ms = atoi(argv[0]) - (int)((now() - begin) * 1000)) > 0;) {
		if (!session->ops->watch(session, &name, argc > 1, -1, left_ms, hint, NULL, &err)) {
			return fail("watch", &err);
		}
		fflush(stdout);
	}
	printf("watched %.2f s\n", now() - begin);
	return 0;
}

static int
run(struct remote_session *session, int argc, char **argv)
{
	const char *what = argv[0];

	argc--;
	argv++;
	if (strcmp(what, "check") == 0) {
		return run_check(session);
	}
	if (strcmp(what, "list") == 0) {
		return run_list(session, argc, argv);
	}
	if (strcmp(what, "scan") == 0) {
		return run_scan(session, argc, argv);
	}
	if (strcmp(what, "identify") == 0) {
		return run_identify(session, argc, argv);
	}
	if (strcmp(what, "fetch") == 0) {
		return run_fetch(session, argc, argv);
	}
	if (strcmp(what, "append") == 0) {
		return run_append(session, argc, argv);
	}
	if (strcmp(what, "store") == 0) {
		return run_store(session, argc, argv);
	}
	if (strcmp(what, "copy") == 0 || strcmp(what, "move") == 0) {
		return run_copy(session, argc, argv, what[0] == 'm');
	}
	if (strcmp(what, "expunge") == 0) {
		return run_expunge(session, argc, argv);
	}
	if (strcmp(what, "watch") == 0) {
		return run_watch(session, argc, argv);
	}
	return run_tree(session, what, argc, argv);
}

/* Runs the commands that `--` separates. */
static int
run_all(struct remote_session *session, int argc, char **argv)
{
	int worst = 0;

	while (argc > 0) {
		int count = 0;

		while (count < argc && strcmp(argv[count], "--") != 0) {
			count++;
		}
		if (count > 0) {
			int rc = run(session, count, argv);

			worst = rc > worst ? rc : worst;
		}
		argc -= count < argc ? count + 1 : count;
		argv += count < argc + count ? count + 1 : count;
		if (argc <= 0) {
			break;
		}
	}
	return worst;
}

static bool
read_options(int argc, char **argv, struct imap_settings *settings, struct secret *secret)
{
	int option;

	while ((option = getopt(argc, argv, "+h:p:t:u:P:T:a:c:w:zqv")) != -1) {
		switch (option) {
		case 'h':
			settings->host = optarg;
			break;
		case 'p':
			settings->port = (uint16_t)atoi(optarg);
			break;
		case 't':
			settings->transport = strcmp(optarg, "tls") == 0           ? IMAP_TLS
					      : strcmp(optarg, "starttls") == 0    ? IMAP_STARTTLS
					      : strncmp(optarg, "tunnel:", 7) == 0 ? IMAP_TUNNEL
										   : IMAP_CLEAR;
			settings->tunnel = settings->transport == IMAP_TUNNEL ? optarg + 7 : NULL;
			break;
		case 'u':
			settings->user = optarg;
			break;
		case 'P':
		case 'T':
			*secret = (struct secret){.text = optarg, .is_token = option == 'T'};
			break;
		case 'a':
			settings->auth = optarg;
			break;
		case 'c':
			settings->tls_ca_file = optarg;
			break;
		case 'w':
			settings->without = optarg;
			break;
		case 'z':
			settings->compress = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'v':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		default:
			return false;
		}
	}
	return optind < argc;
}

static void
print_counters(const struct remote_session *session)
{
	uint64_t in, out, turns, commands;
	struct rusage usage;

	session->ops->counters(session, &in, &out, &turns, &commands);
	getrusage(RUSAGE_SELF, &usage);
	fprintf(stderr,
		"in=%" PRIu64 " out=%" PRIu64 " turns=%" PRIu64 " commands=%" PRIu64 " cpu_ms=%ld maxrss_kib=%ld\n", in,
		out, turns, commands,
		usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000 + usage.ru_stime.tv_sec * 1000 +
			usage.ru_stime.tv_usec / 1000,
		usage.ru_maxrss);
}

int
main(int argc, char **argv)
{
	struct secret secret = {.text = ""};
	struct imap_settings settings = {.transport = IMAP_CLEAR,
		.host = "127.0.0.1",
		.port = 143,
		.auth = "auto",
		.secret = give_secret,
		.secret_context = &secret};
	char dir[] = "/tmp/imap_probe.XXXXXX";
	struct cancel *cancel = cancel_create();
	struct remote_session *session;
	struct remote *remote;
	struct error err;
	int rc;

	if (!read_options(argc, argv, &settings, &secret)) {
		fprintf(stderr, "usage: imap_probe [OPTION...] COMMAND [ARGUMENT...]; see the head of imap_probe.c\n");
		return 64;
	}
	io = io_posix_create();
	if (mkdtemp(dir) == NULL || !io_dir_open(io, dir, true, &spools, &err) ||
		!imap_remote_create(io, spools, &settings, &remote, &err)) {
		return fail("settings", &err);
	}
	if (remote->ops->open(remote, cancel, &session, &err)) {
		rc = run_all(session, argc - optind, argv + optind);
		print_counters(session);
		session->ops->close(&session);
	} else {
		rc = fail("open", &err);
	}
	remote->ops->destroy(&remote);
	io_dir_close(&spools);
	cancel_destroy(&cancel);
	io_destroy(&io);
	rmdir(dir);
	return rc;
}
