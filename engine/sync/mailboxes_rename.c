/* Renames there on a server that gives mailboxes no ids (R8): a name that is gone and a new one with the same UIDVALIDITY and UIDNEXT, confirmed by up to
 * three messages that are there under the same UIDs. Where that is not plain it is one mailbox gone and one new.
 */
#include <stdlib.h>

#include "engine/sync/mailboxes.h"

#define SAMPLES     3
#define SELECTS_MAX 50 /* of a listing without counters */

struct rename_look {
	struct mailboxes *all;
	const struct tree_base *base;
	struct base_message samples[SAMPLES];
	size_t count, equal;
};

static bool
rename_take_sample(struct rename_look *look, uint32_t uid, struct error *err)
{
	struct remote_uid id = {.uidvalidity = look->base->uidvalidity, .uid = uid};

	for (size_t i = 0; i < look->count; i++) {
		if (look->samples[i].uid.uid == uid) {
			return true;
		}
	}
	if (!base_message_load_by_uid(
		    look->all->txn, RUN_REMOTE, look->base->mailbox, id, &look->samples[look->count], err)) {
		return false;
	}
	look->count++;
	return true;
}

/* The first, the last, and one between them. */
static bool
rename_read_samples(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct rename_look *look = context;
	SCOPED(uidset_finish) struct uidset known = UIDSET_INIT;
	uint32_t first = 0, last = 0, middle = 0;
	uint64_t at = 0;

	(void)run;
	look->all->txn = txn;
	if (!base_known(txn, RUN_REMOTE, look->base->mailbox, look->base->uidvalidity, &known, err)) {
		return false;
	}
	uint64_t size = uidset_size(&known);

	if (size == 0) {
		return true;
	}
	for (uint32_t uid = 0; uidset_next(&known, &uid); at++) {
		first = at == 0 ? uid : first;
		middle = at == size / 2 ? uid : middle;
		last = uid;
	}
	return rename_take_sample(look, first, err) && rename_take_sample(look, middle, err) &&
	       rename_take_sample(look, last, err);
}

static bool
rename_compare(void *context, struct remote_message *message, struct error *err)
{
	struct rename_look *look = context;

	(void)err;
	for (size_t i = 0; i < look->count; i++) {
		const struct base_message *sample = &look->samples[i];

		if (sample->uid.uid != message->uid) {
			continue;
		}
		bool both_guids = sample->guid.kind != GUID_NONE && message->guid.kind != GUID_NONE;

		look->equal += (!both_guids || guid_equal(&sample->guid, &message->guid)) &&
			       sample->internaldate_s == message->internaldate_s &&
			       sample->size_bytes == message->size_bytes;
	}
	return true;
}

/* Asks the server. What cannot be asked is not a rename. */
static bool
rename_confirm(struct rename_look *look, const struct tree_remote *remote, bool *out, struct error *err)
{
	struct run *run = look->all->run;
	struct remote_target target = {.raw_name = remote->raw_name};
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct remote_selected selected = {0};

	*out = false;
	if (!run_read(run, rename_read_samples, look, err)) {
		return false;
	}
	if (look->count == 0) {
		return true; /* nothing says so, and nothing is lost */
	}
	for (size_t i = 0; i < look->count; i++) {
		uidset_add(&uids, look->samples[i].uid.uid, look->samples[i].uid.uid);
	}
	if (!run->session->ops->identify(run->session, &target, &uids, false, rename_compare, look, &selected, err)) {
		bool survives = run->session->ops->alive(run->session) && run_error_is_local(err);

		if (survives) {
			error_clear(err);
		}
		return survives;
	}
	*out = look->equal == look->count && selected.uidvalidity == look->base->uidvalidity &&
	       selected.uidnext == look->base->uidnext;
	flags_finish(&selected.permanent);
	return true;
}

/* What is below it went with it. */
static void
rename_follow(struct mailboxes *all, struct slice from, struct slice to, char separator)
{
	for (size_t b = 0; b < all->base_count; b++) {
		struct tree_base *base = &all->bases[b];

		if (separator == '\0' || base->raw_name.length <= from.length ||
			!slice_has_prefix(base->raw_name, from) || base->raw_name.data[from.length] != separator) {
			continue;
		}
		SCOPED(buf_finish) struct buf name = BUF_INIT;

		buf_append(&name, to);
		buf_append(&name, slice_skip(base->raw_name, from.length));
		for (size_t r = 0; r < all->run->remote_count; r++) {
			const struct tree_remote *remote = &all->remotes[r];
			bool same = remote->uidvalidity == 0 || remote->uidvalidity == base->uidvalidity;

			if (slice_equal(remote->raw_name, buf_slice(&name)) && remote->directory == base->directory &&
				(same || base->directory)) {
				base->raw_name = remote->raw_name;
				break;
			}
		}
	}
}

static bool
rename_look_at(struct mailboxes *all, struct tree_base *base, const struct tree_remote *remote, struct error *err)
{
	struct rename_look look = {.all = all, .base = base};
	bool renamed;
	bool ok = rename_confirm(&look, remote, &renamed, err);

	for (size_t i = 0; i < look.count; i++) {
		base_message_finish(&look.samples[i]);
	}
	if (ok && renamed) {
		struct slice from = base->raw_name;

		/* Paired by this name, and by the other one of the base, it was renamed there. */
		base->raw_name = remote->raw_name;
		rename_follow(all, from, remote->raw_name, remote->separator);
	}
	return ok;
}

static bool
rename_ignore(void *context, struct remote_message *message, struct error *err)
{
	(void)context;
	(void)message;
	(void)err;
	return true;
}

/* Where the listing does not tell counters, SELECT does. */
static bool
rename_learn_counters(struct mailboxes *all, struct tree_remote *remote, struct error *err)
{
	struct remote_target target = {.raw_name = remote->raw_name};
	struct remote_selected selected = {0};
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct run *run = all->run;

	uidset_add(&uids, 1, 1);
	if (!run->session->ops->identify(run->session, &target, &uids, false, rename_ignore, NULL, &selected, err)) {
		bool survives = run->session->ops->alive(run->session) && run_error_is_local(err);

		if (survives) {
			error_clear(err);
		}
		return survives;
	}
	remote->uidvalidity = selected.uidvalidity;
	remote->uidnext = selected.uidnext;
	flags_finish(&selected.permanent);
	return true;
}

static bool
rename_is_listed(const struct mailboxes *all, const struct tree_base *base)
{
	for (size_t r = 0; r < all->run->remote_count; r++) {
		if (slice_equal(all->remotes[r].raw_name, base->raw_name) && !all->remotes[r].directory) {
			return true;
		}
	}
	return false;
}

static bool
rename_is_new(const struct mailboxes *all, const struct tree_remote *remote)
{
	for (size_t b = 0; b < all->base_count; b++) {
		if (slice_equal(remote->raw_name, all->bases[b].raw_name)) {
			return false;
		}
	}
	return !remote->directory;
}

static bool
rename_learn(struct mailboxes *all, struct error *err)
{
	bool missing = false;
	size_t asked = 0;

	for (size_t b = 0; b < all->base_count; b++) {
		missing |= !all->bases[b].directory && !rename_is_listed(all, &all->bases[b]);
	}
	for (size_t r = 0; missing && r < all->run->remote_count && asked < SELECTS_MAX; r++) {
		struct tree_remote *remote = &all->remotes[r];

		if (remote->uidvalidity != 0 || !rename_is_new(all, remote)) {
			continue;
		}
		asked++;
		if (!rename_learn_counters(all, remote, err)) {
			return false;
		}
	}
	return true;
}

bool
mailboxes_find_renamed(struct mailboxes *all, struct error *err)
{
	size_t *remote_of_base = arena_alloc(&all->run->arena, (all->base_count + 1) * sizeof(*remote_of_base));

	if (!rename_learn(all, err)) {
		return false;
	}
	tree_find_renamed(all->remotes, all->run->remote_count, all->bases, all->base_count, remote_of_base);
	for (size_t b = 0; b < all->base_count; b++) {
		if (remote_of_base[b] != TREE_NONE &&
			!rename_look_at(all, &all->bases[b], &all->remotes[remote_of_base[b]], err)) {
			return false;
		}
	}
	return true;
}
