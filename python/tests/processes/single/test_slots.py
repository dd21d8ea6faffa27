"""`coheap.Slots`: at most `n` at once, and each knows its number.

Goal: from Python, slots behave as single instances do, `n` of them.
Method: threads and programs; what the engine's tests show is not repeated here.
"""

import threading
import time
from collections.abc import Iterator

import pytest
from instances import fresh_name, line_of, program

import coheap

HOLD = """
import coheap, sys
with coheap.Slots(sys.argv[1], 2) as slot:
    print(slot.number, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no other test has."""
    with fresh_name() as name:
        yield name


def test_two_of_two_slots_are_held_by_programs_that_know_nothing_of_each_other(name: str) -> None:
    with program(HOLD, name) as first, program(HOLD, name) as second:
        assert sorted([line_of(first), line_of(second)]) == ["0", "1"]
        with pytest.raises(coheap.AlreadyRunning, match="all 2 slots of") as refused:
            coheap.Slots(name, 2).acquire()
        assert refused.value.pid in (first.pid, second.pid)
        with pytest.raises(ValueError, match="has 2 slots in use by others, not 3"):
            coheap.Slots(name, 3).acquire()
        second.kill()
        with coheap.Slots(name, 2, wait=60) as slot:
            assert slot.held
            assert slot.number in (0, 1)
        assert slot.number is None


def test_threads_use_all_slots_and_never_more(name: str) -> None:
    inside: list[int] = []
    most = [0]

    @coheap.Slots(name, 3, wait=True)
    def work() -> None:
        inside.append(1)
        most[0] = max(most[0], len(inside))
        time.sleep(0.005)
        inside.pop()

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, inside) == ([3], [])


def test_an_object_that_holds_a_slot_keeps_it_when_another_thread_wants_one_of_it(
    name: str,
) -> None:
    slots = coheap.Slots(name, 2)
    with slots:
        number = slots.number
        with pytest.raises(RuntimeError, match="holds a slot already"):
            slots.acquire()
        assert (slots.held, slots.number) == (True, number)
        with coheap.Slots(name, 2), pytest.raises(coheap.AlreadyRunning):
            coheap.Slots(name, 2).acquire()
    assert not slots.held


def test_bad_numbers_are_refused(name: str) -> None:
    for n in (0, -1, 4097, 1 << 100):
        with pytest.raises(ValueError, match="n must be from 1 to 4096"):
            coheap.Slots(name, n)
    for bad in (2.0, "2", None):
        with pytest.raises(TypeError):
            coheap.Slots(name, bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="wait must be"):
        coheap.Slots(name, 1, wait=-1)
