"""Finds circles: files of one Rust crate that need each other, in a loop.

A file needs another where its code names something that the other defines. A name is followed to
the file that defines it: through what is imported (`use a::b;`, then `b::f()`), and through what a
parent hands on (`pub use child::Name;`), which is therefore no need of the parent's own.

What always holds: without the arrows of `tidy-circles.txt`, which stand there with their reasons,
the files of a crate have an order, in which each needs only those after it.

Not counted: methods, for whoever is handed a value may call what its type offers, wherever that
stands; and what a child takes from its parents, for a module and those below it are one thing that
is told in several files.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from sources import RustSource, line_of

ALLOWED = "scripts/tidy-circles.txt"

Module = tuple[str, ...]
"""A module of a crate, as segments below the crate."""

Arrows = dict[str, dict[str, int]]
"""For each file those that it needs, with the line where it first says so."""


@dataclass(frozen=True)
class Allowed:
    """An arrow that may close a circle, and the line that says why; without one it has no ends."""

    start: str
    end: str
    line: int


@dataclass
class Names:
    """What the `use` items of a file bring into it: paths below the crate, by their names."""

    private: dict[str, list[Module]] = field(default_factory=dict)
    handed_on: dict[str, list[Module]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    everything: list[tuple[Module, int]] = field(default_factory=list)

    def of(self, name: str) -> list[Module]:
        """Where `name` leads to."""
        return self.private.get(name, []) + self.handed_on.get(name, [])


class Crate:
    """The files of a crate that are not tests, as modules."""

    def __init__(self, root: str, sources: list[RustSource]) -> None:
        """Take the files below `root`, which ends with `src/`."""
        self.files: dict[Module, RustSource] = {}
        for source in sources:
            parts = PurePosixPath(source.path.removeprefix(root)).with_suffix("").parts
            is_folder = parts[-1] == "mod" or parts == ("lib",)
            self.files[parts[:-1] if is_folder else parts] = source

    @cached_property
    def names(self) -> dict[Module, Names]:
        """What each file imports."""
        return {module: self._names_in(module, self.files[module]) for module in self.files}

    def arrows(self) -> Arrows:
        """List which file needs which."""
        found: Arrows = {}
        for module, source in self.files.items():
            needs: dict[str, int] = {}
            for line, target in self._needs(module, source):
                path = self.files[target].path
                if module[: len(target)] != target:
                    needs[path] = min(line, needs.get(path, line))
            found[source.path] = needs
        return found

    def _needs(self, module: Module, source: RustSource) -> Iterator[tuple[int, Module]]:
        """List the modules that define what the file names, with the lines."""
        names = self.names[module]
        rest = RustSource(source.path, _USE.sub(_blank, source.product))
        words = set(re.findall(r"\w+", rest.code))
        for target, line in names.everything:
            yield from ((line, target) for target, _ in self._defining(target))
        for name, paths in names.private.items():
            for target, is_module in self._all_defining(paths):
                if not is_module:
                    yield names.lines[name], target
        for name, paths in names.handed_on.items():
            for target, is_module in self._all_defining(paths):
                is_own = target[: len(module)] == module
                if not is_module and (name in words or not is_own):
                    yield names.lines[name], target
        for line, path in rest.paths():
            if len(path) > 1:
                for target, is_module in self._all_defining(self._below_crate(module, path)):
                    if not is_module:
                        yield line, target

    def _all_defining(self, paths: list[Module]) -> Iterator[tuple[Module, bool]]:
        for path in paths:
            yield from self._defining(path)

    def _defining(
        self, path: Module, seen: frozenset[Module] = frozenset()
    ) -> Iterator[tuple[Module, bool]]:
        """Follow a path to the modules that define what it names; true for the module itself."""
        module: Module = ()
        if path in seen:
            return
        for number, name in enumerate(path):
            if (*module, name) in self.files:
                module = (*module, name)
                continue
            onward = self.names[module].of(name) if module in self.files else []
            for target in onward:
                yield from self._defining((*target, *path[number + 1 :]), seen | {path})
            if not onward and module in self.files:
                yield module, False
            return
        if module in self.files:
            yield module, True

    def _below_crate(self, module: Module, path: Module) -> list[Module]:
        """Write out what a path in `module` may mean; nothing where it leads to another crate."""
        first, rest = path[0], path[1:]
        if first == "crate":
            return [rest]
        if first == "self":
            return self._below_crate(module, rest) if rest else [module]
        if first == "super":
            above = module[:-1]
            while rest[:1] == ("super",):
                above, rest = above[:-1], rest[1:]
            return [above + rest]
        if (*module, first) in self.files:
            return [(*module, *path)]
        return [(*target, *rest) for target in self.names[module].of(first)]

    def _names_in(self, module: Module, source: RustSource) -> Names:
        """Read the `use` items of a file, and the children that it finds at a path."""
        names = Names()
        for match in _CHILD_AT_PATH.finditer(source.text):
            parts = PurePosixPath(match["path"]).with_suffix("").parts
            target = module + (parts[:-1] if parts[-1] == "mod" else parts)
            if target in self.files:
                names.private.setdefault(match["name"], []).append(target)
                names.lines[match["name"]] = line_of(source.text, match.start())
        for match in _USE.finditer(source.product):
            line = line_of(source.product, match.start("tree"))
            for path, name in _leaves(match["tree"]):
                for target in self._absolute(module, path, names):
                    if name == "*":
                        names.everything.append((target, line))
                        continue
                    kept = names.handed_on if match["pub"] else names.private
                    kept.setdefault(name, []).append(target)
                    names.lines.setdefault(name, line)
        return names

    def _absolute(self, module: Module, path: Module, names: Names) -> list[Module]:
        """As `_below_crate`, while the names of `module` are being read."""
        first = path[0]
        if first in {"crate", "self", "super"} or (*module, first) in self.files:
            return self._below_crate(module, path)
        return [(*target, *path[1:]) for target in names.of(first)]


def crates(sources: list[RustSource]) -> Iterator[Crate]:
    """Sort sources into crates; what lies in no `src/` belongs to none."""
    roots: dict[str, list[RustSource]] = {}
    for source in sources:
        root, is_below, _ = source.path.partition("src/")
        if is_below and not source.is_test:
            roots.setdefault(root + is_below, []).append(source)
    for root, inside in roots.items():
        yield Crate(root, inside)


def allowed_in(text: str) -> list[Allowed]:
    """Read the arrows that may close a circle; a line that ends with `/` names their folder."""
    found, folder = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.endswith("/") and not line.startswith("#"):
            folder = line
        elif line and not line.startswith("#"):
            match = re.fullmatch(r"(\S+) -> (\S+): .+", line)
            start, end = (folder + name for name in match.groups()) if match else ("", "")
            found.append(Allowed(start, end, number))
    return found


def without(arrows: Arrows, allowed: list[Allowed]) -> Arrows:
    """Give the arrows that are not allowed to close a circle."""
    gone = {(each.start, each.end) for each in allowed}
    return {
        start: {end: line for end, line in ends.items() if (start, end) not in gone}
        for start, ends in arrows.items()
    }


def leads(arrows: Arrows, start: str, end: str) -> bool:
    """Whether a walk along the arrows gets from `start` to `end`."""
    seen = [start]
    for here in seen:
        if here == end:
            return True
        seen += [there for there in arrows.get(here, ()) if there not in seen]
    return False


def shortest_circle(arrows: Mapping[str, Mapping[str, int]], start: str) -> list[str]:
    """Give the files of the shortest circle through `start`, which is first, if there is any."""
    came_from: dict[str, str] = {}
    found = [start]
    for here in found:
        for there in sorted(arrows.get(here, ())):
            if there == start:
                circle = [here]
                while circle[-1] != start:
                    circle.append(came_from[circle[-1]])
                return circle[::-1]
            if there not in came_from:
                came_from[there] = here
                found.append(there)
    return []


def circles(arrows: Arrows) -> Iterator[list[str]]:
    """List shortest circles, one for each set of files that all need each other."""
    rest = dict(arrows)
    while rest:
        found = [circle for file in sorted(rest) if (circle := shortest_circle(rest, file))]
        if not found:
            return
        shortest = min(found, key=len)
        yield shortest
        ring = {file for file in rest if leads(rest, file, shortest[0])}
        ring &= {file for file in rest if leads(rest, shortest[0], file)}
        rest = {file: needs for file, needs in rest.items() if file not in ring}


def _leaves(tree: str) -> Iterator[tuple[Module, str]]:
    """List the paths of a `use` tree, each with the name that it has in the file."""
    tree = tree.strip()
    head, is_group, inside = tree.partition("{")
    if is_group:
        prefix = tuple(re.findall(r"\w+", head))
        for part in _parts(inside.rpartition("}")[0]):
            for path, name in _leaves(part):
                whole = prefix if path == ("self",) else prefix + path
                yield whole, whole[-1] if name == "self" else name
        return
    written, _, name = tree.partition(" as ")
    segments = re.findall(r"\w+|\*", written)
    if segments[-1:] == ["*"]:
        yield tuple(segments[:-1]), "*"
    elif segments:
        yield tuple(segments), name.strip() or segments[-1]


def _parts(inside: str) -> Iterator[str]:
    """Divide the inside of a group at the commas that lie in no group of their own."""
    depth, part = 0, ""
    for character in inside + ",":
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            if part.strip():
                yield part
            part = ""
        else:
            part += character


def _blank(match: re.Match[str]) -> str:
    """Replace what was matched by as many empty lines."""
    return re.sub(r"[^\n]", " ", match[0])


_USE = re.compile(r"(?P<pub>\bpub(\([^)]*\))?\s+)?\buse\s+(?P<tree>[^;]+);")
_CHILD_AT_PATH = re.compile(
    r'#\[path = "(?P<path>[^"]+)"\]\s*(pub(\([^)]*\))?\s+)?mod (?P<name>\w+);'
)
