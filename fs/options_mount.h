/* The words of `-o`: what mount(8), fstab and a person may write there (design 3). */
#ifndef FS_OPTIONS_MOUNT_H
#define FS_OPTIONS_MOUNT_H

#include "fs/options.h"

/* Takes one value of -o, a list. ERROR_INVALID names the word. */
bool options_mount_take(struct options *options, const char *list, struct error *err) MUST_CHECK;

#endif
