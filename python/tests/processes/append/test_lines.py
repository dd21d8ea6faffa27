"""`AppendFile` and `RotatingFileHandler`: lines of threads and processes stay whole, none is lost.

Method: what several processes have logged is counted over all files that were moved aside.
Not here: CSV (`test_csv`), and kills (`test_processes`).
"""

import csv
import fcntl
import json
import logging
import logging.handlers
import os
import threading
import time
import warnings
from pathlib import Path

import pytest

import coheap


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there."""
    return tmp_path / "lines.txt"


def logger(handler: logging.Handler) -> logging.Logger:
    """A logger with this handler only."""
    made = logging.Logger("test", logging.INFO)
    made.addHandler(handler)
    return made


def test_lines_and_json_lines_are_written_at_once(path):
    with coheap.AppendFile(path) as file:
        file.write_line("one")
        assert path.read_text() == "one\n"
        file.write_json({"text": "\u00e9\n", "n": [1, None]})
        file.write_json("\u00e9", ensure_ascii=True)
    lines = path.read_text().splitlines()
    assert lines == ["one", '{"text": "\u00e9\\n", "n": [1, null]}', '"\\u00e9"']
    assert json.loads(lines[1])["text"] == "\u00e9\n"


def test_it_is_a_text_file_for_those_who_write(path):
    with coheap.AppendFile(path) as file:
        print("a", 1, file=file, end="")
        assert not path.exists()
        print(" b", file=file)
        assert file.write("half") == 4
        csv.writer(file, lineterminator="\n").writerow(["c", 2])
        file.writelines(["d\n", "e\n"])
        file.flush()
        file.write("x\n1\n")
        file.write("rest")
        assert (file.closed, file.readable(), file.writable(), file.seekable(), file.isatty()) == (
            False, False, True, False, False,
        )  # fmt: skip
    assert path.read_text() == "a 1 b\nhalfc,2\nd\ne\nx\n1\nrest\n"
    assert file.closed
    file.close()
    for call in (lambda: file.write("x"), file.flush, lambda: file.write_json(1), file.__enter__):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_what_is_no_line_is_refused(path):
    file = coheap.AppendFile(path)
    for bad, kind in [
        ("a\nb", ValueError),
        ("a\r", ValueError),
        (b"a", TypeError),
        ("\ud800", UnicodeEncodeError),
    ]:
        with pytest.raises(kind):
            file.write_line(bad)
    with pytest.raises(ValueError, match="line end"):
        file.write_json([1], indent=1)
    with pytest.raises(TypeError):
        file.write_json(object())
    with pytest.raises(OSError, match="descriptor"):
        file.fileno()
    with pytest.raises(LookupError):
        coheap.AppendFile(path, encoding="klingon")
    assert not path.exists()


@pytest.mark.parametrize(
    ("before", "encoding", "after"),
    [
        ("x\r\n".encode("utf-8-sig"), None, "x\r\n\u00e9\r\n".encode("utf-8-sig")),
        ("\u4e2d\n".encode("gb18030"), "gb18030", "\u4e2d\n\u00e9\n".encode("gb18030")),
        ("\u4e2d\n".encode("utf-16"), None, "\u4e2d\n\u00e9\n".encode("utf-16")),
        (b"x", None, "x\n\u00e9\n".encode()),
    ],
)
def test_a_file_of_lines_keeps_what_it_has(path, before, encoding, after):
    path.write_bytes(before)
    coheap.AppendFile(path, encoding=encoding).write_line("\u00e9")
    assert path.read_bytes() == after


@pytest.mark.parametrize("how", [{"maxBytes": 2000, "backupCount": 1000}, {"when": "S"}])
def test_rotation_by_many_processes_loses_no_record(path, children, how):
    def work(number):
        log = logger(coheap.RotatingFileHandler(path, **how))
        until = time.monotonic() + (1.3 if "when" in how else 0)
        count = 0
        while count < 150 or time.monotonic() < until:
            log.info("%d %d %s", number, count, "x" * (count % 50))
            count += 1
            if "when" in how:
                time.sleep(0.001)
        (path.parent / f"count {number}").write_text(str(count))

    pids = [children.fork(lambda number=number: work(number)) for number in range(6)]
    assert [children.wait(pid) for pid in pids] == [0] * 6
    logs = [each for each in path.parent.iterdir() if each.name.startswith(path.name)]
    assert len(logs) > (10 if "maxBytes" in how else 1)
    lines = [line.split(" ") for each in logs for line in each.read_text().splitlines()]
    assert all(line[2] == "x" * (int(line[1]) % 50) for line in lines)
    for number in range(6):
        count = int((path.parent / f"count {number}").read_text())
        mine = [int(line[1]) for line in lines if line[0] == str(number)]
        assert sorted(mine) == list(range(count))
    if "maxBytes" in how:
        assert max(each.stat().st_size for each in logs) <= 2000
        assert {each.name for each in logs} == {
            path.name,
            *(f"{path.name}.{n}" for n in range(1, len(logs))),
        }


def test_rotation_keeps_as_many_files_as_are_wanted_also_after_a_death_in_its_midst(path):
    log = logger(coheap.RotatingFileHandler(path, maxBytes=10, backupCount=3))
    for number in range(6):
        log.info("record %d", number)
    names = [path, *(path.with_name(f"{path.name}.{n}") for n in (1, 2, 3))]
    assert [each.read_text() for each in names] == [f"record {n}\n" for n in (5, 4, 3, 2)]
    # A mover that died has made room and not moved the file.
    names[3].unlink()
    names[2].rename(names[3])
    names[1].rename(names[2])
    log.info("record 6")
    assert [each.read_text() for each in names] == [f"record {n}\n" for n in (6, 5, 4, 3)]


def test_a_second_that_ends_while_the_lock_is_waited_for_is_moved_aside(path):
    log = logger(coheap.RotatingFileHandler(path, when="S"))
    time.sleep(1.1 - time.time() % 1)
    log.info("before")
    second = int(path.stat().st_mtime)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=log.info, args=("after",))
        waiting.start()
        while time.time() < second + 1.1:
            time.sleep(0.01)
    waiting.join(10)
    assert path.read_text() == "after\n"
    assert [each.read_text() for each in path.parent.glob(f"{path.name}.2*")] == ["before\n"]


def test_each_second_is_moved_aside_once_also_where_it_begins(path):
    log = logger(coheap.RotatingFileHandler(path, when="S"))
    first = int(time.time())
    while time.time() < first + 3.1:
        log.info("%d", time.time())
    seconds = {}
    for each in path.parent.glob(f"{path.name}*"):
        seconds[each.name] = {int(line) for line in each.read_text().splitlines()}
    # A record is from the second before where that ended between its time and its append.
    assert len(seconds) == 4
    assert all(len(found) <= 2 for found in seconds.values())


def test_days_are_moved_aside_by_when_they_were_written(path):
    handler = coheap.RotatingFileHandler(path, when="midnight", backupCount=2, utc=True)
    log = logger(handler)
    for number, day in enumerate((1, 2, 3)):
        log.info("record %d", number)
        os.utime(path, (day * 86_400 + 5, day * 86_400 + 5))
    log.info("record 3")
    kept = {each.name: each.read_text() for each in path.parent.glob("lines.txt*")}
    assert kept == {
        "lines.txt": "record 3\n",
        "lines.txt.1970-01-04": "record 2\n",
        "lines.txt.1970-01-03": "record 1\n",
    }
    handler.close()


def test_weeks_end_when_those_of_the_standard_library_do(path):
    zone = os.environ.get("TZ")
    try:
        for utc, name in ((True, "UTC"), (False, "Asia/Shanghai"), (False, "Europe/Berlin")):
            os.environ["TZ"] = name
            time.tzset()
            for day in range(7):
                ours = coheap.RotatingFileHandler(path, when=f"w{day}", utc=utc)
                theirs = logging.handlers.TimedRotatingFileHandler(
                    path, when=f"W{day}", utc=utc, delay=True
                )
                for hour in range(24 * 30):
                    moment = 1_792_000_123 + hour * 3600  # over the end of summer time
                    begin, end = ours._period_of(moment)
                    assert begin <= moment < end == ours._period_of(end)[0]
                    if name == "Europe/Berlin":
                        # There some versions of theirs are an hour off when a clock is set back.
                        assert time.localtime(end)[3:7] == (0, 0, 0, (day + 1) % 7)
                    else:
                        assert end == theirs.computeRollover(moment)
    finally:
        if zone is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = zone
        time.tzset()


def test_weeks_are_moved_aside_under_the_day_that_they_began(path):
    log = logger(coheap.RotatingFileHandler(path, when="W6", backupCount=1, utc=True))
    for number, day in enumerate((4, 12)):
        log.info("record %d", number)
        # The first of 1970 was a Thursday.
        os.utime(path, (day * 86_400 + 5, day * 86_400 + 5))
    log.info("record 2")
    kept = {each.name: each.read_text() for each in path.parent.glob("lines.txt*")}
    assert kept == {"lines.txt": "record 2\n", "lines.txt.1970-01-12": "record 1\n"}


def test_a_handler_refuses_what_makes_no_sense_and_replaces_characters(path, capsys):
    for bad in (
        {"mode": "w"},
        {"when": "Y"},
        {"when": "W7"},
        {"when": "W"},
        {"when": "H", "maxBytes": 1},
        {"when": "H", "interval": 0},
    ):
        with pytest.raises(ValueError, match="'"):
            coheap.RotatingFileHandler(path, **bad)
    logger(coheap.RotatingFileHandler(path, encoding="ascii", errors="backslashreplace")).info(
        "\u00e9"
    )
    logger(coheap.RotatingFileHandler(path, encoding="ascii")).info("\u4e2d")
    assert path.read_text() == "\\xe9\n"
    assert "UnicodeEncodeError" in capsys.readouterr().err


def test_an_unfinished_record_is_reported_when_the_next_one_is_written(path):
    file = coheap.AppendFile(path)
    file.write_line("x" * 100)
    os.truncate(path, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(coheap.UnfinishedCallWarning):
            coheap.AppendFile(path).write_line("next")
    assert path.read_text() == "next\n"


def test_a_frame_writes_itself_into_it(path):
    pandas = pytest.importorskip("pandas")
    with coheap.AppendFile(path) as file:
        pandas.DataFrame({"x": [1]}).to_csv(file, index=False)
    assert path.read_text() == "x\n1\n"
