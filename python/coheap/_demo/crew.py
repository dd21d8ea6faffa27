"""The worker processes: started, killed, replaced, and gone at the end.

What always holds: at the end of the `with` block none of the workers runs any more, and a signal
cannot come between the start of a worker and its being remembered, nor between its end and that.
Not here: what a worker does, and when one is to be killed (`execution`).
"""

import time
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from coheap._demo import signals
from coheap._demo.failure import Failed

_PATIENCE_SECONDS = 10.0
"""How long workers may take to leave by themselves."""
_DEATHS = 100
"""Workers that may die by themselves, one after the other, while no item gets done."""


class Crew:
    """The workers of a run.

    Args:
        make: Makes the process of a worker, not yet started.
        count: How many there are.
    """

    def __init__(self, make: Callable[[], BaseProcess], count: int) -> None:
        self._make = make
        self._count = count
        self._workers: list[BaseProcess] = []
        self._deaths = 0
        """Deaths that were not ours since the last item got done."""

    def __enter__(self) -> Self:
        """Start the workers."""
        try:
            for _ in range(self._count):
                with signals.held():
                    self._workers.append(self._start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End those that still run."""
        self._end()

    def kill(self, index: int) -> None:
        """Kill one of the workers with SIGKILL and wait until the kernel has ended it."""
        with signals.held():
            self._workers[index].kill()
            self._workers[index].join()

    def replace(self, index: int) -> None:
        """Put a new worker in the place of one that is gone."""
        with signals.held():
            self._workers[index] = self._start()

    def tend(self, is_progressing: bool) -> int:
        """Replace workers that somebody else killed, and say how many.

        Raises:
            Failed: A worker gave up by itself, or too many died while nothing got done.
        """
        if is_progressing:
            self._deaths = 0
        replaced = 0
        for index, worker in enumerate(self._workers):
            if not _has_ended(worker):
                continue
            _check_killed(worker)
            replaced += 1
            if self._deaths + replaced > _DEATHS:
                raise Failed(f"{_DEATHS} workers were killed from outside before an item was done")
            self.replace(index)
        self._deaths += replaced
        return replaced

    def has_lost_one(self) -> bool:
        """Whether a worker has ended."""
        return any(_has_ended(worker) for worker in self._workers)

    def finish(self) -> None:
        """Wait until all workers have left by themselves.

        Raises:
            Failed: A worker gave up, or does not leave.
        """
        until = time.monotonic() + _PATIENCE_SECONDS
        for worker in self._workers:
            connection.wait([worker.sentinel], max(until - time.monotonic(), 0.0))
            if not _has_ended(worker, max(until - time.monotonic(), 0.0)):
                raise Failed("a worker does not exit although all items are done")
            # Killed by somebody after the last item was done: nothing is lost by it.
            if worker.exitcode != 0:
                _check_killed(worker)

    def _start(self) -> BaseProcess:
        worker = self._make()
        worker.start()
        return worker

    def _end(self) -> None:
        with signals.held():
            # First all, then wait: they die side by side.
            for worker in self._workers:
                worker.kill()
            for worker in self._workers:
                worker.join()
            self._workers.clear()


def _has_ended(worker: BaseProcess, seconds: float = 0.0) -> bool:
    """Whether a worker ends within some time. A signal meanwhile would lose how it ended."""
    with signals.held():
        worker.join(seconds)
        return worker.exitcode is not None


def _check_killed(worker: BaseProcess) -> None:
    """A worker that was killed has a negative exit code; any other gave up, and said why."""
    if worker.exitcode is None or worker.exitcode >= 0:
        raise Failed("a worker failed before all items were done")
