/* One mailbox of a scan: what is asked of it in the first flight, what comes, and what that proves.
 *
 * ladder     QRESYNC, else CONDSTORE, else the flags of the newest messages (RFC 7162)
 * fresh      messages that the base does not know
 * proof      known - vanished + fresh = EXISTS as of the last line: only then is what did not come unchanged, and what vanished gone (SYNC R6)
 *
 * Nothing is reported from here before imap_catchup_judge has found that this is the mailbox of the base (SYNC R7).
 */
#ifndef REMOTE_IMAP_IMAP_CATCHUP_H
#define REMOTE_IMAP_IMAP_CATCHUP_H

#include "engine/remote/imap/imap_items.h"

#define IMAP_FLAGS_WINDOW  500        /* newest messages whose flags are compared where there are no mod-sequences */
#define IMAP_FLAGS_SMALL   2000       /* ... and mailboxes of which all are */
#define IMAP_HELD_MESSAGES 4000       /* fresh messages that are kept until they are reported */
#define IMAP_HELD_OCTETS   (8u << 20) /* ... with their headers */

enum imap_catchup_way {
	IMAP_CATCHUP_FIRST,
	IMAP_CATCHUP_QRESYNC,
	IMAP_CATCHUP_CONDSTORE,
	IMAP_CATCHUP_WINDOW,
	IMAP_CATCHUP_FULL
};

struct imap_change {
	uint32_t uid;
	struct flags flags;
	uint64_t modseq;
};

struct imap_catchup {
	struct imap_session *session;
	const struct remote_scan_request *request;
	const struct remote_scan_sink *sink;
	size_t index; /* of the request */
	enum imap_catchup_way way;
	bool no_qresync; /* refused before: take the next rung */
	struct imap_listener listener;
	const struct imap_listener *bodies; /* who hears bodies that are asked for beside, or NULL */
	const struct uidset *known;
	uint64_t known_count;
	uint32_t next; /* UIDs from here on are fresh */

	/* what SELECT told */
	bool selected_fine, select_bad;
	struct remote_selected selected;
	bool uids_change;
	bool gone;
	struct error failure;

	/* what came */
	uint32_t exists;        /* as of the last line that was of this mailbox */
	uint32_t highest;       /* UID seen */
	struct uidset vanished; /* of the known */
	struct uidset listed;   /* of the known: whose flags were told, way FULL */
	struct imap_change *changes;
	size_t change_count, change_capacity;
	struct uidset fresh;  /* all that there are, reported or not */
	struct uidset wanted; /* below `next`, known to be there and not in the base: found by a complete listing */
	struct remote_message *held; /* fresh ones, not yet reported; header owned */
	size_t held_count, held_capacity, held_octets;
	size_t fetched_count; /* of those the first, by UID: their bodies are on the way, and they stay until those are here */
	bool asked_fresh, got_fresh,
		overflowed; /* overflowed: too many to hold; they are asked for again and streamed */
	bool flags_fine;    /* the flags that the way asks for came */
	bool has_newest, has_changed;
	struct remote_message newest;
	uint64_t changed_modseq;
	bool proven;
	uint64_t told; /* fresh messages that were reported */
	bool selecting_again;
	bool lost;     /* the mailbox was replaced or went away while it was scanned */
	bool reported; /* `selected` was called: what comes goes on at once */
	char reason[200];
};

void imap_catchup_begin(struct imap_catchup *catchup, struct imap_session *session,
	const struct remote_scan_request *request, size_t index, const struct remote_scan_sink *sink);
void imap_catchup_finish(struct imap_catchup *catchup);

/* Sends SELECT and all that can be asked along; with `fresh` also the new messages. */
bool imap_catchup_ask(struct imap_catchup *catchup, bool fresh, struct error *err) MUST_CHECK;
/* Selects once more, for what is asked later; `lost` tells when it is not the same any more. */
bool imap_catchup_select(struct imap_catchup *catchup, struct error *err) MUST_CHECK;
/* Sends UID FETCH of the fresh messages in a set, or from `next` on where the set is NULL. */
bool imap_catchup_ask_fresh(struct imap_catchup *catchup, const struct uidset *set, struct error *err) MUST_CHECK;
/* Sends UID FETCH of the flags of all known messages (way FULL). */
bool imap_catchup_ask_flags(struct imap_catchup *catchup, struct error *err) MUST_CHECK;

/* Tells what the mailbox is, once the first flight is answered: OK, or the state with which the request ends. */
enum remote_scan_state imap_catchup_judge(struct imap_catchup *catchup);
/* Tries the proof with what came; where it holds, what is missing has vanished. */
bool imap_catchup_prove(struct imap_catchup *catchup);
/* The proof by a complete listing, `there`, of as many messages as exist: then `wanted` are those to be fetched. */
void imap_catchup_prove_by(struct imap_catchup *catchup, const struct uidset *there);
/* Calls `selected`, `flags`, and `message` for what is held and needs no body; later ones go straight on. */
bool imap_catchup_report(struct imap_catchup *catchup, struct error *err) MUST_CHECK;
/* Calls `gone` with what vanished, and `end`. */
bool imap_catchup_end(struct imap_catchup *catchup, enum remote_scan_state state, struct error *err) MUST_CHECK;

/* Calls `message`. */
bool imap_catchup_tell(struct imap_catchup *catchup, struct remote_message *message, struct error *err) MUST_CHECK;
/* Frees what a held message owns. */
void imap_catchup_release(struct remote_message *message);

/* a \ b */
void imap_catchup_difference(const struct uidset *a, const struct uidset *b, struct uidset *out);

#endif
