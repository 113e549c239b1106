"""Both sides of one account: a mount of it, and clients of the server, for tests that change one side and look at the other."""
import base64
import contextlib
import hashlib
import imaplib
import os
import re
import signal
import subprocess
import time

import maildirside

SERVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers")
PORT = int(os.environ.get("MAILFS_TEST_PORT", "0"))
SERVER = os.environ["MAILFS_TEST_SERVER"]
MAILDIR = SERVER == "maildir"
SCRATCH = os.environ["MAILFS_TEST_DIR"]
DATE = 1793610720  # an internal date
ITEM = re.compile(rb'(UID|INTERNALDATE|RFC822\.SIZE|X-GUID|EMAILID|FLAGS) (\([^)]*\)|"[^"]*"|[^ ()]+)')


def message(subject, body="Text.", extra=""):
    return (
        f"From: Me <me@example.org>\nTo: You <you@example.org>\nSubject: {subject}\nDate: Tue, 03 Nov 2026 09:12:00 +0000\n"
        f"Message-ID: <{hashlib.sha256(subject.encode()).hexdigest()[:16]}@test>\n{extra}\n{body}\n"
    ).encode()


def wire(data):
    return re.sub(rb"(?<!\r)\n", b"\r\n", data)


def eventually(what, question, limit_s=20.0, step_s=0.02):
    """Waits until it is so, and gives what the question gave."""
    end = time.monotonic() + limit_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(step_s)


def utf7(name):
    """A mailbox name in modified UTF-7 (RFC 3501, 5.1.3)."""

    def shifted(match):
        return "&" + base64.b64encode(match[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"

    return re.sub("[^ -~]+", shifted, name.replace("&", "&-"))


def from_utf7(raw):
    def unshifted(match):
        if not match[1]:
            return "&"
        text = match[1].replace(",", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-16-be")

    return re.sub("&([^-]*)-", unshifted, raw)


class ServerThere:
    """A client of the server."""

    def __init__(self, user="user1", port=None):
        self.user, self.port = user, port or PORT
        self.client = imaplib.IMAP4("127.0.0.1", self.port)
        self.client.login(user, "pass")
        self.selected = None

    def close(self):
        with contextlib.suppress(Exception):
            self.client.logout()

    def ok(self, answer):
        assert answer[0] == "OK", answer
        return answer[1]

    def select(self, mailbox):
        if self.selected != mailbox:
            self.selected = None
            self.ok(self.client.select(f'"{utf7(mailbox)}"'))
            self.selected = mailbox
        else:
            self.ok(self.client.noop())

    def forget(self):
        """Selects nothing, so that a mailbox may be removed or renamed."""
        if self.selected is not None:
            self.client.unselect()
            self.selected = None

    def mailboxes(self):
        """From a connection of its own: one that lived through changes of the tree may list the past (docs/VIOLATIONS.md)."""
        fresh = imaplib.IMAP4("127.0.0.1", self.port)
        fresh.login(self.user, "pass")
        lines = self.ok(fresh.list())
        fresh.logout()
        names = [line[0] + b" " + line[1] if isinstance(line, tuple) else line for line in lines if line]
        return sorted(from_utf7(line.decode().split(' "/" ', 1)[1].strip('"')) for line in names if b"\\Noselect" not in line and b"\\NonExistent" not in line)

    def messages(self, mailbox):
        """Message-ID to what the server tells of it. Two of one Message-ID come as a list of two."""
        self.select(mailbox)
        guid = "X-GUID" if SERVER == "dovecot" else "EMAILID"
        answer = self.ok(self.client.uid("FETCH", "1:*", f"(UID FLAGS INTERNALDATE RFC822.SIZE {guid} BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"))
        found = {}
        parts = [item for item in answer if item]
        for i, item in enumerate(parts):
            if not isinstance(item, tuple):
                continue
            line = item[0] + (parts[i + 1] if i + 1 < len(parts) and isinstance(parts[i + 1], bytes) else b"")
            entry = {name.decode(): value.decode().strip('"') for name, value in ITEM.findall(line)}
            entry["FLAGS"] = set(entry.get("FLAGS", "()").strip("()").split()) - {"\\Recent"}
            entry["GUID"] = entry.pop("X-GUID", entry.pop("EMAILID", "")).strip("()")
            key = item[1].split(b":", 1)[-1].strip().decode()
            found.setdefault(key, []).append(entry)
        return found

    def one(self, mailbox, subject):
        """The one message of that subject, or None."""
        try:
            entries = self.messages(mailbox).get(identity(subject), [])
        except (AssertionError, imaplib.IMAP4.error):
            self.selected = None
            return None
        assert len(entries) <= 1, f"{subject} is {len(entries)} times in {mailbox}"
        return entries[0] if entries else None

    def append(self, mailbox, data, flags="", date_s=DATE):
        self.ok(self.client.append(f'"{utf7(mailbox)}"', f"({flags})" if flags else None, imaplib.Time2Internaldate(date_s), wire(data)))

    def store(self, mailbox, uid, how, flags):
        self.select(mailbox)
        self.ok(self.client.uid("STORE", uid, how, f"({flags})"))

    def move(self, mailbox, uid, to):
        self.select(mailbox)
        self.ok(self.client.uid("MOVE", uid, f'"{utf7(to)}"'))

    def copy(self, mailbox, uid, to):
        self.select(mailbox)
        self.ok(self.client.uid("COPY", uid, f'"{utf7(to)}"'))

    def expunge(self, mailbox, *uids):
        self.select(mailbox)
        if uids:
            self.ok(self.client.uid("STORE", ",".join(uids), "+FLAGS.SILENT", "(\\Deleted)"))
            self.ok(self.client.uid("EXPUNGE", ",".join(uids)))

    def body(self, mailbox, uid, section="BODY.PEEK[]"):
        self.select(mailbox)
        answer = self.ok(self.client.uid("FETCH", uid, f"({section})"))
        return next(item[1] for item in answer if isinstance(item, tuple))


imaplib.Commands.setdefault("MOVE", ("SELECTED",))
imaplib.Commands.setdefault("UNSELECT", ("SELECTED",))


def identity(subject):
    return f"<{hashlib.sha256(subject.encode()).hexdigest()[:16]}@test>"


class Here:
    """An account of mailfs, mounted or not."""

    def __init__(self, mailfs, name="test", user="user1", port=None, **keys):
        self.mailfs = os.path.abspath(mailfs)
        self.top = f"{SCRATCH}/{name}"
        os.makedirs(self.top)
        self.config, self.store, self.mail = f"{self.top}/config", f"{self.top}/store", f"{self.top}/Mail"
        os.mkdir(self.mail)
        self.name = name
        self.write_config(user, port or PORT, **keys)

    def write_config(self, user, port, **keys):
        keys = {
            "address": f"{user}@example.org",
            "server": f"maildir:{maildirside.TREE}/{user}" if MAILDIR else f"imap://127.0.0.1:{port}",
            "user": user,
            "password-command": None if MAILDIR else "echo pass",
            "store": self.store,
            "poll": "5s",
        } | {key.replace("_", "-"): value for key, value in keys.items()}
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"[account {self.name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items() if value is not None))

    def run(self, *args, status=0, timeout=120, env=None):
        environment = dict(os.environ, MAILFS_CONFIG=self.config) | (env or {})
        with open(f"{self.top}/out", "w+", encoding="utf-8") as out:
            done = subprocess.run([self.mailfs, *map(str, args)], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, timeout=timeout)
            out.seek(0)
            text = out.read()
        if status is not None:
            statuses = status if isinstance(status, tuple) else (status,)
            assert done.returncode in statuses, f"mailfs {args}: {done.returncode}\n{text}"
        return text

    @contextlib.contextmanager
    def mounted(self, *options, directory=None):
        directory = directory or self.mail
        os.makedirs(directory, exist_ok=True)
        log = os.environ.get("MAILFS_TEST_LOG")
        if log:  # to see what it does: in the foreground, with all it says
            environment = dict(os.environ, MAILFS_CONFIG=self.config)
            with open(log, "ab") as out:
                subprocess.Popen([self.mailfs, "mount", self.name, directory, "-f", "-v", "-v", *options], stdout=out, stderr=out, env=environment)
            eventually("it is mounted", lambda: os.path.ismount(directory) and os.path.isdir(f"{directory}/INBOX"))
        else:
            self.run("mount", self.name, directory, *options)
        try:
            yield directory
        finally:
            self.run("unmount", directory)
            eventually("the mount is gone", lambda: not os.path.ismount(directory))

    def path(self, mailbox, file=""):
        return os.path.join(self.mail, mailbox, file)

    def files(self, mailbox):
        try:
            return sorted(name for name in os.listdir(self.path(mailbox)) if not os.path.isdir(self.path(mailbox, name)))
        except FileNotFoundError:
            return []

    def find(self, mailbox, subject):
        """The path of the one message of that subject, or None; from what its xattr says."""
        found = []
        for name in self.files(mailbox):
            path = self.path(mailbox, name)
            with contextlib.suppress(OSError):
                if os.getxattr(path, "user.mail.message-id").decode() == identity(subject):
                    found.append(path)
        assert len(found) <= 1, f"{subject} is {len(found)} times in {mailbox} here"
        return found[0] if found else None

    def flags(self, path):
        def get(name):
            try:
                return os.getxattr(path, name).decode().split()
            except OSError:
                return []

        return set(get("user.mail.flags")) | set(get("user.mail.keywords"))

    def set(self, path, value, what="flags"):
        os.setxattr(path, f"user.mail.{what}", value.encode())

    def write(self, mailbox, name, data, mtime=None):
        path = self.path(mailbox, name)
        with open(path, "wb") as file:
            file.write(data)
            if mtime is not None:
                os.utime(file.fileno(), (mtime, mtime))
        return path

    def state(self, path):
        return os.getxattr(path, "user.mailfs.state").decode()


class MaildirThere(maildirside.MaildirThere):
    one = ServerThere.one


def There(user="user1", port=None):  # pylint: disable=invalid-name
    """Somebody else on the other side: a client of the server, or a program that works on the Maildirs."""
    if MAILDIR:
        return MaildirThere(user, utf7=utf7, from_utf7=from_utf7)
    return ServerThere(user, port)


class ServerProxy:
    """The counting proxy between an account and the server."""

    def __init__(self, *options):
        self.json = f"{SCRATCH}/counts.{os.getpid()}.{id(self)}"
        command = [f"{SERVERS}/proxy", "0", str(PORT), "--json", self.json, *map(str, options)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[-1])

    def zero(self):
        self.process.send_signal(signal.SIGUSR2)
        time.sleep(0.05)

    def counts(self):
        import json

        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.json)
        self.process.send_signal(signal.SIGUSR1)
        eventually("the proxy tells its counts", lambda: os.path.exists(self.json) and os.path.getsize(self.json) > 0)
        time.sleep(0.02)
        with open(self.json, encoding="ascii") as file:
            return json.load(file)

    def end(self):
        self.process.terminate()
        self.process.wait(10)


Proxy = maildirside.NoProxy if MAILDIR else ServerProxy
OURS = {"\\Seen": "seen", "\\Flagged": "flagged", "\\Answered": "answered", "\\Draft": "draft", "\\Deleted": "deleted"}


def both(here, there, mailboxes=None):
    """What each side has: mailbox to Message-ID to (size as read, date, flags), for comparing. Both as lists, so that doubles show."""
    left, right = {}, {}
    for mailbox in mailboxes or there.mailboxes():
        left[mailbox] = sorted(
            (os.getxattr(path, "user.mail.message-id").decode(), int(os.stat(path).st_mtime), tuple(sorted(here.flags(path))))
            for path in (here.path(mailbox, name) for name in here.files(mailbox))
        )
        right[mailbox] = sorted(
            (key, int(time.mktime(imaplib.Internaldate2tuple(f'INTERNALDATE "{entry["INTERNALDATE"]}"'.encode()))), tuple(sorted(OURS.get(flag, flag) for flag in entry["FLAGS"])))
            for key, entries in there.messages(mailbox).items()
            for entry in entries
        )
    return left, right


def difference(here, there, mailboxes=None):
    """An empty text when both sides are equal, else the first things that differ."""
    left, right = both(here, there, mailboxes)
    lines = []
    for mailbox in left:
        for item in left[mailbox]:
            if item not in right[mailbox]:
                lines.append(f"{mailbox}: only here: {item}")
        for item in right[mailbox]:
            if item not in left[mailbox]:
                lines.append(f"{mailbox}: only there: {item}")
        if not lines and len(left[mailbox]) != len(right[mailbox]):
            lines.append(f"{mailbox}: {len(left[mailbox])} here, {len(right[mailbox])} there")
    return "\n".join(lines[:20])
