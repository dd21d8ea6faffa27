"""Workers of all objects at once, killed all the time: every sum is right at the end.

Goal: whichever instruction a worker dies at, no job is lost, no entry is half written, no lock is
kept, and the heap is whole.
Method: workers take jobs, move amounts between entries and count under a lock; one after the other
is killed with SIGKILL until all jobs are done. Then the sums are compared.
"""

import os
import random
import threading
import time
import warnings

import coheap

JOBS = 30_000
ENTRIES = 50


def test_no_kill_loses_or_doubles_anything(heap, children):
    jobs, lock, done = heap.work_queue("jobs"), heap.lock("lock"), heap.dict("done")
    pairs, value = heap.dict("pairs"), heap.value("q", name="value")
    pairs.update((n, (0, 0)) for n in range(ENTRIES))
    jobs.put_many(range(JOBS))
    jobs.close()

    def work():
        chance = random.Random(os.getpid())
        warnings.simplefilter("ignore", coheap.OwnerDiedWarning)
        for lease in jobs:
            with lease:
                pairs.update_with(
                    chance.randrange(ENTRIES), lambda pair: (pair[0] + 1, pair[1] - 1)
                )
                with lock:
                    value.add(1)
                pairs.pop(f"x{chance.randrange(9)}", None)
                pairs[f"x{chance.randrange(9)}"] = "y" * chance.randrange(60)
                done.increment(lease.value)

    def work_in_threads():
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def begin():
        return children.fork(random.choice([work, work_in_threads]))

    pids, killed = [begin() for _ in range(4)], 0
    while jobs.qsize() or jobs.leased():
        # A kill may come at any moment.
        time.sleep(random.uniform(0.001, 0.01))
        children.kill(pids.pop(0))
        killed += 1
        pids.append(begin())
    for pid in pids:
        assert children.wait(pid) == 0
    jobs.join(timeout=0)

    assert killed
    assert sorted(done) == list(range(JOBS))
    again = sum(done.values()) - JOBS
    # Each killed worker had two jobs at most.
    assert 0 <= again <= 2 * killed
    assert all(pairs[n][0] == -pairs[n][1] for n in range(ENTRIES))
    for total in (value.get(), sum(pairs[n][0] for n in range(ENTRIES))):
        assert JOBS <= total <= JOBS + 2 * killed
    heap.check()
