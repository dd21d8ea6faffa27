"""What the native half shows to Python; `crates/coheap-py/src/lib.rs` is its source.

Every name that the module block there lists stands here with its types, in the same order.
Users import from `coheap`, never from here.
"""

__version__: str
