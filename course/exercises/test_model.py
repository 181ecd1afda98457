import unittest

from model import Rules, State, explore, steps, wrong


def of(rules):
    return explore(State(), lambda state: steps(state, rules), wrong)


class Model(unittest.TestCase):
    def test_each_state_is_visited_once_even_in_a_circle(self):
        visited = []

        def around(number):
            self.assertNotIn(number, visited, "its steps are taken twice")
            visited.append(number)
            yield "on", (number + 1) % 10
            yield "back", (number - 1) % 10

        self.assertEqual(explore(0, around, lambda number: None), (10, None, []))
        self.assertEqual(sorted(visited), list(range(10)))

    def test_the_shortest_way_to_what_is_wrong(self):
        def moves(number):
            self.assertLess(number, 100, "there was a shorter way")
            yield "one more", number + 1
            yield "twice", 2 * number

        _, why, path = explore(3, moves, lambda number: "it is 15" if number == 15 else None)
        self.assertEqual((why, path), ("it is 15", ["twice", "one more", "twice", "one more"]))

    def test_what_is_wrong_from_the_start(self):
        self.assertEqual(explore(0, lambda number: [], lambda number: "zero"), (0, "zero", []))

    def test_with_all_rules_nothing_is_wrong(self):
        states, why, _ = of(Rules())
        self.assertIsNone(why)
        self.assertEqual(states, 200)

    def test_each_rule_is_needed(self):
        for rule, length in zip(Rules._fields, (4, 5, 7, 2), strict=True):
            _, why, path = of(Rules(**{rule: False}))
            self.assertIsNotNone(why, rule)
            self.assertEqual(len(path), length, rule)


if __name__ == "__main__":
    unittest.main()
