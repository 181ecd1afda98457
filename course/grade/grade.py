#!/usr/bin/env python3
"""Grades a program for the classic assignment "Distributed File System", in whatever language it is written.

An adapter, a few shell functions, says how the program is started and asked; README.md explains it. Each scenario has
servers, folders and ports of its own, so one that hangs or crashes costs its own points and no others.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from cluster import Cluster, Failure
from scenarios import SCENARIOS

HERE = Path(__file__).resolve().parent
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
NEEDED = ["start", "put", "get", "list", "mkdir", "pieces"]


class Run:
    """The scenarios of a table, graded."""

    def __init__(self, arguments, environment, work):
        self.patience, self.keep, self.work = arguments.patience, arguments.keep, work
        self.environment = environment
        self.lock, self.clusters, self.interrupted = threading.Lock(), [], False

    def grade(self, name, points, seconds):
        begin, why = time.monotonic(), ""
        with self.lock:
            if self.interrupted:
                raise Failure("interrupted")
            cluster = Cluster(self.work / name, self.environment, seconds * self.patience)
            self.clusters.append(cluster)
        try:
            SCENARIOS[name][1](cluster)
        except (Failure, OSError) as failure:
            why = str(failure) + cluster.complaint + cluster.died()
        except Exception as error:  # one of ours costs this scenario, and not the results of the others
            why = f"the grader failed: {error!r}"
        finally:
            cluster.close()
            if not self.keep:
                shutil.rmtree(cluster.folder, ignore_errors=True)
        return {"name": name, "passed": not why, "points": 0 if why else points, "of": points, "why": why,
                "seconds": round(time.monotonic() - begin, 2)}

    def interrupt(self):
        with self.lock:
            self.interrupted = True
        for cluster in self.clusters:
            cluster.close()


def result_of(future):
    """Waits for a result, a little at a time: a signal that arrives just before the wait is seen only after it."""
    while not future.done():
        concurrent.futures.wait([future], timeout=0.2)
    return future.result()


def usage(problem):
    print(f"grade.py: {problem}", file=sys.stderr)
    sys.exit(2)


def read_table(path, only):
    """The scenarios of a table, with their points and seconds."""
    rows = []
    try:
        lines = Path(path).read_text().splitlines()
    except OSError as error:
        usage(f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        usage(f"{path}: expected UTF-8")
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words and (len(words) != 3 or words[0] not in SCENARIOS or not "".join(words[1:]).isdecimal()):
            usage(f"{path}:{number}: expected a scenario, its points and its seconds")
        if words and (words[0] in [row[0] for row in rows] or int(words[2]) == 0):
            usage(f"{path}:{number}: '{words[0]}' is there twice, or has no time")
        if words and (not only or words[0] in only):
            rows.append((words[0], int(words[1]), int(words[2])))
    if not rows and not only:
        usage(f"{path} has no scenarios")
    for name in only:
        if name not in [row[0] for row in rows]:
            usage(f"no scenario '{name}' in {path}; --list lists them")
    return rows


def environment_of(arguments):
    """The variables that an adapter has, after a look whether it has all functions."""
    adapter, programs = (Path(path).resolve() for path in (arguments.adapter, arguments.programs))
    if not programs.is_dir():
        usage(f"{arguments.programs}: no such folder")
    environment = {**os.environ, "ADAPTER": str(adapter), "HERE": str(adapter.parent),
                   "PROGRAMS": str(programs), "PYTHON": sys.executable}
    # What an adapter prints by itself is none of our words, and one that exits does not reach the last of them.
    script = ('. "$ADAPTER" >&2 || exit; for f; do [ "$(command -v $f)" = $f ] || echo "no function $f"; done; '
              "echo ready")
    tried = subprocess.run(["sh", "-c", script, "sh", *NEEDED], env=environment, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True)
    if tried.returncode or tried.stdout != "ready\n":
        said = (tried.stdout + tried.stderr).strip().splitlines() or ["it ends the shell"]
        usage(f"{arguments.adapter}: {said[0]}")
    return environment


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("adapter", nargs="?", help="a file of shell functions")
    parser.add_argument("programs", nargs="?", default=".", help="a folder, which the adapter has as $PROGRAMS")
    parser.add_argument("--table", default=HERE / "points.txt", help="scenarios, points and seconds; points.txt")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this scenario; can be repeated")
    parser.add_argument("--list", action="store_true", help="list the scenarios of the table")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="scenarios at the same time")
    parser.add_argument("--patience", type=float, default=1, metavar="FACTOR", help="multiplies all time limits")
    parser.add_argument("--keep", metavar="DIR", help="work in this new folder, and leave everything there")
    arguments = parser.parse_args()
    if not arguments.patience > 0:
        usage("--patience expects a number above 0")
    rows = read_table(arguments.table, arguments.only)
    if arguments.list:
        for name, points, seconds in rows:
            print(f"{points:3}  {seconds:3} s  {name:11} {SCENARIOS[name][0]}")
        return 0
    if not arguments.adapter:
        usage("expected an adapter; --help has more")
    environment = environment_of(arguments)

    def interrupted(number, _):
        for ignored in SIGNALS:
            signal.signal(ignored, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in SIGNALS:
        signal.signal(number, interrupted)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until what is made now would also be removed
    if arguments.keep:
        try:
            Path(arguments.keep).mkdir(parents=True)
        except OSError as error:
            usage(f"--keep {arguments.keep}: {error.strerror}")
    work = Path(arguments.keep or tempfile.mkdtemp(prefix="grade-")).resolve()
    run = Run(arguments, environment, work)
    results = []
    with concurrent.futures.ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            for (name, *_), future in zip(rows, [pool.submit(run.grade, *row) for row in rows]):
                result = result_of(future)
                results.append(result)
                if not arguments.json:
                    state = "ok    " if result["passed"] else "FAILED"
                    why = f"\n{'':27}{result['why']}" if result["why"] else ""
                    print(f"{result['points']:3}/{result['of']:<3} {name:11} {state} {SCENARIOS[name][0]}{why}",
                          flush=True)
        finally:
            run.interrupt()
            pool.shutdown(cancel_futures=True)
            if not arguments.keep:
                shutil.rmtree(work, ignore_errors=True)
    points, full = (sum(result[key] for result in results) for key in ("points", "of"))
    if arguments.json:
        print(json.dumps({"points": points, "of": full, "scenarios": results}, indent=1))
    else:
        print(f"{points:3}/{full:<3} points")
    return 0 if points == full else 1


if __name__ == "__main__":
    sys.exit(main())
