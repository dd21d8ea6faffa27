"""One process: what is written into which file, and what is refused with nothing changed.

Goal: a file keeps what it has, and bad input changes nothing on disk.
Method: the bytes of all files in a folder are compared before and after.
"""

import csv
import datetime
import decimal
import math
import os
from pathlib import Path

import numpy
import pytest

import coheap

ROWS = [[1, "a"], [2, "b"]]
EURO = "\u20ac"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there."""
    return tmp_path / "rows.csv"


def files(folder: Path) -> dict[str, bytes]:
    """All that is in a folder."""
    return {each.name: each.read_bytes() for each in folder.iterdir()}


@pytest.mark.parametrize("kind", [list, iter, lambda rows: (tuple(row) for row in rows)])
def test_rows_of_any_kind_are_counted_and_written(path, kind):
    assert coheap.append_csv(path, kind(ROWS), columns=["n", "s"]) == 2
    assert coheap.append_csv(str(path), kind(ROWS)) == 2
    assert path.read_bytes() == b"n,s\n1,a\n2,b\n1,a\n2,b\n"


def test_dicts_name_their_columns_and_are_put_into_the_order_of_the_file(path):
    coheap.append_csv(path, [{"b": 1, "a": None}])
    coheap.append_csv(path, [{"a": 2, "b": True}], columns=["a", "b"])
    coheap.append_csv(path, [{"a": 3, "c": 0, "b": 4}], columns=["a", "b"])
    coheap.append_csv(path, numpy.array([[5, 6]]), columns=["a", "b"])
    assert path.read_text() == "b,a\n1,\nTrue,2\n4,3\n6,5\n"


def test_cells_are_written_as_csv_and_pandas_write_them(path):
    cells = [
        0.1,
        1e16,
        1e-5,
        -0.0,
        math.inf,
        math.nan,
        2**70,
        decimal.Decimal("1.50"),
        None,
        numpy.float64(2.5),
        numpy.float32(0.1),
        numpy.int8(3),
        numpy.bool_(True),
        datetime.datetime(2026, 11, 30, 3),
        datetime.date(2026, 11, 30),
        'x,"y"',
        "\r",
        "",
    ]
    coheap.append_csv(path, [cells])
    assert path.read_bytes() == (
        b"0.1,1e+16,1e-05,-0.0,inf,,1180591620717411303424,1.50,,2.5,0.1,3,True,"
        b'2026-11-30 03:00:00,2026-11-30,"x,""y""","\r",\n'
    )


def test_the_formats_are_those_of_to_csv(path):
    day = datetime.date(2026, 11, 30)
    options = {"na_rep": "NA", "float_format": "%.2f", "date_format": "%d.%m.%y", "sep": ";"}
    coheap.append_csv(path, [[1.005, None, day, "a;b"]], lineterminator="\r\n", **options)
    coheap.append_csv(path, [[2.0, "x", day, ""]], quoting=csv.QUOTE_ALL, sep=";")
    coheap.append_csv(path, [[2.0, "x", 3, True]], quoting=csv.QUOTE_NONNUMERIC, sep=";")
    coheap.append_csv(path, [[2.5, "x", 3, 4]], float_format=lambda number: f"<{number}>", sep=";")
    assert path.read_bytes() == (
        b'1.00;NA;30.11.26;"a;b"\r\n"2.0";"x";"2026-11-30";""\r\n2.0;"x";3;True\r\n<2.5>;x;3;4\r\n'
    )


def test_a_single_empty_cell_is_no_empty_line(path):
    coheap.append_csv(path, [[None], [""], ["x"]], columns=["only"])
    assert path.read_text() == 'only\n""\n""\nx\n'


@pytest.mark.parametrize(
    ("before", "encoding", "after"),
    [
        (b"", None, "n,\u00e9\n1,\u00fc\n".encode()),
        (b"", "utf-8-sig", b"\xef\xbb\xbf" + "n,\u00e9\n1,\u00fc\n".encode()),
        (b"", "utf-16", b"\xff\xfe" + "n,\u00e9\n1,\u00fc\n".encode("utf-16-le")),
        (b"", "latin-1", "n,\u00e9\n1,\u00fc\n".encode("latin-1")),
        ("n,\u00e9\n".encode(), None, "n,\u00e9\n1,\u00fc\n".encode()),
        ("n,\u00e9\r\n".encode(), None, "n,\u00e9\r\n1,\u00fc\r\n".encode()),
        ("n,\u00e9".encode(), "utf-8-sig", "n,\u00e9\n1,\u00fc\n".encode()),
        ("n,\u00e9\n".encode("utf-8-sig"), None, "n,\u00e9\n1,\u00fc\n".encode("utf-8-sig")),
        ("n,\u00e9\n".encode("utf-16"), None, "n,\u00e9\n1,\u00fc\n".encode("utf-16")),
        ("n,\u00e9\n".encode("gbk"), "gbk", "n,\u00e9\n1,\u00fc\n".encode("gbk")),
        ("n,\u00e9\n".encode("gb18030"), "gb18030", "n,\u00e9\n1,\u00fc\n".encode("gb18030")),
        ("n,\u00e9".encode("latin-1"), "iso-8859-1", "n,\u00e9\n1,\u00fc\n".encode("latin-1")),
    ],
)
def test_a_file_keeps_its_encoding_its_mark_and_its_line_ends(path, before, encoding, after):
    path.write_bytes(before)
    coheap.append_csv(path, [[1, "\u00fc"]], columns=["n", "\u00e9"], encoding=encoding)
    assert path.read_bytes() == after
    # The record beside it knows the encoding by now.
    coheap.append_csv(path, [{"\u00e9": 2, "n": 1}])
    assert path.read_bytes().startswith(after)
    assert len(path.read_bytes()) > len(after)


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "big5", "shift_jis", "euc_kr", "cp1251"])
def test_legacy_encodings_round_trip(path, encoding):
    word = {"shift_jis": "\u8868", "cp1251": "\u0416", "euc_kr": "\ud55c"}.get(encoding, "\u4e2d")
    for number in range(3):
        coheap.append_csv(path, [[number, word]], columns=["n", word], encoding=encoding)
    lines = path.read_bytes().decode(encoding).splitlines()
    assert lines == [f"n,{word}", f"0,{word}", f"1,{word}", f"2,{word}"]


BAD = {
    "other columns": (lambda p: coheap.append_csv(p, [{"n": 1, "x": 2}]), ValueError, "missing: s"),
    "extra columns": (lambda p: coheap.append_csv(p, [{"n": 1, "s": 2, "t": 3}]), ValueError, "t"),
    "too wide": (lambda p: coheap.append_csv(p, [[1, 2, 3]]), ValueError, "3 cells"),
    "ragged": (lambda p: coheap.append_csv(p, [[1, 2], [3]]), ValueError, "row 1"),
    "ragged dicts": (
        lambda p: coheap.append_csv(p, [{"n": 1, "s": 2}, {"n": 1}]), ValueError, "row 1 lacks s",
    ),
    "mixed": (lambda p: coheap.append_csv(p, [{"n": 1, "s": 2}, [1, 2]]), TypeError, "row 1"),
    "two columns of a name": (
        lambda p: coheap.append_csv(p, [[1, 2]], columns=["n", "n"]), ValueError, "two columns",
    ),
    "bytes": (lambda p: coheap.append_csv(p, [[1, b"x"]]), TypeError, "row 0, column 1"),
    "a text": (lambda p: coheap.append_csv(p, "1,2"), TypeError, "str"),
    "a dict": (lambda p: coheap.append_csv(p, {"n": 1}), TypeError, "dict"),
    "a row that is a text": (lambda p: coheap.append_csv(p, ["ab"]), TypeError, "row 0"),
    "a number": (lambda p: coheap.append_csv(p, 7), TypeError, "int"),
    "a long separator": (lambda p: coheap.append_csv(p, ROWS, sep="::"), ValueError, "separator"),
    "a strange quoting": (lambda p: coheap.append_csv(p, ROWS, quoting=9), ValueError, "quoting"),
    "a strange header": (lambda p: coheap.append_csv(p, ROWS, header="no"), ValueError, "header"),
    "a strange line end": (
        lambda p: coheap.append_csv(p, ROWS, lineterminator="|"), ValueError, "lineterminator",
    ),
    "no quotes allowed": (
        lambda p: coheap.append_csv(p, [[1, "a,b"]], quoting=csv.QUOTE_NONE), ValueError, "QUOTE_NONE",  # noqa: E501
    ),
    "an unknown encoding": (
        lambda p: coheap.append_csv(p, ROWS, encoding="klingon"), LookupError, "klingon",
    ),
    "an encoding that is none": (
        lambda p: coheap.append_csv(p, ROWS, encoding="rot13"), LookupError, "rot13",
    ),
    "a mark in each text": (
        lambda p: coheap.append_csv(p, ROWS, encoding="utf-32"), LookupError, "utf-32",
    ),
    "a header without names": (
        lambda p: coheap.append_csv(p, ROWS, header=True), ValueError, "names",
    ),
    "half a character": (
        lambda p: coheap.append_csv(p, [[1, "ok"], [2, "a\ud800"]]), UnicodeEncodeError, "row 1, column 1",  # noqa: E501
    ),
    "a wrong encoding": (
        lambda p: coheap.append_csv(p, ROWS, encoding="utf-16"), ValueError, "not utf-16",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_bad_input_is_refused_with_nothing_changed(path, why):
    call, kind, words = BAD[why]
    path.write_text("n,s\n0,z\n")
    before = files(path.parent)
    with pytest.raises(kind, match=words):
        call(path)
    assert files(path.parent) == before


def test_what_a_file_cannot_hold_is_named_with_row_and_column(path):
    coheap.append_csv(path, [[1, "\u4e2d"]], columns=["n", "wort"], encoding="gbk")
    before = files(path.parent)
    with pytest.raises(UnicodeEncodeError, match=r"row 1, column \"wort\"") as caught:
        coheap.append_csv(path, [[2, "x"], [3, f"ab{EURO}"]], columns=["n", "wort"])
    assert (caught.value.encoding, caught.value.object, caught.value.start) == (
        "gbk",
        f"ab{EURO}",
        2,
    )
    assert files(path.parent) == before


@pytest.mark.parametrize(
    ("content", "encoding", "words"),
    [
        ("\u00e9\n".encode("latin-1"), None, "say it with `encoding`"),
        ("\u4e2d\u6587,\u00e9\n".encode(), "gbk", "holds UTF-8"),
        ("\u4e2d\u6587,\u00e9\n".encode("gbk"), "utf-8", "not utf-8"),
        ("\u4e2d\u6587,\u00e9\n".encode("utf-8-sig"), "gbk", "byte-order mark"),
        ("a,b\n".encode("utf-16"), "utf-8", "byte-order mark"),
        (b"\xff\xff\xff,\n", "gbk", "bytes that it has not"),
        (b"a,\0\n", None, "no text"),
        (b"\x1f\x8b\x08\0\0", None, "compressed"),
        (b"PK\x03\x04", None, "compressed"),
    ],
)
def test_a_file_that_is_something_else_is_left_alone(path, content, encoding, words):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        coheap.append_csv(path, [["x"]], encoding=encoding)
    assert files(path.parent) == {path.name: content}


def test_paths_that_are_no_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    for path, kind in [
        (tmp_path, IsADirectoryError),
        (tmp_path / "no" / "file", FileNotFoundError),
        (tmp_path / "pipe", OSError),
        (tmp_path / "rows.csv.gz", ValueError),
        (tmp_path / "rows.csv.zst", ValueError),
    ]:
        with pytest.raises(kind, match="nothing was"):
            coheap.append_csv(path, ROWS)
    assert sorted(tmp_path.iterdir()) == before


def test_a_link_leads_to_the_file_and_its_sidecar(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "there" / "rows.csv")
    coheap.append_csv(tmp_path / "link.csv", ROWS)
    assert sorted(os.listdir(tmp_path / "there")) == [".rows.csv.coheap", "rows.csv"]


def test_without_header_the_first_row_is_a_row(path):
    coheap.append_csv(path, ROWS, columns=["n", "s"], header=False)
    coheap.append_csv(path, [{"x": 3, "y": "c"}], header=False)
    assert path.read_text() == "1,a\n2,b\n3,c\n"
    with pytest.raises(ValueError, match="the columns are not those"):
        coheap.append_csv(path, [{"x": 3, "y": "c"}])


def test_nothing_is_a_header_or_nothing(path):
    assert coheap.append_csv(path, []) == 0
    assert files(path.parent) == {}
    assert coheap.append_csv(path, [], columns=["a"]) == 0
    assert coheap.append_csv(path, [], columns=["a"]) == 0
    assert path.read_text() == "a\n"


def test_contexts_append_too(path):
    assert coheap.get_context("spawn").append_csv(path, ROWS) == 2
    assert coheap.append_csv(path, ROWS, fsync=True, atomic=False) == 2
    assert path.read_text() == "1,a\n2,b\n" * 2
