"""What the tests of single instances share: a name for each, whose files go with it, and programs.

What always holds: a program that a test started ends with the test.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

_numbers = count()


@contextmanager
def fresh_name() -> Iterator[str]:
    """Give a name that no other test has, and remove its files at the end."""
    name = f"test-{os.getpid()}-{next(_numbers)}-"
    try:
        yield name
    finally:
        for base in ("/dev/shm", "/tmp"):
            for file in Path(base).glob(f"coheap-*/{name}*"):
                file.unlink(missing_ok=True)


@contextmanager
def program(text: str, *args: str, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Run a program in Python, whose output can be read, until it is left."""
    options = {"stdout": subprocess.PIPE, "stdin": subprocess.PIPE, "text": True} | options
    command = [sys.executable, "-W", "error", "-c", text, *args]
    with subprocess.Popen(command, **options) as running:
        try:
            yield running
        finally:
            running.kill()


def line_of(running: "subprocess.Popen[str]") -> str:
    """Read a line of what a program prints."""
    assert running.stdout is not None
    return running.stdout.readline().strip()


HOLD = """
import coheap, sys
with coheap.single_instance(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
"""A program that holds the name that it is given."""
