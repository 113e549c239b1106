/* The connections of an account: how many there may be, whose turn it is, and the remote they go to. */
#include "engine/account.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/busiest.h"
#include "engine/hydrator.h"
#include "engine/remote/imap/imap_remote.h"
#include "engine/remote/maildir/maildir_remote.h"
#include "engine/store/base.h"
#include "engine/watcher.h"
#include "engine/worker.h"

#define TURN_WAIT_MS      30000
#define TURN_WAIT_STEP_MS 200
#define SHRUNK_MS         900000 /* then the server is tried with all connections again */

static bool
give_secret(void *context, bool again, struct buf *out, bool *out_is_token, struct cancel *cancel, struct error *err)
{
	struct account *account = context;

	return account_secret_get(
		&account->secret, account->io, account_config(account), again, cancel, out, out_is_token, err);
}

static bool
make_remote(struct account *account, const struct config_account *config, struct remote **out, struct error *err)
{
	struct imap_settings settings = {
		.host = config->host,
		.port = config->port,
		.tunnel = config->command,
		.user = config->user,
		.auth = config->auth,
		.tls_ca_file = config->tls_ca_file,
		.tls_pin = config->tls_pin,
		.tls_client_certificate = config->tls_client_certificate,
		.compress = config->compress,
		.without = getenv("MAILFS_WITHOUT"),
		.secret = give_secret,
		.secret_context = account,
	};

	switch (config->server_kind) {
	case CONFIG_IMAPS:
		settings.transport = IMAP_TLS;
		break;
	case CONFIG_STARTTLS:
		settings.transport = IMAP_STARTTLS;
		break;
	case CONFIG_IMAP_CLEAR:
		settings.transport = IMAP_CLEAR;
		break;
	case CONFIG_TUNNEL:
		settings.transport = IMAP_TUNNEL;
		break;
	case CONFIG_MAILDIR:
		return maildir_remote_create(account->io, store_dir(account->store), config->path, out, err);
	}
	return imap_remote_create(account->io, store_dir(account->store), &settings, out, err);
}

static bool
remember(void *context, const struct base_mailbox *base, struct error *err)
{
	struct remote *remote = context;

	if (base->id.kind != GUID_NONE && base->gone_s == 0) {
		remote->ops->remember(remote, slice_of(base->raw_name), base->uidvalidity, &base->id);
	}
	return true;
}

/* What earlier processes learned of its mailboxes' ids. */
static void
teach_remote(struct account *account, struct remote *remote)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	struct error err = ERROR_INIT;

	if (remote->ops->remember == NULL) {
		return;
	}
	if (!store_read_begin(account->store, &txn, &err) ||
		!base_mailbox_each(txn, BASE_REMOTE, remember, remote, &err)) {
		log_warn("account", "account=%s event=ids-not-remembered reason=%s", account_name(account), err.text);
	}
}

bool
account_remote(struct account *account, struct remote **out, struct error *err)
{
	unsigned generation = atomic_load(&account->config_generation);
	struct remote *remote = NULL;
	bool ok = true;

	mutex_lock(&account->remote_mutex);
	if (account->remote != NULL && account->remote_generation != generation) {
		if (account->retired_count == ARRAY_LENGTH(account->retired)) {
			ok = error_set(err, ERROR_CONFIG,
				"the configuration was read again too often: end this process and start it again");
		} else {
			account->retired[account->retired_count++] = account->remote;
			account->remote = NULL;
		}
	}
	if (ok && account->remote == NULL) {
		ok = make_remote(account, account_config(account), &remote, err);
		if (ok) {
			teach_remote(account, remote);
			account->remote = remote;
			account->remote_generation = generation;
		}
	}
	if (ok) {
		*out = account->remote;
	}
	mutex_unlock(&account->remote_mutex);
	return ok;
}

bool
account_session_wanted(struct account *account)
{
	bool wanted;

	mutex_lock(&account->mutex);
	wanted = account->sessions_wanted > 0;
	mutex_unlock(&account->mutex);
	return wanted;
}

static void
end_shrinking_locked(struct account *account) REQUIRES(account->mutex)
{
	if (account->sessions_shrunk_ms != 0 && io_now_ms(account->io) - account->sessions_shrunk_ms > SHRUNK_MS) {
		account->sessions_shrunk_ms = 0;
		account->sessions_max = account_config(account)->connections;
	}
}

unsigned
account_listeners_max(struct account *account)
{
	unsigned max;

	mutex_lock(&account->mutex);
	end_shrinking_locked(account);
	max = busiest_listeners(account->sessions_max);
	mutex_unlock(&account->mutex);
	return max;
}

/* Those whose sessions rest are to close them: at first one that only listens, for a working one is soon used again. */
static void
ask_for_a_session(struct account *account, bool first)
{
	if (!first || !watcher_give_back(account->watcher)) {
		worker_wake(account->worker);
		hydrator_wake(account->hydrator);
	}
}

/* Takes a turn; while there is none, those whose sessions rest are asked to close them. */
static bool
take_turn(struct account *account, struct cancel *cancel, struct error *err)
{
	int64_t deadline_ms = io_now_ms(account->io) + TURN_WAIT_MS;
	bool ours, over = false, cancelled = false, first = true;

	mutex_lock(&account->mutex);
	account->sessions_wanted++;
	end_shrinking_locked(account);
	ours = account->sessions_open < account->sessions_max;
	while (!ours && !over && !cancelled) {
		mutex_unlock(&account->mutex);
		ask_for_a_session(account, first);
		first = false;
		mutex_lock(&account->mutex);
		if (account->sessions_open >= account->sessions_max) {
			int64_t now_ms = io_now_ms(account->io);

			(void)condition_wait_until(
				&account->session_freed, &account->mutex, now_ms + TURN_WAIT_STEP_MS);
			over = now_ms >= deadline_ms;
		}
		cancelled = cancel != NULL && cancel_raised(cancel);
		ours = account->sessions_open < account->sessions_max;
	}
	account->sessions_wanted--;
	if (ours) {
		account->sessions_open++;
	}
	mutex_unlock(&account->mutex);
	if (!ours && cancelled) {
		return error_set(err, ERROR_CANCELLED, "the connection is not wanted any more");
	}
	return ours || error_set(err, ERROR_RETRY, "all connections of the account are busy");
}

static bool
take_spare_turn(struct account *account, struct error *err)
{
	bool ours;

	mutex_lock(&account->mutex);
	end_shrinking_locked(account);
	ours = account->sessions_wanted == 0 && account->sessions_open + 1 < account->sessions_max;
	account->sessions_open += ours ? 1 : 0;
	mutex_unlock(&account->mutex);
	return ours || error_set(err, ERROR_RETRY, "no connection of the account is to spare");
}

static void
give_turn(struct account *account)
{
	mutex_lock(&account->mutex);
	assert(account->sessions_open > 0);
	account->sessions_open--;
	condition_broadcast(&account->session_freed);
	mutex_unlock(&account->mutex);
}

/* The server takes no more connections while it has others of ours: from here on we make do with those. */
static void
shrink(struct account *account)
{
	unsigned max = 0;

	mutex_lock(&account->mutex);
	if (account->sessions_open > 1 && account->sessions_open - 1 < account->sessions_max) {
		max = account->sessions_max = account->sessions_open - 1;
		account->sessions_shrunk_ms = io_now_ms(account->io);
	}
	mutex_unlock(&account->mutex);
	if (max > 0) {
		log_warn("account", "account=%s event=fewer-connections max=%u", account_name(account), max);
		watcher_wake(account->watcher); /* fewer may listen */
	}
}

/* With a turn taken. */
static bool
open_session(struct account *account, struct remote *remote, struct cancel *cancel, struct remote_session **out,
	struct error *err)
{
	if (!remote->ops->open(remote, cancel, out, err)) {
		if (err->kind == ERROR_THROTTLED) {
			shrink(account);
		}
		give_turn(account);
		return false;
	}
	return true;
}

bool
account_session_open(struct account *account, struct cancel *cancel, struct remote_session **out, struct error *err)
{
	struct remote *remote;

	return account_remote(account, &remote, err) && take_turn(account, cancel, err) &&
	       open_session(account, remote, cancel, out, err);
}

bool
account_session_open_spare(
	struct account *account, struct cancel *cancel, struct remote_session **out, struct error *err)
{
	struct remote *remote;

	return account_remote(account, &remote, err) && take_spare_turn(account, err) &&
	       open_session(account, remote, cancel, out, err);
}

void
account_session_close(struct account *account, struct remote_session **session)
{
	uint64_t octets_in, octets_out, turns, commands;

	if (*session == NULL) {
		return;
	}
	(*session)->ops->counters(*session, &octets_in, &octets_out, &turns, &commands);
	(*session)->ops->close(session);
	mutex_lock(&account->mutex);
	account->octets_in += octets_in;
	account->octets_out += octets_out;
	account->turns += turns;
	account->commands += commands;
	mutex_unlock(&account->mutex);
	*session = NULL;
	give_turn(account);
}
