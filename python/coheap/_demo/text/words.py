"""What a word is, and how the words of a text are counted.

A word is a longest run of ASCII letters, digits and underscores.

What always holds: the shared dict, `multiprocessing` and the single process use the same function.
Not here: where a text comes from (`items`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

_WORD = re.compile(r"\w+", re.ASCII)


def count(text: str) -> Counter[str]:
    """Count how often each word of a text occurs."""
    return Counter[str](_WORD.findall(text))


def differences(
    expected: Mapping[str, int], found: Mapping[str, int]
) -> Iterator[tuple[str, int, int]]:
    """Give the words whose counts differ, in order: the word, what was expected, what was found."""
    for word in sorted(expected.keys() | found.keys()):
        pair = expected.get(word, 0), found.get(word, 0)
        if pair[0] != pair[1]:
            yield word, *pair
