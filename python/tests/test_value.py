"""A number that processes share keeps to its typecode.

Goal: what fits an array of the typecode fits, and what does not is refused.
Method: the ends of every range; sums of many processes at once.
"""

import array
import ctypes
import decimal
import fractions
import operator
import os
import signal
import threading
import time
import warnings

import pytest
from conftest import until

import coheap


def test_a_value_is_what_it_was_set_to(heap):
    value = heap.value("i", 7, name="value")
    assert (value.get(), value.value) == (7, 7)
    value.set(8)
    assert value.value == 8
    value.value = 9
    assert heap.value("i", 1, name="value").get() == 9
    assert "9" in repr(value)
    assert heap.value("d", name="zero").value == 0.0
    assert type(heap.value("d", 1, name="one").value) is float
    assert heap.value("f", 0.1, name="short").value == array.array("f", [0.1])[0]


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_a_typecode_holds_what_an_array_of_it_holds(heap, code):
    bits = 8 * array.array(code).itemsize
    least, most = (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    value = heap.value(code, name=code)
    for number in (least, most, 1):
        value.set(number)
        assert value.get() == number
    for number in (least - 1, most + 1, 2**200):
        with pytest.raises(OverflowError):
            value.set(number)
        with pytest.raises(OverflowError):
            heap.value(code, number, name="other")
    value.set(most)
    with pytest.raises(OverflowError):
        value.add(1)
    assert value.get() == most
    assert value.add(-1) == most - 1


def test_sums_and_exchanges_are_one_step(heap):
    value = heap.value("q", 5, name="value")
    again = value
    value += 2
    value -= 3
    assert value is again
    assert value.add(6) == 10
    assert not value.compare_exchange(9, 1)
    assert value.compare_exchange(10, 1)
    assert value.get() == 1
    real = heap.value("d", 0.5, name="real")
    assert real.add(1) == 1.5
    real += 0.25
    assert real.compare_exchange(1.75, -1)
    assert real.value == -1.0


def test_bad_arguments_are_refused(heap):
    for code in ("x", "", "ii", "u"):
        with pytest.raises(TypeError, match="typecode"):
            heap.value(code, name="value")
    with pytest.raises(TypeError):
        heap.value("i", "7", name="value")
    with pytest.raises(TypeError):
        heap.value("i", 0.5, name="value")
    heap.value("i", 7, name="value")
    for code in ("d", "I", "l", "b"):
        with pytest.raises(TypeError, match=f"has typecode 'i', not '{code}'"):
            heap.value(code, 7, name="value")
    with pytest.raises(TypeError, match="`value` is a Value, not a Lock;"):
        heap.lock("value")
    value = heap.value("i", name="value")
    heap.remove("value")
    with pytest.raises(coheap.ObjectGone):
        value.get()


def test_processes_add_up(heap, children):
    whole, real = heap.value("i", name="whole"), heap.value("d", name="real")

    def count():
        for _ in range(500):
            whole.add(1)
            real.add(0.5)

    for pid in [children.fork(count) for _ in range(4)]:
        assert children.wait(pid) == 0
    assert (whole.value, real.value) == (2000, 1000.0)


def test_the_lock_beside_a_value_makes_two_steps_one(heap, children):
    value = heap.value("i", name="value")
    assert value.get_lock() is value.get_lock()
    assert type(value.get_lock()) is coheap.RLock

    def count():
        mine = heap.value("i", name="value")
        for _ in range(200):
            with mine.get_lock():
                mine.value += 1
            with mine as taken, mine.get_lock():
                assert taken is True
                mine.value += 1

    def work():
        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for pid in [children.fork(work) for _ in range(3)]:
        assert children.wait(pid) == 0
    assert value.value == 2400


def test_a_value_is_locked_as_multiprocessings(heap):
    value = heap.value("d", name="value")
    assert value.acquire()
    assert value.acquire(block=True, timeout=1)
    assert value.get_lock().holder()[0] == os.getpid()
    other = []

    def use():
        other.append(value.acquire(False))
        # The number takes no notice of the lock.
        value.set(7)
        value.add(1)
        with pytest.raises(AssertionError, match="not owned by thread"):
            value.release()

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(10)
    assert other == [False]
    assert value.value == 8.0
    value.release()
    value.release()
    with pytest.raises(AssertionError, match="not owned by thread"):
        value.release()
    assert not hasattr(value, "get_obj")
    heap.remove("value")
    with pytest.raises(coheap.ObjectGone):
        value.acquire()


def test_the_lock_of_a_value_survives_its_holder(heap, children):
    value = heap.value("q", name="value")
    pid = children.fork(lambda: [value.acquire(), value.acquire(), threading.Event().wait(60)])
    until(value.get_lock().locked)
    children.kill(pid)
    with pytest.warns(coheap.OwnerDiedWarning, match=f"lock of Value .value.: process {pid} died"):
        assert value.acquire(timeout=10)
    value.release()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value.acquire(False)


def test_a_value_is_made_as_multiprocessings():
    for value in (coheap.Value("i", 7), coheap.Value("i", 7, lock=False)):
        with value.get_lock():
            value.value += 1
        assert value.value == 8
    with pytest.raises(TypeError):
        coheap.Value("i", 7, lock=coheap.RLock())


def test_a_typecode_is_a_type_of_ctypes_too(heap):
    assert repr(heap.value(ctypes.c_int, 7)) == repr(heap.value("i", 7))
    assert coheap.Value(ctypes.c_double, 0.5).value == 0.5
    for wrong in (ctypes.c_bool, ctypes.c_char, int, 7, None):
        with pytest.raises(TypeError, match="typecode"):
            coheap.Value(wrong)


def test_a_value_converts_and_is_no_number(heap):
    value, other, ratio = heap.value("q", 5, name="v"), heap.value("q", 5), heap.value("d", 2.5)
    assert int(value) == 5
    assert float(value) == 5.0
    assert (int(ratio), float(ratio)) == (2, 2.5)
    assert f"{value}" == "5"
    assert f"{value:>4}|{ratio:.3f}" == "   5|2.500"
    numbers = [5, 5.0, True, 5j, decimal.Decimal(5), fractions.Fraction(5)]
    for number in numbers:
        for compare in (operator.eq, operator.ne):
            with pytest.raises(TypeError, match=r"v\.value"):
                compare(value, number)
            with pytest.raises(TypeError, match=r"v\.value"):
                compare(number, value)
    with pytest.raises(TypeError, match=r"v\.value"):
        bool(value)
    with pytest.raises(TypeError):
        value < 6
    assert value == heap.value("q", name="v")
    assert value != other
    assert value != "5"
    assert value is not None and value != None  # noqa: E711
    assert {value: 1}[heap.value("q", name="v")] == 1
    with pytest.raises(ValueError, match="Unknown format code"):
        f"{value:s}"


def test_a_reset_beside_a_locked_change_is_not_lost(heap, children):
    value = heap.value("i", 41, name="v")
    started = heap.value("i", 0, name="started")

    def reset():
        started.add(1)
        value.value = 0

    with value.get_lock():
        child = children.fork(reset)
        until(lambda: started.get() == 1)
        seen = value.value
        time.sleep(0.1)
        assert value.get() == 41
        value.value = seen + 1
    assert children.wait(child) == 0
    assert value.value == 0


def test_a_number_that_a_dead_process_had_locked_can_be_read(heap, children):
    value = heap.value("i", 1, name="v")

    def die():
        value.acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    children.wait(children.fork(die))
    with pytest.warns(coheap.OwnerDiedWarning):
        assert value.value == 1
    value.value = 2
    with coheap.atomic():
        value.value += 1
    assert value.value == 3
