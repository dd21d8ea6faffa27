"""Files that several processes append to: CSV rows, lines, JSON lines, logs.

What always holds: a call is formatted and encoded before the file's lock is taken, and appended
whole or not at all.

Not here: the mechanism (`crates/coheap-append`), and how cells become text (`coheap._native`).
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, Literal

from coheap._append.sources import Format, source_of
from coheap._native import _CsvCall

__all__ = ["append_csv"]


def append_csv(
    path: str | PathLike[str],
    data: Iterable[Sequence[Any]] | Iterable[Mapping[str, Any]] | Any,
    *,
    columns: Iterable[str] | None = None,
    encoding: str | None = None,
    header: Literal["auto"] | bool = "auto",
    fsync: bool = False,
    na_rep: str = "",
    float_format: str | Callable[[float], str] | None = None,
    date_format: str | None = None,
    index: bool = False,
    sep: str = ",",
    quoting: int = csv.QUOTE_MINIMAL,
    lineterminator: str | None = None,
    atomic: bool = True,
) -> int:
    r"""Append rows to a CSV that several processes append to: all of them, or none.

    The rows of one call stand together. A new file gets one header, and a byte-order mark at most
    once, however many processes begin at the same instant. An existing file keeps its encoding and
    its line ends; a last line without line end is completed. If a process dies in the middle of a
    call, the next call removes what it left and warns with `UnfinishedCallWarning`.

    Args:
        path: The file. It is created if it is missing; its folder must exist.
        data: Rows: a list or generator of sequences of cells, or of dicts with the same keys; or a
            DataFrame of pandas or Polars, a table of PyArrow, or any other object with
            `__arrow_c_stream__`.
        columns: The names of the columns, in the order of the cells; of dicts and frames, those
            that are written. None: the keys of the first dict, the columns of the frame, and no
            names for rows of other kinds.
        encoding: The encoding of the file, any that Python knows; None: that of the file, and
            UTF-8 for a new one. "utf-8-sig" gives a new file a byte-order mark.
        header: "auto" writes a header into an empty file if the names are known. True demands that
            they are. False writes none, and expects none.
        fsync: Whether to return only when the rows are on the disk.
        na_rep: What None, NaN, NaT and NA are written as.
        float_format: A format such as "%.2f", or a function from a float to its text. None: the
            fewest digits that give the float back.
        date_format: A format of `strftime` for dates and times.
        index: Whether the index of a pandas frame is written as its first columns.
        sep: The separator, one character.
        quoting: As in `csv`; QUOTE_NONE refuses cells that need quotes.
        lineterminator: The line end of a new file, "\n" or "\r\n"; None: "\n".
        atomic: Whether a call that a death interrupts is removed. It takes a small file
            `.NAME.coheap` beside the data; False does without, for folders that are not writable.

    Returns:
        How many rows were appended, without the header.

    Raises:
        ValueError: The columns are not those of the file, rows differ in width or keys, the
            encoding of the file cannot be told or is not `encoding`, the file is binary or
            compressed, or an option makes no sense. Nothing was changed.
        UnicodeEncodeError: A cell has a character that the encoding lacks; the reason names row and
            column. Nothing was changed.
        TypeError: A row or cell is of a type without text. Nothing was changed.
        LookupError: There is no encoding of that name. Nothing was changed.
        OSError: The file or its folder refuses: the disk is full, a limit or quota is reached, the
            path is a folder, the file is on a network file system. Nothing was appended, unless the
            message says otherwise.
    """
    if header not in ("auto", True, False):
        raise ValueError(
            f"'header' is \"auto\", True or False, not {header!r}; nothing was changed"
        )
    how = Format(sep, quoting, na_rep, float_format, date_format)
    source = source_of(
        data, None if columns is None else [str(name) for name in columns], index, how
    )
    call = _CsvCall(
        fspath(path),
        columns=source.names,
        encoding=encoding,
        header=None if header == "auto" else bool(header),
        separator=sep,
        quoting=int(quoting),
        missing=na_rep,
        line_end=lineterminator,
        float_format=float_format,
        date_format=date_format,
        fsync=fsync,
        atomic=atomic,
    )
    try:
        while True:
            call.plan()
            count = source.write(call)
            if call.commit():
                return count
    finally:
        call.warn()
