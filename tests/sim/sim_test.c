/* Histories at random: people on both sides, a server of some kind, broken connections, lost answers, and our process ending at any call; then
 * quiet, and what must be true then (R12): both sides equal after two passes, the third does nothing, nothing lost that nobody expunged, nothing
 * doubled.
 *
 * A seed fixes a history. MAILFS_SIM_SEEDS=N tells N of them, MAILFS_SIM_SEED=N the one; a seed that fails is printed with all that happened.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/base/random.h"
#include "tests/sim/world.h"

#define SEEDS     120
#define TOKENS    400
#define MAILBOXES 40

struct token { /* what was done to the messages of one token */
	bool from_here;
	unsigned copies_here, copies_there, moves_here, moves_there, expunges;
};

static struct sim {
	uint64_t seed;
	struct random random;
	struct buf log, calls;
	bool done;
	struct token tokens[TOKENS];
	unsigned token_count, name_count;
	/* What this history is made of, in percent. */
	unsigned weights[32];
	unsigned trouble, meanwhile, passes;
	bool any_trouble, reverted, verbose;
} sim;

static unsigned
below(unsigned bound)
{
	return (unsigned)random_below(&sim.random, bound);
}

static bool
chance(unsigned percent)
{
	return below(100) < percent;
}

/* --- choosing --- */

static char *
new_name(void)
{
	struct buf name = BUF_INIT;

	buf_printf(&name, "%c%u", 'A' + (int)below(26), ++sim.name_count);
	return buf_take(&name);
}

static struct token *
token_named(struct slice token)
{
	uint64_t index;

	assert_true(token.length > 1 && token.data[0] == 't');
	assert_true(slice_to_u64(slice_skip(token, 1), &index) && index < sim.token_count);
	return &sim.tokens[index];
}

/* A new token, unless there are too many. */
static bool
new_token(bool from_here, char out[24])
{
	if (sim.token_count == TOKENS) {
		return false;
	}
	(void)snprintf(out, 24, "t%u", sim.token_count);
	sim.tokens[sim.token_count++] = (struct token){.from_here = from_here};
	return true;
}

/* One word of a text of words separated by spaces, with its flags cut off; to be freed, or NULL. */
static char *
any_word(char *text)
{
	size_t count = 0;
	char *chosen = NULL;

	if (text == NULL) {
		return NULL;
	}
	for (char *save = NULL, *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		if (below((unsigned)++count) == 0) {
			chosen = word;
		}
	}
	chosen = chosen != NULL ? slice_dup(slice_make(chosen, strcspn(chosen, "+"))) : NULL;
	free(text);
	return chosen;
}

struct names {
	char *names[MAILBOXES];
	size_t count;
};

static bool
note_here(void *context, const struct mailbox *mailbox, struct error *err)
{
	struct names *names = context;

	(void)err;
	if (mailbox->kind == MAILBOX_REAL && names->count < MAILBOXES) {
		names->names[names->count++] = slice_dup(slice_of(mailbox->name));
	}
	return true;
}

static char *
choose_name(struct names *names)
{
	size_t chosen = names->count > 0 ? below((unsigned)names->count) : 0;
	char *name = names->count > 0 ? names->names[chosen] : NULL;

	for (size_t i = 0; i < names->count; i++) {
		if (i != chosen) {
			free(names->names[i]);
		}
	}
	return name;
}

static char *
any_mailbox_here(void)
{
	struct names names = {.count = 0};

	world_read_begin();
	assert_true(mailbox_each(world.txn, false, note_here, &names, &world.err));
	world_read_end();
	return choose_name(&names);
}

static char *
any_mailbox_there(void)
{
	struct names names = {.count = 0};

	for (size_t i = 0; i < world.server->count && names.count < MAILBOXES; i++) {
		const struct model_mailbox *mailbox = world.server->mailboxes[i];

		/* Nobody else touches what is about to be deleted under a name of ours: between a last look and a DELETE nothing can be done. */
		if (!mailbox->directory && strstr(mailbox->name, "mailfs-removed") == NULL) {
			names.names[names.count++] = slice_dup(slice_of(mailbox->name));
		}
	}
	return choose_name(&names);
}

static const char *
any_flags(void)
{
	static const char *const changes[] = {"+seen", "-seen", "+flagged", "-flagged", "+answered", "+draft-draft",
		"+k1", "-k1", "+k2", "+k1-k2", "+seen+flagged+k3", "-k3", "+deleted", "-deleted"};

	return changes[below(ARRAY_LENGTH(changes))];
}

static void note(const char *format, ...) PRINTF_LIKE(1, 2);

static void
note(const char *format, ...)
{
	char line[300];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	buf_printf(&sim.log, "%s\n", line);
	if (sim.verbose) {
		(void)fprintf(stderr, "%s\n", line);
	}
}

/* What there is, and what was asked of the server since the last time. */
static void
tell(void)
{
	if (sim.verbose) {
		(void)fwrite(sim.calls.data, 1, sim.calls.length, stderr);
		buf_clear(&sim.calls);
		world_tell(stderr);
	}
}

/* --- what people do --- */

struct deed {
	char *mailbox, *other, *token; /* NULL where there is none */
};

static void
do_here_add(const struct deed *deed)
{
	char token[24], message[60];

	if (new_token(true, token)) {
		(void)snprintf(message, sizeof message, "%s%s", token, chance(30) ? "+seen+k1" : "");
		note("here: add %s to %s", message, deed->mailbox);
		here_add(deed->mailbox, message);
	}
}

static void
do_there_add(const struct deed *deed)
{
	char token[24], message[60];

	if (new_token(false, token)) {
		(void)snprintf(message, sizeof message, "%s%s", token,
			!chance(30)                             ? ""
			: world.options.server.without_keywords ? "+flagged"
								: "+flagged+k2");
		note("there: add %s to %s", message, deed->mailbox);
		(void)there_add(deed->mailbox, message);
	}
}

static void
do_here_copy(const struct deed *deed)
{
	if (here_has_body(deed->mailbox, deed->token)) {
		note("here: copy %s from %s to %s", deed->token, deed->mailbox, deed->other);
		token_named(slice_of(deed->token))->copies_here++;
		here_copy(deed->mailbox, deed->token, deed->other);
	}
}

static void
do_there_copy(const struct deed *deed)
{
	note("there: copy %s from %s to %s", deed->token, deed->mailbox, deed->other);
	token_named(slice_of(deed->token))->copies_there++;
	there_copy(deed->mailbox, deed->token, deed->other);
}

static void
do_here_flag(const struct deed *deed)
{
	const char *change = any_flags();

	note("here: flag %s in %s %s", deed->token, deed->mailbox, change);
	here_flag(deed->mailbox, deed->token, change);
}

static void
do_there_flag(const struct deed *deed)
{
	const char *change = any_flags();

	/* \Deleted is how a server without UIDPLUS has our removals: nobody else plays with it there. */
	bool possible = (!world.options.server.without_uidplus || strstr(change, "deleted") == NULL) &&
			(!world.options.server.without_keywords || strchr(change, 'k') == NULL);

	if (possible) {
		note("there: flag %s in %s %s", deed->token, deed->mailbox, change);
		there_flag(deed->mailbox, deed->token, change);
	}
}

static void
do_here_move(const struct deed *deed)
{
	if (strcmp(deed->mailbox, deed->other) != 0) {
		note("here: move %s from %s to %s", deed->token, deed->mailbox, deed->other);
		token_named(slice_of(deed->token))->moves_here++;
		here_move(deed->mailbox, deed->token, deed->other);
	}
}

static void
do_there_move(const struct deed *deed)
{
	if (strcmp(deed->mailbox, deed->other) != 0) {
		note("there: move %s from %s to %s", deed->token, deed->mailbox, deed->other);
		token_named(slice_of(deed->token))->moves_there++;
		if (world.options.server.guids == MODEL_GUIDS_NONE) { /* nothing tells it from a copy and an expunge */
			token_named(slice_of(deed->token))->copies_there++;
			token_named(slice_of(deed->token))->expunges++;
		}
		there_move(deed->mailbox, deed->token, deed->other);
	}
}

static void
do_here_expunge(const struct deed *deed)
{
	note("here: expunge %s in %s", deed->token, deed->mailbox);
	token_named(slice_of(deed->token))->expunges++;
	here_expunge(deed->mailbox, deed->token);
}

static void
do_there_expunge(const struct deed *deed)
{
	note("there: expunge %s in %s", deed->token, deed->mailbox);
	token_named(slice_of(deed->token))->expunges++;
	there_expunge(deed->mailbox, deed->token);
}

static void
do_here_replace(const struct deed *deed)
{
	char token[24];

	if (new_token(true, token)) {
		note("here: replace %s in %s by %s", deed->token, deed->mailbox, token);
		token_named(slice_of(deed->token))->expunges++;
		here_replace(deed->mailbox, deed->token, token);
	}
}

static char *
child_name(const struct deed *deed)
{
	struct buf name = BUF_INIT;
	char *leaf = new_name();

	if (chance(30) && strcmp(deed->mailbox, "INBOX") != 0) {
		buf_printf(&name, "%s/%s", deed->mailbox, leaf);
	} else {
		buf_append_text(&name, leaf);
	}
	free(leaf);
	return buf_take(&name);
}

static void
do_here_create(const struct deed *deed)
{
	char *name = child_name(deed);

	note("here: make %s", name);
	here_create(name);
	free(name);
}

static void
do_there_create(const struct deed *deed)
{
	char *name = child_name(deed);

	note("there: make %s", name);
	there_create(name);
	free(name);
}

static void
do_here_rename(const struct deed *deed)
{
	char *name = new_name();

	if (strcmp(deed->mailbox, "INBOX") != 0) {
		note("here: rename %s to %s", deed->mailbox, name);
		here_rename(deed->mailbox, name);
	}
	free(name);
}

static bool
something_is_about_to_go(void)
{
	for (size_t i = 0; i < world.server->count; i++) {
		if (strstr(world.server->mailboxes[i]->name, "mailfs-removed") != NULL) {
			return true;
		}
	}
	return false;
}

static void
do_there_rename(const struct deed *deed)
{
	char *name = new_name();

	/* Without ids a rename there is one mailbox gone and one new; and what is about to be deleted is left in its place. */
	if (strcmp(deed->mailbox, "INBOX") != 0 && world.options.server.mailbox_ids != GUID_NONE &&
		!something_is_about_to_go()) {
		note("there: rename %s to %s", deed->mailbox, name);
		there_rename(deed->mailbox, name);
	}
	free(name);
}

static void
note_all_expunged(char *list)
{
	for (char *save = NULL, *word = list != NULL ? strtok_r(list, " ", &save) : NULL; word != NULL;
		word = strtok_r(NULL, " ", &save)) {
		token_named(slice_make(word, strcspn(word, "+")))->expunges++;
	}
	free(list);
}

/* An empty one, as rmdir does; seldom one with messages, as a tool might. */
static void
do_here_remove(const struct deed *deed)
{
	char *list = world_list_here(deed->mailbox);

	if (strcmp(deed->mailbox, "INBOX") != 0 && (list[0] == '\0' || chance(20))) {
		note("here: remove %s [%s]", deed->mailbox, list);
		note_all_expunged(list);
		here_remove(deed->mailbox);
		return;
	}
	free(list);
}

static void
do_there_remove(const struct deed *deed)
{
	char *list = world_list_there(deed->mailbox);

	if (strcmp(deed->mailbox, "INBOX") != 0 && (list[0] == '\0' || chance(20))) {
		note("there: remove %s [%s]", deed->mailbox, list);
		note_all_expunged(list);
		there_remove(deed->mailbox);
		return;
	}
	free(list);
}

static void
do_here_subscribe(const struct deed *deed)
{
	bool subscribed = chance(50);

	note("here: subscription of %s: %d", deed->mailbox, subscribed);
	here_subscribe(deed->mailbox, subscribed);
}

static void
do_there_subscribe(const struct deed *deed)
{
	there_mailbox(deed->mailbox)->subscribed = chance(50);
	note("there: subscription of %s: %d", deed->mailbox, there_mailbox(deed->mailbox)->subscribed);
}

/* The server is rebuilt, or comes back from a backup (R7). */
static void
do_there_rebuild(const struct deed *deed)
{
	if (chance(30)) {
		note("there: %s is rebuilt", deed->mailbox);
		model_rebuild(world.server, there_mailbox(deed->mailbox));
	}
}

static void
do_there_restore(const struct deed *deed)
{
	struct model_mailbox *mailbox = there_mailbox(deed->mailbox);
	size_t lost = below(4);

	if (!chance(30)) {
		return;
	}
	lost = lost < mailbox->count ? lost : mailbox->count;
	note("there: %s is restored without %zu", deed->mailbox, lost);
	for (size_t i = mailbox->count - lost; i < mailbox->count; i++) {
		token_named(model_token(slice_make(mailbox->messages[i].body, mailbox->messages[i].length)))
			->expunges++;
	}
	model_restore(mailbox, lost);
	world_advance_s(1); /* what comes under their UIDs comes later */
}

static const struct deed_kind {
	void (*act)(const struct deed *deed);
	unsigned weight;
	bool here, message;
} deed_kinds[] = {
	{do_here_add, 10, true, false},
	{do_there_add, 10, false, false},
	{do_here_copy, 4, true, true},
	{do_there_copy, 4, false, true},
	{do_here_flag, 10, true, true},
	{do_there_flag, 10, false, true},
	{do_here_move, 8, true, true},
	{do_there_move, 8, false, true},
	{do_here_expunge, 5, true, true},
	{do_there_expunge, 5, false, true},
	{do_here_replace, 3, true, true},
	{do_here_create, 3, true, false},
	{do_there_create, 3, false, false},
	{do_here_rename, 2, true, false},
	{do_there_rename, 2, false, false},
	{do_here_remove, 3, true, false},
	{do_there_remove, 3, false, false},
	{do_here_subscribe, 1, true, false},
	{do_there_subscribe, 1, false, false},
	{do_there_rebuild, 1, false, false},
	{do_there_restore, 1, false, false},
};

static void
do_something(void)
{
	unsigned total = 0, at, kind = 0;
	struct deed deed = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(deed_kinds); i++) {
		total += sim.weights[i];
	}
	for (at = below(total); at >= sim.weights[kind]; kind++) {
		at -= sim.weights[kind];
	}
	const struct deed_kind *chosen = &deed_kinds[kind];

	deed.mailbox = chosen->here ? any_mailbox_here() : any_mailbox_there();
	deed.other = chosen->here ? any_mailbox_here() : any_mailbox_there();
	if (deed.mailbox != NULL && chosen->message) {
		deed.token = any_word(chosen->here ? world_list_here(deed.mailbox) : world_list_there(deed.mailbox));
	}
	if (deed.mailbox != NULL && (!chosen->message || deed.token != NULL)) {
		chosen->act(&deed);
	}
	free(deed.mailbox);
	free(deed.other);
	free(deed.token);
}

static void
do_meanwhile(void *context, const char *call)
{
	(void)context;
	(void)call;
	if (chance(sim.meanwhile)) {
		buf_append_text(&sim.log, "  meanwhile ");
		do_something();
	}
}

/* --- what befalls us --- */

static void
set_trouble(void)
{
	static const char *const calls[] = {"list", "scan", "identify", "fetch", "store", "append", "copy", "move",
		"expunge", "create", "rename", "remove", "subscribe", NULL};

	world.remote->trouble.nth = 0;
	if (!chance(sim.trouble)) {
		return;
	}
	world.remote->trouble = (struct model_trouble){
		.call = calls[below(ARRAY_LENGTH(calls))],
		.nth = 1 + below(3),
		.fault = (enum model_fault)below(MODEL_FAULT_COUNT),
		.item = below(5),
		.half = chance(50),
	};
	sim.any_trouble = true;
}

static void
some_pass(void)
{
	unsigned flags = WORLD_PASS_ALL;

	if (chance(30)) {
		flags |= WORLD_PASS_LOCAL_ONLY;
	} else if (chance(10)) {
		flags |= WORLD_PASS_FULL;
	} else if (chance(5)) {
		flags |= WORLD_PASS_DRY;
	}
	set_trouble();
	world.remote->fired = false;
	note("pass%s%s%s", (flags & WORLD_PASS_LOCAL_ONLY) != 0 ? " local-only" : "",
		(flags & WORLD_PASS_FULL) != 0 ? " full" : "", (flags & WORLD_PASS_DRY) != 0 ? " dry" : "");
	world.remote->meanwhile = do_meanwhile;
	bool ok = world_try(flags);

	world.remote->meanwhile = NULL;
	world.remote->trouble.nth = 0;
	note("  %s: %s", ok ? "done" : world.stopped ? "stopped" : "failed", ok ? "" : world.err.text);
	if (world.remote->fired) {
		note("  %s befell %s", model_fault_name(world.remote->trouble.fault), world.remote->fired_at);
	}
	if (!ok && !world.remote->fired) {
		fail_msg("a pass failed and nothing befell it: %s", world.err.text);
	}
	tell();
	if (world.result.text.length > 0) {
		buf_append(&sim.log, buf_slice(&world.result.text));
	}
}

static void
answer_holds(void)
{
	bool confirm = chance(50);

	note("holds are %s", confirm ? "confirmed" : "reverted");
	sim.reverted |= !confirm;
	world_answer_all(confirm);
}

/* --- quiet --- */

static bool
note_marked(void *context, const struct base_message *base, struct error *err)
{
	struct model_mailbox *there = context;

	(void)err;
	if (base->gone == BASE_MARKED && model_message(there, base->uid.uid) != NULL) {
		model_expunge(world.server, there, base->uid.uid);
	}
	return true;
}

static bool
expunge_marked(void *context, const struct base_mailbox *base, struct error *err)
{
	struct model_mailbox *there = model_find(world.server, base->raw_name);

	(void)context;
	return there == NULL || base_message_each(world.txn, BASE_REMOTE, base->mailbox, note_marked, there, err);
}

/* Somebody expunges there what we could only mark. */
static void
expunge_all_marked(void)
{
	world_read_begin();
	assert_true(base_mailbox_each(world.txn, BASE_REMOTE, expunge_marked, NULL, &world.err));
	world_read_end();
}

static unsigned
count_there(const char *token)
{
	unsigned count = 0;

	for (size_t i = 0; i < world.server->count; i++) {
		const struct model_mailbox *mailbox = world.server->mailboxes[i];

		for (size_t j = 0; j < mailbox->count; j++) {
			struct slice body = slice_make(mailbox->messages[j].body, mailbox->messages[j].length);

			count += slice_equal(model_token(body), slice_of(token));
		}
	}
	return count;
}

/* Nothing lost that nobody expunged, nothing doubled. Copies made at once on both sides of one message into one mailbox are one (R4); a message moved on both
 * sides may be seen as copied and expunged there. */
static void
check_ledger(void)
{
	for (unsigned i = 0; i < sim.token_count; i++) {
		const struct token *token = &sim.tokens[i];
		unsigned copies = token->copies_here > token->copies_there ? token->copies_here : token->copies_there;
		unsigned most = 1 + token->copies_here + token->copies_there;
		unsigned least = 1 + copies > 2 * token->expunges ? 1 + copies - 2 * token->expunges : 0;
		char name[24];

		/* What went with a mailbox comes back by a revert, though it may have been moved on before. */
		most += token->moves_here > 0 || sim.reverted ? token->moves_there : 0;
		(void)snprintf(name, sizeof name, "t%u", i);
		unsigned count = count_there(name);

		if (count < least || count > most) {
			fail_msg("%s is there %u times, and should be %u to %u times", name, count, least, most);
		}
		if (!sim.any_trouble && !sim.reverted && token->expunges == 0 &&
			world_sent(name) > token->from_here + token->copies_here) {
			fail_msg("%s was sent %u times", name, world_sent(name));
		}
	}
}

static void
quiet(void)
{
	note("quiet");
	for (int i = 0; i < 4; i++) {
		world_advance_s(7 * 3600); /* all that was set aside is due */
		world_settle();
		tell();
		answer_holds();
	}
	world_settle();
	if (world.options.server.without_uidplus) {
		expunge_all_marked();
	}
	world_settle();
	world_settle();
	tell();
	world_expect_agreed();
	check_ledger();
}

/* --- one history --- */

static void
choose_options(struct world_options *options)
{
	static const enum guid_kind mailbox_ids[] = {GUID_NONE, GUID_MAILBOXID, GUID_X_GUID};

	*options = (struct world_options){
		.server =
			{
				.guids = (enum model_guids)below(3),
				.mailbox_ids = mailbox_ids[below(3)],
				.without_uidplus = chance(20),
				.without_move = chance(40),
				.without_modseq = chance(30),
				.without_keywords = chance(20),
				.without_status = chance(15),
				.rewrites = chance(15),
			},
		.hold_off = chance(70),
		.bodies_with_scan = chance(40),
	};
}

static int
sim_begin(void **state)
{
	struct world_options options;

	sim = (struct sim){.seed = (uint64_t)(uintptr_t)*state, .verbose = getenv("MAILFS_SIM_VERBOSE") != NULL};
	random_seed(&sim.random, sim.seed);
	choose_options(&options);
	sim.trouble = chance(30) ? 0 : below(80);
	sim.meanwhile = chance(50) ? 0 : below(30);
	sim.passes = 10 + below(40);
	for (size_t i = 0; i < ARRAY_LENGTH(deed_kinds); i++) {
		sim.weights[i] = i < 2 || chance(70) ? deed_kinds[i].weight * (1 + below(3)) : 0;
	}
	note("seed %" PRIu64 ": guids %d, mailbox ids %d%s%s%s%s%s%s%s%s, trouble %u%%, meanwhile %u%%", sim.seed,
		(int)options.server.guids, (int)options.server.mailbox_ids,
		options.server.without_uidplus ? ", no UIDPLUS" : "", options.server.without_move ? ", no MOVE" : "",
		options.server.without_modseq ? ", no CONDSTORE" : "",
		options.server.without_keywords ? ", no keywords" : "",
		options.server.without_status ? ", no STATUS" : "", options.server.rewrites ? ", rewrites" : "",
		options.hold_off ? "" : ", brake", options.bodies_with_scan ? ", bodies" : "", sim.trouble,
		sim.meanwhile);
	world_begin(&options);
	world.remote->log = sim.verbose ? &sim.calls : NULL;
	return 0;
}

static int
sim_end(void **state)
{
	(void)state;
	if (!sim.done) {
		(void)fwrite(sim.log.data, 1, sim.log.length, stderr);
	}
	buf_finish(&sim.log);
	buf_finish(&sim.calls);
	world_end();
	return 0;
}

static void
a_history(void **state)
{
	unsigned rounds = 1 + below(3);

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		unsigned steps = 5 + below(40);

		for (unsigned step = 0; step < steps; step++) {
			if (chance(sim.passes)) {
				some_pass();
			} else if (chance(10)) {
				world_advance_s(1 + below(100));
			} else if (chance(3)) {
				answer_holds();
			} else if (chance(3)) {
				note("restart");
				world_restart();
			} else {
				do_something();
			}
		}
		quiet();
	}
	sim.done = true;
}

int
main(void)
{
	if (getenv("MAILFS_SIM_VERBOSE") != NULL) {
		log_set_level(LOG_LEVEL_DEBUG);
	}
	const char *seeds_text = getenv("MAILFS_SIM_SEEDS"), *seed_text = getenv("MAILFS_SIM_SEED");
	size_t count = seeds_text != NULL ? strtoul(seeds_text, NULL, 10) : SEEDS;
	size_t first = 1;

	if (seed_text != NULL) {
		first = strtoul(seed_text, NULL, 10);
		count = seeds_text != NULL ? count : 1;
	}
	struct CMUnitTest *tests = calloc(count, sizeof *tests);

	assert_non_null(tests);
	for (size_t i = 0; i < count; i++) {
		struct buf name = BUF_INIT;

		buf_printf(&name, "seed %zu", first + i);
		tests[i] = (struct CMUnitTest){
			.name = buf_take(&name),
			.test_func = a_history,
			.setup_func = sim_begin,
			.teardown_func = sim_end,
			.initial_state = (void *)(uintptr_t)(first + i),
		};
	}
	int failed = _cmocka_run_group_tests("histories", tests, count, NULL, NULL);

	for (size_t i = 0; i < count; i++) {
		free((char *)(uintptr_t)tests[i].name);
	}
	free(tests);
	return failed;
}
