/* The selected mailbox as this connection sees it: what SELECT told, and what came since. */
#ifndef REMOTE_IMAP_IMAP_SELECTION_H
#define REMOTE_IMAP_IMAP_SELECTION_H

#include "engine/remote/imap/imap_session.h"

/* The server turns to a SELECT of `name`: nothing is selected until it says OK. */
void imap_selection_begin(struct imap_selection *selection, struct slice name);
/* Takes in a response; `selecting` while the server is busy with the SELECT. ERROR_RETRY for what cannot be: message 7 of 5. */
bool imap_selection_hear(struct imap_selection *selection, const struct imap_response *response, bool selecting,
	struct error *err) MUST_CHECK;
/* The SELECT was answered. */
void imap_selection_end(struct imap_selection *selection, const struct imap_response *answer);
void imap_selection_none(struct imap_selection *selection);
void imap_selection_finish(struct imap_selection *selection);
/* Tells whether this mailbox is selected. INBOX in any case is one name. */
bool imap_selection_is(const struct imap_selection *selection, struct slice name);

/* Appends SELECT with what the session can ask along: CONDSTORE where it is needed. */
void imap_selection_print(const struct imap_session *session, struct slice name, struct imap_command *command);
/* Selects a mailbox unless it is selected. ERROR_GONE; ERROR_RETRY "rebuilt…" where its UIDVALIDITY is another than `uidvalidity` (0: any);
 * what the server's refusal means. The session lives on unless it is dead. */
bool imap_selection_select(struct imap_session *session, struct slice name, uint32_t uidvalidity, struct error *err)
	MUST_CHECK;
/* Gives the selected mailbox up without expunging. */
bool imap_selection_leave(struct imap_session *session, struct error *err) MUST_CHECK;
/* Compares; ERROR_RETRY "rebuilt…". */
bool imap_selection_agrees(const struct imap_selection *selection, uint32_t uidvalidity, struct error *err) MUST_CHECK;

#endif
