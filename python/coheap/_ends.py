"""The exceptions with which a queue says that there is no more: those of `queue`.

Imported when the first is needed: `queue` brings `threading`, which not every process has.
"""

import sys
from queue import Empty as Empty
from queue import Full as Full

if sys.version_info >= (3, 13):
    from queue import ShutDown as ShutDown
else:

    class ShutDown(Exception):  # noqa: N818 - the name that Python 3.13 gave it
        """The queue is closed and, for a `get`, everything in it is done."""

        __module__ = "coheap"
