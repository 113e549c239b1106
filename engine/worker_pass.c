/* One pass that somebody asked for, by the worker or without one: what it did, and what is left undone. */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/store/base.h"
#include "engine/store/intent.h"
#include "engine/worker.h"

static void
take_result(struct sync_result *from, struct admin_sync_result *out)
{
	out->downloaded += from->new_here;
	out->uploaded += from->new_there;
	out->moved_here += from->moved_here;
	out->moved_there += from->moved_there;
	out->flags_here += from->flags_here;
	out->flags_there += from->flags_there;
	out->expunged_here += from->expunged_here;
	out->expunged_there += from->expunged_there;
	out->bodies += from->bodies;
	out->failed += from->failed;
	out->held += from->held;
	out->deferred += from->deferred;
	out->again |= from->again;
	out->reconnect |= from->reconnect;
	out->again_in_ms += from->again_in_ms > 0 ? (uint64_t)from->again_in_ms : 0;
	buf_append(&out->text, buf_slice(&from->text));
}

static bool
note_aside(void *context, const struct aside *aside, struct error *err)
{
	struct worker_asides *asides = context;

	if (asides->count++ == 0 || aside->next_try_s < asides->next_try_s) {
		asides->next_try_s = aside->next_try_s;
	}
	return true;
}

bool
worker_count_asides(struct store_txn *txn, struct worker_asides *out, struct error *err)
{
	*out = (struct worker_asides){0};
	return aside_each(txn, BASE_REMOTE, note_aside, out, err);
}

/* What earlier passes set aside and this one did not try again has failed all the same. */
static bool
tell_asides(struct account *account, struct admin_sync_result *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct worker_asides asides;

	if (!store_read_begin(account->store, &txn, err) || !worker_count_asides(txn, &asides, err)) {
		return false;
	}
	if (asides.count > out->failed) {
		buf_printf(&out->text,
			"%" PRIu64 " set aside before, and to be tried again later: see `mailfs status`\n",
			asides.count - out->failed);
		out->failed = asides.count;
	}
	return true;
}

bool
worker_run_pass(struct account *account, struct sync *sync, struct remote_session *session,
	const struct admin_sync_options *options,
	void (*report)(void *context, const char *phase, uint64_t done, uint64_t total), void *context, bool bodies,
	struct admin_sync_result *out, struct error *err)
{
	struct slice *names = calloc(options->mailbox_count + 1, sizeof(*names));
	struct sync_result result = {0}, filled = {0};
	uint64_t before[4], after[4];
	bool ok;

	if (names == NULL) {
		abort();
	}
	for (size_t i = 0; i < options->mailbox_count; i++) {
		names[i] = slice_of(options->mailboxes[i]);
	}
	bool old_copy = atomic_load(&account->rolled_back);
	struct sync_pass pass = {
		.mailboxes = names,
		.mailbox_count = options->mailbox_count,
		.full = options->full || old_copy,
		.dry_run = options->dry_run,
		.bodies_with_scan = bodies && account_config(account)->bodies == CONFIG_BODIES_ALL,
		.lock_timeout_ms = options->lock_timeout_ms,
		.progress = report,
		.context = context,
	};

	session->ops->counters(session, &before[0], &before[1], &before[2], &before[3]);
	ok = sync_pass_run(sync, session, &pass, &result, err);
	take_result(&result, out);
	sync_result_finish(&result);
	if (ok && old_copy && options->mailbox_count == 0 && !options->dry_run) {
		account_settle_rollback(account);
	}
	if (ok && bodies && !options->dry_run) {
		ok = sync_hydrate_wanted(sync, session, &pass, &filled, err);
		take_result(&filled, out);
		sync_result_finish(&filled);
	}
	if (ok && options->mailbox_count == 0 && !options->dry_run) {
		ok = tell_asides(account, out, err);
	}
	session->ops->counters(session, &after[0], &after[1], &after[2], &after[3]);
	out->octets_in += after[0] - before[0];
	out->octets_out += after[1] - before[1];
	out->turns += after[2] - before[2];
	out->commands += after[3] - before[3];
	free(names);
	return ok;
}
