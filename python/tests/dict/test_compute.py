"""`get_or_compute`: one caller computes, and the others wait for that key only.

Goal: a value is computed once, whoever asks for it; a death or an error passes it on.
Method: processes and threads ask for the same keys at once and note who computes; some die or raise while
they do.
"""

import functools
import os
import signal
import threading
import time

import pytest
from conftest import until

import coheap

context = coheap.get_context("fork")


class Slowly:
    """A computation that goes on when it is told to."""

    def __init__(self, value):
        self.value = value
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self):
        self.begun.set()
        assert self.go_on.wait(60)
        return self.value


def test_a_key_that_is_there_is_not_computed(heap):
    d = heap.dict("d")
    d["a"] = 1
    assert d.get_or_compute("a", None) == 1
    assert d.get_or_compute("b", lambda: "bb") == "bb"
    assert d == {"a": 1, "b": "bb"}


def test_many_processes_compute_each_key_once(heap):
    d, counts = heap.dict("d"), heap.dict("counts")

    def compute(key):
        counts.increment(key)
        time.sleep(0.01)
        return key * 10

    def ask():
        for key in range(20):
            assert d.get_or_compute(key, functools.partial(compute, key)) == key * 10

    workers = [context.Process(target=ask) for _ in range(4)]
    for worker in workers:
        worker.start()
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for one in [*threads, *workers]:
        one.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert counts == {key: 1 for key in range(20)}
    assert d == {key: key * 10 for key in range(20)}
    heap.check()


def test_who_waits_for_a_key_does_not_wait_for_others(heap):
    d = heap.dict("d")
    slowly = Slowly("slow")
    slow = threading.Thread(target=d.get_or_compute, args=("slow", slowly))
    slow.start()
    assert slowly.begun.wait(60)
    assert d.get_or_compute("quick", int) == 0
    assert "slow" not in d
    slowly.go_on.set()
    slow.join(60)
    assert d["slow"] == "slow"


# Goal: what somebody else stores meanwhile stays, for the one who computes and for those who wait.
def test_what_is_set_meanwhile_is_the_value(heap):
    d = heap.dict("d")
    slowly, got = Slowly("computed"), []

    def ask(compute):
        got.append(d.get_or_compute("a", compute))

    first = threading.Thread(target=ask, args=(slowly,))
    first.start()
    assert slowly.begun.wait(60)
    second = threading.Thread(target=ask, args=(None,))
    second.start()
    d["a"] = "set"
    second.join(60)
    assert got == ["set"]
    slowly.go_on.set()
    first.join(60)
    assert got == ["set", "set"]
    assert d == {"a": "set"}
    heap.check()


def test_who_waits_hears_that_the_dict_was_removed(heap):
    d = heap.dict("d")
    slowly, errors = Slowly(None), []

    def ask(compute):
        try:
            d.get_or_compute("a", compute)
        except coheap.ObjectGone as error:
            errors.append(error)

    first = threading.Thread(target=ask, args=(slowly,))
    first.start()
    assert slowly.begun.wait(60)
    second = threading.Thread(target=ask, args=(None,))
    second.start()
    heap.remove("d")
    second.join(60)
    assert len(errors) == 1
    slowly.go_on.set()
    first.join(60)
    assert len(errors) == 2


def test_a_death_passes_it_on(heap):
    d, begun = heap.dict("d"), heap.dict("begun")

    def die():
        begun["a"] = os.getpid()
        time.sleep(600)

    worker = context.Process(target=d.get_or_compute, args=("a", die))
    worker.start()
    until(lambda: "a" in begun)
    got = []
    asker = threading.Thread(target=lambda: got.append(d.get_or_compute("a", lambda: "A")))
    asker.start()
    os.kill(begun["a"], signal.SIGKILL)
    asker.join(60)
    worker.join()
    assert got == ["A"]
    heap.check()


def test_an_error_passes_it_on_and_stores_nothing(heap):
    d = heap.dict("d")

    def fail():
        raise ZeroDivisionError("a")

    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="a"):
            d.get_or_compute("a", fail)
    with pytest.raises(TypeError, match="list"):
        d.get_or_compute("a", list)
    with pytest.raises(TypeError, match="unhashable"):
        d.get_or_compute([], fail)
    assert d == {}
    assert d.get_or_compute("a", lambda: "A") == "A"


def test_keys_of_many_lengths_and_types(heap):
    d = heap.dict("d")
    for key in ("", "x" * 1000, b"\0", 1.5, (1, "a"), None):
        assert d.get_or_compute(key, functools.partial(repr, key)) == repr(key)
    assert d.get_or_compute(True, lambda: "True") == "True"
    assert d.get_or_compute(1, None) == "True"


def test_values_that_need_each_other(heap):
    d = heap.dict("d")

    def fibonacci(n):
        if n < 2:
            return n
        return sum(d.get_or_compute(m, functools.partial(fibonacci, m)) for m in (n - 1, n - 2))

    assert d.get_or_compute(30, functools.partial(fibonacci, 30)) == 832040
    assert list(d)[:3] == [1, 0, 2]


def test_who_needs_the_value_that_it_computes_is_told(heap):
    d = heap.dict("d")
    with pytest.raises(coheap.DeadlockError):
        d.get_or_compute("a", lambda: d.get_or_compute("a", int))
    assert d == {}
    assert d.get_or_compute("a", int) == 0


def test_in_a_block_it_belongs_to_the_block(heap):
    d = heap.dict("d")
    with pytest.raises(ZeroDivisionError), coheap.atomic():
        assert d.get_or_compute("a", lambda: "A") == "A"
        raise ZeroDivisionError
    assert d == {}
    with coheap.atomic():
        d.get_or_compute("a", lambda: "A")
    assert d == {"a": "A"}


def test_nothing_stays_behind(heap):
    d = heap.dict("d")
    before = None
    for round_ in range(30):
        for key in range(50):
            assert d.get_or_compute(key, str) == ""
        d.clear()
        if round_ == 5:
            before = heap.used_bytes
    assert heap.used_bytes <= before
    heap.check()
