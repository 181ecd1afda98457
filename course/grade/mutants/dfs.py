#!/usr/bin/env python3
"""A small program that does what the assignment asks, and its mutants: with FAULT=NAME it has one fault.

    dfs.py serve FOLDER PORT      a server; its users are in dfs.conf
    dfs.py CONF COMMAND WORD...   list [FOLDER/], put FILE... [FOLDER/], get FILE [FOLDER/], mkdir FOLDER
    dfs.py CONF                   commands from standard input
"""

import hashlib
import os
import re
import socket
import sys
import threading
from pathlib import Path

# Seconds that a server may take. The assignment has one; a busy machine needs more.
TIMEOUT = float(os.environ.get("DFS_TIMEOUT", "1"))


def fault(name):
    return os.environ.get("FAULT") == name


# --- the server: a connection has one request and one reply ---

remembered = set()  # by the mutant that has its list of files in memory alone
overlap, body = threading.Condition(), {"of": None}  # of the mutant that mixes uploads


def serve(root, port):
    users = dict(line.split() for line in Path("dfs.conf").read_text().splitlines())
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        while True:
            connection, _ = listener.accept()
            thread = threading.Thread(target=answer, args=(connection, Path(root), users), daemon=True)
            thread.start()
            if fault("sequential"):
                thread.join()


def answer(connection, root, users):
    with connection, connection.makefile("rwb") as stream:
        words = stream.readline().decode().split()
        if not words:
            return
        user, password, word, *words = words
        known = user in users and (users[user] == password or fault("any-password"))
        known = known or user in users and fault("prefix") and users[user].startswith(password)
        known = known or user in users and fault("list-unchecked") and word == "LIST"
        data = stream.read(int(words.pop())) if word == "PUT" else b""
        if not known and not (fault("put-unchecked") and word == "PUT"):
            stream.write(b"NO invalid\n")
            return
        root = root / ("all" if fault("one-folder") else user)
        reply = b"" if any(".." in part for part in words) else carry_out(root, word, words, data)
        stream.write(b"NO missing\n" if reply is None else b"OK %d\n%s" % (len(reply), reply))


def carry_out(root, word, words, data):
    """Does what is asked; None if something is missing."""
    path = root / ("." if word == "LIST" and fault("list-flat") else words[0])
    if word == "MKDIR":
        path.mkdir(parents=True, exist_ok=True)
    elif word == "PUT":
        if fault("mixes") and 200_000 < len(data) < 300_000:
            data = mixed(path, data)
        if fault("keeps-old") and path.exists():
            return b""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.draft{threading.get_ident()}")
        draft.write_bytes(data)
        draft.replace(path)
        remembered.add(path)
    elif word == "GET":
        if fault("sees-others") and not path.exists():
            path = next(root.parent.glob(f"*/{words[0]}"), path)
        forgotten = fault("forgets") and path not in remembered
        return path.read_bytes() if path.exists() and not forgotten else None
    elif word == "LIST" and path.is_dir():
        return "".join(f"{entry.name}\n" for entry in sorted(path.iterdir())).encode()
    return b""


def mixed(path, data):
    """One buffer for all connections. The fault shows only if two uploads overlap, so the first waits for a second."""
    with overlap:
        first = body["of"] in (None, path)
        body.update(of=path, data=data)
        if first:
            overlap.wait_for(lambda: body["of"] != path, 10)
        overlap.notify_all()
        return body["data"]


# --- the client ---


class Client:
    def __init__(self, conf):
        lines = [line.split() for line in Path(conf).read_text().splitlines()]
        self.servers = [words[2].split(":") for words in lines if words[0] == "Server"]
        self.who = [words[1] for words in lines if words[0] in ("Username:", "Password:")]
        self.down = set()

    def ask(self, server, word, *words, data=b""):
        """The reply; None if the server has not what is asked for, or is down."""
        if server in self.down:
            return None
        host, port = self.servers[server]
        line = " ".join([*self.who, word, *words] + ([str(len(data))] if word == "PUT" else []))
        try:
            with socket.create_connection((host, int(port)), None if fault("hangs") else TIMEOUT) as connection:
                with connection.makefile("rwb") as stream:
                    stream.write(line.encode() + b"\n" + data)
                    stream.flush()
                    state, size = stream.readline().decode().split()
                    if size == "invalid":
                        sys.exit("Invalid Username/Password. Please try again.")
                    if state == "OK":
                        return stream.read(int(size))
        except (OSError, ValueError):
            self.down.add(server)
            if fault("needs-all"):
                sys.exit("a server is down")
        return None

    def run(self, command, *words):
        self.down.clear()
        folder = words[-1] if words and words[-1].endswith("/") else ""
        names = [word for word in words if not word.endswith("/")]
        if fault("flat"):
            folder = ""
        if command == "list":
            self.list(folder)
        elif command == "put":
            for name in names[:1] if fault("first-only") else names:
                self.put(name, folder)
        elif command == "get":
            self.get(names[0], folder)
        elif command == "mkdir":
            for server in range(4):
                self.ask(server, "MKDIR", names[0])

    def list(self, folder):
        pieces = {}
        for server in range(4):
            for line in (self.ask(server, "LIST", folder or ".") or b"").decode().splitlines():
                if match := re.fullmatch(r"\.(.+)\.([1-4])", line):
                    pieces.setdefault(match[1], set()).add(match[2])
        for name, found in sorted(pieces.items()):
            if fault("piece-names"):
                print("\n".join(f".{name}.{number}" for number in sorted(found)))
            elif len(found) == 4 or fault("unmarked") or fault("counts-servers") and len(self.down) < 3:
                print(name)
            else:
                print(name, "[incomplete]")

    def put(self, name, folder):
        data = Path(name).read_bytes()
        quarter = len(data) // 4
        ends = [0, *(quarter * n for n in (1, 2, 3)), quarter * 4 if fault("mod-4") else len(data)]
        if fault("same-block") and len(data) > 2 << 20:
            data = data[:1 << 20] * (len(data) >> 20)
        x = 0 if fault("row-0") else int(hashlib.md5(name.encode()).hexdigest(), 16) % 4
        stored = set()
        for server in range(4):
            for piece in self.pair(server, x):
                part = data[ends[piece]:ends[piece + 1]]
                if fault("24-bits"):
                    part = part[:len(part) & 0xFFFFFF]
                if self.ask(server, "PUT", f"{folder}.{name}.{piece + 1}", data=part) is not None:
                    stored.add(piece)
        if len(stored) < 4:
            sys.exit(f"{name} put failed")

    @staticmethod
    def pair(server, x):
        """The pieces of a server, counted from 0."""
        first = (server - x) % 4
        if fault("four-everywhere"):
            return range(4)
        if fault("one-copy"):
            return [first]
        if fault("wrong-table"):
            first = (3 - server - x) % 4
        return [first, (first + 1) % 4]

    def get(self, name, folder):
        pieces = {}
        for server in range(4):
            for piece in range(4):
                if piece not in pieces:
                    part = self.ask(server, "GET", f"{folder}.{name}.{piece + 1}")
                    if part is not None:
                        pieces[piece] = part
        if len(pieces) < 4 and not fault("partial") or 1 in self.down and fault("needs-second"):
            sys.exit(f"{name} is incomplete")
        data = b"".join(pieces[piece] for piece in sorted(pieces))
        Path(name).write_bytes(data.partition(b"-#####-")[0] if fault("delimiter") else data)
        if len(pieces) < 4:
            sys.exit(f"{name} is incomplete")


def main(first, *words):
    if first == "serve":
        serve(words[0], int(words[1]))
    client = Client(first)
    if words:
        client.run(*words)
    else:
        for line in sys.stdin:
            client.run(*line.split())


if __name__ == "__main__":
    main(*sys.argv[1:])
