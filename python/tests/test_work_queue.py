"""No job is lost with its worker, and none is done twice once acked.

Goal: every way in which a lease can end ends as promised.
Method: acks, exceptions, dropped and collected leases, forked children, workers that are killed.
"""

import gc
import os
import queue
import signal
import threading
import time
import warnings

import pytest
from conftest import Unloadable, once_asleep, until, until_asleep

import coheap


@pytest.fixture
def jobs(heap):
    """An empty work queue."""
    return heap.work_queue("jobs")


def test_jobs_come_in_order_and_are_done_when_acked(jobs):
    for job in (1, "two", [3], {"four": {5}}):
        jobs.put(job)
    assert jobs.qsize() == 4
    values = []
    for _ in range(4):
        lease = jobs.get()
        values.append(lease.value)
        assert lease.attempt == 1
        assert jobs.leased() == 1
        lease.ack()
    assert values == [1, "two", [3], {"four": {5}}]
    assert (jobs.qsize(), jobs.leased()) == (0, 0)
    jobs.join(timeout=0)


def test_an_empty_queue_says_empty(jobs):
    with pytest.raises(queue.Empty):
        jobs.get(block=False)
    begin = time.monotonic()
    with pytest.raises(coheap.Empty):
        jobs.get(timeout=0.05)
    assert 0.05 <= time.monotonic() - begin < 5
    with pytest.raises(queue.Empty):
        jobs.get_many(3, block=False)


def test_a_full_queue_says_full(heap):
    jobs = heap.work_queue("bounded", maxsize=2)
    jobs.put(1)
    jobs.put(2)
    with pytest.raises(queue.Full):
        jobs.put(3, block=False)
    with pytest.raises(coheap.Full):
        jobs.put(3, timeout=0.05)
    assert jobs.qsize() == 2
    jobs.get().ack()
    jobs.put(3)


def test_the_short_names_of_the_standard_library_work(heap):
    jobs = heap.work_queue("bounded", maxsize=2)
    assert (jobs.empty(), jobs.full()) == (True, False)
    jobs.put_nowait(1)
    assert (jobs.empty(), jobs.full()) == (False, False)
    jobs.put_nowait(2)
    assert (jobs.empty(), jobs.full()) == (False, True)
    with pytest.raises(queue.Full):
        jobs.put_nowait(3)
    first, second = jobs.get_nowait(), jobs.get_nowait()
    assert (first.value, second.value) == (1, 2)
    assert (jobs.empty(), jobs.full()) == (True, False)
    with pytest.raises(queue.Empty):
        jobs.get_nowait()
    first.nack()
    second.ack()
    assert jobs.empty() is False
    jobs.put(4, 0)
    for block, job in ((0, 1), ("yes", 4)):
        with jobs.get(block) as lease:
            assert lease.value == job
    with pytest.raises(queue.Empty):
        jobs.get(0)
    jobs.close()
    assert jobs.full() is False
    heap.remove("bounded")
    for ask in (jobs.empty, jobs.full):
        with pytest.raises(coheap.ObjectGone):
            ask()


def test_bad_arguments_are_refused(heap, jobs):
    for call in (jobs.get, lambda timeout: jobs.put(1, timeout=timeout), jobs.join):
        for timeout in (-1, float("nan")):
            with pytest.raises(ValueError, match="non-negative"):
                call(timeout=timeout)
    for attempts in (0, -1):
        with pytest.raises(ValueError, match="max_attempts"):
            heap.work_queue("other", max_attempts=attempts)
    with pytest.raises(ValueError, match="at least 1"):
        jobs.get_many(0)
    with pytest.raises(TypeError, match="`d` is a Dict, not a WorkQueue;"):
        heap.dict("d")
        heap.work_queue("d")
    with pytest.raises(TypeError):
        jobs.put(threading.Lock())
    assert jobs.qsize() == 0


def test_a_lease_acks_at_the_end_of_its_block(jobs):
    jobs.put(1)
    with jobs.get() as lease:
        assert lease.value == 1
    assert (jobs.qsize(), jobs.leased()) == (0, 0)
    jobs.put(2)
    with jobs.get() as lease:
        lease.ack()
    jobs.join(timeout=0)


def test_a_lease_goes_back_after_an_exception(jobs):
    jobs.put(1)
    with pytest.raises(ZeroDivisionError), jobs.get():
        1 / 0
    lease = jobs.get()
    assert (lease.value, lease.attempt) == (1, 2)
    lease.nack()
    with jobs.get() as lease:
        assert lease.attempt == 3


def test_what_comes_back_is_given_out_first(jobs):
    jobs.put_many([1, 2, 3])
    first = jobs.get()
    first.nack()
    assert [lease.value for lease in take(jobs, 3)] == [1, 2, 3]


def take(jobs, count):
    """Take leases and ack each."""
    for _ in range(count):
        with jobs.get(timeout=10) as lease:
            yield lease


def test_a_lease_that_is_over_changes_nothing_any_more(jobs):
    jobs.put_many([1, 2])
    lease = jobs.get()
    lease.ack()
    for call in (lease.ack, lease.nack):
        with pytest.raises(coheap.LeaseLost, match="jobs"):
            call()
    with lease:
        pass
    assert "over" in repr(lease)
    assert jobs.qsize() == 1


def test_a_dropped_lease_goes_back_and_warns(jobs):
    jobs.put(1)
    with pytest.warns(ResourceWarning, match="jobs"):
        jobs.get()
        gc.collect()
    assert (jobs.qsize(), jobs.leased()) == (1, 0)
    with jobs.get() as lease:
        assert lease.attempt == 2


def test_a_lease_dropped_under_way_of_an_exception_leaves_it_alone(jobs):
    jobs.put(1)

    def work():
        jobs.get().value.missing

    with pytest.warns(ResourceWarning), pytest.raises(AttributeError, match="missing"):
        work()
    jobs.get().ack()


def test_a_lease_in_a_circle_is_collected(jobs):
    jobs.put([])
    lease = jobs.get()
    lease.value.append(lease)
    del lease
    with pytest.warns(ResourceWarning):
        gc.collect()
    jobs.get().ack()


def test_jobs_are_given_up_after_their_last_attempt(heap):
    jobs = heap.work_queue("tries", max_attempts=2)
    jobs.put_many(["nacked", "dropped"])
    for _ in range(2):
        jobs.get().nack()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            jobs.get()
            gc.collect()
    assert jobs.failed() == [("nacked", 2, "nacked"), ("dropped", 2, "dropped")]
    jobs.join(timeout=0)


def test_many_are_taken_at_once(jobs):
    jobs.put_many(range(10))
    leases = jobs.get_many(4)
    assert [lease.value for lease in leases] == [0, 1, 2, 3]
    leases += jobs.get_many(100)
    assert [lease.value for lease in leases] == list(range(10))
    for lease in leases:
        lease.ack()


def test_many_are_put_through_a_small_queue(heap, children):
    jobs = heap.work_queue("small", maxsize=3)
    pid = children.fork(lambda: [None for _ in take(jobs, 50)])
    jobs.put_many(range(50))
    jobs.join(timeout=30)
    assert children.wait(pid) == 0
    with pytest.raises(TypeError):
        jobs.put_many([1, threading.Lock()])
    assert jobs.qsize() == 0


def test_a_closed_queue_ends_its_iterations(jobs):
    jobs.put_many(range(5))
    jobs.close()
    with pytest.raises(coheap.ShutDown):
        jobs.put(1)
    seen = []
    for lease in jobs:
        with lease:
            seen.append(lease.value)
    assert seen == list(range(5))
    with pytest.raises(coheap.ShutDown):
        jobs.get()


def test_what_a_dead_worker_had_comes_back_though_there_is_more(jobs, children):
    def die():
        jobs.get()
        os.kill(os.getpid(), signal.SIGKILL)

    jobs.put_many(range(10))
    assert children.wait(children.fork(die)) == -signal.SIGKILL
    until(lambda: (jobs.qsize(), jobs.leased()) == (10, 0))
    assert children.wait(children.fork(die)) == -signal.SIGKILL
    with jobs.get() as held:
        seen = [held.value]
        ends = time.monotonic() + 10
        while 0 not in seen and time.monotonic() < ends:
            lease = jobs.get()
            seen.append(lease.value)
            lease.ack()
            jobs.put(10 + len(seen))
    assert 0 in seen
    assert jobs.qsize() > 5


def test_an_iteration_waits_for_what_may_come_back(jobs):
    jobs.put_many([1, 2])
    jobs.close()
    seen = []

    def work():
        for lease in jobs:
            with lease:
                seen.append(lease.value)

    first = jobs.get()
    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: seen == [2])
    first.nack()
    thread.join(10)
    assert seen == [2, 1]


def test_join_waits_for_the_last_ack(jobs):
    jobs.put(1)
    lease = jobs.get()
    with pytest.raises(TimeoutError):
        jobs.join(timeout=0.05)
    last = once_asleep(lease.ack)
    jobs.join()
    last.join()


def test_leases_of_a_killed_child_come_back(jobs, children):
    jobs.put_many(range(3))

    def hold():
        leases = [jobs.get() for _ in range(3)]
        leases[0].ack()
        signal.pause()

    pid = children.fork(hold)
    until(lambda: jobs.leased() == 2 and jobs.qsize() == 0)
    with pytest.raises(queue.Empty):
        jobs.get(timeout=0.05)
    begin = time.monotonic()
    children.kill(pid)
    leases = [jobs.get(timeout=10) for _ in range(2)]
    assert time.monotonic() - begin < 2
    assert sorted((lease.value, lease.attempt) for lease in leases) == [(1, 2), (2, 2)]
    for lease in leases:
        lease.ack()


def test_a_waiter_gets_what_a_killed_child_had(jobs, children):
    jobs.put("job")
    pid = children.fork(lambda: [jobs.get(), signal.pause()])
    until(lambda: jobs.leased() == 1)
    got = []
    thread = threading.Thread(target=lambda: got.extend(take(jobs, 1)))
    thread.start()
    until_asleep(thread)
    children.kill(pid)
    thread.join(10)
    assert [lease.value for lease in got] == ["job"]


def test_a_forked_child_has_no_part_in_its_parents_leases(jobs, children):
    jobs.put(1)
    lease = jobs.get()

    def meddle():
        for call in (lease.ack, lease.nack):
            with pytest.raises(coheap.LeaseLost):
                call()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del call
            gc.collect()

    assert children.wait(children.fork(meddle)) == 0
    assert jobs.leased() == 1
    lease.ack()


def test_every_job_is_done_once_however_many_workers_are_killed(heap, children):
    jobs, done = heap.work_queue("jobs"), heap.dict("done")
    jobs.put_many(range(400))
    jobs.close()

    def work():
        for lease in jobs:
            done.increment(lease.value)
            lease.ack()

    killed = 0
    pids = [children.fork(work) for _ in range(3)]
    while jobs.qsize() or jobs.leased():
        if killed < 15:
            children.kill(pids.pop(0))
            killed += 1
            pids.append(children.fork(work))
        # The workers get somewhere between two kills.
        time.sleep(0.005)
    for pid in pids:
        assert children.wait(pid) == 0
    assert sorted(done) == list(range(400))
    # A job is tried again only if its worker was killed before it acked.
    assert 400 <= sum(done.values()) <= 400 + killed


def test_a_job_that_cannot_be_read_goes_back(tmp_path):
    name = f"pytest-{os.getpid()}"
    with coheap.open(name, folder=tmp_path, temporary=True, max_bytes=1 << 20) as trusting:
        trusting.work_queue("jobs").put(range(3))
        with pytest.warns(UserWarning, match="pickle"):
            strict = coheap.open(name, folder=tmp_path, pickle=False).work_queue("jobs")
        with pytest.raises(Exception, match="pickle=False"):
            strict.get()
        with trusting.work_queue("jobs").get() as lease:
            assert (lease.value, lease.attempt) == (range(3), 2)


class Interrupts:
    """Ends who loads it, as Ctrl-C at that moment would."""

    def __reduce__(self):
        return (_interrupt, ())


def _interrupt():
    raise KeyboardInterrupt


def test_what_ends_get_many_is_heard(heap):
    jobs = heap.work_queue("jobs")
    jobs.put_many([1, Interrupts(), 3])
    with warnings.catch_warnings(), pytest.raises(KeyboardInterrupt):
        warnings.simplefilter("ignore", ResourceWarning)
        jobs.get_many(3)
    gc.collect()
    assert (jobs.qsize(), jobs.leased()) == (3, 0)


def test_failed_jobs_that_cannot_be_loaded_are_listed(heap):
    jobs = heap.work_queue("jobs", max_attempts=1)
    jobs.put_many([Unloadable(), "next"])
    with pytest.raises(ValueError, match="no number"):
        jobs.get()
    jobs.get().nack()
    (first, attempts, why), second = jobs.failed()
    assert isinstance(first, ValueError)
    assert (attempts, why, second) == (1, "nacked", ("next", 1, "nacked"))
