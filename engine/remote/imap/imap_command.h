/* Prints IMAP commands from typed values (RFC 9051, 9).
 *
 * What cannot be said is refused, never bent: CR, LF and NUL in names, what is no atom in a flag. A value that needs it goes out as a
 * literal; whether one may be sent without waiting (LITERAL+, LITERAL-, RFC 7888) is what the server said on this session. The first failure
 * is kept, and imap_command_check tells it.
 */
#ifndef REMOTE_IMAP_IMAP_COMMAND_H
#define REMOTE_IMAP_IMAP_COMMAND_H

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/io/spool.h"
#include "engine/mail/flags.h"
#include "engine/mail/uidset.h"

#define IMAP_COMMAND_OCTETS    8000 /* of a line: Dovecot refuses 64 Ki, others less */
#define IMAP_LITERAL_MINUS_MAX 4096 /* octets that LITERAL- lets go without waiting */

enum imap_literals { IMAP_LITERALS_WAIT, IMAP_LITERALS_MINUS, IMAP_LITERALS_PLUS };

struct imap_cut {            /* where the command is interrupted */
	size_t at;           /* of the text */
	bool wait;           /* for a continuation */
	struct spool *spool; /* whose octets come here; borrowed; or NULL */
};

struct imap_command {
	struct buf text; /* without tag and last line end */
	struct imap_cut *cuts;
	size_t cut_count, cut_capacity;
	enum imap_literals literals;
	struct error failure; /* ERROR_NONE while all is well */
};

/* Begins a command by its name; `command` is zeroed memory or one that is used again. */
void imap_command_begin(struct imap_command *command, enum imap_literals literals, const char *name);
/* Frees it, wiping the text, for it may hold a secret. */
void imap_command_finish(struct imap_command *command);

/* Appends text of ours, as it is. */
void imap_command_text(struct imap_command *command, const char *text);
void imap_command_number(struct imap_command *command, uint64_t value);
/* Appends a blank and a string, quoted or as a literal. ERROR_INVALID for CR, LF and NUL. */
void imap_command_string(struct imap_command *command, struct slice value);
/* Appends a blank and a whole body as a literal, `binary` as literal8. */
void imap_command_spool(struct imap_command *command, struct spool *spool, bool binary);
/* Appends ` (\Seen Junk)`. */
void imap_command_flags(struct imap_command *command, const struct flags *flags);
/* Appends ` "17-Jul-1996 02:44:25 +0000"`. Years before 1 and after 9999 are brought to those. */
void imap_command_date(struct imap_command *command, int64_t date_s);
/* Appends a set. */
void imap_command_set(struct imap_command *command, const struct uidset *set);
/* Tells whether all could be said. */
bool imap_command_check(const struct imap_command *command, struct error *err) MUST_CHECK;

/* Cuts the next part off a set that is to be sent in several commands: the UIDs above *uid (0 at first), at most `uids_max` of them and `octets_max` octets
 * when printed; *uid is moved to the last. False where there are none left. */
bool imap_command_next_part(
	const struct uidset *set, uint32_t *uid, size_t uids_max, size_t octets_max, struct uidset *out);

#endif
