/* Requests that wait: opens for a body, reads of events. None holds a thread of the pool; one thread here answers them when what they wait for
 * has come, when a signal interrupts them, or when their time is over.
 */
#ifndef FS_PARK_H
#define FS_PARK_H

#include "engine/view.h"
#include "fs/reply.h"

#define PARK_OPEN_TIMEOUT_MS 60000 /* an open of a missing body, then ETIMEDOUT */

struct mount;
struct park;
struct park_wait;

enum park_end {
	PARK_READY,       /* what it waited for is there, or will never be: see the error */
	PARK_INTERRUPTED, /* EINTR */
	PARK_TIMEOUT,     /* ETIMEDOUT */
	PARK_CLOSED,      /* the mount ends */
};

/* Answers the request, in the park's thread, holding no lock. `error` is NULL but after a failure. */
typedef void park_answer(
	struct mount *mount, fuse_req_t req, void *context, enum park_end end, const struct error *error);

struct park *park_create(struct mount *mount);
bool park_start(struct park *park, struct error *err) MUST_CHECK;
/* Answers all that wait (PARK_CLOSED) and ends the thread; what comes after waits for nobody. NULL is fine. */
void park_stop(struct park *park);
void park_destroy(struct park **park);

/* Waits for the body of a message, at most timeout_ms. False with err filled when it is refused at once (ERROR_UNREACHABLE); then `answer` is not called. */
bool park_for_body(struct park *park, fuse_req_t req, struct account *account, struct number number, int64_t timeout_ms,
	park_answer *answer, void *context, struct error *err) MUST_CHECK;
/* The body of a message is here, by whoever's doing: opens that wait for it need not wait for the engine's word. */
void park_body_here(struct park *park, const struct account *account, struct number number);
/* Waits until park_wake_inode for that inode, at most timeout_ms. */
void park_for_inode(
	struct park *park, fuse_req_t req, uint64_t inode, int64_t timeout_ms, park_answer *answer, void *context);
void park_wake_inode(struct park *park, uint64_t inode);
/* Waits until park_wake, without end. The wait is the caller's to wake once, before its `answer` ran; `answer` is where it learns that it did. */
struct park_wait *park_for_wake(struct park *park, fuse_req_t req, park_answer *answer, void *context);
void park_wake(struct park *park, struct park_wait *wait);

/* The monotonic clock. */
int64_t park_now_ms(void);

#endif
