"""Servers, clients, and calls of the adapter's functions, with everything that must end with a scenario."""

import itertools
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

SERVERS = (1, 2, 3, 4)
# States of a socket in /proc/net/tcp.
LISTEN, SYN_RECEIVED = "0A", "03"
USERS = {"Alice": "SimplePassword", "Bob": "ComplexPassword"}
# Run before the adapter, which may define these otherwise. No file may have more than 512 MiB: what a program prints
# while it runs wild goes to the disk.
DEFAULTS = """
ulimit -f 1048576 2>/dev/null
files() { find "$1" -type f; }
session() { while read -r command file; do "$command" $file; done; }
"""
# In a shell of its own: a program that kills its parent does not kill us, and a crash is printed by the other shell.
COMMAND = DEFAULTS + '(. "$ADAPTER"; "$@"); exit $?'


class Failure(Exception):
    """Why a scenario failed."""


class Cluster:
    """Four servers, their clients, and all processes of one scenario."""

    def __init__(self, folder, environment, seconds):
        self.folder, self.seconds = folder, seconds
        self.environment = {**environment, "SCENARIO": str(folder)}
        self.deadline = time.monotonic() + seconds
        self.lock, self.closed, self.running = threading.Lock(), False, []
        self.complaint = ""  # of the last put, which may be why something else fails
        self.numbers = itertools.count(1)
        self.servers, self.ports, self.held = {}, {}, {}
        for n in SERVERS:
            self.place(n).mkdir(parents=True)
            self.hold(n)
        lines = "".join(f"{name} {password}\n" for name, password in USERS.items())
        (folder / "servers/dfs.conf").write_text(lines)

    def place(self, n):
        """The folder of a server."""
        return self.folder / f"servers/DFS{n}"

    def hold(self, n):
        """Keeps a port for a server, stopped or not, so that the kernel gives it to nobody else."""
        self.held[n] = socket.socket()
        self.held[n].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.held[n].bind(("127.0.0.1", 0))
        self.ports[n] = self.held[n].getsockname()[1]

    def start(self, *servers):
        for n in servers:
            self.launch(n)
        for n in servers:
            late, why = time.monotonic() + self.seconds / 10, f"server {n} does not listen"
            self.until(lambda: self.has_come_up(n) or time.monotonic() > late, why)
            if not is_listening(self.ports[n]) and self.held[n].fileno() != -1:
                # A program without SO_REUSEADDR cannot have the port while we keep it.
                self.servers[n].end()
                self.held[n].close()
                self.launch(n)
            self.until(lambda: self.has_come_up(n), why)
            if not is_listening(self.ports[n]):
                raise Failure(f"server {n} does not start{self.servers[n].finish().said()}")

    def launch(self, n):
        self.servers[n] = self.call(self.folder / "servers", "start", n, self.place(n), self.ports[n])

    def has_come_up(self, n):
        return is_listening(self.ports[n]) or self.servers[n].has_ended()

    def stop(self, *servers):
        """Kills servers, without a chance to tidy up."""
        for n in servers:
            self.servers[n].end()
            # One that left its group, as a daemon does, would make each scenario with stopped servers pass.
            late = time.monotonic() + 5
            self.until(lambda: not is_listening(self.ports[n]) or time.monotonic() > late, f"server {n} does not end")
            if is_listening(self.ports[n]):
                raise Failure(f"server {n} goes on when `start` is killed: it must run in the foreground")

    def died(self):
        """Which servers have ended by themselves, for the reader of a failure."""
        dead = [n for n, call in self.servers.items() if call.process.returncode is None and call.has_ended()]
        return "".join(f"; server {n} had ended{self.servers[n].finish().said()}" for n in dead[:1])

    def freeze(self, n):
        """The server accepts connections, since the kernel does that for it, but does not answer."""
        os.killpg(self.servers[n].process.pid, signal.SIGSTOP)

    def user(self, name="Alice", password=None):
        """A client in a folder of its own."""
        return Client(self, name, password or USERS[name])

    def up(self):
        """All servers and a client: how most scenarios begin."""
        self.start(*SERVERS)
        return self.user()

    def files(self):
        """What the servers hold, for each a sorted list."""
        calls = [self.call(self.folder, "files", self.place(n)) for n in SERVERS]
        return [sorted(call.finish().out.splitlines()) for call in calls]

    def pieces(self, name, user="Alice"):
        """The numbers of a file's pieces on each server, as in ["12", "23", "34", "14"]."""
        calls = [self.call(self.folder, "pieces", self.place(n), user, name).finish() for n in SERVERS]
        if not any(call.out.strip() for call in calls):
            raise Failure(f"`pieces` of the adapter finds none of {name} on any server{calls[0].said()}")
        return ["".join(sorted(call.out.split())) for call in calls]

    def call(self, folder, function, *words, stdin=subprocess.DEVNULL, **variables):
        """Begins a function of the adapter."""
        with self.lock:
            if self.closed:
                raise Failure("interrupted")
            log = self.folder / f"{next(self.numbers):03}-{function}"
            call = Call(self, folder, log, [function, *map(str, words)], stdin, variables)
            self.running.append(call)
        return call

    def until(self, condition, otherwise, begin=None):
        """Waits for something that no process tells us; `begin` is when it began."""
        pause = 0.002
        while not condition():
            if time.monotonic() > self.deadline:
                raise Failure(f"{otherwise} within the {self.seconds:g} s of the scenario"
                              + (f", of which it has had {time.monotonic() - begin:.0f}" if begin else ""))
            time.sleep(pause)
            pause = min(2 * pause, 0.1)

    def close(self):
        with self.lock:
            self.closed = True
        for call in self.running:
            call.end()
        # Those that left their group, as daemons do, still have the variable.
        # Some may start others meanwhile.
        for _ in range(100):
            if not self.sweep():
                break
        for held in self.held.values():
            held.close()

    def sweep(self):
        """Kills what has the variable of this scenario; how many."""
        mark, found = f"SCENARIO={self.folder}\0".encode(), 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
                    found += 1
            except OSError:
                pass  # it is another user's, or has ended
        return found


class Call:
    """A function of the adapter, in a process group of its own. Its output goes to files, which nobody has to read."""

    def __init__(self, cluster, folder, log, words, stdin, variables):
        self.cluster, self.folder, self.words, self.lock = cluster, folder, words, threading.Lock()
        self.begin = time.monotonic()
        self.files = [log.with_suffix(".out"), log.with_suffix(".err")]
        with open(self.files[0], "wb") as out, open(self.files[1], "wb") as err:
            self.process = subprocess.Popen(
                ["sh", "-c", COMMAND, "adapter", *words], cwd=folder,
                env={**cluster.environment, **variables}, stdin=stdin, stdout=out, stderr=err, start_new_session=True)

    def has_ended(self):
        try:
            # Without WNOWAIT its number could be another process's by the time that its group is killed.
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def end(self):
        """Kills what is left of it, children included."""
        with self.lock:
            if self.process.returncode is None:
                try:
                    os.killpg(self.process.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
                self.process.wait()

    def finish(self):
        """Waits for its end."""
        self.cluster.until(self.has_ended, f"`{' '.join(self.words)}` does not end", self.begin)
        self.end()
        self.out, self.err = (self.text(file) for file in self.files)
        return self

    @staticmethod
    def text(file):
        with open(file, "rb") as printed:
            return printed.read(1 << 20).decode(errors="replace")

    def said(self, text=None, who="it"):
        """Its last words, for the reader of a failure."""
        lines = [line.strip() for line in (text or self.out + self.err).splitlines() if line.strip()]
        return f"; {who} said: {printable(lines[-1][:150])}" if lines else ""

    def line_with(self, *texts):
        """Whether a line of what it printed has all these texts, in upper or lower case."""
        lines = (self.out + self.err).lower().splitlines()
        return any(all(text.lower() in line for text in texts) for line in lines)

    def file(self, name):
        """What a get wrote, wherever below its folder; None if nothing."""
        found = [path for path in self.folder.rglob(name) if path.is_file()]
        return found[0].read_bytes() if found else None

    def check_same(self, name, data):
        """Waits for a get, whose file must be this."""
        self.finish()
        got = self.file(name)
        if got is None:
            raise Failure(f"get {name}: no file came back{self.said()}")
        if len(got) != len(data):
            raise Failure(f"get {name}: {len(got)} bytes came back, {len(data)} were put")
        if got != data:
            first = next(at for at in range(len(data)) if got[at] != data[at])
            raise Failure(f"get {name}: other bytes came back, from byte {first} on")

    def check_incomplete(self, name):
        """Waits for a get, which must say that the file is incomplete, and write nothing."""
        self.finish()
        if self.file(name) is not None:
            raise Failure(f"get {name} wrote a file, although pieces are missing")
        if not self.line_with(name, "incomplete"):
            raise Failure(f"get: no line with {name} and 'incomplete'{self.said()}")

    def check_invalid(self):
        """Waits for a command, which must refuse a user in the assignment's words."""
        self.finish()
        if not self.line_with("invalid"):
            raise Failure(f"{self.words[0]}: no line with 'invalid', as in 'Invalid Username/Password'{self.said()}")


class Client:
    """A user's folder, with a dfc.conf, and the commands that are run in it."""

    def __init__(self, cluster, name, password):
        self.cluster, self.name = cluster, name
        self.variables = {"USERNAME": name, "PASSWORD": password}
        self.variables.update({f"PORT{n}": str(cluster.ports[n]) for n in SERVERS})
        self.conf = "".join(f"Server DFS{n} 127.0.0.1:{cluster.ports[n]}\n" for n in SERVERS)
        self.conf += f"Username: {name}\nPassword: {password}\n"

    def begin(self, *words, files=None, folder="", stdin=subprocess.DEVNULL):
        """Begins a command in a new folder, with these files there; `folder` is one on the servers."""
        place = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.cluster.folder))
        (place / "dfc.conf").write_text(self.conf)
        (place / "dfc.conf").chmod(0o600)  # it has a password in it
        for name, data in (files or {}).items():
            (place / name).write_bytes(data)
        return self.cluster.call(place, *words, stdin=stdin, FOLDER=folder, **self.variables)

    def put(self, files, folder=""):
        put = self.begin("put", *files, files=files, folder=folder).finish()
        self.cluster.complaint = put.said(put.err, "put") if put.err.strip() else ""

    def list(self, folder=""):
        return self.begin("list", folder=folder).finish()

    def same(self, files, folder=""):
        """Gets files one after another, and compares them."""
        for name, data in files.items():
            self.begin("get", name, folder=folder).check_same(name, data)

    def has(self, *names, without=(), folder=""):
        """Lists, and finds each name on one line, without a mark that it is incomplete."""
        listed = self.list(folder)
        where = f"list {folder}/" if folder else "list"
        for name in names:
            # A program may print its list to standard error, or a log there beside its list.
            lines = [line for line in listed.out.splitlines() if name in line]
            lines = lines or [line for line in listed.err.splitlines() if name in line]
            if not lines:
                raise Failure(f"{where} has no line with {name}{listed.said(listed.out)}")
            if len(lines) > 1:
                raise Failure(f"{where} has {len(lines)} lines with {name}, expected one: "
                              + printable(" | ".join(line.strip()[:40] for line in lines[:3])))
            if any(other in lines[0] for other in names if other != name):
                raise Failure(f"{where} has several names on one line: {printable(lines[0].strip()[:90])}")
            if "incomplete" in lines[0].lower():
                raise Failure(f"{where} has {name} as incomplete")
        for name in without:
            if name in (listed.out or listed.err):
                raise Failure(f"{where} has {name}, which is in another folder")


def printable(text):
    """Without what a terminal would take for a command."""
    return "".join(character if character.isprintable() else "?" for character in text)


def is_listening(port):
    """Whether somebody listens there, without a connection that a program might take for a client's."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    if not tables[0].exists():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    return any(port in listening(table) for table in tables if table.exists())


def listening(table):
    """The ports in a table of the kernel's on which somebody listens."""
    with open(table) as lines:
        next(lines)
        for words in map(str.split, lines):
            # Those that listen come first; after them may be thousands of connections, for which nobody has time.
            if words[3] not in (LISTEN, SYN_RECEIVED):
                return
            if words[3] == LISTEN:
                yield int(words[1].rpartition(":")[2], 16)
