"""Builds the wheel for Pythons from 3.15 on, with and without the GIL, and tries it on both.

    python3 scripts/abi3t.py

An interpreter without the GIL does not load the wheel for 3.11 and later (abi3). From 3.15 on there
is a stable interface that both kinds have (abi3t); before that there is no wheel for it.

What always holds: on each of the two that is found the wheel is installed and the smoke set runs;
one that is not found is named as skipped, with the reason. The exit status is 1 if one has failed.
Not here: the wheel for 3.11 and later, and the search for interpreters (`pythons`).
"""

import os
import subprocess
import sys
from pathlib import Path

import pythons

FOLDER = pythons.ROOT / "target" / "abi3t"
VERSIONS = ["3.15t", "3.15"]


def build(python: str) -> Path:
    """Build the wheel for an interpreter and those after it.

    Raises:
        subprocess.SubprocessError: It cannot be built.
        SystemExit: What was built is another wheel.
    """
    wheels = FOLDER / "wheels"
    for old in wheels.glob("*.whl"):
        old.unlink()
    maturin = pythons.ROOT / "target" / "venv" / "bin" / "maturin"
    # In a folder of its own: the other wheel need not be built anew after this one.
    environment = {**os.environ, "PYO3_PYTHON": python, "CARGO_TARGET_DIR": str(FOLDER)}
    subprocess.run(
        [maturin, "build", "--release", "--quiet", "--out", wheels, "--interpreter", python],
        cwd=pythons.ROOT,
        env=environment,
        check=True,
    )
    (wheel,) = wheels.glob("coheap-*.whl")
    if "abi3t" not in wheel.name.split("-")[3]:
        sys.exit(f"{wheel.name} is no wheel for an interpreter without the GIL")
    return wheel


def main() -> int:
    """Build the wheel, try it, and give the exit status."""
    found = pythons.find(VERSIONS)
    interpreters = {version: found[version] for version in VERSIONS if version in found}
    failed = False
    wheel = build(next(iter(interpreters.values()))) if interpreters else None
    for version in VERSIONS:
        if wheel is None or version not in interpreters:
            print(f"SKIPPED abi3t on {version}: {pythons.missing(version)}")
            continue
        folder = pythons.ENVIRONMENTS / f"{version}-abi3t"
        try:
            pythons.test(folder, interpreters[version], wheel, pythons.SMOKE)
        except subprocess.SubprocessError as error:
            failed = True
            print(f"abi3t on {version}: failed: {error}")
        else:
            print(f"abi3t on {version}: {wheel.name} works")
    return failed


if __name__ == "__main__":
    sys.exit(main())
