/* What the files of the model remote share: the session, and how a trouble befalls a call. Not for others.
 *
 * model_remote.c is the session, the listing and the reading; model_effects.c what changes something.
 */
#ifndef SIM_MODEL_SESSION_H
#define SIM_MODEL_SESSION_H

#include <limits.h>

#include "tests/sim/model_remote.h"

struct model_session {
	struct remote_session base;
	struct model_remote *remote;
	struct remote_capabilities capabilities;
	bool dead;
	unsigned answers_left; /* until the connection ends; MODEL_LASTS: it does not */
	bool stops;            /* and with it our process */
};

#define MODEL_LASTS    UINT_MAX
#define MODEL_NO_FAULT MODEL_FAULT_COUNT

static inline struct model_session *
model_session(struct remote_session *session)
{
	return (struct model_session *)session;
}

static inline struct model_server *
model_session_server(struct model_session *session)
{
	return session->remote->server;
}

/* Begins a call: gives the fault that befalls it, or MODEL_NO_FAULT. */
enum model_fault model_begin_call(struct model_remote *remote, const char *call);
/* Our process ends. */
void model_stop_here(struct model_remote *remote);
/* The connection ends: false, with its error. */
bool model_hang_up(struct model_session *session, struct error *err);
bool model_refuse(const char *call, struct error *err);
struct model_mailbox *model_find_raw(struct model_server *server, struct slice raw_name);
/* SELECT, as engine/remote/imap understands its answer. */
bool model_select(struct model_session *session, const struct remote_target *target, bool for_change,
	struct model_mailbox **out, struct error *err);

/* --- model_effects.c --- */
bool model_op_store(struct remote_session *session, const struct remote_target *target, struct remote_store *groups,
	size_t count,
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err),
	void *context, struct error *err);
bool model_op_append(struct remote_session *session, const struct remote_target *target, struct remote_append *items,
	size_t count, struct error *err);
bool model_op_copy(struct remote_session *session, const struct remote_target *from, const struct remote_target *to,
	bool move, struct remote_copy *items, size_t count, bool *out_marked, struct error *err);
bool model_op_expunge(struct remote_session *session, const struct remote_target *target, const struct uidset *uids,
	enum remote_outcome *out_outcome, bool *out_marked, struct error *err);
bool model_op_create(
	struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err);
bool model_op_rename(struct remote_session *session, struct slice from, struct slice to,
	enum remote_outcome *out_outcome, struct error *err);
bool model_op_remove(
	struct remote_session *session, struct slice raw_name, enum remote_outcome *out_outcome, struct error *err);
bool model_op_subscribe(struct remote_session *session, struct slice raw_name, bool subscribed, struct error *err);

#endif
