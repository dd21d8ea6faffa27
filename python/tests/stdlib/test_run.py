"""The runner of the interpreter's own tests.

Goal: each test has an outcome, whatever it does to its process, and the copy of the tests names coheap wherever
the original names `multiprocessing`.
Method: classes with a test of each kind, of which one hangs and one dies; folders in the place of the originals.
"""

import sys
from pathlib import Path

import pytest
import repoint
import run

TESTS = '''
import os
import time
import unittest


class Tests(unittest.TestCase):
    def test_a_passes(self):
        pass

    def test_b_dies(self):
        os._exit(7)

    def test_c_fails(self):
        self.assertEqual(1, 2)

    def test_d_hangs(self):
        if os.fork() == 0:
            time.sleep(600)
        time.sleep(600)

    def test_e_is_skipped(self):
        self.skipTest("no need")

    def test_f_raises(self):
        with self.subTest("one"):
            raise ValueError("so")

    def test_g_passes(self):
        pass


class Unprepared(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise OSError("no")

    def test_a(self):
        pass

    def test_b(self):
        pass
'''


def interpreter(folder: Path) -> run.Interpreter:
    (folder / "some_tests.py").write_text(TESTS)
    return run.Interpreter(Path(sys.executable), "multiprocessing", folder, seconds=3)


# Goal: each test has an outcome, and one that hangs or dies keeps no other from running.
# Method: a class with one test of each kind; what the one that hangs has started is ended, too, or the run would
# not come to its end.
def test_a_hang_and_a_death_are_one_failure_each(tmp_path):
    ran = list(run.run_module(interpreter(tmp_path), "some_tests", ["Tests"]))
    kinds = {each.test: each.outcome.kind for each in ran}
    assert kinds == {
        "test_a_passes": "ok",
        "test_b_dies": "died",
        "test_c_fails": "failure",
        "test_d_hangs": "hang",
        "test_e_is_skipped": "skipped",
        "test_f_raises": "failure",
        "test_g_passes": "ok",
    }
    details = {each.test: each.outcome.detail for each in ran}
    assert details["test_b_dies"] == "exit code 7"
    assert details["test_f_raises"] == "ValueError: so"


def test_a_class_that_cannot_be_prepared_fails_as_a_whole(tmp_path):
    ran = list(run.run_module(interpreter(tmp_path), "some_tests", ["Unprepared"]))
    assert [(each.test, each.outcome) for each in ran] == [
        (test, run.Outcome("error", "OSError: no")) for test in ("test_a", "test_b")
    ]


def test_a_module_that_cannot_be_imported_is_a_failure(tmp_path):
    ran = list(run.run_module(interpreter(tmp_path), "not_there", []))
    assert [each.outcome.kind for each in ran] == ["error"]
    assert "not_there" in ran[0].outcome.detail


# Goal: the copy names the package wherever code names the module, and nowhere else.
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("import multiprocessing", "import coheap"),
        ("import multiprocessing as mp", "import coheap as mp"),
        ("import multiprocessing.pool", "import coheap.pool"),
        ("from multiprocessing import util", "from coheap import util"),
        ("from multiprocessing.pool import Pool", "from coheap.pool import Pool"),
        ("x = multiprocessing.Lock()", "x = coheap.Lock()"),
        ("'multiprocessing.pool'", "'coheap.pool'"),
        ('import_module("multiprocessing")', 'import_module("coheap")'),
        ("import _multiprocessing", "import _multiprocessing"),
        ("test.test_multiprocessing_fork.x", "test.test_multiprocessing_fork.x"),
        ("'unclosed running multiprocessing pool'", "'unclosed running multiprocessing pool'"),
        ("# the multiprocessing tests.", "# the multiprocessing tests."),
    ],
)
def test_names_are_replaced_and_messages_are_not(text, wanted):
    assert repoint.repointed(text, "coheap") == wanted


# Goal: fresh interpreters find the copy, and what is not copied is the original.
def test_the_copy_is_found_in_the_place_of_the_original(tmp_path):
    original, folder = tmp_path / "original", tmp_path / "copy"
    for made in (original, folder, original / "test_multiprocessing_fork"):
        made.mkdir()
    (original / "__init__.py").touch()
    (original / "_test_multiprocessing.py").write_text("import multiprocessing.pool\n")
    (original / "lock_tests.py").write_text("import multiprocessing\n")
    assert repoint.copy_tests(original, folder, "coheap") == folder
    made = folder / "test"
    assert (made / "_test_multiprocessing.py").read_text() == "import coheap.pool\n"
    assert (made / "lock_tests.py").resolve() == original / "lock_tests.py"
    assert (made / "test_multiprocessing_fork.py").is_file()
    assert not (made / "test_multiprocessing_fork").exists()
    assert "coheap" in (made / "locks_of_package.py").read_text()
