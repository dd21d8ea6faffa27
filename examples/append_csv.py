"""Several processes append their results to one CSV: rows, dicts and frames, some of them killed.

    python examples/append_csv.py [FILE]

It prints how many rows are there. Not here: logs (`csv_logging.py`).
"""

import sys
import warnings

import coheap


def work(path: str, worker: int) -> None:
    """Append what a worker has found, ten rows in each call."""
    for step in range(20):
        rows = [
            {"worker": worker, "step": step, "item": item, "score": item / 3} for item in range(10)
        ]
        coheap.append_csv(path, rows)


def main(path: str) -> None:
    """Run four workers, kill one of them, and read what is there."""
    workers = [coheap.Process(target=work, args=(path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    workers[0].kill()
    for worker in workers:
        worker.join()

    # The call that was killed is there whole, or it is not there at all.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", coheap.UnfinishedCallWarning)
        coheap.append_csv(path, [{"worker": 9, "step": 0, "item": 0, "score": None}])

    with coheap.reading(path) as file:
        header, *rows = [line.rstrip("\n").split(",") for line in file]
    calls: dict[str, list[str]] = {}
    for worker, step, item, _ in rows:
        calls.setdefault(f"{worker} {step}", []).append(item)
    print(header)
    print(all(items in ([str(n) for n in range(10)], ["0"]) for items in calls.values()))
    print(len([step for step in calls if not step.startswith("0")]))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "results.csv")
