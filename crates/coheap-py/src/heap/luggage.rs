//! Keeps the objects whose handles are pickled to start a child process.
//!
//! The destination of most pickles is unknown, so their objects are kept until this process ends. A
//! child process is known: its objects are kept until it has ended, or until its process object is
//! deleted.
//!
//! What always holds: only the thread that called `__enter__` packs, and only until `__exit__`.
//!
//! Not here: what is kept for all other pickles (`pickling`).

use std::cell::RefCell;
use std::sync::Arc;

use coheap_core::system::PrivateMutex;
use pyo3::prelude::*;

use crate::object::Keeper;

/// The keepers of objects.
type Keepers = Vec<Arc<Keeper>>;

thread_local! {
    /// The open luggages of this thread, the innermost last.
    static PACKING: RefCell<Vec<Keepers>> = const { RefCell::new(Vec::new()) };
}

/// Keep the objects whose handles are pickled within a with-statement, as long as this object lives.
#[pyclass(frozen, module = "coheap._native")]
pub(crate) struct Luggage {
    packed: PrivateMutex<Keepers>,
}

#[pymethods]
impl Luggage {
    #[new]
    fn empty() -> Self {
        Self { packed: PrivateMutex::new(Vec::new()) }
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        let _ = PACKING.try_with(|packing| packing.borrow_mut().push(Vec::new()));
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) {
        let packed = PACKING.try_with(|packing| packing.borrow_mut().pop());
        self.packed.lock().extend(packed.ok().flatten().unwrap_or_default());
    }
}

/// Packs an object, if this thread has open luggage. Returns whether it did.
pub(super) fn pack(keeper: &Arc<Keeper>) -> bool {
    let pack = |packing: &RefCell<Vec<Keepers>>| {
        let mut packing = packing.try_borrow_mut().ok()?;
        packing.last_mut().map(|packed| packed.push(Arc::clone(keeper)))
    };
    PACKING.try_with(pack).ok().flatten().is_some()
}
