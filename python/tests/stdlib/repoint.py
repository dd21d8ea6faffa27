"""A temporary copy of an interpreter's own tests, with another package in the place of `multiprocessing`.

Fresh interpreters that a test starts import the copy, too: an entry in `sys.modules` would be gone there, and
they would test the standard library without a word.

What always holds: only what names the module is replaced, not what messages say. All other files of the tests
are links to the originals.
"""

import re
from pathlib import Path

METHODS = ("fork", "spawn", "forkserver")
STANDARD = "multiprocessing"

REPOINTED = ("_test_multiprocessing.py", "mp_*.py", "test_multiprocessing_main_handling.py")
"""The files that name the module, as patterns."""

_NAMED = re.compile(
    r"""(?<![\w.]) multiprocessing (?= \.\w )      # an attribute, or a module of it
      | (?<= \bimport\ ) multiprocessing \b
      | (?<= \bfrom\ ) multiprocessing \b
      | (?<= ' ) multiprocessing (?= ' )
      | (?<= " ) multiprocessing (?= " )""",
    re.VERBOSE,
)

_PROCESSES = """\
import unittest

import test._test_multiprocessing

test._test_multiprocessing.install_tests_in_module_dict(globals(), {method!r})

if __name__ == "__main__":
    unittest.main()
"""

_LOCKS = """\
import unittest

import {package} as package
from test import lock_tests

for tests, attribute, made in (
    ("LockTests", "locktype", package.Lock),
    ("RLockTests", "locktype", package.RLock),
    ("EventTests", "eventtype", package.Event),
    ("ConditionTests", "condtype", package.Condition),
    ("SemaphoreTests", "semtype", package.Semaphore),
    ("BoundedSemaphoreTests", "semtype", package.BoundedSemaphore),
    ("BarrierTests", "barriertype", package.Barrier),
):
    own = {{attribute: staticmethod(made), "__module__": __name__}}
    globals()[tests] = type(tests, (getattr(lock_tests, tests),), own)
"""

LOCKS = "test.locks_of_package"
"""The module with the tests of locks."""


def repointed(text: str, package: str) -> str:
    """Name `package` where a text names `multiprocessing`."""
    return _NAMED.sub(package, text)


def module_of(method: str) -> str:
    """Name the module with the tests of a start method."""
    return f"test.test_multiprocessing_{method}"


def copy_tests(original: Path, folder: Path, package: str) -> Path:
    """Make the copy in `folder`, of the tests in `original`, and return what goes on the path."""
    tests = folder / "test"
    tests.mkdir()
    for entry in original.iterdir():
        if any(entry.match(pattern) for pattern in REPOINTED):
            text = repointed(entry.read_text(encoding="utf-8"), package)
            (tests / entry.name).write_text(text, encoding="utf-8")
        elif entry.name != "__pycache__":
            (tests / entry.name).symlink_to(entry)
    for method in METHODS:
        name = module_of(method).removeprefix("test.")
        for part in (tests / name, tests / f"{name}.py"):
            part.unlink(missing_ok=True)
        (tests / f"{name}.py").write_text(_PROCESSES.format(method=method), encoding="utf-8")
    locks = LOCKS.removeprefix("test.")
    (tests / f"{locks}.py").write_text(_LOCKS.format(package=package), encoding="utf-8")
    return folder
