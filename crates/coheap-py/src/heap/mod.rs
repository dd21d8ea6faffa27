//! The class `Heap`, and `open`, which finds one by its name.
//!
//! What always holds: an object has a name and lives until that is removed, or it has none and
//! lives as long as somebody refers to it.
//!
//! | file | what it is |
//! |---|---|
//! | `default` | the heap of objects that are made without one |
//! | `pickling` | handles as pickles |
//! | `luggage` | what a child that is started takes along |
//! | `opening` | handles out of pickles |

pub(crate) mod default;
pub(crate) mod luggage;
pub(crate) mod opening;
pub(crate) mod pickling;

use std::path::PathBuf;

use coheap_core::{Directory, Heap as Engine, MapRecipe, Options, Stats};
use pyo3::exceptions::{PyFileNotFoundError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::atomic;
use crate::codec::Rules;
use crate::dict::Dict;
use crate::errors;
use crate::lock::{Lock, RLock};
use crate::object::OpenHeap;
use crate::queue::WorkQueue;
use crate::value::Value;

/// A heap that processes share.
///
/// A `Heap()` has no name: it belongs to this process and those it shares it with, by starting
/// them or by passing them the heap or an object of it, and vanishes with the last of them. A heap with a name comes from `coheap.open`. As a context manager it closes
/// itself at the end.
///
/// Args:
///     max_bytes: Most bytes of what is stored; half of the machine's memory if not given.
///         Memory is taken as it is needed.
///     pickle: Whether values that the format does not know may be pickled, and pickles in the
///         heap be loaded.
///
/// Raises:
///     HeapFull: The system has no memory for it.
///     ValueError: `max_bytes` is too small or too large.
#[pyclass(frozen, weakref, module = "coheap")]
pub(crate) struct Heap {
    heap: OpenHeap,
}

impl Heap {
    fn new(engine: Engine, pickle: bool) -> Self {
        let max_bytes = engine.max_bytes();
        Self { heap: OpenHeap { engine, rules: Rules { pickle, max_bytes, copies: false } } }
    }

    fn anonymous(py: Python<'_>, max_bytes: Option<i64>, pickle: bool) -> PyResult<Self> {
        let max_bytes = checked_size(max_bytes)?.unwrap_or_else(Engine::default_max_bytes);
        let engine = Engine::anonymous(max_bytes)
            .map_err(|error| errors::to_python(py, &error, "a new heap"))?;
        Ok(Self::new(engine, pickle))
    }

    fn subject(&self) -> String {
        match self.name() {
            Some(name) => format!("heap {name:?}"),
            None => "the heap".to_owned(),
        }
    }

    pub(super) fn stats_now(&self, py: Python<'_>) -> PyResult<Stats> {
        self.heap.run(py, || self.subject(), |_| self.heap.engine.stats())
    }
}

#[pymethods]
impl Heap {
    #[new]
    #[pyo3(signature = (*, max_bytes=None, pickle=true))]
    fn make(py: Python<'_>, max_bytes: Option<i64>, pickle: bool) -> PyResult<Self> {
        Self::anonymous(py, max_bytes, pickle)
    }

    /// The dict with this name, made empty if there is none; without a name a new one.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind.
    ///     HeapFull: There is no room for it.
    #[pyo3(signature = (name=None))]
    fn dict(&self, py: Python<'_>, name: Option<&str>) -> PyResult<Dict> {
        let (map, object) = self.heap.object(py, name, &MapRecipe)?;
        Ok(Dict::new(map, object))
    }

    /// The work queue with this name, made empty if there is none; without a name a new one.
    ///
    /// Args:
    ///     name: Its name.
    ///     maxsize: Most jobs that wait, when it is made; 0 is any number.
    ///     max_attempts: Attempts at a job before it is given up, when it is made; None is any
    ///         number.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind.
    ///     HeapFull: There is no room for it.
    #[pyo3(signature = (name=None, *, maxsize=0, max_attempts=None))]
    fn work_queue(
        &self,
        py: Python<'_>,
        name: Option<&str>,
        maxsize: i64,
        max_attempts: Option<i64>,
    ) -> PyResult<WorkQueue> {
        WorkQueue::make(py, &self.heap, name, maxsize, max_attempts)
    }

    /// The lock with this name, made free if there is none; without a name a new one.
    ///
    /// Args:
    ///     name: Its name.
    ///     on_death: What the death of a holder means, when it is made: `"warn"` warns the next
    ///         holder, `"raise"` refuses the lock to everybody until it is recovered.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind.
    ///     ValueError: `on_death` is neither; or it is `"raise"` and the lock there only warns.
    ///     HeapFull: There is no room for it.
    #[pyo3(signature = (name=None, *, on_death="warn"))]
    fn lock(&self, py: Python<'_>, name: Option<&str>, on_death: &str) -> PyResult<Lock> {
        Lock::make(py, &self.heap, name, on_death)
    }

    /// The lock with this name that its holder may acquire again, made free if there is none;
    /// without a name a new one.
    ///
    /// Args:
    ///     name: Its name.
    ///     on_death: As for `lock`.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind.
    ///     ValueError: As for `lock`.
    ///     HeapFull: There is no room for it.
    #[pyo3(signature = (name=None, *, on_death="warn"))]
    fn rlock(&self, py: Python<'_>, name: Option<&str>, on_death: &str) -> PyResult<RLock> {
        RLock::make(py, &self.heap, name, on_death)
    }

    /// The number with this name, made as `init` if there is none; without a name a new one.
    ///
    /// Args:
    ///     typecode: One of b B h H i I l L q Q f d, as in `array.array`.
    ///     init: What it is at first.
    ///     name: Its name.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind, or to a value of another
    ///         typecode; there is no such typecode.
    ///     OverflowError: The typecode does not hold `init`.
    ///     HeapFull: There is no room for it.
    #[pyo3(
        signature = (typecode, init=None, *, name=None),
        text_signature = "($self, typecode, init=0, *, name=None)"
    )]
    fn value(
        &self,
        py: Python<'_>,
        typecode: &Bound<'_, PyAny>,
        init: Option<Bound<'_, PyAny>>,
        name: Option<&str>,
    ) -> PyResult<Value> {
        Value::make(py, &self.heap, name, typecode, init)
    }

    /// The names of all objects, oldest first.
    fn names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let names = self.heap.run(py, || self.subject(), |context| Directory.names(context))?;
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }

    /// Ends the object with this name; handles to it raise `ObjectGone` from now on.
    ///
    /// Raises:
    ///     KeyError: There is no such name.
    fn remove(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let subject = || format!("object {name:?}");
        atomic::bind(py, &self.heap.engine, subject)?;
        // A transaction that has the object ends first.
        let removed = self.heap.write(py, true, |context| Directory.remove(context, name))?;
        removed.map_err(|error| errors::to_python(py, &error, &subject()))
    }

    /// Leaves the heap. Its objects raise `HeapClosed` in this process from now on, and what the
    /// process had on lease goes back.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        pickling::let_go(&self.heap.engine);
        let closed = py.detach(|| self.heap.engine.close());
        closed.map_err(|error| errors::to_python(py, &error, &self.subject()))
    }

    /// Takes the heap's name away: those who have it open go on, nobody new will find it.
    ///
    /// Raises:
    ///     RuntimeError: Inside a block of `atomic`, with which it could not be undone.
    fn unlink(&self, py: Python<'_>) -> PyResult<()> {
        atomic::refuse_inside(py, || self.subject(), "names are taken away")?;
        self.heap.run(py, || self.subject(), |_| self.heap.engine.unlink())
    }

    /// Bytes in use: objects, and what is kept ready for more.
    #[getter]
    fn used_bytes(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.stats_now(py)?.used_bytes)
    }

    /// Most bytes of what is stored.
    #[getter]
    fn max_bytes(&self) -> u64 {
        self.heap.rules.max_bytes
    }

    /// The heap's name, or None.
    #[getter]
    fn name(&self) -> Option<&str> {
        let file = self.heap.engine.path()?.file_name()?.to_str()?;
        file.strip_prefix("coheap.")
    }

    /// Settles what the dead left, walks the whole heap, accounts for every block of it, and says
    /// what it found.
    ///
    /// Everybody else waits meanwhile.
    ///
    /// Raises:
    ///     HeapCorrupt: Something cannot be; the message says what and where.
    fn check<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let engine = &self.heap.engine;
        let walk = py.detach(|| engine.sweep().and_then(|_| engine.check()));
        let report = walk.map_err(|error| errors::to_python(py, &error, &self.subject()))?;
        numbers(
            py,
            &[
                ("objects", report.objects),
                ("blocks", report.blocks),
                ("pending", report.pending),
                ("used_bytes", report.used_bytes),
                ("members", report.members),
            ],
        )
    }

    /// Numbers of the heap, as a dict.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.stats_now(py)?;
        numbers(
            py,
            &[
                ("used_bytes", stats.used_bytes),
                ("max_bytes", stats.max_bytes),
                ("allocated_bytes", stats.allocated_bytes),
                ("members", stats.members),
                ("recovered", stats.recovered),
                ("undone", stats.undone),
                ("abandoned", stats.abandoned),
                ("interrupted", stats.interrupted),
                ("returned", stats.returned),
            ],
        )
    }

    fn __enter__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        slf.get().stats_now(slf.py())?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<pickling::Reduced<'py>> {
        pickling::reduce_heap(py, &self.heap)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let name = self.name().map_or_else(String::new, |name| format!(" {name:?}"));
        match self.stats_now(py) {
            Ok(stats) => {
                let (used, max) = (stats.used_bytes, stats.max_bytes);
                format!("<coheap.Heap{name}, {used} of {max} bytes in use>")
            }
            Err(_) => format!("<coheap.Heap{name}, closed>"),
        }
    }
}

/// Opens the heap with this name, or makes it.
///
/// It is found by all programs of the same user and lives until `Heap.unlink` or the machine's
/// next start. Opened twice in a process it is the same heap, and closed once it is closed.
///
/// Args:
///     name: Its name: no slash, at most 200 bytes.
///     create: Whether to make it if it is not there.
///     max_bytes: As for `Heap`, when it is made.
///     pickle: As for `Heap`.
///     temporary: Whether a heap that is made goes with the last process that has it open.
///     folder: Folder of its files; the system's folder for shared memory if not given.
///
/// Raises:
///     FileNotFoundError: There is none, and `create` is false.
///     PermissionError: It belongs to another user.
///     HeapCorrupt: The file is no heap, or is damaged.
#[pyfunction]
#[pyo3(signature = (
    name, *, create=true, max_bytes=None, pickle=true, temporary=false, folder=None
))]
pub(crate) fn open(
    py: Python<'_>,
    name: &str,
    create: bool,
    max_bytes: Option<i64>,
    pickle: bool,
    temporary: bool,
    folder: Option<PathBuf>,
) -> PyResult<Heap> {
    let max_bytes = checked_size(max_bytes)?;
    let options = Options { create, max_bytes, temporary, folder, ..Options::new(name) };
    match py.detach(|| Engine::open(&options)) {
        Ok(engine) => Ok(Heap::new(engine, pickle)),
        Err(coheap_core::Error::NoSuchName) => Err(PyFileNotFoundError::new_err(format!(
            "there is no heap {name:?}; nothing was changed; open it with create=True to create it"
        ))),
        Err(error) => Err(errors::to_python(py, &error, &format!("heap {name:?}"))),
    }
}

/// Looks for dead processes now, gives back what they owned, and returns how many there were.
///
/// Waiting operations do this by themselves; whoever kills measures with it how long it takes.
#[pyfunction]
pub(crate) fn sweep(py: Python<'_>, heap: &Bound<'_, Heap>) -> PyResult<u32> {
    let heap = heap.get();
    heap.heap.run(py, || heap.subject(), |_| heap.heap.engine.sweep())
}

fn checked_size(max_bytes: Option<i64>) -> PyResult<Option<u64>> {
    match max_bytes {
        Some(bytes) if bytes <= 0 => Err(PyValueError::new_err(format!(
            "max_bytes must be positive, not {bytes}; nothing was changed"
        ))),
        other => Ok(other.map(i64::unsigned_abs)),
    }
}

fn numbers<'py>(py: Python<'py>, pairs: &[(&str, u64)]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    pairs.iter().try_for_each(|(name, number)| dict.set_item(name, number))?;
    Ok(dict)
}
