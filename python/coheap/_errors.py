"""The exceptions of coheap, each under what people already catch.

All of them pickle, say whether anything changed, and say what to do. What the standard library
has is used as it is: `TimeoutError`, and those of `coheap._ends`.

Not here: which error of the engine becomes which exception (`crates/coheap-py/src/errors.rs`).
"""


class Error(Exception):
    """Base of the exceptions that are coheap's own."""


class HeapFull(Error, MemoryError):  # noqa: N818
    """The heap has no room; nothing was changed.

    Remove something, or make the heap with a larger `max_bytes`.
    """

    wanted: int = 0
    """Bytes asked for."""
    used: int = 0
    """Bytes of objects in use."""
    max_bytes: int = 0
    """The limit that the heap was made with."""


class HeapCorrupt(Error, OSError):  # noqa: N818
    """Something in the heap cannot be what coheap wrote; nothing was changed."""


class HeapClosed(Error, ValueError):  # noqa: N818
    """The heap was closed by this process; one with a name can be opened again."""


class ObjectGone(Error, ReferenceError):  # noqa: N818
    """The object was removed; get a new handle from the heap."""


class LeaseLost(Error, RuntimeError):  # noqa: N818
    """The lease was acked, given back or lost before, or is another process's."""


class DeadlockError(Error, RuntimeError):
    """Waiting would never end: the owners wait for each other."""


class WouldBlock(Error, RuntimeError):  # noqa: N818
    """The call would wait while a transaction holds locks."""


class OwnerDied(Error, RuntimeError):  # noqa: N818
    """The process that held the lock died, and the lock is closed until `recover` is called."""

    pid: int = 0
    """The process that died."""


class OwnerDiedWarning(RuntimeWarning):
    """The process that held the lock died: the lock is yours, what it guards may be half done."""


for _class in (Error, *Error.__subclasses__(), OwnerDiedWarning):
    _class.__module__ = "coheap"
