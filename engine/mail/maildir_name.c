#include "engine/mail/maildir_name.h"

#include "engine/mail/message_id32.h"

#define INFO       ":2,"
#define BASE_ENDS  ".mailfs"
#define CUR_PREFIX "cur/"
#define NEW_PREFIX "new/"

/* In ASCII order, as they stand in a name. */
static const struct {
	char letter;
	uint32_t bit;
} letters[] = {
	{'D', FLAG_DRAFT},
	{'F', FLAG_FLAGGED},
	{'P', MAILDIR_PASSED},
	{'R', FLAG_ANSWERED},
	{'S', FLAG_SEEN},
	{'T', FLAG_DELETED},
};

static bool
read_letters(struct slice text, uint32_t *out)
{
	size_t at = 0;

	*out = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(letters) && at < text.length; i++) {
		if (letters[i].letter == text.data[at]) {
			*out |= letters[i].bit;
			at++;
		}
	}
	return at == text.length;
}

/* What stands before the letters must not look like them: what is printed is read back. */
static bool
is_base(struct slice base)
{
	for (size_t i = 0; i + strlen(INFO) <= base.length; i++) {
		if (slice_has_prefix(slice_skip(base, i), SLICE_LITERAL(INFO))) {
			return false;
		}
	}
	return base.length > 0 && base.length <= MAILDIR_BASE_MAX && base.data[0] != '.' &&
	       slice_find(base, '/') == base.length && slice_find(base, '\0') == base.length;
}

bool
maildir_name_read(struct slice leaf, bool is_new, struct maildir_name *out)
{
	struct maildir_name name = {.is_new = is_new, .base = leaf};

	for (size_t i = leaf.length; i > 0; i--) {
		if (leaf.data[i - 1] != ':') {
			continue;
		}
		if (slice_has_prefix(slice_skip(leaf, i - 1), SLICE_LITERAL(INFO))) {
			name.base = slice_head(leaf, i - 1);
			if (!read_letters(slice_skip(leaf, i - 1 + strlen(INFO)), &name.letters)) {
				return false;
			}
		}
		break; /* another colon is a part of the base */
	}
	if (!is_base(name.base)) {
		return false;
	}
	*out = name;
	return true;
}

void
maildir_name_print_info(bool is_new, uint32_t bits, struct buf *out)
{
	if (is_new && bits == 0) {
		return;
	}
	buf_append(out, SLICE_LITERAL(INFO));
	for (size_t i = 0; bits != 0 && i < ARRAY_LENGTH(letters); i++) {
		if ((bits & letters[i].bit) != 0) {
			buf_append_octet(out, letters[i].letter);
		}
	}
}

void
maildir_name_print(const struct maildir_name *name, struct buf *out)
{
	buf_append(out, name->base);
	maildir_name_print_info(name->is_new, name->letters, out);
}

void
maildir_name_print_path(const struct maildir_name *name, struct buf *out)
{
	buf_append(out, name->is_new ? SLICE_LITERAL(NEW_PREFIX) : SLICE_LITERAL(CUR_PREFIX));
	maildir_name_print(name, out);
}

bool
maildir_name_read_path(struct slice path, struct maildir_name *out)
{
	bool is_new = slice_has_prefix(path, SLICE_LITERAL(NEW_PREFIX));

	return (is_new || slice_has_prefix(path, SLICE_LITERAL(CUR_PREFIX))) &&
	       maildir_name_read(slice_skip(path, strlen(CUR_PREFIX)), is_new, out);
}

uint32_t
maildir_name_letters(const struct flags *flags)
{
	return (flags->bits & FLAG_ALL) |
	       (flags->keywords != NULL && flags_has_keyword(flags, SLICE_LITERAL(MAILDIR_PASSED_KEYWORD))
			       ? MAILDIR_PASSED
			       : 0);
}

bool
maildir_name_set_letters(struct flags *flags, uint32_t wanted)
{
	flags->bits = wanted & FLAG_ALL;
	if ((wanted & MAILDIR_PASSED) != 0) {
		return flags_add_keyword(flags, SLICE_LITERAL(MAILDIR_PASSED_KEYWORD));
	}
	flags_remove_keyword(flags, SLICE_LITERAL(MAILDIR_PASSED_KEYWORD));
	return true;
}

void
maildir_name_make_base(int64_t seconds, struct number number, struct buf *out)
{
	if (seconds < 0) {
		buf_append_octet(out, '-');
	}
	buf_append_u64(out, seconds < 0 ? -(uint64_t)seconds : (uint64_t)seconds);
	buf_append_octet(out, '.');
	number_to_id(number, out);
	buf_append(out, SLICE_LITERAL(BASE_ENDS));
}

bool
maildir_name_read_base(struct slice base, int64_t *out_seconds, struct number *out_number)
{
	SCOPED(buf_finish) struct buf again = BUF_INIT;
	bool negative = slice_has_prefix(base, SLICE_LITERAL("-"));
	struct slice rest, digits;
	struct number number;
	uint64_t seconds;

	if (base.length > MAILDIR_BASE_MAX || !slice_has_suffix(base, SLICE_LITERAL(BASE_ENDS))) {
		return false;
	}
	rest = slice_skip(slice_head(base, base.length - strlen(BASE_ENDS)), negative);
	digits = slice_head(rest, slice_find(rest, '.'));
	if (digits.length == rest.length || !slice_to_u64(digits, &seconds) || seconds > INT64_MAX ||
		!number_from_id(slice_skip(rest, digits.length + 1), &number)) {
		return false;
	}
	*out_seconds = negative ? -(int64_t)seconds : (int64_t)seconds;
	*out_number = number;
	maildir_name_make_base(*out_seconds, number, &again);
	return slice_equal(buf_slice(&again), base);
}
