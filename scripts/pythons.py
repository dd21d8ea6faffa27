"""Runs the Python suite on every supported Python, from one wheel.

    python3 scripts/pythons.py target/wheels --tested target/venv/bin/python

The supported versions are the classifiers of pyproject.toml. For each, the interpreter is the one
in PYTHONS= (paths or names, with spaces between), `python3.N` on the PATH, or the newest below
~/.pyenv/versions. Each has an environment of its own, made once, into which the wheel is installed.

What always holds: each version is listed as passed, failed, or skipped with its reason; the exit
status is 1 if one has failed, and a version that PYTHONS= names is never skipped.
Not here: building the wheel (Makefile).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / "target" / "venvs"
PYENV = Path.home() / ".pyenv" / "versions"
TOOLS = ["pytest", "pytest-timeout", "hypothesis", "numpy"]
SUITE_SECONDS = 900


def supported() -> list[str]:
    """The versions that pyproject.toml names, such as "3.11"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = " ".join(project["classifiers"])
    return re.findall(r"Programming Language :: Python :: (3\.\d+)", names)


def describe(python: str) -> str | None:
    """The version and place of an interpreter; None if it does not run, as a shim may not."""
    code = "import sys; print('%d.%d' % sys.version_info[:2], sys.version.split()[0], sys.prefix)"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def candidates(version: str) -> Iterator[str]:
    """Where an interpreter of a version may be, the likeliest first."""
    if on_path := shutil.which(f"python{version}"):
        yield on_path
    found = PYENV.glob(f"{version}.*/bin/python{version}")
    yield from map(str, sorted(found, key=lambda path: [*map(_number, path.parts)], reverse=True))


def _number(part: str) -> list[int]:
    """The numbers in a part of a path, so that 3.12.10 comes after 3.12.9."""
    return [int(number) for number in re.findall(r"\d+", part)]


def find(versions: list[str]) -> dict[str, str]:
    """The interpreter for each version that has one."""
    if given := os.environ.get("PYTHONS", "").split():
        found = {}
        for python in given:
            description = describe(python)
            if description is None:
                raise SystemExit(f"PYTHONS: {python} does not run")
            found[description.split()[0]] = python
        return found
    running = {version: filter(describe, candidates(version)) for version in versions}
    return {version: python for version, rest in running.items() if (python := next(rest, None))}


def run(*command: str | Path, seconds: float = 600) -> None:
    """Run a command from the root, or raise `subprocess.SubprocessError`."""
    subprocess.run([*map(str, command)], cwd=ROOT, check=True, timeout=seconds)


def test(version: str, python: str, wheel: Path, arguments: list[str]) -> None:
    """Run the suite on one interpreter, in its environment, with the wheel."""
    folder = ENVIRONMENTS / version
    own = folder / "bin" / "python"
    made = folder / "made"
    contents = f"{describe(python)} {TOOLS}"
    if not made.exists() or made.read_text(encoding="utf-8") != contents:
        shutil.rmtree(folder, ignore_errors=True)
        run(python, "-m", "venv", folder)
        run(own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *TOOLS)
        made.write_text(contents, encoding="utf-8")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall")
    run(own, *install, "--disable-pip-version-check", wheel)
    run(own, "-m", "pytest", "--quiet", *arguments, seconds=SUITE_SECONDS)


def main() -> int:
    """Run the suites and give the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheels", type=Path, help="folder with the wheel; the newest is taken")
    parser.add_argument("--tested", metavar="PYTHON", help="the one that has passed already")
    options, arguments = parser.parse_known_args()
    wheels = options.wheels.glob("coheap-*.whl")
    wheel = max(wheels, key=lambda path: path.stat().st_mtime).resolve()
    tested = (describe(options.tested) or "").split()[0] if options.tested else None
    versions = supported()
    pythons = find(versions)
    results = {}
    for version in sorted({*versions, *pythons}, key=_number):
        python = pythons.get(version)
        if version == tested:
            results[version] = "has passed before, with make python"
        elif python is None:
            given = os.environ.get("PYTHONS")
            where = "in PYTHONS=" if given else "on the PATH or below ~/.pyenv/versions"
            results[version] = f"skipped: there is no python{version} {where}"
        else:
            print(f"the suite on {python}", flush=True)
            try:
                test(version, python, wheel, arguments)
                results[version] = f"passed, with {python}"
            except subprocess.SubprocessError as error:
                results[version] = f"failed: {error}"
    for version, result in results.items():
        print(f"Python {version}: {result}")
    return any(result.startswith("failed") for result in results.values())


if __name__ == "__main__":
    sys.exit(main())
