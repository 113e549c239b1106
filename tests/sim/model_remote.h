/* A kind of remote whose server is a model_server in memory: `struct remote_ops` as engine/remote/imap keeps it, with troubles made on demand.
 *
 * A trouble befalls the n-th call of a kind. The connection may be cut before the command, the answer may be lost with or without the effect, the
 * server may say no, and our own process may end before the call or right behind its effect: then control goes back to where the test set
 * `stop`, as if the process had been killed there; what the pass had in memory is lost (and leaked).
 */
#ifndef SIM_MODEL_REMOTE_H
#define SIM_MODEL_REMOTE_H

#include <setjmp.h>

#include "engine/remote/remote.h"
#include "tests/sim/model_server.h"

enum model_fault {
	MODEL_CUT,         /* the connection ends before the command is sent to its last octet */
	MODEL_DROPPED,     /* it was sent and not done; the connection ends */
	MODEL_LOST,        /* it was done; the connection ends without the answer */
	MODEL_REFUSED,     /* the server says no */
	MODEL_STOP_BEFORE, /* our process ends */
	MODEL_STOP_AFTER,
	MODEL_FAULT_COUNT,
};

struct model_trouble {
	unsigned nth;     /* 1: the next of these calls; 0: never */
	const char *call; /* "append", "copy", ...; NULL: whichever */
	enum model_fault fault;
	unsigned item; /* which of a call's items it begins at, or after how many answers the connection ends */
	bool half;     /* of a move that is COPY and EXPUNGE: between the two */
};

struct model_remote {
	struct remote base;
	struct model_server *server;
	struct model_trouble trouble;
	bool fired; /* it came to pass */
	const char *fired_at;
	jmp_buf *stop;
	/* What happens elsewhere meanwhile: called before each call, and between the mailboxes of a scan; not from within itself. */
	void (*meanwhile)(void *context, const char *call);
	void *context;
	bool in_meanwhile;
	struct buf *log; /* a line per call, for a test that failed; may be NULL */
};

/* The server stays the caller's. */
struct model_remote *model_remote_create(struct model_server *server);
void model_remote_destroy(struct model_remote **remote);
const char *model_fault_name(enum model_fault fault);

#endif
