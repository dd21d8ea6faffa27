"""What Python's hashes are makes no difference: each process has others.

Goal: a Dict is a dict under every PYTHONHASHSEED, and processes with different ones find each
other's keys.
Method: the comparison of `test_dict_machine` runs in a program for each seed; programs with
different seeds use one Dict.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import coheap

TESTS = Path(__file__).resolve().parents[1]
SEEDS = ["0", "1", "4242", "random"]

SHARE = """
import sys
import coheap

keys = ["", "a", "é", "x" * 100, b"a", None, 7, 0.5, 2**70, (1, "a"), ("a", ("b", b"")),
        frozenset(["a", "b", "c"]), frozenset([1, ("a", 2.5), frozenset(["x", "y"])])]
keys += [f"key {n}" for n in range(200)] + [(str(n), n) for n in range(200)]
with coheap.open(sys.argv[1], create=False) as heap:
    d = heap.dict("d")
    for key in keys:
        assert d.increment(key) == int(sys.argv[2]), key
    assert list(d) == keys
    assert all(key in d for key in keys)
    assert d.keys() == set(keys)
    d[hash("a")] = True
    del d[hash("a")]
"""


def python(seed: str, *arguments: str) -> None:
    """Run Python with a seed of its own; its output shows when it fails."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env={**os.environ, "PYTHONHASHSEED": seed},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dict_is_a_dict_under_each_seed(seed):
    machine = str(TESTS / "dict" / "test_dict_machine.py")
    python(seed, "-m", "pytest", "-q", "-p", "no:cacheprovider", machine)


def test_processes_with_other_hashes_share_one_dict():
    name = f"hash-seeds-{os.getpid()}-{time.monotonic_ns()}"
    with coheap.open(name, max_bytes=16 << 20, temporary=True) as heap:
        for number, seed in enumerate([*SEEDS, *SEEDS], 1):
            python(seed, "-c", SHARE, name, str(number))
        assert set(heap.dict("d").values()) == {2 * len(SEEDS)}
        heap.check()
