//! The worker processes: started, killed, replaced, and gone at the end.
//!
//! Each is this program again, with the heap in its hands and a pipe as standard input that ends
//! when this process does.
//!
//! What always holds: when a crew is dropped, none of its workers runs any more.
//! Not here: what a worker does, and when one is to be killed.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::failure::Failure;

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
    workers: Vec<Child>,
    /// Deaths that were not ours since the last item got done.
    deaths: u32,
}

impl Crew {
    /// Starts `count` workers.
    pub(crate) fn new(count: usize, start: Start<'_>) -> Result<Self, Failure> {
        let mut crew = Self { workers: Vec::new(), deaths: 0 };
        for _ in 0..count {
            crew.workers.push(spawn(start)?);
        }
        Ok(crew)
    }

    /// How many workers there are.
    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Kills one worker with SIGKILL and waits until the kernel has ended it.
    pub(crate) fn kill(&mut self, index: usize) -> Result<(), Failure> {
        end(&mut self.workers[index])
            .map_err(|error| Failure::Failed(format!("a worker could not be killed: {error}")))
    }

    /// Puts a new worker in the place of one that was killed.
    pub(crate) fn replace(&mut self, index: usize, start: Start<'_>) -> Result<(), Failure> {
        self.workers[index] = spawn(start)?;
        Ok(())
    }

    /// Replaces workers that somebody else killed, and answers how many. One that gave up by
    /// itself ends the run, and so do too many deaths while `is_progressing` is false.
    pub(crate) fn tend(&mut self, is_progressing: bool, start: Start<'_>) -> Result<u32, Failure> {
        if is_progressing {
            self.deaths = 0;
        }
        let mut replaced = 0;
        for index in 0..self.workers.len() {
            let Ok(Some(status)) = self.workers[index].try_wait() else { continue };
            check_killed(status)?;
            self.deaths += 1;
            if self.deaths > DEATHS {
                let text = format!("{DEATHS} workers were killed by others and no item was done");
                return Err(Failure::Failed(text));
            }
            self.replace(index, start)?;
            replaced += 1;
        }
        Ok(replaced)
    }

    /// Waits until all workers have left by themselves.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        for worker in &mut self.workers {
            loop {
                match worker.try_wait() {
                    Ok(Some(status)) if status.success() => break,
                    // Killed by somebody after the last item was done: nothing is lost by it.
                    Ok(Some(status)) => break check_killed(status)?,
                    Ok(None) if Instant::now() < until => std::thread::sleep(GLANCE),
                    Ok(None) => {
                        let text = "a worker does not leave although everything is done";
                        return Err(Failure::Failed(text.to_owned()));
                    }
                    Err(error) => {
                        return Err(Failure::Failed(format!("lost a worker: {error}")));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // First all, then wait: they die side by side.
        for worker in &mut self.workers {
            let _ = worker.kill();
        }
        for worker in &mut self.workers {
            let _ = worker.wait();
        }
    }
}

/// How a worker process of this program is started, but for what it works on.
pub(crate) fn worker_command(args: &[&str]) -> Result<Command, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::Failed(format!("this program is not to be found: {error}")))?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null());
    Ok(command)
}

fn spawn(start: Start<'_>) -> Result<Child, Failure> {
    start()?
        .spawn()
        .map_err(|error| Failure::Failed(format!("a worker could not be started: {error}")))
}

fn end(worker: &mut Child) -> std::io::Result<()> {
    worker.kill()?;
    worker.wait().map(|_| ())
}

/// A worker that was killed has no exit status; any that has one gave up, and said why.
fn check_killed(status: ExitStatus) -> Result<(), Failure> {
    match status.code() {
        None => Ok(()),
        Some(_) => Err(Failure::Failed("a worker gave up before everything was done".to_owned())),
    }
}
