"""What `Dict.keys()`, `.values()` and `.items()` return: views as those of `dict`.

The set operations come from `collections.abc`; going through a view is native.
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
        """Go through the keys in the order of insertion."""
        return iter(self._mapping)

    def __reversed__(self) -> Iterator[K]:
        """Go through the keys, the last one first, as they are now."""
        return reversed(self._mapping)

    def __repr__(self) -> str:
        """Show the keys."""
        return f"DictKeys({list(self)!r})"


class DictItems(ItemsView[K, V]):
    """The entries of a Dict: a set of pairs that changes with it."""

    _mapping: Dict[K, V]

    @classmethod
    def _from_iterable(cls, it: Iterable[T]) -> set[T]:
        return set(it)

    def __contains__(self, item: object) -> bool:
        """Whether a key has that value now; only a tuple of two can be there."""
        pair = cast("tuple[K, V]", item)
        if not isinstance(item, tuple) or len(pair) != 2:
            return False
        key, value = pair
        found = self._mapping.get(key, ABSENT)
        return found is not ABSENT and (found is value or found == value)

    def __iter__(self) -> Iterator[tuple[K, V]]:
        """Go through the entries in the order of insertion."""
        return self._mapping._iterate_items()

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        """Go through the entries, the last one first, as they are now."""
        return reversed(self._mapping.snapshot().items())

    def __repr__(self) -> str:
        """Show the entries."""
        return f"DictItems({list(self)!r})"


class DictValues(ValuesView[V]):
    """The values of a Dict."""

    _mapping: Dict[object, V]

    def __iter__(self) -> Iterator[V]:
        """Go through the values in the order of insertion of their keys."""
        return self._mapping._iterate_values()

    def __contains__(self, value: object) -> bool:
        """Whether a value is there, as it is now."""
        return value in self._mapping.snapshot().values()

    def __reversed__(self) -> Iterator[V]:
        """Go through the values, the last one first, as they are now."""
        return reversed(self._mapping.snapshot().values())

    def __repr__(self) -> str:
        """Show the values."""
        return f"DictValues({list(self)!r})"
