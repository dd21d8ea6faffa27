"""A Dict loses no change without a word.

Goal: what is changed in place is no value of a Dict, unless the Dict was made to store copies; arrays come
back read-only.
Method: mutable containers of each kind, alone and inside of tuples, in both kinds of Dict; arrays come out
of every method that returns values.
"""

import array
import collections
import dataclasses
import pickle
import types

import pytest

import coheap


class Names(list):
    pass


@dataclasses.dataclass
class Job:
    names: list


Pair = collections.namedtuple("Pair", "left right")

MUTABLE = [
    [],
    {},
    set(),
    bytearray(),
    collections.deque(),
    array.array("i", [1]),
    types.SimpleNamespace(a=1),
    Names(),
    collections.OrderedDict(),
    collections.Counter("a"),
    collections.defaultdict(int),
]


@pytest.mark.parametrize("value", MUTABLE, ids=lambda value: type(value).__name__)
def test_what_is_changed_in_place_is_refused(heap, value):
    d = heap.dict("d")
    for refused in (value, (1, value), ((value,),), Pair(1, value)):
        message = f"a {type(value).__name__} cannot be a value of a Dict.*copies=True"
        for store in (
            lambda v=refused: d.__setitem__("a", v),
            lambda v=refused: d.update(a=v),
            lambda v=refused: d.setdefault("a", v),
            lambda v=refused: d.update_with("a", lambda _: v),
            lambda v=refused: d.compare_and_set("a", coheap.ABSENT, v),
            lambda v=refused: d.get_or_compute("a", lambda: v),
        ):
            with pytest.raises(TypeError, match=message):
                store()
    assert d == {}


@pytest.mark.parametrize("value", MUTABLE, ids=lambda value: type(value).__name__)
def test_a_dict_that_stores_copies_takes_them(heap, value):
    d = heap.dict("d", copies=True)
    for stored in (value, (1, value)):
        d["a"] = stored
        assert d["a"] == stored
        assert type(d["a"]) is type(stored)


def test_objects_of_other_classes_are_stored(heap):
    d = heap.dict("d")
    d["a"] = Job(["x"])
    d["b"] = frozenset([(1, "a")])
    assert d["a"] == Job(["x"])
    assert d["b"] == frozenset([(1, "a")])


def test_that_it_stores_copies_belongs_to_the_dict(heap):
    made = heap.dict("d", copies=True)
    for handle in (heap.dict("d"), pickle.loads(pickle.dumps(made)), heap.dict("d", copies=True)):
        handle["a"] = [1]
    plain = heap.dict("plain")
    with pytest.warns(UserWarning, match="created with copies=False.*opened with copies=True"):
        same = heap.dict("plain", copies=True)
    with pytest.warns(UserWarning, match="created with copies=True.*opened with copies=False"):
        heap.dict("d", copies=False)["a"] = [2]
    for handle in (plain, same, pickle.loads(pickle.dumps(plain))):
        with pytest.raises(TypeError):
            handle["a"] = [1]
    with coheap.atomic():
        made["b"] = {}
    assert made == {"a": [2], "b": {}}
    nameless = heap.dict(copies=True)
    nameless["a"] = [plain]
    assert nameless["a"] == [plain]


def test_arrays_come_back_read_only():
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    numbers = np.arange(5)
    with coheap.Heap(max_bytes=8 << 20) as heap:
        d = heap.dict("d")
        d["a"] = numbers
        d["t"] = (1, (numbers,))
        ways = [
            lambda: d["a"],
            lambda: d["t"][1][0],
            lambda: d.get("a"),
            lambda: d.get_many(["a"])["a"],
            lambda: next(iter(d.values())),
            lambda: dict(d.items())["a"],
            lambda: d.copy()["a"],
            lambda: dict(d)["a"],
            lambda: d.first()[1],
            lambda: d.setdefault("a", 1),
            lambda: d.get_or_compute("a", int),
        ]
        for way in ways:
            got = way()
            assert (got == numbers).all()
            with pytest.raises(ValueError, match="read-only"):
                got[0] = 7
        seen = []
        d.update_with("a", lambda old: seen.append(old.flags.writeable) or old + 1)
        assert seen == [False]
        for own in (d.copy_of("a"), d.pop("a")):
            own[0] = 7
            assert list(own) == [7, 2, 3, 4, 5]
        assert numbers.flags.writeable
        with pytest.raises(KeyError):
            d.copy_of("a")
        with pytest.raises(KeyError):
            d.copy_of(lambda: None)
        copies = heap.dict("copies", copies=True)
        copies["a"] = numbers
        copies["a"][0] = 7
        assert list(copies["a"]) == [0, 1, 2, 3, 4]
