"""Functions whose body runs after the call has returned: what wraps only the call cannot wrap them.

Not here: what a decorator says of them, which depends on what it does around a call.
"""

import inspect
from collections.abc import Callable


def late_kind(function: Callable[..., object]) -> str | None:
    """Return what kind of function it is, with the article; None if its body runs in the call."""
    for is_kind, kind in (
        (inspect.iscoroutinefunction, "a coroutine"),
        (inspect.isgeneratorfunction, "a generator"),
        (inspect.isasyncgenfunction, "an asynchronous generator"),
    ):
        if is_kind(function):
            return kind
    return None
