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
from conftest import until, until_asleep

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
    assert not lock.acquire(0)
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
    assert lock.acquire(timeout=float("inf"))
    assert not lock.acquire(timeout=float("-inf"))
    assert not lock.acquire(False, float("nan"))


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
    pid = children.fork(lambda: [lock.acquire(), signal.pause()])
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
    pid = children.fork(lambda: [lock.acquire(), signal.pause()])
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
    until_asleep(thread)
    begin = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    thread.join(10)
    assert got
    assert got[0] - begin < 2


def die_with(children, lock):
    """The process id of a child that took the lock and was killed."""
    pid = children.fork(lambda: [lock.acquire(), signal.pause()])
    until(lock.locked)
    children.kill(pid)
    return pid


@pytest.mark.parametrize("kind", ["lock", "rlock"])
def test_a_warning_made_an_exception_leaves_the_lock_free_and_marked(heap, children, kind):
    lock = getattr(heap, kind)("lock")
    pid = die_with(children, lock)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for attempt in (lock.acquire, lambda: lock.acquire(False), lock.__enter__):
            with pytest.raises(coheap.OwnerDiedWarning, match=f"process {pid} died"):
                attempt()
            assert not lock.locked()
    with pytest.warns(coheap.OwnerDiedWarning, match=f"process {pid} died"):
        assert lock.acquire()
    lock.release()
    assert lock.acquire(False)
    lock.release()


def test_a_warning_that_is_heard_by_a_waiter_marks_the_lock_again(lock, children):
    pid = children.fork(lambda: [lock.acquire(), signal.pause()])
    until(lock.locked)
    heard = []

    def wait():
        try:
            lock.acquire()
        except coheap.OwnerDiedWarning as warning:
            heard.append(str(warning))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        thread = threading.Thread(target=wait)
        thread.start()
        until_asleep(thread)
        children.kill(pid)
        thread.join(10)
    assert len(heard) == 1
    assert not lock.locked()
    with pytest.warns(coheap.OwnerDiedWarning, match=f"process {pid} died"):
        assert lock.acquire(timeout=10)


def test_a_warning_whose_hook_releases_the_lock_does_no_harm(lock, children):
    die_with(children, lock)

    def hook(*_arguments, **_more):
        lock.release()
        raise RuntimeError("from the hook")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = hook
        with pytest.raises(RuntimeError, match="from the hook"):
            lock.acquire()
    assert lock.acquire(False)
    lock.release()


@pytest.mark.parametrize("kind", ["lock", "rlock"])
def test_a_strict_lock_is_refused_to_all_until_one_recovers_it(heap, children, kind):
    lock = getattr(heap, kind)("lock", on_death="raise")
    assert lock.on_death == "raise"
    assert getattr(heap, kind)("lock").on_death == "raise"
    for is_recovered_by_another in (False, True):
        pid = die_with(children, lock)

        def refused(pid=pid):
            with pytest.raises(coheap.OwnerDied, match=f"process {pid} died") as died:
                lock.acquire()
            assert died.value.pid == pid
            with pytest.raises(coheap.OwnerDied):
                lock.acquire(timeout=5)
            with pytest.raises(coheap.OwnerDied):
                lock.acquire(False)
            with pytest.raises(coheap.OwnerDied), lock:
                raise AssertionError("inside")

        for _ in range(2):
            refused()
            assert lock.holder() is None
            assert children.wait(children.fork(refused)) == 0
        if is_recovered_by_another:
            assert children.wait(children.fork(lock.recover)) == 0
        else:
            assert lock.recover() is True
        assert lock.recover() is False
        with lock:
            assert lock.holder()[0] == os.getpid()


def test_recovery_before_anybody_looked_leaves_nothing_to_tell(lock, children):
    die_with(children, lock)
    assert lock.locked()
    assert lock.recover()
    assert not lock.locked()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lock.acquire(False)
    assert not lock.recover()
    assert lock.holder()[0] == os.getpid()


def test_what_a_death_means_is_said_once(heap):
    heap.lock("warns")
    heap.lock("raises", on_death="raise")
    heap.lock("raises")
    with pytest.raises(ValueError, match="on_death"):
        heap.lock("warns", on_death="raise")
    with pytest.raises(ValueError, match="on_death"):
        heap.lock("new", on_death="ignore")
    assert heap.names() == ["warns", "raises"]


def test_the_holder_and_since_when(lock, children):
    def hold():
        lock.acquire()
        signal.pause()

    lock.acquire()
    pid, thread, seconds = lock.holder()
    assert (pid, thread) == (os.getpid(), threading.get_native_id())
    assert 0 <= seconds < 5
    until(lambda: lock.holder()[2] > seconds + 0.02)
    lock.release()
    child = children.fork(hold)
    until(lock.locked)
    pid, thread, seconds = lock.holder()
    assert (pid, thread) == (child, child)
    assert 0 <= seconds < 5
    children.kill(child)
    assert lock.holder()[0] == child


def test_survivors_of_killed_holders_go_on(heap, children):
    """What a lock guards is whole, or who has it was told; and nobody waits a second for it."""
    lock, pair = heap.lock("lock"), heap.dict("pair")
    pair.update(first=0, second=0)

    def step():
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            lock.acquire()
        first = pair["first"]
        if pair["second"] != first and not told:
            pair["broken"] = True
        pair["first"] = pair["second"] = first + 1
        lock.release()

    def work():
        while True:
            step()

    workers = [children.fork(work) for _ in range(3)]
    slowest, inside = 0.0, 0
    for _ in range(40):
        before = pair["first"]
        until(lambda before=before: pair["first"] > before + 20)
        victim = (lock.holder() or workers)[0]
        children.kill(victim)
        workers.remove(victim)
        inside += (lock.holder() or [0])[0] == victim
        begin = time.monotonic()
        step()
        slowest = max(slowest, time.monotonic() - begin)
        workers.append(children.fork(work))
    assert "broken" not in pair
    assert inside > 0
    assert slowest < 1


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
