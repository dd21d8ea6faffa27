"""One process that counts.

It takes an item on lease, reads it, counts, and in one transaction adds its counts to the shared
dict and acks the item.

What always holds: an item's counts are in the dict exactly when the item is acked, at whichever
instruction this process is killed. When the process that started it is gone, it goes too.
Not here: who starts and kills it (`crew`).
"""

import multiprocessing
import os
import sys
import threading

import coheap
from coheap._demo import signals
from coheap._demo.failure import Failure
from coheap._demo.text import words
from coheap._demo.text.items import Item


def work(counts: "coheap.Dict[str, int]", items: "coheap.WorkQueue[tuple[str, int, int]]") -> None:
    """Count until the queue is closed and everything in it is done."""
    begin()
    try:
        for lease in items:
            _do(counts, items, lease)
    except Failure as failure:
        give_up(failure)


def begin() -> None:
    """Do what every worker does first: leave Ctrl-C to its parent, and leave with it."""
    signals.leave_alone()
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def give_up(failure: Failure) -> None:
    """Say why, in one line, and end."""
    print(f"coheap: {failure}", file=sys.stderr, flush=True)
    sys.exit(failure.status)


def _do(
    counts: "coheap.Dict[str, int]",
    items: "coheap.WorkQueue[tuple[str, int, int]]",
    lease: "coheap.Lease[tuple[str, int, int]]",
) -> None:
    item = Item(*lease.value)
    text = item.read()
    found = words.count(text)
    try:
        with coheap.atomic():
            counts.increment_many(found)
            lease.ack()
    except ValueError:
        # More new words than one change can hold: two items with half of them take its place.
        halves = item.halves(text)
        if halves is None:
            raise
        with coheap.atomic():
            items.put_many(half[:] for half in halves)
            lease.ack()


def _leave_with_parent() -> None:
    """A worker that stops in the middle of anything leaves the heap whole."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
