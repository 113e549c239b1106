/* A listener: a thread with a session of its own that waits for the remote's news, of all mailboxes (NOTIFY) or of the one it is given (IDLE), and hands
 * hints to the worker. What a hint says is checked by a pass, so a lost one costs time and nothing else.
 *
 * A spare one takes a connection only where that leaves another free, and gives it back when it is wanted for work.
 */
#ifndef ENGINE_LISTENER_H
#define ENGINE_LISTENER_H

#include <stdbool.h>

#include "engine/base/error.h"

struct account;
struct listener;

enum listener_state {
	LISTENER_RESTS,     /* it has nothing to listen to, or no connection */
	LISTENER_HEARS_ALL, /* NOTIFY */
	LISTENER_HEARS_ONE, /* IDLE */
	LISTENER_CANNOT,    /* the server has neither, until the configuration changes */
};

struct listener *listener_create(struct account *account, bool spare);
/* Accepts NULL inside; ends the thread, after account->stop was raised. */
void listener_destroy(struct listener **listener);
/* Starts its thread, unless it runs. */
bool listener_start(struct listener *listener, struct error *err) MUST_CHECK;
void listener_stop(struct listener *listener);

/* Gives it a mailbox (the remote's spelling), or nothing to listen to. For one thread. */
void listener_set(struct listener *listener, const char *raw_name_or_null);
/* What it was given last; the caller's thread is that of listener_set. */
const char *listener_mailbox(const struct listener *listener);
/* Makes it look: the remote was reached, or the configuration changed. */
void listener_wake(struct listener *listener);
/* Asks a spare one to give its connection back; false: it has none, or was asked already. */
bool listener_give_back(struct listener *listener);
enum listener_state listener_state(struct listener *listener);

#endif
