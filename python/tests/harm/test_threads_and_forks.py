"""Threads that fork.

Goal: a child of any thread, forked inside a block of `atomic` or outside, works; what it was forked
in is its parent's.
Method: threads move amounts and fork all the time while others are in the middle of theirs.
"""

import os
import random
import signal
import subprocess
import sys
import threading

import pytest

import coheap

ACCOUNTS = 10
FORKS = 60
THREADS = 4

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


class LeaveIt(Exception):
    """Undoes the block it is raised in."""


class Bank:
    """Accounts in two dicts, of which the sum stays 0, and a count of what was moved."""

    def __init__(self, heap):
        self.here, self.there = heap.dict("here"), heap.dict("there")
        self.moves = heap.value("q", name="moves")
        for side in (self.here, self.there):
            side.update(dict.fromkeys(range(ACCOUNTS), 0))

    @coheap.atomic(retries=10_000)
    def move(self, chance, inside=lambda: None):
        self.here[chance.randrange(ACCOUNTS)] -= 1
        inside()
        self.there[chance.randrange(ACCOUNTS)] += 1
        self.moves.add(1)

    def total(self):
        return sum(self.here.values()) + sum(self.there.values())


def test_threads_fork_outside_of_blocks_that_others_are_in(heap, children):
    bank, ends = Bank(heap), []

    def run(seed):
        chance = random.Random(seed)
        for _ in range(FORKS // THREADS):
            for _ in range(20):
                bank.move(chance)
            ends.append(children.wait(children.fork(lambda: bank.move(chance))))

    run_all(run)
    assert ends == [0] * FORKS
    assert bank.moves.get() == FORKS * 21
    assert bank.total() == 0


def test_threads_fork_inside_blocks(heap, children):
    """Goal: the child leaves the block and does a move of its own; the parent's happens once."""
    bank, ends = Bank(heap), []

    def run(seed):
        chance = random.Random(seed)
        for _ in range(FORKS // THREADS):
            forked = []

            def fork(forked=forked):
                pid = os.fork()
                if pid == 0:
                    raise LeaveIt
                children.pids.add(pid)
                forked.append(pid)

            try:
                bank.move(chance, inside=fork)
            except LeaveIt:
                children.run(lambda: bank.move(chance))
            ends.extend(children.wait(child) for child in forked)

    run_all(run)
    # A block that met a deadlock ran, and forked, again.
    assert len(ends) >= FORKS
    assert set(ends) == {0}
    assert bank.moves.get() == FORKS + len(ends)
    assert bank.total() == 0


def test_a_parent_that_is_killed_in_a_block_it_forked_in_leaves_its_child_whole(heap, children):
    bank = Bank(heap)
    for seed in range(10):
        chance, (ready, tell) = random.Random(seed), os.pipe()

        def fork_and_die(chance=chance, tell=tell):
            pid = os.fork()
            if pid == 0:
                raise LeaveIt
            os.write(tell, pid.to_bytes(4, "little"))
            os.kill(os.getpid(), signal.SIGKILL)

        def parent(chance=chance, fork_and_die=fork_and_die, tell=tell):
            try:
                bank.move(chance, inside=fork_and_die)
            except LeaveIt:
                bank.move(chance)
                os.write(tell, b"done")
                os._exit(0)

        assert children.wait(children.fork(parent)) == -signal.SIGKILL
        os.close(tell)
        said = b""
        while part := os.read(ready, 100):
            said += part
        os.close(ready)
        assert said.endswith(b"done")
        # The next who comes finds nothing locked.
        bank.move(chance)
    assert bank.moves.get() == 20
    assert bank.total() == 0


def run_all(run):
    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


FIRST_USES = {
    "stores a pickle": "d['p'] = Point()",
    "stores a handle": "d['d'] = coheap.Dict(a=1)",
    "makes a view": "list(d.items())",
    "makes a block": "coheap.atomic(list)()",
    "hears of nothing": "hear_of_nothing()",
}

WAIT_FOR_THE_CHILD = """
for _ in range(10_000):
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
        print(os.waitstatus_to_exitcode(status))
        break
    time.sleep(0.001)
else:
    print("the child hangs")
    os.kill(pid, 9)
thread.join()
"""

FORKS_MEANWHILE = """
import os, sys, threading, time, warnings
import coheap

warnings.simplefilter("ignore", DeprecationWarning)
sys.setswitchinterval(1e-4)
d, jobs = coheap.Dict(), coheap.WorkQueue()

class Point:
    pass

def hear_of_nothing():
    try:
        jobs.get(False)
    except coheap.Empty:
        pass

def work():
    {use}

thread = threading.Thread(target=work)
thread.start()
# How far the thread gets before the fork is what is tried.
time.sleep({seconds})
pid = os.fork()
work()
if pid == 0:
    os._exit(0)
"""


FORKS_IN_THE_MIDDLE = """
import contextvars, os, threading, time, warnings
import coheap

warnings.simplefilter("ignore", DeprecationWarning)
is_making, is_forked = threading.Event(), threading.Event()
ContextVar = contextvars.ContextVar

def slow(*args, **keywords):
    is_making.set()
    is_forked.wait()
    return ContextVar(*args, **keywords)

contextvars.ContextVar = slow
thread = threading.Thread(target=coheap.atomic(list))
thread.start()
is_making.wait()
pid = os.fork()
if pid == 0:
    contextvars.ContextVar = ContextVar
    coheap.atomic(list)()
    os._exit(0)
is_forked.set()
"""


def assert_the_child_ends(script):
    """Run a script that forks a child `pid` beside its `thread`: the child must end, and well."""
    script += WAIT_FOR_THE_CHILD
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "0\n", "")


def test_a_child_makes_for_itself_what_another_thread_was_making():
    """Goal: nobody waits for what a thread of the parent was making when the child was forked.

    Method: a thread's first block is held where it makes the context variable of blocks; a child
    that is forked at that moment has a block of its own.
    """
    assert_the_child_ends(FORKS_IN_THE_MIDDLE)


@pytest.mark.parametrize("use", FIRST_USES.values(), ids=FIRST_USES)
def test_a_child_can_do_what_another_thread_began(use):
    for seconds in (0, 0.0002, 0.001):
        assert_the_child_ends(FORKS_MEANWHILE.format(use=use, seconds=seconds))


SLOW_IMPORT = """
import os, sys, threading, time
import coheap

begun = threading.Event()

def slow(event, args):
    if event == "exec" and args[0].co_filename.endswith(sys.argv[2]):
        begun.set()
        time.sleep(0.3)

sys.addaudithook(slow)
data = __import__("pandas").DataFrame({"a": [1]}) if sys.argv[3] == "frame" else [[1]]
append = lambda: coheap.append_csv(sys.argv[1], data, columns=["a"])
thread = threading.Thread(target=append)
thread.start()
assert begun.wait(60)
child = os.fork()
if child == 0:
    append()
    os._exit(0)
thread.join()
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize(
    ("module", "data"), [("_append/sources.py", "rows"), ("_append/pandas_frames.py", "frame")]
)
def test_a_child_that_is_forked_during_the_first_use_of_another_thread_works(
    tmp_path, module, data
):
    if data == "frame":
        pytest.importorskip("pandas")
    path = tmp_path / "rows.csv"
    command = [sys.executable, "-c", SLOW_IMPORT, path, module, data]
    subprocess.run(command, check=True, timeout=60)
    assert path.read_text() == "a\n1\n1\n"
