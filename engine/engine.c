#include "engine/engine.h"

#include <assert.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/base/log.h"
#include "engine/base/mutex.h"
#include "engine/worker.h"

struct engine {
	struct io *io;
	struct account **accounts;
	size_t count;
	const struct config *config;
	struct mutex reading;   /* rank ENGINE: one reads the configuration again at a time */
	struct config **reread; /* configurations read again; their strings are in use until the end */
	size_t reread_count;
	bool started;
};

static void
add_account(struct engine *engine, const struct config_account *config, const struct engine_options *options)
{
	for (size_t i = 0; i < engine->count; i++) {
		if (account_config(engine->accounts[i]) == config) {
			return; /* named twice */
		}
	}
	engine->accounts[engine->count++] = account_create(engine, engine->io, config, options->sync, options->mounted);
}

bool
engine_create(const struct config *config, const char *const *names, size_t count, const struct engine_options *options,
	struct engine **out, struct error *err)
{
	SCOPED(engine_destroy) struct engine *engine = calloc(1, sizeof(*engine));
	size_t most = count > 0 ? count : config->count;

	if (engine == NULL) {
		abort();
	}
	if (most == 0) {
		return error_set(
			err, ERROR_CONFIG, "%s names no account: add one with `mailfs init ADDRESS`", config->path);
	}
	engine->config = config;
	mutex_init(&engine->reading, LOCK_RANK_ENGINE);
	engine->io = io_posix_create();
	engine->accounts = calloc(most, sizeof(struct account *));
	if (engine->accounts == NULL) {
		abort();
	}
	for (size_t i = 0; i < most; i++) {
		const struct config_account *account = count > 0 ? config_find(config, names[i]) : &config->accounts[i];

		if (account == NULL) {
			return error_set(err, ERROR_CONFIG, "there is no account %s in %s", names[i], config->path);
		}
		add_account(engine, account, options);
	}
	*out = engine;
	engine = NULL;
	return true;
}

/* --- octets: an account's part of inode numbers, kept in its store for ever --- */

static bool
octet_is_free(const struct engine *engine, const struct account *but, uint8_t octet)
{
	for (size_t i = 0; i < engine->count; i++) {
		if (engine->accounts[i] != but && engine->accounts[i]->octet == octet) {
			return false;
		}
	}
	return octet != 0;
}

/* The place in the configuration is where the search begins, so that accounts that are mounted one by one get octets of their own. */
static uint8_t
choose_octet(const struct engine *engine, const struct account *account)
{
	size_t place = 0;

	while (place < engine->config->count &&
		strcmp(engine->config->accounts[place].name, account_name(account)) != 0) {
		place++;
	}
	for (size_t i = 0; i < 255; i++) {
		uint8_t octet = (uint8_t)((place + i) % 255 + 1);

		if (octet_is_free(engine, account, octet)) {
			return octet;
		}
	}
	return 255;
}

/* An account without a store has an octet for as long as this process lives. */
static bool
take_octet(const struct engine *engine, struct account *account, struct error *err)
{
	SCOPED(store_write_rollback) struct store_txn *txn = NULL;
	uint64_t known;

	if (account_failure(account) != NULL) {
		account->octet = choose_octet(engine, account);
		return true;
	}
	if (!store_write_begin(account->store, STORE_MOUNT, &txn, err) ||
		!store_meta_get_u64(txn, "octet", &known, err)) {
		return false;
	}
	if (known >= 1 && known <= 255 && octet_is_free(engine, account, (uint8_t)known)) {
		account->octet = (uint8_t)known;
		return true;
	}
	if (known != 0) {
		log_warn("engine",
			"account=%s event=octet-taken: inode numbers change, because another account has the same",
			account_name(account));
	}
	account->octet = choose_octet(engine, account);
	return store_meta_set_u64(txn, "octet", account->octet, err) && store_write_commit(&txn, STORE_LAZY, err);
}

bool
engine_start(struct engine *engine, struct error *err)
{
	struct error first = ERROR_INIT;
	size_t usable = 0;

	assert(!engine->started);
	engine->started = true;
	for (size_t i = 0; i < engine->count; i++) {
		if (account_open(engine->accounts[i], err)) {
			usable++;
		} else if (first.kind == ERROR_NONE) {
			first = *err;
		}
	}
	if (usable == 0) {
		*err = first;
		return false;
	}
	for (size_t i = 0; i < 2 * engine->count; i++) { /* first those that have a store to keep it in */
		struct account *account = engine->accounts[i % engine->count];

		if ((account_failure(account) != NULL) == (i >= engine->count) && !take_octet(engine, account, err)) {
			return error_wrap(err, "%s", account_name(account));
		}
	}
	for (size_t i = 0; i < engine->count; i++) {
		if (!account_start(engine->accounts[i], err)) {
			return false;
		}
	}
	return true;
}

void
engine_stop(struct engine *engine, int64_t drain_ms)
{
	int64_t deadline_ms = io_now_ms(engine->io) + drain_ms;

	for (size_t i = 0; i < engine->count; i++) {
		struct account *account = engine->accounts[i];
		struct error err = ERROR_INIT;

		if (account->store != NULL && !store_sync(account->store, &err)) {
			log_error("engine", "account=%s event=sync-failed reason=%s", account_name(account), err.text);
		}
	}
	for (size_t i = 0; i < engine->count; i++) {
		if (drain_ms > 0 && engine->accounts[i]->store != NULL) {
			worker_drain(engine->accounts[i]->worker, deadline_ms);
		}
	}
	for (size_t i = 0; i < engine->count; i++) {
		cancel_raise(engine->accounts[i]->stop); /* all at once, then wait for each */
	}
	for (size_t i = 0; i < engine->count; i++) {
		account_stop(engine->accounts[i]);
	}
}

void
engine_destroy(struct engine **engine)
{
	struct engine *old = *engine;

	if (old == NULL) {
		return;
	}
	for (size_t i = 0; i < old->count; i++) {
		account_destroy(&old->accounts[i]);
	}
	for (size_t i = 0; i < old->reread_count; i++) {
		config_destroy(&old->reread[i]);
	}
	free(old->reread);
	mutex_finish(&old->reading);
	free(old->accounts);
	io_destroy(&old->io);
	free(old);
	*engine = NULL;
}

size_t
engine_account_count(const struct engine *engine)
{
	return engine->count;
}

struct account *
engine_account(struct engine *engine, size_t index)
{
	assert(index < engine->count);
	return engine->accounts[index];
}

struct account *
engine_account_by_name(struct engine *engine, const char *name)
{
	for (size_t i = 0; i < engine->count; i++) {
		if (strcmp(account_name(engine->accounts[i]), name) == 0) {
			return engine->accounts[i];
		}
	}
	return NULL;
}

static bool
reload_locked(struct engine *engine, struct error *err) REQUIRES(engine->reading)
{
	SCOPED(config_destroy) struct config *config = NULL;
	struct config **grown;

	if (!config_load(engine->config->path, (const char *const *)engine->config->overrides,
		    engine->config->override_count, &config, err)) {
		return false;
	}
	for (size_t i = 0; i < engine->count; i++) {
		if (config_find(config, account_name(engine->accounts[i])) == NULL) {
			return error_set(err, ERROR_CONFIG, "%s has no account %s any more: it goes on as it was",
				config->path, account_name(engine->accounts[i]));
		}
	}
	grown = realloc(engine->reread, (engine->reread_count + 1) * sizeof(struct config *));
	if (grown == NULL) {
		abort();
	}
	engine->reread = grown;
	engine->reread[engine->reread_count++] = config;
	const struct config *kept = config;

	config = NULL;
	for (size_t i = 0; i < engine->count; i++) {
		if (!account_reconfigure(
			    engine->accounts[i], config_find(kept, account_name(engine->accounts[i])), err)) {
			return false;
		}
	}
	log_info("engine", "event=reloaded config=%s", kept->path);
	return true;
}

bool
engine_reload(struct engine *engine, struct error *err)
{
	bool ok;

	mutex_lock(&engine->reading);
	ok = reload_locked(engine, err);
	mutex_unlock(&engine->reading);
	return ok;
}
