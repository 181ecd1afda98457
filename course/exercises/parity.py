"""Chapter 7: XORs beside the pieces, so that any two of four servers may be lost."""

from itertools import combinations, product

PIECES = (1, 2, 3, 4)
SCHEME = {5: (2, 3), 6: (3, 4), 7: (4, 1), 8: (1, 2)}
"""Piece 5 is the XOR of pieces 2 and 3, and so on. Server i of the row has pieces i and i + 4."""


def xor(a: bytes, b: bytes) -> bytes:
    """Of two pieces; the shorter one counts as if zeros followed it."""
    length = max(len(a), len(b))
    return bytes(x ^ y for x, y in zip(a.ljust(length, b"\0"), b.ljust(length, b"\0")))


def encode(pieces: dict[int, bytes]) -> dict[int, bytes]:
    """Pieces 1 to 4, and their XORs."""
    raise NotImplementedError  # TODO


def rebuild(held: dict[int, bytes], lengths: dict[int, int]) -> dict[int, bytes] | None:
    """Pieces 1 to 4, out of those that are held; None if they are too few. `lengths` are those of pieces 1 to 4."""
    raise NotImplementedError  # TODO


def good_schemes() -> list[dict[int, tuple[int, int]]]:
    """All ways to give server i piece i and the XOR of two others, such that any two servers may be lost."""
    raise NotImplementedError  # TODO
