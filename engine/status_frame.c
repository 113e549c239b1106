/* States and results as fields of frames. */
#include <stdio.h>
#include <string.h>

#include "engine/control.h"
#include "engine/driver.h"
#include "engine/status.h"

#define ASK_MS 1000

static const struct {
	const char *key;
	size_t member;
} figures[] = {
	{"downloaded", offsetof(struct admin_sync_result, downloaded)},
	{"uploaded", offsetof(struct admin_sync_result, uploaded)},
	{"moved-here", offsetof(struct admin_sync_result, moved_here)},
	{"moved-there", offsetof(struct admin_sync_result, moved_there)},
	{"flags-here", offsetof(struct admin_sync_result, flags_here)},
	{"flags-there", offsetof(struct admin_sync_result, flags_there)},
	{"expunged-here", offsetof(struct admin_sync_result, expunged_here)},
	{"expunged-there", offsetof(struct admin_sync_result, expunged_there)},
	{"bodies", offsetof(struct admin_sync_result, bodies)},
	{"failed", offsetof(struct admin_sync_result, failed)},
	{"held", offsetof(struct admin_sync_result, held)},
	{"deferred", offsetof(struct admin_sync_result, deferred)},
	{"turns", offsetof(struct admin_sync_result, turns)},
	{"commands", offsetof(struct admin_sync_result, commands)},
	{"octets-in", offsetof(struct admin_sync_result, octets_in)},
	{"octets-out", offsetof(struct admin_sync_result, octets_out)},
	{"again", offsetof(struct admin_sync_result, again)},
	{"again-in", offsetof(struct admin_sync_result, again_in_ms)},
};

void
status_put_result(struct buf *frame, const struct admin_sync_result *result)
{
	for (size_t i = 0; i < ARRAY_LENGTH(figures); i++) {
		uint64_t value;

		memcpy(&value, (const char *)result + figures[i].member, sizeof(value));
		control_put_u64(frame, figures[i].key, value);
	}
	/* A text that is too long for a frame is cut: the figures tell how much there was. */
	control_put(frame, "lines", slice_head(buf_slice(&result->text), CONTROL_FRAME_MAX / 2));
}

void
status_get_result(struct slice frame, struct admin_sync_result *out)
{
	for (size_t i = 0; i < ARRAY_LENGTH(figures); i++) {
		uint64_t value = control_get_u64(frame, figures[i].key);

		memcpy((char *)out + figures[i].member, &value, sizeof(value));
	}
	buf_append(&out->text, control_get(frame, "lines"));
}

void
status_put_condition(struct buf *frame, const struct account_condition *condition)
{
	control_put_text(frame, "state", account_state_name(condition->state));
	control_put_u64(frame, "since", (uint64_t)condition->since_s);
	control_put_u64(frame, "next-try", (uint64_t)condition->next_try_s);
	control_put_u64(frame, "kind", (uint64_t)condition->kind);
	control_put_text(frame, "reason", condition->reason);
}

bool
status_get_condition(struct slice frame, struct account_condition *out)
{
	struct slice name = control_get(frame, "state"), reason = control_get(frame, "reason");
	uint64_t kind = control_get_u64(frame, "kind");

	for (unsigned state = 0; state < ACCOUNT_STATE_COUNT; state++) {
		if (slice_equal(name, slice_of(account_state_name((enum account_state)state)))) {
			struct error safe;

			*out = (struct account_condition){
				.state = (enum account_state)state,
				.since_s = (int64_t)control_get_u64(frame, "since"),
				.next_try_s = (int64_t)control_get_u64(frame, "next-try"),
				.kind = kind < ERROR_KIND_COUNT ? (enum error_kind)kind : ERROR_SYSTEM,
			};
			error_set(&safe, ERROR_ITEM, "%.*s", (int)slice_head(reason, ERROR_TEXT_MAX).length,
				reason.length > 0 ? reason.data : "");
			(void)snprintf(out->reason, sizeof(out->reason), "%s", safe.text);
			return true;
		}
	}
	return false;
}

static bool
ask(struct account *account, int fd, struct account_condition *out)
{
	SCOPED(buf_finish) struct buf frame = BUF_INIT;
	struct error err = ERROR_INIT;

	control_put_text(&frame, "op", "status");
	return control_send(account->io, fd, buf_slice(&frame), ASK_MS, account->stop, &err) &&
	       control_receive(account->io, fd, &frame, ASK_MS, account->stop, &err) &&
	       status_get_condition(buf_slice(&frame), out);
}

struct account_condition
status_condition(struct account *account, bool *out_here)
{
	struct account_condition condition = account_condition_get(account), theirs;
	struct error err = ERROR_INIT;
	int fd;

	*out_here = driver_drives(account->driver);
	if (*out_here || account_failure(account) != NULL || !control_connect(store_dir(account->store), &fd, &err)) {
		return condition;
	}
	if (ask(account, fd, &theirs)) {
		condition = theirs;
	}
	control_close(&fd);
	return condition;
}
