#include "engine/status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/json.h"
#include "engine/edit.h"
#include "engine/mail/safe_text.h"
#include "engine/store/base.h"
#include "engine/store/intent.h"
#include "engine/store/local.h"
#include "engine/store/mailbox.h"
#include "engine/store/message.h"

#define LINES_MAX   1000   /* of one kind, in the text and in JSON */
#define MISSING_MAX 100000 /* counted no further */

/* What is told, in the one form or the other. */
struct report {
	struct account *account;
	struct store_txn *txn;
	struct buf *out;
	struct json json;
	bool as_json;
	size_t lines; /* of the list that is written */
	uint64_t mailboxes, messages, missing;
};

static void
append_time(struct buf *out, int64_t time_s)
{
	time_t time = (time_t)time_s;
	struct tm parts;
	char text[40];

	if (gmtime_r(&time, &parts) != NULL && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts) > 0) {
		buf_append_text(out, text);
	} else {
		buf_printf(out, "%" PRId64, time_s);
	}
}

static void
append_count(struct buf *out, uint64_t count, const char *one, const char *many)
{
	buf_printf(out, "%" PRIu64 " %s", count, count == 1 ? one : many);
}

/* Text from outside, fit for a terminal. */
static void
append_safe(struct buf *out, const char *text)
{
	safe_text_line(slice_of(text), 1000, out);
}

/* Begins a list, or the next line of it; false when there are too many. */
static bool
next_line(struct report *report, const char *heading)
{
	if (report->lines == LINES_MAX) {
		if (!report->as_json) {
			buf_append_text(report->out, "    …\n");
		}
		report->lines++;
	}
	if (report->lines > LINES_MAX) {
		return false;
	}
	if (report->lines == 0 && !report->as_json) {
		buf_printf(report->out, "  %s:\n", heading);
	}
	report->lines++;
	return true;
}

static void
begin_list(struct report *report, const char *key)
{
	report->lines = 0;
	if (report->as_json) {
		json_key(&report->json, key);
		json_array(&report->json);
	}
}

static void
end_list(struct report *report)
{
	if (report->as_json) {
		json_end(&report->json);
	}
}

/* --- the head --- */

static void
tell_condition(struct report *report)
{
	struct account_progress progress = account_progress_get(report->account);
	bool here;
	struct account_condition condition = status_condition(report->account, &here);
	struct buf *out = report->out;

	if (report->as_json) {
		json_key_text(&report->json, "account", account_name(report->account));
		json_key_text(&report->json, "state", account_state_name(condition.state));
		json_key_u64(&report->json, "since", (uint64_t)condition.since_s);
		json_key(&report->json, "next_try");
		if (condition.next_try_s != 0) {
			json_i64(&report->json, condition.next_try_s);
		} else {
			json_null(&report->json);
		}
		json_key_text(&report->json, "reason", condition.reason[0] != '\0' ? condition.reason : NULL);
		json_key_bool(&report->json, "driven_here", here);
		json_key_text(&report->json, "phase", progress.phase[0] != '\0' ? progress.phase : NULL);
		json_key_u64(&report->json, "phase_done", progress.done);
		json_key_u64(&report->json, "phase_total", progress.total);
		return;
	}
	buf_printf(out, "%s: %s since ", account_name(report->account), account_state_name(condition.state));
	append_time(out, condition.since_s);
	if (condition.next_try_s != 0) {
		buf_append_text(out, ", next try at ");
		append_time(out, condition.next_try_s);
	}
	if (progress.phase[0] != '\0') {
		buf_printf(out, " (%s, %" PRIu64 " of %" PRIu64 ")", progress.phase, progress.done, progress.total);
	}
	buf_append_octet(out, '\n');
	if (condition.reason[0] != '\0') {
		buf_printf(out, "  %s\n", condition.reason);
	}
}

static bool
count_mailbox(void *context, const struct mailbox *row, struct error *err)
{
	struct report *report = context;

	report->mailboxes++;
	report->messages += row->messages;
	return true;
}

static bool
count_missing(void *context, struct number number, struct mailbox_id mailbox)
{
	((struct report *)context)->missing++;
	return true;
}

static bool
tell_figures(struct report *report, struct error *err)
{
	const struct config_account *config = account_config(report->account);
	SCOPED(buf_finish) struct buf ignored = BUF_INIT;
	uint64_t queued, held;

	if (!mailbox_each(report->txn, false, count_mailbox, report, err) ||
		!message_each_missing(
			report->txn, (struct mailbox_id){0}, INT64_MIN, MISSING_MAX, count_missing, report, err) ||
		!sync_queued(report->txn, &queued, err) || !sync_held(report->txn, false, &ignored, &held, err)) {
		return false;
	}
	if (report->as_json) {
		json_key_text(&report->json, "server", config->server);
		json_key_text(&report->json, "user", config->user);
		json_key_text(&report->json, "store", config->store);
		json_key_u64(&report->json, "messages", report->messages);
		json_key_u64(&report->json, "not_here", report->missing);
		json_key_u64(&report->json, "queued", queued);
		json_key_u64(&report->json, "held", held);
		return true;
	}
	buf_append_text(report->out, "  ");
	append_count(report->out, report->messages, "message", "messages");
	buf_append_text(report->out, " in ");
	append_count(report->out, report->mailboxes, "mailbox", "mailboxes");
	buf_printf(report->out, ", %" PRIu64 "%s not here yet, ", report->missing,
		report->missing == MISSING_MAX ? " or more" : "");
	append_count(report->out, queued, "change queued\n", "changes queued\n");
	if (held > 0) {
		buf_printf(
			report->out, "  %" PRIu64 " held: see `mailfs held %s`\n", held, account_name(report->account));
	}
	return true;
}

/* --- the lists --- */

static void
mailbox_name(struct report *report, struct mailbox_id id, struct buf *out)
{
	struct error ignored = ERROR_INIT;
	struct mailbox row;

	if (id.value == 0 || !mailbox_load(report->txn, id, &row, &ignored)) {
		return;
	}
	append_safe(out, row.name);
	mailbox_finish(&row);
}

/* "Mailbox/name", or the mailbox alone. */
static void
message_path(struct report *report, const struct aside *aside, struct buf *out)
{
	struct error ignored = ERROR_INIT;
	struct listing row;

	mailbox_name(report, aside->mailbox, out);
	if (aside->number.value != 0 && listing_load(report->txn, aside->number, &row, &ignored)) {
		buf_append_octet(out, '/');
		safe_text_line(row.name, 1000, out);
		listing_finish(&row);
	}
}

static bool
tell_aside(void *context, const struct aside *aside, struct error *err)
{
	struct report *report = context;
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	if (!next_line(report, "set aside, to be tried again")) {
		return true;
	}
	message_path(report, aside, &path);
	if (report->as_json) {
		json_object(&report->json);
		json_key_slice(&report->json, "path", buf_slice(&path));
		json_key_text(&report->json, "direction", aside->direction == SIDE_REMOTE ? "there" : "here");
		json_key_text(&report->json, "reason", aside->reason);
		json_key_u64(&report->json, "tries", aside->tries);
		json_key_u64(&report->json, "next_try", (uint64_t)aside->next_try_s);
		json_end(&report->json);
		return true;
	}
	buf_append_text(report->out, "    ");
	buf_append(report->out, buf_slice(&path));
	buf_append_text(report->out, aside->direction == SIDE_REMOTE ? " (to the server): " : " (from the server): ");
	append_safe(report->out, aside->reason);
	buf_printf(report->out, " (tried %u times, again at ", aside->tries);
	append_time(report->out, aside->next_try_s);
	buf_append_text(report->out, ")\n");
	return true;
}

/* Puts the path of a local name before what is there, from the name up; directories cannot be too deep for the loop, for it is bounded. */
static void
local_path(struct report *report, const struct local *local, struct buf *out)
{
	enum local_parent kind = local->parent_kind;
	uint64_t parent = local->parent;
	struct error ignored = ERROR_INIT;
	struct buf path = BUF_INIT;

	append_safe(&path, local->name);
	for (int depth = 0; kind == LOCAL_IN_DIRECTORY && depth < 64; depth++) {
		struct buf longer = BUF_INIT;
		struct local above;

		if (!local_load(report->txn, (struct number){parent}, &above, &ignored)) {
			break;
		}
		append_safe(&longer, above.name);
		buf_append_octet(&longer, '/');
		buf_append(&longer, buf_slice(&path));
		kind = above.parent_kind;
		parent = above.parent;
		local_finish(&above);
		buf_finish(&path);
		path = longer;
	}
	if (kind >= LOCAL_IN_MAILDIR) {
		buf_append_text(out, ".maildir/");
	}
	if (kind == LOCAL_IN_MAILBOX || (kind >= LOCAL_IN_MAILDIR && parent != 0)) {
		mailbox_name(report, (struct mailbox_id){(uint32_t)parent}, out);
		buf_append_text(out, kind == LOCAL_IN_CUR   ? "/cur/"
				     : kind == LOCAL_IN_NEW ? "/new/"
				     : kind == LOCAL_IN_TMP ? "/tmp/"
							    : "/");
	} else if (kind == LOCAL_IN_SCRATCH) {
		buf_append_text(out, ".mailfs/scratch/");
	}
	buf_append(out, buf_slice(&path));
	buf_finish(&path);
}

static bool
tell_local(void *context, const struct local *local)
{
	struct report *report = context;
	SCOPED(buf_finish) struct buf path = BUF_INIT;

	if (!next_line(report, "local only, never sent")) {
		return false;
	}
	local_path(report, local, &path);
	if (report->as_json) {
		json_object(&report->json);
		json_key_slice(&report->json, "path", buf_slice(&path));
		json_key_u64(&report->json, "size", local->size_bytes);
		json_key_text(&report->json, "error", local->error);
		json_end(&report->json);
		return true;
	}
	buf_append_text(report->out, "    ");
	buf_append(report->out, buf_slice(&path));
	if (local->error != NULL) {
		buf_append_text(report->out, ": ");
		append_safe(report->out, local->error);
	}
	buf_append_octet(report->out, '\n');
	return true;
}

static bool
tell_rejected(void *context, const char *name, uint64_t size_bytes, int64_t mtime_s)
{
	struct report *report = context;

	if (!next_line(report, "rejected, kept in .mailfs/rejected")) {
		return false;
	}
	if (report->as_json) {
		json_object(&report->json);
		json_key_text(&report->json, "name", name);
		json_key_u64(&report->json, "size", size_bytes);
		json_end(&report->json);
		return true;
	}
	buf_append_text(report->out, "    ");
	append_safe(report->out, name);
	buf_printf(report->out, ", %" PRIu64 " octets\n", size_bytes);
	return true;
}

static bool
tell_mailbox(void *context, const struct mailbox *row, struct error *err)
{
	struct report *report = context;

	if (!next_line(report, "mailboxes")) {
		return true;
	}
	if (report->as_json) {
		json_object(&report->json);
		json_key_text(&report->json, "name", row->name);
		json_key_u64(&report->json, "messages", row->messages);
		json_key_text(&report->json, "role", row->role);
		json_key_bool(&report->json, "listed", row->listed || row->kind != MAILBOX_REAL);
		json_key_bool(&report->json, "read_only", row->read_only);
		json_end(&report->json);
		return true;
	}
	buf_append_text(report->out, "    ");
	append_safe(report->out, row->name);
	buf_append_text(report->out, ": ");
	append_count(report->out, row->messages, "message", "messages");
	buf_printf(report->out, "%s%s\n", row->listed || row->kind != MAILBOX_REAL ? "" : ", listing",
		row->read_only ? ", read-only" : "");
	return true;
}

static bool
tell_lists(struct report *report, struct error *err)
{
	begin_list(report, "set_aside");
	if (!aside_each(report->txn, BASE_REMOTE, tell_aside, report, err)) {
		return false;
	}
	end_list(report);
	begin_list(report, "local");
	if (!local_each_file(report->txn, tell_local, report, err)) {
		return false;
	}
	end_list(report);
	begin_list(report, "rejected");
	if (!edit_rejected_each(report->account, tell_rejected, report, err)) {
		return false;
	}
	end_list(report);
	begin_list(report, "mailboxes");
	if (!mailbox_each(report->txn, false, tell_mailbox, report, err)) {
		return false;
	}
	end_list(report);
	return true;
}

bool
view_status(struct account *account, bool json, struct buf *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	SCOPED(buf_finish) struct buf text = BUF_INIT;
	struct report report = {.account = account, .out = &text, .as_json = json};

	json_begin(&report.json, &text, true);
	if (json) {
		json_object(&report.json);
	}
	tell_condition(&report); /* may ask another process: before the snapshot */
	if (account_failure(account) == NULL) {
		if (!store_read_begin(account->store, &txn, err)) {
			return false;
		}
		report.txn = txn;
		if (!tell_figures(&report, err) || !tell_lists(&report, err)) {
			return false;
		}
	}
	if (json) {
		json_end(&report.json);
	}
	buf_append(out, buf_slice(&text));
	return true;
}

bool
view_held(struct account *account, bool json, struct buf *out, struct error *err)
{
	SCOPED(store_read_end) struct store_txn *txn = NULL;
	uint64_t ignored;

	return account_check(account, err) && store_read_begin(account->store, &txn, err) &&
	       sync_held(txn, json, out, &ignored, err);
}
