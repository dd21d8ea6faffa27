"""Rows of large values beside another thread of the same process.

What always holds: what is told is the longest time that the other thread, which only sleeps for half a
millisecond again and again, did not come to run while the work was done once.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from measure import Row, Side

import coheap

LARGE = 200_000_000


class Watch:
    """The other thread."""

    def __init__(self) -> None:
        """Begin to look."""
        self.longest = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        last = time.perf_counter()
        while not self._is_over.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            self.longest, last = max(self.longest, now - last), now

    def end(self) -> float:
        """Stop it, and return the longest time in seconds."""
        self._is_over.set()
        self._thread.join()
        return self.longest


def _waits(work: Callable[[], object]) -> float:
    """Milliseconds."""
    watch = Watch()
    try:
        work()
    finally:
        longest = watch.end()
    return longest * 1000


@contextmanager
def _large(way: str) -> Iterator[tuple[Side, Side]]:
    """A large value that goes into a Dict or out of it, and a copy that the interpreter makes."""
    value = bytes(LARGE)
    with coheap.Heap(max_bytes=4 * LARGE) as heap:
        target = heap.dict()
        target["large"] = value
        work = {
            "set": lambda: target.__setitem__("large", value),
            "get": lambda: target["large"],
        }[way]
        yield lambda: _waits(work), lambda: _waits(lambda: bytearray(value))


def threads() -> list[Row]:
    """The rows, as they are to be shown."""
    return [
        Row(
            f"{way} of 200 MB: another thread waits",
            2,
            5,
            lambda way=way: _large(way),
            "bytearray(value)",
            "ms",
        )
        for way in ("set", "get")
    ]
