"""Source files as the house rules see them: code, comments and functions, told apart.

A Rust file is read by a small lexer that knows comments, strings and brackets and nothing else of
the language; a Python file by the standard library's own parser. Both answer the same questions,
so most rules in `tidy.py` need not know which language they look at.

What always holds: blanked text has as many lines, each as long, as the text it came from, so an
offset in one is the same place in the other.

Not here: any rule, and anything that knows where a file may stand in the tree.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile, zip_longest
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Function:
    """A named function: where it begins and how many lines it takes."""

    name: str
    line: int
    length: int


class Source:
    """One source file. Subclasses know its language."""

    def __init__(self, path: str, text: str) -> None:
        """Read the file at `path`, relative to the root, from its `text`."""
        self.path = path
        self.text = text

    @property
    def is_test(self) -> bool:
        """Whether the whole file is test code, by its name or its folder."""
        *folders, name = PurePosixPath(self.path).parts
        named = re.fullmatch(r"tests\.rs|test_\w+\.py|conftest\.py", name)
        return "tests" in folders or named is not None

    @property
    def length(self) -> int:
        """How many lines the file has, without the tests inside it."""
        return len(self.text.splitlines())

    @property
    def opening(self) -> int:
        """How many lines the comment that opens the file has."""
        raise NotImplementedError

    @property
    def lead(self) -> int:
        """How many lines of the opening stand above its first heading or example."""
        return self.opening

    @cached_property
    def comments(self) -> str:
        """The comments of the file, everything else blanked."""
        raise NotImplementedError

    def functions(self) -> Iterator[Function]:
        """List the functions that are not test code, in the order of the file."""
        raise NotImplementedError


class RustSource(Source):
    """A Rust file, lexed as far as comments, literals and brackets go."""

    @cached_property
    def _literals(self) -> list[tuple[int, int, bool]]:
        """Where comments and string or character literals begin and end; true for comments."""
        found, at = [], 0
        while match := _LITERAL.search(self.text, at):
            at = match.end()
            if match["block"]:
                at = _end_of_block_comment(self.text, match.start())
            found.append((match.start(), at, bool(match["block"] or match["line"])))
        return found

    @cached_property
    def code(self) -> str:
        """The file without comments and literals."""
        return _blank(self.text, [(start, end) for start, end, _ in self._literals])

    @cached_property
    def comments(self) -> str:
        """The comments of the file, everything else blanked."""
        ends = [0]
        for start, end, is_comment in self._literals:
            if is_comment:
                ends += [start, end]
        ends.append(len(self.text))
        return _blank(self.text, list(zip(ends[::2], ends[1::2], strict=True)))

    @cached_property
    def product(self) -> str:
        """The code without the items that exist only under `#[cfg(test)]`."""
        tests = []
        for match in _CFG_TEST.finditer(self.code):
            tests.append((match.start(), _end_of_item(self.code, match.end())))
        return _blank(self.code, tests)

    @property
    def length(self) -> int:
        """How many lines the file has, without its `#[cfg(test)]` items."""
        tests = 0
        covered = 0
        for match in _CFG_TEST.finditer(self.code):
            if match.start() >= covered:
                covered = _end_of_item(self.code, match.end())
                tests += self.text.count("\n", match.start(), covered) + 1
        return len(self.text.splitlines()) - tests

    @property
    def opening(self) -> int:
        """How many `//!` lines open the file."""
        return _count_while(_IS_INNER_DOC, self.text)

    @property
    def lead(self) -> int:
        """How many of these stand above the first heading or example."""
        return _count_while(_IS_LEAD, self.text)

    def functions(self) -> Iterator[Function]:
        """List the functions with a body that are not test code."""
        for match in re.finditer(r"\bfn\s+(\w+)", self.product):
            body = _next_at_depth_zero(self.product, match.end(), "{;")
            if body < len(self.product) and self.product[body] == "{":
                end = _closing(self.product, body)
                length = self.product.count("\n", match.start(), end) + 1
                yield Function(match[1], line_of(self.product, match.start()), length)

    def paths(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """List line and segments of every path in code that is not test code.

        A `use` of a group gives one path for each name in it: `use a::{b, c::d};` is `a::b` and
        `a::c::d`. Single names are paths too.
        """
        prefixes: list[tuple[str, ...]] = [()]
        path: tuple[str, ...] = ()
        joined = False
        tokens = [*_TOKEN.finditer(self.product)]
        for token, following in zip_longest(tokens, tokens[1:]):
            word = token[0]
            if word == "::":
                joined = True
                continue
            if word == "{":
                prefixes.append(path if joined else ())
            elif word == "}":
                prefixes = prefixes[:-1] or [()]
            elif word in ",;(" or (word == "*" and not joined and not prefixes[-1]):
                path = ()
            else:
                path = (path if joined else prefixes[-1]) + (word,)
                if following is None or following[0] != "::":
                    yield line_of(self.product, token.start()), path
            joined = False


class PythonSource(Source):
    """A Python file, read by the standard library's parser."""

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file; raises `SyntaxError` where it is not Python."""
        return ast.parse(self.text, self.path)

    @cached_property
    def comments(self) -> str:
        """The comments of the file, each on its own line; docstrings are not comments."""
        lines = [""] * (self.length + 1)
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                lines[token.start[0] - 1] = token.string
        return "\n".join(lines)

    @property
    def opening(self) -> int:
        """How many lines the docstring of the module has."""
        return _docstring_lines(self.tree)

    def functions(self) -> Iterator[Function]:
        """List all functions and methods; their docstrings do not count as length."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                yield Function(node.name, node.lineno, length - _docstring_lines(node))


def line_of(text: str, at: int) -> int:
    """Give the number of the line, from 1, in which the offset `at` lies."""
    return text.count("\n", 0, at) + 1


_LITERAL = re.compile(
    r"""
      (?P<line>//[^\n]*)
    | (?P<block>/\*)
    | \b[bc]?r(?P<hashes>\#*)".*?"(?P=hashes)           # raw string
    | (?:\b[bc])?"(?:\\.|[^"\\])*"                      # string
    | (?:\bb)?'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'\n])'     # character, not a lifetime
    """,
    re.VERBOSE | re.DOTALL,
)
_CFG_TEST = re.compile(r"#\[cfg\((?:test|all\(\s*test\b[^\]]*)\s*\)\]")
_TOKEN = re.compile(r"\w+|::|[*{},;(]")
_IS_INNER_DOC = re.compile(r"//!")
_IS_LEAD = re.compile(r"//!(?! *(#+ |```))")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def _blank(text: str, ranges: list[tuple[int, int]]) -> str:
    """Replace all but the line ends in `ranges` (in order, possibly nested) by spaces."""
    parts, at = [], 0
    for start, end in ranges:
        start, end = max(start, at), max(end, at)
        parts += [text[at:start], re.sub(r"[^\n]", " ", text[start:end])]
        at = end
    return "".join([*parts, text[at:]])


def _count_while(pattern: re.Pattern[str], text: str) -> int:
    """Count the lines at the start of `text` that begin with `pattern`."""
    return sum(1 for _ in takewhile(pattern.match, text.splitlines()))


def _end_of_block_comment(text: str, start: int) -> int:
    """Find the end of the block comment at `start`; block comments nest."""
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def _next_at_depth_zero(code: str, at: int, wanted: str) -> int:
    """Find the first of the `wanted` characters outside of brackets, or the end of `code`."""
    while at < len(code) and code[at] not in wanted:
        at = _closing(code, at) if code[at] in _BRACKETS else at + 1
    return at


def _closing(code: str, at: int) -> int:
    """Find the offset just past the bracket that closes the one at `at`."""
    close = _BRACKETS[code[at]]
    depth = 0
    for match in re.compile(rf"[{re.escape(code[at] + close)}]").finditer(code, at):
        depth += -1 if match[0] == close else 1
        if depth == 0:
            return match.end()
    return len(code)


def _end_of_item(code: str, at: int) -> int:
    """Find the end of the Rust item whose attributes go on at `at`."""
    while attribute := re.compile(r"\s*#(?=\[)").match(code, at):
        at = _closing(code, attribute.end())
    if re.compile(r"\s*(pub(\([^)]*\))?\s+)?(use|static|const\s+[A-Z_]\w*\s*:)").match(code, at):
        return min(_next_at_depth_zero(code, at, ";") + 1, len(code))
    end = _next_at_depth_zero(code, at, "{;")
    return _closing(code, end) if code[end : end + 1] == "{" else min(end + 1, len(code))


def _docstring_lines(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of the docstring of `node`, quotes included."""
    if ast.get_docstring(node, clean=False) is None:
        return 0
    text = node.body[0]
    return (text.end_lineno or text.lineno) - text.lineno + 1
