"""Which bytes a piece has, and which servers hold it."""
# course: begin solution

import hashlib
# course: end solution
from collections.abc import Collection

PIECES = (1, 2, 3, 4)


def piece_range(size: int, piece: int) -> tuple[int, int]:
    """Where piece 1, 2, 3 or 4 of a file of `size` bytes starts and ends.

    Together they are the whole file, in order, and their lengths differ by at most one byte, the longer ones first.
    """
    # course: begin solution
    part, longer = divmod(size, 4)
    return (piece - 1) * part + min(piece - 1, longer), piece * part + min(piece, longer)
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def file_size(lengths: list[Collection[int]]) -> int | None:
    """The size of a file, from the lengths that servers list for each of its pieces.

    None if no four lengths are those of one size, or if several sizes are possible: a server that was away may have
    pieces of an older file.
    """
    # course: begin solution
    sizes = {4 * first - less for first in lengths[0] for less in range(4) if 4 * first >= less}

    def fits(size: int) -> bool:
        ranges = [piece_range(size, piece) for piece in PIECES]
        return all(end - start in listed for (start, end), listed in zip(ranges, lengths))

    fitting = [size for size in sizes if fits(size)]
    return fitting[0] if len(fitting) == 1 else None
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def row(path: str) -> int:
    """The row of the table that a file has: the SHA-256 of its path, as a number, mod 4."""
    # course: begin solution
    return int.from_bytes(hashlib.sha256(path.encode()).digest(), "big") % 4
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def holders(row: int, piece: int) -> tuple[int, int]:
    """The two servers of a piece, counted from 0 in the order of the dfc.conf."""
    # course: begin solution
    home = row + piece - 1
    return home % 4, (home - 1) % 4
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution
