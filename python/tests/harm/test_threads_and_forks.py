"""Threads that fork, and threads that are still there when the interpreter ends.

Goal: a child of any thread, forked inside a block of `atomic` or outside, works; what it was forked
in is its parent's; nothing hangs at the end.
Method: threads move amounts and fork all the time while others are in the middle of theirs; and
scripts end while their daemon threads wait in, or go round, every call.
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

def run():
    begun.wait()
    {call}

for _ in range(3):
    threading.Thread(target=run, daemon=True).start()
begun.wait()
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
