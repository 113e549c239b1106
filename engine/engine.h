/* The engine's face to fs: accounts, what is in them (view.h), changing them (edit.h), and looking after them (admin.h).
 *
 * Everything here may be called from any thread. Nothing in view.h or edit.h ever waits for the network or for a lock that a syncing
 * thread holds while it does; a body that is not here is asked for by view_body_request and arrives by callback.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "engine/config.h"
#include "engine/mail/ids.h"

struct engine;
struct account; /* one opened account: store, remote, threads */

struct engine_options {
	bool sync;    /* keep accounts in step (a mount without nosync, a daemon); else only what is asked for */
	bool mounted; /* a mount: writes come from it */
};

/* Opens the named accounts (count 0: all). No thread is started and no database opened before engine_start, so fork comes before. */
bool engine_create(const struct config *config, const char *const *names, size_t count,
	const struct engine_options *options, struct engine **out, struct error *err) MUST_CHECK;
/* Opens stores, starts threads. An account whose store cannot be opened is unusable (account_failure) and the others go on (R13); where that is all of
 * them it is an error, that of the first. */
bool engine_start(struct engine *engine, struct error *err) MUST_CHECK;
/* Makes what is written durable; with drain_ms > 0 keeps sending what is queued for at most so long; then ends all threads. */
void engine_stop(struct engine *engine, int64_t drain_ms);
void engine_destroy(struct engine **engine);
size_t engine_account_count(const struct engine *engine);
struct account *engine_account(struct engine *engine, size_t index);
struct account *engine_account_by_name(struct engine *engine, const char *name); /* or NULL */
const struct config_account *account_config(const struct account *account);
const char *account_name(const struct account *account);
/* Why an account is unusable since the start, or NULL. It is there all the same, with its status; its mailboxes answer EIO. */
const struct error *account_failure(const struct account *account);
/* The account's octet in inode numbers, for ever (kept in its store; 1..255). */
uint8_t account_octet(const struct account *account);
/* SIGHUP: reads the configuration again and applies what can be applied. */
bool engine_reload(struct engine *engine, struct error *err) MUST_CHECK;

#endif
