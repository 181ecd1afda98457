#!/usr/bin/env python3
"""Grades dfs.py, which must have full points, and its mutants, which must fail the scenarios of mutants.txt.

With --all each mutant is graded in the other scenarios too, except the longest, and must fail none of them.
"""

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ALL = [line.split()[0] for line in (HERE.parent / "points.txt").read_text().splitlines() if line[0] != "#"]
# dfs.py waits so long for a server, and no limit is shorter: nothing may fail because a machine is slow.
DFS_TIMEOUT, GENEROUS = 15, 600
LONGEST = ["frozen", "sizes", "big", "rounds"]
# These are found by the limit itself.
HANG, SHORT = {"hangs": "frozen", "sequential": "idle"}, 5
GRADERS = []


def grade(fault, scenarios):
    """The reasons of the scenarios that failed."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as table:
        for name in scenarios:
            table.write(f"{name} 1 {SHORT if HANG.get(fault) == name else GENEROUS}\n")
        table.flush()
        words = [sys.executable, HERE.parent / "grade.py", HERE / "adapter.sh", "--json", "--table", table.name]
        words += ["--jobs", "1" if fault else "4"]
        environment = {**os.environ, "FAULT": fault, "DFS_TIMEOUT": str(DFS_TIMEOUT)}
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as grader:
            GRADERS.append(grader)
            out, err = grader.communicate()
    if grader.returncode not in (0, 1):
        return {"grade.py": err.decode()}
    return {row["name"]: row["why"] for row in json.loads(out)["scenarios"] if not row["passed"]}


def main():
    everything = sys.argv[1:] == ["--all"]
    lines = (HERE / "mutants.txt").read_text().splitlines()
    expected = {"": []} | {line.split()[0]: line.split()[1:] for line in lines if line[0] != "#"}
    # An interrupt reaches the graders too, which end what they have started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(2 * os.cpu_count()) as pool:
        try:
            runs = {}
            for fault, fails in expected.items():
                fails = [name for name in fails if name != "frozen" or fault in HANG]
                tried = [name for name in ALL if name in fails or everything and name not in LONGEST] if fault else ALL
                runs[fault] = fails, pool.submit(grade, fault, tried)
            for fault, (fails, run) in runs.items():
                while not run.done():
                    # A signal that arrives just before a wait is seen only after it.
                    concurrent.futures.wait([run], timeout=0.2)
                failed = run.result()
                as_expected = sorted(failed) == sorted(fails)
                wrong += not as_expected
                state = "ok   " if as_expected else "WRONG"
                print(f"{state} {fault or '(no fault)':16} {' '.join(failed)}", flush=True)
                if not as_expected:
                    print(f"      expected: {' '.join(fails)}", *failed.items(), sep="\n      ")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for grader in GRADERS:
                if grader.poll() is None:
                    grader.terminate()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
