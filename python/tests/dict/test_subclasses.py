"""Classes that are derived from Dict, WorkQueue and Value.

Goal: an instance of such a class is a handle like any other, and keeps its class wherever Python keeps
that of a dict: in pickles, in `fromkeys`, in other processes.
Method: a class with methods and attributes, one with its own `__init__`, and one that is derived again.
"""

import copy
import pickle

import pytest

import coheap


class Sessions(coheap.Dict):
    """A dict of sessions."""

    def login(self, user):
        """Count a login."""
        return self.increment(user)


class Named(Sessions):
    """With an argument of its own."""

    def __init__(self, label, *others, **entries):
        super().__init__(*others, **entries)
        self.label = label


class Jobs(coheap.WorkQueue):
    """A queue of jobs."""

    def __init__(self, maxsize=0):
        super().__init__(maxsize)
        self.maxsize_seen = maxsize


class Total(coheap.Value):
    """A sum."""

    def double(self):
        """Double it."""
        self.value *= 2


@pytest.fixture(autouse=True)
def default(heap):
    """The objects are in a heap of the test."""
    before = coheap.default_heap()
    coheap.set_default_heap(heap)
    yield
    coheap.set_default_heap(before)


def test_a_derived_dict_is_a_dict():
    sessions = Sessions({"ada": 1}, grace=2)
    assert sessions.login("ada") == 2
    assert sessions == {"ada": 2, "grace": 2}
    assert type(sessions.copy()) is dict
    assert isinstance(sessions, coheap.Dict)
    assert len(Sessions()) == 0
    with pytest.raises(TypeError, match="at most 1"):
        Sessions({}, {})
    with pytest.raises(TypeError):
        Sessions(1)
    sessions.__init__(ada=5)
    assert sessions["ada"] == 5
    with coheap.atomic():
        sessions.login("bob")
    assert list(sessions) == ["ada", "grace", "bob"]
    sessions.note = "of this process only"
    assert repr(sessions).startswith("coheap.Dict(")


def test_it_keeps_its_class():
    assert type(Sessions.fromkeys("ab", 1)) is Sessions
    assert Sessions.fromkeys("ab", 1) == {"a": 1, "b": 1}
    assert type(coheap.Dict.fromkeys("ab")) is coheap.Dict
    named = Named("of us", {"ada": 1})
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(named, protocol))
        assert type(again) is Named
        assert again.label == "of us"
        again["ada"] += 1
    assert named["ada"] == 1 + pickle.HIGHEST_PROTOCOL - 1
    holder = coheap.Dict(it=named)
    assert type(holder["it"]) is Named
    assert holder["it"].login("bob") == 1
    assert named["bob"] == 1
    assert type(copy.copy(named)) is dict


def test_it_goes_to_other_processes(children):
    sessions, jobs, total = Sessions(), Jobs(2), Total("i", 1)
    pickled = pickle.dumps((sessions, jobs, total))

    def work():
        sessions, jobs, total = pickle.loads(pickled)
        sessions.login("ada")
        jobs.put("job")
        total.double()

    assert children.wait(children.fork(work)) == 0
    assert sessions["ada"] == 1
    with jobs.get() as lease:
        assert lease.value == "job"
    assert jobs.maxsize_seen == 2
    assert total.value == 2
    assert [type(it) for it in pickle.loads(pickled)] == [Sessions, Jobs, Total]
    assert pickle.loads(pickle.dumps(jobs)).maxsize_seen == 2


def test_a_class_that_cannot_be_found_is_an_error():
    class Local(coheap.Dict):
        pass

    local = Local(a=1)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(local)
    assert local == {"a": 1}
