#include "engine/remote/maildir/maildir_scan.h"

#include <assert.h>

#include "engine/base/log.h"
#include "engine/remote/maildir/maildir_box.h"
#include "engine/remote/maildir/maildir_filename.h"
#include "engine/remote/maildir/maildir_message.h"

struct scan {
	struct maildir_session *session;
	const struct remote_scan_request *request;
	size_t index;
	const struct remote_scan_sink *sink;
	struct maildir_box *box;
	struct remote_selected selected;
	bool sink_failed; /* the error is the sink's: the call ends with it */
};

/* --- a message, told --- */

struct asked {
	bool header;
	bool body;
	uint64_t body_size_max;
};

struct telling {
	struct remote_message message;
	struct buf header;
	bool found;
};

static void
telling_finish(struct telling *telling)
{
	flags_finish(&telling->message.flags);
	spool_close(&telling->message.body);
	buf_finish(&telling->header);
}

static bool
add_to_spool(void *context, struct slice wire, struct error *err)
{
	return spool_append(context, wire, err);
}

static bool
read_content(struct maildir_session *session, int fd, const struct asked *asked, uint64_t size, struct telling *telling,
	struct error *err)
{
	struct remote_message *message = &telling->message;

	if (asked->body && size <= asked->body_size_max) {
		message->body = spool_create(session->remote->spool_dir);
		spool_expect(message->body, message->size_bytes > 0 ? message->size_bytes : size + size / 32);
		if (!maildir_message_read(session, fd, add_to_spool, message->body, err)) {
			return false;
		}
		message->size_bytes = spool_size(message->body);
		return true;
	}
	if (asked->header || asked->body) {
		if (!maildir_message_header(session, fd, &telling->header, err)) {
			return false;
		}
		message->header = buf_slice(&telling->header);
	}
	return message->size_bytes > 0 || maildir_message_measure(session, fd, &message->size_bytes, err);
}

/* Reads what is asked of one message; telling.found stays false where it is gone or may not be read. */
static bool
tell(struct maildir_session *session, struct maildir_box *box, uint32_t uid, const struct asked *asked,
	struct telling *telling, struct error *err)
{
	struct maildir_filename name;
	uint64_t size;
	int fd;

	if (!maildir_message_open(session, box, uid, &fd, &telling->message.internaldate_s, &size, err)) {
		return false;
	}
	/* As the index has it now: it may have been looked at again. */
	const struct maildir_entry *entry = maildir_index_find(&box->index, uid);

	if (fd < 0 || entry == NULL) {
		io_close(session->io, &fd);
		return true;
	}
	bool good = maildir_filename_read(slice_of(entry->name), &name);

	assert(good);
	telling->message.uid = uid;
	telling->message.flags = maildir_box_flags(box, entry);
	telling->message.modseq = entry->modseq;
	telling->message.guid = maildir_box_guid(entry);
	telling->message.size_bytes = name.has_wire_size ? name.wire_size : 0;
	telling->found = read_content(session, fd, asked, size, telling, err);
	io_close(session->io, &fd);
	return telling->found;
}

/* --- scans --- */

static bool
end_scan(struct scan *scan, enum remote_scan_state state, const char *reason, const struct error *failure,
	struct error *err)
{
	bool selected = state == REMOTE_SCAN_OK || state == REMOTE_SCAN_REBUILT;

	return scan->sink->end(
		scan->sink->context, scan->index, state, selected ? &scan->selected : NULL, reason, failure, err);
}

/* Whether the base's newest message, or its last changed one, is another one now. */
static const char *
not_the_same(const struct scan *scan)
{
	const struct remote_newest *newest = &scan->request->newest;
	const struct maildir_entry *entry =
		newest->uid != 0 ? maildir_index_find(&scan->box->index, newest->uid) : NULL;

	if (entry != NULL && newest->guid.kind == GUID_MAILDIR) {
		struct guid guid = maildir_box_guid(entry);

		if (!guid_equal(&guid, &newest->guid)) {
			return "the newest message is another one";
		}
	}
	entry = newest->changed_uid != 0 ? maildir_index_find(&scan->box->index, newest->changed_uid) : NULL;
	if (entry != NULL && entry->modseq < newest->changed_modseq) {
		return "the MODSEQ of a message went back";
	}
	return NULL;
}

/* R7. NULL: it is the mailbox of the base. */
static const char *
rebuilt_because(const struct scan *scan)
{
	const struct remote_scan_request *request = scan->request;

	if (request->uidvalidity == 0) {
		return NULL;
	}
	if (request->uidvalidity != scan->selected.uidvalidity) {
		return "UIDVALIDITY changed";
	}
	if (request->id.kind == GUID_MAILBOXID && !guid_equal(&request->id, &scan->selected.id)) {
		return "another mailbox has this name";
	}
	if (scan->selected.uidnext < request->uidnext) {
		return "UIDNEXT went back";
	}
	if (scan->selected.highestmodseq < request->highestmodseq) {
		return "HIGHESTMODSEQ went back";
	}
	return not_the_same(scan);
}

static bool
is_known(const struct scan *scan, uint32_t uid)
{
	return scan->request->uidvalidity != 0 && scan->request->known != NULL &&
	       uidset_contains(scan->request->known, uid);
}

static bool
tell_flags(struct scan *scan, struct error *err)
{
	const struct maildir_index *index = &scan->box->index;

	for (size_t i = 0; i < index->count; i++) {
		const struct maildir_entry *entry = &index->entries[i];

		if (entry->name == NULL || (!scan->request->full && entry->modseq <= scan->request->highestmodseq) ||
			!is_known(scan, entry->uid)) {
			continue;
		}
		struct flags flags = maildir_box_flags(scan->box, entry);
		bool ok = scan->sink->flags(scan->sink->context, scan->index, entry->uid, &flags, entry->modseq, err);

		flags_finish(&flags);
		if (!ok) {
			scan->sink_failed = true;
			return false;
		}
	}
	return true;
}

static bool
tell_message(struct scan *scan, uint32_t uid, struct error *err)
{
	const struct asked asked = {
		.header = true, .body = scan->request->bodies, .body_size_max = scan->request->body_size_max};
	SCOPED(telling_finish) struct telling telling = {.found = false};

	if (!tell(scan->session, scan->box, uid, &asked, &telling, err)) {
		return false;
	}
	if (!telling.found) {
		return true;
	}
	scan->sink_failed = !scan->sink->message(scan->sink->context, scan->index, &telling.message, err);
	return !scan->sink_failed;
}

/* Which messages are not known, and which of those known are in the index no more. */
static void
compare(const struct scan *scan, struct uidset *unknown, struct uidset *gone)
{
	const struct maildir_index *index = &scan->box->index;

	for (size_t i = 0; i < index->count; i++) {
		if (index->entries[i].name != NULL && !is_known(scan, index->entries[i].uid)) {
			uidset_add(unknown, index->entries[i].uid, index->entries[i].uid);
		}
	}
	if (scan->request->uidvalidity == 0 || scan->request->known == NULL) {
		return;
	}
	for (uint32_t uid = 0; uidset_next(scan->request->known, &uid);) {
		if (maildir_index_find(index, uid) == NULL) {
			uidset_add(gone, uid, uid);
		}
	}
}

static bool
tell_changes(struct scan *scan, struct error *err)
{
	SCOPED(uidset_finish) struct uidset unknown = UIDSET_INIT;
	SCOPED(uidset_finish) struct uidset gone = UIDSET_INIT;

	compare(scan, &unknown, &gone);
	if (!tell_flags(scan, err)) {
		return false;
	}
	for (uint32_t uid = 0; uidset_next(&unknown, &uid);) {
		if (scan->session->cancel != NULL && cancel_raised(scan->session->cancel)) {
			return error_set(err, ERROR_CANCELLED, "the scan was not wanted any more");
		}
		if (!tell_message(scan, uid, err)) {
			return false;
		}
	}
	if (gone.count > 0 && !scan->sink->gone(scan->sink->context, scan->index, &gone, err)) {
		scan->sink_failed = true;
		return false;
	}
	return true;
}

/* What is told is as of the look that begins it; what changes while messages are read has a higher mod-sequence, and is told by the next. */
static bool
scan_one(struct scan *scan, struct error *err)
{
	const char *rebuilt;

	if (!maildir_box_open(scan->session, scan->request->raw_name, &scan->box, err) ||
		!maildir_box_refresh(scan->session, scan->box, err)) {
		return false;
	}
	maildir_box_tell(scan->box, &scan->selected);
	rebuilt = rebuilt_because(scan);
	if (rebuilt != NULL) {
		log_info("maildir", "path=%s/%s event=rebuilt reason=%s", scan->session->remote->path, scan->box->path,
			rebuilt);
		scan->sink_failed = !end_scan(scan, REMOTE_SCAN_REBUILT, rebuilt, NULL, err);
		return !scan->sink_failed;
	}
	if (!scan->sink->selected(scan->sink->context, scan->index, &scan->selected, err)) {
		scan->sink_failed = true;
		return false;
	}
	if (!tell_changes(scan, err)) {
		return false;
	}
	scan->sink_failed = !end_scan(scan, REMOTE_SCAN_OK, NULL, NULL, err);
	return !scan->sink_failed;
}

/* A scan that failed for itself: the others go on. */
static bool
scan_failed(struct scan *scan, struct error *err)
{
	struct error why = *err;

	if (scan->sink_failed || why.kind == ERROR_RETRY || why.kind == ERROR_CANCELLED) {
		return false;
	}
	error_clear(err);
	if (why.kind == ERROR_GONE && scan->box == NULL) {
		return end_scan(scan, REMOTE_SCAN_GONE, "there is no such Maildir", NULL, err);
	}
	return end_scan(scan, REMOTE_SCAN_FAILED, why.text, &why, err);
}

bool
maildir_scan_mailboxes(struct maildir_session *session, const struct remote_scan_request *requests, size_t count,
	const struct remote_scan_sink *sink, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct scan scan = {.session = session, .request = &requests[i], .index = i, .sink = sink};
		bool ok = scan_one(&scan, err) || scan_failed(&scan, err);

		flags_finish(&scan.selected.permanent);
		if (!ok) {
			return false;
		}
	}
	return true;
}

/* --- single messages --- */

bool
maildir_scan_identify(struct maildir_session *session, const struct remote_target *target, const struct uidset *uids,
	bool headers, bool (*each)(void *context, struct remote_message *message, struct error *err), void *context,
	struct remote_selected *out_selected, struct error *err)
{
	const struct asked asked = {.header = headers};
	struct maildir_box *box;

	if (!maildir_box_select(session, target, &box, err)) {
		return false;
	}
	for (uint32_t uid = 0; uidset_next(uids, &uid);) {
		SCOPED(telling_finish) struct telling telling = {.found = false};

		if (!tell(session, box, uid, &asked, &telling, err) ||
			(telling.found && !each(context, &telling.message, err))) {
			return false;
		}
	}
	if (out_selected != NULL) {
		maildir_box_tell(box, out_selected);
	}
	return true;
}

/* --- bodies --- */

struct fetch {
	const struct remote_body_sink *sink;
	uint32_t uid;
};

static bool
give_data(void *context, struct slice wire, struct error *err)
{
	const struct fetch *fetch = context;

	return fetch->sink->data(fetch->sink->context, fetch->uid, wire, err);
}

static bool
fetch_one(struct maildir_session *session, struct maildir_box *box, uint32_t uid, const struct remote_body_sink *sink,
	struct error *err)
{
	struct fetch fetch = {.sink = sink, .uid = uid};
	int64_t mtime_s;
	uint64_t size;
	int fd;

	if (!maildir_message_open(session, box, uid, &fd, &mtime_s, &size, err)) {
		return false;
	}
	if (fd < 0) {
		return sink->end(sink->context, uid, false, err);
	}
	bool ok =
		sink->begin(sink->context, uid, size, err) && maildir_message_read(session, fd, give_data, &fetch, err);

	io_close(session->io, &fd);
	return ok && sink->end(sink->context, uid, true, err);
}

bool
maildir_scan_fetch(struct maildir_session *session, const struct remote_target *target, const struct uidset *uids,
	const struct remote_body_sink *sink, struct error *err)
{
	struct maildir_box *box;

	if (!maildir_box_select(session, target, &box, err)) {
		return false;
	}
	for (uint32_t uid = 0; uidset_next(uids, &uid);) {
		if (session->cancel != NULL && cancel_raised(session->cancel)) {
			return error_set(err, ERROR_CANCELLED, "the bodies were not wanted any more");
		}
		if (!fetch_one(session, box, uid, sink, err)) {
			return false;
		}
	}
	return true;
}
