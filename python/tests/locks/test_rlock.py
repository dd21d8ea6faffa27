"""A lock that its holder may take again, and nobody else let go.

Goal: what the `RLock` of `multiprocessing` does, and an answer where that one hangs.
Method: the same calls on both; threads, forked children and deaths around them.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import warnings

import pytest
from conftest import elsewhere, until

import coheap


@pytest.fixture
def lock(heap):
    """A free lock."""
    return heap.rlock("lock")


def told_by(call, *args):
    """What a call returns, or its exception in a form that compares."""
    try:
        return call(*args)
    except Exception as error:
        return type(error), str(error)


def calls(lock):
    """What a lock answers to what multiprocessing allows."""
    yield told_by(lock.release)
    yield lock.acquire()
    yield lock.acquire(True)
    yield lock.acquire(False)
    yield lock.acquire(block=True, timeout=0.01)
    yield lock.acquire(True, -1)
    yield elsewhere(lambda: lock.acquire(False))
    yield elsewhere(lambda: lock.acquire(True, 0.01))
    yield elsewhere(lambda: lock.acquire(True, -1))
    yield elsewhere(lambda: told_by(lock.release))
    for _ in range(5):
        yield told_by(lock.release)
    yield told_by(lock.release)
    with lock as first, lock as second:
        yield first, second
        yield elsewhere(lambda: lock.acquire(False))
    yield elsewhere(lambda: [lock.acquire(), lock.release()])


def test_it_answers_as_that_of_multiprocessing(lock):
    expected = list(calls(multiprocessing.RLock()))
    assert list(calls(lock)) == expected
    assert expected[0] == (
        AssertionError,
        "attempt to release recursive lock not owned by thread",
    )


def test_it_says_who_has_it(lock):
    assert not lock.locked()
    assert lock.name == "lock"
    with lock, lock:
        assert lock.locked()
        assert lock.holder()[:2] == (os.getpid(), threading.get_native_id())
        assert elsewhere(lock.holder)[:2] == (os.getpid(), threading.get_native_id())
        assert str(os.getpid()) in repr(lock)
    assert lock.holder() is None
    assert "free" in repr(lock)


def test_kinds_of_locks_do_not_mix(heap, lock):
    assert heap.rlock("lock").acquire()
    assert lock.locked()
    with pytest.raises(TypeError, match="`lock` is an RLock, not a Lock;"):
        heap.lock("lock")
    heap.lock("plain")
    with pytest.raises(TypeError, match="`plain` is a Lock, not an RLock;"):
        heap.rlock("plain")
    heap.remove("lock")
    with pytest.raises(coheap.ObjectGone):
        lock.acquire()


def test_hostile_arguments_are_refused(lock):
    with lock:
        for timeout in (float("nan"), float("inf"), -1e300, 1e300):
            assert lock.acquire(timeout=timeout)
            lock.release()

        def wait():
            assert not lock.acquire(timeout=-1e300)
            assert not lock.acquire(timeout=float("-inf"))
            with pytest.raises(ValueError, match="timeout"):
                lock.acquire(timeout=float("nan"))
            return True

        assert elsewhere(wait)
    with pytest.raises(TypeError):
        lock.acquire(True, "long")
    with pytest.raises(TypeError):
        lock.acquire(1, 2, 3)


def test_a_forked_child_is_not_the_holder(heap, lock, children):
    said = heap.dict("said")
    lock.acquire()
    lock.acquire()

    def child():
        assert not lock.acquire(False)
        with pytest.raises(AssertionError):
            lock.release()
        said["tried"] = True
        assert lock.acquire(timeout=20)
        assert lock.acquire()
        assert lock.holder()[0] == os.getpid()
        lock.release()
        lock.release()

    pid = children.fork(child)
    until(lambda: "tried" in said)
    lock.release()
    assert lock.holder()[0] == os.getpid()
    lock.release()
    assert children.wait(pid) == 0
    assert not lock.locked()


def test_it_excludes_threads_and_processes(heap, lock, children):
    total = heap.dict("total")
    total["n"] = 0

    def add():
        with lock:
            total["n"] = total["n"] + 1

    def count():
        for _ in range(150):
            with lock:
                add()
                add()

    def work():
        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for pid in [children.fork(work) for _ in range(3)]:
        assert children.wait(pid) == 0
    assert total["n"] == 1800


def test_the_heir_of_a_dead_holder_has_it_once(lock, children):
    pid = children.fork(lambda: [[lock.acquire() for _ in range(5)], signal.pause()])
    until(lock.locked)
    children.kill(pid)
    with pytest.warns(coheap.OwnerDiedWarning, match=f"process {pid} died"):
        assert lock.acquire(timeout=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lock.acquire()
        lock.release()
        lock.release()
        assert not lock.locked()
        assert elsewhere(lambda: [lock.acquire(False), lock.release()])[0]


def test_a_circle_of_waiters_is_told(heap):
    first, second = heap.rlock("first"), heap.rlock("second")
    both_have_one = threading.Barrier(2)

    def take(own, other):
        with own, own:
            both_have_one.wait(10)
            try:
                with other:
                    return False
            except coheap.DeadlockError:
                return True

    told = []
    threads = [
        threading.Thread(target=lambda pair=pair: told.append(take(*pair)))
        for pair in [(first, second), (second, first)]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(told) == [False, True]


def test_it_pickles_and_so_does_the_lock_of_a_value(heap):
    value = heap.value("i", 5)
    for lock in (heap.rlock(), heap.rlock("named"), value.get_lock(), coheap.RLock()):
        again = pickle.loads(pickle.dumps(lock))
        assert type(again) is coheap.RLock
        assert again.name == lock.name
        with lock, again:
            assert again.holder()[0] == os.getpid()
            assert not elsewhere(lambda again=again: again.acquire(False))
        assert not lock.locked()
    strict = pickle.loads(pickle.dumps(coheap.RLock(on_death="raise")))
    assert strict.on_death == "raise"
    again = pickle.loads(pickle.dumps(value))
    with again:
        assert not elsewhere(lambda: value.acquire(False))
    with pytest.raises(TypeError):
        coheap.RLock("warn")
