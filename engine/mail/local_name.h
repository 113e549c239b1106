/* Names of files that are never mail, whatever they hold (design 5, Writing): a leading dot, a trailing ~, 4913, #x#. Pure. */
#ifndef MAIL_LOCAL_NAME_H
#define MAIL_LOCAL_NAME_H

#include <stdbool.h>

#include "engine/base/slice.h"

/* Tells whether a file of this name is local. The empty name is. */
bool local_name_is(struct slice name);

#endif
