import unittest
from math import exp

from durability import DAY, losses_a_year, lives, parity, two_copies


class Durability(unittest.TestCase):
    def test_one_server_is_lost_as_often_as_it_dies(self):
        self.assertAlmostEqual(losses_a_year(1, 1, 0.04, 7 * DAY), 0.04)
        self.assertAlmostEqual(losses_a_year(4, 1, 0.04, 7 * DAY), 0.16)

    def test_four_pairs_of_two(self):
        # Either of a pair dies first, 2 * 0.04 times a year, and the other within the week.
        self.assertAlmostEqual(losses_a_year(4, 2, 0.04, 7 * DAY), 4 * 2 * 0.04 * 0.04 * 7 / 365.25)

    def test_a_repair_in_half_the_time_is_twice_or_four_times_as_good(self):
        for size, factor in [(2, 2), (3, 4), (4, 8)]:
            self.assertAlmostEqual(losses_a_year(4, size, 0.1, 0.02) / losses_a_year(4, size, 0.1, 0.01), factor)

    def test_the_dice_agree_with_the_formula(self):
        # Servers that die so often that a loss can be seen.
        for is_lost, size, years in [(two_copies, 2, 10), (two_copies, 2, 3), (parity, 3, 10)]:
            expected = 1 - exp(-years * losses_a_year(4, size, 0.3, 28 * DAY))
            seen = lives(4, is_lost, 0.3, 28 * DAY, years, 20_000, seed=1)
            self.assertLess(abs(seen - expected), 0.1 * expected + 0.002, is_lost.__name__)

    def test_the_same_seed_throws_the_same_dice(self):
        first, *others = [lives(4, two_copies, 0.3, 28 * DAY, 10, 1000, seed) for seed in (1, 1, 2, 3, 4)]
        self.assertEqual(others[0], first)
        self.assertNotEqual(others, [first] * 4)

    def test_nothing_is_lost_if_nothing_is_a_loss(self):
        self.assertEqual(lives(4, lambda dead: False, 1, 1, 10, 100, seed=1), 0)
        self.assertEqual(lives(4, lambda dead: True, 100, 1, 10, 100, seed=1), 1)


if __name__ == "__main__":
    unittest.main()
