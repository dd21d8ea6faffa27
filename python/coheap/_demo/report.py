"""What is said about a run: a table for people, JSON for programs.

What always holds: the two say the same; figures that were not measured are left out.
Not here: whether the counts are right, which decides the exit status.
"""

import json
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from coheap._demo.execution import Outcome
from coheap._demo.failure import Failed, Misused
from coheap._demo.peer import Peer
from coheap._demo.text.corpus import Corpus
from coheap._demo.text.items import shown

_WIDTH = 26


@dataclass(frozen=True)
class Report:
    """All there is to say."""

    corpus: Corpus
    outcome: Outcome
    peer: Peer | None
    plain_seconds: float
    """How long one process took for the same."""

    def show(self, plain: Mapping[str, int]) -> None:
        """Print the table; `plain` is what was to be found."""
        try:
            for name, value in self._rows(plain):
                print(f"{name:<{_WIDTH}}{value}")
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader has seen enough. At its end Python would try once more, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _rows(self, plain: Mapping[str, int]) -> Iterator[tuple[str, str]]:
        corpus, outcome, stats = self.corpus, self.outcome, self.outcome.stats
        yield "face", f"Python {platform.python_version()}, {outcome.start_method}"
        yield "files", f"{len(corpus.files):,}"
        yield "skipped", f"{len(corpus.skipped):,}"
        yield "words", f"{self._words():,}"
        yield "distinct words", f"{len(outcome.counts):,}"
        yield "workers", str(outcome.workers)
        yield "seconds", f"{outcome.seconds:.3f}"
        yield "MB/s", f"{self._megabytes_per_second():.1f}"
        yield "kills", f"{outcome.kills:,}"
        yield "  in a transaction/change", f"{stats['interrupted']:,}"
        yield "items redelivered", f"{stats['returned']:,}"
        if outcome.other_deaths:
            yield "killed by others", f"{outcome.other_deaths:,}"
        if outcome.hand_overs:
            median, worst = self._hand_over()
            yield "hand-over", f"{median * 1e3:.2f} ms median, {worst * 1e3:.2f} ms worst"
        yield "heap", f"{stats['allocated_bytes'] / 1e6:.1f} MB"
        whole = outcome.integrity
        yield "integrity", f"whole: {whole['objects']} objects, {whole['blocks']:,} blocks"
        verdict = "every count equal" if plain == outcome.counts else "COUNTS DIFFER"
        yield "one process", f"{self.plain_seconds:.3f} s, {verdict}"
        if self.peer:
            yield "multiprocessing", f"{self.peer.seconds:.3f} s, no kills"
            yield "multiprocessing / coheap", f"{self.peer.seconds / outcome.seconds:.2f}"

    def json(self) -> dict[str, Any]:
        """Give the same as plain dicts and lists."""
        corpus = self.corpus
        return {
            "counts": dict(sorted(self.outcome.counts.items())),
            "skipped": [{"path": shown(path), "reason": reason} for path, reason in corpus.skipped],
            "figures": self._figures(),
        }

    def _figures(self) -> dict[str, Any]:
        corpus, outcome, stats = self.corpus, self.outcome, self.outcome.stats
        whole = outcome.integrity
        figures: dict[str, Any] = {
            "face": "python",
            "python": platform.python_version(),
            "start_method": outcome.start_method,
            "files": len(corpus.files),
            "skipped": len(corpus.skipped),
            "bytes": corpus.size,
            "items": len(corpus.items),
            "words": self._words(),
            "distinct": len(outcome.counts),
            "workers": outcome.workers,
            "seconds": outcome.seconds,
            "megabytes_per_second": self._megabytes_per_second(),
            "kills": outcome.kills,
            "killed_by_others": outcome.other_deaths,
            "rolled_back": stats["interrupted"],
            "redelivered": stats["returned"],
            "heap_bytes": stats["allocated_bytes"],
            "integrity": {name: whole[name] for name in ("objects", "blocks", "pending")},
            "one_process_seconds": self.plain_seconds,
            "seed": outcome.seed,
        }
        if outcome.hand_overs:
            median, worst = self._hand_over()
            figures["hand_over_seconds"] = {"median": median, "worst": worst}
        if self.peer:
            figures["multiprocessing_seconds"] = self.peer.seconds
            figures["multiprocessing_ratio"] = self.peer.seconds / outcome.seconds
        return figures

    def _words(self) -> int:
        return sum(self.outcome.counts.values())

    def _megabytes_per_second(self) -> float:
        return self.corpus.size / 1e6 / self.outcome.seconds

    def _hand_over(self) -> tuple[float, float]:
        sorted_seconds = self.outcome.hand_overs
        return statistics.median_high(sorted_seconds), sorted_seconds[-1]


class Target:
    """The file for the JSON. It is changed only when there is something to write.

    Args:
        path: Where it is.

    Raises:
        Misused: It cannot be written, which is seen before any work is done for it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_new = not os.path.lexists(path)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))
        except OSError as error:
            raise Misused(f"{shown(path)}: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Remove a file that we made and have nothing for: it would only mislead."""
        if self._is_new:
            os.unlink(self._path)

    def write(self, value: Mapping[str, Any]) -> None:
        """Replace what is in the file.

        Raises:
            Failed: It cannot be written.
        """
        try:
            with open(self._path, "w", encoding="utf-8") as file:
                json.dump(value, file)
                file.write("\n")
        except OSError as error:
            raise Failed(f"{shown(self._path)}: {error.strerror}") from error
        self._is_new = False
