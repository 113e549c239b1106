/* The operations table: each unpacks a request, calls, and replies. */
#ifndef FS_OPERATIONS_H
#define FS_OPERATIONS_H

#include "fs/reply.h"

/* For fuse_session_new; the session's user data is the struct mount. */
const struct fuse_lowlevel_ops *operations_get(void);
size_t operations_size(void);

#endif
