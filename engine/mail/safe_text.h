/* Text from outside made fit to show in one line, and fit to be part of a file name (design 5, Names).
 *
 * What comes out is valid UTF-8 in NFC: octets that are no UTF-8 become U+FFFD; line ends and other white space become one space each run;
 * control characters, bidi marks, and invisible code points that change how their neighbours look are dropped.
 * Total: every input has an output. Printable ASCII takes a short way without Unicode tables.
 */
#ifndef MAIL_SAFE_TEXT_H
#define MAIL_SAFE_TEXT_H

#include "engine/base/buf.h"
#include "engine/base/slice.h"

/* Appends the text as one line of at most `max` octets, trimmed. */
void safe_text_line(struct slice text, size_t max, struct buf *out);
/* Appends the text as part of a file name, of at most `max` octets: as a line, without `/`, with `\ : * ? " < > |` made spaces, without
 * leading dots, dashes and spaces, and without trailing dots and spaces. May append nothing. */
void safe_text_name(struct slice text, size_t max, struct buf *out);
/* The longest prefix of valid UTF-8 that is at most `max` octets and ends between graphemes; between code points where one grapheme alone
 * is longer. */
size_t safe_text_cut(struct slice utf8, size_t max);
/* Tells whether all octets are printable ASCII (32..126). */
bool safe_text_is_plain(struct slice text);
/* Tells whether the octets are UTF-8 (RFC 3629: shortest forms, no surrogates). */
bool safe_text_is_utf8(struct slice text);

#endif
