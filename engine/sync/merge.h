/* Three-way merge of one pair's flags and presence: what each side should become (SYNC R5).
 *
 * The base is what both sides last agreed on, as the remote had it. A side has changed where it differs from the base; nothing else is evidence.
 * Outside the mask of what the remote keeps a flag lives here only, and its absence there means nothing.
 *
 * Pure: no I/O, no clock.
 */
#ifndef SYNC_MERGE_H
#define SYNC_MERGE_H

#include "engine/mail/flags.h"

/* What the remote can keep (PERMANENTFLAGS, RFC 9051, 7.1). */
struct merge_mask {
	struct flags permanent;
	bool keywords_any;
};

struct merge_flags {
	struct flags local;  /* what is to stand here */
	struct flags add;    /* what the remote is to be told, */
	struct flags remove; /* both empty when it has it already */
};

void merge_flags_finish(struct merge_flags *merge);

/* With a base: what either side changed against it is changed in the result. */
struct merge_flags merge_flags(
	const struct flags *base, const struct flags *local, const struct flags *remote, const struct merge_mask *mask);
/* Without one (first contact): the union, except \Deleted, which needs both. */
struct merge_flags merge_flags_first(
	const struct flags *local, const struct flags *remote, const struct merge_mask *mask);
/* The part of `flags` the remote keeps. */
struct flags merge_masked(const struct flags *flags, const struct merge_mask *mask);

/* What became of a message on each side since the base. */
enum merge_presence {
	MERGE_STAYED,
	MERGE_MOVED,  /* to another mailbox */
	MERGE_GONE,   /* expunged */
	MERGE_UNSEEN, /* nothing is known of that side in this pass */
	MERGE_PRESENCE_COUNT,
};

enum merge_action {
	MERGE_NOTHING, /* as far as presence goes; flags are merged by themselves */
	MERGE_SETTLE,  /* gone on both: the pair is over */
	MERGE_EXPUNGE_HERE,
	MERGE_EXPUNGE_THERE,
	MERGE_MOVE_HERE,        /* to where the remote has it */
	MERGE_MOVE_THERE,       /* to where we have it */
	MERGE_UPLOAD_TO_TARGET, /* moved here, gone there: it is uploaded to the target */
	MERGE_REVIVE_HERE,      /* expunged here, moved there: it lives where the remote has it */
};

/* Decides for one pair; every combination has its row in tests/unit/sync_merge_test.c. An expunge beats a flag change, a move beats an expunge,
 * the remote's target wins. While a side is UNSEEN the pair stays as it is. */
enum merge_action merge_presence(enum merge_presence local, enum merge_presence remote);

#endif
