"""Rows of another kind: peers that are not of the standard library, fairness, imports, the demo.

What always holds: a peer that is not installed is named in the table, with the reason.
"""

import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from measure import Row, Side, counts, pair
from workloads import KEYS, get, hold, put

import coheap


@contextmanager
def ultra() -> Iterator[tuple[tuple, tuple]]:
    """A filled dict of each."""
    module = importlib.import_module("UltraDict")
    full = dict.fromkeys(KEYS, 7)
    theirs = module.UltraDict(full, buffer_size=1 << 20, auto_unlink=True)
    yield (coheap.Dict(full),), (theirs,)


class Lmdb:
    """LMDB as a mapping, as fast as it goes: no syncing, a writable map; each write commits."""

    def __init__(self, folder: str) -> None:
        module = importlib.import_module("lmdb")
        options = {"sync": False, "metasync": False, "writemap": True, "lock": True}
        self.environment = module.open(folder, map_size=64 << 20, **options)

    def __setitem__(self, key: str, value: int) -> None:
        """Set a key."""
        with self.environment.begin(write=True) as transaction:
            transaction.put(key.encode(), str(value).encode())


@contextmanager
def lmdb() -> Iterator[tuple[tuple, tuple]]:
    """A Dict, and a database in shared memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield (coheap.Dict(),), (Lmdb(folder),)


@contextmanager
def unfairness(clients: int) -> Iterator[tuple[Side, Side]]:
    """Most acquisitions of a process by the least, against what is allowed."""
    lock = coheap.Lock()

    def ours() -> float:
        did = [count for count, _ in counts(hold, (lock,), clients)]
        return max(did) / max(min(did), 1)

    yield ours, lambda: 2.0


def _seconds(code: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - begin) * 1e3


@contextmanager
def imports() -> Iterator[tuple[Side, Side]]:
    """A fresh interpreter with its first object."""
    yield (
        lambda: _seconds("import coheap; coheap.Dict()"),
        lambda: _seconds("import multiprocessing; multiprocessing.Lock()"),
    )


def _resident(code: str) -> float:
    tell = "import re; print(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {tell}"], check=True, capture_output=True, text=True
    )
    return int(done.stdout) / 1024


@contextmanager
def memory() -> Iterator[tuple[Side, Side]]:
    """MiB above plain Python, against the two that are allowed."""
    yield (
        lambda: _resident("import coheap; d = coheap.Dict(a=1)") - _resident("pass"),
        lambda: 2.0,
    )


@contextmanager
def demo() -> Iterator[tuple[Side, Side]]:
    """Seconds of the main job with kills, and of the same on `multiprocessing` without."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "figures.json")

        def run() -> dict[str, float]:
            command = [sys.executable, "-m", "coheap", "demo", "--compare", "--json", str(file)]
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            return json.loads(file.read_text())["figures"]

        # One run measures both sides: what was not yet asked for waits here.
        left: dict[str, list[float]] = {"seconds": [], "multiprocessing_seconds": []}

        def side(name: str) -> float:
            if not left[name]:
                figures = run()
                for figure, waiting in left.items():
                    waiting.append(figures[figure])
            return left[name].pop()

        yield partial(side, "seconds"), partial(side, "multiprocessing_seconds")


def peer(
    name: str,
    least: float,
    work: Callable[[MutableMapping[str, int]], int],
    make: Callable,
    module: str,
) -> Row:
    """A row against a package that may not be there."""
    row = Row(name, least, least, pair(work, 1, make), module)
    try:
        importlib.import_module(module)
    except ImportError as error:
        row.missing = f"{module}: {error}"
    return row


def singles() -> list[Row]:
    """The rows, as they are to be shown."""
    return [
        peer("dict get, 1 client, against UltraDict", 1.5, get, ultra, "UltraDict"),
        peer("dict set, 1 client, against LMDB", 4, put, lmdb, "lmdb"),
        *(
            Row(f"Lock, {clients} processes: most by least", 1, 1, fair, "allowed", "")
            for clients, fair in ((n, partial(unfairness, n)) for n in (2, 4, 8))
        ),
        Row("import and first object", 1, 1, imports, unit="ms"),
        Row("resident memory above plain Python", 1, 1, memory, "allowed", "MiB"),
        Row("the demo, 5 kills a second", 5, 15, demo, "multiprocessing, no kills", "s"),
    ]
