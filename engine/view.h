/* Reading an account: mailboxes, listings, messages, bodies, the feed. Local and immediate. */
#ifndef ENGINE_VIEW_H
#define ENGINE_VIEW_H

#include "engine/base/buf.h"
#include "engine/engine.h"
#include "engine/mail/flags.h"

struct view_mailbox {
	struct mailbox_id id;
	struct slice name; /* whole name, ours; valid during a callback; after a load owned by view_mailbox_finish */
	bool directory_only, read_only, listed, subscribed;
	bool has_role; /* INBOX or a role: cannot be removed or renamed */
	uint32_t messages;
	uint32_t uidnext;
	int64_t changed_ns;
	char *owned;
};
void view_mailbox_finish(struct view_mailbox *mailbox);
bool view_mailbox_load(struct account *account, struct mailbox_id id, struct view_mailbox *out, struct error *err)
	MUST_CHECK;
bool view_mailbox_by_name(struct account *account, struct slice name, struct view_mailbox *out, struct error *err)
	MUST_CHECK;
/* Children one level below `parent` ("" for the top). */
bool view_mailbox_children(struct account *account, struct slice parent,
	bool (*each)(void *context, const struct view_mailbox *mailbox), void *context, struct error *err) MUST_CHECK;
/* Notes that the mount listed it: its bodies come first. Cheap; not durable. */
void view_mailbox_opened(struct account *account, struct mailbox_id id);

struct view_message {
	struct number number;
	struct mailbox_id mailbox;
	uint32_t uid;           /* local: the readdir cursor */
	struct slice name;      /* as shown in the mail view */
	struct slice base_name; /* of the Maildir view, empty: made of mtime_s and number (maildir_name.h) */
	bool is_new, passed;    /* in the Maildir view: it lies in new; it has the letter P */
	bool here;              /* the body is here: size_bytes is exact */
	uint64_t size_bytes;
	int64_t mtime_s, ctime_ns;
	uint32_t flags; /* bits */
	char *owned;
};
void view_message_finish(struct view_message *message);
/* Messages above the local UID `after`, rising, until the callback gives false. */
bool view_list(struct account *account, struct mailbox_id mailbox, uint32_t after,
	bool (*each)(void *context, const struct view_message *message), void *context, struct error *err) MUST_CHECK;
bool view_message_load(struct account *account, struct number number, struct view_message *out, struct error *err)
	MUST_CHECK; /* ERROR_GONE */
bool view_message_by_name(struct account *account, struct mailbox_id mailbox, struct slice name,
	struct view_message *out, struct error *err) MUST_CHECK;
/* By its base name in the Maildir view, chosen or made. ERROR_GONE. */
bool view_message_by_base_name(struct account *account, struct mailbox_id mailbox, struct slice base_name,
	struct view_message *out, struct error *err) MUST_CHECK;
/* The value of an extended attribute: mail.flags, mail.keywords, mail.uid, mail.guid, mail.modseq, mail.message-id, mail.from, mail.to, mail.subject, mail.date,
 * mailfs.state, mailfs.error, mailfs.digest (without the "user."). ERROR_GONE when the message or the attribute is not there. */
bool view_attribute(struct account *account, struct number number, const char *name, struct buf *out, struct error *err)
	MUST_CHECK;
/* mailfs.state of a mailbox: "listing" or the account's state. */
bool view_mailbox_attribute(struct account *account, struct mailbox_id mailbox, const char *name, struct buf *out,
	struct error *err) MUST_CHECK;

/* An open body. Stays readable after its message is gone; and while the store keeps it, the body of a message that is gone can be opened. */
struct view_body;
enum view_body_result { VIEW_BODY_OPEN, VIEW_BODY_MISSING, VIEW_BODY_FAILED };
/* MISSING: ask for it by view_body_request. FAILED: err (ERROR_GONE, ERROR_DAMAGED, …). */
enum view_body_result view_body_open(
	struct account *account, struct number number, struct view_body **out, struct error *err);
void view_body_close(struct view_body **body);
uint64_t view_body_size(const struct view_body *body);
struct slice view_body_memory(const struct view_body *body); /* data NULL: read it by view_body_read */
bool view_body_read(const struct view_body *body, void *out, size_t size, uint64_t offset, size_t *out_got,
	struct error *err) MUST_CHECK;
/* Asks the engine to bring a body; `done` is called once from an engine thread (never from this call): error NULL when it is here, else UNREACHABLE, GONE, DAMAGED,
 * CANCELLED… Opens in a row make the engine read ahead. The ticket names it for view_body_forget, after which done is not called (false: it has been or is being called).
 * ERROR_UNREACHABLE at once when the account is known to be offline. */
bool view_body_request(struct account *account, struct number number,
	void (*done)(void *context, const struct error *error), void *context, uint64_t *out_ticket, struct error *err)
	MUST_CHECK;
bool view_body_forget(struct account *account, uint64_t ticket);

/* The feed (S3), for kernel invalidation and `.mailfs/events`. */
enum view_change_kind { VIEW_MESSAGE, VIEW_NAME_ENDED, VIEW_MAILBOX, VIEW_MAILBOX_ENDED, VIEW_LOCAL, VIEW_RESET };
struct view_change {
	enum view_change_kind kind;
	uint64_t modseq;
	struct number number;
	struct mailbox_id mailbox;
	struct slice name;    /* of NAME_ENDED empty: it goes on */
	struct slice maildir; /* the name in the Maildir view, as cur/BASE:2,LETTERS; of NAME_ENDED empty: it goes on */
	uint32_t flags;
	bool live, here;
	int parent_kind;
	uint64_t parent;
};
bool view_changes(struct account *account, uint64_t since, size_t limit,
	bool (*each)(void *context, const struct view_change *change), void *context, uint64_t *out_until,
	struct error *err) MUST_CHECK;
bool view_modseq(struct account *account, uint64_t *out, struct error *err) MUST_CHECK;
/* Calls `changed` (from any thread, quickly, only to signal) whenever the feed grew, by this process or another, and when the account's state moved.
 * NULL takes all listeners away: once it has returned, none is called any more. */
void view_listen(struct account *account, void (*changed)(void *context), void *context);

/* `.mailfs/status`, `.mailfs/status.json`, `.mailfs/held`. */
bool view_status(struct account *account, bool json, struct buf *out, struct error *err) MUST_CHECK;
bool view_held(struct account *account, bool json, struct buf *out, struct error *err) MUST_CHECK;
/* For statfs: messages in the account, and the directory whose file system holds the store. */
uint64_t view_message_count(struct account *account);
const char *view_store_path(const struct account *account);

#endif
