/* What is asked of messages, and what comes back, in the words of the contract. */
#ifndef REMOTE_IMAP_IMAP_ITEMS_H
#define REMOTE_IMAP_IMAP_ITEMS_H

#include "engine/remote/imap/imap_session.h"

enum imap_items {
	IMAP_ITEMS_FLAGS = 1 << 0,
	IMAP_ITEMS_MODSEQ = 1 << 1,   /* only where mod-sequences are had */
	IMAP_ITEMS_IDENTITY = 1 << 2, /* INTERNALDATE, RFC822.SIZE and the id that the server has */
	IMAP_ITEMS_HEADER = 1 << 3,   /* the fields that a listing and the header identity need */
	IMAP_ITEMS_BODY = 1 << 4,
	IMAP_ITEMS_BINARY = 1 << 5,
};

/* Begins a UID FETCH: what follows is the set, then imap_items_print. */
void imap_items_begin(const struct imap_session *session, struct imap_command *command);
/* Appends ` (UID …)`. */
void imap_items_print(const struct imap_session *session, unsigned items, struct imap_command *command);
/* Fills in a message; its flags are the caller's to finish, its header points into the response. */
void imap_items_read(const struct imap_fetched *fetched, struct remote_message *out);

#endif
