"""Counts the instructions of operations, by the processor where it can and else by callgrind.

A program here repeats operations: it is called with a number of iterations and the names of
operations, and prints a line `NAME<tab>ITERATIONS<tab>NANOSECONDS` for each.

What always holds: a count is that of one operation in user space, without the program's start and
without the loop, which the operation `nothing` measures.
Not here: building programs (`builds`), and what to make of counts (`figures`).
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOP = "nothing"
SECONDS = 300
MARKER = "getppid"
"""What a program calls right before and right after each loop."""


@dataclass(frozen=True)
class Program:
    """A program that repeats operations."""

    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    """None: that of this process."""

    def run(self, before: Sequence[str], iterations: int, names: Sequence[str]) -> dict[str, "Did"]:
        """Run it under the command `before` it; return what it says of each operation."""
        command = [*before, *self.command, str(iterations), *names]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=SECONDS
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        return {name: Did(int(times), float(nanoseconds)) for name, times, nanoseconds in lines}


@dataclass(frozen=True)
class Did:
    """How often an operation was repeated, and the time of one."""

    iterations: int
    nanoseconds: float


class Perf:
    """Counts with the processor's own counter, through perf.

    What starting the program costs is the same for N and for 2N iterations, so it is not in their
    difference.
    """

    title = "instructions in user space, counted by the processor (perf)"
    iterations = 100_000

    def count(self, program: Program) -> dict[str, float]:
        """Instructions of one operation each."""
        found = {}
        for name in program.run((), 1, ()):
            few, iterations = self._whole(program, self.iterations, name)
            many, more_iterations = self._whole(program, 2 * self.iterations, name)
            found[name] = (many - few) / (more_iterations - iterations)
        return without_loop(found)

    def _whole(self, program: Program, iterations: int, name: str) -> tuple[int, int]:
        """Instructions of the whole program, and how often it did the operation."""
        with tempfile.NamedTemporaryFile("r") as file:
            before = ["perf", "stat", "-e", "instructions:u", "-x", ",", "-o", file.name, "--"]
            did = program.run(before, iterations, [name])[name]
            count = perf_count(file.read())
        if count is None:
            raise SystemExit("perf has counted at first and does not any more")
        return count, did.iterations


class Callgrind:
    """Counts on the processor that valgrind simulates, between two calls of the marker."""

    title = "instructions in user space, counted by callgrind"
    iterations = 8_000

    def count(self, program: Program) -> dict[str, float]:
        """Instructions of one operation each."""
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out")
            before = [
                "valgrind",
                "--tool=callgrind",
                f"--dump-before={MARKER}",
                f"--callgrind-out-file={out}",
            ]
            did = program.run(before, self.iterations, ())
            numbers = sorted(int(file.suffix[1:]) for file in Path(folder).glob("out.*"))
            if len(numbers) != 2 * len(did):
                raise SystemExit(f"{MARKER} was called {len(numbers)} times for {len(did)} loops")
            parts = [callgrind_count(Path(folder, f"out.{number}")) for number in numbers]
        # A part ends at each call of the marker, so that every other one is a loop.
        loops = zip(did.items(), parts[1::2], strict=True)
        return without_loop({name: count / one.iterations for (name, one), count in loops})


Counter = Perf | Callgrind


def without_loop(found: dict[str, float]) -> dict[str, float]:
    """The counts of the operations, less that of the loop around each."""
    loop = found[LOOP]
    return {name: count - loop for name, count in found.items() if name != LOOP}


def perf_count(text: str) -> int | None:
    """The instructions in what `perf stat -x ,` wrote; None where the machine counts none.

    A machine with cores of two kinds has a line for each.
    """
    fields = [line.split(",") for line in text.splitlines() if "instructions" in line]
    counts = [int(field[0]) for field in fields if field[0].isdecimal()]
    return sum(counts) if counts else None


def callgrind_count(file: Path) -> int:
    """The instructions in a part that callgrind wrote."""
    total = re.search(r"^(?:totals|summary): (\d+)$", file.read_text(errors="replace"), re.M)
    if total is None:
        raise SystemExit(f"{file} has no total: callgrind was interrupted")
    return int(total[1])


def find() -> tuple[Counter | None, str]:
    """What counts instructions here, if anything does, and a line that says so or why not."""
    reasons = []
    if shutil.which("perf"):
        probe = ["perf", "stat", "-e", "instructions:u", "-x", ",", "--", "true"]
        done = subprocess.run(probe, capture_output=True, text=True, timeout=SECONDS)
        if perf_count(done.stderr):
            return Perf(), Perf.title
        reasons.append("the machine's counter is not available to perf")
    else:
        reasons.append("perf is not installed")
    if shutil.which("valgrind"):
        return Callgrind(), f"{Callgrind.title}: {reasons[0]}"
    reasons.append("valgrind is not installed")
    return None, "; ".join(reasons)
