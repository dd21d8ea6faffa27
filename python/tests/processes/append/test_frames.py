"""Frames become the bytes that their own writers give them, and the readers' frames are the same.

Goal: nobody who turns from `to_csv(mode="a")` to `append_csv` finds another file.
Method: hypothesis makes frames with awkward cells. What pandas writes into an empty file, and
appends to it, is compared byte by byte; `pandas.read_csv` and `polars.read_csv` read both.
"""

import datetime
import decimal
import io
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import coheap

# The newest Pythons may have none of them yet.
pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

# A lone carriage return is not quoted by `csv` of older Pythons, so that nobody can read it back.
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=8
) | st.sampled_from(
    ["", "NaN", "a,b", 'say "hi"', "x\ny", " z ", "\u4e2d\u6587", "\U0001f600", "'", "1"]
)
INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=64) | st.sampled_from([0.0, -0.0, 1e16, 1e-5, 123456789.123456789, 1e22])
MOMENTS = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))
DAYS = st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1))


def series(kind: str, size: int) -> st.SearchStrategy:
    """Columns of one kind."""

    def many(cells):
        return st.lists(cells, min_size=size, max_size=size)

    def of(cells, dtype):
        return many(cells).map(lambda cells: pandas.Series(cells, dtype=dtype))

    return {
        "int64": lambda: of(INTS, "int64"),
        "uint8": lambda: of(st.integers(0, 255), "uint8"),
        "Int32": lambda: of(st.none() | st.integers(-(2**31), 2**31 - 1), "Int32"),
        "float64": lambda: of(FLOATS, "float64"),
        "float32": lambda: of(st.floats(width=32), "float32"),
        "bool": lambda: of(st.booleans(), "bool"),
        "boolean": lambda: of(st.none() | st.booleans(), "boolean"),
        "str": lambda: of(st.none() | TEXTS, "str"),
        "object": lambda: of(st.none() | TEXTS, object),
        "mixed": lambda: of(st.none() | TEXTS | INTS | FLOATS | st.booleans() | DAYS, object),
        "huge": lambda: of(st.integers(), object),
        "decimal": lambda: of(st.decimals(allow_nan=False, allow_infinity=False), object),
        "category": lambda: of(st.none() | TEXTS, "category"),
        "moment": lambda: of(st.none() | MOMENTS, "datetime64[ns]"),
        "milliseconds": lambda: of(st.none() | MOMENTS, "datetime64[ms]"),
        "day": lambda: of(DAYS, "datetime64[s]"),
        "utc": lambda: of(st.none() | MOMENTS, "datetime64[us, UTC]"),
        "zone": lambda: of(st.none() | MOMENTS, "datetime64[ns, Europe/Berlin]"),
        "timedelta": lambda: of(st.timedeltas(datetime.timedelta(-9), datetime.timedelta(9)), "timedelta64[ns]"),  # noqa: E501
    }[kind]()  # fmt: skip


KINDS = [
    "int64", "uint8", "Int32", "float64", "float32", "bool", "boolean", "str", "object", "mixed",
    "huge", "decimal", "category", "moment", "milliseconds", "day", "utc", "zone", "timedelta",
]  # fmt: skip


@st.composite
def frames(draw: st.DrawFn, kinds: list[str] = KINDS) -> object:
    """Frames of one to four columns and up to six rows."""
    size = draw(st.integers(0, 6))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
    return pandas.DataFrame(
        {f"c{number} {kind}": draw(series(kind, size)) for number, kind in enumerate(chosen)}
    )


def appended(*data: object, **options: object) -> bytes:
    """What is in a file after these calls."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        for each in data:
            coheap.append_csv(path, each, **options)
        return path.read_bytes()


@settings(max_examples=150)
@given(frames(), st.booleans())
def test_pandas_frames_have_the_bytes_of_to_csv(frame, index):
    whole = frame.to_csv(index=index) + frame.to_csv(index=index, header=False)
    assert appended(frame, frame, index=index) == whole.encode()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_each_kind_of_column_has_the_bytes_of_to_csv(kind, data):
    frame = data.draw(frames([kind]))
    quoting = data.draw(st.sampled_from([0, 1, 2]))
    options = {"quoting": quoting, "na_rep": data.draw(st.sampled_from(["", "NA"]))}
    assert appended(frame, **options) == frame.to_csv(index=False, **options).encode()


@settings(max_examples=40)
@given(frames(["float64", "moment", "day", "int64"]))
def test_formats_have_the_bytes_of_to_csv(frame):
    options = {"float_format": "%.3f", "date_format": "%Y/%m/%d %H", "sep": ";"}
    assert appended(frame, **options) == frame.to_csv(index=False, **options).encode()


@settings(max_examples=40)
@given(frames(["int64", "float64", "bool", "str", "moment"]))
def test_the_readers_of_pandas_and_polars_find_the_same_frames(frame):
    ours, theirs = appended(frame), frame.to_csv(index=False).encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pandas.testing.assert_frame_equal(
            pandas.read_csv(io.BytesIO(ours)), pandas.read_csv(io.BytesIO(theirs))
        )
        options = {"infer_schema": False}
        assert polars.read_csv(ours, **options).equals(polars.read_csv(theirs, **options))


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(INTS, st.none() | FLOATS, st.none() | TEXTS, st.booleans(), MOMENTS), max_size=6
    )
)
def test_polars_and_pyarrow_are_written_as_the_same_frame_of_pandas(rows):
    kinds = {
        "i": polars.Int64,
        "f": polars.Float64,
        "s": polars.String,
        "b": polars.Boolean,
        "t": polars.Datetime("us"),
    }
    ours = polars.DataFrame(rows, schema=kinds, orient="row")
    columns = {name: [row[place] for row in rows] for place, name in enumerate("ifsbt")}
    types = ["int64", "float64", "str", "bool", "datetime64[us]"]
    theirs = pandas.DataFrame(
        {
            name: pandas.Series(columns[name], dtype=kind)
            for name, kind in zip("ifsbt", types, strict=True)
        }
    )
    expected = theirs.to_csv(index=False).encode()
    assert appended(ours) == expected
    assert appended(ours.to_arrow()) == expected
    table = ours.to_arrow()
    stream = pyarrow.RecordBatchReader.from_batches(table.schema, table.to_batches())
    assert appended(stream) == expected
    schema = {**kinds, "t": polars.String}
    read = polars.read_csv(appended(ours), schema=schema)
    written = polars.read_csv(ours.write_csv().encode(), schema=schema)
    # Polars quotes an empty text, and writes NaN, so that both differ from what is missing.
    written = written.with_columns(
        polars.col("s").replace("", None), polars.col("f").fill_nan(None)
    )
    assert read.drop("t").equals(written.drop("t"))


def test_types_of_polars_that_pandas_has_not_are_written_as_python_does():
    frame = polars.DataFrame(
        {
            "d": [datetime.date(2026, 11, 30), None],
            "t": [datetime.time(3, 36, 1), datetime.time(3, 36, 1, 5)],
            "n": [decimal.Decimal("1.50"), None],
            "c": polars.Series(["x", None], dtype=polars.Categorical),
            "z": polars.Series([0, 1], dtype=polars.Datetime("us", "Asia/Kolkata")),
            "u": polars.Series([None, 7], dtype=polars.UInt16),
            "e": [None, None],
        }
    )
    assert appended(frame).decode().splitlines()[1:] == [
        "2026-11-30,03:36:01,1.50,x,1970-01-01 05:30:00+05:30,,",
        ",03:36:01.000005,,,1970-01-01 05:30:00.000001+05:30,7,",
    ]


@pytest.mark.parametrize("column", [[[1, 2]], [b"x"], [{"a": 1}], [datetime.timedelta(1)]])
def test_columns_without_a_text_are_refused_by_name(column):
    with pytest.raises(TypeError, match='column "odd"'):
        appended(polars.DataFrame({"odd": column}))


def test_columns_are_chosen_and_put_into_the_order_of_the_file(tmp_path):
    path = tmp_path / "rows.csv"
    frame = pandas.DataFrame({"a": [1], "b": [2.5], "c": ["x"]})
    coheap.append_csv(path, frame, columns=["c", "a"])
    coheap.append_csv(path, frame[["a", "c"]])
    coheap.append_csv(path, polars.from_pandas(frame), columns=["a", "c"])
    coheap.append_csv(path, frame.assign(c=[decimal.Decimal("1.0")])[["a", "c"]])
    assert path.read_text() == "c,a\nx,1\nx,1\nx,1\n1.0,1\n"
    for bad in (frame, frame.rename(columns={"c": "d"})[["a", "d"]]):
        with pytest.raises(ValueError, match="the columns are not those"):
            coheap.append_csv(path, bad)
    with pytest.raises(ValueError, match="no columns z"):
        coheap.append_csv(path, frame, columns=["z"])
    with pytest.raises(ValueError, match="two columns"):
        coheap.append_csv(tmp_path / "other.csv", frame, columns=["a", "a"])


@pytest.mark.parametrize("dtype", ["str", object])
def test_half_a_character_in_a_frame_is_named(tmp_path, dtype):
    frame = pandas.DataFrame({"s": pandas.Series(["ok", "a\ud800"], dtype=object), "n": [1, 2]})
    with pytest.raises(UnicodeEncodeError, match="row 1, column 's'"):
        coheap.append_csv(tmp_path / "rows.csv", frame)
    assert not list(tmp_path.iterdir())


def test_a_carriage_return_in_a_cell_comes_back(tmp_path):
    frame = pandas.DataFrame({"a": ["x\ry", "z"], "b": [decimal.Decimal(1), 2]})
    for each in (frame, frame[["a"]].assign(b=1), polars.DataFrame({"a": ["x\ry"], "b": [1]})):
        read = pandas.read_csv(io.BytesIO(appended(each)), lineterminator="\n")
        assert read["a"][0] == "x\ry"


def test_long_frames_are_formatted_as_pandas_does_in_its_chunks():
    moments = pandas.Series(pandas.date_range("2026-01-01", periods=120_000, freq="1D", unit="s"))
    moments[119_999] += pandas.Timedelta("1s")
    frame = pandas.DataFrame({"t": moments, "n": range(120_000)})
    assert appended(frame) == frame.to_csv(index=False).encode()
