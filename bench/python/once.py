"""Rows for names that one process holds: from Python, and as a whole process.

What always holds: both sides use the same folder in shared memory, and nobody else wants the name.
The row of a whole process compares what `coheap run` takes longer than `flock` with what is
allowed.
"""

import fcntl
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from measure import Row, Side

import coheap

TIMES = 2000
STARTS = 50
ALLOWED_MILLISECONDS = 5.0


def nanoseconds(call: Callable[[], object]) -> float:
    """How long a call takes, on average."""
    begin = time.perf_counter()
    for _ in range(TIMES):
        call()
    return (time.perf_counter() - begin) / TIMES * 1e9


def remove_files() -> None:
    """Remove the files of both sides."""
    for pattern in ("", "coheap-*/"):
        for file in Path("/dev/shm").glob(f"{pattern}bench-{os.getpid()}.*"):
            file.unlink()


@contextmanager
def against_a_pid_file() -> Iterator[tuple[Side, Side]]:
    """Acquire and release, against what is written by hand."""
    path = Path(f"/dev/shm/bench-{os.getpid()}.lock")
    one = coheap.single_instance(f"bench-{os.getpid()}")

    def ours() -> None:
        one.acquire()
        one.release()

    def theirs() -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(file, b"%d" % os.getpid())
        os.close(file)

    try:
        yield partial(nanoseconds, ours), partial(nanoseconds, theirs)
    finally:
        remove_files()


def milliseconds(command: list[str]) -> float:
    """How long a process takes from start to end, in the median."""
    took = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        subprocess.run(command, check=True)
        took.append(time.perf_counter() - begin)
    return statistics.median(took) * 1e3


@contextmanager
def against_flock() -> Iterator[tuple[Side, Side]]:
    """What `coheap run` takes longer than `flock`, against what is allowed."""
    program = Path(sys.executable).with_name("coheap")
    name = f"bench-{os.getpid()}"
    path = Path(f"/dev/shm/{name}.lock")
    run = [str(program), "run", "--single", name, "--", "true"]
    flock = ["flock", "-n", str(path), "true"]

    def longer() -> float:
        theirs = milliseconds(flock)
        # A tenth of a millisecond is what can be told apart.
        return max(milliseconds(run) - theirs, 0.1)

    try:
        yield longer, lambda: ALLOWED_MILLISECONDS
    finally:
        remove_files()


def onces() -> list[Row]:
    """The rows."""
    pid_file = "open + flock + write + close"
    missing = "" if shutil.which("flock") else "flock is not installed"
    return [
        Row("single instance: acquire + release", 0.5, 1, against_a_pid_file, pid_file),
        Row(
            "coheap run --single -- true, longer than flock -n -- true",
            1,
            2.5,
            against_flock,
            "allowed",
            "ms",
            missing,
        ),
    ]
