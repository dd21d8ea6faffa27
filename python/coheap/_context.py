"""Contexts and processes: those of `multiprocessing`, with coheap's objects in their place.

What always holds: a context has all that the standard library's has; what is not here is
inherited. The start method is one setting for both, that of `multiprocessing`. A child has its
parent's default heap, however it is started.

Not here: the objects (`coheap._native`), and the manager (`coheap._shared`).
"""

import multiprocessing
import multiprocessing.context as standard
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any, Literal, SupportsIndex, TypeAlias, TypeVar, cast, overload

import coheap
from coheap._native import Luggage, _before_waiting
from coheap._shared import Manager, SharedManager

TYPE_CHECKING = False
"""What the modules below are only named for need not be imported."""

if TYPE_CHECKING:
    from multiprocessing import queues, synchronize

_T = TypeVar("_T")


class _Child(BaseProcess):
    """A process that has its parent's default heap."""

    _luggage: Luggage | None = None
    """What keeps the objects that the child was handed, until it is gone: it may be slow to take
    them, and nobody else may have them any more."""

    def start(self) -> None:
        """Start the process; the default heap is there before, so that it will be the child's."""
        coheap.default_heap()
        with Luggage() as luggage:
            super().start()
        self._luggage = luggage

    def join(self, timeout: float | None = None) -> None:
        """Wait until the process has ended, at most `timeout` seconds.

        Raises:
            WouldBlock: Inside a block of `atomic` that has something, which the process may need
                to come to its end.
        """
        if self.pid is not None and self.exitcode is None:
            _before_waiting("a process", lambda: super(_Child, self).join(timeout))
        super().join(timeout)
        if self.exitcode is not None:
            self._luggage = None

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Pickle for a new interpreter: first the heap, then what the process works with."""
        reduced: Any = object.__reduce_ex__(self, 2)
        function, arguments, *rest = reduced
        return _in_heap, (coheap.default_heap(), function, arguments), *rest


def _in_heap(heap: "coheap.Heap", function: Callable[..., _T], arguments: tuple[Any, ...]) -> _T:
    """In a child: take over the heap before anything else is unpickled."""
    coheap.set_default_heap(heap)
    return function(*arguments)


class Process(_Child, standard.Process):
    """A process, started the way that `multiprocessing.set_start_method` says.

    As `multiprocessing.Process`; it shares the default heap.
    """


class ForkProcess(_Child, standard.ForkProcess):
    """A process that is forked."""


class SpawnProcess(_Child, standard.SpawnProcess):
    """A process that begins as a new interpreter."""


class ForkServerProcess(_Child, standard.ForkServerProcess):
    """A process that a server forks, which was begun as a new interpreter."""


class _Base(standard.BaseContext):
    """What is the same for all start methods."""

    # Typeshed says that the standard library's gives another class than it does.
    def get_context(  # type: ignore[override]
        self, method: str | None = None
    ) -> "Context":
        """Give the context of a start method; None is this one.

        Raises:
            ValueError: There is no such method here.
        """
        return cast("Context", self) if method is None else get_context(method)

    # What follows are coheap's objects, so the types are others than typeshed says.

    def Lock(self) -> "coheap.Lock":  # type: ignore[override]  # noqa: N802
        """Make a lock in the default heap."""
        return coheap.Lock()

    def RLock(self) -> "coheap.RLock":  # type: ignore[override]  # noqa: N802
        """Make a lock that its owner may take again, in the default heap."""
        return coheap.RLock()

    # The standard library makes these of its own locks only.

    @property
    def _standard(self) -> standard.BaseContext:
        return multiprocessing.get_context(self.get_start_method())

    def Condition(self, lock: Any = None) -> "synchronize.Condition":  # noqa: N802
        """Make a condition variable of the standard library, with a lock of its own.

        Raises:
            TypeError: `lock` is one of coheap's, with which that does not work.
        """
        if isinstance(lock, coheap.Lock | coheap.RLock):
            raise TypeError(
                "a Condition works with locks of multiprocessing only; nothing was changed; pass "
                "no lock, and it creates its own"
            )
        return self._standard.Condition(lock)

    def Event(self) -> "synchronize.Event":  # noqa: N802
        """Make an event of the standard library."""
        return self._standard.Event()

    def Barrier(  # noqa: N802
        self,
        parties: int,
        action: Callable[..., Any] | None = None,
        timeout: float | None = None,
    ) -> "synchronize.Barrier":
        """Make a barrier of the standard library."""
        return self._standard.Barrier(parties, action, timeout)

    def JoinableQueue(self, maxsize: int = 0) -> "queues.JoinableQueue[Any]":  # noqa: N802
        """Make a queue of the standard library that can be joined."""
        return self._standard.JoinableQueue(maxsize)

    def Value(  # type: ignore[override]  # noqa: N802
        self, typecode_or_type: str | type[Any], *args: Any, lock: bool = True
    ) -> "coheap.Value":
        """Make a number in the default heap, as `coheap.Value`."""
        return coheap.Value(typecode_or_type, *args, lock=lock)

    def Manager(self) -> SharedManager:  # type: ignore[override]  # noqa: N802
        """Start a manager, as `coheap.Manager`."""
        return Manager()


class ForkContext(_Base, standard.ForkContext):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Processes are forked."""

    Process = ForkProcess


class SpawnContext(_Base, standard.SpawnContext):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Processes begin as new interpreters."""

    Process = SpawnProcess


class ForkServerContext(_Base, standard.ForkServerContext):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Processes are forked by a server."""

    Process = ForkServerProcess


Context: TypeAlias = ForkContext | SpawnContext | ForkServerContext
_CONTEXTS: dict[str, Context] = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}


@overload
def get_context(method: Literal["fork"]) -> ForkContext: ...
@overload
def get_context(method: Literal["spawn"]) -> SpawnContext: ...
@overload
def get_context(method: Literal["forkserver"]) -> ForkServerContext: ...
@overload
def get_context(method: str | None = None) -> Context: ...
def get_context(method: str | None = None) -> Context:
    """Give the context of a start method.

    Args:
        method: "fork", "spawn" or "forkserver"; None is the one that
            `multiprocessing.get_start_method` gives.

    Raises:
        ValueError: There is no such method here.

    Source: the contract of `multiprocessing.get_context`.
    """
    method = multiprocessing.get_start_method() if method is None else method
    # The standard library knows which methods there are here, and how to say that there is none.
    multiprocessing.get_context(method)
    return _CONTEXTS[method]
