"""What the tests share: a heap for each, and a way to look after children.

Nothing here sleeps for a fixed time: what is waited for has a deadline. A test whose point needs a
thread that sleeps already waits until it does (`until_asleep`, `once_asleep`).
"""

import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest
from hypothesis import HealthCheck, settings

import coheap

settings.register_profile(
    "coheap",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("coheap")

# numpy would start threads where it is imported, of which forks are warned.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell has what it runs in the background ignore Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def heap() -> Iterator[coheap.Heap]:
    """A heap of 64 MiB without a name, whole at the end."""
    with coheap.Heap(max_bytes=64 << 20) as heap:
        yield heap
        try:
            heap.check()
        except coheap.HeapClosed:
            pass


class Children:
    """Forked children of a test, none of which outlives it."""

    def __init__(self) -> None:
        """Begin without any."""
        self.pids: set[int] = set()

    def fork(self, work: Callable[[], object]) -> int:
        """Run `work` in a child, which exits with 0, or with 1 after an exception."""
        pid = os.fork()
        if pid == 0:
            self.run(work)
        self.pids.add(pid)
        return pid

    @staticmethod
    def run(work: Callable[[], object]) -> NoReturn:
        """Run `work` in a child that was just forked, which exits as those of `fork`."""
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)

    def wait(self, pid: int, seconds: float = 30) -> int:
        """Wait for a child's end: its exit code, or the negative signal that ended it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.pids.discard(pid)
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.001)
        raise AssertionError(f"child {pid} still runs after {seconds} s")

    def kill(self, pid: int) -> None:
        """Kill a child, unless it is through already, and wait for its end."""
        os.kill(pid, signal.SIGKILL)
        assert self.wait(pid) in (0, -signal.SIGKILL)


@pytest.fixture
def children() -> Iterator[Children]:
    """Children that are killed at the end, should they still run."""
    children = Children()
    yield children
    for pid in list(children.pids):
        children.kill(pid)


def until(is_true: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is true, or fail."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.001)


FUTEX = {"x86_64": "202", "aarch64": "98"}.get(platform.machine())
FUTEX_PRIVATE = 128


def is_asleep(thread: int) -> bool:
    """Whether the thread with this id, of any process, sleeps in a wait of coheap.

    The kernel says which system call a thread sleeps in. Waits of coheap are those on a futex that
    processes share; a thread that waits for the GIL or a `threading.Event` waits on a private one.
    Where other threads' calls may not be read, any sleep counts.
    """
    folder = Path(f"/proc/{thread}")
    try:
        call = (folder / "syscall").read_text().split()
        if FUTEX is not None:
            return call[0] == FUTEX and not int(call[2], 16) & FUTEX_PRIVATE
    except PermissionError:
        pass
    except OSError:
        return False
    return (folder / "stat").read_text().rpartition(")")[2].split()[0] == "S"


def until_asleep(thread: int | threading.Thread) -> None:
    """Wait until a thread, or the main thread of the process with this id, sleeps in coheap."""
    number = thread if isinstance(thread, int) else thread.native_id
    assert number is not None, "the thread has begun"
    until(lambda: is_asleep(number))


def once_asleep(act: Callable[[], object]) -> threading.Thread:
    """Act from another thread as soon as the calling one sleeps in a wait of coheap."""
    caller = threading.get_native_id()

    def watch() -> None:
        until_asleep(caller)
        act()

    watcher = threading.Thread(target=watch)
    watcher.start()
    return watcher


T = TypeVar("T")


def elsewhere(look: Callable[[], T]) -> T:
    """Answer what another thread sees."""
    seen: list[T] = []
    thread = threading.Thread(target=lambda: seen.append(look()))
    thread.start()
    thread.join(20)
    return seen[0]


class Unloadable:
    """Pickles, but raises `ValueError` ("no number") where it is loaded."""

    def __reduce__(self) -> tuple[type, tuple[str]]:
        """Pickle as an int of what is none."""
        return (int, ("no number",))
