//! The class `Heap`, and the function `open`, which opens a heap by its name.
//!
//! What always holds: an object with a name lives until the name is removed. An object without a
//! name lives while a process holds a handle to it, or a value in the heap refers to it.
//!
//! | file | what it is |
//! |---|---|
//! | `default` | the heap of objects that are created without a heap |
//! | `pickling` | pickles handles |
//! | `luggage` | the objects that a child process takes along when it is started |
//! | `opening` | opens pickled handles |

pub(crate) mod default;
pub(crate) mod luggage;
pub(crate) mod opening;
pub(crate) mod pickling;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use coheap_core::{Directory, Heap as Engine, Options, Stats};
use pyo3::exceptions::{PyFileNotFoundError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::atomic;
use crate::codec::Rules;
use crate::dict::Dict;
use crate::lock::{Lock, RLock};
use crate::object::OpenHeap;
use crate::queue::WorkQueue;
use crate::value::Value;
use crate::{apart, differs, errors, waiting};

/// A heap that processes share.
///
/// `Heap()` creates a heap without a name. Processes that this process starts share it, and so do
/// processes that are passed the heap or one of its objects. It ends with the last of them.
/// `coheap.open` opens a heap with a name. As a context manager, a heap closes itself at the end.
///
/// Args:
///     max_bytes: Limit for the bytes of all objects, from 64 KiB to 4 TiB, rounded up to a
///         multiple of 16 KiB; by default half of the machine's memory. Memory is allocated when
///         it is needed.
///     pickle: Whether values that the format has no type for are pickled, and whether pickled
///         values in the heap are loaded.
///
/// Raises:
///     HeapFull: The system has no memory for the heap.
///     ValueError: `max_bytes` is out of range.
#[pyclass(frozen, weakref, module = "coheap")]
pub(crate) struct Heap {
    heap: OpenHeap,
    /// Whether it is one of the counted users of the heap in this process.
    is_counted: bool,
    /// Whether it was closed, while others may use the heap.
    is_closed: AtomicBool,
}

impl Heap {
    /// A new user of the heap.
    fn new(engine: Engine, pickle: bool) -> Self {
        let max_bytes = engine.max_bytes();
        engine.count_user();
        let heap = OpenHeap { engine, rules: Rules { pickle, max_bytes, copies: false } };
        Self { heap, is_counted: true, is_closed: AtomicBool::new(false) }
    }

    /// A handle to a heap of which nobody in particular is the user.
    fn of(heap: OpenHeap) -> Self {
        Self { heap, is_counted: false, is_closed: AtomicBool::new(false) }
    }

    /// The heap, unless this handle was closed.
    fn open(&self, py: Python<'_>) -> PyResult<&OpenHeap> {
        match self.is_closed.load(Ordering::Acquire) {
            true => Err(errors::to_python(py, &coheap_core::Error::Closed, &self.subject())),
            false => Ok(&self.heap),
        }
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
        self.open(py)?.run(py, || self.subject(), |_| self.heap.engine.stats())
    }
}

/// Notes of the creator of a heap. One that was made from Rust has neither.
const MADE_WITH_PICKLE: u8 = 1;
const MADE_WITHOUT_PICKLE: u8 = 2;

impl Heap {
    /// Warns if the heap was created with other options than it is opened with.
    fn compare(&self, py: Python<'_>, max_bytes: Option<u64>, pickle: bool) -> PyResult<()> {
        let has = self.heap.engine.max_bytes();
        if let Some(asked) = max_bytes.filter(|asked| Engine::rounded_max_bytes(*asked) != has) {
            let (has, asked) = (has.to_string(), asked.to_string());
            differs::warn(py, &self.subject(), "max_bytes", &has, &asked, differs::KEPT)?;
        }
        let made = match self.heap.engine.note() {
            MADE_WITH_PICKLE => true,
            MADE_WITHOUT_PICKLE => false,
            _ => return Ok(()),
        };
        if made != pickle {
            let (has, asked) = (differs::truth(made), differs::truth(pickle));
            let outcome = "what it is opened with applies to this handle";
            differs::warn(py, &self.subject(), "pickle", has, asked, outcome)?;
        }
        Ok(())
    }
}

#[pymethods]
impl Heap {
    #[new]
    #[pyo3(signature = (*, max_bytes=None, pickle=true))]
    fn make(py: Python<'_>, max_bytes: Option<i64>, pickle: bool) -> PyResult<Self> {
        Self::anonymous(py, max_bytes, pickle)
    }

    /// Return the dict with this name, created empty if there is none; without a name, a new dict.
    ///
    /// An existing dict is what it was created as; a call that asks for another kind warns (`UserWarning`).
    ///
    /// Args:
    ///     name: The name, or None.
    ///     copies: Whether a new dict takes lists, dicts and other mutable containers as values, of which it
    ///         stores copies: what is read has to be stored again after a change, as with
    ///         `multiprocessing.Manager().dict()`.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind.
    ///     ValueError: The name is empty, has more than 255 bytes or contains a NUL.
    ///     HeapFull: There is no room for a new dict.
    #[pyo3(
        signature = (name=None, *, copies=None),
        text_signature = "($self, name=None, *, copies=False)"
    )]
    fn dict(&self, py: Python<'_>, name: Option<&str>, copies: Option<bool>) -> PyResult<Dict> {
        Dict::make(py, self.open(py)?, name, copies)
    }

    /// Return the work queue with this name, created empty if there is none; without a name, a new
    /// work queue.
    ///
    /// An existing queue keeps its own limits; a call that asks for others warns (`UserWarning`).
    ///
    /// Args:
    ///     name: The name, or None.
    ///     maxsize: The number of jobs that a new queue holds; 0 or less is no limit.
    ///     max_attempts: The number of attempts after which a new queue gives a job up; None is no
    ///         limit.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind.
    ///     ValueError: As for `dict`; or `max_attempts` is less than 1 or does not fit in 31 bits.
    ///     HeapFull: There is no room for a new queue.
    #[pyo3(
        signature = (name=None, *, maxsize=None, max_attempts=None),
        text_signature = "($self, name=None, *, maxsize=0, max_attempts=None)"
    )]
    fn work_queue(
        &self,
        py: Python<'_>,
        name: Option<&str>,
        maxsize: Option<i64>,
        max_attempts: Option<i64>,
    ) -> PyResult<WorkQueue> {
        WorkQueue::make(py, self.open(py)?, name, maxsize, max_attempts)
    }

    /// Return the lock with this name, created free if there is none; without a name, a new lock.
    ///
    /// Args:
    ///     name: The name, or None.
    ///     on_death: What a new lock does when a holder dies. `"warn"` lets the next caller acquire
    ///         it with a warning. `"raise"` refuses every caller until `recover` is called.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind.
    ///     ValueError: As for `dict`; or `on_death` is neither; or it is `"raise"` and the existing
    ///         lock was created with `"warn"`.
    ///     HeapFull: There is no room for a new lock.
    #[pyo3(signature = (name=None, *, on_death="warn"))]
    fn lock(&self, py: Python<'_>, name: Option<&str>, on_death: &str) -> PyResult<Lock> {
        Lock::make(py, self.open(py)?, name, on_death)
    }

    /// Return the recursive lock with this name, created free if there is none; without a name, a
    /// new recursive lock.
    ///
    /// Args:
    ///     name: The name, or None.
    ///     on_death: As for `lock`.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind.
    ///     ValueError: As for `lock`.
    ///     HeapFull: There is no room for a new lock.
    #[pyo3(signature = (name=None, *, on_death="warn"))]
    fn rlock(&self, py: Python<'_>, name: Option<&str>, on_death: &str) -> PyResult<RLock> {
        RLock::make(py, self.open(py)?, name, on_death)
    }

    /// Return the number with this name, created as `init` if there is none; without a name, a new
    /// number.
    ///
    /// Args:
    ///     typecode: One of b B h H i I l L q Q f d, as in `array.array`, or the type of `ctypes`
    ///         that stands for one.
    ///     init: The first value of a new number.
    ///     name: The name, or None.
    ///
    /// Raises:
    ///     TypeError: The name belongs to an object of another kind or to a value of another
    ///         typecode; or the typecode does not exist; or `init` is not a number.
    ///     OverflowError: `init` is outside the range of the typecode.
    ///     ValueError: As for `dict`.
    ///     HeapFull: There is no room for a new number.
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
        Value::make(py, self.open(py)?, name, typecode, init)
    }

    /// Return the names of all objects, the oldest object first.
    fn names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let names =
            self.open(py)?.run(py, || self.subject(), |context| Directory.names(context))?;
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }

    /// Remove the object with this name. Every handle to it raises `ObjectGone` from then on.
    ///
    /// Raises:
    ///     KeyError: No object has that name.
    ///     ValueError: The call is inside a block of `atomic`, which could not undo it.
    ///     HeapFull: There is no room to note what has to be freed.
    fn remove(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let subject = || format!("object {name:?}");
        let heap = self.open(py)?;
        atomic::bind(py, &heap.engine, subject)?;
        // A transaction that has the object ends first.
        let removed = heap.write(py, true, |context| Directory.remove(context, name))?;
        removed.map_err(|error| errors::to_python(py, &error, &subject()))
    }

    /// Close this handle, and with the last one that `coheap.open` or `Heap` has returned, the heap in this
    /// process. Its objects raise `HeapClosed` in this process from then on, and the leases of the process
    /// return to their queues. A lock that it holds goes to the next that wants it, with a warning as after
    /// a death. Its waiting threads raise `HeapClosed`.
    ///
    /// Handles that were never closed count, too. A process that got objects of the heap from another one,
    /// without opening it, keeps it open until it ends.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let engine = &self.heap.engine;
        let was_closed = self.is_closed.swap(true, Ordering::AcqRel);
        let others = engine.users().saturating_sub(u32::from(self.is_counted));
        if !was_closed && others == 0 {
            pickling::let_go(engine);
        }
        let closed = apart::detached(py, || match (was_closed, self.is_counted) {
            (true, _) => Ok(()),
            (false, true) => engine.close_for_one(),
            (false, false) if others == 0 => engine.close(),
            (false, false) => Ok(()),
        });
        closed.map_err(|error| errors::to_python(py, &error, &self.subject()))
    }

    /// Remove the name of the heap. Nobody can open it any more; processes that have it open
    /// continue to use it.
    ///
    /// Raises:
    ///     RuntimeError: The call is inside a block of `atomic`, which could not undo it.
    fn unlink(&self, py: Python<'_>) -> PyResult<()> {
        atomic::refuse_inside(py, || self.subject(), "names are removed")?;
        self.open(py)?.run(py, || self.subject(), |_| self.heap.engine.unlink())
    }

    /// Bytes in use: by objects, and by memory that is kept ready for more.
    #[getter]
    fn used_bytes(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.stats_now(py)?.used_bytes)
    }

    /// The limit for the bytes of all objects.
    #[getter]
    fn max_bytes(&self) -> u64 {
        self.heap.rules.max_bytes
    }

    /// The name of the heap, or None.
    #[getter]
    fn name(&self) -> Option<&str> {
        let file = self.heap.engine.path()?.file_name()?.to_str()?;
        file.strip_prefix("coheap.")
    }

    /// Recover dead processes, check the integrity of the whole heap, and return what was counted.
    ///
    /// All other operations wait during the check.
    ///
    /// Returns:
    ///     A dict of ints: `objects`, `blocks`, `pending` (blocks), `used_bytes` and `members`
    ///     (processes).
    ///
    /// Raises:
    ///     HeapCorrupt: The heap is damaged; the message says what is damaged and where.
    fn check<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let engine = &self.heap.engine;
        let walk =
            self.open(py)?.write(py, true, |_| engine.sweep().and_then(|_| engine.check()))?;
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

    /// Give the memory of everything that is free back to the system.
    ///
    /// It happens by itself, too, some seconds after much became free, with the next operation. Nothing
    /// is given back while a process that has a named heap open is stopped; what was freed just now in
    /// such a heap is waited for, half a second.
    ///
    /// Returns:
    ///     How many bytes were given back.
    ///
    /// Raises:
    ///     HeapClosed: The heap is closed in this process.
    fn trim(&self, py: Python<'_>) -> PyResult<u64> {
        let engine = &self.heap.engine;
        let given = self.open(py)?.write(py, true, |_| engine.trim())?;
        given.map_err(|error| errors::to_python(py, &error, &self.subject()))
    }

    /// Return counters and sizes of the heap. They are read one by one, not at one moment.
    ///
    /// Returns:
    ///     A dict of ints: `used_bytes` (of objects, and of memory that processes keep at hand),
    ///     `max_bytes`, `committed_bytes` (used, or ready to be used again), `allocated_bytes` (memory
    ///     of all files, as `st_blocks` counts it: what the heap costs the machine); `members` (processes that have the heap open); and, counted since the heap was created,
    ///     `recovered` (dead processes that were recovered), `undone` (unfinished changes that were
    ///     undone), `abandoned` (transactions whose process died before the commit), `interrupted`
    ///     (processes that died inside a change or a transaction) and `returned` (leases and
    ///     promises that were returned for dead processes).
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.stats_now(py)?;
        numbers(
            py,
            &[
                ("used_bytes", stats.used_bytes),
                ("max_bytes", stats.max_bytes),
                ("committed_bytes", stats.committed_bytes),
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

/// Open the heap with this name, or create it.
///
/// Every program of the same user can open it. It lasts until `Heap.unlink` is called or the machine
/// restarts. A process may open a heap several times, in different places: what one of them closes is its
/// own handle, and the heap goes with the last.
///
/// Its files may be removed at any time, but must never be truncated: every process that has the
/// heap open would be killed by SIGBUS at the next access. A heap without a name cannot be
/// truncated.
///
/// Args:
///     name: The name: at most 200 bytes, without a slash or a NUL.
///     create: Whether to create the heap if it does not exist.
///     max_bytes: As for `Heap`; an existing heap keeps its limit, and another one is a
///         `UserWarning`.
///     pickle: As for `Heap`; another one than the heap was created with is a `UserWarning`.
///     temporary: Whether a new heap ends with the last process that has it open, however that
///         process ends. The next call makes a new heap then.
///     folder: The folder of its files; by default `/dev/shm`.
///
/// Raises:
///     FileNotFoundError: The heap does not exist, and `create` is false.
///     PermissionError: The heap belongs to another user, or others may read or write its files.
///     HeapCorrupt: The file is not a heap, or is damaged.
///     OSError: The heap has another format, or the system refused a call.
///     ValueError: The name is invalid, or `max_bytes` is out of range.
///     HeapFull: The system has no memory for a new heap.
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
    let note = if pickle { MADE_WITH_PICKLE } else { MADE_WITHOUT_PICKLE };
    let options = Options { create, max_bytes, temporary, folder, note, ..Options::new(name) };
    match waiting::outside(py, |until| Engine::open_until(&options, until))? {
        Ok(engine) => {
            let heap = Heap::new(engine, pickle);
            heap.compare(py, max_bytes, pickle)?;
            Ok(heap)
        }
        Err(coheap_core::Error::NoSuchName) => Err(PyFileNotFoundError::new_err(format!(
            "there is no heap {name:?}; nothing was changed; open it with create=True to create it"
        ))),
        Err(error) => Err(errors::to_python(py, &error, &format!("heap {name:?}"))),
    }
}

/// Recover every process that has died, and return how many were recovered.
///
/// Operations that wait do this themselves. The demo calls it to measure how long a recovery takes.
#[pyfunction]
pub(crate) fn sweep(py: Python<'_>, heap: &Bound<'_, Heap>) -> PyResult<u32> {
    let heap = heap.get();
    heap.open(py)?.run(py, || heap.subject(), |_| heap.heap.engine.sweep())
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
