#!/usr/bin/env python3
"""Runs what the chapters have you run, and compares what is printed with what they print.

    course/check.py [CHAPTER.md...]             all of course/chapters, with the programs SERVER and CLIENT of lab.sh
    course/check.py --write [CHAPTER.md...]     puts the real output in

A block ```console has commands after `$ `, lines that continue one after `> `, and output. All blocks of a chapter run
one after another in one laboratory. `…` in a line of output stands for what is different each time.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

COURSE = Path(__file__).resolve().parent
MARK = "\x01mark"
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)
LIMIT = 600  # seconds for a chapter


def steps_of(block):
    """Commands, each a list of lines as they are printed, and their outputs."""
    steps = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append(([line], []))
        elif line.startswith("> ") and steps and not steps[-1][1]:
            steps[-1][0].append(line)
        elif steps:
            steps[-1][1].append(line)
        else:
            sys.exit(f"check.py: a block begins with output: {line}")
    return steps


def run(steps):
    """What each command prints."""
    script = "exec 2>&1\n"
    for command, _ in steps:
        script += "".join(f"{line[2:]}\n" for line in command) + f"printf '{MARK}\\n'\n"
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        lab = subprocess.run(["bash", COURSE / "lab.sh", file.name], capture_output=True, text=True, timeout=LIMIT,
                             stdin=subprocess.DEVNULL)
    outputs = lab.stdout.split(f"{MARK}\n")
    if len(outputs) != len(steps) + 1:
        sys.exit(f"check.py: the laboratory ended early: {lab.stdout[-1000:]}{lab.stderr}")
    return [output.splitlines() for output in outputs[:-1]]


def same(expected, printed):
    """Whether a line is as expected."""
    return re.fullmatch(".*?".join(map(re.escape, expected.split("…"))), printed) is not None


def check(path, write):
    """The differences of a chapter, or a new text of it."""
    text = path.read_text()
    blocks = [steps_of(block) for block in BLOCK.findall(text)]
    outputs = iter(run([step for block in blocks for step in block]))
    wrong, new = [], []
    for block in blocks:
        lines = []
        for command, expected in block:
            printed = next(outputs)
            if len(printed) != len(expected) or not all(map(same, expected, printed)):
                wrong.append("\n".join([f"{path.name}:", *command, "-- expected:", *expected, "-- printed:", *printed]))
            else:
                printed = expected
            lines += command + printed
        new.append("".join(f"{line}\n" for line in lines))
    if write and wrong:
        texts = iter(new)
        path.write_text(BLOCK.sub(lambda _: next(texts), text))
        return []
    return wrong


def main():
    write = "--write" in sys.argv[1:]
    paths = [Path(word) for word in sys.argv[1:] if word != "--write"] or sorted(COURSE.glob("chapters/[0-9]*.md"))
    wrong = [difference for path in paths for difference in check(path, write)]
    print("\n\n".join(wrong) or f"{len(paths)} chapters: what they print is what is printed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
