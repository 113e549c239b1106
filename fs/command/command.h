/* The commands. Each is command_NAME in command_NAME.c: it does what design 3 says of it, tells of failures on stderr, and gives the exit
 * status. Confirm and revert are in command_held.c, version in command_help.c.
 */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "fs/command/exit_status.h"
#include "fs/options.h"

enum exit_status command_mount(const struct options *options);
enum exit_status command_unmount(const struct options *options);
enum exit_status command_sync(const struct options *options);
enum exit_status command_daemon(const struct options *options);
enum exit_status command_status(const struct options *options);
enum exit_status command_wait(const struct options *options);
enum exit_status command_held(const struct options *options);
enum exit_status command_confirm(const struct options *options);
enum exit_status command_revert(const struct options *options);
enum exit_status command_flag(const struct options *options);
enum exit_status command_check(const struct options *options);
enum exit_status command_init(const struct options *options);
enum exit_status command_demo(const struct options *options);
enum exit_status command_help(const struct options *options);
enum exit_status command_version(const struct options *options);

#endif
