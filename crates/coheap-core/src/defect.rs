//! Known mistakes that can be switched on, to prove that the tests detect them.
//!
//! Each `defect(Mistake::...)` in the engine marks code in which an earlier draft, or a careless
//! reader of the design, was wrong. Without the feature `defects` it is a constant `false` and is
//! compiled out. `docs/testing.md` has the table: name, mistake, file.
//!
//! What always holds: a process makes at most one mistake, chosen by name when it first asks.

/// Declares the mistakes, with their names for whoever chooses one.
macro_rules! mistakes {
    ($(#[doc = $text:literal] $name:ident,)*) => {
        /// A mistake that the engine can be told to make.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Mistake {
            $(#[doc = $text] $name,)*
        }

        #[cfg(feature = "defects")]
        const MISTAKES: &[(&str, Mistake)] = &[$((stringify!($name), Mistake::$name),)*];
    };
}

mistakes! {
    /// Sequences stay even during a change: readers accept half of it.
    EvenSequenceDuringChange,
    /// A saved word is counted before it is complete.
    CountIncompleteWord,
    /// Words are stored without being saved.
    StoreUnsaved,
    /// Sequences become even before the commit: readers accept what is undone later.
    EvenSequenceBeforeCommit,
    /// Freed blocks are available at once, within the change that frees them.
    FreeAtOnce,
    /// A change is undone first word first, so a word saved twice ends wrong.
    UndoFirstWordFirst,
    /// A map notes nothing of what changes while it is copied.
    LeaveNoTrail,
    /// Recovery does not empty the journal it has undone, so a second one undoes again.
    RecoverWithoutEmptyingJournal,
    /// Turns are let go before the journals are undone.
    FreeTurnsBeforeUndo,
    /// A dead owner's sequence stays odd.
    LeaveSequenceOdd,
    /// A dead owner's even sequence stays: readers mix a change of a single word with the next.
    LeaveSequenceEven,
    /// A dead owner's sequence goes back to the number it had: readers accept what was undone.
    TurnSequenceBack,
    /// Who finds a queue empty and closed does not look again, and misses the last item.
    ReadClosedLate,
    /// Attempts at an item are not counted.
    CountNoAttempts,
    /// A lease is acked without asking whether it is still held.
    AckWithoutLease,
    /// A dead process's slot is freed with its leases still on the list.
    FreeSlotWithLeases,
    /// A waiter takes a dead owner's turn for itself, and what it guards stays half done.
    TakeTurnOfDead,
    /// A free life byte counts as a death, whoever freed it.
    FreeByteIsDeath,
    /// The head of a queue moves without being saved, when an item is leased.
    MoveHeadUnsaved,
    /// `exec` does not count as a death.
    ExecIsNoDeath,
    /// Nobody looks for the dead before answering that there is nothing.
    NeverLookForDead,
    /// Whoever asked for something small takes all of a large structure apart.
    SmallDoesAll,
    /// Large work that somebody has begun is left to those who look for the dead.
    ForgetWork,
    /// A transaction goes on after a deadlock.
    GoOnAfterDeadlock,
    /// An aborted transaction counts as an attempt at what it had leased.
    AbortCountsAttempt,
    /// Places promised to a dead transaction stay taken.
    KeepPromiseOfDead,
    /// A handle is good whatever the generation.
    StaleGeneration,
    /// A removed object's header keeps its generation.
    KeepGenerationOfRemoved,
    /// The tail of a queue moves before the item is there.
    MoveTailBeforeItem,
    /// A forked child takes its parent's slot and journals for its own.
    ForkedChildIsParent,
    /// Words saved in overflow chunks are not undone.
    UndoWithoutOverflow,
    /// Within one change of a transaction a map gives positions back and uses them again.
    ReusePositionsWithinChange,
    /// Who attaches compares how far the heap has grown with a length read before.
    CompareOldLength,
    /// An object does not count down when a reference is given up: it is never ended.
    NeverCountDown,
    /// A change of a single word leaves the sequence alone: readers mix it with the next.
    SingleWordKeepsSequence,
    /// Who waits for an object is not rung when it is removed.
    RingNobodyAtRemoval,
    /// A lock is taken whatever its generation: who is late has that of the next object.
    TakeAnyGeneration,
    /// Who needs a second turn sleeps for it, and keeps the first one from others.
    SleepHoldingTurn,
    /// An offered lock is kept for a thread that may be stopped, however long.
    OfferForEver,
    /// Who leaves a wait does not look whether it has just been offered the lock.
    LeaveOfferBehind,
    /// A want-bit comes down without another look: who came meanwhile is never rung.
    LowerWithoutLook,
    /// A want-bit goes up after the last look: what was made between is slept through.
    WantAfterLook,
    /// Who was rung and leaves without taking does not ring the next one.
    KeepRing,
    /// A ring that woke nobody counts as one that was heard.
    CountFutileRing,
    /// Recovery does not ring who has looked and is about to sleep.
    RingOnlySleepers,
    /// A forked child takes the waits of its parent for its own.
    ChildIsWaiter,
    /// A watcher that leaves does not hand its role over.
    KeepWatch,
    /// A wait that a signal interrupts begins anew, and never finds what takes time.
    BeginAnewAfterSignal,
    /// What cannot be read of a process counts as its death.
    UnreadableIsDeath,
    /// A process that leaves frees its slot, and rows of its threads still name it.
    FreeSlotWithRows,
    /// A thread whose process has left may still lease and refer: it stays for ever.
    RecordAfterLeaving,
    /// An object that is being removed counts as gone, though the removal may be undone.
    BelieveOpenRemoval,
    /// A fork enters references without looking whether they are still the parent's.
    BequeathUnseen,
    /// A temporary heap that only the dead kept is found again.
    KeepTemporaryOfDead,
    /// A run is used again although somebody reads it.
    ReuseWhatIsRead,
    /// A hole that grows at its end says at its beginning what it said before.
    KeepHoleNumbers,
    /// A buffer is given up although it is pinned.
    ForgetPins,
    /// Spans are committed although their pages were given back meanwhile.
    PublishWithdrawn,
    /// Who was refused gives back pages that another has published.
    WithdrawPublished,
    /// A hole is handed out without pages.
    HandOutHole,
    /// The unreal run of a dead process is never settled.
    KeepUnrealOfDead,
}

/// Returns whether `mistake` is switched on for this process (`COHEAP_DEFECT=NameOfMistake`, or
/// `name-of-mistake`).
///
/// # Panics
///
/// There is no mistake of the name that `COHEAP_DEFECT` gives. The message lists all names.
#[cfg(feature = "defects")]
pub(crate) fn defect(mistake: Mistake) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Mistake>> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| std::env::var("COHEAP_DEFECT").ok().map(|name| named(&name)))
        == Some(mistake)
}

/// Returns the mistake of that name.
#[cfg(feature = "defects")]
fn named(name: &str) -> Mistake {
    let joined = name.replace('-', "");
    let found = MISTAKES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&joined));
    let Some((_, mistake)) = found else {
        let names: Vec<&str> = MISTAKES.iter().map(|(known, _)| *known).collect();
        panic!("COHEAP_DEFECT: there is no mistake {name:?}; there are {}", names.join(", "));
    };
    *mistake
}

/// Returns whether `mistake` is switched on: never in this build.
#[cfg(not(feature = "defects"))]
#[inline(always)]
pub(crate) const fn defect(_mistake: Mistake) -> bool {
    false
}

#[cfg(all(test, feature = "defects"))]
mod tests {
    use super::{Mistake, named};

    #[test]
    fn a_mistake_has_its_own_name_and_that_with_hyphens() {
        assert!(named("FreeByteIsDeath") == Mistake::FreeByteIsDeath);
        assert!(named("free-byte-is-death") == Mistake::FreeByteIsDeath);
    }

    #[test]
    #[should_panic(expected = "there is no mistake \"9\"; there are EvenSequenceDuringChange, ")]
    fn a_name_that_does_not_exist_is_told_with_those_that_do() {
        named("9");
    }
}
