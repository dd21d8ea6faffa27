//! One damage after the other, each in a heap that is whole but for it.
//!
//! A child does as many as it survives. What it was at lies in a page outside of the heap, so the
//! parent knows which damage and which operation it did not survive.

use coheap_core::error::Result;
use coheap_core::heap::floors::HeapFloors as _;
use coheap_core::heap::{Heap, Options};
use coheap_core::memory::layout::{self, Header, Object};
use coheap_core::os::HeapFile;

use crate::everything::{self, Objects};
use crate::living;
use crate::picture::{self, Picture};
use crate::support::child::{End, alarm, be_quiet, fork, limit_memory, note_panics};
use crate::support::page::Page;
use crate::support::privilege::Folder;
use crate::support::random::Random;

/// What one operation after a damage may take, in seconds, all of them together.
const SECONDS: u32 = 10;
const AT: usize = 0;
const ANSWERED: usize = 1;
const REFUSED: usize = 2;
const DOING: usize = 3;
const SAID: usize = 4;
/// More address space than a small heap can ever want.
const MEMORY: u64 = 256 << 20;

/// One word of the heap, changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Damage {
    at: u64,
    /// The word becomes `(old & keep) ^ mix`.
    keep: u64,
    mix: u64,
}

impl Damage {
    /// Flips bits of the byte at an offset.
    pub(crate) fn flip(at: u64, pattern: u8) -> Self {
        let mix = u64::from(pattern) << (at % 8 * 8);
        Self { at: at / 8 * 8, keep: u64::MAX, mix }
    }

    /// Returns what becomes of the word.
    fn of(self, old: u64) -> u64 {
        (old & self.keep) ^ self.mix
    }

    /// Replaces a word.
    fn replace(at: u64, word: u64) -> Self {
        Self { at, keep: 0, mix: word }
    }
}

/// What came of a row of damages.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) done: usize,
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    pub(crate) bad: Vec<(Damage, String)>,
}

/// The heap that is damaged.
#[derive(Debug)]
pub(crate) struct Trial {
    heap: Heap,
    objects: Objects,
    whole: Picture,
    way: Way,
}

/// How whoever runs everything comes to the heap.
#[derive(Debug)]
enum Way {
    /// It was attached when the damage was done.
    Before,
    /// It attaches after that, by the files it has from its parent.
    Files,
    /// It attaches after that, by name. The folder goes with the heap.
    Name(Options, #[expect(dead_code, reason = "dropped, not read")] Folder),
}

impl Trial {
    /// Everything is run by a process that is attached when the damage is done.
    pub(crate) fn new() -> Self {
        let heap = Heap::anonymous(1 << 20).expect("a small heap");
        picture::repeat_hashes(&heap);
        let objects = everything::make(&heap);
        everything::leave_an_estate(|| heap.clone(), &objects);
        let whole = Picture::take(&heap);
        Self { heap, objects, whole, way: Way::Before }
    }

    /// Everything is run by a process that attaches after the damage was done.
    pub(crate) fn attaching() -> Self {
        Self { way: Way::Files, ..Self::new() }
    }

    /// As `attaching`, with a named heap that nobody living is attached to.
    pub(crate) fn opening() -> Self {
        let folder = Folder::new("hostile");
        let path = Some(folder.path().to_owned());
        let new = Options::new("damaged");
        let options = Options { folder: path, max_bytes: Some(1 << 20), ..new };
        let heap = Heap::open(&options).expect("a small heap");
        picture::repeat_hashes(&heap);
        let objects = everything::make(&heap);
        heap.close().expect("closed");
        let options = Options { create: false, ..options };
        everything::leave_an_estate(|| Heap::open(&options).expect("opened"), &objects);
        let whole = Picture::take(&heap);
        Self { heap, objects, whole, way: Way::Name(options, folder) }
    }

    /// Does the damages one after the other. A child that ends badly is replaced.
    pub(crate) fn run(&self, damages: &[Damage]) -> Outcome {
        let page = Page::new(64);
        let mut bad = Vec::new();
        while (page.get(AT) as usize) < damages.len() {
            self.whole.restore_all();
            page.set_text(SAID, "");
            let mut child = fork(|| {
                be_quiet();
                if std::env::var_os("COHEAP_ANY_MEMORY").is_none() {
                    limit_memory(MEMORY);
                }
                let copy = page.clone();
                note_panics(move |said| copy.set_text(SAID, said));
                match self.way {
                    Way::Before => self.do_some(damages, &page),
                    _ => self.attach_to_one(damages[page.get(AT) as usize], &page),
                }
                0
            });
            let end = child.wait_for(std::time::Duration::from_secs(600));
            let at = page.get(AT) as usize;
            let doing = everything::groups().get(page.get(DOING) as usize).copied();
            let said = match end {
                Some(End::Exit(0)) if !matches!(self.way, Way::Before) => {
                    page.set(AT, at as u64 + 1);
                    continue;
                }
                Some(End::Exit(0)) => continue,
                Some(End::Exit(_)) => format!("panic at {}", page.text(SAID)),
                Some(End::Signal(libc::SIGALRM)) => format!("no end within {SECONDS} s"),
                Some(End::Signal(libc::SIGABRT)) => "no memory, or an abort".to_owned(),
                Some(End::Signal(signal)) => format!("signal {signal}"),
                None => "no end at all".to_owned(),
            };
            let doing = doing.map_or("attaching".to_owned(), |group| format!("{group:?}"));
            bad.push((damages[at], format!("{said} in {doing}")));
            page.set(AT, at as u64 + 1);
        }
        self.whole.restore_all();
        // Each group was counted as refused first, in case it never came back.
        let answered = page.get(ANSWERED);
        let refused = page.get(REFUSED).saturating_sub(answered);
        Outcome { done: damages.len(), answered, refused, bad }
    }

    /// A child's work: as many damages as it survives, up to a few hundred.
    fn do_some(&self, damages: &[Damage], page: &Page) {
        alarm(SECONDS);
        self.heap.context().expect("attached before any damage");
        let picture = Picture::take(&self.heap);
        for _ in 0..400 {
            let Some(damage) = damages.get(page.get(AT) as usize) else { break };
            alarm(SECONDS);
            picture.restore();
            picture.put(damage.at, damage.of(picture.word(damage.at)));
            everything::run(&self.heap, &self.objects, &mut |name, answered| {
                page.set(DOING, name as u64);
                page.add(if answered { ANSWERED } else { REFUSED }, 1);
            });
            page.add(AT, 1);
        }
        alarm(0);
    }

    fn attach_to_one(&self, damage: Damage, page: &Page) {
        alarm(SECONDS);
        page.set(DOING, u64::MAX);
        self.whole.put(damage.at, damage.of(self.whole.word(damage.at)));
        let Ok(heap) = self.attach() else {
            page.add(REFUSED, 1);
            return;
        };
        everything::run(&heap, &self.objects, &mut |name, answered| {
            page.set(DOING, name as u64);
            page.add(if answered { ANSWERED } else { REFUSED }, 1);
        });
        if matches!(self.way, Way::Name(..)) {
            // Whoever leaves a heap last may take its name away, and the next one needs it.
            std::mem::forget(heap);
        }
    }

    fn attach(&self) -> Result<Heap> {
        let again = |file: &HeapFile| {
            let copy = file.descriptor().try_clone_to_owned().expect("a descriptor");
            HeapFile::from_descriptor(copy)
        };
        match &self.way {
            Way::Name(options, _) => Heap::open(options),
            _ => Heap::from_files(self.heap.files().map(again)),
        }
    }

    /// Whether a damage hands something to a process that lives.
    pub(crate) fn cannot_see(&self, damage: &Damage) -> bool {
        let at = damage.at;
        let is_there = self.whole.ranges().any(|range| range.contains(&at));
        is_there
            && living::is_theirs(&self.whole, &self.objects, at, damage.of(self.whole.word(at)))
    }

    /// Which word of what a damage hit.
    pub(crate) fn describe(&self, damage: &Damage) -> String {
        let rows = [
            (layout::TURNS, 64, "turn"),
            (layout::CHUNK_OWNERS, 8, "chunk owner"),
            (layout::ARENAS, 256, "arena"),
            (layout::SLOTS, size_of::<layout::Slot>() as u64, "slot"),
            (layout::CONTEXTS, size_of::<layout::ContextRow>() as u64, "context"),
            (layout::JOURNALS, layout::JOURNAL_BYTES, "journal"),
            (layout::SPAN_TABLE, size_of::<layout::Span>() as u64, "span entry"),
            (self.heap.region().data_start(), layout::SPAN_BYTES, "span"),
        ];
        let place = rows.iter().rev().find(|(start, _, _)| damage.at >= *start);
        let place = match place {
            Some((start, size, name)) => {
                let (row, inside) = ((damage.at - start) / size, (damage.at - start) % size);
                format!("{name} {row}, byte {inside}")
            }
            None => format!("header, byte {}", damage.at),
        };
        let old = self.whole.ranges().any(|range| range.contains(&damage.at));
        let old = if old { self.whole.word(damage.at) } else { 0 };
        let new = damage.of(old);
        format!("{place} (offset {:#x}): {old:#x} became {new:#x}", damage.at)
    }
}

/// The bytes of the header that are in use.
pub(crate) fn first_words() -> std::ops::Range<u64> {
    0..size_of::<Header>() as u64
}

/// Every byte of the whole heap that is committed and was ever used.
pub(crate) fn interesting_bytes(trial: &Trial) -> Vec<u64> {
    trial.whole.ranges().flatten().collect()
}

/// All bytes of the headers of the objects.
pub(crate) fn header_bytes(trial: &Trial) -> impl Iterator<Item = u64> {
    let bytes = |at: u64| at..at + size_of::<Object>() as u64;
    trial.objects.headers().into_iter().flat_map(bytes)
}

/// Words that are as large or as odd as words can be.
const EDGES: [u64; 6] = [0, 1, u64::MAX, u64::MAX - 1, i64::MAX as u64, 1 << 63];

/// Odd words in the place of one.
pub(crate) fn edges(at: u64) -> impl Iterator<Item = Damage> {
    EDGES.into_iter().map(move |word| Damage::replace(at, word))
}

/// Each bit of the words that everything else is found by, and odd words in their place: the heap's
/// header, the headers of the objects, and what is not zero in the tables.
pub(crate) fn bits(trial: &Trial) -> Vec<Damage> {
    let Trial { heap, whole, .. } = trial;
    let tables = whole.ranges().filter(|range| range.start < heap.region().data_start());
    let used = tables.flat_map(|range| range.step_by(8)).filter(|at| whole.word(*at) != 0);
    let header = first_words().step_by(8);
    let mut damages = Vec::new();
    for at in header.chain(header_bytes(trial).step_by(8)).chain(used) {
        let old = whole.word(at);
        damages.extend((0..64).map(|bit| Damage::replace(at, old ^ 1 << bit)).chain(edges(at)));
    }
    damages
}

/// Words of the heap, or now and then an odd one, in the place of others; mostly where zeros are
/// not.
pub(crate) fn swaps(trial: &Trial, dice: &mut Random, count: usize) -> Vec<Damage> {
    let words: Vec<u64> = trial.whole.ranges().flat_map(|range| range.step_by(8)).collect();
    let telling: Vec<u64> = words.iter().copied().filter(|at| trial.whole.word(*at) != 0).collect();
    let mut damages = Vec::new();
    for number in 0..count {
        let from = if number % 8 == 0 { &words } else { &telling };
        let at = from[dice.below(from.len() as u64) as usize];
        let word = match number % 5 {
            0 => EDGES[dice.below(EDGES.len() as u64) as usize],
            _ => trial.whole.word(telling[dice.below(telling.len() as u64) as usize]),
        };
        damages.push(Damage::replace(at, word));
    }
    damages
}
