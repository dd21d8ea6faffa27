"""The views that `Dict.keys()`, `.values()` and `.items()` return, like the views of `dict`.

What always holds: a comparison or an operation on sets sees the dict as it is at one moment. It is left to
the view of a plain dict with the entries of that moment, so it does what the views of `dict` do.
Not here: the iterators, which are native.
"""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Set, ValuesView
from types import MappingProxyType
from typing import Any, TypeVar, cast

from coheap._absent import ABSENT
from coheap._native import Dict

K = TypeVar("K")
V = TypeVar("V")
E = TypeVar("E")


class _View:
    """What all views have in common."""

    __slots__ = ()
    _mapping: Dict[Any, Any]

    @property
    def mapping(self) -> MappingProxyType[Any, Any]:
        """The Dict, for reading only."""
        return MappingProxyType(self._mapping)


class _SetView(_View, Set[E]):
    """What the views of keys and of entries have in common."""

    __slots__ = ()

    def _now(self) -> Any:
        """Return the view of a plain dict with what is there now."""
        raise NotImplementedError

    def __and__(self, other: Iterable[Any]) -> Any:
        """Return what is also in `other`, as a set."""
        return self._now() & other

    __rand__ = __and__

    def __or__(self, other: Iterable[Any]) -> Any:
        """Return what is here or in `other`, as a set."""
        return self._now() | other

    __ror__ = __or__

    def __xor__(self, other: Iterable[Any]) -> Any:
        """Return what is either here or in `other`, as a set."""
        return self._now() ^ other

    __rxor__ = __xor__

    def __sub__(self, other: Iterable[Any]) -> Any:
        """Return what is not in `other`, as a set."""
        return self._now() - other

    def __rsub__(self, other: Iterable[Any]) -> Any:
        """Return what is in `other` and not here, as a set."""
        return other - self._now()

    def isdisjoint(self, other: Iterable[Any]) -> bool:
        """Return whether nothing of `other` is here."""
        return bool(self._now().isdisjoint(other))

    def __eq__(self, other: object) -> bool:
        """Return whether the same is here as in a set or another such view."""
        return self._now() == other if isinstance(other, Set) else NotImplemented

    def __le__(self, other: Any) -> bool:
        """Return whether all that is here is in a set or another such view."""
        return self._now() <= other if isinstance(other, Set) else NotImplemented

    def __lt__(self, other: Any) -> bool:
        """Return whether all that is here is in a set or another such view, and more is."""
        return self._now() < other if isinstance(other, Set) else NotImplemented

    def __ge__(self, other: Any) -> bool:
        """Return whether all of a set or another such view is here."""
        return self._now() >= other if isinstance(other, Set) else NotImplemented

    def __gt__(self, other: Any) -> bool:
        """Return whether all of a set or another such view is here, and more is."""
        return self._now() > other if isinstance(other, Set) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as the views of dict


class DictKeys(_SetView[K], KeysView[K]):
    """The keys of a Dict: a set that changes with it."""

    _mapping: Dict[K, object]

    def __init__(self, mapping: Dict[K, object], asker: tuple[int, int] | None = None) -> None:
        super().__init__(mapping)
        self._asker = asker
        """The instruction that has asked for the keys: `dict(d)` goes on to ask for the values."""

    def _now(self) -> Any:
        return dict.fromkeys(self).keys()

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys as they are at the first step, in the order of insertion."""
        return self._mapping._iterate_keys(self._asker)

    def __reversed__(self) -> Iterator[K]:
        """Iterate over the keys as they are at the first step, the last one first."""
        return reversed(self._mapping)

    def __repr__(self) -> str:
        """Return the keys as text."""
        return f"DictKeys({list(self)!r})"


class DictItems(_SetView[tuple[K, V]], ItemsView[K, V]):
    """The entries of a Dict: a set of pairs that changes with it."""

    _mapping: Dict[K, V]

    def _now(self) -> Any:
        return self._mapping.copy().items()

    def __contains__(self, item: object) -> bool:
        """Return whether a key has that value now; anything but a tuple of two is not there."""
        pair = cast("tuple[K, V]", item)
        if not isinstance(item, tuple) or len(pair) != 2:
            return False
        key, value = pair
        found = self._mapping.get(key, ABSENT)
        return found is not ABSENT and (found is value or found == value)

    def __iter__(self) -> Iterator[tuple[K, V]]:
        """Iterate over the entries as they are at the first step, in the order of insertion."""
        return self._mapping._iterate_items()

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        """Iterate over the entries as they are at the first step, the last one first."""
        return self._mapping._iterate_items(is_backward=True)

    def __repr__(self) -> str:
        """Return the entries as text."""
        return f"DictItems({list(self)!r})"


class DictValues(_View, ValuesView[V]):
    """The values of a Dict."""

    _mapping: Dict[object, V]

    def __iter__(self) -> Iterator[V]:
        """Iterate over the values as they are at the first step, in the order of their keys."""
        return self._mapping._iterate_values()

    def __contains__(self, value: object) -> bool:
        """Return whether a value is there now."""
        return self._mapping._has_value(value)

    def __reversed__(self) -> Iterator[V]:
        """Iterate over the values as they are at the first step, the last one first."""
        return self._mapping._iterate_values(is_backward=True)

    def __repr__(self) -> str:
        """Return the values as text."""
        return f"DictValues({list(self)!r})"
