"""Chapter 1: which servers hold which piece, for any number of servers, and what can be lost."""

from itertools import combinations

PIECES = (1, 2, 3, 4)


def holders(start: int, up: list[bool], copies: int) -> dict[int, list[int]]:
    """The servers of each piece, counted from 0.

    `up` says for each server on the ring whether it can be used. The home of piece p is server start + p - 1 around the
    ring. The piece goes to the first `copies` servers that are up, walking backwards from its home, and they are listed
    in that order; if fewer are up, it goes to all of them.
    """
    raise NotImplementedError  # TODO


def survives(held: dict[int, list[int]], lost: set[int]) -> bool:
    """Whether every piece has a copy on a server that is not lost."""
    raise NotImplementedError  # TODO


def fatal_pairs(servers: int) -> list[tuple[int, int]]:
    """The pairs of servers whose loss loses a file with some start, in order; two copies, stored while all were up."""
    raise NotImplementedError  # TODO
