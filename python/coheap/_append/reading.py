"""`reading`: a file that others append to, up to its last whole call.

What always holds: a reader sees the bytes that were whole when it opened the file, and no others.
Nobody waits for it: those bytes do not change any more.
"""

import io
import os
from collections.abc import Generator
from contextlib import contextmanager
from os import PathLike, fspath
from typing import IO, TYPE_CHECKING, Any, Literal, overload

from coheap._native import _look

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Beginning(io.RawIOBase):
    """The first bytes of a file."""

    def __init__(self, file: io.FileIO, length: int) -> None:
        """Take an open file, and how many of its bytes can be read."""
        self._file, self._length = file, length

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read bytes into a buffer, and return how many."""
        view = memoryview(buffer).cast("B")
        left = max(self._length - self._file.tell(), 0)
        return self._file.readinto(view[:left]) or 0

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position."""
        if whence == os.SEEK_END:
            return self._file.seek(max(self._length + offset, 0))
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def readable(self) -> bool:
        """Tell that the file can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that the file has a position."""
        return True

    @property
    def name(self) -> Any:
        """The path of the file."""
        return self._file.name

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@overload
@contextmanager
def reading(
    path: str | PathLike[str],
    mode: Literal["r"] = "r",
    *,
    encoding: str | None = None,
    newline: str | None = "",
) -> Generator[io.TextIOWrapper]: ...
@overload
@contextmanager
def reading(path: str | PathLike[str], mode: Literal["rb"]) -> Generator[io.BufferedReader]: ...
@contextmanager
def reading(
    path: str | PathLike[str],
    mode: str = "r",
    *,
    encoding: str | None = None,
    newline: str | None = "",
) -> Generator[IO[Any]]:
    """Open a file that others append to, for reading what is whole.

    A call that is being written, or that a dead process left unfinished, is not seen. Writers wait
    only while the file is opened, not while it is read.

    Args:
        path: The file.
        mode: "r" for text, "rb" for bytes.
        encoding: The encoding of the file; None: that which it has, as in `append_csv`.
        newline: As in `open`; the default leaves line ends as they are, as `csv` wants them.

    Yields:
        A file that ends where the last whole call ends.

    Raises:
        OSError: The file cannot be read.
        ValueError: `mode` is another one, or the encoding of the file cannot be told.
    """
    if mode not in ("r", "rb"):
        raise ValueError(f'\'mode\' is "r" or "rb", not {mode!r}')
    path = fspath(path)
    while True:
        length, inode, device, found = _look(path, encoding, mode == "rb")
        file = io.FileIO(path)
        state = os.fstat(file.fileno())
        if (state.st_ino, state.st_dev) == (inode, device):
            break
        # Moved aside between the look and the opening.
        file.close()
    with io.BufferedReader(_Beginning(file, length), 1 << 18) as buffered:
        if mode == "rb":
            yield buffered
        else:
            text = io.TextIOWrapper(buffered, found or encoding or "utf-8", newline=newline)
            with text:
                yield text
