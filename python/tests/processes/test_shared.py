"""`Manager()`: dicts that store copies, as those of `multiprocessing`, without a server.

Goal: who has a manager's dict finds the same one here.
Method: the same calls on both and on a plain dict; children under each start method.
"""

import copy
import multiprocessing
import multiprocessing.managers
import operator
import os
import pickle
import signal
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coheap

METHODS = ("fork", "spawn", "forkserver")


@pytest.fixture
def manager():
    """A manager, shut down at the end."""
    with coheap.Manager() as manager:
        yield manager


CALLS = {
    "get": lambda d: [d.get("a"), d.get("zz"), d.get("zz", 7)],
    "item": lambda d: d["a"],
    "missing": lambda d: d["zz"],
    "contains": lambda d: ["a" in d, "zz" in d, len(d)],
    "lists": lambda d: [d.keys(), d.values(), d.items(), list(d)],
    "set": lambda d: [d.__setitem__("new", [1, {2}]), d["new"]],
    "delete": lambda d: [d.__delitem__("a"), d.keys()],
    "delete missing": lambda d: d.__delitem__("zz"),
    "pop": lambda d: [d.pop("a"), d.pop("a", 3), d.keys()],
    "pop missing": lambda d: d.pop("zz"),
    "popitem": lambda d: [d.popitem(), d.popitem(), d.keys()],
    "setdefault": lambda d: [d.setdefault("a", 0), d.setdefault("zz"), d.setdefault("y", [])],
    "update": lambda d: [d.update({"a": bytearray(b"x")}, k=1), d.update([("p", {})]), d.copy()],
    "clear": lambda d: [d.clear(), d.copy(), len(d)],
    "clear and popitem": lambda d: [d.clear(), d.popitem()],
    "copies": lambda d: [d["list"].append(9), d["list"], d.get("list") is d.get("list")],
    "put back": lambda d: [d.__setitem__("list", [*d["list"], 9]), d["list"]],
    "deepcopy": copy.deepcopy,
    "str": str,
    "equal": lambda d: [d == d, d == d.copy(), d != {}],
    "or": lambda d: [d | {"a": 2, "new": 3}, d.copy()],
    "or with what is no dict": lambda d: d | [("a", 1)],
    "or, the other way round": lambda d: {"a": 2, "new": 3} | d,
    "or in place": lambda d: [
        operator.ior(d, {"a": 5}) is d,
        operator.ior(d, [("p", 1)]) is d,
        operator.ior(d, d) is d,
        d.copy(),
    ],
    "or in place with what is no dict": lambda d: operator.ior(d, 3),
    "reversed": lambda d: list(reversed(d)),
    "fromkeys": lambda d: [d.fromkeys("ab"), d.fromkeys([1], 2), d.copy()],
}
SINCE_3_14 = {call for call in CALLS if call.startswith(("or", "reversed", "fromkeys"))}
"""What a proxy of the standard library answers from Python 3.14 on, and ours everywhere."""


@pytest.fixture(scope="module")
def theirs():
    """The manager of the standard library."""
    with multiprocessing.Manager() as manager:
        yield manager


@pytest.mark.parametrize("call", CALLS)
def test_calls_answer_as_those_of_the_standard_library(manager, theirs, call):
    start = {"a": 1, "list": [1, 2], "set": {3}, "dict": {"x": []}, "none": None}

    def outcome(d):
        try:
            return CALLS[call](d), d.copy()
        except Exception as error:
            return type(error), str(error) if type(error) is KeyError else ""

    is_theirs = sys.version_info >= (3, 14) or call not in SINCE_3_14
    other = outcome(theirs.dict(start) if is_theirs else dict(start))
    ours = outcome(manager.dict(start))
    assert ours == other
    assert repr(ours) == repr(other)


def test_a_proxy_has_every_method_of_the_standard_librarys(manager):
    exposed = multiprocessing.managers.DictProxy._exposed_
    assert set(exposed) <= set(dir(type(manager.dict())))


def test_two_dicts_of_a_manager_merge_as_plain_ones(manager):
    """Goal: what raises `TypeError` between two proxies of the standard library works here."""
    d, e = manager.dict(a=1, b=[1]), manager.dict(b=[2], c=3)
    assert list((d | e).items()) == [("a", 1), ("b", [2]), ("c", 3)]
    assert type(d | e) is dict
    d |= e
    assert d.items() == [("a", 1), ("b", [2]), ("c", 3)]


def test_a_dict_is_made_as_dict_makes_it(manager):
    assert manager.dict().copy() == {}
    assert manager.dict({"a": 1}, b=[]).copy() == {"a": 1, "b": []}
    assert manager.dict([("a", 1)]).copy() == {"a": 1}
    assert manager.dict(manager.dict(a=[1])).copy() == {"a": [1]}
    with pytest.raises(TypeError):
        manager.dict(1)
    with pytest.raises(TypeError, match="unhashable"):
        manager.dict()[[]] = 1
    assert repr(manager.dict(a=1)).startswith("<DictProxy object, typeid 'dict' at 0x")


@given(value=st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=5))
def test_any_value_comes_back_as_an_equal_copy(value):
    with coheap.Manager() as manager:
        d = manager.dict(v=value)
        assert d["v"] == value
        assert type(d["v"]) is type(value)


def test_a_dict_that_is_no_managers_still_refuses_what_would_be_lost(manager):
    manager.dict(a=[])
    with pytest.raises(TypeError, match="copies=True"):
        coheap.Dict()["a"] = []


def add(d, e):
    for n in range(100):
        d[os.getpid(), n] = [n]
    e["lists"] = [*e["lists"], "child"]


@pytest.mark.parametrize("method", METHODS)
def test_children_have_the_same_dict(method):
    context = coheap.get_context(method)
    with context.Manager() as manager:
        d, e = manager.dict(), manager.dict(lists=[])
        child = context.Process(target=add, args=(d, e))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert d.items() == [((child.pid, n), [n]) for n in range(100)]
        assert e["lists"] == ["child"]


def write_for_ever(d):
    while True:
        for n in range(50):
            d[n] = [n] * 100


def test_a_child_that_is_killed_leaves_a_whole_dict(manager):
    d = manager.dict({n: [] for n in range(50)})
    for _ in range(20):
        child = coheap.get_context("fork").Process(target=write_for_ever, args=(d,))
        child.start()
        # A kill may come at any moment.
        child.join(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.join(30)
        assert all(value in ([], [n] * 100) for n, value in d.items())
        d[0] = []
    coheap.default_heap().check()


def test_a_pickle_of_a_dict_is_the_same_dict(manager):
    d = manager.dict()
    again = pickle.loads(pickle.dumps(d))
    again["a"] = [1]
    assert d["a"] == [1]


def ask(d, answers):
    try:
        answers["child"] = d["a"]
    except BrokenPipeError as error:
        answers["child"] = str(error)


@pytest.mark.parametrize("method", METHODS)
def test_after_the_shutdown_nobody_gets_an_answer(method):
    """Goal: a proxy raises as today's does, in all processes, and the memory is free."""
    heap, answers = coheap.default_heap(), coheap.Dict()
    manager = coheap.get_context(method).Manager()
    d = manager.dict(a=1, big=list(range(100_000)))
    used = heap.used_bytes
    manager.shutdown()
    assert heap.used_bytes < used - 100_000
    for call in (
        lambda: d["a"],
        lambda: d.__setitem__("a", 2),
        lambda: d.__delitem__("a"),
        lambda: len(d),
        lambda: "a" in d,
        lambda: list(d),
        d.keys,
        d.copy,
        lambda: d.get("a"),
        lambda: d.update(a=1),
        lambda: d | {},
        lambda: {} | d,
        lambda: operator.ior(d, {}),
        lambda: reversed(d),
        lambda: d.fromkeys("a"),
    ):
        with pytest.raises(BrokenPipeError, match="the manager was shut down; nothing was changed"):
            call()
    assert str(d).endswith("; '__str__()' failed>")
    child = coheap.get_context(method).Process(target=ask, args=(d, answers))
    child.start()
    child.join(30)
    assert "the manager was shut down" in answers["child"]


def test_a_manager_is_used_in_order():
    manager = coheap.Manager()
    with pytest.raises(multiprocessing.ProcessError, match="Already started server"):
        manager.start()
    with manager as same:
        assert same is manager
        manager.dict(a=1)
    manager.shutdown()
    with pytest.raises(AssertionError, match="was shut down"):
        manager.dict()
    with pytest.raises(multiprocessing.ProcessError, match="Manager has shut down"):
        manager.start()
    with pytest.raises(multiprocessing.ProcessError, match="Manager has shut down"), manager:
        pass
    never = type(manager)()
    with pytest.raises(AssertionError, match="not yet started"):
        never.dict()
    never.shutdown()
    with never:
        assert never.dict(a=[]).copy() == {"a": []}


def test_a_child_does_not_shut_down_what_is_its_parents(manager, children):
    d = manager.dict(a=1)
    assert children.wait(children.fork(manager.shutdown)) == 0
    assert d["a"] == 1


def test_a_child_makes_dicts_for_itself(manager, children):
    def make():
        mine = manager.dict(a=[1])
        assert mine.copy() == {"a": [1]}

    assert children.wait(children.fork(make)) == 0


def test_dicts_that_nobody_has_any_more_are_gone(manager):
    """Goal: a manager that lives long does not keep what it made."""
    heap = coheap.default_heap()
    d = manager.dict(a=1)
    before = heap.check()["objects"]
    for _ in range(100):
        manager.dict(a=[1])
    assert heap.check()["objects"] == before
    assert d["a"] == 1
