"""Rows of the table, and the time that an operation takes in some processes.

What always holds: clients begin together, behind a barrier, and work for the same time. What is
told is the time for one operation of all clients together: that of the clock, divided by all that
they did. A client that hangs is ended by its own alarm, also when the parent is gone.
"""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

SECONDS = 0.25
"""How long the clients work in a round."""

LIMIT = 30
"""After so many seconds a client is ended, whatever it waits for."""

fork = multiprocessing.get_context("fork")

Side = Callable[[], float]
"""Measures once: the time for an operation, in the row's unit."""


@dataclass
class Row:
    """A row of the table."""

    name: str
    least: float
    aim: float
    opened: Callable[[], AbstractContextManager[tuple[Side, Side]]] = field(repr=False)
    """Both sides, ours first, ready to be measured."""
    against: str = "multiprocessing"
    unit: str = "ns"
    missing: str = ""
    """Why it cannot be measured here."""


def _client(work: Callable[..., int], things: tuple, start, answer) -> None:
    signal.alarm(LIMIT)
    work(*things)
    start.wait()
    count, begin = 0, time.perf_counter()
    while (took := time.perf_counter() - begin) < SECONDS:
        count += work(*things)
    answer.send((count, took))


def counts(work: Callable[..., int], things: tuple, clients: int) -> list[tuple[int, float]]:
    """What each of the clients did, and in how many seconds.

    Raises:
        RuntimeError: A client ended without an answer; nothing is measured then.
    """
    start, began = fork.Barrier(clients), []
    for _ in range(clients):
        answer, told = fork.Pipe(duplex=False)
        process = fork.Process(target=_client, args=(work, things, start, told))
        process.start()
        # The clients alone hold it, so that the end of the last one is the end of the pipe.
        told.close()
        began.append((process, answer))
    try:
        return [answer.recv() for _, answer in began]
    except EOFError:
        raise RuntimeError(
            f"a client of {work.__name__!r} ended without an answer, by an error that is printed "
            f"above or after {LIMIT} seconds; nothing was measured, run it again with --only"
        ) from None
    finally:
        for process, answer in began:
            process.join()
            answer.close()


def side(work: Callable[..., int], things: tuple, clients: int) -> Side:
    """Measure a workload in so many processes."""

    def measured() -> float:
        found = counts(work, things, clients)
        done = sum(count for count, _ in found)
        return max(took for _, took in found) / done * 1e9

    return measured


def pair(
    work: Callable[..., int],
    clients: int,
    make: Callable[[], AbstractContextManager[tuple[tuple, tuple]]],
) -> Callable[[], AbstractContextManager[tuple[Side, Side]]]:
    """Both sides of a row: `make` gives what the workload is given, ours and theirs."""

    @contextmanager
    def opened() -> Iterator[tuple[Side, Side]]:
        with make() as (ours, theirs):
            yield side(work, ours, clients), side(work, theirs, clients)

    return opened
