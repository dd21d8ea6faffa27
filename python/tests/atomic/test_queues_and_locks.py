"""Jobs and locks inside blocks: the end of the block decides about them.

Goal: exact accounting of jobs, and no lock let go before what it guards can be seen.
Method: leases taken before and inside, put, acked, given back and dropped in blocks that end well
or not; locks acquired and released in them; waits with and without anything held.
"""

import gc
import threading
import time
import warnings

import pytest
from conftest import once_asleep, until

import coheap


class Undone(Exception):
    """Ends a block without its changes."""


@pytest.fixture
def jobs(heap):
    return heap.work_queue("jobs", max_attempts=2)


@pytest.fixture
def lock(heap):
    return heap.lock("lock")


def test_a_job_is_acked_by_the_end(heap, jobs):
    done = heap.dict("done")
    jobs.put_many([1, 2, 3])
    with coheap.atomic():
        first, second = jobs.get(), jobs.get()
        first.ack()
        done.update({first.value: True, second.value: True})
        assert jobs.leased() == 2
        with pytest.raises(coheap.LeaseLost):
            first.ack()
        with pytest.raises(coheap.LeaseLost):
            first.nack()
    assert (jobs.qsize(), jobs.leased(), len(done)) == (1, 0, 2)
    for lease in (first, second):
        assert "over" in repr(lease)
        with pytest.raises(coheap.LeaseLost):
            lease.ack()
        with pytest.raises(coheap.LeaseLost):
            lease.nack()


def test_a_job_of_a_block_without_end_goes_back_uncounted(jobs):
    jobs.put(1)
    for _ in range(5):
        with pytest.raises(Undone), coheap.atomic():
            lease = jobs.get()
            lease.ack()
            raise Undone
        with pytest.raises(coheap.LeaseLost):
            lease.ack()
    assert jobs.failed() == []
    with jobs.get() as lease:
        assert lease.attempt == 1


def test_a_lease_taken_before_is_acked_by_the_end_or_still_held(heap, jobs):
    done = heap.dict("done")
    jobs.put(1)
    lease = jobs.get()
    with pytest.raises(Undone), coheap.atomic():
        done[1] = True
        lease.ack()
        with pytest.raises(coheap.LeaseLost):
            lease.ack()
        raise Undone
    assert (jobs.leased(), len(done)) == (1, 0)
    assert "over" not in repr(lease)
    with coheap.atomic():
        done[1] = True
        lease.ack()
        assert jobs.leased() == 1
    assert (jobs.leased(), len(done)) == (0, 1)


def test_an_ack_that_comes_too_late_undoes_all(heap, jobs):
    done = heap.dict("done")
    jobs.put(1)
    lease = jobs.get()
    with pytest.raises(coheap.LeaseLost), coheap.atomic():
        done[1] = True
        lease.ack()
        # Another thread gives the job back meanwhile.
        thread = threading.Thread(target=lease.nack)
        thread.start()
        thread.join()
    assert (jobs.qsize(), jobs.leased(), len(done)) == (1, 0, 0)
    assert "over" in repr(lease)


def test_a_lease_as_a_context_manager_inside(jobs):
    jobs.put_many([1, 2])
    with coheap.atomic():
        with jobs.get() as lease:
            assert lease.value == 1
        with pytest.raises(Undone), jobs.get():
            raise Undone
        assert jobs.leased() == 2
    assert (jobs.qsize(), jobs.leased()) == (1, 0)
    with jobs.get() as lease:
        assert (lease.value, lease.attempt) == (2, 2)


def test_a_job_given_back_inside_counts_with_the_end(jobs):
    jobs.put(1)
    with pytest.raises(Undone), coheap.atomic():
        jobs.get().nack()
        raise Undone
    for attempt in (1, 2):
        with coheap.atomic():
            lease = jobs.get()
            assert lease.attempt == attempt
            lease.nack()
            assert jobs.qsize() == 0
    assert jobs.failed() == [(1, 2, "nacked")]
    jobs.put(2)
    lease = jobs.get()
    with pytest.raises(Undone), coheap.atomic():
        lease.nack()
        raise Undone
    with coheap.atomic():
        lease.nack()
    with jobs.get() as lease:
        assert (lease.value, lease.attempt) == (2, 2)


def test_a_lease_dropped_inside_is_the_blocks(jobs):
    jobs.put_many([1, 2])
    with coheap.atomic():
        assert jobs.get().value == 1
        gc.collect()
    assert (jobs.qsize(), jobs.leased()) == (1, 0)
    with pytest.raises(Undone), coheap.atomic():
        assert jobs.get().value == 2
        raise Undone
    assert (jobs.qsize(), jobs.leased()) == (1, 0)


def test_a_lease_acked_and_dropped_in_a_block_without_end_goes_back(jobs):
    jobs.put(1)
    lease = jobs.get()
    with pytest.raises(Undone), coheap.atomic():
        lease.ack()
        del lease
        raise Undone
    assert (jobs.qsize(), jobs.leased()) == (1, 0)


def test_a_lease_acked_in_an_inner_block_without_end_is_the_outer_ones_again(jobs):
    jobs.put_many([1, 2])
    before = jobs.get()
    with coheap.atomic():
        lease = jobs.get()
        with pytest.raises(Undone), coheap.atomic():
            lease.ack()
            before.ack()
            raise Undone
        assert "over" not in repr(lease)
        lease.nack()
    assert (jobs.qsize(), jobs.leased()) == (1, 1)
    before.ack()


def test_a_lease_of_a_block_is_nobody_elses_meanwhile(jobs):
    jobs.put(1)
    said = []

    def meddle():
        try:
            lease.ack()
        except RuntimeError as error:
            said.append(str(error))

    with coheap.atomic():
        lease = jobs.get()
        thread = threading.Thread(target=meddle)
        thread.start()
        thread.join()
    assert "nothing was changed" in said[0]
    assert jobs.leased() == 0


def test_what_is_put_has_its_place_and_appears_with_the_end(heap):
    jobs = heap.work_queue("bounded", maxsize=2)
    with coheap.atomic():
        jobs.put("a")
        jobs.put_many(["b"])
        assert jobs.qsize() == 0
        with pytest.raises(coheap.Full):
            jobs.put("c", block=False)
        with pytest.raises(coheap.Empty):
            jobs.get(block=False)
    for value in ("a", "b"):
        with jobs.get() as lease:
            assert lease.value == value


def test_waiting_with_something_in_hand_is_refused(heap, jobs, lock):
    counts = heap.dict("counts")
    small = heap.work_queue("small", maxsize=1)
    small.put(1)
    assert lock.acquire()
    waits = [
        jobs.get,
        lambda: jobs.get(timeout=10),
        lambda: next(iter(jobs)),
        lambda: small.put(2),
        lambda: small.put_many([2]),
        small.join,
        lock.acquire,
        lambda: lock.acquire(timeout=10),
        lock.__enter__,
    ]
    for wait in waits:
        begin = time.monotonic()
        with pytest.raises(coheap.WouldBlock), coheap.atomic():
            counts["a"] = 1
            wait()
        assert time.monotonic() - begin < 5
    with coheap.atomic():
        counts["a"] = 2
        assert not lock.acquire(block=False)
        with pytest.raises(coheap.Empty):
            jobs.get(block=False)
        with pytest.raises(coheap.Full):
            small.put(2, block=False)
    assert counts == {"a": 2}
    lock.release()


def test_a_lock_in_hand_is_something_too(jobs, lock):
    with pytest.raises(coheap.WouldBlock), coheap.atomic(), lock:
        jobs.get()
    assert not lock.locked()


def test_the_first_thing_may_be_waited_for(heap, jobs, lock):
    counts = heap.dict("counts")
    small = heap.work_queue("small", maxsize=1)
    small.put(0)
    assert lock.acquire()

    once_asleep(lambda: jobs.put(7))
    with coheap.atomic():
        counts["job"] = jobs.get().value
    assert counts == {"job": 7}
    once_asleep(lock.release)
    with coheap.atomic():
        assert lock.acquire(timeout=10)
        counts["lock"] = 1
    assert counts["lock"] == 1
    lock.release()
    once_asleep(lambda: small.get().ack())
    with coheap.atomic():
        small.put(1, timeout=10)
    once_asleep(lambda: small.get().ack())
    with coheap.atomic():
        small.join()
        counts["joined"] = 1
    assert (small.qsize(), small.leased(), counts["joined"]) == (0, 0, 1)
    for wait, error in (
        (lambda: jobs.get(timeout=0.02), coheap.Empty),
        (lambda: jobs.get_many(2, timeout=0.02), coheap.Empty),
    ):
        with coheap.atomic():
            with pytest.raises(error):
                wait()
            counts["after"] = 1
    assert counts["after"] == 1
    small.put(1)
    with coheap.atomic():
        with pytest.raises(coheap.Full):
            small.put(2, timeout=0.02)
        with pytest.raises(TimeoutError):
            small.join(timeout=0.02)


def test_iteration_inside_ends_when_all_is_done(jobs):
    jobs.put_many([1, 2])
    jobs.close()
    values = []
    for lease in jobs:
        with coheap.atomic(), lease:
            values.append(lease.value)
    assert values == [1, 2]
    with coheap.atomic():
        assert list(jobs) == []
        with pytest.raises(coheap.ShutDown):
            jobs.put(3)


def test_a_queue_is_closed_outside(jobs):
    with coheap.atomic():
        with pytest.raises(RuntimeError, match="outside"):
            jobs.close()
        jobs.put(1)
    assert jobs.qsize() == 1


def test_a_lock_released_inside_is_let_go_at_the_end(heap, lock):
    counts = heap.dict("counts")

    def who_comes_next():
        with lock:
            seen.append(counts.get("a"))

    seen = []
    with coheap.atomic():
        with lock:
            counts["a"] = 1
        assert lock.locked()
        thread = threading.Thread(target=who_comes_next)
        thread.start()
        with lock:
            counts["a"] = 2
        with pytest.raises(ValueError, match="too many times"):
            lock.release()
        assert seen == []
    thread.join(10)
    assert seen == [2]
    assert not lock.locked()


def test_an_abort_lets_go_of_what_was_acquired_inside_only(lock, heap):
    other = heap.lock("other")
    other.acquire()
    with pytest.raises(Undone), coheap.atomic():
        lock.acquire()
        other.release()
        raise Undone
    assert not lock.locked()
    assert other.locked()
    with coheap.atomic():
        lock.acquire()
        other.release()
        assert other.locked()
    assert lock.locked()
    assert not other.locked()
    lock.release()
    with pytest.raises(ValueError, match="too many times"), coheap.atomic():
        lock.release()
    until(lambda: not lock.locked())


def test_a_lock_of_a_dead_holder_is_free_again_where_the_warning_is_an_error(heap, lock, children):
    counts = heap.dict("counts")
    assert children.wait(children.fork(lock.acquire)) == 0
    with coheap.atomic():
        with warnings.catch_warnings():
            warnings.simplefilter("error", coheap.OwnerDiedWarning)
            with pytest.raises(coheap.OwnerDiedWarning):
                lock.acquire()
        assert not lock.locked()
        # Who was told did not hear of it, so the next one is told again.
        with pytest.warns(coheap.OwnerDiedWarning), lock:
            counts["a"] = 1
        assert lock.locked()
    assert not lock.locked()


def test_a_recursive_lock_inside_is_let_go_as_often_as_the_end_says(heap):
    lock = heap.rlock("rlock")

    def is_free():
        free = []
        thread = threading.Thread(
            target=lambda: free.append(lock.acquire(False) and not lock.release())
        )
        thread.start()
        thread.join(10)
        return free[0]

    with coheap.atomic():
        with lock, lock:
            pass
        with pytest.raises(AssertionError):
            lock.release()
        with lock:
            pass
        assert not is_free()
    assert is_free()
    lock.acquire()
    with pytest.raises(Undone), coheap.atomic():
        lock.acquire()
        lock.acquire()
        lock.release()
        with pytest.raises(Undone), coheap.atomic(lock):
            lock.acquire()
            lock.release()
            lock.release()
            raise Undone
        raise Undone
    assert not is_free()
    with coheap.atomic():
        lock.release()
        with pytest.raises(AssertionError):
            lock.release()
        assert not is_free()
    assert is_free()


def test_the_lock_beside_a_value_is_one_of_the_blocks(heap):
    value = heap.value("q", name="value")
    with pytest.raises(Undone), coheap.atomic():
        with value.get_lock():
            value.value += 1
        assert value.get_lock().locked()
        raise Undone
    assert not value.get_lock().locked()
    with coheap.atomic(value), value:
        value.value += 1
    assert value.get() == 1
    assert not value.get_lock().locked()


def test_a_block_keeps_what_it_touched(heap):
    for ending in (None, Undone):
        kept = heap.dict()
        try:
            with coheap.atomic():
                kept["a"] = "x" * 100
                for make in (heap.dict, heap.work_queue, lambda: heap.value("q")):
                    with pytest.raises(ValueError, match="outside of transactions"):
                        make()
                # Its last handle goes; were it gone as well, the end would say so.
                del kept
                gc.collect()
                if ending:
                    raise ending
        except Undone:
            assert ending
    heap.check()


def test_a_block_without_end_leaves_the_lock_of_another_alone(heap, lock):
    """Goal: an abort lets go of what its thread holds, and of nothing else.

    Method: the lock that was acquired inside is let go by another thread, and acquired by a third.
    """
    with pytest.raises(Undone), coheap.atomic():
        lock.acquire()
        for work in (lock.release, lock.acquire):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        raise Undone
    assert not lock.acquire(block=False)
    lock.release()
    assert lock.acquire(block=False)
    lock.release()
