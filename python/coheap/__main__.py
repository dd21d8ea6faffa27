"""`python -m coheap`: the commands of the program `coheap` that need Python.

    python -m coheap demo [PATH...]

Not here: the commands themselves (`coheap._demo`).
"""

import sys

from coheap._demo.job import main

if __name__ == "__main__":
    sys.exit(main())
