"""`Manager()`: a manager whose objects are in the default heap, not in a server process.

What always holds: there is no server. A dict here stores copies, as a manager's dict does: a value
that is read and changed has to be stored again. After `shutdown`, no process can use the objects
that the manager created.

Not here: managers with custom types or an address, which need a server.
"""

import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar, cast, final
from weakref import WeakSet

import coheap
from coheap._errors import Error
from coheap._native import _DictProxy  # pyright: ignore[reportPrivateUsage]

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

_GONE = "the manager was shut down; nothing was changed; keep it open while its objects are in use"


@final
class DictProxy(_DictProxy[_K, _V]):
    """A dict that a manager created.

    It has the methods of the standard library's `DictProxy`: values are copies; `keys`, `values`
    and `items` return lists; `==` is True for the same proxy only. Keys have the types that
    `coheap.Dict` accepts.

    Raises, in every method:
        BrokenPipeError: The manager was shut down.
    """

    __slots__ = ()

    def __iter__(self) -> Iterator[_K]:
        """Iterate over the keys."""
        return iter(self._open)

    def popitem(self) -> tuple[_K, _V]:
        """Remove the entry that was inserted last and return it."""
        return self._open.popitem()

    def clear(self) -> None:
        """Remove all entries."""
        self._open.clear()

    def update(self, *others: Any, **entries: Any) -> None:
        """Add or replace entries, as `dict.update`."""
        self._open.update(*others, **entries)

    def copy(self) -> dict[_K, _V]:
        """Return all entries as they are at one moment, as a plain dict."""
        return self._open.copy()

    def fromkeys(self, keys: Iterable[_T], value: Any = None, /) -> dict[_T, Any]:
        """Return a plain dict, as `dict.fromkeys`."""
        return type(self.copy()).fromkeys(keys, value)

    def __or__(self, other: Any) -> dict[Any, Any]:
        """Return a plain dict with these entries and those of `other`, which take precedence."""
        return self.copy() | _plain(other)

    def __ror__(self, other: Any) -> Any:
        """Return a plain dict with the entries of `other` and these, which take precedence."""
        return other | self.copy()

    def __ior__(self, other: Any) -> Self:
        """Add or replace entries, as `update`."""
        self._open.update(_plain(other))
        return self

    def __reversed__(self) -> Iterator[_K]:
        """Iterate over the keys as they are at one moment, the last one first."""
        return reversed(self.keys())

    def keys(self) -> list[_K]:
        """Return the keys as they are at one moment, as a list."""
        return list(self._open)

    def values(self) -> list[_V]:
        """Return the values as they are at one moment, as a list."""
        return list(self._open.values())

    def items(self) -> list[tuple[_K, _V]]:
        """Return the entries as they are at one moment, as a list."""
        return list(self._open.items())

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[_K, _V]:
        """Return a plain dict."""
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a proxy of the same dict."""
        return DictProxy, (self._end, self._dict)

    def __repr__(self) -> str:
        """Return the type and the address, as the standard library's proxy."""
        return f"<DictProxy object, typeid 'dict' at {id(self):#x}>"

    def __str__(self) -> str:
        """Return all entries as text."""
        try:
            return repr(self.copy())
        except (Error, OSError):
            return f"{repr(self)[:-1]}; '__str__()' failed>"


def _plain(entries: Any) -> Any:
    """Return a plain dict in place of a proxy, for the operators of a dict."""
    return cast("DictProxy[Any, Any]", entries).copy() if isinstance(entries, DictProxy) else entries


class SharedManager:
    """A manager without a server: the objects that it creates are in the default heap.

    As a context manager, it shuts down at the end. It has those methods of
    `multiprocessing.managers.SyncManager` that are listed here. A forked copy can create dicts, but
    only the process that started the manager can shut it down.
    """

    def __init__(self) -> None:
        self._pid = 0
        """The id of the process that started it; 0 if it was not started."""
        self._end: coheap.Lock | None = None
        """Free while the manager is open. `shutdown` acquires it and never releases it: every
        process detects that, and no transaction is disturbed."""
        self._proxies = WeakSet[DictProxy[Any, Any]]()
        """The proxies that this process still holds."""

    def start(self) -> None:
        """Start the manager.

        Raises:
            ProcessError: The manager was started or shut down before.
        """
        if self._end is not None:
            raise _process_error(self._end)
        self._end = coheap.Lock()
        self._pid = os.getpid()

    def shutdown(self) -> None:
        """Shut down: every object that the manager created raises `BrokenPipeError` from then on.

        The entries of the dicts that this process still holds are freed. Nothing happens if the
        manager was never started, was shut down before, or was started by another process.
        """
        if self._end is None or self._pid != os.getpid() or not self._end.acquire(block=False):
            return
        for proxy in self._proxies:
            proxy._dict.clear()  # pyright: ignore[reportPrivateUsage]

    def dict(self, *args: Any, **kwargs: Any) -> DictProxy[Any, Any]:
        """Create a dict with the entries that `dict(...)` would have.

        Raises:
            TypeError: A key has a type that `coheap.Dict` does not accept.
            AssertionError: The manager was not started, or was shut down.
        """
        if self._end is None or self._end.locked():
            raise AssertionError("server not yet started" if self._end is None else _GONE)
        made = coheap.Dict._with_copies()  # pyright: ignore[reportPrivateUsage]
        made.update(*args, **kwargs)
        proxy = DictProxy(self._end, made)
        self._proxies.add(proxy)
        return proxy

    def __enter__(self) -> Self:
        """Start the manager if it was not started.

        Raises:
            ProcessError: The manager was shut down.
        """
        if self._end is None:
            self.start()
        elif self._end.locked():
            raise _process_error(self._end)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Shut down."""
        self.shutdown()


def _process_error(end: "coheap.Lock") -> Exception:
    from multiprocessing import ProcessError

    return ProcessError("Manager has shut down" if end.locked() else "Already started server")


def Manager() -> SharedManager:  # noqa: N802 - as multiprocessing.Manager
    """Start a manager, whose dicts processes share.

    Unlike the manager of `multiprocessing`, it needs no server process: an operation accesses the
    shared heap directly.

    Source: the contract of `multiprocessing.Manager`.
    """
    manager = SharedManager()
    manager.start()
    return manager
