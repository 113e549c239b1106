#include "engine/remote/maildir/maildir_filename.h"

#include <inttypes.h>

#include "engine/mail/flags.h"

static void
read_letters(struct maildir_filename *name)
{
	name->bits = flags_bits_of_maildir(name->letters);
	for (size_t i = 0; i < name->letters.length; i++) {
		char letter = name->letters.data[i];

		if (letter >= 'a' && letter <= 'z') {
			name->keywords |= 1u << (letter - 'a');
		}
	}
}

/* Reads `,W=1250` wherever it stands in the base. */
static void
read_sizes(struct maildir_filename *name)
{
	struct slice rest = slice_skip(name->base, name->key.length);

	while (rest.length > 0) {
		struct slice field = slice_skip(rest, 1);

		field = slice_head(field, slice_find(field, ','));
		if (slice_has_prefix(field, SLICE_LITERAL("W=")) &&
			slice_to_u64(slice_skip(field, 2), &name->wire_size)) {
			name->has_wire_size = true;
		}
		rest = slice_skip(rest, field.length + 1);
	}
}

bool
maildir_filename_read(struct slice name, struct maildir_filename *out)
{
	struct maildir_filename read = {0};

	if (name.length == 0 || name.length > MAILDIR_FILENAME_MAX || name.data[0] == '.' ||
		slice_find(name, '/') < name.length || slice_find(name, '\0') < name.length) {
		return false;
	}
	read.base = slice_head(name, slice_find(name, ':'));
	if (read.base.length == 0) {
		return false;
	}
	read.key = slice_head(read.base, slice_find(read.base, ','));
	if (read.key.length == 0) {
		read.key = read.base;
	}
	struct slice info = slice_skip(name, read.base.length);

	if (slice_has_prefix(info, SLICE_LITERAL(":2,"))) {
		read.letters = slice_skip(info, 3);
	}
	read_letters(&read);
	read_sizes(&read);
	*out = read;
	return true;
}

/* A letter of which we do not know what it means. */
static bool
is_foreign(char letter)
{
	return letter >= 'A' && letter <= 'Z' && flags_bits_of_maildir(slice_make(&letter, 1)) == 0;
}

static bool
is_wanted(const struct maildir_filename *name, uint32_t bits, uint32_t keywords, char letter)
{
	if (letter >= 'a') {
		return (keywords & 1u << (letter - 'a')) != 0;
	}
	if (is_foreign(letter)) {
		return slice_find(name->letters, letter) < name->letters.length;
	}
	return (flags_bits_of_maildir(slice_make(&letter, 1)) & bits) != 0;
}

static void
print_info(const struct maildir_filename *name, uint32_t bits, uint32_t keywords, struct buf *out)
{
	buf_append_text(out, ":2,");
	for (char letter = 'A'; letter <= 'z'; letter++) {
		if ((letter <= 'Z' || letter >= 'a') && is_wanted(name, bits, keywords, letter)) {
			buf_append_octet(out, letter);
		}
	}
}

static bool
fits(struct buf *out, size_t start)
{
	if (out->length - start > MAILDIR_FILENAME_MAX) {
		buf_truncate(out, start);
		return false;
	}
	return true;
}

bool
maildir_filename_print(const struct maildir_filename *name, uint32_t bits, uint32_t keywords, struct buf *out)
{
	size_t start = out->length;

	buf_append(out, name->base);
	print_info(name, bits, keywords, out);
	return fits(out, start);
}

bool
maildir_filename_print_moved(const struct maildir_filename *name, struct slice key, bool info, uint32_t bits,
	uint32_t keywords, struct buf *out)
{
	struct slice rest = slice_skip(name->base, name->key.length);
	size_t start = out->length;

	buf_append(out, key.length > 0 ? key : name->key);
	while (rest.length > 0) {
		struct slice field = slice_head(slice_skip(rest, 1), slice_find(slice_skip(rest, 1), ','));

		if (!slice_has_prefix(field, SLICE_LITERAL("U="))) {
			buf_append_octet(out, ',');
			buf_append(out, field);
		}
		rest = slice_skip(rest, field.length + 1);
	}
	if (info) {
		print_info(name, bits, keywords, out);
	}
	return fits(out, start);
}

void
maildir_filename_make(int64_t time_s, uint64_t unique, uint64_t file_size, uint64_t wire_size, struct buf *out)
{
	buf_printf(out, "%" PRId64 ".R%016" PRIx64 ".mailfs,S=%" PRIu64 ",W=%" PRIu64, time_s < 0 ? 0 : time_s, unique,
		file_size, wire_size);
}
