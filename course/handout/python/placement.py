"""Which bytes a piece has, and which servers hold it."""
from collections.abc import Collection

PIECES = (1, 2, 3, 4)


def piece_range(size: int, piece: int) -> tuple[int, int]:
    """Where piece 1, 2, 3 or 4 of a file of `size` bytes starts and ends.

    Together they are the whole file, in order, and their lengths differ by at most one byte, the longer ones first.
    """
    raise NotImplementedError  # TODO


def file_size(lengths: list[Collection[int]]) -> int | None:
    """The size of a file, from the lengths that servers list for each of its pieces.

    None if no four lengths are those of one size, or if several sizes are possible: a server that was away may have
    pieces of an older file.
    """
    raise NotImplementedError  # TODO


def row(path: str) -> int:
    """The row of the table that a file has: the SHA-256 of its path, as a number, mod 4."""
    raise NotImplementedError  # TODO


def holders(row: int, piece: int) -> tuple[int, int]:
    """The two servers of a piece, counted from 0 in the order of the dfc.conf."""
    raise NotImplementedError  # TODO
