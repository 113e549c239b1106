/* Hydration: threads that bring bodies, each with a connection of its own that is opened when needed and closed when it rests for a minute.
 *
 * First come those that somebody waits for, then read-ahead (requests in a row in a mailbox bring what comes next in its listing, 8
 * messages, doubling to 256), then, in the driving process, what `bodies` wants. One message is fetched once, however many wait for it. A
 * process that does not drive asks the one that does; where there is none it fetches itself.
 */
#ifndef ENGINE_HYDRATOR_H
#define ENGINE_HYDRATOR_H

#include "engine/base/error.h"
#include "engine/mail/ids.h"

struct account;
struct hydrator;

struct hydrator *hydrator_create(struct account *account);
void hydrator_destroy(struct hydrator **hydrator);
/* Ends its threads, after account->stop was raised; who waits is told CANCELLED. */
void hydrator_stop(struct hydrator *hydrator);
/* Makes its threads look: a session is wanted elsewhere. */
void hydrator_wake(struct hydrator *hydrator);
/* A pass is over: brings what `bodies` wants, in the background. */
void hydrator_fill(struct hydrator *hydrator);
/* Waits until nothing is brought in the background; false: not within timeout_ms. */
bool hydrator_wait_filled(struct hydrator *hydrator, int64_t timeout_ms);

/* As view_body_request; `mailbox` and `uid` say where it stands, for read-ahead. */
bool hydrator_request(struct hydrator *hydrator, struct number number, struct mailbox_id mailbox, uint32_t uid,
	void (*done)(void *context, const struct error *error), void *context, uint64_t *out_ticket, struct error *err)
	MUST_CHECK;
bool hydrator_forget(struct hydrator *hydrator, uint64_t ticket);

#endif
