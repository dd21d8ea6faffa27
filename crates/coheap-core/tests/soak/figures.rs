//! What a heap costs when nothing is stored in it.
//!
//! What always holds: the figures are taken after everything was removed, the dead were settled and the
//! free memory was given back. All but the resident memory of this process, which is told and bounded,
//! must be the same each time.

use coheap_core::heap::Heap;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::memory::Region;
use coheap_core::memory::layout::SPAN_BYTES;
use coheap_core::objects::Directory;
use coheap_core::sync::row::{RowWord, State};

use crate::support::objects::settle_and_check;

/// The figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Spans in use, in bytes.
    pub(crate) used: u64,
    /// Spans with pages, in bytes.
    pub(crate) committed: u64,
    /// What the files cost the machine (`st_blocks`).
    pub(crate) allocated: u64,
    /// Pages of shared memory that this process has mapped.
    pub(crate) resident: u64,
    /// Rows of threads that are not free, and all real ones.
    pub(crate) rows: [usize; 2],
    /// Open descriptors of this process.
    pub(crate) descriptors: usize,
    /// Pending blocks, and blocks in use.
    pub(crate) blocks: [u64; 2],
}

impl Figures {
    /// Empties the heap, and looks.
    pub(crate) fn of_emptied(heap: &Heap) -> Self {
        heap.with(|context| {
            for (name, _) in Directory.names(context)? {
                Directory.remove(context, &name)?;
            }
            Ok(())
        })
        .expect("a heap can be emptied");
        settle_and_check(heap);
        heap.trim().expect("what is free goes back");
        let report = heap.check().expect("a heap that is whole");
        assert_eq!((report.objects, report.members), (0, 1), "{report:?}");
        let stats = heap.stats().expect("figures");
        Self {
            used: stats.used_bytes,
            committed: stats.committed_bytes,
            allocated: stats.allocated_bytes,
            resident: resident_bytes(),
            rows: [rows_in_use(heap.region()), heap.region().real_rows() as usize],
            descriptors: open_descriptors(),
            blocks: [report.pending, report.blocks],
        }
    }

    /// Panics unless the figures are those of the base.
    pub(crate) fn assert_as(self, base: Self, when: &str) {
        let comparable = Self { resident: base.resident, ..self };
        assert_eq!(comparable, base, "{when}: not all has come back");
        assert!(self.resident <= self.allocated, "{when}: {self:?}");
        assert!(self.committed <= self.used + SPAN_BYTES, "{when}: {self:?}");
    }
}

fn rows_in_use(region: &Region) -> usize {
    let state = |row| RowWord(region.context(row).state.get()).state();
    (0..region.real_rows()).filter(|row| !matches!(state(*row), State::Free)).count()
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("own status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssShmem:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")).map(str::parse::<u64>);
    number.expect("shared memory of this process").expect("a number") << 10
}

/// How many descriptors this process has open.
pub(crate) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("own descriptors").count()
}
