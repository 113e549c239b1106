/* The steps of the tree's plan, carried out here and there (R8, R9). */
#include <stdlib.h>

#include "engine/mail/mailbox_name.h"
#include "engine/sync/mailboxes.h"

/* --- steps on the store --- */

struct mailboxes_step {
	struct mailboxes *all;
	const struct tree_step *step;
	const char *raw_to; /* of a rename there that was done */
	struct slice name_to;
};

static bool
mailboxes_fill_base(struct store_txn *txn, struct mailbox_id id, const struct run_remote *remote, bool *out_changed,
	struct error *err)
{
	struct base_mailbox base;
	bool known = base_mailbox_load(txn, RUN_REMOTE, id, &base, err);

	if (!known) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		base = (struct base_mailbox){
			.mailbox = id,
			.raw_name = slice_dup((struct slice){0}),
			.name = slice_dup((struct slice){0}),
			.uidnext = 1,
			.permanent = {.bits = FLAG_ALL},
			.keywords_any = true,
			.subscribed = true,
		};
	}
	bool subscribed = (remote->mailbox.attributes & REMOTE_SUBSCRIBED) != 0;
	bool same_id = remote->mailbox.id.kind == GUID_NONE || guid_equal(&base.id, &remote->mailbox.id);
	bool same = known && slice_equal(slice_of(base.raw_name), remote->mailbox.raw_name) &&
		    slice_equal(slice_of(base.name), remote->name) && base.separator == remote->mailbox.separator &&
		    base.attributes == remote->mailbox.attributes && same_id && base.gone_s == 0;
	bool ok = true;

	*out_changed = !same;
	if (!same) {
		free(base.raw_name);
		free(base.name);
		base.raw_name = slice_dup(remote->mailbox.raw_name);
		base.name = slice_dup(remote->name);
		base.separator = remote->mailbox.separator;
		base.attributes = remote->mailbox.attributes;
		if (base.id.kind == GUID_NONE) {
			base.id = remote->mailbox.id; /* another id under this name is R7's: the scan compares */
		}
		base.gone_s = 0;
		if (!known) {
			base.subscribed = subscribed;
		}
		ok = base_mailbox_put(txn, RUN_REMOTE, &base, err);
	}
	base_mailbox_finish(&base);
	return ok;
}

static bool
mailboxes_write_pair(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct mailboxes_step *step = context;
	const struct run_remote *remote = &run->remotes[step->step->remote];
	struct mailbox_id id = step->all->locals[step->step->local].id;
	bool directory = (remote->mailbox.attributes & REMOTE_NOSELECT) != 0, changed;

	/* Nothing of what its base tells is there any more, nor anything of it here: it is another mailbox of the same name. */
	if (step->step->base == TREE_NONE && !base_mailbox_remove(txn, RUN_REMOTE, id, err)) {
		return false;
	}
	if (!mailboxes_fill_base(txn, id, remote, &changed, err) || !holds_unhold_vanished(txn, id, err)) {
		return false;
	}
	/* What failed before is tried again by a step that follows, if it has not come true. */
	if (!aside_remove(txn, RUN_REMOTE, (struct number){0}, id, SIDE_REMOTE, err)) {
		return false;
	}
	return mailbox_set_role(txn, id, remote->mailbox.role, err) &&
	       mailbox_set_kind(txn, id, directory ? MAILBOX_DIRECTORY : MAILBOX_REAL, err);
}

static bool
mailboxes_write_create(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct mailboxes_step *step = context;
	const struct run_remote *remote = &run->remotes[step->step->remote];
	bool directory = (remote->mailbox.attributes & REMOTE_NOSELECT) != 0, changed;
	struct mailbox mailbox;
	struct mailbox_id id;

	if (mailbox_load_by_name(txn, remote->name, &mailbox, err)) {
		/* A child made it as a directory on its way. */
		id = mailbox.id;
		mailbox_finish(&mailbox);
		if (!directory && !mailbox_set_kind(txn, id, MAILBOX_REAL, err)) {
			return false;
		}
	} else {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		if (!mailbox_create(txn, remote->name, directory ? MAILBOX_DIRECTORY : MAILBOX_REAL,
			    remote->mailbox.role, &id, err)) {
			return false;
		}
	}
	return mailbox_set_subscribed(txn, id, (remote->mailbox.attributes & REMOTE_SUBSCRIBED) != 0, err) &&
	       mailboxes_fill_base(txn, id, remote, &changed, err);
}

static bool
mailboxes_write_rename_here(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct mailboxes_step *step = context;
	const struct run_remote *remote = &run->remotes[step->step->remote];
	struct mailbox_id id = step->all->locals[step->step->local].id;
	struct mailbox mailbox;

	if (!mailbox_load(txn, id, &mailbox, err)) {
		return false;
	}
	bool there_already = slice_equal(slice_of(mailbox.name), remote->name);

	mailbox_finish(&mailbox);
	return there_already || mailbox_rename(txn, id, remote->name, err);
}

static bool
mailboxes_write_subscribe(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct mailboxes_step *step = context;
	struct mailbox_id id = step->all->locals[step->step->local].id;
	struct base_mailbox base;

	(void)run;
	if (!base_mailbox_load(txn, RUN_REMOTE, id, &base, err)) {
		return false;
	}
	base.subscribed = step->step->subscribed;
	bool ok = base_mailbox_put(txn, RUN_REMOTE, &base, err) &&
		  mailbox_set_subscribed(txn, id, step->step->subscribed, err) &&
		  aside_remove(txn, RUN_REMOTE, (struct number){0}, id, SIDE_REMOTE, err);

	base_mailbox_finish(&base);
	return ok;
}

static bool
mailboxes_write_forget(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct mailboxes_step *step = context;

	struct mailbox_id id = step->all->bases[step->step->base].mailbox;

	(void)run;
	return base_mailbox_remove(txn, RUN_REMOTE, id, err) &&
	       aside_remove(txn, RUN_REMOTE, (struct number){0}, id, SIDE_REMOTE, err);
}

/* --- steps on the remote --- */

static bool
mailboxes_write_intent(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)run;
	return intent_add(txn, RUN_REMOTE, context, err);
}

static bool
mailboxes_write_settled(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct intent *intent = context;

	(void)run;
	return intent_remove(txn, intent->id, err);
}

static bool
mailboxes_with_intent(struct run *run, enum intent_kind kind, struct mailbox_id mailbox, const char *detail,
	struct intent *out, struct error *err)
{
	*out = (struct intent){.kind = kind, .mailbox = mailbox, .created_s = io_wall_s(run->sync->io)};
	out->detail = slice_dup(slice_of(detail));
	return run_write(run, mailboxes_write_intent, out, STORE_DURABLE, err);
}

static bool
mailboxes_ended(struct run *run, struct intent *intent, bool sent, enum remote_outcome outcome, struct error *err)
{
	struct error failure = *err;

	error_clear(err);
	/* An answer that was lost is looked for in the next listing. */
	bool ok = outcome == REMOTE_UNKNOWN || run_write(run, mailboxes_write_settled, intent, STORE_LAZY, err);

	intent_finish(intent);
	if (ok && !sent) {
		*err = failure;
		return false;
	}
	return ok;
}

/* Sets a mailbox aside for a failure of its own; other failures end the pass. */
static bool
mailboxes_failed(struct run *run, struct mailbox_id id, const char *what, struct error *err)
{
	struct error why = *err;

	if (!run_error_is_local(err)) {
		return false;
	}
	error_clear(err);
	(void)error_wrap(&why, "%s", what);
	return run_set_aside(run, (struct number){0}, id, SIDE_REMOTE, &why, err);
}

static bool
mailboxes_write_created(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct mailboxes_step *step = context;
	const struct tree_local *local = &step->all->locals[step->step->local];
	struct base_mailbox base = {
		.mailbox = local->id,
		.raw_name = slice_dup(slice_of(step->raw_to)),
		.name = slice_dup(local->name),
		.separator = step->all->separator,
		.uidnext = 1,
		.permanent = {.bits = FLAG_ALL},
		.keywords_any = true,
		.subscribed = local->subscribed,
	};
	struct mailbox mailbox;
	bool ok = mailbox_load(txn, local->id, &mailbox, err);

	if (ok) {
		bool live = mailbox.expunged_s == 0;

		/* One that was removed here meanwhile has a base all the same: by that the next pass removes what was just made. */
		run->result->again |= !live;
		mailbox_finish(&mailbox);
		ok = base_mailbox_put(txn, RUN_REMOTE, &base, err) &&
		     (!live || mailbox_set_kind(txn, local->id, MAILBOX_REAL, err)) &&
		     aside_remove(txn, RUN_REMOTE, (struct number){0}, local->id, SIDE_REMOTE, err);
	}
	free(base.raw_name);
	free(base.name);
	return ok;
}

/* Nobody has it under that name now, here or in the base. */
static bool
mailboxes_is_removed(struct store_txn *txn, struct mailbox_id id, struct slice name, bool *out, struct error *err)
{
	struct mailbox mailbox;
	struct base_mailbox base;

	*out = false;
	if (mailbox_load_by_name(txn, name, &mailbox, err)) {
		mailbox_finish(&mailbox);
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	if (base_mailbox_load(txn, RUN_REMOTE, id, &base, err)) {
		base_mailbox_finish(&base);
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	*out = mailbox_load(txn, id, &mailbox, err);
	if (*out) {
		*out = mailbox.expunged_s != 0;
		mailbox_finish(&mailbox);
		return true;
	}
	return err->kind == ERROR_GONE && (error_clear(err), true);
}

bool
mailboxes_settle_created(struct mailboxes *all, const struct intent *intent, struct error *err)
{
	const struct run_remote *made = NULL;
	bool removed, changed;

	for (size_t i = 0; i < all->run->remote_count && intent->detail != NULL; i++) {
		const struct run_remote *remote = &all->run->remotes[i];

		made = slice_equal(remote->mailbox.raw_name, slice_of(intent->detail)) ? remote : made;
	}
	if (made == NULL) {
		return true;
	}
	return mailboxes_is_removed(all->txn, intent->mailbox, made->name, &removed, err) &&
	       (!removed || mailboxes_fill_base(all->txn, intent->mailbox, made, &changed, err));
}

/* What was just created there is in no listing yet; without a row it would be taken for one that vanished. */
static void
mailboxes_list_created(struct run *run, struct slice raw, struct slice name, char separator)
{
	struct run_remote *remote = mailboxes_add_remote(run);

	*remote = (struct run_remote){
		.mailbox = {.raw_name = arena_copy(&run->arena, raw), .separator = separator},
		.name = arena_copy(&run->arena, name),
	};
}

/* The raw name of a mailbox to be: below one that is not the user's own it is named as that is, else it becomes the user's own. */
static bool
mailboxes_raw_name(const struct mailboxes *all, struct slice name, struct buf *out, struct error *err)
{
	const struct run *run = all->run;
	struct slice prefix = {0};
	bool foreign = false;

	for (size_t i = 0; i < run->remote_count; i++) {
		const struct remote_mailbox *mailbox = &run->remotes[i].mailbox;

		prefix = mailbox->prefix.length > 0 ? mailbox->prefix : prefix;
		foreign = foreign ||
			  (mailbox->prefix.length > 0 && mailbox_name_within(name, run->remotes[i].name) &&
				  !mailbox_name_is_inbox(run->remotes[i].name) &&
				  !mailbox_name_is_behind(mailbox->prefix, mailbox->raw_name, mailbox->separator));
	}
	return mailbox_name_to_imap_behind(foreign ? (struct slice){0} : prefix, name, all->separator, out, err);
}

static bool
mailboxes_create_there(struct mailboxes *all, const struct tree_step *step, struct error *err)
{
	struct run *run = all->run;
	const struct tree_local *local = &all->locals[step->local];
	SCOPED(buf_finish) struct buf raw = BUF_INIT;
	struct mailboxes_step context = {.all = all, .step = step};
	enum remote_outcome outcome = REMOTE_NOT_SENT;
	struct intent intent;

	if (!mailboxes_raw_name(all, local->name, &raw, err)) {
		return mailboxes_failed(run, local->id, "creating it on the server", err);
	}
	if (!mailboxes_with_intent(run, INTENT_CREATE, local->id, raw.data, &intent, err)) {
		return false;
	}
	bool sent = run->session->ops->create(run->session, buf_slice(&raw), &outcome, err);

	if (!mailboxes_ended(run, &intent, sent, outcome, err)) {
		if (err->kind == ERROR_EXISTS) {
			error_clear(err); /* the next listing pairs it */
			run->result->again = true;
			return true;
		}
		return mailboxes_failed(run, local->id, "creating it on the server", err);
	}
	if (outcome != REMOTE_DONE) {
		run->result->again = true;
		return true;
	}
	if (local->subscribed && !run->session->ops->subscribe(run->session, buf_slice(&raw), true, err)) {
		if (!run_error_is_local(err)) {
			return false;
		}
		error_clear(err);
	}
	context.raw_to = raw.data;
	mailboxes_list_created(run, buf_slice(&raw), local->name, all->separator);
	return run_write(run, mailboxes_write_created, &context, STORE_LAZY, err);
}

static bool
mailboxes_write_renamed(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct mailboxes_step *step = context;
	const struct run_remote *remote = &run->remotes[step->step->remote];

	return base_mailbox_rename(txn, RUN_REMOTE, remote->mailbox.raw_name, slice_of(step->raw_to), remote->name,
		       step->name_to, err) &&
	       aside_remove(
		       txn, RUN_REMOTE, (struct number){0}, step->all->locals[step->step->local].id, SIDE_REMOTE, err);
}

static bool
mailboxes_read_name(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct mailboxes_step *step = context;
	struct mailbox mailbox;

	if (!mailbox_load(txn, step->all->locals[step->step->local].id, &mailbox, err)) {
		return false;
	}
	step->name_to = arena_copy(&run->arena, slice_of(mailbox.name));
	mailbox_finish(&mailbox);
	return true;
}

/* After a rename there, the names of the listing that follow it follow it here too. */
static void
mailboxes_rename_listed(
	struct run *run, struct slice raw_from, struct slice raw_to, struct slice from, struct slice to, char separator)
{
	for (size_t i = 0; i < run->remote_count; i++) {
		struct run_remote *remote = &run->remotes[i];
		struct slice raw = remote->mailbox.raw_name;
		SCOPED(buf_finish) struct buf name = BUF_INIT;

		if (!slice_has_prefix(raw, raw_from) ||
			(raw.length > raw_from.length && raw.data[raw_from.length] != separator)) {
			continue;
		}
		buf_append(&name, raw_to);
		buf_append(&name, slice_skip(raw, raw_from.length));
		remote->mailbox.raw_name = arena_copy(&run->arena, buf_slice(&name));
		buf_clear(&name);
		buf_append(&name, to);
		buf_append(&name, slice_skip(remote->name, from.length));
		remote->name = arena_copy(&run->arena, buf_slice(&name));
	}
}

static bool
mailboxes_rename_there(struct mailboxes *all, const struct tree_step *step, struct error *err)
{
	struct run *run = all->run;
	const struct run_remote *remote = &run->remotes[step->remote];
	SCOPED(buf_finish) struct buf raw = BUF_INIT;
	SCOPED(buf_finish) struct buf detail = BUF_INIT;
	struct mailboxes_step context = {.all = all, .step = step};
	struct mailbox_id id = all->locals[step->local].id;
	enum remote_outcome outcome = REMOTE_NOT_SENT;
	struct intent intent;

	if (!run_read(run, mailboxes_read_name, &context, err)) {
		return false;
	}
	if (slice_equal(context.name_to, remote->name)) {
		return true; /* it went with its parent */
	}
	if (!mailboxes_raw_name(all, context.name_to, &raw, err)) {
		return mailboxes_failed(run, id, "renaming it on the server", err);
	}
	buf_append(&detail, remote->mailbox.raw_name);
	buf_append_octet(&detail, '\n');
	buf_append(&detail, buf_slice(&raw));
	if (!mailboxes_with_intent(run, INTENT_RENAME, id, detail.data, &intent, err)) {
		return false;
	}
	bool sent = run->session->ops->rename(run->session, remote->mailbox.raw_name, buf_slice(&raw), &outcome, err);

	if (!mailboxes_ended(run, &intent, sent, outcome, err)) {
		return mailboxes_failed(run, id, "renaming it on the server", err);
	}
	if (outcome != REMOTE_DONE) {
		run->result->again = true;
		return true;
	}
	context.raw_to = raw.data;
	if (!run_write(run, mailboxes_write_renamed, &context, STORE_LAZY, err)) {
		return false;
	}
	bool was_subscribed = (remote->mailbox.attributes & REMOTE_SUBSCRIBED) != 0;
	struct slice old_raw = remote->mailbox.raw_name;

	/* A subscription is to a name: it moves along. */
	if (was_subscribed && (!run->session->ops->subscribe(run->session, buf_slice(&raw), true, err) ||
				      !run->session->ops->subscribe(run->session, old_raw, false, err))) {
		if (!run_error_is_local(err)) {
			return false;
		}
		error_clear(err);
	}
	mailboxes_rename_listed(
		run, old_raw, buf_slice(&raw), remote->name, context.name_to, remote->mailbox.separator);
	return true;
}

static bool
mailboxes_subscribe_there(struct mailboxes *all, const struct tree_step *step, struct error *err)
{
	struct run *run = all->run;
	struct mailboxes_step context = {.all = all, .step = step};

	if (!run->session->ops->subscribe(
		    run->session, run->remotes[step->remote].mailbox.raw_name, step->subscribed, err)) {
		return mailboxes_failed(run, all->locals[step->local].id, "subscribing", err);
	}
	return run_write(run, mailboxes_write_subscribe, &context, STORE_LAZY, err);
}

/* Removed here and renamed there: it is to be found under its new name. */
static bool
mailboxes_write_renamed_removed(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct mailboxes_step *step = context;
	bool changed;

	return mailboxes_fill_base(
		txn, step->all->bases[step->step->base].mailbox, &run->remotes[step->step->remote], &changed, err);
}

static bool
mailboxes_has_children(const struct run *run, const struct run_remote *parent)
{
	for (size_t i = 0; i < run->remote_count; i++) {
		if (&run->remotes[i] != parent && mailbox_name_within(run->remotes[i].name, parent->name)) {
			return true;
		}
	}
	return false;
}

/* A name that holds no messages is removed as such; what cannot be stays there, and is forgotten here. */
static bool
mailboxes_remove_directory(struct mailboxes *all, const struct tree_step *step, struct error *err)
{
	struct run *run = all->run;
	struct mailboxes_step context = {.all = all, .step = step};
	enum remote_outcome outcome = REMOTE_NOT_SENT;

	if (mailboxes_has_children(run, &run->remotes[step->remote])) {
		return run_write(run, mailboxes_write_forget, &context, STORE_LAZY, err);
	}
	if (!run->session->ops->remove(run->session, run->remotes[step->remote].mailbox.raw_name, &outcome, err)) {
		return mailboxes_failed(run, all->bases[step->base].mailbox, "removing it on the server", err);
	}
	return run_write(run, mailboxes_write_forget, &context, STORE_LAZY, err);
}

/* --- all of them --- */

static bool
mailboxes_here(const struct run *run)
{
	return run->direction != SYNC_PUSH;
}

static bool
mailboxes_there(const struct run *run)
{
	return run->direction != SYNC_PULL;
}

bool
mailboxes_do(struct mailboxes *all, const struct tree_step *step, struct error *err)
{
	struct run *run = all->run;
	struct mailboxes_step context = {.all = all, .step = step};

	run->result->mailboxes_changed += step->action != TREE_PAIR && step->action != TREE_CONFLICT;
	switch (step->action) {
	case TREE_PAIR:
		return run_write(run, mailboxes_write_pair, &context, STORE_LAZY, err);
	case TREE_CREATE_HERE:
		return !mailboxes_here(run) || run_write(run, mailboxes_write_create, &context, STORE_LAZY, err);
	case TREE_RENAME_HERE:
		return !mailboxes_here(run) || run_write(run, mailboxes_write_rename_here, &context, STORE_LAZY, err) ||
		       mailboxes_failed(run, all->locals[step->local].id, "renaming it here", err);
	case TREE_SUBSCRIBE_HERE:
		return !mailboxes_here(run) || run_write(run, mailboxes_write_subscribe, &context, STORE_LAZY, err);
	case TREE_CREATE_THERE:
		return !mailboxes_there(run) || mailboxes_create_there(all, step, err);
	case TREE_RENAME_THERE:
		return !mailboxes_there(run) || mailboxes_rename_there(all, step, err);
	case TREE_SUBSCRIBE_THERE:
		return !mailboxes_there(run) || mailboxes_subscribe_there(all, step, err);
	case TREE_FORGET:
		return run_write(run, mailboxes_write_forget, &context, STORE_LAZY, err);
	case TREE_CONFLICT: {
		struct error why = ERROR_INIT;
		size_t local = step->local;

		error_set(&why, ERROR_ITEM, "its name is taken on the other side: rename one of the two");
		return run_set_aside(run, (struct number){0},
			local != TREE_NONE ? all->locals[local].id : (struct mailbox_id){0}, SIDE_LOCAL, &why, err);
	}
	case TREE_REMOVE_THERE:
		return all->remotes[step->remote].directory
			       ? !mailboxes_there(run) || mailboxes_remove_directory(all, step, err)
			       : run_write(run, mailboxes_write_renamed_removed, &context, STORE_LAZY, err);
	case TREE_VANISHED:
		/* gather and removals see to what can hold messages */
		return !mailboxes_here(run) || !all->bases[step->base].directory ||
		       run_write(run, mailboxes_write_forget, &context, STORE_LAZY, err);
	}
	return true;
}
