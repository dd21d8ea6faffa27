"""Rows of reads of a whole dict, and of a manager's dict.

What always holds: the two that write replace values of the dict that is read for as long as the side is
measured. What is told of reads is the processor time of the reader: with fewer processors than processes the
clock would tell how they share them.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from measure import LIMIT, SECONDS, Row, Side, fork, pair

import coheap

ENTRIES = 100_000
MANY = 1_000_000
WRITERS = 2
FIVE = [f"key {n}" for n in range(5)]

Mapping = coheap.Dict | dict


def copy(target: Mapping) -> object:
    """Copy all entries."""
    return target.copy()


def keys(target: Mapping) -> object:
    """Go through all keys."""
    return list(target)


def items(target: Mapping) -> object:
    """Go through all entries."""
    return list(target.items())


def _write(target: coheap.Dict) -> None:
    signal.alarm(2 * LIMIT)
    while True:
        for key in range(0, ENTRIES, 7):
            target[key] = key


def _read(read: Callable[[Mapping], object], target: Mapping) -> float:
    """Nanoseconds for one entry."""
    read(target)
    done, begin = 0, time.process_time()
    while (took := time.process_time() - begin) < SECONDS:
        read(target)
        done += 1
    return took / done / len(target) * 1e9


def _read_beside(read: Callable[[Mapping], object], target: coheap.Dict) -> float:
    writers = [fork.Process(target=_write, args=(target,)) for _ in range(WRITERS)]
    try:
        for writer in writers:
            writer.start()
        return _read(read, target)
    finally:
        for writer in writers:
            writer.kill()
            writer.join()


@contextmanager
def beside(read: Callable[[Mapping], object]) -> Iterator[tuple[Side, Side]]:
    """Beside two who write, and quiet."""
    with coheap.Heap(max_bytes=256 << 20) as heap:
        target = heap.dict()
        target.update(zip(range(ENTRIES), range(ENTRIES), strict=True))
        yield partial(_read_beside, read, target), partial(_read, copy, target)


@contextmanager
def plain(read: Callable[[Mapping], object]) -> Iterator[tuple[Side, Side]]:
    """A Dict, and a plain dict."""
    with coheap.Heap(max_bytes=1 << 30) as heap:
        target = heap.dict()
        theirs = dict(zip(range(MANY), range(MANY), strict=True))
        target.update(theirs)
        yield partial(_read, read, target), partial(_read, items, theirs)


def get(target: Mapping) -> int:
    """Get each of five keys a hundred times."""
    for _ in range(100):
        for key in FIVE:
            target[key]
    return 500


def put(target: Mapping) -> int:
    """Set each of five keys a hundred times."""
    for _ in range(100):
        for key in FIVE:
            target[key] = 7
    return 500


@contextmanager
def proxies() -> Iterator[tuple[tuple, tuple]]:
    """A dict of our manager with five keys, and one of the standard library's."""
    five = dict.fromkeys(FIVE, 7)
    with coheap.Manager() as ours, fork.Manager() as theirs:
        yield (ours.dict(five),), (theirs.dict(five),)


def copies() -> list[Row]:
    """The rows, as they are to be shown."""
    quiet, unit = "quiet copy()", "ns/entry"
    return [
        *(
            Row(f"{name} of 100,000 beside 2 writers", 0.83, 1, partial(beside, read), quiet, unit)
            for name, read in (("copy()", copy), ("list(d)", keys), ("list(d.items())", items))
        ),
        *(
            Row(f"{name} of a million", 0.5, 1, partial(plain, read), "list(dict.items())", unit)
            for name, read in (("list(d)", keys), ("list(d.items())", items))
        ),
        Row("get, a manager's dict of 5", 100, 150, pair(get, 1, proxies), "Manager proxy"),
        Row("set, a manager's dict of 5", 80, 120, pair(put, 1, proxies), "Manager proxy"),
    ]
