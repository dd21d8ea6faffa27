"""Says on other systems why coheap cannot be imported, before the extension is missed.

Not here: why Linux is needed (`docs/decisions.md`).
"""

import os

if not hasattr(os, "memfd_create"):
    raise ImportError(
        "coheap runs on Linux only, and this Python has no os.memfd_create: it needs files in memory, "
        "futexes in memory that processes share, and locks of files that end with their process; use a "
        "container or a virtual machine with Linux"
    )
