"""Imports on first use, which a fork by another thread waits for.

A child that is forked while another thread imports a module cannot finish that import, nor begin it
anew: it would wait for a thread that it does not have.

What always holds: no fork of this interpreter happens in the middle of an import that was begun here,
unless that import takes longer than `PATIENCE` seconds, or waits for the thread that forks.
"""

import os
from _thread import RLock
from importlib import import_module
from types import ModuleType

PATIENCE = 10.0
"""How long a fork waits: an import may wait for another one, in the midst of which a program forks."""

_lock = RLock()
_is_taken = False


def import_late(name: str) -> ModuleType:
    """Import a module, and have forks wait meanwhile."""
    with _lock:
        return import_module(name)


def _before() -> None:
    global _is_taken
    _is_taken = _lock.acquire(timeout=PATIENCE)


def _after_in_parent() -> None:
    if _is_taken:
        _lock.release()


def _after_in_child() -> None:
    # Without the lock, a thread that the child does not have may be holding it.
    global _lock
    _lock = RLock()


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
