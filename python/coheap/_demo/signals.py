"""Ctrl-C and a polite `kill`: they are heard wherever the program is, but not while it is held.

What always holds: between `listen` and the end, SIGINT and SIGTERM raise `Stopped` in the main
thread. What must not be torn, starting a process and remembering it, stands in `held`.
Not here: what is cleaned up, which is what `with` blocks do at their end.
"""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from coheap._demo.failure import Stopped

_OURS = {signal.SIGINT, signal.SIGTERM}


@contextmanager
def listen() -> Generator[None, None, None]:
    """Take over SIGINT and SIGTERM until the end of the block."""
    before = {number: signal.signal(number, _stop) for number in _OURS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


@contextmanager
def held() -> Generator[None, None, None]:
    """Keep signals waiting until the end of the block.

    A process that is started meanwhile begins with them waiting, too, until it calls `leave_alone`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_alone() -> None:
    """In a worker: Ctrl-C reaches all processes of a terminal, but only the first one answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)
