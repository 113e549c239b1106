#include "engine/sync/brake.h"

#define BRAKE_BURST_MS 2000

static bool
brake_over(const struct brake_policy *policy, const struct brake_count *count)
{
	uint64_t deletions = count->passed + count->waiting;

	if (policy->off || count->waiting == 0 || deletions <= BRAKE_FREE) {
		return false;
	}
	if (policy->percent == 0) {
		return deletions > policy->number;
	}
	return deletions * 100 > count->largest * policy->percent;
}

static bool
brake_emptied(const struct brake_count *count)
{
	return count->waiting > 0 && count->left == 0 && count->largest > BRAKE_FREE &&
	       count->passed + count->waiting >= count->largest;
}

enum brake_reason
brake_decide(const struct brake_policy *policy, const struct brake_count *mailbox, const struct brake_count *account)
{
	if (brake_emptied(mailbox)) {
		return BRAKE_EMPTIED;
	}
	if (brake_over(policy, mailbox)) {
		return BRAKE_SHARE;
	}
	if (brake_over(policy, account)) {
		return BRAKE_ACCOUNT;
	}
	return BRAKE_PASS;
}

int64_t
brake_wait_ms(uint64_t waiting, int64_t newest_age_ms)
{
	if (waiting <= BRAKE_FREE || newest_age_ms >= BRAKE_BURST_MS) {
		return 0;
	}
	return newest_age_ms < 0 ? BRAKE_BURST_MS : BRAKE_BURST_MS - newest_age_ms;
}
