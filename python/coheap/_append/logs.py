"""`RotatingFileHandler`: log files that several processes write to.

What always holds: a record is in one file, whole, whichever process moves the file aside meanwhile.
The names and defaults are those of `logging.handlers`.

Not here: how a file is moved aside (`crates/coheap-append/src/lines.rs`).
"""

import logging
import os
import re
import time
from datetime import UTC, datetime, timedelta
from os import PathLike, fspath
from pathlib import Path

from coheap._native import _LineFile

_SECONDS = {"S": 1, "M": 60, "H": 3600}
_NAMES = {"S": "%Y-%m-%d_%H-%M-%S", "M": "%Y-%m-%d_%H-%M", "H": "%Y-%m-%d_%H", "D": "%Y-%m-%d"}
_DAY = "D"
_WEEK = re.compile("W([0-6])")


class RotatingFileHandler(logging.Handler):
    """A handler for `logging` whose file several processes write to: no record is torn or lost.

    Give each process a handler of its own on the same file; one that a fork inherits works, too.

    Args:
        filename: The file. It is created with the first record; its folder must exist.
        mode: "a".
        maxBytes: The file is moved aside before a record that would make it longer; 0: never.
        backupCount: How many files are kept: `NAME.1` is the youngest. With `maxBytes` and 0, the
            file is never moved aside; with `when` and 0, all are kept.
        encoding: The encoding of the file; None: that which it has, and UTF-8 for a new one.
        delay: Without effect: the file is always opened with the first record.
        errors: What becomes of characters that the encoding lacks, as in `str.encode`; None: the
            record is refused, and `handleError` told.
        when: "S", "M", "H" or "D" (also "midnight"): the file is moved aside when the second,
            minute, hour or day of its last record is over, to `NAME.2026-11-30` and the like; "W0"
            to "W6": when a Monday, or the other days up to a Sunday, is over. None: only `maxBytes`
            counts.
        interval: So many of them at once.
        utc: Whether days begin at midnight UTC, rather than local time.
        fsync: Whether a record is on the disk when the call returns.

    Raises:
        ValueError: `mode`, `when` or `interval` is none of these, or both `maxBytes` and `when` are
            given.

    Source: the contracts of `logging.handlers.RotatingFileHandler` and `TimedRotatingFileHandler`.
    """

    terminator = "\n"

    def __init__(
        self,
        filename: str | PathLike[str],
        mode: str = "a",
        maxBytes: int = 0,  # noqa: N803
        backupCount: int = 0,  # noqa: N803
        encoding: str | None = None,
        delay: bool = False,  # noqa: ARG002
        errors: str | None = None,
        *,
        when: str | None = None,
        interval: int = 1,
        utc: bool = False,
        fsync: bool = False,
    ) -> None:
        super().__init__()
        if mode != "a":
            raise ValueError(f"'mode' is \"a\", not {mode!r}: the file is shared")
        unit = None if when is None else {"MIDNIGHT": _DAY}.get(when.upper(), when.upper())
        week = None if unit is None else _WEEK.fullmatch(unit)
        unit = _DAY if week else unit
        if unit is not None and unit not in _NAMES:
            raise ValueError(
                f'\'when\' is "S", "M", "H", "D", "midnight" or "W0" to "W6", not {when!r}'
            )
        if interval < 1:
            raise ValueError(f"'interval' is 1 or more, not {interval}")
        if unit is not None and maxBytes > 0:
            raise ValueError("a file is moved aside by 'maxBytes' or by 'when', not by both")
        self.baseFilename: str = os.path.abspath(str(fspath(filename)))
        self.maxBytes, self.backupCount = maxBytes, backupCount
        self.mode, self.encoding, self.errors = mode, encoding, errors
        self._unit, self._interval, self._utc = unit, interval * (7 if week else 1), utc
        # Days are counted from a Monday, which is number 1; a week begins when the day is over.
        self._first_day = int(week[1]) + 2 if week else 0
        self._period = (0, 0)
        self._file = _LineFile(self.baseFilename, encoding=encoding, fsync=fsync)

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record, moving the file aside first if it is time."""
        try:
            text = self.format(record) + self.terminator
            try:
                self._append(text)
            except UnicodeEncodeError as error:
                if self.errors is None:
                    raise
                self._append(text.encode(error.encoding, self.errors).decode(error.encoding))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        self._file._close()
        super().close()

    def _append(self, text: str) -> None:
        if self._unit is not None:
            if self._file._append_by_age(text, self._period, self._renew, self._name_for):
                self._remove_oldest()
        elif self.maxBytes > 0 and self.backupCount > 0:
            self._file._append_by_size(text, self.maxBytes, self.backupCount)
        else:
            self._file._append(text)

    def _renew(self) -> tuple[int, int]:
        """Return the period of this moment, and keep it for the next records."""
        self._period = self._period_of(time.time())
        return self._period

    def _period_of(self, moment: float) -> tuple[int, int]:
        """Begin and end of the period that a moment is in, in seconds since 1970."""
        if self._unit != _DAY:
            length = _SECONDS[self._unit or "S"] * self._interval
            begin = int(moment // length) * length
            return begin, begin + length
        zone = UTC if self._utc else None
        day = datetime.fromtimestamp(moment, zone).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        first = day - timedelta(days=(day.toordinal() - self._first_day) % self._interval)
        # Days of local time have other lengths than 24 hours at times.
        return int(first.timestamp()), int((first + timedelta(days=self._interval)).timestamp())

    def _name_for(self, modified: int) -> str:
        """Name a file whose last record is from this second."""
        begin, _ = self._period_of(modified)
        zone = UTC if self._utc else None
        named = datetime.fromtimestamp(begin, zone).strftime(_NAMES[self._unit or "S"])
        return f"{self.baseFilename}.{named}"

    def _remove_oldest(self) -> None:
        if self.backupCount < 1:
            return
        base = Path(self.baseFilename)
        dated = re.compile(re.escape(base.name) + r"\.\d{4}-\d\d-\d\d(_[\d-]+)?(\.\d+)?")
        kept = sorted(path for path in base.parent.iterdir() if dated.fullmatch(path.name))
        for path in kept[: -self.backupCount]:
            path.unlink(missing_ok=True)
