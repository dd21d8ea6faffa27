"""Ratios of two commits with their interval, the verdict on them, and the table.

What always holds: a ratio is that of the working tree to the base, so above 1 the working tree is
dearer. Only instructions can break the limit; a time is shown and never judged by it.
Not here: where the samples come from (`counting`, `rounds`).
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Row:
    """One operation of both commits, a sample for each round."""

    name: str
    unit: str
    base: Sequence[float]
    now: Sequence[float]
    limit: float | None = None
    """How much dearer it may be, 0.03 for 3 %; None where that is not judged."""
    ratio: float = field(init=False)
    low: float = field(init=False)
    high: float = field(init=False)

    def __post_init__(self) -> None:
        """Compute the ratio of each round, their median and its interval."""
        ratios = [now / base for base, now in zip(self.base, self.now, strict=True)]
        low, high = interval(ratios)
        for name, value in (("ratio", statistics.median(ratios)), ("low", low), ("high", high)):
            object.__setattr__(self, name, value)

    @property
    def breaks(self) -> bool:
        """Whether the working tree is dearer than the limit allows."""
        return self.limit is not None and self.ratio > 1 + self.limit

    @property
    def verdict(self) -> str:
        """What the ratio says, in a word or two."""
        if self.limit is not None:
            allowed = f"{self.limit:.1%}".replace(".0%", "%").replace("%", " %")
            if self.breaks:
                return f"MORE THAN {allowed} MORE"
            return f"over {allowed} less" if self.ratio < 1 - self.limit else f"within {allowed}"
        if self.low > 1:
            return "slower"
        return "faster" if self.high < 1 else "no difference seen"


def interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The interval that has the median of what was sampled, by the sign test.

    Nothing is assumed about the distribution: each sample is below the true median with
    probability one half. Of fewer than six samples even the lowest and the highest do not reach
    95 %; these are returned then.
    """
    ordered = sorted(samples)
    count = len(ordered)
    outside, skipped = 0.0, 0
    for below in range((count - 1) // 2):
        outside += 2 * math.comb(count, below) / 2**count
        if outside > 1 - confidence:
            break
        skipped = below
    return ordered[skipped], ordered[count - 1 - skipped]


def table(rows: Sequence[Row]) -> str:
    """The rows as text, one line each below a heading."""
    width = max(len(row.name) for row in rows)
    unit = rows[0].unit
    lines = [f"{'operation':{width}} {'base':>11} {'now':>11}  ratio  interval        ({unit})"]
    for row in rows:
        base, now = statistics.median(row.base), statistics.median(row.now)
        lines.append(
            f"{row.name:{width}} {base:11,.1f} {now:11,.1f}  {row.ratio:.3f}"
            f"  {row.low:.3f} to {row.high:.3f}  {row.verdict}"
        )
    return "\n".join(lines)


def plain(row: Row) -> dict[str, object]:
    """A row as JSON has it."""
    return asdict(row) | {"breaks": row.breaks, "verdict": row.verdict}


def status(counts: Sequence[Row]) -> tuple[int, str]:
    """The exit status, and what it means."""
    if not counts:
        return 2, "nothing is proven: INSTRUCTIONS WERE NOT COUNTED"
    broken = [row.name for row in counts if row.breaks]
    return int(bool(broken)), f"more instructions than allowed: {'; '.join(broken) or 'none'}"
