"""The command line: what can be said, and which numbers make sense.

What always holds: a request that gets past here has workers and kills within their limits;
whether its paths are there is seen later. The options are those of the program `coheap`.
Not here: what the command does.
"""

import argparse
import multiprocessing
import os
from dataclasses import dataclass
from typing import Literal

import coheap

_MAX_WORKERS = 64
_MAX_KILLS = 50.0

_DEMO = """\
Worker processes take pieces of the text files below PATH from a work queue and add their words to
a shared dict; meanwhile random workers get SIGKILL and are replaced. At the end every count is
compared with that of a single process. A word is a match of [A-Za-z0-9_]+. Links to files are
followed, linked folders are not entered; what is not UTF-8 is skipped.
"""


@dataclass(frozen=True)
class Request:
    """What `coheap demo` is asked for."""

    paths: list[str]
    workers: int
    kills_per_second: float
    compare: bool
    json: str | None
    start_method: Literal["fork", "spawn", "forkserver"]


def parse(arguments: list[str]) -> Request:
    """Read a command line.

    Raises:
        SystemExit: It makes no sense, or help was asked for. What there is to say has been said.
    """
    _command(arguments[:1])
    demo = argparse.ArgumentParser(
        prog="python -m coheap demo", description=_DEMO, allow_abbrev=False
    )
    demo.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files and folders with text [default: the standard library of this Python]",
    )
    demo.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        default=min(max(_cpus(), 2), _MAX_WORKERS),
        help="how many processes count, 1 to 64 [default: one for each CPU, at least 2]",
    )
    demo.add_argument(
        "--kills-per-second",
        type=_kills,
        metavar="K",
        default=5.0,
        help="how many workers are killed in a second, on average, 0 to 50 [default: 5]",
    )
    demo.add_argument(
        "--compare",
        action="store_true",
        help="do the same with multiprocessing, without kills, and print both times; only on the "
        "first megabytes of the text: at most 20, or 12 if there is no PATH",
    )
    demo.add_argument("--json", metavar="FILE", help="write counts, skipped and figures to FILE")
    demo.add_argument(
        "--start-method",
        choices=multiprocessing.get_all_start_methods(),
        default="fork",
        help="how processes are started [default: fork]",
    )
    # The parser for options among paths does not know that `--` ends the options.
    words, end = arguments[1:], arguments.index("--") if "--" in arguments else len(arguments)
    options = demo.parse_intermixed_args(words[: end - 1])
    options.paths += words[end:]
    return Request(**vars(options))


def _command(arguments: list[str]) -> None:
    """See that the first word is `demo`."""
    parser = argparse.ArgumentParser(
        prog="python -m coheap",
        usage="%(prog)s [-h] [--version] demo ...",
        description="One shared-memory heap for many processes, always consistent.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"coheap {coheap.__version__}")
    parser.add_argument(
        "demo",
        choices=["demo"],
        help="count words in many processes while some of them are being killed",
    )
    parser.parse_args(arguments)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _workers(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= _MAX_WORKERS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {_MAX_WORKERS}")


def _kills(text: str) -> float:
    try:
        kills = float(text)
    except ValueError:
        kills = -1.0
    if 0.0 <= kills <= _MAX_KILLS:
        return kills
    raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to {_MAX_KILLS:g}")
