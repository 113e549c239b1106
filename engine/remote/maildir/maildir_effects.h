/* Effects on messages (remote.h: store, append, copy, expunge). */
#ifndef MAILDIR_EFFECTS_H
#define MAILDIR_EFFECTS_H

#include "engine/remote/maildir/maildir_session.h"

bool maildir_effects_store(struct maildir_session *session, const struct remote_target *target,
	struct remote_store *groups, size_t count,
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err),
	void *context, struct error *err) MUST_CHECK;
bool maildir_effects_copy(struct maildir_session *session, const struct remote_target *from,
	const struct remote_target *to, bool move, struct remote_copy *items, size_t count, struct error *err)
	MUST_CHECK;
bool maildir_effects_expunge(struct maildir_session *session, const struct remote_target *target,
	const struct uidset *uids, enum remote_outcome *out_outcome, struct error *err) MUST_CHECK;

#endif
