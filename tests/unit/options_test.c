#include "fs/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The words after "mailfs", up to NULL. */
#define WORDS(...) ((const char *[]){"mailfs", __VA_ARGS__, NULL})

static bool
parse(const char *const *words, struct options *out, struct error *err)
{
	int count = 0;

	while (words[count] != NULL) {
		count++;
	}
	return options_parse(count, (char *const *)words, out, err);
}

static void
accept(const char *const *words, struct options *out)
{
	struct error err = ERROR_INIT;

	if (!parse(words, out, &err)) {
		fail_msg("refused: %s", err.text);
	}
}

/* Refused, with a sentence that holds `part`. */
static void
refuse(const char *const *words, const char *part)
{
	struct options options;
	struct error err = ERROR_INIT;

	if (parse(words, &options, &err)) {
		fail_msg("accepted, though it should say: %s", part);
	}
	assert_int_equal(err.kind, ERROR_INVALID);
	if (strstr(err.text, part) == NULL) {
		fail_msg("'%s' does not say '%s'", err.text, part);
	}
	options_finish(&options);
}

static void
a_directory_alone_mounts_every_account(void **state)
{
	struct options options;

	accept(WORDS("mount", "/mnt"), &options);
	assert_int_equal(options.command, COMMAND_MOUNT);
	assert_int_equal(options.arguments.count, 1);
	assert_string_equal(options.arguments.items[0], "/mnt");
	assert_false(options.implied);
	options_finish(&options);
}

static void
options_stand_before_between_and_after_arguments(void **state)
{
	struct options options;

	accept(WORDS("--config", "file", "-v", "sync", "--full", "home", "-o", "home.trash=none", "Work",
		       "--direction=pull", "--lock-timeout", "0", "--json"),
		&options);
	assert_int_equal(options.command, COMMAND_SYNC);
	assert_string_equal(options.config_path, "file");
	assert_int_equal(options.verbose, 1);
	assert_true(options.full);
	assert_true(options.json);
	assert_false(options.dry_run);
	assert_int_equal(options.direction, 1);
	assert_int_equal(options.lock_timeout_ms, 0);
	assert_int_equal(options.arguments.count, 2);
	assert_string_equal(options.arguments.items[0], "home");
	assert_string_equal(options.arguments.items[1], "Work");
	assert_int_equal(options.overrides.count, 1);
	assert_string_equal(options.overrides.items[0], "home.trash=none");
	options_finish(&options);
}

static void
what_is_not_said_has_its_default(void **state)
{
	struct options options;

	accept(WORDS("sync"), &options);
	assert_int_equal(options.arguments.count, 0);
	assert_null(options.config_path);
	assert_int_equal(options.direction, -1);
	assert_int_equal(options.lock_timeout_ms, 30000);
	assert_int_equal(options.timeout_ms, -1);
	options_finish(&options);
}

static void
mount_8_names_an_account_and_a_directory(void **state)
{
	struct options options;

	accept(WORDS("home", "/mnt", "-o",
		       "rw,noatime,nofail,_netdev,x-systemd.device-timeout=5,user=me,dev,suid,max_read=65536"),
		&options);
	assert_int_equal(options.command, COMMAND_MOUNT);
	assert_true(options.implied);
	assert_int_equal(options.arguments.count, 2);
	assert_string_equal(options.arguments.items[0], "home");
	assert_string_equal(options.arguments.items[1], "/mnt");
	assert_true(options.mount.nofail);
	assert_false(options.mount.read_only);
	assert_int_equal(options.mount.fuse.count, 2);
	assert_string_equal(options.mount.fuse.items[0], "noatime");
	assert_string_equal(options.mount.fuse.items[1], "max_read=65536");
	assert_int_equal(options.overrides.count, 0);
	options_finish(&options);
	accept(WORDS("-o", "ro", "home", "/mnt"), &options);
	assert_int_equal(options.command, COMMAND_MOUNT);
	assert_true(options.mount.read_only);
	options_finish(&options);
}

static void
mount_takes_its_own_options(void **state)
{
	struct options options;

	accept(WORDS("mount", "-f", "home", "/mnt", "-o", "ro,view=mail,nosync,xattrs,allow_other,setuid=nobody", "-o",
		       "uid=7,gid=8,umask=027,config=/etc/c"),
		&options);
	assert_true(options.foreground);
	assert_true(options.mount.read_only);
	assert_true(options.mount.nosync);
	assert_true(options.mount.xattrs);
	assert_true(options.mount.allow_other);
	assert_false(options.mount.maildir);
	assert_string_equal(options.mount.setuid_user, "nobody");
	assert_true(options.mount.has_uid && options.mount.uid == 7);
	assert_true(options.mount.has_gid && options.mount.gid == 8);
	assert_true(options.mount.has_umask && options.mount.umask == 027);
	assert_string_equal(options.config_path, "/etc/c");
	options_finish(&options);
	accept(WORDS("mount", "home", "/mnt", "-o", "view=maildir"), &options);
	assert_true(options.mount.maildir);
	options_finish(&options);
}

static void
a_backslash_keeps_a_comma(void **state)
{
	struct options options;

	accept(WORDS("mount", "/mnt", "-o", "home.password-command=echo a\\,b\\\\n\\t,ro"), &options);
	assert_int_equal(options.overrides.count, 1);
	assert_string_equal(options.overrides.items[0], "home.password-command=echo a,b\\n\\t");
	assert_true(options.mount.read_only);
	options_finish(&options);
}

static void
what_flag_sets_is_no_option(void **state)
{
	struct options options;

	accept(WORDS("flag", "+seen", "-flagged", "-o", "home.trash=none", "+Junk", "a.eml", "--", "-b.eml"), &options);
	assert_int_equal(options.changes.count, 3);
	assert_string_equal(options.changes.items[0], "+seen");
	assert_string_equal(options.changes.items[1], "-flagged");
	assert_string_equal(options.changes.items[2], "+Junk");
	assert_int_equal(options.arguments.count, 2);
	assert_string_equal(options.arguments.items[0], "a.eml");
	assert_string_equal(options.arguments.items[1], "-b.eml");
	assert_int_equal(options.overrides.count, 1);
	options_finish(&options);
	refuse(WORDS("flag", "+seen"), "flag: it wants the path of a message");
}

static void
wait_reads_its_time_in_seconds(void **state)
{
	struct options options;

	accept(WORDS("wait", "--uploaded", "--timeout", "90"), &options);
	assert_true(options.uploaded);
	assert_false(options.downloaded);
	assert_int_equal(options.timeout_ms, 90000);
	options_finish(&options);
	refuse(WORDS("wait", "--timeout", "1h"), "whole number");
	refuse(WORDS("wait", "--timeout", "4294967295"), "whole number");
	refuse(WORDS("wait", "--timeout"), "a value is missing after '--timeout'");
}

static void
help_and_version_are_asked_for_in_any_way(void **state)
{
	struct options options;

	accept(WORDS("--version"), &options);
	assert_int_equal(options.command, COMMAND_VERSION);
	options_finish(&options);
	accept(WORDS("--help"), &options);
	assert_int_equal(options.command, COMMAND_HELP);
	assert_int_equal(options.arguments.count, 0);
	options_finish(&options);
	accept(WORDS("sync", "--help"), &options);
	assert_int_equal(options.command, COMMAND_HELP);
	assert_string_equal(options.arguments.items[0], "sync");
	options_finish(&options);
	accept(WORDS("--help", "sync"), &options);
	assert_int_equal(options.command, COMMAND_HELP);
	assert_string_equal(options.arguments.items[0], "sync");
	options_finish(&options);
	accept(WORDS("help", "sync"), &options);
	assert_int_equal(options.command, COMMAND_HELP);
	assert_string_equal(options.arguments.items[0], "sync");
	options_finish(&options);
}

static void
a_misspelled_word_is_answered_with_the_nearest(void **state)
{
	refuse(WORDS("statsu"), "did you mean 'status'?");
	refuse(WORDS("xyzzy"), "there is no command 'xyzzy'");
	refuse(WORDS("sync", "--dryrun"), "did you mean '--dry-run'?");
	refuse(WORDS("sync", "--mailboxes-of-nobody"), "there is no option '--mailboxes-of-nobody'");
	refuse(WORDS("mount", "/mnt", "-o", "nosnyc"), "did you mean 'nosync'?");
	refuse(WORDS("mount", "/mnt", "-o", "qwertyuiop"), "-o qwertyuiop");
}

static void
an_option_out_of_place_is_refused(void **state)
{
	refuse(WORDS("status", "--full"), "status: no place for the option '--full', which belongs to another command");
	refuse(WORDS("--full", "sync"), "which comes after the command");
	refuse(WORDS("status", "-x"), "status: there is no option '-x'");
	refuse(WORDS("status", "-vx"), "status: there is no option '-x'");
	refuse(WORDS("sync", "-f"), "sync: there is no option '-f'");
	refuse(WORDS("sync", "-q", "-v"), "-q and -v");
	refuse(WORDS("sync", "-o", "ro"), "sync: '-o ro' is an option of mount");
	refuse(WORDS("sync", "--direction", "up"), "both, pull or push");
	refuse(WORDS("mount", "/mnt", "-o", "view=parts"), "view=parts");
	refuse(WORDS("mount", "/mnt", "-o", "umask=9"), "octal");
	refuse(WORDS("mount", "/mnt", "-o", "umask=01000"), "octal");
	refuse(WORDS("mount", "/mnt", "-o", "uid=-1"), "wants a number");
	refuse(WORDS("mount", "/mnt", "-o", "uid=4294967295"), "wants a number");
	refuse(WORDS("mount", "/mnt", "-o", "setuid"), "wants a value");
	refuse(WORDS("mount", "/mnt", "-o", "ro=1"), "takes no value");
}

static void
a_wrong_number_of_arguments_is_refused(void **state)
{
	refuse((const char *[]){"mailfs", NULL}, "no command");
	refuse(WORDS("-v"), "no command");
	refuse(WORDS("mount"), "mount: it wants a directory");
	refuse(WORDS("mount", "a", "b", "c"), "mount: it wants a directory");
	refuse(WORDS("confirm"), "confirm: it wants the number of a hold");
	refuse(WORDS("init"), "init: it wants one mail address");
	refuse(WORDS("version", "x"), "version: it wants no argument");
}

static void
a_command_is_never_an_account(void **state)
{
	struct options options;

	accept(WORDS("held", "home"), &options);
	assert_int_equal(options.command, COMMAND_HELD);
	options_finish(&options);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		assert_int_equal(options_command_of(options_command_name((enum command)i)), i);
	}
	assert_int_equal(options_command_of("umount"), COMMAND_UNMOUNT);
	assert_int_equal(options_command_of(""), COMMAND_COUNT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_directory_alone_mounts_every_account),
		cmocka_unit_test(options_stand_before_between_and_after_arguments),
		cmocka_unit_test(what_is_not_said_has_its_default),
		cmocka_unit_test(mount_8_names_an_account_and_a_directory),
		cmocka_unit_test(mount_takes_its_own_options),
		cmocka_unit_test(a_backslash_keeps_a_comma),
		cmocka_unit_test(what_flag_sets_is_no_option),
		cmocka_unit_test(wait_reads_its_time_in_seconds),
		cmocka_unit_test(help_and_version_are_asked_for_in_any_way),
		cmocka_unit_test(a_misspelled_word_is_answered_with_the_nearest),
		cmocka_unit_test(an_option_out_of_place_is_refused),
		cmocka_unit_test(a_wrong_number_of_arguments_is_refused),
		cmocka_unit_test(a_command_is_never_an_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
