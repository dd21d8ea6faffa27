"""Objects that go round in circles through coheap, without an end of their own.

Goal: whoever recurses gets `RecursionError`, on the main thread and on others, and the heap is as
it was; the interpreter does not run out of stack.
Method: special methods that repeat, without a limit, the very call that ran them.
"""

import contextlib
import pickle
import sys
import threading

import pytest

import coheap


class Stores:
    """Pickles itself by storing itself."""

    target = None

    def __reduce__(self):
        self.target(self)
        return (Stores, ())


class Loads:
    """Is loaded by loading itself."""

    target = None

    def __reduce__(self):
        return (Loads, (), {"state": 1})

    def __setstate__(self, state):
        self.target()


class Counts:
    """Becomes a number by counting with itself."""

    target = None

    def __index__(self):
        return self.target(self)

    def __float__(self):
        return self.target(self)

    def __radd__(self, other):
        return self.target(self)


class Nests:
    """Pickles as one that holds another such, for ever."""

    def __reduce__(self):
        return (Nests, (Nests(),))


def storing(heap):
    d, jobs = heap.dict("d"), heap.work_queue("jobs")
    yield lambda: d.__setitem__("x", Stores()), lambda evil: d.__setitem__("x", evil)
    yield lambda: d.update(x=1, y=Stores()), lambda evil: d.update(x=1, y=evil)
    yield lambda: d.setdefault("x", Stores()), lambda evil: d.setdefault("x", evil)
    yield (
        lambda: d.compare_and_set("a", 1, Stores()),
        lambda evil: d.compare_and_set("a", 1, evil),
    )
    yield lambda: jobs.put(Stores()), jobs.put
    yield lambda: jobs.put_many([1, Stores()]), lambda evil: jobs.put_many([1, evil])
    yield lambda: d.__setitem__("x", (Stores(),)), lambda evil: d.__setitem__("x", (evil,))


def counting(heap):
    d, value = heap.dict("d"), heap.value("d", name="value")
    yield lambda: d.increment("n", Counts()), lambda evil: d.increment("n", evil)
    yield lambda: d.increment_many({"n": Counts()}), lambda evil: d.increment_many({"n": evil})
    yield lambda: value.add(Counts()), value.add
    yield lambda: value.set(Counts()), value.set
    yield lambda: value.compare_exchange(0, Counts()), lambda evil: value.compare_exchange(0, evil)


def update_with_itself(heap):
    d = heap.dict("d")

    def again(old):
        return d.update_with("a", again)

    return again


def here(call):
    call()


def on_a_thread(call):
    raised = []

    def run():
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


@pytest.fixture
def world(heap):
    heap.dict("d")["a"] = 1
    heap.work_queue("jobs").put("job")
    before = picture(heap)
    yield heap
    assert picture(heap) == before


def picture(heap):
    """All that the objects hold."""
    return (
        list(heap.dict("d").items()),
        heap.work_queue("jobs").qsize(),
        heap.work_queue("jobs").leased(),
        heap.value("d", name="value").get(),
    )


@pytest.mark.parametrize("where", [here, on_a_thread])
@pytest.mark.parametrize(("kind", "ways"), [(Stores, storing), (Counts, counting)])
def test_storing_and_counting_without_end(world, kind, ways, where):
    for call, again in ways(world):
        kind.target = staticmethod(again)
        with pytest.raises(RecursionError):
            where(call)
        world.check()


@pytest.mark.parametrize("where", [here, on_a_thread])
def test_loading_without_end(heap, where):
    d, jobs = heap.dict("d"), heap.work_queue("jobs")
    d["x"] = Loads()
    jobs.put(Loads())
    for again in (
        lambda: d["x"],
        lambda: d.get("x"),
        lambda: list(d.items()),
        lambda: d.get_many(["x"]),
        d.snapshot,
        lambda: d.pop("x"),
        d.popitem,
        lambda: d.update_with("x", lambda old: old),
    ):
        Loads.target = staticmethod(again)
        with pytest.raises(RecursionError):
            where(again)
        heap.check()
        assert "x" in d

    def get():
        jobs.get(block=False)

    Loads.target = staticmethod(get)
    # A job that is on lease is not there for the next.
    with pytest.raises(coheap.Empty):
        where(get)
    heap.check()

    Loads.target = staticmethod(lambda: None)
    assert isinstance(d["x"], Loads)
    assert jobs.leased() == 0
    with jobs.get(block=False) as job:
        assert isinstance(job.value, Loads)


@pytest.mark.parametrize("where", [here, on_a_thread])
def test_changing_and_nesting_without_end(world, where):
    d, jobs = world.dict("d"), world.work_queue("jobs")
    again = update_with_itself(world)
    for call in (
        lambda: d.update_with("a", again),
        lambda: d.__setitem__("x", Nests()),
        lambda: jobs.put((1, Nests())),
    ):
        with pytest.raises(RecursionError):
            where(call)
        world.check()


def test_a_value_that_is_too_deep_for_pickle_changes_nothing(world):
    deep = None
    for _ in range(100_000):
        deep = (deep,)
    with pytest.raises(RecursionError):
        pickle.dumps(deep)
    for call in (
        lambda: world.dict("d").__setitem__("x", deep),
        lambda: world.work_queue("jobs").put(deep),
    ):
        with pytest.raises(RecursionError):
            call()
    while deep:
        (deep,) = deep


class Undo(Exception):
    """Undoes the block it is raised in."""


@pytest.mark.parametrize("through_c", [False, True])
def test_nothing_leaves_a_block_near_the_limit(heap, through_c):
    dicts = [heap.dict() for _ in range(300)]
    jobs = heap.work_queue()
    reached = 0

    def go_on(n):
        nonlocal reached
        reached = n
        jobs.put(n)
        dicts[n % len(dicts)]["x"] = n
        if through_c:
            list(map(go_on, (n + 1,)))
        else:
            go_on(n + 1)

    before = sys.getrecursionlimit()
    # The limit of 3.12 for calls from C is one of its own, and lower than this.
    sys.setrecursionlimit(100_000 if through_c and sys.version_info >= (3, 12) else before)
    try:
        with pytest.raises(Undo), coheap.atomic():
            with contextlib.suppress(RecursionError):
                go_on(0)
            raise Undo
    finally:
        sys.setrecursionlimit(before)
    assert reached > 50
    assert [len(d) for d in dicts] == [0] * len(dicts)
    assert jobs.empty()


def test_blocks_end_at_the_limit_as_functions_do(heap):
    counts = heap.dict()

    def go_on(n):
        with coheap.atomic():
            counts[n] = 1
            go_on(n + 1)

    with pytest.raises(RecursionError):
        go_on(0)
    assert len(counts) == 0
    with coheap.atomic():
        counts["after"] = 1
    assert len(counts) == 1
