#include "fs/options.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "engine/config.h"
#include "fs/command/nearest.h"
#include "fs/options_mount.h"

#define ON(command)     (1u << COMMAND_##command)
#define ON_ALL          ((1u << COMMAND_COUNT) - 1)
#define TIMEOUT_S_MAX   (366u * 24 * 3600)
#define LOCK_TIMEOUT_MS 30000

struct command_form {
	const char *name;
	const char *usage;
	size_t arguments_min, arguments_max;
	const char *wants; /* said when there are too few or too many */
};

#define ANY_NUMBER ((size_t)-1)

static const struct command_form forms[] = {
	[COMMAND_MOUNT] = {"mount", "[ACCOUNT] DIR [-o OPTIONS] [-f]", 1, 2,
		"a directory, or an account and a directory"},
	[COMMAND_UNMOUNT] = {"unmount", "DIR", 1, 1, "the directory of a mount"},
	[COMMAND_SYNC] = {"sync",
		"[ACCOUNT [MAILBOX...]] [--full] [--dry-run] [--direction both|pull|push] [--lock-timeout S] [--json] "
		"[-q|-v]",
		0, ANY_NUMBER, ""},
	[COMMAND_DAEMON] = {"daemon", "[ACCOUNT...]", 0, ANY_NUMBER, ""},
	[COMMAND_STATUS] = {"status", "[ACCOUNT] [--json]", 0, 1, "one account, or none for all"},
	[COMMAND_WAIT] = {"wait", "[ACCOUNT|PATH] [--uploaded] [--downloaded] [--timeout S]", 0, 1,
		"one account or path, or none for all accounts"},
	[COMMAND_HELD] = {"held", "[ACCOUNT] [--json]", 0, 1, "one account, or none for all"},
	[COMMAND_CONFIRM] = {"confirm", "[ACCOUNT] HOLD", 1, 2, "the number of a hold, as `mailfs held` lists it"},
	[COMMAND_REVERT] = {"revert", "[ACCOUNT] HOLD", 1, 2, "the number of a hold, as `mailfs held` lists it"},
	[COMMAND_FLAG] = {"flag", "[+FLAG|-FLAG...] PATH...", 1, ANY_NUMBER,
		"the path of a message or mailbox in a mount"},
	[COMMAND_CHECK] = {"check", "[ACCOUNT] [--offline] [--json]", 0, 1, "one account, or none for all"},
	[COMMAND_INIT] = {"init", "ADDRESS [--server URL] [--user U] [--password-command C]", 1, 1, "one mail address"},
	[COMMAND_DEMO] = {"demo", "DIR", 1, 1, "an empty directory"},
	[COMMAND_HELP] = {"help", "[COMMAND]", 0, 1, "one command, or none for the list"},
	[COMMAND_VERSION] = {"version", "", 0, 0, "no argument"},
};
static_assert(ARRAY_LENGTH(forms) == COMMAND_COUNT, "a command without its form");

enum letter { /* long options without a letter */
	LONG_FULL = 256,
	LONG_DRY_RUN,
	LONG_DIRECTION,
	LONG_LOCK_TIMEOUT,
	LONG_JSON,
	LONG_UPLOADED,
	LONG_DOWNLOADED,
	LONG_TIMEOUT,
	LONG_OFFLINE,
	LONG_SERVER,
	LONG_USER,
	LONG_PASSWORD_COMMAND,
	LONG_CONFIG,
};

static const struct {
	struct option option;
	unsigned commands; /* that take it */
} longs[] = {
	{{"config", required_argument, NULL, LONG_CONFIG}, ON_ALL},
	{{"help", no_argument, NULL, 'h'}, ON_ALL},
	{{"version", no_argument, NULL, 'V'}, ON_ALL},
	{{"options", required_argument, NULL, 'o'}, ON_ALL},
	{{"verbose", no_argument, NULL, 'v'}, ON_ALL},
	{{"quiet", no_argument, NULL, 'q'}, ON_ALL},
	{{"foreground", no_argument, NULL, 'f'}, ON(MOUNT)},
	{{"full", no_argument, NULL, LONG_FULL}, ON(SYNC)},
	{{"dry-run", no_argument, NULL, LONG_DRY_RUN}, ON(SYNC)},
	{{"direction", required_argument, NULL, LONG_DIRECTION}, ON(SYNC)},
	{{"lock-timeout", required_argument, NULL, LONG_LOCK_TIMEOUT}, ON(SYNC)},
	{{"json", no_argument, NULL, LONG_JSON}, ON(SYNC) | ON(STATUS) | ON(HELD) | ON(CHECK)},
	{{"uploaded", no_argument, NULL, LONG_UPLOADED}, ON(WAIT)},
	{{"downloaded", no_argument, NULL, LONG_DOWNLOADED}, ON(WAIT)},
	{{"timeout", required_argument, NULL, LONG_TIMEOUT}, ON(WAIT)},
	{{"offline", no_argument, NULL, LONG_OFFLINE}, ON(CHECK)},
	{{"server", required_argument, NULL, LONG_SERVER}, ON(INIT)},
	{{"user", required_argument, NULL, LONG_USER}, ON(INIT)},
	{{"password-command", required_argument, NULL, LONG_PASSWORD_COMMAND}, ON(INIT)},
};

/* What the parser goes by: the command so far, and the words that getopt_long may meet. */
struct parse {
	struct options *options;
	bool command_known;
	bool help, version;
	struct option table[ARRAY_LENGTH(longs) + 1];
	const char *letters;
};

static const char *
self(const struct parse *parse)
{
	return parse->command_known ? forms[parse->options->command].name : NULL;
}

static bool
usage_error(const struct parse *parse, struct error *err, const char *what, const char *word, const char *why)
{
	const char *name = self(parse);

	error_set(err, ERROR_INVALID, "%s '%s'%s", what, word, why);
	if (strchr(why, '?') == NULL) { /* else it says what to do already */
		struct error said = *err;

		error_set(err, ERROR_INVALID, "%s: see `mailfs help%s%s`", said.text, name != NULL ? " " : "",
			name != NULL ? name : "");
	}
	return name != NULL ? error_wrap(err, "%s", name) : false;
}

/* getopt_long met an option that it does not know, that another command takes, or that lacks its value. */
static bool
option_error(const struct parse *parse, const char *word, struct error *err)
{
	const char *names[ARRAY_LENGTH(longs)];
	size_t count = 0;
	char written[NEAREST_LENGTH_MAX];
	size_t length = strcspn(word, "=");

	if (strncmp(word, "--", 2) != 0 || length >= sizeof(written)) {
		return usage_error(parse, err, "there is no option", word, "");
	}
	snprintf(written, sizeof(written), "%.*s", (int)(length - 2), word + 2);
	for (size_t i = 0; i < ARRAY_LENGTH(longs); i++) {
		if (strcmp(longs[i].option.name, written) == 0) {
			const char *why = parse->command_known ? ", which belongs to another command"
							       : ", which comes after the command";

			return usage_error(parse, err, "no place for the option", word, why);
		}
	}
	for (const struct option *option = parse->table; option->name != NULL; option++) {
		names[count++] = option->name;
	}

	const char *nearest = nearest_name(written, names, count);

	if (nearest != NULL) {
		char why[NEAREST_LENGTH_MAX + 32];

		snprintf(why, sizeof(why), ", did you mean '--%s'?", nearest);
		return usage_error(parse, err, "there is no option", word, why);
	}
	return usage_error(parse, err, "there is no option", word, "");
}

static bool
read_seconds(const struct parse *parse, const char *option, const char *word, int64_t *out_ms, struct error *err)
{
	uint32_t seconds;

	if (!slice_to_u32(slice_of(word), &seconds) || seconds > TIMEOUT_S_MAX) {
		return error_set(err, ERROR_INVALID, "%s: %s wants seconds, a whole number up to a year's, not '%s'",
			self(parse), option, word);
	}
	*out_ms = (int64_t)seconds * 1000;
	return true;
}

static bool
read_direction(const char *word, int *out, struct error *err)
{
	static const char *const names[] = {[CONFIG_BOTH] = "both", [CONFIG_PULL] = "pull", [CONFIG_PUSH] = "push"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (strcmp(word, names[i]) == 0) {
			*out = (int)i;
			return true;
		}
	}
	return error_set(err, ERROR_INVALID, "sync: --direction wants both, pull or push, not '%s'", word);
}

/* Takes one option that getopt_long found. */
static bool
take_option(struct parse *parse, int letter, const char *value, struct error *err)
{
	struct options *options = parse->options;

	switch (letter) {
	case LONG_CONFIG:
		options->config_path = value;
		return true;
	case 'o':
		return options_mount_take(options, value, err);
	case 'h':
		parse->help = true;
		return true;
	case 'V':
		parse->version = true;
		return true;
	case 'v':
		options->verbose++;
		return true;
	case 'q':
		options->quiet = true;
		return true;
	case 'f':
		options->foreground = true;
		return true;
	case LONG_FULL:
		options->full = true;
		return true;
	case LONG_DRY_RUN:
		options->dry_run = true;
		return true;
	case LONG_DIRECTION:
		return read_direction(value, &options->direction, err);
	case LONG_LOCK_TIMEOUT:
		return read_seconds(parse, "--lock-timeout", value, &options->lock_timeout_ms, err);
	case LONG_JSON:
		options->json = true;
		return true;
	case LONG_UPLOADED:
		options->uploaded = true;
		return true;
	case LONG_DOWNLOADED:
		options->downloaded = true;
		return true;
	case LONG_TIMEOUT:
		return read_seconds(parse, "--timeout", value, &options->timeout_ms, err);
	case LONG_OFFLINE:
		options->offline = true;
		return true;
	case LONG_SERVER:
		options->server = value;
		return true;
	case LONG_USER:
		options->user = value;
		return true;
	case LONG_PASSWORD_COMMAND:
		options->password_command = value;
		return true;
	default:
		assert(0 && "an option without its case");
		return false;
	}
}

/* The options that may stand here: before the command the global ones, after it its own as well. */
static void
fill_table(struct parse *parse)
{
	size_t count = 0;
	unsigned here = parse->command_known ? 1u << parse->options->command : ON_ALL;

	for (size_t i = 0; i < ARRAY_LENGTH(longs); i++) {
		if (parse->command_known ? (longs[i].commands & here) != 0 : longs[i].commands == ON_ALL) {
			parse->table[count++] = longs[i].option;
		}
	}
	parse->table[count] = (struct option){0};
}

/* Runs getopt_long over words[0..count), words[0] being passed over; it moves arguments behind options unless told to stop at the first. Gives
 * the place of the first argument. */
static bool
take_options(struct parse *parse, int count, char **words, int *out_first, struct error *err)
{
	char letters[16];
	bool foreground = parse->command_known && parse->options->command == COMMAND_MOUNT;

	snprintf(letters, sizeof(letters), "%s:o:hVvq%s", parse->command_known ? "" : "+", foreground ? "f" : "");
	fill_table(parse);
	opterr = 0;
	optind = 0; /* glibc: begin anew */
	for (;;) {
		int at = optind == 0 ? 1 : optind;
		int letter = getopt_long(count, words, letters, parse->table, NULL);

		if (letter == -1) {
			break;
		}
		if (letter == ':') {
			return usage_error(parse, err, "a value is missing after", words[optind - 1], "");
		}
		if (letter == '?') {
			char short_option[3] = {'-', (char)optopt, '\0'};
			bool is_short = optopt > 0 && optopt < LONG_FULL && strncmp(words[optind - 1], "--", 2) != 0;

			/* In the middle of a bundle optind has not moved yet. */
			return option_error(parse, is_short ? short_option : words[optind > at ? optind - 1 : at], err);
		}
		if (!take_option(parse, letter, optarg, err)) {
			return false;
		}
	}
	*out_first = optind;
	return true;
}

/* `flag`: words like +seen and -flagged are no options. Moves them out of words, up to `--`. */
static void
take_changes(struct options *options, int *count, char **words)
{
	int kept = 1;

	for (int i = 1; i < *count; i++) {
		const char *word = words[i];
		bool change =
			word[0] == '+' || (word[0] == '-' && word[1] != '\0' && word[1] != '-' && word[2] != '\0');

		if (strcmp(word, "--") == 0) {
			memmove(&words[kept], &words[i], (size_t)(*count - i) * sizeof(words[0]));
			kept += *count - i;
			break;
		}
		if (change) {
			options_words_add(options, &options->changes, word);
			continue;
		}
		words[kept++] = words[i];
		if ((strcmp(word, "-o") == 0 || strcmp(word, "--config") == 0) && i + 1 < *count) {
			words[kept++] = words[++i];
		}
	}
	*count = kept;
}

/* Finds which command the first argument names. What is none is an account to mount when one more argument follows. */
static bool
find_command(struct parse *parse, int count, char **words, int first, struct error *err)
{
	if (first >= count) {
		return error_set(err, ERROR_INVALID, "no command: see `mailfs help`");
	}
	parse->options->command = options_command_of(words[first]);
	if (parse->options->command != COMMAND_COUNT) {
		parse->command_known = true;
		return true;
	}

	if (first + 1 < count) {
		parse->options->command = COMMAND_MOUNT;
		parse->options->implied = true;
		parse->command_known = true;
		return true;
	}

	const char *nearest = options_nearest_command(words[first]);

	if (nearest != NULL) {
		return error_set(
			err, ERROR_INVALID, "there is no command '%s', did you mean '%s'?", words[first], nearest);
	}
	return error_set(err, ERROR_INVALID, "there is no command '%s': see `mailfs help`", words[first]);
}

static bool
check_arguments(const struct parse *parse, struct error *err)
{
	const struct options *options = parse->options;
	const struct command_form *form = &forms[options->command];
	size_t count = options->arguments.count;

	if (count < form->arguments_min || count > form->arguments_max) {
		return error_set(err, ERROR_INVALID, "%s: it wants %s: mailfs %s %s", form->name, form->wants,
			form->name, form->usage);
	}
	if (options->command != COMMAND_MOUNT && options->mount_word != NULL) {
		return error_set(err, ERROR_INVALID,
			"%s: '-o %s' is an option of mount; others have the form -o ACCOUNT.KEY=VALUE", form->name,
			options->mount_word);
	}
	if (options->quiet && options->verbose > 0) {
		return error_set(err, ERROR_INVALID, "%s: -q and -v cannot both be", form->name);
	}
	return true;
}

/* Takes what follows the command. words[0] is the command's name, or what stands before an account. */
static bool
take_rest(struct parse *parse, int count, char **words, struct error *err)
{
	struct options *options = parse->options;
	int first;

	if (options->command == COMMAND_FLAG) {
		take_changes(options, &count, words);
	}
	if (!take_options(parse, count, words, &first, err)) {
		return false;
	}
	if (parse->help) {
		options_words_add(options, &options->arguments, forms[options->command].name);
		options->command = COMMAND_HELP;
		return true;
	}
	if (parse->version) {
		options->command = COMMAND_VERSION;
		return true;
	}
	for (int i = first; i < count; i++) {
		options_words_add(options, &options->arguments, words[i]);
	}
	return check_arguments(parse, err);
}

bool
options_parse(int argc, char *const *argv, struct options *out, struct error *err)
{
	struct parse parse = {.options = out};
	int first;

	*out = (struct options){
		.command = COMMAND_HELP, .direction = -1, .lock_timeout_ms = LOCK_TIMEOUT_MS, .timeout_ms = -1};

	char **words =
		arena_alloc(&out->arena, ((size_t)argc + 2) * sizeof(words[0])); /* getopt_long changes their order */

	memcpy(words, argv, (size_t)argc * sizeof(words[0]));
	if (!take_options(&parse, argc, words, &first, err)) {
		return false;
	}
	if (parse.version || parse.help) {
		out->command = parse.version ? COMMAND_VERSION : COMMAND_HELP;
		if (parse.help && first < argc && options_command_of(words[first]) != COMMAND_COUNT) {
			options_words_add(out, &out->arguments, words[first]);
		}
		return true;
	}
	if (!find_command(&parse, argc, words, first, err)) {
		return false;
	}
	if (out->implied) {
		first--; /* nothing names the command */
	}
	return take_rest(&parse, argc - first, words + first, err);
}

void
options_words_add(struct options *options, struct options_words *words, const char *word)
{
	if (words->count == words->capacity) {
		size_t capacity = words->capacity == 0 ? 8 : words->capacity * 2;
		const char **items = arena_alloc(&options->arena, capacity * sizeof(items[0]));

		if (words->count > 0) {
			memcpy(items, words->items, words->count * sizeof(items[0]));
		}
		words->items = items;
		words->capacity = capacity;
	}
	words->items[words->count++] = word;
}

void
options_finish(struct options *options)
{
	arena_finish(&options->arena);
	*options = (struct options){.command = COMMAND_HELP};
}

const char *
options_command_name(enum command command)
{
	assert(command < COMMAND_COUNT);
	return forms[command].name;
}

const char *
options_command_usage(enum command command)
{
	assert(command < COMMAND_COUNT);
	return forms[command].usage;
}

enum command
options_command_of(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(forms[i].name, name) == 0) {
			return (enum command)i;
		}
	}
	/* What umount(8) taught fingers to write. */
	return strcmp(name, "umount") == 0 ? COMMAND_UNMOUNT : COMMAND_COUNT;
}

const char *
options_nearest_command(const char *word)
{
	const char *names[COMMAND_COUNT];

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		names[i] = forms[i].name;
	}
	return nearest_name(word, names, COMMAND_COUNT);
}
