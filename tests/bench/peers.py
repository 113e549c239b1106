"""Clients to be measured beside each other, the server they talk to, and what a run of one of them costs."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SERVERS = os.path.join(TESTS, "servers")
RUN_MAX_S = 1200
SAMPLE_S = 0.01


def tool(name, *args):
    subprocess.run([os.path.join(SERVERS, name), *map(str, args)], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


# --- what a run costs


def anonymous_kb(pid):
    """Anonymous resident pages of a process: its own memory, without mapped files."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return int(re.search(r"RssAnon:\s+(\d+)", file.read())[1])
    except (OSError, TypeError):
        return 0


class Sampler(threading.Thread):
    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak_kb, self.over = pid, 0, threading.Event()

    def run(self):
        while not self.over.wait(SAMPLE_S):
            self.peak_kb = max(self.peak_kb, anonymous_kb(self.pid))


def measure(command, env=None, log=None):
    """Runs it; seconds, processor seconds, and the peak of its anonymous pages."""
    with open(log or os.devnull, "ab+") as out:
        at = out.seek(0, 2)
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True)
        sampler = Sampler(process.pid)
        timer = threading.Timer(RUN_MAX_S, lambda: os.killpg(process.pid, signal.SIGTERM))
        sampler.start()
        timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except SystemExit:
            os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            timer.cancel()
            sampler.over.set()
        wall = time.perf_counter() - begin
        sampler.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            out.seek(at)
            sys.exit(f"bench: {command[0]} ended with {process.returncode}: {out.read().decode(errors='replace')[-800:]}")
    return {"s": wall, "cpu_s": used.ru_utime + used.ru_stime, "anon_mib": sampler.peak_kb / 1024}


def count_fsyncs(command, env, directory):
    """How often it makes something durable; None where strace is missing. Such a run is not timed."""
    if not shutil.which("strace"):
        return None
    path = f"{directory}/strace"
    calls = "fsync,fdatasync,sync_file_range,syncfs,sync,msync"
    measure(["strace", "-f", "--seccomp-bpf", "-qq", "-c", "-o", path, "-e", f"trace={calls}", *command], env)
    with open(path, encoding="ascii", errors="replace") as file:
        rows = [line.split() for line in file]
    return sum(int(row[3]) for row in rows if len(row) > 4 and row[-1] in calls.split(","))


def file_system(path):
    return subprocess.run(["stat", "-f", "-c", "%T", path], check=True, stdout=subprocess.PIPE, text=True).stdout.strip().replace("ext2/ext3", "ext4")


# --- the server


class Server:
    """A private Dovecot whose mail lies in memory. Accounts are made once and copied for what changes them."""

    def __init__(self, directory, seed="bench"):
        self.dir, self.seed = directory, seed
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o755)
        ports = subprocess.run([f"{SERVERS}/free_port", "2"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        self.port = int(ports[0])
        tool("dovecot", "start", f"{directory}/server", *ports)
        with open(f"{directory}/server/run/master.pid", encoding="ascii") as file:
            self.master = int(file.read())

    def stop(self):
        tool("dovecot", "stop", f"{self.dir}/server")

    def cpu_s(self):
        """Of processes that have ended."""
        with open(f"/proc/{self.master}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def messages(self, count):
        path = f"{self.dir}/messages"
        if not os.path.exists(f"{path}.{count}"):
            shutil.rmtree(path, ignore_errors=True)
            tool("generate", count, self.seed, path)
            with open(f"{path}.{count}", "w", encoding="ascii"):
                pass
        return path

    def account(self, user, mailbox, first, end, spread=None):
        """Makes it once."""
        done = f"{self.dir}/{user}.{first}.{end}"
        if not os.path.exists(done):
            self.load(user, mailbox, first, end, *(["--spread", spread] if spread else []))
            with open(done, "w", encoding="ascii"):
                pass
        return user

    def load(self, user, mailbox, first, end, *more):
        tool("load", self.port, user, mailbox, f"{self.dir}/messages", "--from", first, "--to", end, *more)

    def copy(self, user, name):
        home = f"{self.dir}/server/home"
        shutil.rmtree(f"{home}/{name}", ignore_errors=True)
        subprocess.run(["cp", "-a", f"{home}/{user}", f"{home}/{name}"], check=True)
        return name

    def drop(self, name):
        shutil.rmtree(f"{self.dir}/server/home/{name}", ignore_errors=True)


class Proxy:
    """The counting proxy, which also makes round trips long."""

    def __init__(self, port, directory, rtt_ms=0):
        self.json = f"{directory}/counts"
        self.process = subprocess.Popen([f"{SERVERS}/proxy", "0", str(port), "--json", self.json, "--rtt", str(rtt_ms)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[-1])

    def zero(self):
        self.process.send_signal(signal.SIGUSR2)
        time.sleep(0.05)

    def counts(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.json)
        self.process.send_signal(signal.SIGUSR1)
        while not os.path.exists(self.json):
            time.sleep(0.01)
        with open(self.json, encoding="ascii") as file:
            return json.load(file)

    def end(self):
        self.process.terminate()
        self.process.wait(10)


class Wire:
    """As much of IMAP as changing an account, and draining it, needs."""

    def __init__(self, port, user):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.room = bytearray(1 << 20)
        self.tag, self.octets = 0, 0
        self.socket.recv(4096)
        self.run(f"LOGIN {user} pass")

    def run(self, command):
        """Sends it and throws the answer away but for its last 4 KiB; its tagged line has to say OK."""
        self.tag += 1
        self.socket.sendall(f"{self.tag} {command}\r\n".encode())
        end, tail = f"\r\n{self.tag} ".encode(), b"\r\n"
        while True:
            count = self.socket.recv_into(self.room)
            if count == 0:
                sys.exit("bench: the server has closed the connection")
            self.octets += count
            tail = (tail + bytes(self.room[max(0, count - 4096) : count]))[-8192:]
            if tail.endswith(b"\r\n") and end in tail:
                if end + b"OK" not in tail:
                    sys.exit(f"bench: {command}: {tail[-200:]}")
                return tail

    def close(self):
        self.socket.close()


def drain(port, user, *commands):
    """The floor: what is asked for comes, and goes nowhere."""
    begin = time.perf_counter()
    wire = Wire(port, user)
    wire.run("EXAMINE INBOX")
    for command in commands:
        wire.run(command)
    found = {"s": time.perf_counter() - begin, "octets": wire.octets}
    wire.close()
    return found


# --- the clients; each keeps all it has in `top`


class Mailfs:
    name = "mailfs"

    def __init__(self, program, top):
        self.program, self.top, self.mail = os.path.abspath(program), top, f"{top}/Mail"
        self.env = dict(os.environ, MAILFS_CONFIG=f"{top}/config")
        os.makedirs(self.mail)

    def command(self, user, port):
        with open(f"{self.top}/config", "w", encoding="utf-8") as file:
            file.write(
                f"[account bench]\naddress = {user}@example.org\nserver = imap://127.0.0.1:{port}\nuser = {user}\n"
                f"password-command = echo pass\nstore = {self.top}/store\n"
            )
        return [self.program, "sync", "bench", "-q"]

    @contextlib.contextmanager
    def mounted(self, *options):
        subprocess.run([self.program, "mount", "bench", self.mail, *options], check=True, env=self.env, stdin=subprocess.DEVNULL)
        try:
            yield self.mail
        finally:
            subprocess.run([self.program, "unmount", self.mail], check=True, env=self.env, stdin=subprocess.DEVNULL)
            end = time.monotonic() + 30
            while os.path.ismount(self.mail) and time.monotonic() < end:
                time.sleep(0.02)

    def files(self, mailbox):
        return [entry.path for entry in os.scandir(f"{self.mail}/{mailbox}") if entry.name.endswith(".eml")]

    def flag(self, count):
        with self.mounted("-o", "nosync"):
            for path in self.files("INBOX")[:count]:
                os.setxattr(path, "user.mail.flags", b"+flagged")

    def add(self, paths):
        with self.mounted("-o", "nosync"):
            for path in paths:
                shutil.copyfile(path, f"{self.mail}/INBOX/new {os.path.basename(path)}")

    def move(self, count):
        with self.mounted("-o", "nosync"):
            for path in self.files("INBOX")[:count]:
                os.rename(path, f"{self.mail}/Target/{os.path.basename(path)}")

    def holds(self):
        """How many messages are here with their bodies."""
        text = subprocess.run([self.program, "status", "bench", "--json"], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
        return sum(mailbox["messages"] for account in json.loads(text)["accounts"] for mailbox in account["mailboxes"])


class Maildirs:
    """What clients that keep a Maildir have in common."""

    env = None

    def __init__(self, top):
        self.top, self.root = top, f"{top}/mail"
        os.makedirs(self.root)

    def files(self, mailbox="INBOX"):
        for part in ("new", "cur"):
            for entry in os.scandir(f"{self.root}/{mailbox}/{part}"):
                yield mailbox, entry.name, entry.path

    def flag(self, count):
        for _, name, path in list(self.files())[:count]:
            base, _, letters = name.partition(":2,")
            os.rename(path, f"{self.root}/INBOX/cur/{base}:2,{''.join(sorted(set(letters) | {'F'}))}")

    def add(self, paths):
        for path in paths:
            shutil.copyfile(path, f"{self.root}/INBOX/new/{int(time.time())}.{os.path.basename(path)}.bench")

    def move(self, count):
        for number, (_, name, path) in enumerate(list(self.files())[:count]):
            letters = name.partition(":2,")[2]
            os.rename(path, f"{self.root}/Target/cur/{int(time.time())}.M{number}.bench:2,{letters}")

    def holds(self):
        return sum(len(names) for top, _, names in os.walk(self.root) if os.path.basename(top) in ("new", "cur"))


class Mbsync(Maildirs):
    name = "mbsync"

    def command(self, user, port):
        with open(f"{self.top}/rc", "w", encoding="ascii") as file:
            file.write(
                f"FSync yes\n\nIMAPAccount r\nHost 127.0.0.1\nPort {port}\nUser {user}\nPass pass\nSSLType None\nAuthMechs LOGIN\n\n"
                f"IMAPStore remote\nAccount r\n\nMaildirStore local\nPath {self.root}/\nInbox {self.root}/INBOX\nSubFolders Verbatim\n\n"
                "Channel c\nFar :remote:\nNear :local:\nPatterns *\nCreate Near\nSync All\nExpunge Both\nSyncState *\n"
            )
        return ["mbsync", "-q", "-c", f"{self.top}/rc", "-a"]


class Offlineimap(Maildirs):
    name = "offlineimap"

    def command(self, user, port):
        with open(f"{self.top}/rc", "w", encoding="ascii") as file:
            file.write(
                f"[general]\naccounts = a\nmetadata = {self.top}/meta\nmaxsyncaccounts = 1\nui = quiet\n[Account a]\nlocalrepository = l\nremoterepository = r\n"
                f"[Repository l]\ntype = Maildir\nlocalfolders = {self.root}\nsep = /\n[Repository r]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {port}\n"
                f"remoteuser = {user}\nremotepass = pass\nssl = no\nstarttls = no\nmaxconnections = 4\n"
            )
        return ["offlineimap", "-c", f"{self.top}/rc", "-o"]
