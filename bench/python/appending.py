"""Rows of appends: processes that append to one file, against what people write for that.

What always holds: both sides write the same rows, into files on the same file system, and no side
asks for them to be on the disk. The peers hold a lock for each call, as they must.
"""

import csv
import datetime
import fcntl
import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from measure import Row, fork, pair

import coheap

COLUMNS = ["number", "score", "name", "flag", "moment"]
BEGIN = datetime.datetime(2026, 11, 30)
ROWS = [
    [
        n,
        n / 7,
        f"name, {n}" if n % 10 == 0 else f"name {n}",
        n % 3 == 0,
        BEGIN + datetime.timedelta(0, n),
    ]
    for n in range(1000)
]
LINE = "2026-11-30 03:36:00 INFO a line of a log, about as long as most of them are"


def append(call: Callable[[], object]) -> int:
    """Append once."""
    call()
    return 1


def append_lines(call: Callable[[], object]) -> int:
    """Append some lines, one by one."""
    for _ in range(100):
        call()
    return 100


def with_flock(path: Path, rows: list[list[Any]]) -> None:
    """Rows by `csv.writer`, under the lock of the file."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            writer.writerow(COLUMNS)
        writer.writerows(rows)


def line_with_flock(path: Path, line: str) -> None:
    """A line, under the lock of the file."""
    with open(path, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line + "\n")


def to_csv(lock: Any, path: Path, frame: Any) -> None:
    """A frame as pandas appends it, under a lock of all processes."""
    with lock:
        frame.to_csv(path, mode="a", header=not path.exists(), index=False)


@contextmanager
def folder() -> Iterator[tuple[Path, Path]]:
    """A file for each side."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name, "ours.csv"), Path(name, "theirs.csv")


@contextmanager
def frames() -> Iterator[tuple[tuple, tuple]]:
    """A frame of pandas, appended by each side."""
    pandas = importlib.import_module("pandas")
    frame, lock = pandas.DataFrame(ROWS, columns=COLUMNS), fork.Lock()
    with folder() as (ours, theirs):
        yield (partial(coheap.append_csv, ours, frame),), (partial(to_csv, lock, theirs, frame),)


@contextmanager
def lists() -> Iterator[tuple[tuple, tuple]]:
    """Lists of rows, appended by each side."""
    with folder() as (ours, theirs):
        call = partial(coheap.append_csv, ours, ROWS, columns=COLUMNS)
        yield (call,), (partial(with_flock, theirs, ROWS),)


@contextmanager
def lines() -> Iterator[tuple[tuple, tuple]]:
    """Single lines, appended by each side."""
    with folder() as (ours, theirs):
        file = coheap.AppendFile(ours)
        yield (partial(file.write_line, LINE),), (partial(line_with_flock, theirs, LINE),)


def appends() -> list[Row]:
    """The rows, as they are to be shown."""
    first = Row(
        "append frames of 1,000 x 5, 4 clients", 5, 8, pair(append, 4, frames), "to_csv, Lock"
    )
    try:
        importlib.import_module("pandas")
        importlib.import_module("pyarrow")
    except ImportError as error:
        first.missing = str(error)
    return [
        first,
        Row("append lists of 1,000 x 5, 4 clients", 3, 5, pair(append, 4, lists), "csv, flock"),
        Row("append single lines, 1 client", 3, 6, pair(append_lines, 1, lines), "open, flock"),
    ]
