"""The same job on `multiprocessing`, for comparison.

The same items and the same counting function; the dict is a manager's, the queue a JoinableQueue,
and one lock is held around the additions of an item, for they would be lost otherwise. Nobody is
killed: it would lose counts, or hang.

What always holds: the clock runs from the first worker's start to the last item done, as in the
run on coheap; the manager is up before.
"""

import multiprocessing
import threading
import time
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.managers import SyncManager
from multiprocessing.queues import JoinableQueue
from typing import Any

from coheap._demo import signals, worker
from coheap._demo.arguments import Request
from coheap._demo.crew import Crew
from coheap._demo.failure import Failed, Failure
from coheap._demo.progress import Bar
from coheap._demo.text import words
from coheap._demo.text.corpus import Corpus
from coheap._demo.text.items import Item

_GLANCE_SECONDS = 0.05
"""How often it is looked whether all workers live."""


@dataclass(frozen=True)
class Peer:
    """What came out of the comparison."""

    counts: dict[str, int]
    seconds: float


def execute(request: Request, corpus: Corpus) -> Peer:
    """Count the words of a corpus with worker processes on `multiprocessing`."""
    context: Any = multiprocessing.get_context(request.start_method)
    manager = SyncManager(ctx=context)
    with signals.held():
        manager.start(initializer=signals.leave_alone)
    with manager:
        counts, lock, items = manager.dict(), context.Lock(), context.JoinableQueue()
        # After Ctrl-C nobody reads what is still to be written.
        items.cancel_join_thread()
        arguments = counts, lock, items
        started = time.monotonic()
        with Crew(
            lambda: context.Process(target=_work, args=arguments, daemon=True), request.workers
        ) as crew:
            for item in corpus.items:
                items.put(item)
            _wait(items, crew, len(corpus.items))
            seconds = time.monotonic() - started
            for _ in range(request.workers):
                items.put(None)
            crew.finish()
        return Peer(counts.copy(), seconds)


def _wait(items: "JoinableQueue[Any]", crew: Crew, count: int) -> None:
    """Wait until every item is done, or a worker is gone, which `join` would never notice."""
    is_done = threading.Event()

    def join() -> None:
        items.join()
        is_done.set()

    threading.Thread(target=join, daemon=True).start()
    with Bar(count) as bar:
        while not is_done.wait(_GLANCE_SECONDS):
            bar.show(count - items.qsize(), "multiprocessing")
            if crew.has_lost_one():
                raise Failed("a worker of the comparison died, and its item is lost")


def _work(
    counts: MutableMapping[str, int],
    lock: AbstractContextManager[Any],
    items: "JoinableQueue[Item | None]",
) -> None:
    worker.begin()
    try:
        while (item := items.get()) is not None:
            found = words.count(item.read())
            with lock:
                for word, number in found.items():
                    counts[word] = counts.get(word, 0) + number
            items.task_done()
    except Failure as failure:
        worker.give_up(failure)
