#!/usr/bin/env python3
"""A server: `dfs.py DIR PORT`. It keeps pieces below DIR, and knows of no other server."""

import re
import socket
import sys
import time
from pathlib import Path
from typing import BinaryIO

import wire

PATIENCE = 60
"""Seconds that a client may be silent."""
FAREWELL = 2
"""Seconds in which a client may read why it is sent away."""


def answer(root: Path, request: wire.Request, stream: BinaryIO, output: BinaryIO) -> None:
    """Does what a request asks for, and writes the reply if it is not a NO.

    Raises wire.Refused, for which the reply is a NO; and OSError or wire.BadMessage if bytes that were announced do
    not come, from the connection or the disk. Then there is nothing more to say on this connection.
    """
    raise wire.Refused("not-implemented")  # TODO


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
    # Anyone who can connect can read and write: level 1 has no users. So nobody else's machine may.
    with socket.create_server(("127.0.0.1", port), backlog=64) as listener:
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            # TODO: several clients at once. Here they are served one after another, and the failure of
            # one ends the server.
            session(connection, root)


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
