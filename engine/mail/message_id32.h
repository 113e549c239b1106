/* The ID in a file name: a message's number in base 32, five digits or more (design 5, Names).
 *
 * The digits are `0123456789_bcdfghjklmnpqrstvwxyz`: no vowels, so no words, one case, so that file systems without case keep them apart,
 * and in ASCII order, so that IDs of one length sort as their numbers do. Each number has one spelling.
 */
#ifndef MAIL_MESSAGE_ID32_H
#define MAIL_MESSAGE_ID32_H

#include "engine/base/buf.h"
#include "engine/mail/ids.h"

#define MESSAGE_ID32_MIN 5
#define MESSAGE_ID32_MAX 13

/* Appends the ID of a number that is not 0. */
void number_to_id(struct number number, struct buf *out);
/* Reads an ID in its one spelling; false for anything else, and for 0. */
bool number_from_id(struct slice id, struct number *out);
/* Reads the ID of a name that ends in `.ID.eml`; false if it has none. */
bool number_from_name(struct slice file_name, struct number *out);

#endif
