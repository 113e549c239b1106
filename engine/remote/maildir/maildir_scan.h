/* Reading: scans, single messages, bodies (remote.h: scan, identify, fetch). */
#ifndef MAILDIR_SCAN_H
#define MAILDIR_SCAN_H

#include "engine/remote/maildir/maildir_session.h"

bool maildir_scan_mailboxes(struct maildir_session *session, const struct remote_scan_request *requests, size_t count,
	const struct remote_scan_sink *sink, struct error *err) MUST_CHECK;
bool maildir_scan_identify(struct maildir_session *session, const struct remote_target *target,
	const struct uidset *uids, bool headers,
	bool (*each)(void *context, struct remote_message *message, struct error *err), void *context,
	struct remote_selected *out_selected, struct error *err) MUST_CHECK;
bool maildir_scan_fetch(struct maildir_session *session, const struct remote_target *target, const struct uidset *uids,
	const struct remote_body_sink *sink, struct error *err) MUST_CHECK;

#endif
