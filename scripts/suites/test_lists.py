"""The suites in the Makefile, in docs/testing.md, in the crates and in .ci/run are one list.

Goal: nobody adds a suite or a test program that nobody runs, or describes one that is not there.
Method: the tables of docs/testing.md say what there is; the Makefile, the `tests` folders, the
manifests of the crates and .ci/run are compared with them.

Not here: what a suite runs is counted when it runs (`ran.py`).
"""

import re
import tomllib
import unittest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
FACE = "Tests of the Python face"

RUNNERS = re.compile(r"\$\(TEST\w*\)|\$\(SWEEP\)|\$\(CHURN\)|\$\(SOAK\)|\btest \$\(|\bpytest\b|\bunittest\b|\bpythons\.py\b")
"""What starts tests in a recipe."""
SUPPORT = {"support", "scene"}
"""Folders beside the test programs that hold what these share."""
LEFT_TO_A_CFG = {"loom": "--cfg loom", "sim": "--cfg sim", "steps": "without failpoints"}
"""Programs that compile to nothing unless they are built in the way they need."""


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading of the page, without its head."""
    _, found, section = PAGE.partition(f"\n## {heading}\n")
    assert found, f"docs/testing.md has no section {heading!r}"
    lines = section.partition("\n|")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def ticked(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def variable(name: str) -> list[str]:
    """The words of a variable of the Makefile."""
    found = re.search(rf"^{name} :?= (.*)$", MAKEFILE, re.MULTILINE)
    assert found, f"the Makefile has no {name}"
    return found[1].split()


def recipes() -> list[str]:
    """The lines of all recipes, each with its continuations."""
    joined = MAKEFILE.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("\t")]


def targets() -> list[dict[str, Any]]:
    """What the manifests of the crates say of test programs."""
    manifests = sorted(ROOT.glob("crates/*/Cargo.toml"))
    read = [tomllib.loads(path.read_text(encoding="utf-8")) for path in manifests]
    return [test for manifest in read for test in manifest.get("test", [])]


def programs() -> dict[str, str]:
    """The test programs of the crates, and what each needs: features, or a way to be built."""
    needs = {test["name"]: ", ".join(test.get("required-features", [])) for test in targets()}
    found = {}
    for path in sorted(ROOT.glob("crates/*/tests/*")):
        if path.name not in SUPPORT and (path.suffix == ".rs" or (path / "main.rs").exists()):
            found[path.stem] = needs.get(path.stem) or LEFT_TO_A_CFG.get(path.stem, "")
    return found


class OneList(unittest.TestCase):
    def test_the_page_has_the_suites_of_the_makefile(self) -> None:
        documented = [name for row in table("Suites") for name in ticked(row[0])]
        run = [name for line in recipes() for name in re.findall(r"\$\(RAN\) ([\w-]+) --", line)]
        self.assertEqual(sorted(documented), sorted(run))
        self.assertGreater(len(run), 10)

    def test_the_page_says_what_make_test_runs(self) -> None:
        rows = [row for row in table("Suites") if "make test" in ticked(row[1])]
        tested = [name for row in rows for name in ticked(row[0])]
        self.assertEqual(tested, variable("TESTED"))

    def test_the_words_of_the_page_are_words_of_make(self) -> None:
        words = {
            word for row in table("Suites") for cell in ticked(row[1]) for word in cell.split()[1:]
        }
        for word in words:
            self.assertRegex(MAKEFILE, rf"(?m)^{word}:")

    def test_each_runner_in_a_recipe_is_counted(self) -> None:
        for line in recipes():
            if RUNNERS.search(line) and "pip install" not in line:
                self.assertIn("$(RAN) ", line)

    def test_the_page_has_the_programs_of_the_crates(self) -> None:
        documented = {}
        for row in table("Targets"):
            if program := re.fullmatch(r"`(\w+)`(?: of `[\w-]+`)?(?: \((.*)\))?", row[0]):
                documented[program[1]] = (program[2] or "").replace("`", "")
        self.assertEqual(documented, programs())

    def test_what_cargo_does_not_run_by_itself_is_named_in_the_makefile(self) -> None:
        named = set(re.findall(r"--test (\w+)", MAKEFILE))
        self.assertLessEqual(named, set(programs()))
        for test in targets():
            if not test.get("test", True) or "defects" in test.get("required-features", []):
                self.assertIn(test["name"], named)

    def test_only_programs_with_a_build_of_their_own_may_compile_to_nothing(self) -> None:
        gates = re.compile(r"^#!\[cfg\((?!target_arch)", re.MULTILINE)
        mains = [*ROOT.glob("crates/*/tests/*/main.rs"), *ROOT.glob("crates/*/tests/*.rs")]
        gated = {
            path.parent.name if path.name == "main.rs" else path.stem
            for path in mains
            if gates.search(path.read_text(encoding="utf-8"))
        }
        self.assertEqual(gated, set(LEFT_TO_A_CFG))

    def test_the_page_has_the_tests_of_python_and_of_the_scripts(self) -> None:
        python = ROOT / "python/tests"
        files = {path.relative_to(python).as_posix() for path in python.rglob("test_*.py")}
        self.assert_listed(files, [name for row in table(FACE) for name in ticked(row[0])])
        files = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("scripts/**/test_*.py")}
        listed = [name for row in table("Targets") for name in ticked(row[0])]
        self.assert_listed(files, [name for name in listed if name.startswith("scripts/")])

    def assert_listed(self, files: set[str], names: list[str]) -> None:
        """Assert that each file has a name, its own or its folder's, and each name has a file."""
        left = set(files)
        for name in names:
            named = {file for file in files if file.removesuffix(".py") == name.removesuffix(".py")}
            if name.endswith("/"):
                named = {file for file in files if file.startswith(name)}
            self.assertTrue(named, f"docs/testing.md lists {name}, which is not there")
            left -= named
        self.assertEqual(left, set(), "not in docs/testing.md")

    def test_continuous_integration_runs_what_the_page_says(self) -> None:
        script = (ROOT / ".ci/run").read_text(encoding="utf-8")
        run = re.findall(r"^time (make \w+)$", script, re.MULTILINE)
        sentence = re.search(r"`\.ci/run` runs ([^.]*)\.", PAGE)
        assert sentence, "docs/testing.md does not say what .ci/run runs"
        self.assertEqual(run, ticked(sentence[1]))
        self.assertIn("make test", run)


if __name__ == "__main__":
    unittest.main()
