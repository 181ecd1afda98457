#!/usr/bin/env python3
"""The client: `dfc.py CONF` reads commands from standard input, `dfc.py CONF COMMAND ARGUMENT...` runs one."""

import contextlib
import socket
import sys
from pathlib import Path
from typing import BinaryIO

import conf
import wire

CONNECT = 1
"""Seconds that a server may take to accept a connection."""
PATIENCE = 5
"""Seconds that it may be silent after that."""
USAGE = "expected list [FOLDER/], put FILE... [FOLDER/], get NAME... [FOLDER/], mkdir FOLDER or exit"


class Failure(Exception):
    """What a command could not do, for the user to read."""


class Usage(Exception):
    """What was given is no command."""


class Connection:
    """A connection to one server, for a `with`."""

    def __init__(self, server: conf.Server) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=CONNECT)
        self.socket.settimeout(PATIENCE)
        self.input: BinaryIO = self.socket.makefile("rb")
        self.output: BinaryIO = self.socket.makefile("wb")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        # Whoever asked has the answer, or the error: nothing is sent or waited for any more.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.output.close()
        self.input.close()
        self.socket.close()


class Servers:
    """The servers of the dfc.conf. One that has failed once is not asked again by the same command."""

    def __init__(self, servers: list[conf.Server]) -> None:
        self.servers = servers
        self.down: set[int] = set()

    def list_folder(self, folder: str) -> None:
        """Prints the names in a folder, one per line, with ` [incomplete]` where a piece is missing."""
        # TODO: a LIST to each server, and the union of what they say
        raise Failure(f"{folder}/ list failed: not implemented")

    def mkdir(self, folder: str) -> None:
        """Makes a folder on every server that answers."""
        # TODO: a MKDIR to each server
        raise Failure(f"{folder}/ mkdir failed: not implemented")

    def put(self, file: str, folder: str) -> None:
        """Stores a local file in a folder on the servers, under the last part of its path."""
        # TODO: each piece to its two servers
        raise Failure(f"{file} put failed: not implemented")

    def get(self, path: str) -> None:
        """Fetches a file into the current folder, under the last part of its path: all of it, or nothing."""
        # TODO: find out who has which piece, and ask one server for each
        raise Failure(f"{path} get failed: not implemented")


def join(folder: str, name: str) -> str:
    """The path of a name in a folder."""
    return name if folder == "." else f"{folder}/{name}"


def run(servers: list[conf.Server], words: list[str]) -> bool:
    """Runs one command, and says whether it did all that it should. Raises Usage."""
    command, *names = words
    connected = Servers(servers)
    if command == "list" and len(names) <= 1:
        steps = [lambda: connected.list_folder(names[0].rstrip("/") if names else ".")]
    elif command == "mkdir" and len(names) == 1:
        steps = [lambda: connected.mkdir(names[0].rstrip("/"))]
    else:
        # A last word that ends with / is a folder on the servers.
        folder = names.pop().rstrip("/") if names and names[-1].endswith("/") else "."
        if command not in ("put", "get") or not names:
            raise Usage(USAGE)
        if command == "put":
            steps = [lambda name=name: connected.put(name, folder) for name in names]
        else:
            steps = [lambda name=name: connected.get(join(folder, name)) for name in names]
    all_done = True
    for step in steps:
        try:
            step()
        except Failure as failure:
            print(failure, file=sys.stderr)
            all_done = False
    return all_done


def prompt(servers: list[conf.Server]) -> bool:
    """Runs the commands of standard input, one per line, up to `exit`. Words are separated by spaces."""
    all_done = True
    # A name that is not UTF-8 is refused like any other that no server takes.
    sys.stdin.reconfigure(errors="surrogateescape")
    while True:
        if sys.stdin.isatty():
            print("dfc> ", end="", flush=True)
        line = sys.stdin.readline()
        words = line.split()
        if not line or words == ["exit"]:
            return all_done
        if words:
            try:
                all_done &= run(servers, words)
            except Usage as usage:
                print(usage, file=sys.stderr)
                all_done = False


def main() -> int:
    if len(sys.argv) < 2:
        print("usage: dfc.py CONF [COMMAND ARGUMENT...]", file=sys.stderr)
        return 2
    path, *command = sys.argv[1:]
    try:
        servers = conf.parse(Path(path).read_text())
    except (OSError, ValueError) as error:
        print(f"dfc: {path}: {getattr(error, 'strerror', error)}", file=sys.stderr)
        return 2
    try:
        all_done = run(servers, command) if command else prompt(servers)
    except Usage as usage:
        print(usage, file=sys.stderr)
        return 2
    sys.stdout.flush()
    return 0 if all_done else 1


if __name__ == "__main__":
    sys.exit(main())
