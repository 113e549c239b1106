/* The brake: tells whether deletions may pass or are held until a person confirms (design 8, SYNC "Brake").
 *
 * Counted are deletions: messages left without a placement in the account. The caller counts them per mailbox and direction over the last hour of
 * running time, across passes and restarts, and the largest size in that hour.
 *
 * Pure: no I/O, no clock.
 */
#ifndef SYNC_BRAKE_H
#define SYNC_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

#define BRAKE_FREE 10 /* never for so many or fewer */

struct brake_policy {
	unsigned percent; /* 0: `number` is used */
	unsigned number;
	bool off;
};

struct brake_count {
	uint64_t passed;  /* deletions that went through in the last hour */
	uint64_t waiting; /* deletions that want to pass now */
	uint64_t largest; /* the largest size in the last hour */
	uint64_t left;    /* messages that will be left */
};

enum brake_reason {
	BRAKE_PASS,
	BRAKE_SHARE,   /* more than hold-deletes-over of the mailbox */
	BRAKE_ACCOUNT, /* ... of the account */
	BRAKE_EMPTIED, /* it held more than 10 and would be emptied by expunges */
};

/* Decides for one mailbox and the account it is in. With policy.off only an emptied mailbox is held. */
enum brake_reason brake_decide(
	const struct brake_policy *policy, const struct brake_count *mailbox, const struct brake_count *account);

/* A burst of more than BRAKE_FREE waiting leaves when none was added for 2 s, so that it is seen whole: gives for how long it must still
 * wait, 0 for not. `newest_age_ms` is how long ago the last was added. */
int64_t brake_wait_ms(uint64_t waiting, int64_t newest_age_ms);

#endif
