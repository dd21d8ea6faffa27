"""Several processes log to one file, which is moved aside when it is full: no record is lost.

    python examples/csv_logging.py [FILE]

It prints how many records are in all files together.
"""

import logging
import sys
from pathlib import Path

import coheap


def work(path: str, worker: int) -> None:
    """Log in a process of its own."""
    handler = coheap.RotatingFileHandler(path, maxBytes=4000, backupCount=100)
    handler.setFormatter(logging.Formatter("%(asctime)s,%(process)d,%(levelname)s,%(message)s"))
    log = logging.getLogger("work")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    for step in range(100):
        log.info("worker %d step %d", worker, step)


def main(path: str) -> None:
    """Run four workers and count their records."""
    workers = [coheap.Process(target=work, args=(path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    files = [each for each in Path(path).parent.iterdir() if each.name.startswith(Path(path).name)]
    lines = [line for each in files for line in each.read_text().splitlines()]
    print(len(lines), len(set(lines)) == len(lines), len(files) > 1)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "work.log")
