"""A script that runs only once at a time, and takes work from those who start it again.

    python examples/run_once.py a.txt      works until Ctrl-C
    python examples/run_once.py b.txt      in another terminal: the first one takes b.txt, too

What always holds: at most one runs, whatever was killed before. A second one ends with the answer
of the first, or with 75 if there is none.
"""

import os
import queue
import sys

import coheap

NAME = os.environ.get("RUN_ONCE_NAME", "run-once-example")
work: "queue.SimpleQueue[str]" = queue.SimpleQueue()


def on_second(argv: list[str], cwd: str) -> int:
    """Take what a second one was asked for: its paths are meant from its own folder."""
    for path in argv[1:]:
        work.put(os.path.join(cwd, path))
    return 0


def main() -> int:
    """Work on what this one, and those who came second, were asked for."""
    try:
        with coheap.single_instance(NAME, on_second=on_second):
            for path in sys.argv[1:]:
                work.put(os.path.abspath(path))
            while True:
                print(f"process {os.getpid()} works on {work.get()}", flush=True)
    except coheap.AlreadyRunning as error:
        print(f"process {error.pid} does it", flush=True)
        return 75 if error.answer is None else error.answer
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
