//! The native half of the Python face: the module `coheap._native`.
//!
//! The one block below lists everything that Python can see.
//!
//! What always holds: no code here sleeps while it is attached to the interpreter. No Python code
//! runs while the engine holds a turn. All classes are safe without the GIL, so the module declares
//! `gil_used = false`. Before a thread calls Python code, it calls `system::sleep_when_ended`, so
//! that it sleeps if the interpreter ends meanwhile; taking a buffer calls it, too.
//!
//! Not here: code that works on plain Python objects only (`python/coheap`).

#![deny(unsafe_code)]

mod access;
mod apart;
mod append;
mod atomic;
mod claim;
mod codec;
mod dict;
mod differs;
mod errors;
mod handle;
mod heap;
mod interpreter;
mod late;
mod lease;
mod lock;
mod object;
mod proxy;
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
    use crate::append::lines::Lines;
    #[pymodule_export]
    use crate::append::table::Table;
    #[pymodule_export]
    use crate::append::{_look, CsvCall};
    #[pymodule_export]
    use crate::atomic::{_before_waiting, Atomic, atomic};
    #[pymodule_export]
    use crate::claim::{Claim, Listener, Second};
    #[pymodule_export]
    use crate::codec::probe::{_decode, _encode, _encode_key, _encode_wanted};
    #[pymodule_export]
    use crate::dict::{Dict, DictIterator};
    #[pymodule_export]
    use crate::heap::default::{default_heap, set_default_heap};
    #[pymodule_export]
    use crate::heap::luggage::Luggage;
    #[pymodule_export]
    use crate::heap::opening::{_open_as, _open_heap, _open_object};
    #[pymodule_export]
    use crate::heap::{Heap, open, sweep};
    #[pymodule_export]
    use crate::lease::Lease;
    #[pymodule_export]
    use crate::lock::{Lock, RLock};
    #[pymodule_export]
    use crate::proxy::DictProxy;
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
