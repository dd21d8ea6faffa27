"""Runs the Python suite on every supported Python, from one wheel.

    python3 scripts/pythons.py target/wheels --tested target/venv/bin/python [--smoke]

The supported versions are the classifiers of pyproject.toml. For each, the interpreter is the one
in PYTHONS= (paths or names, with spaces between), `python3.N` on the PATH, or the newest below
~/.pyenv/versions. Each has an environment of its own, made once, into which the wheel is installed.
An interpreter without ensurepip gets the newest pip. With `--smoke` it is the tests of what differs
between versions that run, about a minute for each.

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
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / "target" / "venvs"
PYENV = Path.home() / ".pyenv" / "versions"
TOOLS = ["pytest", "pytest-timeout", "hypothesis", "numpy", "gunicorn", "apscheduler"]
SUITE_SECONDS = 900
SMOKE = [
    f"python/tests/{name}"
    for name in (
        "atomic/test_harm.py",
        "atomic/test_outside.py",
        "codec/test_codec.py",
        "codec/test_keys.py",
        "dict/test_dict.py",
        "harm/test_daemons.py",
        "harm/test_interrupts.py",
        "harm/test_threads_and_forks.py",
        "locks/test_rlock.py",
        "processes/test_context.py",
        "processes/test_shared.py",
    )
]
"""What depends on the version: blocks under Ctrl-C and awaits, values and keys, contexts and start
methods, mirrors of standard classes, threads at a fork and at the end of the interpreter."""


def supported() -> list[str]:
    """The versions that pyproject.toml names, such as "3.11"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = " ".join(project["classifiers"])
    return re.findall(r"Programming Language :: Python :: (3\.\d+)", names)


def describe(python: str) -> str | None:
    """The version and place of an interpreter; None if it does not run, as a shim may not.

    The version of one that is built without the GIL ends with a "t".
    """
    code = (
        "import sys, sysconfig; print('%d.%d' % sys.version_info[:2] + "
        "'t' * bool(sysconfig.get_config_var('Py_GIL_DISABLED')), "
        "sys.version.split()[0], sys.prefix)"
    )
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def is_version(python: str, version: str) -> bool:
    """Whether an interpreter runs and is of a version."""
    return (describe(python) or "").split()[:1] == [version]


def candidates(version: str) -> Iterator[str]:
    """Where an interpreter of a version may be, the likeliest first."""
    if on_path := shutil.which(f"python{version}"):
        yield on_path
    suffix = "t" if version.endswith("t") else ""
    found = PYENV.glob(f"{version.removesuffix('t')}.*{suffix}/bin/python{version}")
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
    found = {}
    for version in versions:
        running = (python for python in candidates(version) if is_version(python, version))
        if python := next(running, None):
            found[version] = python
    return found


def missing(version: str) -> str:
    """Why there is no interpreter of a version."""
    given = os.environ.get("PYTHONS")
    where = "in PYTHONS=" if given else "on the PATH or below ~/.pyenv/versions"
    return f"there is no python{version} {where}"


def run(*command: str | Path, seconds: float = 600) -> None:
    """Run a command from the root, or raise `subprocess.SubprocessError`."""
    subprocess.run([*map(str, command)], cwd=ROOT, check=True, timeout=seconds)


def test(folder: Path, python: str, wheel: Path, arguments: list[str]) -> None:
    """Run the suite on one interpreter, in an environment in `folder`, with the wheel."""
    own = folder / "bin" / "python"
    made = folder / "made"
    contents = f"{describe(python)} {TOOLS}"
    if not made.exists() or made.read_text(encoding="utf-8") != contents:
        shutil.rmtree(folder, ignore_errors=True)
        make_environment(python, folder)
        run(own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *TOOLS)
        made.write_text(contents, encoding="utf-8")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall")
    run(own, *install, "--disable-pip-version-check", wheel)
    run(own, "-W", "error", "-c", "import coheap; coheap.Heap().close()")
    run(own, "-m", "pytest", "--quiet", "-rs", *arguments, seconds=SUITE_SECONDS)


def make_environment(python: str, folder: Path) -> None:
    """Make a virtual environment with pip, even if the interpreter has no ensurepip."""
    has_pip = subprocess.run([python, "-c", "import ensurepip"], capture_output=True, timeout=60)
    if has_pip.returncode == 0:
        return run(python, "-m", "venv", folder)
    run(python, "-m", "venv", "--without-pip", folder)
    # The pip around us may be too old to run on a newer interpreter; a wheel of it runs as it is.
    with tempfile.TemporaryDirectory(prefix="coheap-pip-") as name:
        run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name, "pip")
        (wheel,) = Path(name).glob("pip-*.whl")
        return run(folder / "bin" / "python", wheel / "pip", "install", "--quiet", wheel)


def main() -> int:
    """Run the suites and give the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheels", type=Path, help="folder with the wheel; the newest is taken")
    parser.add_argument("--tested", metavar="PYTHON", help="the one that has passed already")
    parser.add_argument("--smoke", action="store_true", help="what differs between versions only")
    options, arguments = parser.parse_known_args()
    arguments = [*(SMOKE if options.smoke else []), *arguments]
    what = "the smoke set" if options.smoke else "the suite"
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
            results[version] = f"skipped: {missing(version)}"
        else:
            print(f"{what} on {python}", flush=True)
            try:
                test(ENVIRONMENTS / version, python, wheel, arguments)
                results[version] = f"passed {what}, with {python}"
            except subprocess.SubprocessError as error:
                results[version] = f"failed: {error}"
    for version, result in results.items():
        print(f"Python {version}: {result}")
    return any(result.startswith("failed") for result in results.values())


if __name__ == "__main__":
    sys.exit(main())
