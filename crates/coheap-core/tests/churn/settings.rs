//! What a run does, and for how long.
//!
//! `COHEAP_CHURN` is a list of classes, with commas between them: `COHEAP_CHURN=queue,kill` runs
//! only these; `COHEAP_CHURN=-remove_lock,-close` runs all others. Classes of operations: `map`,
//! `value`, `queue`, `lock`, `reference`, `parcel`, `block` (transactions). What ends objects:
//! `remove_map`, `remove_value`, `remove_queue`, `remove_lock`, `shut` (queues that are closed).
//! What befalls processes: `close` (and attach again), `fork`, `stop`, `kill`, `exit`, `signal`,
//! `threads`, `check`.
//!
//! What always holds: a word that names no class is an error, so nobody believes it was left out.

use std::time::Duration;

macro_rules! classes {
    ($($class:ident = $word:literal),* $(,)?) => {
        /// A class of what may happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Class { $($class),* }

        const WORDS: &[(&str, Class)] = &[$(($word, Class::$class)),*];
    };
}
classes! {
    Map = "map", Value = "value", Queue = "queue", Lock = "lock", Reference = "reference",
    Parcel = "parcel", Block = "block", RemoveMap = "remove_map", RemoveValue = "remove_value",
    RemoveQueue = "remove_queue", RemoveLock = "remove_lock", Shut = "shut", Close = "close",
    Fork = "fork", Stop = "stop", Kill = "kill", Exit = "exit", Signal = "signal",
    Threads = "threads", Check = "check",
}

/// The settings of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) duration: Duration,
    /// A bit for each class.
    classes: u32,
}

impl Settings {
    /// What the environment says.
    pub(crate) fn of_run(usual_seconds: u64) -> Self {
        let seconds = std::env::var("COHEAP_CHURN_SECONDS").map_or(usual_seconds, |text| {
            text.trim().parse().expect("COHEAP_CHURN_SECONDS is a number of seconds")
        });
        let list = std::env::var("COHEAP_CHURN").unwrap_or_default();
        Self { duration: Duration::from_secs(seconds), classes: classes_of(&list) }
    }

    /// Whether this may happen.
    pub(crate) fn has(&self, class: Class) -> bool {
        self.classes & bit(class) != 0
    }

    /// The same without a class.
    pub(crate) fn without(self, class: Class) -> Self {
        Self { classes: self.classes & !bit(class), ..self }
    }
}

fn bit(class: Class) -> u32 {
    1 << class as u32
}

fn classes_of(list: &str) -> u32 {
    let words: Vec<&str> = list.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let bit_of = |word: &str| {
        let found = WORDS.iter().find(|(known, _)| *known == word);
        bit(found.unwrap_or_else(|| panic!("COHEAP_CHURN: {word:?} is no class: {WORDS:?}")).1)
    };
    let wanted = words.iter().filter(|word| !word.starts_with('-'));
    let left_out = words.iter().filter_map(|word| word.strip_prefix('-'));
    let wanted = wanted.map(|word| bit_of(word)).reduce(|all, one| all | one);
    wanted.unwrap_or(u32::MAX) & !left_out.map(bit_of).fold(0, |all, one| all | one)
}
