"""`demo` from its arguments to its exit status.

What always holds: whatever ends it, no worker is left; a failure is said once.
Not here: any of the parts (see the table of the package).
"""

import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext

from coheap._demo import execution, peer, signals
from coheap._demo.arguments import Request, parse
from coheap._demo.failure import Failed, Failure, Stopped
from coheap._demo.report import Report, Target
from coheap._demo.text import corpus, words
from coheap._demo.text.corpus import Corpus
from coheap._demo.text.items import shown

_COMPARED_BYTES = 20_000_000
"""Most bytes of the text that `multiprocessing` counts, too."""
_COMPARED_BYTES_BY_DEFAULT = 12_000_000
"""As many for a text that nobody asked for: `multiprocessing` needs half a minute for them."""
_SHOWN_DIFFERENCES = 10
_SHOWN_LETTERS = 60


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and give the exit status."""
    request = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        with signals.listen():
            run(request)
    except Stopped as stopped:
        return stopped.status
    except Failure as failure:
        print(f"coheap: {failure}", file=sys.stderr)
        return failure.status
    return 0


def run(request: Request) -> None:
    """Do the job, print how it went, and fail unless every count is right."""
    most_bytes = None
    if request.compare:
        most_bytes = _COMPARED_BYTES if request.paths else _COMPARED_BYTES_BY_DEFAULT
    text = corpus.collect(request.paths, most_bytes)
    with Target(request.json) if request.json is not None else nullcontext() as target:
        outcome = execution.execute(request, text)
        other = peer.execute(request, text) if request.compare else None
        started = time.monotonic()
        plain = text.count()
        report = Report(text, outcome, other, time.monotonic() - started)
        report.show(plain)
        if target:
            target.write(report.json())
    _verify(text, plain, outcome.counts, "the shared dict")
    if other:
        _verify(text, plain, other.counts, "multiprocessing")


def _verify(text: Corpus, plain: Mapping[str, int], counts: Mapping[str, int], whose: str) -> None:
    """Every count is equal, or an error that shows the first differences."""
    if plain == counts:
        return
    differences = list(words.differences(plain, counts))
    lines = [f"{len(differences)} counts of {whose} are wrong:"]
    lines += [
        f"  {word[:_SHOWN_LETTERS]}: {found}, but a single process counts {expected}"
        for word, expected, found in differences[:_SHOWN_DIFFERENCES]
    ]
    if changed := text.changed():
        lines.append("these files were changed while their words were counted:")
        lines += [f"  {shown(path)}" for path in changed[:_SHOWN_DIFFERENCES]]
    raise Failed("\n".join(lines))
