//! The worker processes: started, killed, replaced, and gone at the end.
//!
//! Each is this program again, with the heap in its hands and a pipe as standard input that ends
//! when this process does.
//!
//! What always holds: when a crew is dropped, none of its workers runs any more.
//! Not here: what a worker does, and when one is to be killed.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::signals::Signals;

/// How long workers may take to leave by themselves.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether they did.
const GLANCE: Duration = Duration::from_millis(1);
/// Workers that may die by themselves, one after the other, while no item gets done.
const DEATHS: u32 = 100;

/// Says how a worker is started.
pub(crate) type Start<'a> = &'a dyn Fn() -> Result<Command, Failure>;

/// The workers of a run.
pub(crate) struct Crew {
    shared: Arc<Mutex<Workers>>,
    signals: Signals,
    /// Deaths that were not ours since the last item got done.
    deaths: u32,
}

/// Workers, which a signal ends from another thread: this one may be waiting for one of them.
#[derive(Default)]
struct Workers(Vec<Child>);

impl Crew {
    /// Starts `count` workers.
    pub(crate) fn new(count: usize, start: Start<'_>, signals: &Signals) -> Result<Self, Failure> {
        let shared = Arc::new(Mutex::new(Workers::default()));
        let crew = Self { shared: Arc::clone(&shared), signals: signals.clone(), deaths: 0 };
        signals.at_signal(move || locked(&shared).kill_all());
        for _ in 0..count {
            let mut workers = crew.workers()?;
            workers.0.push(spawn(start)?);
        }
        Ok(crew)
    }

    /// The workers, unless a signal ended them.
    fn workers(&self) -> Result<MutexGuard<'_, Workers>, Failure> {
        let workers = locked(&self.shared);
        self.signals.check()?;
        Ok(workers)
    }

    /// Kills one of the workers with SIGKILL and waits until the kernel has ended it.
    pub(crate) fn kill(&mut self, index: usize) -> Result<(), Failure> {
        end(&mut self.workers()?.0[index])
            .map_err(|error| Failure::Failed(format!("cannot kill a worker: {error}")))
    }

    /// Puts a new worker in the place of one that was killed.
    pub(crate) fn replace(&mut self, index: usize, start: Start<'_>) -> Result<(), Failure> {
        self.workers()?.0[index] = spawn(start)?;
        Ok(())
    }

    /// Replaces workers that somebody else killed, and returns how many. One that gave up by itself
    /// ends the run, and so do too many deaths while `is_progressing` is false.
    pub(crate) fn tend(&mut self, is_progressing: bool, start: Start<'_>) -> Result<u32, Failure> {
        if is_progressing {
            self.deaths = 0;
        }
        let mut replaced = 0;
        for worker in &mut self.workers()?.0 {
            let Ok(Some(status)) = worker.try_wait() else { continue };
            check_killed(status)?;
            replaced += 1;
            if self.deaths + replaced > DEATHS {
                let text =
                    format!("{DEATHS} workers were killed from outside before an item was done");
                return Err(Failure::Failed(text));
            }
            *worker = spawn(start)?;
        }
        self.deaths += replaced;
        Ok(replaced)
    }

    /// Waits until all workers have left by themselves.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        while !self.workers()?.have_left()? {
            if Instant::now() > until {
                let text = "a worker does not leave although everything is done";
                return Err(Failure::Failed(text.to_owned()));
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // First all, then wait: they die side by side.
        let mut workers = locked(&self.shared);
        workers.kill_all();
        for worker in &mut workers.0 {
            let _ = worker.wait();
        }
    }
}

impl Workers {
    fn kill_all(&mut self) {
        for worker in &mut self.0 {
            // An error means that it has ended already.
            let _ = worker.kill();
        }
    }

    fn have_left(&mut self) -> Result<bool, Failure> {
        for worker in &mut self.0 {
            match worker.try_wait() {
                Ok(Some(status)) if status.success() => {}
                // Killed by somebody after the last item was done: nothing is lost by it.
                Ok(Some(status)) => check_killed(status)?,
                Ok(None) => return Ok(false),
                Err(error) => {
                    return Err(Failure::Failed(format!("cannot wait for a worker: {error}")));
                }
            }
        }
        Ok(true)
    }
}

fn locked(workers: &Mutex<Workers>) -> MutexGuard<'_, Workers> {
    workers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a worker process of this program is started, but for what it works on.
pub(crate) fn worker_command(args: &[&str]) -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::Failed(format!("cannot find this program's own file: {error}"))
    })?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null());
    Ok(command)
}

fn spawn(start: Start<'_>) -> Result<Child, Failure> {
    start()?.spawn().map_err(|error| Failure::Failed(format!("cannot start a worker: {error}")))
}

fn end(worker: &mut Child) -> std::io::Result<()> {
    worker.kill()?;
    worker.wait().map(|_| ())
}

/// A worker that was killed has no exit status; any that has one gave up, and said why.
fn check_killed(status: ExitStatus) -> Result<(), Failure> {
    match status.code() {
        None => Ok(()),
        Some(_) => Err(Failure::Failed("a worker failed before all items were done".to_owned())),
    }
}
