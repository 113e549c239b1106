/* Flags, moves and removals; copies are made as uploads are (maildir_append). */
#include "engine/remote/maildir/maildir_effects.h"

#include <assert.h>

#include "engine/remote/maildir/maildir_append.h"
#include "engine/remote/maildir/maildir_dir.h"
#include "engine/remote/maildir/maildir_filename.h"
#include "engine/remote/maildir/maildir_work.h"

/* --- flags --- */

/* Whether the name that was asked for was not there, or the one to be made was. */
static bool
was_overtaken(const struct error *err)
{
	return err->kind == ERROR_GONE || err->kind == ERROR_EXISTS;
}

/* Gives a message's file the name that says these flags. */
static bool
rename_once(struct maildir_work *work, struct maildir_entry *entry, uint32_t bits, uint32_t letters, struct error *err)
{
	SCOPED(buf_finish) struct buf from = BUF_INIT;
	SCOPED(buf_finish) struct buf to = BUF_INIT;
	SCOPED(buf_finish) struct buf path = BUF_INIT;
	struct maildir_filename name;
	bool good = maildir_filename_read(slice_of(entry->name), &name);

	assert(good);
	if (bits == entry->bits && letters == entry->keywords) {
		return true;
	}
	if (!maildir_filename_print(&name, bits, letters, &to)) {
		return error_set(err, ERROR_ITEM, "the name of its file would be too long");
	}
	maildir_dir_join(&path, work->box->path, "cur/");
	buf_append(&path, buf_slice(&to));
	if (!io_rename_new(work->session->dir, maildir_box_file(work->box, entry, &from), path.data, err)) {
		return false;
	}
	work->cur = true;
	work->new |= entry->in_new;
	maildir_index_rename(&work->box->index, entry, buf_slice(&to), false, maildir_work_modseq(work), &work->lines);
	return true;
}

static bool
store_one(struct maildir_work *work, uint32_t uid, const struct remote_store *group, struct error *err)
{
	for (int tries = 0;; tries++) {
		uint32_t add, remove;

		if (!maildir_work_letters(work, &group->add, &add, err)) {
			return false;
		}
		remove = maildir_keywords_all_letters(&work->box->index.keywords, &group->remove);

		struct maildir_entry *entry = maildir_index_find(&work->box->index, uid);

		if (entry == NULL || rename_once(work, entry, (entry->bits & ~group->remove.bits) | group->add.bits,
					     (entry->keywords & ~remove) | add, err)) {
			return true;
		}
		if (!was_overtaken(err) || tries == MAILDIR_WORK_TRIES) {
			maildir_work_refusal(err);
			return false;
		}
		error_clear(err);
		if (!maildir_work_look(work, err)) {
			return false;
		}
	}
}

static bool
is_final(const struct error *err)
{
	return err->kind == ERROR_RETRY || err->kind == ERROR_CANCELLED || err->kind == ERROR_UNREACHABLE;
}

static bool
store_group(struct maildir_work *work, struct remote_store *group, struct error *err)
{
	group->outcome = REMOTE_DONE;
	for (uint32_t uid = 0; uidset_next(&group->uids, &uid);) {
		if (store_one(work, uid, group, err)) {
			continue;
		}
		if (is_final(err)) {
			group->outcome = REMOTE_UNKNOWN;
			return false;
		}
		/* One of them cannot be changed: the rest may. */
		group->outcome = REMOTE_REFUSED;
		group->error = *err;
		error_clear(err);
	}
	return true;
}

static bool
report(struct maildir_box *box, const struct remote_store *groups, size_t count,
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err),
	void *context, struct error *err)
{
	for (size_t i = 0; each != NULL && i < count; i++) {
		for (uint32_t uid = 0; uidset_next(&groups[i].uids, &uid);) {
			const struct maildir_entry *entry = maildir_index_find(&box->index, uid);

			if (entry == NULL) {
				continue;
			}
			struct flags flags = maildir_box_flags(box, entry);
			bool ok = each(context, uid, &flags, entry->modseq, err);

			flags_finish(&flags);
			if (!ok) {
				return false;
			}
		}
	}
	return true;
}

bool
maildir_effects_store(struct maildir_session *session, const struct remote_target *target, struct remote_store *groups,
	size_t count,
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err),
	void *context, struct error *err)
{
	struct maildir_work work;
	bool ok = true;

	for (size_t i = 0; i < count; i++) {
		groups[i].outcome = REMOTE_NOT_SENT;
	}
	if (!maildir_work_begin(&work, session, target, err)) {
		return false;
	}
	for (size_t i = 0; ok && i < count; i++) {
		ok = store_group(&work, &groups[i], err);
	}
	if (ok && !maildir_work_commit(&work, err)) {
		ok = false;
		for (size_t i = 0; i < count; i++) {
			groups[i].outcome = REMOTE_UNKNOWN;
		}
	}
	maildir_work_end(&work);
	return ok && report(work.box, groups, count, each, context, err);
}

/* --- expunge --- */

/* Removes the file by the name that the last look saw. Where it is not there the next look tells whether it has another. */
static bool
unlink_one(struct maildir_work *work, const struct maildir_entry *entry, struct error *err)
{
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	if (!io_unlink(work->session->dir, maildir_box_file(work->box, entry, &path), err)) {
		return false;
	}
	work->new |= entry->in_new;
	work->cur |= !entry->in_new;
	return true;
}

static bool
unlink_all(struct maildir_work *work, const struct uidset *uids, bool *out_any, struct error *err)
{
	*out_any = false;
	for (uint32_t uid = 0; uidset_next(uids, &uid);) {
		const struct maildir_entry *entry = maildir_index_find(&work->box->index, uid);

		if (entry == NULL) {
			continue;
		}
		*out_any = true;
		if (!unlink_one(work, entry, err)) {
			return false;
		}
	}
	return true;
}

/* Removes until a look does not show them any more: another program may rename one meanwhile. A look that could not prove it (the Maildir never
 * rests) leaves them to the next; their files were removed. */
bool
maildir_effects_expunge(struct maildir_session *session, const struct remote_target *target, const struct uidset *uids,
	enum remote_outcome *out_outcome, struct error *err)
{
	struct maildir_work work;
	bool any = true, ok = true;

	*out_outcome = REMOTE_NOT_SENT;
	if (!maildir_work_begin(&work, session, target, err)) {
		return false;
	}
	for (int tries = 0; ok && any && tries < MAILDIR_WORK_TRIES; tries++) {
		*out_outcome = REMOTE_UNKNOWN;
		ok = unlink_all(&work, uids, &any, err) && (!any || maildir_work_look(&work, err));
	}
	ok = ok && maildir_work_commit(&work, err);
	maildir_work_end(&work);
	if (ok) {
		*out_outcome = REMOTE_DONE;
	} else if (!is_final(err)) {
		*out_outcome = REMOTE_REFUSED;
		maildir_work_refusal(err);
		return true;
	}
	return ok;
}

/* --- copy and move --- */

struct transfer {
	struct maildir_work from, to;
	bool move;
};

/* The name that a message gets in the other Maildir, by its letters there. */
static bool
name_there(struct transfer *transfer, const struct maildir_entry *entry, struct buf *out, bool *out_in_new,
	struct error *err)
{
	struct maildir_work *to = &transfer->to;
	struct flags flags = maildir_box_flags(transfer->from.box, entry);
	SCOPED(buf_finish) struct buf made = BUF_INIT;
	struct maildir_filename name, other = {0};
	uint32_t letters = 0;
	bool good = maildir_filename_read(slice_of(entry->name), &name);
	bool ok = maildir_work_letters(to, &flags, &letters, err);

	assert(good);
	flags_finish(&flags);
	if (!ok) {
		return false;
	}
	if (maildir_index_find_key(&to->box->index, name.key) != NULL) {
		maildir_append_make_name(to->session, 0, 0, &made);
		good = maildir_filename_read(buf_slice(&made), &other);
		assert(good);
	}
	*out_in_new = entry->in_new && entry->bits == 0 && letters == 0;
	return maildir_filename_print_moved(&name, other.key, !*out_in_new, entry->bits, letters, out) ||
	       error_set(err, ERROR_ITEM, "the name of its file would be too long");
}

static bool
move_file(struct transfer *transfer, struct maildir_entry *entry, struct slice name, bool in_new, struct error *err)
{
	struct maildir_work *from = &transfer->from, *to = &transfer->to;
	SCOPED(buf_finish) struct buf source = BUF_INIT;
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	maildir_dir_join(&path, to->box->path, in_new ? "new/" : "cur/");
	buf_append(&path, name);
	if (!io_rename_new(from->session->dir, maildir_box_file(from->box, entry, &source), path.data, err)) {
		return false;
	}
	from->new |= entry->in_new;
	from->cur |= !entry->in_new;
	maildir_index_remove(&from->box->index, entry, maildir_work_modseq(from), &from->lines);
	return true;
}

static bool
transfer_once(struct transfer *transfer, struct maildir_entry *entry, struct remote_copy *item, struct error *err)
{
	struct maildir_work *to = &transfer->to;
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	struct guid guid = maildir_box_guid(entry);
	bool in_new;

	if (!name_there(transfer, entry, &name, &in_new, err)) {
		return false;
	}
	if (transfer->move ? !move_file(transfer, entry, buf_slice(&name), in_new, err)
			   : !maildir_append_copy(&transfer->from, entry, to, buf_slice(&name), in_new, err)) {
		return false;
	}
	to->new |= in_new;
	to->cur |= !in_new;

	struct maildir_entry *added =
		maildir_index_add(&to->box->index, buf_slice(&name), in_new, maildir_work_modseq(to), &to->lines);

	if (added == NULL) {
		return error_set(err, ERROR_ITEM, "the Maildir has no UIDs left");
	}
	struct guid got = maildir_box_guid(added);

	if (!guid_equal(&got, &guid)) {
		maildir_index_set_guid(&to->box->index, added, slice_make(guid.value, guid.length), &to->lines);
	}
	item->target = (struct remote_uid){.uidvalidity = to->box->index.uidvalidity, .uid = added->uid};
	return true;
}

static bool
transfer_one(struct transfer *transfer, struct remote_copy *item, struct error *err)
{
	for (int tries = 0;; tries++) {
		struct maildir_entry *entry = maildir_index_find(&transfer->from.box->index, item->uid);

		if (entry == NULL) {
			item->outcome = REMOTE_REFUSED;
			item->refusal = ERROR_GONE;
			return true;
		}
		if (transfer_once(transfer, entry, item, err)) {
			item->outcome = REMOTE_DONE;
			return true;
		}
		if (is_final(err)) {
			item->outcome = REMOTE_UNKNOWN;
			return false;
		}
		if (!was_overtaken(err) || tries == MAILDIR_WORK_TRIES) {
			maildir_work_refusal(err);
			item->outcome = REMOTE_REFUSED;
			item->refusal = err->kind;
			if (item->why != NULL) {
				*item->why = *err;
			}
			error_clear(err);
			return true;
		}
		error_clear(err);
		/* The target first: it may be the same Maildir, and its lines are to be written before a look adds others. */
		if (!maildir_work_look(&transfer->to, err) || !maildir_work_look(&transfer->from, err)) {
			item->outcome = REMOTE_UNKNOWN;
			return false;
		}
	}
}

static void
set_outcomes(struct remote_copy *items, size_t count, enum remote_outcome outcome, enum error_kind refusal)
{
	for (size_t i = 0; i < count; i++) {
		items[i].outcome = outcome;
		items[i].refusal = refusal;
		items[i].target = (struct remote_uid){0};
	}
}

bool
maildir_effects_copy(struct maildir_session *session, const struct remote_target *from, const struct remote_target *to,
	bool move, struct remote_copy *items, size_t count, struct error *err)
{
	struct transfer transfer = {.move = move};
	bool target_failed, ok = true;

	set_outcomes(items, count, REMOTE_NOT_SENT, ERROR_NONE);
	if (!maildir_work_begin_two(&transfer.from, &transfer.to, session, from, to, &target_failed, err)) {
		if (!target_failed || err->kind != ERROR_GONE) {
			return false;
		}
		error_clear(err);
		set_outcomes(items, count, REMOTE_REFUSED, ERROR_GONE);
		return true;
	}
	if (transfer.from.box == transfer.to.box && move) {
		set_outcomes(items, count, REMOTE_REFUSED, ERROR_ITEM);
		count = 0;
	}

	for (size_t i = 0; ok && i < count; i++) {
		ok = transfer_one(&transfer, &items[i], err);
	}
	/* First the target: what is in neither index is found by a look. */
	ok = maildir_work_commit(&transfer.to, ok ? err : &(struct error){0}) && ok;
	ok = maildir_work_commit(&transfer.from, ok ? err : &(struct error){0}) && ok;
	if (!ok) {
		for (size_t i = 0; i < count; i++) {
			items[i].outcome = items[i].outcome == REMOTE_DONE ? REMOTE_UNKNOWN : items[i].outcome;
		}
	}
	maildir_work_end(&transfer.to);
	maildir_work_end(&transfer.from);
	return ok;
}
