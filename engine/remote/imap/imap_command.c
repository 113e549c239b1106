#include "engine/remote/imap/imap_command.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define QUOTED_MAX       1000
#define RANGE_OCTETS_MAX 22 /* "4294967295:4294967295," */

void
imap_command_begin(struct imap_command *command, enum imap_literals literals, const char *name)
{
	buf_clear(&command->text);
	command->cut_count = 0;
	command->literals = literals;
	command->failure.kind = ERROR_NONE;
	buf_append_text(&command->text, name);
}

void
imap_command_finish(struct imap_command *command)
{
	if (command->text.data != NULL) {
		explicit_bzero(command->text.data, command->text.capacity);
	}
	buf_finish(&command->text);
	free(command->cuts);
	command->cuts = NULL;
	command->cut_count = command->cut_capacity = 0;
}

void
imap_command_text(struct imap_command *command, const char *text)
{
	buf_append_text(&command->text, text);
}

void
imap_command_number(struct imap_command *command, uint64_t value)
{
	buf_append_u64(&command->text, value);
}

static void
add_cut(struct imap_command *command, bool wait, struct spool *spool)
{
	if (command->cut_count == command->cut_capacity) {
		command->cut_capacity = command->cut_capacity == 0 ? 4 : 2 * command->cut_capacity;
		command->cuts = reallocarray(command->cuts, command->cut_capacity, sizeof *command->cuts);
		if (command->cuts == NULL) {
			abort();
		}
	}
	command->cuts[command->cut_count++] =
		(struct imap_cut){.at = command->text.length, .wait = wait, .spool = spool};
}

/* Appends {n}, with + where nobody need wait; tells whether somebody must. */
static bool
announce(struct imap_command *command, uint64_t size, bool binary)
{
	bool at_once = command->literals == IMAP_LITERALS_PLUS ||
		       (command->literals == IMAP_LITERALS_MINUS && size <= IMAP_LITERAL_MINUS_MAX);

	buf_append_text(&command->text, binary ? "~{" : "{");
	buf_append_u64(&command->text, size);
	buf_append_text(&command->text, at_once ? "+}\r\n" : "}\r\n");
	return !at_once;
}

static void
fail(struct imap_command *command, const char *what)
{
	if (command->failure.kind == ERROR_NONE) {
		(void)error_set(&command->failure, ERROR_INVALID, "%s", what);
	}
}

void
imap_command_string(struct imap_command *command, struct slice value)
{
	bool quoted = value.length <= QUOTED_MAX;

	for (size_t i = 0; i < value.length; i++) {
		unsigned char octet = (unsigned char)value.data[i];

		if (octet == '\0' || octet == '\r' || octet == '\n') {
			fail(command, "a name or value with a line end or NUL cannot be sent");
			return;
		}
		quoted = quoted && octet >= 0x20 && octet < 0x7f;
	}
	buf_append_octet(&command->text, ' ');
	if (!quoted) {
		if (announce(command, value.length, false)) {
			add_cut(command, true, NULL);
		}
		buf_append(&command->text, value);
		return;
	}
	buf_append_octet(&command->text, '"');
	for (size_t i = 0; i < value.length; i++) {
		if (value.data[i] == '"' || value.data[i] == '\\') {
			buf_append_octet(&command->text, '\\');
		}
		buf_append_octet(&command->text, value.data[i]);
	}
	buf_append_octet(&command->text, '"');
}

void
imap_command_spool(struct imap_command *command, struct spool *spool, bool binary)
{
	buf_append_octet(&command->text, ' ');

	bool wait = announce(command, spool_size(spool), binary);

	add_cut(command, wait, spool);
}

void
imap_command_flags(struct imap_command *command, const struct flags *flags)
{
	struct slice rest = flags_keywords(flags), keyword;

	while (flags_next_keyword(&rest, &keyword)) {
		if (!flags_is_keyword(keyword)) {
			fail(command, "a keyword that is no atom cannot be sent");
			return;
		}
	}
	buf_append_text(&command->text, " (");
	flags_print_imap(flags, &command->text);
	buf_append_octet(&command->text, ')');
}

void
imap_command_date(struct imap_command *command, int64_t date_s)
{
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	const int64_t first = -62135596800, last = 253402300799; /* the years 1 to 9999 */
	time_t when = date_s < first ? first : date_s > last ? last : date_s;
	struct tm tm;

	if (gmtime_r(&when, &tm) == NULL) {
		abort();
	}
	buf_printf(&command->text, " \"%02d-%s-%04d %02d:%02d:%02d +0000\"", tm.tm_mday, months[tm.tm_mon],
		tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void
imap_command_set(struct imap_command *command, const struct uidset *set)
{
	assert(set->count > 0);
	uidset_print(set, &command->text);
}

bool
imap_command_check(const struct imap_command *command, struct error *err)
{
	if (command->failure.kind == ERROR_NONE) {
		return true;
	}
	*err = command->failure;
	return false;
}

/* The first range that ends above `uid`. */
static size_t
range_above(const struct uidset *set, uint32_t uid)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ranges[middle].last > uid) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return low;
}

static size_t
digits(uint32_t number)
{
	size_t count = 1;

	while (number >= 10) {
		number /= 10;
		count++;
	}
	return count;
}

bool
imap_command_next_part(const struct uidset *set, uint32_t *uid, size_t uids_max, size_t octets_max, struct uidset *out)
{
	size_t octets = 0, uids = 0;

	assert(uids_max > 0 && octets_max >= RANGE_OCTETS_MAX);
	uidset_clear(out);
	for (size_t i = range_above(set, *uid);
		i < set->count && uids < uids_max && octets + RANGE_OCTETS_MAX <= octets_max; i++) {
		uint32_t first = set->ranges[i].first > *uid ? set->ranges[i].first : *uid + 1;
		uint32_t last = set->ranges[i].last;

		if (last - first >= uids_max - uids) {
			last = first + (uint32_t)(uids_max - uids) - 1;
		}
		uidset_add(out, first, last);
		uids += (size_t)(last - first) + 1;
		octets += digits(first) + 1 + (last > first ? digits(last) + 1 : 0);
		*uid = last;
	}
	return out->count > 0;
}
