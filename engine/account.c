#include "engine/account.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/driver.h"
#include "engine/hydrator.h"
#include "engine/view.h"
#include "engine/watcher.h"
#include "engine/worker.h"

static const char *const state_names[] = {
	[ACCOUNT_STOPPED] = "stopped",
	[ACCOUNT_STANDBY] = "standing by",
	[ACCOUNT_STARTING] = "starting",
	[ACCOUNT_SYNCING] = "syncing",
	[ACCOUNT_IDLE] = "idle",
	[ACCOUNT_OFFLINE] = "offline",
	[ACCOUNT_CREDENTIALS] = "waiting for credentials",
	[ACCOUNT_THROTTLED] = "throttled",
	[ACCOUNT_HELD] = "held",
	[ACCOUNT_FAILING] = "failing",
};
_Static_assert(ARRAY_LENGTH(state_names) == ACCOUNT_STATE_COUNT, "every state has a name");

static _Thread_local bool thread_is_ours;

void
account_mark_thread(void)
{
	thread_is_ours = true;
}

const char *
account_state_name(enum account_state state)
{
	return state_names[state];
}

/* --- the face (engine.h) --- */

const struct config_account *
account_config(const struct account *account)
{
	return atomic_load_explicit(&account->config, memory_order_acquire);
}

const char *
account_name(const struct account *account)
{
	return account_config(account)->name;
}

const struct error *
account_failure(const struct account *account)
{
	return account->failure.kind != ERROR_NONE ? &account->failure : NULL;
}

bool
account_check(const struct account *account, struct error *err)
{
	if (account->failure.kind != ERROR_NONE) {
		*err = account->failure;
		return false;
	}
	return true;
}

uint8_t
account_octet(const struct account *account)
{
	return account->octet;
}

/* --- making and ending --- */

struct account *
account_create(struct engine *engine, struct io *io, const struct config_account *config, bool sync, bool mounted)
{
	struct account *account = calloc(1, sizeof(*account));

	if (account == NULL) {
		abort();
	}
	account->engine = engine;
	account->io = io;
	account->sync = sync;
	account->mounted = mounted;
	atomic_init(&account->config, config);
	account->stop = cancel_create();
	account->sessions_max = config->connections;
	mutex_init(&account->mutex, LOCK_RANK_LEAF);
	mutex_init(&account->remote_mutex, LOCK_RANK_ACCOUNT);
	mutex_init(&account->listener_mutex, LOCK_RANK_IO);
	condition_init(&account->session_freed);
	account_secret_init(&account->secret);
	account->condition.since_s = io_wall_s(io);
	account->worker = worker_create(account);
	account->hydrator = hydrator_create(account);
	account->watcher = watcher_create(account);
	account->driver = driver_create(account);
	return account;
}

void
account_destroy(struct account **account)
{
	struct account *old = *account;

	if (old == NULL) {
		return;
	}
	account_stop(old);
	driver_destroy(&old->driver);
	watcher_destroy(&old->watcher);
	hydrator_destroy(&old->hydrator);
	worker_destroy(&old->worker);
	for (size_t i = 0; i < old->retired_count; i++) {
		old->retired[i]->ops->destroy(&old->retired[i]);
	}
	if (old->remote != NULL) {
		old->remote->ops->destroy(&old->remote);
	}
	io_lock_file_close(&old->writers);
	store_close(&old->store);
	account_secret_finish(&old->secret);
	condition_finish(&old->session_freed);
	mutex_finish(&old->listener_mutex);
	mutex_finish(&old->remote_mutex);
	mutex_finish(&old->mutex);
	cancel_destroy(&old->stop);
	free(old);
	*account = NULL;
}

static void
store_changed(void *context)
{
	struct account *account = context;

	if (!thread_is_ours) {
		worker_note_change(account->worker);
	}
	account_announce(account);
}

static bool
open_store(struct account *account, struct error *err)
{
	const struct config_account *config = account_config(account);
	struct store_identity identity = {.server = config->server, .user = config->user};
	bool rolled_back = false;

	assert(account->store == NULL);
	if (!store_open(account->io, config->store, &identity, &rolled_back, &account->store, err)) {
		return error_wrap(err, "%s", config->name);
	}
	atomic_store(&account->rolled_back, rolled_back);
	if (rolled_back) {
		log_warn("account",
			"account=%s event=old-copy store=%s: an old copy of the store was put back; everything is "
			"paired again",
			config->name, config->store);
	}
	if (!io_mkdir(store_dir(account->store), "locks", err) ||
		!io_lock_file_open(store_dir(account->store), "locks/writers", &account->writers, err)) {
		return error_wrap(err, "%s", config->name);
	}
	store_set_listener(account->store, store_changed, account);
	return true;
}

bool
account_open(struct account *account, struct error *err)
{
	if (open_store(account, err)) {
		return true;
	}
	account->failure = *err;
	io_lock_file_close(&account->writers);
	store_close(&account->store);
	account_enter_state(account, ACCOUNT_FAILING, err, 0);
	return false;
}

void
account_settle_rollback(struct account *account)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	struct error err = ERROR_INIT;

	if (!atomic_exchange(&account->rolled_back, false)) {
		return;
	}
	if (!store_write_begin(account->store, STORE_ENGINE, &txn, &err) ||
		!store_meta_set_u64(txn, "rolled_back", 0, &err) || !store_write_commit(&txn, STORE_DURABLE, &err)) {
		log_warn("account", "account=%s event=old-copy-not-settled reason=%s", account_name(account), err.text);
	}
}

bool
account_start(struct account *account, struct error *err)
{
	if (!account->sync || account->failure.kind != ERROR_NONE) {
		return true;
	}
	return driver_start(account->driver, err) || error_wrap(err, "%s", account_name(account));
}

void
account_stop(struct account *account)
{
	cancel_raise(account->stop);
	driver_stop(account->driver);
	hydrator_stop(account->hydrator);
	if (account->store != NULL) {
		store_set_listener(account->store, NULL, NULL);
	}
}

bool
account_reconfigure(struct account *account, const struct config_account *config, struct error *err)
{
	const struct config_account *old = account_config(account);

	if (strcmp(old->store, config->store) != 0 || strcmp(old->server, config->server) != 0 ||
		strcmp(old->user, config->user) != 0) {
		return error_set(err, ERROR_CONFIG,
			"%s: another server, user or store is another account: end this process and start it again",
			config->name);
	}
	atomic_store_explicit(&account->config, config, memory_order_release);
	mutex_lock(&account->mutex);
	account->sessions_max = config->connections;
	account->trash = (struct mailbox_id){0};
	mutex_unlock(&account->mutex);
	account_secret_forget(&account->secret);
	atomic_fetch_add(&account->config_generation, 1);
	worker_wake(account->worker);
	watcher_wake(account->watcher);
	return true;
}

/* --- news --- */

void
view_listen(struct account *account, void (*changed)(void *context), void *context)
{
	mutex_lock(&account->listener_mutex);
	if (changed == NULL) {
		account->listener_count = 0;
	} else {
		assert(account->listener_count < ACCOUNT_LISTENERS_MAX);
		account->listeners[account->listener_count].changed = changed;
		account->listeners[account->listener_count].context = context;
		account->listener_count++;
	}
	mutex_unlock(&account->listener_mutex);
}

void
account_announce(struct account *account)
{
	mutex_lock(&account->listener_mutex);
	for (unsigned i = 0; i < account->listener_count; i++) {
		account->listeners[i].changed(account->listeners[i].context);
	}
	mutex_unlock(&account->listener_mutex);
}

void
account_edited(struct account *account)
{
	worker_note_change(account->worker);
}

bool
account_check_writable(const struct account *account, struct error *err)
{
	if (!account_check(account, err)) {
		return false;
	}
	if (account_config(account)->direction == CONFIG_PULL) {
		error_set(err, ERROR_REFUSED, "account %s only pulls: nothing can be changed here",
			account_name(account));
		err->sys_errno = EROFS;
		return false;
	}
	return true;
}

/* --- states --- */

void
account_enter_state(struct account *account, enum account_state state, const struct error *error, int64_t next_try_ms)
{
	int64_t now_s = io_wall_s(account->io);
	int64_t next_try_s = next_try_ms == 0 ? 0 : now_s + (next_try_ms - io_now_ms(account->io) + 999) / 1000;
	enum account_state before;
	bool moved, told;

	assert(state < ACCOUNT_STATE_COUNT);
	mutex_lock(&account->mutex);
	before = account->condition.state;
	moved = before != state;
	told = strcmp(account->condition.reason, error != NULL ? error->text : "") != 0;
	if (moved) {
		account->condition.since_s = now_s;
	}
	account->condition.state = state;
	account->condition.next_try_s = next_try_s;
	account->condition.kind = error != NULL ? error->kind : ERROR_NONE;
	(void)snprintf(
		account->condition.reason, sizeof(account->condition.reason), "%s", error != NULL ? error->text : "");
	mutex_unlock(&account->mutex);
	if (moved || told) {
		bool quiet = error == NULL || (before == ACCOUNT_OFFLINE && state == ACCOUNT_OFFLINE);

		log_line(quiet ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "account", "account=%s from=\"%s\" to=\"%s\"%s%s",
			account_name(account), state_names[before], state_names[state], error != NULL ? " reason=" : "",
			error != NULL ? error->text : "");
	}
	if (moved || told) {
		account_announce(account);
	}
}

struct account_condition
account_condition_get(struct account *account)
{
	struct account_condition condition;

	mutex_lock(&account->mutex);
	condition = account->condition;
	mutex_unlock(&account->mutex);
	return condition;
}

void
account_set_progress(struct account *account, const char *phase_or_null, uint64_t done, uint64_t total)
{
	mutex_lock(&account->mutex);
	(void)snprintf(account->progress.phase, sizeof(account->progress.phase), "%s",
		phase_or_null != NULL ? phase_or_null : "");
	account->progress.done = done;
	account->progress.total = total;
	mutex_unlock(&account->mutex);
}

struct account_progress
account_progress_get(struct account *account)
{
	struct account_progress progress;

	mutex_lock(&account->mutex);
	progress = account->progress;
	mutex_unlock(&account->mutex);
	return progress;
}

/* --- settings --- */

static int64_t
bodies_since_s(void *context)
{
	struct account *account = context;
	const struct config_account *config = account_config(account);

	switch (config->bodies) {
	case CONFIG_BODIES_ALL:
		return INT64_MIN;
	case CONFIG_BODIES_RECENT:
		return io_wall_s(account->io) - (int64_t)config->bodies_days * 86400;
	case CONFIG_BODIES_ON_DEMAND:
		break;
	}
	return INT64_MAX;
}

struct sync_settings
account_sync_settings(struct account *account)
{
	const struct config_account *config = account_config(account);
	static const enum sync_direction directions[] = {
		[CONFIG_BOTH] = SYNC_BOTH,
		[CONFIG_PULL] = SYNC_PULL,
		[CONFIG_PUSH] = SYNC_PUSH,
	};

	return (struct sync_settings){
		.mailboxes = config->mailboxes,
		.direction = directions[config->direction],
		.deletes_keep = config->deletes_keep,
		.hold_percent = config->hold_percent,
		.hold_number = config->hold_number,
		.hold_off = config->hold_off,
		.undelete_days = config->undelete_days,
		.trash = config->trash,
		.bodies_since_s = bodies_since_s,
		.thread_begins = account_mark_thread,
		.context = account,
	};
}
