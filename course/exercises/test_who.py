import base64
import unittest

from who import check, enrol, impersonate, prove

# The example of RFC 7677, section 3, and the StoredKey that follows from it.
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCES = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SERVER_FIRST = f"r={NONCES},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
AUTH = f"n=user,r=rOprNGfwEbeRWgbNEkqO,{SERVER_FIRST},c=biws,r={NONCES}".encode()
PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
STORED_KEY = base64.b64decode("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=")
SIGNATURE = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


class Who(unittest.TestCase):
    def setUp(self):
        self.verifier = enrol("pencil", SALT, 4096)

    def test_the_example_of_the_rfc(self):
        self.assertEqual(prove("pencil", SALT, 4096, AUTH), PROOF)
        self.assertEqual(check(self.verifier, AUTH, PROOF), SIGNATURE)

    def test_a_wrong_password_proves_nothing(self):
        self.assertIsNone(check(self.verifier, AUTH, prove("pencils", SALT, 4096, AUTH)))
        self.assertIsNone(check(self.verifier, AUTH, bytes(32)))

    def test_a_proof_that_was_heard_is_of_no_use_in_another_login(self):
        again = AUTH.replace(b"%hvYDp", b"%other")
        self.assertIsNone(check(self.verifier, again, PROOF))

    def test_the_rounds_are_those_of_the_verifier(self):
        few = enrol("pencil", SALT, 10)
        self.assertIsNotNone(check(few, AUTH, prove("pencil", SALT, 10, AUTH)))
        self.assertIsNone(check(few, AUTH, PROOF))

    def test_the_server_keeps_a_hash_of_the_client_key_and_not_the_key(self):
        self.assertEqual(self.verifier.stored_key, STORED_KEY)

    def test_the_password_is_not_in_the_verifier(self):
        self.assertNotIn(b"pencil", self.verifier.stored_key + self.verifier.server_key)
        self.assertNotEqual(enrol("pencil", b"other salt", 4096).stored_key, self.verifier.stored_key)

    def test_a_stolen_verifier_and_one_login_are_enough_for_a_thief(self):
        new = AUTH.replace(b"%hvYDp", b"%other")
        proof = impersonate(self.verifier, (AUTH, PROOF), new)
        self.assertIsNotNone(check(self.verifier, new, proof))


if __name__ == "__main__":
    unittest.main()
