#!/usr/bin/env python3
"""Makes the figures of the slides from the pictures of docs/images, so that a picture is drawn once.

    course/slides/make-figures.py          writes course/slides/figures
    course/slides/make-figures.py DIR      writes them to DIR instead

The classes of an element in a picture say to what it belongs. A figure shows an element if it names all of these. What
it shows is cut out, enlarged to the width of a slide, and small text is made larger, to be read from the last row.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

COURSE = Path(__file__).resolve().parent.parent
PICTURES = COURSE.parent / "docs" / "images"

# Pixels, on a slide of 1280 by 720: what a heading, a line below it and the margins leave, and the smallest text.
WIDTH, HEIGHT = 1200, 490
TEXT = 24

SVG = "{http://www.w3.org/2000/svg}"
SERVERS = "server1 server2 server3 server4"


@dataclass(frozen=True)
class Figure:
    name: str
    picture: str
    # What is cut out: left, top, right, bottom, in units of the picture.
    view: tuple[int, int, int, int]
    shown: str
    title: str
    desc: str
    # Of what is shown, what is pale.
    pale: str = ""
    # How far down each class is moved.
    moved: dict[str, int] = field(default_factory=dict)


FIGURES = [
    Figure(
        "pieces", "shareit", (15, 14, 845, 406), "sent servers",
        "A file, its four pieces, and four servers with two pieces each",
        "The client cuts earth.gif into four pieces and encrypts them. Server1 has pieces 1 and 4, Server2 1 and 2, "
        "Server3 2 and 3, Server4 3 and 4.",
    ),
    Figure(
        "placement-neighbours", "placement", (26, 62, 660, 152), f"names row0 {SERVERS}",
        "Row 0 of the placement without two neighbours",
        "Server1 with pieces 1 and 2 and Server2 with pieces 2 and 3 are pale. Server3 has 3 and 4, Server4 4 and 1: "
        "piece 2 is on neither.",
        pale="server1 server2",
    ),
    Figure(
        "placement-rows", "placement", (26, 66, 660, 324), f"names row0 row1 row2 row3 {SERVERS}",
        "The four rows of the placement",
        "In row 0 Server1 has pieces 1 and 2, Server2 2 and 3, Server3 3 and 4, Server4 4 and 1. In each further row "
        "all pieces are one server on.",
    ),
    Figure(
        "placement-row2", "placement", (26, 66, 660, 324), f"names row0 row1 row2 row3 {SERVERS}",
        "Row 2 of the placement",
        "In row 2 Server1 has pieces 3 and 4, Server2 4 and 1, Server3 1 and 2, Server4 2 and 3. The other rows are "
        "pale.",
        pale="row0 row1 row3",
    ),
    Figure(
        "placement-down", "placement", (98, 404, 658, 544), f"down {SERVERS}",
        "Server2 is down during the upload",
        "Server1 has pieces 1 and 2, Server3 3 and 4, Server4 4 and 1. Server2, which would have 2 and 3, is down.",
    ),
    Figure(
        "placement-passed", "placement", (98, 404, 658, 544), f"down passed {SERVERS}",
        "Where the copies of a server go that is down during the upload",
        "The copy of piece 3 goes on from Server2 to Server1, the copy of piece 2 to Server4.",
    ),
    Figure(
        "framing", "upload", (108, 369, 735, 622), "heads lines stage receive next",
        "Two pieces on their way to a server",
        "The client sends a line STAGE, then bytes, then a line END with root, seal and MAC. The server checks the "
        "hashes. The client sends piece 4 without waiting.",
        moved={"heads": 311, "lines": 311},
    ),
    Figure(
        "login", "login", (25, 54, 835, 322), "heads lines login challenge prove welcome",
        "The four lines of a login",
        "The client sends LOGIN with the user and a nonce; the server CHALLENGE with its name, both nonces, salt and "
        "iterations; the client PROVE with both nonces and a proof; the server WELCOME with an HMAC under ServerKey.",
        moved={"prove": -128, "welcome": -198},
    ),
    Figure(
        "login-client", "login", (25, 190, 720, 398), "lines challenge proof prove",
        "What the client computes between challenge and proof",
        "It checks the name, the nonce and the iterations. From the password it derives SaltedPassword, ClientKey and "
        "StoredKey, and sends ClientKey XOR an HMAC under StoredKey.",
    ),
    Figure(
        "login-server", "login", (140, 356, 835, 508), "lines prove check welcome",
        "How the server checks the proof",
        "XOR with the same HMAC gives it ClientKey. It compares SHA-256 of that with StoredKey, and answers with an "
        "HMAC under ServerKey.",
    ),
    Figure(
        "piece", "piece", (25, 60, 835, 168), "bar",
        "The parts of a stored piece",
        "Header, body, table, root and seal. The body is divided into chunks, the table into as many hashes.",
    ),
    Figure(
        "piece-checked", "piece", (25, 60, 835, 310), "bar hashes checked",
        "What anyone can check of a piece",
        "The table has the SHA-256 of each chunk, the root is that of the table. So body, table and root can be "
        "checked without a key.",
        moved={"checked": -50},
    ),
    Figure(
        "piece-sealed", "piece", (25, 60, 835, 342), "bar hashes sealed claim",
        "What the seal of a piece covers",
        "The seal is an HMAC-SHA-256 under the seal key over header and root. Header, root and seal are the claim, "
        "which LOOK returns.",
        moved={"claim": -56},
    ),
    Figure(
        "commit-stage", "commit", (20, 70, 487, 340), "names old stage staged",
        "The new pieces are staged on all servers",
        "The client sends STAGE to four servers. Each keeps the old version, stores the new one next to it, and "
        "answers OK.",
    ),
    Figure(
        "commit-crashes", "commit", (20, 70, 840, 340), "names old stage staged new commit crashes",
        "Stage and commit, and four moments at which the client may crash",
        "After four OKs the client sends COMMIT. One server after another shows the new version. Moment 1 is while "
        "staging, 2 when all is staged, 3 after the first commit, 4 after all.",
    ),
    Figure(
        "commit-decided", "commit", (20, 70, 840, 402), "names old stage staged new commit crashes decided readers",
        "The first commit decides",
        "A line through the first commit. Up to it, at moments 1 and 2, readers get the old version, and after it, at "
        "3 and 4, the new one.",
    ),
    Figure(
        "commit-disk", "upload", (105, 576, 808, 860), "heads lines disk sync staged check commit",
        "The commit between the client, a server and its disk",
        "The server syncs what is staged and answers OK. The client checks that every piece is staged on all its "
        "holders, and sends COMMIT. The server renames, syncs and answers OK: the first of these decides.",
        moved={"heads": 517, "lines": 517},
    ),
    Figure(
        "parity", "parity", (25, 62, 835, 196), f"scheme {SERVERS}",
        "A piece and an XOR on each server",
        "Server1 has P1 and Q1 = P2 ^ P3, Server2 P2 and Q2 = P3 ^ P4, Server3 P3 and Q3 = P4 ^ P1, Server4 P4 and "
        "Q4 = P1 ^ P2.",
    ),
    Figure(
        "parity-lost", "parity", (25, 246, 835, 340), f"lost {SERVERS}",
        "Two neighbours are lost",
        "Server2 and Server3 are lost. Server1 has P1 and Q1, Server4 P4 and Q4.",
    ),
    Figure(
        "parity-rebuilt", "parity", (25, 246, 835, 534), f"lost p2 p3 q2 q3 {SERVERS}",
        "What two servers had is made from what the other two have",
        "P2 is Q4 ^ P1, then P3 is Q1 ^ P2. From these Q2 is P3 ^ P4, and Q3 is P4 ^ P1.",
    ),
    Figure(
        "durability-copies", "durability", (-8, 80, 862, 474), "times servers4 copies1 copies2",
        "Some file lost within ten years, with one copy and with two",
        "Against the time from a server's death to the end of Repair. With one copy it is almost certain. With two the "
        "line goes through 1 in 410 at a week.",
        moved={"times": 7},
    ),
    Figure(
        "durability", "durability", (-8, 80, 862, 474), "times band servers4 copies1 copies2 copies3 copies4",
        "Some file lost within ten years, with one to four copies",
        "Three copies, or parity, are 870 times safer than two at a week, four safer still. Both are far below a band "
        "at 1 in 18 to 1 in 160: half of the servers at once, once in 100 years.",
        moved={"times": 7},
    ),
]


def shows(figure: Figure, element: ElementTree.Element) -> bool:
    return set(element.get("class", "").split()) <= set(figure.shown.split())


def cut_out(figure: Figure, parent: ElementTree.Element, smallest: float) -> None:
    """Leaves of what is in an element what the figure shows."""
    for element in list(parent):
        if not shows(figure, element):
            parent.remove(element)
            continue
        classes = element.attrib.pop("class", "").split()
        if set(classes) & set(figure.pale.split()):
            element.set("opacity", "0.2")
        if down := sum(figure.moved.get(name, 0) for name in classes):
            element.set("transform", f"translate(0 {down})")
        if float(element.get("font-size", smallest)) < smallest:
            element.set("font-size", f"{smallest:.1f}")
        cut_out(figure, element, smallest)


def make(figure: Figure) -> str:
    tree = ElementTree.parse(PICTURES / f"{figure.picture}.svg")
    root = tree.getroot()
    left, top, right, bottom = figure.view
    width, height = right - left, bottom - top
    scale = min(WIDTH / width, HEIGHT / height)
    cut_out(figure, root, TEXT / scale)
    root.set("viewBox", f"{left} {top} {width} {height}")
    root.set("width", f"{width * scale:.0f}")
    root.set("height", f"{height * scale:.0f}")
    root.find(f"{SVG}title").text = figure.title
    desc = root.find(f"{SVG}desc")
    desc.text = figure.desc
    # Its text is dark, whatever the page behind it is.
    box = {"x": str(left), "y": str(top), "width": str(width), "height": str(height), "fill": "#ffffff"}
    ground = ElementTree.Element(f"{SVG}rect", box)
    ground.tail = desc.tail
    root.insert(list(root).index(desc) + 1, ground)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def main() -> None:
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else COURSE / "slides" / "figures"
    ElementTree.register_namespace("", SVG.strip("{}"))
    to.mkdir(parents=True, exist_ok=True)
    for figure in FIGURES:
        (to / f"{figure.name}.svg").write_text(make(figure), encoding="utf-8")


if __name__ == "__main__":
    main()
