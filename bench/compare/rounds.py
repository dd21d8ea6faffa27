"""Measures two programs in turn, round by round.

What always holds: in each round both sides are measured, one right after the other, and the side
that begins changes with each round. What slows the machine down for a while slows both.
Not here: what is measured in a round (`counting`), and the statistics (`figures`).
"""

from collections.abc import Callable, Iterable

from counting import LOOP, Program
from figures import Row

Pair = tuple[Program, Program]
"""A program of the base and that of the working tree."""
Measure = Callable[[Program], dict[str, float]]
"""Measures each operation of a program once."""
TIMED = 20_000
"""How often an operation is done in a round that is timed."""


def rounds_of(pair: Pair, measure: Measure, rounds: int) -> tuple[list[dict[str, float]], ...]:
    """What the base and the working tree gave in so many rounds."""
    found: tuple[list[dict[str, float]], ...] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            found[side].append(measure(pair[side]))
    return found


def compare(
    pairs: Iterable[Pair], measure: Measure, rounds: int, unit: str, limit: float | None
) -> list[Row]:
    """A row for each operation of the programs."""
    rows = []
    for pair in pairs:
        base, now = rounds_of(pair, measure, rounds)
        for name in base[0]:
            samples = ([one[name] for one in side] for side in (base, now))
            rows.append(Row(name, unit, *samples, limit=limit))
    return rows


def times_of(program: Program) -> dict[str, float]:
    """Nanoseconds of each operation, the loop included."""
    did = program.run((), TIMED, ())
    return {name: one.nanoseconds for name, one in did.items() if name != LOOP}
