/* What people do on both sides, at random. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MAILBOXES 40

/* --- choosing --- */

static char *
new_name(void)
{
	struct buf name = BUF_INIT;

	buf_printf(&name, "%c%u", 'A' + (int)sim_below(26), ++sim.name_count);
	return buf_take(&name);
}

struct sim_token *
sim_token_named(struct slice token)
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
	if (sim.token_count == SIM_TOKENS) {
		return false;
	}
	(void)snprintf(out, 24, "t%u", sim.token_count);
	sim.tokens[sim.token_count++] = (struct sim_token){.from_here = from_here};
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
		if (sim_below((unsigned)++count) == 0) {
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
	size_t chosen = names->count > 0 ? sim_below((unsigned)names->count) : 0;
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

	return changes[sim_below(ARRAY_LENGTH(changes))];
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
		(void)snprintf(message, sizeof message, "%s%s", token, sim_chance(30) ? "+seen+k1" : "");
		sim_note("here: add %s to %s", message, deed->mailbox);
		here_add(deed->mailbox, message);
	}
}

static void
do_there_add(const struct deed *deed)
{
	char token[24], message[60];

	if (new_token(false, token)) {
		(void)snprintf(message, sizeof message, "%s%s", token,
			!sim_chance(30)                         ? ""
			: world.options.server.without_keywords ? "+flagged"
								: "+flagged+k2");
		sim_note("there: add %s to %s", message, deed->mailbox);
		(void)there_add(deed->mailbox, message);
	}
}

static void
do_here_copy(const struct deed *deed)
{
	if (here_has_body(deed->mailbox, deed->token)) {
		sim_note("here: copy %s from %s to %s", deed->token, deed->mailbox, deed->other);
		sim_token_named(slice_of(deed->token))->copies_here++;
		here_copy(deed->mailbox, deed->token, deed->other);
	}
}

static void
do_there_copy(const struct deed *deed)
{
	sim_note("there: copy %s from %s to %s", deed->token, deed->mailbox, deed->other);
	sim_token_named(slice_of(deed->token))->copies_there++;
	there_copy(deed->mailbox, deed->token, deed->other);
}

static void
do_here_flag(const struct deed *deed)
{
	const char *change = any_flags();

	sim_note("here: flag %s in %s %s", deed->token, deed->mailbox, change);
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
		sim_note("there: flag %s in %s %s", deed->token, deed->mailbox, change);
		there_flag(deed->mailbox, deed->token, change);
	}
}

static void
do_here_move(const struct deed *deed)
{
	if (strcmp(deed->mailbox, deed->other) != 0) {
		sim_note("here: move %s from %s to %s", deed->token, deed->mailbox, deed->other);
		sim_token_named(slice_of(deed->token))->moves_here++;
		here_move(deed->mailbox, deed->token, deed->other);
	}
}

static void
do_there_move(const struct deed *deed)
{
	if (strcmp(deed->mailbox, deed->other) != 0) {
		sim_note("there: move %s from %s to %s", deed->token, deed->mailbox, deed->other);
		sim_token_named(slice_of(deed->token))->moves_there++;
		if (world.options.server.guids == MODEL_GUIDS_NONE) { /* nothing tells it from a copy and an expunge */
			sim_token_named(slice_of(deed->token))->copies_there++;
			sim_token_named(slice_of(deed->token))->expunges++;
		}
		there_move(deed->mailbox, deed->token, deed->other);
	}
}

static bool
is_there(const char *mailbox, const char *token)
{
	const struct model_mailbox *there = model_find(world.server, mailbox);

	for (size_t i = 0; there != NULL && i < there->count; i++) {
		if (slice_equal(model_token(slice_make(there->messages[i].body, there->messages[i].length)),
			    slice_of(token))) {
			return true;
		}
	}
	return false;
}

static bool
is_here(const char *mailbox, const char *token)
{
	char *list = world_list_here(mailbox);
	bool found = false;

	for (char *save = NULL, *word = list != NULL ? strtok_r(list, " ", &save) : NULL; word != NULL;
		word = strtok_r(NULL, " ", &save)) {
		found |= slice_equal(slice_make(word, strcspn(word, "+")), slice_of(token));
	}
	free(list);
	return found;
}

/* The same message is moved on both sides, often to different mailboxes. */
static void
do_both_move(const struct deed *deed)
{
	char *here = any_mailbox_here();

	if (here != NULL && is_here(deed->mailbox, deed->token) && is_there(deed->mailbox, deed->token)) {
		const struct deed ours = {.mailbox = deed->mailbox, .other = here, .token = deed->token};

		do_there_move(deed);
		do_here_move(&ours);
	}
	free(here);
}

static void
do_here_expunge(const struct deed *deed)
{
	sim_note("here: expunge %s in %s", deed->token, deed->mailbox);
	sim_token_named(slice_of(deed->token))->expunges++;
	here_expunge(deed->mailbox, deed->token);
}

static void
do_there_expunge(const struct deed *deed)
{
	sim_note("there: expunge %s in %s", deed->token, deed->mailbox);
	sim_token_named(slice_of(deed->token))->expunges++;
	there_expunge(deed->mailbox, deed->token);
}

static void
do_here_replace(const struct deed *deed)
{
	char token[24];

	if (new_token(true, token)) {
		sim_note("here: replace %s in %s by %s", deed->token, deed->mailbox, token);
		sim_token_named(slice_of(deed->token))->expunges++;
		here_replace(deed->mailbox, deed->token, token);
	}
}

static char *
child_name(const struct deed *deed)
{
	struct buf name = BUF_INIT;
	char *leaf = new_name();

	if (sim_chance(30) && strcmp(deed->mailbox, "INBOX") != 0) {
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

	sim_note("here: make %s", name);
	here_create(name);
	free(name);
}

static void
do_there_create(const struct deed *deed)
{
	char *name = child_name(deed);

	sim_note("there: make %s", name);
	there_create(name);
	free(name);
}

static void
do_here_rename(const struct deed *deed)
{
	char *name = new_name();

	if (strcmp(deed->mailbox, "INBOX") != 0) {
		sim_note("here: rename %s to %s", deed->mailbox, name);
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

/* Where no id tells, and no message does, it is one mailbox gone and one new. */
static void
note_renamed(const char *mailbox)
{
	char *list = world_list_there(mailbox);

	for (char *save = NULL, *word = list != NULL ? strtok_r(list, " ", &save) : NULL; word != NULL;
		word = strtok_r(NULL, " ", &save)) {
		struct sim_token *token = sim_token_named(slice_make(word, strcspn(word, "+")));

		token->moves_there++;
		if (world.options.server.mailbox_ids == GUID_NONE) {
			token->copies_there++;
			token->expunges++;
		}
	}
	free(list);
}

static void
do_there_rename(const struct deed *deed)
{
	char *name = child_name(deed);

	/* What is about to be deleted is left in its place. */
	if (strcmp(deed->mailbox, "INBOX") != 0 && !something_is_about_to_go() &&
		strncmp(name, deed->mailbox, strlen(deed->mailbox)) != 0) {
		sim_note("there: rename %s to %s", deed->mailbox, name);
		for (size_t i = 0; i < world.server->count; i++) {
			const char *below = world.server->mailboxes[i]->name;
			size_t length = strlen(deed->mailbox);

			if (strncmp(below, deed->mailbox, length) == 0 &&
				(below[length] == '/' || below[length] == '\0')) {
				note_renamed(below);
			}
		}
		there_rename(deed->mailbox, name);
	}
	free(name);
}

void
sim_note_all_expunged(char *list)
{
	for (char *save = NULL, *word = list != NULL ? strtok_r(list, " ", &save) : NULL; word != NULL;
		word = strtok_r(NULL, " ", &save)) {
		sim_token_named(slice_make(word, strcspn(word, "+")))->expunges++;
	}
	free(list);
}

/* An empty one, as rmdir does; seldom one with messages, as a tool might. */
static void
do_here_remove(const struct deed *deed)
{
	char *list = world_list_here(deed->mailbox);

	if (strcmp(deed->mailbox, "INBOX") != 0 && (list[0] == '\0' || sim_chance(20))) {
		sim_note("here: remove %s [%s]", deed->mailbox, list);
		sim_note_all_expunged(list);
		here_remove(deed->mailbox);
		return;
	}
	free(list);
}

static void
do_there_remove(const struct deed *deed)
{
	char *list = world_list_there(deed->mailbox);

	if (strcmp(deed->mailbox, "INBOX") != 0 && (list[0] == '\0' || sim_chance(20))) {
		sim_note("there: remove %s [%s]", deed->mailbox, list);
		sim_note_all_expunged(list);
		there_remove(deed->mailbox);
		return;
	}
	free(list);
}

static void
do_here_subscribe(const struct deed *deed)
{
	bool subscribed = sim_chance(50);

	sim_note("here: subscription of %s: %d", deed->mailbox, subscribed);
	here_subscribe(deed->mailbox, subscribed);
}

static void
do_there_subscribe(const struct deed *deed)
{
	there_mailbox(deed->mailbox)->subscribed = sim_chance(50);
	sim_note("there: subscription of %s: %d", deed->mailbox, there_mailbox(deed->mailbox)->subscribed);
}

/* The server is rebuilt, or comes back from a backup (R7). */
static void
do_there_rebuild(const struct deed *deed)
{
	if (sim_chance(30)) {
		sim_note("there: %s is rebuilt", deed->mailbox);
		model_rebuild(world.server, there_mailbox(deed->mailbox));
	}
}

static void
do_there_restore(const struct deed *deed)
{
	struct model_mailbox *mailbox = there_mailbox(deed->mailbox);
	size_t lost = sim_below(4);

	if (!sim_chance(30)) {
		return;
	}
	lost = lost < mailbox->count ? lost : mailbox->count;
	sim_note("there: %s is restored without %zu", deed->mailbox, lost);
	for (size_t i = mailbox->count - lost; i < mailbox->count; i++) {
		sim_token_named(model_token(slice_make(mailbox->messages[i].body, mailbox->messages[i].length)))
			->expunges++;
	}
	model_restore(mailbox, lost);
	world_advance_s(1); /* what comes under their UIDs comes later */
}

static const struct deed_kind {
	void (*act)(const struct deed *deed);
	unsigned weight;
	bool here, message;
	const char *name;
} deed_kinds[] = {
	{do_here_add, 10, true, false, "here_add"},
	{do_there_add, 10, false, false, "there_add"},
	{do_here_copy, 4, true, true, "here_copy"},
	{do_there_copy, 4, false, true, "there_copy"},
	{do_here_flag, 10, true, true, "here_flag"},
	{do_there_flag, 10, false, true, "there_flag"},
	{do_here_move, 8, true, true, "here_move"},
	{do_there_move, 8, false, true, "there_move"},
	{do_here_expunge, 5, true, true, "here_expunge"},
	{do_there_expunge, 5, false, true, "there_expunge"},
	{do_here_replace, 3, true, true, "here_replace"},
	{do_here_create, 3, true, false, "here_create"},
	{do_there_create, 3, false, false, "there_create"},
	{do_here_rename, 2, true, false, "here_rename"},
	{do_there_rename, 2, false, false, "there_rename"},
	{do_here_remove, 3, true, false, "here_remove"},
	{do_there_remove, 3, false, false, "there_remove"},
	{do_here_subscribe, 1, true, false, "here_subscribe"},
	{do_there_subscribe, 1, false, false, "there_subscribe"},
	{do_both_move, 2, false, true, "both_move"},
	{do_there_rebuild, 1, false, false, "there_rebuild"},
	{do_there_restore, 1, false, false, "there_restore"},
};

void
sim_do_something(void)
{
	unsigned total = 0, at, kind = 0;
	struct deed deed = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(deed_kinds); i++) {
		total += sim.weights[i];
	}
	for (at = sim_below(total); at >= sim.weights[kind]; kind++) {
		at -= sim.weights[kind];
	}
	const struct deed_kind *chosen = &deed_kinds[kind];

	deed.mailbox = chosen->here ? any_mailbox_here() : any_mailbox_there();
	deed.other = chosen->here ? any_mailbox_here() : any_mailbox_there();
	if (deed.mailbox != NULL && chosen->message) {
		deed.token = any_word(chosen->here ? world_list_here(deed.mailbox) : world_list_there(deed.mailbox));
	}
	if (deed.mailbox != NULL && (!chosen->message || deed.token != NULL)) {
		sim_tally(chosen->name);
		chosen->act(&deed);
	}
	free(deed.mailbox);
	free(deed.other);
	free(deed.token);
}

size_t
sim_deed_count(void)
{
	return ARRAY_LENGTH(deed_kinds);
}

const char *
sim_deed_name(size_t kind)
{
	return deed_kinds[kind].name;
}

void
sim_choose_weights(void)
{
	bool pull = world.options.direction == SYNC_PULL; /* then the mount is read-only */

	static_assert(ARRAY_LENGTH(deed_kinds) <= SIM_DEED_KINDS, "the history has room for them");
	for (size_t i = 0; i < ARRAY_LENGTH(deed_kinds); i++) {
		sim.weights[i] = i < 2 || sim_chance(70) ? deed_kinds[i].weight * (1 + sim_below(3)) : 0;
		if (pull && (deed_kinds[i].here || deed_kinds[i].act == do_both_move)) {
			sim.weights[i] = 0;
		}
		/* A mailbox that is kept here and is no more there has nowhere to send what is put into it. */
		bool takes_away = deed_kinds[i].act == do_there_remove || deed_kinds[i].act == do_there_rename;

		if (world.options.deletes_keep && takes_away) {
			sim.weights[i] = 0;
		}
	}
}
