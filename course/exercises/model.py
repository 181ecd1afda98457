"""Chapter 6: every order in which messages and crashes can come, tried one after another.

Two writers put a file under one name on two servers, each of which should hold it (think of one piece with two copies).
A writer stages on both, then commits on both. It may die at any step. A cleaner drops what a dead writer left.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

SERVERS = WRITERS = (0, 1)
NOTHING = -1


class State(NamedTuple):
    """All there is. Versions are the writers' numbers: 1 is newer than 0."""

    staged: tuple[frozenset, frozenset] = (frozenset(), frozenset())
    """What is staged on each server."""
    published: tuple[int, int] = (NOTHING, NOTHING)
    """What is published on each."""
    sent: tuple[int, int] = (0, 0)
    """How many of its four steps each writer has done: stage on 0, stage on 1, commit on 0, commit on 1."""
    dead: frozenset = frozenset()
    """The writers that are dead."""
    acknowledged: frozenset = frozenset()
    """The writers that have told their user that the file is stored."""


class Rules(NamedTuple):
    """Rules that can be broken."""

    clean_only_dead: bool = True
    """A stage is dropped only if its writer is known to be dead."""
    clean_only_undecided: bool = True
    """A stage is dropped only if no server has published this version."""
    commit_only_newer: bool = True
    """A commit never replaces a newer version."""
    stage_before_commit: bool = True
    """A writer commits only when both servers have staged."""


def replaced(pair: tuple, at: int, value) -> tuple:
    return pair[:at] + (value,) + pair[at + 1 :]


def steps(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """Everything that can happen next, with what it is called. Complete."""
    order = [("stage", 0), ("stage", 1), ("commit", 0), ("commit", 1)]
    if not rules.stage_before_commit:
        order = [("stage", 0), ("commit", 0), ("stage", 1), ("commit", 1)]
    for writer in WRITERS:
        done = state.sent[writer]
        if writer in state.dead:
            continue
        if done == 4:
            if writer not in state.acknowledged:
                acknowledged = state.acknowledged | {writer}
                yield f"writer {writer} tells its user: stored", state._replace(acknowledged=acknowledged)
            continue
        yield f"writer {writer} dies", state._replace(dead=state.dead | {writer})
        what, server = order[done]
        next_state = state._replace(sent=replaced(state.sent, writer, done + 1))
        staged = state.staged[server]
        if what == "stage":
            changed = next_state._replace(staged=replaced(state.staged, server, staged | {writer}))
        elif writer not in staged:
            # The server says no: the writer gives up, and says so.
            changed = state._replace(dead=state.dead | {writer})
        else:
            changed = next_state._replace(staged=replaced(state.staged, server, staged - {writer}))
            if writer > state.published[server] or not rules.commit_only_newer:
                changed = changed._replace(published=replaced(state.published, server, writer))
        yield f"writer {writer}: {what} on server {server}", changed
    for writer in WRITERS:
        for server in SERVERS:
            allowed = not rules.clean_only_dead or writer in state.dead
            allowed &= not rules.clean_only_undecided or writer not in state.published
            if allowed and writer in state.staged[server]:
                staged = replaced(state.staged, server, state.staged[server] - {writer})
                yield f"the cleaner drops version {writer} on server {server}", state._replace(staged=staged)


def wrong(state: State) -> str | None:
    """What must never be, if it is so in this state. Complete.

    The newest version that any server has published is decided: it must be on both servers, published or staged.
    """
    decided = max(state.published)
    for server in SERVERS:
        if decided not in (state.published[server], *state.staged[server], NOTHING):
            return f"version {decided} is decided, and server {server} does not have it"
    if state.acknowledged and decided < max(state.acknowledged):
        return f"version {max(state.acknowledged)} was stored, and readers get version {decided}"
    return None


def explore(first, steps: Callable, wrong: Callable) -> tuple[int, str | None, list[str]]:
    """Visits each state that can be reached from the first, the nearest ones first, each once.

    Returns how many there are, None and []; or, for the first wrong one that is found, how many were visited before,
    what is wrong, and the names of the steps to it: there is no shorter way.
    """
    raise NotImplementedError  # TODO


def report(name: str, rules: Rules) -> None:
    """Prints what these rules lead to."""
    states, why, path = explore(State(), lambda state: steps(state, rules), wrong)
    print(f"{name}: {why or 'nothing is wrong'} ({states} states)")
    for number, step in enumerate(path, 1):
        print(f"  {number}. {step}")


if __name__ == "__main__":
    report("all rules", Rules())
    for rule in Rules._fields:
        report(f"without {rule}", Rules(**{rule: False}))
