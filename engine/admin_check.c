/* mailfs check: the configuration, the store, the login, what the server can do, and where rm goes. Changes nothing there. */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/account.h"
#include "engine/admin.h"
#include "engine/base/json.h"
#include "engine/mail/mailbox_name.h"
#include "engine/mail/safe_text.h"

struct finding {          /* of one server */
	struct buf trash; /* the mailbox that rm would use; empty: none is there */
	bool by_role;
	uint64_t mailboxes;
	const char *policy;
};

static bool
look_at_mailbox(void *context, const struct remote_mailbox *mailbox, struct error *err)
{
	struct finding *finding = context;
	SCOPED(buf_finish) struct buf name = BUF_INIT;
	bool server = strcmp(finding->policy, "server") == 0;

	finding->mailboxes++;
	if (!mailbox_name_from_imap_behind(mailbox->prefix, mailbox->raw_name, mailbox->separator, &name)) {
		return true;
	}
	if (server && mailbox->role != NULL && strcmp(mailbox->role, "trash") == 0) {
		buf_clear(&finding->trash);
		buf_append(&finding->trash, buf_slice(&name));
		finding->by_role = true;
	} else if (!finding->by_role && (server ? slice_equal_nocase(buf_slice(&name), SLICE_LITERAL("Trash"))
						: slice_equal(buf_slice(&name), slice_of(finding->policy)))) {
		buf_clear(&finding->trash);
		buf_append(&finding->trash, buf_slice(&name));
	}
	return true;
}

static void
append_rm(const struct finding *finding, struct buf *out)
{
	if (strcmp(finding->policy, "none") == 0) {
		buf_append_text(out, "expunges at once (trash = none)");
	} else if (finding->trash.length > 0) {
		buf_append_text(out, "moves to ");
		safe_text_line(buf_slice(&finding->trash), 200, out);
		buf_append_text(out, finding->by_role ? ", which the server names as its trash" : "");
	} else {
		buf_append_text(out, "moves to ");
		safe_text_line(slice_of(strcmp(finding->policy, "server") == 0 ? "Trash" : finding->policy), 200, out);
		buf_append_text(out, ", which is made at the first rm");
	}
}

static const struct {
	const char *name;
	size_t member;
} abilities[] = {
	{"QRESYNC", offsetof(struct remote_capabilities, qresync)},
	{"CONDSTORE", offsetof(struct remote_capabilities, condstore)},
	{"UIDPLUS", offsetof(struct remote_capabilities, uidplus)},
	{"MOVE", offsetof(struct remote_capabilities, move)},
	{"MULTIAPPEND", offsetof(struct remote_capabilities, multiappend)},
	{"LITERAL+", offsetof(struct remote_capabilities, literal_plus)},
	{"LITERAL-", offsetof(struct remote_capabilities, literal_minus)},
	{"BINARY", offsetof(struct remote_capabilities, binary)},
	{"ESEARCH", offsetof(struct remote_capabilities, esearch)},
	{"LIST-STATUS", offsetof(struct remote_capabilities, list_status)},
	{"SPECIAL-USE", offsetof(struct remote_capabilities, special_use)},
	{"NOTIFY", offsetof(struct remote_capabilities, notify)},
	{"IDLE", offsetof(struct remote_capabilities, idle)},
	{"COMPRESS", offsetof(struct remote_capabilities, compress)},
	{"message GUIDs", offsetof(struct remote_capabilities, message_guid)},
	{"mailbox ids", offsetof(struct remote_capabilities, mailbox_id)},
};

static bool
can(const struct remote_capabilities *capabilities, size_t which)
{
	return *(const bool *)((const char *)capabilities + abilities[which].member);
}

/* What a server says of itself that is spoken to over a connection. */
static void
tell_abilities(const struct remote_capabilities *capabilities, struct buf *out)
{
	buf_printf(out, "  connection: %s%s, login by %s\n",
		capabilities->tls[0] != '\0' ? capabilities->tls : "clear text",
		capabilities->compressed ? ", compressed" : "",
		capabilities->mechanism[0] != '\0' ? capabilities->mechanism : "the connection itself");
	buf_append_text(out, "  it has:");
	for (size_t i = 0; i < ARRAY_LENGTH(abilities); i++) {
		if (can(capabilities, i)) {
			buf_printf(out, " %s,", abilities[i].name);
		}
	}
	buf_truncate(out, out->length - 1);
	buf_append_text(out, "\n  it lacks:");
	for (size_t i = 0; i < ARRAY_LENGTH(abilities); i++) {
		if (!can(capabilities, i)) {
			buf_printf(out, " %s,", abilities[i].name);
		}
	}
	buf_truncate(out, out->length - 1);
	buf_append_octet(out, '\n');
}

static void
tell_server_text(
	const struct remote_capabilities *capabilities, bool local, const struct finding *finding, struct buf *out)
{
	buf_printf(out, "  %s: %s\n", local ? "mail" : "server",
		capabilities->server[0] != '\0' ? capabilities->server : capabilities->greeting);
	if (!local) {
		tell_abilities(capabilities, out);
	}
	buf_printf(out, "  %" PRIu64 " mailboxes\n  rm ", finding->mailboxes);
	append_rm(finding, out);
	buf_append_octet(out, '\n');
}

static void
tell_server_json(struct json *json, const struct remote_capabilities *capabilities, const struct finding *finding)
{
	SCOPED(buf_finish) struct buf rm = BUF_INIT;

	json_key_text(json, "greeting", capabilities->greeting);
	json_key_text(json, "software", capabilities->server);
	json_key_text(json, "tls", capabilities->tls[0] != '\0' ? capabilities->tls : NULL);
	json_key_text(json, "mechanism", capabilities->mechanism);
	json_key_bool(json, "compressed", capabilities->compressed);
	json_key(json, "can");
	json_object(json);
	for (size_t i = 0; i < ARRAY_LENGTH(abilities); i++) {
		json_key_bool(json, abilities[i].name, can(capabilities, i));
	}
	json_end(json);
	json_key_u64(json, "append_limit", capabilities->append_limit);
	json_key_u64(json, "mailboxes", finding->mailboxes);
	append_rm(finding, &rm);
	json_key_slice(json, "rm", buf_slice(&rm));
}

static bool
tell_server(struct account *account, struct json *json, bool as_json, struct buf *out, struct error *err)
{
	struct finding finding = {.policy = account_config(account)->trash};
	struct remote_session *session = NULL;
	bool ok = account_session_open(account, account->stop, &session, err) &&
		  session->ops->list(session, look_at_mailbox, &finding, err);

	if (ok && as_json) {
		tell_server_json(json, session->ops->capabilities(session), &finding);
	} else if (ok) {
		bool local = account_config(account)->server_kind == CONFIG_MAILDIR;

		tell_server_text(session->ops->capabilities(session), local, &finding, out);
	}
	account_session_close(account, &session);
	buf_finish(&finding.trash);
	return ok;
}

/* What the store itself finds wrong, a sentence a line. */
static bool
tell_store(struct account *account, struct json *json, bool as_json, struct buf *out, struct error *err)
{
	SCOPED(buf_finish) struct buf findings = BUF_INIT;
	struct slice rest;

	if (!store_audit(account->store, &findings, err)) {
		return false;
	}
	if (as_json) {
		json_key(json, "store_findings");
		json_array(json);
	} else {
		buf_printf(out, "  store: %s%s\n", account_config(account)->store,
			findings.length == 0 ? ", in order" : "");
	}
	for (rest = buf_slice(&findings); rest.length > 0;) {
		struct slice line = slice_head(rest, slice_find(rest, '\n'));

		rest = slice_skip(rest, line.length < rest.length ? line.length + 1 : line.length);
		if (as_json) {
			json_text(json, line);
		} else {
			buf_append_text(out, "    ");
			safe_text_line(line, 500, out);
			buf_append_octet(out, '\n');
		}
	}
	if (as_json) {
		json_end(json);
	}
	return findings.length == 0 ||
	       error_set(err, ERROR_DAMAGED, "the store at %s is not in order", account_config(account)->store);
}

bool
admin_check(struct account *account, bool offline, bool as_json, struct buf *out, struct error *err)
{
	const struct config_account *config = account_config(account);
	struct json json;
	bool ok;

	json_begin(&json, out, true);
	if (as_json) {
		json_object(&json);
		json_key_text(&json, "account", config->name);
		json_key_text(&json, "server", config->server);
		json_key_text(&json, "user", config->user);
		json_key_text(&json, "store", config->store);
	} else {
		buf_printf(out, "%s: %s%s%s\n", config->name, config->server, config->user[0] != '\0' ? " as " : "",
			config->user);
	}
	/* What is known is told even where the rest fails. */
	ok = account_check(account, err) && tell_store(account, &json, as_json, out, err) &&
	     (offline || tell_server(account, &json, as_json, out, err));
	if (as_json) {
		json_end(&json);
	}
	return ok;
}
