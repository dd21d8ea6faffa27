//! Worker processes: the same program, started again with the heap in its hands.
//!
//! A program asks at its start whether it is a worker:
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

/// Tells a started process the numbers of its inherited descriptors: data, life, birth.
const VARIABLE: &str = "COHEAP_WORKER";

/// What a worker process was started with.
#[derive(Debug)]
pub struct Worker {
    /// The heap of the process that started it.
    pub heap: Heap,
    /// The arguments given to [`spawn`].
    pub args: Vec<String>,
}

/// Starts this program again as a worker on `heap`, with arguments.
///
/// # Errors
///
/// [`Error::Worker`] when the system does not start it.
pub fn spawn(heap: &Heap, args: &[&str]) -> Result<Child> {
    let program = std::env::current_exe().map_err(Error::Worker)?;
    let mut command = Command::new(program);
    command.args(args);
    prepare(heap, &mut command);
    command.spawn().map_err(Error::Worker)
}

/// Lets the program that `command` starts attach to `heap` by [`attach`]: for those who want to
/// say more about the process than [`spawn`] does.
pub fn prepare(heap: &Heap, command: &mut Command) {
    let files = heap.engine.files();
    command.env(VARIABLE, files.map(|file| file.number().to_string()).join(","));
    for file in files {
        system::inheritable(command, file.descriptor());
    }
}

/// Attaches to the heap that this process was started with. `None`: it is no worker. Call it once.
///
/// # Errors
///
/// [`Error::Worker`] when the descriptors are not there; [`Error::Engine`] when the heap is no
/// heap.
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
    Ok(Some(Worker { heap: Heap { engine }, args: std::env::args().skip(1).collect() }))
}
