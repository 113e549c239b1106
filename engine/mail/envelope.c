#include "engine/mail/envelope.h"

#include <stddef.h>
#include <stdlib.h>

void
envelope_finish(struct envelope *envelope)
{
	if (envelope == NULL) {
		return;
	}
	free(envelope->from);
	free(envelope->from_short);
	free(envelope->to);
	free(envelope->subject);
	free(envelope->date);
	free(envelope->message_id);
	*envelope = (struct envelope){.date_s = INT64_MIN};
}
