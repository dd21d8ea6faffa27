"""Many processes at one file, some of which are killed: what was acknowledged is there, once.

Nothing here waits for a fixed time: what is waited for has a deadline.
"""

import csv
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from conftest import until

import coheap


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there."""
    return tmp_path / "rows.csv"


@pytest.mark.parametrize("before", [None, b""])
def test_fifty_processes_that_begin_at_once_write_one_header_and_one_mark(path, before, children):
    if before is not None:
        path.write_bytes(before)
    ready, go = os.pipe()

    def work(number):
        os.read(ready, 1)
        coheap.append_csv(
            path, [[number, n] for n in range(9)], columns=["w", "n"], encoding="utf-8-sig"
        )

    pids = [children.fork(lambda number=number: work(number)) for number in range(50)]
    os.write(go, b"x" * 50)
    assert [children.wait(pid) for pid in pids] == [0] * 50
    os.close(ready), os.close(go)
    text = path.read_bytes().decode()
    assert text.startswith("\ufeffw,n\n")
    assert (text.count("\ufeff"), text.count("w,n")) == (1, 1)
    rows = [tuple(map(int, row)) for row in list(csv.reader(text.splitlines()))[1:]]
    # Calls never mix.
    calls = [rows[at : at + 9] for at in range(0, len(rows), 9)]
    assert sorted(calls) == [[(w, n) for n in range(9)] for w in range(50)]


def test_killed_writers_lose_and_repeat_nothing_and_readers_never_see_a_part(path, children):
    """Goal: rows that were acknowledged are there once and whole, in the order of their process.

    Method: writers append frames and lists and acknowledge each call in a file of their own; they
    are killed at random. A reader parses all that it may see, all the time.
    """
    pandas = pytest.importorskip("pandas")
    dice = random.Random(seed := int(os.environ.get("COHEAP_SEED", random.randrange(10**9))))
    print(f"COHEAP_SEED={seed}")
    pad, stop = "pad, " * 400, threading.Event()

    def work(number):
        warnings.simplefilter("ignore")
        with open(path.parent / f"acked {number}", "wb", buffering=0) as acked:
            for call in range(1000):
                rows = [[number, call, n, pad] for n in range(200 if call % 3 else 1)]
                data = pandas.DataFrame(rows, columns=list("wcnp")) if call % 2 else rows
                coheap.append_csv(path, data, columns=list("wcnp"))
                acked.write(b".")

    seen, wrong = [], []

    def read():
        while not stop.is_set():
            with coheap.reading(path) as file:
                rows = list(csv.reader(file))
            if rows and (
                rows[0] != list("wcnp") or any(len(row) != 4 or row[3] != pad for row in rows[1:])
            ):
                wrong.append(rows)
            seen.append(len(rows))

    path.write_bytes(b"")
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(0, 24, 2):
            pids = [children.fork(lambda number=number + more: work(number)) for more in range(2)]
            size = path.stat().st_size
            until(lambda size=size: path.stat().st_size > size + 300_000, 30)
            time.sleep(dice.random() / 50)  # anywhere in a call
            for pid in pids:
                children.kill(pid)
    finally:
        stop.set()
        reader.join()
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        coheap.append_csv(path, [[99, 0, 0, pad]])
    assert not wrong
    assert len(set(seen)) > 2
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert [row for row in rows if row == list("wcnp")] == rows[:1]
    found = {}
    for w, c, n, p in rows[1:]:
        assert p == pad
        found.setdefault(int(w), []).append((int(c), int(n)))
    for number in range(24):
        calls = os.path.getsize(path.parent / f"acked {number}")
        mine = found.get(number, [])
        for more in (0, 1):
            wanted = [(c, n) for c in range(calls + more) for n in range(200 if c % 3 else 1)]
            if mine == wanted:
                break
        else:
            raise AssertionError(f"writer {number}: {calls} calls acknowledged, {len(mine)} rows")


def tear(path: Path, payload: bytes, part: int) -> int:
    """Leave what a process leaves that dies in the middle of a call: its record, and a part."""
    coheap.append_csv(path, [["begin"]])
    size = path.stat().st_size
    # The record is that of a whole call, whose end is cut off again.
    code = "import coheap, sys; coheap.AppendFile(sys.argv[1]).write(sys.stdin.read())"
    subprocess.run([sys.executable, "-c", code, path], input=payload, check=True)
    os.truncate(path, size + part)
    return size


@pytest.mark.parametrize("lines", [1, 3000])
def test_an_unfinished_call_is_removed_once_and_reported(path, lines):
    size = tear(path, b"a line of the dead\n" * lines, 10 if lines == 1 else 8192)
    with coheap.reading(path, "rb") as file:
        assert len(file.read()) == size
    with pytest.warns(coheap.UnfinishedCallWarning, match="were cut off"):
        coheap.append_csv(path, [["end"]])
    coheap.append_csv(path, [["end"]])
    assert path.read_text() == "begin\nend\nend\n"


@pytest.mark.parametrize("lines", [1, 3000])
def test_what_another_program_wrote_is_never_removed(path, lines):
    size = tear(path, b"a line of the dead\n" * lines, 10 if lines == 1 else 4096)
    with open(path, "ab") as other:
        other.write(b"\nanother program\n" * (1 if lines == 1 else 600))
    before = path.read_bytes()
    with pytest.warns(coheap.ForeignWriterWarning, match="nothing was cut off"):
        coheap.append_csv(path, [["end"]])
    coheap.append_csv(path, [["end"]])
    assert path.read_bytes() == before + b"end\nend\n"
    assert len(before) > size


def test_other_programs_may_append_between_calls_and_truncate(path):
    for number in range(3):
        coheap.append_csv(path, [[number, "x"]], columns=["n", "s"])
        with open(path, "a") as other:
            other.write(f"{number},other" if number else f"{number},other\n")
    assert path.read_text() == "n,s\n0,x\n0,other\n1,x\n1,other\n2,x\n2,other"
    path.write_text("s,n\n")
    coheap.append_csv(path, [[1, "x"]], columns=["n", "s"])
    assert path.read_text() == "s,n\nx,1\n"


def test_a_limit_on_the_file_refuses_the_call_and_changes_nothing(path, children):
    coheap.append_csv(path, [["x" * 50]])

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        calls = 0
        while path.stat().st_size + 20 * 51 <= 60_000:
            coheap.append_csv(path, [["y" * 50]] * 20)
            calls += 1
        before = path.read_bytes()
        with pytest.raises(OSError, match="nothing was appended"):
            coheap.append_csv(path, [["y" * 50]] * 20)
        assert calls > 10
        assert path.read_bytes() == before

    assert children.wait(children.fork(work)) == 0
    coheap.append_csv(path, [["z"]])
    assert path.read_text().splitlines()[-1] == "z"


def test_a_first_call_that_fails_leaves_no_file(path, children):
    folder = path.parent
    # The sidecar would have a name that is too long.
    with pytest.raises(OSError, match="atomic=False"):
        coheap.append_csv(folder / ("x" * 250), [["a"]])
    assert os.listdir(folder) == []

    def work(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        # As in programs of other languages, which the signal would end.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        with pytest.raises(OSError, match="nothing was appended"):
            coheap.append_csv(path, [["x" * 200]])

    for limit in (100, 250):
        assert children.wait(children.fork(lambda limit=limit: work(limit))) == 0
        assert os.listdir(folder) == []
    path.write_bytes(b"")
    assert children.wait(children.fork(lambda: work(100))) == 0
    assert path.read_bytes() == b""


def test_a_full_file_system_takes_whole_calls_only(tmp_path):
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "none", tmp_path], capture_output=True
        ).returncode
    ):
        pytest.skip("mounting is not allowed here")
    try:
        path, row, calls = tmp_path / "rows.csv", ["z" * 99], 0
        with pytest.raises(OSError, match="nothing was appended") as full:
            while True:
                coheap.append_csv(path, [row] * 6007)
                calls += 1
        assert full.value.errno == 28
        assert (calls, path.stat().st_size) == (13, 13 * 6007 * 100)
        # What is left is enough for less.
        coheap.append_csv(path, [row])
        assert path.stat().st_size == 13 * 6007 * 100 + 100
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(OSError, match="nothing was appended"):
            coheap.append_csv(tmp_path / "other.csv", [row] * 6007)
        assert sorted(os.listdir(tmp_path)) == before
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_a_folder_that_is_not_writable_needs_atomic_false(tmp_path, children):
    path = tmp_path / "rows.csv"
    path.write_text("a\n")
    path.chmod(0o666)
    tmp_path.chmod(0o755)

    def work():
        os.chdir(tmp_path)
        if not os.geteuid():
            os.setgid(65534)
            os.setuid(65534)
        with pytest.raises(PermissionError, match="atomic=False"):
            coheap.append_csv("rows.csv", [["b"]])
        coheap.append_csv("rows.csv", [["b"]], atomic=False)

    if os.geteuid():
        tmp_path.chmod(0o555)
    try:
        assert children.wait(children.fork(work)) == 0
    finally:
        tmp_path.chmod(0o755)
    assert path.read_text() == "a\nb\n"


def test_a_file_that_is_moved_aside_or_replaced_is_followed(path):
    file = coheap.AppendFile(path)
    file.write_line("one")
    path.rename(path.parent / "old")
    file.write_line("two")
    (path.parent / "new").write_text("three\r\n")
    (path.parent / "new").replace(path)
    file.write_line("four")
    os.unlink(path.parent / ".rows.csv.coheap")

    def written_beside_a_sidecar():
        # Looked for ten times a second.
        file.write_line("five")
        return (path.parent / ".rows.csv.coheap").exists()

    until(written_beside_a_sidecar)
    file.close()
    assert (path.parent / "old").read_text() == "one\n"
    assert path.read_bytes().replace(b"five\r\n", b"") == b"three\r\nfour\r\n"


def test_ctrl_c_ends_a_wait_for_the_lock(path, children):
    fcntl = pytest.importorskip("fcntl")
    pytest.importorskip("polars")
    coheap.append_csv(path, [["x"]])
    before = path.read_bytes()
    with open(path, "ab") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)

        def work():
            with pytest.raises(KeyboardInterrupt):
                coheap.append_csv(path, [["y"]])

        # Polars, which is imported here, has the kernel go on with what a signal interrupts.
        pid = children.fork(work)
        until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S")
        os.kill(pid, signal.SIGINT)
        assert children.wait(pid) == 0
    assert path.read_bytes() == before


def test_a_child_of_a_fork_and_all_threads_use_an_open_file(path, children):
    file = coheap.AppendFile(path)
    file.write_line("parent")

    def lines(name):
        for number in range(200):
            file.write_line(f"{name} {number}")

    threads = [threading.Thread(target=lines, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pids = [children.fork(lambda n=n: lines(f"c{n}")) for n in range(3)]
    for thread in threads:
        thread.join()
    assert [children.wait(pid) for pid in pids] == [0, 0, 0]
    names = ["t0", "t1", "t2", "t3", "c0", "c1", "c2"]
    wanted = ["parent", *(f"{name} {number}" for name in names for number in range(200))]
    found = path.read_text().splitlines()
    assert sorted(found) == sorted(wanted)
    for name in names:
        assert [line for line in found if line.startswith(name)] == [
            f"{name} {n}" for n in range(200)
        ]


def test_readers_of_both_frames_read_what_is_whole(path):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "\u00e9"]})
    coheap.append_csv(path, frame, encoding="utf-8-sig")
    with coheap.reading(path) as file:
        assert pandas.read_csv(file).equals(frame)
    with coheap.reading(path, "rb") as file:
        assert polars.read_csv(file).rows() == [(1, "x"), (2, "\u00e9")]
    with coheap.reading(path, "rb") as file:
        file.seek(-3, os.SEEK_END)
        assert file.read() == b"\xc3\xa9\n"
    with pytest.raises(FileNotFoundError), coheap.reading(path.parent / "none"):
        pass
    with pytest.raises(ValueError, match="mode"), coheap.reading(path, "w"):
        pass
