"""Who is on the thread, or in the process, but not in the block.

Goal: other threads, tasks, collected finalizers and forked children are outside: they see nothing
of the block, and are not undone with it; what lets them in, such as an await, is refused.
Method: blocks with each of them inside, running while the block is open.
"""

import contextlib
import asyncio
import contextvars
import gc
import os
import signal
import threading
import weakref

import pytest

import coheap


class Undone(Exception):
    """Ends a block without its changes."""


@pytest.fixture
def a(heap):
    return heap.dict("a")


@pytest.fixture
def b(heap):
    return heap.dict("b")


def test_each_thread_has_a_block_of_its_own(heap, a, b):
    barrier, seen = threading.Barrier(2), []

    def run(own, name):
        with coheap.atomic():
            own[name] = 1
            barrier.wait(10)
            seen.append(len(own))
            barrier.wait(10)

    threads = [threading.Thread(target=run, args=pair) for pair in ((a, "x"), (b, "y"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == [1, 1]
    assert (a, b) == ({"x": 1}, {"y": 1})


def test_a_thread_begun_inside_is_outside(a, b):
    with pytest.raises(Undone), coheap.atomic():
        a["a"] = 1
        thread = threading.Thread(target=b.__setitem__, args=("b", 1))
        thread.start()
        thread.join(10)
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(b.__setitem__, "c", 1))
        thread.start()
        thread.join(10)
        raise Undone
    assert (len(a), b) == (0, {"b": 1, "c": 1})


def test_another_context_is_outside_and_meets_the_locks(heap, a, b):
    value, lock = heap.value("q", name="value"), heap.lock("lock")

    def outside():
        assert a.get("a") is None
        assert len(a) == 0
        b["b"] = 1
        for use in (lambda: a.update(x=1), lambda: a.clear(), lambda: value.add(1)):
            with pytest.raises(RuntimeError, match="outside of the block"):
                use()
        with pytest.raises(RuntimeError, match="another block"), coheap.atomic():
            pass
        with lock:
            pass
        assert not lock.locked()

    with pytest.raises(Undone), coheap.atomic():
        a["a"] = 1
        value.set(1)
        contextvars.Context().run(outside)
        assert a["a"] == 1
        raise Undone
    assert (len(a), value.get(), b) == (0, 0, {"b": 1})


def test_an_await_inside_is_refused(a, b):
    async def first(how):
        with coheap.atomic():
            a["a"] = 1
            await how()
            with pytest.raises(RuntimeError, match="await"):
                a["b"] = 1

    async def second():
        while not done:
            await asyncio.sleep(0)
            b["n"] = b.get("n", 0) + 1
            has_run.set()
            a["second"] = 1

    async def both(how):
        task = asyncio.create_task(second())
        with pytest.raises(RuntimeError, match="suspended by an await"):
            await first(how)
        done.append(1)
        await task

    has_run = threading.Event()
    ways = [
        lambda: asyncio.sleep(0),
        lambda: asyncio.sleep(0.01),
        lambda: asyncio.create_task(asyncio.sleep(0)),
        lambda: asyncio.to_thread(has_run.wait, 10),
    ]
    for how in ways:
        done = []
        has_run.clear()
        a.clear()
        asyncio.run(both(how))
        assert a in ({"second": 1}, {})
    assert b["n"] > 0


def test_an_await_that_does_not_suspend_lets_nobody_in(a):
    """Goal: what is refused is the suspension. An await whose result is there goes on at once.

    From Python 3.14 on that may be so for `asyncio.to_thread`, too.
    """

    async def at_once():
        a["at once"] = 1

    async def main():
        task = asyncio.create_task(at_once())
        answered = asyncio.get_running_loop().create_future()
        answered.set_result(1)
        with coheap.atomic():
            a["a"] = await answered
            assert len(a) == 1
            await at_once()
            a["b"] = 2
            assert not task.done()
        await task

    asyncio.run(main())
    assert a == {"a": 1, "at once": 1, "b": 2}


def test_a_task_made_inside_a_suspended_block_does_nothing_in_it(a):
    async def other():
        # It has the block's mark, so it is told what became of the block.
        with pytest.raises(RuntimeError, match="await"):
            a["other"] = 1
        told.append(True)

    async def main():
        with pytest.raises(RuntimeError, match="await"), coheap.atomic():
            a["a"] = 1
            await asyncio.create_task(other())

    told = []
    asyncio.run(asyncio.wait_for(main(), 10))
    assert told
    assert len(a) == 0


def test_blocks_in_tasks_work_without_an_await(a):
    async def move(n):
        for _ in range(50):
            with coheap.atomic():
                a["n"] = a.get("n", 0) + n
                with coheap.atomic():
                    a["m"] = a.get("m", 0) - n
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*(move(n) for n in range(5)))

    asyncio.run(main())
    assert (a["n"], a["m"]) == (500, -500)
    with coheap.atomic():
        asyncio.run(main())
        assert a["n"] == 1000
    assert (a["n"], a["m"]) == (1000, -1000)


def test_a_block_in_a_generator_is_its_caller_s(a):
    def steps():
        with coheap.atomic():
            a["a"] = 1
            yield
            a["b"] = 1

    for _ in steps():
        a["caller"] = 1
    assert a == {"a": 1, "caller": 1, "b": 1}
    generator = steps()
    next(generator)
    a["caller"] = 2
    with pytest.warns(RuntimeWarning, match="closed or dropped at"):
        generator.close()
    assert a["caller"] == 1


def test_a_generator_that_is_closed_in_a_block_says_where(a):
    def available():
        with coheap.atomic():
            yield from "xyz"

    def first():
        for key in available():
            a[key] = 1
            break

    def dropped():
        generator = available()
        next(generator)
        a["dropped"] = 1
        del generator

    for call in (first, dropped):
        with pytest.warns(RuntimeWarning) as caught:
            call()
        (warning,) = caught
        lines = {call.__code__.co_firstlineno + number for number in range(6)}
        assert warning.filename == __file__
        assert warning.lineno in lines
        line = available.__code__.co_firstlineno + 2
        assert f"'available', suspended in a block of coheap.atomic at {__file__}:{line}" in str(
            warning.message
        )
        assert dict(a) == {}


def test_a_context_manager_may_have_its_block(a):
    @contextlib.contextmanager
    def block():
        with coheap.atomic():
            yield a

    with block() as inside:
        inside["a"] = 1
    with pytest.raises(KeyError), block() as inside:
        inside["a"] = 2
        raise KeyError
    with contextlib.ExitStack() as stack:
        stack.enter_context(block())["b"] = 3
    assert a == {"a": 1, "b": 3}


def test_blocks_that_end_in_the_wrong_order_are_refused(a):
    def steps():
        with coheap.atomic():
            yield

    generator = steps()
    with pytest.raises(RuntimeError, match="inside it was open"), coheap.atomic():
        a["a"] = 1
        next(generator)
    with pytest.raises(RuntimeError, match="another thread or context"):
        next(generator)


def test_a_block_left_in_another_thread_is_refused_in_both(a):
    def steps():
        with coheap.atomic():
            yield

    def leave():
        with pytest.raises(RuntimeError, match="another thread or context"):
            generator.close()
        told.append(True)

    for goes_on in (True, False):
        told = []
        generator = steps()
        next(generator)
        a["b"] = 1
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join(10)
        assert told
        if goes_on:
            with pytest.raises(RuntimeError, match="another thread or context"):
                a["c"] = 1
            assert len(a) == 0
        with coheap.atomic():
            a["d"] = 1
        assert a == {"d": 1}
        a.clear()


def test_a_block_left_in_another_context_is_refused(a):
    def steps():
        with coheap.atomic():
            a["a"] = 1
            yield

    generator = steps()
    contextvars.Context().run(next, generator)
    with pytest.raises(RuntimeError, match="another thread or context"):
        next(generator)
    a["b"] = 1
    with coheap.atomic():
        a["c"] = 1
    assert a == {"b": 1, "c": 1}


def test_a_block_that_nobody_will_leave_is_undone(a):
    block = coheap.atomic()
    block.__enter__()
    a["a"] = 1
    del block
    assert len(a) == 0
    with coheap.atomic():
        a["b"] = 1
    assert a == {"b": 1}


def test_an_inner_block_that_nobody_will_leave_is_undone_alone(heap, a):
    lock = heap.lock("lock")
    with coheap.atomic():
        a["a"] = 1
        inner = coheap.atomic(lock)
        inner.__enter__()
        a["b"] = 1
        del inner
        assert a == {"a": 1}
        a["c"] = 1
    assert a == {"a": 1, "c": 1}
    # What a block lets go is let go when the outermost one ends.
    assert not lock.locked()


class Circle:
    """Something that only the collector can end."""

    def __init__(self, end):
        self.end, self.itself = end, self

    def __del__(self):
        self.end()


def test_a_finalizer_that_the_collector_runs_is_outside(a, b):
    said = []

    def end():
        b["finalized"] = a.get("a", "nothing")
        try:
            a["finalized"] = 1
        except RuntimeError as error:
            said.append(str(error))
        try:
            with coheap.atomic():
                pass
        except RuntimeError as error:
            said.append(str(error))

    with pytest.raises(Undone), coheap.atomic():
        a["a"] = 1
        Circle(end)
        gc.collect()
        assert a["a"] == 1
        raise Undone
    assert (len(a), b) == (0, {"finalized": "nothing"})
    assert "outside of the block" in said[0]
    assert "another block" in said[1]


def test_a_callback_of_a_collected_reference_is_outside(a, b):
    with pytest.raises(Undone), coheap.atomic():
        a["a"] = 1
        circle = Circle(lambda: None)
        reference = weakref.ref(circle, lambda _: b.__setitem__("called", len(a)))
        del circle
        gc.collect()
        raise Undone
    assert reference() is None
    assert (len(a), b) == (0, {"called": 0})


def test_a_finalizer_of_the_blocks_own_is_its_code(a):
    class Own:
        def __del__(self):
            a["own"] = 1

    with pytest.raises(Undone), coheap.atomic():
        own = Own()
        del own
        assert a == {"own": 1}
        raise Undone
    assert len(a) == 0


def test_a_signal_handler_is_the_blocks_code_unless_it_has_a_context(a, b):
    def handler(*_):
        a["handler"] = 1
        contextvars.Context().run(b.__setitem__, "apart", 1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(Undone), coheap.atomic():
            signal.raise_signal(signal.SIGUSR1)
            assert a == {"handler": 1}
            raise Undone
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (len(a), b) == (0, {"apart": 1})


def test_a_child_forked_inside_can_do_nothing_until_it_leaves(heap, a, b, children):
    jobs, lock = heap.work_queue("jobs"), heap.lock("lock")
    jobs.put(1)

    def refused(use):
        with pytest.raises(RuntimeError, match="forked inside"):
            use()

    def child():
        for use in (
            lambda: a.get("a"),
            lambda: b.update(x=1),
            lambda: len(b),
            lambda: list(a),
            lambda: jobs.put(1),
            lambda: jobs.get(),
            lease.ack,
            lock.acquire,
            lock.release,
            coheap.atomic().__enter__,
        ):
            refused(use)

    with coheap.atomic():
        a["a"] = 1
        lease = jobs.get()
        lock.acquire()
        pid = os.fork()
        if pid == 0:
            children.run(child)
        children.pids.add(pid)
        assert children.wait(pid) == 0
        assert a["a"] == 1
        assert lock.locked()
    assert (a["a"], jobs.leased(), lock.locked()) == (1, 0, True)
    lock.release()


@pytest.mark.parametrize("ending", [None, Undone, SystemExit])
def test_a_forked_child_that_leaves_the_block_goes_on_by_itself(heap, a, b, children, ending):
    lock = heap.lock("lock")
    pid = None
    try:
        with coheap.atomic():
            a["a"] = 1
            lock.acquire()
            pid = os.fork()
            if pid == 0 and ending:
                raise ending
            if pid != 0:
                children.pids.add(pid)
                assert children.wait(pid) == 0
    except BaseException as error:
        if pid == 0:
            is_expected = type(error) is (ending or RuntimeError)
            code = 1
            try:
                assert is_expected
                b["child"] = len(a)
                with coheap.atomic():
                    b["block"] = 1
                code = 0
            finally:
                os._exit(code)
        raise
    assert pid != 0
    assert (a, b) == ({"a": 1}, {"child": 0, "block": 1})
    lock.release()


def test_a_child_forked_in_a_block_of_another_heap_is_refused_all_the_same(heap, a, children):
    def child():
        with pytest.raises(RuntimeError, match="forked inside"):
            a["child"] = 1

    with coheap.atomic():
        assert children.wait(children.fork(child)) == 0
        a["a"] = 1
    assert a == {"a": 1}


async def later(d):
    d["x"] = 1


def later_too(d):
    d["x"] = 1
    yield


async def later_still(d):
    d["x"] = 1
    yield


@pytest.mark.parametrize("function", [later, later_too, later_still])
def test_what_would_run_after_the_block_is_refused(heap, function):
    d = heap.dict()
    with pytest.raises(TypeError, match="after the block has ended"):
        coheap.atomic(function)

    def hidden():
        d["before"] = 1
        result = function(d)
        leftovers.append(result)
        return result

    leftovers = []
    with pytest.raises(TypeError, match="after the block has ended"):
        coheap.atomic(hidden)()
    assert len(d) == 0
    if function is later:
        leftovers[0].close()
