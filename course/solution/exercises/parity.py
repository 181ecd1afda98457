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
    # course: begin solution
    return pieces | {number: xor(pieces[a], pieces[b]) for number, (a, b) in SCHEME.items()}
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def rebuild(held: dict[int, bytes], lengths: dict[int, int]) -> dict[int, bytes] | None:
    """Pieces 1 to 4, out of those that are held; None if they are too few. `lengths` are those of pieces 1 to 4."""
    # course: begin solution
    known = dict(held)
    while missing := [piece for piece in PIECES if piece not in known]:
        for number, (a, b) in SCHEME.items():
            for wanted, other in ((a, b), (b, a)):
                if wanted not in known and number in known and other in known:
                    known[wanted] = xor(known[number], known[other])[: lengths[wanted]]
        if all(piece not in known for piece in missing):
            return None
    return {piece: known[piece] for piece in PIECES}
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def good_schemes() -> list[dict[int, tuple[int, int]]]:
    """All ways to give server i piece i and the XOR of two others, such that any two servers may be lost."""
    # course: begin solution
    choices = [list(combinations([piece for piece in PIECES if piece != own], 2)) for own in PIECES]
    return [scheme for row in product(*choices) if bears_two(scheme := dict(zip((5, 6, 7, 8), row)))]
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution
# course: begin solution


def bears_two(scheme: dict[int, tuple[int, int]]) -> bool:
    """Whether all pieces follow from what any two servers have. Only which are known counts, not their bytes."""
    for pair in combinations(PIECES, 2):
        known = set(pair)
        for _ in PIECES:
            for server in pair:
                if len(set(scheme[server + 4]) - known) == 1:
                    known |= set(scheme[server + 4])
        if known != set(PIECES):
            return False
    return True
# course: end solution
