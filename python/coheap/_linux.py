"""Says on other systems why coheap cannot be imported, before the extension is missed.

Not here: why Linux is needed (`docs/decisions.md`).
"""

import sys

if sys.platform != "linux":
    raise ImportError(
        f"coheap runs on Linux only, not on {sys.platform}: it needs futexes in memory that processes "
        "share, locks of files that end with their process, and files in memory; use a container or a "
        "virtual machine with Linux"
    )
