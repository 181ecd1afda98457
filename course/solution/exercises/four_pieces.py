"""Chapter 1: which servers hold which piece, for any number of servers, and what can be lost."""

from itertools import combinations

PIECES = (1, 2, 3, 4)


def holders(start: int, up: list[bool], copies: int) -> dict[int, list[int]]:
    """The servers of each piece, counted from 0.

    `up` says for each server on the ring whether it can be used. The home of piece p is server start + p - 1 around the
    ring. The piece goes to the first `copies` servers that are up, walking backwards from its home, and they are listed
    in that order; if fewer are up, it goes to all of them.
    """
    # course: begin solution
    servers = len(up)
    walks = {piece: [(start + piece - 1 - back) % servers for back in range(servers)] for piece in PIECES}
    return {piece: [server for server in walk if up[server]][:copies] for piece, walk in walks.items()}
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def survives(held: dict[int, list[int]], lost: set[int]) -> bool:
    """Whether every piece has a copy on a server that is not lost."""
    # course: begin solution
    return all(set(servers) - lost for servers in held.values())
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def fatal_pairs(servers: int) -> list[tuple[int, int]]:
    """The pairs of servers whose loss loses a file with some start, in order; two copies, stored while all were up."""
    # course: begin solution
    rows = [holders(start, [True] * servers, 2) for start in range(servers)]
    pairs = combinations(range(servers), 2)
    return [pair for pair in pairs if not all(survives(row, set(pair)) for row in rows)]
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution
