#include "engine/remote/imap/imap_login.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/remote/imap/imap_auth.h"
#include "engine/remote/imap/imap_refusal.h"

/* --- connecting and greeting --- */

static bool
connect_stream(struct imap_remote *remote, struct cancel *cancel, struct stream **out, struct error *err)
{
	if (remote->transport == IMAP_TUNNEL) {
		return stream_tunnel(remote->io, remote->tunnel, cancel, out, err);
	}
	return stream_connect(remote->io, remote->host, remote->port,
		remote->transport == IMAP_TLS ? remote->tls : NULL, IMAP_CONNECT_MS, cancel, out, err);
}

/* Copies text that a server sent, as far as it is printable. */
static void
printable(struct slice text, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < text.length && used + 1 < size; i++) {
		out[used++] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? text.data[i] : '?';
	}
	out[used] = '\0';
}

struct greeting {
	struct imap_session *session;
	bool came, preauth;
};

static bool
hear_greeting(void *context, const struct imap_response *response, struct error *err)
{
	struct greeting *greeting = context;

	if (greeting->came) {
		return true;
	}
	if (response->kind != IMAP_RESPONSE_STATUS || response->status == IMAP_NO || response->status == IMAP_BAD) {
		return error_set(err, ERROR_RETRY, "what answers there is no IMAP server");
	}
	if (response->status == IMAP_BYE) {
		return imap_refusal(response, "login", err);
	}
	greeting->came = true;
	greeting->preauth = response->status == IMAP_PREAUTH;
	printable(response->text, greeting->session->told.greeting, sizeof greeting->session->told.greeting);
	return true;
}

static bool
read_greeting(struct imap_session *session, bool *out_preauth, struct error *err)
{
	struct greeting greeting = {.session = session};
	const struct imap_listener listener = {.context = &greeting, .untagged = hear_greeting};
	int64_t deadline_ms = io_now_ms(session->remote->io) + IMAP_ANSWER_MS;
	enum stream_event event;

	while (!greeting.came) {
		int64_t left_ms = deadline_ms - io_now_ms(session->remote->io);

		if (left_ms <= 0) {
			error_set(err, ERROR_RETRY, "the server does not greet");
			return imap_session_die(session, err);
		}
		if (!imap_session_greet(session, &listener, left_ms, &event, err)) {
			return false;
		}
		if (event == STREAM_EVENT_CANCELLED) {
			error_set(err, ERROR_CANCELLED, "cancelled");
			return imap_session_die(session, err);
		}
	}
	*out_preauth = greeting.preauth;
	/* before login nobody is trusted to say that it is done: only a tunnel, which is a login of its own, may */
	if (greeting.preauth && !stream_is_tunnel(session->stream)) {
		error_set(err, ERROR_TRUST, "the server says that we are logged in, which only a tunnel may");
		return imap_session_die(session, err);
	}
	return true;
}

static bool
ask_capabilities(struct imap_session *session, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};

	if (session->has_capabilities) {
		return true;
	}
	imap_command_begin(&command, IMAP_LITERALS_WAIT, "CAPABILITY");
	return imap_session_run(session, &command, &(struct imap_asked){.what = "CAPABILITY"}, &answer, err);
}

static bool
start_tls(struct imap_session *session, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};

	if (session->has_capabilities && !imap_can(&session->can, IMAP_CAN_STARTTLS)) {
		error_set(err, ERROR_TRUST, "the server does not offer STARTTLS");
		return imap_session_die(session, err);
	}
	imap_command_begin(&command, IMAP_LITERALS_WAIT, "STARTTLS");
	if (!imap_session_run(session, &command, &(struct imap_asked){.what = "STARTTLS"}, &answer, err)) {
		return false;
	}
	if (answer.status != IMAP_OK) {
		error_set(err, ERROR_TRUST, "the server refuses STARTTLS: %s", answer.error.text);
		return imap_session_die(session, err);
	}
	imap_session_rest(session);
	if (!stream_start_tls(session->stream, session->remote->tls, session->remote->host, IMAP_CONNECT_MS, err)) {
		return imap_session_die(session, err);
	}
	/* what was said in the clear counts for nothing */
	imap_session_forget_capabilities(session);
	session->told.greeting[0] = session->bye[0] = '\0';
	return true;
}

/* --- login --- */

static bool
say_line(struct imap_session *session, struct buf *line, struct error *err)
{
	bool said;

	buf_append_text(line, "\r\n");
	said = imap_session_say(session, buf_slice(line), err);
	explicit_bzero(line->data, line->capacity);
	buf_clear(line);
	return said;
}

/* Ends an exchange from our side; the server answers BAD. */
static bool
give_up(struct imap_session *session, struct error *err)
{
	struct error ignored;

	bool told = imap_session_say(session, SLICE_LITERAL("*\r\n"), &ignored) &&
		    imap_session_settle(session, 0, &ignored);

	log_debug("imap", "event=gave-up told=%d", told);
	return imap_session_die(session, err);
}

static bool
keep_answer(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct imap_answer *out = context;

	(void)cookie;
	(void)err;
	out->status = answer->status;
	error_clear(&out->error);
	if (answer->status != IMAP_OK) {
		imap_refusal(answer, "login", &out->error);
	}
	return true;
}

/* Carries an AUTHENTICATE exchange through; a refusal is in *out. */
static bool
authenticate(struct imap_session *session, unsigned mechanism, struct imap_auth *auth, struct imap_answer *out,
	struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_command_finish) struct imap_command line = {0};
	bool first = imap_auth_begins(auth) && imap_can(&session->can, IMAP_CAN_SASL_IR), go;

	buf_reserve(&command.text, 2 * IMAP_SECRET_MAX + 1024);
	buf_reserve(&line.text, 2 * IMAP_SECRET_MAX + 1024);
	imap_command_begin(&command, IMAP_LITERALS_WAIT, "AUTHENTICATE ");
	imap_command_text(&command, imap_auth_name(mechanism));
	if (first) {
		size_t before;

		imap_command_text(&command, " ");
		before = command.text.length;
		if (!imap_auth_answer(auth, (struct slice){0}, &command.text, err)) {
			return imap_session_die(session, err);
		}
		imap_command_text(&command, command.text.length == before ? "=" : "");
	}
	const struct imap_asked asked = {.what = "login", .done = keep_answer, .context = out};

	session->continued = false;
	if (!imap_session_send(session, &command, &asked, NULL, err)) {
		return false;
	}
	for (;;) {
		if (!imap_session_await_continuation(session, &go, err)) {
			return false;
		}
		if (!go) {
			return true;
		}
		if (!imap_auth_answer(auth, buf_slice(&session->challenge), &line.text, err)) {
			return give_up(session, err);
		}
		if (!say_line(session, &line.text, err)) {
			return false;
		}
	}
}

static bool
login_command(struct imap_session *session, struct slice secret, struct imap_answer *out, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	const struct imap_asked asked = {.what = "login", .done = keep_answer, .context = out};

	buf_reserve(&command.text, 2 * IMAP_SECRET_MAX + 1024);
	imap_command_begin(&command, imap_session_literals(session), "LOGIN");
	imap_command_string(&command, slice_of(session->remote->user));
	imap_command_string(&command, secret);
	if (!imap_command_check(&command, err)) {
		return imap_session_die(session, err);
	}
	return imap_session_send(session, &command, &asked, NULL, err) && imap_session_settle(session, 0, err);
}

static void
wipe(struct buf *secret)
{
	if (secret->data != NULL) {
		explicit_bzero(secret->data, secret->capacity);
	}
	buf_finish(secret);
}

/* One attempt with one secret. */
static bool
try_login(struct imap_session *session, const struct imap_auth_means *means, struct slice secret,
	struct imap_answer *out, struct error *err)
{
	SCOPED(imap_auth_destroy) struct imap_auth *auth = NULL;
	struct imap_remote *remote = session->remote;
	uint8_t binding[32];
	unsigned mechanism;

	if (!imap_auth_choose(&session->can, means, &mechanism, err)) {
		return imap_session_die(session, err);
	}
	printable(slice_of(imap_auth_name(mechanism)), session->told.mechanism, sizeof session->told.mechanism);
	/* what the server says from here on is said to somebody who is logged in, or not at all */
	bool had = session->has_capabilities;

	session->has_capabilities = false;
	if (mechanism == IMAP_AUTH_COMMAND) {
		if (!login_command(session, secret, out, err)) {
			return false;
		}
	} else {
		const struct imap_auth_facts facts = {
			.user = remote->user,
			.host = remote->host,
			.port = remote->port,
			.secret = secret,
			.binding = means->channel_binding && stream_tls_exporter(session->stream, binding) ? binding
													   : NULL,
		};

		if (!imap_auth_create(mechanism, &facts, &auth, err)) {
			return imap_session_die(session, err);
		}
		if (!authenticate(session, mechanism, auth, out, err)) {
			return false;
		}
		if (out->status == IMAP_OK && !imap_auth_complete(auth)) {
			error_set(err, ERROR_TRUST, "the server let us in without proving that it knows the password");
			return imap_session_die(session, err);
		}
	}
	session->has_capabilities = session->has_capabilities || (had && out->status != IMAP_OK);
	return true;
}

/* Tries one secret: once more without channel binding where that was refused, for some servers offer it and know only a kind of it that TLS 1.3
 * does not have. What that gives up an attacker could take anyway, by not offering it. */
static bool
try_secret(struct imap_session *session, struct imap_auth_means *means, struct slice secret, struct imap_answer *out,
	struct error *err)
{
	struct imap_remote *remote = session->remote;

	if (!try_login(session, means, secret, out, err)) {
		return false;
	}
	if (out->status != IMAP_NO || !means->channel_binding || strstr(session->told.mechanism, "-PLUS") == NULL ||
		strcmp(means->setting, "auto") != 0) {
		return true;
	}
	means->channel_binding = false;
	if (!try_login(session, means, secret, out, err)) {
		return false;
	}
	if (out->status == IMAP_OK) {
		mutex_lock(&remote->lock);
		remote->no_binding = true;
		mutex_unlock(&remote->lock);
	}
	return true;
}

static bool
can_bind(struct imap_session *session)
{
	uint8_t binding[32];
	bool refused;

	mutex_lock(&session->remote->lock);
	refused = session->remote->no_binding;
	mutex_unlock(&session->remote->lock);
	return !refused && stream_tls_exporter(session->stream, binding);
}

static bool
log_in(struct imap_session *session, struct error *err)
{
	struct imap_remote *remote = session->remote;
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};
	SCOPED(wipe) struct buf secret = BUF_INIT;
	struct imap_auth_means means = {
		.setting = remote->auth,
		.has_secret = remote->secret != NULL,
		.certificate = remote->certificate && stream_is_encrypted(session->stream),
		.channel_binding = can_bind(session),
	};
	bool external =
		means.certificate && imap_can(&session->can, IMAP_AUTH_EXTERNAL) && strcmp(remote->auth, "auto") == 0;

	for (int attempt = 0; attempt < 2; attempt++) {
		if (means.has_secret && !external) {
			wipe(&secret);
			if (!remote->secret(remote->secret_context, attempt > 0, &secret, &means.is_token,
				    session->cancel, err)) {
				return imap_session_die(session, err);
			}
		}
		if (!try_secret(session, &means, buf_slice(&secret), &answer, err)) {
			return false;
		}
		if (answer.status == IMAP_OK) {
			session->authenticated = true;
			return true;
		}
		if (answer.error.kind != ERROR_CREDENTIALS || !means.has_secret || external) {
			break;
		}
	}
	*err = answer.error;
	return imap_session_die(session, err);
}

/* --- after the login --- */

static bool
start_compress(struct imap_session *session, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};

	if (!session->remote->compress || !imap_can(&session->can, IMAP_CAN_COMPRESS)) {
		return true;
	}
	imap_command_begin(&command, IMAP_LITERALS_WAIT, "COMPRESS DEFLATE");
	if (!imap_session_run(session, &command, &(struct imap_asked){.what = "COMPRESS"}, &answer, err)) {
		return false;
	}
	if (answer.status != IMAP_OK) {
		return true;
	}
	imap_session_rest(session);
	if (!stream_start_deflate(session->stream, err)) {
		return imap_session_die(session, err);
	}
	session->compressed = true;
	return true;
}

static bool
hear_id(void *context, const struct imap_response *response, struct error *err)
{
	struct imap_session *session = context;
	char name[90], version[90];

	(void)err;
	if (response->kind == IMAP_RESPONSE_ID) {
		printable(response->id_name, name, sizeof name);
		printable(response->id_version, version, sizeof version);
		snprintf(session->told.server, sizeof session->told.server, "%s%s%s", name,
			version[0] != '\0' ? " " : "", version);
	}
	return true;
}

static bool
ask_namespace(struct imap_session *session, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	static const struct imap_listener none = {.passes = true};
	bool known;

	mutex_lock(&session->remote->lock);
	known = session->remote->prefix_known;
	mutex_unlock(&session->remote->lock);
	if (known || !imap_can(&session->can, IMAP_CAN_NAMESPACE)) {
		return true;
	}
	imap_command_begin(&command, IMAP_LITERALS_WAIT, "NAMESPACE");
	return imap_session_send(
		session, &command, &(struct imap_asked){.what = "NAMESPACE", .listener = &none}, NULL, err);
}

/* Queues ID, ENABLE and NAMESPACE: they go out with the first command that follows, and their answers come before its. */
static bool
introduce(struct imap_session *session, struct error *err)
{
	static const char program[] = " (\"name\" \"mailfs\" \"version\" \"" MAILFS_VERSION "\")";
	SCOPED(imap_command_finish) struct imap_command command = {0};
	static const struct imap_listener none = {.passes = true};

	if (imap_can(&session->can, IMAP_CAN_ID)) {
		imap_command_begin(&command, IMAP_LITERALS_WAIT, "ID");
		imap_command_text(&command, program);
		if (!imap_session_send(session, &command,
			    &(struct imap_asked){.what = "ID", .listener = &session->id_listener}, NULL, err)) {
			return false;
		}
	}
	if (imap_can(&session->can, IMAP_CAN_QRESYNC) && imap_can(&session->can, IMAP_CAN_ENABLE) &&
		!imap_can(&session->can, IMAP_CAN_APPLE)) {
		imap_command_begin(&command, IMAP_LITERALS_WAIT, "ENABLE QRESYNC");
		if (!imap_session_send(
			    session, &command, &(struct imap_asked){.what = "ENABLE", .listener = &none}, NULL, err)) {
			return false;
		}
		session->enabled_qresync = true;
	}
	return ask_namespace(session, err);
}

struct probe {
	bool fine, told;
};

static bool
hear_probe(void *context, const struct imap_response *response, struct error *err)
{
	struct probe *probe = context;

	(void)err;
	if (response->kind == IMAP_RESPONSE_MAILBOX && response->mailbox.x_guid.length > 0) {
		probe->told = true;
	}
	return true;
}

/* Finds out once per server what it calls a message's id (`* STATUS INBOX (X-GUID …)` works where FETCH X-GUID does). */
static bool
learn_ids(struct imap_session *session, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(imap_answer_finish) struct imap_answer answer = {0};
	struct imap_remote *remote = session->remote;
	struct probe probe = {0};
	const struct imap_listener listener = {.context = &probe, .untagged = hear_probe};
	enum guid_kind kind = GUID_NONE;
	bool known;

	mutex_lock(&remote->lock);
	known = remote->ids_known;
	mutex_unlock(&remote->lock);
	if (known) {
		return true;
	}
	if (imap_can(&session->can, IMAP_CAN_GMAIL)) {
		kind = GUID_X_GM_MSGID;
	} else if (imap_can(&session->can, IMAP_CAN_OBJECTID)) {
		kind = GUID_EMAILID;
	} else if (strstr(session->told.greeting, "Dovecot") != NULL) {
		kind = GUID_X_GUID;
	} else {
		imap_command_begin(&command, IMAP_LITERALS_WAIT, "STATUS INBOX (X-GUID)");
		if (!imap_session_run(session, &command, &(struct imap_asked){.what = "STATUS", .listener = &listener},
			    &answer, err)) {
			return false;
		}
		kind = answer.status == IMAP_OK && probe.told ? GUID_X_GUID : GUID_NONE;
	}
	mutex_lock(&remote->lock);
	remote->message_ids = kind;
	remote->ids_known = true;
	mutex_unlock(&remote->lock);
	return true;
}

static void
describe(struct imap_session *session)
{
	SCOPED(buf_finish) struct buf tls = BUF_INIT;
	const struct imap_capabilities *can = &session->can;

	stream_describe(session->stream, &tls);
	printable(buf_slice(&tls), session->told.tls, sizeof session->told.tls);
	session->told.qresync = imap_can(can, IMAP_CAN_QRESYNC) && !imap_can(can, IMAP_CAN_APPLE);
	session->told.condstore = imap_can(can, IMAP_CAN_CONDSTORE);
	session->told.uidplus = imap_can(can, IMAP_CAN_UIDPLUS);
	session->told.move = imap_can(can, IMAP_CAN_MOVE);
	session->told.multiappend = imap_can(can, IMAP_CAN_MULTIAPPEND);
	session->told.literal_plus = imap_can(can, IMAP_CAN_LITERAL_PLUS);
	session->told.literal_minus = imap_can(can, IMAP_CAN_LITERAL_MINUS);
	session->told.binary = imap_can(can, IMAP_CAN_BINARY);
	session->told.esearch = imap_can(can, IMAP_CAN_ESEARCH);
	session->told.list_status = imap_can(can, IMAP_CAN_LIST_STATUS);
	session->told.special_use = imap_can(can, IMAP_CAN_SPECIAL_USE);
	session->told.notify = imap_can(can, IMAP_CAN_NOTIFY);
	session->told.idle = imap_can(can, IMAP_CAN_IDLE);
	session->told.compressed = session->compressed;
	session->told.compress = session->compressed || imap_can(can, IMAP_CAN_COMPRESS);
	session->told.id = imap_can(can, IMAP_CAN_ID);
	session->told.append_limit = can->append_limit;
	mutex_lock(&session->remote->lock);
	session->told.message_guid = session->remote->message_ids != GUID_NONE;
	session->told.mailbox_id = session->remote->message_ids == GUID_X_GUID || imap_can(can, IMAP_CAN_OBJECTID);
	mutex_unlock(&session->remote->lock);
}

/* Everything between the connection and the first use. */
static bool
make_usable(struct imap_session *session, struct error *err)
{
	bool preauth;

	if (!read_greeting(session, &preauth, err)) {
		return false;
	}
	session->authenticated = preauth;
	if (session->remote->transport == IMAP_STARTTLS && !start_tls(session, err)) {
		return false;
	}
	if (!ask_capabilities(session, err)) {
		return false;
	}
	if (!preauth && (!log_in(session, err) || !ask_capabilities(session, err))) {
		return false;
	}
	if (imap_can(&session->can, IMAP_CAN_APPLE)) { /* a proxy there changes the list that comes with the login */
		imap_session_forget_capabilities(session);
		if (!ask_capabilities(session, err)) {
			return false;
		}
	}
	if (!start_compress(session, err)) {
		return false;
	}
	session->id_listener = (struct imap_listener){.context = session, .untagged = hear_id};
	if (!introduce(session, err) || !learn_ids(session, err)) {
		return false;
	}
	describe(session);
	return true;
}

bool
imap_login_open(struct imap_remote *remote, struct cancel *cancel, struct imap_session **out, struct error *err)
{
	struct stream *stream;
	struct imap_session *session;

	if (!connect_stream(remote, cancel, &stream, err)) {
		return false;
	}
	session = imap_session_create(remote, stream, cancel);
	if (!make_usable(session, err)) {
		imap_session_destroy(&session);
		return false;
	}
	log_info("imap", "event=login host=%s mechanism=%s tls=\"%s\"", remote->host != NULL ? remote->host : "-",
		session->told.mechanism[0] != '\0' ? session->told.mechanism : "preauth", session->told.tls);
	*out = session;
	return true;
}
