"""The run itself: items into the queue, workers at work, kills in between, the result out.

What always holds: a worker is killed only after at least one more item was acked since the last
kill, so that kills never outpace progress; the clock runs from the first worker's start to the
last ack.
Not here: processes (`crew`), and what is said about the run (`report`).
"""

import os
import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import coheap
from coheap._demo import worker
from coheap._demo.arguments import Request
from coheap._demo.crew import Crew
from coheap._demo.failure import Misused
from coheap._demo.progress import Bar
from coheap._demo.text.corpus import Corpus
from coheap._native import sweep

_GLANCE_SECONDS = 0.02
"""How long the run sleeps at most before it looks round."""
_BATCH = 256
"""Items put into the queue at once."""
_VARIABLE = "COHEAP_SEED"
"""Says which seed to use instead of a new one."""


@dataclass
class Outcome:
    """What came out of a run."""

    workers: int
    seed: int
    start_method: str
    counts: dict[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0
    kills: int = 0
    other_deaths: int = 0
    """Workers that somebody else killed."""
    hand_overs: list[float] = field(default_factory=list[float])
    """Kill to everything the victim held being free again, in seconds."""
    stats: Mapping[str, int] = field(default_factory=dict[str, int])
    integrity: Mapping[str, int] = field(default_factory=dict[str, int])


def execute(request: Request, corpus: Corpus) -> Outcome:
    """Count the words of a corpus with worker processes on a shared heap."""
    context = coheap.get_context(request.start_method)
    outcome = Outcome(request.workers, _seed(), request.start_method)
    with coheap.Heap() as heap:
        counts, items = heap.dict("counts"), heap.work_queue("items")
        arguments = counts, items
        started = time.monotonic()
        with Crew(
            lambda: context.Process(target=worker.work, args=arguments, daemon=True),
            request.workers,
        ) as crew:
            for first in range(0, len(corpus.items), _BATCH):
                items.put_many(item[:] for item in corpus.items[first : first + _BATCH])
            _Watch(heap, items, crew, outcome, request.kills_per_second).run(len(corpus.items))
            outcome.seconds = time.monotonic() - started
            items.close()
            crew.finish()
        outcome.hand_overs.sort()
        outcome.counts = counts.snapshot()
        outcome.stats, outcome.integrity = heap.stats(), heap.check()
    return outcome


class _Watch:
    """Watches over the workers, and kills some, until everything is done."""

    def __init__(
        self,
        heap: coheap.Heap,
        items: "coheap.WorkQueue[Any]",
        crew: Crew,
        outcome: Outcome,
        kills_per_second: float,
    ) -> None:
        self._heap = heap
        self._items = items
        self._crew = crew
        self._outcome = outcome
        self._kills_per_second = kills_per_second
        self._random = random.Random(outcome.seed)
        self._acked = self._acked_at_kill = 0
        self._next_kill = self._plan(time.monotonic())

    def run(self, count: int) -> None:
        with Bar(count) as bar:
            while not self._is_done():
                # An item that was cut in two counts as two, so there can be more than at first.
                acked = max(count - self._items.qsize() - self._items.leased(), self._acked)
                self._outcome.other_deaths += self._crew.tend(acked > self._acked)
                self._acked = acked
                kills = self._outcome.kills
                bar.show(acked, f"{kills} kills" if kills else "")
                is_due = self._next_kill <= time.monotonic()
                if is_due and (acked > self._acked_at_kill or kills == 0):
                    self._kill()

    def _is_done(self) -> bool:
        """Wait a little, and say whether everything is acked."""
        until_kill = self._next_kill - time.monotonic()
        try:
            self._items.join(min(max(until_kill, 0.001), _GLANCE_SECONDS))
        except TimeoutError:
            return False
        return True

    def _kill(self) -> None:
        """Kill a random worker, have what it held handed over, and replace it."""
        index = self._random.randrange(self._outcome.workers)
        recovered = self._heap.stats()["recovered"]
        started = time.monotonic()
        self._crew.kill(index)
        sweep(self._heap)
        taken = time.monotonic() - started
        self._crew.replace(index)
        # A worker that was killed before it attached had nothing to hand over.
        if self._heap.stats()["recovered"] > recovered:
            self._outcome.hand_overs.append(taken)
        self._outcome.kills += 1
        self._acked_at_kill = self._acked
        self._next_kill = max(self._plan(self._next_kill), time.monotonic())

    def _plan(self, before: float) -> float:
        """Kills come at random times: the gaps between them are exponential."""
        if self._kills_per_second == 0.0:
            return float("inf")
        return before + self._random.expovariate(self._kills_per_second)


def _seed() -> int:
    text = os.environ.get(_VARIABLE)
    if text is None:
        return secrets.randbits(64)
    if text.isascii() and text.isdecimal():
        return int(text)
    raise Misused(f"{_VARIABLE}={text} is not a seed; use a number from 0 to 2^64 - 1")
