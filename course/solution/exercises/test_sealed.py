import os
import unittest
from unittest import mock

from sealed import Damaged, Place, context, crypt, mac, read_without_a_key, seal, unseal

KEY = bytes(range(32))
HERE = Place("Alice", "poem.txt", 1)
POEM = b"To be, or not to be, that is the question"


class Sealed(unittest.TestCase):
    def setUp(self):
        self.sealed = seal(KEY, os.urandom(16), HERE, POEM)

    def test_what_was_sealed_comes_back(self):
        for data in [b"", b"a", POEM, os.urandom(1000)]:
            self.assertEqual(unseal(KEY, HERE, seal(KEY, os.urandom(16), HERE, data)), data)

    def test_no_word_of_it_is_readable(self):
        self.assertNotIn(b"question", self.sealed)

    def test_whatever_is_changed_or_cut_off_is_noticed(self):
        for at in range(len(self.sealed)):
            changed = bytearray(self.sealed)
            changed[at] ^= 1
            with self.assertRaises(Damaged, msg=f"byte {at}"):
                unseal(KEY, HERE, bytes(changed))
            with self.assertRaises(Damaged, msg=f"the first {at} bytes"):
                unseal(KEY, HERE, self.sealed[:at])

    def test_nothing_is_decrypted_before_it_is_checked(self):
        changed = self.sealed[:-1] + bytes([self.sealed[-1] ^ 1])
        with mock.patch("sealed.crypt", side_effect=AssertionError("decrypted")), self.assertRaises(Damaged):
            unseal(KEY, HERE, changed)

    def test_encryption_and_mac_have_a_key_each(self):
        keys = []

        def spy(key, nonce, data):
            keys.append(key)
            return crypt(key, nonce, data)

        with mock.patch("sealed.crypt", spy):
            sealed = seal(KEY, os.urandom(16), HERE, POEM)
        body, tag = sealed[:-32], sealed[-32:]
        for key in keys:
            self.assertNotIn(tag, [mac(key, context(HERE) + body), mac(key, body + context(HERE))])

    def test_a_piece_is_good_at_its_own_place_alone(self):
        for place in [HERE._replace(user="Bob"), HERE._replace(path="other.txt"), HERE._replace(piece=2)]:
            with self.assertRaises(Damaged, msg=str(place)):
                unseal(KEY, place, self.sealed)
        with self.assertRaises(Damaged):
            unseal(bytes(32), HERE, self.sealed)

    def test_no_two_places_have_the_same_context(self):
        self.assertNotEqual(context(Place("Al", "ice/a", 1)), context(Place("Alice", "/a", 1)))
        self.assertNotEqual(context(Place("A", "b1", 2)), context(Place("A", "b", 12)))
        for mark in "/|:;,.- ":
            one, other = Place(f"Al{mark}ice", "a", 1), Place("Al", f"ice{mark}a", 1)
            self.assertNotEqual(context(one), context(other), f"names with {mark!r}")

    def test_one_nonce_for_two_pieces_is_no_encryption(self):
        nonce, known = os.urandom(16), b"0" * len(POEM)
        pieces = [crypt(KEY, nonce, data) for data in (POEM, known)]
        self.assertEqual(read_without_a_key(*pieces, known), POEM)


if __name__ == "__main__":
    unittest.main()
