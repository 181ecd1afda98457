"""Tests of level 1, its parts first and then the programs: `python3 -m unittest`. This file is complete."""

import io
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

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

    def test_the_size_is_the_one_that_four_lengths_are_of(self):
        for lengths, size in [
            ([[2, 2], [2, 2], [1, 1], [1, 1]], 6),
            ([[0], [0], [0], [0]], 0),
            ([[1], [0], [0], [0]], 1),
            ([[2], [2], [1], []], None),
            ([[2], [2], [2], [1, 9]], 7),
            ([[1], [1], [2], [2]], None),
            # An older file of 6 bytes on one server, and a newer one of 1000; and of 9, which could also be 8.
            ([[2, 250], [2, 250], [250, 250], [250, 250]], 1000),
            ([[2, 3], [2, 2], [2, 2], [2, 2]], None),
        ]:
            self.assertEqual(placement.file_size(lengths), size, lengths)

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
            ("PUT 1 1099511627776 ", wire.Request("PUT", "", 1, 1 << 40)),
            ("GET 4 poem.txt", wire.Request("GET", "poem.txt", 4)),
            ("LIST .", wire.Request("LIST", ".")),
            ("MKDIR notes", wire.Request("MKDIR", "notes")),
        ]:
            self.assertEqual(wire.to_line(request), f"{line}\n".encode())
            self.assertEqual(wire.parse(line), request)
        lengths = [f"PUT 1 {length} a" for length in ["-6", "+6", "06", "", "1099511627777", "9" * 5000]]
        for line in ["", "PUT", "PUT 1", "PUT 1 6", "PUT 5 6 a", "PUT 01 6 a", *lengths, "GET a", "list ."]:
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


class Server(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        dfs = [sys.executable, "-B", program("dfs"), folder.name, "0"]
        process = subprocess.Popen(dfs, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.port = int(process.stdout.readline().rpartition(":")[2])

    def says(self, sent: bytes) -> bytes:
        """What the server answers to a client that sends this and nothing more."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                return stream.read()

    def test_a_refused_put_is_read_to_its_end(self):
        for path in [b"../a", b""]:
            self.assertEqual(self.says(b"PUT 1 6 " + path + b"\nhello\nGET 1 a\n"), b"NO bad-path\nNO not-found\n")

    def test_a_put_that_is_cut_leaves_the_old_piece(self):
        self.assertEqual(self.says(b"PUT 1 3 a\nold"), b"OK 0\n")
        self.says(b"PUT 1 1000 a\nnew")
        self.assertEqual(self.says(b"GET 1 a\n"), b"OK 3\nold")

    def test_a_reply_arrives_even_if_the_client_has_sent_more(self):
        self.assertEqual(self.says(b"Hello\n" + bytes(1 << 20)), b"NO bad-request\n")


class Client(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def servers(self, breaking_off: int = 0) -> "list[FakeServer]":
        """Four servers; this one sends only half of each piece."""
        servers = [FakeServer(number == breaking_off) for number in range(1, 5)]
        for server in servers:
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
        lines = [f"Server DFS 127.0.0.1:{server.server_address[1]}\n" for server in servers]
        (self.folder / "dfc.conf").write_text("".join(lines))
        return servers

    def dfc(self, *words: str) -> subprocess.CompletedProcess:
        dfc = [sys.executable, "-B", program("dfc"), *words]
        return subprocess.run(dfc, cwd=self.folder, capture_output=True, text=True, timeout=60)

    def test_a_piece_that_breaks_off_is_taken_from_another_server(self):
        for number in range(1, 5):
            self.servers(breaking_off=number)
            self.assertEqual(self.dfc("dfc.conf", "get", "old.bin").returncode, 0, f"server {number} breaks off")
            self.assertEqual((self.folder / "old.bin").read_bytes(), OLD, f"server {number} breaks off")

    def test_pieces_go_where_the_row_of_the_whole_path_has_them_the_longer_ones_first(self):
        servers = self.servers()
        (self.folder / "poem.txt").write_bytes(b"abcdef")
        self.assertEqual(self.dfc("dfc.conf", "put", "poem.txt", "notes/").returncode, 0)
        puts = [f"PUT {piece} {length} notes/poem.txt" for piece, length in zip(range(1, 5), [2, 2, 1, 1])]
        # Row 1.
        for server, pieces in zip(servers, [(4, 1), (1, 2), (2, 3), (3, 4)]):
            received = [line for line in server.lines if line.startswith("PUT")]
            self.assertEqual(sorted(received), sorted(puts[piece - 1] for piece in pieces))

    def test_the_exit_status_and_a_message_say_what_was_not_done(self):
        self.assertEqual(self.dfc("nosuch.conf", "list").returncode, 2)
        self.servers()
        for words in [["list", "a", "b/"], ["mkdir"], ["put"], ["nosuch"]]:
            self.assertEqual(self.dfc("dfc.conf", *words).returncode, 2, words)
        done = self.dfc("dfc.conf", "get", "old.bin", "nosuch")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nosuch not found\n", done.stderr)
        self.assertEqual((self.folder / "old.bin").read_bytes(), OLD)
        self.assertFalse((self.folder / "nosuch").exists())


def program(name: str) -> Path:
    return Path(__file__).resolve().with_name(f"{name}.py")


OLD = bytes(range(256)) * 1000


class FakeServer(socketserver.ThreadingTCPServer):
    """A server that has all pieces of old.bin, takes everything, and remembers the lines of the requests."""

    daemon_threads = True

    def __init__(self, breaks_off: bool) -> None:
        super().__init__(("127.0.0.1", 0), FakeSession)
        self.breaks_off = breaks_off
        self.lines: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class FakeSession(socketserver.StreamRequestHandler):
    def handle(self):
        length = len(OLD) // 4
        for line in self.rfile:
            words = line.decode().rstrip("\n").split(" ", 3)
            self.server.lines.append(" ".join(words))
            reply = b""
            if words[0] == "PUT":
                self.rfile.read(int(words[2]))
            elif words[0] == "GET":
                reply = OLD[length * (int(words[1]) - 1) :][:length]
            elif words[0] == "LIST":
                reply = b"".join(b"piece %d %d old.bin\n" % (piece, length) for piece in range(1, 5))
            self.wfile.write(b"OK %d\n" % len(reply))
            if words[0] == "GET" and self.server.breaks_off:
                self.wfile.write(reply[: length // 2])
                return
            self.wfile.write(reply)


if __name__ == "__main__":
    unittest.main()
