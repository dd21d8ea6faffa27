"""What can be appended to a CSV: rows, dicts and frames, each of which formats itself for a file.

What always holds: a source formats the same rows again for another plan. pandas, Polars and PyArrow
are imported only if the caller has handed in what is theirs.

Not here: how pandas frames become Arrow (`pandas_frames`).
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, cast

from coheap._imports import import_late
from coheap._native import _CsvCall, _Table

WHOLE = sys.maxsize
"""As many rows as there are: moments of a whole column have the same number of digits."""


class Format(NamedTuple):
    """How cells are written; the options of `append_csv`."""

    sep: str
    quoting: int
    na_rep: str
    float_format: str | Callable[[float], str] | None
    date_format: str | None


class Source(Protocol):
    """Rows that can be appended."""

    names: list[str] | None
    """The names of the columns; None: they have none."""

    def write(self, call: _CsvCall) -> int:
        """Format the rows for a file, and return how many there are."""
        ...


class Rows:
    """Rows that are sequences of cells."""

    def __init__(self, rows: list[Any], columns: list[str] | None) -> None:
        """Take the rows, and the names of their columns."""
        self.rows, self.names = rows, columns

    def write(self, call: _CsvCall) -> int:
        """Format the rows for a file, and return how many there are."""
        return call.write_rows(self.rows)


class Records:
    """Rows that are dicts."""

    names: list[str] | None

    def __init__(self, rows: list[Any], columns: list[str] | None) -> None:
        """Take the rows, and the keys that are written; None: those of the first row."""
        keys = list(rows[0])
        if columns is None:
            self.rows, self.keys = rows, keys
        else:
            by_name = {str(key): key for key in keys}
            self.keys = [by_name.get(name, name) for name in columns]
            if len(self.keys) != len(keys):
                rows = [_chosen(number, row, self.keys) for number, row in enumerate(rows)]
            self.rows = rows
        self.names = [str(key) for key in self.keys]

    def write(self, call: _CsvCall) -> int:
        """Format the rows for a file, and return how many there are."""
        return call.write_records(self.rows, self.keys)


def _chosen(number: int, row: Mapping[Any, Any], keys: list[Any]) -> dict[Any, Any]:
    missing = [str(key) for key in keys if key not in row]
    if missing:
        raise ValueError(
            f"row {number} lacks {', '.join(missing)}; nothing was changed; give each row the same "
            "keys, with None for what is missing"
        )
    return {key: row[key] for key in keys}


class Arrow:
    """A frame or table that exports its columns as Arrow."""

    names: list[str] | None

    def __init__(self, data: Any, columns: list[str] | None, chunk: int = WHOLE) -> None:
        """Take the columns; moments have as many digits as those of the same `chunk` rows need."""
        self.table, self.chunk = _Table(data, columns), chunk
        self.names = self.table.names

    def write(self, call: _CsvCall) -> int:
        """Format the rows for a file, and return how many there are."""
        return call.write_table(self.table, self.chunk)


def _exportable(data: Any) -> Any:
    """Return a frame whose columns without a type are texts: Polars exports them in its own way."""
    polars = sys.modules.get("polars")
    if polars is None or not isinstance(data, polars.DataFrame):
        return data
    empty = [name for name, dtype in data.schema.items() if dtype == polars.Null]
    return data.with_columns(polars.col(empty).cast(polars.String)) if empty else data


def source_of(data: Any, columns: list[str] | None, index: bool, how: Format) -> Source:
    """Return what formats `data`.

    Raises:
        TypeError: `data` is nothing that has rows.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        frames = import_late("coheap._append.pandas_frames")
        return frames.source_of_pandas(pandas, data, columns, index, how)
    if hasattr(data, "__arrow_c_stream__"):
        return Arrow(_exportable(data), columns)
    if isinstance(data, str | bytes | Mapping) or not isinstance(data, Iterable):
        kind = type(cast("object", data)).__name__
        raise TypeError(
            f"the data is a {kind}, not rows; nothing was changed; give a list of rows, as [row], "
            "or a frame"
        )
    given = cast("Iterable[Any]", data)
    rows = given if isinstance(given, list) else list(given)
    is_records = bool(rows) and isinstance(rows[0], Mapping)
    return Records(rows, columns) if is_records else Rows(rows, columns)
