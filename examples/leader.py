"""A web application with a job that runs in exactly one of its workers.

    gunicorn --chdir examples --workers 4 --bind 127.0.0.1:8000 leader:app

Kill the worker that leads: another one takes over.

What always holds: one worker runs the job, and none beside it, from the moment the first one is up.
Where gunicorn runs with `--preload`, begin in its hook `post_fork` instead of in the module.
"""

import os
import threading
import time
from collections.abc import Callable

import coheap

NAME = os.environ.get("LEADER_NAME", "leader-example")
SECONDS = float(os.environ.get("LEADER_SECONDS", "1"))
leads = threading.Event()


def job() -> None:
    """Do something every second, in the worker that leads."""
    leads.set()
    while True:
        print(f"{os.getpid()} leads", flush=True)
        time.sleep(SECONDS)


threading.Thread(target=coheap.lead, args=(NAME, job), daemon=True).start()


def app(
    _environ: dict[str, object], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> list[bytes]:
    """Answer a request, in any of the workers."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"worker {os.getpid()}, {'the leader' if leads.is_set() else 'no leader'}\n".encode()]
