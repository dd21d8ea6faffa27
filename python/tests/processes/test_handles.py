"""Objects without a name: how long they live, and how handles to them travel.

What always holds: a test leaves no object behind, which `check` counts.
Not here: what the objects do.
"""

import gc
import multiprocessing
import os
import pickle
import signal
import threading
import time

import pytest
from conftest import until

import coheap

METHODS = ("fork", "spawn", "forkserver")


def objects(heap):
    gc.collect()
    return heap.check()["objects"]


def test_an_object_lives_as_long_as_somebody_refers_to_it(heap):
    d = heap.dict()
    d["a"] = 1
    items = iter(d.items())
    assert d.name is None
    assert objects(heap) == 1
    del d
    assert next(items) == ("a", 1)
    assert objects(heap) == 1
    del items
    assert objects(heap) == 0
    jobs, lock, number = heap.work_queue(), heap.lock(), heap.value("i", 7)
    jobs.put("job")
    lease = jobs.get()
    assert objects(heap) == 3
    del jobs
    assert objects(heap) == 3
    lease.ack()
    del lease, lock, number
    assert objects(heap) == 0
    assert heap.names() == []


def test_objects_in_the_default_heap():
    heap = coheap.default_heap()
    assert coheap.default_heap() is heap
    d = coheap.Dict({"a": 1}, b=2)
    assert d == {"a": 1, "b": 2}
    assert coheap.Dict([("x", 1)]) == {"x": 1}
    assert coheap.Dict() == {}
    assert coheap.Dict(d) == d
    assert coheap.Dict.fromkeys("ab", 0) == {"a": 0, "b": 0}
    assert coheap.Dict.fromkeys(["a"]) == {"a": None}
    with pytest.raises(TypeError, match="at most 1 argument"):
        coheap.Dict({}, {})
    with pytest.raises(TypeError, match="store a tuple"):
        coheap.Dict(a=[])
    queue = coheap.WorkQueue(1, max_attempts=2)
    queue.put(1)
    with pytest.raises(coheap.Full):
        queue.put(2, block=False)
    assert coheap.Value("d", 1.5).value == 1.5
    with coheap.Lock() as is_taken:
        assert is_taken
    other = coheap.Heap(max_bytes=1 << 20)
    coheap.set_default_heap(other)
    try:
        before = objects(other)
        e = coheap.Dict(c=3)
        assert objects(other) == before + 1
        assert (d["a"], e["c"]) == (1, 3)
    finally:
        coheap.set_default_heap(heap)


def test_a_handle_pickles_as_the_same_object(heap):
    for thing in (heap.dict(), heap.work_queue(), heap.lock(), heap.value("d", 0.5)):
        again = pickle.loads(pickle.dumps(thing))
        assert type(again) is type(thing)
        assert repr(again) == repr(thing)
    d = heap.dict()
    again = pickle.loads(pickle.dumps(d))
    again["a"] = 1
    assert d["a"] == 1
    named = heap.dict("named")
    again = pickle.loads(pickle.dumps(named))
    again["b"] = 2
    assert (named["b"], again.name) == (2, "named")
    assert pickle.loads(pickle.dumps(heap)).dict("named") == named


def test_what_is_gone_says_so(heap):
    named = heap.dict("named")
    late = pickle.dumps(named)
    heap.remove("named")
    heap.dict("named")["new"] = True
    with pytest.raises(coheap.ObjectGone, match=r'object "named".*removed'):
        pickle.loads(late)


def test_a_pickle_of_an_object_keeps_it_until_the_heap_is_closed():
    heap = coheap.Heap(max_bytes=1 << 20)
    d = heap.dict()
    late = pickle.dumps(d)
    del d
    again = pickle.loads(late)
    again["a"] = 1
    assert pickle.loads(late) == {"a": 1}
    heap.close()
    del again, heap
    gc.collect()
    with pytest.raises(coheap.ObjectGone):
        pickle.loads(late)


def test_a_damaged_pickle_is_refused(heap):
    d = heap.dict()
    function, (place, which) = d.__reduce__()
    at, generation, name, more = which
    assert function(place, which) == d
    for damaged in (
        (0, generation, name, more),
        (at + 8, generation, name, more),
        (at, generation + 1, name, more),
        (at, 0, name, more),
        (1 << 63, generation, name, more),
        (at, generation + 2, "name", more),
    ):
        with pytest.raises((coheap.ObjectGone, coheap.HeapCorrupt)):
            function(place, damaged)
    path, (first, second), *rest = place
    with pytest.raises(coheap.ObjectGone):
        function((path, (first ^ 1, second), 0, *rest[1:]), which)
    with pytest.raises(ValueError, match="tuple of length"):
        function(place, which[:2])


def count_down(counts, jobs, lock, number, heap, gate):
    gate.recv()
    while True:
        try:
            lease = jobs.get(block=False)
        except coheap.Empty:
            break
        with lease, lock:
            counts.increment(lease.value)
            number += 1
    heap.dict("seen").increment("workers")


@pytest.mark.parametrize("method", METHODS)
def test_handles_go_to_processes(method, heap):
    """Goal: handles as arguments; the parent's own are gone before the children begin."""
    context = multiprocessing.get_context(method)
    counts, jobs, lock, number = heap.dict(), heap.work_queue(), heap.lock(), heap.value("q")
    jobs.put_many(range(50))
    gates = [context.Pipe() for _ in range(2)]
    workers = [
        context.Process(target=count_down, args=(counts, jobs, lock, number, heap, child))
        for _, child in gates
    ]
    for worker in workers:
        worker.start()
    late = [pickle.dumps(thing) for thing in (counts, number)]
    del counts, jobs, lock, number
    gc.collect()
    for parent, _ in gates:
        parent.send("go")
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    counts, number = map(pickle.loads, late)
    assert counts == dict.fromkeys(range(50), 1)
    assert number.value == 50
    assert heap.dict("seen")["workers"] == 2


def receive_and_add(inbox, outbox):
    pickled = inbox.recv_bytes()
    # The sender has no handle any more, and nobody has opened this one yet.
    assert inbox.recv() == "dropped"
    _, (d, *_) = pickle.loads(pickled)["both"]
    d["seen by"] = os.getpid()
    outbox.send(d)
    assert inbox.recv() == "done"


@pytest.mark.parametrize("method", METHODS)
def test_handles_go_through_pipes_in_both_directions(method):
    """Goal: who inherited nothing finds the heap; the sender drops its handle at once."""
    context = multiprocessing.get_context(method)
    (ours, theirs), (out, back) = context.Pipe(), context.Pipe()
    child = context.Process(target=receive_and_add, args=(theirs, back))
    child.start()
    ours.send({"both": (1, [coheap.Dict(a=1)])})
    gc.collect()
    ours.send("dropped")
    again = out.recv()
    assert (again["a"], again["seen by"]) == (1, child.pid)
    ours.send("done")
    child.join(60)
    assert child.exitcode == 0


def put_a_dict(queue):
    queue.put(coheap.Dict(made="there"))
    queue.join()


@pytest.mark.parametrize("method", METHODS)
def test_handles_go_through_queues_of_both_kinds(method):
    context = multiprocessing.get_context(method)
    plain, jobs = context.JoinableQueue(), coheap.WorkQueue()
    children = [context.Process(target=put_a_dict, args=(queue,)) for queue in (plain, jobs)]
    for child in children:
        child.start()
    d = plain.get(timeout=60)
    assert d["made"] == "there"
    plain.task_done()
    with jobs.get(timeout=60) as lease:
        assert lease.value["made"] == "there"
    for child in children:
        child.join(60)
        assert child.exitcode == 0


def test_a_forked_child_keeps_what_its_parent_drops(heap, children):
    d = heap.dict()
    d["a"] = 1
    go = heap.dict("go")

    def use():
        until(lambda: "go" in go)
        assert d["a"] == 1

    child = children.fork(use)
    d = None
    gc.collect()
    assert objects(heap) == 2
    go["go"] = True
    assert children.wait(child) == 0
    assert objects(heap) == 1


def test_what_the_dead_referred_to_goes(heap, children):
    ready = heap.dict("ready")

    def hold():
        held = [heap.dict() for _ in range(100)]
        ready["held"] = len(held)
        signal.pause()

    child = children.fork(hold)
    until(lambda: "held" in ready)
    assert objects(heap) == 101
    children.kill(child)
    assert objects(heap) == 1


def test_a_hundred_thousand_handles_leave_nothing(heap):
    descriptors = len(os.listdir("/proc/self/fd"))
    used = []
    for _ in range(3):
        things = [heap.dict() for _ in range(50_000)] + [heap.lock() for _ in range(50_000)]
        assert objects(heap) == 100_000
        del things
        assert objects(heap) == 0
        used.append(heap.used_bytes)
    assert max(used) == used[0]
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_threads_make_and_drop_handles(heap):
    def work():
        for number in range(2_000):
            d = heap.dict()
            d["number"] = number
            assert pickle.loads(pickle.dumps(number)) == d["number"]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert objects(heap) == 0


def test_values_keep_what_they_refer_to(heap, children):
    """Goal: a container counts exactly what its values refer to, also when a process dies."""
    shelf = heap.dict("shelf")
    d = heap.dict()
    d["a"] = 1
    shelf["d"] = d
    shelf["both"] = (d, heap.work_queue())
    del d
    assert objects(heap) == 3
    assert shelf["d"]["a"] == 1
    shelf["d"] = None
    assert objects(heap) == 3
    popped, queue = shelf.pop("both")
    assert objects(heap) == 3
    assert popped["a"] == 1
    del popped, queue
    assert objects(heap) == 1

    def give():
        shelf["from the dead"] = coheap_child = heap.dict()
        coheap_child["b"] = 2
        os.kill(os.getpid(), 9)

    assert children.wait(children.fork(give)) == -9
    assert objects(heap) == 2
    assert shelf["from the dead"]["b"] == 2
    assert shelf.popitem()[1]["b"] == 2
    shelf.update({number: heap.dict() for number in range(10)})
    shelf.setdefault("x", heap.dict())
    shelf.compare_and_set("x", shelf["x"], heap.dict())
    assert objects(heap) == 12
    with pytest.raises(TypeError):
        shelf.update({"good": heap.dict(), "bad": [1]})
    shelf.clear()
    assert objects(heap) == 1


def test_jobs_keep_what_they_refer_to(heap):
    jobs = heap.work_queue("jobs", maxsize=1, max_attempts=1)
    jobs.put({"d": heap.dict()})
    with pytest.raises(coheap.Full):
        jobs.put({"d": heap.dict()}, block=False)
    assert objects(heap) == 2
    with jobs.get() as lease:
        lease.value["d"]["a"] = 1
        assert objects(heap) == 2
    del lease
    assert objects(heap) == 1
    jobs.put(heap.dict())
    jobs.get().nack()
    assert objects(heap) == 2
    assert jobs.failed()[0][0] == {}
    heap.remove("jobs")
    assert objects(heap) == 0


def test_blocks_keep_what_their_values_refer_to(heap):
    shelf = heap.dict("shelf")
    new = heap.dict()
    with pytest.raises(ZeroDivisionError), coheap.atomic():
        shelf["a"] = new
        1 / 0
    del new
    assert objects(heap) == 1
    new = heap.dict()
    with coheap.atomic():
        shelf["a"] = new
        shelf["b"] = (new, new)
        del shelf["a"]
    del new
    assert objects(heap) == 2
    assert shelf["b"] == ({}, {})
    with coheap.atomic():
        del shelf["b"]
    assert objects(heap) == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda shelf: shelf[4],
        lambda shelf: shelf.get_many(range(5)),
        lambda shelf: shelf.update_with("last", lambda last: last),
        lambda shelf: shelf.snapshot(),
        lambda shelf: shelf == {},
        lambda shelf: shelf | {},
        lambda shelf: list(shelf.values()),
        lambda shelf: list(shelf.items()),
        repr,
    ],
)
def test_values_that_others_replace_can_be_read(heap, children, read):
    shelf = heap.dict("shelf")
    shelf.update({n: heap.dict() for n in range(5)})
    shelf["last"] = (heap.dict(),)

    def replace():
        while True:
            for n in range(5):
                shelf[n] = heap.dict()

    pid = children.fork(replace)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        assert read(shelf) is not None
    children.kill(pid)


@pytest.mark.parametrize("name", [None, "inner"])
def test_handles_work_in_a_heap_whose_name_is_gone(tmp_path, name):
    context = multiprocessing.get_context("spawn")
    with coheap.open("shelf", folder=tmp_path, max_bytes=1 << 20) as heap:
        shelf, jobs = heap.dict("shelf"), heap.work_queue("jobs")
        shelf["inner"] = heap.dict(name)
        shelf["inner"]["a"] = 1
        jobs.put(shelf["inner"])
        early = pickle.dumps(shelf)
        heap.unlink()
        assert shelf["inner"]["a"] == 1
        assert pickle.loads(early) == shelf
        assert pickle.loads(pickle.dumps(heap)).dict("shelf") == shelf
        with jobs.get() as lease:
            assert lease.value == shelf["inner"]
        child = context.Process(target=set_b, args=(shelf,))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert shelf.snapshot()["inner"].snapshot() == {"a": 1, "b": 2}


def set_b(shelf):
    shelf["inner"]["b"] = 2


def test_handles_work_from_another_folder(tmp_path, monkeypatch):
    (tmp_path / "heaps").mkdir()
    monkeypatch.chdir(tmp_path)
    with coheap.open("shelf", folder="heaps", max_bytes=1 << 20, temporary=True) as heap:
        shelf = heap.dict("shelf")
        shelf["inner"] = heap.dict("inner")
        kept = pickle.dumps(shelf)
        monkeypatch.chdir("/")
        assert shelf["inner"] == heap.dict("inner")
        assert pickle.loads(kept) == shelf
    assert list((tmp_path / "heaps").iterdir()) == []
