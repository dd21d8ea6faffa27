"""`on_second`: the running instance hears of a second one, and its answer arrives there.

Goal: arguments, folder and answer go through; nobody waits for long, and nothing else is harmed.
Method: the second one is a program of its own.
"""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from instances import fresh_name, line_of, program

import coheap

SECOND = """
import coheap, sys
try:
    with coheap.single_instance(sys.argv[1]):
        print("free")
except coheap.AlreadyRunning as error:
    print(error.answer, error.pid)
"""


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no other test has."""
    with fresh_name() as name:
        yield name


def second(name: str, *args: str, **options: object) -> str:
    """What a second one gets."""
    with program(SECOND, name, *args, **options) as running:
        return line_of(running)


def test_the_first_gets_arguments_and_folder_and_the_second_its_answer(
    name: str, tmp_path: Path
) -> None:
    heard = []

    def on_second(argv: list[str], cwd: str) -> int:
        heard.append((argv, cwd, threading.current_thread() is threading.main_thread()))
        return -3

    with coheap.single_instance(name, on_second=on_second):
        assert second(name, "a file", cwd=tmp_path) == f"-3 {os.getpid()}"
        # A byte that is no text goes through as Python shows it.
        odd = os.fsdecode(b"\xff")
        assert second(name, odd) == f"-3 {os.getpid()}"
    assert heard[0] == (["-c", name, "a file"], str(tmp_path), False)
    assert heard[1][0] == ["-c", name, odd]
    assert second(name) == "free"


def test_a_handler_that_fails_or_takes_too_long_is_no_answer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = []
    monkeypatch.setattr(threading, "excepthook", lambda found: failed.append(found.exc_type))
    is_over = threading.Event()

    def on_second(argv: list[str], cwd: str) -> int:
        if "fail" in argv:
            raise ZeroDivisionError
        if "large" in argv:
            return 1 << 40
        if "slow" in argv:
            is_over.wait(60)
        return 1

    with coheap.single_instance(name, on_second=on_second):
        assert second(name, "fail") == f"None {os.getpid()}"
        assert second(name, "large") == f"None {os.getpid()}"
        began = time.monotonic()
        assert second(name, "slow") == f"None {os.getpid()}"
        assert time.monotonic() - began < 20
        is_over.set()
        # It still hears.
        assert second(name) == f"1 {os.getpid()}"
    assert failed == [ZeroDivisionError, OverflowError]


def test_arguments_that_are_too_long_are_no_reason_to_fail(name: str) -> None:
    with coheap.single_instance(name, on_second=lambda argv, cwd: 1):
        args = ["x" * 100_000] * 3
        assert second(name, *args) == f"None {os.getpid()}"
        assert second(name, *args[:2]) == f"1 {os.getpid()}"


def test_one_that_listens_can_leave_and_enter_at_once(name: str) -> None:
    one = coheap.single_instance(name, on_second=lambda argv, cwd: 5)
    for _ in range(20):
        with one:
            pass
    with one:
        assert second(name) == f"5 {os.getpid()}"
    until_gone = time.monotonic() + 20
    while any(thread.name == "coheap-on-second" for thread in threading.enumerate()):
        assert time.monotonic() < until_gone, "threads are left"
        time.sleep(0.01)


def test_the_interpreter_ends_while_it_listens(name: str) -> None:
    text = """
import coheap, sys
one = coheap.single_instance(sys.argv[1], on_second=lambda argv, cwd: 5)
one.acquire()
print("held", flush=True)
"""
    with program(text, name) as running:
        assert line_of(running) == "held"
        assert running.wait(60) == 0
    assert second(name) == "free"
