#include "engine/sync/sync.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/sync/run.h"

#define SYNC_DAY_MS       (24 * 3600 * 1000)
#define SYNC_LOOK_AGAIN_S 10 /* R10: a lost answer is looked for twice */

struct sync *
sync_create(struct io *io, struct store *store, const struct sync_settings *settings)
{
	struct sync *sync = calloc(1, sizeof(*sync));

	if (sync == NULL) {
		abort();
	}
	sync->io = io;
	sync->store = store;
	sync->settings = settings;
	return sync;
}

void
sync_destroy(struct sync **sync)
{
	if (*sync != NULL) {
		io_lock_file_close(&(*sync)->locks);
		free((*sync)->missed);
		free(*sync);
		*sync = NULL;
	}
}

void
sync_result_finish(struct sync_result *result)
{
	buf_finish(&result->text);
}

/* --- locks (R1) --- */

static bool
sync_box_is_wanted(const struct run_box *box)
{
	return box->wants_scan || box->wants_push || (box->vanished && box->live) ||
	       (!box->live && box->remote != NULL);
}

/* Takes the locks of the wanted mailboxes in rising order; those that are busy are left for the second round, which shares one wait. */
static bool
sync_lock_boxes(struct run *run, bool second_round, struct error *err)
{
	int64_t deadline_ms = io_now_ms(run->sync->io) + run->pass->lock_timeout_ms;

	for (size_t i = 0; i < run->box_count; i++) {
		struct run_box *box = &run->boxes[i];
		int64_t left_ms = second_round ? deadline_ms - io_now_ms(run->sync->io) : 0;

		if (box->locked || !sync_box_is_wanted(box) || (second_round && !box->busy)) {
			continue;
		}
		if (run_lock(run, box->id.value, left_ms, err)) {
			box->locked = true;
			box->busy = false;
			continue;
		}
		if (err->kind != ERROR_RETRY) {
			return false;
		}
		error_clear(err);
		box->busy = true;
	}
	return true;
}

static void
sync_unlock_boxes(struct run *run)
{
	for (size_t i = 0; i < run->box_count; i++) {
		if (run->boxes[i].locked) {
			run_unlock(run, run->boxes[i].id.value);
			run->boxes[i].locked = false;
		}
	}
}

/* Where another process has the tree for longer than we may wait, this pass is about what changed here. */
static bool
sync_lock_tree(struct run *run, bool *local_only, struct error *err)
{
	if (run_lock(run, RUN_TREE, run->pass->lock_timeout_ms, err)) {
		run->tree_locked = true;
		return true;
	}
	if (err->kind != ERROR_RETRY) {
		return false;
	}
	error_clear(err);
	run->result->deferred++;
	run->result->again = true;
	run_say(run, "the mailboxes of the server: deferred: another process is looking at them");
	*local_only = true;
	return true;
}

static void
sync_unlock_tree(struct run *run)
{
	if (run->tree_locked) {
		run_unlock(run, RUN_TREE);
		run->tree_locked = false;
	}
}

static void
sync_tell_deferred(struct run *run)
{
	for (size_t i = 0; i < run->box_count; i++) {
		if (run->boxes[i].busy) {
			run->result->deferred++;
			run->result->again = true;
			run_say(run, "%s: deferred: another process is syncing it", run->boxes[i].name);
		}
	}
}

/* --- lost answers (R10) --- */

struct sync_lost {
	struct intent *intent;
	bool over;
};

static bool
sync_write_lost(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct sync_lost *lost = context;

	(void)run;
	return lost->over ? intent_remove(txn, lost->intent->id, err) : intent_update(txn, lost->intent, err);
}

/* Not found where it was to go: looked for once more after 10 s, and only then sent again. */
static bool
sync_look_again(struct run *run, struct error *err)
{
	int64_t now_s = io_wall_s(run->sync->io);

	for (size_t i = 0; i < run->intent_count; i++) {
		struct intent *intent = &run->intents[i];
		const struct run_box *box = run_box_of(run, run_intent_target(intent));
		struct sync_lost lost = {.intent = intent};

		if (intent->kind > INTENT_MOVE || intent->number.value == 0) {
			continue;
		}
		if (box == NULL || box->vanished) {
			lost.over = true; /* its mailbox is gone: what is still here is new there */
		} else if (!box->scanned) {
			continue; /* held, busy or failed: it is looked for when that is over */
		} else if (intent->looked > 0 && now_s >= intent->next_try_s) {
			lost.over = true;
		} else if (intent->looked == 0) {
			intent->looked = 1;
			intent->state = INTENT_LOST;
			intent->next_try_s = now_s + SYNC_LOOK_AGAIN_S;
		}
		run->result->again = true;
		if (!lost.over &&
			(run->result->again_in_ms == 0 || run->result->again_in_ms > SYNC_LOOK_AGAIN_S * 1000)) {
			run->result->again_in_ms = SYNC_LOOK_AGAIN_S * 1000;
		}
		if (!run_write(run, sync_write_lost, &lost, STORE_LAZY, err)) {
			return false;
		}
		if (lost.over) {
			log_info("sync", "number=%" PRIu64 " not found where it was sent: it is sent again",
				intent->number.value);
			intent->number.value = 0;
		}
	}
	return true;
}

/* --- the pass --- */

static bool
sync_work(struct run *run, struct error *err)
{
	if (!scan_boxes(run, err) || !pull_finish(run, err) || !removals_here(run, err) || !sync_look_again(run, err)) {
		return false;
	}
	if (run->direction != SYNC_PULL && !push_boxes(run, err)) {
		return false;
	}
	return removals_there(run, err);
}

static void
sync_tell_boxes(struct run *run)
{
	for (size_t i = 0; i < run->box_count; i++) {
		if (run->boxes[i].scanned && run->pass->mailbox_done != NULL) {
			run->pass->mailbox_done(run->pass->context, run->boxes[i].id);
		}
	}
}

static bool sync_read_tree_changed(struct run *run, struct store_txn *txn, void *context, struct error *err);

/* Which mailboxes the pass is about, and their locks. The tree stays locked until they are had: between the listing and the gathering nobody
 * makes, renames or removes one. */
static bool
sync_begin(struct run *run, bool *local_only, struct error *err)
{
	if (!*local_only && !sync_lock_tree(run, local_only, err)) {
		return false;
	}
	if (run->tree_locked &&
		(!removals_settle(run, err) || !mailboxes_check(run, err) || !mailboxes_sync(run, err))) {
		return false;
	}
	if (!gather_boxes(run, err) || !holds_mark(run, err) || !holds_note_sizes(run, err) ||
		!sync_lock_boxes(run, false, err)) {
		return false;
	}
	sync_unlock_tree(run);
	return gather_again(run, err);
}

static bool
sync_run(struct run *run, bool *local_only, struct error *err)
{
	if (!holds_answer(run, err)) {
		return false;
	}
	if (*local_only && !run_read(run, sync_read_tree_changed, local_only, err)) {
		return false;
	}
	if (!sync_begin(run, local_only, err) || !sync_work(run, err)) {
		return false;
	}
	bool busy = false;

	for (size_t i = 0; i < run->box_count; i++) {
		busy |= run->boxes[i].busy;
	}
	if (busy) {
		/* The free ones are done and given back; the others share one wait. */
		sync_unlock_boxes(run);
		for (size_t i = 0; i < run->box_count; i++) {
			run->boxes[i].wants_push &= run->boxes[i].busy;
			run->boxes[i].wants_scan &= run->boxes[i].busy;
		}
		if (!sync_lock_boxes(run, true, err) || !gather_again(run, err) || !sync_work(run, err)) {
			return false;
		}
	}
	sync_tell_deferred(run);
	sync_tell_boxes(run);
	return true;
}

struct sync_tree_change {
	uint64_t modseq;
};

static bool
sync_note_mailbox(void *context, const struct mailbox *mailbox, struct error *err)
{
	struct sync_tree_change *change = context;

	(void)err;
	if (mailbox->modseq.value > change->modseq) {
		change->modseq = mailbox->modseq.value;
	}
	return true;
}

/* A pass without a listing is not enough when the tree changed here since the last listing. */
static bool
sync_read_tree_changed(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	bool *local_only = context;
	struct sync_tree_change change = {0};
	uint64_t listed;

	(void)run;
	if (!store_meta_get_u64(txn, "tree_listed", &listed, err) ||
		!mailbox_each(txn, true, sync_note_mailbox, &change, err)) {
		return false;
	}
	*local_only = change.modseq <= listed;
	return true;
}

static bool
sync_write_tree_listed(struct run *run, struct store_txn *txn, void *context, struct error *err)
{
	struct sync_tree_change change = {0};
	uint64_t listed;

	(void)run;
	(void)context;
	if (!store_meta_get_u64(txn, "tree_listed", &listed, err) ||
		!mailbox_each(txn, true, sync_note_mailbox, &change, err)) {
		return false;
	}
	/* What changed while the pass ran belongs to the next one. */
	uint64_t until = change.modseq < run->snapshot.value ? change.modseq : run->snapshot.value;

	return until <= listed || store_meta_set_u64(txn, "tree_listed", until, err);
}

static void
sync_run_finish(struct run *run)
{
	for (size_t i = 0; i < run->box_count; i++) {
		base_mailbox_finish(&run->boxes[i].base);
		uidset_finish(&run->boxes[i].known);
	}
	for (size_t i = 0; i < run->deferred_count; i++) {
		run_arrival_finish(&run->deferred[i]);
	}
	assert(run->behind == NULL);
	run_batch_finish(&run->batch);
	run_batch_finish(&run->written);
	free(run->remotes);
	free(run->boxes);
	free(run->intents);
	free(run->deferred);
	free(run->waiting);
	free(run->gone);
	arena_finish(&run->arena);
}

bool
sync_pass_run(struct sync *sync, struct remote_session *session, const struct sync_pass *pass,
	struct sync_result *result, struct error *err)
{
	struct sync_pass this_pass = *pass;
	struct run run = {
		.sync = sync,
		.session = session,
		.pass = &this_pass,
		.result = result,
		.direction = sync->settings->direction,
	};
	int64_t now_ms = io_now_ms(sync->io);

	run_batch_init(&run.batch);
	run_batch_init(&run.written);
	*result = (struct sync_result){0};
	io_random(sync->io, &run.id, sizeof(run.id));
	if (sync->locks == NULL && !io_lock_file_open(store_dir(sync->store), "locks/mailboxes", &sync->locks, err)) {
		sync_run_finish(&run);
		return false;
	}
	if (!this_pass.local_only && !this_pass.full) {
		/* Once a day everything is compared, whatever the counters say (R2). */
		this_pass.full = sync->last_full_ms != 0 && now_ms - sync->last_full_ms > SYNC_DAY_MS;
	}
	bool ok = sync_run(&run, &this_pass.local_only, err);

	if (ok && !this_pass.local_only && !this_pass.dry_run) {
		ok = run_write(&run, sync_write_tree_listed, NULL, STORE_LAZY, err);
	}
	if (ok && (this_pass.full || sync->last_full_ms == 0)) {
		sync->last_full_ms = now_ms;
	}
	sync_unlock_boxes(&run);
	sync_unlock_tree(&run);
	sync_run_finish(&run);
	return ok;
}
