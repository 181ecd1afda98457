"""Chapter 8: how long files live, by a formula and by throwing dice."""

import random
from collections.abc import Callable

DAY = 1 / 365.25
"""In years, like all times here."""


def losses_a_year(fatal: int, size: int, deaths: float, after: float) -> float:
    """How often a year some file is lost.

    There are `fatal` sets of `size` servers; if all of a set are dead at once, a file is lost. A server dies `deaths`
    times a year, and is repaired `after` that time. A set is lost when the last of it dies while the others wait for
    their repair.
    """
    # course: begin solution
    return fatal * size * deaths * (deaths * after) ** (size - 1)
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


def lives(servers: int, is_lost: Callable[[set[int]], bool], deaths: float, after: float, years: float, tries: int,
          seed: int) -> float:
    """The share of `tries` lives, of `years` years each, in which the servers that are dead at once ever lose a file.

    The time from the start, or from a repair, to a server's next death is exponentially distributed; take it from
    random.Random(seed).expovariate(deaths). `is_lost` says whether a set of dead servers, counted from 0, loses a file.
    """
    # course: begin solution
    dice = random.Random(seed)
    lost = 0
    for _ in range(tries):
        events = []
        for server in range(servers):
            at = dice.expovariate(deaths)
            while at < years:
                events.append((at, server))
                at += after + dice.expovariate(deaths)
        events.sort()
        lost += any(
            is_lost({server for begin, server in events[: number + 1] if at - begin < after})
            for number, (at, _) in enumerate(events)
        )
    return lost / tries
    # course: starter
    #: raise NotImplementedError  # TODO
    # course: end solution


# Sets of dead servers of four that lose a file.
def two_copies(dead: set[int]) -> bool:
    """Two neighbours on the ring."""
    return any(server in dead and (server + 1) % 4 in dead for server in range(4))


def parity(dead: set[int]) -> bool:
    """Any three."""
    return len(dead) >= 3


if __name__ == "__main__":
    print("deaths a year   repaired after   two copies, in 10 years   parity")
    for deaths in (0.04, 0.5):
        for days in (1, 7, 28):
            rows = [losses_a_year(4, 2, deaths, days * DAY), losses_a_year(4, 3, deaths, days * DAY)]
            print(f"{deaths:13} {days:11} days {rows[0] * 10:25.2e} {rows[1] * 10:8.1e}")
