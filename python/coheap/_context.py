"""Contexts and processes: those of `multiprocessing`, with coheap's objects in their place.

What always holds: a context has all that the standard library's has; what is not here is
inherited. The start method is one setting for both, that of `multiprocessing`.

Not here: the objects (`coheap._native`).
"""

import multiprocessing
import multiprocessing.context as standard
from typing import Literal, TypeAlias, cast, overload


class Process(standard.Process):
    """A process, started the way that `multiprocessing.set_start_method` says.

    As `multiprocessing.Process`.
    """


class ForkProcess(standard.ForkProcess):
    """A process that is forked."""


class SpawnProcess(standard.SpawnProcess):
    """A process that begins as a new interpreter."""


class ForkServerProcess(standard.ForkServerProcess):
    """A process that a server forks, which was begun as a new interpreter."""


class _Base(standard.BaseContext):
    """What is the same for all start methods."""

    # Typeshed says that the standard library's gives another class than it does.
    def get_context(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, method: str | None = None
    ) -> "Context":
        """Give the context of a start method; None is this one.

        Raises:
            ValueError: There is no such method here.
        """
        return cast("Context", self) if method is None else get_context(method)


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
