"""The statistics and verdicts of `make bench BASE=`, and how counts are read.

Programs that repeat operations, perf and valgrind are played by scripts; nothing is built here.
"""

import os
import random
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import builds
import counting
import figures
import rounds
from counting import Program
from figures import Row

PROGRAM = """
import sys
iterations, *names = sys.argv[1:]
for name in names or ["nothing", "get"]:
    print(name, iterations, 7.5, sep="\\t")
"""
# Starting costs 5000, the loop 3 for each iteration, and `get` another 40.
PERF = """#!{python}
import subprocess, sys
at = sys.argv.index("--")
if sys.argv[at + 1] == "true":
    print("{probe},,instructions:u,,", file=sys.stderr)
else:
    subprocess.run(sys.argv[at + 1:], check=True)
    iterations, name = int(sys.argv[-2]), sys.argv[-1]
    out = open(sys.argv[sys.argv.index("-o") + 1], "w")
    print("# started", file=out)
    print(5000 + iterations * (43 if name == "get" else 3), "", "instructions:u", sep=",", file=out)
"""
VALGRIND = """#!{python}
import subprocess, sys
own = [word for word in sys.argv[1:] if word.startswith("--")]
out = own[-1].removeprefix("--callgrind-out-file=")
command = sys.argv[len(own) + 1:]
subprocess.run(command, check=True)
iterations = int(command[-1])
for number, total in enumerate([9999, 3 * iterations, 777, 43 * iterations] + {more}, 1):
    open(f"{{out}}.{{number}}", "w").write(f"# callgrind format\\ntotals: {{total}}\\n")
open(out, "w").write("totals: 1\\n")
"""


def row(base: float, now: float, limit: float | None = 0.03) -> Row:
    """A row of samples that are all the same."""
    return Row("get", "ns", [base] * 6, [now] * 6, limit=limit)


class Interval(unittest.TestCase):
    def test_it_has_the_ranks_of_the_sign_test(self) -> None:
        # The known table: 15 samples leave 3 out on either side, 20 leave 5 out.
        self.assertEqual((4, 12), figures.interval(range(1, 16)))
        self.assertEqual((6, 15), figures.interval(range(1, 21)))

    def test_few_samples_have_all_of_their_range(self) -> None:
        for count in (1, 2, 5, 6):
            self.assertEqual((1, count), figures.interval(range(count, 0, -1)))

    def test_it_misses_the_true_median_in_one_case_of_twenty_at_most(self) -> None:
        """Goal: the confidence is what it says. Method: samples of a lopsided distribution."""
        dice = random.Random(9)
        missed = 0
        for _ in range(2000):
            low, high = figures.interval([dice.lognormvariate(0, 1) for _ in range(15)])
            missed += not low <= 1 <= high
        self.assertLess(missed / 2000, 0.05)
        self.assertGreater(missed / 2000, 0.01)


class Verdict(unittest.TestCase):
    def test_more_than_the_limit_breaks_it_and_less_does_not(self) -> None:
        self.assertTrue(row(1000, 1031).breaks)
        self.assertEqual("MORE THAN 3 % MORE", row(1000, 1031).verdict)
        self.assertFalse(row(1000, 1030).breaks)
        self.assertEqual("within 3 %", row(1000, 1030).verdict)
        self.assertEqual("over 3 % less", row(1000, 900).verdict)

    def test_one_odd_round_does_not_decide(self) -> None:
        found = Row("get", "ns", [100] * 6, [100, 200, 100, 100, 101, 100], limit=0.03)
        self.assertEqual("within 3 %", found.verdict)
        self.assertEqual((1, 2), (found.low, found.high))

    def test_rounds_are_compared_in_pairs(self) -> None:
        base = [100, 200, 400, 800, 1600, 3200]
        found = Row("get", "ns", base, [2 * sample for sample in base], limit=None)
        self.assertEqual((2, 2, 2), (found.low, found.ratio, found.high))

    def test_the_median_of_the_ratios_decides(self) -> None:
        self.assertEqual(1.5, Row("get", "ns", [1, 2, 3], [3, 3, 3]).ratio)

    def test_a_time_is_never_judged_and_says_only_what_its_interval_says(self) -> None:
        self.assertEqual(["slower", "faster"], [row(1, 9, None).verdict, row(9, 1, None).verdict])
        self.assertFalse(row(1, 9, None).breaks)
        unclear = Row("get", "ns", [10] * 6, [9, 11, 12, 13, 14, 15])
        self.assertEqual("no difference seen", unclear.verdict)

    def test_the_exit_status_is_that_of_the_worst_count(self) -> None:
        self.assertEqual((0, "more instructions than allowed: none"), figures.status([row(1, 1)]))
        broken = figures.status([row(1, 1), row(1, 2), row(1, 3)])
        self.assertEqual((1, "more instructions than allowed: get; get"), broken)
        self.assertEqual(2, figures.status([])[0])

    def test_the_table_has_a_line_for_each_row(self) -> None:
        heading, line = figures.table([row(1000, 1100)]).splitlines()
        self.assertIn("(ns)", heading)
        words = "get 1,000.0 1,100.0 1.100 1.100 to 1.100 MORE THAN 3 % MORE"
        self.assertEqual(words.split(), line.split())


class Rounds(unittest.TestCase):
    def test_the_side_that_begins_changes_with_each_round(self) -> None:
        base, now = Program(["base"]), Program(["now"])
        asked = []

        def measure(program: Program) -> dict[str, float]:
            asked.append(program.command[0])
            return {"get": 1.0 if program is base else 2.0}

        (found,) = rounds.compare([(base, now)], measure, 3, "ns", None)
        self.assertEqual(["base", "now", "now", "base", "base", "now"], asked)
        self.assertEqual(([1, 1, 1], [2, 2, 2]), (found.base, found.now))


class Counting(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.program = Program([sys.executable, "-c", PROGRAM])
        environment = mock.patch.dict(os.environ, {"PATH": str(self.folder)})
        environment.start()
        self.addCleanup(environment.stop)

    def play(self, name: str, text: str, **settings: object) -> None:
        """Put a script in the place of a tool."""
        file = self.folder / name
        file.write_text(text.format(python=sys.executable, **settings))
        file.chmod(0o755)

    def test_perf_counts_without_the_start_and_the_loop(self) -> None:
        self.play("perf", PERF, probe=1234)
        counter, how = counting.find()
        self.assertIsInstance(counter, counting.Perf)
        self.assertIn("perf", how)
        self.assertEqual({"get": 40}, counter.count(self.program))

    def test_callgrind_counts_between_the_markers_where_perf_cannot(self) -> None:
        self.play("perf", PERF, probe="<not supported>")
        self.play("valgrind", VALGRIND, more=[])
        counter, how = counting.find()
        self.assertIsInstance(counter, counting.Callgrind)
        self.assertIn("not available to perf", how)
        self.assertEqual({"get": 40}, counter.count(self.program))

    def test_a_marker_too_many_is_an_error_and_no_count(self) -> None:
        self.play("valgrind", VALGRIND, more=[5])
        with self.assertRaisesRegex(SystemExit, "called 5 times for 2 loops"):
            counting.Callgrind().count(self.program)

    def test_a_machine_without_both_says_so(self) -> None:
        found = counting.find()
        self.assertEqual((None, "perf is not installed; valgrind is not installed"), found)

    def test_cores_of_two_kinds_are_added(self) -> None:
        text = "700,,cpu_core/instructions:u/,,\n<not counted>,,cpu_lp/instructions:u/,,\n"
        self.assertEqual(700, counting.perf_count(text))
        self.assertEqual(730, counting.perf_count(text + "30,,cpu_atom/instructions:u/,,\n"))
        self.assertIsNone(counting.perf_count("<not supported>,,instructions:u,,\n"))

    def test_a_program_that_fails_ends_the_comparison(self) -> None:
        with self.assertRaisesRegex(SystemExit, "exit status 3"):
            Program([sys.executable, "-c", "raise SystemExit(3)"]).run((), 1, ())

    def test_times_leave_the_loop_out_of_the_table(self) -> None:
        self.assertEqual({"get": 7.5}, rounds.times_of(self.program))


class Builds(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_an_unknown_commit_is_an_error_that_names_it(self) -> None:
        with (
            mock.patch.object(builds, "FOLDERS", self.folder),
            self.assertRaisesRegex(SystemExit, "no-such-commit"),
        ):
            builds.commit("no-such-commit", is_for_valgrind=False)

    def test_a_file_that_says_so_already_is_not_written(self) -> None:
        file = self.folder / "a" / "main.rs"
        builds.write(file, "one")
        os.utime(file, (1, 1))
        builds.write(file, "one")
        self.assertEqual(1, file.stat().st_mtime)
        builds.write(file, "two")
        self.assertEqual("two", file.read_text())
        self.assertNotEqual(1, file.stat().st_mtime)


if __name__ == "__main__":
    unittest.main()
