"""Blocks inside blocks, blocks that are given up, and functions that run again.

Goal: an inner block undoes its own changes only; what gives a block up gives up all of it, whatever
user code catches; a decorated function runs again until it is through.
Method: nested blocks that fail; circles of two threads that wait for each other; time-outs; errors
that are caught and must come back.
"""

import asyncio
import os
import signal
import threading
import time
import traceback

import pytest
from conftest import once_asleep, until, until_asleep

import coheap


class Undone(Exception):
    """Ends a block without its changes."""


@pytest.fixture
def a(heap):
    return heap.dict("a")


@pytest.fixture
def b(heap):
    return heap.dict("b")


class Holder:
    """A thread that has an object in a block until it is let go."""

    def __init__(self, *objects):
        self.has_it, self.may_go = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold, args=objects)

    def hold(self, *objects):
        with coheap.atomic(*objects):
            self.has_it.set()
            assert self.may_go.wait(30)

    def __enter__(self):
        self.thread.start()
        assert self.has_it.wait(10)
        return self

    def __exit__(self, *exception):
        self.may_go.set()
        self.thread.join(10)


def test_an_inner_block_undoes_its_own_changes_only(heap, a, b):
    value, jobs = heap.value("q", name="value"), heap.work_queue("jobs")
    jobs.put(1)
    with coheap.atomic():
        a["outer"] = 1
        with pytest.raises(Undone), coheap.atomic():
            a["inner"] = 1
            a["outer"] = 2
            b["inner"] = 1
            value.add(5)
            jobs.get().ack()
            jobs.put(2)
            raise Undone
        assert (dict(a.items()), len(b), value.get()) == ({"outer": 1}, 0, 0)
        with coheap.atomic():
            value.add(1)
            with pytest.raises(Undone), coheap.atomic(a):
                a.clear()
                raise Undone
            b["kept"] = 1
        assert (b["kept"], value.get()) == (1, 1)
    assert (a, b, value.get()) == ({"outer": 1}, {"kept": 1}, 1)
    assert (jobs.qsize(), jobs.leased()) == (1, 0)
    with jobs.get() as lease:
        assert (lease.value, lease.attempt) == (1, 1)


def test_an_inner_block_lets_go_of_its_locks(heap, a):
    lock, other = heap.lock("lock"), heap.lock("other")
    with pytest.raises(coheap.WouldBlock), coheap.atomic():
        other.acquire()
        with pytest.raises(Undone), coheap.atomic():
            lock.acquire()
            other.release()
            raise Undone
        assert not lock.locked()
        with pytest.raises(coheap.WouldBlock):
            other.acquire()
        assert not other.locked()
        with pytest.raises(coheap.WouldBlock):
            a.get(1)


def test_two_heaps_are_refused(a):
    with coheap.Heap(max_bytes=1 << 20) as second:
        other, lock = second.dict("other"), second.lock("lock")
        with coheap.atomic():
            a["a"] = 1
            for use in (lambda: other.get(1), lock.acquire, lambda: len(other)):
                with pytest.raises(ValueError, match="different heaps"):
                    use()
            with pytest.raises(ValueError, match="different heaps"), coheap.atomic(other):
                pass
            a["b"] = 2
        assert a == {"a": 1, "b": 2}
        with pytest.raises(ValueError, match="different heaps"), coheap.atomic(a, other):
            pass
        with coheap.atomic(a):
            a["c"] = 3


def test_objects_are_made_and_removed_outside(heap, a):
    with coheap.atomic():
        a["a"] = 1
        for use in (lambda: heap.dict("new"), lambda: heap.remove("a"), lambda: heap.lock("new")):
            with pytest.raises(ValueError, match="outside of transactions"):
                use()
        assert heap.dict("a") == {"a": 1}
    assert heap.names() == ["a"]


def circle(a, b, catch):
    """Two blocks that lock two dicts in opposite order; what each said at its end."""
    barrier, ends = threading.Barrier(2), []

    def run(first, second):
        try:
            with coheap.atomic():
                first["x"] = second.name
                barrier.wait(10)
                try:
                    second["x"] = first.name
                except coheap.DeadlockError:
                    if not catch:
                        raise
                    for use in (lambda: first["x"], lambda: second.clear(), lambda: len(first)):
                        with pytest.raises(coheap.DeadlockError, match="given up"):
                            use()
            ends.append(None)
        except coheap.DeadlockError as error:
            ends.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in ((a, b), (b, a))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return ends


@pytest.mark.parametrize("catch", [False, True])
def test_a_circle_gives_one_up_and_lets_the_other_through(a, b, catch):
    ends = circle(a, b, catch)
    errors = [end for end in ends if end is not None]
    assert len(ends) == 2
    assert len(errors) == 1
    assert (a["x"], b["x"]) == ("b", "a")
    if catch:
        assert "given up" in str(errors[0])
        assert isinstance(errors[0].__cause__, coheap.DeadlockError)
        text = "".join(traceback.format_exception(errors[0]))
        assert "direct cause" in text


def test_blocks_that_name_their_objects_meet_no_circle(a, b):
    def move(first, second):
        for _ in range(300):
            with coheap.atomic(first, second):
                first["n"] = first.get("n", 0) - 1
                second["n"] = second.get("n", 0) + 1

    threads = [threading.Thread(target=move, args=pair) for pair in ((a, b), (b, a))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (a["n"], b["n"]) == (0, 0)


def test_what_gave_a_block_up_comes_back_whatever_is_raised(heap, a):
    lock = heap.lock("lock")
    lock.acquire()
    with pytest.raises(coheap.WouldBlock) as caught, coheap.atomic():
        a["a"] = 1
        try:
            lock.acquire()
        except coheap.WouldBlock as error:
            raise Undone from error
    assert isinstance(caught.value.__cause__, Undone)
    assert isinstance(caught.value.__cause__.__cause__, coheap.WouldBlock)
    for passing in (KeyboardInterrupt, SystemExit, GeneratorExit):
        with pytest.raises(passing), coheap.atomic():
            a["a"] = 1
            with pytest.raises(coheap.WouldBlock):
                lock.acquire()
            raise passing
    with pytest.raises(coheap.WouldBlock), coheap.atomic():
        a["a"] = 1
        with pytest.raises(coheap.WouldBlock), coheap.atomic():
            lock.acquire()
        with pytest.raises(coheap.WouldBlock), coheap.atomic():
            raise AssertionError("not reached")
    assert len(a) == 0
    lock.release()


def test_a_time_out_gives_the_block_up(a, b):
    b["b"] = 1
    with Holder(a):
        for inner in (False, True):
            begin = time.monotonic()
            with pytest.raises(TimeoutError) as caught, coheap.atomic(timeout=0.1):
                b["b"] = 2
                with pytest.raises(TimeoutError):
                    if inner:
                        with coheap.atomic(timeout=100):
                            a["a"] = 1
                    else:
                        a["a"] = 1
                with pytest.raises(TimeoutError):
                    b.get("b")
            assert isinstance(caught.value.__cause__, TimeoutError)
            assert 0.1 <= time.monotonic() - begin < 5
        with pytest.raises(TimeoutError), coheap.atomic(a, timeout=0):
            pass
        with coheap.atomic(b, timeout=0):
            b["b"] = 3
    assert b == {"b": 3}
    assert len(a) == 0


def test_the_time_out_counts_all_waits_but_no_work(heap, a, b):
    with Holder(a), pytest.raises(TimeoutError), coheap.atomic(timeout=0.2):
        # Work that takes longer than the time-out, which does not count it.
        time.sleep(0.3)
        b["b"] = 1
        begin = time.monotonic()
        try:
            a["a"] = 1
        finally:
            assert time.monotonic() - begin >= 0.2
    assert len(b) == 0
    for timeout in (-1, float("nan")):
        with pytest.raises(ValueError, match="non-negative"):
            coheap.atomic(timeout=timeout)
    with coheap.atomic(a, timeout=1e300):
        a["a"] = 1


def test_others_write_after_the_block_and_read_meanwhile(a):
    with Holder(a) as holder:
        assert a.get("a") is None
        writer = threading.Thread(target=a.__setitem__, args=("a", 1))
        writer.start()
        until_asleep(writer)
        assert len(a) == 0
        holder.may_go.set()
        writer.join(10)
    assert a == {"a": 1}


def test_a_decorated_function_runs_again_after_a_deadlock(a, b):
    runs = []

    def make(retries):
        @coheap.atomic(retries=retries)
        def swap(first, second, barrier):
            """Put into both."""
            runs.append(1)
            first["x"] = first.get("x", 0) + 1
            try:
                barrier.wait(0.2)
            except threading.BrokenBarrierError:
                pass
            second["x"] = second.get("x", 0) + 1
            return "done"

        return swap

    answers = []

    def run(swap, *arguments):
        try:
            answers.append(swap(*arguments))
        except coheap.DeadlockError as error:
            answers.append(error)

    for retries in (10, 0):
        runs.clear(), answers.clear(), a.clear(), b.clear()
        barrier = threading.Barrier(2)
        threads = [
            threading.Thread(target=run, args=(make(retries), *pair, barrier))
            for pair in ((a, b), (b, a))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        through = answers.count("done")
        assert through == (2 if retries else 1)
        assert len(runs) >= (3 if retries else 2)
        assert (a["x"], b["x"]) == (through, through)
    assert make(1).__doc__ == "Put into both."
    assert make(1).__name__ == "swap"


def test_a_decorated_function_is_one_block(a):
    @coheap.atomic
    def put(n, fail=False):
        a["n"] = n
        if fail:
            raise Undone
        return len(a)

    assert put(1) == 1
    with pytest.raises(Undone):
        put(2, fail=True)
    assert a == {"n": 1}
    with coheap.atomic():
        put(3)
        with pytest.raises(Undone):
            put(4, fail=True)
        assert a["n"] == 3

    @coheap.atomic(a, timeout=5)
    def recurse(n):
        a[n] = n
        return n and recurse(n - 1)

    recurse(5)
    assert len(a) == 7


def test_what_cannot_be_decorated_or_named_is_refused(a):
    async def coroutine():
        pass

    def generator():
        yield

    async def both():
        yield

    for function in (coroutine, generator, both):
        for decorate in (coheap.atomic, coheap.atomic(retries=1)):
            with pytest.raises(TypeError, match="after the block has ended"):
                decorate(function)
    for wrong in (5, "a", {}, None, a.name):
        with pytest.raises(TypeError, match="objects of a heap"):
            coheap.atomic(wrong)
        with pytest.raises(TypeError):
            coheap.atomic(a, wrong)
    with pytest.raises(TypeError, match="decorates a function"):
        coheap.atomic(retries=1)(5)
    with pytest.raises(TypeError, match="decorator"), coheap.atomic(retries=1):
        pass
    with pytest.raises(RuntimeError, match="open already"), coheap.atomic() as block, block:
        pass
    with pytest.raises(RuntimeError, match="left in another"):
        coheap.atomic().__exit__(None, None, None)

    async def inside():
        async with coheap.atomic():
            pass

    with pytest.raises(TypeError, match="use 'with'"):
        asyncio.run(inside())


def test_a_block_after_a_removed_object_or_a_closed_heap():
    heap = coheap.Heap(max_bytes=1 << 20)
    a = heap.dict("a")
    heap.remove("a")
    with coheap.atomic(), pytest.raises(coheap.ObjectGone):
        a["a"] = 1
    b = heap.dict("b")
    with pytest.raises(coheap.HeapClosed), coheap.atomic():
        b["b"] = 1
        heap.close()
        with pytest.raises(coheap.HeapClosed):
            b["b"] = 2
    with coheap.atomic(), pytest.raises(coheap.HeapClosed):
        b.get(1)


def test_a_name_is_removed_after_the_block(heap, a):
    with Holder(a):
        remover = threading.Thread(target=heap.remove, args=("a",))
        remover.start()
        until_asleep(remover)
    remover.join(10)
    until(lambda: heap.names() == [])


def test_a_decorated_function_waits_outside_and_runs_again(heap, a):
    jobs, lock = heap.work_queue("jobs"), heap.lock("lock")
    small = heap.work_queue("small", maxsize=1)
    runs = []

    def waits_for(wait):
        @coheap.atomic
        def function():
            runs.append(1)
            a["a"] = len(runs)
            return wait()

        runs.clear()
        begin = time.monotonic()
        answer = function()
        assert time.monotonic() - begin < 10
        assert len(runs) == 2
        assert a == {"a": 2}
        return answer

    once_asleep(lambda: jobs.put(7))
    assert waits_for(lambda: jobs.get().value) == 7
    assert (jobs.qsize(), jobs.leased()) == (0, 0)
    lock.acquire()
    once_asleep(lock.release)
    assert waits_for(lock.acquire)
    lock.release()
    small.put(1)
    once_asleep(lambda: small.get().ack())
    waits_for(lambda: small.put(2))
    assert small.qsize() == 1
    once_asleep(lambda: small.get().ack())
    waits_for(small.join)


def test_a_wait_of_a_decorated_function_that_is_never_over_is_told(heap, a):
    jobs, lock = heap.work_queue("jobs"), heap.lock("lock")

    def told(error, wait):
        @coheap.atomic(retries=2)
        def function():
            a["a"] = 1
            wait()

        with pytest.raises(error):
            function()
        assert len(a) == 0

    def twice():
        lock.acquire()
        lock.acquire()

    def put_and_join():
        jobs.put(1)
        jobs.join()

    told(coheap.Empty, lambda: jobs.get(timeout=0.05))
    told(coheap.WouldBlock, twice)
    told(coheap.WouldBlock, put_and_join)
    assert not lock.locked()
    assert jobs.qsize() == 0
    lock.acquire()
    told(TimeoutError, lambda: lock.acquire(timeout=0.05))
    with pytest.raises(coheap.WouldBlock), coheap.atomic():
        told(coheap.WouldBlock, lambda: jobs.get(timeout=10))
    lock.release()


def test_a_decorated_function_tells_of_a_dead_holder(heap, a, children):
    lock = heap.lock("lock")

    pid = children.fork(lambda: [lock.acquire(), signal.pause()])
    until(lock.locked)
    once_asleep(lambda: os.kill(pid, signal.SIGKILL))

    @coheap.atomic
    def function():
        a["a"] = 1
        with lock:
            a["b"] = 1

    with pytest.warns(coheap.OwnerDiedWarning, match=str(pid)):
        function()
    assert children.wait(pid) == -signal.SIGKILL
    assert a == {"a": 1, "b": 1}
