/* The commands `list` and `scan` of imap_probe, and the file in which a scan keeps what it knows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/interop/imap_probe.h"

struct hints { /* what the account check told, for scan */
	struct remote_scan_request *requests;
	size_t request_count;
	size_t count;
};

static bool
each_mailbox(void *context, const struct remote_mailbox *mailbox, struct error *err)
{
	struct hints *hints = context;

	(void)err;
	hints->count++;
	for (size_t i = 0; i < hints->request_count; i++) {
		if (slice_equal(mailbox->raw_name, hints->requests[i].raw_name) && mailbox->has_status) {
			hints->requests[i].messages_hint = mailbox->messages;
			hints->requests[i].uidnext_hint = mailbox->uidnext;
		}
	}
	if (hints->request_count > 0) {
		return true;
	}
	if (!quiet) {
		printf("mailbox \"%.*s\" sep=%c attr=%u role=%s", (int)mailbox->raw_name.length, mailbox->raw_name.data,
			mailbox->separator != '\0' ? mailbox->separator : '-', mailbox->attributes,
			mailbox->role != NULL ? mailbox->role : "-");
		if (mailbox->has_status) {
			printf(" uidvalidity=%u uidnext=%u modseq=%" PRIu64 " messages=%u", mailbox->uidvalidity,
				mailbox->uidnext, mailbox->highestmodseq, mailbox->messages);
		}
		printf(" id=%d:%.*s\n", mailbox->id.kind, mailbox->id.length, mailbox->id.value);
	}
	return true;
}

int
run_list(struct remote_session *session, int argc, char **argv)
{
	int times = argc > 0 ? atoi(argv[0]) : 1;
	struct error err;

	for (int i = 0; i < times; i++) {
		struct hints hints = {0};
		double begin = now();

		if (!session->ops->list(session, each_mailbox, &hints, &err)) {
			return fail("list", &err);
		}
		printf("listed %zu in %.1f ms\n", hints.count, (now() - begin) * 1000);
	}
	return 0;
}

/* What a mailbox's base would hold. */
struct state {
	char name[512];
	uint32_t uidvalidity, uidnext;
	uint64_t highestmodseq;
	struct uidset known;
	struct remote_newest newest;
	/* of this scan */
	size_t messages, flags, gone, bodies;
	uint64_t octets;
};

static struct state states[256];
static size_t state_count;

static struct state *
state_of(const char *name)
{
	for (size_t i = 0; i < state_count; i++) {
		if (strcmp(states[i].name, name) == 0) {
			return &states[i];
		}
	}
	if (state_count == ARRAY_LENGTH(states)) {
		fprintf(stderr, "too many mailboxes\n");
		exit(1);
	}
	snprintf(states[state_count].name, sizeof states[0].name, "%s", name);
	states[state_count].uidnext = 1;
	return &states[state_count++];
}

/* A line each: name, tab, uidvalidity modseq uidnext newest date size guid-kind guid, tab, set */
static void
load_states(const char *path)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;

	while (file != NULL && getline(&line, &size, file) > 0) {
		char *tab = strchr(line, '\t'), *tab2 = tab != NULL ? strchr(tab + 1, '\t') : NULL;
		char guid[300] = "";
		unsigned kind = 0;

		if (tab2 == NULL) {
			continue;
		}
		*tab = *tab2 = '\0';
		tab2[1 + strcspn(tab2 + 1, "\n")] = '\0';

		struct state *state = state_of(line);

		if (sscanf(tab + 1, "%u %" SCNu64 " %u %u %" SCNd64 " %" SCNu64 " %u %299s", &state->uidvalidity,
			    &state->highestmodseq, &state->uidnext, &state->newest.uid, &state->newest.internaldate_s,
			    &state->newest.size_bytes, &kind, guid) >= 7) {
			state->newest.guid.kind = (uint8_t)kind;
			state->newest.guid.length = (uint8_t)strlen(guid);
			memcpy(state->newest.guid.value, guid, strlen(guid));
		}
		if (tab2[1] != '\0' && !uidset_parse(&state->known, slice_of(tab2 + 1))) {
			fprintf(stderr, "bad set in %s\n", path);
		}
	}
	free(line);
	if (file != NULL) {
		fclose(file);
	}
}

static void
save_states(const char *path)
{
	FILE *file = fopen(path, "w");

	for (size_t i = 0; file != NULL && i < state_count; i++) {
		SCOPED(buf_finish) struct buf set = BUF_INIT;
		const struct state *state = &states[i];

		uidset_print(&state->known, &set);
		fprintf(file, "%s\t%u %" PRIu64 " %u %u %" PRId64 " %" PRIu64 " %u %.*s\t%s\n", state->name,
			state->uidvalidity, state->highestmodseq, state->uidnext, state->newest.uid,
			state->newest.internaldate_s, state->newest.size_bytes, state->newest.guid.kind,
			state->newest.guid.length, state->newest.guid.value, set.data != NULL ? set.data : "");
	}
	if (file != NULL) {
		fclose(file);
	}
}

struct scan {
	struct state *of[256];
};

static bool
scan_selected(void *context, size_t request, const struct remote_selected *selected, struct error *err)
{
	const struct scan *scan = context;

	(void)err;
	if (!quiet) {
		printf("selected %s uidvalidity=%u uidnext=%u modseq=%" PRIu64 " exists=%u permanent=",
			scan->of[request]->name, selected->uidvalidity, selected->uidnext, selected->highestmodseq,
			selected->exists);
		print_flags(&selected->permanent);
		printf(" any=%d ro=%d id=%d:%.*s\n", selected->keywords_any, selected->read_only, selected->id.kind,
			selected->id.length, selected->id.value);
	}
	return true;
}

static bool
scan_flags(void *context, size_t request, uint32_t uid, const struct flags *flags, uint64_t modseq, struct error *err)
{
	const struct scan *scan = context;

	(void)err;
	scan->of[request]->flags++;
	if (!quiet) {
		printf("flags %s %u ", scan->of[request]->name, uid);
		print_flags(flags);
		printf(" modseq=%" PRIu64 "\n", modseq);
	}
	return true;
}

void
print_message(const char *name, const struct remote_message *message)
{
	printf("message %s %u ", name, message->uid);
	print_flags(&message->flags);
	printf(" modseq=%" PRIu64 " date=%" PRId64 " size=%" PRIu64 " guid=%d:%.*s header=%zu body=%" PRId64 "\n",
		message->modseq, message->internaldate_s, message->size_bytes, message->guid.kind, message->guid.length,
		message->guid.value, message->header.length,
		message->body != NULL ? (int64_t)spool_size(message->body) : -1);
}

static bool
scan_message(void *context, size_t request, struct remote_message *message, struct error *err)
{
	const struct scan *scan = context;
	struct state *state = scan->of[request];

	(void)err;
	state->messages++;
	state->octets += message->header.length;
	if (message->body != NULL) {
		state->bodies++;
		state->octets += spool_size(message->body);
	}
	uidset_add(&state->known, message->uid, message->uid);
	if (message->uid > state->newest.uid) {
		state->newest.uid = message->uid;
		state->newest.guid = message->guid;
		state->newest.internaldate_s = message->internaldate_s;
		state->newest.size_bytes = message->size_bytes;
	}
	if (!quiet) {
		print_message(state->name, message);
	}
	return true;
}

static bool
scan_gone(void *context, size_t request, const struct uidset *uids, struct error *err)
{
	const struct scan *scan = context;
	struct state *state = scan->of[request];
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	(void)err;
	state->gone += uidset_size(uids);
	for (size_t i = 0; i < uids->count; i++) {
		uidset_remove(&state->known, uids->ranges[i].first, uids->ranges[i].last);
	}
	if (!uidset_contains(&state->known, state->newest.uid)) {
		state->newest = (struct remote_newest){0};
	}
	uidset_print(uids, &text);
	if (!quiet) {
		printf("gone %s %s\n", state->name, text.data);
	}
	return true;
}

static bool
scan_end(void *context, size_t request, enum remote_scan_state state, const struct remote_selected *selected,
	const char *reason, const struct error *failure, struct error *err)
{
	static const char *const names[] = {"ok", "rebuilt", "gone", "failed"};
	const struct scan *scan = context;
	struct state *of = scan->of[request];

	(void)err;
	printf("end %s %s messages=%zu flags=%zu gone=%zu bodies=%zu octets=%" PRIu64, of->name, names[state],
		of->messages, of->flags, of->gone, of->bodies, of->octets);
	if (selected != NULL) {
		printf(" uidnext=%u modseq=%" PRIu64 " exists=%u", selected->uidnext, selected->highestmodseq,
			selected->exists);
	}
	printf(" reason=%s kind=%s\n", reason != NULL ? reason : "-",
		failure != NULL ? error_kind_name(failure->kind) : "-");
	if (state == REMOTE_SCAN_OK) {
		of->uidvalidity = selected->uidvalidity;
		of->uidnext = selected->uidnext;
		of->highestmodseq = selected->highestmodseq;
	}
	return true;
}

int
run_scan(struct remote_session *session, int argc, char **argv)
{
	struct remote_scan_request requests[256] = {0};
	struct scan scan;
	const struct remote_scan_sink sink = {.selected = scan_selected,
		.flags = scan_flags,
		.message = scan_message,
		.gone = scan_gone,
		.end = scan_end,
		.context = &scan};
	uint64_t bodies = 0;
	bool full = false;
	size_t count = 0;
	struct error err;
	double begin;

	if (argc < 2) {
		return 64;
	}
	load_states(argv[0]);
	for (int i = 1; i < argc; i++) {
		if (count == 0 && i == 1 && argv[i][0] >= '0' && argv[i][0] <= '9') {
			bodies = strtoull(argv[i], NULL, 10);
		} else if (count == 0 && strcmp(argv[i], "full") == 0) {
			full = true;
		} else {
			struct state *state = state_of(argv[i]);

			scan.of[count] = state;
			state->messages = state->flags = state->gone = state->bodies = 0;
			state->octets = 0;
			requests[count++] = (struct remote_scan_request){
				.raw_name = slice_of(state->name),
				.uidvalidity = state->uidvalidity,
				.highestmodseq = state->highestmodseq,
				.uidnext = state->uidnext,
				.known = &state->known,
				.newest = state->newest,
				.full = full,
				.bodies = bodies > 0,
				.body_size_max = bodies,
			};
		}
	}
	if (getenv("HINTS") != NULL) {
		struct hints hints = {.requests = requests, .request_count = count};

		if (!session->ops->list(session, each_mailbox, &hints, &err)) {
			return fail("list", &err);
		}
	}
	begin = now();
	if (!session->ops->scan(session, requests, count, &sink, &err)) {
		return fail("scan", &err);
	}
	printf("scanned %zu in %.1f ms\n", count, (now() - begin) * 1000);
	save_states(argv[0]);
	return 0;
}
