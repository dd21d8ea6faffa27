"""Tests of tidy.py: each rule sees the violation planted for it, and nothing in a clean tree.

Goal: a rule that stops seeing is noticed, and so is one that sees what is not there.
Method: write a small tree that keeps all rules into a temporary folder, plant one file in it, and
compare what `check` finds with what that file breaks.

Not here: whether the real tree keeps the rules; `make test` runs tidy.py itself for that.
"""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import tidy
from sources import PythonSource, RustSource

FLOORS = """# Architecture

| floor | asks |
|---|---|
| `heap` `check` | is it whole? |
| `journal/` | what was here? |
| `sync/` | whose turn? |
| `memory/` | where? |
| `os/` | what does the kernel say? |
| `error` | why not? |
"""
OPENING = "//! What this file does.\n//!\n//! Not here: anything else.\n"
DOCSTRING = '"""What this file does.\n\nNot here: anything else.\n"""\n'
ENGINE = "crates/coheap-core/src/"


class TidyCase(unittest.TestCase):
    """A temporary tree that keeps all rules, to plant violations in."""

    def setUp(self):
        """Write the clean tree."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("ARCHITECTURE.md", FLOORS)
        self.plant(ENGINE + "lib.rs", "mod error;\npub mod heap;\npub use heap::{Heap, Options};\n")
        self.plant(ENGINE + "heap.rs", "use crate::{journal::Change, os};\npub struct Heap;\n")

    def write(self, path, text):
        """Write `text` to the file at `path`, making its folders."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def plant(self, path, text):
        """Write `text` to the source file at `path`, below an opening that keeps the rule."""
        self.write(path, (OPENING if path.endswith(".rs") else DOCSTRING) + text)

    def findings(self):
        """List what breaks the rules, as `path:line`, then a word to look for in the message."""
        return tidy.check(self.root)

    def assert_finds(self, path, line, words):
        """Assert that exactly one thing is found: at `path:line`, with `words` in its message."""
        found = self.findings()
        self.assertEqual([(path, line)], [(each.path, each.line) for each in found], found)
        self.assertIn(words, found[0].message)

    def assert_clean(self):
        """Assert that nothing is found."""
        self.assertEqual([], self.findings())


class Floors(TidyCase):
    """`check_floors`."""

    def test_a_clean_tree_has_no_findings(self):
        self.assert_clean()

    def test_a_path_to_a_floor_above_is_found(self):
        self.plant(ENGINE + "sync/turn.rs", "fn f() {\n    crate::journal::undo();\n}\n")
        self.assert_finds(ENGINE + "sync/turn.rs", 5, "`sync` looks up to floor `journal`")

    def test_a_name_in_a_group_of_uses_is_found_on_its_line(self):
        uses = "use crate::{\n    error::Error,\n    journal::{Change, undo as back},\n};\n"
        self.plant(ENGINE + "sync/turn.rs", uses)
        lines = {(each.line, "`journal`" in each.message) for each in self.findings()}
        self.assertEqual({(6, True)}, lines)

    def test_super_is_followed_to_the_floor_it_leads_to(self):
        self.plant(
            ENGINE + "memory/region.rs",
            "use super::offset::Offset;\nuse super::super::sync::Turn;\n",
        )
        self.assert_finds(ENGINE + "memory/region.rs", 5, "`sync`")

    def test_a_reexport_of_the_root_is_the_floor_it_comes_from(self):
        self.plant(ENGINE + "sync/mod.rs", "use crate::Options;\n")
        self.assert_finds(ENGINE + "sync/mod.rs", 4, "floor `heap`")

    def test_importing_everything_is_found(self):
        self.plant(ENGINE + "journal/mod.rs", "use crate::*;\n")
        self.assert_finds(ENGINE + "journal/mod.rs", 4, "hides")

    def test_a_module_without_a_floor_is_found(self):
        self.plant(ENGINE + "attic.rs", "")
        self.assert_finds(ENGINE + "attic.rs", 1, "`attic` has no floor")

    def test_tests_and_comments_and_strings_may_look_up(self):
        self.plant(ENGINE + "sync/tests.rs", "use crate::heap::Heap;\n")
        self.plant(
            ENGINE + "sync/mod.rs",
            '// crate::heap\n/* /* */ crate::heap */ const A: &str = r#"crate::heap "#;\n'
            "const QUOTE: (char, u8) = ('\"', b'\\'');\nfn f<'a>(a: &'a str) -> &'a str { a }\n"
            '#[cfg(test)]\n#[expect(unused, reason = "a test")]\nmod tests {\n'
            "    use crate::heap::Heap;\n    fn f() { crate::journal::undo() }\n}\n"
            "#[cfg(test)]\nuse crate::{heap::Heap, journal::Change};\n",
        )
        self.assert_clean()

    def test_code_after_a_test_module_is_still_checked(self):
        tests = "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\nuse crate::heap::Heap;\n"
        self.plant(ENGINE + "sync/mod.rs", tests)
        self.assert_finds(ENGINE + "sync/mod.rs", 8, "floor `heap`")

    def test_a_missing_table_is_found(self):
        self.write("ARCHITECTURE.md", "# Architecture\n")
        self.assert_finds("ARCHITECTURE.md", 1, "no floor table")


class Walls(TidyCase):
    """`check_unsafe_wall`, `check_os_wall` and `check_atomics`."""

    def test_unsafe_code_outside_of_its_wall_is_found_even_in_unit_tests(self):
        self.plant(ENGINE + "sync/tests.rs", "fn f() {\n    unsafe { g() }\n}\n")
        self.assert_finds(ENGINE + "sync/tests.rs", 5, "unsafe")

    def test_unsafe_code_behind_its_wall_is_not_found(self):
        for path in (
            ENGINE + "os/linux.rs",
            ENGINE + "memory/region.rs",
            "crates/coheap/tests/a.rs",
        ):
            self.plant(path, "unsafe fn f() {}\n")
        self.plant(
            "crates/coheap/src/lib.rs",
            '#![forbid(unsafe_code)]\n// unsafe\nconst A: &str = "unsafe";\n',
        )
        self.assert_clean()

    def test_each_name_of_the_operating_system_outside_of_its_floor_is_found(self):
        for code in (
            "use libc::getpid;",
            "use rustix::{fs, mm};",
            "use std::{os::fd::OwnedFd};",
            '#[cfg(target_os = "linux")]',
            '#[cfg(all(unix, not(target_os = "macos")))]',
            "#[cfg(not(unix))]",
            "const A: bool = cfg!(windows);",
        ):
            with self.subTest(code):
                self.plant("crates/coheap/src/heap.rs", f"{code}\nfn f() {{}}\n")
                lines = {(each.path, each.line) for each in self.findings()}
                self.assertEqual({("crates/coheap/src/heap.rs", 4)}, lines)

    def test_the_operating_system_may_be_named_on_its_floor_and_in_tests(self):
        for path in (ENGINE + "os/linux.rs", "crates/coheap/tests/process.rs"):
            self.plant(path, 'use libc::getpid;\n#[cfg(target_os = "linux")]\nuse std::os::fd;\n')
        self.assert_clean()

    def test_a_python_file_that_asks_for_the_platform_is_found(self):
        self.plant("python/coheap/pool.py", "import sys\n\nif sys.platform == 'x':\n    pass\n")
        self.assert_finds("python/coheap/pool.py", 7, "sys.platform")
        self.plant("python/coheap/pool.py", "from sys import argv, platform\n")
        self.assert_finds("python/coheap/pool.py", 5, "sys.platform")

    def test_raw_atomics_and_locks_above_memory_are_found(self):
        self.plant(
            ENGINE + "sync/turn.rs", "use std::sync::{\n    Mutex,\n    atomic::AtomicU32,\n};\n"
        )
        self.assertEqual([5, 6], [each.line for each in self.findings()])

    def test_orderings_are_no_atomics_and_other_crates_are_free(self):
        self.plant(ENGINE + "sync/turn.rs", "use std::sync::{Arc, OnceLock, atomic::Ordering};\n")
        self.plant(ENGINE + "memory/atomic.rs", "use std::sync::atomic::AtomicU32;\n")
        self.plant("crates/coheap/src/pool.rs", "use std::sync::Mutex;\n")
        self.assert_clean()


class Words(TidyCase):
    """`check_opening`, `check_marks`, `check_names` and `check_syntax`."""

    def test_a_file_without_an_opening_is_found(self):
        for path in (ENGINE + "error.rs", "scripts/demo.py", "python/coheap/__init__.py"):
            with self.subTest(path):
                self.write(path, "")
                self.assert_finds(path, 1, "opens with 0 lines")
                (self.root / path).unlink()

    def test_an_opening_that_is_too_short_or_too_long_is_found(self):
        for lines in (2, 16):
            self.write(ENGINE + "error.rs", "//! More.\n" * lines)
            self.assert_finds(ENGINE + "error.rs", 1, f"opens with {lines} lines")
        self.write("scripts/demo.py", '"""Too short."""\n')
        (self.root / ENGINE / "error.rs").unlink()
        self.assert_finds("scripts/demo.py", 1, "opens with 1 lines")

    def test_what_stands_below_a_heading_or_in_an_example_is_no_longer_the_opening(self):
        self.write(ENGINE + "error.rs", "//! More.\n//!\n//! # The protocol\n" + "//! More.\n" * 30)
        self.write("crates/coheap/src/lib.rs", OPENING + "//! ```\n" + "//! f();\n" * 30)
        self.assert_clean()

    def test_marks_without_an_issue_are_found(self):
        for mark, comment in (("TODO", "// TODO: later"), ("FIXME", "/* FIXME(#1) */")):
            with self.subTest(mark):
                self.plant(ENGINE + "error.rs", f"{comment}\n")
                self.assert_finds(ENGINE + "error.rs", 4, mark)
        self.plant(ENGINE + "error.rs", '// TODO(#12): later\nconst A: &str = "TODO";\n')
        self.plant("scripts/demo.py", "A = 'x'  # TODO later\n")
        self.assert_finds("scripts/demo.py", 5, "TODO")

    def test_empty_names_are_found(self):
        for path in ("crates/coheap/tests/common/mod.rs", "crates/coheap/src/string_util.rs"):
            with self.subTest(path):
                self.plant(path, "")
                self.assertIn("says nothing", self.findings()[0].message)
                (self.root / path).unlink()
        (self.root / "crates/coheap/tests/common").rmdir()
        self.plant("python/coheap/util.py", "")
        self.plant("python/coheap/managers.py", "")
        self.assert_clean()

    def test_python_that_cannot_be_parsed_is_found(self):
        self.plant("scripts/demo.py", "def f(:\n")
        self.assert_finds("scripts/demo.py", 5, "not Python")


class Labels(TidyCase):
    """`check_labels`."""

    def label(self, path, *labels):
        """Write a source file whose opening has an invariant for each of `labels`, from line 4."""
        items = "".join(f"//! - **{label}** Something holds.\n" for label in labels)
        self.write(path, OPENING + items)

    def test_labels_after_their_file_or_folder_can_be_cited_anywhere(self):
        self.label(ENGINE + "memory/region.rs", "Region.1", "Region.2")
        self.label(ENGINE + "sync/work_queue/mod.rs", "WorkQueue.1")
        self.plant(ENGINE + "sync/turn.rs", "// SAFETY: it is inside (Region.2, WorkQueue.1).\n")
        self.write("docs/recovery.md", "By Region.1 it is mapped.\n")
        self.assert_clean()

    def test_a_label_that_is_not_after_its_file_is_found(self):
        for label in "R1", "Turn.1", "Region1", "Region.1a1":
            with self.subTest(label):
                self.label(ENGINE + "memory/region.rs", label)
                self.assert_finds(ENGINE + "memory/region.rs", 4, "`Region.1` and so on")

    def test_a_label_that_stands_twice_is_found(self):
        self.label(ENGINE + "memory/region.rs", "Region.1", "Region.1")
        self.assert_finds(ENGINE + "memory/region.rs", 5, "stands in")

    def test_a_label_of_two_files_is_found(self):
        self.label(ENGINE + "memory/region.rs", "Region.1")
        self.label(ENGINE + "sync/region/mod.rs", "Region.1")
        self.assert_finds(ENGINE + "sync/region/mod.rs", 4, "memory/region.rs")

    def test_a_cited_label_that_does_not_exist_is_found(self):
        self.label(ENGINE + "memory/region.rs", "Region.1")
        self.plant(ENGINE + "sync/turn.rs", "// SAFETY: it is inside (Region.1, Region.2).\n")
        self.assert_finds(ENGINE + "sync/turn.rs", 4, "`Region.2` is no invariant")

    def test_a_page_that_cites_what_does_not_exist_is_found(self):
        self.write("docs/recovery.md", "Read on.\nBy Region.1 it is mapped.\n")
        self.assert_finds("docs/recovery.md", 2, "`Region.1` is no invariant")


class Lengths(TidyCase):
    """`check_lengths`, `check_folders` and the ratchet."""

    def long_file(self, lines):
        """Write a source file of so many lines, and give its path."""
        self.plant("crates/coheap/src/heap.rs", "// More.\n" * (lines - 3))
        return "crates/coheap/src/heap.rs"

    def test_a_file_may_have_five_hundred_lines_without_its_tests(self):
        path = self.long_file(500)
        tests = "#[cfg(test)]\nmod tests {\n" + "// More.\n" * 90 + "}\n"
        with (self.root / path).open("a", encoding="utf-8") as file:
            file.write(tests)
        self.plant("crates/coheap/tests/heap.rs", "// More.\n" * 600)
        self.assert_clean()
        self.assert_finds(self.long_file(501), 1, "the file has 501 lines, 500 at most")

    def test_a_function_may_have_seventy_lines(self):
        for lines, expected in ((70, 0), (71, 1)):
            rust = (
                "impl A {\n    fn long(a: [u8; 3]) -> u8 {\n" + "a;\n" * (lines - 2) + "    }\n}\n"
            )
            self.plant("crates/coheap/src/heap.rs", rust)
            python = 'def long():\n    """Explain."""\n' + "    f()\n" * (lines - 1)
            self.plant("scripts/demo.py", python)
            self.assertEqual([5] * 2 * expected, [each.line for each in self.findings()])

    def test_what_is_in_the_ratchet_may_stay_but_not_grow(self):
        path = self.long_file(510)
        self.write(tidy.RATCHET, f"# Long.\n510 {path}\n")
        self.assert_clean()
        self.assert_finds(self.long_file(511), 1, "511 lines, 510 at most")

    def test_update_lowers_the_ratchet_and_never_raises_it(self):
        path = self.long_file(505)
        self.write(tidy.RATCHET, f"# Long.\n510 {path}\n80 {path} gone\n")
        self.assertEqual(
            [(tidy.RATCHET, 2), (tidy.RATCHET, 3)], [(f.path, f.line) for f in self.findings()]
        )
        self.assertEqual((0, ""), self.run_tidy("--update"))
        self.assertEqual(f"# Long.\n505 {path}\n", (self.root / tidy.RATCHET).read_text())
        self.long_file(520)
        status, output = self.run_tidy("--update")
        self.assertEqual(1, status)
        self.assertIn(f"{path}:1: the file has 520 lines, 505 at most", output)

    def test_a_folder_may_have_twelve_entries(self):
        for number in range(12):
            self.plant(f"crates/coheap/src/map/part_{number}.rs", "")
            self.plant(f"python/coheap/part_{number}.py", "")
        self.write("crates/coheap/src/map/__pycache__/x.pyc", "")
        self.plant("python/coheap/pool.py", "")
        self.assert_clean()
        self.plant("crates/coheap/src/map/heap.rs", "")
        self.assert_finds("crates/coheap/src/map", 1, "13 entries")

    def run_tidy(self, *arguments):
        """Run tidy as from the shell; give its exit status and what it printed."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
            status = tidy.main(["--root", str(self.root), *arguments])
        return status, output.getvalue()


class Circles(TidyCase):
    """`check_circles`, and how `circles.py` follows names to the files that define them."""

    A = "crates/face/src/a.rs"
    B = "crates/face/src/b.rs"

    def setUp(self):
        """Add a crate with two files, of which one needs the other."""
        super().setUp()
        self.plant("crates/face/src/lib.rs", "mod a;\nmod b;\n")
        self.plant(self.A, "use crate::b::B;\n")
        self.plant(self.B, "pub struct B;\n")

    def allow(self, *lines):
        """Write the list of what is allowed."""
        self.write(
            "scripts/lists/tidy-circles.txt", "# Why.\n\n" + "".join(f"{each}\n" for each in lines)
        )

    def test_files_in_order_are_no_circle(self):
        self.assert_clean()

    def test_two_files_that_import_from_each_other_are_found(self):
        self.plant(self.B, "pub struct B;\nuse crate::a::A;\n")
        self.assert_finds(self.A, 4, "a.rs -> b.rs -> a.rs")

    def test_a_path_in_code_closes_a_circle(self):
        self.plant(self.B, "use super::a;\nfn f() {\n    a::g();\n}\n")
        self.assert_finds(self.A, 4, "a.rs -> b.rs -> a.rs")

    def test_a_longer_circle_is_told_from_file_to_file(self):
        self.plant(self.B, "use crate::c::{self, d::D};\n")
        self.plant("crates/face/src/c/mod.rs", "pub mod d;\n")
        self.plant("crates/face/src/c/d.rs", "pub struct D(crate::a::A);\n")
        self.assert_finds(self.A, 4, "a.rs -> b.rs -> c/d.rs -> a.rs")

    def test_what_a_parent_hands_on_is_followed_to_the_child_that_defines_it(self):
        self.plant(self.B, "pub struct B;\nuse crate::c::{D, E};\n")
        self.plant("crates/face/src/c/mod.rs", "mod d;\nmod e;\npub use d::D;\npub use e::E;\n")
        self.plant("crates/face/src/c/d.rs", "pub struct D;\n")
        self.plant("crates/face/src/c/e.rs", "use crate::c::D;\nuse crate::b::B as Other;\n")
        self.assert_finds(self.B, 5, "b.rs -> c/e.rs -> b.rs")

    def test_what_a_child_takes_from_its_parent_is_not_counted(self):
        self.plant(self.B, "mod c;\npub struct B;\nfn f() {\n    c::g();\n}\n")
        self.plant("crates/face/src/b/c.rs", "use super::B;\n")
        self.assert_clean()

    def test_a_child_at_a_path_of_its_own_is_found_there(self):
        self.plant(self.B, '#[path = "linux/mod.rs"]\nmod system;\npub use system::B;\n')
        self.plant("crates/face/src/b/linux/mod.rs", "pub struct B(crate::a::A);\n")
        self.assert_finds(self.A, 4, "a.rs -> b/linux/mod.rs -> a.rs")

    def test_tests_may_close_a_circle(self):
        self.plant(self.B, "pub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n")
        self.plant("crates/face/src/b/tests.rs", "use crate::a::A;\n")
        self.assert_clean()

    def test_an_allowed_arrow_closes_no_circle(self):
        self.plant(self.B, "use crate::a::A;\n")
        self.allow("crates/face/src/", "b.rs -> a.rs: a reason")
        self.assert_clean()

    def test_an_arrow_without_a_reason_is_not_allowed(self):
        self.plant(self.B, "use crate::a::A;\n")
        self.allow("crates/face/src/", "b.rs -> a.rs")
        lines = {(each.path, each.line) for each in self.findings()}
        self.assertEqual({(self.A, 4), ("scripts/lists/tidy-circles.txt", 4)}, lines)

    def test_an_allowed_arrow_that_closes_no_circle_any_more_is_found(self):
        self.allow("crates/face/src/", "a.rs -> b.rs: a reason")
        self.assert_finds("scripts/lists/tidy-circles.txt", 4, "closes no circle")

    def test_an_allowed_arrow_that_is_no_more_is_found(self):
        self.allow("crates/face/src/", "b.rs -> a.rs: a reason")
        self.assert_finds("scripts/lists/tidy-circles.txt", 4, "is no more")


class Sources(unittest.TestCase):
    """`RustSource` and `PythonSource`, where the rules above do not reach."""

    def test_blanked_code_keeps_every_offset(self):
        text = 'let a = "x\\"y\n"; // b\n/* c\n */ let d = r##"e"#\n"##;\n'
        code = RustSource("a.rs", text).code
        self.assertEqual(len(text), len(code))
        self.assertEqual(text.count("\n"), code.count("\n"))
        self.assertEqual(["let", "a", "=", ";", "let", "d", "=", ";"], code.split())

    def test_paths_of_nested_groups_are_written_out(self):
        source = RustSource(
            "a.rs", "pub use a::{self, b::{c, *}, d as e};\nfn f() { g::h(i::j { k }) }"
        )
        paths = ["::".join(path) for _, path in source.paths()]
        for path in ("a::self", "a::b::c", "a::b::*", "a::d", "g::h", "i::j", "k"):
            self.assertIn(path, paths)

    def test_functions_without_a_body_are_skipped(self):
        source = RustSource(
            "a.rs", "trait A { fn a(&self); fn b() -> [u8; 2]\n where Self: Sized {\n } }"
        )
        self.assertEqual([("b", 3)], [(each.name, each.length) for each in source.functions()])

    def test_docstrings_do_not_count_as_length(self):
        source = PythonSource("a.py", 'def f():\n    """A.\n\n    B.\n    """\n    return 1\n')
        self.assertEqual([("f", 2)], [(each.name, each.length) for each in source.functions()])


if __name__ == "__main__":
    unittest.main()
