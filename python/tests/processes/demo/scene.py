"""What the tests of the demo share: a folder with texts, the program run on it, its processes.

Waiting ends at a deadline. What is expected is counted here, by the plainest code there is.
Not here: what is expected of the program.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from conftest import until


class Scene:
    """A folder for texts, with the JSON of a run beside it."""

    def __init__(self, root: Path) -> None:
        """Make it, empty."""
        self.texts = root / "texts"
        self.texts.mkdir()
        self.json = root / "figures.json"
        self.children: list[subprocess.Popen[str]] = []

    def write(self, path: str | bytes, text: str | bytes) -> str:
        """Write a file below the folder."""
        file = Path(os.fsdecode(os.path.join(os.fsencode(self.texts), os.fsencode(path))))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(file)

    def start(self, *options: str) -> "subprocess.Popen[str]":
        """Start the program on the folder, in a session of its own."""
        child = coheap("demo", self.texts, "--json", self.json, *options)
        self.children.append(child)
        return child

    def run(self, *options: str) -> dict[str, Any]:
        """Run it to its end, which is a good one, and give the JSON."""
        child = self.start(*options)
        said = child.communicate(timeout=120)
        assert child.returncode == 0, said
        return self.read()

    def read(self) -> dict[str, Any]:
        """Give the JSON of the last run."""
        return json.loads(self.json.read_text())

    def end(self) -> None:
        """End what still runs, with its workers."""
        for child in self.children:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.communicate()


def coheap(*arguments: object, **environment: str) -> "subprocess.Popen[str]":
    """Start `python -m coheap`."""
    return subprocess.Popen(
        [sys.executable, "-m", "coheap", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    )


def plain_count(*texts: str) -> Counter[str]:
    """Count words in the plainest way."""
    counts = Counter[str]()
    for text in texts:
        counts.update(word for word in re.split(r"[^A-Za-z0-9_]", text) if word)
    return counts


def random_text(chance: random.Random, length: int) -> str:
    """Make about so many letters of words from small and large vocabularies, with all gaps."""
    parts: list[str] = []
    while length > 0:
        word = f"w{chance.randrange(chance.choice([20, 500, 100_000])):x}"
        parts += [word, chance.choice([" ", "\n", ", ", "\xe9", "\u4e2d", " -- "])]
        length -= len(word) + 1
    return "".join(parts)


def living(pids: list[int]) -> list[int]:
    """Those processes that have not ended."""
    return [pid for pid in pids if _stat(pid)[:1] not in (["Z"], [])]


def workers_of(child: "subprocess.Popen[str]", count: int) -> list[int]:
    """The workers of a run, once there are so many."""
    found: list[int] = []

    def look() -> bool:
        pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
        found[:] = living([pid for pid in pids if _stat(pid)[1:2] == [str(child.pid)]])
        return len(found) >= count

    until(look, seconds=30)
    return found


def _stat(pid: int) -> list[str]:
    """State and parent of a process; nothing if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
