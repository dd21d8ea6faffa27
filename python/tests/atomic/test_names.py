"""What is named: objects that a block is given, and names in a heap that a block uses.

Goal: locks that are named are held around the block, whatever ends it; a block cannot change
what names a heap has, for that could not be undone.
Method: blocks with named locks, looked at from another thread; directory operations as the first
thing in a block, and in another heap.
"""

import threading

import pytest
from conftest import elsewhere

import coheap


@pytest.fixture
def locks(heap):
    return [heap.lock("first"), heap.rlock("second"), heap.lock("third")]


def are_free(locks):
    return elsewhere(lambda: [not lock.locked() for lock in locks])


def test_locks_that_are_named_are_held_around_the_block(heap, locks):
    counts = heap.dict("counts")
    with coheap.atomic(*reversed(locks), counts, heap.work_queue("jobs")):
        counts["n"] = 1
        assert are_free(locks) == [False] * 3
    assert are_free(locks) == [True] * 3
    for ending in (ValueError, KeyboardInterrupt):
        with pytest.raises(ending), coheap.atomic(counts, *locks):
            counts["n"] = 2
            raise ending
        assert are_free(locks) == [True] * 3
    assert counts == {"n": 1}

    @coheap.atomic
    def outer():
        with coheap.atomic(locks[0]):
            counts["n"] = 3
        # Who gets the lock sees what was changed under it: so it goes with the outer block.
        assert are_free(locks) == [False, True, True]

    outer()
    assert are_free(locks) == [True] * 3


def test_a_lock_that_is_named_twice_is_held_once(locks):
    with coheap.atomic(locks[0], locks[0], locks[1], locks[1]):
        assert are_free(locks) == [False, False, True]
    assert are_free(locks) == [True] * 3


def test_the_locks_are_not_free_in_time(locks):
    locks[2].acquire()
    with (
        pytest.raises(TimeoutError),
        coheap.atomic(*locks, timeout=0.05),
    ):
        pytest.fail("entered")
    locks[2].release()
    assert are_free(locks) == [True] * 3


def test_a_block_that_nobody_leaves_lets_its_locks_go(heap, locks):
    counts = heap.dict("counts")
    block = coheap.atomic(*locks, counts)
    block.__enter__()
    counts["n"] = 1
    assert are_free(locks) == [False] * 3
    del block
    assert are_free(locks) == [True] * 3
    assert counts == {}


def test_blocks_that_name_the_same_locks_do_not_wait_in_a_circle(heap, locks):
    counts = heap.dict("counts")

    def work(named):
        for _ in range(200):
            with coheap.atomic(*named):
                counts.increment("n")

    threads = [
        threading.Thread(target=work, args=(named,)) for named in (locks, locks[::-1], locks[1:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counts == {"n": 600}
    assert are_free(locks) == [True] * 3


def test_a_block_changes_no_names(heap):
    counts = heap.dict("counts")
    with coheap.Heap(max_bytes=1 << 20) as second:
        for use in (
            lambda: heap.dict("new"),
            lambda: heap.work_queue("new"),
            lambda: heap.remove("counts"),
            heap.dict,
        ):
            with coheap.atomic(), pytest.raises(ValueError, match="outside of transactions"):
                use()
        with coheap.atomic(), pytest.raises(RuntimeError, match="outside of blocks"):
            heap.unlink()
        with coheap.atomic():
            assert heap.dict("counts") is not counts
            heap.dict("counts")["a"] = 1
            with pytest.raises(ValueError, match="different heaps"):
                second.dict("new")
            with pytest.raises(ValueError, match="different heaps"):
                second.remove("new")
        assert second.names() == []
    assert heap.names() == ["counts"]
    assert counts == {"a": 1}


def test_retries_are_counted_from_none():
    with pytest.raises(ValueError, match="0 or more"):
        coheap.atomic(retries=-1)
