import unittest
from itertools import product

from old_or_new import PIECES, Decision, Held, decide

OLD, NEW = (1, "a"), (2, "b")
PLACES = {"S1": (1, 2), "S2": (2, 3), "S3": (3, 4), "S4": (4, 1)}


def server(name, version, published=True):
    return [Held(version, piece, published) for piece in PLACES[name]]


class OldOrNew(unittest.TestCase):
    def test_nothing_is_nothing(self):
        self.assertEqual(decide({}), Decision(None))
        self.assertEqual(decide({"S1": [], "S2": []}), Decision(None))

    def test_one_version_on_all_servers(self):
        self.assertEqual(decide({name: server(name, OLD) for name in PLACES}), Decision(OLD))

    def test_what_is_only_staged_is_not_seen(self):
        answers = {name: server(name, OLD) + server(name, NEW, published=False) for name in PLACES}
        self.assertEqual(decide(answers), Decision(OLD))
        self.assertEqual(decide({name: server(name, NEW, published=False) for name in PLACES}), Decision(None))

    def test_one_commit_decides_and_the_reader_completes_it(self):
        for committed in PLACES:
            answers = {name: server(name, OLD) + server(name, NEW, published=False) for name in PLACES}
            answers[committed] = server(committed, NEW)
            settle = frozenset((name, piece) for name in PLACES if name != committed for piece in PLACES[name])
            self.assertEqual(decide(answers), Decision(NEW, settle))

    def test_whatever_was_committed_it_is_never_a_mixture(self):
        for published in product([False, True], repeat=4):
            answers = {}
            for name, is_new in zip(PLACES, published):
                answers[name] = server(name, NEW) if is_new else server(name, OLD) + server(name, NEW, False)
            left = [name for name, is_new in zip(PLACES, published) if any(published) and not is_new]
            settle = frozenset((name, piece) for name in left for piece in PLACES[name])
            self.assertEqual(decide(answers), Decision(NEW if any(published) else OLD, settle))

    def test_what_is_staged_of_another_version_is_not_committed(self):
        answers = {name: server(name, NEW) + server(name, OLD, published=False) for name in PLACES}
        self.assertEqual(decide(answers), Decision(NEW))

    def test_pieces_of_a_server_that_slept_do_not_fill_a_gap(self):
        answers = {"S1": server("S1", NEW), "S2": server("S2", NEW), "S4": server("S4", OLD)}
        self.assertEqual(decide(answers), Decision(NEW, frozenset(), incomplete=True))

    def test_the_newest_that_is_incomplete_is_not_replaced_by_an_older_one(self):
        answers = {name: server(name, OLD) for name in PLACES} | {"S1": server("S1", NEW)}
        self.assertEqual(decide(answers), Decision(NEW, frozenset(), incomplete=True))

    def test_a_decided_version_is_committed_where_it_is_staged_though_a_piece_is_missing(self):
        answers = {"S1": server("S1", NEW), "S2": server("S2", NEW, published=False)}
        self.assertEqual(decide(answers), Decision(NEW, frozenset({("S2", 2), ("S2", 3)}), incomplete=True))

    def test_of_two_with_the_same_generation_all_readers_choose_the_same(self):
        one, other = (7, "a"), (7, "b")
        for names in [list(PLACES), list(reversed(PLACES))]:
            for first, second in [(one, other), (other, one)]:
                answers = {name: server(name, first) + server(name, second) for name in names}
                self.assertEqual(decide(answers), Decision(other))
        self.assertEqual(PIECES, {1, 2, 3, 4})


if __name__ == "__main__":
    unittest.main()
