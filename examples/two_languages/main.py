"""Python's half of the example: works for the Rust program, and lets it work for this one.

`give` puts outlines for Rust's workers and checks their measures; `work` takes Rust's texts and
counts their words. Any number of each may run, in any order, and workers may be killed.

    python examples/two_languages/main.py HEAP give|work [COUNT]
"""

import sys
from collections import Counter
from fractions import Fraction

import coheap

PATIENCE = 60  # seconds; whoever waits longer waits for nobody


def outline(n: int) -> dict:
    """Make up the outline with number `n`, as Rust's struct `Outline`."""
    styles = ["Solid", {"Dashed": 2 + n % 5}, {"Dotted": {"gap": 0.25}}]
    return {
        "id": n,
        "label": f"outline {n}",
        "points": [(0, 0), (n, 0), (n, n + 1), (-(2**20), n)],
        "style": styles[n % 3],
        "note": f"the {n}th" if n % 4 == 0 else None,
        "of no interest to Rust": Fraction(n, 3),
    }


def as_f32(number: float) -> float:
    """Round as Rust's f32 does."""
    import struct

    return struct.unpack("<f", struct.pack("<f", number))[0]


def measures(job: dict) -> dict:
    """What Rust must find, as its struct `Measures`."""
    points = job["points"]
    pairs = zip(points, points[1:] + points[:1], strict=True)
    twice_area = sum(x * v - u * y for (x, y), (u, v) in pairs)
    style = job["style"]
    if style == "Solid":
        ink = 1.0
    else:
        ink = 1 / style["Dashed"] if "Dashed" in style else 1 - style["Dotted"]["gap"]
    return {
        "label": job["note"] or job["label"],
        "twice_area": twice_area,
        "moment": (twice_area << 64) + job["id"],
        "ink": as_f32(ink),
    }


def give(heap: coheap.Heap, count: int) -> None:
    """Give `count` outlines to Rust's workers, wait for them and check what they measured."""
    jobs = heap.work_queue("outlines")
    outlines = [outline(n) for n in range(count)]
    jobs.put_many(outlines)
    jobs.close()
    leave_a_pickle(heap)
    jobs.join(timeout=PATIENCE)
    assert jobs.failed() == []

    found = heap.dict("measures")
    assert len(found) == count
    for job in outlines:
        ours, theirs = measures(job), found[job["id"]]
        assert ours == theirs, (ours, theirs)
        assert list(ours) == list(theirs)
        assert [*map(type, ours.values())] == [*map(type, theirs.values())]
    # Measured and counted in one transaction: exact, whoever was killed.
    assert heap.dict("done")["outlines"] == count


def leave_a_pickle(heap: coheap.Heap) -> None:
    """Store what only Python can read, and see that Rust says so and loses nothing."""
    half = Fraction(1, 2)
    heap.dict("halves").update(plain=0.5, pickled=half)
    odd = heap.work_queue("odd")
    odd.put(half)
    with heap.work_queue("replies").get(timeout=PATIENCE) as reply:
        assert "Python has pickled" in reply.value, reply.value
    with odd.get(block=False) as job:
        assert (job.value, job.attempt) == (half, 2)


def work(heap: coheap.Heap) -> None:
    """Count the words of texts until Rust has given the last one and all are done."""
    # Rust reads what is found; nobody changes it here.
    found = heap.dict("found", copies=True)
    for job in heap.work_queue("texts"):
        with job:
            text = job.value
            assert [*map(type, text.values())] == [int, list, float, str, tuple], text
            words = " ".join(text["lines"]).split()
            begin, end = text["span"]
            answer = {
                "place": "Nowhere" if end is None else {"Between": (begin, end)},
                "longest": max(words, key=len, default=None),
                "words": dict(Counter(words)),
                "weight": text["weight"] * 2,
                "initial": text["initial"],
            }
            found[text["id"]] = answer


def main() -> None:
    """Open the heap, which goes with the last of the programs, and play a role."""
    _, name, role, *rest = sys.argv
    count = int(*rest) if rest else 300
    with coheap.open(name, max_bytes=64 << 20, temporary=True) as heap:
        if role == "give":
            give(heap, count)
        else:
            work(heap)
        heap.check()


if __name__ == "__main__":
    main()
