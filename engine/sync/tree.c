#include "engine/sync/tree.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/base/buf.h"
#include "engine/mail/mailbox_name.h"

struct tree_entry {
	struct slice key;
	size_t index;
};

struct tree_index { /* sorted by key, then index */
	struct tree_entry *entries;
	size_t count;
};

struct tree {
	const struct tree_local *locals;
	const struct tree_remote *remotes;
	const struct tree_base *bases;
	size_t local_count, remote_count, base_count;
	struct tree_index local_by_name, remote_by_raw, remote_by_id;
	size_t *remote_of_base, *local_of_base; /* TREE_NONE: none */
	size_t *base_of_remote, *base_of_local;
	size_t *local_of_remote;                /* paired without a base */
	struct buf *local_names, *remote_names; /* effective: as they will be after the renames planned so far */
	struct tree_step *steps;
	size_t step_count, step_capacity;
};

static void *
tree_alloc(size_t count, size_t size)
{
	void *memory = calloc(count > 0 ? count : 1, size);

	if (memory == NULL) {
		abort();
	}
	return memory;
}

static int
tree_entry_compare(const void *left, const void *right)
{
	const struct tree_entry *a = left, *b = right;
	int order = slice_compare(a->key, b->key);

	if (order != 0) {
		return order;
	}
	return a->index < b->index ? -1 : a->index > b->index;
}

static size_t
tree_find(const struct tree_index *index, struct slice key)
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slice_compare(index->entries[middle].key, key) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < index->count && slice_equal(index->entries[low].key, key) ? index->entries[low].index : TREE_NONE;
}

static void
tree_index_add(struct tree_index *index, struct slice key, size_t position)
{
	index->entries[index->count++] = (struct tree_entry){.key = key, .index = position};
}

static void
tree_index_sort(struct tree_index *index)
{
	qsort(index->entries, index->count, sizeof(*index->entries), tree_entry_compare);
}

static struct slice
tree_id_key(const struct guid *id)
{
	return slice_make(id, offsetof(struct guid, value) + id->length);
}

static void
tree_step_add(struct tree *tree, struct tree_step step)
{
	if (tree->step_count == tree->step_capacity) {
		tree->step_capacity = tree->step_capacity * 2 + 16;
		tree->steps = realloc(tree->steps, tree->step_capacity * sizeof(*tree->steps));
		if (tree->steps == NULL) {
			abort();
		}
	}
	tree->steps[tree->step_count++] = step;
}

static void
tree_build_indices(struct tree *tree)
{
	tree->local_by_name.entries = tree_alloc(tree->local_count, sizeof(struct tree_entry));
	tree->remote_by_raw.entries = tree_alloc(tree->remote_count, sizeof(struct tree_entry));
	tree->remote_by_id.entries = tree_alloc(tree->remote_count, sizeof(struct tree_entry));
	for (size_t i = 0; i < tree->local_count; i++) {
		if (tree->locals[i].live) {
			tree_index_add(&tree->local_by_name, tree->locals[i].name, i);
		}
	}
	for (size_t i = 0; i < tree->remote_count; i++) {
		tree_index_add(&tree->remote_by_raw, tree->remotes[i].raw_name, i);
		if (tree->remotes[i].id.kind != GUID_NONE) {
			tree_index_add(&tree->remote_by_id, tree_id_key(&tree->remotes[i].id), i);
		}
	}
	tree_index_sort(&tree->local_by_name);
	tree_index_sort(&tree->remote_by_raw);
	tree_index_sort(&tree->remote_by_id);
}

static void
tree_pair_base(struct tree *tree, size_t base, size_t remote)
{
	tree->remote_of_base[base] = remote;
	tree->base_of_remote[remote] = base;
}

/* By id first, for a name is only an address; then by the name for those that have no id on either side, or whose place was taken (a rebuilt
 * server: the scan compares and holds, R7). */
static void
tree_pair_bases(struct tree *tree)
{
	for (size_t b = 0; b < tree->base_count; b++) {
		if (tree->bases[b].id.kind == GUID_NONE) {
			continue;
		}
		size_t remote = tree_find(&tree->remote_by_id, tree_id_key(&tree->bases[b].id));

		if (remote != TREE_NONE && tree->base_of_remote[remote] == TREE_NONE) {
			tree_pair_base(tree, b, remote);
		}
	}
	for (size_t b = 0; b < tree->base_count; b++) {
		if (tree->remote_of_base[b] != TREE_NONE) {
			continue;
		}
		size_t remote = tree_find(&tree->remote_by_raw, tree->bases[b].raw_name);

		if (remote == TREE_NONE || tree->base_of_remote[remote] != TREE_NONE) {
			continue;
		}
		size_t local = tree->local_of_base[b];
		bool ids_differ = tree->bases[b].id.kind != GUID_NONE && tree->remotes[remote].id.kind != GUID_NONE;
		bool has_messages = local != TREE_NONE && tree->locals[local].live && tree->locals[local].has_messages;

		if (tree->remotes[remote].directory && (has_messages || tree->bases[b].has_messages)) {
			continue; /* the mailbox vanished; its name is left for what is below it */
		}
		if (!ids_differ || has_messages) {
			tree_pair_base(tree, b, remote);
		}
	}
}

static void
tree_pair_locals_of_bases(struct tree *tree)
{
	/* Rows are few and ids small: an index by id. */
	uint32_t largest = 0;

	for (size_t i = 0; i < tree->local_count; i++) {
		largest = tree->locals[i].id.value > largest ? tree->locals[i].id.value : largest;
	}
	size_t *by_id = tree_alloc((size_t)largest + 1, sizeof(*by_id));

	for (size_t i = 0; i <= largest; i++) {
		by_id[i] = TREE_NONE;
	}
	for (size_t i = 0; i < tree->local_count; i++) {
		by_id[tree->locals[i].id.value] = i;
	}
	for (size_t b = 0; b < tree->base_count; b++) {
		uint32_t id = tree->bases[b].mailbox.value;

		if (id <= largest && by_id[id] != TREE_NONE) {
			tree->local_of_base[b] = by_id[id];
			tree->base_of_local[by_id[id]] = b;
		}
	}
	free(by_id);
}

/* Puts `to` in the place of `from` at the head of every effective name in or below it. */
static void
tree_rename_effective(struct buf *names, size_t count, struct slice from, struct slice to)
{
	SCOPED(buf_finish) struct buf old = BUF_INIT;
	SCOPED(buf_finish) struct buf new = BUF_INIT;

	buf_append(&old, from);
	buf_append(&new, to);
	for (size_t i = 0; i < count; i++) {
		if (!mailbox_name_within(buf_slice(&names[i]), buf_slice(&old))) {
			continue;
		}
		struct buf renamed = BUF_INIT;

		buf_append(&renamed, buf_slice(&new));
		buf_append(&renamed, slice_skip(buf_slice(&names[i]), old.length));
		buf_finish(&names[i]);
		names[i] = renamed;
	}
}

static size_t
tree_depth(struct slice name)
{
	size_t depth = 0;

	for (size_t i = 0; i < name.length; i++) {
		depth += name.data[i] == '/';
	}
	return depth;
}

struct tree_order {
	size_t depth, index;
};

static int
tree_order_compare(const void *left, const void *right)
{
	const struct tree_order *a = left, *b = right;

	if (a->depth != b->depth) {
		return a->depth < b->depth ? -1 : 1;
	}
	return a->index < b->index ? -1 : a->index > b->index;
}

static bool
tree_effective_taken(const struct buf *names, size_t count, struct slice name, size_t except)
{
	for (size_t i = 0; i < count; i++) {
		if (i != except && names[i].data != NULL && slice_equal(buf_slice(&names[i]), name)) {
			return true;
		}
	}
	return false;
}

static void
tree_plan_rename(struct tree *tree, size_t b)
{
	size_t local = tree->local_of_base[b], remote = tree->remote_of_base[b];

	if (remote == TREE_NONE || local == TREE_NONE || !tree->locals[local].live) {
		return;
	}
	struct slice here = buf_slice(&tree->local_names[local]), there = buf_slice(&tree->remote_names[remote]);
	struct tree_step step = {.local = local, .remote = remote, .base = b};

	if (slice_equal(here, there)) {
		return;
	}
	if (!slice_equal(tree->remotes[remote].name, tree->bases[b].name)) {
		if (tree_effective_taken(tree->local_names, tree->local_count, there, local)) {
			step.action = TREE_CONFLICT;
		} else {
			step.action = TREE_RENAME_HERE;
			tree_rename_effective(tree->local_names, tree->local_count, here, there);
		}
	} else if (tree_effective_taken(tree->remote_names, tree->remote_count, here, remote)) {
		step.action = TREE_CONFLICT;
	} else {
		step.action = TREE_RENAME_THERE;
		tree_rename_effective(tree->remote_names, tree->remote_count, there, here);
	}
	tree_step_add(tree, step);
}

static void
tree_plan_renames(struct tree *tree)
{
	struct tree_order *order = tree_alloc(tree->base_count, sizeof(*order));

	for (size_t b = 0; b < tree->base_count; b++) {
		order[b] = (struct tree_order){.depth = tree_depth(tree->bases[b].name), .index = b};
	}
	qsort(order, tree->base_count, sizeof(*order), tree_order_compare);
	for (size_t i = 0; i < tree->base_count; i++) {
		tree_plan_rename(tree, order[i].index);
	}
	free(order);
}

/* Remote mailboxes no base knows: with the live local one of that name if it has no base of its own that is alive, else new here. */
static void
tree_plan_arrivals(struct tree *tree)
{
	struct tree_order *order = tree_alloc(tree->remote_count, sizeof(*order));

	for (size_t r = 0; r < tree->remote_count; r++) {
		order[r] = (struct tree_order){.depth = tree_depth(tree->remotes[r].name), .index = r};
	}
	qsort(order, tree->remote_count, sizeof(*order), tree_order_compare);
	for (size_t i = 0; i < tree->remote_count; i++) {
		size_t r = order[i].index;

		if (tree->base_of_remote[r] != TREE_NONE) {
			continue;
		}
		size_t local = tree_find(&tree->local_by_name, tree->remotes[r].name);
		struct tree_step step = {.action = TREE_CREATE_HERE, .local = local, .remote = r, .base = TREE_NONE};

		if (local != TREE_NONE && tree->remotes[r].directory && !tree->locals[local].directory) {
			continue; /* a mailbox here, a mere name there: it is to be made there, or has vanished */
		}
		if (local != TREE_NONE) {
			size_t base = tree->base_of_local[local];
			bool alive_elsewhere = base != TREE_NONE && tree->remote_of_base[base] != TREE_NONE;
			bool moved_off = !slice_equal(buf_slice(&tree->local_names[local]), tree->remotes[r].name);

			if (!alive_elsewhere && (base == TREE_NONE || !tree->locals[local].has_messages)) {
				step.action = TREE_PAIR;
				tree->local_of_remote[r] = local;
			} else if (alive_elsewhere && moved_off) {
				step.local = TREE_NONE;
			} else {
				step.action = TREE_CONFLICT;
			}
		}
		tree_step_add(tree, step);
	}
	free(order);
}

static bool
tree_local_paired_now(const struct tree *tree, size_t local)
{
	for (size_t r = 0; r < tree->remote_count; r++) {
		if (tree->local_of_remote[r] == local) {
			return true;
		}
	}
	return false;
}

static void
tree_plan_departures(struct tree *tree)
{
	struct tree_order *order = tree_alloc(tree->local_count, sizeof(*order));

	for (size_t l = 0; l < tree->local_count; l++) {
		order[l] = (struct tree_order){.depth = tree_depth(tree->locals[l].name), .index = l};
	}
	qsort(order, tree->local_count, sizeof(*order), tree_order_compare);
	for (size_t i = 0; i < tree->local_count; i++) {
		size_t l = order[i].index;

		if (tree->locals[l].live && tree->base_of_local[l] == TREE_NONE && !tree->locals[l].implied &&
			!tree_local_paired_now(tree, l)) {
			tree_step_add(tree, (struct tree_step){.action = TREE_CREATE_THERE,
						    .local = l,
						    .remote = TREE_NONE,
						    .base = TREE_NONE});
		}
	}
	free(order);
}

/* A name that holds no messages has no subscription to agree on. */
static void
tree_plan_subscription(struct tree *tree, struct tree_step step, bool base)
{
	bool here = tree->locals[step.local].subscribed, there = tree->remotes[step.remote].subscribed;

	if (here == there || !tree->locals[step.local].live || tree->remotes[step.remote].directory) {
		return;
	}
	/* One of them changed it; had both, they would be equal. */
	step.action = there != base ? TREE_SUBSCRIBE_HERE : TREE_SUBSCRIBE_THERE;
	step.subscribed = there != base ? there : here;
	tree_step_add(tree, step);
}

static void
tree_plan_subscriptions(struct tree *tree)
{
	for (size_t b = 0; b < tree->base_count; b++) {
		size_t local = tree->local_of_base[b], remote = tree->remote_of_base[b];

		if (local != TREE_NONE && remote != TREE_NONE) {
			tree_plan_subscription(tree, (struct tree_step){.local = local, .remote = remote, .base = b},
				tree->bases[b].subscribed);
		}
	}
	for (size_t r = 0; r < tree->remote_count; r++) {
		size_t local = tree->local_of_remote[r];

		if (local != TREE_NONE) { /* without a base: subscribed */
			tree_plan_subscription(
				tree, (struct tree_step){.local = local, .remote = r, .base = TREE_NONE}, false);
		}
	}
}

/* Children before parents: those whose names are deeper first. */
static void
tree_plan_removals(struct tree *tree)
{
	struct tree_order *order = tree_alloc(tree->base_count, sizeof(*order));

	for (size_t b = 0; b < tree->base_count; b++) {
		order[b] = (struct tree_order){.depth = SIZE_MAX - tree_depth(tree->bases[b].name), .index = b};
	}
	qsort(order, tree->base_count, sizeof(*order), tree_order_compare);
	for (size_t i = 0; i < tree->base_count; i++) {
		size_t b = order[i].index, local = tree->local_of_base[b], remote = tree->remote_of_base[b];
		bool live = local != TREE_NONE && tree->locals[local].live;
		struct tree_step step = {.local = local, .remote = remote, .base = b};

		if (live && remote != TREE_NONE) {
			continue;
		}
		if (live && tree_local_paired_now(tree, local)) {
			continue;
		}
		step.action = live ? TREE_VANISHED : remote != TREE_NONE ? TREE_REMOVE_THERE : TREE_FORGET;
		tree_step_add(tree, step);
	}
	free(order);
}

static void
tree_init(struct tree *tree)
{
	size_t bases = tree->base_count, remotes = tree->remote_count, locals = tree->local_count;

	tree->remote_of_base = tree_alloc(bases, sizeof(size_t));
	tree->local_of_base = tree_alloc(bases, sizeof(size_t));
	tree->base_of_remote = tree_alloc(remotes, sizeof(size_t));
	tree->local_of_remote = tree_alloc(remotes, sizeof(size_t));
	tree->base_of_local = tree_alloc(locals, sizeof(size_t));
	memset(tree->remote_of_base, 0xff, bases * sizeof(size_t));
	memset(tree->local_of_base, 0xff, bases * sizeof(size_t));
	memset(tree->base_of_remote, 0xff, remotes * sizeof(size_t));
	memset(tree->local_of_remote, 0xff, remotes * sizeof(size_t));
	memset(tree->base_of_local, 0xff, locals * sizeof(size_t));
	tree->local_names = tree_alloc(locals, sizeof(struct buf));
	tree->remote_names = tree_alloc(remotes, sizeof(struct buf));
	for (size_t l = 0; l < locals; l++) {
		if (tree->locals[l].live) {
			buf_append(&tree->local_names[l], tree->locals[l].name);
		}
	}
	for (size_t r = 0; r < remotes; r++) {
		buf_append(&tree->remote_names[r], tree->remotes[r].name);
	}
}

static void
tree_finish(struct tree *tree)
{
	for (size_t l = 0; l < tree->local_count; l++) {
		buf_finish(&tree->local_names[l]);
	}
	for (size_t r = 0; r < tree->remote_count; r++) {
		buf_finish(&tree->remote_names[r]);
	}
	free(tree->local_names);
	free(tree->remote_names);
	free(tree->remote_of_base);
	free(tree->local_of_base);
	free(tree->base_of_remote);
	free(tree->base_of_local);
	free(tree->local_of_remote);
	free(tree->local_by_name.entries);
	free(tree->remote_by_raw.entries);
	free(tree->remote_by_id.entries);
}

size_t
tree_plan(const struct tree_local *locals, size_t local_count, const struct tree_remote *remotes, size_t remote_count,
	const struct tree_base *bases, size_t base_count, struct tree_step **out)
{
	static_assert(TREE_NONE == SIZE_MAX, "filled with 0xff octets");
	struct tree tree = {.locals = locals,
		.remotes = remotes,
		.bases = bases,
		.local_count = local_count,
		.remote_count = remote_count,
		.base_count = base_count};

	tree_init(&tree);
	tree_build_indices(&tree);
	tree_pair_locals_of_bases(&tree);
	tree_pair_bases(&tree);
	for (size_t b = 0; b < base_count; b++) {
		if (tree.remote_of_base[b] != TREE_NONE && tree.local_of_base[b] != TREE_NONE &&
			locals[tree.local_of_base[b]].live) {
			tree_step_add(&tree, (struct tree_step){.action = TREE_PAIR,
						     .local = tree.local_of_base[b],
						     .remote = tree.remote_of_base[b],
						     .base = b});
		}
	}
	tree_plan_renames(&tree);
	tree_plan_arrivals(&tree);
	tree_plan_departures(&tree);
	tree_plan_subscriptions(&tree);
	tree_plan_removals(&tree);
	*out = tree.steps;
	tree_finish(&tree);
	return tree.step_count;
}

/* --- renames that no id tells --- */

static bool
tree_is_missing(const struct tree_base *base, const struct tree_remote *remotes, size_t remote_count)
{
	if (base->directory || base->uidvalidity == 0 || mailbox_name_is_inbox(base->name)) {
		return false;
	}
	for (size_t r = 0; r < remote_count; r++) {
		bool same_id = base->id.kind != GUID_NONE && guid_equal(&base->id, &remotes[r].id);

		if (same_id || (slice_equal(remotes[r].raw_name, base->raw_name) && !remotes[r].directory)) {
			return false;
		}
	}
	return true;
}

static bool
tree_is_new(const struct tree_remote *remote, const struct tree_base *bases, size_t base_count)
{
	if (remote->directory || mailbox_name_is_inbox(remote->name)) {
		return false;
	}
	for (size_t b = 0; b < base_count; b++) {
		bool same_id = remote->id.kind != GUID_NONE && guid_equal(&bases[b].id, &remote->id);

		if (same_id || (slice_equal(bases[b].raw_name, remote->raw_name) && !bases[b].directory)) {
			return false;
		}
	}
	return true;
}

static bool
tree_may_be(const struct tree_base *base, const struct tree_remote *remote)
{
	if (base->id.kind != GUID_NONE && remote->id.kind != GUID_NONE) {
		return false;
	}
	return (remote->uidvalidity == 0 || remote->uidvalidity == base->uidvalidity) &&
	       (remote->uidnext == 0 || remote->uidnext == base->uidnext);
}

void
tree_find_renamed(const struct tree_remote *remotes, size_t remote_count, const struct tree_base *bases,
	size_t base_count, size_t *out)
{
	size_t *base_of = tree_alloc(remote_count, sizeof(*base_of));
	bool *doubtful = tree_alloc(remote_count, sizeof(*doubtful));
	bool *is_new = tree_alloc(remote_count, sizeof(*is_new));

	for (size_t r = 0; r < remote_count; r++) {
		base_of[r] = TREE_NONE;
		is_new[r] = tree_is_new(&remotes[r], bases, base_count);
	}
	for (size_t b = 0; b < base_count; b++) {
		size_t fits = 0;

		out[b] = TREE_NONE;
		if (!tree_is_missing(&bases[b], remotes, remote_count)) {
			continue;
		}
		for (size_t r = 0; r < remote_count; r++) {
			if (is_new[r] && tree_may_be(&bases[b], &remotes[r])) {
				fits++;
				out[b] = r;
				doubtful[r] |= base_of[r] != TREE_NONE;
				base_of[r] = b;
			}
		}
		out[b] = fits == 1 ? out[b] : TREE_NONE;
	}
	for (size_t b = 0; b < base_count; b++) {
		if (out[b] != TREE_NONE && doubtful[out[b]]) {
			out[b] = TREE_NONE;
		}
	}
	free(base_of);
	free(doubtful);
	free(is_new);
}
