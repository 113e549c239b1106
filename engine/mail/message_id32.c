#include "engine/mail/message_id32.h"

#include <assert.h>

static const char digits[] = "0123456789_bcdfghjklmnpqrstvwxyz";
_Static_assert(sizeof(digits) - 1 == 32, "five bits to a digit");

void
number_to_id(struct number number, struct buf *out)
{
	char id[MESSAGE_ID32_MAX];
	size_t first = sizeof(id);

	assert(number.value != 0);
	for (uint64_t rest = number.value; rest != 0 || sizeof(id) - first < MESSAGE_ID32_MIN; rest >>= 5) {
		id[--first] = digits[rest & 31];
	}
	buf_append(out, slice_make(id + first, sizeof(id) - first));
}

static int
digit_value(char c)
{
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

bool
number_from_id(struct slice id, struct number *out)
{
	uint64_t value = 0;

	if (id.length < MESSAGE_ID32_MIN || id.length > MESSAGE_ID32_MAX) {
		return false;
	}
	if (id.length > MESSAGE_ID32_MIN && id.data[0] == digits[0]) {
		return false; /* a second spelling of a shorter one */
	}
	for (size_t i = 0; i < id.length; i++) {
		int digit = digit_value(id.data[i]);

		if (digit < 0 || value >> (64 - 5) != 0) {
			return false;
		}
		value = value << 5 | (uint64_t)digit;
	}
	if (value == 0) {
		return false;
	}
	out->value = value;
	return true;
}

bool
number_from_name(struct slice file_name, struct number *out)
{
	const struct slice ending = SLICE_LITERAL(".eml");
	size_t start;

	if (!slice_has_suffix(file_name, ending)) {
		return false;
	}
	file_name.length -= ending.length;
	for (start = file_name.length; start > 0 && file_name.data[start - 1] != '.'; start--) {
		if (file_name.length - start > MESSAGE_ID32_MAX) {
			return false;
		}
	}
	return start > 0 && number_from_id(slice_skip(file_name, start), out);
}
