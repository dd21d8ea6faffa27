"""The marker for "no value", where None is a value: `coheap.ABSENT`.

There is exactly one in each process, because it pickles by name.
"""


class Absent:
    """No value. `coheap.ABSENT` is the only instance."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the public name."""
        return "coheap.ABSENT"

    def __reduce__(self) -> str:
        """Pickle by name, so that unpickling returns the only instance."""
        return "ABSENT"

    def __bool__(self) -> bool:
        """Return False, as for None."""
        return False


ABSENT = Absent()
