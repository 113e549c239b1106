/* The watcher: the thread of the driving process that waits for the remote's news (NOTIFY, else IDLE on the INBOX) on a session of its own,
 * and hands hints to the worker. What a hint says is checked by a pass, so a lost one costs time and nothing else.
 */
#ifndef ENGINE_WATCHER_H
#define ENGINE_WATCHER_H

#include <stdbool.h>

#include "engine/base/error.h"

struct account;
struct watcher;

struct watcher *watcher_create(struct account *account);
void watcher_destroy(struct watcher **watcher);
bool watcher_start(struct watcher *watcher, struct error *err) MUST_CHECK;
/* Ends the thread, after account->stop was raised. */
void watcher_stop(struct watcher *watcher);
/* Makes it look: the worker has reached the remote, or the configuration changed. */
void watcher_wake(struct watcher *watcher);
/* It hears of every mailbox, so that polling can be rare. */
bool watcher_hears_all(struct watcher *watcher);

#endif
