/* The mailbox tree, done: the account check, what tree_plan says, and which mailboxes a pass is about (R2, R8). Deciding is tree.h's. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mail/mailbox_name.h"
#include "engine/sync/mailboxes.h"

/* --- the account check --- */

static bool
mailboxes_name_taken(const struct run *run, struct slice name)
{
	for (size_t i = 0; i < run->remote_count; i++) {
		if (slice_equal(run->remotes[i].name, name)) {
			return true;
		}
	}
	return false;
}

struct run_remote *
mailboxes_add_remote(struct run *run)
{
	if (run->remote_count == run->remote_capacity) {
		run->remote_capacity = run->remote_capacity * 2 + 32;
		run->remotes = realloc(run->remotes, run->remote_capacity * sizeof(*run->remotes));
		if (run->remotes == NULL) {
			abort();
		}
	}
	return &run->remotes[run->remote_count++];
}

static bool
mailboxes_note(void *context, const struct remote_mailbox *mailbox, struct error *err)
{
	struct run *run = context;
	SCOPED(buf_finish) struct buf name = BUF_INIT;

	(void)err;
	if (!mailbox_name_from_imap_behind(mailbox->prefix, mailbox->raw_name, mailbox->separator, &name)) {
		run_say(run, "a mailbox of the server is left out: its name is too long or too deep");
		run->result->failed++;
		return true;
	}
	if (!mailbox_name_is_inbox(buf_slice(&name)) &&
		!mailbox_name_selected(slice_of(run->sync->settings->mailboxes), buf_slice(&name))) {
		return true;
	}
	if (mailboxes_name_taken(run, buf_slice(&name))) {
		run_say(run, "%s: left out: the server has two mailboxes of this name", name.data);
		run->result->failed++;
		return true;
	}
	struct run_remote *remote = mailboxes_add_remote(run);

	*remote = (struct run_remote){.mailbox = *mailbox, .name = arena_copy(&run->arena, buf_slice(&name))};
	remote->mailbox.raw_name = arena_copy(&run->arena, mailbox->raw_name);
	remote->mailbox.prefix = arena_copy(&run->arena, mailbox->prefix);
	return true;
}

bool
mailboxes_check(struct run *run, struct error *err)
{
	run->remote_count = 0;
	run_progress(run, "checking");
	return run->session->ops->list(run->session, mailboxes_note, run, err);
}

/* --- the tree's three views --- */

static void *
mailboxes_grow(void *memory, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0) {
		return memory;
	}
	memory = realloc(memory, (count > 0 ? count * 2 : 1) * size);
	if (memory == NULL) {
		abort();
	}
	return memory;
}

static bool
mailboxes_add_local(void *context, const struct mailbox *mailbox, struct error *err)
{
	struct mailboxes *all = context;
	struct slice name = slice_of(mailbox->name);

	(void)err;
	if (mailbox->kind == MAILBOX_VIRTUAL ||
		(!mailbox_name_is_inbox(name) &&
			!mailbox_name_selected(slice_of(all->run->sync->settings->mailboxes), name))) {
		return true;
	}
	all->locals = mailboxes_grow(all->locals, all->local_count, sizeof(*all->locals));
	all->locals[all->local_count++] = (struct tree_local){
		.id = mailbox->id,
		.name = arena_copy(&all->run->arena, name),
		.directory = mailbox->kind == MAILBOX_DIRECTORY,
		.implied = mailbox->kind == MAILBOX_DIRECTORY,
		.subscribed = mailbox->subscribed,
		.live = mailbox->expunged_s == 0,
		.has_messages = mailbox->messages > 0,
	};
	return true;
}

static bool
mailboxes_add_base(void *context, const struct base_mailbox *base, struct error *err)
{
	struct mailboxes *all = context;
	struct slice name = slice_of(base->name);

	(void)err;
	if (!mailbox_name_is_inbox(name) &&
		!mailbox_name_selected(slice_of(all->run->sync->settings->mailboxes), name)) {
		return true;
	}
	bool there = false, has_messages = true;
	uint32_t highest = 0;

	for (size_t i = 0; !there && i < all->run->remote_count; i++) {
		const struct remote_mailbox *mailbox = &all->run->remotes[i].mailbox;

		there = (mailbox->attributes & REMOTE_NOSELECT) == 0 &&
			slice_equal(mailbox->raw_name, slice_of(base->raw_name));
	}
	/* Only of what is not where it was more has to be known. */
	if (!there && (!base_highest_uid(all->txn, RUN_REMOTE, base->mailbox, base->uidvalidity, &highest, err) ||
			      !base_mailbox_has_messages(all->txn, RUN_REMOTE, base->mailbox, &has_messages, err))) {
		return false;
	}
	all->bases = mailboxes_grow(all->bases, all->base_count, sizeof(*all->bases));
	all->bases[all->base_count++] = (struct tree_base){
		.mailbox = base->mailbox,
		.name = arena_copy(&all->run->arena, name),
		.raw_name = arena_copy(&all->run->arena, slice_of(base->raw_name)),
		.id = base->id,
		.uidvalidity = base->uidvalidity,
		.uidnext = highest >= base->uidnext ? highest + 1 : base->uidnext,
		.has_messages = has_messages,
		.subscribed = base->subscribed,
		.directory = (base->attributes & REMOTE_NOSELECT) != 0,
	};
	return true;
}

static bool
mailboxes_read(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct mailboxes *all = context;

	all->txn = txn;
	all->remotes = arena_alloc(&run->arena, (run->remote_count + 1) * sizeof(*all->remotes));
	for (size_t i = 0; i < run->remote_count; i++) {
		const struct remote_mailbox *mailbox = &run->remotes[i].mailbox;

		all->separator = mailbox->separator != '\0' ? mailbox->separator : all->separator;
		all->remotes[i] = (struct tree_remote){
			.name = run->remotes[i].name,
			.raw_name = mailbox->raw_name,
			.separator = mailbox->separator,
			.id = mailbox->id,
			.uidvalidity = mailbox->uidvalidity,
			.uidnext = mailbox->uidnext,
			.directory = (mailbox->attributes & REMOTE_NOSELECT) != 0,
			.subscribed = (mailbox->attributes & REMOTE_SUBSCRIBED) != 0,
		};
	}
	return mailbox_each(txn, true, mailboxes_add_local, all, err) &&
	       base_mailbox_each(txn, RUN_REMOTE, mailboxes_add_base, all, err);
}

/* --- the plan, done --- */

static const char *
mailboxes_action_name(enum tree_action action)
{
	switch (action) {
	case TREE_CREATE_HERE:
		return "create here";
	case TREE_CREATE_THERE:
		return "create on the server";
	case TREE_RENAME_HERE:
		return "rename here";
	case TREE_RENAME_THERE:
		return "rename on the server";
	case TREE_SUBSCRIBE_HERE:
	case TREE_SUBSCRIBE_THERE:
		return "change the subscription";
	case TREE_VANISHED:
		return "remove here";
	case TREE_REMOVE_THERE:
		return "remove on the server";
	case TREE_CONFLICT:
		return "set aside";
	case TREE_PAIR:
	case TREE_FORGET:
		break;
	}
	return NULL;
}

static void
mailboxes_print(const struct mailboxes *all, const struct tree_step *step)
{
	const char *what = mailboxes_action_name(step->action);
	const char *name = step->local != TREE_NONE    ? all->locals[step->local].name.data
			   : step->remote != TREE_NONE ? all->remotes[step->remote].name.data
						       : "?";

	if (what != NULL) {
		run_say(all->run, "%s: would %s", name, what);
	}
}

static bool
mailboxes_settle_intent(struct mailboxes *all, const struct intent *intent, struct error *err)
{
	const char *newline = intent->detail != NULL ? strchr(intent->detail, '\n') : NULL;

	if (intent->kind == INTENT_CREATE) {
		return mailboxes_settle_created(all, intent, err);
	}
	if (intent->kind != INTENT_RENAME || newline == NULL) {
		return true;
	}
	struct slice from = slice_make(intent->detail, (size_t)(newline - intent->detail)), to = slice_of(newline + 1);
	const struct run_remote *old = NULL, *new = NULL;
	SCOPED(buf_finish) struct buf name = BUF_INIT;

	for (size_t i = 0; i < all->run->remote_count; i++) {
		const struct run_remote *remote = &all->run->remotes[i];

		old = slice_equal(remote->mailbox.raw_name, from) ? remote : old;
		new = slice_equal(remote->mailbox.raw_name, to) ? remote : new;
	}
	if (old != NULL || new == NULL ||
		!mailbox_name_from_imap_behind(new->mailbox.prefix, from, new->mailbox.separator, &name)) {
		return true;
	}
	return base_mailbox_rename(all->txn, RUN_REMOTE, from, to, buf_slice(&name), new->name, err);
}

static bool
mailboxes_take_intent(void *context, const struct intent *intent, struct error *err)
{
	struct mailboxes *all = context;
	struct intent copy = *intent;

	(void)err;
	if (intent->kind == INTENT_CREATE || intent->kind == INTENT_RENAME) {
		copy.detail = intent->detail != NULL ? arena_text(&all->run->arena, slice_of(intent->detail)) : NULL;
		all->intents = mailboxes_grow(all->intents, all->intent_count, sizeof(*all->intents));
		all->intents[all->intent_count++] = copy;
	}
	return true;
}

static bool
mailboxes_settle(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct mailboxes *all = context;

	(void)run;
	all->txn = txn;
	for (size_t i = 0; i < all->intent_count; i++) {
		if (!mailboxes_settle_intent(all, &all->intents[i], err) ||
			!intent_remove(txn, all->intents[i].id, err)) {
			return false;
		}
	}
	return true;
}

static bool
mailboxes_read_intents(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)run;
	return intent_each(txn, RUN_REMOTE, mailboxes_take_intent, context, err);
}

/* What an earlier pass could not learn, the listing tells. */
static bool
mailboxes_settle_all(struct mailboxes *all, struct error *err)
{
	return run_read(all->run, mailboxes_read_intents, all, err) &&
	       (all->intent_count == 0 || run_write(all->run, mailboxes_settle, all, STORE_LAZY, err));
}

static bool
mailboxes_plan(struct mailboxes *all, struct tree_step **out_steps, size_t *out_count, struct error *err)
{
	all->local_count = all->base_count = 0;
	free(all->locals);
	free(all->bases);
	all->locals = NULL;
	all->bases = NULL;
	if (!run_read(all->run, mailboxes_read, all, err) || !mailboxes_find_renamed(all, err)) {
		return false;
	}
	*out_count = tree_plan(all->locals, all->local_count, all->remotes, all->run->remote_count, all->bases,
		all->base_count, out_steps);
	return true;
}

static bool
mailboxes_is_listed(const struct run *run, struct slice name)
{
	for (size_t i = 0; i < run->remote_count; i++) {
		if (slice_equal(run->remotes[i].name, name)) {
			return true;
		}
	}
	return false;
}

static bool
mailboxes_add_directory(void *context, const struct mailbox *mailbox, struct error *err)
{
	struct mailboxes *all = context;

	(void)err;
	if (mailbox->kind == MAILBOX_DIRECTORY && !mailboxes_is_listed(all->run, slice_of(mailbox->name))) {
		all->locals = mailboxes_grow(all->locals, all->local_count, sizeof(*all->locals));
		all->locals[all->local_count++] = (struct tree_local){.id = mailbox->id};
	}
	return true;
}

struct mailboxes_over {
	struct mailbox_id ids[100]; /* more come with the next pass */
	size_t count;
	struct store_txn *txn;
};

static bool
mailboxes_note_over(void *context, const struct aside *aside, struct error *err)
{
	struct mailboxes_over *over = context;
	struct base_mailbox base;
	struct mailbox mailbox;

	if (aside->number.value != 0 || aside->mailbox.value == 0 || over->count == ARRAY_LENGTH(over->ids)) {
		return true;
	}
	if (base_mailbox_load(over->txn, RUN_REMOTE, aside->mailbox, &base, err)) {
		base_mailbox_finish(&base);
		return true;
	}
	if (err->kind != ERROR_GONE || !mailbox_load(over->txn, aside->mailbox, &mailbox, err)) {
		return err->kind == ERROR_GONE;
	}
	error_clear(err);
	if (mailbox.expunged_s != 0) {
		over->ids[over->count++] = aside->mailbox;
	}
	mailbox_finish(&mailbox);
	return true;
}

/* What failed of a mailbox that is neither here nor there. */
static bool
mailboxes_forget_failures(struct store_txn *txn, struct error *err)
{
	struct mailboxes_over over = {.txn = txn};

	if (!aside_each(txn, RUN_REMOTE, mailboxes_note_over, &over, err)) {
		return false;
	}
	error_clear(err);
	for (size_t i = 0; i < over.count; i++) {
		for (enum side side = SIDE_LOCAL; side < SIDE_COUNT; side++) {
			if (!aside_remove(txn, RUN_REMOTE, (struct number){0}, over.ids[i], side, err)) {
				return false;
			}
		}
	}
	return true;
}

/* Directories are here for what is below them, or because they are there: one that neither holds for goes. */
static bool
mailboxes_write_prune(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct mailboxes *all = context;

	all->local_count = 0;
	free(all->locals);
	all->locals = NULL;
	if (!mailbox_each(txn, false, mailboxes_add_directory, all, err)) {
		return false;
	}
	for (size_t i = all->local_count; i-- > 0;) { /* children first */
		struct error why = ERROR_INIT;

		if (mailbox_expunge(txn, all->locals[i].id, true, MESSAGE_BY_REMOTE, &why)) {
			if (!base_mailbox_remove(txn, RUN_REMOTE, all->locals[i].id, err)) {
				return false;
			}
		} else if (why.kind != ERROR_REFUSED) {
			*err = why;
			return false;
		}
	}
	(void)run;
	return mailboxes_forget_failures(txn, err);
}

/* While a name is missing that may yet be there, what is new waits: it may be what the missing one has become, or hold what was in it. */
static bool
mailboxes_in_doubt(const struct mailboxes *all, const struct tree_step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (steps[i].action == TREE_VANISHED && !all->bases[steps[i].base].directory) {
			return !all->run->sync->doubted;
		}
	}
	return false;
}

bool
mailboxes_sync(struct run *run, struct error *err)
{
	struct mailboxes all = {.run = run, .separator = '/'};
	struct tree_step *steps = NULL;
	size_t count = 0;

	assert(run->tree_locked);
	bool ok = mailboxes_settle_all(&all, err) && mailboxes_plan(&all, &steps, &count, err);

	bool in_doubt = mailboxes_in_doubt(&all, steps, count);

	for (size_t i = 0; ok && i < count; i++) {
		if (run->pass->dry_run) {
			mailboxes_print(&all, &steps[i]);
		} else if (in_doubt && steps[i].action == TREE_CREATE_HERE) {
			run->result->again = true;
		} else {
			ok = mailboxes_do(&all, &steps[i], err);
		}
		if (!ok && err->kind == ERROR_GONE) {
			/* The mount removed it since the plan was made. */
			error_clear(err);
			run->result->again = ok = true;
		}
	}
	ok = ok && (run->pass->dry_run || run->direction == SYNC_PUSH ||
			   run_write(run, mailboxes_write_prune, &all, STORE_LAZY, err));
	free(steps);
	free(all.locals);
	free(all.bases);
	free(all.intents);
	return ok;
}
