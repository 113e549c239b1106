#include "fs/notify.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/mail/mailbox_name.h"
#include "engine/mail/maildir_name.h"
#include "fs/dir.h"
#include "fs/handle.h"
#include "fs/mount_internal.h"
#include "fs/name.h"
#include "fs/notify_batch.h"
#include "fs/notify_own.h"
#include "fs/park.h"
#include "fs/plain.h"
#include "fs/view_control.h"

#define PAGE_CHANGES 512 /* read from the feed at a time */

struct job {
	struct job *next;
	uint64_t inode;
	char *name; /* in that directory, or NULL: the inode itself */
};

struct notify {
	struct mount *mount;
	int wakeup; /* eventfd */
	_Atomic bool stop;
	bool running;
	pthread_t thread;
	struct mutex lock;                  /* rank LEAF */
	struct job *jobs;                   /* under lock, the last one first */
	uint64_t since[MOUNT_ACCOUNTS_MAX]; /* the thread's: the modseq told up to, by octet */
	struct notify_own_table own;
	struct notify_known known; /* the thread's */
};

static void
poke(struct notify *notify)
{
	uint64_t one = 1;

	(void)!write(notify->wakeup, &one, sizeof(one)); /* full: it is awake */
}

/* The engine's listener: from any thread, with whatever it holds. */
static void
feed_grew(void *context)
{
	poke(context);
}

/* --- into the kernel --- */

/* ENOENT says that the kernel knows nothing of it. */
static void
note_answer(const char *what, uint64_t inode, int answer)
{
	log_debug("notify", "event=%s inode=%#llx answer=%d", what, (unsigned long long)inode, answer);
}

static void
drop_inode(struct notify *notify, uint64_t inode, bool pages)
{
	note_answer("inode", inode, fuse_lowlevel_notify_inval_inode(notify->mount->session, inode, pages ? 0 : -1, 0));
}

static int
tell_expired(struct fuse_session *session, uint64_t dir, struct slice name)
{
#ifdef FUSE_EXPIRE_TAKES_FLAGS
	return fuse_lowlevel_notify_expire_entry(session, dir, name.data, name.length, FUSE_LL_EXPIRE_ONLY);
#else
	return fuse_lowlevel_notify_expire_entry(session, dir, name.data, name.length);
#endif
}

/* A name may stand for something else now: it is looked up again. A directory that somebody works in stays where it is. */
static void
expire_name(struct notify *notify, uint64_t dir, struct slice name)
{
	struct fuse_session *session = notify->mount->session;

	if (notify->mount->can_expire) {
		note_answer("expire", dir, tell_expired(session, dir, name));
	} else {
		note_answer("name", dir, fuse_lowlevel_notify_inval_entry(session, dir, name.data, name.length));
	}
}

static void
drop_name(struct notify *notify, uint64_t dir, struct slice name)
{
	note_answer("name", dir, fuse_lowlevel_notify_inval_entry(notify->mount->session, dir, name.data, name.length));
}

/* --- what is our own --- */

static void
add_job(struct notify *notify, uint64_t inode, struct slice name)
{
	struct job *job = calloc(1, sizeof(*job));

	if (job == NULL) {
		abort();
	}
	job->inode = inode;
	job->name = name.length > 0 ? slice_dup(name) : NULL;
	mutex_lock(&notify->lock);
	job->next = notify->jobs;
	notify->jobs = job;
	mutex_unlock(&notify->lock);
	poke(notify);
}

void
notify_inode(struct notify *notify, uint64_t inode)
{
	add_job(notify, inode, (struct slice){0});
}

struct notify_ticket *
notify_own_begin(struct notify *notify, uint8_t octet, const struct notify_own *owns, size_t count)
{
	return notify_own_announce(&notify->own, octet, owns, count);
}

static void
look_again(void *context, uint64_t dir_inode, struct slice name)
{
	add_job(context, dir_inode, name);
}

void
notify_own_end(struct notify *notify, uint8_t octet, struct notify_ticket *ticket, bool done, uint64_t number)
{
	struct error err = ERROR_INIT;
	uint64_t modseq;

	if (ticket == NULL) {
		return;
	}
	if (!done) {
		notify_own_failed(&notify->own, ticket, look_again, notify);
		return;
	}
	if (!view_modseq(mount_account(notify->mount, octet), &modseq, &err)) {
		modseq = 0; /* the kernel is told once more */
	}
	notify_own_succeeded(&notify->own, ticket, modseq, number);
}

/* --- one batch of changes --- */

/* A name in a directory began, or ended. */
static void
change_name(struct notify *notify, struct notify_batch *batch, const struct notify_told *told, uint64_t dir_inode,
	bool live)
{
	bool dir_known;

	if (!notify_own_has(&notify->own, told, dir_inode, live, &dir_known)) {
		if (live) {
			expire_name(notify, dir_inode, told->leaf);
		} else {
			drop_name(notify, dir_inode, told->leaf);
		}
	}
	if (!dir_known) {
		notify_batch_mark(batch, dir_inode);
	}
}

/* One without letters is found with and without `:2,`; the other name is looked up again. */
static void
drop_other_name(struct notify *notify, uint64_t dir, struct slice leaf)
{
	static const struct slice info = SLICE_LITERAL(":2,");
	SCOPED(buf_finish) struct buf other = BUF_INIT;
	struct maildir_name name;

	if (slice_has_suffix(leaf, info)) {
		buf_append(&other, slice_head(leaf, leaf.length - info.length));
	} else if (maildir_name_read(leaf, true, &name) && name.letters == 0) {
		buf_append(&other, leaf);
		buf_append(&other, info);
	} else {
		return;
	}
	drop_name(notify, dir, buf_slice(&other));
}

/* The same in the Maildir view, where the name moves with the flags, and a message without letters is found under two names. What is told of
 * a message does not say whether its name is new, so it is always looked up again. */
static void
change_in_maildir(struct notify *notify, struct notify_batch *batch, const struct notify_told *told)
{
	bool live = told->kind == VIEW_MESSAGE && told->live;
	struct notify_told named;
	struct node dir;
	uint64_t inode;

	if (told->kind == VIEW_MESSAGE && !told->live) {
		return; /* its name ended, which is told by itself */
	}
	if (!notify_batch_in_maildir(notify->mount, told, &named, &dir)) {
		return;
	}
	inode = mount_inode(notify->mount, dir);
	change_name(notify, batch, &named, inode, live);
	drop_other_name(notify, inode, named.leaf);
	notify_batch_mark_maildir(notify->mount, batch, told->octet, told->mailbox);
}

static void
apply_message(struct notify *notify, struct notify_batch *batch, const struct notify_told *told)
{
	struct mount *mount = notify->mount;
	struct node dir = {NODE_MAILBOX, told->octet, told->mailbox};
	struct node message = {NODE_MESSAGE, told->octet, (uint32_t)told->number};

	if (told->kind == VIEW_NAME_ENDED && told->leaf.length > 0) {
		change_name(notify, batch, told, mount_inode(mount, dir), false);
	}
	change_in_maildir(notify, batch, told);
	if (told->kind == VIEW_NAME_ENDED) {
		return;
	}
	if (told->live) {
		drop_inode(notify, mount_inode(mount, message), false);
	}
	if (!told->live || !told->here) {
		handle_forget_body(mount, mount_inode(mount, message));
	}
	if (told->here || !told->live) { /* there is nothing to wait for any more */
		park_body_here(mount->park, mount_account(mount, told->octet), (struct number){told->number});
	}
}

/* A name ended before another began: so it is told. Directories come last: invalidating a name waits for listings of its directory that are under
 * way, which may tell the old state. */
static void
apply_begun(struct notify *notify, struct notify_batch *batch)
{
	for (size_t i = 0; i < batch->begun_count; i++) {
		const struct notify_told *told = &batch->begun[i];
		struct node dir = {NODE_MAILBOX, told->octet, told->mailbox};

		change_name(notify, batch, told, mount_inode(notify->mount, dir), true);
	}
	for (size_t i = 0; i < batch->marked_count; i++) {
		drop_inode(notify, batch->marked[i], true);
	}
}

static void
apply_local(struct notify *notify, struct notify_batch *batch, const struct notify_told *told)
{
	struct node dir;
	uint64_t inode = mount_inode(notify->mount, (struct node){NODE_LOCAL, told->octet, (uint32_t)told->number});

	if (!plain_directory(told->octet, told->parent_kind, told->parent, &dir)) {
		return;
	}
	change_name(notify, batch, told, mount_inode(notify->mount, dir), told->live);
	if (told->live) {
		drop_inode(notify, inode, false);
	}
}

/* In one view, which is the kind of the parent. */
static void
change_mailbox(struct notify *notify, struct notify_batch *batch, const struct notify_told *told, struct node parent,
	bool ended)
{
	static const char *const parts[] = {"cur", "new", "tmp"};
	struct mount *mount = notify->mount;
	uint64_t mailbox = mount_inode(mount, (struct node){parent.kind, told->octet, told->mailbox});

	if (parent.number == 0) {
		dir_touch(mount, parent); /* the engine keeps no time of the top that we could ask for */
	}
	change_name(notify, batch, told, mount_inode(mount, parent), !ended);
	if (ended) {
		return;
	}
	drop_inode(notify, mailbox, parent.kind == NODE_MAILDIR);
	for (size_t i = 0; parent.kind == NODE_MAILDIR && i < ARRAY_LENGTH(parts); i++) {
		expire_name(notify, mailbox, slice_of(parts[i])); /* they come and go with what it may hold */
	}
}

static void
apply_mailbox(struct notify *notify, struct notify_batch *batch, const struct notify_told *told)
{
	struct mount *mount = notify->mount;
	struct node parent = {.kind = NODE_MAILBOX, .account = told->octet};
	bool ended = told->kind == VIEW_MAILBOX_ENDED || !told->live;

	if (!notify_batch_parent(mount, told, &parent.number)) {
		return; /* what was above it is gone: nothing below it can be reached */
	}
	change_mailbox(notify, batch, told, parent, ended);
	if (mount->maildir_used) {
		parent.kind = NODE_MAILDIR;
		change_mailbox(notify, batch, told, parent, ended);
	}
}

/* Tombstones were purged before we read of them: what ended is not known any more. All directories are listed anew. */
static void
apply_reset(struct notify *notify, struct notify_batch *batch)
{
	log_warn("notify", "event=reset octet=%u", batch->octet);
	notify_batch_mark_all(notify->mount, batch);
}

static void
apply(struct notify *notify, struct notify_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		const struct notify_told *told = &batch->items[i];

		switch (told->kind) {
		case VIEW_MESSAGE:
		case VIEW_NAME_ENDED:
			apply_message(notify, batch, told);
			break;
		case VIEW_MAILBOX:
		case VIEW_MAILBOX_ENDED:
			apply_mailbox(notify, batch, told);
			break;
		case VIEW_LOCAL:
			apply_local(notify, batch, told);
			break;
		case VIEW_RESET:
			apply_reset(notify, batch);
			break;
		}
	}
	do {
		apply_begun(notify, batch);
	} while (notify_batch_look_on(notify->mount, &notify->known, batch));
}

/* Follows an account's feed to its end. */
static void
follow(struct notify *notify, uint8_t octet)
{
	struct mount *mount = notify->mount;
	uint64_t *since = &notify->since[octet];

	for (bool more = true; more && !notify->stop;) {
		struct notify_batch batch = {.octet = octet};
		struct error err = ERROR_INIT;
		uint64_t until = *since;

		if (!view_changes(mount_account(mount, octet), *since, PAGE_CHANGES, notify_batch_collect, &batch,
			    &until, &err)) {
			log_warn("notify", "event=feed error=\"%s\"", err.text);
			return;
		}
		if (batch.count > 0 && !notify_batch_look(mount, &notify->known, &batch, &err)) {
			log_warn("notify", "event=look error=\"%s\"", err.text);
			notify_batch_mark_all(mount, &batch);
		}
		if (batch.count > 0) {
			apply(notify, &batch);
			notify_batch_tell(mount, &notify->known, &batch);
		}
		more = until > *since;
		*since = until;
		notify_batch_finish(&batch);
		notify_own_told(&notify->own, octet, until);
	}
}

/* --- the thread --- */

static void
do_jobs(struct notify *notify)
{
	struct job *job;

	mutex_lock(&notify->lock);
	job = notify->jobs;
	notify->jobs = NULL;
	mutex_unlock(&notify->lock);
	while (job != NULL) {
		struct job *next = job->next;

		if (job->name != NULL) {
			expire_name(notify, job->inode, slice_of(job->name));
		} else {
			drop_inode(notify, job->inode, true);
		}
		free(job->name);
		free(job);
		job = next;
	}
}

/* Where nothing is opened the kernel keeps the pages of .mailfs/status and the like: what is told may have changed. */
static void
drop_texts(struct notify *notify)
{
	static const uint32_t items[] = {CONTROL_STATUS, CONTROL_STATUS_JSON, CONTROL_HELD};

	for (unsigned octet = 1; notify->mount->unopened && octet < MOUNT_ACCOUNTS_MAX; octet++) {
		for (size_t i = 0; mount_account(notify->mount, (uint8_t)octet) != NULL && i < ARRAY_LENGTH(items);
			i++) {
			drop_inode(notify,
				mount_inode(notify->mount, (struct node){NODE_CONTROL, (uint8_t)octet, items[i]}),
				true);
		}
	}
}

static void *
run(void *context)
{
	struct notify *notify = context;
	uint64_t count;

	while (!notify->stop) {
		if (read(notify->wakeup, &count, sizeof(count)) < 0 && errno != EINTR) {
			break;
		}
		do_jobs(notify);
		drop_texts(notify);
		for (unsigned octet = 1; octet < MOUNT_ACCOUNTS_MAX && !notify->stop; octet++) {
			if (mount_living_account(notify->mount, (uint8_t)octet) != NULL) {
				follow(notify, (uint8_t)octet);
			}
		}
	}
	return NULL;
}

struct notify *
notify_create(struct mount *mount)
{
	struct notify *notify = calloc(1, sizeof(*notify));

	if (notify == NULL) {
		abort();
	}
	notify->mount = mount;
	notify->wakeup = -1;
	mutex_init(&notify->lock, LOCK_RANK_LEAF);
	notify_own_init(&notify->own);
	return notify;
}

bool
notify_start(struct notify *notify, struct error *err)
{
	int answer;

	notify->wakeup = eventfd(0, EFD_CLOEXEC);
	if (notify->wakeup < 0) {
		return error_errno(err, errno, "making an eventfd");
	}
	for (unsigned octet = 1; octet < MOUNT_ACCOUNTS_MAX; octet++) {
		struct account *account = mount_living_account(notify->mount, (uint8_t)octet);

		if (account != NULL) {
			if (!view_modseq(account, &notify->since[octet], err) ||
				!notify_known_begin(notify->mount, &notify->known, (uint8_t)octet, err)) {
				return false;
			}
			view_listen(account, feed_grew, notify);
		}
	}
	answer = pthread_create(&notify->thread, NULL, run, notify);
	if (answer != 0) {
		return error_errno(err, answer, "starting the thread that tells the kernel what changed");
	}
	notify->running = true;
	poke(notify);
	return true;
}

void
notify_destroy(struct notify **notify)
{
	struct notify *old = *notify;

	if (old == NULL) {
		return;
	}
	for (unsigned octet = 1; octet < MOUNT_ACCOUNTS_MAX; octet++) {
		struct account *account = mount_account(old->mount, (uint8_t)octet);

		if (account != NULL && old->wakeup >= 0) {
			view_listen(account, NULL, NULL);
		}
	}
	old->stop = true;
	if (old->running) {
		poke(old);
		(void)pthread_join(old->thread, NULL);
	}
	notify_own_finish(&old->own);
	for (struct job *job = old->jobs, *next; job != NULL; job = next) {
		next = job->next;
		free(job->name);
		free(job);
	}
	if (old->wakeup >= 0) {
		(void)close(old->wakeup);
	}
	notify_known_finish(&old->known);
	mutex_finish(&old->lock);
	free(old);
	*notify = NULL;
}
