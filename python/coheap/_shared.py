"""`Manager()`: what `multiprocessing` keeps in a server process, kept in the default heap.

What always holds: there is no server. A dict here stores copies, as a manager's dict does: what
is taken out and changed has to be put back. After `shutdown` what the manager made is of no use
to anybody, in any process.

Not here: managers with types of their own or an address, which need a server.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast, final, overload
from weakref import WeakSet

import coheap
from coheap._errors import Error

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")

_GONE = "the manager was shut down; nothing was changed; keep it open for as long as it is needed"


@final
class DictProxy(Generic[_K, _V]):
    """A dict that a manager made.

    It has the methods of the standard library's `DictProxy`: values are copies, `keys`, `values`
    and `items` are lists, and `==` asks whether it is the same proxy. Keys are those of
    `coheap.Dict`.

    Raises, in every method:
        BrokenPipeError: The manager was shut down.
    """

    __slots__ = ("__weakref__", "_dict", "_end")

    # Only the manager makes one.
    def __init__(self, end: "coheap.Lock", dict: "coheap.Dict[_K, _V]") -> None:  # noqa: A002
        self._end = end
        self._dict = dict

    @property
    def _open(self) -> "coheap.Dict[_K, _V]":
        """The dict, as long as the manager is open."""
        if self._end.locked():
            raise BrokenPipeError(errno.EPIPE, _GONE)
        return self._dict

    def __getitem__(self, key: _K) -> _V:
        """Give a copy of the value under a key."""
        return self._open[key]

    def __setitem__(self, key: _K, value: _V) -> None:
        """Store a copy of a value under a key."""
        self._open[key] = value

    def __delitem__(self, key: _K) -> None:
        """Remove a key."""
        del self._open[key]

    def __contains__(self, key: object) -> bool:
        """Whether there is a key."""
        return key in self._open

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._open)

    def __iter__(self) -> Iterator[_K]:
        """Go through the keys."""
        return iter(self._open)

    @overload
    def get(self, key: _K, default: None = None, /) -> _V | None: ...
    @overload
    def get(self, key: _K, default: _V, /) -> _V: ...
    @overload
    def get(self, key: _K, default: _T, /) -> _V | _T: ...
    def get(self, key: Any, default: Any = None, /) -> Any:
        """Give a copy of the value under a key, or `default` if there is none."""
        return self._open.get(key, default)

    @overload
    def pop(self, key: _K, /) -> _V: ...
    @overload
    def pop(self, key: _K, default: _V, /) -> _V: ...
    @overload
    def pop(self, key: _K, default: _T, /) -> _V | _T: ...
    def pop(self, key: Any, /, *default: Any) -> Any:
        """Remove a key and give its value; `default` if there is none."""
        return self._open.pop(key, *default)

    def popitem(self) -> tuple[_K, _V]:
        """Remove the entry that came last and give it."""
        return self._open.popitem()

    def setdefault(self, key: _K, default: Any = None, /) -> _V:
        """Give the value under a key, which is set to `default` first if there is none."""
        return self._open.setdefault(key, default)

    def clear(self) -> None:
        """Remove everything."""
        self._open.clear()

    def update(self, *others: Any, **entries: Any) -> None:
        """Take over entries, as `dict.update`."""
        self._open.update(*others, **entries)

    def copy(self) -> dict[_K, _V]:
        """Give all entries as they are at one moment, as a plain dict."""
        return self._open.snapshot()

    def fromkeys(self, keys: Iterable[_T], value: Any = None, /) -> dict[_T, Any]:
        """Give a plain dict, as `dict.fromkeys`."""
        return type(self.copy()).fromkeys(keys, value)

    def __or__(self, other: Any) -> dict[Any, Any]:
        """Give a plain dict of the entries here and those of `other`, which count."""
        return self.copy() | _plain(other)

    def __ror__(self, other: Any) -> Any:
        """Give a plain dict of the entries of `other` and those here, which count."""
        return other | self.copy()

    def __ior__(self, other: Any) -> Self:
        """Take over entries, as `update`."""
        self._open.update(_plain(other))
        return self

    def __reversed__(self) -> Iterator[_K]:
        """Go through the keys as they are at one moment, the last first."""
        return reversed(self.keys())

    def keys(self) -> list[_K]:
        """List the keys as they are at one moment."""
        # Of one moment, and without a look at the values.
        keys = list(reversed(self._open))
        keys.reverse()
        return keys

    def values(self) -> list[_V]:
        """List the values as they are at one moment."""
        return list(self._open.snapshot().values())

    def items(self) -> list[tuple[_K, _V]]:
        """List the entries as they are at one moment."""
        return list(self._open.snapshot().items())

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[_K, _V]:
        """Give a plain dict."""
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the same dict."""
        return DictProxy, (self._end, self._dict)

    def __repr__(self) -> str:
        """Show what it is."""
        return f"<DictProxy object, typeid 'dict' at {id(self):#x}>"

    def __str__(self) -> str:
        """Show all entries."""
        try:
            return repr(self.copy())
        except (Error, OSError):
            return f"{repr(self)[:-1]}; '__str__()' failed>"


def _plain(entries: Any) -> Any:
    """What the operators of a dict take: a plain dict in the place of a proxy."""
    return cast("DictProxy[Any, Any]", entries).copy() if isinstance(entries, DictProxy) else entries


class SharedManager:
    """A manager without a server: what it makes lives in the default heap.

    As a context manager it shuts itself down at the end. It has as much of
    `multiprocessing.managers.SyncManager` as is here; a forked copy may make dicts, but only the
    process that started it shuts it down.
    """

    def __init__(self) -> None:
        self._pid = 0
        """The process that started it; 0: nobody did."""
        self._end: coheap.Lock | None = None
        """Free while the manager is open. At the shutdown it is taken, and never let go: all
        processes see that, and no transaction stumbles over it."""
        self._proxies = WeakSet[DictProxy[Any, Any]]()
        """Those that this process still has."""

    def start(self) -> None:
        """Begin.

        Raises:
            ProcessError: It has been started, or shut down, before.
        """
        if self._end is not None:
            raise _process_error(self._end)
        self._end = coheap.Lock()
        self._pid = os.getpid()

    def shutdown(self) -> None:
        """End: what was made raises `BrokenPipeError` from now on, and its memory is free.

        Nothing happens if it was never started, was shut down, or belongs to another process.
        """
        if self._end is None or self._pid != os.getpid() or not self._end.acquire(block=False):
            return
        for proxy in self._proxies:
            proxy._dict.clear()  # pyright: ignore[reportPrivateUsage]

    def dict(self, *args: Any, **kwargs: Any) -> DictProxy[Any, Any]:
        """Make a dict with the entries that `dict(...)` would have.

        Raises:
            TypeError: A key is of a type that `coheap.Dict` does not take.
            AssertionError: The manager is not started, or shut down.
        """
        if self._end is None or self._end.locked():
            raise AssertionError("server not yet started" if self._end is None else _GONE)
        made = coheap.Dict[Any, Any]()._keeping_copies()
        made.update(*args, **kwargs)
        proxy = DictProxy(self._end, made)
        self._proxies.add(proxy)
        return proxy

    def __enter__(self) -> Self:
        """Start, if nobody did.

        Raises:
            ProcessError: It was shut down.
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

    Unlike that of `multiprocessing` it needs no process: an access takes less than a microsecond,
    and there is no server to lose.

    Source: the contract of `multiprocessing.Manager`.
    """
    manager = SharedManager()
    manager.start()
    return manager
