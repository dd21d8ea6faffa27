"""Ctrl-C ends every blocking call within a second, and nothing is changed by it.

Goal: no wait keeps Python waiting.
Method: a program for each blocking call gets SIGINT while it waits; here, handlers that return and
threads that go on.
"""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import once_asleep, until, until_asleep

import coheap

PRELUDE = """
import coheap, sys, signal, threading
heap = coheap.Heap(max_bytes=1 << 20)
jobs = heap.work_queue("jobs", maxsize=1)
lock = heap.lock("lock")
def lent(lock):
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    return lock
def lent_to_a_block(counts):
    taken = threading.Event()
    def keep():
        with coheap.atomic():
            counts["n"] = 1
            taken.set()
            threading.Event().wait()
    threading.Thread(target=keep, daemon=True).start()
    taken.wait()
    return counts
def in_a_block(call):
    with coheap.atomic():
        call()
def use_and(call):
    heap.dict("d")["a"] = 1
    call()
heap.dict("d")
def blocked(call, *args):
    print("ready", flush=True)
    try:
        call(*args)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    else:
        print("returned", flush=True)
"""

CALLS = {
    "get": "blocked(jobs.get)",
    "get with a timeout": "blocked(jobs.get, True, 60)",
    "iteration": "blocked(next, iter(jobs))",
    "put": "jobs.put(1); blocked(jobs.put, 2); assert jobs.qsize() == 1",
    "put_many": "blocked(jobs.put_many, [1, 2]); assert jobs.qsize() == 1",
    "join": "jobs.put(1); blocked(jobs.join); assert jobs.qsize() == 1",
    "acquire": "lock.acquire(); blocked(lock.acquire)",
    "acquire with a timeout": "lock.acquire(); blocked(lock.acquire, True, 60)",
    "with": "lock.acquire(); blocked(lock.__enter__)",
    "acquire of an rlock": "blocked(lent(heap.rlock()).acquire)",
    "get_many": "blocked(jobs.get_many, 2)",
    "get in a block": "blocked(in_a_block, jobs.get)",
    "what a decorated function waits for": "blocked(coheap.atomic(lambda: use_and(jobs.get)))",
    "a write": "blocked(lent_to_a_block(heap.dict('d')).__setitem__, 'n', 2)",
    "a long write": "blocked(lent_to_a_block(heap.dict('d')).update, {n: n for n in range(9999)})",
    "with a value": "blocked(lent(heap.value('i')).__enter__)",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_ctrl_c_ends_a_blocking_call(call):
    code = PRELUDE + call + "\nheap.check()\n"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        until_asleep(process.pid)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert time.monotonic() - begin < 1
        assert process.wait(10) == 0


def test_a_handler_that_returns_lets_the_wait_go_on(heap):
    jobs = heap.work_queue("jobs")
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(jobs.qsize()))
    waiter = threading.get_native_id()

    def disturb():
        os.kill(os.getpid(), signal.SIGUSR1)
        until(lambda: seen)
        until_asleep(waiter)
        jobs.put(7)

    try:
        disturber = once_asleep(disturb)
        with jobs.get(timeout=10) as lease:
            assert lease.value == 7
        disturber.join()
        assert seen == [0]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_other_threads_run_while_one_waits(heap):
    jobs, lock = heap.work_queue("jobs"), heap.lock("lock")
    lock.acquire()
    waiting = [
        threading.Thread(target=lambda: jobs.get(timeout=10).ack()),
        threading.Thread(target=lambda: lock.acquire(timeout=10)),
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        until_asleep(thread)
    jobs.put(1)
    lock.release()
    for thread in waiting:
        thread.join(5)
        assert not thread.is_alive()


def test_a_write_waits_as_long_as_a_block_takes(heap):
    counts = heap.dict("counts")
    taken = threading.Event()

    def keep():
        with coheap.atomic():
            counts["n"] = 1
            taken.set()
            # How long the block takes is what is tried.
            time.sleep(1.2)

    thread = threading.Thread(target=keep)
    thread.start()
    assert taken.wait(10)
    begin = time.monotonic()
    counts["n"] = 2
    assert time.monotonic() - begin > 1
    thread.join()
    assert counts == {"n": 2}
