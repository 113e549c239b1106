-- The store's tables (design 6). Every change takes the next modseq of the one counter (S3); booleans are 0 and 1; times are seconds since
-- 1970 unless the name says otherwise; NULL is "none" or "not known".

-- What the store knows of itself.
--   id             16 random octets
--   server, user   whose account this is: another login is refused (S6)
--   modseq         the last modseq given
--   purged         tombstones and traces below this modseq are gone: a reader from below lists anew (S3)
--   running_s      seconds this account's engine has run, over all restarts: the brake's clock (design 8)
--   number         the last number given, to a message or a local name
--   given          the highest number that the ID in any name that a user gave tells: above it no made name can meet one
--   uidvalidity    the last UIDVALIDITY given to a mailbox of ours
--   epoch, epoch_next  two random words of which `marks` has one, or this is an old copy (S6)
--   rolled_back    1: it was an old copy, and nobody has seen to it yet
--   tree_changed_ns, scratch_changed_ns  the times of the directories that are no mailbox: the top and scratch
--   sweep_body, sweep_directory  how far the sweep of bodies has come (S5)
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value
) WITHOUT ROWID;

CREATE TABLE mailbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- also its octet in locks/mailboxes; never reused
  guid BLOB NOT NULL UNIQUE,            -- 16 random octets: its identity
  name TEXT NOT NULL,                   -- ours: UTF-8, '/' between levels
  kind INTEGER NOT NULL DEFAULT 0,      -- 0 real, 1 a directory only (\Noselect), 2 virtual (later)
  role TEXT,                            -- trash, sent, drafts, junk, archive, all, inbox
  uidvalidity INTEGER NOT NULL,         -- ours
  uidnext INTEGER NOT NULL DEFAULT 1,   -- ours
  subscribed INTEGER NOT NULL DEFAULT 1,
  read_only INTEGER NOT NULL DEFAULT 0, -- the remote lets nobody write here
  listed INTEGER NOT NULL DEFAULT 0,    -- its first listing is complete
  opened INTEGER NOT NULL DEFAULT 0,    -- when the mount last listed it: its bodies come first
  messages INTEGER NOT NULL DEFAULT 0,  -- live messages
  modseq INTEGER NOT NULL,              -- of the last change to this row that others must see
  changed_ns INTEGER NOT NULL,          -- the directory's time: moves at every change in it, never back
  expunged INTEGER                      -- when it was removed; its row stays as a tombstone
);
CREATE UNIQUE INDEX mailbox_by_name ON mailbox (name) WHERE expunged IS NULL;
CREATE INDEX mailbox_by_modseq ON mailbox (modseq);

-- A message: one placement of a body in a mailbox. A tombstone is a row with `expunged`.
CREATE TABLE message (
  number INTEGER PRIMARY KEY,           -- account-wide, from blocks recorded in `marks`, never reused
  mailbox INTEGER NOT NULL,
  uid INTEGER NOT NULL,                 -- ours, rising in its mailbox, new in each it enters
  flags INTEGER NOT NULL DEFAULT 0,     -- enum flag_bit
  keywords TEXT,
  internaldate INTEGER NOT NULL,
  saved INTEGER NOT NULL,               -- when it entered this mailbox
  size INTEGER NOT NULL,                -- as presented once the body is here, else the remote's figure
  modseq INTEGER NOT NULL,
  identity BLOB,                        -- versioned digest of Message-ID, Date, From, Subject
  body INTEGER,                         -- body.id; NULL: not here
  envelope BLOB,                        -- from, from_short, to, subject, date, message-id, separated by NULs
  date INTEGER,                         -- the Date field
  state INTEGER NOT NULL DEFAULT 0,     -- enum message_state
  error TEXT,                           -- why it failed, a sentence
  hold INTEGER,                         -- hold.id while held
  expunged INTEGER,                     -- when
  expunged_by INTEGER,                  -- enum message_cause
  successor INTEGER                     -- the number that replaced it (R14)
);
CREATE INDEX message_by_mailbox ON message (mailbox, uid);
CREATE INDEX message_by_modseq ON message (modseq);
CREATE INDEX message_by_body ON message (body) WHERE body IS NOT NULL;
CREATE INDEX message_missing ON message (mailbox, internaldate) WHERE body IS NULL AND expunged IS NULL; -- the newest first
CREATE INDEX message_tombstone ON message (expunged) WHERE expunged IS NOT NULL;

-- What readdir and stat need of a live, listed message, clustered by its cursor.
CREATE TABLE listing (
  mailbox INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  number INTEGER NOT NULL,
  name TEXT NOT NULL,                   -- as shown; never changes while it stays in this mailbox, save by a rename of the user's
  given INTEGER NOT NULL DEFAULT 0,     -- 1: a user gave it, kept byte for byte
  base_name TEXT,                       -- a base name that a mail program chose in the Maildir view, or that a new mtime must not change
  size INTEGER NOT NULL,
  here INTEGER NOT NULL,                -- the body is here, so the size is exact
  mtime INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  letters TEXT,                         -- what the Maildir view tells beside the flags: N it lies in new, P it has $Forwarded
  PRIMARY KEY (mailbox, uid)
) WITHOUT ROWID;
-- step 2: changed_ns INTEGER NOT NULL DEFAULT 0  (when this row last changed, never back: ctime; 0: not since the step)
CREATE INDEX listing_by_given ON listing (mailbox, name) WHERE given = 1;
CREATE INDEX listing_by_base_name ON listing (mailbox, base_name) WHERE base_name IS NOT NULL;

-- A name that ended: what a moved, renamed or expunged message or mailbox leaves, for the kernel's cache and for R4.
CREATE TABLE trace (
  modseq INTEGER NOT NULL,
  number INTEGER NOT NULL,              -- of the message; 0: a mailbox
  mailbox INTEGER NOT NULL,             -- where the name was; for a mailbox its own id
  uid INTEGER NOT NULL DEFAULT 0,
  name TEXT NOT NULL,                   -- the name shown, empty: that one goes on; for a mailbox its old whole name
  base_name TEXT,                       -- the Maildir view's, as cur/BASE:2,LETTERS; NULL: that one goes on
  flags INTEGER NOT NULL DEFAULT 0,
  time INTEGER NOT NULL,
  PRIMARY KEY (modseq, number, mailbox)
) WITHOUT ROWID;

-- Bodies, once each (S4).
CREATE TABLE body (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  raw INTEGER NOT NULL,                 -- 0: kept with LF, turns back exactly; 1: kept as served
  size INTEGER NOT NULL,                -- of the kept form
  wire_size INTEGER NOT NULL,
  damaged INTEGER NOT NULL DEFAULT 0,
  swept INTEGER,                        -- running_s when a file was found without a row that needs it
  data BLOB                             -- the kept form; NULL: in a pack (store.c, step 3) or a file bodies/ab/cdef…
);
CREATE INDEX body_damaged ON body (id) WHERE damaged = 1;
CREATE INDEX body_swept ON body (swept) WHERE swept IS NOT NULL;

-- What a remote and we last agreed on.
CREATE TABLE base_mailbox (
  remote INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  raw_name BLOB NOT NULL,               -- the remote's spelling
  separator TEXT NOT NULL,
  name TEXT NOT NULL,                   -- ours, as agreed
  id_kind INTEGER NOT NULL DEFAULT 0,
  id BLOB,
  attributes INTEGER NOT NULL DEFAULT 0,
  subscribed INTEGER NOT NULL DEFAULT 1,
  uidvalidity INTEGER NOT NULL DEFAULT 0,   -- 0: never scanned
  uidnext INTEGER NOT NULL DEFAULT 1,       -- all below was seen
  highestmodseq INTEGER NOT NULL DEFAULT 0,
  messages INTEGER NOT NULL DEFAULT 0,
  seen_uidnext INTEGER NOT NULL DEFAULT 0,  -- the tuple of the last account check that was scanned in full (R2)
  seen_highestmodseq INTEGER NOT NULL DEFAULT 0,
  seen_messages INTEGER NOT NULL DEFAULT 0,
  permanent INTEGER NOT NULL DEFAULT 31,    -- system flags it keeps
  permanent_keywords TEXT,
  keywords_any INTEGER NOT NULL DEFAULT 1,
  read_only INTEGER NOT NULL DEFAULT 0,
  merged INTEGER NOT NULL DEFAULT 0,        -- our modseq up to which the remote has heard
  flags_checked INTEGER NOT NULL DEFAULT 0, -- when all flags were last compared (servers without mod-sequences)
  gone INTEGER,                             -- when it was first missing from a listing
  PRIMARY KEY (remote, mailbox)
) WITHOUT ROWID;

CREATE TABLE base_message (
  remote INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,             -- our mailbox paired with the one there that holds it
  uidvalidity INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  number INTEGER NOT NULL,
  guid_kind INTEGER NOT NULL DEFAULT 0,
  guid BLOB,
  modseq INTEGER NOT NULL DEFAULT 0,
  size INTEGER NOT NULL DEFAULT 0,      -- as the remote tells it
  internaldate INTEGER NOT NULL,
  digest BLOB,                          -- of the body as served, where it is known and is not the body's
  flags INTEGER NOT NULL,
  keywords TEXT,
  gone INTEGER NOT NULL DEFAULT 0,      -- enum base_gone
  PRIMARY KEY (remote, mailbox, uidvalidity, uid)
) WITHOUT ROWID;
CREATE UNIQUE INDEX base_by_number ON base_message (number, remote); -- in this order, for "does any remote know it?"
CREATE INDEX base_by_guid ON base_message (remote, guid) WHERE guid IS NOT NULL;

-- What is about to be done on a remote; durable before, settled after (R9).
CREATE TABLE intent (
  id INTEGER PRIMARY KEY,
  remote INTEGER NOT NULL,
  kind INTEGER NOT NULL,                -- enum intent_kind
  number INTEGER NOT NULL DEFAULT 0,
  mailbox INTEGER NOT NULL DEFAULT 0,   -- where it is done
  target INTEGER NOT NULL DEFAULT 0,    -- the other mailbox of a move or copy
  uidvalidity INTEGER NOT NULL DEFAULT 0,
  uid INTEGER NOT NULL DEFAULT 0,       -- of the message in `mailbox`
  uidnext INTEGER NOT NULL DEFAULT 0,   -- UIDNEXT of the place it goes to, before (R10)
  target_uidvalidity INTEGER NOT NULL DEFAULT 0,
  digest BLOB,
  detail TEXT,                          -- a mailbox's names, or the flags that are sent
  state INTEGER NOT NULL DEFAULT 0,     -- enum intent_state
  looked INTEGER NOT NULL DEFAULT 0,    -- how often its effect was looked for
  next_try INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL
);
CREATE INDEX intent_by_number ON intent (number, remote);
CREATE INDEX intent_by_digest ON intent (digest) WHERE digest IS NOT NULL;

-- Set aside: what failed, why, and when it is tried again (R13).
CREATE TABLE aside (
  remote INTEGER NOT NULL,
  number INTEGER NOT NULL,              -- 0: the mailbox as a whole
  mailbox INTEGER NOT NULL,
  direction INTEGER NOT NULL,           -- enum side it should have reached
  reason TEXT NOT NULL,
  tries INTEGER NOT NULL,
  next_try INTEGER NOT NULL,
  PRIMARY KEY (remote, number, mailbox, direction)
) WITHOUT ROWID;

-- The brake (design 8).
CREATE TABLE hold (
  id INTEGER PRIMARY KEY,
  remote INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,             -- 0: the account
  side INTEGER NOT NULL,                -- enum side on which messages would be expunged
  kind INTEGER NOT NULL,                -- enum hold_kind
  state INTEGER NOT NULL DEFAULT 0,     -- 0 waiting, 1 confirmed, 2 reverted
  modseq INTEGER NOT NULL,
  created INTEGER NOT NULL,
  reason TEXT NOT NULL
);
CREATE TABLE hold_message (
  hold INTEGER NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (hold, number)
) WITHOUT ROWID;
CREATE INDEX hold_message_by_number ON hold_message (number);
CREATE TABLE deletion (                 -- what was counted in the last hour of running time
  id INTEGER PRIMARY KEY,
  remote INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  side INTEGER NOT NULL,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL                   -- meta.running_s
);
CREATE TABLE size_mark (                -- the largest size of a mailbox (0: account) in the last hour of running time
  remote INTEGER NOT NULL,
  mailbox INTEGER NOT NULL,
  side INTEGER NOT NULL,
  at INTEGER NOT NULL,
  messages INTEGER NOT NULL,
  PRIMARY KEY (remote, mailbox, side, at)
) WITHOUT ROWID;

-- Names that are no messages: local files, directories, symlinks, and spools of writers (design 5, Writing).
CREATE TABLE local (
  id INTEGER PRIMARY KEY,               -- from the numbers' blocks, never reused: its inode; its file is spool/l<id>
  parent_kind INTEGER NOT NULL,         -- 0 a mailbox, 1 another local directory, 2 scratch, 3 the top; in the Maildir view 4 a
                                        -- mailbox or the top, 5 cur, 6 new, 7 tmp of a mailbox
  parent INTEGER NOT NULL,
  name BLOB NOT NULL,
  kind INTEGER NOT NULL,                -- 0 file, 1 directory, 2 symlink
  size INTEGER NOT NULL DEFAULT 0,
  mode INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL,
  target BLOB,                          -- of a symlink
  error TEXT,                           -- why bytes under a .eml name are no message
  closed_ns INTEGER,                    -- last close, for names that may become messages
  modseq INTEGER NOT NULL,
  expunged INTEGER
);
CREATE UNIQUE INDEX local_by_name ON local (parent_kind, parent, name) WHERE expunged IS NULL;
CREATE INDEX local_by_parent ON local (parent_kind, parent, id) WHERE expunged IS NULL;
CREATE INDEX local_by_modseq ON local (modseq);
-- A writer's bytes that are durable but no message yet (FLUSH came, RELEASE did not).
CREATE TABLE pending (
  id INTEGER PRIMARY KEY,
  mailbox INTEGER NOT NULL,
  name BLOB NOT NULL,
  replaces INTEGER NOT NULL DEFAULT 0,  -- number
  mtime INTEGER,                        -- set by the user, or NULL
  file TEXT,                            -- in spool/, or NULL: data
  data BLOB,
  dirty INTEGER NOT NULL DEFAULT 0,     -- something was written since
  killed INTEGER NOT NULL DEFAULT 0     -- its writer was killed by a signal
);
