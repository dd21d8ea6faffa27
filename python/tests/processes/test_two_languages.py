"""The example `two_languages`: a Rust and a Python program work for each other on one heap.

Goal: each reads what the other wrote, exactly, and no job is lost or counted twice when workers of
either language are killed.
Method: the programs check all answers themselves and exit with an error where one is wrong; here
they are built, run and killed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from conftest import until

import coheap

ROOT = Path(__file__).resolve().parents[3]
PYTHON = [sys.executable, "-W", "error", str(ROOT / "examples/two_languages/main.py")]
SECONDS = 90


@pytest.fixture(scope="module")
def rust() -> list[str]:
    """The command of the Rust program, built."""
    cargo = os.environ.get("CARGO", "cargo")
    build = "build --locked --release --quiet --package two-languages"
    done = subprocess.run(
        [cargo, *build.split(), "--message-format", "json-render-diagnostics"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=900,
    )
    messages = map(json.loads, done.stdout.splitlines())
    return [next(filter(None, (message.get("executable") for message in messages)))]


class Programs:
    """Programs on one named heap, none of which outlives the test."""

    def __init__(self) -> None:
        # Open here, too, so that it lasts from the first program to the last.
        name = f"two-languages-{os.getpid()}-{time.monotonic_ns()}"
        self.heap = coheap.open(name, max_bytes=64 << 20, temporary=True)
        self.running: list[subprocess.Popen] = []

    def start(self, command: list[str], *arguments: object) -> subprocess.Popen:
        words = [*command, self.heap.name, *map(str, arguments)]
        self.running.append(subprocess.Popen(words, stderr=subprocess.PIPE, text=True))
        return self.running[-1]

    def end_well(self) -> None:
        """Wait for those that were not killed: each says with its exit code that all is right."""
        deadline = time.monotonic() + SECONDS
        for program in self.running:
            _, errors = program.communicate(timeout=max(0, deadline - time.monotonic()))
            if program.returncode != -signal.SIGKILL:
                assert program.returncode == 0, (program.args, errors)


@pytest.fixture
def programs():
    programs = Programs()
    yield programs
    for program in programs.running:
        program.kill()
        program.communicate()
    programs.heap.close()


def has_more(answers: coheap.Dict, count: int) -> bool:
    return len(answers) > count


def test_each_reads_what_the_other_wrote(rust, programs):
    for command in (rust, PYTHON):
        for role in ("work", "give", "work"):
            programs.start(command, role)
    programs.end_well()
    programs.heap.check()


def test_no_job_is_lost_when_workers_of_either_language_are_killed(rust, programs):
    jobs = 20_000
    heap = programs.heap
    programs.start(rust, "give", jobs)
    programs.start(PYTHON, "give", jobs)
    for command, queue, answers in (
        (rust, "outlines", heap.dict("measures")),
        (PYTHON, "texts", heap.dict("found", copies=True)),
    ):
        until(lambda queue=queue: heap.work_queue(queue).qsize(), SECONDS)
        killed = 0
        while killed < 8 and (before := len(answers)) < jobs:
            worker = programs.start(command, "work")
            until(partial(has_more, answers, before), SECONDS)
            worker.kill()
            killed += worker.wait() == -signal.SIGKILL and len(answers) < jobs
        assert killed
        programs.start(command, "work")
    programs.end_well()
    heap.check()


def test_a_wrong_answer_is_seen(rust, programs):
    """Were the programs to check nothing, the tests above would prove nothing."""
    givers = [programs.start(rust, "give", 3), programs.start(PYTHON, "give", 3)]
    for queue, answers in (("texts", "found"), ("outlines", "measures")):
        for _ in range(3):
            with programs.heap.work_queue(queue).get(timeout=SECONDS) as job:
                programs.heap.dict(answers)[job.value["id"]] = ("wrong",)
    for giver in givers:
        _, errors = giver.communicate(timeout=SECONDS)
        assert giver.returncode not in (0, -signal.SIGKILL)
        assert "AssertionError" in errors or "Element(WrongType" in errors, errors
