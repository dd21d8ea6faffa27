"""Equal keys are one key, unequal ones are two, and a key comes back as it was given.

Goal: the table of keys in `docs/values.md` holds at every depth, for keys of all types.
Method: made-up pairs of keys are compared as objects and as bytes, with pairs among them that are equal
though their types differ; keys of every type there and back; keys that cannot be stored.
"""

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import math
import operator
import pathlib
import subprocess
import sys
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import coheap
from coheap import _native
from coheap._native import _decode, _encode, _encode_key, _encode_wanted

UTC = datetime.timezone.utc


class Color(enum.Enum):
    RED = 1
    BLUE = 2
    SCARLET = 1


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    HIGH = 2**70
    LOW = 1


class Word(str):
    pass


class Half(float):
    def __float__(self):
        raise RuntimeError("asked")


Place = collections.namedtuple("Place", "x y")


@dataclasses.dataclass(frozen=True)
class Point:
    x: object
    y: object


class Bag:
    """A key whose attributes come in any order."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __eq__(self, other):
        return type(other) is Bag and self.__dict__ == other.__dict__

    def __hash__(self):
        return hash(frozenset(self.__dict__))

    def __repr__(self):
        return f"Bag({self.__dict__})"


numbers = (
    st.booleans()
    | st.integers()
    | st.integers(60, 1000).map(lambda exponent: 2**exponent)
    | st.integers(60, 1000).map(lambda exponent: -(2.0**exponent))
    | st.floats(allow_nan=False)
    | st.integers(-5, 5).map(float)
    | st.fractions()
    | st.decimals(allow_nan=False)
    | st.floats(allow_nan=False, allow_infinity=False).map(decimal.Decimal)
    | st.builds(lambda n, e: decimal.Decimal(n).scaleb(e), st.integers(-99, 99), st.integers(-9, 9))
    | st.complex_numbers(allow_nan=False)
    | st.integers(-2, 2).map(complex)
)
zones = st.timedeltas(datetime.timedelta(hours=-23), datetime.timedelta(hours=23)).map(
    datetime.timezone
)
times = (
    st.dates()
    | st.datetimes()
    | st.datetimes(timezones=zones)
    | st.times()
    | st.times(timezones=zones)
    | st.timedeltas()
    | zones
)
names = (
    st.uuids()
    | st.sampled_from([*Color, *Permission, Permission.READ | Permission.WRITE, *Level])
    | st.sampled_from("abA").map(pathlib.Path)
    | st.sampled_from("abA").map(pathlib.PurePosixPath)
    | st.sampled_from("abA").map(pathlib.PureWindowsPath)
    | st.builds(range, st.integers(-3, 3), st.integers(-3, 3), st.sampled_from([-2, -1, 1, 2]))
    | st.sampled_from([int, len, operator.add, math, Ellipsis, collections.OrderedDict.fromkeys])
)
atoms = (
    st.none()
    | numbers
    | numbers
    | st.text(max_size=3)
    | st.text(max_size=1).map(Word)
    | st.binary(max_size=3)
    | times
    | names.filter(lambda key: key is not math)
)
keys = st.deferred(
    lambda: (
        atoms
        | atoms
        | st.tuples(keys)
        | st.tuples(keys, keys)
        | st.builds(Place, keys, keys)
        | st.frozensets(keys, max_size=3)
        | st.builds(Point, keys, keys)
        | st.builds(lambda a, b: Bag(a=a, b=b), keys, keys)
    )
)


def others(key):
    """Make keys of other types that may be equal to a key."""
    made = [key]
    if isinstance(key, (int, float)) and math.isfinite(key):
        made += [decimal.Decimal(key), fractions.Fraction(key)]
        if abs(key) < 2**1000:
            made += [float(key), complex(key)]
        made += [int(key), bool(key)]
    if isinstance(key, tuple):
        made += [tuple(key), *([Place(*key)] if len(key) == 2 else [])]
    if isinstance(key, datetime.datetime) and key.tzinfo and 1 < key.year < 9999:
        made.append(key.astimezone(datetime.timezone(datetime.timedelta(hours=3))))
    if isinstance(key, str):
        made += [str(key), Word(key)]
    if isinstance(key, Bag):
        made.append(Bag(**dict(reversed(key.__dict__.items()))))
    return st.sampled_from(made)


def exactly(key):
    """Say what a key is, with the types of all of its parts; sets in any order are the same."""
    if isinstance(key, frozenset):
        return type(key), sorted(map(repr, map(exactly, key)))
    if isinstance(key, tuple):
        return type(key), [exactly(item) for item in key]
    if isinstance(key, (Point, Bag)):
        return type(key), sorted((name, repr(exactly(part))) for name, part in vars(key).items())
    return type(key), repr(key)


pairs = st.tuples(keys, keys) | keys.flatmap(lambda key: st.tuples(st.just(key), others(key)))


@given(pairs)
@example((decimal.Decimal("1E+4000"), 10**4000))
@example((decimal.Decimal("0.1"), 0.1))
@example((decimal.Decimal("-0"), 0))
@example((fractions.Fraction(1, 3), 1 / 3))
@example((range(0), range(5, 5)))
@example((datetime.datetime.max.replace(tzinfo=datetime.timezone.max), 1))
def test_bytes_are_equal_as_keys_are(pair):
    left, right = pair
    assert (_encode_wanted(left) == _encode_wanted(right)) == (left == right)


@given(keys)
def test_a_key_comes_back_with_its_own_type(key):
    back = _decode(_encode_key(key))
    assert back == key
    assert exactly(back) == exactly(key)


@given(st.lists(keys, max_size=8), st.lists(keys, max_size=8))
def test_a_dict_keeps_the_keys_that_a_dict_keeps(given_keys, wanted):
    with coheap.Heap(max_bytes=8 << 20) as heap:
        shared, plain = heap.dict("d"), {}
        for number, key in enumerate(given_keys):
            shared[key] = plain[key] = number
        assert [(exactly(key), value) for key, value in shared.items()] == [
            (exactly(key), value) for key, value in plain.items()
        ]
        for key in [*wanted, *given_keys]:
            assert (key in shared) == (key in plain)
            assert shared.get(key, "none") == plain.get(key, "none")
            assert shared.pop(key, None) == plain.pop(key, None)


@given(st.frozensets(keys, max_size=5))
def test_the_order_of_a_frozenset_does_not_matter(items):
    again = frozenset(sorted(items, key=repr, reverse=True))
    assert _encode_wanted(items) == _encode_wanted(again)


def test_every_nan_is_one_key():
    other = float.fromhex("0x0p0") * math.inf
    assert _encode_key(math.nan) == _encode_key(-other)
    assert _encode_key(math.nan) == bytes.fromhex("05 000000000000f87f")
    assert _encode_key((math.nan,)) == _encode_key((-other,))
    assert _encode_wanted(decimal.Decimal("NaN")) == _encode_key(math.nan)


def test_whole_floats_and_bools_are_ints():
    for key in (True, 1, 1.0, 1 + 0j, fractions.Fraction(1), decimal.Decimal("1.0")):
        assert _encode_wanted(key) == _encode(1)
    assert _encode_wanted(-0.0) == _encode(0)
    assert _encode_wanted(1e300) == _encode(int(1e300))
    assert _encode_wanted(-(2.0**63)) == _encode(-(2**63))
    assert _encode_wanted(2.0**63) == _encode(2**63)


def test_the_form_of_a_key_stands_behind_its_canonical_bytes():
    canonical = _encode(1)
    assert _encode_key(True) == bytes([0x80, len(canonical), 1]) + canonical + _encode(True)


def test_a_subclass_that_is_equal_as_its_base_counts_as_that():
    assert _encode_wanted(Level.HIGH) == _encode(2**70)
    assert _encode_wanted(Level.LOW) == _encode(1)
    assert _encode_wanted(Word("\ud800")) == _encode("\ud800")
    assert _encode_wanted(Half(0.5)) == _encode(0.5)
    assert _encode_wanted(Place(1, 2)) == _encode((1, 2))


def test_scalars_of_numpy_are_their_numbers():
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    third = np.longdouble(1) / 3
    scalars = [np.int64(5), np.uint8(5), np.float32(0.1), np.float64(0.5), np.float16(2), np.bool_(True)]
    scalars += [np.complex64(1j), np.str_("a"), np.bytes_(b"a"), third, np.int64(0)]
    plain = {scalar: number for number, scalar in enumerate(scalars)}
    shared = coheap.Dict(plain)
    for key in [5, 0.5, 2, 1, 1j, "a", b"a", 0, float(np.float32(0.1)), 0.1, *scalars]:
        assert shared.get(key) == plain.get(key), key
    assert [type(key) for key in shared] == [type(key) for key in plain]
    assert {np.datetime64("2020-01-01"): 1} == coheap.Dict({np.datetime64("2020-01-01"): 1})


def test_the_first_of_equal_keys_stays_until_it_is_removed():
    shared = coheap.Dict({True: "a"})
    shared[1] = "b"
    shared[1.0] = "c"
    assert repr(list(shared.items())) == "[(True, 'c')]"
    shared.update({1: "d", 2.0: "e", 2: "f"})
    assert repr(list(shared.items())) == "[(True, 'd'), (2.0, 'f')]"
    shared.move_to_end(1)
    assert repr(list(shared)) == "[2.0, True]"
    del shared[decimal.Decimal(1)]
    shared[1] = "g"
    assert repr(list(shared)) == "[2.0, 1]"


def test_the_first_of_equal_keys_stays_in_a_block():
    shared = coheap.Dict({True: "a", 2: "b"})
    with coheap.atomic():
        shared[1.0] = "c"
        shared.move_to_end(1.0)
        shared[3.0] = "d"
        shared[3] = "e"
        del shared[2]
        shared[2.0] = "f"
        assert repr(list(shared)) == "[True, 3.0, 2.0]"
    assert repr(list(shared.items())) == "[(True, 'c'), (3.0, 'e'), (2.0, 'f')]"


@pytest.mark.parametrize("key", [[], {}, set(), bytearray(), ([],), frozenset([(1, 2)]) and (1, [])])
def test_an_unhashable_key_is_refused_as_dict_refuses_it(key):
    shared = coheap.Dict({1: 2})
    uses = [
        lambda d: d[key],
        lambda d: d.get(key),
        lambda d: key in d,
        lambda d: d.pop(key, None),
        lambda d: operator.setitem(d, key, 1),
        lambda d: operator.delitem(d, key),
        lambda d: d.setdefault(key),
    ]
    for use in uses:
        for mapping in (shared, {1: 2}):
            with pytest.raises(TypeError, match="unhashable type"):
                use(mapping)
    assert shared == {1: 2}


class Sulky:
    """A key that does not want to be stored."""

    def __reduce_ex__(self, protocol):
        raise ZeroDivisionError("no parts")


class Dizzy:
    def __hash__(self):
        raise ZeroDivisionError("no hash")


def test_who_looks_for_a_key_that_cannot_be_stored_does_not_find_it():
    shared = coheap.Dict({1: 2})
    inside = {}
    recursive = functools.partial(print, inside)
    inside["again"] = recursive
    for key in (lambda: None, Sulky(), (Sulky(),), recursive, sys._getframe()):
        assert key not in shared
        assert shared.get(key, "none") == "none"
        assert shared.pop(key, "none") == "none"
        assert shared.get_many([key, 1]) == {1: 2}
        with pytest.raises(KeyError):
            del shared[key]
    assert shared == {1: 2}


def test_what_a_key_raises_comes_through_and_changes_nothing():
    shared = coheap.Dict({1: 2})
    with pytest.raises(ZeroDivisionError, match="no parts"):
        shared[Sulky()] = 1
    for use in (lambda: Dizzy() in shared, lambda: operator.setitem(shared, Dizzy(), 1)):
        with pytest.raises(ZeroDivisionError, match="no hash"):
            use()
    assert shared == {1: 2}


def test_without_pickle_a_key_must_be_of_a_known_type():
    name = f"keys-without-pickle-{uuid.uuid4()}"
    with coheap.open(name, max_bytes=1 << 20, temporary=True, pickle=False) as heap:
        shared = heap.dict("d")
        for key in (Color.RED, Point(1, 2), (1, Point(1, 2)), int, object()):
            with pytest.raises(TypeError, match=r"of type .+\..+ would have to be pickled"):
                shared[key] = 1
            assert key not in shared
            assert shared.get(key) is None
        with pytest.raises(TypeError, match=rf"{__name__}\.Point"):
            shared[Point(1, 2)] = 1
        plain = {1.5: 1, True: 2, datetime.date(2020, 1, 2): 3, uuid.UUID(int=5): 4, Level.HIGH: 5}
        plain |= {decimal.Decimal("0.1"): 6, datetime.datetime(2020, 1, 2, tzinfo=UTC): 7}
        plain |= {pathlib.Path("a"): 8, datetime.timedelta(days=-1): 9, datetime.time(1): 10}
        shared.update(plain)
        assert shared == plain


def test_a_key_may_have_64_levels():
    key: object = 1
    for _ in range(64):
        key = (key,)
    assert _decode(_encode_key(key)) == key
    with pytest.raises(ValueError, match="64 levels"):
        _encode_key((key,))


MANY_KINDS = """
import datetime, decimal, enum, pathlib, uuid
class Color(enum.Enum):
    RED = 1
class Bag:
    def __init__(self, *names):
        self.names = set(names)
        self.more = {name: 1 for name in self.names}
keys = [frozenset(map(str, range(50))), Color.RED, pathlib.Path("a"), uuid.UUID(int=5), Bag(*"abcdefgh"),
        decimal.Decimal("0.1"), datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc), int, len]
from coheap import _native
print([_native._encode_wanted(key).hex() for key in keys])
"""


@pytest.mark.parametrize("seed", ["0", "1", "123"])
def test_bytes_do_not_depend_on_the_seed_of_hashes(seed):
    first, second = (
        subprocess.run(
            [sys.executable, "-c", MANY_KINDS],
            env={"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for seed in (seed, "77")
    )
    assert first == second


def test_any_bytes_are_a_key_or_an_error():
    for tag in (0x10, 0x11, 0x12, 0x13, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C):
        for payload in (b"", b"x", b"\xff" * 16, b"\x03" * 18):
            try:
                _native._decode(bytes([tag, len(payload)]) + payload)
            except coheap.HeapCorrupt:
                pass
