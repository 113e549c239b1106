/* The secret of an account's login: a password or a token, asked for once and kept in locked memory that no core dump holds (P25).
 *
 * One thread asks (a command may want a person's finger), the others wait for what it gets. After the server refused it, it is asked for again.
 */
#ifndef ENGINE_ACCOUNT_SECRET_H
#define ENGINE_ACCOUNT_SECRET_H

#include "engine/base/mutex.h"
#include "engine/config.h"
#include "engine/io/io.h"

#define ACCOUNT_SECRET_MAX 16384 /* octets; tokens can be long */

struct account_secret {
	struct mutex mutex;        /* rank LEAF */
	struct condition answered; /* with mutex */
	bool asking;               /* under mutex: a thread runs the command */
	char *memory;              /* under mutex: locked, ACCOUNT_SECRET_MAX octets; NULL: none was needed yet */
	size_t length;             /* under mutex; 0: not known */
	struct error failure;      /* under mutex: why it is not, as the last who asked was told */
	bool is_token;             /* under mutex */
};

void account_secret_init(struct account_secret *secret);
/* Wipes it. */
void account_secret_finish(struct account_secret *secret);
/* Forgets it, so that it is asked for anew. */
void account_secret_forget(struct account_secret *secret);
/* Appends it to `out`, which the caller wipes. `again`: the last one was refused. ERROR_CREDENTIALS, ERROR_CANCELLED. */
bool account_secret_get(struct account_secret *secret, struct io *io, const struct config_account *config, bool again,
	struct cancel *cancel, struct buf *out, bool *out_is_token, struct error *err) MUST_CHECK;

#endif
