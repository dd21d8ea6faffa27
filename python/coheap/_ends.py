"""The exceptions of queues that are empty, full or closed: those of `queue`.

This module is imported on first use, because `queue` imports `threading`, which not every process
needs.
"""

import sys
from queue import Empty as Empty
from queue import Full as Full

if sys.version_info >= (3, 13):
    from queue import ShutDown as ShutDown
else:

    class ShutDown(Exception):  # noqa: N818 - the name that Python 3.13 gave it
        """The queue is closed; a `get` raises it once every item in it is done."""

        __module__ = "coheap"
