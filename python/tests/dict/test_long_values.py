"""Large values, beside other threads of the process.

What always holds: while many bytes go into the heap or out of it, the other threads go on.
"""

import threading
import time

import pytest

import coheap

BYTES = bytes(96 << 20)


class Ticks:
    """A thread that counts how often it came to run."""

    def __init__(self):
        self.count = 0
        self.is_over = False
        self.thread = threading.Thread(target=self._tick)

    def _tick(self):
        while not self.is_over:
            time.sleep(0.001)
            self.count += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()

    def during(self, act, *arguments):
        before = self.count
        answer = act(*arguments)
        return self.count - before, answer


@pytest.fixture
def large():
    with coheap.Heap(max_bytes=512 << 20) as heap:
        yield heap
        heap.check()


@pytest.fixture
def ticks():
    with Ticks() as ticks:
        yield ticks


# Goal: other threads run while a large value is stored, read and removed.
# Method: count how often one runs. While the interpreter lock is held it could not, but for once or twice at
# both ends of the call.
@pytest.mark.parametrize("value", [BYTES, BYTES.decode()], ids=["bytes", "str"])
def test_other_threads_run_while_a_dict_takes_and_gives_a_large_value(large, ticks, value):
    target = large.dict()
    steps = [
        lambda: target.update({"a": value}),
        lambda: target.__setitem__("a", value),
        lambda: target.get("a"),
        lambda: list(target.values()),
        lambda: target.pop("a"),
    ]
    for number, step in enumerate(steps):
        ran, _ = ticks.during(step)
        assert ran > 5, f"step {number}"
    assert len(target) == 0


def test_other_threads_run_while_a_job_travels(large, ticks):
    jobs = large.work_queue()
    ran, _ = ticks.during(jobs.put, BYTES)
    assert ran > 5
    ran, lease = ticks.during(jobs.get)
    assert ran > 5
    assert lease.value == BYTES
    lease.ack()


# Goal: what other threads do meanwhile changes nothing of what is stored.
# Method: two threads, each with a value of its own, take turns at one key and read it.
def test_large_values_of_two_threads_stay_whole(large):
    target = large.dict()
    values = [bytes([number]) * (8 << 20) for number in (1, 2)]
    wrong = []

    def work(own):
        for _ in range(10):
            target["a"] = own
            if target["a"] not in values:
                wrong.append(own[:1])

    threads = [threading.Thread(target=work, args=(own,)) for own in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# Goal: a child that is forked while another thread copies has a whole heap, and neither of the two waits for
# the other.
# Method: a thread stores and reads without a pause, the main thread forks; each child reads and stores.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forks_beside_large_values(large, children):
    target = large.dict()
    target["a"] = value = bytes(4 << 20)
    is_over = threading.Event()

    def work():
        while not is_over.is_set():
            target["a"] = value
            assert target["a"] == value

    def use():
        assert target["a"] == value
        target["b"] = value

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(20):
            assert children.wait(children.fork(use)) == 0
    finally:
        is_over.set()
        thread.join()
