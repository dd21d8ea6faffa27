"""ARCHITECTURE.md against the tree: its files exist, all files are in it, its trace and minutes hold.

Goal: the map of the code does not go stale.
Method: the tables of files name files and folders, and the tree is compared with them both ways;
each `file: function` of the trace is looked up in its file; the minutes of the reading route are
computed anew from the lengths of what is to be read.

Not here: the table of floors, which `tidy.py` reads.
"""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
ENGINE = ROOT / "crates/coheap-core/src"
PYTHON_FACE = ROOT / "crates/coheap-py/src"

FILES = "What is in each file"
OF_FACE = "The Python face:"
PLACE = f"ARCHITECTURE.md, section {FILES!r}"
TABLE_OF_ENGINE = f"{PLACE}, first table (below {ENGINE.relative_to(ROOT)}/)"
LIST_OF_FACE = f"{PLACE}, paragraph and table after {OF_FACE!r}"

WORDS_A_MINUTE = 200
LINES_A_MINUTE = 27


def section(heading: str) -> str:
    """What stands below a heading, up to the next one."""
    _, found, rest = PAGE.partition(f"\n## {heading}\n")
    assert found, f"ARCHITECTURE.md has no section {heading!r}"
    return rest.partition("\n## ")[0]


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table, without its head."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    rows = [[line.strip("|").split("|") for line in block.splitlines()[2:]] for block in blocks]
    return [[[cell.strip() for cell in row] for row in block] for block in rows]


def ticked(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def named(row: list[str], base: Path) -> list[Path]:
    """The paths in the first cell of a row: after the first, a bare name lies beside it."""
    first, *others = ticked(row[0])
    beside = (base / first).parent
    return [base / first, *(beside / name for name in others)]


def is_module(folder: Path, name: str) -> bool:
    """Whether a folder has a module of this name."""
    return (folder / f"{name}.rs").is_file() or (folder / name).is_dir()


class FilesOfTheTree(unittest.TestCase):
    def test_what_the_tables_name_exists(self) -> None:
        of_engine, of_face = tables(section(FILES))
        for rows, base in ((of_engine, ENGINE), (of_face, PYTHON_FACE)):
            for row in rows:
                for path in named(row, base):
                    self.assertTrue(path.exists(), f"{PLACE}, names {path}, which is not there")

    def test_the_modules_that_a_row_names_are_in_its_folder(self) -> None:
        checked = 0
        for row in tables(section(FILES))[0]:
            folders = [path for path in named(row, ENGINE) if path.is_dir()]
            names = [word for word in ticked(row[1]) if re.fullmatch(r"[a-z_]+/?", word)]
            for name in names if folders else []:
                found = any(is_module(folder, name.strip("/")) for folder in folders)
                self.assertTrue(found, f"{TABLE_OF_ENGINE}: {row[0]} has no {name}")
                checked += 1
        self.assertGreater(checked, 30)

    def test_every_file_of_the_engine_is_in_a_row(self) -> None:
        rows = tables(section(FILES))[0]
        covered = [path for row in rows for path in named(row, ENGINE)]
        for path in ENGINE.rglob("*.rs"):
            is_idea_of_a_floor = path.name in ("mod.rs", "lib.rs") or path.name == "tests.rs"
            is_covered = any(path == known or known in path.parents for known in covered)
            self.assertTrue(
                is_covered or is_idea_of_a_floor,
                f"{TABLE_OF_ENGINE}, has no row for {path.relative_to(ENGINE)}",
            )

    def test_every_file_of_the_python_face_is_named(self) -> None:
        text = section(FILES).partition(OF_FACE)[2]
        words = {word.strip("/").removesuffix(".rs").removesuffix(".py") for word in ticked(text)}
        of_rust = [path for path in PYTHON_FACE.iterdir() if path.name != "lib.rs"]
        of_python = (ROOT / "python/coheap").glob("_*.py")
        for path in [*of_rust, *(path for path in of_python if path.name != "__init__.py")]:
            self.assertTrue(
                path.stem in words,
                f"{LIST_OF_FACE}, does not name `{path.stem}` ({path.relative_to(ROOT)})",
            )

    def test_the_walls_stand_where_there_is_something(self) -> None:
        for row in tables(section("The walls"))[0]:
            for word in ticked(row[1]):
                if "/" in word and word != "journal/":
                    bases = (ROOT, ROOT / "crates", ENGINE)
                    self.assertTrue(any((base / word).exists() for base in bases), word)


class Trace(unittest.TestCase):
    def test_each_function_of_the_trace_is_in_its_file(self) -> None:
        block = section("One write, from Python to the two doors").split("```")[1]
        steps = re.findall(r"^(\S+\.rs): (\w+)\s", block, re.MULTILINE)
        self.assertEqual(len(steps), 10)
        for file, function in steps:
            text = (ROOT / "crates" / file).read_text(encoding="utf-8")
            self.assertRegex(text, rf"\bfn {function}\b", f"{file} has no {function}")


class Route(unittest.TestCase):
    def test_the_minutes_are_those_that_the_reading_takes(self) -> None:
        rows = tables(section("Reading it in two hours"))[0]
        total = 0
        for minutes, what, _ in rows:
            total += int(minutes)
            expected = sum(map(self.minutes_of, ticked(what))) or self.minutes_of("ARCHITECTURE.md")
            if "drawing" not in what:
                self.assertLess(abs(int(minutes) - expected), 3, f"{what}: {expected:.0f} minutes")
        self.assertLess(abs(total - 120), 15, f"the route takes {total} minutes")

    def minutes_of(self, path: str) -> float:
        """How long it takes to read a file."""
        known = [base / path for base in (ROOT, ENGINE) if (base / path).is_file()]
        text = known[0].read_text(encoding="utf-8")
        if path.endswith(".md"):
            return len(text.split()) / WORDS_A_MINUTE
        return len(text.splitlines()) / LINES_A_MINUTE


if __name__ == "__main__":
    unittest.main()
