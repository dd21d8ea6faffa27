"""One heap, many processes, always consistent.

coheap keeps what processes share in one heap that each of them maps, and keeps it whole
whichever of them dies, whenever. Nothing runs beside your processes: there is no server to start,
and none to lose.

    counts = coheap.Dict()
    counts.increment("hello")

Pass `counts` to a process that you start, or send it through a pipe or a queue: it is the same
dict there. Programs of the same user that do not start each other share a heap by its name:
`coheap.open("my-heap").dict("counts")`.
"""

from _collections_abc import MutableMapping
from abc import ABCMeta

from coheap._absent import ABSENT
from coheap._errors import (
    DeadlockError,
    Error,
    HeapClosed,
    HeapCorrupt,
    HeapFull,
    LeaseLost,
    ObjectGone,
    OwnerDied,
    OwnerDiedWarning,
    WouldBlock,
)
from coheap._native import Dict as Dict
from coheap._native import (
    Heap,
    Lease,
    Lock,
    RLock,
    Value,
    WorkQueue,
    __version__,
    atomic,
    default_heap,
    set_default_heap,
)
from coheap._native import open as open  # noqa: A004 - as gzip.open

TYPE_CHECKING = False
"""As `typing` has it, which alone would take a mebibyte of every process."""

if TYPE_CHECKING:
    from coheap._context import Process, get_context
    from coheap._ends import Empty, Full, ShutDown
    from coheap._shared import Manager

# Dict is one, and too fast to inherit from one.
ABCMeta.register(MutableMapping, Dict)  # pyright: ignore[reportArgumentType]

_LATE = {
    "Empty": "coheap._ends",
    "Full": "coheap._ends",
    "Manager": "coheap._shared",
    "Process": "coheap._context",
    "ShutDown": "coheap._ends",
    "get_context": "coheap._context",
}
"""What needs `multiprocessing` or `queue`, and where it is: not everybody does."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import what is not there yet."""
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_LATE[name]), name)
        return value

    def __dir__() -> list[str]:
        """List also what is not there yet."""
        return sorted({*globals(), *_LATE})


# `Dict` and `open` stay out of it: a star would hide what `typing` and Python call so.
__all__ = [
    "ABSENT",
    "DeadlockError",
    "Empty",
    "Error",
    "Full",
    "Heap",
    "HeapClosed",
    "HeapCorrupt",
    "HeapFull",
    "Lease",
    "LeaseLost",
    "Lock",
    "Manager",
    "ObjectGone",
    "OwnerDied",
    "OwnerDiedWarning",
    "Process",
    "RLock",
    "ShutDown",
    "Value",
    "WorkQueue",
    "WouldBlock",
    "__version__",
    "atomic",
    "default_heap",
    "get_context",
    "set_default_heap",
]

del ABCMeta, MutableMapping
