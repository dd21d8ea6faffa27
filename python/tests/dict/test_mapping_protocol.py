"""The interpreter's own tests of hash mappings, run with `coheap.Dict`.

Goal: what CPython asks of a mapping holds for a Dict, but for what is listed here with its reason.
Method: `test.mapping_tests.TestHashMappingProtocol`, each of its tests; those that are listed have to fail,
so that none stays in the list that passes.
"""

import unittest

import pytest

import coheap

mapping_tests = pytest.importorskip(
    "test.mapping_tests", reason="this Python comes without its own tests"
)

LOCAL = "its keys are of a class inside of a function, which no other process could load"
DIFFERENT = {
    "test_copy": "copy() returns a plain dict",
    "test_eq": LOCAL,
    "test_getitem": LOCAL,
    "test_pop": LOCAL,
    "test_repr": "repr shows the name and that it is a Dict",
    "test_repr_deep": "repr shows 20 entries, and no dict can be in itself",
    "test_setdefault": "it stores a list, of which changes would be lost",
}


class Protocol(mapping_tests.TestHashMappingProtocol):
    type2test = coheap.Dict
    # Run by `test_cpython`.
    __test__ = False


NAMES = unittest.defaultTestLoader.getTestCaseNames(Protocol)


def test_no_reason_is_left_over():
    assert set(DIFFERENT) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_cpython(name):
    result = unittest.TestResult()
    Protocol(name).run(result)
    assert result.testsRun == 1
    if name in DIFFERENT:
        assert not result.wasSuccessful(), f"it passes; {DIFFERENT[name]} is no reason any more"
    else:
        assert result.wasSuccessful(), [text for _, text in result.errors + result.failures]
