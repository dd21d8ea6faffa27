"""`AppendFile`: lines that several processes append to one file.

What always holds: what a thread has written of a line waits in its own buffer until the line ends,
so that lines of threads and processes never mix.

Not here: the mechanism (`crates/coheap-append`), and logging (`logs`).
"""

import io
import json
import os
import threading
from collections.abc import Iterable
from os import PathLike, fspath
from types import TracebackType
from typing import Any, NoReturn, Self

from coheap._native import _LineFile


class AppendFile(_LineFile):
    """A file of lines that several processes append to, each line whole or absent.

    It has `write_line` and `write_json`, and can be used as a text file that is open for writing:
    by `print(..., file=f)`, `csv.writer(f)` and the like. It has the encoding and the line ends of
    the file; a new one is UTF-8. It works in all threads, and in children after a fork.

    Args:
        path: The file. It is created with the first line; its folder must exist.
        encoding: As in `append_csv`.
        fsync: Whether each call returns only when its lines are on the disk.
        atomic: As in `append_csv`.

    Raises:
        LookupError: There is no encoding of that name.
    """

    mode = "a"
    errors = "strict"
    newlines = None

    def __new__(
        cls,
        path: str | PathLike[str],
        *,
        encoding: str | None = None,
        fsync: bool = False,
        atomic: bool = True,
    ) -> Self:
        """Create the object; the file is opened with the first line."""
        return super().__new__(cls, fspath(path), encoding=encoding, fsync=fsync, atomic=atomic)

    def __init__(
        self,
        path: str | PathLike[str],  # noqa: ARG002 - for the native half
        *,
        encoding: str | None = None,
        fsync: bool = False,  # noqa: ARG002
        atomic: bool = True,  # noqa: ARG002
    ) -> None:
        """Begin without parts of lines."""
        self.encoding = encoding
        self._is_closed = False
        self._parts: dict[tuple[int, int], str] = {}

    def write_json(self, value: Any, **options: Any) -> None:
        """Append a value as one line of JSON, whole.

        Args:
            value: What `json.dumps` takes.
            **options: Passed to `json.dumps`. Characters are written as they are, unless
                `ensure_ascii` is true.

        Raises:
            TypeError: The value has no JSON. Nothing was changed.
            ValueError: `options` put line ends into it, or the file is closed. Nothing was changed.
        """
        self._refuse_closed()
        options.setdefault("ensure_ascii", False)
        self.write_line(json.dumps(value, **options))

    def write(self, text: str) -> int:
        """Append the lines that end in `text`, all of them or none, and keep the rest.

        Returns:
            The number of characters, as a text file does.
        """
        self._refuse_closed()
        key = (os.getpid(), threading.get_ident())
        lines, end, rest = text.rpartition("\n")
        if end:
            self._append(self._parts.get(key, "") + lines + end)
            self._parts.pop(key, None)
        if rest:
            self._parts[key] = self._parts.get(key, "") + rest
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Append texts, as if they were one."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Do nothing: lines are appended at once, and the rest waits for its line end."""
        self._refuse_closed()

    def close(self) -> None:
        """Append what is left of unfinished lines, each with a line end, and close the file."""
        if self._is_closed:
            return
        # What a parent has begun is not for its child to write.
        left = [part for (pid, _), part in self._parts.items() if pid == os.getpid()]
        if left:
            self._append("".join(f"{part}\n" for part in left))
        self._parts.clear()
        self._is_closed = True
        self._close()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._is_closed

    def readable(self) -> bool:
        """Tell that this file cannot be read."""
        return False

    def writable(self) -> bool:
        """Tell that this file can be written."""
        return True

    def seekable(self) -> bool:
        """Tell that this file has no position."""
        return False

    def isatty(self) -> bool:
        """Tell that this file is no terminal."""
        return False

    def fileno(self) -> NoReturn:
        """Refuse: what others write to the descriptor would not be whole lines."""
        raise io.UnsupportedOperation("an AppendFile lends no descriptor; use write()")

    def __enter__(self) -> Self:
        """Return the file."""
        self._refuse_closed()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def __repr__(self) -> str:
        """Show the path."""
        return f"<coheap.AppendFile {self.name!r}>"

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise ValueError("the file is closed; nothing was changed; open it again")
