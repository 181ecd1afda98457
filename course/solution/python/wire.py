"""The messages of PROTOCOL.md."""
# course: begin solution

import re
# course: end solution
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
    # course: begin solution
    line = stream.readline(MAX_LINE)
    if not line:
        return None
    if not line.endswith(b"\n"):
        raise BadMessage("a line that is too long, or has no end")
    try:
        return line[:-1].decode()
    except UnicodeDecodeError:
        raise BadMessage("a line that is not UTF-8") from None
    # course: starter
    #: return None  # TODO
    # course: end solution


def parse(line: str) -> Request:
    """Reads a request's line. Raises BadMessage for one that is none of the four."""
    # course: begin solution
    if found := re.fullmatch(r"PUT ([1-4]) ([^ ]*) (.*)", line, re.DOTALL):
        piece, length, path = found.groups()
        return Request("PUT", path, int(piece), number(length))
    elif found := re.fullmatch(r"GET ([1-4]) (.*)", line, re.DOTALL):
        return Request("GET", found[2], int(found[1]))
    elif found := re.fullmatch(r"(LIST|MKDIR) (.*)", line, re.DOTALL):
        return Request(found[1], found[2])
    raise BadMessage("no request")
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def to_line(request: Request) -> bytes:
    """A request's line, with the LF."""
    # course: begin solution
    words = [request.word]
    if request.word in ("PUT", "GET"):
        words.append(str(request.piece))
    if request.word == "PUT":
        words.append(str(request.length))
    return " ".join([*words, request.path]).encode() + b"\n"
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def is_path(path: str) -> bool:
    """Whether a path may be stored.

    A server must never look outside of its folder, and a folder must never look like a piece.
    """
    # course: begin solution
    folder, slash, name = path.rpartition("/")
    in_folder = is_folder(folder) and folder != "." if slash else True
    return in_folder and is_name(name) and len(path.encode()) <= 1024
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def is_folder(path: str) -> bool:
    """The same for a folder. `.` is the one with everything in it."""
    # course: begin solution
    if path == ".":
        return True
    names = path.split("/")
    return all(is_name(name) and name[0] != "." for name in names) and len(path.encode()) <= 1024
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


# course: begin solution
def is_name(name: str) -> bool:
    """Whether it can be one part of a path."""
    # Python has bytes that are not UTF-8 as surrogates, 0xD800 and up.
    bad = any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in name)
    return name not in ("", ".", "..") and not bad and "/" not in name and len(name.encode()) <= 240


def number(word: str) -> int:
    """A length. int() alone would take a sign, spaces and underscores too."""
    if not re.fullmatch("0|[1-9][0-9]{0,12}", word) or int(word) > MAX_LENGTH:
        raise BadMessage("no length")
    return int(word)


# course: end solution
def read_reply(stream: BinaryIO) -> int:
    """Reads the line of a reply: how many bytes follow it.

    Raises Refused for a NO, and BadMessage for a line that is no reply.
    """
    # course: begin solution
    line = read_line(stream)
    if line is None:
        raise BadMessage("no reply")
    word, _, rest = line.partition(" ")
    if word == "NO":
        raise Refused(rest)
    if word != "OK":
        raise BadMessage("no reply")
    return number(rest)
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    """Copies exactly `length` bytes, in bounded memory. Raises BadMessage if there are fewer."""
    # course: begin solution
    while length > 0:
        chunk = source.read(min(length, 1 << 16))
        if not chunk:
            raise BadMessage("fewer bytes than announced")
        target.write(chunk)
        length -= len(chunk)
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution
