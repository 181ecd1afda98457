import os
import unittest
from itertools import combinations

from parity import PIECES, SCHEME, encode, good_schemes, rebuild


class Parity(unittest.TestCase):
    def setUp(self):
        # As of a file of 602 bytes.
        self.pieces = {1: os.urandom(151), 2: os.urandom(151), 3: os.urandom(150), 4: os.urandom(150)}
        self.lengths = {piece: len(data) for piece, data in self.pieces.items()}
        self.all = encode(self.pieces)

    def on(self, servers):
        return {number: self.all[number] for server in servers for number in (server, server + 4)}

    def test_an_xor_is_as_long_as_the_longer_of_its_sources(self):
        self.assertEqual({number: len(self.all[number]) for number in SCHEME}, {5: 151, 6: 150, 7: 151, 8: 151})
        self.assertEqual(self.all[6], bytes(a ^ b for a, b in zip(self.pieces[3], self.pieces[4])))

    def test_any_two_servers_have_all(self):
        for up in [up for count in (2, 3, 4) for up in combinations(PIECES, count)]:
            self.assertEqual(rebuild(self.on(up), self.lengths), self.pieces, f"servers {up}")

    def test_one_server_has_too_little_and_says_so(self):
        for server in PIECES:
            self.assertIsNone(rebuild(self.on([server]), self.lengths))
        self.assertIsNone(rebuild({}, self.lengths))

    def test_whatever_pieces_are_held(self):
        sets = [held for count in range(9) for held in combinations(self.all, count)]
        rebuilt = [rebuild({number: self.all[number] for number in held}, self.lengths) for held in sets]
        self.assertEqual([pieces for pieces in rebuilt if pieces not in (None, self.pieces)], [])
        self.assertEqual(rebuilt.count(self.pieces), 134)  # of 256

    def test_pieces_that_are_empty_come_back_empty(self):
        pieces = {1: b"a", 2: b"", 3: b"", 4: b""}
        held = encode(pieces)
        lengths = {piece: len(data) for piece, data in pieces.items()}
        self.assertEqual(rebuild({n: held[n] for n in (3, 4, 7, 8)}, lengths), pieces)

    def test_ours_is_one_of_six(self):
        def as_sets(scheme):
            return {number: set(pair) for number, pair in scheme.items()}

        self.assertEqual(len(good_schemes()), 6)
        self.assertIn(as_sets(SCHEME), map(as_sets, good_schemes()))


if __name__ == "__main__":
    unittest.main()
