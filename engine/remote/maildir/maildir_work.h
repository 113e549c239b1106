/* Changing a Maildir under its lock: what every effect does before, in between, and after.
 *
 * A file is renamed or removed by the name that the last look saw. Where it is not there any more, another program was faster: what was
 * done so far is written down, the directories are looked at again, and the effect tried again.
 */
#ifndef MAILDIR_WORK_H
#define MAILDIR_WORK_H

#include "engine/remote/maildir/maildir_box.h"

#define MAILDIR_WORK_TRIES 5

struct maildir_work {
	struct maildir_session *session;
	struct maildir_box *box;
	bool locked;
	bool keywords_locked; /* another program holds the table of keywords: not asked again */
	uint64_t modseq;      /* of what is changed */
	struct buf lines;     /* for the index, not yet written */
	bool cur, new;        /* directories that are to be made durable */
};

/* Opens the mailbox of a target, takes its lock, and brings the index up to date. ERROR_GONE; ERROR_RETRY "rebuilt". */
bool maildir_work_begin(struct maildir_work *work, struct maildir_session *session, const struct remote_target *target,
	struct error *err) MUST_CHECK;
/* The same for two, which may be one: then `to` has no lock of its own, and nothing is done with it. */
bool maildir_work_begin_two(struct maildir_work *from, struct maildir_work *to, struct maildir_session *session,
	const struct remote_target *from_target, const struct remote_target *to_target, bool *out_target_failed,
	struct error *err) MUST_CHECK;
/* The mod-sequence for the next change. */
uint64_t maildir_work_modseq(struct maildir_work *work);
/* Writes down what was done, and looks again. */
bool maildir_work_look(struct maildir_work *work, struct error *err) MUST_CHECK;
/* Makes all of it durable. */
bool maildir_work_commit(struct maildir_work *work, struct error *err) MUST_CHECK;
/* Gives the lock back; what was not committed is found by the next look. */
void maildir_work_end(struct maildir_work *work);

/* Gives the letters of the keywords of a set; those that have none get one, where the Maildir has letters left and its table can be
 * written. The others are left out. ERROR_ITEM while another program
 * holds the table: then it is to be tried later, for what is left out would look like taken away. */
bool maildir_work_letters(struct maildir_work *work, const struct flags *flags, uint32_t *out, struct error *err)
	MUST_CHECK;

/* Says of an error what the server would: a full disk there is not ours. */
void maildir_work_refusal(struct error *err);

#endif
