/* What a listing shows of a message: header fields, decoded, NFC, safe to print. Owned texts; none is NULL after envelope_read. */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include <stdint.h>

#define ENVELOPE_TEXT_MAX 2000 /* octets kept of each text */

struct envelope {
	char *from;       /* as in the header, decoded: `Ana Ruiz <ana@example.org>` */
	char *from_short; /* the display name, else the address */
	char *to;
	char *subject;
	char *date;       /* the field as written, unfolded */
	char *message_id; /* with the angle brackets, as written */
	int64_t date_s;   /* the Date field, seconds since 1970, INT64_MIN where it can't be read */
};

void envelope_finish(struct envelope *envelope);

#endif
