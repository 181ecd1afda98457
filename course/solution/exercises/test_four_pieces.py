import unittest
from itertools import combinations

from four_pieces import PIECES, fatal_pairs, holders, survives


class FourPieces(unittest.TestCase):
    def test_four_servers_and_two_copies_give_the_classic_table(self):
        table = [["12", "23", "34", "14"], ["14", "12", "23", "34"], ["34", "14", "12", "23"], ["23", "34", "14", "12"]]
        for start, row in enumerate(table):
            held = holders(start, [True] * 4, 2)
            on = ["".join(str(p) for p in PIECES if server in held[p]) for server in range(4)]
            self.assertEqual(on, row, f"start {start}")

    def test_a_server_that_is_down_is_left_out_and_the_next_one_takes_its_place(self):
        held = holders(0, [True, True, True, False], 2)
        self.assertEqual(held, {1: [0, 2], 2: [1, 0], 3: [2, 1], 4: [2, 1]})
        self.assertEqual(holders(0, [False, True, False, False], 2), {piece: [1] for piece in PIECES})
        self.assertEqual(holders(2, [False] * 4, 2), {piece: [] for piece in PIECES})

    def test_with_r_copies_any_r_minus_1_of_n_servers_may_be_lost(self):
        for servers, copies in [(n, r) for n in range(2, 8) for r in (2, 3) if r <= n]:
            for start in range(servers):
                held = holders(start, [True] * servers, copies)
                for lost in combinations(range(servers), copies - 1):
                    self.assertTrue(survives(held, set(lost)), f"{servers} servers, start {start}, {lost} lost")

    def test_a_piece_without_a_server_that_is_left_is_lost(self):
        held = {1: [0, 3], 2: [1, 0], 3: [2, 1], 4: [3, 2]}
        self.assertTrue(survives(held, {0, 2}))
        self.assertFalse(survives(held, {0, 1}))
        self.assertFalse(survives(held, {0, 1, 2}))
        self.assertFalse(survives(held | {4: []}, set()))

    def test_only_neighbours_are_fatal(self):
        self.assertEqual(fatal_pairs(4), [(0, 1), (0, 3), (1, 2), (2, 3)])
        for servers in range(4, 12):
            self.assertEqual(len(fatal_pairs(servers)), servers)


if __name__ == "__main__":
    unittest.main()
