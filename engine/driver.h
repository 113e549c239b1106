/* The driver: which of several processes drives an account (S9). The one that holds the lock of octet 0 in locks/driver has the standing
 * connections, syncs unasked and answers on the socket `control`; the others stand by and take over when it ends.
 */
#ifndef ENGINE_DRIVER_H
#define ENGINE_DRIVER_H

#include <stdbool.h>

#include "engine/base/error.h"

struct account;
struct driver;

struct driver *driver_create(struct account *account);
void driver_destroy(struct driver **driver);
/* Starts the thread that waits for the lock, and drives. */
bool driver_start(struct driver *driver, struct error *err) MUST_CHECK;
/* Ends it with all it started, after account->stop was raised. */
void driver_stop(struct driver *driver);
/* This process drives the account now. */
bool driver_drives(struct driver *driver);

#endif
