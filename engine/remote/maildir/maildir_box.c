/* Keeping a mailbox's index: its file, its lock. Looking at the directories is maildir_look.c's. */
#include "engine/remote/maildir/maildir_box.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/remote/maildir/maildir_dir.h"
#include "engine/remote/maildir/maildir_look.h"
#include "engine/remote/maildir/maildir_tree.h"

#define READ_BYTES       (1u << 20) /* of the index's file at a time */
#define KEPT_ENTRIES_MAX 200000     /* of all mailboxes of a session */

/* --- boxes of a session --- */

static void
forget_index(struct maildir_box *box)
{
	maildir_index_finish(&box->index);
	box->loaded = box->clean = false;
	box->file = box->file_octets = 0;
	box->listing = 0;
}

static void
destroy(struct maildir_box *box)
{
	forget_index(box);
	maildir_keywords_finish(&box->keywords);
	free(box->path);
	free(box);
}

void
maildir_box_forget_all(struct maildir_session *session)
{
	for (size_t i = 0; i < session->box_count; i++) {
		destroy(session->boxes[i]);
	}
	free(session->boxes);
	session->boxes = NULL;
	session->box_count = 0;
}

/* Of those not used for long the summary stays: enough for the account check as long as nothing changes. */
void
maildir_box_rest(struct maildir_session *session)
{
	size_t entries = 0;

	for (size_t i = 0; i < session->box_count; i++) {
		entries += session->boxes[i]->index.count;
	}
	while (entries > KEPT_ENTRIES_MAX) {
		struct maildir_box *oldest = NULL;

		for (size_t i = 0; i < session->box_count; i++) {
			struct maildir_box *box = session->boxes[i];

			if (box->index.count > 0 && (oldest == NULL || box->used < oldest->used)) {
				oldest = box;
			}
		}
		entries -= oldest->index.count;
		maildir_index_finish(&oldest->index);
		oldest->loaded = false;
	}
}

static struct maildir_box *
find(struct maildir_session *session, const char *path)
{
	for (size_t i = 0; i < session->box_count; i++) {
		if (strcmp(session->boxes[i]->path, path) == 0) {
			return session->boxes[i];
		}
	}
	if ((session->box_count & (session->box_count - 1)) == 0) {
		size_t capacity = session->box_count > 0 ? session->box_count * 2 : 1;

		session->boxes = realloc(session->boxes, capacity * sizeof(struct maildir_box *));
		if (session->boxes == NULL) {
			abort();
		}
	}
	struct maildir_box *box = calloc(1, sizeof(*box));

	if (box == NULL) {
		abort();
	}
	box->path = slice_dup(slice_of(path));
	session->boxes[session->box_count++] = box;
	return box;
}

bool
maildir_box_open_path(struct maildir_session *session, const char *path, struct maildir_box **out, struct error *err)
{
	struct io_stat st;
	bool is_mailbox;

	if (!maildir_tree_is_mailbox(session, path, &is_mailbox, err)) {
		return false;
	}
	if (!is_mailbox) {
		return error_set(err, ERROR_GONE, "there is no Maildir %s/%s", session->remote->path, path);
	}
	if (!io_stat(session->dir, path, &st, err)) {
		return false;
	}
	struct maildir_box *box = find(session, path);

	if (box->directory != st.inode) {
		forget_index(box);
		box->directory = st.inode;
	}
	box->used = ++session->clock;
	*out = box;
	return true;
}

bool
maildir_box_open(struct maildir_session *session, struct slice raw, struct maildir_box **out, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	buf_append_text(&path, "");
	if (session->dead) {
		return error_set(err, ERROR_RETRY, "the tree of Maildirs was lost");
	}
	return maildir_names_path(&session->layout, raw, &path, err) &&
	       maildir_box_open_path(session, path.data, out, err);
}

bool
maildir_box_select(struct maildir_session *session, const struct remote_target *target, struct maildir_box **out,
	struct error *err)
{
	struct maildir_box *box;

	if (!maildir_box_open(session, target->raw_name, &box, err) || !maildir_box_refresh(session, box, err)) {
		return false;
	}
	if (target->uidvalidity != 0 && target->uidvalidity != box->index.uidvalidity) {
		return error_set(err, ERROR_RETRY, "rebuilt: UIDVALIDITY is another one");
	}
	*out = box;
	return true;
}

/* --- the lock --- */

/* Behind the tree's own. */
static uint64_t
octet_of(const struct maildir_box *box)
{
	return (box->directory & (INT64_MAX >> 1)) + 1;
}

bool
maildir_box_lock(struct maildir_session *session, struct maildir_box *box, struct error *err)
{
	return io_lock(session->locks, octet_of(box), IO_LOCK_EXCLUSIVE, MAILDIR_LOCK_WAIT_MS, session->cancel, err) ||
	       error_wrap(err, "%s/%s", session->remote->path, box->path);
}

void
maildir_box_unlock(struct maildir_session *session, struct maildir_box *box)
{
	io_unlock(session->locks, octet_of(box));
}

int
maildir_box_compare_locks(const struct maildir_box *a, const struct maildir_box *b)
{
	return octet_of(a) < octet_of(b) ? -1 : octet_of(a) > octet_of(b);
}

/* --- the index's file --- */

static void
begin_index(struct maildir_session *session, struct maildir_box *box, uint32_t above)
{
	char id[MAILDIR_INDEX_ID_LENGTH + 1];
	uint64_t random[3];
	int64_t now_s = io_wall_s(session->io);
	uint32_t uidvalidity = now_s > 0 && now_s < UINT32_MAX ? (uint32_t)now_s : 1;

	io_random(session->io, random, sizeof(random));
	(void)snprintf(id, sizeof(id), "%016llx%016llx", (unsigned long long)random[0], (unsigned long long)random[1]);
	uidvalidity = uidvalidity > above ? uidvalidity : above + 1;
	forget_index(box);
	maildir_index_begin(&box->index, id, uidvalidity != 0 ? uidvalidity : 1, box->directory, random[2]);
	box->loaded = true;
}

static bool
feed(struct maildir_session *session, struct maildir_box *box, int fd, uint64_t size, struct error *err)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	uint64_t at = box->file_octets;
	size_t got = 1, used = 0;

	while (at < size && got > 0) {
		buf_reserve(&text, READ_BYTES);
		if (!io_pread(session->io, fd, text.data + text.length, READ_BYTES, at, &got, err)) {
			return false;
		}
		text.length += got;
		at += got;
		if (!maildir_index_feed(&box->index, buf_slice(&text), &used, err)) {
			return false;
		}
		buf_consume(&text, used);
		box->file_octets += used;
	}
	return box->index.id[0] != '\0' || error_set(err, ERROR_DAMAGED, "it has no first line");
}

/* Whether the file is the one that was read. Its inode does not tell: that of one that was replaced is soon used again. */
static bool
is_same_file(struct maildir_session *session, const struct maildir_box *box, int fd, bool *out, struct error *err)
{
	SCOPED(buf_finish) struct buf head = BUF_INIT;
	char text[256];
	size_t got;

	*out = false;
	maildir_index_print_head(&box->index, &head);
	if (head.length > sizeof(text)) {
		return true;
	}
	if (!io_pread(session->io, fd, text, head.length, 0, &got, err)) {
		return false;
	}
	*out = slice_equal(slice_make(text, got), buf_slice(&head));
	return true;
}

static void
begin_reading(struct maildir_session *session, struct maildir_box *box, uint64_t inode)
{
	forget_index(box);
	io_random(session->io, &box->index.seed, sizeof(box->index.seed));
	box->file = inode;
}

/* Reads what was added since, or all of another file. ERROR_GONE where there is none. */
static bool
load_file(struct maildir_session *session, struct maildir_box *box, const char *name, struct error *err)
{
	struct io_stat st;
	int fd = -1;

	if (!io_stat(session->dir, name, &st, err)) {
		return false;
	}
	if (!st.is_file || st.size_bytes > MAILDIR_INDEX_BYTES_MAX) {
		return error_set(
			err, ERROR_REFUSED, "%s/%s is no file of ours: remove it", session->remote->path, name);
	}
	bool same = box->loaded && st.inode == box->file && st.size_bytes >= box->file_octets;

	if (!io_open(session->dir, name, O_RDONLY | O_NONBLOCK, &fd, err)) {
		return false;
	}
	bool ok = !same || is_same_file(session, box, fd, &same, err);

	if (ok && !same) {
		begin_reading(session, box, st.inode);
	}
	if (ok && st.size_bytes > box->file_octets) {
		box->clean = false;
		ok = feed(session, box, fd, st.size_bytes, err);
	} else if (ok && !same) {
		ok = error_set(err, ERROR_DAMAGED, "it is empty");
	}
	box->loaded = ok;
	io_close(session->io, &fd);
	return box->loaded;
}

/* Under the lock. One that is missing or cannot be read is begun anew: its UIDVALIDITY says so (R7). */
static bool
load(struct maildir_session *session, struct maildir_box *box, struct error *err)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;

	if (load_file(session, box, maildir_dir_join(&name, box->path, MAILDIR_INDEX_FILE), err)) {
		return true;
	}
	uint32_t above = box->index.uidvalidity;

	if (err->kind == ERROR_DAMAGED) {
		log_warn("maildir", "file=%s/%s event=index-begun-anew reason=%s", session->remote->path, name.data,
			err->text);
	} else if (err->kind != ERROR_GONE) {
		forget_index(box);
		return false;
	}
	error_clear(err);
	begin_index(session, box, above);
	return true;
}

/* Writes the file as a whole. */
static bool
replace(struct maildir_session *session, struct maildir_box *box, struct error *err)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	struct io_stat st;

	box->index.edition++;
	maildir_index_print(&box->index, &text);
	maildir_dir_join(&name, box->path, MAILDIR_INDEX_FILE);
	if (!io_replace_file(session->dir, name.data, buf_slice(&text), err) ||
		!io_stat(session->dir, name.data, &st, err)) {
		maildir_box_doubt(box);
		return false;
	}
	box->file = st.inode;
	box->file_octets = text.length;
	box->index.lines = box->index.live + 1;
	return true;
}

/* Adds lines behind the last whole one; what stands there was never finished. */
static bool
add_lines(struct maildir_session *session, struct maildir_box *box, struct slice lines, struct error *err)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	uint64_t size;
	int fd = -1;

	maildir_dir_join(&name, box->path, MAILDIR_INDEX_FILE);
	if (!io_open(session->dir, name.data, O_WRONLY | O_NONBLOCK, &fd, err)) {
		return false;
	}
	bool ok = io_pwrite(session->io, fd, lines, box->file_octets, err) &&
		  io_file_size(session->io, fd, &size, err) &&
		  (size == box->file_octets + lines.length ||
			  io_ftruncate(session->io, fd, box->file_octets + lines.length, err)) &&
		  io_fsync(session->io, fd, err);

	io_close(session->io, &fd);
	box->file_octets += lines.length;
	return ok;
}

bool
maildir_box_write(struct maildir_session *session, struct maildir_box *box, struct slice lines, struct error *err)
{
	assert(box->loaded);
	if (box->file == 0 || maildir_index_is_long(&box->index)) {
		return replace(session, box, err);
	}
	if (lines.length == 0) {
		return true;
	}
	if (!add_lines(session, box, lines, err)) {
		maildir_box_doubt(box);
		return error_wrap(err, "%s/%s/" MAILDIR_INDEX_FILE, session->remote->path, box->path);
	}
	return true;
}

void
maildir_box_doubt(struct maildir_box *box)
{
	box->loaded = box->clean = false;
}

bool
maildir_box_renew(struct maildir_session *session, struct maildir_box *box, struct error *err)
{
	begin_index(session, box, box->index.uidvalidity);
	return replace(session, box, err) && maildir_box_look(session, box, err);
}

/* --- up to date --- */

bool
maildir_box_look(struct maildir_session *session, struct maildir_box *box, struct error *err)
{
	if (!load(session, box, err) || !maildir_look(session, box, err)) {
		return false;
	}
	box->summary = (struct maildir_summary){
		.id = maildir_box_id(box),
		.uidvalidity = box->index.uidvalidity,
		.uidnext = box->index.uidnext,
		.modseq = box->index.modseq,
		.messages = (uint32_t)box->index.live,
		.directory = box->index.directory,
	};
	return true;
}

/* Nothing was written by another process, nor changed in the directories. */
static bool
is_current(struct maildir_session *session, const struct maildir_box *box, bool *out, struct error *err)
{
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct maildir_stamp stamp;
	struct io_stat st;

	*out = false;
	if (!box->clean) {
		return true;
	}
	if (!io_stat(session->dir, maildir_dir_join(&name, box->path, MAILDIR_INDEX_FILE), &st, err)) {
		if (err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		return true;
	}
	if (st.inode != box->file || st.size_bytes != box->file_octets) {
		return true;
	}
	if (!maildir_look_stamp(session, box->path, &stamp, err)) {
		return false;
	}
	*out = memcmp(&stamp, &box->stamp, sizeof(stamp)) == 0;
	return true;
}

bool
maildir_box_refresh_locked(struct maildir_session *session, struct maildir_box *box, struct error *err)
{
	bool current;

	return is_current(session, box, &current, err) &&
	       ((current && box->loaded) || maildir_box_look(session, box, err));
}

bool
maildir_box_refresh(struct maildir_session *session, struct maildir_box *box, struct error *err)
{
	bool current;

	if (!is_current(session, box, &current, err)) {
		return false;
	}
	if (current && box->loaded) {
		return true;
	}
	if (!maildir_box_lock(session, box, err)) {
		return false;
	}
	bool ok = maildir_box_look(session, box, err);

	maildir_box_unlock(session, box);
	return ok;
}

bool
maildir_box_summarize(
	struct maildir_session *session, struct maildir_box *box, struct maildir_summary *out, struct error *err)
{
	bool current;

	if (!is_current(session, box, &current, err) || (!current && !maildir_box_refresh(session, box, err))) {
		return false;
	}
	*out = box->summary;
	return true;
}

/* --- what it says --- */

const char *
maildir_box_file(const struct maildir_box *box, const struct maildir_entry *entry, struct buf *out)
{
	maildir_dir_join(out, box->path, entry->in_new ? "new/" : "cur/");
	buf_append_text(out, entry->name);
	return out->data;
}

struct flags
maildir_box_flags(const struct maildir_box *box, const struct maildir_entry *entry)
{
	return maildir_keywords_flags(&box->index.keywords, entry->bits, entry->keywords);
}

struct guid
maildir_box_id(const struct maildir_box *box)
{
	struct guid id = {.kind = GUID_MAILBOXID, .length = MAILDIR_INDEX_ID_LENGTH};

	memcpy(id.value, box->index.id, MAILDIR_INDEX_ID_LENGTH);
	return id;
}

struct guid
maildir_box_guid(const struct maildir_entry *entry)
{
	struct slice value = maildir_index_guid(entry);
	struct guid guid = {.kind = GUID_MAILDIR, .length = (uint8_t)value.length};

	memcpy(guid.value, value.data, value.length);
	return guid;
}

void
maildir_box_tell(const struct maildir_box *box, struct remote_selected *out)
{
	*out = (struct remote_selected){
		.uidvalidity = box->index.uidvalidity,
		.uidnext = box->index.uidnext,
		.highestmodseq = box->index.modseq,
		.exists = (uint32_t)box->index.live,
		.id = maildir_box_id(box),
		.permanent = maildir_keywords_flags(&box->index.keywords, FLAG_ALL, UINT32_MAX >> 6),
		.keywords_any = maildir_keywords_have_room(&box->index.keywords),
	};
}
