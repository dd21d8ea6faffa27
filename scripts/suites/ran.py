"""Runs one suite of tests and counts what ran, so that no suite passes by running nothing.

    python3 scripts/suites/ran.py NAME -- COMMAND...    run a suite, and write down its counts
    python3 scripts/suites/ran.py --show NAME...        show the counts of suites that passed

The output of the command goes through unchanged. The reports of libtest, pytest, unittest and
`scripts/pythons.py` are read from it.

What always holds: the exit status is 0 only if the command's is 0, at least one test passed, and so
did one of each Rust program below `tests/` and on each interpreter, unless all have passed before. A test that is left out counts as skipped,
with its reason: an ignored one, one that pytest skips, and one that prints `SKIPPED name: reason`,
as `skipped` in `crates/coheap-core/tests/support/privilege.rs` does.

Not here: which suites there are. The Makefile runs them and `docs/testing.md` lists them.
"""

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

RECORDS = Path("target/passed")
READING_SECONDS = 10
"""How long output is still read when the command has ended and a process it left has not."""

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PROGRAM = re.compile(r"\s+(?:Running (?:unittests )?(\S+) \(.*\)|Doc-tests (\S+))$")
LIBTEST = re.compile(r"test result: \w+\. (\d+) passed; \d+ failed; (\d+) ignored;")
IGNORED = re.compile(r"test (.+) \.\.\. ignored(?:, (.*))?$")
SKIPPED = re.compile(r"(?:^|\.\.\. )SKIPPED (?!\[)(\S[^:]*): (.+)$")
PYTEST_SKIPPED = re.compile(r"SKIPPED \[(\d+)\] ((?:\S+?)(?::\d+)?): (.+)$")
PYTEST = re.compile(r"(?:=+ )?(?:\d+ \w+, )*(\d+) passed\b.* in [\d.]+s")
UNITTEST = re.compile(r"Ran (\d+) tests? in ")
UNITTEST_SKIPPED = re.compile(r"OK \(.*?skipped=(\d+)")
PYTHONS_PROGRAM = re.compile(r"(?:the suite|the smoke set) on (\S+)$")
PYTHONS_BEFORE = re.compile(r"Python [\d.]+\w*: has passed before")
PYTHONS_SKIPPED = re.compile(r"(Python [\d.]+\w*): skipped: (.+)$")


@dataclass(frozen=True)
class Skip:
    """A test that did not run, or tests that did not run for the same reason."""

    what: str
    why: str
    count: int = 1


@dataclass
class Tally:
    """What the runners of a suite reported, line by line."""

    passed: int = 0
    skips: list[Skip] = field(default_factory=list)
    programs: dict[str, int] = field(default_factory=dict)
    program: str = ""
    is_done_before: bool = False

    def read(self, line: str) -> None:
        """Take in one line of the output."""
        line = COLOURS.sub("", line).rstrip()
        if match := PROGRAM.match(line):
            self.program = match[1] or f"doctests of {match[2]}"
            self.programs.setdefault(self.program, 0)
        elif match := PYTHONS_PROGRAM.match(line):
            self.program = f"pytest on {match[1]}"
            self.programs[self.program] = 0
        elif PYTHONS_BEFORE.match(line):
            self.is_done_before = True
        elif match := LIBTEST.search(line):
            self.passed += int(match[1])
            self.programs[self.program] = self.programs.get(self.program, 0) + int(match[1])
        elif match := IGNORED.match(line):
            self.skips.append(Skip(f"{self.program} {match[1]}".strip(), match[2] or "ignored"))
        elif match := PYTEST_SKIPPED.match(line):
            self.skips.append(Skip(match[2], match[3], int(match[1])))
        elif match := SKIPPED.search(line) or PYTHONS_SKIPPED.match(line):
            self.skips.append(Skip(match[1], match[2]))
        elif match := PYTEST.match(line):
            self.passed += int(match[1])
            if self.program in self.programs:
                self.programs[self.program] += int(match[1])
        elif match := UNITTEST.match(line):
            self.passed += int(match[1])
        elif match := UNITTEST_SKIPPED.match(line):
            count = int(match[1])
            self.passed -= count
            self.skips.append(Skip("unittest", "run it with --verbose for the reason", count))

    @property
    def skipped(self) -> int:
        """How many tests did not run."""
        return sum(skip.count for skip in self.skips)

    def faults(self) -> list[str]:
        """Say where nothing ran though something should have."""
        idle = [name for name, passed in self.programs.items() if not passed]
        counted = ("tests/", "pytest on ")
        faults = [f"{name} ran no test" for name in idle if name.startswith(counted)]
        is_complete = self.passed or (self.is_done_before and not self.programs)
        return faults if is_complete else [*faults, "no test ran"]

    def line(self, name: str) -> str:
        """Show the counts on one line."""
        return f"{name}: {self.passed} passed, {self.skipped} skipped"


def run(command: list[str], tally: Tally, out: BinaryIO) -> int:
    """Run the command, pass on what it says, and give its exit status."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    pipe = process.stdout
    assert pipe is not None, "a pipe was asked for"

    def read() -> None:
        for line in pipe:
            out.write(line)
            out.flush()
            tally.read(line.decode(errors="replace"))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        status = process.wait()
    except KeyboardInterrupt:
        # The command has the same signal from the terminal; its last words are worth reading.
        status = process.wait()
    reader.join(READING_SECONDS)
    return status


def save(name: str, tally: Tally) -> None:
    """Write the counts of a suite that passed where `show` finds them."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    skips = [[skip.what, skip.why, skip.count] for skip in tally.skips]
    text = json.dumps({"passed": tally.passed, "skips": skips})
    (RECORDS / f"{name}.ran").write_text(text, encoding="utf-8")


def load(name: str) -> Tally:
    """Read what `save` has written."""
    record = json.loads((RECORDS / f"{name}.ran").read_text(encoding="utf-8"))
    return Tally(record["passed"], [Skip(*skip) for skip in record["skips"]])


def show(names: list[str]) -> int:
    """Show what ran in the suites and what did not; the exit status is 1 if one has no counts."""
    try:
        lines = summary({name: load(name) for name in names})
    except FileNotFoundError as error:
        name = Path(error.filename).stem
        print(f"{name}: no counts, so it has not passed; make -B test runs it", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def summary(tallies: dict[str, Tally]) -> list[str]:
    """Tell what ran in each suite, then what did not and why, each reason once."""
    lines = [tally.line(name) for name, tally in tallies.items()]
    reasons: Counter[str] = Counter()
    whats: dict[str, dict[str, None]] = {}
    for name, tally in tallies.items():
        for skip in tally.skips:
            reasons[skip.why] += skip.count
            whats.setdefault(skip.why, {})[f"{name}: {skip.what}"] = None
    passed = sum(tally.passed for tally in tallies.values())
    lines.append(f"in all: {passed} passed, {reasons.total()} skipped")
    for why, count in reasons.most_common():
        lines.append(f"skipped {count}: {why}")
        lines += [f"    {what}" for what in whats[why]]
    return lines


def main(arguments: list[str]) -> int:
    """Run a suite, or show what ran, and give the exit status."""
    if arguments[:1] == ["--show"]:
        return show(arguments[1:])
    if len(arguments) < 3 or arguments[1] != "--":
        print("usage: ran.py NAME -- COMMAND... | ran.py --show NAME...", file=sys.stderr)
        return 2
    name, command = arguments[0], arguments[2:]
    (RECORDS / f"{name}.ran").unlink(missing_ok=True)
    tally = Tally()
    status = run(command, tally, sys.stdout.buffer)
    print(tally.line(name), flush=True)
    if status:
        return status if status > 0 else 128 - status
    for fault in tally.faults():
        print(f"{name}: {fault}, so it has not passed", file=sys.stderr)
    if tally.faults():
        return 1
    save(name, tally)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
