"""A tree of Maildirs as the other side of an account, worked on with plain file operations: what twosides.There is for a server.

A "UID" here is a message's unique name, up to the first `,` or `:`. MAILFS_TEST_STYLE says how the tree is kept: nested, or maildir++.
"""
import contextlib
import imaplib
import os
import re
import shutil
import socket
import time

TREE = os.environ.get("MAILFS_TEST_TREE", "")
PLUS = os.environ.get("MAILFS_TEST_STYLE") == "maildir++"
LETTERS = {"D": "\\Draft", "F": "\\Flagged", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}
FLAGS = {flag.lower(): letter for letter, flag in LETTERS.items()}
MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.I | re.M)


def key_of(name):
    return re.split("[,:]", name, maxsplit=1)[0]


class Tree:
    """The tree of one user."""

    made = 0

    def __init__(self, user):
        self.top = f"{TREE}/{user}"
        os.makedirs(self.top, exist_ok=True)
        if PLUS:
            self.make_parts(self.top)

    @staticmethod
    def make_parts(path):
        for part in ("tmp", "new", "cur"):
            os.makedirs(f"{path}/{part}", exist_ok=True)

    def path(self, mailbox, utf7):
        if not PLUS:
            return f"{self.top}/{mailbox}"
        return self.top if mailbox == "INBOX" else f"{self.top}/.{utf7(mailbox).replace('/', '.')}"

    def mailboxes(self, from_utf7):
        found = []
        for path, names, _ in os.walk(self.top):
            names[:] = [name for name in names if name not in ("cur", "new", "tmp") and (PLUS or name[0] != ".")]
            if os.path.isdir(f"{path}/cur"):
                name = os.path.relpath(path, self.top)
                found.append("INBOX" if name == "." else from_utf7(name[1:].replace(".", "/")) if PLUS else name)
        return sorted(found)

    @staticmethod
    def files(path):
        """(part, name) of each message, each once though it be renamed meanwhile."""
        found = {}
        for part in ("new", "cur"):
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(f"{path}/{part}"):
                    if name[0] != ".":
                        found[key_of(name)] = (part, name)
        return list(found.values())

    @staticmethod
    def keywords(path):
        with contextlib.suppress(FileNotFoundError):
            with open(f"{path}/dovecot-keywords", encoding="utf-8") as file:
                return {chr(ord("a") + int(line.split()[0])): line.split()[1] for line in file if line.strip()}
        return {}

    def letter_of(self, path, flag):
        return next((letter for letter, name in self.keywords(path).items() if name.lower() == flag.lower()), None)

    def letter(self, path, flag):
        """The letter of a flag; a keyword that has none gets one, as Dovecot does it."""
        if flag.lower() in FLAGS:
            return FLAGS[flag.lower()]
        for _ in range(100):
            letter = self.letter_of(path, flag)
            if letter:
                return letter
            try:
                with open(f"{path}/dovecot-keywords.lock", "x", encoding="utf-8") as file:
                    table = self.keywords(path)
                    letter = self.letter_of(path, flag) or next(chr(c) for c in range(ord("a"), ord("z") + 1) if chr(c) not in table)
                    table[letter] = flag
                    file.write("".join(f"{ord(c) - ord('a')} {name}\n" for c, name in sorted(table.items())))
                os.rename(f"{path}/dovecot-keywords.lock", f"{path}/dovecot-keywords")
                return letter
            except FileExistsError:
                time.sleep(0.01)
        raise AssertionError("the lock of the keywords is never free")

    def flags(self, path, name):
        letters = name.partition(":2,")[2]
        table = self.keywords(path)
        return {LETTERS.get(c) or table.get(c) for c in letters} - {None}

    def with_file(self, path, key, do):
        """Does something to a message's file under whatever name it has now; False where it is gone."""
        for _ in range(200):
            found = [(part, name) for part, name in self.files(path) if key_of(name) == key]
            if not found:
                time.sleep(0.001)  # a listing may miss one that is renamed
                found = [(part, name) for part, name in self.files(path) if key_of(name) == key]
                if not found:
                    return False
            try:
                do(*found[0])
                return True
            except FileNotFoundError:
                continue
        raise AssertionError(f"{key} in {path} is renamed all the time")

    def new_name(self):
        Tree.made += 1
        return f"{int(time.time())}.M{time.monotonic_ns()}P{os.getpid()}Q{Tree.made}.{socket.gethostname()}"

    def deliver(self, path, data, letters, mtime):
        name = self.new_name()
        with open(f"{path}/tmp/{name}", "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mtime is not None:
            os.utime(f"{path}/tmp/{name}", (mtime, mtime))
        os.rename(f"{path}/tmp/{name}", f"{path}/cur/{name}:2,{letters}" if letters else f"{path}/new/{name}")

    def store(self, path, key, how, flags):
        letters = {self.letter(path, flag) for flag in flags}

        def change(part, name):
            base, _, old = name.partition(":2,")
            new = set(old) | letters if how.startswith("+") else set(old) - letters
            os.rename(f"{path}/{part}/{name}", f"{path}/cur/{base}:2,{''.join(sorted(new))}")

        return self.with_file(path, key, change)

    def move(self, path, key, to):
        def rename(part, name):
            base = name.partition(":2,")[0]
            letters = "".join(sorted(self.letter(to, flag) for flag in self.flags(path, name)))
            if any(key_of(other) == key for _, other in self.files(to)):
                base = self.new_name()
            os.rename(f"{path}/{part}/{name}", f"{to}/{part}/{base}" + (f":2,{letters}" if part == "cur" else ""))

        return self.with_file(path, key, rename)

    def copy(self, path, key, to):
        def link(part, name):
            letters = "".join(sorted(self.letter(to, flag) for flag in self.flags(path, name)))
            base = name.partition(":2,")[0]
            taken = any(key_of(other) == key for _, other in self.files(to))
            target = (self.new_name() if taken else base) + ":2," + letters
            shutil.copy2(f"{path}/{part}/{name}", f"{to}/tmp/{key}")
            os.rename(f"{to}/tmp/{key}", f"{to}/cur/{target}")

        return self.with_file(path, key, link)

    def expunge(self, path, key):
        return self.with_file(path, key, lambda part, name: os.unlink(f"{path}/{part}/{name}"))

    def read(self, path, key):
        data = []

        def take(part, name):
            with open(f"{path}/{part}/{name}", "rb") as file:
                data.append(file.read())

        return data[-1] if self.with_file(path, key, take) else None


class Client:
    """As much of imaplib as the tests use."""

    def __init__(self, side):
        self.side, self.untagged_responses = side, {}

    def path(self, quoted):
        return self.side.path(self.side.from_utf7(quoted.strip('"')))

    def create(self, quoted):
        Tree.make_parts(self.path(quoted))
        return "OK", []

    def delete(self, quoted):
        path = self.path(quoted)
        shutil.rmtree(path) if PLUS else [shutil.rmtree(f"{path}/{part}") for part in ("cur", "new", "tmp")]
        if not PLUS and not any(os.path.isdir(f"{path}/{name}") for name in os.listdir(path)):
            shutil.rmtree(path)
        return "OK", []

    def rename(self, quoted, to):
        path, target = self.path(quoted), self.path(to)
        if PLUS:
            for name in os.listdir(self.side.tree.top):
                if name.startswith(os.path.basename(path) + "."):
                    os.rename(f"{self.side.tree.top}/{name}", target + f"{self.side.tree.top}/{name}"[len(path) :])
        os.rename(path, target)
        return "OK", []

    def subscribe(self, _):
        return "OK", []

    def uid(self, what, *args):
        tree, path = self.side.tree, self.side.path(self.side.selected)
        if what == "SEARCH":
            wanted = args[-1].strip('"').encode()
            keys = [key_of(name) for part, name in tree.files(path) if self.side.message_id(path, part, name) == wanted]
            return "OK", [" ".join(keys).encode()]
        assert what == "FETCH" and args == ("1:*", "(BODY.PEEK[])"), args
        bodies = (tree.read(path, key_of(name)) for _, name in tree.files(path))
        return "OK", [(b"", re.sub(rb"(?<!\r)\n", b"\r\n", body)) for body in bodies if body is not None]

    def _simple_command(self, _, what, key, *args):
        tree, path = self.side.tree, self.side.path(self.side.selected)
        if what == "MOVE":
            done = tree.move(path, key, self.path(args[0]))
        elif what == "COPY":
            done = tree.copy(path, key, self.path(args[0]))
        elif what == "STORE":
            done = tree.store(path, key, args[0], args[1].strip("()").split())
        else:
            done = tree.expunge(path, key)
        self.untagged_responses = {{"MOVE": "COPYUID", "COPY": "COPYUID", "STORE": "FETCH"}.get(what, "EXPUNGE"): []} if done else {}
        return "OK", []

    def logout(self):
        pass


class MaildirThere:
    """Another program that works on the tree."""

    def __init__(self, user="user1", port=None, utf7=None, from_utf7=None):
        self.user, self.tree, self.selected = user, Tree(user), None
        self.utf7, self.from_utf7 = utf7, from_utf7
        self.client = Client(self)

    def close(self):
        pass

    def ok(self, answer):
        assert answer[0] == "OK", answer
        return answer[1]

    def path(self, mailbox):
        return self.tree.path(mailbox, self.utf7)

    def select(self, mailbox):
        self.selected = mailbox

    def forget(self):
        pass

    def mailboxes(self):
        return self.tree.mailboxes(self.from_utf7)

    @staticmethod
    def message_id(path, part, name):
        try:
            with open(f"{path}/{part}/{name}", "rb") as file:
                found = MESSAGE_ID.search(file.read(65536))
                return found[1] if found else b""
        except FileNotFoundError:
            return None

    def messages(self, mailbox):
        path, found = self.path(mailbox), {}
        if not os.path.isdir(f"{path}/cur"):
            raise AssertionError(f"there is no {mailbox}")
        for part, name in self.tree.files(path):
            identity = self.message_id(path, part, name)
            if identity is None:
                continue
            try:
                status = os.stat(f"{path}/{part}/{name}")
            except FileNotFoundError:
                continue
            date = imaplib.Time2Internaldate(int(status.st_mtime)).strip('"')
            entry = {"UID": key_of(name), "GUID": key_of(name), "FLAGS": self.tree.flags(path, name), "INTERNALDATE": date}
            found.setdefault(identity.decode(), []).append(entry)
        return found

    def append(self, mailbox, data, flags="", date_s=1793610720):
        path = self.path(mailbox)
        letters = "".join(sorted(self.tree.letter(path, flag) for flag in flags.split()))
        self.tree.deliver(path, data, letters, date_s)

    def store(self, mailbox, uid, how, flags):
        assert self.tree.store(self.path(mailbox), uid, how, flags.split())

    def move(self, mailbox, uid, to):
        for key in uid.split(","):
            assert self.tree.move(self.path(mailbox), key, self.path(to))

    def copy(self, mailbox, uid, to):
        assert self.tree.copy(self.path(mailbox), uid, self.path(to))

    def expunge(self, mailbox, *uids):
        for uid in uids:
            assert self.tree.expunge(self.path(mailbox), uid)

    def body(self, mailbox, uid, _section=""):
        return re.sub(rb"(?<!\r)\n", b"\r\n", self.tree.read(self.path(mailbox), uid))


class NoProxy:
    """There is no connection: nothing to count. What a pass changed is seen by the tree's times."""

    port = None

    def __init__(self, *_):
        self.before = None

    @staticmethod
    def times():
        return {path: os.stat(path).st_mtime_ns for path, _, _ in os.walk(TREE) if os.path.basename(path) in ("cur", "new")}

    def zero(self):
        self.before = self.times()

    def counts(self):
        return {"commands": {} if self.before in (None, self.times()) else {"CHANGED": 1}}

    def end(self):
        pass
