"""Repeats single operations of coheap's Python face, so that two commits can be compared.

    python operations.py ITERATIONS [NAME ...]

Use, output and rules are those of the Rust program in `operations/src/main.rs`: public face only,
and `getppid` is called right before and right after the measured loop, and nowhere else.

What always holds: an operation has a loop of its own, so that no function call is counted with it;
the garbage collector does not run.
Not here: what is counted (`counting`), and how two commits are compared (`figures`).
"""

import gc
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable

import coheap

RUNS = 16
WARM_UP = 500
KEYS = [f"key {number}" for number in range(100)]

Steps = Iterable[tuple[str, int]]
"""A key and a number for each time that an operation is done."""
Loop = Callable[[Steps], None]


def nothing() -> Loop:
    """The loop itself."""

    def loop(steps: Steps) -> None:
        for _key, _number in steps:
            pass

    return loop


def get() -> Loop:
    """What a dict has under a key."""
    target = full()

    def loop(steps: Steps) -> None:
        for key, _number in steps:
            target[key]

    return loop


def put() -> Loop:
    """A new value under a key that is there."""
    target = full()

    def loop(steps: Steps) -> None:
        for key, number in steps:
            target[key] = number

    return loop


def increment() -> Loop:
    """1 more under a key, in one call."""
    target = full()

    def loop(steps: Steps) -> None:
        for key, _number in steps:
            target.increment(key)

    return loop


def value() -> Loop:
    """A number, changed under its lock."""
    target = coheap.Value("q")

    def loop(steps: Steps) -> None:
        for _key, _number in steps:
            with target.get_lock():
                target.value += 1

    return loop


def lock() -> Loop:
    """A free lock, taken and released."""
    target = coheap.Lock()

    def loop(steps: Steps) -> None:
        for _key, _number in steps:
            target.acquire()
            target.release()

    return loop


def job() -> Loop:
    """A job that is put, taken and acknowledged."""
    jobs = coheap.WorkQueue()

    def loop(steps: Steps) -> None:
        for _key, number in steps:
            jobs.put(number)
            jobs.get().ack()

    return loop


def block() -> Loop:
    """Updates of two dicts in one block."""
    one, other = full(), full()

    def loop(steps: Steps) -> None:
        for key, number in steps:
            with coheap.atomic():
                one[key] = number
                other[key] = number

    return loop


def full() -> coheap.Dict:
    """A dict that has all keys."""
    return coheap.Dict(dict.fromkeys(KEYS, 7))


OPERATIONS: dict[str, Callable[[], Loop]] = {
    "nothing": nothing,
    "Python: d[key]": get,
    "Python: d[key] = number": put,
    "Python: d.increment(key)": increment,
    "Python: Value under its lock": value,
    "Python: Lock acquire + release": lock,
    "Python: WorkQueue put + get + ack": job,
    "Python: atomic of two updates": block,
}


def repeat(loop: Loop, iterations: int) -> tuple[int, float]:
    """Repeat an operation; return how often, and the median of the nanoseconds for one time."""
    each = max(-(-iterations // RUNS), 1)
    # Twice as many numbers as keys: no key gets the number that it has.
    steps = itertools.cycle(list(zip(KEYS * 2, range(2 * len(KEYS)), strict=True)))
    loop(itertools.islice(steps, WARM_UP))
    times = []
    os.getppid()
    for _ in range(RUNS):
        before = time.perf_counter_ns()
        loop(itertools.islice(steps, each))
        times.append((time.perf_counter_ns() - before) / each)
    os.getppid()
    return each * RUNS, statistics.median(times)


def main(words: list[str]) -> None:
    """Repeat the chosen operations."""
    gc.disable()
    iterations = int(words[0])
    for name, prepare in OPERATIONS.items():
        if name in words[1:] or not words[1:]:
            done, nanoseconds = repeat(prepare(), iterations)
            print(f"{name}\t{done}\t{nanoseconds:.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
