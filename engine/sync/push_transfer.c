/* Uploads, copies and moves, each with a durable intent before and a settlement after (R9, R10, R11). */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/sync/push.h"

struct push_group {
	struct push *push;
	struct plan_transfer *transfers;
	size_t count;
	struct run_box *from, *to; /* from NULL: uploads */
	bool move;
	bool left_behind;       /* a move's sources may still be there: they were copied, and not surely removed */
	struct intent *intents; /* parallel to transfers */
	struct remote_append *appends;
	struct remote_copy *copies;
	struct error refusal; /* of a copy or move */
	uint32_t uidnext;     /* of the target, before */
};

static struct push_item *
push_group_item(const struct push_group *group, size_t i)
{
	return &group->push->items[group->transfers[i].item];
}

static uint32_t
push_uidnext(const struct run_box *box)
{
	if (box->scanned) {
		return box->selected.uidnext;
	}
	if (box->remote != NULL && box->remote->mailbox.has_status && box->remote->mailbox.uidnext != 0) {
		return box->remote->mailbox.uidnext;
	}
	return box->base.uidnext;
}

static const struct flags *
push_sent_flags(const struct push_group *group, size_t i)
{
	const struct push_item *item = push_group_item(group, i);

	return group->from == NULL ? &group->appends[i].flags : group->move ? &item->base.flags : &item->source.flags;
}

/* Whether a message is as the plan saw it. The mount may have moved it since into a mailbox that another process syncs, and has sent it from there. */
static bool
push_stands(struct store_txn *txn, const struct push_item *item, bool *out, struct error *err)
{
	struct base_message base;
	struct message message;
	bool intended;

	if (!intent_exists(txn, RUN_REMOTE, item->number, &intended, err)) {
		return false;
	}
	*out = false;
	if (!message_load(txn, item->number, &message, err)) {
		return err->kind == ERROR_GONE;
	}
	bool stays = message.expunged_s == 0 && message.mailbox.value == item->mailbox.value;

	message_finish(&message);
	if (base_message_load(txn, RUN_REMOTE, item->number, &base, err)) {
		stays &= item->has_base && base.mailbox.value == item->base.mailbox.value &&
			 base.uid.uid == item->base.uid.uid && base.uid.uidvalidity == item->base.uid.uidvalidity;
		base_message_finish(&base);
	} else if (err->kind == ERROR_GONE) {
		stays &= !item->has_base;
	} else {
		return false;
	}
	*out = stays && !intended;
	return true;
}

static void
push_swap(struct push_group *group, size_t a, size_t b)
{
	struct plan_transfer transfer = group->transfers[a];

	group->transfers[a] = group->transfers[b];
	group->transfers[b] = transfer;
	if (group->appends != NULL) {
		struct remote_append append = group->appends[a];

		group->appends[a] = group->appends[b];
		group->appends[b] = append;
	} else {
		struct remote_copy copy = group->copies[a];

		group->copies[a] = group->copies[b];
		group->copies[b] = copy;
	}
}

/* Keeps of the group what still is as the plan saw it, in order; the rest waits for the next pass. */
static bool
push_keep_standing(struct run *run, struct store_txn *txn, struct push_group *group, struct error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < group->count; i++) {
		bool stands;

		if (!push_stands(txn, push_group_item(group, i), &stands, err)) {
			return false;
		}
		error_clear(err);
		if (!stands) {
			run->result->again = group->to->push_incomplete = true;
			if (group->from != NULL) {
				group->from->push_incomplete = true;
			}
			continue;
		}
		push_swap(group, kept++, i);
	}
	group->count = kept;
	return true;
}

static bool
push_write_intents(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct push_group *group = context;

	if (!push_keep_standing(run, txn, group, err)) {
		return false;
	}
	for (size_t i = 0; i < group->count; i++) {
		const struct push_item *item = push_group_item(group, i);
		struct intent *intent = &group->intents[i];
		struct body body;

		*intent = (struct intent){
			.kind = group->from == NULL ? INTENT_APPEND
				: group->move       ? INTENT_MOVE
						    : INTENT_COPY,
			.number = item->number,
			.mailbox = group->from == NULL ? group->to->id : group->from->id,
			.target = group->from == NULL ? (struct mailbox_id){0} : group->to->id,
			.uid = {.uidvalidity = group->from != NULL ? group->from->base.uidvalidity
								   : group->to->base.uidvalidity,
				.uid = group->transfers[i].uid},
			.uidnext = group->uidnext,
			.target_uidvalidity = group->to->base.uidvalidity,
			.created_s = io_wall_s(run->sync->io),
		};
		intent->detail = run_intent_detail(run, push_sent_flags(group, i));
		if (item->body != 0) {
			if (!body_load(txn, item->body, &body, err)) {
				return false;
			}
			intent->has_digest = true;
			intent->digest = body.digest;
		}
		if (!intent_add(txn, RUN_REMOTE, intent, err)) {
			return false;
		}
	}
	return true;
}

static bool
push_settle_lost(struct run *run, struct store_txn *txn, struct intent *intent, struct error *err)
{
	intent->state = INTENT_LOST;
	intent->next_try_s = io_wall_s(run->sync->io);
	run->result->again = true;
	run_add_intent(run, intent);
	return intent_update(txn, intent, err);
}

/* A right that is missing now may have been there at the last scan: the next pass looks at the mailbox again. */
static bool
push_doubt_rights(struct run *run, struct store_txn *txn, struct mailbox_id mailbox, struct error *err)
{
	struct run_box *box = run_box_of(run, mailbox);

	if (box == NULL || box->base.seen_uidnext == 0) {
		return true;
	}
	box->base.seen_uidnext = 0;
	run->result->again = true;
	return base_mailbox_put(txn, RUN_REMOTE, &box->base, err);
}

static bool
push_settle_refused(struct run *run, struct store_txn *txn, const struct push_item *item, struct mailbox_id mailbox,
	const struct error *why, struct error *err)
{
	const struct run_box *box = run_box_of(run, mailbox);

	run->result->failed++;
	run_say(run, "%s: message %" PRIu64 ": %s", box->name, item->number.value, why->text);
	if (why->kind == ERROR_REFUSED &&
		(!push_doubt_rights(run, txn, mailbox, err) ||
			(item->has_base && !push_doubt_rights(run, txn, item->base.mailbox, err)))) {
		return false;
	}
	return message_set_failed(txn, item->number, why->text, err) &&
	       aside_note(txn, RUN_REMOTE, item->number, mailbox, SIDE_REMOTE, slice_of(why->text), err);
}

/* --- answers that name what is known already --- */

enum push_taken { /* of a UID that an answer named */
	PUSH_FREE,
	PUSH_EQUAL,    /* the same message has it, and stays where it is */
	PUSH_DEPARTED, /* the same message has it, which was removed or moved away here */
	PUSH_OTHER,
};

/* The same by GUID, else by digest, else by header (R4). */
static bool
push_same(struct store_txn *txn, const struct base_message *taken, const struct message *other,
	const struct base_message *base, const struct push_item *item, bool *out, struct error *err)
{
	static const uint8_t none[IDENTITY_BYTES];
	struct message message;

	if (taken->guid.kind != GUID_NONE && base->guid.kind != GUID_NONE) {
		*out = guid_equal(&taken->guid, &base->guid);
		return true;
	}
	if (other->body != 0 && item->body != 0) {
		*out = other->body == item->body;
		return true;
	}
	if (!message_load(txn, item->number, &message, err)) {
		return false;
	}
	*out = memcmp(message.identity, none, sizeof(none)) != 0 &&
	       memcmp(message.identity, other->identity, sizeof(none)) == 0;
	message_finish(&message);
	return true;
}

static bool
push_look_at_uid(struct store_txn *txn, const struct base_message *base, const struct push_item *item,
	enum push_taken *out, struct number *out_number, struct error *err)
{
	struct base_message taken;
	struct message other;
	bool same;

	*out = PUSH_FREE;
	if (!base_message_load_by_uid(txn, RUN_REMOTE, base->mailbox, base->uid, &taken, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	*out_number = taken.number;
	if (taken.number.value == base->number.value) {
		base_message_finish(&taken);
		return true;
	}
	bool ok = message_load(txn, taken.number, &other, err);

	if (!ok && err->kind == ERROR_GONE) {
		error_clear(err);
		*out = PUSH_OTHER;
		ok = true;
	} else if (ok) {
		bool stays = other.expunged_s == 0 && other.mailbox.value == base->mailbox.value;

		ok = push_same(txn, &taken, &other, base, item, &same, err);
		*out = !ok || !same || taken.gone != BASE_HERE ? PUSH_OTHER : stays ? PUSH_EQUAL : PUSH_DEPARTED;
		message_finish(&other);
	}
	base_message_finish(&taken);
	return ok;
}

/* The server keeps equal messages once and named the one it has: ours is folded into that (R4). */
static bool
push_fold(struct run *run, struct store_txn *txn, const struct push_item *item, const struct run_box *to,
	struct number into, struct error *err)
{
	run_say(run, "%s: message %" PRIu64 " is message %" PRIu64 " on the server, which keeps equal messages once",
		to->name, item->number.value, into.value);
	return message_expunge(txn, item->number, MESSAGE_FOLDED, into, err) &&
	       base_message_remove(txn, RUN_REMOTE, item->number, err);
}

/* Notes where a message is now. A UID that another message has tells of a server that folds, or of one that was restored (R7). */
static bool
push_put_base(struct push_group *group, struct store_txn *txn, size_t i, const struct base_message *base, bool *out_put,
	struct error *err)
{
	struct run *run = group->push->run;
	const struct push_item *item = push_group_item(group, i);
	struct number number = {0};
	enum push_taken taken;

	if (!push_look_at_uid(txn, base, item, &taken, &number, err)) {
		return false;
	}
	*out_put = true;
	switch (taken) {
	case PUSH_FREE:
		return base_message_put(txn, RUN_REMOTE, base, err);
	case PUSH_EQUAL:
		return push_fold(run, txn, item, group->to, number, err);
	case PUSH_DEPARTED:
		/* What the server has is this one from now on: the other, if it moved, is sent to where it is. */
		group->to->push_incomplete = true;
		return base_message_remove(txn, RUN_REMOTE, number, err) && message_touch(txn, number, err) &&
		       base_message_put(txn, RUN_REMOTE, base, err);
	case PUSH_OTHER:
		break;
	}
	*out_put = false;
	group->to->other = group->to->push_incomplete = true;
	return push_settle_lost(run, txn, &group->intents[i], err);
}

/* --- uploads --- */

static bool
push_settle_append(struct run *run, struct store_txn *txn, void *context, size_t i, bool first, struct error *err)
{
	struct push_group *group = context;
	const struct push_item *item = push_group_item(group, i);
	const struct remote_append *append = &group->appends[i];
	struct intent *intent = &group->intents[i];

	(void)first;
	switch (append->outcome) {
	case REMOTE_NOT_SENT:
		group->to->push_incomplete = true;
		return intent_remove(txn, intent->id, err);
	case REMOTE_UNKNOWN:
		group->to->push_incomplete = true;
		return push_settle_lost(run, txn, intent, err);
	case REMOTE_REFUSED:
		return intent_remove(txn, intent->id, err) &&
		       push_settle_refused(run, txn, item, group->to->id, &append->error, err);
	case REMOTE_DONE:
		break;
	}
	if (append->uid.uid == 0) {
		group->to->push_incomplete = true;
		return push_settle_lost(run, txn, intent, err); /* the next scan finds it */
	}
	struct base_message base = {
		.mailbox = group->to->id,
		.uid = append->uid,
		.number = item->number,
		.internaldate_s = append->internaldate_s, /* push_identify completes it, else the next scan */
		.served = BASE_SERVED_UNKNOWN,
		.flags = append->flags,
	};

	bool put;

	run->result->new_there++;
	if (!push_put_base(group, txn, i, &base, &put, err)) {
		return false;
	}
	return !put || (intent_remove(txn, intent->id, err) && run_clear_failure(txn, item->number, err));
}

static bool
push_read_bodies(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct push_group *group = context;
	struct merge_mask mask = run_mask(group->to);

	(void)run;
	for (size_t i = 0; i < group->count; i++) {
		const struct push_item *item = push_group_item(group, i);

		group->appends[i] = (struct remote_append){
			.internaldate_s = item->internaldate_s,
			.flags = merge_masked(&item->flags, &mask),
		};
		if (!body_to_wire(txn, item->body, &group->appends[i].body, err)) {
			return false;
		}
	}
	return true;
}

struct push_identified {
	struct push_group *group;
	struct remote_message *messages;
	size_t count;
};

static bool
push_note_identified(void *context, struct remote_message *message, struct error *err)
{
	struct push_identified *identified = context;

	(void)err;
	if (identified->count < identified->group->count) {
		identified->messages[identified->count] = *message;
		identified->messages[identified->count].flags = flags_copy(&message->flags);
		identified->messages[identified->count++].body = NULL;
	}
	return true;
}

static bool
push_write_identified(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct push_identified *identified = context;

	(void)run;
	for (size_t i = 0; i < identified->count; i++) {
		const struct remote_message *message = &identified->messages[i];
		struct remote_uid uid = {.uidvalidity = identified->group->to->base.uidvalidity, .uid = message->uid};
		struct base_message base;

		if (!base_message_load_by_uid(txn, RUN_REMOTE, identified->group->to->id, uid, &base, err)) {
			if (err->kind != ERROR_GONE) {
				return false;
			}
			error_clear(err);
			continue;
		}
		bool ok = run_complete_base(txn, &base, message->size_bytes, err);

		base.guid = message->guid;
		base.modseq = message->modseq;
		base.internaldate_s = message->internaldate_s;
		ok = ok && base_message_put(txn, RUN_REMOTE, &base, err);

		base_message_finish(&base);
		if (!ok) {
			return false;
		}
	}
	return true;
}

/* Asks for the GUIDs of what was just uploaded, so that a move of it by somebody else is known for one. */
static bool
push_identify(struct push_group *group, struct error *err)
{
	struct run *run = group->push->run;
	SCOPED(uidset_finish) struct uidset uids = UIDSET_INIT;
	struct push_identified identified = {.group = group};
	struct remote_target target = run_target(group->to);

	for (size_t i = 0; i < group->count; i++) {
		if (group->appends[i].outcome == REMOTE_DONE && group->appends[i].uid.uid != 0) {
			uidset_add(&uids, group->appends[i].uid.uid, group->appends[i].uid.uid);
		}
	}
	if (uidset_size(&uids) == 0) {
		return true;
	}
	identified.messages = arena_alloc(&run->arena, group->count * sizeof(*identified.messages));
	bool ok = run->session->ops->identify(
			  run->session, &target, &uids, false, push_note_identified, &identified, NULL, err) &&
		  run_write(run, push_write_identified, &identified, STORE_LAZY, err);

	for (size_t i = 0; i < identified.count; i++) {
		flags_finish(&identified.messages[i].flags);
	}
	return ok;
}

static bool
push_append_group(struct push_group *group, struct error *err)
{
	struct run *run = group->push->run;
	struct remote_target target = run_target(group->to);
	struct error failure = ERROR_INIT;
	size_t count = group->count;

	group->appends = arena_alloc(&run->arena, group->count * sizeof(*group->appends));
	group->intents = arena_alloc(&run->arena, group->count * sizeof(*group->intents));
	group->uidnext = push_uidnext(group->to);
	bool ok = run_read(run, push_read_bodies, group, err) &&
		  run_write(run, push_write_intents, group, STORE_DURABLE, err);

	if (ok && group->count > 0) {
		bool sent = run->session->ops->append(run->session, &target, group->appends, group->count, &failure);

		ok = run_write_each(run, push_settle_append, group, group->count, err);
		if (ok && !sent) {
			*err = failure;
			ok = push_survives(group->push, group->to, NULL, err);
		} else if (ok) {
			ok = push_identify(group, err) || push_survives(group->push, group->to, NULL, err);
		}
	}
	for (size_t i = 0; i < count; i++) {
		spool_close(&group->appends[i].body);
		flags_finish(&group->appends[i].flags);
	}
	run->progress_done += count;
	run_progress(run, "sending");
	return ok;
}

/* --- copies and moves --- */

/* A copy has the flags of what it was made of. Those of ours come after it; where nothing in the feed says so any more, it does again. */
static bool
push_tell_flags(struct push_group *group, struct store_txn *txn, const struct push_item *item,
	const struct base_message *base, struct error *err)
{
	struct merge_mask mask = run_mask(group->to);
	SCOPED(flags_finish) struct flags ours = merge_masked(&item->flags, &mask);
	SCOPED(flags_finish) struct flags theirs = merge_masked(&base->flags, &mask);

	return flags_equal(&ours, &theirs) || message_touch(txn, item->number, err);
}

static bool
push_settle_copied(struct store_txn *txn, struct push_group *group, size_t i, struct error *err)
{
	const struct push_item *item = push_group_item(group, i);
	struct base_message base = group->move ? item->base : item->source; /* flags borrowed */

	if (group->left_behind && !remnant_make(txn, &item->base, err)) {
		return false;
	}
	base.number = item->number;
	base.mailbox = group->to->id;
	base.uid = group->copies[i].target;
	base.modseq = 0;
	bool put;

	if (!push_put_base(group, txn, i, &base, &put, err)) {
		return false;
	}
	if (!put) {
		return true;
	}
	return intent_remove(txn, group->intents[i].id, err) && run_clear_failure(txn, item->number, err) &&
	       push_tell_flags(group, txn, item, &base, err);
}

static bool
push_settle_copy(struct run *run, struct store_txn *txn, void *context, size_t i, bool first, struct error *err)
{
	struct push_group *group = context;
	const struct push_item *item = push_group_item(group, i);
	struct intent *intent = &group->intents[i];
	struct error why = ERROR_INIT;

	(void)first;
	switch (group->copies[i].outcome) {
	case REMOTE_NOT_SENT:
		group->to->push_incomplete = group->from->push_incomplete = true;
		return intent_remove(txn, intent->id, err);
	case REMOTE_UNKNOWN:
		group->to->push_incomplete = group->from->push_incomplete = true;
		return push_settle_lost(run, txn, intent, err);
	case REMOTE_REFUSED:
		if (!intent_remove(txn, intent->id, err)) {
			return false;
		}
		if (!group->move) {
			return true; /* it is uploaded instead: push_note_refused_copies */
		}
		if (group->copies[i].refusal != ERROR_GONE && group->refusal.kind != ERROR_NONE) {
			return push_settle_refused(run, txn, item, group->to->id, &group->refusal, err);
		}
		/* Not named by COPYUID: it was not moved. The next scan tells whether it is gone. */
		run->result->again = true;
		error_set(&why, ERROR_ITEM, "the server did not move it: it is looked at again");
		return aside_note(txn, RUN_REMOTE, item->number, group->to->id, SIDE_REMOTE, slice_of(why.text), err);
	case REMOTE_DONE:
		break;
	}
	if (group->copies[i].target.uid == 0) {
		/* The next scan finds it; what was only marked is not it any more. */
		group->to->push_incomplete = group->from->push_incomplete = true;
		return (!group->left_behind || remnant_make(txn, &item->base, err)) &&
		       push_settle_lost(run, txn, intent, err);
	}
	run->result->moved_there += group->move;
	run->result->new_there += !group->move;
	return push_settle_copied(txn, group, i, err);
}

static int
push_compare_numbers(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static void
push_note_refused_copies(struct push_group *group)
{
	struct push *push = group->push;
	uint64_t *numbers = realloc(push->no_copy, (push->no_copy_count + group->count) * sizeof(*numbers));

	if (numbers == NULL) {
		abort();
	}
	push->no_copy = numbers;
	for (size_t i = 0; i < group->count; i++) {
		if (group->copies[i].outcome == REMOTE_REFUSED) {
			numbers[push->no_copy_count++] = push_group_item(group, i)->number.value;
		}
	}
	qsort(numbers, push->no_copy_count, sizeof(*numbers), push_compare_numbers);
}

/* Items of a group rise by UID; a source that several copies are made of stands once for each, in calls of their own. */
static bool
push_copy_group(struct push_group *group, struct error *err)
{
	struct run *run = group->push->run;
	struct remote_target from = run_target(group->from), to = run_target(group->to);
	struct error failure = ERROR_INIT;
	bool marked = false;

	error_clear(&group->refusal);
	group->copies = arena_alloc(&run->arena, group->count * sizeof(*group->copies));
	group->intents = arena_alloc(&run->arena, group->count * sizeof(*group->intents));
	group->uidnext = push_uidnext(group->to);
	for (size_t i = 0; i < group->count; i++) {
		group->copies[i].uid = group->transfers[i].uid;
		group->copies[i].why = &group->refusal;
	}
	if (!run_write(run, push_write_intents, group, STORE_DURABLE, err)) {
		return false;
	}
	if (group->count == 0) {
		return true;
	}
	bool sent = run->session->ops->copy(
		run->session, &from, &to, group->move, group->copies, group->count, &marked, &failure);

	group->left_behind = group->move && (marked || !sent);
	if (!run_write_each(run, push_settle_copy, group, group->count, err)) {
		return false;
	}
	if (!group->move) {
		push_note_refused_copies(group);
	}
	run->progress_done += group->count;
	run_progress(run, "sending");
	if (!sent) {
		*err = failure;
		return push_survives(group->push, group->from, group->to, err);
	}
	return true;
}

static size_t
push_copy_run(const struct plan_transfer *transfers, size_t count)
{
	size_t length = 1;

	while (length < count && transfers[length].uid != transfers[length - 1].uid) {
		length++;
	}
	return length;
}

static size_t
push_append_run(const struct push *push, const struct plan_transfer *transfers, size_t count, const uint64_t *sizes)
{
	size_t length = 1;
	uint64_t bytes = sizes[transfers[0].item];

	(void)push;
	while (length < count && length < PUSH_APPEND_MESSAGES &&
		bytes + sizes[transfers[length].item] <= PUSH_APPEND_BYTES) {
		bytes += sizes[transfers[length].item];
		length++;
	}
	return length;
}

struct push_sizes {
	struct push *push;
	uint64_t *sizes;
};

static bool
push_read_sizes(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct push_sizes *sizes = context;

	(void)run;
	for (size_t i = 0; i < sizes->push->count; i++) {
		struct body body;

		if (sizes->push->items[i].body == 0) {
			continue;
		}
		if (!body_load(txn, sizes->push->items[i].body, &body, err)) {
			return false;
		}
		sizes->sizes[i] = body.wire_size_bytes;
	}
	return true;
}

static bool
push_transfer_group(struct push *push, struct plan_transfer *transfers, size_t count, bool move, const uint64_t *sizes,
	struct error *err)
{
	struct push_group group = {
		.push = push,
		.from = transfers[0].from != 0 ? run_box_of(push->run, (struct mailbox_id){transfers[0].from}) : NULL,
		.to = run_box_of(push->run, (struct mailbox_id){transfers[0].to}),
		.move = move,
	};

	for (size_t done = 0, length; done < count; done += length) {
		if (group.to->other &&
			!scan_begin_repair(push->run, group.to, "it gave a UID that another message has", err)) {
			return false;
		}
		if (group.to->failed || (group.from != NULL && group.from->failed)) {
			group.to->push_incomplete = true;
			return true;
		}
		group.transfers = &transfers[done];
		length = group.from == NULL ? push_append_run(push, group.transfers, count - done, sizes)
					    : push_copy_run(group.transfers, count - done);
		group.count = length;
		if (!(group.from == NULL ? push_append_group(&group, err) : push_copy_group(&group, err))) {
			return false;
		}
	}
	return !group.to->other ||
	       scan_begin_repair(push->run, group.to, "it gave a UID that another message has", err);
}

bool
push_transfers(struct push *push, struct error *err)
{
	struct run *run = push->run;
	struct plan_transfer *transfers = arena_alloc(&run->arena, (push->count + 1) * sizeof(*transfers));
	struct push_sizes sizes = {
		.push = push, .sizes = arena_alloc(&run->arena, (push->count + 1) * sizeof(uint64_t))};

	if (!run_read(run, push_read_sizes, &sizes, err)) {
		return false;
	}
	/* Uploads and copies first, for a copy may be of a message that is about to move. */
	for (int round = 0; round < 2; round++) {
		size_t count = 0;

		for (size_t i = 0; i < push->count; i++) {
			const struct push_item *item = &push->items[i];
			bool move = item->kind == PLAN_MOVE;

			if (move == (round == 1)) {
				transfers[count++] = (struct plan_transfer){
					.item = i,
					.from = move         ? item->base.mailbox.value
						: item->copy ? item->source.mailbox.value
							     : 0,
					.to = item->mailbox.value,
					.uid = move         ? item->base.uid.uid
					       : item->copy ? item->source.uid.uid
							    : 0,
				};
			}
		}
		plan_transfer_sort(transfers, count);
		for (size_t first = 0, length; first < count; first += length) {
			length = plan_transfer_group(transfers, count, first);
			if (!push_transfer_group(push, &transfers[first], length, round == 1, sizes.sizes, err)) {
				return false;
			}
		}
	}
	return true;
}
