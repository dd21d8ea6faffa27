"""One heap, many processes, always consistent.

coheap keeps what processes share (containers, queues, locks, arrays) in one heap that each of
them maps, and keeps it whole whichever of them dies, whenever. Nothing runs beside your
processes: there is no server to start, and none to lose.

This release holds the engine and the Rust face. The Python classes follow; for now the package
can be built, installed, imported and asked for its version.
"""

from coheap._native import __version__

__all__ = ["__version__"]
