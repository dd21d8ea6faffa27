"""Which files the job is about: text, and what was skipped for a reason.

Every regular file below the paths counts, as often as it is met; links to files are followed,
linked folders are not entered. A path may be a file, or a link to a folder.

What always holds: every file of a corpus was UTF-8 from its first byte to its last when it was
collected; files and folders come in the order of their names.
Not here: how a text is cut (`items`).
"""

import os
import stat
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from coheap._demo.failure import Misused
from coheap._demo.text import items, words
from coheap._demo.text.items import Item, NotText

_NOT_LIBRARY = frozenset({"site-packages", "__pycache__"})
"""Folders of Python's library that hold other people's code, or no text."""


@dataclass(frozen=True)
class TextFile:
    """A file of text."""

    path: str
    size: int
    modified: int


@dataclass
class Corpus:
    """What the job is about."""

    files: list[TextFile] = field(default_factory=list[TextFile])
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Path and reason."""
    items: list[Item] = field(default_factory=list[Item])
    size: int = 0
    """Bytes of all files."""

    def count(self) -> Counter[str]:
        """Count all words, in this process alone."""
        totals = Counter[str]()
        for file in self.files:
            try:
                for _, _, text in items.pieces(file.path):
                    totals.update(words.count(text))
            except (NotText, OSError) as trouble:
                raise items.changed(file.path, trouble) from trouble
        return totals

    def changed(self) -> list[str]:
        """Paths of files that are not as they were when they were collected."""
        return [file.path for file in self.files if not _is_as_it_was(file)]

    def take(self, path: str, most_bytes: int | None) -> None:
        """Take a file if it is text, and if all of it fits."""
        taken: list[Item] = []
        try:
            about = os.stat(path)
            if most_bytes is not None and self.size + about.st_size > most_bytes:
                return
            taken.extend(Item(path, start, end) for start, end, _ in items.pieces(path))
        except NotText:
            self.skipped.append((path, "not UTF-8"))
        except OSError as error:
            self.skipped.append((path, f"cannot be read: {error.strerror}"))
        else:
            size = taken[-1].end if taken else 0
            self.files.append(TextFile(path, size, about.st_mtime_ns))
            self.items.extend(taken)
            self.size += size


def collect(paths: list[str], most_bytes: int | None = None) -> Corpus:
    """Look at every file below `paths`, or below Python's own library if there are none.

    Args:
        paths: Files and folders.
        most_bytes: Most bytes of the corpus; files that do not fit into it are passed over.

    Raises:
        Misused: A path leads nowhere.
    """
    left_out = frozenset[str]() if paths else _NOT_LIBRARY
    roots = paths or [sysconfig.get_path("stdlib")]
    # All paths are looked at before the first is read: a typo costs no time.
    kinds = [_is_folder(path) for path in roots]
    corpus = Corpus()
    for path, is_folder in zip(roots, kinds, strict=True):
        for file in _below(path, left_out, corpus) if is_folder else (path,):
            corpus.take(file, most_bytes)
    return corpus


def _is_folder(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise Misused(f"{items.shown(path)}: {error.strerror}") from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise Misused(f"{items.shown(path)} is neither a file nor a folder")
    return stat.S_ISDIR(mode)


def _below(root: str, left_out: frozenset[str], corpus: Corpus) -> Iterator[str]:
    """The files below a folder: first its own, then those of its folders."""
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            corpus.skipped.append((folder, f"the folder cannot be read: {error.strerror}"))
            continue
        yield from (entry.path for entry in entries if _is_file(entry))
        inner = (entry for entry in entries if entry.is_dir(follow_symlinks=False))
        folders.extend(reversed([entry.path for entry in inner if entry.name not in left_out]))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        # A link in a circle leads to no file.
        return False


def _is_as_it_was(file: TextFile) -> bool:
    try:
        now = os.stat(file.path)
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (file.size, file.modified)
