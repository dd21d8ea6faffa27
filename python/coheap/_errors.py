"""The exceptions of coheap. Each inherits from a built-in exception that programs already catch.

All of them pickle. A message says what happened, whether anything changed, and what to do next.
Exceptions of the standard library are used where they exist: `TimeoutError`, `KeyError` and others,
and those of `coheap._ends`.

Not here: which error of the engine becomes which exception (`crates/coheap-py/src/errors.rs`).
"""


class Error(Exception):
    """Base class of coheap's own exceptions."""


class HeapFull(Error, MemoryError):  # noqa: N818
    """The heap has no room; nothing was changed.

    Remove objects, or create the heap with a larger `max_bytes`.
    """

    wanted: int = 0
    """Bytes asked for."""
    used: int = 0
    """Bytes of objects in use."""
    max_bytes: int = 0
    """The limit that the heap was created with, in bytes."""


class HeapCorrupt(Error, OSError):  # noqa: N818
    """The heap, or a value in it, is damaged, or the file is not a heap; nothing was changed."""


class HeapClosed(Error, ValueError):  # noqa: N818
    """This process has closed the heap. A heap with a name can be opened again."""


class ObjectGone(Error, ReferenceError):  # noqa: N818
    """The object was removed, or its heap has ended; get a new handle."""


class LeaseLost(Error, RuntimeError):  # noqa: N818
    """The job was acked, returned or lost before, or another process holds its lease."""


class DeadlockError(Error, RuntimeError):
    """The wait would never end: the callers wait for each other in a cycle."""


class WouldBlock(Error, RuntimeError):  # noqa: N818
    """The call would wait while a block of `atomic` holds something."""


class OwnerDied(Error, RuntimeError):  # noqa: N818
    """The holder of the lock died, and the lock refuses every caller until `recover` is called."""

    pid: int = 0
    """The id of the process that died."""


class AlreadyRunning(Error, BlockingIOError):  # noqa: N818
    """Another process, or another part of this one, holds the name; nothing was changed.

    For `Slots`: all slots are held, and this is one of the holders.
    """

    name: str = ""
    """The name that was wanted."""
    pid: int | None = None
    """The id of a process that holds it, alive when it was looked at.

    None if it is in a pid namespace that is not visible from here.
    """
    since: float | None = None
    """Since when, in seconds since 1970, as `time.time`."""
    command: tuple[str, ...] = ()
    """Its command line, word by word; cut off after 4096 bytes."""
    user: str | None = None
    """The name of its user, or the number of a user without a name."""
    answer: int | None = None
    """What its `on_second` returned, or None."""


class OwnerDiedWarning(RuntimeWarning):
    """The holder of the lock died; the lock was acquired, and its data may be incomplete."""


class UnfinishedCallWarning(RuntimeWarning):
    """A process died while it appended to a file, and what it left of its call was removed.

    The call that warns has appended its own rows.
    """


class ForeignWriterWarning(RuntimeWarning):
    """Another program has written into a call that is not finished; nothing was removed.

    The call that warns has appended its own rows.
    """


_WARNINGS = (OwnerDiedWarning, UnfinishedCallWarning, ForeignWriterWarning)
for _class in (Error, *Error.__subclasses__(), *_WARNINGS):
    _class.__module__ = "coheap"
