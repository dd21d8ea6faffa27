"""How a text is cut into items of work, and how a worker gets the text of one.

An item is a range of a file, at most `ITEM_BYTES` long, that begins and ends at characters and
never within a word. Only a word that is longer than that makes a longer item.

What always holds: the items of a file follow each other without a gap, so the words of all items
are the words of the file.
Not here: which files there are (`corpus`).
"""

import os
import re
import string
from collections.abc import Iterator
from typing import NamedTuple

from coheap._demo.failure import Failed

ITEM_BYTES = 256 << 10
"""Most bytes of an item."""

_WORD_BYTES = f"{string.ascii_letters}{string.digits}_".encode()
_CUT = re.compile(rb"(?<!\w)(?![\x80-\xbf])|(?<=\w)(?![\w\x80-\xbf])")
"""Where a text may be cut: not within a character, and not within a word."""
_LONGEST_CHARACTERS = 2 * 4
"""Bytes of a character at the begin of bytes without a cut, and of one at their end."""


class NotText(Exception):  # noqa: N818 - it is the text that is wrong, not the program
    """The bytes are not UTF-8."""


class Item(NamedTuple):
    """A piece of work: where the text is, its first byte, the byte after its last."""

    path: str
    start: int
    end: int

    def read(self) -> str:
        """Read the text of the item.

        Raises:
            Failed: The file is not as it was when it was cut.
        """
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self.start)
                data = file.read(self.end - self.start)
                if len(data) < self.end - self.start:
                    now = file.seek(0, os.SEEK_END)
                    raise Failed(f"{shown(self.path)} was longer and has {now} bytes now")
            return data.decode()
        except (OSError, UnicodeDecodeError) as trouble:
            raise changed(self.path, trouble) from trouble

    def halves(self, text: str) -> tuple["Item", "Item"] | None:
        """Cut the item in two where it may be; `text` is its own. None: there is no such place."""
        data = bytearray(text.encode())
        middle = max(len(data) // 2, 1)
        cut = _last_cut(data, 0, middle) or _first_cut(data, middle)
        if not cut:
            return None
        cut += self.start
        return self._replace(end=cut), self._replace(start=cut)


def pieces(path: str) -> Iterator[tuple[int, int, str]]:
    """Read a file and give its pieces in order: first byte, byte after the last, text.

    Raises:
        NotText: The file is not UTF-8. The pieces before are no use to anybody.
        OSError: The file cannot be read.
    """
    start, rest, searched = 0, bytearray(), 0
    with open(path, "rb", buffering=0) as file:
        while more := file.read(ITEM_BYTES):
            rest += more
            while len(rest) > ITEM_BYTES:
                cut = _last_cut(rest, searched, ITEM_BYTES) or _first_cut(
                    rest, max(searched, ITEM_BYTES)
                )
                if not cut:
                    _check_is_one_word(rest[searched:])
                    searched = len(rest)
                    break
                yield start, start + cut, _text(rest[:cut])
                start, searched = start + cut, 0
                del rest[:cut]
    if rest:
        yield start, start + len(rest), _text(rest)


def _text(data: bytearray) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NotText from error


def _check_is_one_word(data: bytearray) -> None:
    """Text that cannot be cut is part of one word; anything else is no text, however long."""
    if len(data.translate(None, _WORD_BYTES)) > _LONGEST_CHARACTERS:
        raise NotText


def _last_cut(data: bytearray, least: int, most: int) -> int | None:
    """The last place in `least + 1 ..= most` where a text may be cut."""
    places = range(min(most, len(data) - 1), max(least, 0), -1)
    return next((at for at in places if _CUT.match(data, at)), None)


def _first_cut(data: bytearray, least: int) -> int | None:
    """The first place from `least` on, but not the end, where a text may be cut."""
    cut = _CUT.search(data, max(least, 1))
    return cut.start() if cut and cut.start() < len(data) else None


def changed(path: str, trouble: Exception) -> Failed:
    """What to say about a file that was text when it was collected."""
    if isinstance(trouble, OSError):
        return Failed(f"{shown(path)} was readable and is no longer: {trouble.strerror}")
    return Failed(f"{shown(path)} was text and is no longer UTF-8")


def shown(path: str) -> str:
    """Give a path as text, whatever its bytes are."""
    return path.encode(errors="surrogateescape").decode(errors="replace")
