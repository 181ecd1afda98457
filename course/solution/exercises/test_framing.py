import unittest

from framing import MAX_LENGTH, MAX_LINE, BadMessage, Reader

STREAM = b"LIST .\nPUT 1 7 a b.txt\nOK 0\n\0\nGET 1 caf\xc3\xa9.txt\nPUT 2 0 empty\nMKDIR x\n"
MESSAGES = [("LIST .", b""), ("PUT 1 7 a b.txt", b"OK 0\n\0\n"), ("GET 1 café.txt", b""), ("PUT 2 0 empty", b""),
            ("MKDIR x", b"")]


class Framing(unittest.TestCase):
    def test_all_at_once(self):
        self.assertEqual(Reader().feed(STREAM), MESSAGES)

    def test_one_byte_after_another(self):
        reader = Reader()
        messages = [message for at in range(len(STREAM)) for message in reader.feed(STREAM[at : at + 1])]
        self.assertEqual(messages, MESSAGES)

    def test_cut_in_two_anywhere(self):
        for at in range(len(STREAM) + 1):
            reader = Reader()
            self.assertEqual(reader.feed(STREAM[:at]) + reader.feed(STREAM[at:]), MESSAGES, f"cut at {at}")

    def test_nothing_is_a_message_before_it_is_whole(self):
        reader = Reader()
        self.assertEqual(reader.feed(b""), [])
        self.assertEqual(reader.feed(b"PUT 1 3 a\nab"), [])
        self.assertEqual(reader.feed(b"c"), [("PUT 1 3 a", b"abc")])

    def test_a_line_that_never_ends_is_refused_and_one_of_the_longest_is_not(self):
        longest = b"LIST " + b"x" * (MAX_LINE - 6)
        self.assertEqual(Reader().feed(longest + b"\n"), [(longest.decode(), b"")])
        with self.assertRaises(BadMessage):
            Reader().feed(longest + b"x")
        with self.assertRaises(BadMessage):
            Reader().feed(longest + b"x\n")
        reader = Reader()
        with self.assertRaises(BadMessage):
            for _ in range(MAX_LINE + 1):
                reader.feed(b"x")

    def test_the_bytes_of_a_piece_may_be_longer_than_a_line(self):
        piece = bytes(range(256)) * 100
        self.assertEqual(Reader().feed(b"PUT 4 25600 a\n" + piece), [("PUT 4 25600 a", piece)])
        reader = Reader()
        self.assertEqual(reader.feed(b"PUT 4 25600 a\n" + piece[:20000]), [])
        self.assertEqual(reader.feed(piece[20000:]), [("PUT 4 25600 a", piece)])

    def test_a_length_that_is_none_is_refused_at_once(self):
        for length in ["-5", "+5", "1_0", "x", "", "²", str(MAX_LENGTH + 1), "9" * 100]:
            with self.assertRaises(BadMessage, msg=length):
                Reader().feed(f"PUT 1 {length} a\n".encode())
        self.assertEqual(Reader().feed(f"PUT 1 {MAX_LENGTH} a\n".encode()), [])


if __name__ == "__main__":
    unittest.main()
