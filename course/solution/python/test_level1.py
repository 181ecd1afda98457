"""Tests of placement.py and wire.py: `python3 -m unittest`. This file is complete."""

import io
import unittest

import placement
import wire


class Placement(unittest.TestCase):
    def test_four_ranges_are_the_file_and_differ_by_at_most_a_byte(self):
        for size in [*range(20), 1_001_718, 64 << 20]:
            end = 0
            for piece in placement.PIECES:
                start, stop = placement.piece_range(size, piece)
                self.assertEqual(start, end, f"{size} bytes, piece {piece}")
                self.assertLessEqual(abs(stop - start - size // 4), 1, f"{size} bytes, piece {piece}")
                end = stop
            self.assertEqual(end, size)
        ranges = [placement.piece_range(6, piece) for piece in placement.PIECES]
        self.assertEqual(ranges, [(0, 2), (2, 4), (4, 5), (5, 6)])

    def test_the_row_is_the_hash_of_the_path_mod_4(self):
        rows = [placement.row(path) for path in ["poem.txt", "earth.gif", "a", "d", "notes/poem.txt"]]
        self.assertEqual(rows, [2, 1, 3, 0, 1])

    def test_the_pairs_are_those_of_the_table(self):
        table = [
            [{1, 2}, {2, 3}, {3, 4}, {4, 1}],
            [{4, 1}, {1, 2}, {2, 3}, {3, 4}],
            [{3, 4}, {4, 1}, {1, 2}, {2, 3}],
            [{2, 3}, {3, 4}, {4, 1}, {1, 2}],
        ]
        for row, pairs in enumerate(table):
            held = [{p for p in placement.PIECES if server in placement.holders(row, p)} for server in range(4)]
            self.assertEqual(held, pairs, f"row {row}")


class Wire(unittest.TestCase):
    def test_a_line_becomes_a_request_and_a_request_a_line(self):
        for line, request in [
            ("PUT 1 6 my notes/a b.txt", wire.Request("PUT", "my notes/a b.txt", 1, 6)),
            ("GET 4 poem.txt", wire.Request("GET", "poem.txt", 4)),
            ("LIST .", wire.Request("LIST", ".")),
            ("MKDIR notes", wire.Request("MKDIR", "notes")),
        ]:
            self.assertEqual(wire.to_line(request), f"{line}\n".encode())
            self.assertEqual(wire.parse(line), request)
        for line in ["", "PUT", "PUT 1", "PUT 1 6", "PUT 5 6 a", "PUT 1 -6 a", "PUT 1 +6 a", "GET a", "list ."]:
            with self.assertRaises(wire.BadMessage, msg=line):
                wire.parse(line)

    def test_lines_are_read_one_after_another_and_the_bytes_after_them_are_left(self):
        stream = io.BytesIO(b"PUT 1 6 a\nhello\nGET 1 a\n")
        self.assertEqual(wire.read_line(stream), "PUT 1 6 a")
        piece = io.BytesIO()
        wire.copy(stream, piece, 6)
        self.assertEqual(piece.getvalue(), b"hello\n")
        self.assertEqual(wire.read_line(stream), "GET 1 a")
        self.assertIsNone(wire.read_line(stream))
        with self.assertRaises(wire.BadMessage):
            wire.copy(io.BytesIO(b"abc"), io.BytesIO(), 4)
        for line in [b"GET 1 a", b"a" * 5000 + b"\n", b"\xff\n"]:
            with self.assertRaises(wire.BadMessage):
                wire.read_line(io.BytesIO(line))

    def test_a_reply_has_a_length_or_a_reason(self):
        self.assertEqual(wire.read_reply(io.BytesIO(b"OK 12\n")), 12)
        with self.assertRaisesRegex(wire.Refused, "not-found"):
            wire.read_reply(io.BytesIO(b"NO not-found\n"))
        for line in [b"OK many\n", b"OK\n", b""]:
            with self.assertRaises(wire.BadMessage):
                wire.read_reply(io.BytesIO(line))

    def test_no_path_leads_out_of_the_folder_or_to_a_piece(self):
        for path in ["a", "a b", "notes/a", "x/y/z", ".hidden", "..a", "übung.txt"]:
            self.assertTrue(wire.is_path(path), path)
        for path in ["", ".", "..", "/a", "a/", "a//b", "../a", "notes/../../a", ".a.1/b", "a\nb", "a\0b"]:
            self.assertFalse(wire.is_path(path), repr(path))
        for folder in [".", "notes", "x/y"]:
            self.assertTrue(wire.is_folder(folder), folder)
        for folder in ["", "..", ".a.1", "x/.y"]:
            self.assertFalse(wire.is_folder(folder), folder)


if __name__ == "__main__":
    unittest.main()
