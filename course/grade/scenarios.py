"""What is graded: each scenario is a function that gets four servers, none of them started, and raises Failure.

Contents have a multiple of four bytes wherever odd sizes are not what is tried, so that one fault costs one scenario.
"""

import random
import re
import socket
import subprocess
import time

from cluster import SERVERS, Failure

# What each server holds, for x = 0, 1, 2, 3.
TABLE = [["12", "23", "34", "14"], ["14", "12", "23", "34"], ["34", "14", "12", "23"], ["23", "34", "14", "12"]]

SCENARIOS = {}


def noise(name, size):
    """Binary contents, the same for a name in each run."""
    return random.Random(name).randbytes(size)


def two_files():
    return {"photo.bin": noise("photo", 2 << 20), "sound.bin": noise("sound", 300_000)}


def scenario(title):
    def add(function):
        SCENARIOS[function.__name__.strip("_").replace("_", "-")] = (title, function)
        return function
    return add


@scenario("two binary files come back as they were put")
def binary(cluster):
    alice = cluster.up()
    for name, data in two_files().items():
        alice.put({name: data})
        alice.same({name: data})


@scenario("list has nothing at first, then each name on one line")
def list_(cluster):
    alice = cluster.up()
    listed = alice.list()
    if listed.line_with("photo.bin") or listed.line_with("sound.bin"):
        raise Failure("list has names before anything was put")
    for name, data in two_files().items():
        alice.put({name: data})
    alice.has("photo.bin", "sound.bin")


@scenario("after two puts each server has exactly four files, two pieces of each")
def pieces(cluster):
    with_two_files(cluster)
    counts = [len(files) for files in cluster.files()]
    if counts != [4, 4, 4, 4]:
        raise Failure(f"the servers have {counts} files, expected 4 each")
    for name in two_files():
        held = cluster.pieces(name)
        if any(len(set(numbers)) != 2 for numbers in held):
            raise Failure(f"the servers have pieces {held} of {name}, expected two different ones each")


@scenario("pairs are on the servers as the table has them, not all in one row")
def table(cluster):
    alice = cluster.up()
    rows = set()
    for name in [f"{letter}.txt" for letter in "abcdefgh"]:
        alice.put({name: name.encode() * 4})
        held = cluster.pieces(name)
        if held not in TABLE:
            raise Failure(f"the servers have pieces {held} of {name}, which is no row of the table")
        rows.add(TABLE.index(held))
    if len(rows) == 1:
        raise Failure(f"x is {rows.pop()} for each of eight files")


def with_two_files(cluster):
    alice = cluster.up()
    for name, data in two_files().items():
        alice.put({name: data})
    return alice


def with_servers_down(cluster, *down):
    alice = with_two_files(cluster)
    cluster.stop(*down)
    return alice


@scenario("server 4 stopped: list and get as before")
def one_down(cluster):
    alice = with_servers_down(cluster, 4)
    alice.has("photo.bin", "sound.bin")
    alice.same(two_files())


@scenario("servers 4 and 2 stopped: list and get as before")
def two_down(cluster):
    alice = with_servers_down(cluster, 4, 2)
    alice.has("photo.bin", "sound.bin")
    alice.same(two_files())


@scenario("servers 4, 2 and 3 stopped: list and get say 'incomplete' beside the name, and no file is written")
def three_down(cluster):
    check_incomplete(with_servers_down(cluster, 4, 2, 3))


def check_incomplete(alice):
    listed = alice.list()
    for name in two_files():
        if not listed.line_with(name, "incomplete"):
            raise Failure(f"list: no line with {name} and 'incomplete'{listed.said()}")
        alice.begin("get", name).check_incomplete(name)


@scenario("servers 1 and 2 stopped, which are neighbours: a piece is nowhere else, so 'incomplete' as before")
def neighbours(cluster):
    alice = with_servers_down(cluster, 1, 2)
    check_incomplete(alice)


@scenario("server 1 hangs: list ends, and get does without it")
def frozen(cluster):
    alice = with_two_files(cluster)
    cluster.freeze(1)
    alice.list()
    alice.same({"photo.bin": two_files()["photo.bin"]})


@scenario("a client that is connected and says nothing holds up nobody")
def idle(cluster):
    alice = cluster.up()
    silent = [socket.create_connection(("127.0.0.1", cluster.ports[n])) for n in SERVERS]
    try:
        alice.put({"photo.bin": noise("idle", 4000)})
        alice.same({"photo.bin": noise("idle", 4000)})
    finally:
        for connection in silent:
            connection.close()


@scenario("four clients put at once, then get at once, five times")
def clients(cluster):
    cluster.start(*SERVERS)
    users = [cluster.user() for _ in range(4)]
    for attempt in range(5):  # what is mixed up by chance may go well once
        files = [(name, noise(name, 1 << 20)) for name in [f"file{n}-{attempt}.bin" for n in range(4)]]
        for call in [user.begin("put", name, files={name: data}) for user, (name, data) in zip(users, files)]:
            call.finish()
        for (name, data), call in zip(files, [user.begin("get", name) for user, (name, _) in zip(users, files)]):
            call.check_same(name, data)


# Alice's is SimplePassword: one that is too short, one that is too long, one of another user.
WRONG = ["WrongPassword", "SimplePasswor", "SimplePassword2", "ComplexPassword", "simplepassword"]


@scenario("the right and a wrong password of one user at the same moment")
def passwords(cluster):
    alice = cluster.up()
    file = {"secret.bin": noise("secret", 4000)}
    alice.put(file)
    for password in WRONG:
        right, wrong = alice.begin("get", *file), cluster.user("Alice", password).begin("get", *file)
        right.check_same("secret.bin", file["secret.bin"])
        if wrong.finish().file("secret.bin") is not None:
            raise Failure(f"get wrote Alice's file for the wrong password {password}")
        wrong.check_invalid()


@scenario("an unknown user, and a known one with a wrong password, are refused by each command")
def bad_user(cluster):
    alice = cluster.up()
    alice.put({"mine.txt": b"mine"})
    before = cluster.files()
    for who, bad in [("an unknown user", cluster.user("Mallory", "SimplePassword")),
                     ("Alice with a wrong password", cluster.user("Alice", "WrongPassword"))]:
        calls = [bad.begin("list"), bad.begin("put", "evil.txt", files={"evil.txt": b"evil"}),
                 bad.begin("get", "mine.txt"), bad.begin("mkdir", "evil")]
        for call in calls:
            call.finish()
        if calls[0].line_with("mine.txt") or calls[2].file("mine.txt") is not None:
            raise Failure(f"{who} sees Alice's file")
        if cluster.files() != before:
            raise Failure(f"{who} has stored something")
        for call in calls:
            call.check_invalid()
    alice.same({"mine.txt": b"mine"})


def say(session, line):
    try:
        session.process.stdin.write(line.encode() + b"\n")
        session.process.stdin.flush()
    except BrokenPipeError:
        session.finish()
        raise Failure(f"the session ended early{session.said()}") from None


@scenario("a session goes on after all servers were stopped and started again")
def session(cluster):
    alice, old, new = cluster.up(), noise("old", 4000), noise("new", 4000)
    alice.put({"old.bin": old})
    ours = alice.begin("session", files={"new.bin": new}, stdin=subprocess.PIPE)
    say(ours, "put new.bin")
    late = time.monotonic() + cluster.seconds / 2
    while (got := alice.begin("get", "new.bin").finish()).file("new.bin") != new:
        if ours.has_ended():
            raise Failure(f"the session ends after a put{ours.finish().said()}")
        if time.monotonic() > late:
            raise Failure(f"put in a session: another client's get does not bring it{got.said()}")
    cluster.stop(*SERVERS)
    cluster.start(*SERVERS)
    say(ours, "get old.bin")
    ours.process.stdin.close()
    ours.check_same("old.bin", old)
    alice.same({"new.bin": new})


@scenario("subfolders: mkdir, put into one, list it, get from it; the same name outside is another file")
def folders(cluster):
    alice = cluster.up()
    alice.begin("mkdir", "papers").finish()
    alice.put({"poem.txt": b"in the folder, 20 by"}, folder="papers")
    alice.put({"poem.txt": b"outside, with 24 bytes.."})
    alice.put({"inside.txt": b"inside.."}, folder="papers")
    alice.put({"outside.txt": b"outside."})
    alice.begin("mkdir", "papers").finish()  # it is there, and stays as it is
    alice.has("poem.txt", "inside.txt", without=["outside.txt"], folder="papers")
    alice.has("poem.txt", "outside.txt", without=["inside.txt"])
    alice.same({"poem.txt": b"in the folder, 20 by"}, folder="papers")
    alice.same({"poem.txt": b"outside, with 24 bytes.."})


@scenario("put A B C stores all three")
def several(cluster):
    alice = cluster.up()
    files = {name: noise(name, 400) for name in ["A", "B", "C"]}
    alice.put(files)
    alice.same(files)


@scenario("files of 0 to 17 bytes")
def sizes(cluster):
    alice = cluster.up()
    files = {f"{size}.bin": noise(f"size{size}", size) for size in range(18)}  # 5.bin ends 15.bin
    for name, data in files.items():
        alice.put({name: data})
    alice.same(files)


@scenario("text, an image, an empty file, and one full of what a protocol might use as a mark")
def kinds(cluster):
    alice = cluster.up()
    files = {
        "text.txt": b"To be, or not to be\r\n" * 400,
        "dot.png": bytes.fromhex("89504e470d0a1a0a0000000d49484452") + noise("dot", 8000),
        "empty": b"",
        "marks": b"\0\n\r\n\r\n.\n-#-\n-##-\n-###-\n-####-\n-#####-\nOK 0\nEOF\n\x04\xff\xfe exit\nput a\n" * 100,
    }
    for name, data in files.items():
        alice.put({name: data})
    alice.same(files)


@scenario("a file of 64 MiB")
def big(cluster):
    alice = cluster.up()
    files = {"big.bin": noise("big", 64 << 20)}
    alice.put(files)
    alice.same(files)


@scenario("ten rounds of put, get and compare as two users, with different files of one name")
def rounds(cluster):
    users = alice, bob = [cluster.up(), cluster.user("Bob")]
    for n in range(10):
        # Shorter and longer than the one before, in turn.
        files = [{"note.bin": noise(f"{user.name}{n}", 20_000 - 400 * n * (-1) ** n)} for user in users]
        for call in [user.begin("put", "note.bin", files=file) for user, file in zip(users, files)]:
            call.finish()
        for call, file in zip([user.begin("get", "note.bin") for user in users], files):
            call.check_same("note.bin", file["note.bin"])
    diary = {"diary.bin": noise("diary", 4000)}
    alice.put(diary)
    if bob.list().line_with("diary.bin") or bob.begin("get", *diary).finish().file("diary.bin") == diary["diary.bin"]:
        raise Failure("Bob sees Alice's file")


NO = None


class Spoken:
    """A connection to server 1, on which the grader speaks the hand-out's PROTOCOL.md itself."""

    def __init__(self, cluster):
        self.socket = socket.create_connection(("127.0.0.1", cluster.ports[1]))
        self.socket.settimeout(max(0.1, cluster.deadline - time.monotonic()))
        self.input = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.input.close()
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # what the server said before it ended the connection is read

    def expect_reply(self, to, expected):
        """Reads the reply to a request: OK and these bytes, or NO and any reason if `expected` is NO."""
        try:
            line = self.input.readline(5000)
            length = int(line[3:]) if re.fullmatch(rb"OK [0-9]{1,13}\n", line) else 0
            # What is longer than any piece of ours is wrong already.
            data = self.input.read(min(length, 1000))
        except OSError as error:
            raise Failure(f"{to}: no reply ({error})") from None
        reply, is_no = line + data, line.startswith(b"NO ") and line.endswith(b"\n")
        wanted = b"NO and a reason" if expected is NO else b"OK %d\n%s" % (len(expected), expected)
        if reply != wanted and not (expected is NO and is_no):
            raise Failure(f"{to}: expected {wanted!r}, the server says {reply[:90] or 'nothing and closes'!r}")

    def expect(self, request, expected, data=b""):
        self.send(request.encode() + b"\n" + data)
        self.expect_reply(request, expected)

    def ends(self, why):
        """The server ends the connection, and does not say OK."""
        try:
            said = self.input.readline(50)
            if said[:3] == b"NO ":
                self.input.read(1000)
        except TimeoutError:
            raise Failure(f"{why}: the server does not end the connection") from None
        except OSError:
            return  # what it said may be lost if it has not read everything
        if said[:3] not in (b"", b"NO "):
            raise Failure(f"{why}: {said!r}")


# A piece of seven bytes that read like a request: who takes one for the other says so in the reply.
LIKE_A_REQUEST = b"LIST .\n"


@scenario("the hand-out's protocol, spoken by the grader: a message cut in two, paths and lengths that are none")
def protocol(cluster):
    cluster.start(1)
    with Spoken(cluster) as client:
        # The first reply shows that the server has what was sent until then.
        client.send(b"LIST .\nPUT 1 7 a\n" + LIKE_A_REQUEST[:2])
        client.expect_reply("LIST .", b"")
        client.send(LIKE_A_REQUEST[2:])
        client.expect_reply("PUT 1 7 a, whose bytes come in two parts", b"")
        client.expect("GET 1 a", LIKE_A_REQUEST)
        client.expect("LIST .", b"piece 1 7 a\n")
        client.expect("PUT 3 0 my notes/empty file", b"")
        client.expect("LIST my notes", b"piece 3 0 empty file\n")
        client.expect("GET 2 a", NO)
        client.expect("LIST nowhere", NO)
        for path in ["../a", "..", "x/../../a", "/a", "x//a", "."]:
            client.expect(f"GET 1 {path}", NO)
            client.expect(f"PUT 1 7 {path}", NO, LIKE_A_REQUEST)
            client.send(b"GET 1 a\n")
            client.expect_reply(f"GET 1 a, after the 7 bytes of a refused PUT 1 7 {path}", LIKE_A_REQUEST)
    outside = [path.name for path in cluster.place(1).parent.iterdir() if path.name.endswith(".a.1")]
    if outside:
        raise Failure(f"PUT 1 7 ../a: {outside[0]} is outside of the server's folder")
    for bad in ["PUT 1 99999999999999999999 a\n", "PUT 1 -5 a\n", "PUT 5 0 a\n", "HELLO\n", "x" * 9000]:
        with Spoken(cluster) as client:
            client.send(bad.encode())
            client.ends(bad.strip() if bad.endswith("\n") else "9000 bytes without a line end")
    with Spoken(cluster) as client:
        client.send(b"PUT 2 100 a\nhalf")
        client.socket.shutdown(socket.SHUT_WR)
        client.ends("PUT 2 100 a, of which 4 bytes come")
    with Spoken(cluster) as client:
        client.expect("GET 2 a", NO)
        client.expect("GET 1 a", LIKE_A_REQUEST)
