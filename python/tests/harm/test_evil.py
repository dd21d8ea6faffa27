"""Objects that do their worst wherever Python lets them: nothing hangs, and nothing breaks.

Goal: user code that runs while something is stored, loaded, compared or dropped may raise, recurse,
fork, close, collect garbage or call back into the same object.
Method: one class does one of these from each of its special methods; every way of the API meets
it; afterwards the heap is whole and works.
"""

import contextlib
import copy
import gc
import os
import warnings

import pytest

import coheap


class World:
    """A heap with one object of each kind."""

    def __init__(self, heap: coheap.Heap) -> None:
        self.heap = heap
        self.dict = heap.dict("dict")
        self.jobs = heap.work_queue("jobs")
        self.lock = heap.lock("lock")
        self.value = heap.value("q", name="value")
        # What `Manager().dict()` gives.
        self.copies = heap.dict("copies", copies=True)

    def use(self):
        """Use everything once."""
        self.dict.increment("uses")
        self.dict.get_many(["uses"])
        list(self.dict.keys())
        self.jobs.put("job")
        # A block sees no job that it put itself.
        with contextlib.suppress(coheap.Empty):
            self.jobs.get(block=False).ack()
        with contextlib.ExitStack() as stack:
            if self.lock.acquire(block=False):
                stack.callback(self.lock.release)
        self.value.add(1)
        self.heap.names()


def fork(world):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def recurse(world):
    raise RecursionError("too deep")


def collect(world):
    gc.collect()


def call_back(world):
    world.use()


def fail(world):
    raise ZeroDivisionError("evil")


class Evil:
    """Does `deed` from everything, but not from within itself."""

    deed = None
    world = None
    is_busy = False

    @classmethod
    def act(cls):
        if cls.deed and not cls.is_busy:
            cls.is_busy = True
            try:
                cls.deed(cls.world)
            finally:
                cls.is_busy = False

    def __reduce__(self):
        self.act()
        return (Evil, ())

    def __init__(self):
        self.act()

    def __eq__(self, other):
        self.act()
        return isinstance(other, Evil)

    def __hash__(self):
        self.act()
        return 7

    def __repr__(self):
        self.act()
        return "evil"

    def __index__(self):
        self.act()
        return 3

    def __float__(self):
        self.act()
        return 3.0

    def __del__(self):
        if Evil.deed not in (fail, recurse):
            self.act()


class EvilStr(str):
    __slots__ = ()

    def __eq__(self, other):
        Evil.act()
        return str.__eq__(self, other)

    def __hash__(self):
        Evil.act()
        return str.__hash__(self)


class EvilMapping:
    def keys(self):
        Evil.act()
        return ["a", "b"]

    def __getitem__(self, key):
        Evil.act()
        return Evil()


def ways(world, evil):
    """Every way in which user code meets the API."""
    d, jobs, value = world.dict, world.jobs, world.value
    yield lambda: d.__setitem__("x", evil)
    yield lambda: d.__setitem__("x", (1, (evil, frozenset([evil]))))
    yield lambda: world.copies.__setitem__("x", (1, [evil, {evil: evil}, {evil}, frozenset([evil])]))
    yield lambda: d.__setitem__(evil, evil)
    yield lambda: d.get_or_compute(evil, lambda: (evil, evil))
    yield lambda: d.get_or_compute("w", Evil)
    yield lambda: d.copy_of("x")
    yield lambda: d.pop(evil)
    yield lambda: d["x"]
    yield lambda: d.get("x", evil)
    yield lambda: d.setdefault("y", evil)
    yield lambda: d.update({"x": evil, "y": evil}, z=evil)
    yield lambda: d.update((key, evil) for key in ("x", EvilStr("y")))
    yield lambda: d.update(EvilMapping())
    yield lambda: d.__ior__(EvilMapping())
    yield lambda: d.increment("n", evil)
    yield lambda: d.increment_many({"n": evil, EvilStr("m"): evil})
    yield lambda: d.update_with("x", lambda old: (old, evil))
    yield lambda: d.update_with("x", lambda old: Evil.act() or old, evil)
    yield lambda: d.compare_and_set("x", evil, evil)
    yield lambda: d.compare_and_set(EvilStr("x"), d["x"], evil)
    yield lambda: d.get_many([EvilStr("x"), "y"])
    yield lambda: d == {"x": evil}
    yield lambda: d == d.snapshot()
    yield lambda: d | {"x": evil}
    yield lambda: {evil: 1} | d
    yield lambda: list(d.items())
    yield lambda: list(d.values())
    yield lambda: evil in d.values()
    yield lambda: ("x", evil) in d.items()
    yield lambda: d.keys() & {EvilStr("x"), "y"}
    yield lambda: d.items() & {("x", evil)}
    yield lambda: repr(d)
    yield lambda: evil in d
    yield lambda: d[evil]
    yield lambda: d.pop(EvilStr("x"), evil)
    yield lambda: d.popitem()
    yield lambda: jobs.put(evil)
    yield lambda: jobs.put_many([evil, (evil,)])
    yield lambda: jobs.put_many(iter([evil]))
    yield lambda: jobs.get(timeout=evil)
    yield lambda: jobs.get_many(evil, False)
    yield lambda: repr(jobs.get(False))
    yield lambda: jobs.join(timeout=evil) if not jobs.qsize() else None
    yield lambda: value.set(evil)
    yield lambda: value.add(evil)
    yield lambda: value.compare_exchange(evil, evil)
    yield lambda: value.__iadd__(evil)
    yield lambda: world.heap.value("d", evil, name=EvilStr("real")).add(evil)
    yield lambda: world.lock.acquire(timeout=evil) and world.lock.release()
    yield lambda: world.heap.dict(EvilStr("dict"))
    yield lambda: coheap.atomic(lambda: d.update(x=evil, y=d.get("x")))()
    yield lambda: coheap.atomic(lambda: (d.__setitem__("x", evil), jobs.put(evil)))()
    yield lambda: coheap.atomic(lambda: (jobs.get(False).ack(), d.popitem(), value.add(evil)))()
    yield lambda: coheap.atomic(evil)
    yield lambda: coheap.atomic(d, timeout=evil)
    yield lambda: world.copies.update(x=[evil], y={EvilStr("a"): evil})
    yield lambda: world.copies.setdefault("z", [evil]).append(evil)
    yield lambda: world.copies.pop("x") == [evil]
    yield lambda: copy.copy(d)
    yield lambda: copy.deepcopy([d])


@pytest.mark.parametrize("deed", [call_back, collect, fail, recurse, fork])
def test_evil_objects_do_no_harm(heap, deed):
    world = Evil.world = World(heap)
    allowed = (ZeroDivisionError, RecursionError, KeyError, TypeError, coheap.Empty)
    try:
        Evil.deed = None
        evil = Evil()
        count = len(list(ways(world, evil)))
        for number in range(count):
            Evil.deed = None
            way = list(ways(world, evil))[number]
            Evil.deed = staticmethod(deed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with contextlib.suppress(*allowed):
                    way()
            Evil.deed = None
            heap.check()
    finally:
        Evil.deed = None
    world.use()
    assert world.dict["uses"] >= 1
    assert not world.lock.locked()
    del evil
    gc.collect()


def test_a_heap_that_is_closed_meanwhile_is_closed(heap):
    class Closes:
        def __reduce__(self):
            heap.close()
            return (int, ())

    d = heap.dict("d")
    d["a"] = 1
    for call in (lambda: d.__setitem__("x", Closes()), lambda: d.update(a=Closes(), b=1)):
        with pytest.raises(coheap.HeapClosed):
            call()


def test_an_object_that_is_removed_meanwhile_is_gone(heap):
    d = heap.dict("d")

    class Removes:
        def __reduce__(self):
            heap.remove("d")
            return (int, ())

    with pytest.raises(coheap.ObjectGone):
        d["x"] = Removes()
    assert heap.names() == []


def test_handles_and_leases_leave_nothing_behind(heap):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    def use():
        for _ in range(1000):
            heap.dict("d")["a"] = 1
            heap.lock("l")
            heap.value("q", name="v")
            jobs = heap.work_queue("q")
            jobs.put((1, "x" * 50))
            jobs.get().ack()

    use()
    before, used = descriptors(), heap.used_bytes
    for _ in range(10):
        use()
    assert descriptors() == before
    assert heap.used_bytes <= used + (64 << 10)
