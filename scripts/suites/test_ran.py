"""Tests of ran.py: it counts what each runner reports, and refuses a suite in which nothing ran.

Goal: a suite that runs nothing fails, and whatever is left out is counted with its reason.
Method: lines as the runners print them are fed to a `Tally`; whole commands are played by small
programs, whose records go to a folder of their own.
"""

import contextlib
import io
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import ran
from ran import Skip, Tally

LIFE = "     Running tests/life/main.rs (target/debug/deps/life-ab12)\n"
STEPS = "     Running tests/steps/main.rs (target/debug/deps/steps-ab12)\n"
UNIT = "     Running unittests src/lib.rs (target/debug/deps/coheap-ab12)\n"
DOCS = "   Doc-tests coheap\n"


def result(passed: int, ignored: int = 0) -> str:
    """The last line of a Rust test program."""
    counts = f"{passed} passed; 0 failed; {ignored} ignored; 0 measured; 0 filtered out"
    return f"test result: ok. {counts}; finished in 0.01s\n"


def tally(*text: str) -> Tally:
    """The counts after some output."""
    counts = Tally()
    for line in "".join(text).splitlines(keepends=True):
        counts.read(line)
    return counts


class CountsWhatRunnersReport(unittest.TestCase):
    def test_rust_programs_add_up(self) -> None:
        counts = tally(UNIT, result(3), LIFE, "test a ... ok\n", result(2), DOCS, result(4))
        self.assertEqual((counts.passed, counts.skipped, counts.faults()), (9, 0, []))

    def test_ignored_tests_are_skipped_with_their_reason(self) -> None:
        counts = tally(LIFE, "test a::b ... ignored, takes minutes\n", "test c ... ignored\n")
        life = "tests/life/main.rs"
        expected = [Skip(f"{life} a::b", "takes minutes"), Skip(f"{life} c", "ignored")]
        self.assertEqual(counts.skips, expected)

    def test_a_test_that_says_it_was_skipped_is_counted(self) -> None:
        line = "SKIPPED another_user: needs the superuser: not here\n"
        for text in (line, f"test another_user ... {line}"):
            with self.subTest(text):
                expected = [Skip("another_user", "needs the superuser: not here")]
                self.assertEqual(tally(LIFE, text).skips, expected)

    def test_colours_do_not_hide_a_program(self) -> None:
        counts = tally("\x1b[1m\x1b[32m     Running\x1b[0m tests/life/main.rs (target/life)\n")
        self.assertEqual(counts.programs, {"tests/life/main.rs": 0})

    def test_pytest(self) -> None:
        skip = "SKIPPED [2] python/tests/codec/test_numpy.py:13: numpy is not installed\n"
        for last in (
            "668 passed, 2 skipped in 100.31s (0:01:40)\n",
            "===== 668 passed, 2 skipped, 1 warning in 3.10s =====\n",
            "1 failed, 668 passed in 3.10s\n",
        ):
            with self.subTest(last):
                counts = tally(skip, last)
                self.assertEqual(counts.passed, 668)
                where = "python/tests/codec/test_numpy.py:13"
                self.assertEqual(counts.skips, [Skip(where, "numpy is not installed", 2)])

    def test_unittest(self) -> None:
        counts = tally("Ran 45 tests in 0.512s\n", "\n", "OK (skipped=2)\n")
        self.assertEqual((counts.passed, counts.skipped), (43, 2))

    def test_a_python_that_is_not_there_is_skipped(self) -> None:
        counts = tally("3 passed in 0.1s\n", "Python 3.13: skipped: there is no python3.13\n")
        self.assertEqual(counts.skips, [Skip("Python 3.13", "there is no python3.13")])


class RefusesWhatRanNothing(unittest.TestCase):
    def test_a_program_below_tests_that_ran_nothing(self) -> None:
        for last in (result(0), result(0, ignored=3)):
            counts = tally(LIFE, result(5), STEPS, last)
            self.assertEqual(counts.faults(), ["tests/steps/main.rs ran no test"])

    def test_a_library_without_unit_tests_is_no_fault(self) -> None:
        self.assertEqual(tally(UNIT, result(0), LIFE, result(1), DOCS, result(0)).faults(), [])

    def test_a_suite_in_which_nothing_passed(self) -> None:
        for text in ("", UNIT + result(0), "Ran 0 tests in 0.000s\n", "2 skipped in 0.01s\n"):
            with self.subTest(text):
                self.assertEqual(tally(text).faults(), ["no test ran"])


    def test_an_interpreter_on_which_pytest_passed_nothing(self) -> None:
        first = ("the smoke set on /a/python3.12\n", "5 passed in 0.10s\n")
        self.assertEqual(tally(*first).faults(), [])
        counts = tally(*first, "the smoke set on /a/python3.13\n", "5 skipped in 0.10s\n")
        self.assertEqual(counts.faults(), ["pytest on /a/python3.13 ran no test"])

    def test_nothing_runs_where_the_only_interpreter_has_passed_before(self) -> None:
        counts = tally(
            "Python 3.11: has passed before, with make python\n",
            "Python 3.12: skipped: there is no python3.12 on the PATH\n",
        )
        self.assertEqual((counts.faults(), counts.skipped), ([], 1))


class RunsCommands(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        records = mock.patch.object(ran, "RECORDS", Path(folder.name) / "passed")
        records.start()
        self.addCleanup(records.stop)

    def main(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, output and error output of ran.py."""
        out, errors = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = ran.main([*arguments])
        out.seek(0)
        return status, out.read(), errors.getvalue()

    def suite(self, program: str) -> tuple[int, str, str]:
        """The same, with the suite `some`, which a Python program plays."""
        return self.main("some", "--", sys.executable, "-c", program)

    def test_what_passed_is_passed_on_and_can_be_shown(self) -> None:
        text = LIFE + "test a ... ignored, long\ntest b ... ignored, long\n" + result(5, 2)
        status, said, errors = self.suite(f"print({text!r}, end='')")
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(said, text + "some: 5 passed, 2 skipped\n")
        _, shown, _ = self.main("--show", "some")
        lines = [
            "some: 5 passed, 2 skipped",
            "in all: 5 passed, 2 skipped",
            "skipped 2: long",
            "    some: tests/life/main.rs a",
            "    some: tests/life/main.rs b",
        ]
        self.assertEqual(shown.splitlines(), lines)

    def test_a_suite_that_ran_nothing_fails_and_leaves_no_record(self) -> None:
        self.suite(f"print({LIFE + result(1)!r})")
        status, _, errors = self.suite(f"print({STEPS + result(0)!r})")
        self.assertEqual(status, 1)
        self.assertIn("some: tests/steps/main.rs ran no test", errors)
        status, _, errors = self.main("--show", "some")
        self.assertEqual(status, 1)
        self.assertIn("some: no counts", errors)

    def test_the_status_of_a_command_that_fails_is_kept(self) -> None:
        self.assertEqual(self.suite(f"print({result(1)!r}); exit(7)")[0], 7)
        killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        self.assertEqual(self.suite(killed)[0], 128 + 9)

    def test_a_process_that_the_suite_left_behind_holds_nothing_up(self) -> None:
        code = f"import os, time; print({result(1)!r}, flush=True); os.fork() or time.sleep(10)"
        begin = time.monotonic()
        with mock.patch.object(ran, "READING_SECONDS", 0.2):
            self.assertEqual(self.suite(code)[0], 0)
        self.assertLess(time.monotonic() - begin, 8)

    def test_arguments_that_say_nothing_to_run_are_refused(self) -> None:
        for arguments in ([], ["some"], ["some", "--"], ["some", "true", "x"]):
            self.assertEqual(self.main(*arguments)[0], 2)


if __name__ == "__main__":
    unittest.main()
