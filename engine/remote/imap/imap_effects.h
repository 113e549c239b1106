/* What changes messages on the server: flags, uploads, copies and moves, expunges. As in remote_ops, where each is described. */
#ifndef REMOTE_IMAP_IMAP_EFFECTS_H
#define REMOTE_IMAP_IMAP_EFFECTS_H

#include "engine/remote/imap/imap_session.h"

bool imap_effects_store(struct imap_session *session, const struct remote_target *target, struct remote_store *groups,
	size_t count,
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err),
	void *context, struct error *err) MUST_CHECK;
bool imap_effects_copy(struct imap_session *session, const struct remote_target *from, const struct remote_target *to,
	bool move, struct remote_copy *items, size_t count, bool *out_marked, struct error *err) MUST_CHECK;
bool imap_effects_expunge(struct imap_session *session, const struct remote_target *target, const struct uidset *uids,
	enum remote_outcome *out_outcome, bool *out_marked, struct error *err) MUST_CHECK;

/* What is known of an effect that took several commands. */
struct imap_effect {
	unsigned sent, fine; /* commands given to the session, and answered OK */
	bool refused, begun; /* begun: the first was handed over to its last octet */
	uint64_t first_mark; /* of the first */
	struct error refusal;
};

void imap_effect_answer(struct imap_effect *effect, const struct imap_response *answer, const char *what);
/* The outcome now: with `over` all commands were sent and answered, else the session died. */
enum remote_outcome imap_effect_outcome(
	const struct imap_effect *effect, const struct imap_session *session, bool over);

#endif
