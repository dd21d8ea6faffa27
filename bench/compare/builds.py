"""Builds the operations against a commit and against the working tree.

A side is a tree of sources and a folder below `target/base` for what is made of it. Both sides
get the operations of the working tree, and the versions of dependencies that their own tree has
locked.

What always holds: nothing is written outside of `target/`, and the repository's index, branches
and list of worktrees stay as they are. The folder of one commit is kept, so that it is built once.
Not here: running what was built (`counting`, `rounds`).
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from counting import Program

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
FOLDERS = ROOT / "target" / "base"
WORKING_TREE = "now"
CRATES = "../../../crates"
"""How the operations' Cargo.toml writes the way to the crates of its own tree."""
VALGRIND_FLAGS = "--cfg=rustix_use_libc"
"""By itself, rustix finds the kernel's clock in a way that crashes under valgrind."""


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    tree: Path
    folder: Path
    is_for_valgrind: bool

    @property
    def target(self) -> Path:
        """Where cargo builds."""
        return self.folder / "target"

    def build_rust(self) -> Program:
        """Build the program of the Rust operations."""
        crate = self.folder / "operations"
        for name in ("src/main.rs", "src/operations.rs"):
            write(crate / name, (HERE / "operations" / name).read_text(encoding="utf-8"))
        manifest = (HERE / "operations" / "Cargo.toml").read_text(encoding="utf-8")
        assert CRATES in manifest, "the operations' Cargo.toml names the crates otherwise"
        write(crate / "Cargo.toml", manifest.replace(CRATES, str(self.tree / "crates")))
        shutil.copy(self.tree / "Cargo.lock", crate)
        self._cargo(crate)
        return Program([str(self.target / "release" / "coheap-operations")])

    def build_python(self) -> Program:
        """Build the Python package, as a folder to import from."""
        self._cargo(self.tree, "--locked", "--package", "coheap-py")
        package = self.folder / "python" / "coheap"
        shutil.rmtree(package, ignore_errors=True)
        leave = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(self.tree / "python" / "coheap", package, ignore=leave)
        shutil.copy(self.target / "release" / "lib_native.so", package / "_native.abi3.so")
        environment = {"PYTHONPATH": str(package.parent), "PYTHONHASHSEED": "0"}
        return Program(
            [sys.executable, "-P", str(HERE / "operations.py")], {**os.environ, **environment}
        )

    def _cargo(self, folder: Path, *options: str) -> None:
        cargo = os.environ.get("CARGO", "cargo")
        # The extension is loaded by an interpreter: it is not to be linked with one.
        settings = {"CARGO_TARGET_DIR": str(self.target), "PYO3_BUILD_EXTENSION_MODULE": "1"}
        if self.is_for_valgrind:
            settings["RUSTFLAGS"] = f"{os.environ.get('RUSTFLAGS', '')} {VALGRIND_FLAGS}".strip()
        run([cargo, "build", "--quiet", "--release", *options], folder, settings)


def run(command: Sequence[str], folder: Path, settings: dict[str, str]) -> None:
    """Run a command that says itself what is wrong, with these settings in its environment."""
    done = subprocess.run(command, cwd=folder, env={**os.environ, **settings})
    if done.returncode != 0:
        raise SystemExit(f"in {folder}: {' '.join(command)}: exit status {done.returncode}")


def write(file: Path, text: str) -> None:
    """Write a file unless it says so already: cargo builds what is new."""
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def git(*words: str) -> bytes:
    """What a git command says."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"git {' '.join(words)}: {done.stderr.decode().strip()}")
    return done.stdout


def working_tree(is_for_valgrind: bool) -> Side:
    """The side of the sources as they are, committed or not."""
    return Side(ROOT, FOLDERS / WORKING_TREE, is_for_valgrind)


def commit(name: str, is_for_valgrind: bool) -> Side:
    """The side of a commit; the folders of other commits are deleted."""
    number = git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").decode().strip()
    FOLDERS.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS.iterdir():
        if folder.name not in (number, WORKING_TREE):
            shutil.rmtree(folder)
    side = Side(FOLDERS / number / "tree", FOLDERS / number, is_for_valgrind)
    if not side.tree.exists():
        unfinished = side.folder / "unfinished"
        with tarfile.open(fileobj=io.BytesIO(git("archive", number))) as archive:
            archive.extractall(unfinished, filter="data")
        unfinished.rename(side.tree)
    return side
