/* What a server says that it can do (RFC 9051, 7.2.2), as a set of bits. */
#ifndef REMOTE_IMAP_IMAP_CAPABILITY_H
#define REMOTE_IMAP_IMAP_CAPABILITY_H

#include "engine/base/slice.h"

enum imap_capability {
	IMAP_CAN_STARTTLS,
	IMAP_CAN_LOGINDISABLED,
	IMAP_CAN_SASL_IR,
	IMAP_CAN_ID,
	IMAP_CAN_ENABLE,
	IMAP_CAN_CONDSTORE,
	IMAP_CAN_QRESYNC,
	IMAP_CAN_UIDPLUS,
	IMAP_CAN_MOVE,
	IMAP_CAN_MULTIAPPEND,
	IMAP_CAN_LITERAL_PLUS,
	IMAP_CAN_LITERAL_MINUS,
	IMAP_CAN_BINARY,
	IMAP_CAN_ESEARCH,
	IMAP_CAN_LIST_EXTENDED,
	IMAP_CAN_LIST_STATUS,
	IMAP_CAN_SPECIAL_USE,
	IMAP_CAN_XLIST,
	IMAP_CAN_NOTIFY,
	IMAP_CAN_IDLE,
	IMAP_CAN_COMPRESS,
	IMAP_CAN_OBJECTID,
	IMAP_CAN_GMAIL,
	IMAP_CAN_UNSELECT,
	IMAP_CAN_NAMESPACE,
	IMAP_CAN_APPLE, /* a server whose QRESYNC is faulty */
	/* mechanisms, from the strongest */
	IMAP_AUTH_OAUTHBEARER,
	IMAP_AUTH_XOAUTH2,
	IMAP_AUTH_EXTERNAL,
	IMAP_AUTH_SCRAM_SHA_256_PLUS,
	IMAP_AUTH_SCRAM_SHA_256,
	IMAP_AUTH_SCRAM_SHA_1_PLUS,
	IMAP_AUTH_SCRAM_SHA_1,
	IMAP_AUTH_PLAIN,
	IMAP_AUTH_LOGIN,
	IMAP_CAPABILITY_COUNT,
};

struct imap_capabilities {
	uint64_t bits;         /* 1 << enum imap_capability */
	uint32_t append_limit; /* 0: none told */
	uint32_t message_limit;
};

static inline bool
imap_can(const struct imap_capabilities *capabilities, enum imap_capability one)
{
	return (capabilities->bits >> one & 1) != 0;
}

/* Reads the words of a CAPABILITY response, without those of `pretend_missing` (words with blanks between, or NULL). Total: words nobody knows are
 * passed over. */
void imap_capability_read(struct slice words, const char *pretend_missing, struct imap_capabilities *out);
/* The SASL name of a mechanism: "PLAIN"; NULL for what is none. */
const char *imap_capability_mechanism(enum imap_capability one);

#endif
