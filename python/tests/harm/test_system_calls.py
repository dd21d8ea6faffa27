"""An operation that neither waits, nor wakes anybody, nor grows the heap makes no system call.

Goal: what is called access at memory speed leaves the kernel alone.
Method: a forked child does everything once, then forbids itself all system calls but write and
exit, as the kernel's strict mode of seccomp has it, and does everything some thousand times more.
The kernel kills who makes another one. That it would, the last test sees.
"""

import ctypes
import gc
import os
import platform
import signal

import pytest

import coheap

PR_SET_SECCOMP, STRICT = 22, 1
# Of the thread, not of the process: the latter is another call, and not allowed.
EXIT = {"x86_64": 60, "aarch64": 93}.get(platform.machine())

pytestmark = pytest.mark.skipif(EXIT is None, reason="the number of `exit` here is not known")


def get(heap):
    names = heap.dict("names")
    names.update({n: str(n) for n in range(100)})
    return lambda n: (names[n % 100], names.get("none"), n in names, len(names))


def put(heap):
    counts = heap.dict("counts")

    def change(n):
        counts[n % 10] = n
        counts[(n % 10, "long")] = "as long as this text is" * 3
        counts.increment("all")
        counts.update_with("all", lambda count: count + 1)
        counts.setdefault("all")
        counts.pop(n % 10)
        del counts[(n % 10, "long")]

    return change


def work(heap):
    jobs = heap.work_queue("jobs")

    def one(n):
        jobs.put(n)
        jobs.get().ack()

    return one


def count(heap):
    number = heap.value("q", name="number")

    def change(n):
        number.add(1)
        number.set(n)
        with number.get_lock():
            number.value += 1

    return change


def lock(heap):
    plain, again = heap.lock("plain"), heap.rlock("again")

    def hold(_):
        with plain, again, again:
            pass

    return hold


def block(heap):
    ours, theirs = heap.dict("ours"), heap.dict("theirs")
    ours["n"] = theirs["n"] = 0

    def move(n):
        with coheap.atomic():
            ours["n"] -= n
            theirs["n"] += n

    return move


def alone(operation, pipe):
    """Repeat an operation without the kernel, say so in the pipe, and end."""
    libc = ctypes.CDLL(None)
    gc.disable()
    for n in range(2000):
        operation(n)
    assert libc.prctl(PR_SET_SECCOMP, STRICT, 0, 0, 0) == 0
    for n in range(5000):
        operation(n)
    os.write(pipe, b"done")
    libc.syscall(EXIT, 0)


def ran_alone(children, operation):
    """Whether an operation went without the kernel, and how the child that tried it ended."""
    reading, writing = os.pipe()
    try:
        end = children.wait(children.fork(lambda: alone(operation, writing)))
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read() == b"done", end


@pytest.mark.parametrize("prepare", [get, put, work, count, lock, block])
def test_operations_leave_the_kernel_alone(heap, children, prepare):
    assert ran_alone(children, prepare(heap)) == (True, 0)


def test_a_system_call_would_be_seen(heap, children):
    called = iter(range(3000))

    def call_late(_):
        if next(called, None) is None:
            os.getppid()

    assert ran_alone(children, call_late) == (False, -signal.SIGKILL)
