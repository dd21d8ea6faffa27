"""Contexts: those of `multiprocessing`, whose processes share a heap.

Goal: however a process is started, it has its parent's default heap, and a context's objects work.
Method: children under each start method; programs of their own where the first object matters.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import coheap

METHODS = ("fork", "spawn", "forkserver")


@pytest.fixture(params=METHODS)
def context(request):
    """A context for each start method."""
    return coheap.get_context(request.param)


def end(process, seconds=30):
    """Wait for a process and give its exit code."""
    process.join(seconds)
    assert process.exitcode is not None, "it still runs"
    return process.exitcode


def program(tmp_path, text):
    """Run a program of its own, with every warning an error, and give what it prints."""
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, "-W", "error", file], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def count(lock, value, counts):
    for _ in range(500):
        with lock:
            value.value = value.value + 1
            counts["n"] = counts["n"] + 1


def test_objects_of_a_context_are_shared_with_its_processes(context):
    lock, value, counts = context.Lock(), context.Value("q", 0), coheap.Dict(n=0)
    assert type(lock) is coheap.Lock
    assert type(value) is coheap.Value
    children = [context.Process(target=count, args=(lock, value, counts)) for _ in range(3)]
    for child in children:
        child.start()
    assert [end(child) for child in children] == [0, 0, 0]
    assert (value.value, counts["n"]) == (1500, 1500)


def hold_and_die(lock, taken):
    lock.acquire()
    taken["by"] = os.getpid()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_lock_of_a_killed_process_is_free_again(context):
    lock, taken = context.Lock(), coheap.Dict()
    child = context.Process(target=hold_and_die, args=(lock, taken))
    child.start()
    assert end(child) == -signal.SIGKILL
    assert taken["by"] == child.pid
    with pytest.warns(coheap.OwnerDiedWarning, match=str(child.pid)):
        assert lock.acquire(timeout=10)
    lock.release()


def take_twice(lock, done):
    with lock, lock:
        done["child"] = True


def test_an_rlock_of_a_context_is_taken_twice(context):
    lock, done = context.RLock(), coheap.Dict()
    assert type(lock) is coheap.RLock
    child = context.Process(target=take_twice, args=(lock, done))
    child.start()
    assert end(child) == 0
    assert done["child"]


def test_a_value_with_or_without_a_lock_has_the_signature_of_the_standard_library(context):
    assert context.Value("i").value == 0
    assert context.Value("d", 1.5).value == 1.5
    assert context.Value("i", 7, lock=False).value == 7
    with pytest.raises(TypeError):
        context.Value("i", lock=3)


@pytest.mark.parametrize("method", METHODS)
def test_the_default_heap_is_there_before_the_first_child(tmp_path, method):
    """Goal: parent and child share it even if nobody made an object before."""
    said = program(
        tmp_path,
        f"""
        import coheap

        def child():
            coheap.default_heap().dict("met")["child"] = 1

        if __name__ == "__main__":
            process = coheap.get_context({method!r}).Process(target=child)
            process.start()
            process.join()
            print(process.exitcode, coheap.default_heap().dict("met").copy())
        """,
    )
    assert said == "0 {'child': 1}\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_main_module_with_objects_of_its_own_does_not_keep_the_child_apart(tmp_path, method):
    """Goal: what a child makes after its start is its parent's to see.

    Method: the main module, which other start methods import again in the child, makes an object
    before the child is given its parent's heap.
    """
    said = program(
        tmp_path,
        f"""
        import coheap

        own = coheap.Dict()

        class Late:
            "Makes an object while the process is being unpickled."

            def __getstate__(self):
                return None

            def __setstate__(self, state):
                coheap.default_heap().dict("met")["late"] = 1

            def __reduce__(self):
                return Late, (), 1

        def child(given, late):
            given["child"] = 1
            coheap.default_heap().dict("met")["child"] = 1

        if __name__ == "__main__":
            process = coheap.get_context({method!r}).Process(target=child, args=(own, Late()))
            process.start()
            process.join()
            late = 1 if {method!r} == "fork" else coheap.default_heap().dict("met").pop("late")
            print(process.exitcode, own.copy(), coheap.default_heap().dict("met").copy(), late)
        """,
    )
    assert said == "0 {'child': 1} {'child': 1} 1\n"


@pytest.mark.parametrize("method", METHODS)
def test_a_process_without_a_context_is_started_as_the_standard_library_is_told(tmp_path, method):
    said = program(
        tmp_path,
        f"""
        import multiprocessing
        import coheap

        class Child(coheap.Process):
            def __init__(self, given):
                super().__init__(name="child")
                self.given = given

            def run(self):
                self.given["name"] = self.name
                self.given["method"] = multiprocessing.get_start_method()
                self.given["context"] = type(coheap.get_context()).__name__

        if __name__ == "__main__":
            multiprocessing.set_start_method({method!r})
            given = coheap.Dict()
            child = Child(given)
            child.start()
            child.join()
            print(child.exitcode, *given.values())
        """,
    )
    names = {"fork": "ForkContext", "spawn": "SpawnContext", "forkserver": "ForkServerContext"}
    assert said == f"0 child {method} {names[method]}\n"


def note(given, met):
    met[len(given)] = True


def test_what_a_child_was_handed_is_gone_after_it(context):
    """Goal: a server that starts a process for each request does not keep what it gave them.

    Method: objects that only the arguments of a process refer to, first for children that take
    their time to unpickle them, then counted after their end.
    """
    heap, met = coheap.default_heap(), coheap.Dict()
    note_one = context.Process(target=note, args=({}, met))
    note_one.start()
    assert end(note_one) == 0
    before = heap.check()["objects"]
    children = [
        context.Process(target=note, args=(coheap.Dict.fromkeys(range(n)), met)) for n in range(5)
    ]
    for child in children:
        child.start()
    assert [end(child) for child in children] == [0] * 5
    assert sorted(met) == [0, 1, 2, 3, 4]
    assert heap.check()["objects"] == before


def start_grandchild(context, counts):
    child = context.Process(target=counts.increment, args=("grandchild",))
    child.start()
    counts["exit"] = end(child)


def test_a_child_starts_children_of_its_own(context):
    counts = coheap.Dict()
    child = context.Process(target=start_grandchild, args=(context, counts))
    child.start()
    assert end(child) == 0
    assert counts == {"grandchild": 1, "exit": 0}


def test_a_context_is_found_by_its_method_and_finds_the_others(context):
    method = context.get_start_method()
    assert coheap.get_context(method) is context
    assert context.get_context() is context
    assert [context.get_context(other).get_start_method() for other in METHODS] == [*METHODS]
    assert isinstance(context, type(multiprocessing.get_context(method)))
    assert issubclass(context.Process, multiprocessing.get_context(method).Process)
    assert coheap.get_context().get_start_method() == multiprocessing.get_start_method()
    for find in (coheap.get_context, context.get_context):
        with pytest.raises(ValueError, match="cannot find context for 'magic'"):
            find("magic")


def answer(questions, answers):
    answers.put(questions.get() * 2)


def test_what_is_not_coheaps_is_the_standard_librarys(context):
    questions, answers = context.Queue(), context.SimpleQueue()
    child = context.Process(target=answer, args=(questions, answers))
    child.start()
    questions.put(21)
    assert answers.get() == 42
    assert end(child) == 0
    questions.close()
    questions.join_thread()
    answers.close()
    assert context.cpu_count() == multiprocessing.cpu_count()


def meet(event, condition, barrier, jobs):
    barrier.wait(30)
    jobs.put(jobs.get() + 1)
    with condition:
        condition.notify()
    assert event.wait(30)
    jobs.task_done()
    jobs.get()
    jobs.task_done()


def test_what_the_standard_library_makes_of_its_locks_works(context):
    event, condition, barrier = context.Event(), context.Condition(), context.Barrier(2)
    jobs = context.JoinableQueue()
    child = context.Process(target=meet, args=(event, condition, barrier, jobs))
    with condition:
        child.start()
        barrier.wait(30)
        jobs.put(1)
        assert condition.wait(30)
    assert not event.is_set()
    event.set()
    jobs.join()
    assert end(child) == 0
    jobs.close()
    jobs.join_thread()
    for lock in (coheap.Lock(), coheap.RLock()):
        with pytest.raises(TypeError, match="pass no lock"):
            context.Condition(lock)
    with context.Condition(multiprocessing.get_context(context.get_start_method()).Lock()):
        pass


def set_late(counts, go):
    assert go.wait(30)
    counts["late"] = True


def test_a_block_does_not_wait_for_a_process_that_may_need_it(context):
    """What the child writes to is the block's: without a refusal both wait for ever."""
    counts, calls, go = coheap.Dict(), [], context.Event()
    child = context.Process(target=set_late, args=(counts, go))
    child.start()
    with pytest.raises(coheap.WouldBlock, match="process"), coheap.atomic():
        counts["early"] = True
        go.set()
        child.join()
    assert end(child) == 0
    assert counts == {"late": True}

    go.clear()
    child = context.Process(target=set_late, args=(counts, go))
    child.start()

    @coheap.atomic
    def join():
        calls.append(counts.pop("late"))
        go.set()
        child.join()
        counts["joined"] = child.exitcode

    join()
    assert calls == [True, True]
    assert counts == {"joined": 0}
    with coheap.atomic():
        child.join()
    with coheap.atomic():
        counts["more"] = 1
        child.join()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_a_pool_share_the_heap(method):
    """Not with fork: a pool has threads, and Python warns of forking with threads."""
    counts = coheap.Dict()
    with coheap.get_context(method).Pool(2) as pool:
        assert sorted(pool.map(counts.increment, ["n"] * 10)) == [*range(1, 11)]
    assert counts["n"] == 10


def test_importing_coheap_imports_no_multiprocessing(tmp_path):
    """Goal: who needs no processes does not wait for them."""
    said = program(
        tmp_path,
        """
        import sys
        import coheap
        d = coheap.Dict()
        print("multiprocessing" in sys.modules, "get_context" in dir(coheap))
        from coheap import *
        print(Manager, Process)
        try:
            coheap.nothing
        except AttributeError as error:
            print(error)
        """,
    )
    assert said.splitlines()[0] == "False True"
    assert said.splitlines()[-1] == "module 'coheap' has no attribute 'nothing'"
