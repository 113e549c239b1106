/* The feed: four tables, each with an index in the order of modseqs, walked side by side. */
#include "engine/store/change.h"

#include "engine/store/message_internal.h"
#include "engine/store/store_internal.h"

enum source { SOURCE_TRACE, SOURCE_MAILBOX, SOURCE_LOCAL, SOURCE_MESSAGE, SOURCE_COUNT };

/* In this order where modseqs are equal: a name that ended is told before what took its place. Each gives the modseq first. */
static const char *const source_sql[] = {
	[SOURCE_TRACE] =
		"SELECT modseq, number, mailbox, name, base_name, flags FROM trace WHERE modseq > ? ORDER BY modseq",
	[SOURCE_MAILBOX] = "SELECT modseq, id, name, expunged IS NULL FROM mailbox WHERE modseq > ? ORDER BY modseq",
	[SOURCE_LOCAL] = "SELECT modseq, id, parent_kind, parent, name, expunged IS NULL FROM local WHERE modseq > ? "
			 "ORDER BY modseq",
	[SOURCE_MESSAGE] = "SELECT m.modseq, m.number, m.mailbox, m.flags, m.expunged IS NULL, m.body IS NOT NULL, "
			   "l.name, l.base_name, l.uid, l.mtime, l.flags, l.letters "
			   "FROM message m LEFT JOIN listing l ON l.mailbox = m.mailbox AND l.uid = m.uid "
			   "WHERE m.modseq > ? ORDER BY m.modseq",
};
_Static_assert(ARRAY_LENGTH(source_sql) == SOURCE_COUNT, "every source has its statement");

struct feed {
	struct db_statement *rows[SOURCE_COUNT];
	uint64_t modseqs[SOURCE_COUNT]; /* of the row that each stands on; UINT64_MAX at the end */
	struct buf maildir;             /* of the change that is told */
};

static void
feed_finish(struct feed *feed)
{
	for (int source = 0; source < SOURCE_COUNT; source++) {
		db_end(&feed->rows[source]);
	}
	buf_finish(&feed->maildir);
}

static bool
advance(struct feed *feed, enum source source, struct error *err)
{
	enum db_row row = db_step(feed->rows[source], err);

	feed->modseqs[source] = row == DB_ROW ? db_u64(feed->rows[source], 0) : UINT64_MAX;
	return row != DB_FAILED;
}

static bool
feed_begin(struct store_txn *txn, struct modseq since, struct feed *feed, struct error *err)
{
	for (int source = 0; source < SOURCE_COUNT; source++) {
		if (!store_prepare(txn, source_sql[source], &feed->rows[source], err)) {
			return false;
		}
		db_bind_u64(feed->rows[source], 1, since.value);
		if (!advance(feed, (enum source)source, err)) {
			return false;
		}
	}
	return true;
}

static enum source
first_of(const struct feed *feed)
{
	int first = 0;

	for (int source = 1; source < SOURCE_COUNT; source++) {
		if (feed->modseqs[source] < feed->modseqs[first]) {
			first = source;
		}
	}
	return (enum source)first;
}

/* The name in the Maildir view of a message's row, which has its listing beside it. */
static struct slice
print_maildir(struct feed *feed, const struct db_statement *row)
{
	struct listing listing = {
		.number = {db_u64(row, 1)},
		.base_name = db_text(row, 7),
		.mtime_s = db_i64(row, 9),
		.flags = db_u32(row, 10),
	};

	buf_clear(&feed->maildir);
	if (db_is_null(row, 8)) {
		return slice_of(NULL);
	}
	listing_read_letters(&listing, db_text(row, 11));
	listing_print_maildir(&listing, &feed->maildir);
	return buf_slice(&feed->maildir);
}

static struct change
read_change(struct feed *feed, enum source source)
{
	const struct db_statement *row = feed->rows[source];
	struct change change = {.modseq = {feed->modseqs[source]}};

	switch (source) {
	case SOURCE_TRACE:
		change.number = (struct number){db_u64(row, 1)};
		change.kind = change.number.value != 0 ? CHANGE_NAME_ENDED : CHANGE_MAILBOX_ENDED;
		change.mailbox = (struct mailbox_id){db_u32(row, 2)};
		change.name = db_text(row, 3);
		change.maildir = db_text(row, 4);
		change.flags = db_u32(row, 5);
		break;
	case SOURCE_MAILBOX:
		change.kind = CHANGE_MAILBOX;
		change.mailbox = (struct mailbox_id){db_u32(row, 1)};
		change.name = db_text(row, 2);
		change.live = db_bool(row, 3);
		break;
	case SOURCE_LOCAL:
		change.kind = CHANGE_LOCAL;
		change.number = (struct number){db_u64(row, 1)};
		change.parent_kind = (int)db_i64(row, 2);
		change.parent = db_u64(row, 3);
		change.name = db_blob(row, 4);
		change.live = db_bool(row, 5);
		break;
	case SOURCE_MESSAGE:
		change.kind = CHANGE_MESSAGE;
		change.number = (struct number){db_u64(row, 1)};
		change.mailbox = (struct mailbox_id){db_u32(row, 2)};
		change.flags = db_u32(row, 3);
		change.live = db_bool(row, 4);
		change.here = db_bool(row, 5);
		change.name = db_text(row, 6);
		change.maildir = print_maildir(feed, row);
		break;
	case SOURCE_COUNT:
		assert(false);
	}
	return change;
}

/* One change may be several rows with one modseq; a reader goes on from a modseq, so they are never parted. */
static bool
tell(struct feed *feed, size_t limit, bool (*each)(void *context, const struct change *change), void *context,
	uint64_t *until, bool *out_all, struct error *err)
{
	bool wanted = true;

	for (size_t told = 0;; told++) {
		enum source source = first_of(feed);
		uint64_t modseq = feed->modseqs[source];

		*out_all = modseq == UINT64_MAX;
		if (*out_all || ((told >= limit || !wanted) && modseq != *until)) {
			return true;
		}
		struct change change = read_change(feed, source);

		wanted = each(context, &change) && wanted;
		*until = modseq;
		if (!advance(feed, source, err)) {
			return false;
		}
	}
}

bool
change_each(struct store_txn *txn, struct modseq since, size_t limit,
	bool (*each)(void *context, const struct change *change), void *context, struct modseq *out_until,
	struct error *err)
{
	SCOPED(feed_finish) struct feed feed = {0};
	uint64_t purged, until = since.value;
	bool all;

	if (!store_meta_get_u64(txn, "purged", &purged, err)) {
		return false;
	}
	uint64_t lost = store_lost_modseq(store_of(txn));

	if (since.value < purged || since.value < lost) {
		struct change reset = {.kind = CHANGE_RESET, .modseq = store_modseq(txn)};

		if (reset.modseq.value < lost) {
			reset.modseq.value = lost;
		}
		*out_until = reset.modseq;
		(void)each(context, &reset);
		return true;
	}
	if (!feed_begin(txn, since, &feed, err) || !tell(&feed, limit, each, context, &until, &all, err)) {
		return false;
	}
	/* What has no row of its own (a counter that was skipped) is told by telling everything. */
	*out_until = all && store_modseq(txn).value > until ? store_modseq(txn) : (struct modseq){until};
	return true;
}
