#include "engine/remote/maildir/maildir_look.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/mail/safe_text.h"
#include "engine/remote/maildir/maildir_append.h"
#include "engine/remote/maildir/maildir_dir.h"
#include "engine/remote/maildir/maildir_filename.h"

#define TICK_NS         20000000   /* what a file system's clock may lag behind */
#define COARSE_TICK_NS  2100000000 /* where it keeps whole seconds, or two */
#define PROVE_MS        400        /* how long we wait for the directories to rest */
#define PROVE_COARSE_MS 2500
#define PROVE_STEP_MS   15

struct arrival {
	char *name;
	bool in_new;
	int64_t mtime_ns;
};

struct look {
	struct maildir_session *session;
	struct maildir_box *box;
	uint64_t modseq; /* of what this look finds */
	uint32_t first;  /* listing of this look */
	struct buf lines;
	struct arrival *arrivals;
	size_t arrival_count, arrival_capacity;
	struct arrival *doubles; /* files with the unique name of another */
	size_t double_count;
	bool changed_meanwhile; /* a file was not there any more when it was looked at */
};

static void
forget_arrivals(struct look *look)
{
	for (size_t i = 0; i < look->arrival_count; i++) {
		free(look->arrivals[i].name);
	}
	look->arrival_count = 0;
}

static void
forget_doubles(struct look *look)
{
	for (size_t i = 0; i < look->double_count; i++) {
		free(look->doubles[i].name);
	}
	free(look->doubles);
	look->doubles = NULL;
	look->double_count = 0;
}

static void
look_finish(struct look *look)
{
	forget_arrivals(look);
	forget_doubles(look);
	free(look->arrivals);
	buf_finish(&look->lines);
}

/* --- how they stand --- */

static bool
stamp_one(struct maildir_session *session, const char *path, const char *name, uint64_t *out_inode, int64_t *out_ns,
	struct error *err)
{
	SCOPED(buf_finish) struct buf joined = BUF_INIT;
	struct io_stat st;

	*out_inode = 0;
	*out_ns = 0;
	if (io_stat(session->dir, maildir_dir_join(&joined, path, name), &st, err)) {
		*out_inode = st.inode;
		*out_ns = st.mtime_ns;
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	return true;
}

bool
maildir_look_stamp(struct maildir_session *session, const char *path, struct maildir_stamp *out, struct error *err)
{
	*out = (struct maildir_stamp){0};
	return stamp_one(session, path, "cur", &out->cur, &out->cur_ns, err) &&
	       stamp_one(session, path, "new", &out->new, &out->new_ns, err) &&
	       stamp_one(session, path, MAILDIR_KEYWORDS_FILE, &out->keywords, &out->keywords_ns, err);
}

static bool
is_same(const struct maildir_stamp *a, const struct maildir_stamp *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool
is_coarse(int64_t time_ns)
{
	return time_ns != 0 && time_ns % 1000000000 == 0;
}

/* Whether a change at `now_ns` or later would move this time: it lies further away than a tick. */
static bool
would_move(int64_t time_ns, int64_t now_ns)
{
	int64_t tick_ns = is_coarse(time_ns) ? COARSE_TICK_NS : TICK_NS;

	return time_ns < now_ns - tick_ns || time_ns > now_ns + tick_ns;
}

static bool
is_settled(const struct look *look, const struct maildir_stamp *stamp)
{
	int64_t now_ns = io_wall_ns(look->session->io);

	return would_move(stamp->cur_ns, now_ns) && would_move(stamp->new_ns, now_ns) &&
	       would_move(stamp->keywords_ns, now_ns);
}

/* --- a listing --- */

static void
warn_about(const struct look *look, const char *name, const char *why)
{
	SCOPED(buf_finish) struct buf safe = BUF_INIT;

	safe_text_line(slice_of(name), 300, &safe);
	log_warn("maildir", "path=%s/%s event=left-out file=%s: %s", look->session->remote->path, look->box->path,
		safe.length > 0 ? safe.data : "", why);
}

/* Looks at a file; false in *out where it is none, or gone. */
static bool
stat_file(struct look *look, const char *name, bool in_new, bool *out, struct io_stat *out_stat, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	maildir_dir_join(&path, look->box->path, in_new ? "new/" : "cur/");
	buf_append_text(&path, name);
	*out = false;
	if (io_stat(look->session->dir, path.data, out_stat, err)) {
		*out = out_stat->is_file;
		return true;
	}
	if (err->kind != ERROR_GONE) {
		return false;
	}
	error_clear(err);
	look->changed_meanwhile = true;
	return true;
}

static void
note_arrival(struct look *look, const char *name, bool in_new)
{
	if (look->arrival_count == look->arrival_capacity) {
		look->arrival_capacity = look->arrival_capacity * 2 + 64;
		look->arrivals = realloc(look->arrivals, look->arrival_capacity * sizeof(*look->arrivals));
		if (look->arrivals == NULL) {
			abort();
		}
	}
	look->arrivals[look->arrival_count++] = (struct arrival){.name = slice_dup(slice_of(name)), .in_new = in_new};
}

static void
note_double(struct look *look, const char *name, bool in_new)
{
	look->doubles = realloc(look->doubles, (look->double_count + 1) * sizeof(*look->doubles));
	if (look->doubles == NULL) {
		abort();
	}
	look->doubles[look->double_count++] = (struct arrival){.name = slice_dup(slice_of(name)), .in_new = in_new};
}

/* A known message stands under a name: as it did, or under another one. Twice in one listing: it was renamed under our hands, or is a link of the
 * same file, or somebody gave a copy the name of the first. */
static bool
note_known(struct look *look, struct maildir_entry *entry, const struct maildir_filename *read, const char *name,
	bool in_new, struct error *err)
{
	struct maildir_box *box = look->box;
	bool again = entry->seen_at == box->listing, there;
	bool same = entry->in_new == in_new && strcmp(entry->name, name) == 0;
	struct io_stat old, other;

	entry->seen_at = box->listing;
	if (same) {
		return true;
	}
	if (again) {
		if (!stat_file(look, entry->name, entry->in_new, &there, &old, err)) {
			return false;
		}
		if (there) {
			if (!stat_file(look, name, in_new, &there, &other, err)) {
				return false;
			}
			if (there && other.inode != old.inode) {
				note_double(look, name, in_new);
			}
			return true;
		}
	}
	/* Where its flags are the same it has not changed, for those who ask by mod-sequences. */
	bool changed = read->bits != entry->bits || read->keywords != entry->keywords;

	maildir_index_rename(
		&box->index, entry, slice_of(name), in_new, changed ? look->modseq : entry->modseq, &look->lines);
	return true;
}

static bool
note_names(struct look *look, const struct maildir_dir *names, bool in_new, struct error *err)
{
	const char *name;

	for (size_t at = 0; (name = maildir_dir_next(names, &at)) != NULL;) {
		struct maildir_filename read;

		if (!maildir_filename_read(slice_of(name), &read)) {
			continue;
		}
		struct maildir_entry *entry = maildir_index_find_key(&look->box->index, read.key);

		if (entry == NULL) {
			note_arrival(look, name, in_new);
		} else if (!note_known(look, entry, &read, name, in_new, err)) {
			return false;
		}
	}
	return true;
}

/* Lists new, then cur: what is moved as mail programs do it, from new to cur, is met at least once. */
static bool
list(struct look *look, struct error *err)
{
	struct maildir_session *session = look->session;
	SCOPED(maildir_dir_finish) struct maildir_dir names = MAILDIR_DIR_INIT;
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	forget_arrivals(look);
	forget_doubles(look);
	look->box->listing++;
	return maildir_dir_read(&names, session->dir, maildir_dir_join(&path, look->box->path, "new"), err) &&
	       note_names(look, &names, true, err) &&
	       maildir_dir_read(&names, session->dir, maildir_dir_join(&path, look->box->path, "cur"), err) &&
	       note_names(look, &names, false, err);
}

/* --- what is gone --- */

static size_t
count_unseen(const struct look *look)
{
	const struct maildir_index *index = &look->box->index;
	size_t unseen = 0;

	for (size_t i = 0; i < index->count; i++) {
		unseen += index->entries[i].name != NULL && index->entries[i].seen_at < look->first;
	}
	return unseen;
}

/* Two listings between which nothing changed; false in *out where there were none in the time we have. */
static bool
list_twice(struct look *look, bool *out, struct maildir_stamp *stamp, struct error *err)
{
	struct maildir_session *session = look->session;
	int64_t begin_ms = io_now_ms(session->io);
	struct maildir_stamp after;

	for (*out = false; !*out;) {
		if (!maildir_look_stamp(session, look->box->path, stamp, err)) {
			return false;
		}
		if (is_settled(look, stamp)) {
			if (!list(look, err) || !list(look, err) ||
				!maildir_look_stamp(session, look->box->path, &after, err)) {
				return false;
			}
			*out = is_same(stamp, &after);
		}
		if (session->cancel != NULL && cancel_raised(session->cancel)) {
			return error_set(err, ERROR_CANCELLED, "looking at a Maildir was not wanted any more");
		}
		int64_t wait_ms = is_coarse(stamp->cur_ns) || is_coarse(stamp->new_ns) ? PROVE_COARSE_MS : PROVE_MS;

		if (*out || io_now_ms(session->io) - begin_ms >= wait_ms) {
			break;
		}
		io_sleep_ms(session->io, PROVE_STEP_MS);
	}
	return true;
}

static void
remove_unseen(struct look *look)
{
	struct maildir_index *index = &look->box->index;

	for (size_t i = 0; i < index->count; i++) {
		struct maildir_entry *entry = &index->entries[i];

		if (entry->name != NULL && entry->seen_at < look->first) {
			maildir_index_remove(index, entry, look->modseq, &look->lines);
		}
	}
}

/* --- what is new --- */

static int
by_time(const void *left, const void *right)
{
	const struct arrival *a = left, *b = right;

	return a->mtime_ns != b->mtime_ns ? (a->mtime_ns < b->mtime_ns ? -1 : 1) : strcmp(a->name, b->name);
}

/* Keeps of the arrivals those that are files. */
static bool
stat_arrivals(struct look *look, struct error *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < look->arrival_count; i++) {
		struct arrival *arrival = &look->arrivals[i];
		struct io_stat st = {0};
		bool is_file;

		if (!stat_file(look, arrival->name, arrival->in_new, &is_file, &st, err)) {
			return false;
		}
		if (!is_file) {
			continue;
		}
		arrival->mtime_ns = st.mtime_ns;

		struct arrival swap = look->arrivals[kept];

		look->arrivals[kept++] = *arrival;
		look->arrivals[i] = swap;
	}
	for (size_t i = kept; i < look->arrival_count; i++) {
		free(look->arrivals[i].name);
	}
	look->arrival_count = kept;
	return true;
}

static bool
add_arrivals(struct look *look, struct error *err)
{
	struct maildir_index *index = &look->box->index;

	if (!stat_arrivals(look, err)) {
		return false;
	}
	if (look->arrival_count > 0) {
		qsort(look->arrivals, look->arrival_count, sizeof(*look->arrivals), by_time);
	}
	for (size_t i = 0; i < look->arrival_count; i++) {
		const struct arrival *arrival = &look->arrivals[i];
		struct maildir_filename read;
		bool good = maildir_filename_read(slice_of(arrival->name), &read);

		assert(good);
		if (maildir_index_find_key(index, read.key) != NULL) {
			/* Twice in one listing: the next look tells whether it was renamed meanwhile. */
			look->changed_meanwhile = true;
			continue;
		}
		struct maildir_entry *entry =
			maildir_index_add(index, slice_of(arrival->name), arrival->in_new, look->modseq, &look->lines);

		if (entry == NULL) {
			return error_set(err, ERROR_ITEM, "%s/%s has no UIDs left, or too many messages",
				look->session->remote->path, look->box->path);
		}
		entry->seen_at = look->box->listing;
	}
	return true;
}

/* Two messages of one unique name cannot be told apart: the second gets a name of its own, as other programs do it too. The next look adds it. */
static void
part_double(struct look *look, const struct arrival *other)
{
	SCOPED(buf_finish) struct buf from = BUF_INIT;
	SCOPED(buf_finish) struct buf to = BUF_INIT;
	SCOPED(buf_finish) struct buf made = BUF_INIT;
	struct maildir_filename name, fresh;
	struct error err = ERROR_INIT;
	bool good = maildir_filename_read(slice_of(other->name), &name);

	assert(good);
	maildir_append_make_name(look->session, 0, 0, &made);
	good = maildir_filename_read(buf_slice(&made), &fresh);
	assert(good);
	maildir_dir_join(&from, look->box->path, other->in_new ? "new/" : "cur/");
	buf_append(&to, buf_slice(&from));
	buf_append_text(&from, other->name);
	look->changed_meanwhile = true;
	if (!maildir_filename_print_moved(&name, fresh.key, !other->in_new, name.bits, name.keywords, &to)) {
		warn_about(look, other->name, "another file has the same unique name");
	} else if (!io_rename_new(look->session->dir, from.data, to.data, &err) && err.kind != ERROR_GONE) {
		warn_about(look, other->name, err.text);
	}
}

/* --- all of it --- */

static bool
read_keywords(struct look *look, struct error *err)
{
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	maildir_dir_join(&path, look->box->path, MAILDIR_KEYWORDS_FILE);
	if (!io_read_file(look->session->dir, path.data, MAILDIR_KEYWORDS_BYTES_MAX, &text, err)) {
		if (err->kind != ERROR_GONE && err->kind != ERROR_INVALID && err->kind != ERROR_REFUSED) {
			return false;
		}
		error_clear(err); /* there is none that could be read: letters mean nothing */
	}
	maildir_keywords_read(&look->box->keywords, buf_slice(&text));
	if (!maildir_keywords_equal(&look->box->keywords, &look->box->index.keywords)) {
		maildir_index_set_keywords(&look->box->index, &look->box->keywords, look->modseq, &look->lines);
	}
	return true;
}

static bool
compare(struct look *look, struct error *err)
{
	struct maildir_box *box = look->box;
	struct maildir_stamp before, after;

	if (!maildir_look_stamp(look->session, box->path, &before, err)) {
		return false;
	}
	bool clean = is_settled(look, &before);

	if (!list(look, err)) {
		return false;
	}
	if (count_unseen(look) > 0) {
		if (!list_twice(look, &clean, &before, err)) {
			return false;
		}
		if (clean) {
			remove_unseen(look);
		}
	}
	/* Behind the listings: a letter is in the table before it is in a name. */
	if (!read_keywords(look, err) || !add_arrivals(look, err) ||
		!maildir_look_stamp(look->session, box->path, &after, err)) {
		return false;
	}
	for (size_t i = 0; i < look->double_count; i++) {
		part_double(look, &look->doubles[i]);
	}
	box->stamp = after;
	box->clean = clean && is_same(&before, &after) && !look->changed_meanwhile;
	return true;
}

bool
maildir_look(struct maildir_session *session, struct maildir_box *box, struct error *err)
{
	SCOPED(look_finish) struct look look = {.session = session, .box = box};

	assert(box->loaded);
	if (box->listing > UINT32_MAX - 1000) {
		maildir_box_doubt(box);
		return error_set(err, ERROR_RETRY, "a Maildir was listed too often"); /* it is read again */
	}
	look.modseq = box->index.modseq + 1;
	look.first = box->listing + 1;
	if (!compare(&look, err) || !maildir_box_write(session, box, buf_slice(&look.lines), err)) {
		maildir_box_doubt(box);
		return error_wrap(err, "looking at %s/%s", session->remote->path, box->path);
	}
	return true;
}
