"""The decorator `coheap.atomic`: runs a function in a block, and retries it after a conflict.

Not here: the block itself (`crates/coheap-py/src/atomic/`).
"""

import inspect
import random
import time
import warnings
from collections.abc import Callable
from functools import wraps
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import ParamSpec, TypeVar

from coheap._errors import DeadlockError, WouldBlock
from coheap._late_bodies import late_kind
from coheap._native import Atomic

P = ParamSpec("P")
R = TypeVar("R")

_BACK_OFF_SECONDS = 0.0001
_LONGEST_SECONDS = 0.01
_SUSPENDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_RUN_LATER: tuple[type, ...] = (CoroutineType, GeneratorType, AsyncGeneratorType)


def retrying(block: Atomic, function: Callable[P, R], retries: int) -> Callable[P, R]:
    """Return a function that runs every call in one block, and retries it after a `DeadlockError`.

    After a `WouldBlock` it waits outside of the block, and then retries.

    Inside another block, a call is a savepoint of that block. It does not retry: only the outermost
    block can run again.

    Args:
        block: The block whose settings each call copies.
        function: The function that runs inside the block.
        retries: How often a call is retried after a `DeadlockError`.

    Raises:
        TypeError: `function` is not callable, or is a coroutine or generator function. A call
            raises it, too, when `function` returned a coroutine or a generator: its body would
            run after the block has ended.
    """
    kind = late_kind(function)
    if kind is not None:
        raise TypeError(
            f"atomic cannot decorate {kind} function: its body would run after the block has "
            "ended; use 'with coheap.atomic():' inside it, without an await or a yield in the "
            "block"
        )
    if not callable(function):
        raise TypeError(f"atomic decorates a function, not {type(function).__name__}")

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        one = block._fresh()
        attempt = 0
        while True:
            is_inner = False
            try:
                with one:
                    is_inner = one._is_inner()
                    result = function(*args, **kwargs)
                    if isinstance(result, _RUN_LATER):
                        raise TypeError(
                            f"the function that atomic decorates returned a "
                            f"{type(result).__name__}, whose body would run after the block has "
                            "ended; nothing was changed; use 'with coheap.atomic():' inside it, "
                            "without an await or a yield in the block"
                        )
                    return result
            except DeadlockError:
                if is_inner or attempt >= retries:
                    raise
            except WouldBlock:
                has_waited = None if is_inner else one._wait()
                if has_waited:
                    continue
                # The wait is over already, or nobody but this thread can end it. Either may change,
                # or never.
                if has_waited is None or attempt >= retries:
                    raise
            except BaseException:
                # Python 3.14 may raise KeyboardInterrupt after `__enter__` without calling
                # `__exit__`. In every other case the block has been left already.
                one._abandon()
                raise
            attempt += 1
            longest = min(_BACK_OFF_SECONDS * 2**attempt, _LONGEST_SECONDS)
            time.sleep(random.uniform(0, longest))

    return run


def warn_of_closed(traceback: TracebackType) -> None:
    """Warn if a generator was closed while it was suspended in a block, which was undone.

    Args:
        traceback: That of the `GeneratorExit`: it says where the generator was suspended.
    """
    inside = traceback.tb_frame
    if not inside.f_code.co_flags & _SUSPENDS:
        return
    outside = inside.f_back
    where = f"{inside.f_code.co_filename}:{traceback.tb_lineno}"
    file, line = (outside.f_code.co_filename, outside.f_lineno) if outside else ("sys", 1)
    warnings.warn_explicit(
        f"{inside.f_code.co_name!r}, suspended in a block of coheap.atomic at {where}, was closed or "
        f"dropped at {file}:{line}: the block was undone, with what others did in it meanwhile; end "
        "the block before the yield, or go through the generator to its end",
        RuntimeWarning,
        file,
        line,
    )
