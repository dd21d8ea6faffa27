"""The workloads that some processes do at once, each the same function for both sides.

What always holds: a workload answers how many operations it did. The objects of both sides are
made in the parent and inherited by the clients.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager

from measure import Row, fork, pair

import coheap

KEYS = [f"key {n}" for n in range(1000)]
MANY = {n: n for n in range(10_000)}


def get(target: MutableMapping[str, int]) -> int:
    """Get every key."""
    for key in KEYS:
        target[key]
    return len(KEYS)


def put(target: MutableMapping[str, int]) -> int:
    """Set every key."""
    for key in KEYS:
        target[key] = 7
    return len(KEYS)


def build(make: Callable[[], MutableMapping[int, int]]) -> int:
    """Build a dict with one update."""
    make().update(MANY)
    return 1


def add_guarded(
    target: MutableMapping[str, int], guard: Callable[[], AbstractContextManager]
) -> int:
    """Add 1 to a counter, under what guards it."""
    for _ in range(100):
        with guard():
            target["n"] = target["n"] + 1
    return 100


def add(increment: Callable[[], object]) -> int:
    """Add 1 to a counter in one call."""
    for _ in range(100):
        increment()
    return 100


def work_off(jobs, finish: Callable[[object], object]) -> int:
    """Put a job, take it, say that it is done."""
    for number in range(100):
        jobs.put(number)
        finish(jobs.get())
    return 100


def take_and_release(lock) -> int:
    """Take a lock and let it go."""
    for _ in range(100):
        lock.acquire()
        lock.release()
    return 100


def hold(lock) -> int:
    """The same, by a with-statement."""
    for _ in range(100):
        with lock:
            pass
    return 100


def add_under_lock(value) -> int:
    """Add 1 to a number under its lock."""
    for _ in range(100):
        with value.get_lock():
            value.value += 1
    return 100


@contextmanager
def dicts() -> Iterator[tuple[tuple, tuple]]:
    """A filled Dict, and a filled dict of a Manager."""
    with fork.Manager() as manager:
        full = dict.fromkeys([*KEYS, "n"], 7)
        yield (coheap.Dict(full),), (manager.dict(full),)


@contextmanager
def makers() -> Iterator[tuple[tuple, tuple]]:
    """What makes an empty one of each."""
    with fork.Manager() as manager:
        yield (coheap.Dict,), (manager.dict,)


@contextmanager
def guarded() -> Iterator[tuple[tuple, tuple]]:
    """A dict of each with what guards it."""
    lock = fork.Lock()
    with dicts() as ((ours,), (theirs,)):
        yield (ours, coheap.atomic), (theirs, lambda: lock)


@contextmanager
def incremented() -> Iterator[tuple[tuple, tuple]]:
    """`increment`, and what has to be done on a proxy."""
    lock = fork.Lock()
    with dicts() as ((ours,), (theirs,)):

        def locked() -> None:
            with lock:
                theirs["n"] = theirs["n"] + 1

        yield (lambda: ours.increment("n"),), (locked,)


@contextmanager
def queues() -> Iterator[tuple[tuple, tuple]]:
    """A work queue, and a queue that counts what is done."""
    theirs = fork.JoinableQueue()
    yield (coheap.WorkQueue(), lambda lease: lease.ack()), (theirs, lambda _: theirs.task_done())


@contextmanager
def locks() -> Iterator[tuple[tuple, tuple]]:
    """A lock of each."""
    yield (coheap.Lock(),), (fork.Lock(),)


@contextmanager
def values() -> Iterator[tuple[tuple, tuple]]:
    """A number of each."""
    yield (coheap.Value("q"),), (fork.Value("q"),)


def rows() -> list[Row]:
    """The rows, as they are to be shown."""
    proxy = "Manager proxy"
    return [
        Row("dict get, 1 client", 60, 95, pair(get, 1, dicts), proxy),
        Row("dict get, 4 clients", 90, 150, pair(get, 4, dicts), proxy),
        Row("dict set, 1 client", 45, 67, pair(put, 1, dicts), proxy),
        Row("dict set, 4 clients", 50, 77, pair(put, 4, dicts), proxy),
        Row("dict built by an update of 10,000", 2.5, 3.7, pair(build, 1, makers), proxy),
        Row(
            "counter in a dict, atomic(), 4",
            60,
            125,
            pair(add_guarded, 4, guarded),
            f"{proxy}, lock",
        ),
        Row("increment of one key, 4", 100, 200, pair(add, 4, incremented), f"{proxy}, lock"),
        Row("work queue: put, get, ack", 12, 30, pair(work_off, 1, queues), "JoinableQueue"),
        Row("Lock, free: acquire, release", 0.95, 1.1, pair(take_and_release, 1, locks)),
        Row("Lock, free: with", 1.3, 1.6, pair(hold, 1, locks)),
        *(
            Row(f"Lock, {clients} processes", least, aim, pair(hold, clients, locks))
            for clients, least, aim in ((2, 1.3, 2), (4, 1.9, 2.5), (8, 1.3, 2))
        ),
        Row("Value under its lock, 1", 2, 2.7, pair(add_under_lock, 1, values)),
        Row("Value under its lock, 4", 4, 6, pair(add_under_lock, 4, values)),
    ]
