"""Runs the interpreter's own tests of `multiprocessing`, or the same tests of coheap.

    python run.py [--package coheap] [--python PATH]... [--method fork]... [--class NAME]...

Each class has a process of its own, and each test a time-out: one that hangs is one failure, and the rest of
its class runs in another process. What does not pass is run against the standard library as well: what fails
there, too, says nothing about coheap.

What always holds: a test that is listed has an outcome, whatever becomes of its process.
"""

import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repoint import LOCKS, METHODS, STANDARD, copy_tests, module_of

JOB = Path(__file__).with_name("job.py")
SECONDS = 120
"""What a test may take."""
LOOK = 0.05
"""Seconds between two looks at a class that runs."""
FINE = ("ok", "skipped")


@dataclass(frozen=True)
class Outcome:
    """What became of a test."""

    kind: str
    """ok, skipped, failure, error, hang or died."""
    detail: str = ""


@dataclass(frozen=True)
class Interpreter:
    """A Python whose tests are run, against one package."""

    path: Path
    package: str
    folder: Path
    """The copy of its tests."""
    seconds: float = SECONDS

    def _command(self, *arguments: str) -> list[str]:
        return [str(self.path), str(JOB), *arguments]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder)}

    def classes(self, module: str) -> dict[str, list[str]]:
        """All tests of a module, by their class. Raises `ImportError` with what the module said."""
        listing = subprocess.run(
            self._command(module),
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=self.seconds,
            check=False,
        )
        if listing.returncode != 0:
            raise ImportError((listing.stderr.strip().splitlines() or ["no reason"])[-1])
        return json.loads(listing.stdout.splitlines()[-1])

    def outcomes(self, module: str, name: str, tests: list[str]) -> Iterator[tuple[str, Outcome]]:
        """Run tests of a class, in as many processes as it takes."""
        left = list(tests)
        while left:
            done = dict(self._in_one_process(module, name, left))
            if not done:
                done = {left[0]: Outcome("died", "before the first test")}
            yield from done.items()
            left = [test for test in left if test not in done]

    def _in_one_process(
        self, module: str, name: str, tests: list[str]
    ) -> Iterator[tuple[str, Outcome]]:
        with tempfile.TemporaryDirectory() as folder:
            events = Path(folder, "events")
            events.touch()
            process = subprocess.Popen(
                self._command(module, name, str(events), *tests),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd=folder,
            )
            try:
                is_late = self._wait(process, events)
            finally:
                _end_all(process)
            yield from _told(events, tests, is_late, process.returncode)

    def _wait(self, process: subprocess.Popen[bytes], events: Path) -> bool:
        """Wait until a process has ended. Returns whether a test took too long."""
        size, since = 0, time.monotonic()
        while process.poll() is None:
            now = time.monotonic()
            if (new := events.stat().st_size) != size:
                size, since = new, now
            if now - since > self.seconds:
                return True
            time.sleep(LOOK)
        return False


def _end_all(process: subprocess.Popen[bytes]) -> None:
    """End a process, and what it has started and left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _told(
    events: Path, tests: list[str], is_late: bool, code: int
) -> Iterator[tuple[str, Outcome]]:
    """What the events say of the tests, and the way the process ended of the one that it was in."""
    begun = None
    for event in map(json.loads, events.read_text(encoding="utf-8").splitlines()):
        match event:
            case ["begin", test]:
                begun = test
            case ["end", "", kind, detail]:
                yield from ((test, Outcome(kind, detail)) for test in tests)
                return
            case ["end", test, kind, detail]:
                begun = None
                yield test, Outcome(kind, detail)
    if begun is not None:
        yield begun, Outcome("hang") if is_late else Outcome("died", f"exit code {code}")


@dataclass(frozen=True)
class Ran:
    """A test that ran."""

    module: str
    name: str
    test: str
    outcome: Outcome

    def __str__(self) -> str:
        """Name it, and say what became of it."""
        outcome = self.outcome
        return f"{outcome.kind:8} {self.module}.{self.name}.{self.test}  {outcome.detail}".rstrip()


def run_module(
    interpreter: Interpreter, module: str, wanted: list[str]
) -> Iterator[Ran]:
    """Run all tests of a module, or those of some classes."""
    try:
        classes = interpreter.classes(module)
    except ImportError as error:
        yield Ran(module, "", "import", Outcome("error", str(error)))
        return
    for name, tests in classes.items():
        if not wanted or name in wanted:
            for test, outcome in interpreter.outcomes(module, name, tests):
                yield Ran(module, name, test, outcome)


def original_tests(python: Path) -> Path:
    """Return the folder of the tests that an interpreter came with."""
    code = "import test; print(next(iter(test.__path__)))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def tell(python: Path, module: str, ran: list[Ran]) -> None:
    """Print a line of numbers."""
    kinds = collections.Counter(each.outcome.kind for each in ran)
    numbers = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    print(f"{python} {module}: {len(ran)} tests: {numbers}", flush=True)


def run_python(python: Path, options: argparse.Namespace) -> bool:
    """Run everything with one interpreter. Returns whether nothing failed that passes in the standard library."""
    original = original_tests(python)
    modules = [*map(module_of, options.method), LOCKS]
    is_fine = True
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        package = options.package
        own = Interpreter(python, package, copy_tests(original, Path(one), package), options.seconds)
        standard = copy_tests(original, Path(other), STANDARD)
        control = Interpreter(python, STANDARD, standard, options.seconds)
        for module in modules:
            ran = list(run_module(own, module, options.classes))
            tell(python, module, ran)
            for each in (each for each in ran if each.outcome.kind not in FINE):
                print(f"  {each}", flush=True)
                if package == STANDARD or (
                    each.name
                    and dict(control.outcomes(module, each.name, [each.test])).get(each.test)
                    not in (Outcome("ok"), None)
                ):
                    continue
                is_fine = False
    return is_fine


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--package", default=STANDARD, choices=(STANDARD, "coheap"))
    parser.add_argument("--python", action="append", type=Path)
    parser.add_argument("--method", action="append", choices=METHODS)
    parser.add_argument("--class", action="append", dest="classes", default=[])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="what a test may take")
    options = parser.parse_args()
    options.method = options.method or METHODS
    pythons = options.python or [Path(sys.executable)]
    return 0 if all([run_python(python, options) for python in pythons]) else 1


if __name__ == "__main__":
    sys.exit(main())
