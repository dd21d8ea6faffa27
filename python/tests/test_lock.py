"""A lock excludes, and no death can keep it.

Goal: what the lock of `multiprocessing` does, and an answer where that one hangs.
Method: threads and forked processes count under a lock; holders are killed; two threads wait for
each other.
"""

import os
import signal
import threading
import time
import warnings

import pytest
from conftest import until

import coheap


@pytest.fixture
def lock(heap):
    """A free lock."""
    return heap.lock("lock")


def test_a_lock_is_taken_and_let_go(lock):
    assert not lock.locked()
    assert lock.acquire()
    assert lock.locked()
    assert lock.holder()[0] == os.getpid()
    assert not lock.acquire(False)
    assert not lock.acquire(block=False)
    assert not lock.acquire(timeout=-1)
    assert not lock.acquire(True, 0.02)
    assert str(os.getpid()) in repr(lock)
    lock.release()
    assert lock.holder() is None
    with pytest.raises(ValueError, match="too many times"):
        lock.release()
    with lock as taken:
        assert taken is True
        assert lock.locked()
    assert not lock.locked()
    with pytest.raises(TypeError):
        lock.acquire("no", "number")
    with pytest.raises(ValueError, match="timeout"), lock:
        lock.acquire(timeout=float("nan"))


def test_another_may_release_it(lock, children):
    lock.acquire()
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    lock.acquire()
    assert children.wait(children.fork(lock.release)) == 0
    assert lock.acquire(timeout=10)
    lock.release()


def test_it_excludes_threads_and_processes(heap, lock, children):
    total = heap.dict("total")
    total["n"] = 0

    def count():
        for _ in range(300):
            with lock:
                total["n"] = total["n"] + 1

    def work():
        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    pids = [children.fork(work) for _ in range(3)]
    for pid in pids:
        assert children.wait(pid) == 0
    assert total["n"] == 1800


def test_the_lock_of_a_dead_holder_comes_with_a_warning(lock, children):
    pid = children.fork(lambda: [lock.acquire(), time.sleep(60)])
    until(lock.locked)
    assert not lock.acquire(timeout=0.02)
    children.kill(pid)
    assert lock.locked()
    with pytest.warns(coheap.OwnerDiedWarning, match=f"process {pid} died"):
        assert lock.acquire()
    assert lock.holder()[0] == os.getpid()
    lock.release()
    with lock:
        pass


def test_a_waiter_gets_the_lock_of_a_dead_holder_soon(lock, children):
    pid = children.fork(lambda: [lock.acquire(), time.sleep(60)])
    until(lock.locked)
    got = []

    def wait():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lock.acquire()
        got.append(time.monotonic())
        lock.release()

    thread = threading.Thread(target=wait)
    thread.start()
    begin = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    thread.join(10)
    assert got
    assert got[0] - begin < 2


def test_a_warning_made_an_exception_leaves_the_lock_free(lock, children):
    pid = children.fork(lambda: [lock.acquire(), time.sleep(60)])
    until(lock.locked)
    children.kill(pid)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(coheap.OwnerDiedWarning):
            lock.acquire()
    assert not lock.locked()


def test_a_circle_of_waiters_is_told(heap):
    first, second = heap.lock("first"), heap.lock("second")
    told = []
    both_have_one = threading.Barrier(2)

    def take(own, other):
        with own:
            both_have_one.wait(10)
            try:
                with other:
                    pass
            except coheap.DeadlockError:
                told.append(own.name)

    threads = [
        threading.Thread(target=take, args=pair) for pair in [(first, second), (second, first)]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(told) == 1
