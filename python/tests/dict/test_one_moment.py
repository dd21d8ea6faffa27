"""Whatever reads a Dict sees one moment of it.

Goal: each way of reading many entries shows the dict as it was at one moment, and never raises because
others write.
Method: two processes move amounts between entries, in blocks; they remove entries and put them back,
and sometimes clear the dict, in blocks and outside. The sum and the keys that every moment has are
compared after each read. Then what a program can see of how `dict(d)` is read.
"""

import collections
import json
import os
import random
import time

import pytest

import coheap

ACCOUNTS = 100
EACH = 1000
SECONDS = float(os.environ.get("COHEAP_STORM_SECONDS", "0.2"))
"""How long each way of reading is tried. The whole list takes some minutes with 60."""

ALL = set(range(ACCOUNTS))


def total(numbers):
    return sum(number for number in numbers if isinstance(number, int))


# Each answers the sum of the amounts and the set of accounts, or None for what it does not show.
SUMS = {
    "sum of values": lambda d: (total(d.values()), None),
    "items": lambda d: (total(v for _, v in d.items()), {k for k, _ in d.items()}),
    "for": lambda d: (None, set(d)),
    "list": lambda d: (None, set(list(d))),
    "sorted": lambda d: (None, set(sorted(d, key=str))),
    "copy": lambda d: (total(d.copy().values()), set(d.copy())),
    "dict": lambda d: (total(dict(d).values()), None),
    "display": lambda d: (total({**d}.values()), None),
    "Counter": lambda d: (total(collections.Counter(d).values()), None),
    "OrderedDict": lambda d: (total(collections.OrderedDict(d).values()), None),
    "update": lambda d: (total(updated({}, d).values()), None),
    "update of another": lambda d: (total(updated(coheap.Dict(), d).values()), None),
    "or": lambda d: (total((d | {}).values()), None),
    "get_many": lambda d: (total(d.get_many(ALL).values()), None),
    "reversed": lambda d: (total(reversed(d.values())), set(reversed(d))),
    "views": lambda d: (None, d.keys() & ALL | d.keys() - {-1}),
    "equality": lambda d: (None, ALL if d.keys() >= ALL else d.keys() & ALL),
    "repr": lambda d: (len(repr(d)) * 0 + ACCOUNTS * EACH, None),
    "json": lambda d: (total(json.loads(json.dumps(d.copy())).values()), None),
}


def updated(target, source):
    target.update(source)
    return target


def move(accounts):
    """Move amounts for ever."""
    dice = random.Random(os.getpid())
    while True:
        one, other = dice.sample(range(ACCOUNTS), 2)
        with coheap.atomic():
            accounts[one] -= 1
            accounts[other] += 1
            if dice.random() < 0.1:
                accounts[one] = accounts.pop(one)
            if dice.random() < 0.01:
                plain = accounts.copy()
                accounts.clear()
                accounts.update(plain)
        accounts[f"text {one}"] = "of no account"
        accounts.pop(f"text {other}", None)


@pytest.fixture
def accounts(heap):
    accounts = heap.dict("accounts")
    accounts.update((n, EACH) for n in range(ACCOUNTS))
    return accounts


@pytest.mark.parametrize("way", SUMS)
def test_every_read_shows_one_moment(accounts, children, way):
    for _ in range(2):
        children.fork(lambda: move(accounts))
    end = time.monotonic() + SECONDS
    reads = 0
    while time.monotonic() < end or reads < 3:
        amount, keys = SUMS[way](accounts)
        assert amount in (None, ACCOUNTS * EACH)
        assert keys is None or {key for key in keys if isinstance(key, int)} == ALL
        reads += 1


def test_many_entries_are_read_at_one_moment(heap, children):
    many = heap.dict("many")
    many.update((n, 0) for n in range(20_000))

    def write():
        dice = random.Random(os.getpid())
        while True:
            with coheap.atomic():
                for by in (1, -1):
                    many.increment(dice.randrange(20_000), by)

    for _ in range(2):
        children.fork(write)
    for read in (lambda: many.values(), lambda: dict(many).values(), lambda: many.copy().values()):
        for _ in range(5):
            assert sum(read()) == 0


def test_a_program_that_asks_for_keys_first_sees_current_values(heap):
    d = heap.dict("d")
    d.update(a=1, b=2)
    names = list(d.keys())
    d["a"] = 10
    assert [d[name] for name in names] == [10, 2]
    for name in d.keys():
        d[name] = -d[name]
    assert dict(d) == {"a": -10, "b": -2}
    view = d.keys()
    before = dict(d)
    d["a"] = 5
    assert {name: d[name] for name in view} == {"a": 5, "b": -2} != before
    names = [*map(str, d.keys())]
    del d["b"]
    with pytest.raises(KeyError, match="b"):
        [d[name] for name in names]


def test_what_is_read_meanwhile_is_current(heap):
    d, other = heap.dict("d"), heap.dict("other")
    d.update(a=1, b=2)
    other.update(a=3, b=4)
    assert {**d, **other} == {"a": 3, "b": 4}
    assert dict(d, **other) == {"a": 3, "b": 4}

    class Watched(dict):
        """Reads and writes while it is filled."""

        def __setitem__(self, key, value):
            super().__setitem__(key, (value, d["a"]))
            d["a"] = 100

    watched = Watched()
    collections.abc.MutableMapping.update(watched, d)
    assert watched["a"] == (1, 1)
    assert watched["b"] == (2, 100)
    d["a"] = 1
    with coheap.atomic():
        d["c"] = 3
        assert dict(d) == {"a": 1, "b": 2, "c": 3}
        del d["c"]
    assert dict(d) == {"a": 1, "b": 2}
    holder = heap.dict("holder")
    holder["lock"], holder["d"] = heap.lock(), d
    assert set(dict(holder)) == {"lock", "d"}
    assert dict(holder)["d"] == d
