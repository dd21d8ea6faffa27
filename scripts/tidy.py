"""Checks the house rules that no compiler knows: floors, walls, circles, lengths and names.

    python3 scripts/tidy.py             print what breaks a rule, as path:line: message
    python3 scripts/tidy.py --update    lower the ratchet to the lengths of today

The order of the floors is read from the table in ARCHITECTURE.md, so that page cannot go stale.
What is longer than allowed today stands with its length in `tidy-ratchet.txt`. It may shrink and
never grow; `--update` only lowers, and a new line is written by hand, for a reviewer to see.

Not here: how a file is read (`sources.py`), which files need each other in a circle (`circles.py`),
and what rustfmt, clippy and ruff check already.
"""

import argparse
import ast
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import TypeGuard

import circles
from sources import PythonSource, RustSource, Source, line_of

ENGINE = "crates/coheap-core/src/"
OS = ENGINE + "os/"
MEMORY = ENGINE + "memory/"
ARROW = "crates/coheap-py/src/append/stream.rs"
UNLOCKED = "crates/coheap-py/src/apart.rs"
UNSAFE_WALL = (OS, MEMORY, ARROW, UNLOCKED, "bench/")

FILE_LINES = 500
FUNCTION_LINES = 70
OPENING_LINES = (3, 15)
FOLDER_ENTRIES = 12
WIDE_FOLDERS = re.compile(r"|python/coheap|crates/[^/]+(/src)?|crates/[^/]+/tests|crates/.*/kinds")
"""The root; what the standard library listed; crates, whose files their design lists; and folders
with an entry for each kind of object, which the table of kinds lists."""

EMPTY_NAMES = {"util", "utils", "common", "helper", "helpers", "misc", "manager"}
NAMED_BY_THE_STANDARD_LIBRARY = {"python/coheap/util.py"}
RAW_LOCKS = {"Mutex", "RwLock", "Condvar"}
SYSTEM_CFG = re.compile(r"\btarget_(os|family)\b|\bcfg(_attr)?!?\([^)\]]*?\b(unix|windows)\b")
GENERATED = {"target", "dist", "venv", "__pycache__", "node_modules", "corpus", "artifacts"}
RATCHET = "scripts/lists/tidy-ratchet.txt"
LABEL = re.compile(r"\b((?:[A-Z][a-z]+)+)\.\d+\b")
LABELLED = re.compile(r"^//! - \*\*(\w+(?:\.\w*)?\d)\*\*", re.MULTILINE)
"""How an invariant is cited, `Region.2`, and where it stands in the comment that opens a file."""


@dataclass(frozen=True, order=True)
class Finding:
    """One place that breaks a rule, and what to do about it."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        """Show the finding the way compilers do, so that editors can jump to it."""
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Measure:
    """The length of something too long for the house, under the name it has in the ratchet."""

    name: str
    path: str
    line: int
    length: int
    limit: int


class Tree:
    """The files below a root, without what tools have generated."""

    def __init__(self, root: Path) -> None:
        """Look at the tree below `root`; nothing is read yet."""
        self.root = root

    @cached_property
    def folders(self) -> dict[str, list[str]]:
        """Every folder, relative to the root (itself ""), with its visible entries in order."""
        found = {}
        for here, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if _is_kept(name)]
            path = Path(here).relative_to(self.root).as_posix()
            found["" if path == "." else path] = sorted([*folders, *filter(_is_kept, files)])
        return found

    @cached_property
    def sources(self) -> list[Source]:
        """The Rust and Python files of the tree, in order."""
        kinds = {".rs": RustSource, ".py": PythonSource}
        found = []
        for folder, entries in self.folders.items():
            for entry in entries:
                path = f"{folder}/{entry}".lstrip("/")
                kind = kinds.get(PurePosixPath(entry).suffix)
                if kind and path not in self.folders:
                    found.append(kind(path, self.read(path)))
        return sorted(found, key=lambda source: source.path)

    @cached_property
    def floors(self) -> list[set[str]]:
        """The floors of the engine from the top down, each with the modules that stand on it."""
        floors: list[set[str]] = []
        for line in self.read("ARCHITECTURE.md").partition("| floor |")[2].splitlines()[1:]:
            if not line.startswith("|"):
                break
            if names := re.findall(r"`(\w+)/?`", line.split("|")[1]):
                floors.append(set(names))
        return floors

    @cached_property
    def ratchet(self) -> dict[str, tuple[int, int]]:
        """What is allowed to be longer today: its name, its line in the ratchet, its length."""
        allowed = {}
        for number, line in enumerate(self.read(RATCHET).splitlines(), 1):
            if line and not line.startswith("#"):
                length, name = line.split(maxsplit=1)
                allowed[name] = (number, int(length))
        return allowed

    def read(self, path: str) -> str:
        """Give the text of the file at `path`, which is empty where there is no such file."""
        file = self.root / path
        return file.read_text(encoding="utf-8") if file.exists() else ""


def check_syntax(tree: Tree) -> Iterator[Finding]:
    """Python files are Python, or no other rule can be checked."""
    for source in tree.sources:
        if isinstance(source, PythonSource):
            try:
                ast.parse(source.text)
            except SyntaxError as error:
                yield Finding(source.path, error.lineno or 1, f"not Python: {error.msg}")


def check_floors(tree: Tree) -> Iterator[Finding]:
    """Code of the engine uses floors below its own, never one above."""
    if not tree.floors:
        yield Finding("ARCHITECTURE.md", 1, "there is no floor table: it starts with `| floor |`")
        return
    heights = {name: -row for row, names in enumerate(tree.floors) for name in names}
    engine = [source for source in tree.sources if source.path.startswith(ENGINE)]
    aliases = _reexports(engine, heights)
    for source in engine:
        if not isinstance(source, RustSource) or source.path == ENGINE + "lib.rs":
            continue
        module = _module(source.path)
        floor = module[0]
        if floor not in heights:
            yield Finding(source.path, 1, f"`{floor}` has no floor in the table of ARCHITECTURE.md")
        elif not source.is_test:
            for line, path in source.paths():
                target = _crate_path(module, path)
                name = aliases.get(target, target)
                if name == "*":
                    yield Finding(source.path, line, "`crate::*` hides which floors it uses")
                elif heights.get(name, heights[floor]) > heights[floor]:
                    written = "::".join(path)
                    yield Finding(
                        source.path, line, f"`{floor}` looks up to floor `{name}` by `{written}`"
                    )


def check_circles(tree: Tree) -> Iterator[Finding]:
    """Files of a crate need each other in an order, but for the arrows that are allowed."""
    arrows: circles.Arrows = {}
    for crate in circles.crates([each for each in tree.sources if isinstance(each, RustSource)]):
        arrows |= crate.arrows()
    allowed = circles.allowed_in(tree.read(circles.ALLOWED))
    rest = circles.without(arrows, allowed)
    for circle in circles.circles(rest):
        start, second, *_ = circle
        names = " -> ".join(path.partition("src/")[2] for path in [*circle, start])
        message = f"needs itself: {names}; open the circle, or allow an arrow in {circles.ALLOWED}"
        yield Finding(start, rest[start][second], message)
    for each in allowed:
        arrow = f"`{each.start} -> {each.end}`"
        if not each.end:
            yield Finding(circles.ALLOWED, each.line, "an arrow and its reason: `from -> to: why`")
        elif each.end not in arrows.get(each.start, {}):
            yield Finding(circles.ALLOWED, each.line, f"{arrow} is no more: take it out")
        elif not circles.leads(rest, each.end, each.start):
            yield Finding(circles.ALLOWED, each.line, f"{arrow} closes no circle: take it out")


def check_unsafe_wall(source: Source) -> Iterator[Finding]:
    """Unsafe code stands behind the wall, or in a crate's integration tests."""
    if not isinstance(source, RustSource) or source.path.startswith(UNSAFE_WALL):
        return
    if not re.match(r"crates/[^/]+/tests/", source.path):
        for match in re.finditer(r"\bunsafe\b", source.code):
            line = line_of(source.code, match.start())
            yield Finding(source.path, line, "unsafe code outside of its wall (ARCHITECTURE.md)")


def check_os_wall(source: Source) -> Iterator[Finding]:
    """Only `os/` knows the operating system; Python code asks for none."""
    if isinstance(source, PythonSource):
        for node in ast.walk(source.tree):
            if _is_platform(node):
                message = "`sys.platform`: probe for the ability"
                yield Finding(source.path, node.lineno, message)
    if isinstance(source, RustSource) and _is_product(source) and not source.path.startswith(OS):
        for line, path in source.paths():
            if len(path) > 1 and (path[0] in {"libc", "rustix"} or path[:2] == ("std", "os")):
                name = "::".join(path)
                yield Finding(source.path, line, f"`{name}` outside of os/: extend its contract")
        for match in SYSTEM_CFG.finditer(source.product):
            line = line_of(source.product, match.start())
            yield Finding(source.path, line, "asks which system this is, outside of os/")


def check_atomics(source: Source) -> Iterator[Finding]:
    """The engine takes its atomics and locks from its own ground, where loom can stand in."""
    if not isinstance(source, RustSource) or not source.path.startswith(ENGINE):
        return
    if source.is_test or source.path.startswith((OS, MEMORY)):
        return
    for line, path in source.paths():
        if path[:2] not in {("std", "sync"), ("core", "sync")} or path[-1] == "Ordering":
            continue
        if path[2:3] == ("atomic",):
            message = f"raw `{'::'.join(path)}`: use those of memory/, which loom can replace"
            yield Finding(source.path, line, message)
        elif RAW_LOCKS.intersection(path[2:3]):
            message = f"raw `{'::'.join(path)}`: a forked child could not replace it, os/ can"
            yield Finding(source.path, line, message)


def check_opening(source: Source) -> Iterator[Finding]:
    """A file opens with what it does, what always holds, and what is not there."""
    least, most = OPENING_LINES
    if source.opening < least:
        message = f"opens with {source.opening} lines of comment: say what the file does, what"
        yield Finding(source.path, 1, f"{message} always holds and what is not here")
    elif source.lead > most:
        message = f"opens with {source.lead} lines of comment, {most} at most"
        yield Finding(source.path, 1, f"{message}: put what is more below a heading")


def check_marks(source: Source) -> Iterator[Finding]:
    """What is left to do has its issue; what is broken does not reach main."""
    for match in re.finditer(r"\bFIXME\b|\bTODO\b(?!\(#\d+\))", source.comments):
        line = line_of(source.comments, match.start())
        yield Finding(source.path, line, f"{match[0]} in a comment: only TODO(#12), with its issue")


def check_labels(tree: Tree) -> Iterator[Finding]:
    """An invariant has a label of its own, after its file; what cites it cites one that exists."""
    labels: dict[str, str] = {}
    for source in tree.sources:
        for match in LABELLED.finditer(source.comments):
            line, label = line_of(source.comments, match.start(1)), match[1]
            wanted = "".join(word.capitalize() for word in _stem(source.path).split("_"))
            if not re.fullmatch(wanted + r"\.\d+", label):
                message = f"`{label}` is not labelled after its file: `{wanted}.1` and so on"
                yield Finding(source.path, line, message)
            elif label in labels:
                message = f"`{label}` stands in {labels[label]} as well: one label, one invariant"
                yield Finding(source.path, line, message)
            labels[label] = source.path
    texts = [(source.path, source.comments) for source in tree.sources]
    for folder, entries in tree.folders.items():
        pages = [f"{folder}/{entry}".lstrip("/") for entry in entries if entry.endswith(".md")]
        texts += [(page, tree.read(page)) for page in pages]
    for path, text in texts:
        for match in LABEL.finditer(text):
            if match[0] not in labels:
                message = f"`{match[0]}` is no invariant of any file"
                yield Finding(path, line_of(text, match.start()), message)


def check_names(tree: Tree) -> Iterator[Finding]:
    """Files and folders are named after what is in them."""
    for folder, entries in tree.folders.items():
        for entry in entries:
            path = f"{folder}/{entry}".lstrip("/")
            empty = EMPTY_NAMES.intersection(re.split(r"[\W_]+", entry.lower()))
            if empty and path not in NAMED_BY_THE_STANDARD_LIBRARY:
                yield Finding(path, 1, f"`{min(empty)}` says nothing: name the idea that is in it")


def check_folders(tree: Tree) -> Iterator[Finding]:
    """A folder can be taken in at a glance."""
    for folder, entries in tree.folders.items():
        if len(entries) > FOLDER_ENTRIES and not WIDE_FOLDERS.fullmatch(folder):
            message = f"the folder has {len(entries)} entries, {FOLDER_ENTRIES} at most: divide it"
            yield Finding(folder, 1, message)


def check_lengths(tree: Tree) -> Iterator[Finding]:
    """What is long today may not grow; what is short may not become long."""
    measures = {measure.name: measure for measure in measure_long(tree)}
    for name, measure in measures.items():
        _, allowed = tree.ratchet.get(name, (0, measure.limit))
        if measure.length > allowed:
            what = name.removeprefix(measure.path).strip() or "the file"
            message = f"{what} has {measure.length} lines, {allowed} at most: divide it by subject"
            yield Finding(measure.path, measure.line, message)
    for name, (number, allowed) in tree.ratchet.items():
        if name not in measures or measures[name].length < allowed:
            message = f"{name} is shorter than {allowed} lines by now: run scripts/tidy.py --update"
            yield Finding(RATCHET, number, message)


SOURCE_RULES: list[Callable[[Source], Iterator[Finding]]] = [
    check_unsafe_wall,
    check_os_wall,
    check_atomics,
    check_opening,
    check_marks,
]
TREE_RULES: list[Callable[[Tree], Iterator[Finding]]] = [
    check_floors,
    check_labels,
    check_circles,
    check_names,
    check_folders,
    check_lengths,
]


def check(root: Path) -> list[Finding]:
    """Check all rules on the tree below `root` and list what breaks them, in order."""
    tree = Tree(root)
    if broken := [*check_syntax(tree)]:
        return broken
    findings = [finding for rule in TREE_RULES for finding in rule(tree)]
    for source in tree.sources:
        findings += [finding for rule in SOURCE_RULES for finding in rule(source)]
    return sorted(findings)


def measure_long(tree: Tree) -> Iterator[Measure]:
    """Measure every file and function that is longer than the house allows."""
    for source in tree.sources:
        if source.is_test:
            continue
        if source.length > FILE_LINES:
            yield Measure(source.path, source.path, 1, source.length, FILE_LINES)
        longest: dict[str, Measure] = {}
        for function in source.functions():
            name = f"{source.path} {function.name}"
            if function.length > max(FUNCTION_LINES, getattr(longest.get(name), "length", 0)):
                longest[name] = Measure(
                    name, source.path, function.line, function.length, FUNCTION_LINES
                )
        yield from longest.values()


def update_ratchet(root: Path) -> None:
    """Lower each length in the ratchet to that of today; drop what is short by now."""
    tree = Tree(root)
    lengths = {measure.name: measure.length for measure in measure_long(tree)}
    kept = []
    for line in tree.read(RATCHET).splitlines():
        if not line or line.startswith("#"):
            kept.append(line)
            continue
        length, name = line.split(maxsplit=1)
        if name in lengths:
            kept.append(f"{min(int(length), lengths[name])} {name}")
    (root / RATCHET).write_text("\n".join(kept) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and give the exit status: 1 if a rule is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--update", action="store_true", help="lower the ratchet, then check")
    options = parser.parse_args(arguments)
    if options.update:
        update_ratchet(options.root)
    findings = check(options.root)
    for finding in findings:
        print(finding)
    if findings:
        print(f"tidy: {len(findings)} findings; the rules are in CONTRIBUTING.md", file=sys.stderr)
    return 1 if findings else 0


def _is_kept(name: str) -> bool:
    """Whether people wrote the entry, rather than a tool."""
    return not name.startswith(".") and name not in GENERATED and not name.endswith((".so", ".pyc"))


def _is_product(source: Source) -> bool:
    """Whether the file belongs to what users run."""
    return bool(re.match(r"crates/[^/]+/src/", source.path)) and not source.is_test


def _is_platform(node: ast.AST) -> TypeGuard[ast.ImportFrom | ast.Attribute]:
    """Whether `node` asks Python for the name of the operating system."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "sys" and any(name.name == "platform" for name in node.names)
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "platform"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
    )


def _stem(path: str) -> str:
    """Name the file at `path` without its ending, or its folder where that file is its `mod.rs`."""
    file = PurePosixPath(path)
    return file.parent.name if file.stem == "mod" else file.stem


def _module(path: str) -> tuple[str, ...]:
    """Give the module that the file at `path` in the engine is, as segments below the crate."""
    parts = PurePosixPath(path.removeprefix(ENGINE)).with_suffix("").parts
    return parts[:-1] if parts[-1] == "mod" else parts


def _crate_path(module: tuple[str, ...], path: tuple[str, ...]) -> str:
    """Name the first segment below the crate that `path`, written in `module`, leads to."""
    leading = [*takewhile(lambda segment: segment in {"self", "super"}, path)]
    ups = leading.count("super")
    if path[0] == "crate":
        inside = path[1:]
    elif ups:
        inside = module[:-ups] + path[len(leading) :]
    else:
        inside = ()
    return inside[0] if inside else ""


def _reexports(engine: list[Source], heights: dict[str, int]) -> dict[str, str]:
    """Map the names that `lib.rs` re-exports to the floors they come from."""
    for source in engine:
        if source.path == ENGINE + "lib.rs" and isinstance(source, RustSource):
            paths = [path for _, path in source.paths()]
            paths = [path[1:] if path[0] in {"crate", "self"} else path for path in paths]
            return {path[-1]: path[0] for path in paths if len(path) > 1 and path[0] in heights}
    return {}


if __name__ == "__main__":
    sys.exit(main())
