/* Responses as lines of text, for tests to compare. */
#ifndef UNIT_IMAP_DUMP_H
#define UNIT_IMAP_DUMP_H

#include "engine/remote/imap/imap_reader.h"

/* Reads all octets, given in pieces of `piece` octets, and appends a line for each response: what it says. Bodies are joined. What is wrong is the last line, "error …". */
void imap_dump(struct slice octets, size_t piece, struct buf *out);

#endif
