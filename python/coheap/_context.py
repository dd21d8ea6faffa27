"""Contexts and processes: those of `multiprocessing`, with coheap's objects where coheap has them.

What always holds: a context has every method of the standard library's context; methods that are
not here are inherited. Both share one setting for the start method, that of `multiprocessing`. A
child has its parent's default heap, whichever way it is started.

Not here: the objects (`coheap._native`), and the manager (`coheap._shared`).
"""

import multiprocessing
import multiprocessing.context as standard
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from os import PathLike
from typing import Any, Literal, SupportsIndex, TypeAlias, TypeVar, cast, overload

import coheap
from coheap._native import Luggage, _before_waiting
from coheap._shared import Manager, SharedManager

TYPE_CHECKING = False
"""Modules that are needed for type annotations only are not imported at run time."""

if TYPE_CHECKING:
    from multiprocessing import queues, synchronize

_T = TypeVar("_T")


class _Child(BaseProcess):
    """A process that has its parent's default heap."""

    _luggage: Luggage | None = None
    """Keeps the objects that were passed to the child until the child has ended: it may be slow to
    open them, and no other process may hold them any more."""

    def start(self) -> None:
        """Start the process. The default heap is created first, so that the child shares it."""
        coheap.default_heap()
        with Luggage() as luggage:
            super().start()
        self._luggage = luggage

    def join(self, timeout: float | None = None) -> None:
        """Wait until the process has ended, at most `timeout` seconds.

        Raises:
            WouldBlock: The call is inside a block of `atomic` that holds something, which the
                process may need before it can end.
        """
        if self.pid is not None and self.exitcode is None:
            _before_waiting("a process", lambda: super(_Child, self).join(timeout))
        super().join(timeout)
        if self.exitcode is not None:
            self._luggage = None

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Pickle for a new interpreter: first the heap, then the function and its arguments."""
        reduced: Any = object.__reduce_ex__(self, 2)
        function, arguments, *rest = reduced
        return _in_heap, (coheap.default_heap(), function, arguments), *rest


def _in_heap(heap: "coheap.Heap", function: Callable[..., _T], arguments: tuple[Any, ...]) -> _T:
    """In a child: set the default heap before anything else is unpickled."""
    coheap.set_default_heap(heap)
    return function(*arguments)


class Process(_Child, standard.Process):
    """A process, started with the method that `multiprocessing.set_start_method` has set.

    It works like `multiprocessing.Process`, and shares the default heap of its parent.
    """


class ForkProcess(_Child, standard.ForkProcess):
    """A process that is forked."""


class SpawnProcess(_Child, standard.SpawnProcess):
    """A process that starts as a new interpreter."""


class ForkServerProcess(_Child, standard.ForkServerProcess):
    """A process that is forked by a server, which started as a new interpreter."""


class _Base(standard.BaseContext):
    """The methods that are the same for all start methods."""

    # Typeshed declares another return type than the standard library has.
    def get_context(  # type: ignore[override]
        self, method: str | None = None
    ) -> "Context":
        """Return the context of a start method; None is this context.

        Raises:
            ValueError: The start method does not exist on this system.
        """
        return cast("Context", self) if method is None else get_context(method)

    # The methods below return coheap's objects, so their types differ from typeshed's.

    def Lock(self) -> "coheap.Lock":  # type: ignore[override]  # noqa: N802
        """Create a lock in the default heap."""
        return coheap.Lock()

    def RLock(self) -> "coheap.RLock":  # type: ignore[override]  # noqa: N802
        """Create a recursive lock in the default heap."""
        return coheap.RLock()

    # The standard library builds the next ones from its own locks only.

    @property
    def _standard(self) -> standard.BaseContext:
        return multiprocessing.get_context(self.get_start_method())

    def Condition(self, lock: Any = None) -> "synchronize.Condition":  # noqa: N802
        """Create a condition variable of the standard library.

        Args:
            lock: A lock of `multiprocessing`; None creates one.

        Raises:
            TypeError: `lock` is a lock of coheap, which a condition variable cannot use.
        """
        if isinstance(lock, coheap.Lock | coheap.RLock):
            raise TypeError(
                "a Condition works with locks of multiprocessing only; nothing was changed; pass "
                "no lock, and it creates its own"
            )
        return self._standard.Condition(lock)

    def Event(self) -> "synchronize.Event":  # noqa: N802
        """Create an event of the standard library."""
        return self._standard.Event()

    def Barrier(  # noqa: N802
        self,
        parties: int,
        action: Callable[..., Any] | None = None,
        timeout: float | None = None,
    ) -> "synchronize.Barrier":
        """Create a barrier of the standard library."""
        return self._standard.Barrier(parties, action, timeout)

    def JoinableQueue(self, maxsize: int = 0) -> "queues.JoinableQueue[Any]":  # noqa: N802
        """Create a joinable queue of the standard library."""
        return self._standard.JoinableQueue(maxsize)

    def Value(  # type: ignore[override]  # noqa: N802
        self, typecode_or_type: str | type[Any], *args: Any, lock: bool = True
    ) -> "coheap.Value":
        """Create a number in the default heap, as `coheap.Value`."""
        return coheap.Value(typecode_or_type, *args, lock=lock)

    def append_csv(self, path: str | PathLike[str], data: Any, **options: Any) -> int:
        """Append rows to a CSV that several processes append to, as `coheap.append_csv`."""
        return coheap.append_csv(path, data, **options)

    def Manager(self) -> SharedManager:  # type: ignore[override]  # noqa: N802
        """Start a manager, as `coheap.Manager`."""
        return Manager()


class ForkContext(_Base, standard.ForkContext):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Processes are forked."""

    Process = ForkProcess


class SpawnContext(_Base, standard.SpawnContext):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Processes start as new interpreters."""

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
    """Return the context of a start method.

    Args:
        method: "fork", "spawn" or "forkserver"; None is the result of
            `multiprocessing.get_start_method`.

    Raises:
        ValueError: The start method does not exist on this system.

    Source: the contract of `multiprocessing.get_context`.
    """
    method = multiprocessing.get_start_method() if method is None else method
    # The standard library knows which methods this system has, and raises its own error.
    multiprocessing.get_context(method)
    return _CONTEXTS[method]
