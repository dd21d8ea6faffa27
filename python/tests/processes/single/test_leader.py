"""Leaders: of many workers one runs the job, and when it dies the next one does.

Goal: exactly one leads at every moment, in gunicorn, too.
Method: whoever leads appends lines to a file, many a second; leaders are killed. In the file no
process may come back once another one has led. The examples run as they stand.
"""

import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Children, until
from instances import fresh_name, line_of

import coheap

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
WORKERS = 4
KILLS = 12
#: What a takeover may take after the death of the leader, in seconds.
TAKEOVER = 0.1


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no other test has."""
    with fresh_name() as name:
        yield name


class Record:
    """The file that leaders append to."""

    def __init__(self, path: Path) -> None:
        """Begin with an empty one."""
        self.path = path
        path.touch()

    def leaders(self) -> list[int]:
        """Those who led, in their order, each once for each time that it led without a break."""
        found: list[int] = []
        for line in self.path.read_text().splitlines():
            pid = int(line.split()[0])
            if found[-1:] != [pid]:
                found.append(pid)
        return found

    def kill_leaders(self, prepare: Callable[[], object]) -> list[float]:
        """Kill leader after leader; how long each takeover took, in seconds.

        `prepare` sees to it that there is somebody to take over.
        """
        until(self.leaders, 60)
        took = []
        for number in range(1, KILLS + 1):
            prepare()
            leader = self.leaders()[-1]
            began = time.monotonic()
            os.kill(leader, signal.SIGKILL)
            until(lambda number=number: len(self.leaders()) > number, 60)
            took.append(time.monotonic() - began)
        assert len(set(self.leaders())) == len(self.leaders()), "two led at once"
        print(f"takeover: median {statistics.median(took):.4f} s, at worst {max(took):.4f} s")
        return took


def is_complete(server: int) -> bool:
    """Whether all workers of gunicorn are up: each has a thread that leads or waits."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    threads = 0
    for child in children:
        try:
            threads += len(os.listdir(f"/proc/{child}/task")) > 1
        except FileNotFoundError:
            return False
    return threads == WORKERS


def test_lead_runs_the_function_with_its_arguments_and_returns_its_result(name: str) -> None:
    def add(*numbers: int) -> int:
        with pytest.raises(coheap.AlreadyRunning):
            coheap.single_instance(name).acquire()
        return sum(numbers)

    assert coheap.lead(name, add, 1, 2, 3) == 6
    with pytest.raises(ZeroDivisionError):
        coheap.lead(name, lambda: 1 // 0)
    with coheap.single_instance(name) as one:
        assert one.held


def test_the_next_worker_takes_over_within_a_tenth_of_a_second(
    name: str, tmp_path: Path, children: Children
) -> None:
    record = Record(tmp_path / "record")

    def work() -> None:
        file = os.open(record.path, os.O_WRONLY | os.O_APPEND)

        def job() -> None:
            while True:
                os.write(file, f"{os.getpid()}\n".encode())
                time.sleep(0.0005)

        coheap.lead(name, job)

    for _ in range(WORKERS):
        children.fork(work)
    took = record.kill_leaders(lambda: children.fork(work))
    assert statistics.median(took) < TAKEOVER


def test_in_gunicorn_exactly_one_worker_leads_whoever_is_killed(name: str, tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    record = Record(tmp_path / "record")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--chdir", EXAMPLES, "--workers", str(WORKERS)]
    command += ["--bind", f"127.0.0.1:{port}", "--log-level", "error", "leader:app"]
    environment = {**os.environ, "LEADER_NAME": name, "LEADER_SECONDS": "0.001"}
    with open(record.path, "ab") as output, open(tmp_path / "errors", "wb") as errors:
        options: dict[str, Any] = {"stdout": output, "stderr": errors, "env": environment}
        server = subprocess.Popen(command, **options)
    try:
        took = record.kill_leaders(lambda: until(lambda: is_complete(server.pid), 60))
        assert statistics.median(took) < TAKEOVER
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            assert answer.read().startswith(b"worker ")
    finally:
        server.terminate()
        assert server.wait(60) == 0


def test_the_example_of_a_script_hands_its_work_to_the_one_that_runs(
    name: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-W", "error", EXAMPLES / "run_once.py"]
    options: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "text": True,
        "cwd": tmp_path,
        "env": {**os.environ, "RUN_ONCE_NAME": name},
    }
    with subprocess.Popen([*command, "a.txt"], **options) as first:
        try:
            assert line_of(first) == f"process {first.pid} works on {tmp_path}/a.txt"
            second = subprocess.run([*command, "b.txt"], check=False, timeout=60, **options)
            assert (second.returncode, second.stdout) == (0, f"process {first.pid} does it\n")
            assert line_of(first) == f"process {first.pid} works on {tmp_path}/b.txt"
            first.send_signal(signal.SIGINT)
            assert first.wait(60) == 130
        finally:
            first.kill()


def test_threads_lead_one_after_the_other(name: str) -> None:
    order: list[int] = []
    threads = [
        threading.Thread(target=coheap.lead, args=(name, order.append, number))
        for number in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(order) == list(range(5))
