"""The examples run, and print what they should.

Method: each runs as users start it, in a folder of its own.
"""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
PRINTED = {
    "append_csv": ["['worker', 'step', 'item', 'score']", "True", "61"],
    "csv_logging": ["400 True True"],
}


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_runs_and_prints_what_it_should(name, tmp_path):
    command = [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.stdout.splitlines(), done.stderr) == (PRINTED[name], "")
