#include "engine/remote/imap/imap_effects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/remote/imap/imap_items.h"
#include "engine/remote/imap/imap_refusal.h"
#include "engine/remote/imap/imap_selection.h"

#define SET_OCTETS (IMAP_COMMAND_OCTETS - 2200) /* leaves room for a name or for flags */

static const struct flags deleted = {.bits = FLAG_DELETED};

void
imap_effect_answer(struct imap_effect *effect, const struct imap_response *answer, const char *what)
{
	if (answer->status == IMAP_OK) {
		effect->fine++;
	} else if (!effect->refused) {
		effect->refused = true;
		imap_refusal(answer, what, &effect->refusal);
	}
}

enum remote_outcome
imap_effect_outcome(const struct imap_effect *effect, const struct imap_session *session, bool over)
{
	if (effect->refused) {
		return REMOTE_REFUSED;
	}
	if (over) {
		return REMOTE_DONE;
	}
	return effect->sent > 0 && imap_session_sent(session, effect->first_mark) ? REMOTE_UNKNOWN : REMOTE_NOT_SENT;
}

/* How many messages one command may name: beyond its MESSAGELIMIT a server does a part and says OK (RFC 9738). */
static size_t
most_messages(const struct imap_session *session)
{
	return session->can.message_limit != 0 ? session->can.message_limit : SIZE_MAX;
}

/* Sends one of the commands of an effect. */
static bool
send_effect(struct imap_session *session, struct imap_effect *effect, const struct imap_command *command,
	const struct imap_asked *asked, struct error *err)
{
	uint64_t mark;
	bool first = effect->sent == 0, fine;

	if (first) {
		effect->first_mark = UINT64_MAX;
	}
	effect->sent++;
	fine = imap_session_send(session, command, asked, &mark, err);
	if (first && fine) {
		effect->first_mark = mark;
	}
	return fine;
}

/* Selects the mailbox an effect was decided for; one that may only be read is refused here. */
static bool
select_for_change(struct imap_session *session, const struct remote_target *target, struct error *err)
{
	if (!imap_selection_select(session, target->raw_name, target->uidvalidity, err)) {
		return false;
	}
	return !session->selection.is.read_only ||
	       error_set(err, ERROR_REFUSED, "the server lets this mailbox be read only");
}

/* --- STORE --- */

struct store {
	struct imap_session *session;
	struct imap_effect *effects; /* one to a group */
	struct uidset told;          /* that the server has said something of */
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err);
	void *context;
};

static bool
hear_store(void *context, const struct imap_response *response, struct error *err)
{
	struct store *store = context;
	const struct imap_fetched *fetched = &response->fetched;
	SCOPED(flags_finish) struct flags flags = FLAGS_INIT;

	if (response->kind != IMAP_RESPONSE_FETCH || fetched->uid == 0 || store->each == NULL) {
		return true;
	}
	uidset_add(&store->told, fetched->uid, fetched->uid);
	if (fetched->has_flags) {
		imap_words_flags(fetched->flags, &flags);
	}
	return store->each(store->context, fetched->uid, fetched->has_flags ? &flags : NULL, fetched->modseq, err);
}

static bool
store_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct store *store = context;

	(void)err;
	imap_effect_answer(&store->effects[cookie], answer, "STORE");
	return true;
}

static bool
send_store(struct store *store, size_t group, const struct uidset *uids, const char *verb, const struct flags *flags,
	const struct imap_listener *listener, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(uidset_finish) struct uidset part = UIDSET_INIT;
	const struct imap_asked asked = {
		.what = "STORE", .listener = listener, .done = store_done, .context = store, .cookie = group};
	uint32_t uid = 0;

	if (flags_empty(flags)) {
		return true;
	}
	while (imap_command_next_part(uids, &uid, most_messages(store->session), SET_OCTETS, &part)) {
		imap_command_begin(&command, imap_session_literals(store->session), "UID STORE ");
		imap_command_set(&command, &part);
		imap_command_text(&command, verb);
		imap_command_flags(&command, flags);
		if (command.failure.kind != ERROR_NONE) {
			store->effects[group].refused = true;
			store->effects[group].refusal = command.failure;
			return true;
		}
		if (!send_effect(store->session, &store->effects[group], &command, &asked, err)) {
			return false;
		}
	}
	return true;
}

static bool
send_groups(struct store *store, const struct remote_store *groups, size_t count, struct error *err)
{
	const struct imap_listener listener = {.context = store, .untagged = hear_store};
	/* With mod-sequences a silent one tells at least those (RFC 7162, 3.1.3). */
	bool silent = store->session->selection.is.highestmodseq > 0 || store->each == NULL;

	for (size_t i = 0; i < count; i++) {
		if (!send_store(store, i, &groups[i].uids, silent ? " +FLAGS.SILENT" : " +FLAGS", &groups[i].add,
			    &listener, err) ||
			!send_store(store, i, &groups[i].uids, silent ? " -FLAGS.SILENT" : " -FLAGS", &groups[i].remove,
				&listener, err)) {
			return false;
		}
	}
	return imap_session_settle(store->session, 0, err);
}

/* Asks for those that nothing was said of: they had the flags already, or are gone, which a server answers with OK as well. */
static bool
ask_untold(struct store *store, const struct remote_store *groups, size_t count, struct error *err)
{
	struct imap_session *session = store->session;
	SCOPED(uidset_finish) struct uidset untold = UIDSET_INIT, part = UIDSET_INIT;
	SCOPED(imap_command_finish) struct imap_command command = {0};
	const struct imap_listener listener = {.context = store, .untagged = hear_store};
	const struct imap_asked asked = {.what = "FETCH", .listener = &listener};
	unsigned items = IMAP_ITEMS_FLAGS | (session->selection.is.highestmodseq > 0 ? IMAP_ITEMS_MODSEQ : 0);

	for (size_t i = 0; i < count && store->each != NULL; i++) {
		for (uint32_t uid = 0; store->effects[i].fine > 0 && uidset_next(&groups[i].uids, &uid);) {
			if (!uidset_contains(&store->told, uid)) {
				uidset_add(&untold, uid, uid);
			}
		}
	}
	for (uint32_t uid = 0; imap_command_next_part(&untold, &uid, most_messages(session), SET_OCTETS, &part);) {
		imap_items_begin(session, &command);
		imap_command_set(&command, &part);
		imap_items_print(session, items, &command);
		if (!imap_session_send(session, &command, &asked, NULL, err)) {
			return false;
		}
	}
	return uidset_size(&untold) == 0 || imap_session_settle(session, 0, err);
}

bool
imap_effects_store(struct imap_session *session, const struct remote_target *target, struct remote_store *groups,
	size_t count,
	bool (*each)(
		void *context, uint32_t uid, const struct flags *flags_or_null, uint64_t modseq, struct error *err),
	void *context, struct error *err)
{
	struct store store = {.session = session, .each = each, .context = context};
	bool over;

	for (size_t i = 0; i < count; i++) {
		groups[i].outcome = REMOTE_NOT_SENT;
		error_clear(&groups[i].error);
	}
	if (!select_for_change(session, target, err)) {
		return false;
	}
	store.effects = calloc(count > 0 ? count : 1, sizeof *store.effects);
	if (store.effects == NULL) {
		abort();
	}
	over = send_groups(&store, groups, count, err) && ask_untold(&store, groups, count, err);
	for (size_t i = 0; i < count; i++) {
		groups[i].outcome = imap_effect_outcome(&store.effects[i], session, over);
		if (groups[i].outcome == REMOTE_REFUSED) {
			groups[i].error = store.effects[i].refusal;
		} else if (!over) {
			groups[i].error = *err;
		}
	}
	free(store.effects);
	uidset_finish(&store.told);
	return over;
}

/* --- COPY and MOVE --- */

struct copy {
	struct imap_session *session;
	const struct remote_target *to;
	struct remote_copy *items;
	size_t count;
	struct imap_effect effect; /* of the command at hand */
	bool told;                 /* it named what it copied */
	bool other;                /* the target has another UIDVALIDITY */
	uint32_t other_uidvalidity;
};

static struct remote_copy *
find_copy(struct copy *copy, uint32_t uid)
{
	size_t low = 0, high = copy->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (copy->items[middle].uid == uid) {
			return &copy->items[middle];
		}
		if (copy->items[middle].uid < uid) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return NULL;
}

/* Walks one list of UIDs in the order in which it stands. */
struct uid_walk {
	struct slice rest;
	struct uid_range range;
	bool in_range;
};

static bool
next_uid(struct uid_walk *walk, uint32_t *out)
{
	if (!walk->in_range && !imap_words_next_range(&walk->rest, &walk->range)) {
		return false;
	}
	*out = walk->range.first;
	walk->in_range = walk->range.first < walk->range.last;
	walk->range.first++;
	return true;
}

/* `38505 304,319:320 3956:3958` */
static void
hear_copyuid(struct copy *copy, struct slice arguments)
{
	struct slice validity = {0}, from = {0}, to = {0};
	struct uid_walk sources = {0}, targets = {0};
	uint32_t uidvalidity, source, target;

	if (!imap_words_next_word(&arguments, &validity) || !imap_words_next_word(&arguments, &from) ||
		!imap_words_next_word(&arguments, &to) || !slice_to_u32(validity, &uidvalidity)) {
		return;
	}
	copy->told = true;
	if (copy->to->uidvalidity != 0 && copy->to->uidvalidity != uidvalidity) {
		copy->other = true;
		copy->other_uidvalidity = uidvalidity;
		return;
	}
	sources.rest = from;
	targets.rest = to;
	for (size_t i = 0; i < copy->count && next_uid(&sources, &source) && next_uid(&targets, &target); i++) {
		struct remote_copy *item = find_copy(copy, source);

		if (item != NULL) {
			item->outcome = REMOTE_DONE;
			item->target = (struct remote_uid){.uidvalidity = uidvalidity, .uid = target};
		}
	}
}

static bool
hear_copy(void *context, const struct imap_response *response, struct error *err)
{
	struct copy *copy = context;

	(void)err;
	if (response->kind == IMAP_RESPONSE_STATUS && slice_equal_nocase(response->code, SLICE_LITERAL("COPYUID"))) {
		hear_copyuid(copy, response->arguments);
	}
	return true;
}

static bool
copy_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct copy *copy = context;

	(void)cookie;
	(void)err;
	if (slice_equal_nocase(answer->code, SLICE_LITERAL("COPYUID"))) {
		hear_copyuid(copy, answer->arguments);
	}
	imap_effect_answer(&copy->effect, answer, "COPY");
	return true;
}

/* What became of the messages of one command that were not named. */
static void
settle_copies(struct copy *copy, const struct uidset *part, enum remote_outcome outcome)
{
	bool uidplus = imap_can(&copy->session->can, IMAP_CAN_UIDPLUS);
	uint32_t uid = 0;

	while (uidset_next(part, &uid)) {
		struct remote_copy *item = find_copy(copy, uid);

		if (item == NULL || item->outcome == REMOTE_DONE) {
			continue;
		}
		item->outcome = outcome;
		if (outcome == REMOTE_REFUSED) {
			item->refusal = copy->effect.refusal.kind;
			if (item->why != NULL && item->why->kind == ERROR_NONE) {
				*item->why = copy->effect.refusal;
			}
		} else if (outcome == REMOTE_DONE && copy->other) {
			item->outcome = REMOTE_UNKNOWN;
		} else if (outcome == REMOTE_DONE && copy->told) {
			item->outcome = REMOTE_REFUSED; /* the answer does not name it: it was not there */
			item->refusal = ERROR_GONE;
		} else if (outcome == REMOTE_DONE && uidplus) {
			item->outcome = REMOTE_UNKNOWN; /* it should have said: somebody has to look */
		}
	}
}

/* COPY or MOVE of all items, command by command. */
static bool
copy_items(struct copy *copy, const char *verb, struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(uidset_finish) struct uidset all = UIDSET_INIT;
	SCOPED(uidset_finish) struct uidset part = UIDSET_INIT;
	const struct imap_listener listener = {.context = copy, .untagged = hear_copy};
	const struct imap_asked asked = {.what = "COPY", .listener = &listener, .done = copy_done, .context = copy};
	uint32_t uid = 0;

	for (size_t i = 0; i < copy->count; i++) {
		assert(i == 0 || copy->items[i - 1].uid < copy->items[i].uid);
		uidset_add(&all, copy->items[i].uid, copy->items[i].uid);
	}
	while (imap_command_next_part(&all, &uid, most_messages(copy->session), SET_OCTETS, &part)) {
		imap_command_begin(&command, imap_session_literals(copy->session), verb);
		imap_command_set(&command, &part);
		imap_command_string(&command, copy->to->raw_name);
		if (!imap_command_check(&command, err)) {
			return false;
		}
		copy->effect = (struct imap_effect){0};
		copy->told = copy->other = false;

		bool over = send_effect(copy->session, &copy->effect, &command, &asked, err) &&
			    imap_session_settle(copy->session, 0, err);

		settle_copies(copy, &part, imap_effect_outcome(&copy->effect, copy->session, over));
		if (!over) {
			return false;
		}
		if (copy->other) {
			return error_set(err, ERROR_RETRY,
				"rebuilt: UIDVALIDITY of the target is %" PRIu32 ", and was %" PRIu32,
				copy->other_uidvalidity, copy->to->uidvalidity);
		}
	}
	return true;
}

bool
imap_effects_copy(struct imap_session *session, const struct remote_target *from, const struct remote_target *to,
	bool move, struct remote_copy *items, size_t count, bool *out_marked, struct error *err)
{
	struct copy copy = {.session = session, .to = to, .items = items, .count = count};
	SCOPED(uidset_finish) struct uidset copied = UIDSET_INIT;
	bool moves = move && imap_can(&session->can, IMAP_CAN_MOVE);
	enum remote_outcome outcome;

	*out_marked = false;
	for (size_t i = 0; i < count; i++) {
		items[i].outcome = REMOTE_NOT_SENT;
		items[i].target = (struct remote_uid){0};
		items[i].refusal = ERROR_NONE;
	}
	if (!(move ? select_for_change(session, from, err)
		   : imap_selection_select(session, from->raw_name, from->uidvalidity, err)) ||
		!copy_items(&copy, moves ? "UID MOVE " : "UID COPY ", err)) {
		return false;
	}
	if (!move || moves) {
		return true;
	}
	for (size_t i = 0; i < count; i++) {
		if (items[i].outcome == REMOTE_DONE) {
			uidset_add(&copied, items[i].uid, items[i].uid);
		}
	}
	if (copied.count == 0) {
		return true;
	}
	if (!imap_effects_expunge(session, from, &copied, &outcome, out_marked, err)) {
		return false;
	}
	*out_marked = *out_marked || outcome != REMOTE_DONE;
	return true;
}

/* --- expunge --- */

struct expunge {
	struct imap_effect effect;
};

static bool
expunge_done(void *context, uint64_t cookie, const struct imap_response *answer, struct error *err)
{
	struct expunge *expunge = context;

	(void)err;
	imap_effect_answer(&expunge->effect, answer, cookie == 0 ? "STORE" : "EXPUNGE");
	return true;
}

/* Marks and expunges exactly these, without ever saying a plain EXPUNGE, which would take what others marked. */
static bool
send_expunges(struct imap_session *session, struct expunge *expunge, const struct uidset *uids, bool uidplus,
	struct error *err)
{
	SCOPED(imap_command_finish) struct imap_command command = {0};
	SCOPED(uidset_finish) struct uidset part = UIDSET_INIT;
	struct imap_asked asked = {.what = "EXPUNGE", .done = expunge_done, .context = expunge};
	uint32_t uid = 0;

	while (imap_command_next_part(uids, &uid, most_messages(session), SET_OCTETS, &part)) {
		asked.cookie = 0;
		imap_command_begin(&command, imap_session_literals(session), "UID STORE ");
		imap_command_set(&command, &part);
		imap_command_text(&command, " +FLAGS.SILENT");
		imap_command_flags(&command, &deleted);
		if (!send_effect(session, &expunge->effect, &command, &asked, err)) {
			return false;
		}
		if (!uidplus) {
			continue;
		}
		asked.cookie = 1;
		imap_command_begin(&command, imap_session_literals(session), "UID EXPUNGE ");
		imap_command_set(&command, &part);
		if (!send_effect(session, &expunge->effect, &command, &asked, err)) {
			return false;
		}
	}
	return imap_session_settle(session, 0, err);
}

bool
imap_effects_expunge(struct imap_session *session, const struct remote_target *target, const struct uidset *uids,
	enum remote_outcome *out_outcome, bool *out_marked, struct error *err)
{
	struct expunge expunge = {0};
	bool uidplus = imap_can(&session->can, IMAP_CAN_UIDPLUS), over;

	*out_outcome = REMOTE_NOT_SENT;
	*out_marked = false;
	if (!select_for_change(session, target, err)) {
		return false;
	}
	over = send_expunges(session, &expunge, uids, uidplus, err);
	*out_outcome = imap_effect_outcome(&expunge.effect, session, over);
	if (*out_outcome == REMOTE_REFUSED) {
		if (over) {
			*err = expunge.effect.refusal;
		}
		/* the first half may have been done */
		*out_marked = expunge.effect.fine > 0;
	} else if (*out_outcome == REMOTE_DONE) {
		*out_marked = !uidplus;
	}
	return over;
}
