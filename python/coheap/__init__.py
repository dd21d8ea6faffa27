"""One heap, many processes, always consistent.

coheap keeps shared objects in one heap that every process maps. The heap stays consistent when a
process dies, at any moment. There is no server.

    counts = coheap.Dict()
    counts.increment("hello")

Pass `counts` to a process that you start, or send it through a pipe or a queue: that process uses
the same dict. Unrelated programs of the same user share a heap by its name:
`coheap.open("my-heap").dict("counts")`.

Without a heap: `coheap.single_instance("backup")` lets a program run only once at a time.
"""

from _collections_abc import MutableMapping
from abc import ABCMeta

from coheap import _needs as _needs
from coheap._absent import ABSENT
from coheap._errors import (
    AlreadyRunning,
    DeadlockError,
    Error,
    ForeignWriterWarning,
    HeapClosed,
    HeapCorrupt,
    HeapFull,
    LeaseLost,
    ObjectGone,
    OwnerDied,
    OwnerDiedWarning,
    UnfinishedCallWarning,
    WouldBlock,
)
from coheap._imports import import_late
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
"""As in `typing`, which is not imported because it would cost every process a mebibyte."""

if TYPE_CHECKING:
    from coheap._append import append_csv
    from coheap._append.lines import AppendFile
    from coheap._append.logs import RotatingFileHandler
    from coheap._append.reading import reading
    from coheap._context import Process, get_context
    from coheap._ends import Empty, Full, ShutDown
    from coheap._shared import Manager
    from coheap._single import SingleInstance, Slots, lead, single_instance

# A Dict is a MutableMapping. It is registered because inheriting would make it slower.
ABCMeta.register(MutableMapping, Dict)  # pyright: ignore[reportArgumentType]

_LATE = {
    "AppendFile": "coheap._append.lines",
    "Empty": "coheap._ends",
    "Full": "coheap._ends",
    "Manager": "coheap._shared",
    "Process": "coheap._context",
    "RotatingFileHandler": "coheap._append.logs",
    "ShutDown": "coheap._ends",
    "SingleInstance": "coheap._single",
    "Slots": "coheap._single",
    "append_csv": "coheap._append",
    "get_context": "coheap._context",
    "lead": "coheap._single",
    "reading": "coheap._append.reading",
    "single_instance": "coheap._single",
}
"""The names that need `multiprocessing`, `queue`, `inspect`, `csv` or `logging`, and their modules:
imported on first use."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a name on its first use."""
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_late(_LATE[name]), name)
        return value

    def __dir__() -> list[str]:
        """List the names, also those that are not imported yet."""
        return sorted({*globals(), *_LATE})


# Without `Dict` and `open`: `import *` would hide `typing.Dict` and the built-in `open`.
__all__ = [
    "ABSENT",
    "AlreadyRunning",
    "AppendFile",
    "DeadlockError",
    "Empty",
    "Error",
    "ForeignWriterWarning",
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
    "RotatingFileHandler",
    "ShutDown",
    "SingleInstance",
    "Slots",
    "UnfinishedCallWarning",
    "Value",
    "WorkQueue",
    "WouldBlock",
    "__version__",
    "append_csv",
    "atomic",
    "default_heap",
    "get_context",
    "lead",
    "reading",
    "set_default_heap",
    "single_instance",
]

del ABCMeta, MutableMapping
