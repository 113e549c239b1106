/* What is told of an account: its state, its queues, what failed and why, what is held, what is local only (design 3, status); and how
 * results and states travel between processes (control.h).
 */
#ifndef ENGINE_STATUS_H
#define ENGINE_STATUS_H

#include "engine/account.h"
#include "engine/admin.h"

/* The state of the account's driving process: ours, or asked for over its socket; STOPPED where none drives. *out_here: it is ours. */
struct account_condition status_condition(struct account *account, bool *out_here);

void status_put_condition(struct buf *frame, const struct account_condition *condition);
bool status_get_condition(struct slice frame, struct account_condition *out);
void status_put_result(struct buf *frame, const struct admin_sync_result *result);
void status_get_result(struct slice frame, struct admin_sync_result *out);

#endif
