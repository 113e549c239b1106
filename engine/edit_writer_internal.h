/* What edit_writer.c and edit_release.c share. */
#ifndef ENGINE_EDIT_WRITER_INTERNAL_H
#define ENGINE_EDIT_WRITER_INTERNAL_H

#include "engine/edit_internal.h"

struct edit_writer {
	struct account *account;
	struct number number; /* that the message will have */
	struct mailbox_id mailbox;
	char *name;         /* empty: one is made */
	struct {            /* made in the Maildir view: the file name there, and what it says */
		char *leaf; /* NULL: it was not */
		struct maildir_name name;
	} maildir;
	struct number replaces;
	bool in_place; /* `replaces` was opened for writing: it keeps its name and place, whatever they are at the last close */
	struct number local; /* the local file whose bytes these are; it goes when they are a message */
	struct spool *spool;
	int64_t mtime_s;    /* INT64_MIN: nobody set it */
	int64_t written_s;  /* when it was written, as its user was told; INT64_MIN: not known */
	int64_t changed_ns; /* the ctime that was told with it; 0: not known */
	bool touched;       /* something is not in the pending row */
	bool killed;
	uint64_t pending;   /* row, 0: none */
	bool pending_dirty; /* as the row says */
	bool in_file;       /* the row names the spool's file: it must not go before the row does */
};

/* Frees it; its pending row is as it is, and nobody's. */
void edit_writer_destroy(struct edit_writer **writer);
/* How the commit that ends the pending row must be: what follows it may unlink the files that the row needs. */
enum store_durability edit_writer_settling(const struct edit_writer *writer);
/* Removes the pending row: what takes its place, if anything, is there. */
bool edit_writer_drop_pending(struct edit_writer *writer, struct error *err) MUST_CHECK;
/* The bytes without an mbox line. */
bool edit_writer_look(struct edit_writer *writer, struct slice *out, struct error *err) MUST_CHECK;
/* INVALID where bytes can be no message. */
bool edit_check_message(struct slice bytes, struct error *err) MUST_CHECK;

#endif
