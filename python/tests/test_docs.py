"""What the pages show in Python runs, and prints what they say.

Goal: no example goes stale.
Method: every block of Python in the README runs in a program of its own; where a comment behind a
`print` says what is printed, it is.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = [
    (page, number, block)
    for page in ["README.md"]
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    )
]


def test_there_are_blocks():
    assert BLOCKS


@pytest.mark.parametrize(("page", "number", "block"), BLOCKS)
def test_a_block_runs_and_prints_what_it_says(page, number, block):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    printed = re.findall(r"^\s*print\(.*?\)\s+# (.*)$", block, re.MULTILINE)
    assert done.stdout.splitlines() == printed
