//! A program that runs once at a time: a name that one process holds, kept by the kernel.
//!
//! What always holds: a name has one holder, whatever dies and whoever removes files; a process that
//! was forked by the holder is none.
//! Not here: several holders of one name (`slots`).

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use coheap_core::claim::{self, Claim, Name, Outcome, Request, Scope, Seconds};
use coheap_core::{Error as Engine, system};

use crate::error::{AlreadyRunning, Error, Result};

/// What the holder does when a second process comes: gets its arguments and folder, and answers.
type OnSecond = Box<dyn FnMut(&[OsString], &Path) -> i32 + Send>;

/// The only running instance of something. It ends when it is dropped, or with the process.
///
/// ```
/// use coheap::{Error, SingleInstance};
///
/// let name = format!("example-{}", std::process::id());
/// let one = SingleInstance::acquire(&name)?;
/// match SingleInstance::acquire(&name) {
///     Err(Error::AlreadyRunning(running)) => {
///         assert_eq!(running.holder.pid, Some(std::process::id()));
///     }
///     other => panic!("{other:?}"),
/// }
/// drop(one);
/// SingleInstance::acquire(&name)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct SingleInstance {
    /// Dropped first: who comes second is heard no longer than the name is held.
    _hearing: Option<Hearing>,
    claim: Claim,
}

/// How an instance is acquired; [`SingleInstance::builder`] returns it.
#[must_use]
pub struct InstanceBuilder {
    name: String,
    scope: Scope,
    until: u64,
    is_inherited: bool,
    on_second: Option<OnSecond>,
}

impl SingleInstance {
    /// Becomes the only instance with this name among the processes of the user.
    ///
    /// # Errors
    ///
    /// As [`InstanceBuilder::acquire`].
    pub fn acquire(name: &str) -> Result<Self> {
        Self::builder(name).acquire()
    }

    /// Returns the options of an instance with this name.
    pub fn builder(name: &str) -> InstanceBuilder {
        InstanceBuilder {
            name: name.to_owned(),
            scope: Scope::User,
            until: 0,
            is_inherited: false,
            on_second: None,
        }
    }

    /// Whether this process still is the instance. It is not after a fork, and not when something
    /// has closed all descriptors of the process.
    pub fn is_held(&self) -> bool {
        self.claim.is_held()
    }
}

impl InstanceBuilder {
    /// Sets who competes for the name; else the processes of one user do.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Waits for the holder to end, at most for so long; `None` waits for ever. Else nothing waits.
    pub fn wait(mut self, patience: Option<Duration>) -> Self {
        let until = patience.and_then(|patience| u64::try_from(patience.as_nanos()).ok());
        self.until = until.map_or(u64::MAX, |until| system::now().saturating_add(until));
        self
    }

    /// Lets children that are forked later be the instance, too, until the last of them ends.
    pub fn inherited(mut self) -> Self {
        self.is_inherited = true;
        self
    }

    /// Calls `handler` in a thread of its own when a second process of the same user wants the
    /// name, with its arguments and its folder. The second one gets the number that it returns, if
    /// that takes no longer than a second.
    pub fn on_second(
        mut self,
        handler: impl FnMut(&[OsString], &Path) -> i32 + Send + 'static,
    ) -> Self {
        self.on_second = Some(Box::new(handler));
        self
    }

    /// Becomes the only instance with the name.
    ///
    /// # Errors
    ///
    /// - [`Error::AlreadyRunning`] if another one is running, and none of it ended in time.
    /// - [`Error::Engine`] if the name is empty or longer than 255 bytes, or the place of the locks
    ///   cannot be trusted or written.
    pub fn acquire(self) -> Result<SingleInstance> {
        let name = Name::single(&self.name, self.scope)?;
        let request = Request { is_inherited: self.is_inherited, ..Request::new(name.clone()) };
        match outcome(&request, self.until)? {
            Outcome::Held(claim) => {
                let hearing = self.on_second.map(|handler| Hearing::begin(&name, handler));
                Ok(SingleInstance { _hearing: hearing.transpose()?, claim })
            }
            Outcome::Taken(holder) => {
                let answer = ask(&name);
                let name = self.name;
                Err(Error::AlreadyRunning(Box::new(AlreadyRunning { name, holder, answer })))
            }
        }
    }
}

/// Waits for a claim; a signal does not end the wait.
pub(crate) fn outcome(request: &Request, until: u64) -> Result<Outcome> {
    loop {
        match Claim::acquire(request, until) {
            Err(Engine::Interrupted) => {}
            other => return Ok(other?),
        }
    }
}

/// Asks the holder on behalf of this process.
fn ask(name: &Name) -> Option<i32> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let folder = std::env::current_dir().unwrap_or_default();
    claim::ask(name, &arguments, &folder).ok().flatten()
}

/// A thread that hears of those who come second.
#[derive(Debug)]
struct Hearing(Arc<Seconds>);

impl Hearing {
    fn begin(name: &Name, mut handler: OnSecond) -> Result<Self> {
        let seconds = Arc::new(Seconds::listen(name)?);
        let heard = Arc::clone(&seconds);
        std::thread::spawn(move || {
            while let Ok(second) = heard.next(Duration::from_secs(3600)) {
                let Some(second) = second else { continue };
                let answer = handler(&second.arguments, &second.folder);
                second.answer(answer);
            }
        });
        Ok(Self(seconds))
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl std::fmt::Debug for InstanceBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
