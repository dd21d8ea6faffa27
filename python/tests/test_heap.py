"""Opening, naming, closing, and what a heap says of itself.

Goal: a heap is found by its name and by nobody who should not; what is closed or gone says so.
Method: heaps in a folder of the test, other programs, forked children.
"""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import weakref

import pytest
from conftest import until_asleep

import coheap


@pytest.fixture
def name():
    """A name that no heap of another test has."""
    return f"pytest-{os.getpid()}"


def test_a_named_heap_is_found_by_others(name, tmp_path):
    with coheap.open(name, folder=tmp_path, max_bytes=1 << 20) as heap:
        heap.dict("d")["a"] = (1, "x")
        code = (
            "import coheap, sys\n"
            "with coheap.open(sys.argv[1], folder=sys.argv[2], create=False) as heap:\n"
            "    assert heap.names() == ['d'] and heap.max_bytes == 1 << 20\n"
            "    assert heap.dict('d')['a'] == (1, 'x')\n"
            "    heap.dict('d')['b'] = 2\n"
        )
        subprocess.run([sys.executable, "-c", code, name, str(tmp_path)], check=True, timeout=60)
        assert heap.dict("d")["b"] == 2
        assert heap.name == name
        heap.unlink()
    assert os.listdir(tmp_path) == []


def test_a_heap_that_is_not_there_can_be_asked_not_to_be_made(name, tmp_path):
    with pytest.raises(FileNotFoundError, match="create=True"):
        coheap.open(name, create=False, folder=tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_temporary_heap_goes_with_its_last_member(name, tmp_path):
    with coheap.open(name, temporary=True, folder=tmp_path, max_bytes=1 << 20):
        assert os.listdir(tmp_path)
    assert os.listdir(tmp_path) == []


ENDS = {
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "_exit": "os._exit(0)",
    "an exception": "1 / 0",
    "forked children": (
        "p = multiprocessing.get_context('fork').Process(target=d.increment, args=('runs',))\n"
        "p.start()\np.join()"
    ),
    "the end": "",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_temporary_heap_is_fresh_however_the_last_process_ended(end, name, tmp_path):
    code = (
        "import coheap, multiprocessing, os, signal, sys\n"
        "d = coheap.open(sys.argv[1], folder=sys.argv[2], temporary=True, max_bytes=1 << 20).dict('d')\n"
        "print(d.increment('runs'), flush=True)\n"
    )
    for _ in range(3):
        command = [sys.executable, "-c", code + ENDS[end], name, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == "1\n", done.stderr
    with coheap.open("other", folder=tmp_path, temporary=True, max_bytes=1 << 20):
        assert len(os.listdir(tmp_path)) == 3
    assert os.listdir(tmp_path) == []


def test_options_that_an_existing_heap_does_not_have_are_a_warning(name, tmp_path):
    options = {"folder": tmp_path, "temporary": True}
    with coheap.open(name, max_bytes=1 << 20, pickle=False, **options) as heap:
        # What is the same, also rounded up, or not said, is no difference.
        coheap.open(name, pickle=False, **options)
        coheap.open(name, max_bytes=(1 << 20) - 5, pickle=False, **options)
        with pytest.warns(UserWarning, match="max_bytes=1048576, .* max_bytes=2097152; it keeps"):
            same = coheap.open(name, max_bytes=2 << 20, pickle=False, **options)
        assert same.max_bytes == 1 << 20
        with pytest.warns(UserWarning, match="pickle=False, .* pickle=True; what it is opened with"):
            coheap.open(name, **options)
        heap.work_queue("jobs", maxsize=3, max_attempts=2)
        heap.work_queue("jobs")
        heap.work_queue("jobs", maxsize=3, max_attempts=2)
        with pytest.warns(UserWarning, match='"jobs".*maxsize=3, .* maxsize=4; it keeps'):
            heap.work_queue("jobs", maxsize=4)
        with pytest.warns(UserWarning, match="maxsize=3, .* maxsize=0"):
            heap.work_queue("jobs", maxsize=0)
        with pytest.warns(UserWarning, match="max_attempts=2, .* max_attempts=7"):
            heap.work_queue("jobs", max_attempts=7)
        heap.work_queue("free")
        with pytest.warns(UserWarning, match="max_attempts=None, .* max_attempts=1"):
            heap.work_queue("free", max_attempts=1)


def run(code: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of its own, which must succeed."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_a_limit_of_the_address_space_names_max_bytes():
    code = (
        "import coheap, resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "try:\n"
        "    coheap.Heap(max_bytes=8 << 30)\n"
        "except OSError as error:\n"
        "    print(error.errno, error)\n"
    )
    done = run(code)
    assert done.stdout.startswith("12 "), done
    assert "`max_bytes` of 8589934592" in done.stdout


def test_no_private_memory_is_a_memory_error_and_loses_nothing():
    code = (
        "import coheap, resource\n"
        "heap = coheap.Heap(max_bytes=512 << 20)\n"
        "d, jobs = heap.dict('d'), heap.work_queue('jobs')\n"
        "d['k'] = bytes(64 << 20)\n"
        "jobs.put(bytes(64 << 20))\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + (16 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))\n"
        "for read in (lambda: d['k'], lambda: list(d.values()), lambda: d.pop('k'), jobs.get):\n"
        "    try:\n"
        "        read()\n"
        "    except MemoryError as error:\n"
        "        print(type(error).__name__, 'nothing was changed' in str(error))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)\n"
        "print(len(d['k']), len(jobs.get().value))\n"
    )
    done = run(code)
    assert done.stdout.split("\n")[:-1] == ["MemoryError True"] * 4 + ["67108864 67108864"], done


def test_files_that_others_may_read_are_refused(name, tmp_path):
    with coheap.open(name, folder=tmp_path, max_bytes=1 << 20) as heap:
        heap.dict("d")
    for file in tmp_path.iterdir():
        file.chmod(0o644)
        with pytest.raises(PermissionError, match="mode 0644"):
            coheap.open(name, folder=tmp_path)
        file.chmod(0o600)
    with coheap.open(name, folder=tmp_path) as heap:
        assert heap.names() == ["d"]
        heap.unlink()


def test_bad_arguments_are_refused(tmp_path):
    for bad in (0, -1, 7):
        with pytest.raises(ValueError, match=r"bytes|KiB"):
            coheap.Heap(max_bytes=bad)
    with pytest.raises(OverflowError):
        coheap.Heap(max_bytes=2**70)
    with pytest.raises(TypeError):
        coheap.Heap(1 << 20)
    for bad in ("", "a/b", "x" * 300, "a\0b"):
        with pytest.raises(ValueError, match="name"):
            coheap.open(bad, folder=tmp_path)
    (tmp_path / "coheap.junk").write_bytes(b"junk" * 5000)
    with pytest.raises(OSError, match="heap"):
        coheap.open("junk", folder=tmp_path)


def test_names_are_those_of_the_objects(heap):
    assert heap.names() == []
    heap.dict("b")
    heap.dict("a")
    assert heap.names() == ["b", "a"]
    heap.remove("b")
    assert heap.names() == ["a"]
    with pytest.raises(KeyError, match="b"):
        heap.remove("b")
    for bad in ("", "x" * 300, "a\0b"):
        with pytest.raises(ValueError, match="name"):
            heap.dict(bad)


def test_a_closed_heap_says_so(heap):
    d = heap.dict("d")
    assert heap.used_bytes > 0
    heap.close()
    heap.close()
    for call in (lambda: heap.dict("d"), heap.names, lambda: d["a"], lambda: len(d), heap.check):
        with pytest.raises(coheap.HeapClosed, match="closed"):
            call()
    assert "closed" in repr(heap)


def test_a_heap_says_how_full_it_is(heap):
    assert heap.max_bytes == 64 << 20
    before = heap.used_bytes
    heap.dict("d").update((n, b"x" * 500) for n in range(1000))
    assert heap.used_bytes > before + 500_000
    stats = heap.stats()
    assert stats["members"] == 1
    assert stats["used_bytes"] == heap.used_bytes
    assert heap.check()["objects"] == 1
    assert "64" in repr(heap) or "67108864" in repr(heap)


def test_without_pickle_nothing_is_pickled_either_way(name, tmp_path):
    with coheap.open(name, folder=tmp_path, max_bytes=1 << 20, temporary=True) as trusting:
        trusting.dict("d")["a"] = range(3)
        with pytest.warns(UserWarning, match="created with pickle=True, .* pickle=False"):
            strict = coheap.open(name, folder=tmp_path, pickle=False)
        with pytest.raises(pickle.UnpicklingError, match="pickle=False"):
            strict.dict("d")["a"]
        with pytest.raises(TypeError, match="pickle=False"):
            strict.dict("d")["b"] = range(3)
        strict.dict("d")["b"] = (1, 2.5, "x")
        assert trusting.dict("d").get_many(["a", "b"]) == {"a": range(3), "b": (1, 2.5, "x")}


def test_every_exception_pickles():
    full = coheap.HeapFull("no room")
    full.wanted, full.used = 7, 8
    again = pickle.loads(pickle.dumps(full))
    assert (again.args, again.wanted, again.used) == (("no room",), 7, 8)
    for name in coheap.__all__:
        value = getattr(coheap, name)
        if isinstance(value, type) and issubclass(value, BaseException):
            again = pickle.loads(pickle.dumps(value("why")))
            assert type(again) is value
            assert again.args == ("why",)
    assert pickle.loads(pickle.dumps(coheap.ABSENT)) is coheap.ABSENT


def test_a_heap_with_many_forked_children_at_once(heap, children):
    d = heap.dict("d")
    pids = [children.fork(lambda: d.increment("n")) for _ in range(20)]
    assert [children.wait(pid) for pid in pids] == [0] * 20
    assert d["n"] == 20


def test_objects_go_to_forked_processes_as_they_are(heap):
    d, jobs, lock = heap.dict("d"), heap.work_queue("jobs"), heap.lock("lock")
    number = heap.value("q", name="number")

    def work(heap, d, jobs, lock, number):
        with lock, jobs.get() as lease:
            d["job"] = lease.value
            number.add(1)
            assert heap.dict("d") == d

    jobs.put(7)
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=work, args=(heap, d, jobs, lock, number))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert (d["job"], number.value) == (7, 1)
    jobs.put(8)
    with jobs.get() as lease, pytest.raises(TypeError, match="belongs to this process"):
        pickle.dumps(lease)


def things(heap):
    yield from (heap.dict("dict"), heap.work_queue("queue"), heap.lock("lock"))
    yield from (heap.rlock("rlock"), heap.value("i", name="value"))


def test_handles_of_one_object_are_equal(heap):
    for thing, same in zip(things(heap), things(heap), strict=True):
        assert thing == same
        if not isinstance(thing, coheap.Dict):
            assert len({thing, same}) == 1
            assert thing != heap.lock("other")
            assert isinstance(thing, coheap.Value) or thing != 1


def test_copies_are_no_new_references(heap):
    lock, jobs = heap.lock(), heap.work_queue()
    d = heap.dict()
    d["a"] = (1, 2)
    for thing in (lock, jobs):
        assert copy.copy(thing) is thing
        assert copy.deepcopy([thing])[0] is thing
    for plain in (copy.copy(d), copy.deepcopy([d])[0]):
        assert type(plain) is dict
        assert plain == {"a": (1, 2)}
    assert heap.check()["objects"] == 3
    del lock, jobs, thing, d
    assert heap.check()["objects"] == 0


def test_handles_can_be_referred_to_weakly(heap):
    for thing in [*things(heap), heap]:
        assert weakref.ref(thing)() is thing


def test_a_repr_says_why_there_is_nothing_to_show():
    with coheap.Heap(max_bytes=1 << 20) as heap:
        all_of_them = [*things(heap)]
        heap.remove("dict")
        assert "removed" in repr(all_of_them[0])
    for thing in all_of_them:
        assert "closed" in repr(thing)
        assert thing.name in repr(thing)


def test_a_dict_inside_itself_is_shown(heap):
    d = heap.dict("d")
    d["me"] = d
    assert repr(d) == "coheap.Dict(\"d\", {'me': {...}})"
    assert repr((d, d)).count("...") == 2


def test_a_closed_heap_is_not_entered_nor_made_the_default():
    with coheap.Heap(max_bytes=1 << 20) as heap:
        pass
    for use in (heap.__enter__, lambda: coheap.set_default_heap(heap)):
        with pytest.raises(coheap.HeapClosed):
            use()


@pytest.mark.parametrize(
    "wait", ["lock", "lock for a time", "job", "place", "end", "iteration", "block"]
)
def test_who_waits_hears_that_the_heap_was_closed(wait):
    heap = coheap.Heap(max_bytes=4 << 20)
    lock, empty, full = heap.lock(), heap.work_queue(), heap.work_queue(maxsize=1)
    lock.acquire()
    full.put(1)
    waits = {
        "lock": lock.acquire,
        "lock for a time": lambda: lock.acquire(timeout=60),
        "job": empty.get,
        "place": lambda: full.put(2),
        "end": full.join,
        "iteration": lambda: next(empty),
        "block": coheap.atomic(lock).__enter__,
    }
    heard = []

    def run():
        try:
            waits[wait]()
        except coheap.Error as error:
            heard.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until_asleep(thread)
    heap.close()
    thread.join(10)
    assert [type(error) for error in heard] == [coheap.HeapClosed]


def test_trim_gives_memory_back() -> None:
    """Goal: memory of what was removed goes back to the system when somebody asks for it."""
    with coheap.Heap(max_bytes=128 << 20) as heap:
        d = heap.dict()
        d["large"] = bytes(64 << 20)
        before = heap.stats()
        assert before["allocated_bytes"] >= before["committed_bytes"] >= before["used_bytes"]
        assert before["used_bytes"] >= 64 << 20
        del d["large"]
        assert heap.trim() >= 64 << 20
        after = heap.stats()
        assert before["allocated_bytes"] - after["allocated_bytes"] >= 64 << 20
        assert after["committed_bytes"] < 1 << 20
        d["large"] = bytes(64 << 20)
        assert d["large"] == bytes(64 << 20)
    with pytest.raises(coheap.HeapClosed):
        heap.trim()


@pytest.mark.parametrize(
    ("text", "limit"),
    [("1048576", 1 << 20), ("2M", 2 << 20), ("64k", 64 << 10), (" 1G ", 1 << 30)],
)
def test_the_environment_limits_the_default_heap(text: str, limit: int) -> None:
    """Goal: `COHEAP_MAX_BYTES` is the limit of the default heap, also with a suffix."""
    done = with_limit(text, "print(coheap.default_heap().max_bytes)")
    assert (done.returncode, done.stdout.strip()) == (0, str(limit)), done.stderr


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "8X", "9999999999T", "1.5G"])
def test_a_limit_that_is_no_number_of_bytes_is_refused(text: str) -> None:
    """Goal: what is no number of bytes is an error that names the variable."""
    done = with_limit(text, "coheap.Dict()")
    assert done.returncode == 1
    assert "ValueError" in done.stderr
    assert "COHEAP_MAX_BYTES" in done.stderr


def test_a_full_default_heap_says_how_to_get_a_larger_one() -> None:
    """Goal: the message of a full default heap names both ways out."""
    done = with_limit("1M", "coheap.Dict()['large'] = bytes(2 << 20)")
    assert "HeapFull" in done.stderr
    assert "COHEAP_MAX_BYTES" in done.stderr
    assert "set_default_heap" in done.stderr


def with_limit(text: str, program: str) -> "subprocess.CompletedProcess[str]":
    """Run a program with this limit of the default heap."""
    return subprocess.run(
        [sys.executable, "-c", f"import coheap\n{program}"],
        env={**os.environ, "COHEAP_MAX_BYTES": text},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_library_does_not_close_the_heap_of_its_host(tmp_path):
    name = f"test-{os.getpid()}-host"
    host = coheap.open(name, temporary=True)
    counts = host.dict("counts")

    def library():
        with coheap.open(name) as heap:
            heap.dict("counts").increment("library")
        with pytest.raises(coheap.HeapClosed):
            heap.names()
        heap.close()
        return heap

    try:
        heap = library()
        assert "closed" in repr(heap)
        assert counts["library"] == 1
        assert host.names() == ["counts"]
        library()
        again = pickle.loads(pickle.dumps(host))
        again.close()
        assert counts["library"] == 2
        # Who keeps objects only is not closed, either.
        del host
        library()
        assert counts["library"] == 3
    finally:
        last = coheap.open(name)
        last.unlink()
        last.close()
    counts["a"] = 1
    with coheap.Heap() as alone:
        other = alone.dict()
    with pytest.raises(coheap.HeapClosed):
        other["a"] = 1


def test_handles_that_came_without_their_heap_stay_open(children):
    name = f"test-{os.getpid()}-guest"
    with coheap.open(name, temporary=True) as heap:
        pickled = pickle.dumps(heap.dict("counts"))

        def work():
            os.execv(sys.executable, [sys.executable, "-c", SCRIPT, name, pickled.hex()])

        assert children.wait(children.fork(work)) == 0
        assert heap.dict("counts") == {"before": 1, "library": 1, "after": 1}


SCRIPT = """
import pickle, sys, coheap
counts = pickle.loads(bytes.fromhex(sys.argv[2]))
counts["before"] = 1
with coheap.open(sys.argv[1]) as heap:
    heap.dict("counts")["library"] = 1
counts["after"] = 1
"""


def test_other_systems_are_told_what_is_missing():
    code = "import os; del os.memfd_create; import coheap"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    assert "ImportError: coheap runs on Linux only" in ended.stderr


def test_a_subinterpreter_imports_it_or_hears_why_not():
    interpreters = pytest.importorskip("_xxsubinterpreters", reason="this Python has none")
    made = interpreters.create()
    try:
        interpreters.run_string(made, "import coheap; coheap.Dict")
    except interpreters.RunFailedError as error:
        assert "subinterpreter" in str(error)
    finally:
        interpreters.destroy(made)
