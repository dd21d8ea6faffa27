"""Programs that run once at a time, leaders among workers, and slots: names that the kernel guards.

What always holds: a name, or each slot of it, is held by one process, and is free when that process
ends, however it ends. Nothing is left to clean up.

Not here: how a name is held (`crates/coheap-core/src/os/linux/claim`).
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from operator import index
from types import TracebackType
from typing import Literal, ParamSpec, Self, TypeVar, final

from coheap._errors import AlreadyRunning
from coheap._late_bodies import late_kind
from coheap._native import Claim, Listener

P = ParamSpec("P")
R = TypeVar("R")

_MAX_SLOTS = 4096

_OnSecond = Callable[[list[str], str], int]


class _Held:
    """What a single instance and slots have in common: acquired by `with`, or by calls."""

    def __init__(self, name: str, claim: Claim, wait: bool | float) -> None:
        self.name = name
        self._claim = claim
        self._timeout = _timeout_of(wait)
        self._pid = 0

    def acquire(self) -> None:
        """Hold the name, waiting as `wait` says.

        Raises:
            AlreadyRunning: It is held, and was not free in time.
            OSError: The place of the locks cannot be trusted or written; nothing was changed.
        """
        holder = self._claim.acquire(self._timeout)
        if holder is not None:
            raise self._refused(*holder)
        self._pid = os.getpid()

    def release(self) -> None:
        """Give the name back.

        Raises:
            RuntimeError: This process does not hold it: it was not acquired, the process was forked
                since, or something closed its descriptors, as daemons do when they begin.
        """
        if not self._claim.release():
            raise RuntimeError(
                f"{self.name!r} is not held by this process: it was not acquired, or the process "
                "was forked since, or something closed its descriptors (os.closerange, the start "
                "of a daemon) and another instance may have started; nothing was changed; acquire "
                "it after the process has forked and closed what it closes"
            )

    @property
    def held(self) -> bool:
        """Whether this process holds the name now; the kernel is asked."""
        return self._claim.held

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A child that was forked inside leaves without holding anything.
        if self._pid == os.getpid():
            self.release()

    def __repr__(self) -> str:
        state = "held" if self.held else "not held"
        return f"<coheap.{type(self).__name__} {self.name!r}, {state}>"

    def _again(self) -> Self:
        """Return one that is not held, and otherwise like this one."""
        raise NotImplementedError

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function: each of its calls holds the name, and excludes all others."""
        _check_runs_at_once(function)

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return function(*args, **kwargs)

        return run

    def _refused(
        self,
        pid: int | None,
        since: float | None,
        command: list[str],
        user: str | None,
        words: str,
    ) -> AlreadyRunning:
        error = AlreadyRunning(
            f"{self._refusal()}: {words}; nothing was changed; wait for it (wait=), or end it"
        )
        error.name = self.name
        error.pid, error.since, error.command, error.user = pid, since, tuple(command), user
        return error

    def _refusal(self) -> str:
        raise NotImplementedError


@final
class SingleInstance(_Held):
    """A name that one process holds at a time; `coheap.single_instance` makes it."""

    def __init__(
        self,
        name: str,
        *,
        scope: Literal["user", "machine"] = "user",
        wait: bool | float = False,
        on_second: _OnSecond | None = None,
        inherit: bool = False,
    ) -> None:
        if on_second is not None and not callable(on_second):
            raise TypeError(f"on_second must be callable, not {type(on_second).__name__}")
        super().__init__(name, Claim(name, scope, None, inherit), wait)
        self._options = (scope, wait, on_second, inherit)
        self._listener: Listener | None = None

    def acquire(self) -> None:
        """Hold the name, waiting as `wait` says.

        Raises:
            AlreadyRunning: It is held, and was not free in time.
            OSError: The place of the locks cannot be trusted or written; nothing was changed.
        """
        super().acquire()
        _, _, on_second, _ = self._options
        if on_second is not None:
            try:
                self._listener = self._claim.listen()
            except BaseException:
                self._claim.release()
                raise
            _begin_to_hear(self._listener, on_second)

    def release(self) -> None:
        """Give the name back; who comes second is heard no longer.

        Raises:
            RuntimeError: This process does not hold it: it was not acquired, the process was forked
                since, or something closed its descriptors, as daemons do when they begin.
        """
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
        super().release()

    def _again(self) -> "SingleInstance":
        scope, wait, on_second, inherit = self._options
        return SingleInstance(
            self.name, scope=scope, wait=wait, on_second=on_second, inherit=inherit
        )

    def _refused(
        self,
        pid: int | None,
        since: float | None,
        command: list[str],
        user: str | None,
        words: str,
    ) -> AlreadyRunning:
        error = super()._refused(pid, since, command, user, words)
        # A process does not ask itself.
        if pid != os.getpid():
            error.answer = self._claim.ask(*_own_command())
        return error

    def _refusal(self) -> str:
        return f"{self.name!r} is already running"


@final
class Slots(_Held):
    """At most `n` holders at once, across all programs that use the name.

        with coheap.Slots("gpu", 2, wait=True) as slot:
            train(device=slot.number)

    An object holds one slot at a time; use one for each thread. As a decorator, each call of the
    function holds a slot. A slot is free when its process ends, however it ends.

    Args:
        name: Any text of 1 to 255 bytes of UTF-8. It has nothing to do with the same name in
            `single_instance`.
        n: How many slots there are, 1 to 4096. All who use the name at the same time have to give
            the same number.
        scope: "user" for the processes of this user, "machine" for those of all users.
        wait: Whether to wait for a free slot, or for how many seconds at most.

    Raises:
        ValueError: The name, `n`, `scope` or `wait` is not possible. On `acquire`: others use the
            name with another `n`.
        AlreadyRunning: On `acquire`: all slots are held.
        RuntimeError: On `acquire`: this object holds a slot already; it keeps that one.
    """

    def __init__(
        self,
        name: str,
        n: int,
        *,
        scope: Literal["user", "machine"] = "user",
        wait: bool | float = False,
    ) -> None:
        if not 1 <= index(n) <= _MAX_SLOTS:
            raise ValueError(f"n must be from 1 to {_MAX_SLOTS}, not {n}")
        super().__init__(name, Claim(name, scope, n, False), wait)
        self.n = n
        self._options = (scope, wait)

    @property
    def number(self) -> int | None:
        """The number of the slot, 0 to `n - 1`; None if none is held."""
        return self._claim.slot

    def _again(self) -> "Slots":
        scope, wait = self._options
        return Slots(self.name, self.n, scope=scope, wait=wait)

    def _refusal(self) -> str:
        return f"all {self.n} slots of {self.name!r} are taken, one of them"


def single_instance(
    name: str,
    *,
    scope: Literal["user", "machine"] = "user",
    wait: bool | float = False,
    on_second: _OnSecond | None = None,
    inherit: bool = False,
) -> SingleInstance:
    """Return a name that one process holds at a time, for a program that must run only once.

        with coheap.single_instance("backup"):
            back_up()

    It is acquired by `with`, by `acquire()` and `release()`, or by each call of a function that it
    decorates. The kernel holds it for the process: it is free when the process ends, however it
    ends, and no file has to be cleaned up. A forked child does not hold it.

    A process that becomes a daemon acquires afterwards: closing all descriptors gives the name up.
    `held` tells it, and so does `release`.

    Args:
        name: Any text of 1 to 255 bytes of UTF-8.
        scope: "user" for the processes of this user, "machine" for those of all users.
        wait: Whether to wait until the name is free, or for how many seconds at most.
        on_second: Called when a second process of the same user finds the name held, in a thread of
            its own, with the arguments (`sys.argv`) and the current folder of the second one. The
            number that it returns, of 32 bits, is the `answer` of the second one's
            `AlreadyRunning`, unless it takes longer than a second.
        inherit: Whether children that are forked while the name is held hold it, too, until the
            last of them ends or this process releases it.

    Returns:
        An object that is not acquired yet.

    Raises:
        ValueError: The name, `scope` or `wait` is not possible.
        AlreadyRunning: On acquiring: another process holds the name, or another part of this one.
    """
    return SingleInstance(name, scope=scope, wait=wait, on_second=on_second, inherit=inherit)


def lead(
    name: str, function: Callable[..., R], *args: object, scope: Literal["user", "machine"] = "user"
) -> R:
    """Wait until this process leads under a name, run a function, and return what it returns.

    Of many workers that call this, one runs the function. When it ends, or returns, the next one
    does.

        threading.Thread(target=coheap.lead, args=("scheduler", run_scheduler), daemon=True).start()

    Args:
        name: Any text of 1 to 255 bytes of UTF-8, as for `single_instance`.
        function: What the leader runs.
        *args: The arguments of `function`.
        scope: "user" for the processes of this user, "machine" for those of all users.

    Raises:
        ValueError: The name or `scope` is not possible.
    """
    with SingleInstance(name, scope=scope, wait=True):
        return function(*args)


def _timeout_of(wait: bool | float) -> float | None:
    """Return how many seconds to wait; None is for ever."""
    if wait is True:
        return None
    seconds = float(wait)
    if not seconds >= 0:
        raise ValueError(f"wait must be True, False or a number of seconds, 0 or more, not {wait}")
    return None if seconds == float("inf") else seconds


def _check_runs_at_once(function: Callable[..., object]) -> None:
    """Refuse a function whose body runs after its call has returned."""
    kind = late_kind(function)
    if kind is not None:
        raise TypeError(
            f"cannot decorate {kind} function: its body would run after the name was given back; "
            "use 'with' inside it"
        )


def _own_command() -> tuple[list[str], str]:
    """Return what the holder is told of this process."""
    try:
        folder = os.getcwd()
    except OSError:
        folder = ""
    return [str(word) for word in getattr(sys, "argv", [])], folder


def _begin_to_hear(listener: Listener, on_second: _OnSecond) -> None:
    """Hear those who come second, in a thread that ends when the listener is stopped."""
    import threading

    def hear() -> None:
        while (second := listener.next()) is not None:
            try:
                second.answer(on_second(second.arguments, second.folder))
            except Exception:
                # As an exception that ends a thread, which this one must not do.
                threading.excepthook(
                    threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
                )

    threading.Thread(target=hear, name="coheap-on-second", daemon=True).start()


for _class in (SingleInstance, Slots):
    _class.__module__ = "coheap"
