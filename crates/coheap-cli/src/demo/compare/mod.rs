//! The same job over LMDB and a pipe, for comparison.
//!
//! The same items and the same counting function; the map is an LMDB database in shared memory
//! (no syncs, written through the mapping), the queue a pipe that all workers read. Nobody is
//! killed, for neither would survive it.
//!
//! LMDB is C, so it is built only with the feature `compare`; without it this says how to get it.
//! Not here: how LMDB is called, which is `bench/lmdb`.

#[cfg(feature = "compare")]
mod peer;

#[cfg(not(feature = "compare"))]
use std::path::Path;

#[cfg(not(feature = "compare"))]
use super::corpus::Corpus;
use super::words::Totals;
use crate::failure::Failure;
#[cfg(not(feature = "compare"))]
use crate::signals::Signals;

/// What came out of the comparison.
pub(crate) struct Peer {
    pub(crate) counts: Totals,
    pub(crate) seconds: f64,
}

#[cfg(feature = "compare")]
pub(crate) use peer::{execute, work};

/// An error that says what to do when the comparison was not built.
pub(crate) fn check_available() -> Result<(), Failure> {
    if cfg!(feature = "compare") { Ok(()) } else { Err(not_built()) }
}

fn not_built() -> Failure {
    let text = "--compare needs LMDB, which is not in this build; with a C compiler at hand: \
                cargo run --release --package coheap-cli --features compare -- demo --compare";
    Failure::Usage(text.to_owned())
}

#[cfg(not(feature = "compare"))]
pub(crate) fn execute(_: &Corpus, _: usize, _: &Signals) -> Result<Peer, Failure> {
    Err(not_built())
}

#[cfg(not(feature = "compare"))]
pub(crate) fn work(_: &Path) -> Result<(), Failure> {
    Err(not_built())
}
