//! The native half of the Python face: the module `coheap._native`.
//!
//! All that Python can see is listed in the one block below.
//!
//! What always holds: nothing here sleeps while it is attached to the interpreter, no Python code
//! runs while the engine holds a turn, and all classes are safe without the GIL, which is why the
//! module says `gil_used = false`. A thread that is about to call Python code has asked to sleep
//! when the interpreter ends it (`system::sleep_when_ended`); taking a buffer asks, too.
//!
//! Not here: anything that works on plain Python objects only (`python/coheap`).

#![deny(unsafe_code)]

mod access;
mod atomic;
mod codec;
mod dict;
mod errors;
mod handle;
mod heap;
mod interpreter;
mod late;
mod lease;
mod lock;
mod object;
mod queue;
mod scratch;
mod value;
mod waiting;
mod words;

use pyo3::prelude::*;

/// Native half of coheap; use the package `coheap` instead.
#[pymodule(gil_used = false)]
mod _native {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_export]
    use crate::atomic::{_before_waiting, Atomic, atomic};
    #[pymodule_export]
    use crate::codec::probe::{_decode, _encode, _encode_key};
    #[pymodule_export]
    use crate::dict::{Dict, DictIterator};
    #[pymodule_export]
    use crate::heap::default::{default_heap, set_default_heap};
    #[pymodule_export]
    use crate::heap::luggage::Luggage;
    #[pymodule_export]
    use crate::heap::opening::{_open_heap, _open_object};
    #[pymodule_export]
    use crate::heap::{Heap, open, sweep};
    #[pymodule_export]
    use crate::lease::Lease;
    #[pymodule_export]
    use crate::lock::{Lock, RLock};
    #[pymodule_export]
    use crate::queue::WorkQueue;
    #[pymodule_export]
    use crate::value::Value;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::interpreter::prepare(module)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
