"""How fast is a Dict, from Python, against `multiprocessing.Manager().dict()`?

    python bench/python/dict_get.py [--rounds 7] [--clients 1 4]

One run, the two sides alternated, medians over the rounds; both sides run the same code object.
Each client is a forked process that gets, or sets, small values under 1,000 keys for a while. A
plain dict stands beside them as the floor that no shared one can reach.

Not here: the workloads in Rust and the other peers (`bench/src`).
"""

import argparse
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, MutableMapping

import coheap

KEYS = [f"key {n}" for n in range(1000)]
SECONDS = 0.2
"""How long a client works in a round."""

fork = multiprocessing.get_context("fork")


def get(target: MutableMapping[str, int]) -> int:
    """Get every key; how many operations that was."""
    for key in KEYS:
        target[key]
    return len(KEYS)


def put(target: MutableMapping[str, int]) -> int:
    """Set every key; how many operations that was."""
    for key in KEYS:
        target[key] = 7
    return len(KEYS)


def build(target: MutableMapping[int, int]) -> int:
    """Add 10,000 entries in one call; how many that was."""
    target.clear()
    target.update({n: n for n in range(10_000)})
    return 10_000


Work = Callable[[MutableMapping], int]


def client(work: Work, target: MutableMapping, start, answers) -> None:
    """Work until the time is up, and answer nanoseconds for each operation."""
    work(target)
    start.wait()
    count, begin = 0, time.perf_counter()
    while (took := time.perf_counter() - begin) < SECONDS:
        count += work(target)
    answers.put(took / count * 1e9)


def measure(work: Work, target: MutableMapping, clients: int) -> float:
    """Nanoseconds for an operation of one client while all of them work."""
    start, answers = fork.Barrier(clients), fork.SimpleQueue()
    arguments = (work, target, start, answers)
    processes = [fork.Process(target=client, args=arguments) for _ in range(clients)]
    for process in processes:
        process.start()
    times = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    return statistics.mean(times)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    heap = coheap.Heap(max_bytes=64 << 20)
    with multiprocessing.Manager() as manager:
        sides: dict[str, Callable[[str], MutableMapping]] = {
            "coheap": heap.dict,
            "Manager": lambda _: manager.dict(),
            "plain": lambda _: {},
        }
        print(f"Python {platform.python_version()}, {options.rounds} rounds, medians in ns")
        print(f"{'':22}{'coheap':>10}{'Manager':>12}{'plain':>8}{'ratio':>8}")
        for name, work, counts in [
            ("get", get, options.clients),
            ("set", put, options.clients),
            ("update of 10,000", build, [1]),
        ]:
            for clients in counts:
                targets = {side: make(f"{name} {clients}") for side, make in sides.items()}
                for target in targets.values():
                    target.update(dict.fromkeys(KEYS, 7))
                times: dict[str, list[float]] = {side: [] for side in sides}
                for _ in range(options.rounds):
                    for side, target in targets.items():
                        times[side].append(measure(work, target, clients))
                ours, theirs, plain = (statistics.median(times[side]) for side in sides)
                label = f"{name}, {clients} client{'s' * (clients > 1)}"
                print(f"{label:22}{ours:10.0f}{theirs:12.0f}{plain:8.0f}{theirs / ours:8.1f}")


if __name__ == "__main__":
    main()
