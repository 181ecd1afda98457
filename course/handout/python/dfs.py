#!/usr/bin/env python3
"""A server: `dfs.py DIR PORT`. It keeps pieces below DIR, and knows of no other server."""

import socket
import sys
from pathlib import Path
from typing import BinaryIO

import wire

PATIENCE = 60
"""Seconds that a client may be silent."""


def answer(root: Path, request: wire.Request, stream: BinaryIO, output: BinaryIO) -> None:
    """Does what a request asks for, and writes the reply if it is not a NO.

    Raises wire.Refused, for which the reply is a NO, and OSError if the connection fails.
    """
    raise wire.Refused("not-implemented")  # TODO


def session(connection: socket.socket, root: Path) -> None:
    """Answers the requests of one client until it ends the connection."""
    connection.settimeout(PATIENCE)
    with connection, connection.makefile("rb") as stream, connection.makefile("wb") as output:
        try:
            while (line := wire.read_line(stream)) is not None:
                request = wire.parse(line)
                try:
                    answer(root, request, stream, output)
                except wire.Refused as why:
                    output.write(f"NO {why}\n".encode())
                output.flush()
        except wire.BadMessage:
            # How many bytes follow such a line is not known, so there is no next line to read.
            output.write(b"NO bad-request\n")


def serve(root: Path, port: int) -> None:
    """Accepts clients for ever."""
    root.mkdir(parents=True, exist_ok=True)
    # Anyone who can connect can read and write: level 1 has no users. So nobody else's machine may.
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            # TODO: several clients at once. Here they are served one after another, and the failure of
            # one ends the server.
            session(connection, root)


def main() -> None:
    if len(sys.argv) != 3 or not sys.argv[2].isdigit():
        sys.exit("usage: dfs.py DIR PORT")
    try:
        serve(Path(sys.argv[1]), int(sys.argv[2]))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
