"""How fast coheap is from Python, against `multiprocessing` and the best peers.

    python bench/python [--rounds 7] [--only TEXT] [--json FILE]

One run, the side that begins changing with each round, medians over the rounds. Both sides of a
row run the same function, in the same number of forked processes, for the same time.

Not here: the workloads (`workloads`, `copies`, `threads`, `appending`, `crowd`, `single`, `once`), how processes are measured (`measure`), and the
figures of the engine and of the Rust face (`bench/src`).
"""

import argparse
import json
import os
import platform
import statistics
from pathlib import Path

from appending import appends
from copies import copies
from crowd import crowds
from measure import Row
from once import onces
from single import singles
from threads import threads
from workloads import rows


def line(row: Row, ours: list[float], theirs: list[float]) -> dict[str, object]:
    """The medians of a row, its rounds and what is wanted of it."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    ratio = other / mine
    return {
        "workload": row.name,
        "unit": row.unit,
        "ours": mine,
        "theirs": other,
        "against": row.against,
        "ratio": ratio,
        "least": row.least,
        "aim": row.aim,
        "reached": ratio >= row.least,
        "rounds": {"ours": ours, "theirs": theirs},
    }


def measured(row: Row, rounds: int) -> tuple[list[float], list[float]]:
    """What both sides gave, ours first, in so many rounds."""
    found: tuple[list[float], list[float]] = ([], [])
    with row.opened() as sides:
        for number in range(rounds):
            for which in (0, 1) if number % 2 == 0 else (1, 0):
                found[which].append(sides[which]())
    return found


def show(found: dict[str, object]) -> None:
    """Print one line of the table."""
    print(
        "| {workload} | {ours:,.1f} {unit} | {theirs:,.1f} {unit} ({against}) | x{ratio:.2f} "
        "| x{least} | x{aim} | {mark} |".format(mark="yes" if found["reached"] else "no", **found),
        flush=True,
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} processors, "
        f"{options.rounds} rounds, medians of the time for one operation\n"
    )
    print("| workload | coheap | against | ratio | wanted | aim | reached |")
    print("|---|---|---|---|---|---|---|")
    table = []
    for row in [*rows(), *copies(), *threads(), *appends(), *crowds(), *singles(), *onces()]:
        if options.only not in row.name:
            continue
        if row.missing:
            table.append({"workload": row.name, "missing": row.missing})
            print(f"| {row.name} | | {row.missing} | | x{row.least} | x{row.aim} | not measured |")
            continue
        table.append(line(row, *measured(row, options.rounds)))
        show(table[-1])
    if options.json:
        machine = {"python": platform.python_version(), "processors": os.cpu_count()}
        options.json.write_text(json.dumps({**machine, "rows": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
