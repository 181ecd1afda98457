#!/usr/bin/env python3
"""A server: `dfs.py DIR PORT`. It keeps pieces below DIR, and knows of no other server."""

# course: begin solution
import os
# course: end solution
import re
import socket
import sys
# course: begin solution
import threading
# course: end solution
import time
from pathlib import Path
from typing import BinaryIO

import wire

PATIENCE = 60
"""Seconds that a client may be silent."""
FAREWELL = 2
"""Seconds in which a client may read why it is sent away."""
# course: begin solution
ARRIVING = ".arriving-"
"""How the names of pieces begin that are still arriving. It ends like no piece's."""


class Disk:
    """A file that takes all bytes: after the first error it only remembers that."""

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        try:
            self.file = open(path, "wb")
        except OSError as error:
            self.error = error

    def write(self, chunk: bytes) -> None:
        if not self.error:
            try:
                self.file.write(chunk)
            except OSError as error:
                self.error = error

    def close(self) -> None:
        try:
            if hasattr(self, "file"):
                self.file.close()
        except OSError as error:
            self.error = self.error or error


def place(root: Path, piece: int, path: str) -> Path:
    """Where a piece is: `.NAME.PIECE` in its folder."""
    folder, _, name = path.rpartition("/")
    return root / folder / f".{name}.{piece}"


def store(root: Path, request: wire.Request, stream: BinaryIO) -> None:
    """Writes a piece beside its place, and moves it there when all of it has arrived.

    So a reader finds the old piece or the new one. All bytes are read, even if the disk takes none.
    """
    if not wire.is_path(request.path):
        with open(os.devnull, "wb") as nothing:
            wire.copy(stream, nothing, request.length)
        raise wire.Refused("bad-path")
    arriving = root / f"{ARRIVING}{threading.get_ident()}-"
    disk = Disk(arriving)
    try:
        wire.copy(stream, disk, request.length)
    except BaseException:
        arriving.unlink(missing_ok=True)
        raise
    finally:
        disk.close()
    try:
        if disk.error:
            raise disk.error
        to = place(root, request.piece, request.path)
        to.parent.mkdir(parents=True, exist_ok=True)
        arriving.rename(to)
    except OSError as error:
        arriving.unlink(missing_ok=True)
        raise wire.Refused(error.strerror) from None


def listing(folder: Path) -> bytes:
    """The text of a LIST: a line for each piece and folder."""
    lines = []
    for entry in folder.iterdir():
        name, _, piece = entry.name[1:].rpartition(".")
        # Somebody else may have written here too.
        if entry.is_dir() and wire.is_folder(entry.name):
            lines.append(f"folder {entry.name}\n")
        elif entry.is_file() and entry.name[0] == "." and wire.is_name(name) and piece in ("1", "2", "3", "4"):
            lines.append(f"piece {piece} {entry.stat().st_size} {name}\n")
    return "".join(sorted(lines)).encode()
# course: end solution


def answer(root: Path, request: wire.Request, stream: BinaryIO, output: BinaryIO) -> None:
    """Does what a request asks for, and writes the reply if it is not a NO.

    Raises wire.Refused, for which the reply is a NO; and OSError or wire.BadMessage if bytes that were announced do
    not come, from the connection or the disk. Then there is nothing more to say on this connection.
    """
    # course: begin solution
    if request.word == "PUT":
        store(root, request, stream)
        output.write(b"OK 0\n")
    elif request.word == "GET":
        if not wire.is_path(request.path):
            raise wire.Refused("bad-path")
        try:
            file = open(place(root, request.piece, request.path), "rb")
        except OSError:
            raise wire.Refused("not-found") from None
        with file:
            length = file.seek(0, os.SEEK_END)
            file.seek(0)
            output.write(f"OK {length}\n".encode())
            wire.copy(file, output, length)
    elif not wire.is_folder(request.path):
        raise wire.Refused("bad-path")
    elif request.word == "MKDIR":
        try:
            (root / request.path).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise wire.Refused(error.strerror) from None
        output.write(b"OK 0\n")
    else:
        try:
            text = listing(root / request.path)
        except OSError:
            raise wire.Refused("not-found") from None
        output.write(f"OK {len(text)}\n".encode() + text)
    # course: starter
    #: raise wire.Refused("not-implemented")  # TODO
    # course: end solution


def session(connection: socket.socket, root: Path) -> None:
    """Answers the requests of one client until it ends the connection.

    Raises OSError, and wire.BadMessage if bytes are missing that were announced.
    """
    connection.settimeout(PATIENCE)
    with connection, connection.makefile("rb") as stream, connection.makefile("wb") as output:
        while True:
            try:
                line = wire.read_line(stream)
                if line is None:
                    return
                request = wire.parse(line)
            except wire.BadMessage:
                # How many bytes follow such a line is not known, so there is no next line to read.
                output.write(b"NO bad-request\n")
                output.flush()
                return send_away(connection)
            try:
                answer(root, request, stream, output)
            except wire.Refused as why:
                output.write(f"NO {why}\n".encode())
            output.flush()


def send_away(connection: socket.socket) -> None:
    """Ends a connection whose client may still be sending.

    Closing with bytes that were not read resets the connection, and the client may lose the reply.
    """
    connection.shutdown(socket.SHUT_WR)
    end = time.monotonic() + FAREWELL
    while (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        if not connection.recv(1 << 16):
            return


def serve(root: Path, port: int) -> None:
    """Accepts clients for ever."""
    root.mkdir(parents=True, exist_ok=True)
    # course: begin solution
    for leftover in root.glob(f"{ARRIVING}*"):
        leftover.unlink()
    # course: end solution
    # Anyone who can connect can read and write: level 1 has no users. So nobody else's machine may.
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            # course: begin solution
            threading.Thread(target=guarded, args=(connection, root), daemon=True).start()
            # course: starter
            #: # TODO: several clients at once. Here they are served one after another, and the failure of
            #: # one ends the server.
            #: session(connection, root)
            # course: end solution


# course: begin solution
def guarded(connection: socket.socket, root: Path) -> None:
    """A session whose failure is a line on standard error."""
    try:
        session(connection, root)
    except (OSError, wire.BadMessage) as error:
        print(f"dfs: a client: {error}", file=sys.stderr)


# course: end solution
def main() -> None:
    is_port = len(sys.argv) == 3 and re.fullmatch("[0-9]{1,5}", sys.argv[2]) and int(sys.argv[2]) < 65536
    if not is_port:
        print("usage: dfs.py DIR PORT, with a port from 0 to 65535", file=sys.stderr)
        sys.exit(2)
    _, folder, port = sys.argv
    try:
        serve(Path(folder), int(port))
    except OSError as error:
        sys.exit(f"dfs: {folder}, port {port}: {error.strerror}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
