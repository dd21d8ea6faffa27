"""The order of a dict in a block is that of a dict, and costs what a look at one entry costs.

Goal: whatever a block and the blocks inside it did before, both ends, iterations and sizes are those
of a plain dict; removing the newest or the oldest entry does not read all the others.
Method: random calls on both, in blocks, in blocks inside them that end well or not, and outside; the
time of many removals against that of as many writes.
"""

import contextlib
import itertools
import random
import time

import pytest

import coheap

KEYS = [*range(12), *(f"a key that is longer than a cell, {n}" for n in range(6))]


@pytest.fixture
def counts(heap):
    return heap.dict("counts")


class Undone(Exception):
    """Ends a block without its changes."""


def oldest(d):
    key = next(iter(d))
    return key, d.pop(key)


CALLS = [
    *[lambda d, key, value: d.__setitem__(key, value)] * 5,
    *[lambda d, key, _: d.pop(key, None)] * 3,
    lambda d, key, value: d.setdefault(key, value),
    lambda d, *_: d.popitem(),
    lambda d, *_: oldest(d),
    lambda d, *_: next(iter(d)),
    lambda d, *_: next(reversed(d)),
    lambda d, *_: (list(d), list(reversed(d)), list(d.items()), len(d)),
    lambda d, *_: list(itertools.islice(d.values(), 3)),
    lambda d, *_: d.clear(),
    lambda d, key, value: d.update({key: value, "other": value}),
]


def same(ours, theirs, call, key, value):
    """Do the same to both; both say the same."""
    answers = []
    for target in (ours, theirs):
        try:
            answers.append(call(target, key, value))
        except (KeyError, StopIteration) as error:
            answers.append(type(error))
    assert answers[0] == answers[1]


def some_calls(choose, ours, theirs, depth):
    for _ in range(choose.randrange(1, 12)):
        if depth < 3 and choose.random() < 0.2:
            before = dict(theirs)
            with contextlib.suppress(Undone), coheap.atomic():
                some_calls(choose, ours, theirs, depth + 1)
                if choose.random() < 0.4:
                    theirs.clear()
                    theirs.update(before)
                    raise Undone
        value = choose.choice([1, "short", "long" * 30, None])
        same(ours, theirs, choose.choice(CALLS), choose.choice(KEYS), value)
    assert list(ours.items()) == list(theirs.items())


@pytest.mark.parametrize("seed", range(60))
def test_a_dict_in_blocks_says_what_a_dict_says(counts, seed):
    choose, theirs = random.Random(seed), {}
    for _ in range(40):
        some_calls(choose, counts, theirs, 0)


def seconds(call):
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_blocks(count, call):
    for begin in range(0, count, 5000):
        with coheap.atomic():
            for n in range(begin, min(begin + 5000, count)):
                call(n)


@pytest.mark.parametrize("remove", [lambda d: d.popitem(), oldest], ids=["newest", "oldest"])
def test_many_removals_at_an_end_cost_about_as_many_writes(heap, remove):
    count = 20_000
    d = heap.dict("d")
    d.update((n, n) for n in range(count + count // 5))
    for n in range(0, count, 7):
        del d[n]
    left = len(d)
    written = seconds(lambda: in_blocks(count, lambda n: d.__setitem__(count, n)))
    removed = seconds(lambda: in_blocks(left, lambda _: remove(d)))
    assert len(d) == 0
    # All of them read at each removal would be some ten thousand times as much.
    assert removed < 100 * written


@pytest.mark.parametrize("look", [lambda d: next(iter(d)), lambda d: next(reversed(d))])
def test_a_look_at_an_end_does_not_read_everything(heap, look):
    d = heap.dict("d")
    d.update((n, n) for n in range(50_000))
    with coheap.atomic():
        read = min(seconds(lambda: list(d)) for _ in range(3))
        looked = min(seconds(lambda: look(d)) for _ in range(10))
    assert looked * 20 < read


def test_keys_may_be_removed_from_the_last_one_back(counts):
    counts.update((n, n) for n in range(1000))
    with coheap.atomic():
        for key in reversed(counts):
            if key % 2:
                del counts[key]
        assert list(counts) == list(range(0, 1000, 2))
    assert list(counts) == list(range(0, 1000, 2))
