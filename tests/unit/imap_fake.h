/* An IMAP server that plays a script, and an account that speaks with it.
 *
 * A script is lines, played in their order, one script to a connection:
 *   S: TEXT     sends TEXT and CRLF
 *   R: TEXT     sends TEXT as it is; \r \n \0 \xHH and \\ are octets
 *   C: TEXT     the client must send this line now; with a final ~ it need only begin so
 *   L: N        the client must send N octets now, whatever they are
 *   X:          closes the connection
 * After the last line what the client still says is read until it hangs up; a line beside LOGOUT is a failure. Tags are m1, m2, … on each connection.
 */
#ifndef UNIT_IMAP_FAKE_H
#define UNIT_IMAP_FAKE_H

#include "engine/remote/imap/imap_remote.h"

struct imap_fake;

#define IMAP_FAKE_CAPABLE                                                                                             \
	"IMAP4rev1 ENABLE QRESYNC UIDPLUS MOVE MULTIAPPEND LITERAL+ ESEARCH LIST-STATUS SPECIAL-USE UNSELECT BINARY " \
	"NOTIFY IDLE"
/* Logs in on a server of the kind of Dovecot that can all that; the next tag is m3. */
#define IMAP_FAKE_LOGIN(capabilities)                     \
	"S: * OK [CAPABILITY IMAP4rev1] Dovecot ready.\n" \
	"C: m1 LOGIN \"u\" \"p\"\n"                       \
	"S: m1 OK [CAPABILITY " capabilities "] in\n"
#define IMAP_FAKE_IN IMAP_FAKE_LOGIN(IMAP_FAKE_CAPABLE)
/* Comes with the first command. */
#define IMAP_FAKE_ENABLE "C: m2 ENABLE QRESYNC\nS: * ENABLED QRESYNC\nS: m2 OK\n"
/* What SELECT tells. */
#define IMAP_FAKE_SELECTED(exists, uidvalidity, uidnext, modseq) \
	"S: * FLAGS (\\Seen \\Deleted)\n"                        \
	"S: * OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] x\n"    \
	"S: * " exists " EXISTS\n"                               \
	"S: * OK [UIDVALIDITY " uidvalidity "] x\n"              \
	"S: * OK [UIDNEXT " uidnext "] x\n"                      \
	"S: * OK [HIGHESTMODSEQ " modseq "] x\n"

/* Starts it with scripts for the first connections. */
struct imap_fake *imap_fake_start(const char *first, const char *second_or_null);
/* Ends it; fails the test where a script was not played to its end as it is written. */
void imap_fake_end(struct imap_fake **fake);

/* An account on it, user "u" with the password "p" or what the settings say. The settings' host and port are set here. */
struct remote *imap_fake_remote(struct imap_fake *fake, struct imap_settings *settings);
/* Opens a session; fails the test where it cannot. */
struct remote_session *imap_fake_open(struct imap_fake *fake, struct remote *remote);
struct io *imap_fake_io(struct imap_fake *fake);
struct io_dir *imap_fake_spools(struct imap_fake *fake);
/* How often a secret was asked for, and with again = true. */
unsigned imap_fake_secrets(const struct imap_fake *fake, unsigned *out_again);

#endif
