"""Compares the working tree with a commit: instructions of single operations, and their time.

    python bench/compare COMMIT [--limit PERCENT] [--python] [--json FILE]

Both are built, and their runs are interleaved; the side that begins changes with each round.
Exit status: 1 when an operation needs more instructions than the limit allows, 2 when it cannot
be said because nothing here counts instructions. Times never decide it.

Not here: building (`builds`), counting (`counting`), the order of the runs (`rounds`), statistics
and verdicts (`figures`), and what is repeated (`operations.py` and `operations/`).
"""

import argparse
import json
from pathlib import Path

import builds
import counting
from figures import plain, status, table
from rounds import compare, times_of


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commit", help="the base, as git names it")
    parser.add_argument("--limit", type=float, default=3, metavar="PERCENT", help="default: 3")
    parser.add_argument("--python", action="store_true", help="the Python face, too")
    parser.add_argument("--rounds", type=int, default=6, help="for instructions; default: 6")
    parser.add_argument("--time-rounds", type=int, default=15, help="default: 15")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every round of everything")
    return parser.parse_args()


def main() -> int:
    """Build, count, time, print; return the exit status."""
    chosen = options()
    counter, how = counting.find()
    if counter is None:
        print(f"INSTRUCTIONS ARE NOT COUNTED: {how}", flush=True)
    is_for_valgrind = isinstance(counter, counting.Callgrind)
    base = builds.commit(chosen.commit, is_for_valgrind)
    now = builds.working_tree(is_for_valgrind)
    print(f"building {chosen.commit} and the working tree", flush=True)
    faces = [(base.build_rust(), now.build_rust())]
    if chosen.python:
        faces.append((base.build_python(), now.build_python()))

    counts = []
    if counter is not None:
        counts = compare(faces, counter.count, chosen.rounds, "instructions", chosen.limit / 100)
        print(f"\n{how}; {chosen.rounds} rounds\n\n{table(counts)}", flush=True)
    times = compare(faces, times_of, chosen.time_rounds, "ns", None)
    print(f"\ntime; {chosen.time_rounds} rounds\n\n{table(times)}")

    if chosen.json:
        rows = [plain(row) for row in (*counts, *times)]
        found = {"base": chosen.commit, "counted": how, "rows": rows}
        chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    exit_status, meaning = status(counts)
    print(f"\n{meaning}")
    return exit_status


if __name__ == "__main__":
    raise SystemExit(main())
