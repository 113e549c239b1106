#include "engine/remote/maildir/maildir_index.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/remote/maildir/maildir_filename.h"

#define SLOTS_FIRST 64
#define LONG_LINES  1000 /* beyond twice the messages: time for a new file */

void
maildir_index_begin(
	struct maildir_index *index, const char *id, uint32_t uidvalidity, uint64_t directory, uint64_t seed)
{
	assert(strlen(id) == MAILDIR_INDEX_ID_LENGTH && uidvalidity != 0);
	*index = (struct maildir_index){.uidvalidity = uidvalidity,
		.uidnext = 1,
		.directory = directory,
		.edition = 1,
		.modseq = 1,
		.seed = seed,
		.lines = 1};
	memcpy(index->id, id, MAILDIR_INDEX_ID_LENGTH + 1);
}

void
maildir_index_finish(struct maildir_index *index)
{
	for (size_t i = 0; i < index->count; i++) {
		free(index->entries[i].name);
		free(index->entries[i].guid);
	}
	free(index->entries);
	free(index->slots);
	maildir_keywords_finish(&index->keywords);
	*index = (struct maildir_index){0};
}

/* --- the table of keys --- */

static struct slice
entry_key(const struct maildir_entry *entry)
{
	return slice_make(entry->name, entry->key_length);
}

static size_t
slot_of(const struct maildir_index *index, struct slice key)
{
	uint64_t hash = index->seed ^ UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key.length; i++) {
		hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
	}
	hash ^= hash >> 32;
	return (size_t)hash & (index->slot_count - 1);
}

static void
put_slot(struct maildir_index *index, size_t entry)
{
	size_t slot = slot_of(index, entry_key(&index->entries[entry]));

	while (index->slots[slot] != 0) {
		slot = (slot + 1) & (index->slot_count - 1);
	}
	index->slots[slot] = (uint32_t)entry + 1;
	index->slots_used++;
}

/* Makes room for one more, and drops what is gone. */
static void
make_room(struct maildir_index *index)
{
	size_t kept = 0;

	if (index->slot_count > 0 && index->slots_used * 3 < index->slot_count * 2) {
		return;
	}
	for (size_t i = 0; i < index->count; i++) {
		if (index->entries[i].name != NULL) {
			index->entries[kept++] = index->entries[i];
		}
	}
	index->count = kept;
	size_t wanted = SLOTS_FIRST;

	while (wanted < (kept + 1) * 3) {
		wanted *= 2;
	}
	free(index->slots);
	index->slots = calloc(wanted, sizeof(*index->slots));
	if (index->slots == NULL) {
		abort();
	}
	index->slot_count = wanted;
	index->slots_used = 0;
	for (size_t i = 0; i < kept; i++) {
		put_slot(index, i);
	}
}

struct maildir_entry *
maildir_index_find_key(const struct maildir_index *index, struct slice key)
{
	if (index->slot_count == 0) {
		return NULL;
	}
	for (size_t slot = slot_of(index, key); index->slots[slot] != 0; slot = (slot + 1) & (index->slot_count - 1)) {
		struct maildir_entry *entry = &index->entries[index->slots[slot] - 1];

		if (entry->name != NULL && slice_equal(entry_key(entry), key)) {
			return entry;
		}
	}
	return NULL;
}

struct maildir_entry *
maildir_index_find(const struct maildir_index *index, uint32_t uid)
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (index->entries[middle].uid < uid) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	struct maildir_entry *entry = low < index->count ? &index->entries[low] : NULL;

	return entry != NULL && entry->uid == uid && entry->name != NULL ? entry : NULL;
}

/* --- changes --- */

static void
set_name(struct maildir_entry *entry, const struct maildir_filename *read, struct slice name, bool in_new)
{
	char *copy = slice_dup(name);

	free(entry->name);
	entry->name = copy;
	entry->key_length = (uint8_t)read->key.length;
	entry->bits = (uint8_t)read->bits;
	entry->keywords = read->keywords;
	entry->in_new = in_new;
}

/* Adds an entry whose UID is above all others'. */
static struct maildir_entry *
append_entry(struct maildir_index *index, uint32_t uid, const struct maildir_filename *read, struct slice name,
	bool in_new, uint64_t modseq)
{
	make_room(index);
	if (index->count == index->capacity) {
		index->capacity = index->capacity * 2 + 32;
		index->entries = realloc(index->entries, index->capacity * sizeof(*index->entries));
		if (index->entries == NULL) {
			abort();
		}
	}
	struct maildir_entry *entry = &index->entries[index->count];

	*entry = (struct maildir_entry){.uid = uid, .modseq = modseq};
	set_name(entry, read, name, in_new);
	put_slot(index, index->count++);
	index->live++;
	index->uidnext = uid + 1;
	index->modseq = modseq;
	return entry;
}

static void
drop_entry(struct maildir_index *index, struct maildir_entry *entry, uint64_t modseq)
{
	free(entry->name);
	free(entry->guid);
	entry->name = entry->guid = NULL;
	index->live--;
	index->modseq = modseq;
}

/* --- lines --- */

static void
print_octets(struct slice octets, struct buf *out)
{
	for (size_t i = 0; i < octets.length; i++) {
		unsigned char octet = (unsigned char)octets.data[i];

		if (octet < 0x20 || octet == 0x7f || octet == '%') {
			buf_printf(out, "%%%02X", octet);
		} else {
			buf_append_octet(out, (char)octet);
		}
	}
}

static void
print_entry(const struct maildir_entry *entry, struct buf *out)
{
	buf_printf(out, "U %" PRIu32 " %" PRIu64 " %c ", entry->uid, entry->modseq, entry->in_new ? 'n' : 'c');
	print_octets(slice_of(entry->name), out);
	buf_append_octet(out, '\n');
}

static void
print_guid(const struct maildir_entry *entry, struct buf *out)
{
	buf_printf(out, "G %" PRIu32 " ", entry->uid);
	print_octets(slice_of(entry->guid), out);
	buf_append_octet(out, '\n');
}

static void
print_keyword(unsigned letter, const char *name, struct buf *out)
{
	buf_printf(out, "K %c%s", 'a' + (int)letter, name != NULL ? " " : "");
	print_octets(slice_of(name), out);
	buf_append_octet(out, '\n');
}

struct maildir_entry *
maildir_index_add(struct maildir_index *index, struct slice name, bool in_new, uint64_t modseq, struct buf *out)
{
	struct maildir_filename read;
	bool good = maildir_filename_read(name, &read);

	assert(good && modseq >= index->modseq && maildir_index_find_key(index, read.key) == NULL);
	if (index->uidnext == UINT32_MAX || index->live >= MAILDIR_INDEX_ENTRIES_MAX) {
		return NULL;
	}
	struct maildir_entry *entry = append_entry(index, index->uidnext, &read, name, in_new, modseq);

	print_entry(entry, out);
	index->lines++;
	return entry;
}

struct slice
maildir_index_guid(const struct maildir_entry *entry)
{
	return entry->guid != NULL ? slice_of(entry->guid) : entry_key(entry);
}

void
maildir_index_set_guid(struct maildir_index *index, struct maildir_entry *entry, struct slice guid, struct buf *out)
{
	char *copy = slice_dup(guid);

	assert(guid.length > 0 && guid.length <= GUID_VALUE_MAX);
	free(entry->guid);
	entry->guid = copy;
	print_guid(entry, out);
	index->lines++;
}

void
maildir_index_rename(struct maildir_index *index, struct maildir_entry *entry, struct slice name, bool in_new,
	uint64_t modseq, struct buf *out)
{
	struct maildir_filename read;
	bool good = maildir_filename_read(name, &read);

	assert(good && modseq >= entry->modseq && slice_equal(read.key, entry_key(entry)));
	set_name(entry, &read, name, in_new);
	entry->modseq = modseq;
	index->modseq = modseq > index->modseq ? modseq : index->modseq;
	print_entry(entry, out);
	index->lines++;
}

void
maildir_index_remove(struct maildir_index *index, struct maildir_entry *entry, uint64_t modseq, struct buf *out)
{
	assert(modseq >= index->modseq);
	buf_printf(out, "D %" PRIu32 " %" PRIu64 "\n", entry->uid, modseq);
	drop_entry(index, entry, modseq);
	index->lines++;
}

void
maildir_index_set_keywords(
	struct maildir_index *index, const struct maildir_keywords *keywords, uint64_t modseq, struct buf *out)
{
	uint32_t letters = maildir_keywords_differing(&index->keywords, keywords);

	assert(modseq >= index->modseq);
	for (unsigned i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		if ((letters & 1u << i) != 0) {
			print_keyword(i, keywords->names[i], out);
			index->lines++;
		}
	}
	maildir_keywords_finish(&index->keywords);
	index->keywords = maildir_keywords_copy(keywords);
	for (size_t i = 0; i < index->count; i++) {
		struct maildir_entry *entry = &index->entries[i];

		if (entry->name != NULL && (entry->keywords & letters) != 0) {
			entry->modseq = index->modseq = modseq;
			print_entry(entry, out);
			index->lines++;
		}
	}
}

void
maildir_index_print_head(const struct maildir_index *index, struct buf *out)
{
	buf_printf(out, "mailfs-uids 1 %s %" PRIu32 " %" PRIu64 " %" PRIu64 "\n", index->id, index->uidvalidity,
		index->directory, index->edition);
}

void
maildir_index_print(const struct maildir_index *index, struct buf *out)
{
	maildir_index_print_head(index, out);
	for (unsigned i = 0; i < MAILDIR_KEYWORDS_MAX; i++) {
		if (index->keywords.names[i] != NULL) {
			print_keyword(i, index->keywords.names[i], out);
		}
	}
	for (size_t i = 0; i < index->count; i++) {
		if (index->entries[i].name != NULL) {
			print_entry(&index->entries[i], out);
		}
		if (index->entries[i].guid != NULL) {
			print_guid(&index->entries[i], out);
		}
	}
	buf_printf(out, "N %" PRIu32 " %" PRIu64 "\n", index->uidnext, index->modseq);
}

bool
maildir_index_is_long(const struct maildir_index *index)
{
	return index->lines > 2 * (uint64_t)index->live + LONG_LINES;
}

/* --- reading --- */

/* Cuts the word up to the next space off. */
static struct slice
take_word(struct slice *rest)
{
	struct slice word = slice_head(*rest, slice_find(*rest, ' '));

	*rest = slice_skip(*rest, word.length < rest->length ? word.length + 1 : word.length);
	return word;
}

static int
hex_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Reads what print_octets wrote; false if it is longer than `size` or none of that. */
static bool
read_octets(struct slice text, char *out, size_t size, size_t *out_length)
{
	size_t length = 0;

	for (size_t i = 0; i < text.length; i++) {
		char octet = text.data[i];

		if (octet == '%') {
			int high = i + 2 < text.length ? hex_of(text.data[i + 1]) : -1;
			int low = i + 2 < text.length ? hex_of(text.data[i + 2]) : -1;

			if (high < 0 || low < 0) {
				return false;
			}
			octet = (char)(high * 16 + low);
			i += 2;
		}
		if (length == size) {
			return false;
		}
		out[length++] = octet;
	}
	*out_length = length;
	return true;
}

static bool
is_id(struct slice id)
{
	for (size_t i = 0; i < id.length; i++) {
		if ((id.data[i] < '0' || id.data[i] > '9') && (id.data[i] < 'a' || id.data[i] > 'f')) {
			return false;
		}
	}
	return id.length == MAILDIR_INDEX_ID_LENGTH;
}

static bool
read_head(struct maildir_index *index, struct slice line)
{
	struct slice rest = line;
	bool known = slice_equal(take_word(&rest), SLICE_LITERAL("mailfs-uids")) &&
		     slice_equal(take_word(&rest), SLICE_LITERAL("1"));
	struct slice id = take_word(&rest);
	uint32_t uidvalidity;
	uint64_t directory, edition;

	if (!known || !is_id(id) || !slice_to_u32(take_word(&rest), &uidvalidity) || uidvalidity == 0 ||
		!slice_to_u64(take_word(&rest), &directory) || !slice_to_u64(rest, &edition)) {
		return false;
	}
	char text[MAILDIR_INDEX_ID_LENGTH + 1] = {0};

	memcpy(text, id.data, id.length);
	maildir_index_begin(index, text, uidvalidity, directory, index->seed);
	index->edition = edition;
	return true;
}

static bool
read_counters(struct maildir_index *index, struct slice rest)
{
	uint32_t uidnext;
	uint64_t modseq;

	if (!slice_to_u32(take_word(&rest), &uidnext) || !slice_to_u64(rest, &modseq) || uidnext < index->uidnext ||
		modseq < index->modseq || modseq >= INT64_MAX) {
		return false;
	}
	index->uidnext = uidnext;
	index->modseq = modseq;
	return true;
}

static bool
read_keyword(struct maildir_index *index, struct slice rest)
{
	char name[FLAGS_KEYWORD_MAX];
	struct slice letter = take_word(&rest);
	size_t length;

	if (letter.length != 1 || letter.data[0] < 'a' || letter.data[0] > 'z' ||
		!read_octets(rest, name, sizeof(name), &length) ||
		(length > 0 && !flags_is_keyword(slice_make(name, length)))) {
		return false;
	}
	char **place = &index->keywords.names[letter.data[0] - 'a'];

	free(*place);
	*place = length > 0 ? slice_dup(slice_make(name, length)) : NULL;
	return true;
}

static bool
read_message(struct maildir_index *index, struct slice rest)
{
	struct maildir_filename read;
	char name[MAILDIR_FILENAME_MAX];
	uint32_t uid;
	uint64_t modseq;
	size_t length;

	if (!slice_to_u32(take_word(&rest), &uid) || uid == 0 || uid == UINT32_MAX ||
		!slice_to_u64(take_word(&rest), &modseq) || modseq >= INT64_MAX) {
		return false;
	}
	struct slice where = take_word(&rest);
	bool in_new = slice_equal(where, SLICE_LITERAL("n"));

	if ((!in_new && !slice_equal(where, SLICE_LITERAL("c"))) || !read_octets(rest, name, sizeof(name), &length) ||
		!maildir_filename_read(slice_make(name, length), &read)) {
		return false;
	}
	struct maildir_entry *same_uid = maildir_index_find(index, uid);
	const struct maildir_entry *same_key = maildir_index_find_key(index, read.key);

	if (same_uid != same_key) {
		return false;
	}
	if (same_uid == NULL) {
		/* In a file made anew, messages stand by their UIDs, and only the last line tells the counters. */
		if (uid < index->uidnext || index->live >= MAILDIR_INDEX_ENTRIES_MAX) {
			return false;
		}
		uint64_t highest = modseq > index->modseq ? modseq : index->modseq;

		append_entry(index, uid, &read, slice_make(name, length), in_new, modseq);
		index->modseq = highest;
		return true;
	}
	set_name(same_uid, &read, slice_make(name, length), in_new);
	same_uid->modseq = modseq;
	index->modseq = modseq > index->modseq ? modseq : index->modseq;
	return true;
}

static bool
read_guid(struct maildir_index *index, struct slice rest)
{
	char guid[GUID_VALUE_MAX];
	struct maildir_entry *entry;
	uint32_t uid;
	size_t length;

	if (!slice_to_u32(take_word(&rest), &uid) || !read_octets(rest, guid, sizeof(guid), &length) || length == 0 ||
		memchr(guid, '\0', length) != NULL) {
		return false;
	}
	entry = maildir_index_find(index, uid);
	if (entry == NULL) {
		return false;
	}
	free(entry->guid);
	entry->guid = slice_dup(slice_make(guid, length));
	return true;
}

static bool
read_gone(struct maildir_index *index, struct slice rest)
{
	struct maildir_entry *entry;
	uint32_t uid;
	uint64_t modseq;

	if (!slice_to_u32(take_word(&rest), &uid) || !slice_to_u64(rest, &modseq) || modseq < index->modseq ||
		modseq >= INT64_MAX) {
		return false;
	}
	entry = maildir_index_find(index, uid);
	if (entry != NULL) {
		drop_entry(index, entry, modseq);
	}
	return entry != NULL;
}

static bool
read_line(struct maildir_index *index, struct slice line)
{
	struct slice rest = line;

	if (index->id[0] == '\0') {
		return read_head(index, line);
	}
	index->lines++;

	struct slice what = take_word(&rest);

	if (what.length != 1) {
		return false;
	}
	switch (what.data[0]) {
	case 'U':
		return read_message(index, rest);
	case 'D':
		return read_gone(index, rest);
	case 'G':
		return read_guid(index, rest);
	case 'K':
		return read_keyword(index, rest);
	case 'N':
		return read_counters(index, rest);
	default:
		return false;
	}
}

bool
maildir_index_feed(struct maildir_index *index, struct slice text, size_t *out_used, struct error *err)
{
	size_t used = 0;

	for (;;) {
		struct slice rest = slice_skip(text, used);
		struct slice line = slice_head(rest, slice_find(rest, '\n'));

		if (line.length > MAILDIR_INDEX_LINE_MAX) {
			return error_set(err, ERROR_DAMAGED, "its line %" PRIu64 " is too long", index->lines + 1);
		}
		if (line.length == rest.length) {
			*out_used = used;
			return true;
		}
		if (!read_line(index, line)) {
			return error_set(err, ERROR_DAMAGED, "its line %" PRIu64 " is none of ours", index->lines + 1);
		}
		used += line.length + 1;
	}
}
