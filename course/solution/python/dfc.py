#!/usr/bin/env python3
"""The client: `dfc.py CONF` reads commands from standard input, `dfc.py CONF COMMAND ARGUMENT...` runs one."""

# course: begin solution
import io
import os
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


class Connection:
    """A connection to one server."""

    def __init__(self, server: conf.Server) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=CONNECT)
        self.socket.settimeout(PATIENCE)
        self.input: BinaryIO = self.socket.makefile("rb")
        self.output: BinaryIO = self.socket.makefile("wb")
    # course: begin solution

    def ask(self, request: wire.Request, body: BinaryIO | None = None) -> int:
        """Sends a request and the bytes that follow it; how many bytes follow the reply's line."""
        self.output.write(wire.to_line(request))
        if body:
            wire.copy(body, self.output, request.length)
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
class Down(Exception):
    """A server that has failed, now or before."""


# course: end solution
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
    # course: begin solution

    def with_server(self, server: int, ask):
        """What `ask` returns for a server's connection. Raises Refused, and Down if the server fails."""
        connection = self.connections[server]
        if connection is None:
            raise Down
        try:
            return ask(connection)
        except (OSError, UnicodeDecodeError, wire.BadMessage) as error:
            print(f"dfc: {self.names[server]}: {error}", file=sys.stderr)
            self.connections[server] = None
            raise Down from None

    def survey(self, folder: str) -> tuple[dict[str, dict[int, list[int]]], set[str]]:
        """What all servers list: for each name and piece the servers that have it, and the folders."""
        pieces: dict[str, dict[int, list[int]]] = {}
        folders = set()
        found, refused = False, "no server answers"
        for server in range(4):
            try:
                request = wire.Request("LIST", folder)
                text = self.with_server(server, lambda connection: connection.ask_for_text(request))
            except Down:
                continue
            except wire.Refused as why:
                refused = str(why)
                continue
            found = True
            for line in text.split("\n"):
                match line.split(" ", 3):
                    case ["piece", ("1" | "2" | "3" | "4") as piece, _, name]:
                        pieces.setdefault(name, {}).setdefault(int(piece), []).append(server)
                    case ["folder", *_]:
                        folders.add(line.removeprefix("folder "))
        if not found:
            raise Failure(f"{folder}: {refused}")
        return pieces, folders

    def fetch(self, path: str, piece: int, servers: list[int], file: BinaryIO) -> None:
        """Appends a piece to a file, from the first server that has it to the end."""

        def ask(connection: Connection) -> None:
            length = connection.ask(wire.Request("GET", path, piece))
            wire.copy(connection.input, file, length)

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
        pieces, folders = self.survey(folder)
        lines = [f"{name}/" for name in folders]
        for name, servers in pieces.items():
            lines.append(name if len(servers) == 4 else f"{name} [incomplete]")
        for line in sorted(lines):
            print(line)
        # course: starter
        #: # TODO: a LIST to each server, and the union of what they say
        #: raise Failure(f"{folder}: list is not implemented")
        # course: end solution

    def mkdir(self, folder: str) -> None:
        """Makes a folder on every server that answers."""
        # course: begin solution
        made = False
        for server in range(4):
            try:
                request = wire.Request("MKDIR", folder)
                self.with_server(server, lambda connection: connection.ask_for_text(request))
                made = True
            except Down:
                pass
            except wire.Refused as why:
                raise Failure(f"{folder}: {why}") from None
        if not made:
            raise Failure(f"{folder}: no server answers")
        # course: starter
        #: # TODO: a MKDIR to each server
        #: raise Failure(f"{folder}: mkdir is not implemented")
        # course: end solution

    def put(self, file: str, folder: str) -> None:
        """Stores a local file in a folder on the servers, under the last part of its path."""
        # course: begin solution
        path = join(folder, Path(file).name)
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
                            print(f"dfc: {self.names[server]}: {path}: {why}", file=sys.stderr)
        except OSError as error:
            raise Failure(f"{file} put failed: {error.strerror}") from None
        for piece, count in copies.items():
            if count == 0:
                raise Failure(f"{file} put failed: no server took piece {piece}")
        # course: starter
        #: # TODO: each piece to its two servers
        #: raise Failure(f"{file} put failed: put to {folder} is not implemented")
        # course: end solution

    def get(self, path: str) -> None:
        """Fetches a file into the current folder, under the last part of its path: all of it, or nothing."""
        # course: begin solution
        folder, _, name = path.rpartition("/")
        pieces, _ = self.survey(folder or ".")
        if name not in pieces:
            raise Failure(f"{path} not found")
        draft = Path(f".{name}.{os.getpid()}.part")
        try:
            with open(draft, "wb") as file:
                for piece in placement.PIECES:
                    self.fetch(path, piece, pieces[name].get(piece, []), file)
            draft.rename(name)
        except OSError as error:
            raise Failure(f"{name}: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
        # course: starter
        #: # TODO: find out who has which piece, and ask one server for each
        #: raise Failure(f"{path}: get is not implemented")
        # course: end solution


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
