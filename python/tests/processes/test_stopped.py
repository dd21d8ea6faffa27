"""A process that is stopped in the middle of a change: others hear signals and keep their time-outs.

A child changes an object all the time, in changes that take long, and is stopped until it is in the
middle of one. What is tried beside it has to come back when its time-out expires or when a signal
handler raises, and the other threads of the process have to run meanwhile.
"""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Children, until_asleep

import coheap

#: Seconds until the signal, and what a call may take in all.
SOON = 0.3
AT_MOST = 5.0
#: What a call with a time-out of 0.1 s may take.
LATE = 2.0
#: How often the child is stopped until it is in the middle of a change.
TRIES = 200


class Alarm(Exception):
    """What the handler of the signal raises."""


def ring(*_: object) -> None:
    """Handle the signal."""
    raise Alarm


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `Alarm` in the main thread after some time."""
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def write(d: "coheap.Dict[Any, Any]") -> None:
    """Change a dict all the time."""
    many = {number: number for number in range(20_000)}
    while True:
        d.update(many)


def pass_on(jobs: "coheap.WorkQueue[Any]") -> None:
    """Put and take large items all the time."""
    item = bytes(8 << 20)
    while True:
        jobs.put(item)
        jobs.get().ack()


def put_all(jobs: "coheap.WorkQueue[Any]") -> None:
    """Put many items at once all the time, until there is no room."""
    many = [0] * 100_000
    while True:
        try:
            jobs.put_many(many)
        except coheap.HeapFull:
            while jobs.qsize() > len(many):
                jobs.get().ack()


def name_and_remove(folder: Path) -> None:
    """Make and remove an object with a name all the time, in a temporary heap."""
    heap = coheap.open("busy", folder=folder, temporary=True, max_bytes=1 << 20)
    while True:
        heap.dict("d")
        heap.remove("d")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process for a while."""
    os.kill(pid, signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def beside(pid: int, work: Callable[[], object], late: type[BaseException]) -> None:
    """Try something beside the child until it has to wait, and hold it to its time."""
    beats, is_over = [0], threading.Event()

    def beat() -> None:
        while not is_over.wait(0.01):
            beats[0] += 1

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        for _ in range(TRIES):
            with stopped(pid):
                before, began = beats[0], time.monotonic()
                try:
                    with alarm(SOON if late is Alarm else AT_MOST):
                        work()
                except late:
                    took = time.monotonic() - began
                    assert took < (AT_MOST if late is Alarm else LATE)
                    assert beats[0] - before >= 3, "the other threads did not run"
                    return
                assert time.monotonic() - began < AT_MOST
            time.sleep(0.005)
    finally:
        is_over.set()
        heart.join()
    pytest.fail("the child was never stopped in the middle of a change")


def add(d: "coheap.Dict[Any, Any]") -> None:
    """Write to a dict in a block that waits only for a while."""
    with coheap.atomic(timeout=0.1):
        d["x"] = 1


WRITES: dict[str, tuple[Callable[["coheap.Dict[Any, Any]"], object], type[BaseException]]] = {
    "set": (lambda d: d.__setitem__("x", 1), Alarm),
    "increment": (lambda d: d.increment("n"), Alarm),
    "setdefault": (lambda d: d.setdefault("y", 2), Alarm),
    "pop": (lambda d: d.pop("x", None), Alarm),
    "update": (lambda d: d.update({"z": 1}), Alarm),
    "items": (lambda d: list(d.items()), Alarm),
    "atomic": (add, TimeoutError),
}


@pytest.mark.parametrize("name", WRITES)
def test_an_operation_on_a_dict_hears_signals(
    heap: coheap.Heap, children: Children, name: str
) -> None:
    """Goal: an operation that waits for a stopped process ends by a signal or its time-out."""
    d = heap.dict("d")
    work, late = WRITES[name]
    child = children.fork(lambda: write(d))
    beside(child, lambda: work(d), late)
    children.kill(child)


WAITS: dict[str, tuple[Callable[["coheap.WorkQueue[Any]"], object], type[BaseException]]] = {
    "get": (lambda q: q.get(timeout=0.1), queue.Empty),
    "put": (lambda q: q.put(1), Alarm),
    "qsize": (lambda q: q.qsize(), Alarm),
    "repr": (lambda q: repr(q), Alarm),
}


@pytest.mark.parametrize("name", WAITS)
def test_an_operation_on_a_queue_keeps_its_time(children: Children, name: str) -> None:
    """Goal: as above, for a queue whose end is busy with many items, or both with large ones."""
    # So large that the child puts all the time.
    heap = coheap.Heap(max_bytes=4 << 30)
    jobs = heap.work_queue("q")
    work, late = WAITS[name]
    busy = pass_on if name == "get" else put_all
    child = children.fork(lambda: busy(jobs))
    beside(child, lambda: work(jobs), late)
    children.kill(child)
    heap.close()


def test_a_check_hears_signals(heap: coheap.Heap, children: Children) -> None:
    """Goal: as above, for the check of the whole heap."""
    d = heap.dict("d")
    child = children.fork(lambda: write(d))
    beside(child, heap.check, Alarm)
    children.kill(child)


def neighbours(heap: coheap.Heap) -> "tuple[coheap.Lock, coheap.Dict[Any, Any]]":
    """Make a lock and a dict of which only one can be changed at a time.

    Objects share 1,024 turns, which are dealt one after the other.
    """
    lock = heap.lock("l")
    for _ in range(1023):
        heap.lock()
    return lock, heap.dict("d")


def release_anothers(lock: coheap.Lock) -> None:
    """Release a lock that a thread has acquired that ended."""
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    lock.release()


def test_the_release_of_anothers_lock_hears_signals(heap: coheap.Heap, children: Children) -> None:
    """Goal: as above, for a release that needs the turn of the object."""
    lock, d = neighbours(heap)
    child = children.fork(lambda: write(d))
    beside(child, lambda: release_anothers(lock), Alarm)
    children.kill(child)


def test_a_release_waits_for_nobody(heap: coheap.Heap, children: Children) -> None:
    """Goal: who releases its own lock does not wait for a stopped process, also if others wait.

    Method: twenty rounds beside a process that is stopped somewhere in a change under the same turn;
    a thread waits for the lock and gets it.
    """
    lock, d = neighbours(heap)
    child = children.fork(lambda: write(d))
    for _ in range(20):
        with stopped(child):
            began = time.monotonic()
            lock.acquire()
            waiter = threading.Thread(target=lambda: (lock.acquire(), lock.release()))
            waiter.start()
            until_asleep(waiter)
            lock.release()
            waiter.join(AT_MOST)
            assert not waiter.is_alive()
            assert time.monotonic() - began < AT_MOST
        time.sleep(0.005)
    children.kill(child)


def test_an_open_hears_signals(children: Children, tmp_path: Path) -> None:
    """Goal: as above, for the open of a temporary heap in whose directory a member is stopped."""
    child = children.fork(lambda: name_and_remove(tmp_path))
    until = time.monotonic() + AT_MOST
    while not (tmp_path / "coheap.busy").exists() and time.monotonic() < until:
        time.sleep(0.001)
    beside(child, lambda: coheap.open("busy", create=False, folder=tmp_path).close(), Alarm)
    children.kill(child)


@pytest.mark.parametrize("how", ["fork", "start"])
def test_a_new_process_does_not_wait(heap: coheap.Heap, children: Children, how: str) -> None:
    """Goal: neither a fork nor the start of a process waits for a stopped one.

    Method: each runs ten times beside a process that was stopped somewhere in a change of an object
    that this one refers to, and whose reference the child inherits.
    """
    d = heap.dict()
    context = multiprocessing.get_context("fork")
    child = children.fork(lambda: write(d))
    for _ in range(10):
        with stopped(child):
            began = time.monotonic()
            with alarm(AT_MOST):
                if how == "fork":
                    assert children.wait(children.fork(lambda: None)) == 0
                else:
                    process = context.Process(target=int)
                    process.start()
                    process.join()
            assert time.monotonic() - began < AT_MOST
        time.sleep(0.005)
    children.kill(child)
