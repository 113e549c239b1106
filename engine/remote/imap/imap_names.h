/* The ids of an account's mailboxes that are known already, shared by its sessions. */
#ifndef REMOTE_IMAP_IMAP_NAMES_H
#define REMOTE_IMAP_IMAP_NAMES_H

#include "engine/remote/imap/imap_session.h"

/* Finds the id of a mailbox; kind GUID_NONE and false where it is not known. */
bool imap_names_find(struct imap_remote *remote, struct slice name, uint32_t uidvalidity, struct guid *out);
/* Keeps one; nothing of kind GUID_NONE or without UIDVALIDITY, and nothing beyond IMAP_NAMES_MAX. */
void imap_names_keep(struct imap_remote *remote, struct slice name, uint32_t uidvalidity, const struct guid *id);
/* Tells whether any is known. */
bool imap_names_any(struct imap_remote *remote);
void imap_names_finish(struct imap_remote *remote);

#endif
