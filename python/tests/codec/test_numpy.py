"""Scalars and arrays of numpy come back as they went in.

Goal: the type, the dtype with its byte order, the shape and every bit are what they were.
Method: made-up scalars and arrays of each kind of dtype, stored in a dict and put in a queue.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coheap

np = pytest.importorskip("numpy", reason="numpy is not installed")

DTYPES = [
    *(
        "?",
        "b",
        "B",
        "<i2",
        ">i2",
        "<i4",
        "<u4",
        ">i8",
        "<u8",
        "e",
        "<f4",
        ">f8",
        "g",
        "<c8",
        "c16",
    ),
    *("S3", "<U2", "M8[ns]", "m8[s]", "V5"),
]
RECORD = [("id", "<i4"), ("at", ">f8", (2,)), ("name", "U3")]

raw = st.binary(min_size=0, max_size=400)
shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@st.composite
def arrays(draw):
    """An array of any of the dtypes, whose bytes are any bytes that make sense there."""
    dtype = np.dtype(draw(st.sampled_from([*DTYPES, RECORD])))
    shape = draw(shapes)
    count = int(np.prod(shape, dtype=int))
    size = count * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind in "?UV" or dtype.char == "g":
        # Not all bytes are values of these.
        numbers = np.frombuffer(data[:count], dtype="u1") if size else np.zeros(0, "u1")
        numbers = np.resize(numbers, count)
        array = (
            np.array([(n % 2,) * len(RECORD) for n in numbers], dtype=dtype)
            if (dtype.names)
            else numbers.astype("U2" if dtype.kind == "U" else "u1").astype(dtype)
        )
        return array.reshape(shape)
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    return np.asfortranarray(array) if draw(st.booleans()) else array


def is_same(one, other):
    return (
        type(one) is type(other)
        and one.dtype == other.dtype
        and one.dtype.byteorder == other.dtype.byteorder
        and one.shape == other.shape
        and one.tobytes() == other.tobytes()
    )


@given(array=arrays())
def test_arrays_come_back_as_they_were(array):
    with coheap.Heap(max_bytes=1 << 20) as heap:
        d, jobs = heap.dict("d"), heap.work_queue("jobs")
        d["array"] = array
        assert is_same(d["array"], array)
        jobs.put([array, {"array": array}])
        with jobs.get() as job:
            first, second = job.value
            assert is_same(first, array)
            assert is_same(second["array"], array)


@given(array=arrays().filter(lambda array: array.size))
def test_scalars_come_back_as_they_were(array):
    scalar = array.reshape(-1)[0]
    with coheap.Heap(max_bytes=1 << 20) as heap:
        d = heap.dict("d", copies=True)
        d["scalar"] = (scalar, [scalar])
        first, (second,) = d["scalar"]
        assert is_same(first, scalar)
        assert is_same(second, scalar)


def test_scalars_of_numpy_as_keys(heap):
    """They are the numbers and texts that they are equal to, and come back as they were given."""
    d = heap.dict("d")
    keys = [np.float64(1.5), np.str_("a"), np.int64(1), np.bytes_(b"a"), np.datetime64("2020-01-01")]
    for key in keys:
        d[key] = 1
    assert [(type(key), key) for key in d] == [(type(key), key) for key in keys]
    assert {1.5, "a", 1, True, np.bool_(True), b"a"} <= d.keys()
    assert np.bool_(False) not in d
    with pytest.raises(TypeError, match="unhashable type: 'numpy.ndarray'"):
        d[np.arange(2)] = 1


def test_what_is_pickled_is_refused_where_pickles_are():
    with coheap.Heap(max_bytes=1 << 20, pickle=False) as heap:
        for value in (np.int64(1), np.arange(3)):
            with pytest.raises(TypeError):
                heap.dict("d")["x"] = value
