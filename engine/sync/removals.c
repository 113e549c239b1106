/* Mailboxes that end (R8). One is deleted there only when nothing of it is unsettled and a fresh listing shows nothing in it: it is renamed to a name of ours,
 * listed again, and renamed back if mail came in between.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mail/mailbox_name.h"
#include "engine/sync/run.h"

struct removal {
	struct run *run;
	struct mailbox_id id;
	const char *name; /* for messages */
	struct slice raw; /* looked for in the listing */
	char separator;
	bool listed, has_status, has_children;
	uint32_t messages;
	uint64_t here, others; /* base rows */
	bool empty, remove_base;
};

static bool
removal_note_listed(void *context, const struct remote_mailbox *mailbox, struct error *err)
{
	struct removal *removal = context;

	(void)err;
	if (slice_equal(mailbox->raw_name, removal->raw)) {
		removal->listed = true;
		removal->has_status = mailbox->has_status;
		removal->messages = mailbox->messages;
		removal->separator = mailbox->separator;
	} else if (slice_has_prefix(mailbox->raw_name, removal->raw) && mailbox->separator != '\0' &&
		   mailbox->raw_name.data[removal->raw.length] == mailbox->separator) {
		removal->has_children = true;
	}
	return true;
}

static bool
removal_note_message(void *context, struct remote_message *message, struct error *err)
{
	(void)context;
	(void)message;
	(void)err;
	return true;
}

/* The listing does not say how many messages it holds: SELECT does. */
static bool
removal_look_inside(struct removal *removal, struct error *err)
{
	struct remote_target target = {.raw_name = removal->raw};
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct remote_selected selected = {0};

	uidset_add(&uids, 1, 1);
	if (!removal->run->session->ops->identify(
		    removal->run->session, &target, &uids, false, removal_note_message, removal, &selected, err)) {
		return false;
	}
	removal->messages = selected.exists;
	flags_finish(&selected.permanent);
	return true;
}

static bool
removal_list(struct removal *removal, struct error *err)
{
	removal->listed = removal->has_children = false;
	removal->messages = 0;
	if (!removal->run->session->ops->list(removal->run->session, removal_note_listed, removal, err)) {
		return false;
	}
	return !removal->listed || removal->has_status || removal_look_inside(removal, err);
}

static bool
removal_count_base(void *context, const struct base_message *base, struct error *err)
{
	struct removal *removal = context;

	(void)err;
	if (base->gone == BASE_HERE) {
		removal->here++;
	} else if (base->gone == BASE_KEPT || base->gone == BASE_HELD) {
		removal->others++;
	}
	return true;
}

static bool
removal_read(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct removal *removal = context;
	struct mailbox mailbox;

	(void)run;
	if (!mailbox_load(txn, removal->id, &mailbox, err)) {
		return false;
	}
	removal->empty = mailbox.messages == 0;
	mailbox_finish(&mailbox);
	return base_message_each(txn, RUN_REMOTE, removal->id, removal_count_base, removal, err);
}

/* --- here --- */

static bool
removal_write_here(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct removal *removal = context;
	struct error why = ERROR_INIT;

	(void)run;
	if (removal->empty && !mailbox_expunge(txn, removal->id, true, MESSAGE_BY_REMOTE, &why) &&
		!mailbox_set_kind(txn, removal->id, MAILBOX_DIRECTORY, err)) { /* its children keep it */
		return false;
	}
	return base_mailbox_remove(txn, RUN_REMOTE, removal->id, err);
}

bool
removals_here(struct run *run, struct error *err)
{
	if (run->direction == SYNC_PUSH || run->pass->local_only) {
		return true;
	}
	for (size_t i = run->box_count; i-- > 0;) {
		const struct run_box *box = &run->boxes[i];
		struct removal removal = {.run = run, .id = box->id, .name = box->name};

		if (!box->vanished || !box->live || !box->locked) {
			continue;
		}
		if (!run_read(run, removal_read, &removal, err)) {
			return false;
		}
		/* What only we have makes it new there; what is held or kept leaves it as it is. */
		if (removal.here + removal.others == 0 &&
			!run_write(run, removal_write_here, &removal, STORE_LAZY, err)) {
			return false;
		}
		run->result->again |= removal.here + removal.others == 0;
	}
	return true;
}

/* --- there --- */

static bool
removal_write_revived(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct removal *removal = context;

	(void)run;
	return hold_revive_mailbox(txn, removal->id, err) &&
	       aside_remove(txn, RUN_REMOTE, (struct number){0}, removal->id, SIDE_REMOTE, err);
}

static bool
removal_revive(struct removal *removal, struct error *err)
{
	run_say(removal->run, "%s: kept: new mail came into it after it was removed here", removal->name);
	removal->run->result->again = true;
	return run_write(removal->run, removal_write_revived, removal, STORE_DURABLE, err);
}

static bool
removal_write_removed(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct removal *removal = context;

	(void)run;
	return base_mailbox_remove(txn, RUN_REMOTE, removal->id, err) &&
	       aside_remove(txn, RUN_REMOTE, (struct number){0}, removal->id, SIDE_REMOTE, err);
}

static bool
removal_write_intent(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)run;
	return intent_add(txn, RUN_REMOTE, context, err);
}

static bool
removal_write_settled(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	const struct intent *intent = context;

	(void)run;
	return intent_remove(txn, intent->id, err);
}

static bool
removal_fails(struct removal *removal, const char *what, struct error *err)
{
	struct error why = *err;

	if (!run_error_is_local(err)) {
		return false;
	}
	error_clear(err);
	(void)error_wrap(&why, "%s", what);
	return run_set_aside(removal->run, (struct number){0}, removal->id, SIDE_REMOTE, &why, err);
}

/* A sibling's name that nobody else has. */
static void
removal_name(struct removal *removal, struct buf *out)
{
	struct slice raw = removal->raw;
	size_t head = raw.length;
	uint64_t random;

	while (head > 0 && (removal->separator == '\0' || raw.data[head - 1] != removal->separator)) {
		head--;
	}
	io_random(removal->run->sync->io, &random, sizeof(random));
	buf_append(out, slice_head(raw, head));
	buf_printf(out, "mailfs-removed-%016" PRIx64, random);
}

/* Gives it back its name. */
static bool
removal_undo(struct removal *removal, struct slice raw, struct slice ours, struct error *err)
{
	enum remote_outcome outcome = REMOTE_NOT_SENT;

	return removal->run->session->ops->rename(removal->run->session, ours, raw, &outcome, err);
}

/* It stands under our name: it goes if it holds nothing, else it is given its name back. */
static bool
removal_finish(struct removal *removal, struct slice raw, struct slice ours, struct error *err)
{
	struct remote_session *session = removal->run->session;
	enum remote_outcome outcome = REMOTE_NOT_SENT;
	struct error ignored = ERROR_INIT;

	removal->raw = ours;
	if (!removal_list(removal, err)) {
		return false;
	}
	if (removal->listed && (removal->messages > 0 || removal->has_children)) {
		if (!removal_undo(removal, raw, ours, err)) {
			return removal_fails(removal, "giving it back its name on the server", err);
		}
		return removal->messages == 0 || removal_revive(removal, err);
	}
	if (removal->listed && !session->ops->remove(session, ours, &outcome, err) && err->kind != ERROR_GONE) {
		struct error why = *err;

		if (!run_error_is_local(&why)) {
			return false;
		}
		if (!removal_undo(removal, raw, ours, err)) {
			return removal_fails(removal, "giving it back its name on the server", err);
		}
		*err = why;
		return removal_fails(removal, "removing it on the server", err);
	}
	(void)!session->ops->subscribe(session, raw, false, &ignored);
	removal->run->result->again = true; /* a directory above it may be there for nothing now */
	return run_write(removal->run, removal_write_removed, removal, STORE_LAZY, err);
}

/* Renames it and removes it there; an intent tells a later run of its other name. */
static bool
removal_take_away(struct removal *removal, struct slice raw, struct error *err)
{
	struct run *run = removal->run;
	SCOPED(buf_finish) struct buf ours = BUF_INIT;
	SCOPED(buf_finish) struct buf detail = BUF_INIT;
	enum remote_outcome outcome = REMOTE_NOT_SENT;

	removal_name(removal, &ours);
	buf_append(&detail, raw);
	buf_append_octet(&detail, '\n');
	buf_append(&detail, buf_slice(&ours));
	struct intent intent = {.kind = INTENT_REMOVE,
		.mailbox = removal->id,
		.detail = detail.data,
		.created_s = io_wall_s(run->sync->io)};

	if (!run_write(run, removal_write_intent, &intent, STORE_DURABLE, err)) {
		return false;
	}
	if (run->session->ops->rename(run->session, raw, buf_slice(&ours), &outcome, err)) {
		return removal_finish(removal, raw, buf_slice(&ours), err) &&
		       run_write(run, removal_write_settled, &intent, STORE_LAZY, err);
	}
	struct error why = *err;

	if (outcome == REMOTE_UNKNOWN) {
		return false; /* removals_settle sees to it */
	}
	if (!run_write(run, removal_write_settled, &intent, STORE_LAZY, err)) {
		return false;
	}
	*err = why;
	return removal_fails(removal, "removing it on the server", err);
}

static bool
removal_there(struct removal *removal, struct slice raw, struct error *err)
{
	struct run *run = removal->run;

	removal->raw = raw;
	if (!removal_list(removal, err)) {
		return false;
	}
	if (!removal->listed) {
		return run_write(run, removal_write_removed, removal, STORE_LAZY, err);
	}
	if (removal->messages > 0) {
		return removal_revive(removal, err);
	}
	if (removal->has_children) {
		/* It stays for their sake, and is as one that is new there. */
		run_say(run, "%s: kept: it has child mailboxes on the server", removal->name);
		run->result->again = true;
		return run_write(run, removal_write_removed, removal, STORE_LAZY, err);
	}
	return removal_take_away(removal, raw, err);
}

static bool
removal_may_go(const struct run_box *box)
{
	return !box->live && box->remote != NULL && box->locked && !box->held_here && !box->held_there &&
	       !box->rebuilt && !box->failed && !box->push_incomplete && !box->set_aside;
}

static bool
removal_do(struct run *run, const struct run_box *box, struct error *err)
{
	struct removal removal = {.run = run, .id = box->id, .name = box->name};

	if (!run_read(run, removal_read, &removal, err)) {
		return false;
	}
	if (removal.here > 0) {
		run->result->again = true;
		return true;
	}
	return removal_there(&removal, slice_of(box->base.raw_name), err);
}

/* A mailbox goes by being renamed, so the tree is locked for it (R1), and first: all else is given back, and those that go are read again. */
static bool
removals_lock(struct run *run, bool *going, bool *out_locked, struct error *err)
{
	for (size_t i = 0; i < run->box_count; i++) {
		if (run->boxes[i].locked) {
			run_unlock(run, run->boxes[i].id.value);
			run->boxes[i].locked = false;
		}
	}
	*out_locked = run->tree_locked = run_lock(run, RUN_TREE, run->pass->lock_timeout_ms, err);
	for (size_t i = 0; *out_locked && i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];

		if (going[i]) {
			box->locked = run_lock(run, box->id.value, 0, err);
			going[i] = box->locked;
			if (!box->locked && err->kind != ERROR_RETRY) {
				return false;
			}
			run->result->again |= !box->locked;
		}
	}
	if (!*out_locked && err->kind != ERROR_RETRY) {
		return false;
	}
	error_clear(err);
	run->result->again |= !*out_locked;
	return !*out_locked || gather_again(run, err);
}

bool
removals_there(struct run *run, struct error *err)
{
	bool *going = arena_alloc(&run->arena, (run->box_count + 1) * sizeof(*going));
	bool any = false, locked = false;

	if (run->direction == SYNC_PULL || run->pass->local_only) {
		return true;
	}
	for (size_t i = run->box_count; i-- > 0;) {
		going[i] = removal_may_go(&run->boxes[i]);
		if (going[i] && run->pass->dry_run) {
			run_say(run, "%s: would remove on the server", run->boxes[i].name);
		}
		any |= going[i] && !run->pass->dry_run;
	}
	if (any && !removals_lock(run, going, &locked, err)) {
		return false;
	}
	for (size_t i = run->box_count; locked && i-- > 0;) {
		if (going[i] && !run->boxes[i].failed && !removal_do(run, &run->boxes[i], err)) {
			return false;
		}
	}
	if (locked) {
		run_unlock(run, RUN_TREE);
		run->tree_locked = false;
	}
	return true;
}

/* --- what an earlier run left --- */

static bool
removal_settle_one(struct run *run, struct intent *intent, struct error *err)
{
	const char *newline = intent->detail != NULL ? strchr(intent->detail, '\n') : NULL;

	if (newline != NULL) {
		struct slice raw = slice_make(intent->detail, (size_t)(newline - intent->detail)),
			     ours = slice_of(newline + 1);
		struct removal removal = {.run = run, .id = intent->mailbox, .name = "a mailbox", .raw = ours};

		if (!removal_list(&removal, err)) {
			return false;
		}
		if (removal.listed && !removal_finish(&removal, raw, ours, err)) {
			return false;
		}
	}
	return run_write(run, removal_write_settled, intent, STORE_LAZY, err);
}

struct removal_intents {
	struct intent *intents;
	size_t count;
};

static bool
removal_take_intent(void *context, const struct intent *intent, struct error *err)
{
	struct removal_intents *all = context;

	(void)err;
	if (intent->kind != INTENT_REMOVE) {
		return true;
	}
	struct intent *more = realloc(all->intents, (all->count + 1) * sizeof(*more));

	if (more == NULL) {
		abort();
	}
	all->intents = more;
	more[all->count] = *intent;
	more[all->count].detail = intent->detail != NULL ? slice_dup(slice_of(intent->detail)) : NULL;
	all->count++;
	return true;
}

static bool
removal_read_intents(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	(void)run;
	return intent_each(txn, RUN_REMOTE, removal_take_intent, context, err);
}

bool
removals_settle(struct run *run, struct error *err)
{
	struct removal_intents all = {0};

	if (run->direction == SYNC_PULL || run->pass->dry_run) {
		return true;
	}
	bool ok = run_read(run, removal_read_intents, &all, err);

	for (size_t i = 0; i < all.count; i++) {
		ok = ok && removal_settle_one(run, &all.intents[i], err);
		intent_finish(&all.intents[i]);
	}
	free(all.intents);
	return ok;
}
