#!/usr/bin/env python3
"""The client: `dfc.py CONF` reads commands from standard input, `dfc.py CONF COMMAND ARGUMENT...` runs one."""

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


class Connection:
    """A connection to one server."""

    def __init__(self, server: conf.Server) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=CONNECT)
        self.socket.settimeout(PATIENCE)
        self.input: BinaryIO = self.socket.makefile("rb")
        self.output: BinaryIO = self.socket.makefile("wb")


class Servers:
    """The servers of the dfc.conf. One that has failed once is not asked again by the same command."""

    def __init__(self, servers: list[conf.Server]) -> None:
        self.names = [server.name for server in servers]
        self.connections: list[Connection | None] = []
        for server in servers:
            try:
                self.connections.append(Connection(server))
            except OSError:
                self.connections.append(None)

    def list_folder(self, folder: str) -> None:
        """Prints the names in a folder, one per line, with ` [incomplete]` where a piece is missing."""
        # TODO: a LIST to each server, and the union of what they say
        raise Failure(f"{folder}: list is not implemented")

    def mkdir(self, folder: str) -> None:
        """Makes a folder on every server that answers."""
        # TODO: a MKDIR to each server
        raise Failure(f"{folder}: mkdir is not implemented")

    def put(self, file: str, folder: str) -> None:
        """Stores a local file in a folder on the servers, under the last part of its path."""
        # TODO: each piece to its two servers
        raise Failure(f"{file} put failed: put to {folder} is not implemented")

    def get(self, path: str) -> None:
        """Fetches a file into the current folder, under the last part of its path: all of it, or nothing."""
        # TODO: find out who has which piece, and ask one server for each
        raise Failure(f"{path}: get is not implemented")


def join(folder: str, name: str) -> str:
    """The path of a name in a folder."""
    return name if folder == "." else f"{folder}/{name}"


def run(servers: list[conf.Server], words: list[str]) -> bool:
    """Runs one command, and says whether it did all that it should."""
    command, *names = words
    folder = "."
    # A last word that ends with / is a folder on the servers.
    if names and names[-1].endswith("/"):
        folder = names.pop().rstrip("/")
    connected = Servers(servers)
    if command == "list" and len(names) <= 1:
        steps = [lambda: connected.list_folder(names[0] if names else folder)]
    elif command == "mkdir" and (len(names) == 1 or folder != "."):
        steps = [lambda: connected.mkdir(names[0] if names else folder)]
    elif command == "put" and names:
        steps = [lambda name=name: connected.put(name, folder) for name in names]
    elif command == "get" and names:
        steps = [lambda name=name: connected.get(join(folder, name)) for name in names]
    else:
        print(USAGE, file=sys.stderr)
        return False
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
    while True:
        if sys.stdin.isatty():
            print("dfc> ", end="", flush=True)
        line = sys.stdin.readline()
        words = line.split()
        if not line or words == ["exit"]:
            return all_done
        if words:
            all_done &= run(servers, words)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: dfc.py CONF [COMMAND ARGUMENT...]")
    path, *command = sys.argv[1:]
    try:
        servers = conf.parse(Path(path).read_text())
    except (OSError, ValueError) as error:
        print(f"dfc: {path}: {error}", file=sys.stderr)
        sys.exit(2)
    all_done = run(servers, command) if command else prompt(servers)
    sys.stdout.flush()
    sys.exit(0 if all_done else 1)


if __name__ == "__main__":
    main()
