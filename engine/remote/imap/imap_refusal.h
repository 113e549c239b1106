/* What a server means by NO, BAD and BYE: response codes and well-known sentences to kinds of error. Pure. */
#ifndef REMOTE_IMAP_IMAP_REFUSAL_H
#define REMOTE_IMAP_IMAP_REFUSAL_H

#include "engine/base/error.h"
#include "engine/remote/imap/imap_grammar.h"

/* Fills `err` and returns false. `what` is the command, or "login", where a bare NO is about the credentials. */
bool imap_refusal(const struct imap_response *answer, const char *what, struct error *err);
/* Tells whether a refusal says that there is no such mailbox. */
bool imap_refusal_is_gone(const struct imap_response *answer);

#endif
