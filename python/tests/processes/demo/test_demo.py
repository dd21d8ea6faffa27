"""`python -m coheap demo` as its users meet it: the real program, real processes, real kills.

Goal: every count is right whatever dies, and whoever asks for nonsense is told.
Method: random texts in a folder, the program as a child, its workers killed by it and by the test.
Not here: how items are cut, byte by byte (`test_items`).
"""

import os
import random
import signal
import socket
import time

import pytest
from conftest import until
from scene import Scene, coheap, living, plain_count, random_text, workers_of

METHODS = ("fork", "spawn", "forkserver")


@pytest.fixture
def scene(tmp_path):
    """An empty folder, whose programs end with the test."""
    scene = Scene(tmp_path)
    yield scene
    scene.end()


@pytest.fixture
def chance():
    """Chance, with a seed that is printed."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.mark.parametrize("method", METHODS)
def test_every_count_is_exact_while_workers_are_killed(scene, chance, method):
    """Goal: exact under each start method. Method: run after run until enough were killed."""
    texts = [random_text(chance, chance.randrange(40_000)) for _ in range(150)]
    texts.append(random_text(chance, 2 << 20))
    for number, text in enumerate(texts):
        scene.write(f"{number % 7}/{number}.txt", text)
    expected = plain_count(*texts)
    kills = redelivered = 0
    for _ in range(40):
        json = scene.run("--workers", "4", "--kills-per-second", "50", "--start-method", method)
        figures = json["figures"]
        assert json["counts"] == expected
        assert (figures["files"], figures["words"]) == (151, expected.total())
        assert (figures["face"], figures["start_method"]) == ("python", method)
        kills += figures["kills"]
        redelivered += figures["redelivered"]
        if kills >= 15 and redelivered:
            return
    raise AssertionError(f"only {kills} kills, and {redelivered} items came back")


def test_what_is_not_utf8_is_skipped_with_a_reason_and_counts_for_nothing(scene):
    scene.write("good.txt", "one two two")
    latin = scene.write("deep/latin.txt", b"caf\xe9 one")
    # Wrong only in its last byte, after pieces that were right.
    late = scene.write("late.txt", b"one " * 200_000 + b"\xff")
    json = scene.run()
    assert json["counts"] == {"one": 1, "two": 2}
    skipped = sorted((skipped["path"], skipped["reason"]) for skipped in json["skipped"])
    assert skipped == [(latin, "not UTF-8"), (late, "not UTF-8")]
    assert (json["figures"]["files"], json["figures"]["skipped"]) == (1, 2)


def test_links_to_files_are_followed_and_linked_folders_are_not_entered(scene, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "outside.txt").write_text("linked")
    scene.write("own/own.txt", "own")
    (scene.texts / "link.txt").symlink_to(outside / "outside.txt")
    (scene.texts / "folder").symlink_to(outside)
    (scene.texts / "broken").symlink_to("nowhere")
    (scene.texts / "circle").symlink_to("circle")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(scene.texts / "socket"))
        assert scene.run()["counts"] == {"linked": 1, "own": 1}
    # A path that was asked for is entered even if it is a link, and may be a file.
    for path in (scene.texts / "folder", scene.texts / "link.txt"):
        child = coheap("demo", path, "--json", scene.json)
        assert child.communicate(timeout=60)[1] == ""
        assert scene.read()["counts"] == {"linked": 1}


def test_a_file_whose_name_is_no_text_is_counted_like_any_other(scene):
    scene.write(b"caf\xe9.txt", "one two")
    scene.write("with space\nand newline.txt", "two three")
    scene.write(b"wrong-\xff.txt", b"\xff")
    json = scene.run()
    assert json["counts"] == {"one": 1, "two": 2, "three": 1}
    assert [skipped["path"][-11:] for skipped in json["skipped"]] == ["wrong-�.txt"]


def test_a_folder_without_words_gives_empty_counts(scene):
    assert scene.run()["counts"] == {}
    scene.write("empty.txt", "")
    scene.write("gaps.txt", " \n-- ")
    json = scene.run("--kills-per-second", "50")
    assert json["counts"] == {}
    assert (json["figures"]["files"], json["figures"]["words"]) == (2, 0)


def test_endless_words_and_items_full_of_new_words_are_counted(scene):
    """Goal: what does not fit into one item or one transaction is counted all the same."""
    endless = f"short {'x' * 700_000} short"
    new = " ".join(f"{number:x}" for number in range(80_000))
    scene.write("endless.txt", endless)
    scene.write("new.txt", new)
    assert scene.run("--kills-per-second", "20")["counts"] == plain_count(endless, new)


def test_the_same_seed_is_told_and_taken_back(scene):
    scene.write("a.txt", "a")
    child = coheap("demo", scene.texts, "--json", scene.json, COHEAP_SEED="4711")
    child.communicate(timeout=60)
    assert scene.read()["figures"]["seed"] == 4711
    child = coheap("demo", scene.texts, COHEAP_SEED="many")
    assert "COHEAP_SEED=many is not a seed" in child.communicate(timeout=60)[1]
    assert child.returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["demo", "/no/such/path"],
        ["demo", "/dev/null"],
        ["demo", "--workers", "0"],
        ["demo", "--workers", "65"],
        ["demo", "--workers", "many"],
        ["demo", "--kills-per-second", "51"],
        ["demo", "--kills-per-second", "-1"],
        ["demo", "--kills-per-second", "NaN"],
        ["demo", "--kills-per-second", "inf"],
        ["demo", "--start-method", "magic"],
        ["demo", "--unknown"],
        ["demo", "--json"],
        ["demo", "--", "--json"],
        ["demo", "/etc/hostname", "--json", "/no/such/folder.json"],
    ],
)
def test_bad_arguments_and_paths_are_told_and_answered_by_status_2(arguments):
    child = coheap(*arguments)
    said, told = child.communicate(timeout=60)
    assert child.returncode == 2
    assert told
    assert "Traceback" not in told
    assert said == ""


def test_options_may_stand_among_the_paths(scene):
    one, two, option = (scene.write(name, name) for name in ("one", "two", "--workers"))
    child = coheap("demo", one, "--workers", "3", two, "--json", scene.json, "--", option)
    child.communicate(timeout=60)
    assert scene.read()["counts"] == {"one": 1, "two": 1, "workers": 1}
    assert scene.read()["figures"]["workers"] == 3


def long_run(scene, *options):
    """A run on so much text that a test has time to do something to it."""
    text = random_text(random.Random(1), 1 << 20)
    for number in range(24):
        scene.write(f"{number}.txt", text)
    child = scene.start("--workers", "3", "--kills-per-second", "0", *options)
    return child, workers_of(child, 3), text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_no_worker_is_left(scene, number):
    """Goal: Ctrl-C ends everything within a second.

    Method: the workers are stopped first, with whatever they hold, so that none can leave by
    itself and the program may be waiting for one of them.
    """
    child, workers, _ = long_run(scene)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    started = time.monotonic()
    child.send_signal(number)
    said = child.communicate(timeout=60)
    assert child.returncode == 128 + number, said
    assert said == ("", "")
    until(lambda: not living(workers))
    assert time.monotonic() - started < 2
    assert not scene.json.exists()


def test_ctrl_c_at_any_time_is_quiet_and_leaves_nobody(scene):
    """Goal: no traceback, no worker, no manager. Method: Ctrl-C to all processes of a terminal."""
    long_run(scene)[0].kill()
    for tenths in range(3, 13):
        child = scene.start("--workers", "3", "--compare", "--kills-per-second", "20")
        # The moment is what is tried: while it starts, in the midst, near the end.
        time.sleep(tenths / 10)
        os.killpg(child.pid, signal.SIGINT)
        said = child.communicate(timeout=60)
        if child.returncode != -signal.SIGINT:
            # Otherwise it came before the program began to listen.
            assert (child.returncode, said) == (128 + signal.SIGINT, ("", ""))
        with pytest.raises(ProcessLookupError):
            os.killpg(child.pid, 0)


def test_workers_leave_when_the_process_that_started_them_is_killed(scene):
    child, workers, _ = long_run(scene)
    child.kill()
    until(lambda: not living(workers), seconds=5)


def test_a_worker_that_somebody_else_kills_is_replaced_and_nothing_is_lost(scene):
    child, workers, text = long_run(scene)
    os.kill(workers[1], signal.SIGKILL)
    said = child.communicate(timeout=120)
    assert child.returncode == 0, said
    assert "killed by others          1" in said[0]
    expected = {word: 24 * count for word, count in plain_count(text).items()}
    assert scene.read()["counts"] == expected


def test_a_file_that_changes_meanwhile_ends_the_run_and_is_named(scene):
    """Goal: wrong counts are seen. Method: workers are stopped while a file they need is cut."""
    child, workers, _ = long_run(scene)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    for number in range(24):
        scene.write(f"{number}.txt", "no more than this")
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 1
    assert ".txt was longer and has 17 bytes now" in told
    assert "Traceback" not in told
    assert not scene.json.exists()


@pytest.mark.parametrize("method", METHODS)
def test_the_comparison_counts_the_same_and_gives_both_times(scene, chance, method):
    text = random_text(chance, 20_000)
    scene.write("a.txt", text)
    json = scene.run("--compare", "--start-method", method)
    assert json["counts"] == plain_count(text)
    figures = json["figures"]
    assert figures["multiprocessing_seconds"] > 0
    ratio = figures["multiprocessing_seconds"] / figures["seconds"]
    assert figures["multiprocessing_ratio"] == ratio
