"""The views that `Dict.keys()`, `.values()` and `.items()` return, like the views of `dict`.

The set operations come from `collections.abc`; the iterators are native.
"""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from typing import TypeVar, cast

from coheap._absent import ABSENT
from coheap._native import Dict

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class DictKeys(KeysView[K]):
    """The keys of a Dict: a set that changes with it."""

    _mapping: Dict[K, object]

    @classmethod
    def _from_iterable(cls, it: Iterable[T]) -> set[T]:
        return set(it)

    def __iter__(self) -> Iterator[K]:
        """Iterate over the keys in the order of insertion."""
        return iter(self._mapping)

    def __reversed__(self) -> Iterator[K]:
        """Iterate over the keys as they are now, the last one first."""
        return reversed(self._mapping)

    def __repr__(self) -> str:
        """Return the keys as text."""
        return f"DictKeys({list(self)!r})"


class DictItems(ItemsView[K, V]):
    """The entries of a Dict: a set of pairs that changes with it."""

    _mapping: Dict[K, V]

    @classmethod
    def _from_iterable(cls, it: Iterable[T]) -> set[T]:
        return set(it)

    def __contains__(self, item: object) -> bool:
        """Return whether a key has that value now; anything but a tuple of two is not there."""
        pair = cast("tuple[K, V]", item)
        if not isinstance(item, tuple) or len(pair) != 2:
            return False
        key, value = pair
        found = self._mapping.get(key, ABSENT)
        return found is not ABSENT and (found is value or found == value)

    def __iter__(self) -> Iterator[tuple[K, V]]:
        """Iterate over the entries in the order of insertion."""
        return self._mapping._iterate_items()

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        """Iterate over the entries as they are now, the last one first."""
        return reversed(self._mapping.snapshot().items())

    def __repr__(self) -> str:
        """Return the entries as text."""
        return f"DictItems({list(self)!r})"


class DictValues(ValuesView[V]):
    """The values of a Dict."""

    _mapping: Dict[object, V]

    def __iter__(self) -> Iterator[V]:
        """Iterate over the values in the order of insertion of their keys."""
        return self._mapping._iterate_values()

    def __contains__(self, value: object) -> bool:
        """Return whether a value is there now."""
        return value in self._mapping.snapshot().values()

    def __reversed__(self) -> Iterator[V]:
        """Iterate over the values as they are now, the last one first."""
        return reversed(self._mapping.snapshot().values())

    def __repr__(self) -> str:
        """Return the values as text."""
        return f"DictValues({list(self)!r})"
