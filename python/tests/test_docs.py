"""What the pages show in Python runs, and prints what they say.

Goal: no example goes stale.
Method: the blocks of Python on each page run in one program, one after the other, in a folder of
their own; where a comment behind a `print` says what is printed, it is.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = {
    str(page.relative_to(ROOT)): "\n".join(BLOCK.findall(page.read_text()))
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
}


def test_the_pages_for_users_have_blocks():
    how_to = ("docs/how-to/append-csv.md", "docs/zh/how-to/append-csv.md")
    for page in ("README.md", "README.zh-CN.md", "docs/tutorial.md", *how_to):
        assert PAGES[page]


@pytest.mark.parametrize("page", [page for page, blocks in PAGES.items() if blocks])
def test_a_page_runs_and_prints_what_it_says(page, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PAGES[page])
    command = [sys.executable, "-W", "error", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stderr == ""
    printed = re.findall(r"^\s*print\(.*?\)\s+# (.*)$", PAGES[page], re.MULTILINE)
    assert done.stdout.splitlines() == printed
