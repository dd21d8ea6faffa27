"""Kill storms over all objects and blocks of `atomic`, under each way to start a process.

Goal: whichever instruction a worker of two threads dies at, what is one block happened exactly
once, what is not happened at least once, all sums are kept, and the survivors go on within a tenth
of a second.
Method: one thread of each worker takes jobs in blocks, the other takes them one call at a time. The
workers who have begun are killed with SIGKILL, one after the other, while the parent goes on with
the same objects and looks at the clock. Then the sums are compared.
"""

import os
import random
import threading
import time
import warnings

import pytest
from conftest import until

import coheap

ACCOUNTS = 40
KILLS = {"fork": 120, "spawn": 30, "forkserver": 30}
"""A spawned worker takes a tenth of a second to begin."""


class World:
    """All that the workers share; it is handed to each of them."""

    def __init__(self, heap):
        self.exact, self.jobs = heap.work_queue(), heap.work_queue()
        self.accounts, self.seen, self.begun = heap.dict(), heap.dict(), heap.dict()
        self.moved, self.count, self.lock = heap.value("q"), heap.value("q"), heap.lock()
        self.accounts.update(dict.fromkeys(range(ACCOUNTS), 0))

    @coheap.atomic(retries=10_000)
    def take_exactly(self):
        job = self.exact.get()
        here, there = job.value % ACCOUNTS, job.value * 7 % ACCOUNTS
        self.accounts[here] -= job.value
        self.accounts[there] += job.value
        self.seen.increment(("exact", job.value))
        self.moved.add(job.value)
        job.ack()

    def take_at_least_once(self):
        with self.jobs.get() as job:
            self.seen.increment(("more", job.value))
            self.seen.update({"last": job.value, "process": os.getpid()})
            with self.lock:
                self.count.value += 1
            self.seen.update_with("pair", lambda pair: (pair[0] + 1, pair[1] - 1), (0, 0))


def repeat(take):
    warnings.simplefilter("ignore", coheap.OwnerDiedWarning)
    while True:
        try:
            take()
        except coheap.ShutDown:
            return


def work(world):
    world.begun[os.getpid()] = True
    threads = [
        threading.Thread(target=repeat, args=(take,))
        for take in (world.take_exactly, world.take_at_least_once)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def go_on(world):
    """Seconds that a survivor takes for a block, a lock and an entry."""
    began = time.monotonic()
    with coheap.atomic(world.accounts, world.moved):
        world.accounts[0] += 1
        world.accounts[1] -= 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", coheap.OwnerDiedWarning)
        with world.lock:
            world.count.value += 0
    world.seen.update_with("pair", lambda pair: (pair[0] + 1, pair[1] - 1), (0, 0))
    return time.monotonic() - began


@pytest.mark.parametrize("method", KILLS)
def test_no_kill_loses_or_doubles_anything(heap, method):
    context, world = coheap.get_context(method), World(heap)
    kills, chance = KILLS[method], random.Random(7)
    workers, waits = {}, []

    def begin():
        worker = context.Process(target=work, args=(world,))
        worker.start()
        workers[worker.pid] = worker

    def feed():
        world.exact.put_many(range(feed.fed, feed.fed + 200))
        world.jobs.put_many(range(feed.fed, feed.fed + 200))
        feed.fed += 200

    feed.fed = 0
    try:
        for _ in range(3):
            begin()
        for _ in range(kills):
            until(lambda: any(pid in world.begun for pid in workers), seconds=30)
            deadline = time.monotonic() + chance.uniform(0.002, 0.02)
            while time.monotonic() < deadline:
                if world.exact.qsize() < 100 or world.jobs.qsize() < 100:
                    feed()
            pid = chance.choice([pid for pid in workers if pid in world.begun])
            workers[pid].kill()
            waits.append(go_on(world))
            workers.pop(pid).join(30)
            begin()
        world.exact.close()
        world.jobs.close()
        for worker in workers.values():
            worker.join(60)
            assert worker.exitcode == 0
    finally:
        for worker in workers.values():
            worker.kill()
            worker.join(30)

    jobs = feed.fed
    assert sorted(waits)[len(waits) * 9 // 10] < 0.1, sorted(waits)
    assert [world.seen[("exact", job)] for job in range(jobs)] == [1] * jobs
    assert world.moved.get() == sum(range(jobs))
    assert sum(world.accounts.values()) == 0
    # A worker has one job at a time; what it did before it died, the next one does again.
    times = [world.seen[("more", job)] for job in range(jobs)]
    assert min(times) == 1
    assert sum(times) <= jobs + kills
    pair, count = world.seen["pair"], world.count.get()
    assert pair[0] == -pair[1]
    assert jobs <= count <= jobs + kills
    assert jobs <= pair[0] - kills <= jobs + kills
