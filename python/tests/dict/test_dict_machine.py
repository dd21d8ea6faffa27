"""Dict against dict: whatever is done to both, both say the same.

Goal: no sequence of calls tells a Dict from a dict, but for what its docstring lists.
Method: hypothesis makes up the sequences; each rule does the same to both and compares the
answers, or the exceptions, and the order of the entries at the end.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import coheap

keys = (
    st.integers(-3, 3)
    | st.integers(-3, 3).map(float)
    | st.booleans()
    | st.none()
    | st.text("ab", max_size=2)
    | st.binary(max_size=1)
    | st.tuples(st.integers(0, 1) | st.floats(0, 1))
    | st.frozensets(st.integers(0, 2))
    | st.text(min_size=20, max_size=21)
)
values = (
    st.integers()
    | st.text(max_size=40)
    | st.binary(max_size=3000)
    | st.tuples(st.none(), st.lists(st.booleans()))
)
entries = st.lists(st.tuples(keys, values), max_size=30)


class Machine(RuleBasedStateMachine):
    """One of each, side by side."""

    @initialize(start=entries)
    def begin(self, start):
        self.heap = coheap.Heap(max_bytes=16 << 20)
        self.ours = self.heap.dict("d", copies=True)
        self.theirs = dict(start)
        self.ours.update(start)

    def both(self, call):
        """Do the same to both."""
        answers = []
        for target in (self.ours, self.theirs):
            try:
                answers.append(("answer", call(target)))
            except (KeyError, RuntimeError) as error:
                answers.append((type(error), str(error).partition(";")[0]))
        assert answers[0] == answers[1]
        return answers[0][1]

    @rule(key=keys, value=values)
    def set(self, key, value):
        self.both(lambda d: d.__setitem__(key, value))

    @rule(key=keys)
    def get(self, key):
        self.both(lambda d: d[key])
        self.both(lambda d: d.get(key, 7))
        self.both(lambda d: key in d)

    @rule(key=keys)
    def delete(self, key):
        self.both(lambda d: d.__delitem__(key))

    @rule(key=keys, default=st.none() | st.tuples(values))
    def pop(self, key, default):
        self.both(lambda d: d.pop(key, *(default or ())))

    @rule()
    def popitem(self):
        self.both(lambda d: d.popitem())

    @rule(key=keys, value=values)
    def setdefault(self, key, value):
        self.both(lambda d: d.setdefault(key, value))

    @rule(more=entries)
    def update(self, more):
        self.both(lambda d: d.update(more))
        self.both(lambda d: d.update(dict(more)))

    @rule(more=entries)
    def merge(self, more):
        more = dict(more)
        self.both(lambda d: list((d | more).items()))
        self.both(lambda d: list((more | d).items()))
        self.both(lambda d: d.__ior__(more) is d)

    @rule()
    def clear(self):
        self.both(lambda d: d.clear())

    @rule(at=st.integers(0, 20), key=keys, value=values)
    def change_while_going_through(self, at, key, value):
        def go(d):
            seen = []
            # An iteration shows the dict as it was at its first step.
            for n, item in enumerate(list(d.items()) if d is self.theirs else d.items()):
                seen.append(item)
                if n == at and key in d:
                    d[key] = value
            return seen

        self.both(go)

    @rule(at=st.integers(0, 20), key=keys, value=values)
    def grow_while_going_through(self, at, key, value):
        def go(d):
            for n, _ in enumerate(list(d) if d is self.theirs else d):
                if n == at:
                    d[key] = value

        self.both(go)

    @rule(other=st.sets(keys))
    def views(self, other):
        self.both(lambda d: d.keys() & other)
        self.both(lambda d: d.keys() - other)
        self.both(lambda d: other <= d.keys())
        self.both(lambda d: list(reversed(d.values())))

    @precondition(lambda self: self.theirs)
    @rule(last=st.booleans())
    def ends(self, last):
        self.both(lambda d: d.last() if d is self.ours else list(d.items())[-1])
        self.both(lambda d: d.first() if d is self.ours else next(iter(d.items())))

        def pop(d):
            if d is self.ours:
                return d.popitem(last=last)
            key = (list(d)[-1] if last else next(iter(d)))
            return key, d.pop(key)

        self.both(pop)

    @rule(key=keys)
    def move_to_end(self, key):
        def move(d):
            if d is self.ours:
                d.move_to_end(key)
            else:
                d[key] = d.pop(key)

        self.both(move)

    @invariant()
    def are_equal(self):
        if hasattr(self, "ours"):
            assert list(self.ours.items()) == list(self.theirs.items())
            assert list(self.ours) == list(self.theirs)
            assert len(self.ours) == len(self.theirs)
            assert self.ours == self.theirs

    def teardown(self):
        if hasattr(self, "heap"):
            self.heap.check()
            self.heap.close()


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestMachine = Machine.TestCase
