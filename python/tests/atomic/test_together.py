"""All changes of a block happen together at its end, or none of them does.

Goal: dicts, values, queues and locks keep the promise of `atomic`, whatever ends the block.
Method: blocks that end well or with each kind of exception, looked at from inside and, by another
thread, from outside.
"""

import contextlib

import pytest
from conftest import elsewhere

import coheap

ENDINGS = [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, coheap.Empty]


@pytest.fixture
def counts(heap):
    return heap.dict("counts")


@pytest.fixture
def jobs(heap):
    return heap.work_queue("jobs")


def test_changes_appear_together_at_the_end(heap, counts, jobs):
    value, other = heap.value("q", name="value"), heap.dict("other")

    def look():
        return counts.snapshot(), other.snapshot(), value.get(), jobs.qsize()

    before = look()
    with coheap.atomic():
        counts["a"] = 1
        other["b"] = 2
        value.set(3)
        jobs.put(4)
        assert (counts["a"], other["b"], value.value) == (1, 2, 3)
        assert elsewhere(look) == before
    assert look() == ({"a": 1}, {"b": 2}, 3, 1)


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_happens_after_an_exception(heap, counts, jobs, ending):
    value = heap.value("d", 1.5, name="value")
    counts.update(a=1, b=2)
    jobs.put("job")
    with pytest.raises(ending), coheap.atomic():
        counts["a"] = 10
        del counts["b"]
        counts["c"] = 30
        value.add(1)
        jobs.put("new")
        assert jobs.get().value == "job"
        raise ending
    assert list(counts.items()) == [("a", 1), ("b", 2)]
    assert value.get() == 1.5
    assert (jobs.qsize(), jobs.leased()) == (1, 0)
    with jobs.get() as lease:
        assert (lease.value, lease.attempt) == ("job", 1)


def dict_methods(d):
    """Use every method of a dict; what it all says."""
    said = []
    d["new"] = 1
    d["a"] = d["a"] + 1
    said.append((d.get("b"), d.get("none"), d.get("none", 5), "a" in d, "none" in d, len(d)))
    del d["b"]
    with pytest.raises(KeyError):
        d["b"]
    with pytest.raises(KeyError):
        del d["b"]
    said.append((list(d), list(d.keys()), list(d.values()), list(d.items())))
    said.append((list(reversed(d)), list(reversed(d.items()))))
    said.append((d.pop("c"), d.pop("c", None), d.popitem()))
    with pytest.raises(KeyError):
        d.pop("c")
    said.append((d.setdefault("s", 7), d.setdefault("s", 8), d.setdefault("n")))
    d.update({"u": 1}, v=2)
    d.update([("u", 3)])
    d |= {"w": 4}
    said.append((d | {"x": 1}, {"x": 1} | d))
    said.append((d == {"a": 1}, d == dict(d), d != {"a": 1}, d.copy()))
    d.clear()
    said.append((len(d), list(d), d == {}))
    with pytest.raises(KeyError):
        d.popitem()
    d["last"] = 9
    said.append(list(d.items()))
    return said


def test_a_dict_inside_says_what_a_dict_says(counts):
    start = {"a": 1, "b": 2, "c": 3, "d": 4}
    counts.update(start)
    model = dict(start)
    with pytest.raises(ZeroDivisionError), coheap.atomic():
        assert dict_methods(counts) == dict_methods(model)
        1 / 0
    assert list(counts.items()) == list(start.items())
    with coheap.atomic():
        dict_methods(counts)
    assert list(counts.items()) == list(model.items()) == [("last", 9)]


def test_methods_of_our_own_inside(counts):
    counts.update(n=1, text="x")
    with coheap.atomic():
        assert counts.increment("n") == 2
        assert counts.increment("new", 5) == 5
        counts.increment_many({"n": 10, "more": 1})
        assert counts.get_many(["n", "more", "none"]) == {"n": 12, "more": 1}
        assert counts.update_with("n", lambda n: n * 2) == 24
        assert counts.update_with("none", lambda n: n or 3) == 3
        assert counts.compare_and_set("n", 24.0, 25)
        assert not counts.compare_and_set("n", 24, 26)
        assert counts.compare_and_set("none", 3, coheap.ABSENT)
        assert counts.compare_and_set("none", coheap.ABSENT, 1)
        with pytest.raises(TypeError):
            counts.increment("text")
        with pytest.raises(OverflowError):
            counts.increment("n", 2**63 - 1)
        with pytest.raises(TypeError):
            counts.increment_many({"n": 1000, "text": 1})
        assert "'n': 25" in repr(counts)
        assert counts.snapshot()["n"] == 25
    assert counts == {"n": 25, "text": "x", "new": 5, "more": 1, "none": 1}


def test_a_failed_update_inside_changes_nothing(counts):
    counts["a"] = 1
    with coheap.atomic():
        with pytest.raises(TypeError):
            counts.update({"a": 2, "b": [1]})
        with pytest.raises(TypeError):
            counts["list"] = []
        assert counts == {"a": 1}


@pytest.mark.parametrize(("code", "one"), [("q", 1), ("B", 1), ("d", 1.5)])
def test_a_value_inside(heap, code, one):
    value = heap.value(code, one, name="value")
    with coheap.atomic():
        value.set(one + 1)
        assert value.add(1) == one + 2
        value.value += 1
        value += 2
        value -= 1
        assert value.compare_exchange(one + 4, one + 5)
        assert not value.compare_exchange(one + 4, one)
        assert value.get() == one + 5
        assert elsewhere(value.get) == one
        if code == "B":
            with pytest.raises(OverflowError):
                value.set(256)
    assert value.get() == one + 5


def test_an_iteration_sees_what_its_block_writes_meanwhile(counts):
    counts.update((n, n) for n in range(5))
    with coheap.atomic():
        seen = []
        for key, value in counts.items():
            seen.append(value)
            counts[4] = counts[key] + 100
        assert seen == [0, 1, 2, 3, 103]
        assert list(counts.values()) == [0, 1, 2, 3, 203]
        for change in (lambda: counts.pop(1), lambda: counts.update(new=1)):
            items, keys = iter(counts.items()), iter(counts)
            next(items), next(keys)
            change()
            for iterator in (items, keys):
                with pytest.raises(RuntimeError, match="changed size"):
                    next(iterator)
        items = iter(counts.items())
        next(items)
        counts["other"] = counts.pop(2)
        with pytest.raises(RuntimeError, match="keys changed"):
            next(items)


@pytest.mark.parametrize("is_inside", [False, True])
def test_an_iteration_that_is_over_stays_so(counts, is_inside):
    counts.update((n, n) for n in range(3))
    with coheap.atomic() if is_inside else contextlib.nullcontext():
        keys = iter(counts)
        assert keys.__length_hint__() == 3
        assert next(keys) == 0
        assert keys.__length_hint__() == 2
        assert list(keys) == [1, 2]
        assert keys.__length_hint__() == 0
        counts["new"] = 1
        assert next(keys, "over") == "over"


def test_an_iteration_inside_is_over_the_keys_of_when_it_began(counts):
    counts.update((n, n) for n in range(100))
    with coheap.atomic():
        for key in counts:
            counts[key + 1000] = key
            del counts[key]
        assert len(counts) == 100
        assert iter(counts).__length_hint__() == 100
        items = iter(counts.items())
        assert next(items) == (1000, 0)
    with pytest.raises(RuntimeError, match="is over"):
        next(items)
    before = iter(counts)
    assert next(before) == 1000
    with coheap.atomic():
        assert next(before) == 1001
        counts[5] = 5
    assert 5 in counts


def test_what_is_removed_and_set_again_stands_last(counts):
    counts.update(a=1, b=2)
    with coheap.atomic():
        counts["a"] = counts.pop("a")
        counts["b"] = 3
    assert list(counts.items()) == [("b", 3), ("a", 1)]


def test_a_large_block_is_whole_or_refused(counts):
    with coheap.atomic():
        counts.update((n, "x" * 50) for n in range(2000))
    assert len(counts) == 2000
    with pytest.raises(ValueError, match="split it"), coheap.atomic():
        for n in range(200_000):
            counts[n] = n
    assert len(counts) == 2000


def test_a_full_heap_changes_nothing():
    with coheap.Heap(max_bytes=1 << 20) as heap:
        d, value = heap.dict("d"), heap.value("q", name="value")
        with pytest.raises(coheap.HeapFull), coheap.atomic():
            value.add(1)
            d["large"] = b"x" * (2 << 20)
        with pytest.raises(coheap.HeapFull), coheap.atomic():
            value.add(1)
            for n in range(100):
                d[n] = b"x" * 50_000
        assert (len(d), value.get()) == (0, 0)
        value.add(1)


def test_an_empty_block_and_one_that_only_reads(counts):
    with coheap.atomic() as block:
        assert "open" in repr(block)
    assert "open" not in repr(block)
    with coheap.atomic(counts):
        assert len(counts) == 0
    with block:
        counts["again"] = 1
    assert counts == {"again": 1}
