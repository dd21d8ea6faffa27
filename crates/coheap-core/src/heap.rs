//! Creating, finding, attaching to and leaving a heap.
//!
//! An anonymous heap is three files in memory: data, life and birth; it ends with its last process.
//! A named heap has them in a folder. The life and birth files are named after the heap's uuid and
//! are created first; the data file gets its name by one `link` when it is complete.
//!
//! What always holds:
//!
//! - A process is attached at most once to a heap, however many `Heap`s it has.
//! - A forked child attaches at its first operation, to the slot that its parent took for it.
//! - A context belongs to one thread and is found through that thread.

mod address;
mod closing;
mod create;
mod files;
mod find;
mod forking;
#[cfg(feature = "floors")]
pub mod floors;
mod named;
mod publish;
mod registry;
mod sweep;
mod temporary;

pub use address::Address;
pub use files::Options;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use crate::allocator::{self, span};
use crate::error::{Error, Result};
use crate::journal::{Context, recovery};
use crate::memory::Region;
use crate::memory::layout::SPAN_BYTES;
use crate::objects::husk::remains;
use crate::objects::{Typed, estate};
use crate::os::{self, HeapFile, Latch, PrivateMutex};
use crate::sync::life::LastingFile;
use crate::sync::life::{Census, Member, State, Unborn};
use crate::sync::{row, turn};

/// A heap that this process is attached to.
#[derive(Debug, Clone)]
pub struct Heap {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Which attachment of this process it is: one that is closed has the region of its successor.
    number: u64,
    region: Arc<Region>,
    life: LastingFile,
    birth: LastingFile,
    /// `None` once this process has left.
    member: PrivateMutex<Option<Arc<Member>>>,
    /// While this process forks, and then in the child: the slot taken for the child.
    unborn: PrivateMutex<Option<Unborn>>,
    closed: Latch,
    /// Who uses the heap in this process, as far as they are counted.
    users: PrivateMutex<u32>,
    /// Name and file of a named heap.
    path: Option<PathBuf>,
}

/// How long a process that leaves waits at most for turns, in nanoseconds: others settle what it
/// could not.
const PARTING: u64 = 100_000_000;

/// The number of no attachment, for a context that is used once.
const NOBODYS: u64 = 0;
/// The number of the last attachment of this process.
static LAST_NUMBER: PrivateMutex<u64> = PrivateMutex::new(NOBODYS);

fn next_number() -> u64 {
    let mut number = LAST_NUMBER.lock();
    *number += 1;
    *number
}

struct Row {
    shared: Weak<Shared>,
    context: Rc<Context>,
}

thread_local! {
    /// The thread's context in the heap it used last.
    static LAST: Cell<Option<Rc<Context>>> = const { Cell::new(None) };
    static ROWS: RefCell<Vec<Row>> = const { RefCell::new(Vec::new()) };
}

impl Heap {
    /// Creates a heap without a name, for this process and the processes to which it passes the
    /// heap.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`] or [`Error::Os`] when the system has no room for it;
    /// [`Error::NoAddressSpace`] when this process has none;
    /// [`Error::BadArgument`] when `max_bytes` is out of range.
    pub fn anonymous(max_bytes: u64) -> Result<Self> {
        let data = HeapFile::anonymous("coheap")?;
        let life = HeapFile::anonymous("coheap-life")?;
        let birth = HeapFile::anonymous("coheap-birth")?;
        let region = create::fill(data, max_bytes, &create::Birth::anonymous()?)?;
        Self::attach(Files::new(region, life, birth), None)
    }

    /// Opens or creates a named heap.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`], [`Error::NoSuchName`], [`Error::NotYours`], [`Error::NotPrivate`],
    /// [`Error::NotAHeap`], [`Error::OtherFormat`], [`Error::Corrupt`], [`Error::TableFull`], [`Error::Os`]; for a new
    /// heap as [`anonymous`](Self::anonymous).
    pub fn open(options: &Options) -> Result<Self> {
        named::open(options, None)
    }

    /// As [`open`](Self::open), but waits at most until `deadline`, in nanoseconds of
    /// [`os::now`](crate::os::now), for a process that is in a change of the names of the heap.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] at the deadline, [`Error::Interrupted`] when a signal arrived: this process has
    /// not attached. Else as [`open`](Self::open).
    pub fn open_until(options: &Options, deadline: u64) -> Result<Self> {
        named::open(options, Some(deadline))
    }

    /// Attaches to the heap whose three files this process inherited: data, life, birth.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_files([data, life, birth]: [HeapFile; 3]) -> Result<Self> {
        let region = create::map_checked(data)?;
        for file in [&life, &birth] {
            files::check_private(&file.ownership()?)?;
        }
        Self::attach(Files::new(region, life, birth), None)
    }

    fn attach(files: Files, path: Option<PathBuf>) -> Result<Self> {
        let Files { region, life, birth } = files;
        let (life, birth) = (LastingFile::new(life)?, LastingFile::new(birth)?);
        let census = || Census::new(Arc::clone(&region), life.clone(), birth.clone());
        let member = enter(census())?;
        if path.is_none() {
            temporary::join(&region, member.incarnation());
        }
        let member = PrivateMutex::new(Some(member));
        let unborn = PrivateMutex::new(None);
        let closed = Latch::default();
        let (number, users) = (next_number(), PrivateMutex::new(0));
        let shared = Shared { number, region, life, birth, member, unborn, closed, users, path };
        let heap = Self { shared: Arc::new(shared) };
        registry::watch_forks(&heap);
        // A new member settles the earlier dead, so that rows of dead processes do not accumulate. Others may
        // wait to open the same heap.
        let _here = os::stay();
        heap.with(estate::sweep_in_passing)?;
        Ok(heap)
    }

    /// Runs an operation with the calling thread's context.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::TableFull`] when there are too many threads or processes; else
    /// the error of the operation.
    #[inline(always)]
    pub fn with<T>(&self, operation: impl FnOnce(&Context) -> Result<T>) -> Result<T> {
        let context = self.context()?;
        let done = operation(&context);
        if done.is_err() && self.shared.is_closed() {
            return done.map_err(of_a_closed_heap);
        }
        done
    }

    /// Returns the calling thread's context.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::TableFull`] when there are too many threads or processes.
    #[inline(always)]
    pub fn context(&self) -> Result<Rc<Context>> {
        match last() {
            Some(context) if self.shared.is_usable(&context) => {
                if context.member().due().is_any() {
                    // In a damaged heap, the operation itself says what is wrong.
                    let _ = estate::settle_due(&context);
                }
                Ok(context)
            }
            _ => self.known_context(),
        }
    }

    #[cold]
    fn known_context(&self) -> Result<Rc<Context>> {
        let known = ROWS.try_with(|rows| {
            let rows = rows.try_borrow().ok()?;
            let row = rows.iter().find(|row| row.belongs_to(&self.shared))?;
            Some(Rc::clone(&row.context))
        });
        let context = match known.ok().flatten() {
            Some(context) if self.shared.is_usable(&context) => context,
            _ => self.new_context()?,
        };
        // A thread that is ending caches nothing.
        let _ = LAST.try_with(|last| last.set(Some(Rc::clone(&context))));
        Ok(context)
    }

    #[cold]
    fn new_context(&self) -> Result<Rc<Context>> {
        // Rows of heaps that have ended, and of this process's parent, are dropped here.
        take_rows(|row| row.shared.strong_count() == 0 || row.belongs_to(&self.shared));
        let context = Rc::new(claim(&self.member()?, self.shared.number)?);
        let row = Row { shared: Arc::downgrade(&self.shared), context: Rc::clone(&context) };
        let _ = ROWS.try_with(|rows| rows.borrow_mut().push(row));
        Ok(context)
    }

    /// Returns this process's membership; a forked child gets one of its own.
    fn member(&self) -> Result<Arc<Member>> {
        let shared = &self.shared;
        let mut member = shared.member.lock();
        match member.as_ref() {
            Some(member) if member.is_own() => return Ok(Arc::clone(member)),
            _ if shared.is_closed() => return Err(Error::Closed),
            _ => {}
        }
        let (unborn, _here) = (shared.unborn.lock().take(), os::stay());
        let born = unborn.and_then(|unborn| Member::be_born(shared.census(), unborn));
        let new = born.map(Arc::new).map_or_else(|| enter(shared.census()), Ok)?;
        temporary::join(&shared.region, new.incarnation());
        // One store: a thread that forks meanwhile copies the old membership or the new one.
        let before = member.replace(Arc::clone(&new));
        drop(member);
        drop(before);
        Ok(new)
    }

    pub(crate) fn region(&self) -> &Region {
        &self.shared.region
    }

    /// Most bytes of what is stored.
    pub fn max_bytes(&self) -> u64 {
        self.region().header().max_bytes.get()
    }

    /// Returns the limit of a heap that is made with this `max_bytes`: it is rounded up.
    pub fn rounded_max_bytes(max_bytes: u64) -> u64 {
        max_bytes.checked_next_multiple_of(SPAN_BYTES).unwrap_or(max_bytes)
    }

    /// Returns what the creator noted in [`Options::note`].
    pub fn note(&self) -> u8 {
        (self.region().header().flags.get() >> create::NOTE) as u8
    }

    /// Returns the default `max_bytes`: half of the machine's memory, but at least 1 MiB and at
    /// most 1 TiB.
    pub fn default_max_bytes() -> u64 {
        (os::memory_bytes() / 2).clamp(1 << 20, 1 << 40)
    }

    /// Returns the sequence of an object, unless it is being written. While the sequence is the
    /// same, the object is unchanged.
    #[inline]
    pub fn sequence(&self, object: &impl Typed) -> Option<u64> {
        turn::begin_read(self.region().turn(object.handle().turn))
    }

    /// Returns whether an object is unchanged since it had this sequence.
    #[inline]
    pub fn is_unchanged(&self, object: &impl Typed, sequence: u64) -> bool {
        turn::is_unchanged(self.region().turn(object.handle().turn), sequence)
    }

    /// Recovers all dead processes, settles every estate, and returns how many processes were
    /// recovered.
    ///
    /// # Errors
    ///
    /// As [`context`](Self::context); [`Error::Corrupt`].
    pub fn sweep(&self) -> Result<u32> {
        self.with(estate::sweep)
    }

    /// Gives the memory of everything that is free back to the system, and returns how many bytes. It
    /// happens by itself, too, some seconds after much became free. Of a heap on a file system, nothing is
    /// given back while a member is stopped, and only what was free for half a second, which it waits for.
    ///
    /// # Errors
    ///
    /// As [`context`](Self::context); [`Error::Corrupt`].
    pub fn trim(&self) -> Result<u64> {
        self.with(|context| {
            remains::finish(context)?;
            allocator::reclaim(context)?;
            span::trim(context)
        })
    }

    /// Returns the three files: data, life, birth.
    pub fn files(&self) -> [&HeapFile; 3] {
        [self.shared.region.file(), self.shared.life.file(), self.shared.birth.file()]
    }

    /// Returns the path of the data file of a named heap.
    pub fn path(&self) -> Option<&PathBuf> {
        self.shared.path.as_ref()
    }

    /// Returns whether both are the same heap of this process.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

/// Converts the error of an operation that was under way when its heap was closed: its object is
/// not gone, but this process has left the heap.
#[cold]
fn of_a_closed_heap(error: Error) -> Error {
    match error {
        Error::ObjectGone | Error::LeaseLost | Error::NotOwner => Error::Closed,
        other => other,
    }
}

/// Returns the context that the calling thread used last.
#[inline(always)]
fn last() -> Option<Rc<Context>> {
    LAST.try_with(|last| {
        let context = last.take();
        last.set(context.clone());
        context
    })
    .ok()
    .flatten()
}

impl Row {
    fn belongs_to(&self, shared: &Arc<Shared>) -> bool {
        std::ptr::eq(self.shared.as_ptr(), Arc::as_ptr(shared))
    }
}

/// Removes rows of the calling thread, and drops them once nothing is borrowed any more.
fn take_rows(mut is_going: impl FnMut(&Row) -> bool) {
    drop(LAST.try_with(Cell::take));
    // A thread that is ending may have lost its rows already.
    let going: Option<Vec<Row>> = ROWS
        .try_with(|rows| {
            let mut rows = rows.try_borrow_mut().ok()?;
            let (going, kept) = rows.drain(..).partition(|row| is_going(row));
            *rows = kept;
            Some(going)
        })
        .ok()
        .flatten();
    drop(going);
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.is_closed() {
            return;
        }
        let member = self.member.lock().clone().filter(|member| member.is_own());
        let context = member.and_then(|member| claim(&member, self.number).ok()).map(Rc::new);
        // No caller is left to report an error to; other processes settle the rest.
        let _ = self.leave(context);
    }
}

impl Shared {
    #[inline(always)]
    fn is_closed(&self) -> bool {
        self.closed.is_raised()
    }

    /// Returns whether a context of the calling thread belongs to this heap and may be used.
    #[inline(always)]
    fn is_usable(&self, context: &Context) -> bool {
        context.is_of(self.number) && context.is_own() && !context.member().is_closed()
    }

    fn files(&self) -> Files {
        let (life, birth) = (Arc::clone(self.life.file()), Arc::clone(self.birth.file()));
        Files { region: Arc::clone(&self.region), life, birth }
    }

    fn census(&self) -> Census {
        Census::new(Arc::clone(&self.region), self.life.clone(), self.birth.clone())
    }

    /// Returns everything that this process owns. Its slot is released with the last thread that
    /// used the heap.
    fn leave(&self, context: Option<Rc<Context>>) -> Result<()> {
        let member = self.member.lock().clone();
        if let Some(member) = member.filter(|member| member.is_own()) {
            member.close();
            recovery::wake_threads_of(&self.region, member.slot());
        }
        let given_back = match &context {
            Some(context) if context.is_own() => self.give_back(context),
            _ => Ok(()),
        };
        drop(context);
        let this: *const Self = self;
        take_rows(|row| std::ptr::eq(row.shared.as_ptr(), this));
        let member = self.member.lock().take();
        drop(member);
        given_back
    }

    fn give_back(&self, context: &Context) -> Result<()> {
        let until = os::now() + PARTING;
        estate::leave(context, until)?;
        temporary::part(context, &self.files(), self.path.as_deref(), until)
    }
}

/// The files of a heap, its data mapped.
#[derive(Debug, Clone)]
struct Files {
    region: Arc<Region>,
    life: Arc<HeapFile>,
    birth: Arc<HeapFile>,
}

impl Files {
    fn new(region: Region, life: HeapFile, birth: HeapFile) -> Self {
        Self { region: Arc::new(region), life: Arc::new(life), birth: Arc::new(birth) }
    }

    fn census(&self) -> Result<Census> {
        let [life, birth] =
            [&self.life, &self.birth].map(|file| LastingFile::new(Arc::clone(file)));
        Ok(Census::new(Arc::clone(&self.region), life?, birth?))
    }
}

/// Takes a row for the calling thread. If there is none, dead processes are recovered first.
fn claim(member: &Arc<Member>, attachment: u64) -> Result<Context> {
    let context = Context::claim(Arc::clone(member), attachment).or_else(|_| {
        recovery::sweep(member.census(), Some(member.incarnation()), 0, 1)?;
        recovery::wait_for_others(member.census());
        row::search_from(&member.region().header().free_row, 0);
        Context::claim(Arc::clone(member), attachment)
    })?;
    // In a damaged heap, the operation itself says what is wrong.
    let _ = remains::inherit(&context);
    Ok(context)
}

/// Takes a slot. If every slot is taken, dead processes are recovered first; if each of them left
/// something, this process takes the slot of one over and settles its estate.
fn enter(census: Census) -> Result<Arc<Member>> {
    let census = match Member::enter(census, State::Free).map_err(|refused| *refused) {
        Ok(member) => return Ok(Arc::new(member)),
        Err((census, Error::TableFull { .. })) => census,
        Err((_, other)) => return Err(other),
    };
    recovery::sweep(&census, None, 0, 1)?;
    create::free_empty_estates(&census)?;
    let census = match Member::enter(census, State::Free).map_err(|refused| *refused) {
        Ok(member) => return Ok(Arc::new(member)),
        Err((census, Error::TableFull { .. })) => census,
        Err((_, other)) => return Err(other),
    };
    let member = Arc::new(Member::enter(census, State::Estate).map_err(|refused| refused.1)?);
    estate::settle_adopted(&claim(&member, NOBODYS)?)?;
    Ok(member)
}
