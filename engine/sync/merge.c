#include "engine/sync/merge.h"

#include <assert.h>

void
merge_flags_finish(struct merge_flags *merge)
{
	flags_finish(&merge->local);
	flags_finish(&merge->add);
	flags_finish(&merge->remove);
}

struct flags
merge_masked(const struct flags *flags, const struct merge_mask *mask)
{
	struct flags kept;

	if (mask->keywords_any) {
		kept = flags_copy(flags);
		kept.bits &= mask->permanent.bits;
		return kept;
	}
	return flags_intersection(flags, &mask->permanent);
}

/* Completes a merge whose agreed flags are known: what stands here is the agreed part and all that only we can keep. */
static struct merge_flags
merge_from_agreed(const struct flags *agreed, const struct flags *local, const struct flags *remote,
	const struct merge_mask *mask)
{
	SCOPED(flags_finish) struct flags local_kept = merge_masked(local, mask);
	SCOPED(flags_finish) struct flags only_here = flags_minus(local, &local_kept);
	SCOPED(flags_finish) struct flags remote_kept = merge_masked(remote, mask);

	return (struct merge_flags){
		.local = flags_union(agreed, &only_here),
		.add = flags_minus(agreed, &remote_kept),
		.remove = flags_minus(&remote_kept, agreed),
	};
}

struct merge_flags
merge_flags(
	const struct flags *base, const struct flags *local, const struct flags *remote, const struct merge_mask *mask)
{
	SCOPED(flags_finish) struct flags base_kept = merge_masked(base, mask);
	SCOPED(flags_finish) struct flags local_kept = merge_masked(local, mask);
	SCOPED(flags_finish) struct flags remote_kept = merge_masked(remote, mask);
	SCOPED(flags_finish) struct flags agreed = flags_merge(&base_kept, &local_kept, &remote_kept);

	return merge_from_agreed(&agreed, local, remote, mask);
}

struct merge_flags
merge_flags_first(const struct flags *local, const struct flags *remote, const struct merge_mask *mask)
{
	SCOPED(flags_finish) struct flags local_kept = merge_masked(local, mask);
	SCOPED(flags_finish) struct flags remote_kept = merge_masked(remote, mask);
	SCOPED(flags_finish) struct flags agreed = flags_union(&local_kept, &remote_kept);

	if ((local->bits & remote->bits & FLAG_DELETED) == 0) {
		agreed.bits &= ~(uint32_t)FLAG_DELETED;
	}
	struct merge_flags merge = merge_from_agreed(&agreed, local, remote, mask);

	if ((merge.local.bits & FLAG_DELETED) != 0 && (remote->bits & FLAG_DELETED) == 0 &&
		(mask->permanent.bits & FLAG_DELETED) != 0) {
		merge.local.bits &= ~(uint32_t)FLAG_DELETED;
	}
	return merge;
}

enum merge_action
merge_presence(enum merge_presence local, enum merge_presence remote)
{
	static const enum merge_action table[MERGE_PRESENCE_COUNT][MERGE_PRESENCE_COUNT] = {
		[MERGE_STAYED] = {MERGE_NOTHING, MERGE_MOVE_HERE, MERGE_EXPUNGE_HERE, MERGE_NOTHING},
		[MERGE_MOVED] = {MERGE_MOVE_THERE, MERGE_MOVE_HERE, MERGE_UPLOAD_TO_TARGET, MERGE_NOTHING},
		[MERGE_GONE] = {MERGE_EXPUNGE_THERE, MERGE_REVIVE_HERE, MERGE_SETTLE, MERGE_NOTHING},
		[MERGE_UNSEEN] = {MERGE_NOTHING, MERGE_NOTHING, MERGE_NOTHING, MERGE_NOTHING},
	};

	assert(local < MERGE_PRESENCE_COUNT && remote < MERGE_PRESENCE_COUNT);
	return table[local][remote];
}
