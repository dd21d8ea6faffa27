"""The word for "no value" where None is one: `coheap.ABSENT`.

There is exactly one, also in other processes: it pickles as itself.
"""


class Absent:
    """No value. The only one of its kind is `coheap.ABSENT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show the name under which users have it."""
        return "coheap.ABSENT"

    def __reduce__(self) -> str:
        """Pickle as the one there is."""
        return "ABSENT"

    def __bool__(self) -> bool:
        """Count as false, as None does."""
        return False


ABSENT = Absent()
