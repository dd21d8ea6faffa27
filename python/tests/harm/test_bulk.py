"""Many entries in one call: all of them or none, whoever looks, dies or has no room.

What is written in one call is always one number under every key, so that a part of a call shows
as two numbers, or as keys that are missing.
"""

import collections
import random
import threading
import time

import pytest

import coheap

KEYS = [*range(1500), *(f"a key that is too long for a cell, number {n}" for n in range(500))]


def numbers(n: int) -> dict:
    """An entry for each key, one in three with a value that is too long for a cell."""
    return {key: (n, "x" * (40 if place % 3 == 0 else 0)) for place, key in enumerate(KEYS)}


def seen(entries: dict) -> set[int]:
    """The numbers in a copy, which has all keys or none."""
    assert not entries or list(entries) == KEYS
    return {number for number, _ in entries.values()}


def test_nobody_sees_a_part_of_an_update(heap):
    entries = heap.dict("entries")
    is_over = threading.Event()

    def write():
        try:
            for n in range(60):
                entries.update(numbers(n))
                if n % 4 == 3:
                    entries.clear()
        finally:
            is_over.set()

    writer = threading.Thread(target=write)
    writer.start()
    looks = 0
    while not is_over.is_set():
        assert len(seen(entries.snapshot())) <= 1
        looks += 1
    writer.join()
    assert looks


def test_no_death_leaves_a_part_of_an_update(heap, children):
    entries, counts = heap.dict("entries"), heap.dict("counts")

    def write(first: int):
        for n in range(first, first + 1000):
            entries.update(numbers(n))
            counts.increment_many(dict.fromkeys(KEYS, 1))
            if n % 7 == 6:
                entries.clear()

    for death in range(25):
        pid = children.fork(lambda first=death * 1000: write(first))
        # A kill may come at any moment.
        time.sleep(random.uniform(0.001, 0.03))
        children.kill(pid)
        assert len(seen(entries.snapshot())) <= 1
        assert len(set(counts.snapshot().values())) <= 1
    heap.check()


def test_an_update_that_does_not_fit_changes_nothing():
    with coheap.Heap(max_bytes=1 << 20) as heap:
        entries = heap.dict("entries")
        entries.update({n: n for n in range(100)})
        before = entries.snapshot()
        more = {n: -n for n in range(200)} | dict.fromkeys(range(1000, 2000), "x" * 1000)
        with pytest.raises(coheap.HeapFull, match="nothing was changed"):
            entries.update(more)
        assert entries.snapshot() == before
        entries.update({n: -n for n in range(200)})
        assert entries == {n: -n for n in range(200)}
        heap.check()


def test_the_last_value_counts_and_the_first_place(heap):
    entries = heap.dict("entries")
    pairs = [("a", 1), ("b", 2), ("a", 3), ("c", 4), (1, "int"), (True, "bool"), (1.0, "float")]
    entries.update(pairs, b=5)
    assert list(entries.items()) == list((dict(pairs) | {"b": 5}).items())
    entries |= [("d", 6), ("a", 7), ("d", 8)]
    assert list(entries) == ["a", "b", "c", 1, "d"]
    assert (entries["a"], entries["d"]) == (7, 8)


def test_a_counter_is_added_as_a_whole_or_not_at_all(heap):
    counts = heap.dict("counts")
    words = collections.Counter({f"word {n % 1000}": n for n in range(5000)})
    counts.increment_many(words)
    counts.increment_many(words)
    assert counts == {word: 2 * n for word, n in words.items()}
    counts["last"] = "no int"
    before = counts.snapshot()
    with pytest.raises(TypeError, match="nothing was changed"):
        counts.increment_many({**words, "new": 1, "last": 1})
    counts["last"] = 2**63 - 1
    with pytest.raises(OverflowError, match="nothing was changed"):
        counts.increment_many({**words, "new": 1, "last": 1})
    assert counts.snapshot() == before | {"last": 2**63 - 1}


def test_entries_are_never_too_many_and_come_in_parts():
    with coheap.Heap(max_bytes=256 << 20) as heap:
        entries = heap.dict("entries")
        entries.update({n: n for n in range(300_000)})
        assert len(entries) == 300_000
        entries.update(dict.fromkeys(range(300000), "x" * 20))
        assert set(entries.values()) == {"x" * 20}
        assert list(entries) == list(range(300_000))
        entries.clear()
        entries.increment_many({n: n for n in range(300_000)})
        entries.increment_many(dict.fromkeys(range(299999, -1, -1), 1))
        assert entries == {n: n + 1 for n in range(300_000)}
        entries["a text"] = "of the last part"
        with pytest.raises(TypeError):
            entries.increment_many({**dict.fromkeys(range(100_000), 1), "a text": 1})
        # The parts before are there, and nothing of the last one.
        assert entries[0] == 2
        assert entries[99_999] == 100_000
        heap.check()
