"""Builds wheels for pip: maturin does it, after the program `coheap` was built.

The program is a script of the wheel: it lies in maturin's data folder, from where pip puts it
beside the interpreter, so that `coheap` starts in milliseconds. maturin builds the extension
module only, hence this; pyproject.toml names it as the build backend.

What always holds: the hooks are maturin's own, with its arguments; before those that make a wheel
the data folder holds the program of these sources. The Makefile calls it with no arguments for
the same folder.
Not here: where scripts go, which is up to pip.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "target" / "coheap.data" / "scripts"
"""pyproject.toml names the folder above it."""
BUILD = ["rustc", "--locked", "--release", "--package", "coheap-cli", "--bin", "coheap"]
MESSAGES = ["--message-format", "json-render-diagnostics"]
STRIP = ["--", "-C", "strip=symbols"]


def build_program() -> None:
    """Build the program `coheap` and put it where maturin looks for scripts.

    Raises:
        SystemExit: It cannot be built; cargo has said why.
    """
    cargo = os.environ.get("CARGO", "cargo")
    try:
        built = subprocess.run(
            [cargo, *BUILD, *MESSAGES, *STRIP], cwd=ROOT, stdout=subprocess.PIPE, check=True
        )
    except FileNotFoundError:
        sys.exit(f"{cargo} is not to be found: coheap is built with a Rust toolchain (rustup.rs)")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    shutil.copy(_executable(built.stdout.decode()), SCRIPTS / "coheap")


def _executable(messages: str) -> str:
    """Find in what cargo says where the program is."""
    for message in map(json.loads, messages.splitlines()):
        if message.get("executable"):
            return message["executable"]
    sys.exit("cargo built no program")


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build a wheel."""
    build_program()
    return _maturin().build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build a wheel that leads back to the sources."""
    build_program()
    return _maturin().build_editable(wheel_directory, config_settings, metadata_directory)


def __getattr__(name: str) -> Any:
    """Give every other hook as maturin has it."""
    return getattr(_maturin(), name)


def _maturin() -> ModuleType:
    """Give maturin, which wants the data folder to be there, whatever it is asked."""
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    return importlib.import_module("maturin")


if __name__ == "__main__":
    build_program()
