/* A message, to everything that reads its header: walk, keys, envelope, identity, name. */
#include <assert.h>

#include "engine/base/scope.h"
#include "engine/mail/message_id32.h"
#include "engine/mail/safe_text.h"
#include "engine/mime/envelope_read.h"
#include "engine/mime/identity.h"
#include "engine/mime/listing_name.h"
#include "engine/mime/mail_date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *text)
{
	struct slice s = slice_of(text);

	assert(text != NULL && s.length <= ENVELOPE_TEXT_MAX && safe_text_is_utf8(s));
	for (size_t i = 0; i < s.length; i++) {
		assert((unsigned char)s.data[i] >= ' ' && s.data[i] != 0x7f);
	}
}

static void
check_walk(struct slice message)
{
	struct header_walk walk;
	struct header_field field;
	unsigned count = 0;
	SCOPED(buf_finish) struct buf value = BUF_INIT;

	header_walk_begin(&walk, message);
	while (header_next(&walk, &field)) {
		assert(field.name.length > 0 && field.name.data >= message.data);
		assert(field.raw.data + field.raw.length <= message.data + message.length);
		buf_clear(&value);
		header_unfold(field.raw, &value);
		assert(value.length <= field.raw.length);
		count++;
	}
	assert(count <= HEADER_FIELDS_MAX && header_length(message) <= message.length && header_score(message) <= 6);
	assert(!header_is_message(message) || count > 0);
}

static void
check_name(const struct envelope *envelope, size_t size)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct number number;

	listing_name_make(envelope, envelope->date_s, size + 1, &name);
	assert(name.length <= LISTING_NAME_MAX && slice_find(buf_slice(&name), '/') == name.length);
	assert(number_from_name(buf_slice(&name), &number) && number.value == size + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice message = slice_make(data, size);
	SCOPED(envelope_finish) struct envelope envelope = {0};
	struct identity identity = identity_of(message);
	int64_t seconds;

	check_walk(message);
	(void)envelope_read(message, &envelope);
	check_text(envelope.from);
	check_text(envelope.from_short);
	check_text(envelope.to);
	check_text(envelope.subject);
	check_text(envelope.date);
	check_text(envelope.message_id);
	check_name(&envelope, size);
	assert(identity_is_none(&identity) || identity.bytes[0] == IDENTITY_VERSION);
	(void)mail_date_read(message, &seconds);
	return 0;
}
