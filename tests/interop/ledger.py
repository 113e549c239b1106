"""What was done to messages, by whom, and so what must be there at the end: for tests in which many do many things at once.

A message's subject is its token, which stands in its file's name and in its bytes. Most belong to one user, who alone moves, copies and removes
them: of those it is known exactly where they must be. The others are free, anyone's: of those it is known how many there may be. Flags are
for everyone, but each user has a keyword that nobody else touches.
"""
import collections
import contextlib
import errno
import imaplib
import os
import random
import re
import subprocess
import threading
import time

from twosides import SCRATCH, difference, eventually, identity, message, wire

TOKEN = re.compile(r"tok-[a-z0-9]+-\d+(?!\d)")
DEAD = (errno.ENOTCONN, errno.ECONNABORTED)  # who served the mount is no more
UNHEARD_S = 30  # after which both sides have heard of each other, whatever was killed
KEPT_S = 0.1  # what promises no more is on the disk after so long (design 5); close and deliveries are at once
WORDS = "mail box letter stamp envelope paper ink courier rider horse road inn bridge river gate town square bell tower clerk".split()


def bytes_of(token):
    """The message of a token: the same whoever asks; now and then one that is too large for a row of the store."""
    rng = random.Random(token)
    words = rng.choice((20, 40, 60, 80, 120, 200, 300, 4000)) if rng.random() < 0.98 else 30000
    return message(token, "\n".join(" ".join(rng.choices(WORDS, k=10)) for _ in range(words // 10)))


class Op:
    """A change of where a message is. `sure`: it was answered; brief: for KEPT_S it may yet be lost with the process that took it."""

    def __init__(self, kind, source=None, target=None, brief=False):
        self.kind, self.source, self.target, self.brief = kind, source, target, brief
        self.sure, self.time, self.by = True, 0.0, None

    def __repr__(self):
        return f"{self.kind}({self.source or ''}>{self.target or ''}{'' if self.sure else '?'})"

    def apply(self, places):
        """The places after it, or None where it cannot be done."""
        places = list(places)
        if self.kind in ("move", "remove"):
            if self.source not in places:
                return None
            places.remove(self.source)
        if self.kind != "remove":
            places.append(self.target)
        return tuple(sorted(places))


class Token:
    def __init__(self, name, owner):
        self.name, self.owner = name, owner  # owner None: free
        self.ops = []
        self.lost = False  # told to be wrong already
        self.copied = False  # ever: the user's keyword may be that of a copy that is gone
        self.keywords = {}  # of a user: True, False, or None where its change was not answered
        self.keyword_times = {}  # of a user: when it was changed last

    def outcomes(self):
        """Where it may be, as sorted tuples of mailboxes."""
        states = {()}
        for op in self.ops:
            after = {op.apply(state) for state in states} - {None}
            states = after if op.sure else states | after
        return states

    def bounds(self):
        """How many of a free one there may be. The same message put into the same mailbox by two, neither of whose sides had heard of the other's, is
        one message (SYNC R4)."""
        adds = sorted((op for op in self.ops if op.kind in ("create", "copy")), key=lambda op: op.time)
        removals = sum(op.kind == "remove" for op in self.ops)
        groups = collections.defaultdict(list)
        for op in (op for op in adds if op.sure):
            group = groups[op.target]
            if not group or op.time > group[-1][-1].time + UNHEARD_S:
                group.append([])
            group[-1].append(op)
        fewest = sum(max(collections.Counter(op.by for op in ops).values()) for group in groups.values() for ops in group)
        return max(0, fewest - removals), len(adds)


class Ledger:
    def __init__(self, seed):
        self.lock = threading.Lock()
        self.seed, self.tokens, self.wrongs, self.counts = seed, {}, [], collections.Counter()
        self.mailboxes = {}  # made and removed here: name to (True, False, or None where it was not answered; when)
        self.history = []  # for who looks into what went wrong

    def remember(self, *what):
        self.history.append(" ".join(map(str, (f"{time.time():.4f}", threading.current_thread().name, *what))))

    def new(self, owner, by):
        with self.lock:
            token = Token(f"tok-{by}-{len(self.tokens)}", owner)
            self.tokens[token.name] = token
            return token

    def note(self, token, op, sure=True):
        with self.lock:
            op.sure, op.time, op.by = sure, time.monotonic(), threading.current_thread().name
            token.ops.append(op)
            token.copied = token.copied or op.kind == "copy"
            self.remember(token.name, op)
            self.counts[op.kind if sure else op.kind + " not answered"] += 1

    def keyword(self, token, user, value):
        with self.lock:
            token.keywords[user], token.keyword_times[user] = value, time.monotonic()
            self.remember(token.name, "keyword", value)
            self.counts["flags"] += 1

    def mailbox(self, name, value):
        with self.lock:
            self.mailboxes[name] = (value, time.monotonic())
            self.remember("mailbox", name, value)
            self.counts["mailboxes"] += 1

    def wrong(self, text):
        with self.lock:
            self.wrongs.append(text)
            self.remember("WRONG", text)
            print(f"WRONG {text}", flush=True)

    def of(self, owner):
        with self.lock:
            return [token for token in self.tokens.values() if token.owner == owner]


class User(threading.Thread):
    """Does one thing after another until told to stop."""

    def __init__(self, ledger, name, pause_s):
        super().__init__(name=name, daemon=True)
        self.ledger, self.pause_s = ledger, pause_s
        self.rng = random.Random(f"{ledger.seed} {name}")
        self.ending = threading.Event()
        self.dead = False  # the mount has lost its process

    def run(self):
        while not self.ending.is_set() and not self.dead:
            try:
                self.step()
            except Exception as why:  # told, and gone on with
                self.ledger.wrong(f"{self.name}: {type(why).__name__}: {why}")
                self.recover()
            self.ending.wait(self.rng.random() * 2 * self.pause_s)
        self.rest()

    def step(self):
        total = sum(weight for weight, _ in self.deeds)
        at = self.rng.random() * total
        for weight, deed in self.deeds:
            at -= weight
            if at < 0:
                deed(self)
                return

    def recover(self):
        pass

    def rest(self):
        pass

    def end(self):
        self.ending.set()
        self.join(60)
        if self.is_alive():
            self.ledger.wrong(f"{self.name} hangs")


class MountUser(User):
    """Works on files. What it owns it must find where it left it, whatever is synced meanwhile."""

    def __init__(self, ledger, name, top, mailboxes, pause_s=0.02, trash="Trash"):
        super().__init__(ledger, name, pause_s)
        self.top, self.mailboxes, self.trash = top, list(mailboxes), trash
        self.own = []  # mailboxes it made
        self.made = 0
        self.read_may = ()  # what may go wrong with reading

    def path(self, mailbox, file=""):
        return os.path.join(self.top, mailbox, file)

    def attempt(self, token, op, what, *args, may=()):
        """Does it and notes it; True when it was done."""
        try:
            what(*args)
        except OSError as why:
            if why.errno in DEAD:
                self.ledger.note(token, op, sure=False)
                self.dead = True
            elif why.errno not in may:
                self.ledger.wrong(f"{self.name}: {op} of {token.name} {token.ops}: {why}")
            return False
        self.ledger.note(token, op)
        return True

    def listing(self, mailbox):
        try:
            return [name for name in os.listdir(self.path(mailbox)) if TOKEN.search(name) and not name.startswith(".")]
        except OSError as why:
            if why.errno in DEAD:
                self.dead = True
                return []
            raise

    def places(self):
        """Token to mailboxes, of everything there is."""
        found = collections.defaultdict(list)
        for mailbox in self.mailboxes + self.own + [self.trash]:
            for name in self.listing(mailbox):
                found[TOKEN.search(name)[0]].append(mailbox)
        return {name: tuple(sorted(places)) for name, places in found.items()}

    def pick(self, free):
        """A message to do something to: (token, mailbox, path), or None; of our own, or anyone's."""
        if not free:
            mine = [token for token in self.ledger.of(self.name) if not token.lost]
            token = self.rng.choice(mine) if mine else None
            places = sorted(token.outcomes())[0] if token else ()
            if not places:
                return None
            mailbox = self.rng.choice(places)
            names = [name for name in self.listing(mailbox) if TOKEN.search(name)[0] == token.name]
            if not names and not self.dead:
                self.ledger.wrong(f"{self.name}: {token.name} is not in {mailbox}: {token.ops}")
                token.lost = True
            return (token, mailbox, self.path(mailbox, self.rng.choice(names))) if names else None
        mailbox = self.rng.choice(self.mailboxes)
        names = self.listing(mailbox)
        name = self.rng.choice(names) if names else None
        token = self.ledger.tokens.get(TOKEN.search(name)[0]) if name else None
        return (token, mailbox, self.path(mailbox, name)) if token else None

    def mine_or_free(self):
        """What we may move and remove, and what may go wrong with it."""
        free = self.rng.random() < 0.4
        picked = self.pick(free)
        if not picked or (free and picked[0].owner is not None):
            return None
        return (*picked, (errno.ENOENT,) if free else ())

    def put(self, path, data):
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            half = self.rng.randrange(len(data))
            os.write(fd, data[:half])
            while half < len(data):
                half += os.write(fd, data[half:])
        except OSError:
            with contextlib.suppress(OSError):
                os.close(fd)
            raise
        os.close(fd)

    def create(self):
        token, mailbox = self.ledger.new(self.name, self.name), self.rng.choice(self.mailboxes + self.own)
        op, path, way = Op("create", None, mailbox), self.path(mailbox, f"{token.name}.eml"), self.rng.random()
        if way < 0.6:
            self.attempt(token, op, self.put, path, bytes_of(token.name))
            return
        there = os.path.join(self.top, ".maildir", mailbox)  # a mail program's delivery
        temporary = self.path(mailbox, f".{token.name}.tmp") if way < 0.8 else os.path.join(there, "tmp", token.name)
        try:
            self.put(temporary, bytes_of(token.name))
            if way < 0.8:
                self.attempt(token, op, os.rename, temporary, path)
            elif self.attempt(token, op, os.link, temporary, os.path.join(there, "new", token.name)):
                os.unlink(temporary)
        except OSError as why:
            self.dead = why.errno in DEAD
            if not self.dead:
                raise

    def move(self):
        picked = self.mine_or_free()
        if picked:
            token, mailbox, path, may = picked
            target = self.rng.choice([name for name in self.mailboxes + self.own if name != mailbox])
            self.attempt(token, Op("move", mailbox, target, brief=True), os.rename, path, self.path(target, os.path.basename(path)), may=may)

    def remove(self):
        picked = self.mine_or_free()
        if picked:
            token, mailbox, path, may = picked
            op = Op("remove", mailbox, brief=True) if mailbox == self.trash else Op("move", mailbox, self.trash, brief=True)
            self.attempt(token, op, os.unlink, path, may=may)

    def copy(self):
        picked = self.mine_or_free()
        if picked and picked[1] != self.trash:
            token, _, path, may = picked
            target = self.rng.choice(self.mailboxes)
            self.made += 1
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except OSError as why:
                self.dead = why.errno in DEAD
                if not self.dead and why.errno not in may:
                    raise
                return
            if data != bytes_of(token.name):
                self.ledger.wrong(f"{self.name}: {token.name} has {len(data)} other octets")
            self.attempt(token, Op("copy", None, target), self.put, self.path(target, f"{token.name} copy {self.name} {self.made}.eml"), data)

    def flag(self):
        picked = self.pick(self.rng.random() < 0.6)
        if picked:
            token, _, path = picked
            value = self.rng.random() < 0.6
            may = () if token.owner == self.name else (errno.ENOENT,)
            try:
                os.setxattr(path, "user.mail.keywords", f"{'+' if value else '-'}kw{self.name}".encode())
                self.ledger.keyword(token, self.name, value)
                os.setxattr(path, "user.mail.flags", self.rng.choice((b"+seen", b"-seen", b"+flagged", b"-flagged", b"+answered", b"+draft")))
            except OSError as why:
                if why.errno in DEAD:
                    self.ledger.keyword(token, self.name, None)
                    self.dead = True
                elif why.errno not in may:
                    raise

    def read(self):
        picked = self.pick(True)
        if picked:
            try:
                with open(picked[2], "rb") as file:
                    data = file.read()
            except OSError as why:
                self.dead = why.errno in DEAD
                if not self.dead and why.errno not in (errno.ENOENT, *self.read_may):
                    raise
                return
            if data != bytes_of(picked[0].name):
                self.ledger.wrong(f"{self.name}: {picked[0].name} reads as {len(data)} other octets")

    def directory(self):
        if self.own and (len(self.own) > 4 or self.rng.random() < 0.3):
            name, value, what, may = self.rng.choice(self.own), False, os.rmdir, (errno.ENOTEMPTY,)
        else:
            self.made += 1
            name, value, what, may = f"{self.name}-{self.made}", True, os.mkdir, ()
        try:
            what(self.path(name))
        except OSError as why:
            if why.errno in DEAD:
                self.ledger.mailbox(name, None)
                self.dead = True
            elif why.errno not in may:
                raise
            return
        self.ledger.mailbox(name, value)
        if value:
            self.own.append(name)
        else:
            self.own.remove(name)

    deeds = ((22, create), (22, move), (10, remove), (6, copy), (25, flag), (10, read), (3, directory))


def witness(user, killed_s):
    """After the mount's process was killed and another has taken its place: what was answered is there, save for brief changes of the last moment,
    and of these none that came before one that is there (design 5). From here on the ledger goes by what is there."""
    ledger, found = user.ledger, user.places()
    last_there, first_lost = (0.0, ""), (float("inf"), "")
    for token in ledger.of(user.name):
        here = found.get(token.name, ())
        brief = [op for op in token.ops if op.brief and op.sure and op.time >= killed_s - KEPT_S]
        there = here in token.outcomes()
        if there and token.ops and token.ops[-1].sure:
            last_there = max(last_there, (token.ops[-1].time, token.name))
        for op in brief:
            op.sure = False
        if not there and len(brief) == 1:
            first_lost = min(first_lost, (brief[0].time, token.name))
        if here not in token.outcomes():
            ledger.wrong(f"after a kill {token.name} is in {here or 'no mailbox'}, not {token.outcomes()}: {token.ops}")
            token.lost = True
        ledger.counts["lost with the process"] += not there and bool(brief)
        token.ops = [Op("create", None, mailbox) for mailbox in here]
    for token in ledger.tokens.values():  # flags are for everyone
        if token.keyword_times.get(user.name, 0.0) >= killed_s - KEPT_S:
            token.keywords[user.name] = None
    if last_there > first_lost:
        ledger.wrong(f"after a kill the last change of {last_there[1]} is there, and the one of {first_lost[1]}, which came before it, is not")
    for name, (value, at) in list(ledger.mailboxes.items()):
        is_there = os.path.isdir(user.path(name))
        if value is not None and at < killed_s - KEPT_S and is_there != value:
            ledger.wrong(f"after a kill mailbox {name} is {'' if is_there else 'not '}there")
        ledger.mailboxes[name] = (is_there, 0.0)
    user.own = [name for name in ledger.mailboxes if ledger.mailboxes[name][0]]


class ServerUser(User):
    """Another client of the server."""

    def __init__(self, ledger, name, there, mailboxes, pause_s=0.03):
        super().__init__(ledger, name, pause_s)
        self.make, self.there, self.mailboxes = there, there(), list(mailboxes)

    def recover(self):
        self.there.close()
        self.there = self.make()

    def rest(self):
        self.there.close()

    def uids(self, mailbox, token):
        self.there.select(mailbox)
        answer = self.there.ok(self.there.client.uid("SEARCH", "HEADER", "Message-ID", f'"{identity(token.name)}"'))
        return (answer[0] or b"").decode().split()

    def pick(self, free):
        if not free:
            mine = [token for token in self.ledger.of(self.name) if not token.lost]
            token = self.rng.choice(mine) if mine else None
            places = sorted(token.outcomes())[0] if token else ()
            if not places:
                return None
            mailbox = self.rng.choice(places)
            uids = self.uids(mailbox, token)
            if not uids:
                self.ledger.wrong(f"{self.name}: {token.name} is not in {mailbox} there: {token.ops}")
                token.lost = True
            return (token, mailbox, self.rng.choice(uids)) if uids else None
        mailbox = self.rng.choice(self.mailboxes)
        with self.ledger.lock:
            names = [name for name, token in self.ledger.tokens.items() if token.owner is None]
        token = self.ledger.tokens[self.rng.choice(names)] if names else None
        uids = self.uids(mailbox, token) if token else []
        return (token, mailbox, self.rng.choice(uids)) if uids else None

    def command(self, *args):
        """Gives what the tagged answer says with COPYUID, and whether the server told of flags."""
        client = self.there.client
        client.untagged_responses = {}
        answer, text = client._simple_command("UID", *args)  # pylint: disable=protected-access
        told = client.untagged_responses
        copied = "COPYUID" in told or any(b"COPYUID" in (line or b"") for line in text)
        return answer == "OK", copied, "FETCH" in told

    def create(self):
        token, mailbox = self.ledger.new(self.name, self.name), self.rng.choice(self.mailboxes)
        self.there.append(mailbox, bytes_of(token.name), self.rng.choice(("", "\\Seen", "\\Flagged")))
        self.ledger.note(token, Op("create", None, mailbox))

    def move(self):
        picked = self.pick(self.rng.random() < 0.4)
        if picked:
            token, mailbox, uid = picked
            target = self.rng.choice([name for name in self.mailboxes if name != mailbox])
            _, copied, _ = self.command("MOVE", uid, f'"{target}"')
            if copied:
                self.ledger.note(token, Op("move", mailbox, target))
            elif token.owner:
                self.ledger.wrong(f"{self.name}: {token.name} was not moved out of {mailbox}: {token.ops}")

    def copy(self):
        picked = self.pick(self.rng.random() < 0.4)
        if picked:
            token, _, uid = picked
            target = self.rng.choice(self.mailboxes)
            _, copied, _ = self.command("COPY", uid, f'"{target}"')
            if copied:
                self.ledger.note(token, Op("copy", None, target))
            elif token.owner:
                self.ledger.wrong(f"{self.name}: {token.name} was not copied: {token.ops}")

    def flag(self):
        picked = self.pick(self.rng.random() < 0.6)
        if picked:
            token, _, uid = picked
            value = self.rng.random() < 0.6
            ok, _, told = self.command("STORE", uid, "+FLAGS" if value else "-FLAGS", f"(kw{self.name})")
            if ok and told:
                self.ledger.keyword(token, self.name, value)
            self.command("STORE", uid, self.rng.choice(("+FLAGS", "-FLAGS")), self.rng.choice(("(\\Seen)", "(\\Flagged)", "(\\Answered \\Draft)")))

    def expunge(self):
        picked = self.pick(self.rng.random() < 0.4)
        if picked:
            token, mailbox, uid = picked
            self.ledger.note(token, Op("remove", mailbox))
            self.command("STORE", uid, "+FLAGS", "(\\Deleted)")
            self.command("EXPUNGE", uid)
            if token.owner and uid in self.uids(mailbox, token):
                self.ledger.wrong(f"{self.name}: {token.name} could not be expunged in {mailbox}")

    deeds = ((22, create), (20, move), (6, copy), (30, flag), (8, expunge))


def stacks(pid):
    """Where a process is, as far as a debugger is there to tell."""
    try:
        return subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as why:
        return str(why)


class Processes:
    """Processes of mailfs, all of which log to one file, so that the order of its lines is theirs."""

    def __init__(self, here):
        self.here, self.log = here, f"{here.top}/log"
        self.children = []

    def start(self, *args, quiet=False, env=None):
        environment = dict(os.environ, MAILFS_CONFIG=self.here.config) | (env or {})
        with open(self.log, "ab") as log:
            child = subprocess.Popen(
                [self.here.mailfs, *args, *(() if quiet else ("-v",))], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, env=environment
            )
        self.children.append(child)
        return child

    def last_lines(self, count):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-count:])

    def mount(self, directory, *options):
        with contextlib.suppress(FileExistsError):  # what is mounted there may be dead
            os.makedirs(directory)
        child = self.start("mount", self.here.name, directory, "-f", *options)

        def usable():
            assert child.poll() is None, f"the mount ended with {child.returncode}: {self.last_lines(5)}"
            with contextlib.suppress(OSError):
                return os.path.ismount(directory) and "INBOX" in os.listdir(directory)

        eventually(f"{directory} can be used", usable, 30)
        return child

    def reap(self, child, limit_s=40):
        try:
            code = child.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{child.args} has not ended within {limit_s} s: {stacks(child.pid)}\n{self.last_lines(30)}") from None
        self.children.remove(child)
        return code

    def end(self):
        """Whatever is left, at once."""
        for child in self.children:
            with contextlib.suppress(OSError):
                child.kill()
            child.wait(10)
        with open("/proc/mounts", encoding="utf-8") as mounts:
            for line in mounts:
                if line.split()[1].startswith(SCRATCH + "/"):
                    subprocess.run(["umount", "-l", line.split()[1]], check=False)


def load(ledger, there, mailbox, count):
    """Free messages, put there before anything begins."""
    for _ in range(count):
        token = ledger.new(None, "free")
        there.append(mailbox, bytes_of(token.name))
        ledger.note(token, Op("create", None, mailbox))


def bodies_there(there, mailbox):
    there.select(mailbox)
    return [item[1] for item in there.ok(there.client.uid("FETCH", "1:*", "(BODY.PEEK[])")) if isinstance(item, tuple)]


def judge(ledger, here, there):
    """What is there against the ledger. Both sides are equal already, save for bytes, which are looked at on both."""
    known = {identity(name): token for name, token in ledger.tokens.items()}
    places, flags = collections.defaultdict(list), {}
    mailboxes = there.mailboxes()
    for mailbox in mailboxes:
        for key, entries in there.messages(mailbox).items():
            if key not in known:
                ledger.wrong(f"{mailbox}: nobody made {key}")
                continue
            places[known[key].name] += [mailbox] * len(entries)
            flags[known[key].name] = entries[0]["FLAGS"]
        for data in bodies_there(there, mailbox):
            name = TOKEN.search(data[:600].decode("ascii", "replace"))
            if not name or data != wire(bytes_of(name[0])):
                ledger.wrong(f"{mailbox}: {name and name[0]} has {len(data)} other octets there")
        for file in here.files(mailbox):
            name = TOKEN.search(file)
            with open(here.path(mailbox, file), "rb") as opened:
                data = opened.read()
            if not name or data != bytes_of(name[0]):
                ledger.wrong(f"{mailbox}: {file} has {len(data)} other octets here")
    for token in ledger.tokens.values():
        found = tuple(sorted(places[token.name]))
        judge_places(ledger, token, found)
        if len(found) == 1 and not token.copied:
            for user, value in token.keywords.items():
                if value is not None and (f"kw{user}" in flags[token.name]) != value:
                    ledger.wrong(f"{token.name}: the keyword of {user} should be {'set' if value else 'gone'}: {sorted(flags[token.name])} {token.ops}")
    for name, (value, _) in ledger.mailboxes.items():
        if value is not None and (name in mailboxes) != value:
            ledger.wrong(f"mailbox {name} should {'be there' if value else 'be gone'}")


def judge_places(ledger, token, found):
    low, high = token.bounds()
    if token.lost:
        return  # told already
    if token.owner is None and not low <= len(found) <= high:
        ledger.wrong(f"{token.name}: {len(found)} of it, not {low} to {high}: {found} {token.ops}")
    elif token.owner is not None and found not in token.outcomes():
        ledger.wrong(f"{token.name}: is in {found or 'no mailbox'}, not {token.outcomes()}: {token.ops}")


MUTATING = {"CHANGED", "APPEND", "UID STORE", "STORE", "UID COPY", "UID MOVE", "EXPUNGE", "UID EXPUNGE", "CREATE", "DELETE", "RENAME"}


def settle(ledger, heres, there, proxy, limit_s):
    """Waits until both sides are equal, looks whether they stay so and nothing more is sent (P14), and judges."""
    begin = time.monotonic()
    for mailbox in there.mailboxes():  # temporaries of writers who lost their mount
        for name in heres[0].files(mailbox):
            if name.startswith(".tok-"):
                os.unlink(heres[0].path(mailbox, name))

    def equal(here):
        try:
            return not difference(here, there)
        except FileNotFoundError:  # it was just moved
            return False

    for here in heres:
        try:
            eventually("both sides are equal", lambda here=here: equal(here), limit_s, 0.2)
        except AssertionError:
            ledger.wrong(f"after {limit_s} s of quiet they differ:\n{difference(here, there)}\n{here.run('status', status=None)}")
            break
    quiet_s = time.monotonic() - begin
    heres[0].run("sync", heres[0].name, "--full", status=None)
    proxy.zero()
    text = heres[0].run("sync", heres[0].name, status=None)
    sent = {name: count for name, count in proxy.counts()["commands"].items() if name in MUTATING}
    if sent:
        ledger.wrong(f"a pass over what rests sends {sent}: {text}")
    try:
        judge(ledger, heres[0], there)
    except (OSError, imaplib.IMAP4.error) as why:
        ledger.wrong(f"judging: {why}")
    return quiet_s
