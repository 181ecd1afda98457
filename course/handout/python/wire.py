"""The messages of PROTOCOL.md."""
from typing import BinaryIO, NamedTuple

MAX_LINE = 4096
"""The most bytes of a line, its LF included."""
MAX_LENGTH = 1 << 40
"""The most bytes of a piece, and of a reply."""


class Refused(Exception):
    """A server's NO, with its reason. The connection is still good."""


class BadMessage(Exception):
    """What arrived is not the protocol. Where the next message begins is not known."""


class Request(NamedTuple):
    """What a client asks for: PUT, GET, LIST or MKDIR. The path is not checked yet."""

    word: str
    path: str
    piece: int = 0
    length: int = 0


def read_line(stream: BinaryIO) -> str | None:
    """One line without its LF, or None if the connection ends before a line begins.

    Raises BadMessage for a line that is too long, has no end or is not UTF-8.
    """
    return None  # TODO


def parse(line: str) -> Request:
    """Reads a request's line. Raises BadMessage for one that is none of the four."""
    raise NotImplementedError  # TODO


def to_line(request: Request) -> bytes:
    """A request's line, with the LF."""
    raise NotImplementedError  # TODO


def is_path(path: str) -> bool:
    """Whether a path may be stored.

    A server must never look outside of its folder, and a folder must never look like a piece.
    """
    raise NotImplementedError  # TODO


def is_folder(path: str) -> bool:
    """The same for a folder. `.` is the one with everything in it."""
    raise NotImplementedError  # TODO


def read_reply(stream: BinaryIO) -> int:
    """Reads the line of a reply: how many bytes follow it.

    Raises Refused for a NO, and BadMessage for a line that is no reply.
    """
    raise NotImplementedError  # TODO


def copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    """Copies exactly `length` bytes, in bounded memory. Raises BadMessage if there are fewer."""
    raise NotImplementedError  # TODO
