"""Both serde tables of `docs/values.md`, value by value: this is Python's half of the test.

Goal: what Rust writes is what Python reads and the other way round, for every row of the page.
Method: `languages.txt` has values as Rust and as Python call them, and the bytes between; each
side checks its own column. Rust's half, `tests/languages.rs`, also sees to it that no row of the
page lacks a line.
"""

import datetime
import pathlib
import uuid
from fractions import Fraction
from pathlib import Path

import pytest
from test_codec import same

from coheap import _native

ROOT = Path(__file__).resolve().parents[3]
NAMES = {"Fraction": Fraction, "datetime": datetime, "pathlib": pathlib, "uuid": uuid}
FILE = ROOT / "crates/coheap/src/element/tests/languages.txt"


def lines():
    heading = ""
    for line in FILE.read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line and not line.startswith("#"):
            _, python, data = line.split(" | ")
            yield heading, python, bytes.fromhex(data)


LINES = list(lines())


def holds_a_pickle(value: object) -> bool:
    try:
        _native._encode(value, pickle=False)
    except TypeError:
        return True
    return False


def test_both_directions_are_there():
    for direction in ("From Rust: ", "To Rust: "):
        assert sum(heading.startswith(direction) for heading, _, _ in LINES) > 30


@pytest.mark.parametrize(("heading", "python", "data"), LINES)
def test_python_reads_and_writes_its_column(heading, python, data):
    value = eval(python, NAMES)
    assert same(_native._decode(data), value)
    if heading.startswith("Keys: "):
        assert _native._encode_key(value) == data
        return
    written = _native._encode(value)
    if holds_a_pickle(value):
        # The pickle itself is a matter of the Python version; where it begins is not.
        assert written[: written.index(b"\x7f")] == data[: data.index(b"\x7f")]
        assert same(_native._decode(written), value)
    else:
        assert written == data
