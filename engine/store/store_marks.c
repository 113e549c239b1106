/* `marks`: what must outlive the database (S6). Numbers and modseqs are given out in blocks whose ends stand in this file before any of them is
 * used, so an old copy of the database goes on above whatever was ever shown to anybody. That it is an old copy is known by the epoch: the
 * database holds two words, its own and the next, and the file one of them. The first write of a process, each close after a write and an hour of
 * running renew it, in this order: the database gets (what the file has, a new word), durably; then the file gets the new word. A crash
 * between leaves the file with the first of the two. A copy from before has neither.
 *
 * `<store>.id` stands beside the store's directory and tells that a store was there, for when its disk is not mounted (P9).
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/store/store_parts.h"

#define MARKS_FILE      "marks"
#define MARKS_BYTES_MAX 1024u
#define ID_BYTES_MAX    128u
/* More than a process takes between two syncs of the log: a crash may leave the database behind its marks by less, and where the marks are
 * lost it is safe to go on so far above the database's own counters. */
#define NUMBERS_LEAP (1u << 20)
#define MODSEQS_LEAP (1u << 28)

static void
print_hex(const uint8_t *octets, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "%02x", octets[i]);
	}
}

static bool
read_hex(struct slice text, uint8_t *out, size_t count)
{
	static const char digits[] = "0123456789abcdef";

	if (text.length != 2 * count) {
		return false;
	}
	for (size_t i = 0; i < text.length; i++) {
		const char *digit = text.data[i] != '\0' ? strchr(digits, text.data[i]) : NULL;

		if (digit == NULL) {
			return false;
		}
		uint8_t value = (uint8_t)(digit - digits);

		out[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : out[i / 2] | value);
	}
	return true;
}

/* Cuts off `key VALUE\n`. */
static bool
take_line(struct slice *rest, const char *key, struct slice *out)
{
	size_t end = slice_find(*rest, '\n');
	struct slice line = slice_head(*rest, end), prefix = slice_of(key);

	if (end == rest->length || !slice_has_prefix(line, prefix) || line.length <= prefix.length ||
		line.data[prefix.length] != ' ') {
		return false;
	}
	*out = slice_skip(line, prefix.length + 1);
	*rest = slice_skip(*rest, end + 1);
	return true;
}

static bool
parse_marks(struct slice text, struct store_marks *out)
{
	struct slice value;
	struct store_marks marks;

	if (!take_line(&text, "mailfs-marks", &value) || !slice_equal(value, SLICE_LITERAL("1")) ||
		!take_line(&text, "id", &value) || !read_hex(value, marks.id, sizeof(marks.id))) {
		return false;
	}
	if (!take_line(&text, "number", &value) || !slice_to_u64(value, &marks.number_limit) ||
		!take_line(&text, "modseq", &value) || !slice_to_u64(value, &marks.modseq_limit) ||
		!take_line(&text, "epoch", &value) || !slice_to_u64(value, &marks.epoch)) {
		return false;
	}
	*out = marks;
	return text.length == 0 && marks.number_limit <= INT64_MAX && marks.modseq_limit <= INT64_MAX &&
	       marks.epoch <= INT64_MAX;
}

bool
store_marks_load(struct store *store, struct store_marks *out, struct error *err)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	if (!io_read_file(store->dir, MARKS_FILE, MARKS_BYTES_MAX, &text, err)) {
		return false;
	}
	return parse_marks(buf_slice(&text), out) ||
	       error_set(err, ERROR_DAMAGED, "%s/%s cannot be understood", io_dir_path(store->dir), MARKS_FILE);
}

bool
store_marks_save(struct store *store, const struct store_marks *marks, struct error *err)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	buf_append_text(&text, "mailfs-marks 1\nid ");
	print_hex(marks->id, sizeof(marks->id), &text);
	buf_printf(&text, "\nnumber %llu\nmodseq %llu\nepoch %llu\n", (unsigned long long)marks->number_limit,
		(unsigned long long)marks->modseq_limit, (unsigned long long)marks->epoch);
	if (!io_replace_file(store->dir, MARKS_FILE, buf_slice(&text), err)) {
		return error_wrap(err, "recording numbers before they are used");
	}
	store->marks = *marks;
	return true;
}

/* Another process may have written it since we did. A file that is lost or broken counts as what we last knew. */
static struct store_marks
current_marks(struct store *store)
{
	struct store_marks marks;
	struct error ignored;

	return store_marks_load(store, &marks, &ignored) && memcmp(marks.id, store->id, sizeof(marks.id)) == 0
		       ? marks
		       : store->marks;
}

static uint64_t
block_end(uint64_t value, uint64_t block)
{
	return (value / block + 1) * block;
}

bool
store_marks_reach(struct store *store, uint64_t number, uint64_t modseq, struct error *err)
{
	if (number <= store->marks.number_limit && modseq <= store->marks.modseq_limit) {
		return true;
	}
	struct store_marks marks = current_marks(store);

	store->marks = marks;
	if (number > marks.number_limit) {
		marks.number_limit = block_end(number, STORE_NUMBERS_BLOCK);
	}
	if (modseq > marks.modseq_limit) {
		marks.modseq_limit = block_end(modseq, STORE_MODSEQS_BLOCK);
	}
	if (marks.number_limit == store->marks.number_limit && marks.modseq_limit == store->marks.modseq_limit) {
		return true;
	}
	return store_marks_save(store, &marks, err);
}

static uint64_t
random_word(struct io *io)
{
	uint64_t word;

	io_random(io, &word, sizeof(word));
	return word & INT64_MAX;
}

bool
store_marks_renew_begin(struct store_txn *txn, uint64_t *out_epoch, struct error *err)
{
	struct store *store = txn->store;
	uint64_t next = random_word(store->io);

	store->marks = current_marks(store);
	if (!store_meta_set_u64(txn, "epoch", store->marks.epoch, err) ||
		!store_meta_set_u64(txn, "epoch_next", next, err)) {
		return false;
	}
	*out_epoch = next;
	return true;
}

bool
store_marks_renew_end(struct store *store, uint64_t epoch, struct error *err)
{
	struct store_marks marks = store->marks;

	marks.epoch = epoch;
	return store_marks_save(store, &marks, err);
}

/* An old copy: its counters jump to where the marks end, and it is told at every open until somebody has seen to it (meta rolled_back). */
static bool
go_above(struct store_txn *txn, const struct store_marks *marks, struct error *err)
{
	txn->number = marks->number_limit > txn->number ? marks->number_limit : txn->number;
	txn->modseq = marks->modseq_limit > txn->modseq ? marks->modseq_limit : txn->modseq;
	log_warn("store", "event=rolled-back number=%llu modseq=%llu", (unsigned long long)txn->number,
		(unsigned long long)txn->modseq);
	return store_meta_set_u64(txn, "rolled_back", 1, err);
}

bool
store_marks_check(struct store_txn *txn, bool *out_rolled_back, struct error *err)
{
	struct store *store = txn->store;
	struct store_marks marks;
	uint64_t own, next, before;

	if (!store_load_counters(txn, err) || !store_meta_get_u64(txn, "epoch", &own, err) ||
		!store_meta_get_u64(txn, "epoch_next", &next, err) ||
		!store_meta_get_u64(txn, "rolled_back", &before, err)) {
		return false;
	}
	if (!store_marks_load(store, &marks, err)) {
		bool fresh = own == 0 && next == 0 && txn->number == 0;

		if (err->kind != ERROR_GONE && err->kind != ERROR_DAMAGED) {
			return false;
		}
		error_clear(err);
		marks = (struct store_marks){.epoch = fresh ? random_word(store->io) : next};
		if (!fresh) { /* how far it had come, nobody knows: leap */
			marks.number_limit = txn->number + NUMBERS_LEAP;
			marks.modseq_limit = txn->modseq + MODSEQS_LEAP;
		}
		memcpy(marks.id, store->id, sizeof(marks.id));
		if ((!fresh && !go_above(txn, &marks, err)) ||
			(fresh && !store_meta_set_u64(txn, "epoch", marks.epoch, err)) ||
			!store_marks_save(store, &marks, err)) {
			return false;
		}
		*out_rolled_back = !fresh || before != 0;
		return true;
	}
	store->marks = marks;
	bool same_id = memcmp(marks.id, store->id, sizeof(marks.id)) == 0;
	bool known = marks.epoch == own || marks.epoch == next;
	bool far = txn->number + NUMBERS_LEAP < marks.number_limit || txn->modseq + MODSEQS_LEAP < marks.modseq_limit;

	*out_rolled_back = !same_id || !known || far || before != 0;
	if (same_id && known && !far) {
		return true;
	}
	if (!go_above(txn, &marks, err) || !store_meta_set_u64(txn, "epoch", marks.epoch, err)) {
		return false;
	}
	memcpy(store->marks.id, store->id, sizeof(marks.id));
	return same_id || store_marks_save(store, &store->marks, err);
}

/* --- the file beside the store --- */

/* Opens the directory that holds the store's; *out NULL where it is not ours to write in. */
static void
open_parent(struct io *io, const char *path, struct io_dir **out, struct buf *out_name)
{
	struct slice whole = slice_of(path);
	struct error ignored;

	while (whole.length > 1 && whole.data[whole.length - 1] == '/') {
		whole.length--;
	}
	size_t slash = whole.length;

	while (slash > 0 && whole.data[slash - 1] != '/') {
		slash--;
	}
	char *parent =
		slash > 1 ? slice_dup(slice_head(whole, slash - 1)) : slice_dup(slice_of(slash == 1 ? "/" : "."));

	buf_append(out_name, slice_skip(whole, slash));
	buf_append_text(out_name, ".id");
	if (!io_dir_open(io, parent, false, out, &ignored)) {
		*out = NULL;
	}
	free(parent);
}

struct sweep {
	struct slice prefix; /* "NAME.id." */
	struct buf found;    /* names, each ended by a NUL */
};

/* Takes the names that io_replace_file gives: NAME.id., 16 digits, .new. */
static bool
note_begun(void *context, const char *name)
{
	struct sweep *sweep = context;
	struct slice text = slice_of(name), rest = {0};

	if (slice_has_prefix(text, sweep->prefix)) {
		rest = slice_skip(text, sweep->prefix.length);
	}
	if (rest.length == 20 && strspn(rest.data, "0123456789abcdef") == 16 &&
		slice_has_suffix(rest, SLICE_LITERAL(".new"))) {
		buf_append(&sweep->found, slice_make(name, text.length + 1));
	}
	return true;
}

void
store_marks_sweep_known(struct io *io, const char *path)
{
	SCOPED(io_dir_close) struct io_dir *parent = NULL;
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct sweep sweep = {.found = BUF_INIT};
	struct error err = ERROR_INIT;

	open_parent(io, path, &parent, &name);
	buf_append_octet(&name, '.');
	sweep.prefix = buf_slice(&name);
	if (parent != NULL && !io_list(parent, "", note_begun, &sweep, &err)) {
		log_debug("store", "event=not-swept reason=%s", err.text); /* a directory that may not be read */
	}
	for (size_t at = 0; at < sweep.found.length; at += strlen(sweep.found.data + at) + 1) {
		bool gone = io_unlink(parent, sweep.found.data + at, &err);

		log_info("store", "event=leftover-removed file=%s done=%d", sweep.found.data + at, gone);
	}
	buf_finish(&sweep.found);
}

bool
store_marks_known_id(struct io *io, const char *path, uint8_t out[STORE_ID_BYTES], bool *out_known, struct error *err)
{
	SCOPED(io_dir_close) struct io_dir *parent = NULL;
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	*out_known = false;
	open_parent(io, path, &parent, &name);
	if (parent == NULL) {
		return true;
	}
	if (!io_read_file(parent, name.data, ID_BYTES_MAX, &text, err)) {
		if (err->kind == ERROR_GONE) {
			error_clear(err);
			return true;
		}
		return false;
	}
	if (!read_hex(slice_trim(buf_slice(&text)), out, STORE_ID_BYTES)) {
		return error_set(err, ERROR_CONFIG, "%s.id is no id of a store: remove it if it is not wanted", path);
	}
	*out_known = true;
	return true;
}

bool
store_marks_make_known(struct io *io, const char *path, const uint8_t id[STORE_ID_BYTES], struct error *err)
{
	SCOPED(io_dir_close) struct io_dir *parent = NULL;
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	SCOPED(buf_finish) struct buf text = BUF_INIT;

	open_parent(io, path, &parent, &name);
	if (parent == NULL) {
		log_info("store", "event=no-id-file path=%s", path);
		return true;
	}
	print_hex(id, STORE_ID_BYTES, &text);
	buf_append_octet(&text, '\n');
	if (!io_replace_file(parent, name.data, buf_slice(&text), err)) {
		if (err->kind != ERROR_REFUSED) {
			return error_wrap(err, "noting that a store is there");
		}
		error_clear(err); /* the directory is not ours to write in */
	}
	return true;
}
