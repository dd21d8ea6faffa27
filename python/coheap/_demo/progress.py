"""A bar on standard error, if that is a terminal.

What always holds: nothing else is written there, and at the end the line is empty again.
Not here: what is counted.
"""

import sys
import time
from types import TracebackType
from typing import Self

_WIDTH = 40
_PAUSE_SECONDS = 0.1
"""How long what is shown stays."""


class Bar:
    """How much of a number of items is done."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._started = time.monotonic()
        self._due = self._started
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        """Begin; nothing is shown yet."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Empty the line."""
        if self._is_shown:
            self._write("")

    def show(self, done: int, message: str = "") -> None:
        """Show that `done` items are done, but not too often."""
        now = time.monotonic()
        if not self._is_shown or now < self._due:
            return
        self._due = now + _PAUSE_SECONDS
        full = _WIDTH * done // max(self._count, 1)
        seconds = int(now - self._started)
        bar = "█" * full + "░" * (_WIDTH - full)
        self._write(f"{bar} {done}/{self._count} items  {seconds}s  {message}")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
