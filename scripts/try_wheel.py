"""Installs a wheel into a fresh environment and tries what its users get.

    python3 scripts/try_wheel.py target/wheels/coheap-*.whl

What always holds: the package index is not asked, so the wheel stands alone; nothing is left
behind. The exit status is 0 if all of it works.
Not here: whether coheap does what it promises, which its own tests see.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

SECONDS = 0.05
"""How long `coheap --version` may take, at best: an interpreter alone would not be through."""
ATTEMPTS = 20


def main(wheels: list[str]) -> None:
    """Try the one wheel there is."""
    if len(wheels) != 1:
        sys.exit(f"one wheel is needed, not {len(wheels)}: {' '.join(wheels)}")
    with tempfile.TemporaryDirectory(prefix="coheap-wheel-") as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        tools = folder / "venv" / "bin"
        run(
            tools / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            Path(wheels[0]).resolve(),
        )
        run(tools / "python", "-W", "error", "-c", "import coheap; coheap.Heap().close()")
        version = run(tools / "coheap", "--version").removeprefix("coheap ").strip()
        run(tools / "python", "-c", f"import coheap; assert coheap.__version__ == {version!r}")
        check_start(tools / "coheap")
        check_demo(tools / "coheap", folder)
        print(f"{Path(wheels[0]).name} works in a fresh environment")


def run(*command: str | Path) -> str:
    """Run a program of the environment to its good end and give what it said."""
    # Without the sources and their tools: what is installed stands alone.
    bare = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run(command, capture_output=True, text=True, env=bare, cwd="/", timeout=120)
    if done.returncode != 0:
        words = " ".join(map(str, command))
        sys.exit(f"{words}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def check_demo(program: Path, folder: Path) -> None:
    """Both faces count the same words, and one of them against `multiprocessing`, too."""
    text, figures = folder / "text", folder / "figures.json"
    text.mkdir()
    (text / "words.txt").write_text("one two two, caf\u00e9_3\n" * 1000)
    (text / "other.txt").write_bytes(b"\xff")
    counts: list[dict[str, int]] = []
    for face in ["Rust"], ["Python", "--python"], ["Python", "--python", "--compare"]:
        said = run(program, "demo", str(text), "--json", str(figures), *face[1:])
        assert re.match(rf"face +{face[0]}", said), said
        assert "every count equal" in said, said
        counts.append(json.loads(figures.read_text())["counts"])
    assert counts == [{"one": 1000, "two": 2000, "caf": 1000, "_3": 1000}] * 3, counts


def check_start(program: Path) -> None:
    """The program starts in milliseconds."""
    best = float("inf")
    for _ in range(ATTEMPTS):
        started = time.monotonic()
        run(program, "--version")
        best = min(best, time.monotonic() - started)
    print(f"coheap --version: {best * 1e3:.1f} ms")
    assert best < SECONDS, f"coheap --version takes {best:.3f} s"


if __name__ == "__main__":
    main(sys.argv[1:])
