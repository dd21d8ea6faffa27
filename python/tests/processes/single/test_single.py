"""`coheap.single_instance`: one process at a time, which the refusal names, and nobody inherits.

Goal: from Python, a name is held by whoever entered, until it leaves or dies, and by nobody else.
Method: programs in processes of their own; what the engine's tests show of deaths, removals and
attacks is not repeated here.
"""

import os
import pickle
import pwd
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Children, until
from instances import HOLD, fresh_name, line_of, program

import coheap


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no other test has."""
    with fresh_name() as name:
        yield name


def is_free(name: str) -> bool:
    """Whether nobody holds a name."""
    try:
        with coheap.single_instance(name):
            return True
    except coheap.AlreadyRunning:
        return False


def test_a_block_holds_the_name_and_the_refusal_names_its_process(name: str) -> None:
    before = time.time()
    with program(HOLD, name) as holder:
        assert line_of(holder) == "held"
        with pytest.raises(coheap.AlreadyRunning) as refused:
            coheap.single_instance(name).acquire()
        error = refused.value
        assert (error.name, error.pid) == (name, holder.pid)
        assert error.command == (sys.executable, "-W", "error", "-c", HOLD, name)
        assert error.user == pwd.getpwuid(os.getuid()).pw_name
        assert error.since is not None
        assert before - 1 <= error.since <= time.time()
        assert error.answer is None
        assert str(error).startswith(f"'{name}' is already running: process {holder.pid} of user")
        assert isinstance(error, BlockingIOError)
        holder.kill()
        holder.wait()
        assert is_free(name)


def test_a_refusal_pickles_with_all_that_it_says(name: str) -> None:
    with coheap.single_instance(name), pytest.raises(coheap.AlreadyRunning) as refused:
        coheap.single_instance(name).acquire()
    copy = pickle.loads(pickle.dumps(refused.value))
    assert str(copy) == str(refused.value)
    assert vars(copy) == vars(refused.value)
    assert copy.pid == os.getpid()


def test_acquire_release_and_held_say_what_is(name: str) -> None:
    one = coheap.single_instance(name)
    assert not one.held
    with pytest.raises(RuntimeError, match="is not held by this process"):
        one.release()
    one.acquire()
    assert one.held
    assert repr(one) == f"<coheap.SingleInstance {name!r}, held>"
    with pytest.raises(coheap.AlreadyRunning):
        one.acquire()
    assert one.held, "the refusal took it away"
    one.release()
    assert not one.held
    with one, pytest.raises(ZeroDivisionError), coheap.single_instance(name + "x"):
        1 / 0
    assert is_free(name)


def test_an_object_that_goes_gives_the_name_back(name: str) -> None:
    one = coheap.single_instance(name)
    one.acquire()
    del one
    assert is_free(name)


def test_each_call_of_a_decorated_function_excludes_the_others(name: str) -> None:
    @coheap.single_instance(name)
    def call(depth: int) -> int:
        """Say something."""
        assert not is_free(name)
        return call(depth - 1) if depth else 7

    assert call(0) == 7
    assert (call.__name__, call.__doc__) == ("call", "Say something.")
    with pytest.raises(coheap.AlreadyRunning):
        call(1)
    assert is_free(name)

    async def later() -> None: ...

    with pytest.raises(TypeError, match="a coroutine function"):
        coheap.single_instance(name)(later)


def test_a_wait_ends_with_the_holder_in_time_or_by_ctrl_c(name: str) -> None:
    with program(HOLD, name) as holder:
        assert line_of(holder) == "held"
        began = time.monotonic()
        with pytest.raises(coheap.AlreadyRunning):
            coheap.single_instance(name, wait=0.2).acquire()
        assert 0.2 <= time.monotonic() - began < 10
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            coheap.single_instance(name, wait=True).acquire()
        threading.Timer(0.1, holder.kill).start()
        with coheap.single_instance(name, wait=60) as one:
            assert one.held


def test_threads_wait_for_each_other(name: str) -> None:
    inside, most = [0], [0]

    def work() -> None:
        with coheap.single_instance(name, wait=True):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.001)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (inside, most) == ([0], [1])


def test_a_forked_child_holds_nothing_and_leaves_the_block_of_its_parent(
    name: str, children: Children
) -> None:
    with coheap.single_instance(name) as one:

        def look() -> None:
            assert not one.held
            with pytest.raises(RuntimeError, match="was forked"):
                one.release()
            one.__exit__(None, None, None)
            with pytest.raises(coheap.AlreadyRunning) as refused:
                coheap.single_instance(name).acquire()
            assert refused.value.pid == os.getppid()

        assert children.wait(children.fork(look)) == 0
        assert one.held
        assert not is_free(name)


@pytest.mark.parametrize("inherit", [False, True])
def test_a_child_that_outlives_the_owner_holds_only_if_asked_to(name: str, inherit: bool) -> None:
    owner = """
import coheap, os, sys
with coheap.single_instance(sys.argv[1], inherit=sys.argv[2] == "True") as one:
    if os.fork() == 0:
        print(one.held, flush=True)
        sys.stdin.read()
        os._exit(0)
    os.kill(os.getpid(), 9)
"""
    with program(owner, name, str(inherit)) as running:
        held = line_of(running)
        running.wait(60)
        assert held == str(inherit)
        assert is_free(name) is not inherit
        assert running.stdin is not None
        running.stdin.close()
        until(lambda: is_free(name))


def test_a_daemon_that_closes_everything_knows_and_acquires_afterwards(
    name: str, children: Children
) -> None:
    def become_a_daemon() -> None:
        one = coheap.single_instance(name)
        one.acquire()
        os.closerange(3, 1024)
        assert not one.held
        with pytest.raises(RuntimeError, match="acquire it after"):
            one.release()
        with coheap.single_instance(name) as one:
            assert one.held

    assert children.wait(children.fork(become_a_daemon)) == 0


def test_a_stopped_holder_holds(name: str) -> None:
    with program(HOLD, name) as holder:
        assert line_of(holder) == "held"
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(coheap.AlreadyRunning) as refused:
            coheap.single_instance(name, wait=0.1).acquire()
        assert refused.value.pid == holder.pid


def test_a_removed_lock_file_lets_nobody_in(name: str) -> None:
    with program(HOLD, name) as holder:
        assert line_of(holder) == "held"
        removed = [*Path("/dev/shm").glob(f"coheap-*/{name}.*")]
        removed += Path("/tmp").glob(f"coheap-*/{name}.*")
        assert len(removed) == 1
        removed[0].unlink()
        with pytest.raises(coheap.AlreadyRunning) as refused:
            coheap.single_instance(name).acquire()
        assert refused.value.pid == holder.pid


def test_scopes_are_apart_and_both_hold(name: str) -> None:
    with coheap.single_instance(name), coheap.single_instance(name, scope="machine") as machine:
        assert machine.held
        with pytest.raises(coheap.AlreadyRunning):
            coheap.single_instance(name, scope="machine").acquire()


@pytest.mark.parametrize("text", ["任务", "a/../b", "\x1b[31m", "a\nb", "x" * 200])
def test_any_text_is_a_name(text: str) -> None:
    with fresh_name() as start, coheap.single_instance(start + text) as one:
        assert one.held


def test_bad_arguments_are_refused(name: str) -> None:
    for bad in ("", "x" * 256, "\u20ac" * 86):
        with pytest.raises(ValueError, match="the name"):
            coheap.single_instance(bad)
    with pytest.raises(UnicodeEncodeError):
        coheap.single_instance("\ud800")
    for wait in (-1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="wait must be"):
            coheap.single_instance(name, wait=wait)
    with pytest.raises(ValueError, match="scope must be"):
        coheap.single_instance(name, scope="world")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        coheap.single_instance(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="on_second must be callable"):
        coheap.single_instance(name, on_second=7)  # type: ignore[arg-type]
