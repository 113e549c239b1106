#include "engine/sync/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/base/random.h"
#include "engine/base/scope.h"

/* --- tables: a few mailboxes, and what is to be done, as text --- */

#define ROWS 6

struct row { /* one mailbox of one view; name NULL: no more */
	const char *name;
	unsigned id; /* ours: the row; theirs: the remote's id, 0 none */
	bool directory, unsubscribed, removed, has_messages, implied;
	const char *raw; /* of a base and a remote, where it is not the name */
};

struct tree_case {
	const char *what;
	struct row locals[ROWS], remotes[ROWS], bases[ROWS]; /* a base's `id` is its row */
	unsigned base_ids[ROWS];                             /* the remote's id in a base */
	const char *plan;
};

static struct guid
guid_of(unsigned id)
{
	struct guid guid = {.kind = id != 0 ? GUID_MAILBOXID : GUID_NONE, .length = (uint8_t)(id != 0)};

	guid.value[0] = (char)id;
	return guid;
}

static const char *
action_name(enum tree_action action)
{
	static const char *const names[] = {
		[TREE_PAIR] = "pair",
		[TREE_CREATE_HERE] = "create here",
		[TREE_CREATE_THERE] = "create there",
		[TREE_RENAME_HERE] = "rename here",
		[TREE_RENAME_THERE] = "rename there",
		[TREE_SUBSCRIBE_HERE] = "subscribe here",
		[TREE_SUBSCRIBE_THERE] = "subscribe there",
		[TREE_VANISHED] = "vanished",
		[TREE_REMOVE_THERE] = "remove there",
		[TREE_FORGET] = "forget",
		[TREE_CONFLICT] = "conflict",
	};

	return names[action];
}

struct views {
	struct tree_local locals[ROWS];
	struct tree_remote remotes[ROWS];
	struct tree_base bases[ROWS];
	size_t local_count, remote_count, base_count;
};

static void
fill_views(const struct tree_case *row, struct views *views)
{
	*views = (struct views){.local_count = 0};
	for (; views->local_count < ROWS && row->locals[views->local_count].name != NULL; views->local_count++) {
		const struct row *local = &row->locals[views->local_count];

		views->locals[views->local_count] = (struct tree_local){.id = {local->id},
			.name = slice_of(local->name),
			.directory = local->directory,
			.subscribed = !local->unsubscribed,
			.live = !local->removed,
			.implied = local->implied,
			.has_messages = local->has_messages};
	}
	for (; views->remote_count < ROWS && row->remotes[views->remote_count].name != NULL; views->remote_count++) {
		const struct row *remote = &row->remotes[views->remote_count];

		views->remotes[views->remote_count] = (struct tree_remote){.name = slice_of(remote->name),
			.raw_name = slice_of(remote->raw != NULL ? remote->raw : remote->name),
			.separator = '/',
			.id = guid_of(remote->id),
			.directory = remote->directory,
			.subscribed = !remote->unsubscribed};
	}
	for (; views->base_count < ROWS && row->bases[views->base_count].name != NULL; views->base_count++) {
		const struct row *base = &row->bases[views->base_count];

		views->bases[views->base_count] = (struct tree_base){.mailbox = {base->id},
			.name = slice_of(base->name),
			.raw_name = slice_of(base->raw != NULL ? base->raw : base->name),
			.id = guid_of(row->base_ids[views->base_count]),
			.subscribed = !base->unsubscribed,
			.directory = base->directory};
	}
}

/* "rename there A to B": the names of what it is about. */
static void
print_step(const struct views *views, const struct tree_step *step, struct buf *out)
{
	struct slice here = step->local != TREE_NONE ? views->locals[step->local].name : (struct slice){0};
	struct slice there = step->remote != TREE_NONE ? views->remotes[step->remote].name : (struct slice){0};
	bool subscribes = step->action == TREE_SUBSCRIBE_HERE || step->action == TREE_SUBSCRIBE_THERE;

	buf_append_text(out, out->length > 0 ? "; " : "");
	buf_append_text(out, action_name(step->action));
	buf_append_octet(out, ' ');
	if (step->action == TREE_FORGET) {
		buf_append(out, views->bases[step->base].name);
	} else {
		buf_append(out, here.length > 0 ? here : there);
	}
	if (here.length > 0 && there.length > 0 && !slice_equal(here, there)) {
		buf_append_text(out, " = ");
		buf_append(out, there);
	}
	if (subscribes) {
		buf_append_text(out, step->subscribed ? " yes" : " no");
	}
}

static const struct tree_case tree_cases[] = {
	{"first contact, nothing here", {{0}}, {{"INBOX", 1}, {"A", 2}}, {{0}}, {0},
		"create here INBOX; create here A"},
	{"a child before its parent in the listing", {{0}}, {{"A/B", 1}, {"A", 2}}, {{0}}, {0},
		"create here A; create here A/B"},
	{"made here", {{"A", 1}, {"A/B", 2}}, {{0}}, {{0}}, {0}, "create there A; create there A/B"},
	{"a directory that only holds is not made there", {{"A", 1, .directory = true, .implied = true}, {"A/B", 2}},
		{{0}}, {{0}}, {0}, "create there A/B"},
	{"made on both sides", {{"A", 1, .has_messages = true}}, {{"A", 5}}, {{0}}, {0}, "pair A"},
	{"made on both sides, not subscribed here: subscribed", {{"A", 1, .unsubscribed = true}}, {{"A", 5}}, {{0}},
		{0}, "pair A; subscribe here A yes"},
	{"at rest", {{"A", 1}}, {{"A", 5}}, {{"A", 1}}, {5}, "pair A"},
	{"at rest, without ids", {{"A", 1}}, {{"A"}}, {{"A", 1}}, {0}, "pair A"},
	{"renamed here", {{"B", 1}}, {{"A", 5}}, {{"A", 1}}, {5}, "pair B = A; rename there B = A"},
	{"renamed there", {{"A", 1}}, {{"B", 5}}, {{"A", 1}}, {5}, "pair A = B; rename here A = B"},
	{"renamed on both sides: the remote's name wins", {{"B", 1}}, {{"C", 5}}, {{"A", 1}}, {5},
		"pair B = C; rename here B = C"},
	{"renamed alike on both sides", {{"B", 1}}, {{"B", 5}}, {{"A", 1}}, {5}, "pair B"},
	{"a parent renamed here takes its child along", {{"B", 1}, {"B/C", 2}}, {{"A", 5}, {"A/C", 6}},
		{{"A", 1}, {"A/C", 2}}, {5, 6}, "pair B = A; pair B/C = A/C; rename there B = A"},
	{"a parent renamed there takes its child along", {{"A", 1}, {"A/C", 2}}, {{"B", 5}, {"B/C", 6}},
		{{"A", 1}, {"A/C", 2}}, {5, 6}, "pair A = B; pair A/C = B/C; rename here A = B"},
	{"renamed here to a name that was made there", {{"B", 1}}, {{"A", 5}, {"B", 6}}, {{"A", 1}}, {5},
		"pair B = A; conflict B = A; conflict B"},
	{"removed here", {{"A", 1, .removed = true}}, {{"A", 5}}, {{"A", 1}}, {5}, "remove there A"},
	{"removed there", {{"A", 1}}, {{0}}, {{"A", 1}}, {5}, "vanished A"},
	{"removed on both sides", {{"A", 1, .removed = true}}, {{0}}, {{"A", 1}}, {5}, "forget A"},
	{"children are removed before parents", {{"A", 1, .removed = true}, {"A/B", 2, .removed = true}},
		{{"A", 5}, {"A/B", 6}}, {{"A", 1}, {"A/B", 2}}, {5, 6}, "remove there A/B; remove there A"},
	{"removed here and renamed there", {{"A", 1, .removed = true}}, {{"B", 5}}, {{"A", 1}}, {5},
		"remove there A = B"},
	{"removed and made anew here", {{"A", 1, .removed = true}, {"A", 2}}, {{"A", 5}}, {{"A", 1}}, {5},
		"create there A; remove there A"},
	{"removed and made anew there, empty here", {{"A", 1}}, {{"A", 6}}, {{"A", 1}}, {5}, "pair A"},
	{"removed and made anew there, with mail here", {{"A", 1, .has_messages = true}}, {{"A", 6}}, {{"A", 1}}, {5},
		"pair A"},
	{"unsubscribed here", {{"A", 1, .unsubscribed = true}}, {{"A", 5}}, {{"A", 1}}, {5},
		"pair A; subscribe there A no"},
	{"unsubscribed there", {{"A", 1}}, {{"A", 5, .unsubscribed = true}}, {{"A", 1}}, {5},
		"pair A; subscribe here A no"},
	{"a mere name has no subscription", {{"A", 1, .directory = true}},
		{{"A", 0, .directory = true, .unsubscribed = true}}, {{"A", 1}}, {0}, "pair A"},
	{"a mailbox that became a mere name, with mail here", {{"A", 1, .has_messages = true}},
		{{"A", 0, .directory = true}}, {{"A", 1}}, {0}, "vanished A"},
	{"a mailbox that became a mere name, empty here", {{"A", 1}}, {{"A", 0, .directory = true}}, {{"A", 1}}, {0},
		"pair A"},
	{"made here where there is a mere name", {{"A", 1}}, {{"A", 0, .directory = true}}, {{0}}, {0},
		"create there A"},
	{"a directory here is a mailbox there", {{"A", 1, .directory = true, .implied = true}}, {{"A", 5}}, {{0}}, {0},
		"pair A"},
	{"names swapped there", {{"A", 1}, {"B", 2}}, {{"B", 5}, {"A", 6}}, {{"A", 1}, {"B", 2}}, {5, 6},
		"pair A = B; pair B = A; conflict A = B; conflict B = A"},
};

static void
each_case_has_its_plan(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(tree_cases); i++) {
		SCOPED(buf_finish) struct buf text = BUF_INIT;
		struct tree_step *steps = NULL;
		struct views views;

		fill_views(&tree_cases[i], &views);
		size_t count = tree_plan(views.locals, views.local_count, views.remotes, views.remote_count,
			views.bases, views.base_count, &steps);

		for (size_t j = 0; j < count; j++) {
			print_step(&views, &steps[j], &text);
		}
		free(steps);
		buf_append_octet(&text, '\0');
		if (strcmp(text.data, tree_cases[i].plan) != 0) {
			fail_msg("%s: is [%s], wanted [%s]", tree_cases[i].what, text.data, tree_cases[i].plan);
		}
	}
}

/* --- at random: two trees are changed, and the plan is carried out --- */

#define MAILBOXES 40

struct mailbox_here {
	unsigned id;
	char name[64];
	bool live, subscribed;
};

struct mailbox_there {
	unsigned id;
	char name[64];
	bool live, subscribed;
};

struct mailbox_base {
	unsigned here, there;
	char name[64];
	bool live, subscribed;
};

static struct trees {
	struct random random;
	struct mailbox_here here[MAILBOXES];
	struct mailbox_there there[MAILBOXES];
	struct mailbox_base base[MAILBOXES];
	size_t here_count, there_count, base_count;
	unsigned last_name;
	/* where each row of the views comes from */
	size_t view_there[MAILBOXES], view_base[MAILBOXES];
} trees;

static void
put_name(char out[64], const char *name)
{
	(void)snprintf(out, 64, "%s", name);
}

/* Puts `to` in the place of `from` at the head of a name in or below it. */
static void
follow(char name[64], const char *from, const char *to)
{
	char renamed[160];
	size_t length = strlen(from);

	if (strncmp(name, from, length) == 0 && (name[length] == '\0' || name[length] == '/')) {
		(void)snprintf(renamed, sizeof renamed, "%s%s", to, name + length);
		assert_true(strlen(renamed) < 64);
		memcpy(name, renamed, strlen(renamed) + 1);
	}
}

static void
rename_here(const char *from, const char *to)
{
	char old[64];

	put_name(old, from);
	for (size_t i = 0; i < trees.here_count; i++) {
		if (trees.here[i].live) {
			follow(trees.here[i].name, old, to);
		}
	}
}

static void
rename_there(const char *from, const char *to)
{
	char old[64];

	put_name(old, from);
	for (size_t i = 0; i < trees.there_count; i++) {
		if (trees.there[i].live) {
			follow(trees.there[i].name, old, to);
		}
	}
}

static void
new_name(char out[64], const char *parent)
{
	(void)snprintf(out, 64, "%s%sN%u", parent, parent[0] != '\0' ? "/" : "", ++trees.last_name);
}

static void
make_here(const char *name)
{
	struct mailbox_here *row = &trees.here[trees.here_count];

	assert_true(trees.here_count < MAILBOXES);
	*row = (struct mailbox_here){.id = (unsigned)++trees.here_count, .live = true, .subscribed = true};
	put_name(row->name, name);
}

static void
make_there(const char *name)
{
	struct mailbox_there *row = &trees.there[trees.there_count];

	assert_true(trees.there_count < MAILBOXES);
	*row = (struct mailbox_there){.id = (unsigned)++trees.there_count, .live = true, .subscribed = true};
	put_name(row->name, name);
}

static bool
has_children(const char *name, bool here)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < (here ? trees.here_count : trees.there_count); i++) {
		const char *other = here ? trees.here[i].name : trees.there[i].name;
		bool live = here ? trees.here[i].live : trees.there[i].live;

		if (live && strncmp(other, name, length) == 0 && other[length] == '/') {
			return true;
		}
	}
	return false;
}

/* One random change on one side; new names are never used twice, so no conflict arises. */
static void
change_one_side(bool here)
{
	size_t count = here ? trees.here_count : trees.there_count;
	size_t chosen = count > 0 ? random_below(&trees.random, count) : 0;
	bool live = count > 0 && (here ? trees.here[chosen].live : trees.there[chosen].live);
	char *name = count == 0 ? NULL : here ? trees.here[chosen].name : trees.there[chosen].name;
	bool *subscribed = count == 0 ? NULL : here ? &trees.here[chosen].subscribed : &trees.there[chosen].subscribed;
	char made[64];

	switch (random_below(&trees.random, 5)) {
	case 0:
	case 1:
		new_name(made, live && strlen(name) < 30 && random_below(&trees.random, 2) == 0 ? name : "");
		if (count < MAILBOXES / 2) {
			(here ? make_here : make_there)(made);
		}
		break;
	case 2:
		if (live) {
			new_name(made, "");
			(here ? rename_here : rename_there)(name, made);
		}
		break;
	case 3:
		if (live && !has_children(name, here)) {
			*(here ? &trees.here[chosen].live : &trees.there[chosen].live) = false;
		}
		break;
	default:
		if (live) {
			*subscribed = !*subscribed;
		}
		break;
	}
}

static size_t
plan(struct tree_local *locals, struct tree_remote *remotes, struct tree_base *bases, struct tree_step **out)
{
	size_t remote_count = 0, base_count = 0;

	for (size_t i = 0; i < trees.here_count; i++) {
		locals[i] = (struct tree_local){.id = {trees.here[i].id},
			.name = slice_of(trees.here[i].name),
			.subscribed = trees.here[i].subscribed,
			.live = trees.here[i].live};
	}
	for (size_t i = 0; i < trees.there_count; i++) {
		if (trees.there[i].live) {
			trees.view_there[remote_count] = i;
			remotes[remote_count++] = (struct tree_remote){.name = slice_of(trees.there[i].name),
				.raw_name = slice_of(trees.there[i].name),
				.separator = '/',
				.id = guid_of(trees.there[i].id),
				.subscribed = trees.there[i].subscribed};
		}
	}
	for (size_t i = 0; i < trees.base_count; i++) {
		if (trees.base[i].live) {
			trees.view_base[base_count] = i;
			bases[base_count++] = (struct tree_base){.mailbox = {trees.base[i].here},
				.name = slice_of(trees.base[i].name),
				.raw_name = slice_of(trees.base[i].name),
				.id = guid_of(trees.base[i].there),
				.subscribed = trees.base[i].subscribed};
		}
	}
	return tree_plan(locals, trees.here_count, remotes, remote_count, bases, base_count, out);
}

static struct mailbox_base *
base_of(unsigned here)
{
	for (size_t i = 0; i < trees.base_count; i++) {
		if (trees.base[i].live && trees.base[i].here == here) {
			return &trees.base[i];
		}
	}
	return NULL;
}

static void
put_base(const struct mailbox_here *here, const struct mailbox_there *there)
{
	struct mailbox_base *base = base_of(here->id);

	if (base == NULL) {
		assert_true(trees.base_count < MAILBOXES);
		base = &trees.base[trees.base_count++];
		*base = (struct mailbox_base){.here = here->id, .there = there->id, .live = true, .subscribed = false};
	}
	put_name(base->name, there->name);
}

/* Carries a step out as engine/sync does, on mailboxes that hold nothing. */
static void
carry_out(const struct tree_step *step)
{
	struct mailbox_here *here = step->local != TREE_NONE ? &trees.here[step->local] : NULL;
	struct mailbox_there *there = step->remote != TREE_NONE ? &trees.there[trees.view_there[step->remote]] : NULL;
	struct mailbox_base *base = step->base != TREE_NONE ? &trees.base[trees.view_base[step->base]] : NULL;

	switch (step->action) {
	case TREE_PAIR:
		put_base(here, there);
		break;
	case TREE_CREATE_HERE:
		make_here(there->name);
		trees.here[trees.here_count - 1].subscribed = there->subscribed;
		put_base(&trees.here[trees.here_count - 1], there);
		base_of(trees.here[trees.here_count - 1].id)->subscribed = there->subscribed;
		break;
	case TREE_CREATE_THERE:
		make_there(here->name);
		trees.there[trees.there_count - 1].subscribed = here->subscribed;
		put_base(here, &trees.there[trees.there_count - 1]);
		base_of(here->id)->subscribed = here->subscribed;
		break;
	case TREE_RENAME_HERE:
		if (strcmp(here->name, there->name) != 0) {
			rename_here(here->name, there->name);
		}
		put_base(here, there);
		break;
	case TREE_RENAME_THERE:
		if (strcmp(here->name, there->name) != 0) {
			rename_there(there->name, here->name);
		}
		put_base(here, there);
		break;
	case TREE_SUBSCRIBE_HERE:
	case TREE_SUBSCRIBE_THERE:
		here->subscribed = there->subscribed = base_of(here->id)->subscribed = step->subscribed;
		break;
	case TREE_VANISHED:
		here->live = base->live = false;
		break;
	case TREE_REMOVE_THERE:
		if (!has_children(there->name, false)) {
			there->live = false;
		}
		base->live = false;
		break;
	case TREE_FORGET:
		base->live = false;
		break;
	case TREE_CONFLICT:
		break;
	}
}

static bool
one_round(void)
{
	struct tree_local locals[MAILBOXES];
	struct tree_remote remotes[MAILBOXES];
	struct tree_base bases[MAILBOXES];
	struct tree_step *steps = NULL;
	size_t count = plan(locals, remotes, bases, &steps);
	bool quiet = true;

	for (size_t i = 0; i < count; i++) {
		assert_int_not_equal(steps[i].action, TREE_CONFLICT);
		quiet &= steps[i].action == TREE_PAIR;
		carry_out(&steps[i]);
	}
	free(steps);
	return quiet;
}

static void
expect_equal_trees(void)
{
	size_t here = 0, there = 0;

	for (size_t i = 0; i < trees.here_count; i++) {
		bool found = !trees.here[i].live;

		here += trees.here[i].live;
		for (size_t j = 0; j < trees.there_count; j++) {
			found |= trees.there[j].live && strcmp(trees.there[j].name, trees.here[i].name) == 0 &&
				 trees.there[j].subscribed == trees.here[i].subscribed;
		}
		if (!found) {
			fail_msg("%s is here and not there", trees.here[i].name);
		}
	}
	for (size_t j = 0; j < trees.there_count; j++) {
		there += trees.there[j].live;
	}
	assert_int_equal(here, there);
}

static void
carried_out_the_plan_makes_both_trees_equal(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		trees = (struct trees){.here_count = 0};
		random_seed(&trees.random, seed);
		for (int era = 0; era < 3; era++) {
			for (uint64_t i = random_below(&trees.random, 8); i > 0; i--) {
				change_one_side(true);
			}
			for (uint64_t i = random_below(&trees.random, 8); i > 0; i--) {
				change_one_side(false);
			}
			bool quiet = false;

			for (int round = 0; round < 4 && !quiet; round++) {
				quiet = one_round();
			}
			if (!quiet) {
				fail_msg("seed %llu: four rounds and still something to do", (unsigned long long)seed);
			}
			expect_equal_trees();
		}
	}
}

/* --- renames that no id tells --- */

struct renamed_row {
	const char *name;
	uint32_t uidvalidity, uidnext;
	unsigned id;
	bool directory;
};

struct renamed_case {
	const char *what;
	struct renamed_row bases[3], remotes[3];
	size_t expected[3]; /* the remote of each base, 9: none */
};

static const struct renamed_case renamed_cases[] = {
	{"gone and new with equal counters", {{"X", 7, 5}}, {{"Z", 7, 5}}, {0}},
	{"still there", {{"X", 7, 5}}, {{"X", 7, 5}, {"Z", 7, 5}}, {9}},
	{"another UIDVALIDITY", {{"X", 7, 5}}, {{"Z", 8, 5}}, {9}},
	{"another UIDNEXT", {{"X", 7, 5}}, {{"Z", 7, 6}}, {9}},
	{"counters not told", {{"X", 7, 5}}, {{"Z", 0, 0}}, {0}},
	{"never scanned", {{"X", 0, 1}}, {{"Z", 0, 0}}, {9}},
	{"two that are new", {{"X", 7, 5}}, {{"Y", 7, 5}, {"Z", 7, 5}}, {9}},
	{"two that are gone", {{"X", 7, 5}, {"Y", 7, 5}}, {{"Z", 7, 5}}, {9, 9}},
	{"two of each, told apart", {{"X", 7, 5}, {"Y", 8, 5}}, {{"V", 8, 5}, {"W", 7, 5}}, {1, 0}},
	{"a name that is only a directory now", {{"X", 7, 5}}, {{"X", 0, 0, 0, true}, {"Z", 7, 5}}, {1}},
	{"into a mere directory", {{"X", 7, 5}}, {{"Z", 7, 5, 0, true}}, {9}},
	{"ids that differ", {{"X", 7, 5, 1}}, {{"Z", 7, 5, 2}}, {9}},
	{"the base knows no id yet", {{"X", 7, 5}}, {{"Z", 7, 5, 2}}, {0}},
	{"told by the id", {{"X", 7, 5, 1}}, {{"Z", 7, 5, 1}}, {9}},
	{"the inbox is never renamed", {{"INBOX", 7, 5}}, {{"Z", 7, 5}}, {9}},
};

static void
a_rename_is_supposed_only_where_one_fits_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(renamed_cases); i++) {
		const struct renamed_case *row = &renamed_cases[i];
		struct tree_base bases[3] = {{{0}}};
		struct tree_remote remotes[3] = {{{0}}};
		size_t base_count = 0, remote_count = 0, found[3];

		for (; base_count < 3 && row->bases[base_count].name != NULL; base_count++) {
			const struct renamed_row *base = &row->bases[base_count];

			bases[base_count] = (struct tree_base){.name = slice_of(base->name),
				.raw_name = slice_of(base->name),
				.uidvalidity = base->uidvalidity,
				.uidnext = base->uidnext,
				.id = guid_of(base->id),
				.directory = base->directory};
		}
		for (; remote_count < 3 && row->remotes[remote_count].name != NULL; remote_count++) {
			const struct renamed_row *remote = &row->remotes[remote_count];

			remotes[remote_count] = (struct tree_remote){.name = slice_of(remote->name),
				.raw_name = slice_of(remote->name),
				.uidvalidity = remote->uidvalidity,
				.uidnext = remote->uidnext,
				.id = guid_of(remote->id),
				.directory = remote->directory};
		}
		tree_find_renamed(remotes, remote_count, bases, base_count, found);
		for (size_t b = 0; b < base_count; b++) {
			size_t expected = row->expected[b] == 9 ? TREE_NONE : row->expected[b];

			if (found[b] != expected) {
				fail_msg("%s: %s", row->what, row->bases[b].name);
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_case_has_its_plan),
		cmocka_unit_test(carried_out_the_plan_makes_both_trees_equal),
		cmocka_unit_test(a_rename_is_supposed_only_where_one_fits_one),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
