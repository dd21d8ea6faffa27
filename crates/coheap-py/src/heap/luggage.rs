//! What a child process takes along: the objects whose handles were pickled for its start.
//!
//! Nobody knows where other pickles go, so what is in them is kept until this process ends. A child
//! is known: what it takes along is kept until it is gone, or nobody has its process object.
//!
//! What always holds: it concerns the thread that packs, and between `__enter__` and `__exit__`.
//! Not here: what is kept for all other pickles (`pickling`).

use std::cell::RefCell;
use std::sync::Arc;

use coheap_core::system::PrivateMutex;
use pyo3::prelude::*;

use crate::object::Keeper;

/// What keeps objects.
type Keepers = Vec<Arc<Keeper>>;

thread_local! {
    /// What this thread packs, one within the other.
    static PACKING: RefCell<Vec<Keepers>> = const { RefCell::new(Vec::new()) };
}

/// Keeps objects whose handles are pickled within a with-statement, for as long as it lives.
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

/// Packs an object, if this thread packs.
pub(super) fn pack(keeper: &Arc<Keeper>) -> bool {
    let pack = |packing: &RefCell<Vec<Keepers>>| {
        let mut packing = packing.try_borrow_mut().ok()?;
        packing.last_mut().map(|packed| packed.push(Arc::clone(keeper)))
    };
    PACKING.try_with(pack).ok().flatten().is_some()
}
