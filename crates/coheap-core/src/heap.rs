//! Making a heap, finding one, attaching to it, leaving it.
//!
//! An anonymous heap is two files in memory, data and life; it vanishes with its last process. A
//! named heap is two files in a folder: the life file is named by the heap's uuid and made first,
//! and the data file gets its name by one `link` when it is whole.
//!
//! What always holds:
//!
//! - A process is attached at most once to a heap, however many `Heap`s it has.
//! - A forked child attaches anew, by itself, at its first operation.
//! - A thread's context is its own; it is found through the thread.

mod create;
mod named;
mod registry;

pub use named::Options;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::journal::{Context, recovery};
use crate::memory::Region;
use crate::memory::layout::{DIRECTORY_TURN, SLOT_COUNT};
use crate::objects::{estate, queue};
use crate::os::{HeapFile, PrivateMutex};
use crate::sync::life::{Census, Member, State, StateWord};

/// A heap that this process is attached to.
#[derive(Debug, Clone)]
pub struct Heap {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    region: Arc<Region>,
    life: Arc<HeapFile>,
    member: PrivateMutex<Arc<Member>>,
    closed: OnceLock<()>,
    /// Name and file of a named heap.
    path: Option<PathBuf>,
}

struct Row {
    shared: Arc<Shared>,
    context: Rc<Context>,
}

thread_local! {
    static ROWS: RefCell<Vec<Row>> = const { RefCell::new(Vec::new()) };
}

impl Heap {
    /// A heap without a name, for this process and those it hands the heap to.
    ///
    /// # Errors
    ///
    /// [`Error::HeapFull`] or [`Error::Os`] when the system has no room for it.
    pub fn anonymous(max_bytes: u64) -> Result<Self> {
        let data = HeapFile::anonymous("coheap")?;
        let life = HeapFile::anonymous("coheap-life")?;
        let region = create::fill(data, max_bytes, &create::Birth::anonymous()?)?;
        Self::attach(Arc::new(region), Arc::new(life), None)
    }

    /// Opens or makes a named heap.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`], [`Error::NotYours`], [`Error::NotAHeap`], [`Error::OtherFormat`],
    /// [`Error::Corrupt`], [`Error::Os`]; nothing was written.
    pub fn open(options: &Options) -> Result<Self> {
        named::open(options)
    }

    /// Attaches to the heap whose two files this process inherited.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_files(data: HeapFile, life: HeapFile) -> Result<Self> {
        let region = create::map_checked(data)?;
        Self::attach(Arc::new(region), Arc::new(life), None)
    }

    fn attach(region: Arc<Region>, life: Arc<HeapFile>, path: Option<PathBuf>) -> Result<Self> {
        let member = enter(&region, &life)?;
        let member = PrivateMutex::new(Arc::new(member));
        let shared = Shared { region, life, member, closed: OnceLock::new(), path };
        let heap = Self { shared: Arc::new(shared) };
        // Whoever died before us is settled by us, so that dead rows do not pile up.
        heap.with(|context| estate::sweep(context).map(|_| ()))?;
        Ok(heap)
    }

    /// Runs an operation with the calling thread's context.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::TableFull`] when there are too many threads or processes; else
    /// whatever the operation answers.
    #[inline]
    pub fn with<T>(&self, operation: impl FnOnce(&Context) -> Result<T>) -> Result<T> {
        operation(&*self.context()?)
    }

    /// The calling thread's context.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::TableFull`] when there are too many threads or processes.
    #[inline]
    pub fn context(&self) -> Result<Rc<Context>> {
        let known = ROWS.with(|rows| {
            let rows = rows.try_borrow().ok()?;
            let row = rows.iter().find(|row| Arc::ptr_eq(&row.shared, &self.shared))?;
            row.context.is_own().then(|| Rc::clone(&row.context))
        });
        match known {
            Some(context) if self.shared.closed.get().is_none() => Ok(context),
            _ => self.new_context(),
        }
    }

    #[cold]
    fn new_context(&self) -> Result<Rc<Context>> {
        if self.shared.closed.get().is_some() {
            self.forget_rows();
            return Err(Error::Closed);
        }
        let member = self.member()?;
        let context = Rc::new(Context::claim(member)?);
        ROWS.with(|rows| {
            let mut rows = rows.borrow_mut();
            rows.retain(|row| {
                row.shared.closed.get().is_none() && !Arc::ptr_eq(&row.shared, &self.shared)
            });
            rows.push(Row { shared: Arc::clone(&self.shared), context: Rc::clone(&context) });
        });
        Ok(context)
    }

    fn forget_rows(&self) {
        let gone: Vec<Row> = ROWS.with(|rows| {
            let mut rows = rows.borrow_mut();
            let (gone, kept) =
                rows.drain(..).partition(|row| Arc::ptr_eq(&row.shared, &self.shared));
            *rows = kept;
            gone
        });
        drop(gone);
    }

    /// This process's membership; a forked child gets one of its own.
    fn member(&self) -> Result<Arc<Member>> {
        let mut member = self.shared.member.lock();
        if !member.is_own() {
            *member = Arc::new(enter(&self.shared.region, &self.shared.life)?);
        }
        Ok(Arc::clone(&member))
    }

    /// The heap's bytes, for those who read numbers.
    pub fn region(&self) -> &Region {
        &self.shared.region
    }

    /// The file with everybody's life bytes.
    pub fn life_file(&self) -> &HeapFile {
        &self.shared.life
    }

    /// File of a named heap.
    pub fn path(&self) -> Option<&PathBuf> {
        self.shared.path.as_ref()
    }

    /// Whether both are the same heap of this process.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Leaves the heap. Handles and other `Heap`s of it answer [`Error::Closed`] from now on.
    /// Leases of this process go back to their queues.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] when the system refused; the process has left all the same.
    pub fn close(&self) -> Result<()> {
        if self.shared.closed.get().is_some() || !self.is_attached() {
            let _ = self.shared.closed.set(());
            return Ok(());
        }
        let left = self.with(|context| {
            while queue::settle_first(context, context.member().slot())? {}
            crate::allocator::reclaim(context)?;
            self.unlink_if_last(context)
        });
        let _ = self.shared.closed.set(());
        self.forget_rows();
        let member = self.member_if_own();
        member.map_or(Ok(()), |member| member.leave()).and(left)
    }

    fn is_attached(&self) -> bool {
        self.member_if_own().is_some()
    }

    fn member_if_own(&self) -> Option<Arc<Member>> {
        let member = self.shared.member.lock();
        member.is_own().then(|| Arc::clone(&member))
    }

    /// A temporary heap goes with its last member. Under the directory's turn nobody else can
    /// attach: who attaches looks, under it, whether the file still has its name.
    fn unlink_if_last(&self, context: &Context) -> Result<()> {
        let region = context.region();
        if region.header().flags.get() & create::TEMPORARY == 0 {
            return Ok(());
        }
        let _held = context.hold(DIRECTORY_TURN)?;
        let own = context.member().slot();
        let is_last = (0..SLOT_COUNT)
            .filter(|slot| *slot != own)
            .all(|slot| StateWord(region.slot(slot).state.acquire()).state() == State::Free);
        match &self.shared.path {
            Some(path) if is_last => named::unlink_files(path, region),
            _ => Ok(()),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let member = self.member.get_mut();
        if self.closed.get().is_none() && member.is_own() {
            let _ = member.leave();
        }
    }
}

/// Takes a slot, recovering the dead first where every slot is taken.
fn enter(region: &Arc<Region>, life: &Arc<HeapFile>) -> Result<Member> {
    let census = Census::new(Arc::clone(region), Arc::clone(life))?;
    let (census, full) = match Member::enter(census) {
        Ok(member) => return Ok(member),
        Err((census, full @ Error::TableFull { .. })) => (census, full),
        Err((_, other)) => return Err(other),
    };
    recovery::sweep(&census, None, 0, 1)?;
    create::free_empty_estates(&census)?;
    Member::enter(census).map_err(|(_, error)| match error {
        Error::TableFull { .. } => full,
        other => other,
    })
}
