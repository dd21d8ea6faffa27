"""Items of the demo: cut where no word and no character is cut.

Goal: the words of all items are the words of the file, whatever is in it.
Method: short items and short reads, over random bytes of words, gaps and long characters.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scene import plain_count

from coheap._demo import text
from coheap._demo.failure import Failed
from coheap._demo.text import items, words
from coheap._demo.text.corpus import collect

ALPHABET = "ab_9 \n-é中\U0001f980"


@pytest.fixture(autouse=True)
def short_items(monkeypatch):
    """Items of at most 16 bytes."""
    monkeypatch.setattr(text.items, "ITEM_BYTES", 16)


@given(content=st.text(ALPHABET, max_size=200))
def test_pieces_follow_each_other_and_have_the_words_of_the_file(tmp_path, content):
    file = tmp_path / "text"
    file.write_bytes(content.encode())
    pieces = list(items.pieces(str(file)))
    assert "".join(piece for _, _, piece in pieces) == content
    ends = [0, *(end for _, end, _ in pieces)]
    assert [start for start, _, _ in pieces] == ends[:-1]
    assert plain_count(*(piece for _, _, piece in pieces)) == plain_count(content)
    for start, end, piece in pieces:
        assert items.Item(str(file), start, end).read() == piece
        # Longer than it may be only if it begins with a word, or a character, that is.
        assert end - start <= 16 or len(plain_count(piece)) == 1


@given(content=st.text(ALPHABET, min_size=1, max_size=60))
def test_halves_have_the_words_of_the_whole(content):
    halves = items.Item("path", 100, 100 + len(content.encode())).halves(content)
    if halves is None:
        assert len(plain_count(content)) + len(content.strip("ab_9")) <= 1
        return
    first, second = halves
    assert (first.start, second.end) == (100, 100 + len(content.encode()))
    assert first.end == second.start
    data = content.encode()
    cut = first.end - 100
    assert 0 < cut < len(data)
    assert plain_count(data[:cut].decode(), data[cut:].decode()) == plain_count(content)


@given(content=st.text(max_size=100))
def test_a_word_is_a_run_of_ascii_letters_digits_and_underscores(content):
    assert words.count(content) == plain_count(content)


@given(content=st.binary(max_size=200))
def test_bytes_that_are_no_text_are_never_taken(tmp_path, content):
    file = tmp_path / "bytes"
    file.write_bytes(content)
    try:
        content.decode()
    except UnicodeDecodeError:
        with pytest.raises(items.NotText):
            list(items.pieces(str(file)))
    else:
        assert sum(end - start for start, end, _ in items.pieces(str(file))) == len(content)


def test_bytes_without_a_cut_are_not_read_to_their_end(tmp_path):
    file = tmp_path / "bytes"
    with file.open("wb") as sparse:
        sparse.write(b"\x80" * 4096)
        # So much that nobody reads it by mistake.
        sparse.truncate(1 << 40)
    with pytest.raises(items.NotText):
        list(items.pieces(str(file)))


def test_a_text_that_is_no_longer_there_is_told(tmp_path):
    file = tmp_path / "text"
    file.write_text("some words")
    item = items.Item(str(file), 5, 10)
    assert item.read() == "words"
    file.write_text("some")
    with pytest.raises(Failed, match="was longer and has 4 bytes now"):
        item.read()
    file.write_bytes(b"\xff" * 10)
    with pytest.raises(Failed, match="was text and is no longer UTF-8"):
        item.read()
    file.unlink()
    with pytest.raises(Failed, match="was readable and is no longer: No such file"):
        item.read()


def test_a_corpus_is_in_order_and_no_larger_than_asked_for(tmp_path):
    for name in ("b/1", "a/2", "c", "a/1", "d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x" * 10)
    found = collect([str(tmp_path)])
    assert [file.path[len(str(tmp_path)) :] for file in found.files] == [
        "/c",
        "/d",
        "/a/1",
        "/a/2",
        "/b/1",
    ]
    assert found.size == 50
    assert [len(collect([str(tmp_path)], most).files) for most in (0, 9, 10, 35, 50)] == [
        0,
        0,
        1,
        3,
        5,
    ]
    assert found.changed() == []
    (tmp_path / "c").write_text("shorter")
    (tmp_path / "d").unlink()
    assert found.changed() == [str(tmp_path / "c"), str(tmp_path / "d")]
