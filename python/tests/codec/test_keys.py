"""Equal keys are equal bytes, and unequal ones are not.

Goal: the table of keys in `docs/values.md` holds at every depth.
Method: made-up pairs of keys are compared as objects and as bytes; subclasses try to have a say.
"""

import enum
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coheap import _native

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(60, 1000).map(lambda exponent: 2**exponent)
    | st.integers(60, 1000).map(lambda exponent: -(2.0**exponent))
    | st.floats(allow_nan=False)
    | st.integers(-5, 5).map(float)
    | st.text(max_size=3)
    | st.binary(max_size=3)
)
keys = st.deferred(
    lambda: (
        atoms | atoms | st.tuples(keys) | st.tuples(keys, keys) | st.frozensets(keys, max_size=3)
    )
)


@given(keys, keys)
def test_bytes_are_equal_as_keys_are(left, right):
    assert (_native._encode_key(left) == _native._encode_key(right)) == (left == right)


@given(keys)
def test_a_key_comes_back_equal(key):
    assert _native._decode(_native._encode_key(key)) == key


@given(st.frozensets(keys, max_size=5))
def test_the_order_of_a_frozenset_does_not_matter(items):
    again = frozenset(sorted(items, key=repr, reverse=True))
    assert _native._encode_key(items) == _native._encode_key(again)


def test_every_nan_is_one_key():
    other = float.fromhex("0x0p0") * math.inf
    assert _native._encode_key(math.nan) == _native._encode_key(-other)
    assert _native._encode_key(math.nan) == bytes.fromhex("05 000000000000f87f")
    assert _native._encode_key((math.nan,)) == _native._encode_key((-other,))


def test_whole_floats_and_bools_are_ints():
    for key in (True, 1, 1.0):
        assert _native._encode_key(key) == _native._encode(1)
    assert _native._encode_key(-0.0) == _native._encode(0)
    assert _native._encode_key(1e300) == _native._encode(int(1e300))
    assert _native._encode_key(-(2.0**63)) == _native._encode(-(2**63))
    assert _native._encode_key(2.0**63) == _native._encode(2**63)


class Level(enum.IntEnum):
    HIGH = 2**70
    LOW = 1


class Loud(str):
    def __eq__(self, other):
        raise RuntimeError("asked")

    __hash__ = None

    def encode(self, *args):
        raise RuntimeError("asked")


class Half(float):
    def __float__(self):
        raise RuntimeError("asked")


def test_a_subclass_of_int_float_or_str_counts_as_its_base():
    assert _native._encode_key(Level.HIGH) == _native._encode(2**70)
    assert _native._encode_key(Level.LOW) == _native._encode(1)
    assert _native._encode_key(Loud("a")) == _native._encode("a")
    assert _native._encode_key(Loud("\ud800")) == _native._encode("\ud800")
    assert _native._encode_key(Half(0.5)) == _native._encode(0.5)


@pytest.mark.parametrize(
    "key", [[], {}, set(), bytearray(), 1j, object(), ([],), frozenset([(1j,)]), int, range(3)]
)
def test_other_keys_are_refused_with_the_allowed_types(key):
    with pytest.raises(TypeError, match="None, bool, int, float, str, bytes, and tuples"):
        _native._encode_key(key)


def test_a_key_may_have_64_levels():
    key: object = 1
    for _ in range(64):
        key = (key,)
    assert _native._decode(_native._encode_key(key)) == key
    with pytest.raises(ValueError, match="64 levels"):
        _native._encode_key((key,))


@pytest.mark.parametrize("seed", ["0", "1", "123"])
def test_bytes_do_not_depend_on_the_seed_of_hashes(seed):
    code = (
        "from coheap import _native\n"
        "print(_native._encode_key(frozenset(map(str, range(50)))).hex())"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for seed in (seed, "77")
    )
    assert first == second
