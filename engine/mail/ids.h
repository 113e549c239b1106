/* A struct per kind of id, so that no two are swapped (design 2). */
#ifndef MAIL_IDS_H
#define MAIL_IDS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define GUID_VALUE_MAX 255

/* A message's number: account-wide, never reused, survives moves; 0 is none. */
struct number {
	uint64_t value;
};

/* A mailbox's row in the store, which is also its byte in locks/mailboxes; 0 is none. */
struct mailbox_id {
	uint32_t value;
};

struct modseq {
	uint64_t value;
};

/* A message in a remote's mailbox (RFC 9051, 2.3.1.1). */
struct remote_uid {
	uint32_t uidvalidity;
	uint32_t uid; /* 0 is none */
};

/* Our own identity of a mailbox. */
struct mailbox_guid {
	uint8_t bytes[16];
};

/* What a remote's id of a message (or mailbox) is worth. */
enum guid_kind {
	GUID_NONE = 0,
	GUID_X_GUID = 1,     /* Dovecot: instance id; kept by COPY and MOVE; not unique */
	GUID_EMAILID = 2,    /* RFC 8474: content or object id; not unique */
	GUID_X_GM_MSGID = 3, /* Gmail: one per message across labels */
	GUID_MAILBOXID = 4,  /* RFC 8474, of a mailbox */
	GUID_MAILDIR = 5,    /* base name in a Maildir */
};

/* A typed GUID: equal only if kind and value are. Inline, because it travels by value through match and plan. */
struct guid {
	uint8_t kind; /* enum guid_kind */
	uint8_t length;
	char value[GUID_VALUE_MAX];
};

static inline bool
guid_equal(const struct guid *a, const struct guid *b)
{
	return a->kind != GUID_NONE && a->kind == b->kind && a->length == b->length &&
	       memcmp(a->value, b->value, a->length) == 0;
}

#endif
