"""Rows of a crowd: many processes that wait at one end of a queue, against a single one there.

What always holds: the queue holds one item, so who waits sleeps; the clock starts when all of them
do. Those that wait are killed at the end of a round.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from measure import LIMIT, Row, Side, fork

import coheap

SETTLING = 1.0
"""Seconds in which those that wait begin to."""

SECONDS = 1.0
"""How long they are served."""


def take(queue: coheap.WorkQueue) -> None:
    """Take one item."""
    queue.get().ack()


def put(queue: coheap.WorkQueue) -> None:
    """Put one item."""
    queue.put(7)


def _wait(work: Callable[[coheap.WorkQueue], None], queue: coheap.WorkQueue) -> None:
    signal.alarm(LIMIT)
    while True:
        work(queue)


def served(
    crowd: int,
    wait: Callable[[coheap.WorkQueue], None],
    serve: Callable[[coheap.WorkQueue], None],
) -> float:
    """Nanoseconds for one item, with so many that wait at the other end."""
    queue = coheap.WorkQueue(maxsize=1)
    waiting = [fork.Process(target=_wait, args=(wait, queue)) for _ in range(crowd)]
    try:
        for process in waiting:
            process.start()
        time.sleep(SETTLING)
        done, begin = 0, time.perf_counter()
        while (took := time.perf_counter() - begin) < SECONDS:
            for _ in range(100):
                serve(queue)
            done += 100
        return took / done * 1e9
    finally:
        for process in waiting:
            if process.pid:
                process.kill()
                process.join()


@contextmanager
def sides(
    crowd: int,
    wait: Callable[[coheap.WorkQueue], None],
    serve: Callable[[coheap.WorkQueue], None],
) -> Iterator[tuple[Side, Side]]:
    """So many that wait, and one."""
    yield partial(served, crowd, wait, serve), partial(served, 1, wait, serve)


def crowds() -> list[Row]:
    """The rows, as they are to be shown."""
    return [
        Row("work queue, 200 blocked putters", 0.5, 1, partial(sides, 200, put, take), "one"),
        Row("work queue, 200 blocked getters", 0.5, 1, partial(sides, 200, take, put), "one"),
    ]
