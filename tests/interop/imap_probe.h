/* What the parts of imap_probe share. */
#ifndef INTEROP_IMAP_PROBE_H
#define INTEROP_IMAP_PROBE_H

#include "engine/remote/imap/imap_remote.h"

extern bool quiet; /* totals only */

/* Prints an error and gives the exit status. */
int fail(const char *what, const struct error *err);
double now(void);
void print_flags(const struct flags *flags);
void print_message(const char *name, const struct remote_message *message);

int run_list(struct remote_session *session, int argc, char **argv);
int run_scan(struct remote_session *session, int argc, char **argv);

#endif
