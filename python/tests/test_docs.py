"""What the pages show in Python and for the shell runs, and prints what they say.

Goal: no example goes stale.
Method: the blocks of Python on each page run in one program, one after the other, in a folder of
their own; where a comment behind a `print` says what is printed, it is. The same for the blocks of
the shell on the pages below `how-to`, where the comment may stand behind any command. Names that
begin with `my-` are those of this run, for they are known on the whole machine.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = f"own{os.getpid()}-"


def blocks(pages: list[Path], language: str) -> dict[str, str]:
    """The blocks in a language on each page that has some, as one text."""
    block = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    found = {str(page.relative_to(ROOT)): block.findall(page.read_text()) for page in pages}
    return {page: "\n".join(texts).replace("my-", OWN) for page, texts in found.items() if texts}


PAGES = blocks([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], "python")
#: The commands of the other pages are about files that a reader has.
SHELL_PAGES = blocks([*ROOT.glob("docs/**/how-to/run-once.md")], "sh")
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


HOW_TO = [f"docs/{folder}how-to/{page}.md" for folder in ("", "zh/") for page in ("run-once", "append-csv")]


def test_the_pages_for_users_have_blocks():
    for page in ("README.md", "README.zh-CN.md", "docs/tutorial.md", *HOW_TO):
        assert PAGES[page]
    assert len(SHELL_PAGES) > 1


@pytest.fixture(autouse=True)
def _names_go():
    """Remove the files of the names that a page has used."""
    yield
    for file in Path("/dev/shm").glob(f"coheap-*/{OWN}*"):
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_and_prints_what_it_says(page, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PAGES[page])
    if "apscheduler" in PAGES[page]:
        pytest.importorskip("apscheduler")
    done = run([sys.executable, "-W", "error", program], tmp_path)
    assert done.stderr == ""
    printed = re.findall(r"^\s*print\(.*?\)\s+# (.*)$", PAGES[page], re.MULTILINE)
    assert done.stdout.splitlines() == printed


@pytest.mark.parametrize("page", SHELL_PAGES)
def test_the_commands_of_a_page_print_what_it_says(page, tmp_path):
    text = SHELL_PAGES[page]
    done = run(["bash", "-c", text], tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == re.findall(r"^.*\S {2,}# (.*)$", text, re.MULTILINE)


def run(command, folder):
    """What a command does in a folder."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=folder, env=ENVIRONMENT
    )
