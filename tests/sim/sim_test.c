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
#include "tests/sim/sim.h"

#define SEEDS 120

struct sim sim;

/* --- dice, the log, and what came to pass --- */

unsigned
sim_below(unsigned bound)
{
	return (unsigned)random_below(&sim.random, bound);
}

bool
sim_chance(unsigned percent)
{
	return sim_below(100) < percent;
}

void
sim_note(const char *format, ...)
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

#define TALLIES 200

static struct tally {
	char what[40];
	unsigned count;
} tallies[TALLIES];

void
sim_tally(const char *what)
{
	size_t i = 0;

	while (i < TALLIES && tallies[i].what[0] != '\0' && strcmp(tallies[i].what, what) != 0) {
		i++;
	}
	assert_true(i < TALLIES);
	(void)snprintf(tallies[i].what, sizeof tallies[i].what, "%s", what);
	tallies[i].count++;
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

/* --- what befalls us --- */

static void
set_trouble(void)
{
	static const char *const calls[] = {"list", "scan", "identify", "fetch", "store", "append", "copy", "move",
		"expunge", "create", "rename", "remove", "subscribe", "remove", "remove", "rename", "copy", "move",
		"store", "create", NULL}; /* the rarer ones more than once */

	if (world.remote->trouble.nth != 0 && sim_chance(60)) {
		return; /* one that did not come yet is still to come */
	}
	world.remote->trouble.nth = 0;
	if (!sim_chance(sim.trouble)) {
		return;
	}
	world.remote->trouble = (struct model_trouble){
		.call = calls[sim_below(ARRAY_LENGTH(calls))],
		.nth = 1 + sim_below(3) / 2,
		.fault = (enum model_fault)sim_below(MODEL_FAULT_COUNT),
		.item = sim_below(5),
		.half = sim_chance(50),
	};
	sim.any_trouble = true;
}

/* The other process runs passes of its own, between those of the first and within them. */
static void
second_pass(void)
{
	unsigned flags = sim_chance(40) ? WORLD_PASS_LOCAL_ONLY : WORLD_PASS_ALL;
	struct sync_result result;

	sim_note("second process: pass%s", (flags & WORLD_PASS_LOCAL_ONLY) != 0 ? " local-only" : "");
	if (!world_try_second(flags, &result)) {
		fail_msg("a pass of the second process failed: %s", world.second_err.text);
	}
	sim_tally("second process");
	if (result.deferred > 0) {
		sim_tally("second process deferred");
	}
	if (result.text.length > 0) {
		buf_append(&sim.log, buf_slice(&result.text));
	}
	sync_result_finish(&result);
}

static void
do_meanwhile(void *context, const char *call)
{
	(void)context;
	(void)call;
	if (sim_chance(sim.meanwhile)) {
		sim_note("  meanwhile, at %s", call);
		sim_do_something();
	}
	if (sim_chance(sim.seconds)) {
		second_pass();
	}
}

static void
some_pass(void)
{
	unsigned flags = WORLD_PASS_ALL;

	if (sim_chance(30)) {
		flags |= WORLD_PASS_LOCAL_ONLY;
	} else if (sim_chance(10)) {
		flags |= WORLD_PASS_FULL;
	} else if (sim_chance(5)) {
		flags |= WORLD_PASS_DRY;
	}
	set_trouble();
	world.remote->fired = false;
	sim_note("pass%s%s%s", (flags & WORLD_PASS_LOCAL_ONLY) != 0 ? " local-only" : "",
		(flags & WORLD_PASS_FULL) != 0 ? " full" : "", (flags & WORLD_PASS_DRY) != 0 ? " dry" : "");
	world.remote->meanwhile = do_meanwhile;
	bool ok = world_try(flags);

	unsigned left = world.remote->fired ? 0 : world.remote->trouble.nth;

	world.remote->meanwhile = NULL;
	world.remote->trouble.nth = 0; /* what others do meets none */
	sim_note("  %s: %s", ok ? "done" : world.stopped ? "stopped" : "failed", ok ? "" : world.err.text);
	if (world.remote->fired) {
		sim_note("  %s befell %s", model_fault_name(world.remote->trouble.fault), world.remote->fired_at);
		sim_tally(model_fault_name(world.remote->trouble.fault));
		sim_tally(world.remote->fired_at);
	}
	if (!ok && !world.remote->fired) {
		fail_msg("a pass failed and nothing befell it: %s", world.err.text);
	}
	world.remote->trouble.nth = left;
	tell();
	if (world.result.text.length > 0) {
		buf_append(&sim.log, buf_slice(&world.result.text));
	}
}

static bool
choose_answer(void)
{
	/* Where nothing is sent nothing can be brought back there. */
	bool confirm = world.options.direction == SYNC_PULL || sim_chance(50);

	sim_note("a hold is %s", confirm ? "confirmed" : "reverted");
	sim_tally(confirm ? "hold confirmed" : "hold reverted");
	sim.reverted |= !confirm;
	return confirm;
}

static void
answer_holds(void)
{
	world_answer_each(choose_answer);
}

/* The store is lost, and with it what only it had. */
static void
lose_store(void)
{
	sim_note("the store is lost");
	sim_tally("store lost");
	for (unsigned i = 0; i < sim.token_count; i++) {
		struct sim_token *token = &sim.tokens[i];

		token->undone = 1 + token->moves_here + token->expunges;
	}
	world_lose_store();
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
		const struct sim_token *token = &sim.tokens[i];
		unsigned copies = token->copies_here > token->copies_there ? token->copies_here : token->copies_there;
		unsigned most = 1 + token->copies_here + token->copies_there;
		unsigned least = 1 + copies > 2 * token->expunges ? 1 + copies - 2 * token->expunges : 0;
		char name[24];

		/* What went with a mailbox comes back by a revert, though it may have been moved on before. */
		most += token->moves_here > 0 || sim.reverted ? token->moves_there : 0;
		(void)snprintf(name, sizeof name, "t%u", i);
		unsigned count = count_there(name);

		if (world.options.server.folds && least > 1) {
			least = 1; /* equal ones in one mailbox are one */
		}
		if (token->undone > 0) {
			least = 0;
			most += token->undone;
		}

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
	sim_note("quiet");
	world.remote->trouble.nth = 0;
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
				.guids = (enum model_guids)sim_below(3),
				.mailbox_ids = mailbox_ids[sim_below(3)],
				.without_uidplus = sim_chance(20),
				.without_move = sim_chance(40),
				.without_modseq = sim_chance(30),
				.without_keywords = sim_chance(20),
				.without_status = sim_chance(15),
				.rewrites = sim_chance(15),
			},
		.hold_off = sim_chance(70),
		.bodies_with_scan = sim_chance(40),
	};
	options->server.folds = !options->server.without_uidplus && sim_chance(6);
	options->deletes_keep = sim_chance(6);
	options->direction = sim_chance(6) ? SYNC_PULL : SYNC_BOTH;
}

static int
sim_begin(void **state)
{
	struct world_options options;

	sim = (struct sim){.seed = (uint64_t)(uintptr_t)*state, .verbose = getenv("MAILFS_SIM_VERBOSE") != NULL};
	random_seed(&sim.random, sim.seed);
	choose_options(&options);
	sim.trouble = sim_chance(30) ? 0 : sim_below(80);
	sim.meanwhile = sim_chance(50) ? 0 : sim_below(30);
	sim.passes = 10 + sim_below(40);
	sim.seconds = sim_chance(70) ? 0 : sim_below(20);
	sim_note("seed %" PRIu64
		 ": guids %d, mailbox ids %d%s%s%s%s%s%s%s%s%s%s%s, trouble %u%%, meanwhile %u%%, second %u%%",
		sim.seed, (int)options.server.guids, (int)options.server.mailbox_ids,
		options.server.without_uidplus ? ", no UIDPLUS" : "", options.server.without_move ? ", no MOVE" : "",
		options.server.without_modseq ? ", no CONDSTORE" : "",
		options.server.without_keywords ? ", no keywords" : "",
		options.server.without_status ? ", no STATUS" : "", options.server.rewrites ? ", rewrites" : "",
		options.server.folds ? ", folds" : "", options.hold_off ? "" : ", brake",
		options.deletes_keep ? ", deletes=keep" : "", options.direction == SYNC_PULL ? ", direction=pull" : "",
		options.bodies_with_scan ? ", bodies" : "", sim.trouble, sim.meanwhile, sim.seconds);
	if (options.server.folds) {
		sim_tally("server that folds");
	}
	if (options.deletes_keep) {
		sim_tally("deletes=keep");
	}
	if (options.direction == SYNC_PULL) {
		sim_tally("direction=pull");
	}
	world_begin(&options);
	sim_choose_weights();
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
	unsigned rounds = 1 + sim_below(3);

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		unsigned steps = 5 + sim_below(40);

		for (unsigned step = 0; step < steps; step++) {
			if (sim_chance(sim.passes)) {
				some_pass();
			} else if (sim_chance(10)) {
				world_advance_s(1 + sim_below(100));
			} else if (sim_chance(3)) {
				answer_holds();
			} else if (sim_chance(3)) {
				sim_note("restart");
				sim_tally("restart");
				world_restart();
			} else if (sim_chance(1) && sim_chance(50)) {
				lose_store();
			} else if (sim.seconds > 0 && sim_chance(10)) {
				second_pass();
			} else {
				sim_do_something();
			}
		}
		quiet();
	}
	sim.done = true;
}

static unsigned
tally_of(const char *what)
{
	for (size_t i = 0; i < TALLIES && tallies[i].what[0] != '\0'; i++) {
		if (strcmp(tallies[i].what, what) == 0) {
			return tallies[i].count;
		}
	}
	return 0;
}

/* What never came to pass was not tested. Gives how many there are of these. */
static int
check_tallies(size_t histories)
{
	enum { USUAL_FIRST = 13 };
	static const char *const wanted[] = {"list", "scan", "identify", "fetch", "store", "append", "copy", "move",
		"expunge", "create", "rename", "remove", "subscribe", /* the usual: */ "second process",
		"second process deferred", "hold confirmed", "hold reverted", "store lost", "restart",
		"server that folds", "deletes=keep", "direction=pull"};
	int missing = 0;

	for (size_t i = 0; i < TALLIES && tallies[i].what[0] != '\0'; i++) {
		(void)fprintf(stderr, "%s%s %u", i > 0 ? ", " : "came to pass: ", tallies[i].what, tallies[i].count);
	}
	(void)fputc('\n', stderr);
	if (histories < SEEDS) {
		return 0;
	}
	/* The rarer ones need more than the usual run. */
	for (size_t i = histories < 10 * SEEDS ? USUAL_FIRST : 0; i < ARRAY_LENGTH(wanted); i++) {
		if (tally_of(wanted[i]) == 0) {
			(void)fprintf(stderr, "never came to pass: %s\n", wanted[i]);
			missing++;
		}
	}
	for (unsigned fault = 0; fault < MODEL_FAULT_COUNT; fault++) {
		missing += tally_of(model_fault_name((enum model_fault)fault)) == 0;
	}
	for (size_t kind = 0; kind < sim_deed_count(); kind++) {
		missing += tally_of(sim_deed_name(kind)) == 0;
	}
	return missing;
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
	return failed + check_tallies(count);
}
