#!/usr/bin/env python3
"""The client: `dfc.py CONF` reads commands from standard input, `dfc.py CONF COMMAND ARGUMENT...` runs one."""

import contextlib
# course: begin solution
import io
import os
import re
# course: end solution
import socket
import sys
from pathlib import Path
from typing import BinaryIO

import conf
# course: begin solution
import placement
# course: end solution
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
    # course: begin solution

    def ask(self, request: wire.Request, body: BinaryIO | None = None) -> int:
        """Sends a request and the bytes that follow it; how many bytes follow the reply's line."""
        self.output.write(wire.to_line(request))
        if body:
            try:
                wire.copy(body, self.output, request.length)
            except wire.BadMessage:
                # The server is not to blame. It drops the piece when the connection ends.
                raise wire.Refused("the local file has become shorter") from None
        self.output.flush()
        return wire.read_reply(self.input)

    def ask_for_text(self, request: wire.Request) -> str:
        """The same for a request without a body; what the reply brings."""
        length = self.ask(request)
        if length > 64 << 20:
            raise wire.BadMessage("a list that is too long")
        text = io.BytesIO()
        wire.copy(self.input, text, length)
        return text.getvalue().decode()
    # course: end solution


# course: begin solution
Pieces = dict[int, dict[int, int]]
"""For each piece of a file the servers that list it, with its length there."""


class Down(Exception):
    """A server that has failed, now or before."""


class Local:
    """Writes to the file of a get, so that an error of the disk is not taken for one of a server."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.path, self.file = path, file

    def write(self, chunk: bytes) -> None:
        try:
            self.file.write(chunk)
        except OSError as error:
            raise Failure(f"{self.path} get failed: {error.strerror}") from None


# course: end solution
class Servers:
    """The servers of the dfc.conf. One that has failed once is not asked again by the same command."""

    def __init__(self, servers: list[conf.Server]) -> None:
        self.servers = servers
        self.down: set[int] = set()
    # course: begin solution

    def with_server(self, server: int, ask):
        """What `ask` returns for a connection to a server. Raises Refused, and Down if the server fails.

        Each request has a connection of its own: one that is idle while other servers are busy may be closed.
        """
        if server in self.down:
            raise Down
        try:
            with Connection(self.servers[server]) as connection:
                return ask(connection)
        except (OSError, UnicodeDecodeError, wire.BadMessage) as error:
            print(f"dfc: {self.servers[server].name}: {error}", file=sys.stderr)
            self.down.add(server)
            raise Down from None

    def survey(self, folder: str) -> tuple[dict[str, Pieces], set[str]]:
        """What all servers list: the pieces of each name, and the folders.

        Raises Down if no server answers, and Refused if none has such a folder.
        """
        pieces: dict[str, Pieces] = {}
        folders = set()
        answered, failure = False, Down("no server answers")
        for server in range(4):
            try:
                request = wire.Request("LIST", folder)
                text = self.with_server(server, lambda connection: connection.ask_for_text(request))
            except Down:
                continue
            except wire.Refused as why:
                failure = why
                continue
            answered = True
            for line in text.split("\n"):
                if found := re.fullmatch("piece ([1-4]) ([0-9]{1,13}) (.+)", line):
                    listed = pieces.setdefault(found[3], {piece: {} for piece in placement.PIECES})
                    listed[int(found[1])][server] = int(found[2])
                elif found := re.fullmatch("folder (.+)", line):
                    folders.add(found[1])
        if not answered:
            raise failure
        return pieces, folders

    def fetch(self, path: str, piece: int, length: int, servers: list[int], file: BinaryIO) -> None:
        """Appends a piece to a file, from the first of these servers that sends all of it."""

        def ask(connection: Connection) -> None:
            if connection.ask(wire.Request("GET", path, piece)) != length:
                raise wire.Refused("another piece than it listed")
            wire.copy(connection.input, Local(path, file), length)

        start = file.tell()
        for server in servers:
            try:
                return self.with_server(server, ask)
            except (Down, wire.Refused):
                # What a server sent before it failed is not of the file.
                file.seek(start)
                file.truncate()
        raise Failure(f"{path} is incomplete")
    # course: end solution

    def list_folder(self, folder: str) -> None:
        """Prints the names in a folder, one per line, with ` [incomplete]` where a piece is missing."""
        # course: begin solution
        try:
            pieces, folders = self.survey(checked(folder))
        except (Down, wire.Refused) as why:
            raise Failure(f"{folder}/ list failed: {why}") from None
        lines = [f"{name}/" for name in folders]
        for name, listed in pieces.items():
            lines.append(f"{name} [incomplete]" if file_size(listed) is None else name)
        for line in sorted(lines):
            print(line)
        # course: starter
        #: # TODO: a LIST to each server, and the union of what they say
        #: raise Failure(f"{folder}/ list failed: not implemented")
        # course: end solution

    def mkdir(self, folder: str) -> None:
        """Makes a folder on every server that answers."""
        # course: begin solution
        made, failure = False, None
        for server in range(4):
            try:
                request = wire.Request("MKDIR", checked(folder))
                self.with_server(server, lambda connection: connection.ask_for_text(request))
                made = True
            except Down:
                pass
            except wire.Refused as why:
                failure = why
        if failure or not made:
            raise Failure(f"{folder}/ mkdir failed: {failure or 'no server answers'}")
        # course: starter
        #: # TODO: a MKDIR to each server
        #: raise Failure(f"{folder}/ mkdir failed: not implemented")
        # course: end solution

    def put(self, file: str, folder: str) -> None:
        """Stores a local file in a folder on the servers, under the last part of its path."""
        # course: begin solution
        path = join(folder, Path(file).name)
        if not wire.is_path(path):
            raise Failure(f"{file} put failed: bad-path")
        row = placement.row(path)
        copies = dict.fromkeys(placement.PIECES, 0)
        try:
            with open(file, "rb") as local:
                size = local.seek(0, os.SEEK_END)
                for piece in placement.PIECES:
                    start, end = placement.piece_range(size, piece)
                    request = wire.Request("PUT", path, piece, end - start)
                    for server in placement.holders(row, piece):
                        local.seek(start)
                        try:
                            self.with_server(server, lambda connection: connection.ask(request, local))
                            copies[piece] += 1
                        except Down:
                            pass
                        except wire.Refused as why:
                            print(f"dfc: {self.servers[server].name}: {path}: {why}", file=sys.stderr)
        except (OSError, ValueError) as error:
            raise Failure(f"{file} put failed: {getattr(error, 'strerror', error)}") from None
        if len(self.down) == 4:
            raise Failure(f"{file} put failed: no server answers")
        for piece, count in copies.items():
            if count == 0:
                raise Failure(f"{file} put failed: no server took piece {piece}")
        single = [str(piece) for piece, count in copies.items() if count == 1]
        if single:
            print(f"{file} has only one copy of piece {', '.join(single)}", file=sys.stderr)
        # course: starter
        #: # TODO: each piece to its two servers
        #: raise Failure(f"{file} put failed: not implemented")
        # course: end solution

    def get(self, path: str) -> None:
        """Fetches a file into the current folder, under the last part of its path: all of it, or nothing."""
        # course: begin solution
        folder, _, name = path.rpartition("/")
        try:
            if not wire.is_path(path):
                raise wire.Refused("bad-path")
            pieces, _ = self.survey(folder or ".")
        except (Down, wire.Refused) as why:
            if str(why) == "not-found":
                raise Failure(f"{path} not found") from None
            raise Failure(f"{path} get failed: {why}") from None
        if name not in pieces:
            raise Failure(f"{path} not found")
        size = file_size(pieces[name])
        if size is None:
            raise Failure(f"{path} is incomplete")
        # A name of its own length may already be the longest that the disk takes.
        draft = Path(f".dfc-{os.getpid()}.part")
        try:
            with open(draft, "wb") as file:
                for piece, servers in pieces[name].items():
                    start, end = placement.piece_range(size, piece)
                    fitting = [server for server, length in servers.items() if length == end - start]
                    self.fetch(path, piece, end - start, fitting, file)
            draft.rename(name)
        except OSError as error:
            raise Failure(f"{path} get failed: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
        # course: starter
        #: # TODO: find out who has which piece, and ask one server for each
        #: raise Failure(f"{path} get failed: not implemented")
        # course: end solution


# course: begin solution
def checked(folder: str) -> str:
    """The folder, if servers take it as one. An end of line in it, for example, would be the end of the request."""
    if not wire.is_folder(folder):
        raise wire.Refused("bad-path")
    return folder


def file_size(pieces: Pieces) -> int | None:
    """The size of a file of which servers list these pieces; None if it is incomplete."""
    return placement.file_size([pieces[piece].values() for piece in placement.PIECES])


# course: end solution
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
