"""Threads that are still there when the interpreter ends.

Goal: the end waits for none of them, and none of them ends it otherwise, wherever it is: also in
Python code that an object's method called, where Python before 3.14 ends threads by unwinding.
Method: scripts end while their daemon threads wait in, or go round, every call that waits or calls
Python code; and a thread that ends itself before the interpreter does.
"""

import subprocess
import sys

import pytest

DAEMONS = {
    "waits for a job": "heap.work_queue('empty').get()",
    "waits for room": "[heap.work_queue('full', maxsize=1).put(1) for _ in range(2)]",
    "waits for all to be done": "heap.work_queue('held').join()",
    "goes through a queue": "list(heap.work_queue('empty'))",
    "waits for a lock": "taken.acquire()",
    "waits for a lock, for a time": "taken.acquire(timeout=600)",
    "waits in a block": "enter_and(empty.get)",
    "stays in a block": "enter_and(lambda: (set_one(), time.sleep(600)))",
    "sets and gets": "for_ever(lambda: (set_one(), d['x']))",
    "moves in blocks": "for_ever(lambda: enter_and(set_one))",
    "puts and gets": "for_ever(lambda: (jobs.put(1), jobs.get().ack()))",
    "locks": "for_ever(lambda: (other.acquire(), other.release()))",
    "makes objects": "for_ever(coheap.Dict)",
    "drops leases": "for_ever(lambda: (jobs.put(1), jobs.get()))",
    "computes a value": "for_ever(lambda: d.update_with('x', compute, 0))",
    "computes a pickle": "for_ever(lambda: d.update(y=Slow()))",
    "loads what computes": "for_ever(lambda: d['slow'])",
    "puts what computes": "for_ever(lambda: (jobs.put_many(computed()), jobs.get().ack()))",
    "makes of what computes": "for_ever(lambda: coheap.Dict.fromkeys(computed()))",
    "gets what computes": "for_ever(lambda: d.get_many(computed()))",
    "updates with what computes": "for_ever(lambda: d.update((i, i) for i in computed()))",
    "compares what computes": "for_ever(lambda: d.compare_and_set('slow', Slow(), 1))",
    "decorates": "coheap.atomic(compute)()",
}

SCRIPT = """
import sys, threading, time, warnings
import coheap

warnings.simplefilter("ignore", ResourceWarning)
heap = coheap.Heap(max_bytes=16 << 20)
d, jobs, other, taken = heap.dict(), heap.work_queue(), heap.lock(), heap.lock()
taken.acquire()
heap.work_queue("held").put(1)
empty = heap.work_queue("empty")
begun = threading.Barrier(4)

def for_ever(call):
    while True:
        call()

def set_one():
    d["x"] = "a value of some length, so that it has a block of its own"

def enter_and(call):
    with coheap.atomic():
        call()

def compute(_=None):
    return len([None for _ in range(20_000)])

def computed():
    yield compute()

class Slow:
    def __reduce__(self):
        return make, (compute(),)

    def __eq__(self, other):
        return compute() == 0

    __hash__ = None

def make(_):
    return compute() and Slow()

# Python before 3.13 may crash where it ends while several threads import. So nothing is imported
# there for the first time.
d["slow"] = Slow()
coheap.atomic(compute)

def run():
    begun.wait()
    {call}

for _ in range(3):
    threading.Thread(target=run, daemon=True).start()
begun.wait()
# How far the threads get before the end is what is tried.
time.sleep({seconds})
"""


@pytest.mark.parametrize("call", DAEMONS.values(), ids=DAEMONS)
def test_daemon_threads_do_not_keep_the_interpreter(call):
    for seconds in (0, 0.002, 0.05):
        script = SCRIPT.format(call=call, seconds=seconds)
        ended = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


ENDS_ITSELF = """
import ctypes, os
import coheap

c = ctypes.CDLL(None)
d = coheap.Dict._with_copies()

@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def run(_):
    d["x"] = {1}, [2]
    c.pthread_exit(None)

c.pthread_create.argtypes = [ctypes.c_void_p] * 4
c.pthread_join.argtypes = [ctypes.c_void_p] * 2
thread = ctypes.c_void_p()
assert c.pthread_create(ctypes.byref(thread), None, run, None) == 0
assert c.pthread_join(thread, None) == 0
print(d["x"], flush=True)
os._exit(0)
"""


def test_a_thread_may_still_end_itself():
    ended = subprocess.run(
        [sys.executable, "-c", ENDS_ITSELF], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "({1}, [2])\n", "")


TEMPORARY = """
import sys
import coheap

heap = coheap.open("short", folder=sys.argv[1], max_bytes=1 << 20, temporary=True)
coheap.set_default_heap(heap)
kept = coheap.Dict(a=1)
"""


def test_the_default_heap_goes_with_the_interpreter(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", TEMPORARY, tmp_path], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


LEFT_OPEN = """
import threading
import coheap

d = coheap.Dict()

def generate():
    with coheap.atomic():
        d["x"] = 1
        yield

def run():
    global left
    left = generate()
    next(left)

thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def test_a_block_that_the_end_leaves_says_so():
    ended = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "RuntimeError: coheap.atomic: a block of coheap.atomic was left" in ended.stderr
    assert "panicked" not in ended.stderr


HOLDS_AT_THE_END = """
import os, sys, threading, time, warnings
import coheap

warnings.simplefilter("ignore")
heap = coheap.Heap(max_bytes=1 << 20)
taken, d = heap.lock(), heap.dict()
holds = threading.Event()

def hold():
    with coheap.atomic():
        d["x"] = 1
        with taken:
            holds.set()
            time.sleep(600)

class AtEnd:
    def __del__(self, taken=taken, d=d, write=os.write):
        # The threads that hold them are frozen by now.
        write(1, b"%a\\n" % taken.acquire(timeout=5))
        d["y"] = 2
        write(1, b"%a\\n" % d["y"])

threading.Thread(target=hold, daemon=True).start()
holds.wait()
# The frozen thread keeps the names of this module, but not those of `sys`.
sys.at_end = AtEnd()
"""


def test_a_finalizer_gets_what_frozen_threads_hold():
    """Goal: what runs when the interpreter ends waits for no thread that is frozen by then.

    Method: a daemon thread holds a lock, and a dict in a block; a finalizer wants both.
    """
    ended = subprocess.run(
        [sys.executable, "-c", HOLDS_AT_THE_END], capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stdout) == (0, "True\n2\n"), ended.stderr
