"""Chapter 5: what a reader may return, given what the servers answer. Pure: no sockets, no disk."""

from typing import NamedTuple

PIECES = frozenset({1, 2, 3, 4})


class Held(NamedTuple):
    """A piece on a server: its version, and whether it is published or only staged.

    A version is a generation and a random id; versions are compared as pairs.
    """

    version: tuple[int, str]
    piece: int
    published: bool


class Decision(NamedTuple):
    """What the reader does.

    `version` is the one to return, None if there is no file. `settle` has each (server, piece) of this version that is
    staged there, to be committed first. `incomplete` says that some piece of the version is unavailable: then nothing
    is returned.
    """

    version: tuple[int, str] | None
    settle: frozenset[tuple[str, int]] = frozenset()
    incomplete: bool = False


def decide(answers: dict[str, list[Held]]) -> Decision:
    """What to do, if these servers answered this. A version is decided if some server has published a piece of it."""
    # TODO. This is what level 1 does: whatever piece there is, of whatever version.
    found = [one for pieces in answers.values() for one in pieces if one.published]
    newest = max((one.version for one in found), default=None)
    return Decision(newest, frozenset(), newest is not None and {one.piece for one in found} != PIECES)
