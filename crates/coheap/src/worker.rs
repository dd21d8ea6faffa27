//! Worker processes: the same program, started again, which inherits the heap.
//!
//! A program checks at its start whether it is a worker:
//!
//! ```no_run
//! fn main() -> coheap::Result<()> {
//!     if let Some(worker) = coheap::worker::attach()? {
//!         let hits = worker.heap.value("hits", &0i64)?;
//!         hits.add(1)?;
//!         return Ok(());
//!     }
//!     let heap = coheap::Heap::anonymous(1 << 20)?;
//!     let mut child = coheap::worker::spawn(&heap, &["counter"])?;
//!     child.wait().map_err(coheap::Error::Worker)?;
//!     Ok(())
//! }
//! ```

use std::io;
use std::process::{Child, Command};

use coheap_core::Heap as Engine;
use coheap_core::system::{self, HeapFile};

use crate::Heap;
use crate::error::{Error, Result};

/// The environment variable that holds the numbers of the inherited descriptors: data, life, birth.
const VARIABLE: &str = "COHEAP_WORKER";

/// The heap and the arguments of a worker process; [`attach`] returns it.
#[derive(Debug)]
pub struct Worker {
    /// The heap of the process that started it.
    pub heap: Heap,
    /// The arguments given to [`spawn`].
    pub args: Vec<String>,
}

/// Starts this program again as a worker on `heap`, with the arguments `args`.
///
/// # Errors
///
/// [`Error::Worker`] when the system does not start the process.
pub fn spawn(heap: &Heap, args: &[&str]) -> Result<Child> {
    let program = std::env::current_exe().map_err(Error::Worker)?;
    let mut command = Command::new(program);
    command.args(args);
    prepare(heap, &mut command);
    command.spawn().map_err(Error::Worker)
}

/// Configures `command` so that the program it starts can [`attach`] to `heap`. Use it instead of
/// [`spawn`] to set other options of the process.
pub fn prepare(heap: &Heap, command: &mut Command) {
    let files = heap.engine.files();
    command.env(VARIABLE, files.map(|file| file.number().to_string()).join(","));
    for file in files {
        system::inheritable(command, file.descriptor());
    }
}

/// Attaches to the heap that this process was started with. Returns `None` if this process is not a
/// worker. Call it once.
///
/// # Errors
///
/// [`Error::Worker`] when the inherited descriptors are missing; [`Error::Engine`] when they do not
/// belong to a usable heap.
pub fn attach() -> Result<Option<Worker>> {
    let Ok(numbers) = std::env::var(VARIABLE) else { return Ok(None) };
    let broken = || {
        let text = format!("{VARIABLE}={numbers} does not name three inherited descriptors");
        Error::Worker(io::Error::new(io::ErrorKind::InvalidInput, text))
    };
    let adopt = |number: &str| {
        let number = number.parse().map_err(|_| broken())?;
        let descriptor = system::adopt_descriptor(number).map_err(|_| broken())?;
        Ok::<_, Error>(HeapFile::from_descriptor(descriptor))
    };
    let files = numbers.split(',').map(adopt).collect::<Result<Vec<_>>>()?;
    let engine = Engine::from_files(files.try_into().map_err(|_| broken())?)?;
    Ok(Some(Worker { heap: Heap::of(engine), args: std::env::args().skip(1).collect() }))
}
