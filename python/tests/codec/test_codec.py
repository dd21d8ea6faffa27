"""Values come back as they went in: the same type, the same value, at every depth.

Goal: what `docs/values.md` says of values holds, and no bytes harm who reads them.
Method: its examples; made-up values there and back; bytes that nobody writes; objects that change
while they are stored.
"""

import builtins
import collections
import enum
import math
import pickle
import struct
import sys
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import coheap
from coheap import _native

GOLDEN = [
    (None, "00"),
    (True, "02"),
    (7, "03 07 00 00 00 00 00 00 00"),
    (2**63, "04 09 00 00 00 00 00 00 00 80 00"),
    (1.5, "05 00 00 00 00 00 00 f8 3f"),
    ("hé", "06 03 68 c3 a9"),
    (b"\x00\xff", "07 02 00 ff"),
    ((True, None), "08 02 02 00"),
    ([True, False], "09 02 02 01"),
    ({True: "a"}, "0a 01 02 06 01 61"),
]


def near_a_power_of_two(sign: int, exponent: int, difference: int) -> int:
    return sign * 2**exponent + difference


small = st.integers(-1, 1)
floats = st.floats() | st.integers(0, 2**64 - 1).map(
    lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]
)
text = st.text() | st.text(st.characters(categories=["Cs", "Lu"]))
atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.builds(near_a_power_of_two, st.sampled_from([-1, 1]), st.integers(0, 2000), small)
    | floats
    | st.builds(complex, floats, floats)
    | text
    | st.binary()
)
hashable = st.deferred(
    lambda: atoms | atoms | st.tuples(hashable, hashable) | st.frozensets(hashable, max_size=3)
)
values = st.deferred(
    lambda: (
        hashable
        | st.binary().map(bytearray)
        | st.sets(hashable, max_size=4)
        | st.lists(values, max_size=4)
        | st.lists(values, max_size=4).map(tuple)
        | st.dictionaries(hashable, values, max_size=4)
    )
)


def same(left: object, right: object) -> bool:
    """Whether two values are of the same types and equal, down to the bits of floats."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("<d", left) == struct.pack("<d", right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if isinstance(left, (set, frozenset)):
        return sorted(map(picture, left)) == sorted(map(picture, right))
    return left == right


def picture(value: object) -> str:
    """The bytes of a value in words, whatever the order of its sets."""
    if isinstance(value, frozenset):
        return f"frozenset {sorted(map(picture, value))}"
    if isinstance(value, tuple):
        return f"tuple {list(map(picture, value))}"
    return f"{type(value).__name__} {_native._encode(value).hex()}"


@pytest.mark.parametrize(("value", "expected"), GOLDEN)
def test_the_bytes_are_those_of_the_page(value, expected):
    assert _native._encode(value) == bytes.fromhex(expected)
    assert same(_native._decode(bytes.fromhex(expected)), value)


@given(values)
@example([math.nan, -0.0, 0.0])
def test_every_value_comes_back_with_its_type(value):
    assert same(_native._decode(_native._encode(value, pickle=False), pickle=False), value)


@given(st.integers())
@example(-(2**63))
@example(-(2**63) - 1)
@example(2**63 - 1)
@example(-(2**71))
def test_ints_have_as_few_bytes_as_hold_them(value):
    data = _native._encode(value)
    if -(2**63) <= value < 2**63:
        assert data == b"\x03" + value.to_bytes(8, "little", signed=True)
    else:
        size = next(n for n in range(9, 1000) if -(2 ** (8 * n - 1)) <= value < 2 ** (8 * n - 1))
        assert data == bytes([4, size]) + value.to_bytes(size, "little", signed=True)


def test_a_huge_int_comes_back():
    value = 7**100_000
    assert _native._decode(_native._encode(value, pickle=False)) == value


class Colour(enum.Enum):
    RED = 1


class Count(int):
    pass


@dataclass
class Point:
    x: int
    y: list[int]


Pair = collections.namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Count(7),
        Point(1, [2]),
        Pair(1, 2),
        [Pair(1, [Count(2)])],
        collections.OrderedDict(b=1, a=2),
        range(7),
        int,
        slice(1, 2),
    ],
)
def test_everything_else_is_pickled(value):
    back = _native._decode(_native._encode(value))
    assert back == value
    assert type(back) is type(value)
    with pytest.raises(TypeError, match="pickle=False"):
        _native._encode(value, pickle=False)
    with pytest.raises(pickle.UnpicklingError, match="pickle=False"):
        _native._decode(_native._encode(value), pickle=False)


def test_a_value_that_contains_itself_is_pickled_as_a_whole():
    value = [1]
    value.append(value)
    back = _native._decode(_native._encode(value))
    assert back[0] == 1
    assert back[1] is back
    twice: list = []
    twice += [twice, twice]
    assert _native._decode(_native._encode(twice))[1][0][1] is not None
    with pytest.raises(ValueError, match="64 levels"):
        _native._encode(value, pickle=False)


def nested(levels: int) -> object:
    value: object = 7
    for _ in range(levels):
        value = (value,)
    return value


def test_64_levels_are_the_most_that_goes_without_pickle():
    assert same(_native._decode(_native._encode(nested(64), pickle=False)), nested(64))
    assert same(_native._decode(_native._encode(nested(65))), nested(65))
    with pytest.raises(ValueError, match="64 levels"):
        _native._encode(nested(65), pickle=False)
    with pytest.raises(coheap.HeapCorrupt, match="64 levels"):
        _native._decode(b"\x08\x01" * 65 + b"\x00")


@given(st.binary() | st.lists(st.integers(0, 0x10)).map(bytes))
def test_any_bytes_give_a_value_or_an_error(data):
    try:
        _native._decode(data, pickle=False)
    except (coheap.HeapCorrupt, TypeError, pickle.UnpicklingError):
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x03\x01",
        b"\x00\x00",
        b"\x06\x05abc",
        b"\x06\x02\xc3\x28",
        b"\x09\xff\xff\xff\xff\x7f",
        b"\x0a\x7f\x00",
        b"\x04\x01\x07",
        b"\x04\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x10\x00\x00\x00\x00\x01\x01",
        b"\x80",
    ],
)
def test_bytes_that_nobody_writes_are_refused(data):
    with pytest.raises(coheap.HeapCorrupt, match="cannot be read"):
        _native._decode(data)


def test_what_does_not_pickle_says_so_and_changes_nothing(heap):
    values = heap.dict("values")
    values["a"] = 1
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        values["a"] = lambda: None
    assert values.snapshot() == {"a": 1}


def test_a_list_that_changes_while_it_is_stored_is_refused():
    items: list = []

    class Grows:
        def __reduce__(self):
            items.append(1)
            return (int, ())

    class Shrinks:
        def __reduce__(self):
            items.clear()
            return (int, ())

    for evil in (Grows(), Shrinks()):
        items[:] = [evil, 2, 3]
        with pytest.raises(RuntimeError, match="changed its size"):
            _native._encode(items)


def test_a_dict_or_set_that_changes_while_it_is_stored_is_stored_as_it_was():
    inside: dict = {}
    members: set = set()

    class Clears:
        def __reduce__(self):
            inside.clear()
            members.clear()
            inside.update(dict.fromkeys(range(100)))
            return (int, ())

    evil = Clears()
    inside.update({1: evil, 2: "b"})
    assert _native._decode(_native._encode(inside)) == {1: 0, 2: "b"}
    members.update({evil, 7})
    assert _native._decode(_native._encode(members)) == {0, 7}


@pytest.mark.skipif(sys.version_info < (3, 15), reason="frozendict is new in Python 3.15")
def test_a_frozendict_comes_back_as_one(heap):
    """Goal: it is a value as any other, wherever it lies, and no key.

    Method: types are compared at every depth, and the order of the entries; each operator that
    takes a dict takes it, too.
    """
    frozendict = builtins.frozendict
    frozen = frozendict(b=1, a=(2.5, frozendict(x=None)))
    for value in (frozendict(), frozen, [frozen], ({1: frozen},), {frozen: 1}, {frozen}):
        back = _native._decode(_native._encode(value))
        assert back == value
        assert repr(back) == repr(value)
        assert type(back) is type(value)
    with pytest.raises(TypeError, match="type frozendict.*pickle=False"):
        _native._encode(frozen, pickle=False)
    values, jobs = heap.dict("values"), heap.work_queue("jobs")
    inside = frozendict(d=heap.dict())
    values["frozen"], values["inside"] = frozen, inside
    inside["d"]["a"] = 1
    assert (values["frozen"], type(values["frozen"])) == (frozen, frozendict)
    assert values["inside"]["d"] == {"a": 1}
    jobs.put(frozen)
    with jobs.get() as lease:
        assert lease.value == frozen
    for key in (frozen, (1, frozen), frozenset([frozen])):
        with pytest.raises(TypeError, match="a key cannot be of type frozendict; nothing was"):
            values[key] = 1
    assert list(values) == ["frozen", "inside"]


@pytest.mark.skipif(sys.version_info < (3, 15), reason="frozendict is new in Python 3.15")
def test_a_frozendict_merges_with_a_dict_as_with_a_plain_one(heap):
    frozen, plain = builtins.frozendict(b=2, c=3), {"a": 1, "b": 1}
    ours, proxy = coheap.Dict(plain), coheap.Manager().dict(plain)
    for dict_like in (ours, proxy):
        for merged, expected in (
            (dict_like | frozen, plain | frozen),
            (frozen | dict_like, frozen | plain),
        ):
            assert merged == expected
            assert type(merged) is type(expected)
        dict_like |= frozen
        assert dict_like.copy() == {"a": 1, "b": 2, "c": 3}
    assert ours == builtins.frozendict(ours)
    assert coheap.Dict(frozen) == frozen
