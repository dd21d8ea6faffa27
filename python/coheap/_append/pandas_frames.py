"""Frames of pandas as text, with the bytes that `DataFrame.to_csv` gives them.

Columns whose text Rust writes as pandas does go there as Arrow. With any other column, and without
PyArrow, pandas itself formats the frame, in memory.

What always holds: the file gets what `to_csv` would have written, but for a carriage return in a
cell, which is quoted whatever the version of Python.
"""

import csv
import importlib.util
import io
from typing import Any

from coheap._append.sources import Arrow, Format, Rows, Source
from coheap._imports import import_late
from coheap._native import _CsvCall

CELLS_AT_ONCE = 100_000
"""Cells that pandas formats at once; moments in them have the same number of digits."""

_has_pyarrow: bool | None = None


class _Formatted:
    """A frame that pandas formats."""

    names: list[str] | None

    def __init__(self, frame: Any, names: list[str], how: Format) -> None:
        """Take a frame whose index is not written."""
        self.frame, self.names, self.how = frame, names, how

    def write(self, call: _CsvCall) -> int:
        """Format the rows for a file, and return how many there are."""
        frame = self.frame if call.order is None else self.frame.iloc[:, call.order]
        text = frame.to_csv(
            None,
            header=False,
            index=False,
            sep=self.how.sep,
            quoting=self.how.quoting,
            na_rep=self.how.na_rep,
            float_format=self.how.float_format,
            date_format=self.how.date_format,
            lineterminator=call.line_end,
        )
        if "\r" in text and not _quotes_returns():
            rows = self.frame.astype(object).values.tolist()
            return Rows(rows, self.names).write(call)
        try:
            call.write_text(text)
        except UnicodeEncodeError as error:
            raise _placed(self.frame, error) from None
        return len(frame)


def source_of_pandas(
    pandas: Any, frame: Any, columns: list[str] | None, index: bool, how: Format
) -> Source:
    """Return what formats a frame.

    Raises:
        ValueError: The frame has not these columns, or columns in several levels.
    """
    if frame.columns.nlevels > 1:
        raise ValueError(
            "the columns of the frame have several levels, and a CSV has one header; nothing was "
            "changed; join the levels first"
        )
    labels = [str(label) for label in frame.columns]
    if columns is not None:
        missing = [name for name in columns if name not in labels]
        if missing:
            raise ValueError(f"the frame has no columns {', '.join(missing)}; nothing was changed")
        frame = frame.iloc[:, [labels.index(name) for name in columns]]
        labels = list(columns)
    if index:
        levels = frame.index.to_frame(index=False)
        labels = ["" if name is None else str(name) for name in frame.index.names] + labels
        frame = pandas.concat([levels, frame.reset_index(drop=True)], axis=1)
    is_plain = how.float_format is None and how.date_format is None
    if is_plain and len(set(labels)) == len(labels) and _is_known(pandas, frame):
        pyarrow: Any = import_late("pyarrow")
        try:
            table = pyarrow.Table.from_pandas(frame, preserve_index=False, nthreads=1)
            return Arrow(table.rename_columns(labels), None, CELLS_AT_ONCE // len(labels) or 1)
        except (pyarrow.ArrowException, UnicodeError):
            # More than Arrow has types for; pandas knows.
            pass
    return _Formatted(frame, labels, how)


def _is_known(pandas: Any, frame: Any) -> bool:
    """Whether Rust writes all cells of a frame as pandas does."""
    global _has_pyarrow
    if _has_pyarrow is None:
        _has_pyarrow = importlib.util.find_spec("pyarrow") is not None
    if not _has_pyarrow or not frame.shape[1]:
        return False
    return all(
        _is_known_type(pandas, dtype)
        or (getattr(dtype, "kind", "") == "O" and _has_texts(pandas, frame.iloc[:, place]))
        for place, dtype in enumerate(frame.dtypes)
    )


def _is_known_type(pandas: Any, dtype: Any) -> bool:
    if isinstance(dtype, pandas.CategoricalDtype):
        categories = dtype.categories
        return categories.inferred_type == "string"
    if isinstance(dtype, pandas.ArrowDtype):
        return False
    if isinstance(dtype, pandas.StringDtype):
        return True
    if isinstance(dtype, pandas.DatetimeTZDtype):
        # How pandas writes zones, and the summer times of all years, pandas knows.
        return False
    if dtype.kind in "biuM":
        return True
    if dtype.kind == "f":
        # How NumPy lays out shorter floats depends on its version.
        return dtype.itemsize == 8
    return False


def _has_texts(pandas: Any, column: Any) -> bool:
    return pandas.api.types.infer_dtype(column, skipna=True) in ("string", "empty")


def _quotes_returns() -> bool:
    """Whether this Python quotes a carriage return that is not part of the line end."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(["\r", 1])
    return out.getvalue().startswith('"')


def _placed(frame: Any, error: UnicodeEncodeError) -> UnicodeEncodeError:
    """Say in which cell of a frame half a character is."""
    for name, column in frame.items():
        for row, cell in enumerate(column):
            try:
                str(cell).encode()
            except UnicodeEncodeError as found:
                reason = (
                    f"row {row}, column {str(name)!r} has a surrogate without its other half; "
                    "nothing was changed; leave it out"
                )
                return UnicodeEncodeError("utf-8", str(cell), found.start, found.end, reason)
    return error
