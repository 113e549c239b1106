/* The watcher: the thread of the driving process that decides what is listened to (listener.h): everything over one connection where the server can
 * (NOTIFY), else the INBOX and the busiest mailboxes (busiest.h), one connection each, as many as `connections` and the server leave.
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
/* Ends the threads, after account->stop was raised. */
void watcher_stop(struct watcher *watcher);
/* Makes it look: a pass is over, the configuration changed, or there may be more or fewer connections. Cheap. */
void watcher_wake(struct watcher *watcher);
/* Asks for a connection that only listens to one mailbox beside the first; false: there is none to be had. */
bool watcher_give_back(struct watcher *watcher);
/* It hears of every mailbox, so that polling can be rare. */
bool watcher_hears_all(struct watcher *watcher);

#endif
